/* Data directories written by released formats must open for ever. tests/golden/store-1 was made by
 * format 1; `store_golden_test make DIR` made it and would make another. */
#include "store/store_fixture.h"

#include "base/text.h"
#include "store/embedded_dir.h"

static const struct row {
    uint32_t partition;
    const char *device, *module, *body, *secret;
} rows[] = {
    {0, "",     "policy/iothubowner", "a record of the hub", "the hub's key"        },
    {1, "d1",   "",                   "a device",            "primary and secondary"},
    {1, "d1",   "m1",                 "its module",          "a module's key"       },
    {1, "d2",   "",                   "a device without",    ""                     },
    {3, "edge", "",                   NULL,                  "of many pages"        },
};
static char long_body[20001];

static const char *body_of(const struct row *row)
{
    if (!row->body)
        memset(long_body, 'x', 20000);
    return row->body ? row->body : long_body;
}

static uint64_t seed = 1;
static struct embedded_dir *env;

static struct store *shard(void)
{
    return embedded_shard(embedded_dir_keeper(env), 0, 1);
}

static struct store *open_copy(const char *path)
{
    struct embedded_dir_options options = {
        .path = path,
        .partitions = 4,
        .map_bytes = 16 << 20,
        .keeper = {
                   .random = fixture_random(&seed), .clock = fixture_clock, .replay = &fixture_replay}
    };
    struct buf why = {0};
    if (embedded_dir_open(&options, &env, &why) != OK)
        fail_msg("%.*s", SPAN_ARG(why));
    return shard();
}

/* Two transactions, a changed record and a deleted one, so that free pages are in it. */
static void make(const char *path)
{
    struct store *s = open_copy(path);
    fixture_put(s, fixture_key(1, "d2", ""), "an older state", "");
    fixture_put(s, fixture_key(1, "gone", ""), "deleted", "with its key");
    store_commit(s, 1);
    store_close(s);
    s = shard();
    for (size_t i = 0; i < COUNT(rows); i++)
        fixture_put(s, fixture_key(rows[i].partition, rows[i].device, rows[i].module),
                    body_of(&rows[i]), rows[i].secret);
    fixture_put(s, fixture_key(1, "gone", ""), NULL, "");
    store_commit(s, 1);
    store_close(s);
    embedded_dir_close(env, 10000);
}

static void copy(const char *name, const char *to_dir)
{
    char from[128], to[128];
    static uint8_t bytes[1 << 20];
    snprintf(from, sizeof(from), "tests/golden/store-1/%s", name);
    snprintf(to, sizeof(to), "%s/%s", to_dir, name);
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0600);
    EXPECT(in >= 0 && out >= 0);
    ssize_t n = read(in, bytes, sizeof(bytes));
    EXPECT(n > 0 && n < (ssize_t)sizeof(bytes));
    EXPECT_EQ(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

struct expected {
    const struct row *row;
    bool seen;
};

static void on_load(void *owner, enum status st, struct record *record)
{
    struct expected *e = owner;
    EXPECT_EQ_IN(e->row->module, st, OK);
    EXPECT_SPAN(record_body(record), span_text(body_of(e->row)));
    EXPECT_SPAN(record_secret(record), span_text(e->row->secret));
    e->seen = true;
}

TEST(a_directory_of_format_1_opens_and_reads_back)
{
    const char *path = fixture_path();
    EXPECT_EQ(mkdir(path, 0700), 0);
    copy("twinhub.hdr", path);
    copy("master.key", path);
    copy("base.mdb", path);
    struct store *s = open_copy(path);
    struct buf id = {0};
    text_put_hex(&id, span_of(embedded_dir_directory(env)->header.hub_id, 16));
    EXPECT_SPAN(buf_span(&id), SPAN("737a74e5f8908fafafcc5252147fbc5b"));
    buf_fini(&id);
    EXPECT_EQ(embedded_dir_directory(env)->header.epoch, 1);
    EXPECT_EQ(s->partitions, 4);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct expected e = {.row = &rows[i]};
        struct store_key key = fixture_key(rows[i].partition, rows[i].device, rows[i].module);
        store_load(s, &key, on_load, &e);
        EXPECT(e.seen);
    }
    EXPECT_TEXT(fixture_scan(s, fixture_key(1, "", ""), false, 9),
                "d1=a device d1/m1=its module d2=a device without OK");
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "gone", "")), "NOT_FOUND");
    EXPECT_EQ(s->parts[0].seq, 1);
    EXPECT_EQ(s->parts[1].seq, 6);
    EXPECT_EQ(s->parts[1].devices, 3);
    EXPECT_EQ(s->parts[2].seq, 0);
    fixture_put(s, fixture_key(2, "new", ""), "written since", "key");
    store_commit(s, 1);
    store_close(s);
    EXPECT_TEXT(embedded_why(embedded_dir_keeper(env)), "");
    embedded_dir_close(env, 10000);
    s = open_copy(path);
    EXPECT_TEXT(fixture_load(s, fixture_key(2, "new", "")), "written since|key");
    store_close(s);
    embedded_dir_close(env, 10000);
    fixture_remove(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {RUN(a_directory_of_format_1_opens_and_reads_back)};
    if (argc == 3 && strcmp(argv[1], "make") == 0) {
        make(argv[2]);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
