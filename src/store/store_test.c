/* What store.h promises, asked of every keeper. */
#include "store/store_fixture.h"

#include <sched.h>

#include "store/embedded_dir.h"
#include "store/memory_store.h"

static uint64_t seed = 3;
static struct embedded_dir *embedded;
static struct memory_env *memory;
static const char *path;

struct owner {
    uint64_t durable;
    enum status failed;
    int woken;
};
static struct owner owner;

static void on_durable(void *o, uint64_t batch)
{
    struct owner *own = o;
    EXPECT(batch == own->durable + 1);
    own->durable = batch;
}

static void on_failed(void *o, enum status st)
{
    ((struct owner *)o)->failed = st;
}

static struct store *own(struct store *s)
{
    owner = (struct owner){0};
    s->owner = &owner;
    s->durable = on_durable;
    s->failed = on_failed;
    return s;
}

static struct store *embedded_begin(void)
{
    struct buf why = {0};
    if (!path)
        path = fixture_path();
    struct embedded_dir_options options = {
        .path = path,
        .partitions = 4,
        .map_bytes = 64 << 20,
        .keeper = {
                   .random = fixture_random(&seed), .clock = fixture_clock, .replay = &fixture_replay}
    };
    if (embedded_dir_open(&options, &embedded, &why) != OK)
        fail_msg("%.*s", SPAN_ARG(why));
    return own(embedded_shard(embedded_dir_keeper(embedded), 0, 1));
}

static void embedded_end(struct store *s)
{
    store_close(s);
    embedded_dir_close(embedded, 0); /* what is not in the base is replayed */
}

static void embedded_end_whole(struct store *s)
{
    store_close(s);
    embedded_dir_close(embedded, 10000); /* all is in the base */
}

static struct store *memory_begin(void)
{
    struct memory_options options = {.partitions = 4, .random = fixture_random(&seed)};
    if (!memory)
        memory = memory_env_create(&options);
    return own(memory_env_shard(memory));
}

static void memory_end(struct store *s)
{
    store_close(s);
}

static const struct keeper {
    const char *name;
    struct store *(*begin)(void); /* again after end: the same data */
    void (*end)(struct store *s);
} keepers[] = {
    {"memory",                     memory_begin,   memory_end        },
    {"embedded, from the journal", embedded_begin, embedded_end      },
    {"embedded, from the base",    embedded_begin, embedded_end_whole},
};

static void forget_all(void)
{
    if (path)
        fixture_remove(path);
    path = NULL;
    memory_env_destroy(memory);
    memory = NULL;
}

static void wait_durable(struct store *s, uint64_t batch)
{
    while (owner.durable < batch) {
        EXPECT_EQ(owner.failed, OK);
        store_poll(s);
        sched_yield();
    }
}

static const struct store_key none = {1, SPAN_INIT(""), SPAN_INIT("")};

static void reads_see_everything_handed_over(const struct keeper *k)
{
    struct store *s = k->begin();
    struct store_key d1 = fixture_key(1, "d1", "");
    EXPECT_TEXT(fixture_load(s, d1), "NOT_FOUND");
    fixture_put(s, d1, "one", "key");
    EXPECT_TEXT(fixture_load(s, d1), "one|key"); /* before the commit */
    store_commit(s, 1);
    EXPECT_TEXT(fixture_load(s, d1), "one|key"); /* before it is durable */
    wait_durable(s, 1);
    EXPECT_TEXT(fixture_load(s, d1), "one|key");
    fixture_put(s, d1, "two", "");
    EXPECT_TEXT(fixture_load(s, d1), "two|");
    fixture_put(s, d1, NULL, "");
    EXPECT_TEXT(fixture_load(s, d1), "NOT_FOUND");
    EXPECT_TEXT(fixture_scan(s, none, false, 9), "OK");
    fixture_put(s, d1, "three", "key3");
    store_commit(s, 2);
    wait_durable(s, 2);
    EXPECT_TEXT(fixture_load(s, d1), "three|key3");
    k->end(s);
}

static void scans_go_in_order_within_their_range(const struct keeper *k)
{
    struct store *s = k->begin();
    fixture_put(s, fixture_key(0, "", "policy"), "hub", "");
    fixture_put(s, fixture_key(0, "z", ""), "z", "");
    fixture_put(s, fixture_key(1, "b", ""), "B", "");
    fixture_put(s, fixture_key(1, "a", "m2"), "2", "");
    fixture_put(s, fixture_key(1, "a", ""), "A", "");
    store_commit(s, 1);
    wait_durable(s, 1); /* half in the base, half pending */
    fixture_put(s, fixture_key(1, "a", "m1"), "1", "");
    fixture_put(s, fixture_key(1, "a!", ""), "A!", "");
    fixture_put(s, fixture_key(1, "b", ""), "B2", "");
    fixture_put(s, fixture_key(2, "c", ""), "C", "");
    EXPECT_TEXT(fixture_scan(s, none, false, 9), "a=A a/m1=1 a/m2=2 a!=A! b=B2 OK");
    EXPECT_TEXT(fixture_scan(s, none, false, 2), "a=A a/m1=1 OK");
    EXPECT_TEXT(fixture_scan(s, fixture_key(1, "a", "m1"), false, 2), "a/m2=2 a!=A! OK");
    EXPECT_TEXT(fixture_scan(s, fixture_key(1, "a", "m0"), false, 1), "a/m1=1 OK");
    EXPECT_TEXT(fixture_scan(s, fixture_key(1, "a", ""), true, 9), "a/m1=1 a/m2=2 OK");
    EXPECT_TEXT(fixture_scan(s, fixture_key(1, "a", "m1"), true, 9), "a/m2=2 OK");
    EXPECT_TEXT(fixture_scan(s, fixture_key(1, "b", ""), true, 9), "OK");
    EXPECT_TEXT(fixture_scan(s, fixture_key(1, "b", ""), false, 9), "OK");
    EXPECT_TEXT(fixture_scan(s, fixture_key(0, "", ""), false, 9), "z=z OK");
    EXPECT_TEXT(fixture_scan(s, fixture_key(3, "", ""), false, 9), "OK");
    EXPECT_TEXT(fixture_load(s, fixture_key(0, "", "policy")), "hub|");
    fixture_put(s, fixture_key(1, "a", "m2"), NULL, "");
    EXPECT_TEXT(fixture_scan(s, fixture_key(1, "a", ""), true, 9), "a/m1=1 OK");
    store_commit(s, 2);
    wait_durable(s, 2);
    EXPECT_TEXT(fixture_scan(s, none, false, 9), "a=A a/m1=1 a!=A! b=B2 OK");
    k->end(s);
}

struct changer {
    struct store *s;
    int rows;
};

static bool change_on_row(void *o, const struct store_key *key, struct record *record)
{
    struct changer *c = o;
    (void)record;
    c->rows++;
    EXPECT_TEXT(fixture_load(c->s, *key) + 1, "|");
    fixture_put(c->s, *key, NULL, "");                    /* what it is given, … */
    fixture_put(c->s, fixture_key(1, "a0", ""), "0", ""); /* … behind it, … */
    if (c->rows < 3)
        fixture_put(c->s, fixture_key(1, "x", ""), "X", ""); /* … and ahead */
    return true;
}

static void change_on_done(void *o, enum status st)
{
    (void)o;
    EXPECT_EQ(st, OK);
}

static void scans_bear_changes_from_within(const struct keeper *k)
{
    struct store *s = k->begin();
    struct changer changer = {.s = s};
    fixture_put(s, fixture_key(1, "b", ""), "B", "");
    store_commit(s, 1);
    wait_durable(s, 1);
    fixture_put(s, fixture_key(1, "c", ""), "C", "");
    store_scan(s, &none, false, change_on_row, change_on_done, &changer);
    EXPECT_EQ(changer.rows, 3); /* b, c, x */
    EXPECT_TEXT(fixture_scan(s, none, false, 9), "a0=0 OK");
    store_commit(s, 2);
    k->end(s);
}

static void batches_are_durable_in_order_and_closing_waits(const struct keeper *k)
{
    struct store *s = k->begin();
    for (uint64_t batch = 1; batch <= 50; batch++) {
        char body[16];
        snprintf(body, sizeof(body), "v%d", (int)batch);
        if (batch % 7)
            fixture_put(s, fixture_key((uint32_t)batch % 4, "d", ""), body, "s");
        store_commit(s, batch);
        if (batch % 5 == 0)
            store_poll(s);
    }
    fixture_put(s, fixture_key(0, "never", ""), "committed", "");
    k->end(s);
    EXPECT_EQ(owner.durable, 50);
    s = k->begin();
    EXPECT_TEXT(fixture_load(s, fixture_key(2, "d", "")), "v50|s");
    EXPECT_EQ(s->parts[2].seq, 11);
    EXPECT_EQ(s->parts[2].devices, 11);
    k->end(s);
}

static void for_each_keeper(void (*test)(const struct keeper *))
{
    for (size_t i = 0; i < COUNT(keepers); i++) {
        print_message("             %s\n", keepers[i].name);
        test(&keepers[i]);
        forget_all();
    }
}

#define KEEPERS_TEST(name)     \
    TEST(every_keepers_##name) \
    {                          \
        for_each_keeper(name); \
    }

KEEPERS_TEST(reads_see_everything_handed_over)
KEEPERS_TEST(scans_go_in_order_within_their_range)
KEEPERS_TEST(scans_bear_changes_from_within)
KEEPERS_TEST(batches_are_durable_in_order_and_closing_waits)

TEST_MAIN(RUN(every_keepers_reads_see_everything_handed_over),
          RUN(every_keepers_scans_go_in_order_within_their_range),
          RUN(every_keepers_scans_bear_changes_from_within),
          RUN(every_keepers_batches_are_durable_in_order_and_closing_waits))
