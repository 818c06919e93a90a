#include "store/journal_fixture.h"

static struct test_journal t;
static const struct mark beginning = {0};

/* -- the usual -- */

TEST(an_empty_directory_is_a_journal_only_from_the_beginning)
{
    struct recovery found;
    test_journal_begin(&t, 8192);
    journal_fini(&t.journal);
    EXPECT_EQ(disk_remove(&t.disk.disk, "0000000000000000.seg"), 0);
    EXPECT_EQ(test_journal_recover(&t, beginning, 0, &found), OK);
    EXPECT_EQ(found.count, 0);
    EXPECT_EQ(found.last, found.count);
    recovery_fini(&found);
    EXPECT_EQ(test_journal_read(&t, (struct mark){512, 0}, 0), DAMAGED);
    EXPECT(test_journal_why(&t, "the journal is missing from position 512 on"));
    test_journal_end(&t);
}

TEST(leftovers_are_removed_and_other_files_left_alone)
{
    static const char *const names[] = {"0000000000000400.seg.new",
                                        "a.new",
                                        "0000000000000800.seg.new",
                                        "1.new",
                                        "2.new",
                                        "3.new",
                                        "notes",
                                        ".new"};
    test_journal_begin(&t, 8192);
    for (size_t i = 0; i < COUNT(names); i++) {
        struct disk_file *file;
        EXPECT_EQ(disk_open(&t.disk.disk, names[i], true, &file), 0);
        disk_close(file);
    }
    EXPECT_JOURNAL(&t, "");
    EXPECT_EQ(t.disk.now.count, 3);
    EXPECT(test_disk_content(&t.disk, "notes") != NULL);
    EXPECT(test_disk_content(&t.disk, ".new") != NULL);
    test_journal_end(&t);
}

/* Another reads the same, and removes them. */
TEST(who_reads_beside_another_leaves_leftovers_alone)
{
    struct disk_file *file;
    struct recovery found;
    struct buf why = {0};
    test_journal_begin(&t, 8192);
    EXPECT_EQ(disk_open(&t.disk.disk, "a.new", true, &file), 0);
    disk_close(file);
    struct recovery_options o = {.disk = &t.disk.disk,
                                 .hub_id = test_hub_id,
                                 .beside = true,
                                 .fn = test_journal_on_block,
                                 .owner = &t};
    EXPECT_EQ(recovery_run(&o, &found, &why), OK);
    EXPECT(test_disk_content(&t.disk, "a.new") != NULL);
    recovery_fini(&found);
    test_journal_end(&t);
}

TEST(reading_begins_at_the_mark)
{
    struct mark marks[13] = {{0}};
    test_journal_begin(&t, 2560); /* four sectors */
    for (int i = 1; i <= 12; i++) {
        if (journal_left(&t.journal) == 0)
            test_journal_turn(&t);
        test_journal_put(&t, 1, ONE_SECTOR);
        marks[i] = (struct mark){t.journal.end, t.journal.prev};
    }
    for (uint64_t i = 0; i <= 12; i++) {
        EXPECT_EQ(test_journal_read(&t, marks[i], 0), OK);
        EXPECT_EQ(t.blocks, 12 - i);
        EXPECT_EQ(t.end.position, t.journal.end);
    }
    EXPECT_EQ(test_journal_read(&t, marks[10], 0), OK);
    EXPECT_SPAN(buf_span(&t.read), SPAN("11 12 "));
    test_journal_end(&t);
}

/* The base has all of a full segment, and there was no space for the next one. */
TEST(a_mark_at_the_very_end_of_the_last_segment_is_its_end)
{
    test_journal_begin(&t, 2560);
    test_journal_put(&t, 4, ONE_SECTOR);
    EXPECT_EQ(journal_left(&t.journal), 0);
    struct mark mark = {t.journal.end, t.journal.prev};
    EXPECT_EQ(test_journal_read(&t, mark, 0), OK);
    EXPECT_EQ(t.blocks, 0);
    EXPECT_EQ(t.last, 0);
    EXPECT_EQ(t.end.position, mark.position);
    EXPECT_EQ(t.end.prev, mark.prev);
    test_journal_turn(&t);
    EXPECT_EQ(test_journal_read(&t, mark, 0), OK);
    EXPECT_EQ(t.last, 1);
    EXPECT_EQ(t.end.position, mark.position + SEGMENT_HEAD);
    test_journal_put(&t, 1, ONE_SECTOR);
    EXPECT_EQ(test_journal_read(&t, mark, 0), OK);
    EXPECT_SPAN(buf_span(&t.read), SPAN("5 "));
    EXPECT_EQ(test_journal_read(&t, (struct mark){mark.position + 2560 + 512, 0}, 0), DAMAGED);
    test_journal_end(&t);
}

TEST(empty_segments_behind_the_end_are_no_harm)
{
    test_journal_begin(&t, 2560);
    test_journal_put(&t, 2, ONE_SECTOR);
    struct segment spare = test_journal_segment(&t, 2560), another = test_journal_segment(&t, 5120);
    disk_close(spare.file);
    disk_close(another.file);
    EXPECT_JOURNAL(&t, "1 2 ");
    EXPECT_EQ(t.last, 0);
    test_journal_end(&t);
}

/* -- torn tails -- */

enum { FIRST = 512 + 1024, TAIL = 6 }; /* sectors of the last group */

/* Block 1 lasts, blocks 2 to 4 were being written. */
static void begin_torn(void)
{
    test_journal_begin(&t, 8192);
    test_journal_put(&t, 1, TWO_SECTORS);
    EXPECT_EQ(test_journal_write(&t, 3, TWO_SECTORS), 0);
}

/* Only these sectors of the last group came to be; what is then read, and read again once the
 * journal has gone on. */
static void tear(unsigned sectors)
{
    begin_torn();
    for (unsigned i = 0; i < TAIL; i++)
        if (!(sectors >> i & 1))
            memset(test_journal_at(&t, FIRST + i * 512), 0, 512);
    int whole = (sectors & 3) != 3 ? 0 : (sectors & 12) != 12 ? 1 : (sectors & 48) != 48 ? 2 : 3;
    static const char *const left[] = {"1 ", "1 2 ", "1 2 3 ", "1 2 3 4 "},
                             *const more[] = {"1 5 6 ", "1 2 5 6 ", "1 2 3 5 6 ", "1 2 3 4 5 6 "},
                             *const most[] = {"1 5 6 7 ", "1 2 5 6 7 ", "1 2 3 5 6 7 ",
                                              "1 2 3 4 5 6 7 "};
    EXPECT_JOURNAL(&t, left[whole]);
    EXPECT_EQ(t.end.position, FIRST + whole * 1024);
    test_journal_resume(&t);
    test_journal_put(&t, 2, ONE_SECTOR);
    EXPECT_JOURNAL(&t, more[whole]);
    test_journal_put(&t, 1, TWO_SECTORS);
    EXPECT_JOURNAL(&t, most[whole]);
    test_journal_end(&t);
}

TEST(a_tail_torn_at_any_sector_ends_the_journal_and_it_goes_on_from_there)
{
    for (unsigned sectors = 0; sectors < 1 << TAIL; sectors++) /* in any order, too */
        tear(sectors);
}

TEST(a_tail_torn_within_a_sector_ends_the_journal)
{
    for (size_t at = FIRST; at < FIRST + 3072; at += 61) {
        begin_torn();
        uint8_t *byte = test_journal_at(&t, at);
        memset(byte, 0xee, FIRST + 3072 - at);
        EXPECT_EQ(test_journal_read(&t, beginning, 0), OK);
        EXPECT(t.blocks == 1 + (at - FIRST) / 1024 || /* or only the zeros after it were hit */
               t.blocks == 2 + (at - FIRST) / 1024);
        test_journal_end(&t);
    }
}

/* A block left behind by a write that was cut off lies right where the next run's block ends. */
TEST(a_stale_block_is_never_taken_up_by_a_later_run)
{
    test_journal_begin(&t, 8192);
    test_journal_put(&t, 1, ONE_SECTOR);
    EXPECT_EQ(test_journal_write(&t, 4, ONE_SECTOR), 0);
    memset(test_journal_at(&t, 1024), 0, 512); /* block 2 never came to be; 3, 4 and 5 did */
    for (int i = 6; i <= 9; i++) {
        char want[32];
        test_journal_resume(&t);
        test_journal_put(&t, 1, ONE_SECTOR);
        snprintf(want, sizeof(want), "%.*s%d ", SPAN_ARG(t.read), i);
        EXPECT_JOURNAL(&t, want);
    }
    EXPECT_JOURNAL(&t, "1 6 7 8 9 ");
    test_journal_end(&t);
}

/* The same, in a segment that was begun and whose first block was lost: it is a spare again. */
TEST(a_stale_block_in_the_next_segment_is_never_taken_up)
{
    test_journal_begin(&t, 2560);
    test_journal_put(&t, 2, ONE_SECTOR);
    test_journal_turn(&t);
    EXPECT_EQ(test_journal_write(&t, 3, ONE_SECTOR), 0);
    struct segment next = t.journal.current;
    memset(test_journal_at(&t, next.start + SEGMENT_HEAD), 0, 512);
    test_journal_resume(&t);
    EXPECT_SPAN(buf_span(&t.read), SPAN("1 2 "));
    EXPECT_EQ(t.last, 0);
    test_journal_put(&t, 2, ONE_SECTOR);
    EXPECT_JOURNAL(&t, "1 2 6 7 ");
    char name[SEGMENT_NAME];
    segment_name(name, next.start);
    EXPECT_EQ(disk_open(&t.disk.disk, name, false, &next.file), 0);
    journal_turn(&t.journal, &next);
    EXPECT_JOURNAL(&t, "1 2 6 7 ");
    test_journal_put(&t, 1, ONE_SECTOR);
    EXPECT_JOURNAL(&t, "1 2 6 7 8 ");
    test_journal_put(&t, 1, TWO_SECTORS);
    EXPECT_JOURNAL(&t, "1 2 6 7 8 9 ");
    test_journal_end(&t);
}

/* What a power cut leaves of anything not synced: never less than was durable, never a hole. */
TEST(after_a_power_cut_the_journal_is_what_was_durable_or_a_little_more)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        uint64_t durable = 0, random = seed;
        test_journal_begin(&t, 4096);
        for (int round = 0; round < 4; round++) {
            for (uint64_t i = test_random(&random) % 6; i > 0; i--) {
                if (journal_left(&t.journal) < 3072)
                    test_journal_turn(&t);
                test_journal_put(&t, 1 + (int)(test_random(&random) % 2), TWO_SECTORS);
            }
            EXPECT_EQ(test_journal_read(&t, beginning, 0), OK);
            durable = t.blocks;
            if (journal_left(&t.journal) < 3072)
                test_journal_turn(&t);
            EXPECT_EQ(test_journal_write(&t, 3, ONE_SECTOR), 0);
            test_journal_cut(&t, seed);
            test_journal_resume(&t);
            EXPECT(t.blocks >= durable);
            EXPECT(t.blocks <= durable + 3);
            EXPECT_EQ(journal_sync(&t.journal), 0);
        }
        test_journal_end(&t);
    }
}

/* -- damage -- */

/* Blocks 1 2 | 3 | 4 in a segment of five sectors, 5 6 | 7 in the next: groups, each synced. */
static void begin_groups(void)
{
    test_journal_begin(&t, 2560 + 512);
    test_journal_put(&t, 2, ONE_SECTOR);
    test_journal_put(&t, 1, ONE_SECTOR);
    test_journal_put(&t, 1, TWO_SECTORS);
    test_journal_turn(&t);
    test_journal_put(&t, 2, ONE_SECTOR);
    test_journal_put(&t, 1, ONE_SECTOR);
}

static const struct {
    const char *name;
    uint64_t at; /* of a byte that is changed */
    enum status want;
    const char *read, *why;
} damages[] = {
    {"a head, its group is known durable", 512,        DAMAGED, "",
     "damaged at position 512 (journal/0000000000000000.seg, byte 512): a later block shows"  },
    {"a body",                             1024 + 100, DAMAGED, "1 ",
     "damaged at position 1024 (journal/0000000000000000.seg, byte 1024): a later block"      },
    {"the last of a segment",              2048 + 600, DAMAGED, "1 2 3 ",
     "damaged at position 2048 (journal/0000000000000000.seg, byte 2048): a later segment"    },
    {"the first of the second segment",    3584 + 20,  DAMAGED, "1 2 3 4 ",
     "damaged at position 3072 (journal/0000000000000000.seg, byte 3072): a later segment"    },
    {"the second one's second",            4096 + 90,  DAMAGED, "1 2 3 4 5 ",
     "damaged at position 4096 (journal/0000000000000c00.seg, byte 1024): a later block shows"},
    {"the last of all",                    4608 + 200, OK,      "1 2 3 4 5 6 ",   NULL        },
    {"the zeros after a block",            512 + 511,  OK,      "1 2 3 4 5 6 7 ", NULL        },
    {"zeros that were not yet used",       5120 + 5,   OK,      "1 2 3 4 5 6 7 ", NULL        },
};

TEST(a_durable_block_that_is_damaged_is_named)
{
    for (size_t i = 0; i < COUNT(damages); i++) {
        begin_groups();
        *test_journal_at(&t, damages[i].at) ^= 0x10;
        EXPECT_EQ_IN(damages[i].name, test_journal_read(&t, beginning, 0), damages[i].want);
        EXPECT_SPAN_IN(damages[i].name, buf_span(&t.read), span_text(damages[i].read));
        if (damages[i].why && !test_journal_why(&t, damages[i].why))
            fail_msg("%s: \"%.*s\"", damages[i].name, SPAN_ARG(t.why));
        test_journal_end(&t);
    }
}

/* Every block of the second segment but its first is sound, and so is the chain between them. */
TEST(a_block_that_does_not_continue_the_chain_is_no_block)
{
    begin_groups();
    struct mark wrong = {512 + 512, 0x12345678};
    EXPECT_EQ(test_journal_read(&t, wrong, 0), DAMAGED);
    EXPECT_SPAN(buf_span(&t.read), SPAN(""));
    EXPECT(test_journal_why(&t, "damaged at position 1024"));
    wrong.position = 3072;
    EXPECT_EQ(test_journal_read(&t, wrong, 0), DAMAGED);
    test_journal_end(&t);
    /* and at the end of all, nothing says that there was more */
    test_journal_begin(&t, 8192);
    test_journal_put(&t, 1, ONE_SECTOR);
    EXPECT_EQ(test_journal_read(&t, (struct mark){512, 1}, 0), OK);
    EXPECT_EQ(t.blocks, 0);
    test_journal_end(&t);
}

/* A block that lies where the next one belongs, sound, but for one number of its head. */
static const struct {
    const char *name;
    uint32_t length;
    uint64_t salt, run, position;
    uint32_t prev;
    const char *read;
} strangers[] = {
    {"as it should be",         0,       0, 0, 0,   0, "1 2 "},
    {"of another run",          0,       0, 5, 0,   0, "1 2 "},
    {"of another segment",      0,       1, 0, 0,   0, "1 "  },
    {"of another place",        0,       0, 0, 512, 0, "1 "  },
    {"of another chain",        0,       0, 0, 0,   1, "1 "  },
    {"that ends with the file", 7168,    0, 0, 0,   0, "1 "  }, /* its body is not as long */
    {"that ends behind it",     7169,    0, 0, 0,   0, "1 "  },
    {"that ends far behind",    1 << 20, 0, 0, 0,   0, "1 "  },
};

TEST(a_block_counts_only_in_its_place)
{
    for (size_t i = 0; i < COUNT(strangers); i++) {
        test_journal_begin(&t, 8192);
        test_journal_put(&t, 1, ONE_SECTOR);
        const struct journal *j = &t.journal;
        struct journal_block *b = test_journal_block(&t, ONE_SECTOR);
        struct block place = {.salt = j->current.salt + strangers[i].salt,
                              .run = j->run + strangers[i].run,
                              .position = j->end + strangers[i].position,
                              .durable = j->durable,
                              .prev = j->prev + strangers[i].prev};
        if (strangers[i].length)
            store_u32le(b->bytes.data + 8, strangers[i].length);
        block_seal(&b->bytes, &place);
        memcpy(test_journal_at(&t, j->end), b->bytes.data, b->bytes.len);
        journal_block_free(b);
        EXPECT_EQ_IN(strangers[i].name, test_journal_read(&t, beginning, 0), OK);
        EXPECT_SPAN_IN(strangers[i].name, buf_span(&t.read), span_text(strangers[i].read));
        test_journal_end(&t);
    }
}

static void remove_segment(const char *name)
{
    EXPECT_EQ(disk_remove(&t.disk.disk, name), 0);
}

TEST(a_missing_segment_is_named)
{
    begin_groups();
    test_journal_turn(&t);
    test_journal_put(&t, 1, ONE_SECTOR);
    EXPECT_EQ(test_journal_read(&t, beginning, 0), OK);
    remove_segment("0000000000000c00.seg");
    EXPECT_EQ(test_journal_read(&t, beginning, 0), DAMAGED);
    EXPECT(test_journal_why(&t, "damaged at position 3072 (journal/0000000000000000.seg, byte "
                                "3072): the next segment is missing"));
    EXPECT_EQ(test_journal_read(&t, (struct mark){t.journal.current.start + 1024, 0}, 0), OK);
    remove_segment("0000000000000000.seg");
    EXPECT_EQ(test_journal_read(&t, beginning, 0), DAMAGED);
    EXPECT(test_journal_why(&t, "the journal is missing from position 0 on; restore"));
    test_journal_end(&t);
}

TEST(segments_are_read_in_order_however_they_are_listed)
{
    begin_groups();
    EXPECT_EQ(disk_rename(&t.disk.disk, "0000000000000000.seg", "aside"), 0);
    EXPECT_EQ(disk_rename(&t.disk.disk, "aside", "0000000000000000.seg"), 0);
    EXPECT_SPAN(span_text(t.disk.now.at[0].text), SPAN("0000000000000c00.seg"));
    EXPECT_JOURNAL(&t, "1 2 3 4 5 6 7 ");
    test_journal_end(&t);
}

TEST(a_segment_of_before_the_mark_may_be_missing)
{
    begin_groups();
    struct mark mark = {t.journal.current.start + SEGMENT_HEAD, 0};
    struct block first;
    EXPECT_EQ(block_read(span_of(test_journal_at(&t, mark.position), BLOCK_HEAD), &first), OK);
    mark.prev = first.prev;
    remove_segment("0000000000000000.seg");
    EXPECT_EQ(test_journal_read(&t, mark, 0), OK);
    EXPECT_SPAN(buf_span(&t.read), SPAN("5 6 7 "));
    test_journal_end(&t);
}

TEST(a_segment_that_is_cut_short_is_named)
{
    static const struct {
        size_t len;
        const char *why;
    } rows[] = {
        {0,    "byte 0): its header is not what was written"                                  },
        {511,  "byte 0): its header is not what was written"                                  },
        {512,  "position 3584 (journal/0000000000000c00.seg, byte 512): the file is cut short"},
        {3071, "byte 3071): the file is cut short"                                            },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_groups();
        test_disk_content(&t.disk, "0000000000000c00.seg")->len = rows[i].len;
        EXPECT_EQ(test_journal_read(&t, beginning, 0), DAMAGED);
        EXPECT(test_journal_why(&t, rows[i].why));
        EXPECT_EQ(t.blocks, 0);
        test_journal_end(&t);
    }
}

TEST(a_segment_of_another_hub_or_under_another_name_is_named)
{
    begin_groups();
    struct recovery found;
    struct recovery_options o = {.disk = &t.disk.disk,
                                 .hub_id = (const uint8_t *)"another hub's id",
                                 .fn = test_journal_on_block,
                                 .owner = &t};
    EXPECT_EQ(recovery_run(&o, &found, &t.why), DAMAGED);
    EXPECT(test_journal_why(&t, "damaged at position 0 (journal/0000000000000000.seg, byte 0): it "
                                "belongs to another hub"));
    EXPECT_EQ(disk_rename(&t.disk.disk, "0000000000000c00.seg", "0000000000000e00.seg"), 0);
    EXPECT_EQ(test_journal_read(&t, beginning, 0), DAMAGED);
    EXPECT(test_journal_why(&t, "0000000000000e00.seg, byte 0): its header is not"));
    test_journal_end(&t);
}

/* -- stop -- */

TEST(stop_ends_the_reading_before_the_block_that_is_there)
{
    static const struct {
        uint64_t stop, blocks, end;
    } rows[] = {
        {1,    0, 512 },
        {512,  0, 512 },
        {513,  1, 1024},
        {1024, 1, 1024},
        {2048, 3, 2048},
        {3072, 4, 3072},
        {3584, 4, 3584},
        {4096, 5, 4096},
        {5119, 7, 5120},
        {9999, 7, 5120},
    };
    begin_groups();
    for (size_t i = 0; i < COUNT(rows); i++) {
        EXPECT_EQ(test_journal_read(&t, beginning, rows[i].stop), OK);
        EXPECT_EQ(t.blocks, rows[i].blocks);
        EXPECT_EQ(t.end.position, rows[i].end);
    }
    *test_journal_at(&t, 1024 + 100) ^= 1; /* the damage that was named, and what is before it */
    EXPECT_EQ(test_journal_read(&t, beginning, 0), DAMAGED);
    EXPECT_EQ(test_journal_read(&t, beginning, 1024), OK);
    EXPECT_SPAN(buf_span(&t.read), SPAN("1 "));
    EXPECT_EQ(t.end.position, 1024);
    test_journal_end(&t);
}

/* -- others -- */

TEST(a_refusal_of_who_is_given_the_blocks_ends_the_reading)
{
    begin_groups();
    t.number = UINT64_MAX;
    EXPECT_EQ(test_journal_read(&t, beginning, 0), TOO_LARGE);
    EXPECT_SPAN(buf_span(&t.read), SPAN("1 "));
    EXPECT_SPAN(buf_span(&t.why), SPAN("enough"));
    test_journal_end(&t);
}

TEST(a_file_system_that_refuses_is_no_damage)
{
    begin_groups();
    t.disk.unreadable = "0000000000000c00.seg";
    EXPECT_EQ(test_journal_read(&t, beginning, 0), UNAVAILABLE);
    EXPECT(test_journal_why(&t, "cannot read journal/0000000000000c00.seg: Input/output error"));
    t.disk.unreadable = NULL;
    struct disk_file *file;
    EXPECT_EQ(disk_open(&t.disk.disk, "a.new", true, &file), 0);
    disk_close(file);
    t.disk.fail_at = t.disk.steps + 1;
    t.disk.error = ENOSPC; /* a removal that needs space */
    EXPECT_EQ(test_journal_read(&t, beginning, 0), STORAGE_FULL);
    EXPECT(test_journal_why(&t, "cannot list journal/: No space left on device"));
    journal_fini(&t.journal);
    t.disk.cut_at = t.disk.steps; /* nothing answers any more */
    EXPECT_EQ(test_journal_read(&t, beginning, 0), UNAVAILABLE);
    test_journal_end(&t);
}

static int open_error, read_error, got_less;
static const struct disk_ops *real_ops;

static int failing_open(struct disk *d, const char *name, bool create, struct disk_file **out)
{
    return open_error ? open_error : real_ops->open(d, name, create, out);
}

/* Of what follows a header. */
static int failing_read(struct disk_file *f, uint64_t at, void *out, size_t len, size_t *got)
{
    int error = real_ops->read(f, at, out, len, got);
    if (len == SEGMENT_HEAD)
        return error;
    *got -= (size_t)got_less;
    return read_error;
}

TEST(each_call_that_fails_is_told_with_its_file)
{
    begin_groups();
    struct disk_ops ops = *t.disk.disk.ops;
    real_ops = t.disk.disk.ops;
    ops.open = failing_open;
    ops.read = failing_read;
    t.disk.disk.ops = &ops;
    open_error = EACCES;
    EXPECT_EQ(test_journal_read(&t, beginning, 0), UNAVAILABLE);
    EXPECT(test_journal_why(&t, "cannot open journal/0000000000000000.seg: Permission denied"));
    open_error = EDQUOT;
    EXPECT_EQ(test_journal_read(&t, beginning, 0), STORAGE_FULL);
    open_error = 0;
    read_error = EIO;
    EXPECT_EQ(test_journal_read(&t, beginning, 0), UNAVAILABLE);
    EXPECT(test_journal_why(&t, "cannot read journal/0000000000000000.seg: Input/output error"));
    read_error = 0;
    got_less = 512; /* it was cut short since its length was asked for */
    EXPECT_EQ(test_journal_read(&t, beginning, 0), UNAVAILABLE);
    got_less = 0;
    EXPECT_JOURNAL(&t, "1 2 3 4 5 6 7 ");
    t.disk.disk.ops = real_ops;
    test_journal_end(&t);
}

/* Every flipped bit of a journal of three groups, the last of them not known to be durable. */
TEST(no_flipped_bit_makes_wrong_content)
{
    static const char whole[] = "1 2 3 4 ";
    test_journal_begin(&t, 2560);
    test_journal_put(&t, 2, 20);
    test_journal_put(&t, 1, 20);
    test_journal_turn(&t);
    test_journal_put(&t, 1, 20);
    uint64_t last = t.journal.current.start + SEGMENT_HEAD, shorter = 0, damaged = 0, same = 0;
    for (uint64_t bit = 0; bit < (last + 512) * 8; bit++) {
        uint8_t *byte = test_journal_at(&t, bit / 8), flip = (uint8_t)(1 << bit % 8);
        *byte ^= flip;
        enum status st = test_journal_read(&t, beginning, 0);
        *byte ^= flip;
        EXPECT(span_starts(span_text(whole), buf_span(&t.read)));
        damaged += st == DAMAGED;
        if (st == DAMAGED)
            continue;
        EXPECT_EQ(st, OK);
        shorter += t.blocks == 3;
        same += t.blocks == 4;
        EXPECT(t.blocks == 4 || (t.blocks == 3 && bit / 8 >= last));
    }
    uint64_t block = BLOCK_HEAD + 8 + 22 + 40;
    EXPECT_EQ(damaged, 8 * (2 * SEGMENT_HEAD + 3 * block));
    EXPECT_EQ(shorter, 8 * block);
    EXPECT_EQ(same, (last + 512) * 8 - damaged - shorter);
    test_journal_end(&t);
}

TEST_MAIN(RUN(an_empty_directory_is_a_journal_only_from_the_beginning),
          RUN(leftovers_are_removed_and_other_files_left_alone),
          RUN(who_reads_beside_another_leaves_leftovers_alone), RUN(reading_begins_at_the_mark),
          RUN(a_mark_at_the_very_end_of_the_last_segment_is_its_end),
          RUN(empty_segments_behind_the_end_are_no_harm),
          RUN(a_tail_torn_at_any_sector_ends_the_journal_and_it_goes_on_from_there),
          RUN(a_tail_torn_within_a_sector_ends_the_journal),
          RUN(a_stale_block_is_never_taken_up_by_a_later_run),
          RUN(a_stale_block_in_the_next_segment_is_never_taken_up),
          RUN(after_a_power_cut_the_journal_is_what_was_durable_or_a_little_more),
          RUN(a_durable_block_that_is_damaged_is_named),
          RUN(a_block_that_does_not_continue_the_chain_is_no_block),
          RUN(a_block_counts_only_in_its_place), RUN(a_missing_segment_is_named),
          RUN(segments_are_read_in_order_however_they_are_listed),
          RUN(a_segment_of_before_the_mark_may_be_missing),
          RUN(a_segment_that_is_cut_short_is_named),
          RUN(a_segment_of_another_hub_or_under_another_name_is_named),
          RUN(stop_ends_the_reading_before_the_block_that_is_there),
          RUN(a_refusal_of_who_is_given_the_blocks_ends_the_reading),
          RUN(a_file_system_that_refuses_is_no_damage),
          RUN(each_call_that_fails_is_told_with_its_file), RUN(no_flipped_bit_makes_wrong_content))
