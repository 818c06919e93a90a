#include "hub/kept.h"

#include "base/hash.h"
#include "base/test.h"
#include "doc/doc.h"
#include "hub/entity.h"

enum { PARTITIONS = 8, BY = 3000000 };

static uint8_t block[1 << 12];

static struct record *make(const char *module, bool disabled)
{
    struct arena a;
    struct span tags = {0};
    const struct doc_syntax syntax = {.nesting_max = 64, .number_max = 128};
    arena_init(&a, block, sizeof(block));
    EXPECT_EQ(doc_parse(SPAN("{\"t\":1}"), &syntax, &a, &tags), OK);
    struct entity e = {.device = SPAN("d"),
                       .module = span_text(module),
                       .seq = 77,
                       .generation = 9,
                       .twin_etag = 3,
                       .desired_version = 2,
                       .reported_version = 5,
                       .stamp_ms = 1000,
                       .disabled = disabled,
                       .tags = tags,
                       .desired = doc_empty(DOC_DESIRED, 1, &a),
                       .reported = doc_empty(DOC_REPORTED, 1, &a),
                       .primary_key = SPAN("a2V5MQ==")};
    return entity_record(&e);
}

static struct store_key key_of(const char *module)
{
    return (struct store_key){hash_partition(SPAN("d"), PARTITIONS), SPAN("d"), span_text(module)};
}

static enum status check(struct store_key key, const struct record *r, struct kept *out)
{
    return hub_kept.check(&key, PARTITIONS, r, out);
}

TEST(a_sound_record_says_what_it_counts_for)
{
    struct kept kept;
    struct record *device = make("", false), *off = make("", true), *module = make("m", false);
    EXPECT_EQ(check(key_of(""), device, &kept), OK);
    EXPECT_EQ(kept.seq, 77);
    EXPECT_EQ(kept.devices, 1);
    EXPECT_EQ(kept.disabled, 0);
    EXPECT_EQ(kept.modules, 0);
    EXPECT_EQ(check(key_of(""), off, &kept), OK);
    EXPECT_EQ(kept.disabled, 1);
    EXPECT_EQ(check(key_of("m"), module, &kept), OK);
    EXPECT_EQ(kept.devices, 0);
    EXPECT_EQ(kept.modules, 1);
    EXPECT_EQ(check((struct store_key){0, SPAN(""), SPAN("policies")}, device, &kept), OK);
    EXPECT_EQ(kept.devices + kept.seq, 0);
    record_unref(device);
    record_unref(off);
    record_unref(module);
}

TEST(a_record_under_another_key_is_damage)
{
    struct kept kept;
    struct record *r = make("m", false);
    struct store_key wrong = key_of("m");
    wrong.partition = (wrong.partition + 1) % PARTITIONS;
    EXPECT_EQ(check(key_of("m"), r, &kept), OK);
    EXPECT_EQ(check(wrong, r, &kept), DAMAGED);
    EXPECT_EQ(check(key_of("n"), r, &kept), DAMAGED);
    EXPECT_EQ(check(key_of(""), r, &kept), DAMAGED);
    EXPECT_EQ(check((struct store_key){1, SPAN(""), SPAN("policies")}, r, &kept), DAMAGED);
    r->bytes[r->body_len - 1] ^= 0x40; /* within a document: the view alone would not see it */
    r->bytes[r->body_len - 8] ^= 0x0f;
    EXPECT_EQ(check(key_of("m"), r, &kept), DAMAGED);
    record_unref(r);
}

TEST(raising_moves_the_versions_and_nothing_else)
{
    struct store_key key = key_of("m");
    struct record *r = make("m", false), *up = hub_kept.raise(&key, r, BY);
    struct entity before, after;
    EXPECT_EQ(entity_view(r, &before), OK);
    EXPECT_EQ(entity_view(up, &after), OK);
    EXPECT_EQ(after.twin_etag, 3 + BY);
    EXPECT_EQ(after.desired_version, 2 + BY);
    EXPECT_EQ(after.reported_version, 5 + BY);
    after.twin_etag = 3;
    after.desired_version = 2;
    after.reported_version = 5;
    struct record *back = entity_record(&after);
    EXPECT_SPAN(record_body(back), record_body(r));
    EXPECT_SPAN(record_secret(back), record_secret(r));
    record_unref(back);
    record_unref(up);
    record_unref(r);
}

TEST(records_of_the_hub_have_no_versions_and_a_version_at_its_limit_stays)
{
    struct store_key policies = {0, SPAN(""), SPAN("policies")}, key = key_of("");
    struct record *r = record_create(2, 1), *device = make("", false), *up;
    memcpy(r->bytes, "abc", 3);
    up = hub_kept.raise(&policies, r, BY);
    EXPECT(up == r);
    record_unref(up);
    record_unref(r);
    struct entity e;
    EXPECT_EQ(entity_view(device, &e), OK);
    e.desired_version = INT64_MAX / 4 - 1;
    r = entity_record(&e);
    up = hub_kept.raise(&key, r, BY);
    EXPECT_EQ(entity_view(up, &e), OK);
    EXPECT_EQ(e.desired_version, INT64_MAX / 4 - 1);
    EXPECT_EQ(e.twin_etag, 3 + BY);
    record_unref(up);
    record_unref(r);
    record_unref(device);
}

TEST_MAIN(RUN(a_sound_record_says_what_it_counts_for), RUN(a_record_under_another_key_is_damage),
          RUN(raising_moves_the_versions_and_nothing_else),
          RUN(records_of_the_hub_have_no_versions_and_a_version_at_its_limit_stays))
