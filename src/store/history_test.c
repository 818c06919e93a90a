#include "store/history.h"

#include "store/history_fixture.h"

enum { SEGMENT = 256 << 10, DAY = 24 * 3600 * 1000 };

struct scene {
    struct test_disk disk;
    struct tape tape;
    struct history history;
    struct history_options options;
    bool held;
};

static bool is_held(void *ctx)
{
    return *(bool *)ctx;
}

static void open_history(struct scene *s)
{
    EXPECT_EQ(history_init(&s->history, &s->disk.disk, tape_hub, &s->options), 0);
}

/* So many segments are done with, each with 10 s more than the one before. */
static void begin(struct scene *s, uint32_t segment, size_t segments)
{
    *s = (struct scene){
        .options = {.replay = &tape_replay, .history_ms = 7LL * DAY}
    };
    s->options.held = is_held;
    s->options.held_ctx = &s->held;
    test_disk_init(&s->disk);
    tape_init(&s->tape, &s->disk, segment);
    for (size_t i = 1; i <= segments; i++) {
        tape_fill(&s->tape, i, 30, 150);
        s->tape.now_ms += 10000;
    }
}

static void end(struct scene *s)
{
    history_fini(&s->history);
    tape_fini(&s->tape);
    test_disk_fini(&s->disk);
}

static const char *segment_at(const struct scene *s, size_t i)
{
    static char name[SEGMENT_NAME];
    segment_name(name, s->tape.done[i].start);
    return name;
}

static const char *file_at(const struct scene *s, size_t i)
{
    static char name[HISTORY_NAME];
    history_name(name, s->tape.done[i].start);
    return name;
}

static bool is_there(struct scene *s, const char *name)
{
    return test_disk_content(&s->disk, name) != NULL;
}

/* Those that are still there, as a start would. */
static void add_all(struct scene *s)
{
    for (size_t i = 0; i < s->tape.done_count; i++)
        if (is_there(s, segment_at(s, i)))
            history_add(&s->history,
                        &(struct old_segment){.start = s->tape.done[i].start,
                                              .used = i % 2 ? s->tape.done[i].used : 0});
}

static size_t run(struct scene *s, int64_t wall_ms)
{
    size_t steps = 0;
    while (history_step(&s->history, wall_ms)) {
        steps++;
        EXPECT(steps < 10000);
    }
    return steps;
}

/* What is kept is the end of all that was written, without a hole. How many entries? */
static size_t expect_suffix(struct scene *s)
{
    struct history_reader r;
    struct history_entry e;
    enum status st;
    size_t count = 0;
    const struct history_query q = {
        .disk = &s->disk.disk, .hub_id = tape_hub, .replay = &tape_replay};
    EXPECT_EQ(history_reader_open(&r, &q), OK);
    while ((st = tape_next(&r, &e)) == OK)
        count++;
    EXPECT_EQ(st, NOT_FOUND);
    history_reader_close(&r);
    EXPECT(count <= s->tape.count);
    uint64_t from = 0;
    if (count < s->tape.count)
        from = s->tape.entries[s->tape.count - count].e.position;
    EXPECT_EQ(tape_expect_query(&s->tape, (struct history_query){.from = from}), count);
    return count;
}

/* How many entries lie in segment i and later. */
static size_t count_from(const struct scene *s, size_t i)
{
    size_t count = 0;
    for (size_t k = 0; k < s->tape.count; k++)
        count += s->tape.entries[k].e.position >= s->tape.done[i].start;
    return count;
}

TEST(segments_become_files_and_go)
{
    struct scene s;
    begin(&s, SEGMENT, 3);
    open_history(&s);
    add_all(&s);
    EXPECT_EQ(s.history.stats.pending, 3);
    run(&s, s.tape.now_ms);
    uint64_t bytes = 0;
    for (size_t i = 0; i < 3; i++) {
        EXPECT(!is_there(&s, segment_at(&s, i)));
        bytes += test_disk_content(&s.disk, file_at(&s, i))->len;
    }
    EXPECT_EQ(s.history.stats.files, 3);
    EXPECT_EQ(s.history.stats.bytes, bytes);
    EXPECT_EQ(s.history.stats.made, 3);
    EXPECT_EQ(s.history.stats.pending, 0);
    EXPECT_EQ(s.history.stats.errors, 0);
    EXPECT(bytes < 3 * SEGMENT / 2);
    EXPECT_EQ(expect_suffix(&s), s.tape.count);
    /* A new start knows them. */
    history_fini(&s.history);
    open_history(&s);
    EXPECT_EQ(s.history.stats.files, 3);
    EXPECT_EQ(s.history.stats.bytes, bytes);
    end(&s);
}

TEST(a_step_is_about_a_mebibyte)
{
    struct scene s;
    begin(&s, 8 << 20, 1);
    open_history(&s);
    add_all(&s);
    size_t steps = 0;
    for (;; steps++) {
        uint64_t read = s.disk.read_bytes, used = test_disk_used(&s.disk);
        if (!history_step(&s.history, s.tape.now_ms))
            break;
        EXPECT(s.disk.read_bytes - read <= (1 << 20) + SEGMENT_PIECE);
        EXPECT(test_disk_used(&s.disk) <= used + (1 << 20) + (512 << 10));
    }
    EXPECT(steps >= 10);
    EXPECT_EQ(s.history.stats.made, 1);
    EXPECT_EQ(expect_suffix(&s), s.tape.count);
    end(&s);
}

TEST(without_history_segments_are_only_removed)
{
    struct scene s;
    begin(&s, SEGMENT, 3);
    tape_make(&s.tape, 0, true); /* of an earlier time, when it was kept */
    EXPECT_EQ(disk_remove(&s.disk.disk, segment_at(&s, 0)), 0);
    s.options.history_ms = 0;
    open_history(&s);
    add_all(&s);
    s.disk.read_bytes = 0;
    run(&s, s.tape.now_ms);
    for (size_t i = 0; i < 3; i++) {
        EXPECT(!is_there(&s, segment_at(&s, i)));
        EXPECT(!is_there(&s, file_at(&s, i)));
    }
    EXPECT_EQ(s.disk.read_bytes, 0);
    EXPECT_EQ(s.history.stats.errors, 0);
    end(&s);
}

/* -- bounds -- */

static int64_t newest_of(struct scene *s, size_t i)
{
    struct history_head head;
    EXPECT_EQ(history_head_decode(test_disk_content(&s->disk, file_at(s, i))->data, &head), OK);
    return head.newest_ms;
}

TEST(what_is_too_old_is_removed_oldest_first)
{
    struct scene s;
    begin(&s, SEGMENT, 4);
    open_history(&s);
    add_all(&s);
    run(&s, s.tape.now_ms);
    for (int again = 0; again < 2; again++) { /* as it was made, and as it is found */
        int64_t last = newest_of(&s, (size_t)again) + s.options.history_ms;
        run(&s, last);
        EXPECT_EQ(expect_suffix(&s), count_from(&s, (size_t)again));
        run(&s, last + 1);
        EXPECT_EQ(expect_suffix(&s), count_from(&s, (size_t)again + 1));
        EXPECT_EQ(s.history.stats.expired, 1);
        history_fini(&s.history);
        open_history(&s);
    }
    run(&s, s.tape.now_ms + 2 * s.options.history_ms);
    EXPECT_EQ(s.history.stats.files, 0);
    EXPECT_EQ(s.history.stats.bytes, 0);
    end(&s);
}

TEST(a_time_of_the_future_or_an_unreadable_head_does_not_keep_a_file_for_ever)
{
    struct scene s;
    begin(&s, SEGMENT, 1);
    s.tape.now_ms += 1000LL * DAY;
    tape_fill(&s.tape, 2, 30, 150);
    s.tape.now_ms -= 1000LL * DAY;
    tape_fill(&s.tape, 4, 30, 150);
    open_history(&s);
    add_all(&s);
    run(&s, s.tape.now_ms);
    EXPECT_EQ(s.history.stats.files, 4);
    history_fini(&s.history);
    test_disk_content(&s.disk, file_at(&s, 2))->data[40] ^= 1;
    open_history(&s);
    int64_t wall_ms = s.tape.now_ms + s.options.history_ms;
    run(&s, newest_of(&s, 0) + s.options.history_ms + 1);
    EXPECT_EQ(s.history.stats.files, 3);
    EXPECT(is_there(&s, file_at(&s, 1))); /* nothing says that it is old */
    run(&s, wall_ms);
    EXPECT_EQ(s.history.stats.files, 0);
    EXPECT_EQ(s.history.stats.error, EBADMSG);
    EXPECT_EQ(s.history.stats.error_at, s.tape.done[2].start);
    end(&s);
}

TEST(a_bound_on_the_size_removes_the_oldest)
{
    struct scene s;
    begin(&s, SEGMENT, 4);
    s.options.history_size = 200 << 10;
    open_history(&s);
    add_all(&s);
    do
        EXPECT(s.history.stats.files < 2 ||
               s.history.stats.bytes <= s.options.history_size + SEGMENT);
    while (history_step(&s.history, s.tape.now_ms));
    EXPECT(s.history.stats.bytes <= s.options.history_size);
    EXPECT_EQ(s.history.stats.made, 4);
    EXPECT(s.history.stats.trimmed > 0);
    EXPECT(s.history.stats.files > 0);
    EXPECT_EQ(expect_suffix(&s), count_from(&s, s.history.stats.trimmed));
    history_fini(&s.history);
    s.options.history_size = 1;
    open_history(&s);
    run(&s, s.tape.now_ms);
    EXPECT_EQ(s.history.stats.files, 0);
    end(&s);
}

TEST(while_a_backup_reads_nothing_is_removed)
{
    struct scene s;
    begin(&s, SEGMENT, 2);
    open_history(&s);
    s.held = true;
    add_all(&s);
    run(&s, s.tape.now_ms + 100LL * DAY);
    EXPECT(is_there(&s, file_at(&s, 0)));
    for (size_t i = 0; i < 2; i++)
        EXPECT(is_there(&s, segment_at(&s, i)));
    EXPECT(!history_give_way(&s.history));
    s.held = false;
    run(&s, s.tape.now_ms);
    for (size_t i = 0; i < 2; i++)
        EXPECT(!is_there(&s, segment_at(&s, i)));
    s.held = true;
    EXPECT_EQ(run(&s, s.tape.now_ms + 100LL * DAY), 0);
    s.held = false;
    run(&s, s.tape.now_ms + 100LL * DAY);
    EXPECT_EQ(s.history.stats.files, 0);
    end(&s);
}

/* -- segments that become new ones -- */

static void add_sized(struct scene *s, size_t i, uint64_t size)
{
    history_add(&s->history, &(struct old_segment){s->tape.done[i].start, size, 0});
}

TEST(one_segment_of_the_full_size_is_put_aside)
{
    struct scene s;
    begin(&s, SEGMENT, 4);
    s.options.reuse_size = SEGMENT;
    open_history(&s);
    add_sized(&s, 0, SEGMENT / 2); /* another size */
    run(&s, s.tape.now_ms);
    EXPECT(!s.history.has_used);
    add_sized(&s, 1, SEGMENT);
    add_sized(&s, 2, SEGMENT);
    run(&s, s.tape.now_ms);
    EXPECT(s.history.has_used);
    EXPECT(is_there(&s, SEGMENT_USED));
    for (size_t i = 0; i < 3; i++)
        EXPECT(!is_there(&s, segment_at(&s, i)));
    EXPECT_EQ(expect_suffix(&s), count_from(&s, 0)); /* what they held is history */
    EXPECT(history_give_way(&s.history));            /* it is the first to go */
    EXPECT(!is_there(&s, SEGMENT_USED));
    EXPECT_EQ(s.history.stats.files, 3);
    EXPECT(history_give_way(&s.history));
    EXPECT_EQ(s.history.stats.files, 2);
    end(&s);
}

/* -- a disk that says no -- */

TEST(without_space_older_files_give_way_and_then_the_segment)
{
    struct scene s;
    begin(&s, SEGMENT, 4);
    open_history(&s);
    history_add(&s.history,
                &(struct old_segment){.start = s.tape.done[0].start, .used = s.tape.done[0].used});
    run(&s, s.tape.now_ms);
    uint64_t file = s.history.stats.bytes;
    s.disk.room = test_disk_used(&s.disk) + file / 2;
    history_add(&s.history,
                &(struct old_segment){.start = s.tape.done[1].start, .used = s.tape.done[1].used});
    s.held = true;
    run(&s, s.tape.now_ms);
    EXPECT(is_there(&s, file_at(&s, 0)));
    s.held = false;
    run(&s, s.tape.now_ms);
    EXPECT_EQ(s.history.stats.trimmed, 1);
    EXPECT_EQ(s.history.stats.made, 2);
    EXPECT(!is_there(&s, file_at(&s, 0)));
    EXPECT_EQ(expect_suffix(&s), count_from(&s, 1));
    s.disk.room = test_disk_used(&s.disk) - file;
    history_add(&s.history,
                &(struct old_segment){.start = s.tape.done[2].start, .used = s.tape.done[2].used});
    run(&s, s.tape.now_ms);
    EXPECT_EQ(s.history.stats.dropped, 1);
    EXPECT_EQ(s.history.stats.files, 0);
    EXPECT_EQ(s.history.stats.errors, 0);
    EXPECT_EQ(expect_suffix(&s), count_from(&s, 3));
    EXPECT(!is_there(&s, segment_at(&s, 2)));
    end(&s);
}

TEST(the_journal_goes_before_history)
{
    struct scene s;
    begin(&s, SEGMENT, 2);
    open_history(&s);
    EXPECT(!history_give_way(&s.history));
    add_all(&s);
    run(&s, s.tape.now_ms);
    EXPECT(history_give_way(&s.history));
    EXPECT_EQ(expect_suffix(&s), count_from(&s, 1));
    EXPECT(history_give_way(&s.history));
    EXPECT(!history_give_way(&s.history));
    EXPECT_EQ(s.history.stats.trimmed, 2);
    end(&s);
}

TEST(a_segment_that_cannot_be_read_is_kept_and_reported_once)
{
    struct scene s;
    char name[SEGMENT_NAME];
    begin(&s, SEGMENT, 4);
    open_history(&s);
    segment_name(name, s.tape.done[1].start);
    s.disk.unreadable = name;
    test_disk_content(&s.disk, segment_at(&s, 2))->data[9 * 1024] ^= 1; /* and one is damaged */
    add_all(&s);
    run(&s, s.tape.now_ms);
    EXPECT_EQ(s.history.stats.made, 2);
    EXPECT_EQ(s.history.stats.kept, 2);
    EXPECT_EQ(s.history.stats.errors, 2);
    EXPECT_EQ(s.history.stats.error, EIO);
    EXPECT_EQ(s.history.stats.error_at, s.tape.done[1].start);
    EXPECT(is_there(&s, segment_at(&s, 1)));
    EXPECT(is_there(&s, segment_at(&s, 2)));
    s.disk.unreadable = NULL;
    test_disk_content(&s.disk, segment_at(&s, 2))->data[9 * 1024] ^= 1;
    EXPECT_EQ(expect_suffix(&s), s.tape.count);
    history_fini(&s.history);
    open_history(&s);
    add_all(&s);
    run(&s, s.tape.now_ms);
    EXPECT_EQ(s.history.stats.files, 4);
    EXPECT_EQ(expect_suffix(&s), s.tape.count);
    end(&s);
}

TEST(a_failure_at_any_step_loses_and_doubles_nothing)
{
    static const int errors[] = {EIO, ENOSPC};
    for (size_t k = 0; k < COUNT(errors); k++) {
        bool failed = true;
        uint64_t at;
        for (at = 1; failed; at++) {
            struct scene s;
            begin(&s, 64 << 10, 2);
            open_history(&s);
            add_all(&s);
            uint64_t from = s.disk.steps;
            s.disk.fail_at = from + at;
            s.disk.error = errors[k];
            run(&s, s.tape.now_ms);
            failed = s.disk.steps - from >= at;
            size_t kept = expect_suffix(&s);
            if (errors[k] == ENOSPC)
                EXPECT_EQ(kept, count_from(&s, s.history.stats.trimmed + s.history.stats.dropped));
            else
                EXPECT_EQ(kept, s.tape.count);
            history_fini(&s.history);
            s.disk.fail_at = 0;
            open_history(&s);
            add_all(&s);
            run(&s, s.tape.now_ms);
            EXPECT_EQ(expect_suffix(&s), kept);
            EXPECT_EQ(s.history.stats.pending + s.history.stats.kept, 0);
            end(&s);
        }
        EXPECT(at > 15);
    }
}

/* -- power cuts -- */

/* From any state that a cut leaves, the next start makes the rest. */
static void start_again(struct scene *s, size_t want)
{
    open_history(s);
    EXPECT_EQ(expect_suffix(s), want);
    add_all(s);
    run(s, s->tape.now_ms);
    EXPECT_EQ(expect_suffix(s), want);
    EXPECT_EQ(s->history.stats.files, s->tape.done_count);
    EXPECT_EQ(s->history.stats.errors, 0);
    for (size_t i = 0; i < s->disk.now.count; i++)
        EXPECT(!strstr(s->disk.now.at[i].text, ".new"));
}

/* Two segments become history; everything ends at this step. False: there is no such step. */
static bool run_to_the_cut(struct scene *s, uint64_t at)
{
    begin(s, 64 << 10, 2);
    journal_fini(&s->tape.journal);
    open_history(s);
    add_all(s);
    s->disk.cut_at = s->disk.steps + at;
    run(s, s->tape.now_ms);
    history_fini(&s->history);
    return test_disk_is_dead(&s->disk);
}

TEST(a_power_cut_at_any_step_loses_and_doubles_nothing)
{
    for (uint64_t round = 0; round < 8; round++) {
        bool cut = true;
        uint64_t at;
        for (at = 1; cut; at++) {
            struct scene s;
            uint64_t seed = round ? round * 1000 + at : 0;
            cut = run_to_the_cut(&s, at);
            test_disk_cut(&s.disk, seed);
            /* And once more, while that is put in order. */
            s.disk.cut_at = 1 + at % 3;
            if (history_init(&s.history, &s.disk.disk, tape_hub, &s.options) == 0) {
                add_all(&s);
                run(&s, s.tape.now_ms);
            }
            history_fini(&s.history);
            test_disk_cut(&s.disk, seed ? seed + 500 : 0);
            start_again(&s, s.tape.count);
            end(&s);
        }
        EXPECT(at > 15);
    }
}

/* What a killed process did and did not sync may be in the cache still when the next one looks. */
TEST(a_power_cut_in_the_start_after_a_kill_loses_and_doubles_nothing)
{
    for (uint64_t round = 0; round < 5; round++) {
        bool killed = true;
        for (uint64_t at = 1; killed; at++) {
            for (uint64_t then = 1; then < 6; then++) {
                struct scene s;
                killed = run_to_the_cut(&s, at);
                s.disk.cut_at = killed ? s.disk.steps + then : 0;
                s.held = round % 2; /* while the history is opened */
                int error = history_init(&s.history, &s.disk.disk, tape_hub, &s.options);
                s.held = false;
                if (error == 0) {
                    add_all(&s);
                    run(&s, s.tape.now_ms);
                }
                history_fini(&s.history);
                test_disk_cut(&s.disk, round ? round * 1000 + at : 0);
                start_again(&s, s.tape.count);
                end(&s);
            }
        }
    }
}

TEST(a_power_cut_while_the_oldest_go_leaves_no_hole)
{
    for (uint64_t round = 0; round < 6; round++) {
        bool cut = true;
        for (uint64_t at = 1; cut; at++) {
            struct scene s;
            uint64_t seed = round ? round * 1000 + at : 0;
            begin(&s, 64 << 10, 4);
            journal_fini(&s.tape.journal);
            open_history(&s);
            add_all(&s);
            run(&s, s.tape.now_ms);
            s.disk.cut_at = s.disk.steps + at;
            run(&s, newest_of(&s, 2) + s.options.history_ms + 1);
            history_fini(&s.history);
            cut = test_disk_is_dead(&s.disk);
            test_disk_cut(&s.disk, seed);
            open_history(&s);
            EXPECT(expect_suffix(&s) >= count_from(&s, 3));
            end(&s);
        }
    }
}

TEST(a_start_removes_leftovers_and_doubles)
{
    struct scene s;
    struct disk_file *file;
    begin(&s, SEGMENT, 2);
    EXPECT_EQ(disk_open(&s.disk.disk, "0000000000000000.hist.new", true, &file), 0);
    disk_close(file);
    tape_make(&s.tape, 0, true);
    tape_make(&s.tape, 1, true);
    struct buf *second = test_disk_content(&s.disk, file_at(&s, 1));
    second->len /= 2; /* a file that is not whole never replaces its segment */
    open_history(&s);
    EXPECT(!is_there(&s, "0000000000000000.hist.new"));
    EXPECT(!is_there(&s, segment_at(&s, 0)));
    EXPECT(is_there(&s, file_at(&s, 0)));
    EXPECT(is_there(&s, segment_at(&s, 1)));
    EXPECT(!is_there(&s, file_at(&s, 1)));
    EXPECT_EQ(s.history.stats.files, 1);
    history_fini(&s.history);
    start_again(&s, s.tape.count);
    end(&s);
}

/* The hub ended while a backup read, and starts again. */
TEST(a_start_while_a_backup_reads_removes_no_segment)
{
    struct scene s;
    begin(&s, SEGMENT, 2);
    tape_make(&s.tape, 0, true);
    tape_make(&s.tape, 1, true);
    test_disk_content(&s.disk, file_at(&s, 1))->len /= 2;
    s.held = true;
    open_history(&s);
    add_all(&s);
    run(&s, s.tape.now_ms);
    for (size_t i = 0; i < 2; i++)
        EXPECT(is_there(&s, segment_at(&s, i)));
    s.held = false;
    run(&s, s.tape.now_ms);
    for (size_t i = 0; i < 2; i++)
        EXPECT(!is_there(&s, segment_at(&s, i)));
    EXPECT_EQ(s.history.stats.made, 1);
    EXPECT_EQ(s.history.stats.files, 2);
    EXPECT_EQ(s.history.stats.errors, 0);
    EXPECT_EQ(expect_suffix(&s), s.tape.count);
    end(&s);
}

TEST_MAIN(RUN(segments_become_files_and_go), RUN(a_step_is_about_a_mebibyte),
          RUN(without_history_segments_are_only_removed),
          RUN(what_is_too_old_is_removed_oldest_first),
          RUN(a_time_of_the_future_or_an_unreadable_head_does_not_keep_a_file_for_ever),
          RUN(a_bound_on_the_size_removes_the_oldest), RUN(while_a_backup_reads_nothing_is_removed),
          RUN(one_segment_of_the_full_size_is_put_aside),
          RUN(without_space_older_files_give_way_and_then_the_segment),
          RUN(the_journal_goes_before_history),
          RUN(a_segment_that_cannot_be_read_is_kept_and_reported_once),
          RUN(a_failure_at_any_step_loses_and_doubles_nothing),
          RUN(a_power_cut_at_any_step_loses_and_doubles_nothing),
          RUN(a_power_cut_in_the_start_after_a_kill_loses_and_doubles_nothing),
          RUN(a_power_cut_while_the_oldest_go_leaves_no_hole),
          RUN(a_start_removes_leftovers_and_doubles),
          RUN(a_start_while_a_backup_reads_removes_no_segment))
