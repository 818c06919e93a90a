#include "store/journal_fixture.h"

static struct test_journal t;

TEST(what_is_written_over_several_segments_reads_back_in_order)
{
    test_journal_begin(&t, 8192); /* fifteen sectors for blocks */
    for (int i = 0; i < 4; i++) {
        test_journal_put(&t, 5, ONE_SECTOR);
        test_journal_put(&t, 4, TWO_SECTORS);
        EXPECT_EQ(journal_left(&t.journal), 1024);
        test_journal_turn(&t);
        EXPECT_EQ(journal_left(&t.journal), 8192 - SEGMENT_HEAD);
    }
    test_journal_put(&t, 1, ONE_SECTOR);
    test_journal_cut(&t, 0);
    EXPECT_JOURNAL(&t, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 "
                       "29 30 31 32 33 34 35 36 37 ");
    EXPECT_EQ(t.blocks, 37);
    EXPECT_EQ(t.last, 4);
    EXPECT_EQ(t.end.position, t.journal.end);
    EXPECT_EQ(t.end.prev, t.journal.prev);
    test_journal_end(&t);
}

TEST(a_group_is_one_write_and_one_sync)
{
    test_journal_begin(&t, 1 << 20);
    uint64_t before = t.disk.steps;
    test_journal_put(&t, 64, ONE_SECTOR);
    EXPECT_EQ(t.disk.steps - before, 2);
    before = t.disk.steps;
    test_journal_put(&t, 65, ONE_SECTOR); /* more than one call takes */
    EXPECT_EQ(t.disk.steps - before, 3);
    EXPECT_EQ(test_journal_read(&t, (struct mark){0}, 0), OK);
    EXPECT_EQ(t.blocks, 129);
    before = t.disk.steps;
    test_journal_put(&t, 0, 0);
    EXPECT_EQ(t.disk.steps - before, 1); /* nothing to write */
    test_journal_end(&t);
}

/* Every head says which run wrote it, where it lies, and what was durable as it was written. */
TEST(a_head_says_what_was_durable)
{
    struct block head[4];
    test_journal_begin(&t, 8192);
    test_journal_put(&t, 2, ONE_SECTOR);
    test_journal_put(&t, 2, TWO_SECTORS);
    static const uint64_t at[] = {512, 1024, 1536, 2560}, durable[] = {512, 512, 1536, 1536};
    for (size_t i = 0; i < COUNT(at); i++) {
        EXPECT_EQ(block_read(span_of(test_journal_at(&t, at[i]), BLOCK_HEAD), &head[i]), OK);
        EXPECT_EQ(head[i].position, at[i]);
        EXPECT_EQ(head[i].durable, durable[i]);
        EXPECT_EQ(head[i].salt, t.journal.current.salt);
        EXPECT_EQ(head[i].run, 1);
        EXPECT_EQ(head[i].prev, i ? head[i - 1].crc : 0);
    }
    EXPECT_EQ(t.journal.prev, head[3].crc);
    EXPECT_EQ(t.journal.end, 3584);
    test_journal_end(&t);
}

TEST(what_was_not_synced_is_not_durable)
{
    test_journal_begin(&t, 8192);
    test_journal_put(&t, 1, ONE_SECTOR);
    EXPECT_EQ(test_journal_write(&t, 2, ONE_SECTOR), 0);
    EXPECT_EQ(t.journal.end, 2048);
    EXPECT_EQ(t.journal.durable, 1024);
    test_journal_cut(&t, 0);
    EXPECT_JOURNAL(&t, "1 ");
    test_journal_end(&t);
}

TEST(a_failed_write_or_sync_is_told)
{
    test_journal_begin(&t, 1 << 20);
    test_journal_put(&t, 1, ONE_SECTOR);
    uint64_t durable = t.journal.durable;
    t.disk.error = EIO;
    t.disk.fail_at = t.disk.steps + 1;
    EXPECT_EQ(test_journal_write(&t, 1, ONE_SECTOR), EIO);
    t.disk.fail_at = t.disk.steps + 1; /* the first of many writes: no other is tried */
    EXPECT_EQ(test_journal_write(&t, 300, ONE_SECTOR), EIO);
    EXPECT_EQ(t.disk.steps, t.disk.fail_at);
    t.disk.error = ENOSPC;
    t.disk.fail_at = t.disk.steps + 2;
    EXPECT_EQ(test_journal_write(&t, 1, ONE_SECTOR), 0);
    EXPECT_EQ(journal_sync(&t.journal), ENOSPC);
    EXPECT_EQ(t.journal.durable, durable);
    test_journal_end(&t);
}

TEST(a_block_may_fill_a_segment_to_its_end)
{
    test_journal_begin(&t, 2048);
    test_journal_put(&t, 3, ONE_SECTOR);
    EXPECT_EQ(journal_left(&t.journal), 0);
    test_journal_turn(&t);
    test_journal_put(&t, 1, TWO_SECTORS);
    EXPECT_JOURNAL(&t, "1 2 3 4 ");
    test_journal_end(&t);
}

TEST(each_segment_is_twice_the_one_before_up_to_a_bound)
{
    EXPECT_EQ(journal_next_size(SEGMENT_MIN, SEGMENT_MAX), 2 * SEGMENT_MIN);
    EXPECT_EQ(journal_next_size(SEGMENT_MAX / 2, SEGMENT_MAX), SEGMENT_MAX);
    EXPECT_EQ(journal_next_size(SEGMENT_MAX, SEGMENT_MAX), SEGMENT_MAX);
    EXPECT_EQ(journal_next_size(3 << 20, 4 << 20), 4 << 20);
}

TEST_MAIN(RUN(what_is_written_over_several_segments_reads_back_in_order),
          RUN(a_group_is_one_write_and_one_sync), RUN(a_head_says_what_was_durable),
          RUN(what_was_not_synced_is_not_durable), RUN(a_failed_write_or_sync_is_told),
          RUN(a_block_may_fill_a_segment_to_its_end),
          RUN(each_segment_is_twice_the_one_before_up_to_a_bound))
