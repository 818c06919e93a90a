#include "hub/replay.h"

#include "hub/change.h"
#include "hub/hub_record.h"
#include "hub/twin_fixture.h"

/* Effects of both kinds through one door. */

TEST(a_change_of_the_hub_is_told_by_its_kind)
{
    struct record *record = record_create(5, 6), *after = NULL;
    memcpy(record->bytes, "lightdarker", 11);
    struct buf effect = {0}, secret = {0};
    hub_record_change(SPAN("policies"), record, 7, 1000, &effect, &secret);
    struct replay_head head;
    EXPECT_EQ(hub_replay.head(test_at_edge(buf_span(&effect)), &head), OK);
    EXPECT_EQ(head.key.partition, 0);
    EXPECT_EQ(head.key.device.len, 0);
    EXPECT_SPAN(head.key.module, SPAN("policies"));
    EXPECT_EQ(head.seq, 7);
    EXPECT_EQ(head.time_ms, 1000);
    EXPECT_EQ(hub_replay.apply(NULL, buf_span(&effect), buf_span(&secret), NULL, &after), OK);
    EXPECT_SPAN(record_secret(after), SPAN("darker"));
    record_unref(after);
    record_unref(record);
    buf_fini(&effect);
    buf_fini(&secret);
}

TEST(a_change_of_an_entity_is_told_by_its_ids)
{
    struct entity e = {.device = SPAN("d"),
                       .module = SPAN("m"),
                       .seq = 3,
                       .generation = 9,
                       .created_ms = 5,
                       .stamp_ms = 5,
                       .status_updated_ms = TIME_NEVER,
                       .last_activity_ms = TIME_NEVER,
                       .connection_updated_ms = TIME_NEVER};
    struct record *after = NULL;
    struct change c = {.kind = CHANGE_CREATE, .partition = 4, .seq = 3, .time_ms = 5, .after = &e};
    static uint8_t scratch[1 << 16];
    struct arena arena;
    arena_init(&arena, scratch, sizeof(scratch));
    after = entity_record(&e);
    EXPECT_EQ(entity_view(after, &e), OK);
    struct buf effect = {0}, secret = {0};
    change_encode(&c, &effect, &secret);
    struct replay_head head;
    EXPECT_EQ(hub_replay.head(test_at_edge(buf_span(&effect)), &head), OK);
    EXPECT_EQ(head.key.partition, 4);
    EXPECT_SPAN(head.key.device, SPAN("d"));
    EXPECT_SPAN(head.key.module, SPAN("m"));
    EXPECT_EQ(head.seq, 3);
    EXPECT_EQ(head.time_ms, 5);
    record_unref(after);
    buf_fini(&effect);
    buf_fini(&secret);
}

TEST(bytes_that_are_no_change_are_damage)
{
    static const uint8_t kinds[] = {0, 1, CHANGE_HUB, 8};
    uint8_t bytes[80] = {1};
    struct replay_head head;
    EXPECT_EQ(hub_replay.head((struct span){0}, &head), DAMAGED);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        bytes[1] = kinds[i];
        EXPECT_EQ(hub_replay.head(test_at_edge(span_of(bytes, sizeof(bytes))), &head), DAMAGED);
    }
}

TEST_MAIN(RUN(a_change_of_the_hub_is_told_by_its_kind),
          RUN(a_change_of_an_entity_is_told_by_its_ids), RUN(bytes_that_are_no_change_are_damage))
