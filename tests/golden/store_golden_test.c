/* Data directories written by released formats must open for ever. tests/golden/store-1 was made by
 * format 1, before the journal; store-2 has one, and a part of its records in nothing else.
 * `store_golden_test make DIR` made them and would make another.
 * `store_golden_test kill N` kills the taking over 3 N times. */
#include "store/store_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

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

static const struct fixture {
    const char *name, *hub_id;
} fixtures[] = {
    {"store-1", "737a74e5f8908fafafcc5252147fbc5b"},
    {"store-2", "6d1c170cf5c1183c860763b281385e96"},
};

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
        .keeper = {.random = fixture_random(&seed),
                   .clock = fixture_clock,
                   .replay = &fixture_replay,
                   .segment_min = 32 << 10}
    };
    struct buf why = {0};
    if (embedded_dir_open(&options, &env, &why) != OK)
        fail_msg("%.*s", SPAN_ARG(why));
    return shard();
}

/* Two transactions, a changed record and a deleted one, so that free pages are in it; the second
 * one is in the journal alone. */
static void make(const char *path)
{
    struct store *s = open_copy(path);
    fixture_put(s, fixture_key(1, "d2", ""), "an older state", "");
    fixture_put(s, fixture_key(1, "gone", ""), "deleted", "with its key");
    store_commit(s, 1);
    store_close(s);
    embedded_dir_close(env, 10000);
    s = open_copy(path);
    for (size_t i = 0; i < COUNT(rows); i++)
        fixture_put(s, fixture_key(rows[i].partition, rows[i].device, rows[i].module),
                    body_of(&rows[i]), rows[i].secret);
    fixture_put(s, fixture_key(1, "gone", ""), NULL, "");
    store_commit(s, 1);
    store_close(s);
    embedded_dir_close(env, 0);
}

static void copy(const char *from, const char *to)
{
    static uint8_t bytes[1 << 20];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0600);
    EXPECT(in >= 0 && out >= 0);
    ssize_t n = read(in, bytes, sizeof(bytes));
    EXPECT(n > 0 && n < (ssize_t)sizeof(bytes));
    EXPECT_EQ(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

static void copy_folder(const char *from, const char *to)
{
    DIR *d = opendir(from);
    EXPECT(d != NULL);
    EXPECT_EQ(mkdir(to, 0700), 0);
    for (const struct dirent *e; (e = readdir(d));) {
        char source[512], target[512];
        if (e->d_name[0] == '.')
            continue;
        snprintf(source, sizeof(source), "%s/%s", from, e->d_name);
        snprintf(target, sizeof(target), "%s/%s", to, e->d_name);
        if (e->d_type == DT_DIR)
            copy_folder(source, target);
        else
            copy(source, target);
    }
    closedir(d);
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

static const char *copy_all(const struct fixture *f)
{
    char from[64];
    const char *path = fixture_path();
    snprintf(from, sizeof(from), "tests/golden/%s", f->name);
    copy_folder(from, path);
    return path;
}

/* Everything that was in the fixture is there. */
static void expect_rows(struct store *s)
{
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
}

static void expect_whole(const struct fixture *f)
{
    const char *path = copy_all(f);
    struct store *s = open_copy(path);
    struct buf id = {0};
    text_put_hex(&id, span_of(embedded_dir_directory(env)->header.hub_id, 16));
    EXPECT_SPAN(buf_span(&id), span_text(f->hub_id));
    buf_fini(&id);
    EXPECT_EQ(embedded_dir_directory(env)->header.epoch, 1);
    EXPECT_EQ(s->partitions, 4);
    expect_rows(s);
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

TEST(a_directory_of_each_format_opens_and_reads_back)
{
    for (size_t i = 0; i < COUNT(fixtures); i++)
        expect_whole(&fixtures[i]);
}

/* ---- taken over, and killed at any moment of it (trial F13) ---- */

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* Opens, writes, and brings the base up to date. Says through `acked` when the write is durable. */
static void on_durable(void *owner, uint64_t batch)
{
    atomic_store((_Atomic uint64_t *)owner, batch);
}

static _Noreturn void take_over(const char *path, _Atomic uint64_t *acked)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct store *s = open_copy(path);
    s->owner = acked;
    s->durable = on_durable;
    fixture_put(s, fixture_key(2, "new", ""), "written since", "key");
    store_commit(s, 1);
    store_close(s);
    embedded_dir_close(env, 10000);
    _exit(0);
}

/* It ends by itself after `us`, or is killed then: how long it took. */
static int64_t run_for(const char *path, int64_t us, _Atomic uint64_t *acked)
{
    int64_t began = now_us();
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0)
        take_over(path, acked);
    while (now_us() - began < us && waitpid(child, NULL, WNOHANG) == 0)
        usleep(20);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return now_us() - began;
}

static unsigned kills = 12; /* of each of these, in make check */

static void kill_while_taken_over(const struct fixture *f)
{
    _Atomic uint64_t *acked =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(acked != MAP_FAILED);
    const char *path = copy_all(f);
    int64_t whole_us = run_for(path, 10000000, acked);
    unsigned written = 0;
    fixture_remove(path);
    for (unsigned i = 0; i < kills; i++) {
        path = copy_all(f);
        atomic_store(acked, 0);
        for (unsigned again = 0; again < 3; again++) /* and killed once more while it recovers */
            run_for(path, (int64_t)(test_random(&seed) % (uint64_t)whole_us), acked);
        struct store *s = open_copy(path);
        expect_rows(s);
        const char *text = fixture_load(s, fixture_key(2, "new", ""));
        if (atomic_load(acked)) {
            EXPECT_TEXT(text, "written since|key");
            written++;
        }
        store_close(s);
        EXPECT_TEXT(embedded_why(embedded_dir_keeper(env)), "");
        embedded_dir_close(env, 10000);
        fixture_remove(path);
    }
    printf("%s: %u kills, %u of them after the write was acknowledged\n", f->name, kills * 3,
           written);
    munmap(acked, 4096);
}

TEST(killed_while_it_is_taken_over_it_has_everything)
{
    for (size_t i = 0; i < COUNT(fixtures); i++)
        kill_while_taken_over(&fixtures[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {RUN(a_directory_of_each_format_opens_and_reads_back),
                                       RUN(killed_while_it_is_taken_over_it_has_everything)};
    if (argc == 3 && strcmp(argv[1], "kill") == 0)
        kills = (unsigned)atoi(argv[2]);
    if (argc == 3 && strcmp(argv[1], "make") == 0) {
        make(argv[2]);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
