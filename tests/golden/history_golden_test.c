/* History files written by released formats must be readable for ever. tests/golden/history-1 was
 * made by format 1; `history_golden_test make FILE` made it and would make another. */
#include "store/history_fixture.h"

static const char name[] = "0000000000000000.hist";
static const char path[] = "tests/golden/history-1/0000000000000000.hist";

/* Some changes, one of them larger than a chunk, and nothing random but what the seed says. */
static void play(struct tape *t, struct test_disk *d)
{
    test_disk_init(d);
    tape_init(t, d, 512 << 10);
    t->devices = 5;
    for (int i = 0; i < 6; i++)
        tape_block(t, 20, 8);
    tape_put_device(t, 4, 70 << 10);
    tape_block_end(t);
    tape_block(t, 3, 500);
    tape_turn(t);
}

static void end(struct tape *t, struct test_disk *d)
{
    tape_fini(t);
    test_disk_fini(d);
}

static void make(const char *to)
{
    struct tape t;
    struct test_disk d;
    play(&t, &d);
    tape_make(&t, 0, true);
    const struct buf *made = test_disk_content(&d, name);
    FILE *f = fopen(to, "we");
    CHECK(f);
    CHECK(fwrite(made->data, 1, made->len, f) == made->len);
    CHECK(fclose(f) == 0);
    end(&t, &d);
}

TEST(a_file_of_format_1_is_read)
{
    struct tape t;
    struct test_disk d;
    uint8_t bytes[64 << 10];
    play(&t, &d);
    EXPECT_EQ(disk_remove(&d.disk, "0000000000000000.seg"), 0);
    FILE *f = fopen(path, "re");
    EXPECT(f != NULL);
    size_t len = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    EXPECT(len > 0);
    EXPECT(len < sizeof(bytes));
    struct disk_file *file;
    struct iovec part = {bytes, len};
    EXPECT_EQ(disk_open(&d.disk, name, true, &file), 0);
    EXPECT_EQ(disk_write(file, &part, 1, 0), 0);
    disk_close(file);
    EXPECT_EQ(tape_expect_query(&t, (struct history_query){0}), t.count);
    for (unsigned device = 0; device < t.devices; device++) {
        char id[24];
        snprintf(id, sizeof(id), "device-%u", device);
        const struct store_key key = {device % 4, span_text(id),
                                      device % 3 == 0 ? SPAN("m") : (struct span){0}};
        EXPECT(tape_expect_query(&t, (struct history_query){.key = &key, .newest_first = true}) >
               10);
    }
    end(&t, &d);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {RUN(a_file_of_format_1_is_read)};
    if (argc == 3 && strcmp(argv[1], "make") == 0) {
        make(argv[2]);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
