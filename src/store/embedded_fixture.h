/* embedded_fixture.h — for tests: the embedded keeper, stepped, over a disk in memory and a base in
 * LMDB, with a clock that stands and switches that make either fail.
 */
#ifndef STORE_EMBEDDED_FIXTURE_H
#define STORE_EMBEDDED_FIXTURE_H

#include "store/disk_fixture.h"
#include "store/embedded.h"
#include "store/lmdb_base.h"
#include "store/store_fixture.h"

struct test_owner {
    uint64_t durable;
    enum status failed;
    int failures, woken;
};

struct test_embedded {
    struct test_disk disk;
    char path[64];
    struct directory directory;
    struct lmdb_file file;
    struct base *base;
    struct base_ops ops; /* the base's, with switches */
    int begin_error, sync_error;
    uint64_t begins; /* of transactions */
    struct embedded_options options;
    struct embedded *e;
    struct now now;
    uint64_t seed;
    struct buf why;
};

static struct test_embedded *test_embedded_now; /* whose base is called */
static int (*test_base_begin_real)(struct base *b), (*test_base_sync_real)(struct base *b);

static inline int test_base_begin(struct base *b)
{
    test_embedded_now->begins++;
    return test_embedded_now->begin_error ? test_embedded_now->begin_error
                                          : test_base_begin_real(b);
}

static inline int test_base_sync(struct base *b)
{
    return test_embedded_now->sync_error ? test_embedded_now->sync_error : test_base_sync_real(b);
}

static inline struct now test_embedded_clock(void *ctx)
{
    return ((struct test_embedded *)ctx)->now;
}

/* With small bounds: segments of 8 KiB, a tail of 64 KiB. */
static inline void test_embedded_begin(struct test_embedded *t)
{
    *t = (struct test_embedded){
        .seed = 23, .now = {1000, 1000}
    };
    test_embedded_now = t;
    test_disk_init(&t->disk);
    strcpy(t->path, fixture_path());
    EXPECT_EQ(directory_open(&t->directory, t->path, 4, fixture_random(&t->seed), &t->why), OK);
    EXPECT_EQ(lmdb_file_open(&t->file, &t->directory, 64 << 20, &t->why), OK);
    t->base = lmdb_base_create(&t->file, t->directory.master_key, fixture_random(&t->seed));
    t->ops = *t->base->ops;
    test_base_begin_real = t->ops.begin;
    test_base_sync_real = t->ops.sync;
    t->ops.begin = test_base_begin;
    t->ops.sync = test_base_sync;
    t->base->ops = &t->ops;
    t->options = (struct embedded_options){
        .random = fixture_random(&t->seed),
        .clock = test_embedded_clock,
        .clock_ctx = t,
        .replay = &fixture_replay,
        .master_key = t->directory.master_key,
        .epoch = 1,
        .partitions = 4,
        .stepped = true,
        .tail_max = 64 << 10,
        .segment_min = 8 << 10,
        .segment_max = 16 << 10,
    };
}

static inline void test_embedded_end(struct test_embedded *t)
{
    base_close(t->base);
    lmdb_file_close(&t->file);
    directory_close(&t->directory);
    fixture_remove(t->path);
    test_disk_fini(&t->disk);
    buf_fini(&t->why);
}

static inline enum status test_embedded_open(struct test_embedded *t)
{
    buf_clear(&t->why);
    enum status st = embedded_open(&t->options, &t->disk.disk, t->base, &t->e, &t->why);
    EXPECT_EQ(t->why.len > 0, st != OK);
    return st;
}

static inline void test_owner_durable(void *o, uint64_t batch)
{
    struct test_owner *owner = o;
    EXPECT(batch == owner->durable + 1);
    EXPECT_EQ(owner->failures, 0);
    owner->durable = batch;
}

static inline void test_owner_failed(void *o, enum status st)
{
    struct test_owner *owner = o;
    owner->failed = st;
    owner->failures++;
}

static inline void test_owner_wake(void *o)
{
    ((struct test_owner *)o)->woken++;
}

static inline struct store *test_embedded_shard(struct test_embedded *t, struct test_owner *owner,
                                                unsigned index, unsigned count)
{
    struct store *s = embedded_shard(t->e, index, count);
    *owner = (struct test_owner){0};
    s->owner = owner;
    s->durable = test_owner_durable;
    s->failed = test_owner_failed;
    s->wake = test_owner_wake;
    return s;
}

/* Every actor and every handle, until there is nothing to do: a handle's answer is seen one round
 * later. */
static inline void test_embedded_run(struct test_embedded *t, struct store *a, struct store *b)
{
    bool done;
    for (int idle = 0; idle < 2; idle = done ? 0 : idle + 1) {
        done = false;
        for (int i = 0; i < ACTORS; i++)
            done = embedded_step(t->e, (enum embedded_actor)i) || done;
        if (a)
            store_poll(a);
        if (b)
            store_poll(b);
    }
}

/* `count` changes of one partition, each of a device of its own: "d<first>" … */
static inline void test_embedded_put(struct store *s, uint32_t partition, int first, int count,
                                     const char *body)
{
    char id[16];
    for (int i = first; i < first + count; i++) {
        snprintf(id, sizeof(id), "d%d", i);
        fixture_put(s, fixture_key(partition, id, ""), body, "key");
    }
}

static inline struct embedded_stats test_embedded_stats(struct test_embedded *t)
{
    struct embedded_stats stats;
    embedded_stats(t->e, &stats);
    return stats;
}

/* The process is killed: nothing it has not written comes to be. Its handle is closed by this. */
static inline void test_embedded_kill(struct test_embedded *t, struct store *a, struct store *b)
{
    t->disk.cut_at = t->disk.steps ? t->disk.steps : 1;
    t->begin_error = EIO;
    store_close(a);
    if (b)
        store_close(b);
    embedded_close(t->e, 0);
    t->disk.cut_at = 0;
    t->begin_error = 0;
}

#endif
