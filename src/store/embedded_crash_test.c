/* The embedded keeper under random changes, steps, kills and power cuts: what it shows after each
 * start is what was given to it up to some change, and never less than it acknowledged. The base
 * keeps every commit here; tests/sim has one that loses them. */
#include "store/embedded_fixture.h"

enum { PARTITIONS = 4, IDS = 6, CHANGES = 4000, BATCHES = 4000, ROUNDS = 8 };

static struct test_embedded t;
static uint64_t dice;

/* What was given, in order, for each partition: change n has seq n + 1. */
static struct change_log {
    struct {
        int id, body; /* body 0: deleted */
    } given[CHANGES];
    uint64_t count, durable;
} logs[PARTITIONS];

struct side {
    struct store *s;
    unsigned index, count;
    uint64_t batch;                      /* given */
    uint64_t until[BATCHES][PARTITIONS]; /* seqs, by batch */
    uint64_t failures;
};
static struct side sides[2];
static unsigned side_count;
static int next_body;

static uint64_t roll(uint64_t n)
{
    return test_random(&dice) % n;
}

static void on_durable(void *owner, uint64_t batch)
{
    struct side *side = owner;
    EXPECT_EQ(side->failures, 0);
    for (unsigned p = side->index; p < PARTITIONS; p += side->count)
        logs[p].durable = side->until[batch][p];
}

static void on_failed(void *owner, enum status st)
{
    struct side *side = owner;
    EXPECT_EQ(st, UNAVAILABLE);
    side->failures++;
}

static struct store_key key_of(unsigned partition, int id)
{
    static char name[8];
    snprintf(name, sizeof(name), "d%d", id % 100);
    return fixture_key(partition, name, "");
}

static void change(struct side *side)
{
    unsigned p = side->index + side->count * (unsigned)roll(PARTITIONS / side->count);
    struct change_log *log = &logs[p];
    char body[600];
    if (log->count == CHANGES)
        return;
    int id = (int)roll(IDS), number = roll(5) ? ++next_body : 0;
    int len = snprintf(body, sizeof(body), "%d:", number);
    size_t more = roll(500);
    memset(body + len, 'x', more);
    body[(size_t)len + more] = 0;
    fixture_put(side->s, key_of(p, id), number ? body : NULL, number % 3 ? "key" : "");
    log->given[log->count].id = id;
    log->given[log->count++].body = number;
}

static void commit(struct side *side)
{
    if (++side->batch == BATCHES)
        side->batch--;
    for (unsigned p = 0; p < PARTITIONS; p++)
        side->until[side->batch][p] = logs[p].count;
    store_commit(side->s, side->batch);
}

/* The number that begins the body, 0 without one. */
static int shown(struct store *s, unsigned partition, int id)
{
    const char *text = fixture_load(s, key_of(partition, id));
    if (strcmp(text, "NOT_FOUND") == 0)
        return 0;
    int number = atoi(text);
    EXPECT(number > 0);
    return number;
}

/* Each partition is as it was after its first seq changes, and no other state. */
static void check(void)
{
    for (unsigned p = 0; p < PARTITIONS; p++) {
        struct store *s = sides[p % side_count].s;
        uint64_t seq = s->parts[p].seq;
        int want[IDS] = {0};
        EXPECT(seq >= logs[p].durable);
        EXPECT(seq <= logs[p].count);
        for (uint64_t i = 0; i < seq; i++)
            want[logs[p].given[i].id] = logs[p].given[i].body;
        for (int id = 0; id < IDS; id++)
            EXPECT_EQ(shown(s, p, id), want[id]);
        logs[p].count = logs[p].durable = seq; /* what is shown may be told to others: it lasts */
    }
}

static void open_all(void)
{
    if (test_embedded_open(&t) != OK)
        fail_msg("%.*s", SPAN_ARG(t.why));
    side_count = 1 + (unsigned)roll(2);
    for (unsigned i = 0; i < side_count; i++) {
        struct side *side = &sides[i];
        side->s = embedded_shard(t.e, i, side_count);
        side->index = i;
        side->count = side_count;
        side->batch = side->failures = 0;
        side->s->owner = side;
        side->s->durable = on_durable;
        side->s->failed = on_failed;
    }
}

static void act(void)
{
    struct side *side = &sides[roll(side_count)];
    switch (roll(8)) {
    case 0:
    case 1:
        change(side);
        break;
    case 2:
        commit(side);
        break;
    case 3:
        store_poll(side->s);
        break;
    case 4:
        t.now.mono_ms += (int64_t)roll(200);
        break;
    default:
        embedded_step(t.e, (enum embedded_actor)roll(ACTORS));
    }
}

/* An orderly end, a kill, or a power cut in the middle: true. */
static bool end_somehow(void)
{
    struct store *other = side_count > 1 ? sides[1].s : NULL;
    uint64_t how = roll(4);
    if (how) {
        test_embedded_kill(&t, sides[0].s, other);
        if (how > 1)
            test_disk_cut(&t.disk, roll(3) ? test_random(&dice) | 1 : 0);
        return how > 1;
    }
    for (unsigned i = 0; i < side_count; i++)
        store_close(sides[i].s);
    embedded_close(t.e, roll(2) ? 1000 : 0);
    if (roll(2))
        test_disk_cut(&t.disk, roll(2) ? test_random(&dice) | 1 : 0); /* it has settled all */
    return false;
}

static void run(uint64_t seed, bool async)
{
    dice = seed;
    memset(logs, 0, sizeof(logs));
    test_embedded_begin(&t);
    mdb_env_set_flags(t.file.env, MDB_NOSYNC, 1); /* for speed: nothing is lost here */
    t.options.tail_max = 8 << 10;
    t.options.segment_min = 4 << 10;
    t.options.segment_max = 8 << 10;
    t.options.async = async;
    for (int round = 0; round < ROUNDS; round++) {
        open_all();
        check();
        for (uint64_t i = roll(600); i > 0; i--)
            act();
        bool cut = end_somehow();
        for (unsigned p = 0; p < PARTITIONS && cut && async; p++)
            logs[p].durable = 0; /* a power cut may take what was acknowledged */
    }
    open_all();
    check();
    for (unsigned i = 0; i < side_count; i++)
        store_close(sides[i].s);
    embedded_close(t.e, 1000);
    test_embedded_end(&t);
}

TEST(nothing_acknowledged_is_lost_and_nothing_else_is_shown)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        run(seed, false);
}

TEST(without_a_sync_for_each_group_what_is_shown_is_still_some_prefix)
{
    for (uint64_t seed = 1; seed <= 15; seed++)
        run(seed, true);
}

TEST_MAIN(RUN(nothing_acknowledged_is_lost_and_nothing_else_is_shown),
          RUN(without_a_sync_for_each_group_what_is_shown_is_still_some_prefix))
