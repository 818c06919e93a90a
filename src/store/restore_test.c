/* Restores of backups, whole and ended at each of their steps. */
#include "store/restore_fixture.h"

TEST(a_restore_has_the_state_of_the_backup_with_everything_raised)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    back_up(path, beside(path, "-b"), false);
    struct restore_options o = options_of(beside(path, "-b"), beside(path, "-r"));
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_EQ(result.epoch, 2);
    EXPECT_EQ(result.state.devices, 5);
    EXPECT_EQ(result.state.changes, 3);
    EXPECT_EQ(result.state.damaged, 0);
    EXPECT_EQ(check_findings(&result.check), 0);
    EXPECT_EQ(result.check.devices, 5);
    EXPECT(result.check.from > EPOCH_POSITIONS);
    EXPECT_EQ(result.kept.len, 0);
    EXPECT_TEXT(show(beside(path, "-r")), all_raised);
    EXPECT_EQ(seq_shown, 5 + EPOCH_SEQS + MINUTE * EPOCH_MINUTE_SEQS);
    /* A restore of what was restored, from a copy that is no backup: the third epoch. */
    o = options_of(beside(path, "-r"), beside(path, "-2"));
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_EQ(result.epoch, 3);
    EXPECT_TEXT(show(beside(path, "-2")), "a=1^^ b=2^^ c=3^^ d=4^^ e=5^^ OK");
    remove_tree(beside(path, "-2"));
    remove_tree(beside(path, "-r"));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

TEST(keys_that_a_backup_is_without_come_from_elsewhere)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    back_up(path, beside(path, "-b"), true);
    struct restore_options o = options_of(beside(path, "-b"), beside(path, "-r"));
    EXPECT_EQ(run(&o, &result), BAD_ARGUMENT);
    EXPECT(why_says("--keys DIR"));
    EXPECT(access(beside(path, "-r"), F_OK) != 0);
    o.keys = "/tmp";
    EXPECT_EQ(run(&o, &result), BAD_ARGUMENT);
    EXPECT(why_says("/tmp has no master.key"));
    o.keys = path;
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_TEXT(show(beside(path, "-r")), all_raised);
    remove_tree(beside(path, "-r"));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

TEST(what_is_there_is_moved_aside_or_stays)
{
    const char *path = fixture_path(), *before = ".before-20260304T102030Z";
    struct restore_result result;
    struct embedded_dir *hub;
    make(path);
    back_up(path, beside(path, "-b"), false);
    struct restore_options o = options_of(beside(path, "-b"), path);
    EXPECT_EQ(run(&o, &result), BAD_ARGUMENT);
    EXPECT(why_says("--force moves it aside"));
    o.aside = true;
    EXPECT_EQ(open_keeper(path, &hub), OK);
    EXPECT_EQ(run(&o, &result), UNAVAILABLE);
    EXPECT(why_says("in use"));
    embedded_dir_close(hub, 0);
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_TEXT((const char *)result.kept.data, beside(path, before));
    EXPECT_TEXT(show(path), all_raised);
    EXPECT_TEXT(show(beside(path, before)), "a=1 b=2 c=3 d=4 e=5 OK");
    buf_fini(&result.kept);
    remove_tree(beside(path, before));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

/* The hub goes on after the backup, and the partition has a thousand million changes more. */
TEST(what_a_busy_hub_handed_out_after_the_backup_does_not_come_again)
{
    const char *path = fixture_path();
    struct restore_result result;
    struct embedded_dir *dir;
    uint64_t durable = 0;
    make(path);
    back_up(path, beside(path, "-b"), false);
    EXPECT_EQ(open_keeper(path, &dir), OK);
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    s->owner = &durable;
    s->durable = on_durable;
    s->parts[1].seq += 1000000000;
    put(s, 1, "f", "6");
    uint64_t seen = s->parts[1].seq;
    store_close(s);
    embedded_dir_close(dir, 0);
    struct restore_options o = options_of(beside(path, "-b"), path);
    o.aside = true;
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_TEXT(show(path), all_raised);
    EXPECT(seq_shown > seen);
    EXPECT(result.check.from > UINT64_C(100) << 40); /* a hundred tebibytes of journal */
    buf_fini(&result.kept);
    remove_tree(beside(path, ".before-20260304T102030Z"));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

/* The same backup over what was made of it, and so on: each time beyond the time before. */
TEST(a_second_restore_of_a_backup_goes_beyond_the_first)
{
    const char *path = fixture_path();
    struct restore_result result;
    uint64_t epoch = 1, seq = 0, position = 0;
    make(path);
    back_up(path, beside(path, "-b"), false);
    for (int i = 0; i < 3; i++) {
        struct restore_options o = options_of(beside(path, "-b"), path);
        o.aside = true;
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, ++epoch);
        EXPECT_EQ(result.raised,
                  ((int64_t)epoch - 1) * EPOCH_VERSIONS + MINUTE * EPOCH_MINUTE_VERSIONS);
        EXPECT_EQ(raised_by, result.raised);
        EXPECT(result.check.from > position + (UINT64_C(1) << 47));
        EXPECT_TEXT(show(path), all_raised);
        EXPECT(seq_shown > seq + (UINT64_C(1) << 39));
        seq = seq_shown;
        position = result.check.from;
        remove_tree(beside(path, ".before-20260304T102030Z"));
        buf_fini(&result.kept);
    }
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

/* The same backup on two new hosts, of which the second knows nothing of the first: a disk was lost
 * twice. */
TEST(a_later_restore_on_a_new_host_goes_beyond_an_earlier_one)
{
    const char *path = fixture_path();
    struct restore_result result;
    uint64_t seq = 0, position = 0;
    int64_t raised = 0;
    make(path);
    back_up(path, beside(path, "-b"), false);
    for (int i = 0; i < 3; i++) {
        struct restore_options o = options_of(beside(path, "-b"), beside(path, "-r"));
        o.now_ms += i * 10 * 60000;
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, 2);
        EXPECT(result.raised > raised);
        EXPECT(result.check.from > position);
        EXPECT_TEXT(show(beside(path, "-r")), all_raised);
        EXPECT(seq_shown > seq);
        raised = result.raised;
        seq = seq_shown;
        position = result.check.from;
        remove_tree(beside(path, "-r"));
    }
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

/* Its header says which epoch it has begun, and that nobody has used it. */
TEST(a_second_restore_that_was_ended_goes_on_with_its_epoch)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    back_up(path, beside(path, "-b"), false);
    struct restore_options o = options_of(beside(path, "-b"), path);
    o.aside = true;
    for (uint64_t epoch = 2; epoch < 4; epoch++) {
        EXPECT(ends_at(o, 2));
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, epoch);
        EXPECT_EQ(result.raised,
                  ((int64_t)epoch - 1) * EPOCH_VERSIONS + MINUTE * EPOCH_MINUTE_VERSIONS);
        remove_tree(beside(path, ".before-20260304T102030Z"));
    }
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

TEST(what_is_there_of_another_hub_or_damaged_says_nothing_of_the_epoch)
{
    const char *path = fixture_path();
    struct restore_result result;
    char other[64], o_backup[64];
    snprintf(other, sizeof(other), "%s-o", path);
    snprintf(o_backup, sizeof(o_backup), "%s-ob", path);
    make(path);
    make(other);
    back_up(path, beside(path, "-b"), false);
    back_up(other, o_backup, false);
    struct restore_options o = options_of(beside(path, "-b"), path);
    o.aside = true;
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            o.from = o_backup;
        int fd = i == 3 ? open(beside(path, "/twinhub.hdr"), O_RDWR) : -1;
        EXPECT(fd < 0 || pwrite(fd, "?", 1, 60) == 1);
        close(fd);
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, i == 1 ? 3 : 2);
        buf_fini(&result.kept);
        remove_tree(beside(path, ".before-20260304T102030Z"));
    }
    remove_tree(beside(path, "-b"));
    remove_tree(o_backup);
    remove_tree(other);
    fixture_remove(path);
}

TEST(a_restore_that_was_ended_anywhere_is_refused_by_a_hub_and_done_again)
{
    const char *path = fixture_path();
    struct restore_result result;
    int n = 1;
    make(path);
    back_up(path, beside(path, "-b"), false);
    struct restore_options o = options_of(beside(path, "-b"), beside(path, "-r"));
    for (; n < STEPS_MAX && ends_at(o, n); n++) {
        if (n > 1) { /* before the first there is an empty directory */
            const char *shown = show(beside(path, "-r"));
            EXPECT(strstr(shown, "run twinhub restore again") != NULL);
        }
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, 2);
        EXPECT_EQ(check_findings(&result.check), 0);
        EXPECT_TEXT(show(beside(path, "-r")), all_raised);
        remove_tree(beside(path, "-r"));
    }
    EXPECT_EQ(n, 5); /* header, base, journal, header */
    remove_tree(beside(path, "-r"));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

TEST_MAIN(RUN(a_restore_has_the_state_of_the_backup_with_everything_raised),
          RUN(keys_that_a_backup_is_without_come_from_elsewhere),
          RUN(what_is_there_is_moved_aside_or_stays),
          RUN(what_a_busy_hub_handed_out_after_the_backup_does_not_come_again),
          RUN(a_second_restore_of_a_backup_goes_beyond_the_first),
          RUN(a_later_restore_on_a_new_host_goes_beyond_an_earlier_one),
          RUN(a_second_restore_that_was_ended_goes_on_with_its_epoch),
          RUN(what_is_there_of_another_hub_or_damaged_says_nothing_of_the_epoch),
          RUN(a_restore_that_was_ended_anywhere_is_refused_by_a_hub_and_done_again))
