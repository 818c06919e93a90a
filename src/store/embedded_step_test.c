/* The embedded keeper step by step: its bounds, what it does without space and after a failure, and
 * handles that come and go. */
#include "store/embedded_step_fixture.h"

static struct test_owner other_owner;

/* -- bounds -- */

TEST(the_hot_table_empties_when_the_base_has_it)
{
    struct store *s = begin();
    EXPECT_EQ(test_embedded_stats(&t).hot, 0);
    fixture_put(s, fixture_key(1, "d", ""), "one", "key");
    uint64_t one = test_embedded_stats(&t).hot;
    EXPECT(one > strlen("onekey"));
    fixture_put(s, fixture_key(1, "d", ""), "two", "key");
    EXPECT_EQ(test_embedded_stats(&t).hot, one); /* again: not twice */
    commit_and_run(s, 1);
    EXPECT_EQ(test_embedded_stats(&t).hot, one); /* durable, and the base lacks it */
    for (int i = 0; i < 30; i++)                 /* half the tail */
        fixture_put(s, fixture_key(1, "e", ""), long_body, "");
    commit_and_run(s, 2);
    EXPECT_EQ(test_embedded_stats(&t).checkpoints, 1);
    EXPECT_EQ(test_embedded_stats(&t).checkpointed, 2);
    EXPECT_EQ(test_embedded_stats(&t).hot, 0);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d", "")), "two|key");
    end(s);
}

TEST(what_changes_while_it_is_written_stays_hot)
{
    struct store *s = begin();
    test_embedded_put(s, 1, 0, 30, long_body);
    store_commit(s, 1);
    while (t.begins == 0) { /* to where the offer is being written */
        embedded_step(t.e, ACTOR_JOURNAL);
        store_poll(s);
        embedded_step(t.e, ACTOR_CHECKPOINT);
        embedded_step(t.e, ACTOR_SPARE);
    }
    fixture_put(s, fixture_key(1, "d3", ""), "newer", "");
    fixture_put(s, fixture_key(1, "d4", ""), NULL, "");
    run(s);
    EXPECT_EQ(test_embedded_stats(&t).checkpoints, 1);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d3", "")), "newer|");
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d4", "")), "NOT_FOUND");
    EXPECT(test_embedded_stats(&t).hot > 0);
    store_commit(s, 2);
    store_close(s);
    embedded_close(t.e, 0);
    EXPECT_EQ(test_embedded_open(&t), OK);
    s = test_embedded_shard(&t, &owner, 0, 1);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d3", "")), "newer|");
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d4", "")), "NOT_FOUND");
    EXPECT_EQ(strlen(fixture_load(s, fixture_key(1, "d5", ""))), 255);
    end(s);
}

TEST(more_records_than_one_transaction_takes_are_several)
{
    struct store *s = begin();
    t.begins = 0;
    test_embedded_put(s, 1, 0, 2 * OFFER_MAX + 1, "x");
    commit_and_run(s, 1);
    EXPECT_EQ(test_embedded_stats(&t).checkpointed, 2 * OFFER_MAX + 1);
    EXPECT_EQ(t.begins, 3);
    EXPECT_EQ(test_embedded_stats(&t).hot, 0);
    end(s);
}

TEST(a_full_tail_is_busy_until_the_base_has_caught_up)
{
    struct store *s = begin();
    t.begin_error = ENOSPC; /* the base cannot keep up */
    test_embedded_put(s, 1, 0, 20, long_body);
    commit_and_run(s, 1);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    int batch = 2, at = 20;
    for (; test_embedded_stats(&t).tail < t.options.tail_max; batch++, at++) {
        EXPECT_EQ(store_room(s), STORE_OPEN);
        test_embedded_put(s, 1, at, 1, long_body);
        commit_and_run(s, batch);
    }
    EXPECT_EQ(store_room(s), STORE_NO_SPACE); /* and says why */
    EXPECT(test_embedded_stats(&t).no_space);
    for (; test_embedded_stats(&t).tail < t.options.tail_max / 4 * 5; batch++, at++) {
        EXPECT_EQ(store_room(s), STORE_NO_SPACE); /* deletions go on, … */
        test_embedded_put(s, 1, at, 1, long_body);
        commit_and_run(s, batch);
    }
    EXPECT_EQ(store_room(s), STORE_FULL); /* … up to a bound of their own */
    t.begin_error = 0;
    run(s); /* not yet: it is tried again after a while */
    EXPECT_EQ(store_room(s), STORE_FULL);
    t.now.mono_ms += RETRY_MS;
    run(s);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    EXPECT(!test_embedded_stats(&t).no_space);
    EXPECT_EQ(test_embedded_stats(&t).tail, 0);
    EXPECT_EQ(owner.failures, 0);
    end(s);
}

TEST(a_full_tail_is_busy_while_a_checkpoint_is_under_way)
{
    struct store *s = begin();
    test_embedded_put(s, 1, 0, 70, long_body);
    store_commit(s, 1);
    while (owner.durable < 1) { /* all but the checkpoint */
        embedded_step(t.e, ACTOR_JOURNAL);
        embedded_step(t.e, ACTOR_SPARE);
        store_poll(s);
    }
    EXPECT_EQ(store_room(s), STORE_BUSY);
    owner.woken = 0;
    run(s);
    EXPECT(owner.woken > 0);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    end(s);
}

/* The hot table is full long before the tail. */
static struct store *begin_with_little_memory(void)
{
    test_embedded_begin(&t);
    t.options.tail_max = 16 << 20;
    t.options.hot_max = 20000;
    EXPECT_EQ(test_embedded_open(&t), OK);
    return test_embedded_shard(&t, &owner, 0, 1);
}

TEST(a_full_hot_table_is_busy_until_the_base_has_it)
{
    struct store *s = begin_with_little_memory();
    test_embedded_put(s, 1, 0, 15, long_body);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    test_embedded_put(s, 1, 15, 5, long_body);
    EXPECT_EQ(store_room(s), STORE_BUSY);
    commit_and_run(s, 1);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    EXPECT_EQ(test_embedded_stats(&t).hot, 0);
    end(s);
}

TEST(a_full_hot_table_that_the_base_has_no_space_for_says_so)
{
    struct store *s = begin_with_little_memory();
    t.begin_error = ENOSPC;
    test_embedded_put(s, 1, 0, 15, long_body);
    commit_and_run(s, 1);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    test_embedded_put(s, 1, 15, 5, long_body);
    commit_and_run(s, 2);
    EXPECT_EQ(store_room(s), STORE_NO_SPACE);
    t.begin_error = 0;
    t.now.mono_ms += RETRY_MS;
    run(s);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    end(s);
}

TEST(blocks_that_wait_for_the_disk_are_bounded)
{
    static char megabyte[(1 << 20) + 1];
    memset(megabyte, 'm', sizeof(megabyte) - 1);
    test_embedded_begin(&t);
    t.options.tail_max = 64 << 20;
    t.options.segment_max = 8 << 20;
    EXPECT_EQ(test_embedded_open(&t), OK);
    struct store *s = test_embedded_shard(&t, &owner, 0, 1);
    fixture_put(s, fixture_key(1, "a", ""), megabyte, ""); /* a full block is given at once */
    EXPECT_EQ(store_room(s), STORE_OPEN);
    fixture_put(s, fixture_key(1, "b", ""), megabyte, "");
    EXPECT_EQ(store_room(s), STORE_BUSY);
    store_commit(s, 1);
    run(s);
    EXPECT_EQ(owner.durable, 1);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    EXPECT_EQ(test_embedded_stats(&t).blocks, 2);
    end(s);
}

TEST(a_large_spare_is_zeroed_as_the_segment_before_it_fills)
{
    static char megabyte[(1 << 20) + 1];
    memset(megabyte, 'm', sizeof(megabyte) - 1);
    test_embedded_begin(&t);
    t.options.tail_max = 256 << 20;
    t.options.hot_max = 256 << 20;
    t.options.segment_min = t.options.segment_max = 32 << 20;
    EXPECT_EQ(test_embedded_open(&t), OK);
    struct store *s = test_embedded_shard(&t, &owner, 0, 1);
    run(s);
    EXPECT_EQ(test_disk_used(&t.disk), (32 << 20) + SPARE_AHEAD);
    fixture_put(s, fixture_key(1, "a", ""), megabyte, "");
    commit_and_run(s, 1);
    uint64_t ahead = test_disk_used(&t.disk) - (32 << 20) - SPARE_AHEAD;
    EXPECT(ahead >= 4 << 20 && ahead <= 6 << 20);
    for (int i = 0; i < 6; i++)
        fixture_put(s, fixture_key(1, "a", ""), megabyte, "");
    commit_and_run(s, 2);
    EXPECT_EQ(test_disk_used(&t.disk), 64 << 20);
    for (int i = 0; i < 60; i++) /* into one that has only begun */
        fixture_put(s, fixture_key(1, "a", ""), megabyte, "");
    commit_and_run(s, 3);
    end(s);
}

/* -- no space -- */

TEST(without_space_for_a_segment_nothing_more_is_asked_for_until_there_is)
{
    struct store *s = begin();
    run(s); /* a segment, and a spare of twice its size */
    t.disk.room = test_disk_used(&t.disk);
    t.begin_error = ENOSPC;
    EXPECT_EQ(store_room(s), STORE_OPEN);
    test_embedded_put(s, 1, 0, 12, long_body); /* into the spare, and there is no other */
    commit_and_run(s, 1);
    EXPECT_EQ(store_room(s), STORE_NO_SPACE);
    EXPECT(test_embedded_stats(&t).no_space);
    test_embedded_put(s, 1, 12, 8, long_body); /* what is under way may not fit … */
    store_commit(s, 2);
    run(s);
    EXPECT_EQ(owner.durable, 1);
    t.disk.room = 0;
    run(s);
    EXPECT_EQ(owner.durable, 1);
    owner.woken = 0;
    t.now.mono_ms += RETRY_MS;
    run(s);
    EXPECT_EQ(owner.durable, 2); /* … and goes on when there is space */
    EXPECT(owner.woken > 0);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    EXPECT_EQ(owner.failures, 0);
    end(s);
}

TEST(a_base_without_space_is_tried_again_though_little_waits_for_it)
{
    struct store *s = begin_with_little_memory();
    t.begin_error = ENOSPC;
    test_embedded_put(s, 1, 0, 12, long_body); /* more than half of hot_max */
    commit_and_run(s, 1);
    EXPECT(test_embedded_stats(&t).no_space);
    test_embedded_put(s, 1, 0, 12, "short");
    commit_and_run(s, 2);
    EXPECT(test_embedded_stats(&t).hot < t.options.hot_max / 2);
    t.begin_error = 0;
    t.now.mono_ms += RETRY_MS;
    run(s);
    EXPECT(!test_embedded_stats(&t).no_space);
    EXPECT_EQ(test_embedded_stats(&t).hot, 0);
    end(s);
}

TEST(a_smaller_segment_is_made_where_a_larger_one_finds_no_space)
{
    struct store *s = begin();
    run(s);
    t.disk.room = test_disk_used(&t.disk) + (8 << 10);
    t.begin_error = ENOSPC;
    test_embedded_put(s, 1, 0, 12, long_body);
    commit_and_run(s, 1);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    EXPECT_EQ(test_disk_used(&t.disk), t.disk.room);
    end(s);
}

TEST(a_smaller_segment_is_one_that_a_start_takes)
{
    test_embedded_begin(&t);
    t.options.segment_max = 33 * SEGMENT_HEAD; /* its half is not of whole sectors */
    EXPECT_EQ(test_embedded_open(&t), OK);
    struct store *s = test_embedded_shard(&t, &owner, 0, 1);
    run(s);
    t.disk.room = test_disk_used(&t.disk) + 17 * SEGMENT_HEAD;
    t.begin_error = ENOSPC;
    for (int i = 0; i < 18; i++) { /* into segments of 8, 16 and 8 KiB */
        test_embedded_put(s, 1, i, 1, long_body);
        commit_and_run(s, 1 + i);
    }
    store_close(s);
    embedded_close(t.e, 0);
    t.disk.room = 0;
    t.begin_error = 0;
    EXPECT_EQ(test_embedded_open(&t), OK);
    s = test_embedded_shard(&t, &owner, 0, 1);
    EXPECT_EQ(s->parts[1].seq, 18);
    end(s);
}

TEST(a_handle_closed_without_space_acknowledges_no_more)
{
    struct store *s = begin();
    run(s);
    t.disk.room = test_disk_used(&t.disk);
    t.begin_error = ENOSPC;
    test_embedded_put(s, 1, 0, 12, long_body);
    commit_and_run(s, 1);
    test_embedded_put(s, 1, 12, 20, long_body);
    store_commit(s, 2);
    store_close(s);
    EXPECT_EQ(owner.durable, 1);
    EXPECT_EQ(owner.failed, STORAGE_FULL);
    EXPECT_TEXT(embedded_why(t.e), "cannot make a segment of the journal: no space is left");
    embedded_close(t.e, 0);
    t.disk.room = 0;
    t.begin_error = 0;
    EXPECT_EQ(test_embedded_open(&t), OK);
    s = test_embedded_shard(&t, &owner, 0, 1);
    EXPECT_EQ(s->parts[1].seq, 12);
    end(s);
}

/* -- failures -- */

enum what { JOURNAL_WRITE, JOURNAL_SYNC, BASE_BEGIN, BASE_SYNC, SPARE_WRITE };
static const struct {
    const char *name;
    enum what what;
    const char *why;
} failures[] = {
    {"journal write", JOURNAL_WRITE, "cannot write the journal: Input/output error"            },
    {"journal sync",  JOURNAL_SYNC,  "cannot sync the journal: Input/output error"             },
    {"base write",    BASE_BEGIN,    "cannot write the base: Input/output error"               },
    {"base sync",     BASE_SYNC,     "cannot sync the base: Input/output error"                },
    {"spare",         SPARE_WRITE,   "cannot make a segment of the journal: Input/output error"},
};

static void plant(enum what what)
{
    t.disk.error = EIO;
    if (what == BASE_BEGIN)
        t.begin_error = EIO;
    else if (what == BASE_SYNC)
        t.sync_error = EIO;
    else
        t.disk.fail_at = t.disk.steps + (what == JOURNAL_SYNC ? 2 : 1);
}

static void fail_once(size_t row)
{
    memset(long_body, 'x', sizeof(long_body) - 1);
    test_embedded_begin(&t);
    EXPECT_EQ(test_embedded_open(&t), OK);
    struct store *s = test_embedded_shard(&t, &owner, 0, 2),
                 *other = test_embedded_shard(&t, &other_owner, 1, 2);
    fixture_put(s, fixture_key(2, "d", ""), "before", "");
    store_commit(s, 1);
    if (failures[row].what != SPARE_WRITE)
        test_embedded_run(&t, s, other);
    else
        while (embedded_step(t.e, ACTOR_JOURNAL))
            store_poll(s);
    EXPECT_EQ(owner.durable, 1);
    plant(failures[row].what);
    while (failures[row].what == SPARE_WRITE && embedded_step(t.e, ACTOR_SPARE))
        ;
    bool journal_lasts = failures[row].what == BASE_BEGIN || failures[row].what == BASE_SYNC;
    test_embedded_put(s, 2, 0, journal_lasts ? 40 : 3, long_body);
    store_commit(s, 2);
    test_embedded_run(&t, s, other);
    EXPECT_TEXT(embedded_why(t.e), failures[row].why);
    EXPECT_EQ_IN(failures[row].name, owner.failed, UNAVAILABLE);
    EXPECT_EQ(other_owner.failed, UNAVAILABLE); /* every handle hears of it */
    EXPECT_EQ_IN(failures[row].name, owner.durable, journal_lasts ? 2 : 1);
    t.begin_error = t.sync_error = 0; /* the disk is well again, but it is over: */
    const uint64_t steps = t.disk.steps, begins = t.begins;
    fixture_put(s, fixture_key(2, "d", ""), "after", "");
    store_commit(s, 3);
    store_commit(other, 1); /* even a batch without changes */
    store_commit(other, 2);
    test_embedded_run(&t, s, other);
    EXPECT_EQ_IN(failures[row].name, other_owner.durable, 0);
    EXPECT_EQ(t.disk.steps, steps);
    store_close(other);
    store_close(s);
    embedded_close(t.e, 10000);
    EXPECT_EQ(t.disk.steps, steps);
    EXPECT_EQ(t.begins, begins);
    EXPECT_EQ(owner.failures, 1);
    EXPECT_EQ(other_owner.failures, 1);
    EXPECT_EQ(owner.durable, journal_lasts ? 2 : 1);
    test_disk_cut(&t.disk, 0);
    EXPECT_EQ(test_embedded_open(&t), OK);
    s = test_embedded_shard(&t, &owner, 0, 1);
    EXPECT_TEXT(fixture_load(s, fixture_key(2, "d", "")), "before|");
    EXPECT_EQ_IN(failures[row].name, s->parts[2].seq, journal_lasts ? 41 : 1);
    end(s);
}

TEST(the_first_failed_write_or_sync_is_the_last_and_every_handle_hears_it)
{
    for (size_t i = 0; i < COUNT(failures); i++)
        fail_once(i);
}

/* -- handles that come and go -- */

/* Closed after each possible number of steps, so at every place of a checkpoint. */
TEST(a_handle_may_be_closed_at_any_step_of_a_checkpoint)
{
    uint64_t cycles = 0;
    for (int steps = 0; steps < 60; steps++) {
        struct store *s = begin();
        test_embedded_put(s, 1, 0, 20, long_body);
        test_embedded_put(s, 2, 0, 20, long_body);
        store_commit(s, 1);
        for (int i = 0; i < steps; i++) {
            embedded_step(t.e, (enum embedded_actor)(i % ACTORS));
            if (i % 2)
                store_poll(s);
        }
        store_close(s);
        cycles += test_embedded_stats(&t).checkpoints;
        EXPECT_EQ(owner.durable, 1);
        struct store *a = test_embedded_shard(&t, &owner, 0, 2),
                     *b = test_embedded_shard(&t, &other_owner, 1, 2);
        EXPECT_EQ(a->parts[1].seq, 20);
        fixture_put(a, fixture_key(2, "d0", ""), "again", "");
        store_commit(a, 1);
        test_embedded_run(&t, a, b);
        EXPECT_EQ(owner.durable, 1);
        EXPECT_TEXT(fixture_load(a, fixture_key(2, "d0", "")), "again|");
        EXPECT_EQ(strlen(fixture_load(b, fixture_key(1, "d19", ""))), 255);
        store_close(a);
        store_close(b);
        embedded_close(t.e, 0);
        EXPECT_EQ(test_embedded_open(&t), OK);
        a = test_embedded_shard(&t, &owner, 0, 1);
        EXPECT_TEXT(fixture_load(a, fixture_key(2, "d0", "")), "again|");
        EXPECT_EQ(strlen(fixture_load(a, fixture_key(1, "d19", ""))), 255);
        EXPECT_EQ(a->parts[2].seq, 21);
        end(a);
    }
    EXPECT(cycles > 0 && cycles < 60);
}

/* The mark speaks for all partitions, so a checkpoint needs the handles of all of them. */
TEST(a_checkpoint_does_not_pass_over_what_no_handle_has)
{
    memset(long_body, 'x', sizeof(long_body) - 1);
    test_embedded_begin(&t);
    EXPECT_EQ(test_embedded_open(&t), OK);
    struct store *a = test_embedded_shard(&t, &owner, 0, 2),
                 *b = test_embedded_shard(&t, &other_owner, 1, 2);
    fixture_put(a, fixture_key(0, "d", ""), "of the first", "key");
    store_commit(a, 1);
    test_embedded_run(&t, a, b);
    store_close(a); /* the shards end, one after the other */
    test_embedded_put(b, 1, 0, 70, long_body);
    store_commit(b, 1);
    test_embedded_run(&t, b, NULL);
    EXPECT_EQ(other_owner.durable, 1);
    EXPECT_EQ(test_embedded_stats(&t).checkpoints, 0);
    test_embedded_kill(&t, b, NULL);
    EXPECT_EQ(test_embedded_open(&t), OK);
    a = test_embedded_shard(&t, &owner, 0, 1);
    EXPECT_TEXT(fixture_load(a, fixture_key(0, "d", "")), "of the first|key");
    EXPECT_EQ(a->parts[0].seq, 1);
    test_embedded_run(&t, a, NULL);
    EXPECT_EQ(test_embedded_stats(&t).checkpoints, 1);
    EXPECT_TEXT(fixture_load(a, fixture_key(0, "d", "")), "of the first|key");
    end(a);
}

/* Its owner may not have written down yet how to wake it; nor must it wait for ever. */
TEST(an_owner_is_not_woken_before_its_first_call_and_not_forgotten)
{
    struct store *s = begin();
    test_embedded_put(s, 1, 0, 40, long_body);
    store_commit(s, 1);
    store_close(s);
    EXPECT_EQ(owner.durable, 1);
    embedded_close(t.e, 0);
    EXPECT_EQ(test_embedded_open(&t), OK);
    s = test_embedded_shard(&t, &owner, 0, 1);
    EXPECT(embedded_step(t.e, ACTOR_CHECKPOINT)); /* begins, and asks */
    EXPECT(embedded_step(t.e, ACTOR_CHECKPOINT));
    EXPECT(!embedded_step(t.e, ACTOR_CHECKPOINT));
    EXPECT_EQ(owner.woken, 0);
    store_commit(s, 1);
    EXPECT_EQ(owner.woken, 1);
    run(s);
    EXPECT_EQ(test_embedded_stats(&t).checkpoints, 1);
    end(s);
}

TEST_MAIN(RUN(the_hot_table_empties_when_the_base_has_it),
          RUN(what_changes_while_it_is_written_stays_hot),
          RUN(more_records_than_one_transaction_takes_are_several),
          RUN(a_full_tail_is_busy_until_the_base_has_caught_up),
          RUN(a_full_tail_is_busy_while_a_checkpoint_is_under_way),
          RUN(a_full_hot_table_is_busy_until_the_base_has_it),
          RUN(a_full_hot_table_that_the_base_has_no_space_for_says_so),
          RUN(a_smaller_segment_is_one_that_a_start_takes),
          RUN(blocks_that_wait_for_the_disk_are_bounded),
          RUN(a_large_spare_is_zeroed_as_the_segment_before_it_fills),
          RUN(without_space_for_a_segment_nothing_more_is_asked_for_until_there_is),
          RUN(a_base_without_space_is_tried_again_though_little_waits_for_it),
          RUN(a_smaller_segment_is_made_where_a_larger_one_finds_no_space),
          RUN(a_handle_closed_without_space_acknowledges_no_more),
          RUN(the_first_failed_write_or_sync_is_the_last_and_every_handle_hears_it),
          RUN(a_handle_may_be_closed_at_any_step_of_a_checkpoint),
          RUN(an_owner_is_not_woken_before_its_first_call_and_not_forgotten),
          RUN(a_checkpoint_does_not_pass_over_what_no_handle_has))
