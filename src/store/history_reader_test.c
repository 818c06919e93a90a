#include "store/history_fixture.h"

enum { SEGMENT = 1 << 20 };

struct scene {
    struct test_disk disk;
    struct tape tape;
};

static void begin(struct scene *s)
{
    test_disk_init(&s->disk);
    tape_init(&s->tape, &s->disk, SEGMENT);
}

static void end(struct scene *s)
{
    tape_fini(&s->tape);
    test_disk_fini(&s->disk);
}

static void remove_segment(struct scene *s, size_t i)
{
    char name[SEGMENT_NAME];
    segment_name(name, s->tape.done[i].start);
    EXPECT_EQ(disk_remove(&s->disk.disk, name), 0);
}

/* Three segments done with; the first two are history. */
static void begin_mixed(struct scene *s)
{
    begin(s);
    tape_fill(&s->tape, 3, 30, 150);
    tape_block(&s->tape, 7, 10);
    for (size_t i = 0; i < 2; i++) {
        tape_make(&s->tape, i, i == 0);
        remove_segment(s, i);
    }
}

static struct store_key device_key(unsigned device, char *id, size_t room)
{
    snprintf(id, room, "device-%u", device);
    return (struct store_key){device % 4, span_text(id),
                              device % 3 == 0 ? SPAN("m") : (struct span){0}};
}

TEST(all_changes_and_counts_come_in_the_order_of_the_journal)
{
    struct scene s;
    begin_mixed(&s);
    EXPECT_EQ(tape_expect_query(&s.tape, (struct history_query){0}), s.tape.count);
    EXPECT_EQ(tape_expect_query(&s.tape, (struct history_query){.newest_first = true}),
              s.tape.count);
    EXPECT(s.tape.count > 10000);
    end(&s);
}

TEST(one_entity_is_read_in_both_orders)
{
    struct scene s;
    begin_mixed(&s);
    size_t sum = 0;
    for (unsigned device = 0; device < s.tape.devices; device++) {
        char id[24];
        struct store_key key = device_key(device, id, sizeof(id));
        size_t count = tape_expect_query(&s.tape, (struct history_query){.key = &key});
        EXPECT_EQ(
            tape_expect_query(&s.tape, (struct history_query){.key = &key, .newest_first = true}),
            count);
        EXPECT(count > 0);
        sum += count;
    }
    size_t changes = 0;
    for (size_t i = 0; i < s.tape.count; i++)
        changes += !s.tape.entries[i].e.is_counts;
    EXPECT_EQ(sum, changes);
    struct store_key nobody = {1, SPAN("device-1x"), {0}};
    EXPECT_EQ(tape_expect_query(&s.tape, (struct history_query){.key = &nobody}), 0);
    end(&s);
}

TEST(a_query_keeps_to_its_positions)
{
    struct scene s;
    begin_mixed(&s);
    char id[24];
    struct store_key key = device_key(3, id, sizeof(id));
    for (size_t i = 0; i < s.tape.count; i += s.tape.count / 9) {
        for (size_t k = i; k < s.tape.count; k += s.tape.count / 5) {
            struct history_query q = {.from = s.tape.entries[i].e.position,
                                      .end = s.tape.entries[k].e.position};
            for (int way = 0; way < 4; way++) {
                q.newest_first = way & 1;
                q.key = way & 2 ? &key : NULL;
                (void)tape_expect_query(&s.tape, q);
            }
        }
    }
    end(&s);
}

TEST(one_entity_costs_only_the_chunks_that_hold_it)
{
    struct scene s;
    begin(&s);
    s.tape.devices = 5000;
    tape_fill(&s.tape, 2, 40, 400);
    tape_put_device(&s.tape, 7777, 10);
    tape_block_end(&s.tape);
    tape_fill(&s.tape, 4, 40, 400);
    uint64_t size = 0;
    for (size_t i = 0; i < 4; i++) {
        tape_make(&s.tape, i, true);
        remove_segment(&s, i);
        char name[HISTORY_NAME];
        history_name(name, s.tape.done[i].start);
        size += test_disk_content(&s.disk, name)->len;
    }
    char id[24];
    struct store_key key = device_key(7777, id, sizeof(id));
    s.disk.read_bytes = 0;
    EXPECT_EQ(
        tape_expect_query(&s.tape,
                          (struct history_query){.key = &key, .end = s.tape.journal.current.start}),
        1);
    EXPECT(size > 1 << 20);
    EXPECT(s.disk.read_bytes < size / 6);
    end(&s);
}

/* -- damage -- */

static struct buf *history_content(struct scene *s, size_t i)
{
    char name[HISTORY_NAME];
    history_name(name, s->tape.done[i].start);
    return test_disk_content(&s->disk, name);
}

/* What a query gives besides OK: how many entries, how many refusals. */
static size_t count_entries(struct scene *s, struct history_query q, size_t *damaged,
                            uint64_t *broken)
{
    struct history_reader r;
    struct history_entry e;
    enum status st;
    size_t count = 0;
    q.disk = &s->disk.disk;
    q.hub_id = tape_hub;
    q.replay = &tape_replay;
    *damaged = 0;
    EXPECT_EQ(history_reader_open(&r, &q), OK);
    while ((st = tape_next(&r, &e)) == OK || st == DAMAGED) {
        if (st == DAMAGED)
            *broken = r.broken;
        *(st == OK ? &count : damaged) += 1;
    }
    EXPECT_EQ(st, NOT_FOUND);
    history_reader_close(&r);
    return count;
}

TEST(a_damaged_chunk_is_named_and_harms_no_other)
{
    struct scene s;
    begin_mixed(&s);
    struct history_file f;
    EXPECT_EQ(history_file_open(&f, &s.disk.disk, s.tape.done[1].start, tape_hub), OK);
    EXPECT(f.footer.chunks > 5);
    struct history_chunk chunk = history_chunk_get(&f.footer, 4);
    history_file_close(&f);
    history_content(&s, 1)->data[chunk.piece.at + chunk.piece.length / 2] ^= 0x10;
    size_t damaged;
    uint64_t broken = 0;
    for (int newest_first = 0; newest_first < 2; newest_first++) {
        size_t got = count_entries(&s, (struct history_query){.newest_first = newest_first},
                                   &damaged, &broken);
        EXPECT_EQ(got, s.tape.count - chunk.piece.entries);
        EXPECT_EQ(damaged, 1);
        EXPECT_EQ(broken, chunk.position);
    }
    end(&s);
}

TEST(without_its_index_a_file_is_still_read)
{
    struct scene s;
    begin_mixed(&s);
    struct history_file f;
    char id[24];
    struct store_key key = device_key(3, id, sizeof(id));
    size_t whole = tape_expect_query(&s.tape, (struct history_query){.key = &key});
    EXPECT_EQ(history_file_open(&f, &s.disk.disk, s.tape.done[0].start, tape_hub), OK);
    struct history_chunk last = history_chunk_get(&f.footer, f.footer.chunks - 1);
    history_file_close(&f);
    history_content(&s, 0)->data[last.piece.at + last.piece.length + 9] ^= 1;
    size_t damaged;
    uint64_t broken = 1;
    EXPECT_EQ(count_entries(&s, (struct history_query){.key = &key}, &damaged, &broken), whole);
    EXPECT_EQ(damaged, 1);
    EXPECT_EQ(broken, 0);
    end(&s);
}

TEST(a_file_without_head_or_footer_is_passed_over_and_named)
{
    struct scene s;
    begin_mixed(&s);
    size_t before = 0, damaged;
    for (size_t i = 0; i < s.tape.count; i++)
        before += s.tape.entries[i].e.position < s.tape.done[0].start + SEGMENT;
    uint64_t broken = 1;
    struct buf *file = history_content(&s, 0);
    size_t places[] = {0, 33, 60, HISTORY_HEAD - 1, file->len - 1, file->len - 12, file->len - 60};
    for (size_t i = 0; i < COUNT(places); i++) {
        file->data[places[i]] ^= 0x40;
        EXPECT_EQ(count_entries(&s, (struct history_query){0}, &damaged, &broken),
                  s.tape.count - before);
        EXPECT_EQ(damaged, 1);
        EXPECT_EQ(broken, 0);
        file->data[places[i]] ^= 0x40;
    }
    file->len -= 1;
    EXPECT_EQ(count_entries(&s, (struct history_query){0}, &damaged, &broken),
              s.tape.count - before);
    file->len += 1;
    (void)tape_expect_query(&s.tape, (struct history_query){0});
    end(&s);
}

TEST(a_missing_file_is_noticed)
{
    struct scene s;
    begin_mixed(&s);
    char name[HISTORY_NAME];
    history_name(name, s.tape.done[1].start);
    EXPECT_EQ(disk_remove(&s.disk.disk, name), 0);
    size_t damaged;
    uint64_t broken = 0;
    EXPECT(count_entries(&s, (struct history_query){0}, &damaged, &broken) > 0);
    EXPECT_EQ(damaged, 1);
    EXPECT_EQ(broken, s.tape.done[1].start);
    end(&s);
}

TEST(a_file_that_does_not_continue_the_one_before_is_noticed)
{
    struct scene s;
    begin_mixed(&s);
    struct history_head head;
    uint8_t *bytes = history_content(&s, 1)->data;
    EXPECT_EQ(history_head_decode(bytes, &head), OK);
    head.before++;
    history_head_encode(&head, bytes);
    size_t damaged;
    uint64_t broken = 0;
    EXPECT_EQ(count_entries(&s, (struct history_query){0}, &damaged, &broken), s.tape.count);
    EXPECT_EQ(damaged, 1);
    EXPECT_EQ(broken, s.tape.done[1].start);
    end(&s);
}

TEST(a_block_missing_from_a_segment_is_noticed)
{
    struct scene s;
    begin_mixed(&s);
    char name[SEGMENT_NAME];
    segment_name(name, s.tape.done[2].start);
    struct buf *segment = test_disk_content(&s.disk, name);
    uint64_t place = s.tape.done[2].start, middle = (place + s.tape.done[2].used) / 2;
    for (size_t i = 0; place < middle; i++)
        place = s.tape.entries[i].e.position;
    segment->data[place - s.tape.done[2].start + 100] ^= 1;
    size_t damaged;
    uint64_t broken = 0;
    EXPECT(count_entries(&s, (struct history_query){0}, &damaged, &broken) < s.tape.count);
    EXPECT_EQ(damaged, 1);
    EXPECT_EQ(broken, s.tape.journal.current.start);
    /* And at the end, where no later file tells: the bound does. */
    segment_name(name, s.tape.journal.current.start);
    test_disk_content(&s.disk, name)->data[SEGMENT_HEAD + 90] ^= 1;
    EXPECT(count_entries(&s,
                         (struct history_query){.from = s.tape.journal.current.start,
                                                .end = s.tape.journal.end},
                         &damaged, &broken) == 0);
    EXPECT_EQ(damaged, 1);
    end(&s);
}

TEST(a_disk_that_refuses_is_told)
{
    struct scene s;
    begin_mixed(&s);
    struct history_reader r;
    struct history_entry e;
    char name[HISTORY_NAME];
    history_name(name, s.tape.done[1].start);
    s.disk.unreadable = name;
    const struct history_query q = {
        .disk = &s.disk.disk, .hub_id = tape_hub, .replay = &tape_replay};
    EXPECT_EQ(history_reader_open(&r, &q), OK);
    enum status st;
    while ((st = tape_next(&r, &e)) == OK)
        ;
    EXPECT_EQ(st, UNAVAILABLE);
    EXPECT_EQ(r.error, EIO);
    history_reader_close(&r);
    end(&s);
}

TEST_MAIN(RUN(all_changes_and_counts_come_in_the_order_of_the_journal),
          RUN(one_entity_is_read_in_both_orders), RUN(a_query_keeps_to_its_positions),
          RUN(one_entity_costs_only_the_chunks_that_hold_it),
          RUN(a_damaged_chunk_is_named_and_harms_no_other),
          RUN(without_its_index_a_file_is_still_read),
          RUN(a_file_without_head_or_footer_is_passed_over_and_named),
          RUN(a_missing_file_is_noticed),
          RUN(a_file_that_does_not_continue_the_one_before_is_noticed),
          RUN(a_block_missing_from_a_segment_is_noticed), RUN(a_disk_that_refuses_is_told))
