/* Recoveries of a damaged journal, whole and ended at each of their steps. */
#include "store/restore_fixture.h"

/* The block of d is damaged. Its position comes back. */
static uint64_t damage(const char *path)
{
    static uint8_t bytes[1 << 16];
    int fd = open(beside(path, "/journal/0000000000000000.seg"), O_RDWR);
    EXPECT(fd >= 0);
    EXPECT_EQ(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    close(fd);
    struct check_options check = check_options;
    struct check_result result;
    check.path = path;
    EXPECT_EQ(check_run(&check, &result, &why), OK);
    uint64_t at = result.end - 1024; /* of the last two blocks */
    fd = open(beside(path, "/journal/0000000000000000.seg"), O_RDWR);
    EXPECT_EQ(pwrite(fd, "?", 1, (off_t)at + 90), 1);
    close(fd);
    EXPECT_EQ(check_run(&check, &result, &why), OK);
    EXPECT_EQ(result.recover_to, at);
    return at;
}

static const char to_c_raised[] = "a=1^ b=2^ c=3^ OK";

TEST(a_recovery_ends_the_journal_before_the_damage_and_keeps_the_rest)
{
    const char *path = fixture_path(), *cut = "/journal.cut-20260304T102030Z";
    struct restore_result result;
    make(path);
    struct restore_options o = options_of(NULL, path);
    o.stop = damage(path);
    EXPECT(strstr(show(path), "twinhub restore --recover-to") != NULL);
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_EQ(result.epoch, 2);
    EXPECT_EQ(result.state.changes, 1);
    EXPECT_EQ(result.state.end, o.stop);
    EXPECT_EQ(check_findings(&result.check), 0);
    EXPECT_TEXT((const char *)result.kept.data, beside(path, cut));
    EXPECT_TEXT(show(path), to_c_raised);
    EXPECT_EQ(access(beside(beside(path, cut), "/base.mdb"), F_OK), 0);
    EXPECT_EQ(access(beside(beside(path, cut), "/journal/0000000000000000.seg"), F_OK), 0);
    buf_fini(&result.kept);
    remove_tree(path);
    fixture_remove(path);
}

TEST(a_recovery_that_was_ended_anywhere_is_finished_by_the_next)
{
    struct restore_result result;
    int n = 1;
    for (bool ended = true; ended && n < STEPS_MAX; n++) {
        const char *path = fixture_path();
        make(path);
        struct restore_options o = options_of(NULL, path);
        o.stop = damage(path);
        ended = ends_at(o, n);
        if (ended) {
            const char *shown = show(path);
            bool as_before = strstr(shown, "is damaged at position") != NULL;
            EXPECT(as_before || strstr(shown, "--recover-to again") != NULL);
            EXPECT_EQ(as_before, n == 1);
            EXPECT_EQ(run(&o, &result), OK);
            EXPECT_EQ(result.finished, n > 1);
            EXPECT_EQ(check_findings(&result.check), 0);
            buf_fini(&result.kept);
        }
        EXPECT_TEXT(show(path), to_c_raised);
        EXPECT_EQ(access(beside(path, "/journal.cut-20260304T102030Z/base.mdb"), F_OK), 0);
        remove_tree(path);
        fixture_remove(path);
    }
    EXPECT_EQ(n, 8); /* header, four names, header; then one too many */
}

TEST(a_position_that_the_base_is_beyond_is_refused)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    struct restore_options o = options_of(NULL, path);
    o.stop = 1;
    EXPECT_EQ(run(&o, &result), BAD_ARGUMENT);
    EXPECT(why_says("choose that or a later one"));
    EXPECT_TEXT(show(path), "a=1 b=2 c=3 d=4 e=5 OK");
    o.stop = UINT64_MAX; /* to its end: nothing is lost, all is raised */
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_TEXT(show(path), all_raised);
    buf_fini(&result.kept);
    remove_tree(path);
    fixture_remove(path);
}

/* Nothing of the journal can be read: what the base holds is kept. */
TEST(a_recovery_to_the_mark_needs_no_journal)
{
    static const char *const ways[] = {"head", "file"};
    for (size_t i = 0; i < COUNT(ways); i++) {
        const char *path = fixture_path(), *segment = beside(path, "/journal/0000000000000000.seg");
        struct restore_result result;
        struct check_options check = check_options;
        make(path);
        check.path = path;
        EXPECT_EQ(check_run(&check, &result.check, &why), OK);
        uint64_t mark = result.check.from;
        int fd = open(segment, O_RDWR);
        EXPECT_EQ(pwrite(fd, "?", 1, 40), 1);
        close(fd);
        if (i == 1)
            EXPECT_EQ(unlink(segment), 0);
        EXPECT_EQ(check_run(&check, &result.check, &why), OK);
        EXPECT_EQ(result.check.recover_to, mark);
        struct restore_options o = options_of(NULL, path);
        o.stop = result.check.recover_to;
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.state.changes, 0);
        EXPECT_EQ(result.state.end, mark);
        EXPECT_EQ(check_findings(&result.check), 0);
        EXPECT_TEXT(show(path), "a=1^ b=2^ OK");
        buf_fini(&result.kept);
        remove_tree(path);
        fixture_remove(path);
    }
}

/* LMDB's map is as good a bound as the disk's. */
TEST(a_recovery_that_finds_no_space_gives_back_what_it_took)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    struct restore_options o = options_of(NULL, path);
    o.stop = UINT64_MAX;
    o.check.map_bytes = 8192; /* both meta pages, and none for a record */
    EXPECT_EQ(run(&o, &result), STORAGE_FULL);
    EXPECT(access(beside(path, "/base.mdb.new"), F_OK) != 0);
    EXPECT(access(beside(path, "/journal.new"), F_OK) != 0);
    o.check.map_bytes = check_options.map_bytes;
    EXPECT_EQ(mkdir(beside(path, "/twinhub.hdr.new"), 0700), 0); /* so the header has no place */
    EXPECT_EQ(run(&o, &result), UNAVAILABLE);
    EXPECT(access(beside(path, "/base.mdb.new"), F_OK) != 0);
    EXPECT(access(beside(path, "/journal.new"), F_OK) != 0);
    EXPECT_EQ(rmdir(beside(path, "/twinhub.hdr.new")), 0);
    EXPECT_TEXT(show(path), "a=1 b=2 c=3 d=4 e=5 OK");
    remove_tree(path);
    fixture_remove(path);
}

/* A record that fails its check is carried over as it is: not repaired, and not dropped. */
TEST(a_damaged_record_stays_damaged)
{
    const char *path = fixture_path();
    struct restore_result result;
    static uint8_t bytes[1 << 20];
    make(path);
    int fd = open(beside(path, "/base.mdb"), O_RDWR);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    EXPECT(len > 0);
    const struct span key = SPAN("\0\1a\0");
    for (uint8_t *at = bytes; (at = memmem(at, (size_t)(bytes + len - at), key.data, key.len));
         at++)
        EXPECT_EQ(pwrite(fd, "?", 1, at - bytes + 4 + 24), 1); /* the body, in every copy */
    close(fd);
    struct restore_options o = options_of(NULL, path);
    o.stop = UINT64_MAX;
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_EQ(result.state.damaged, 1);
    EXPECT_EQ(result.check.findings[CHECK_BASE], 1);
    EXPECT_EQ(check_findings(&result.check), 1);
    EXPECT_TEXT(show(path), "b=2^ c=3^ d=4^ e=5^ DAMAGED");
    buf_fini(&result.kept);
    remove_tree(path);
    fixture_remove(path);
    buf_fini(&why);
}

TEST_MAIN(RUN(a_recovery_ends_the_journal_before_the_damage_and_keeps_the_rest),
          RUN(a_recovery_that_was_ended_anywhere_is_finished_by_the_next),
          RUN(a_position_that_the_base_is_beyond_is_refused),
          RUN(a_recovery_to_the_mark_needs_no_journal),
          RUN(a_recovery_that_finds_no_space_gives_back_what_it_took),
          RUN(a_damaged_record_stays_damaged))
