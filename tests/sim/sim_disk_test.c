/* sim_disk_test.c — the simulated disk keeps what was synced and loses what was not: a writer that
 * trusts it is caught within a few seeds. */
#include "sim_disk.h"

#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/test.h"

enum { SEEDS = 200, RECORD = 700 };

static struct sim_power power;
static struct sim_disk d;

static void start(uint64_t seed)
{
    power = (struct sim_power){.seed = seed};
    sim_disk_init(&d, &power);
}

static void cut(void)
{
    sim_disk_cut(&d);
    power.dark = false;
    power.left = 0;
}

static int put(struct disk_file *f, struct span bytes, uint64_t at)
{
    union {
        const uint8_t *from;
        void *to;
    } u = {.from = bytes.data};
    struct iovec part = {u.to, bytes.len};
    return disk_write(f, &part, 1, at);
}

static struct disk_file *make(const char *name)
{
    struct disk_file *f = NULL;
    EXPECT_EQ(disk_open(&d.disk, name, true, &f), 0);
    return f;
}

/* The file's content, at most 4095 bytes; "-": there is none. Good until the next call. */
static const char *content(const char *name)
{
    static char text[4096];
    struct disk_file *f;
    size_t got = 0;
    if (disk_open(&d.disk, name, false, &f))
        return "-";
    EXPECT_EQ(disk_read(f, 0, text, sizeof(text) - 1, &got), 0);
    text[got] = 0;
    disk_close(f);
    return text;
}

static void put_file(const char *name, const char *text, bool sync)
{
    struct disk_file *f = make(name);
    EXPECT_EQ(put(f, span_text(text), 0), 0);
    if (sync)
        EXPECT_EQ(disk_sync(f), 0);
    disk_close(f);
}

TEST(what_is_written_is_read_before_it_lasts)
{
    start(1);
    struct disk_file *f = make("a"), *again;
    uint64_t size;
    char text[8] = "";
    size_t got;
    EXPECT_EQ(disk_open(&d.disk, "a", true, &again), EEXIST);
    EXPECT_EQ(disk_open(&d.disk, "b", false, &again), ENOENT);
    char one[] = "one", two[] = "two";
    struct iovec parts[] = {
        {one, 3},
        {two, 3}
    };
    EXPECT_EQ(disk_write(f, parts, 2, 2), 0);
    EXPECT_EQ(disk_size(f, &size), 0);
    EXPECT_EQ(size, 8);
    EXPECT_EQ(disk_read(f, 1, text, 6, &got), 0);
    EXPECT_SPAN(span_of(text, got), SPAN("\0onetw"));
    EXPECT_EQ(disk_read(f, 7, text, 6, &got), 0);
    EXPECT_SPAN(span_of(text, got), SPAN("o"));
    EXPECT_EQ(disk_read(f, 9, text, 6, &got), 0);
    EXPECT_EQ(got, 0);
    disk_close(f);
    sim_disk_fini(&d);
}

/* Appends records and counts them as safe when it believes they are. How many of those are lost? */
static unsigned append(bool sync_first)
{
    struct disk_file *f = make("log");
    uint8_t record[RECORD];
    unsigned safe = 0, there = 0;
    power.left = 2 + test_random(&power.seed) % 20;
    bool ok = disk_sync_names(&d.disk) == 0;
    for (unsigned i = 0; ok && i < 8; i++) {
        memset(record, 'a' + (int)i, RECORD);
        ok = put(f, span_of(record, RECORD), (uint64_t)i * RECORD) == 0;
        safe += ok && !sync_first;
        ok = ok && disk_sync(f) == 0;
        safe += ok && sync_first;
    }
    disk_close(f);
    cut();
    if (disk_open(&d.disk, "log", false, &f))
        return safe;
    for (size_t got; there < safe; there++) {
        uint8_t want[RECORD];
        memset(want, 'a' + (int)there, RECORD);
        if (disk_read(f, (uint64_t)there * RECORD, record, RECORD, &got) || got < RECORD ||
            memcmp(record, want, RECORD) != 0)
            break;
    }
    disk_close(f);
    return safe - there;
}

static unsigned lost_appends(bool sync_first)
{
    unsigned lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start(seed);
        lost += append(sync_first);
        sim_disk_fini(&d);
    }
    return lost;
}

TEST(a_writer_that_acknowledges_after_the_sync_loses_nothing)
{
    EXPECT_EQ(lost_appends(true), 0);
}

TEST(a_writer_that_acknowledges_before_the_sync_is_caught)
{
    EXPECT(lost_appends(false) > SEEDS / 8);
}

TEST(a_cut_leaves_sectors_torn_lost_and_out_of_order)
{
    unsigned none = 0, all = 0, torn = 0, later_only = 0, old = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint8_t text[3 * 512];
        start(seed);
        struct disk_file *f = make("a");
        memset(text, '0', sizeof(text));
        EXPECT_EQ(put(f, span_of(text, sizeof(text)), 0), 0);
        EXPECT_EQ(disk_sync(f), 0);
        EXPECT_EQ(disk_sync_names(&d.disk), 0);
        for (char c = '1'; c <= '2'; c++) {
            memset(text, c, sizeof(text));
            EXPECT_EQ(put(f, span_of(text, sizeof(text)), 0), 0);
        }
        disk_close(f);
        cut();
        const char *is = content("a");
        EXPECT_EQ(strlen(is), sizeof(text));
        for (size_t i = 0; i < sizeof(text); i++)
            EXPECT_EQ(is[i], is[i / 512 * 512]); /* a sector is whole */
        char first = is[0], second = is[512], third = is[1024];
        none += first == '0' && second == '0' && third == '0';
        all += first == '2' && second == '2' && third == '2';
        torn += first != second || second != third;
        later_only += first == '0' && third == '2';
        old += first == '1';
        sim_disk_fini(&d);
    }
    EXPECT(none > 10);
    EXPECT(all > 10);
    EXPECT(torn > 10);
    EXPECT(later_only > 2);
    EXPECT(old > 2);
}

/* Replaces a file the usual way, without one of its steps; is it ever neither old nor new? */
static unsigned bad_replacements(bool sync, bool names)
{
    unsigned bad = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start(seed);
        put_file("a", "old", true);
        EXPECT_EQ(disk_sync_names(&d.disk), 0);
        put_file("a.new", "new", sync);
        EXPECT_EQ(disk_rename(&d.disk, "a.new", "a"), 0);
        if (names)
            EXPECT_EQ(disk_sync_names(&d.disk), 0);
        cut();
        const char *is = content("a");
        bad += names ? strcmp(is, "new") != 0 : strcmp(is, "new") != 0 && strcmp(is, "old") != 0;
        sim_disk_fini(&d);
    }
    return bad;
}

TEST(a_file_that_is_renamed_before_it_is_synced_may_be_empty)
{
    EXPECT_EQ(bad_replacements(true, true), 0);
    EXPECT_EQ(bad_replacements(true, false), 0);
    EXPECT(bad_replacements(false, true) > SEEDS / 8);
}

TEST(names_may_last_or_not_until_they_are_synced)
{
    unsigned made = 0, removed = 0, renamed = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start(seed);
        put_file("gone", "x", true);
        put_file("from", "y", true);
        EXPECT_EQ(disk_sync_names(&d.disk), 0);
        put_file("made", "z", true);
        EXPECT_EQ(disk_remove(&d.disk, "gone"), 0);
        EXPECT_EQ(disk_rename(&d.disk, "from", "to"), 0);
        EXPECT_EQ(disk_remove(&d.disk, "nobody"), ENOENT);
        EXPECT_EQ(disk_rename(&d.disk, "nobody", "else"), ENOENT);
        cut();
        made += strcmp(content("made"), "z") == 0;
        removed += strcmp(content("gone"), "-") == 0;
        renamed += strcmp(content("to"), "y") == 0;
        EXPECT((strcmp(content("from"), "-") == 0) == (strcmp(content("to"), "y") == 0));
        sim_disk_fini(&d);
    }
    EXPECT(made > 20);
    EXPECT(made < SEEDS - 20);
    EXPECT(removed > 20);
    EXPECT(removed < SEEDS - 20);
    EXPECT(renamed > 20);
    EXPECT(renamed < SEEDS - 20);
}

TEST(after_a_failed_sync_the_next_succeeds_and_the_data_may_be_gone)
{
    unsigned lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start(seed);
        struct disk_file *f = make("a");
        EXPECT_EQ(disk_sync_names(&d.disk), 0);
        EXPECT_EQ(put(f, SPAN("text"), 0), 0);
        d.fail_in = 1;
        d.once = true;
        EXPECT_EQ(disk_sync(f), EIO);
        EXPECT_EQ(disk_sync(f), 0);
        disk_close(f);
        cut();
        lost += strcmp(content("a"), "text") != 0;
        sim_disk_fini(&d);
    }
    EXPECT(lost > SEEDS / 4);
    EXPECT(lost < SEEDS);
}

TEST(a_failed_write_may_have_done_a_part)
{
    unsigned part = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start(seed);
        struct disk_file *f = make("a");
        d.fail_in = 1;
        EXPECT_EQ(put(f, SPAN("text"), 0), EIO);
        disk_close(f);
        size_t len = strlen(content("a"));
        EXPECT_EQ(strncmp(content("a"), "text", len), 0);
        part += len > 0 && len < 4;
        sim_disk_fini(&d);
    }
    EXPECT(part > SEEDS / 4);
}

TEST(a_full_disk_takes_what_needs_no_space)
{
    start(1);
    d.room = 2048;
    struct disk_file *a = make("a"), *b = make("b");
    uint8_t zeros[4096] = {0};
    uint64_t size;
    EXPECT_EQ(put(a, span_of(zeros, 1024), 0), 0);
    EXPECT_EQ(put(b, span_of(zeros, 4096), 0), ENOSPC);
    EXPECT_EQ(disk_size(b, &size), 0);
    EXPECT_EQ(size, 1024);
    EXPECT_EQ(sim_disk_used(&d), 2048);
    EXPECT_EQ(put(a, SPAN("over it"), 100), 0);
    EXPECT_EQ(put(a, SPAN("more"), 1022), ENOSPC);
    EXPECT_EQ(disk_sync(a), 0);
    disk_close(b);
    EXPECT_EQ(disk_remove(&d.disk, "b"), 0);
    EXPECT_EQ(disk_sync_names(&d.disk), 0);
    EXPECT_EQ(put(a, SPAN("more"), 1022), 0);
    disk_close(a);
    sim_disk_fini(&d);
}

TEST(without_power_nothing_has_an_effect)
{
    start(1);
    struct disk_file *a = make("a"), *b;
    size_t got;
    EXPECT_EQ(put(a, SPAN("text"), 0), 0);
    EXPECT_EQ(disk_sync(a), 0);
    EXPECT_EQ(disk_sync_names(&d.disk), 0);
    power.dark = true;
    EXPECT_EQ(put(a, SPAN("else"), 0), EIO);
    EXPECT_EQ(disk_sync(a), EIO);
    EXPECT_EQ(disk_open(&d.disk, "b", true, &b), EIO);
    EXPECT_EQ(disk_remove(&d.disk, "a"), EIO);
    EXPECT_EQ(disk_read(a, 0, &got, 1, &got), EIO);
    disk_close(a);
    cut();
    EXPECT_EQ(strcmp(content("a"), "text"), 0);
    sim_disk_fini(&d);
}

static void on_name(void *owner, const char *name, uint64_t size)
{
    buf_printf(owner, "%s:%llu ", name, (unsigned long long)size);
}

TEST(everything_that_ever_was_can_be_had_again)
{
    struct sim_disk all;
    struct buf names = {0};
    start(1);
    d.keep = true;
    put_file("a", "first", true);
    EXPECT_EQ(disk_remove(&d.disk, "a"), 0);
    put_file("a", "second!", false);
    put_file("b", "b", false);
    EXPECT_EQ(disk_remove(&d.disk, "b"), 0);
    EXPECT_EQ(disk_sync_names(&d.disk), 0);
    sim_disk_init(&all, &power);
    sim_disk_all(&d, &all);
    sim_disk_cut(&all);
    EXPECT_EQ(disk_list(&all.disk, on_name, &names), 0);
    EXPECT_SPAN(buf_span(&names), SPAN("b:1 a:7 "));
    EXPECT(sim_disk_rot(&all, "a", 0, 1));
    EXPECT(!sim_disk_rot(&all, "a", 7, 1));
    sim_disk_fini(&all);
    sim_disk_fini(&d);
    buf_fini(&names);
}

TEST(a_removed_segment_without_a_block_is_had_again_between_two_others)
{
    static const struct {
        const char *name, *text;
        bool removed;
    } files[] = {
        {"0000000000000000.seg", "12345678", false},
        {"0000000000000008.seg", "1234",     true }, /* passed over */
        {"000000000000000c.seg", "12345678", false},
        {"0000000000000014.seg", "1234",     true }, /* made ahead */
        {"0000000000000004.seg", "1234",     true }, /* the same, by a former run */
    };
    struct sim_disk all;
    struct buf names = {0};
    start(1);
    d.keep = true;
    for (size_t i = 0; i < COUNT(files); i++) {
        put_file(files[i].name, files[i].text, true);
        if (files[i].removed)
            EXPECT_EQ(disk_remove(&d.disk, files[i].name), 0);
    }
    sim_disk_init(&all, &power);
    sim_disk_all(&d, &all);
    EXPECT_EQ(disk_list(&all.disk, on_name, &names), 0);
    EXPECT_SPAN(buf_span(&names),
                SPAN("0000000000000000.seg:8 000000000000000c.seg:8 0000000000000008.seg:4 "));
    sim_disk_fini(&all);
    sim_disk_fini(&d);
    buf_fini(&names);
}

TEST(the_same_seed_does_the_same)
{
    uint64_t hash[2];
    char text[2][4096];
    for (int i = 0; i < 2; i++) {
        start(7);
        (void)append(true);
        hash[i] = d.hash;
        snprintf(text[i], sizeof(text[i]), "%s", content("log"));
        sim_disk_fini(&d);
    }
    EXPECT_EQ(hash[0], hash[1]);
    EXPECT_EQ(strcmp(text[0], text[1]), 0);
}

TEST_MAIN(RUN(what_is_written_is_read_before_it_lasts),
          RUN(a_writer_that_acknowledges_after_the_sync_loses_nothing),
          RUN(a_writer_that_acknowledges_before_the_sync_is_caught),
          RUN(a_cut_leaves_sectors_torn_lost_and_out_of_order),
          RUN(a_file_that_is_renamed_before_it_is_synced_may_be_empty),
          RUN(names_may_last_or_not_until_they_are_synced),
          RUN(after_a_failed_sync_the_next_succeeds_and_the_data_may_be_gone),
          RUN(a_failed_write_may_have_done_a_part), RUN(a_full_disk_takes_what_needs_no_space),
          RUN(without_power_nothing_has_an_effect), RUN(everything_that_ever_was_can_be_had_again),
          RUN(a_removed_segment_without_a_block_is_had_again_between_two_others),
          RUN(the_same_seed_does_the_same))
