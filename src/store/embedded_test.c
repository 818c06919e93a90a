/* The embedded keeper with its threads, in a data directory. */
#include "store/embedded_dir_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

static const struct store_key d1 = {1, SPAN_INIT("d1"), SPAN_INIT("")};

/* -- checkpoints -- */

static void wait_open(struct store *s)
{
    while (store_room(s) != STORE_OPEN) {
        store_poll(s);
        sched_yield();
    }
}

TEST(the_hot_table_empties_and_segments_are_removed)
{
    struct owner owner;
    struct store *s = begin(&owner);
    uint64_t batch = 0, checkpoints = 0;
    while (checkpoints < 5) {
        char id[16];
        snprintf(id, sizeof(id), "d%d", (int)(batch % 100));
        fixture_put(s, fixture_key((uint32_t)(batch % 4), id, ""), "body", "secret");
        store_commit(s, ++batch);
        wait_durable(s, &owner, batch);
        wait_open(s);
        checkpoints = stats().checkpoints;
    }
    EXPECT(stats().hot < 100 * 400);
    EXPECT(stats().tail < 32 << 10);
    EXPECT(stats().position > 5 * (16 << 10));
    EXPECT(atomic_load(&owner.woken) > 0);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d1", "")), "body|secret");
    end(s);
    EXPECT(access(in_directory("journal/0000000000000000.seg"), F_OK) != 0);
    s = begin(&owner);
    EXPECT_EQ(stats().replayed, 0);
    EXPECT_EQ(stats().hot, 0);
    EXPECT_EQ(stats().tail, 0);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d1", "")), "body|secret");
    EXPECT_EQ(s->parts[0].seq + s->parts[1].seq + s->parts[2].seq + s->parts[3].seq, batch);
    end(s);
    forget();
}

/* -- several shards, each on its thread -- */

enum { THREADS = 3, BATCHES = 300, PER_BATCH = 5, IDS = 40 };

struct runner {
    pthread_t thread;
    uint32_t index;
    struct store *s;
    struct owner owner;
    uint64_t rooms[3]; /* how often it was open, busy, without space */
};

static atomic_int running;

static void *run_shard(void *arg)
{
    struct runner *r = arg;
    uint64_t random = r->index;
    char id[8], body[32];
    for (uint64_t batch = 1; batch <= BATCHES; batch++) {
        enum store_room room;
        while ((room = store_room(r->s)) != STORE_OPEN) {
            r->rooms[room]++;
            store_poll(r->s);
            sched_yield();
        }
        r->rooms[room]++;
        for (int i = 0; i < PER_BATCH; i++) {
            uint64_t n = test_random(&random) % IDS;
            snprintf(id, sizeof(id), "d%d", (int)n);
            snprintf(body, sizeof(body), "%d", (int)batch);
            struct store_key key = fixture_key(r->index, id, "");
            fixture_put(r->s, key, body, n % 2 ? "secret" : "");
            struct fixture_loaded l = {0};
            store_load(r->s, &key, fixture_on_load, &l);
            EXPECT(l.st == OK && strtoull(l.text, NULL, 10) == batch);
        }
        store_commit(r->s, batch);
        while (r->owner.durable + 5 < batch && !r->owner.failures) /* not far ahead of the disk */
            store_poll(r->s);
    }
    bool waits = true; /* then answers the checkpoint for as long as others need it */
    while (waits || atomic_load(&running)) {
        store_poll(r->s);
        sched_yield();
        if (waits && (r->owner.durable == BATCHES || r->owner.failures)) {
            atomic_fetch_sub(&running, 1);
            waits = false;
        }
    }
    store_close(r->s); /* all at about the same time */
    return NULL;
}

static void expect_all(struct store *s)
{
    for (uint32_t i = 0; i < THREADS; i++) {
        uint64_t random = i;
        int last[IDS] = {0};
        for (int batch = 1; batch <= BATCHES; batch++)
            for (int n = 0; n < PER_BATCH; n++)
                last[test_random(&random) % IDS] = batch;
        for (int n = 0; n < IDS; n++) {
            char id[8];
            snprintf(id, sizeof(id), "d%d", n);
            if (last[n])
                EXPECT_EQ(atoi(fixture_load(s, fixture_key(i, id, ""))), last[n]);
        }
        EXPECT_EQ(s->parts[i].seq, BATCHES * PER_BATCH);
    }
}

/* `patience_ms`: at the close; what is then not in the base is replayed (without patience all may
 * happen to be there). */
static void run_shards(int64_t patience_ms)
{
    static struct runner runners[THREADS];
    struct owner owner;
    store_close(begin(&owner)); /* a start has a handle of its own first */
    for (uint32_t i = 0; i < THREADS; i++) {
        runners[i] = (struct runner){.index = i};
        runners[i].s = shard(&runners[i].owner, i, THREADS);
    }
    atomic_store(&running, THREADS);
    for (uint32_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&runners[i].thread, NULL, run_shard, &runners[i]), 0);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(runners[i].thread, NULL);
    EXPECT(stats().checkpoints > 5);
    EXPECT(stats().groups <= stats().blocks);
    for (uint32_t i = 0; i < THREADS; i++) {
        EXPECT_EQ(runners[i].owner.durable, BATCHES);
        EXPECT_EQ(runners[i].owner.failures, 0);
        EXPECT(runners[i].rooms[STORE_OPEN] >= BATCHES);
        EXPECT_EQ(runners[i].rooms[STORE_NO_SPACE], 0);
    }
    embedded_dir_close(dir, patience_ms);
    struct store *s = begin(&owner);
    EXPECT(stats().replayed == 0 || patience_ms == 0);
    expect_all(s);
    end(s);
    forget();
}

TEST(shards_on_threads_of_their_own_lose_nothing_while_checkpoints_run)
{
    run_shards(0);
    run_shards(60000);
}

/* Closed at any moment of a checkpoint, whose thread may be writing what it was offered. */
TEST(handles_come_and_go_while_checkpoints_run)
{
    enum { ROUNDS = 80, CHANGED = 40 };
    struct owner owner;
    struct store *s = begin(&owner);
    uint64_t random = 1;
    char id[16], body[16];
    int round = 0;
    while (++round <= ROUNDS || stats().checkpoints <= 5) {
        snprintf(body, sizeof(body), "%d", round);
        for (int i = 0; i < CHANGED; i++) {
            snprintf(id, sizeof(id), "d%d", i);
            for (uint32_t p = 0; p < 4; p++)
                fixture_put(s, fixture_key(p, id, ""), body, "key");
        }
        store_commit(s, 1);
        wait_durable(s, &owner, 1);
        for (uint64_t polls = test_random(&random) % 400; polls > 0; polls--)
            store_poll(s);
        store_close(s);
        s = shard(&owner, 0, 1);
        EXPECT_EQ(atoi(fixture_load(s, fixture_key(3, "d39", ""))), round);
    }
    end(s);
    s = begin(&owner);
    for (uint32_t p = 0; p < 4; p++) {
        EXPECT_EQ(s->parts[p].seq, (round - 1) * CHANGED);
        EXPECT_EQ(atoi(fixture_load(s, fixture_key(p, "d0", ""))), round - 1);
    }
    end(s);
    forget();
}

/* What a start has read is shared out anew, whatever the number of its threads and of handles; and
 * a handle that is closed gives back what it has. */
TEST(each_handle_has_what_is_of_its_partitions)
{
    enum { DEVICES = 12 };
    static const unsigned counts[] = {1, 2, 3, 4, 2, 4, 3, 1};
    strcpy(path, fixture_path());
    char id[16];
    for (unsigned threads = 1; threads <= 4; threads++) {
        struct embedded_dir_options o = options();
        struct owner owners[4];
        struct store *s[4];
        o.keeper.replay_threads = threads;
        for (size_t round = 0; round < COUNT(counts); round++) {
            unsigned count = counts[round];
            EXPECT_EQ(try_open(&o), OK);
            for (unsigned i = 0; i < count; i++)
                s[i] = shard(&owners[i], i, count);
            for (uint32_t p = 0; p < 4; p++) {
                uint64_t before = (threads - 1) * COUNT(counts) + round;
                EXPECT_EQ(s[p % count]->parts[p].seq, before * DEVICES);
                for (int d = 0; d < DEVICES; d++) {
                    snprintf(id, sizeof(id), "d%d", d);
                    const char *there = fixture_load(s[p % count], fixture_key(p, id, ""));
                    if (before)
                        EXPECT_EQ(strtoul(there, NULL, 10), before);
                    else
                        EXPECT_TEXT(there, "NOT_FOUND");
                    char body[24];
                    snprintf(body, sizeof(body), "%llu", (unsigned long long)before + 1);
                    fixture_put(s[p % count], fixture_key(p, id, ""), body, "");
                }
            }
            for (unsigned i = 0; i < count; i++) {
                store_commit(s[i], 1);
                wait_durable(s[i], &owners[i], 1);
            }
            for (unsigned i = count; i-- > 0;)
                store_close(s[i]);
            embedded_dir_close(dir, round % 2 ? 0 : 1000); /* and the next one replays, or not */
        }
    }
    forget();
}

/* -- durability -- */

TEST(async_batches_are_durable_before_the_sync_and_there_after_closing)
{
    struct owner owner;
    strcpy(path, fixture_path());
    struct embedded_dir_options o = options();
    o.keeper.async = true;
    EXPECT_EQ(try_open(&o), OK);
    struct store *s = shard(&owner, 0, 1);
    for (uint64_t batch = 1; batch <= 20; batch++) {
        fixture_put(s, d1, "x", "");
        store_commit(s, batch);
        wait_durable(s, &owner, batch);
    }
    EXPECT(stats().groups < 20); /* syncs */
    while (stats().groups == 0)  /* the timed one runs */
        sched_yield();
    fixture_put(s, d1, "last", "");
    store_commit(s, 21);
    store_close(s);
    EXPECT_EQ(owner.durable, 21);
    embedded_dir_close(dir, 0);
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "last|");
    end(s);
    forget();
}

TEST(async_checkpoints_wait_for_the_sync)
{
    struct owner owner;
    strcpy(path, fixture_path());
    struct embedded_dir_options o = options();
    o.keeper.async = true;
    EXPECT_EQ(try_open(&o), OK);
    struct store *s = shard(&owner, 0, 1);
    for (uint64_t batch = 1; stats().checkpoints < 2; batch++) {
        fixture_put(s, d1, "x", "");
        store_commit(s, batch);
        wait_durable(s, &owner, batch);
        wait_open(s);
    }
    store_close(s);
    embedded_dir_close(dir, 0);
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "x|");
    end(s);
    forget();
}

/* A write beyond the limit of file sizes fails as a full disk does, but for its code. */
TEST(the_first_failed_write_of_the_base_is_the_last)
{
    struct owner owner, other_owner;
    strcpy(path, fixture_path());
    struct embedded_dir_options o = options();
    o.keeper.segment_max = 8 << 10; /* below the limit */
    EXPECT_EQ(try_open(&o), OK);
    struct store *s = shard(&owner, 1, 2), *other = shard(&other_owner, 0, 2);
    struct rlimit was, now;
    struct stat st;
    EXPECT_EQ(stat(in_directory("base.mdb"), &st), 0);
    getrlimit(RLIMIT_FSIZE, &was);
    now = (struct rlimit){(rlim_t)st.st_size, was.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &now);
    char body[201], id[16];
    memset(body, 'x', 200);
    body[200] = 0;
    uint64_t batch = 0;
    while (!owner.failures) {
        snprintf(id, sizeof(id), "n%d", (int)++batch);
        fixture_put(s, fixture_key(1, id, ""), body, "");
        store_commit(s, batch);
        wait_durable(s, &owner, batch);
        store_poll(other);
    }
    setrlimit(RLIMIT_FSIZE, &was);
    uint64_t durable = owner.durable;
    EXPECT_EQ(owner.failed, UNAVAILABLE);
    EXPECT_TEXT(embedded_why(embedded_dir_keeper(dir)), "cannot write the base: File too large");
    fixture_put(s, d1, "after", ""); /* there is room again, but it is over */
    store_commit(s, ++batch);
    store_poll(s);
    store_poll(other);
    EXPECT_EQ(other_owner.failures, 1); /* every shard hears of it */
    store_close(other);
    end(s);
    EXPECT_EQ(owner.failures, 1);
    EXPECT_EQ(owner.durable, durable);
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "NOT_FOUND");
    EXPECT(s->parts[1].seq >= durable);
    for (uint64_t i = 1; i <= durable; i++) {
        snprintf(id, sizeof(id), "n%d", (int)i);
        EXPECT_EQ(strlen(fixture_load(s, fixture_key(1, id, ""))), 201);
    }
    end(s);
    forget();
}

TEST_MAIN(RUN(the_hot_table_empties_and_segments_are_removed),
          RUN(shards_on_threads_of_their_own_lose_nothing_while_checkpoints_run),
          RUN(handles_come_and_go_while_checkpoints_run),
          RUN(each_handle_has_what_is_of_its_partitions),
          RUN(async_batches_are_durable_before_the_sync_and_there_after_closing),
          RUN(async_checkpoints_wait_for_the_sync),
          RUN(the_first_failed_write_of_the_base_is_the_last))
