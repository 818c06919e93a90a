/* The embedded keeper's starts: what they read lasts, and what they leave behind is right. */
#include "store/embedded_step_fixture.h"

/* What a killed process wrote and had not synced is read by the next one, which may tell others of
 * it: so it lasts from then on. */
TEST(what_a_start_has_read_lasts)
{
    struct store *s = begin();
    run(s);
    fixture_put(s, fixture_key(1, "d", ""), "written", "");
    t.disk.fail_at = t.disk.steps + 2; /* the sync */
    t.disk.error = EIO;
    store_commit(s, 1);
    run(s);
    EXPECT_EQ(owner.durable, 0);
    store_close(s);
    embedded_close(t.e, 0);
    EXPECT_EQ(test_embedded_open(&t), OK);
    s = test_embedded_shard(&t, &owner, 0, 1);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d", "")), "written|");
    test_embedded_kill(&t, s, NULL);
    test_disk_cut(&t.disk, 0);
    EXPECT_EQ(test_embedded_open(&t), OK);
    s = test_embedded_shard(&t, &owner, 0, 1);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d", "")), "written|");
    end(s);
}

/* A sync of the base has failed, so its newest mark may be in a cache alone, and another sync does
 * nothing: what is before it stays until it was put once more. */
TEST(segments_are_not_removed_before_the_mark_lasts)
{
    struct store *s = begin();
    t.sync_error = EIO;
    test_embedded_put(s, 1, 0, 40, long_body);
    store_commit(s, 1);
    run(s);
    EXPECT_EQ(owner.failures, 1);
    store_close(s);
    embedded_close(t.e, 0);
    t.sync_error = 0;
    t.begin_error = ENOSPC;
    EXPECT_EQ(test_embedded_open(&t), OK);
    EXPECT_EQ(test_embedded_stats(&t).tail, 0); /* it is the newest mark, … */
    test_embedded_run(&t, NULL, NULL);
    uint64_t kept = test_disk_used(&t.disk);
    embedded_close(t.e, 0);
    t.begin_error = 0;
    t.begins = 0;
    EXPECT_EQ(test_embedded_open(&t), OK);
    EXPECT_EQ(t.begins, 1); /* … and is put again */
    test_embedded_run(&t, NULL, NULL);
    EXPECT(test_disk_used(&t.disk) < kept);
    embedded_close(t.e, 0);
    test_embedded_end(&t);
}

/* A turn that did not last leaves two empty segments: when the first is made anew, in another size,
 * the second would lie in its place. Found by the simulator. */
TEST(segments_that_were_used_before_are_read_like_others)
{
    struct store *s = begin();
    bool aside = false;
    int batch = 0;
    for (; batch < 300; batch++) {
        test_embedded_put(s, 1, batch % 7, 1, long_body);
        commit_and_run(s, batch + 1);
        if (batch % 50 == 49) { /* the journal's end is behind, and before, what is old */
            test_embedded_kill(&t, s, NULL);
            test_disk_cut(&t.disk, batch);
            EXPECT_EQ(test_embedded_open(&t), OK);
            s = test_embedded_shard(&t, &owner, 0, 1);
            owner.durable = batch + 1;
            EXPECT_EQ(s->parts[1].seq, batch + 1);
        }
        aside |= test_disk_content(&t.disk, SEGMENT_USED) != NULL;
        EXPECT(test_disk_used(&t.disk) < t.options.tail_max * 2);
    }
    EXPECT(aside);
    EXPECT_EQ(owner.failures, 0);
    end(s);
}

TEST(an_empty_segment_behind_the_spare_is_removed_at_a_start)
{
    struct store *s = begin();
    fixture_put(s, fixture_key(1, "d", ""), "x", "");
    commit_and_run(s, 1);
    struct segment_maker m = {.disk = &t.disk.disk, .segment = t.e->spare};
    m.segment.start += m.segment.size;
    m.segment.file = NULL;
    store_close(s);
    embedded_close(t.e, 0);
    int error;
    do
        error = segment_make(&m);
    while (error == EAGAIN);
    EXPECT_EQ(error, 0);
    disk_close(m.segment.file);
    char name[SEGMENT_NAME];
    segment_name(name, m.segment.start);
    EXPECT(test_disk_name_find(&t.disk.now, name) != NULL);
    EXPECT_EQ(test_embedded_open(&t), OK);
    s = test_embedded_shard(&t, &owner, 0, 1);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d", "")), "x|");
    EXPECT(test_disk_name_find(&t.disk.durable, name) == NULL); /* for good */
    end(s);
}

TEST(a_start_whose_journal_cannot_be_synced_is_refused)
{
    struct store *s = begin();
    fixture_put(s, fixture_key(1, "d", ""), "x", "");
    commit_and_run(s, 1);
    store_close(s);
    embedded_close(t.e, 0);
    t.disk.fail_at = t.disk.steps + 1;
    t.disk.error = EIO;
    EXPECT_EQ(test_embedded_open(&t), UNAVAILABLE);
    EXPECT_SPAN(buf_span(&t.why), SPAN("cannot sync the journal: Input/output error"));
    test_embedded_end(&t);
}

TEST(a_journal_that_must_be_there_is_not_begun_again)
{
    struct store *s = begin();
    store_close(s);
    embedded_close(t.e, 0);
    EXPECT_EQ(disk_remove(&t.disk.disk, "0000000000000000.seg"), 0);
    t.options.has_journal = true;
    EXPECT_EQ(test_embedded_open(&t), DAMAGED);
    EXPECT_SPAN(buf_span(&t.why),
                SPAN("the journal has no segment; restore the directory from a backup"));
    test_embedded_end(&t);
}

TEST(a_first_segment_that_finds_no_space_is_told)
{
    test_embedded_begin(&t);
    t.disk.room = 4096;
    EXPECT_EQ(test_embedded_open(&t), STORAGE_FULL);
    EXPECT_SPAN(buf_span(&t.why), SPAN("cannot make the journal: No space left on device"));
    EXPECT_EQ(t.disk.now.count, 0);
    test_embedded_end(&t);
}

TEST_MAIN(RUN(segments_that_were_used_before_are_read_like_others),
          RUN(segments_are_not_removed_before_the_mark_lasts), RUN(what_a_start_has_read_lasts),
          RUN(an_empty_segment_behind_the_spare_is_removed_at_a_start),
          RUN(a_start_whose_journal_cannot_be_synced_is_refused),
          RUN(a_journal_that_must_be_there_is_not_begun_again),
          RUN(a_first_segment_that_finds_no_space_is_told))
