#include "store/disk_fixture.h"

#include "base/hash.h"
#include "base/text.h"
#include "store/segment.h"

enum { SIZE = 2 << 20 }; /* two pieces */

static const struct segment sample = {.start = 0x4000000,
                                      .size = SIZE,
                                      .salt = 0xa1a2a3a4a5a6a7a8,
                                      .epoch = 7,
                                      .hub_id = "0123456789abcde"};
static const char name[] = "0000000004000000.seg", name_new[] = "0000000004000000.seg.new";

TEST(a_segment_is_named_by_its_start)
{
    static const uint64_t starts[] = {0, 512, 0x4000000, UINT64_MAX};
    char out[SEGMENT_NAME];
    for (size_t i = 0; i < COUNT(starts); i++) {
        uint64_t start = 1;
        segment_name(out, starts[i]);
        EXPECT_EQ(strlen(out), SEGMENT_NAME - 4);
        EXPECT(segment_start(out, &start));
        EXPECT_EQ(start, starts[i]);
    }
    segment_name(out, 0x4000000);
    EXPECT_SPAN(span_text(out), span_text(name));
}

TEST(other_names_are_no_segments)
{
    static const char *const names[] = {"",
                                        "0.seg",
                                        "0000000004000000",
                                        "0000000004000000.seg.new",
                                        "0000000004000000.SEG",
                                        "000000000400000A.seg",
                                        " 000000004000000.seg",
                                        "-000000004000000.seg",
                                        "0x00000004000000.seg",
                                        "00000000004000000.seg",
                                        "lock"};
    for (size_t i = 0; i < COUNT(names); i++) {
        uint64_t start = 1;
        EXPECT_EQ_IN(names[i], segment_start(names[i], &start), false);
        EXPECT_EQ(start, 1);
    }
}

TEST(its_header_lies_on_disk_as_it_is_drawn)
{
    static const char want[] = "54775367"                         /* "TwSg" */
                               "01000000"                         /* format */
                               "0000000000000000"                 /* features */
                               "30313233343536373839616263646500" /* hub id */
                               "0000000400000000"                 /* start */
                               "0000200000000000"                 /* size */
                               "a8a7a6a5a4a3a2a1"                 /* salt */
                               "0700000000000000";                /* epoch */
    uint8_t bytes[SEGMENT_HEAD];
    struct segment got = {.start = 1};
    struct buf hex = {0};
    segment_write(&sample, bytes);
    text_put_hex(&hex, span_of(bytes, 64));
    EXPECT_SPAN(buf_span(&hex), span_text(want));
    for (size_t i = 64; i < SEGMENT_HEAD - 4; i++)
        EXPECT_EQ(bytes[i], 0);
    EXPECT_EQ(load_u32le(bytes + SEGMENT_HEAD - 4), 0xf1efc7a0);
    EXPECT_EQ(segment_read(test_at_edge(span_of(bytes, sizeof(bytes))).data, &got), OK);
    EXPECT(memcmp(&got, &sample, sizeof(got)) == 0);
    buf_fini(&hex);
}

TEST(every_flipped_bit_of_the_header_is_damage)
{
    uint8_t bytes[SEGMENT_HEAD];
    struct segment got;
    segment_write(&sample, bytes);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_EQ(segment_read(bytes, &got), DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    EXPECT_EQ(segment_read(bytes, &got), OK);
}

static const struct {
    const char *name;
    uint64_t start, size;
    enum status want;
} rows[] = {
    {"the smallest",            0,                       1024,              OK     },
    {"the largest",             512,                     SEGMENT_MAX,       OK     },
    {"the last",                UINT64_MAX - 511 - 1024, 1024,              OK     },
    {"beyond the end of all",   UINT64_MAX - 511,        1024,              DAMAGED},
    {"no room for a block",     0,                       512,               DAMAGED},
    {"no size",                 0,                       0,                 DAMAGED},
    {"too large",               0,                       SEGMENT_MAX + 512, DAMAGED},
    {"not whole sectors",       0,                       1025,              DAMAGED},
    {"not at the start of one", 1,                       1024,              DAMAGED},
    {"a size that wraps",       1024,                    UINT64_MAX - 511,  DAMAGED},
};

TEST(a_header_with_numbers_that_no_writer_makes_is_damage)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t bytes[SEGMENT_HEAD];
        struct segment s = sample, got;
        s.start = rows[i].start;
        s.size = rows[i].size;
        segment_write(&s, bytes);
        EXPECT_EQ_IN(rows[i].name, segment_read(bytes, &got), rows[i].want);
    }
}

/* A header that a later program made: its numbers are not ours, its checksum is right. */
TEST(a_later_format_and_an_unknown_feature_are_refused)
{
    static const struct {
        size_t at;
        uint32_t value;
    } later[] = {
        {0,  0x67537755},
        {4,  2         },
        {8,  1         },
        {12, 1         },
    };
    for (size_t i = 0; i < COUNT(later); i++) {
        uint8_t bytes[SEGMENT_HEAD];
        struct segment got;
        segment_write(&sample, bytes);
        store_u32le(bytes + later[i].at, later[i].value);
        store_u32le(bytes + SEGMENT_HEAD - 4, hash_crc32c(0, span_of(bytes, SEGMENT_HEAD - 4)));
        EXPECT_EQ(segment_read(bytes, &got), DAMAGED);
    }
}

/* -- making one -- */

static struct test_disk disk;

static int make(struct segment_maker *m, int *steps)
{
    int error;
    *m = (struct segment_maker){.disk = &disk.disk, .segment = sample};
    *steps = 0;
    do {
        error = segment_make(m);
        ++*steps;
    } while (error == EAGAIN);
    return error;
}

static void expect_whole(void)
{
    uint8_t head[SEGMENT_HEAD];
    const struct buf *content = test_disk_content(&disk, name);
    EXPECT(content != NULL);
    EXPECT_EQ(content->len, SIZE);
    segment_write(&sample, head);
    EXPECT(memcmp(content->data, head, sizeof(head)) == 0);
    for (size_t i = SEGMENT_HEAD; i < content->len; i++)
        EXPECT_EQ(content->data[i], 0);
    EXPECT_EQ(disk.now.count, 1);
}

TEST(a_segment_is_made_in_steps_and_lasts_with_its_name)
{
    struct segment_maker m;
    int steps;
    test_disk_init(&disk);
    EXPECT_EQ(make(&m, &steps), 0);
    EXPECT_EQ(steps, 3); /* two pieces, then the rest */
    EXPECT(m.segment.file != NULL);
    disk_close(m.segment.file);
    test_disk_cut(&disk, 0); /* the power fails, and nothing of it is lost */
    expect_whole();
    test_disk_fini(&disk);
}

TEST(what_an_attempt_left_is_made_anew)
{
    struct segment_maker m;
    struct disk_file *file;
    int steps;
    test_disk_init(&disk);
    EXPECT_EQ(disk_open(&disk.disk, name_new, true, &file), 0);
    struct iovec part = {memset(malloc(3), 'x', 3), 3};
    EXPECT_EQ(disk_write(file, &part, 1, SIZE), 0); /* longer than a segment */
    free(part.iov_base);
    disk_close(file);
    EXPECT_EQ(make(&m, &steps), 0);
    disk_close(m.segment.file);
    expect_whole();
    test_disk_fini(&disk);
}

/* A power cut at each step: under its name there is the whole of it or nothing. */
TEST(there_is_never_a_part_of_it_under_its_name)
{
    bool made = false;
    for (uint64_t at = 1; !made; at++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct segment_maker m;
            int steps;
            test_disk_init(&disk);
            disk.cut_at = at;
            made = make(&m, &steps) == 0;
            disk_close(m.segment.file);
            test_disk_cut(&disk, seed);
            if (test_disk_content(&disk, name))
                expect_whole();
            else
                EXPECT(!made);
            test_disk_fini(&disk);
        }
    }
}

TEST(without_space_at_any_step_nothing_is_left)
{
    bool made = false;
    uint64_t at = 0;
    while (!made) {
        struct segment_maker m;
        int steps;
        test_disk_init(&disk);
        disk.fail_at = ++at;
        disk.error = ENOSPC;
        int error = make(&m, &steps);
        made = error == 0;
        if (!made) {
            EXPECT_EQ(error, ENOSPC);
            EXPECT(m.segment.file == NULL);
            EXPECT_EQ(disk.now.count, 0);
            disk.fail_at = 0;
            EXPECT_EQ(make(&m, &steps), 0); /* and another attempt finds nothing in its way */
        }
        disk_close(m.segment.file);
        expect_whole();
        test_disk_fini(&disk);
    }
    EXPECT_EQ(at, 10); /* create, 2 × (write, sync), write, sync, rename, sync of the names: 9 */
}

TEST(a_disk_that_is_full_gives_the_space_back)
{
    struct segment_maker m;
    int steps;
    test_disk_init(&disk);
    disk.room = SIZE - 1;
    EXPECT_EQ(make(&m, &steps), ENOSPC);
    EXPECT_EQ(steps, 2);
    EXPECT_EQ(test_disk_used(&disk), 0);
    disk.room = SIZE;
    EXPECT_EQ(make(&m, &steps), 0);
    disk_close(m.segment.file);
    test_disk_fini(&disk);
}

TEST(one_that_is_given_up_leaves_nothing)
{
    struct segment_maker m = {.disk = &disk.disk, .segment = sample};
    test_disk_init(&disk);
    segment_unmake(&m); /* not begun */
    EXPECT_EQ(segment_make(&m), EAGAIN);
    segment_unmake(&m);
    EXPECT_EQ(disk.now.count, 0);
    segment_unmake(&m);                  /* harmless */
    EXPECT_EQ(segment_make(&m), EAGAIN); /* from its beginning */
    EXPECT_EQ(segment_make(&m), EAGAIN);
    EXPECT_EQ(segment_make(&m), 0);
    disk_close(m.segment.file);
    expect_whole();
    test_disk_fini(&disk);
}

/* -- made of one that is done with -- */

static struct segment earlier(void)
{
    struct segment s = sample;
    s.start -= SIZE;
    s.salt++;
    return s;
}

/* An earlier segment, full of bytes, is put aside. */
static void put_aside(void)
{
    struct segment_maker m = {.disk = &disk.disk, .segment = earlier()};
    char old[SEGMENT_NAME];
    test_disk_init(&disk);
    while (segment_make(&m) == EAGAIN)
        ;
    EXPECT(m.segment.file != NULL);
    struct iovec part = {memset(malloc(SIZE - SEGMENT_HEAD), 'x', SIZE - SEGMENT_HEAD),
                         SIZE - SEGMENT_HEAD};
    EXPECT_EQ(disk_write(m.segment.file, &part, 1, SEGMENT_HEAD), 0);
    EXPECT_EQ(disk_sync(m.segment.file), 0);
    free(part.iov_base);
    disk_close(m.segment.file);
    segment_name(old, m.segment.start);
    EXPECT_EQ(disk_rename(&disk.disk, old, SEGMENT_USED), 0);
    EXPECT_EQ(disk_sync_names(&disk.disk), 0);
    disk.steps = 0;
}

static int make_of_used(struct segment_maker *m)
{
    *m = (struct segment_maker){.disk = &disk.disk, .segment = sample, .reuse = true};
    int error = segment_make(m);
    EXPECT(error != EAGAIN); /* there is nothing to write but the head */
    return error;
}

static void expect_head_alone(void)
{
    uint8_t head[SEGMENT_HEAD];
    const struct buf *content = test_disk_content(&disk, name);
    EXPECT_EQ(content->len, SIZE);
    segment_write(&sample, head);
    EXPECT(memcmp(content->data, head, sizeof(head)) == 0);
    for (size_t i = SEGMENT_HEAD; i < content->len; i++)
        EXPECT_EQ(content->data[i], 'x');
    EXPECT_EQ(disk.now.count, 1);
}

/* A power cut at each step: the new one, or one that a start removes. */
TEST(a_segment_that_is_done_with_becomes_the_next)
{
    bool made = false;
    uint64_t at = 1;
    for (; !made; at++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct segment_maker m;
            put_aside();
            disk.cut_at = at;
            made = make_of_used(&m) == 0;
            disk_close(m.segment.file);
            test_disk_cut(&disk, seed);
            if (test_disk_content(&disk, name))
                expect_head_alone();
            else
                EXPECT(!made);
            EXPECT(!made || !test_disk_content(&disk, SEGMENT_USED));
            test_disk_fini(&disk);
        }
    }
    EXPECT_EQ(at, 7); /* rename, write, sync, rename, sync of the names: 5, and then none */
}

TEST(a_failure_leaves_neither_the_old_nor_the_new_one)
{
    bool made = false;
    uint64_t at = 0;
    while (!made) {
        struct segment_maker m;
        put_aside();
        disk.fail_at = ++at;
        disk.error = EIO;
        int error = make_of_used(&m);
        made = error == 0;
        EXPECT_EQ(error, made ? 0 : EIO);
        EXPECT_EQ(disk.now.count, made ? 1 : 0);
        disk_close(m.segment.file);
        test_disk_fini(&disk);
    }
    EXPECT(at > 4);
}

TEST_MAIN(RUN(a_segment_is_named_by_its_start), RUN(other_names_are_no_segments),
          RUN(its_header_lies_on_disk_as_it_is_drawn),
          RUN(every_flipped_bit_of_the_header_is_damage),
          RUN(a_header_with_numbers_that_no_writer_makes_is_damage),
          RUN(a_later_format_and_an_unknown_feature_are_refused),
          RUN(a_segment_is_made_in_steps_and_lasts_with_its_name),
          RUN(what_an_attempt_left_is_made_anew), RUN(there_is_never_a_part_of_it_under_its_name),
          RUN(without_space_at_any_step_nothing_is_left),
          RUN(a_disk_that_is_full_gives_the_space_back), RUN(one_that_is_given_up_leaves_nothing),
          RUN(a_segment_that_is_done_with_becomes_the_next),
          RUN(a_failure_leaves_neither_the_old_nor_the_new_one))
