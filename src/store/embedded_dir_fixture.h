/* embedded_dir_fixture.h — for tests: the embedded keeper with its threads, in a data directory,
 * with bounds so small that checkpoints never rest.
 */
#ifndef STORE_EMBEDDED_DIR_FIXTURE_H
#define STORE_EMBEDDED_DIR_FIXTURE_H

#include "store/store_fixture.h"

#include <sched.h>
#include <stdatomic.h>

#include "store/embedded_dir.h"

static _Atomic uint64_t seed = 17;
static char path[64];
static struct embedded_dir *dir;
static struct buf why;

struct owner {
    uint64_t durable;
    enum status failed;
    int failures;
    atomic_int woken;
};

static inline void on_durable(void *o, uint64_t batch)
{
    struct owner *owner = o;
    EXPECT(batch == owner->durable + 1);
    EXPECT_EQ(owner->failures, 0);
    owner->durable = batch;
}

static inline void on_failed(void *o, enum status st)
{
    struct owner *owner = o;
    owner->failed = st;
    owner->failures++;
}

static inline void on_wake(void *o)
{
    atomic_fetch_add(&((struct owner *)o)->woken, 1);
}

/* From any thread. */
static inline void fill(void *ctx, void *out, size_t len)
{
    uint64_t own = atomic_fetch_add(&seed, 1);
    (void)ctx;
    fixture_fill(&own, out, len);
}

static inline struct embedded_dir_options options(void)
{
    return (struct embedded_dir_options){
        .path = path,
        .partitions = 4,
        .map_bytes = 64 << 20,
        .keeper = {.random = {fill, NULL},
                   .clock = fixture_clock,
                   .replay = &fixture_replay,
                   .replay_threads = 2,
                   .tail_max = 32 << 10,
                   .segment_min = 8 << 10,
                   .segment_max = 16 << 10}
    };
}

static inline enum status try_open(const struct embedded_dir_options *o)
{
    buf_clear(&why);
    enum status st = embedded_dir_open(o, &dir, &why);
    EXPECT_EQ(why.len > 0, st != OK);
    buf_byte(&why, 0);
    return st;
}

static inline bool why_says(const char *part)
{
    return strstr((const char *)why.data, part) != NULL;
}

static inline struct store *shard(struct owner *owner, unsigned index, unsigned count)
{
    struct store *s = embedded_shard(embedded_dir_keeper(dir), index, count);
    *owner = (struct owner){0};
    s->owner = owner;
    s->durable = on_durable;
    s->failed = on_failed;
    s->wake = on_wake;
    return s;
}

static inline struct store *begin(struct owner *owner)
{
    if (!*path)
        strcpy(path, fixture_path());
    struct embedded_dir_options o = options();
    if (try_open(&o) != OK)
        fail_msg("%s", (const char *)why.data);
    return shard(owner, 0, 1);
}

/* The base has it all. */
static inline void end(struct store *s)
{
    store_close(s);
    embedded_dir_close(dir, 60000);
}

static inline void forget(void)
{
    fixture_remove(path);
    *path = 0;
    buf_fini(&why);
}

static inline void wait_durable(struct store *s, const struct owner *owner, uint64_t batch)
{
    while (owner->durable < batch && !owner->failures) {
        store_poll(s);
        sched_yield();
    }
}

static inline struct embedded_stats stats(void)
{
    struct embedded_stats out;
    embedded_stats(embedded_dir_keeper(dir), &out);
    return out;
}

static inline const char *in_directory(const char *name)
{
    static char full[128];
    snprintf(full, sizeof(full), "%s/%s", path, name);
    return full;
}

#endif
