/* Durable updates a second: random records of 800 bytes among 100,000, in batches, one handle, as
 * many batches waiting as a shard would have (two).
 *
 *   store_bench DIR [SECONDS]     DIR must not exist yet
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/embedded_dir.h"
#include "store/replay_fixture.h"

enum { TWINS = 100000, PARTITIONS = 32, BODY = 800, SECRET = 88, WAITING = 2, PATCH = 200 };

struct bench {
    struct store *s;
    uint64_t batch, durable, seed;
    struct buf effect;
};

static uint64_t next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    return z ^ z >> 27;
}

static void fill(void *ctx, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)next(ctx);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct now now(void *ctx)
{
    (void)ctx;
    int64_t ms = (int64_t)(now_s() * 1000);
    return (struct now){ms, ms};
}

static void on_durable(void *owner, uint64_t batch)
{
    ((struct bench *)owner)->durable = batch;
}

static void on_failed(void *owner, enum status st)
{
    (void)owner;
    fprintf(stderr, "store_bench: %s\n", status_name(st));
    exit(70);
}

static void update(struct bench *b, uint64_t twin)
{
    char id[16];
    int len = snprintf(id, sizeof(id), "device-%06u", (unsigned)twin);
    struct span device = span_of(id, (size_t)len);
    uint32_t partition = (uint32_t)(twin % PARTITIONS);
    struct store_partition part = b->s->parts[partition];
    struct record *record = record_create(BODY, SECRET);
    memset(record->bytes, (int)twin, BODY + SECRET);
    store_u64le(record->bytes, ++part.seq);
    struct store_change change = {
        .key = {partition, device, SPAN("")},
          .seq = part.seq, .record = record, .part = part
    };
    buf_clear(&b->effect);
    fixture_effect(&change, &b->effect);
    change.effect = span_first(change.effect, PATCH); /* what a twin change takes */
    change.secret = SPAN("");
    store_append(b->s, &change);
    record_unref(record);
}

static void commit(struct bench *b, uint64_t waiting)
{
    store_commit(b->s, ++b->batch);
    while (b->batch - b->durable > waiting) {
        store_poll(b->s);
        sched_yield();
    }
}

static void run(struct bench *b, int size, double seconds)
{
    double start = now_s(), end;
    uint64_t updates = 0;
    do {
        for (int i = 0; i < size; i++)
            update(b, next(&b->seed) % TWINS);
        updates += (uint64_t)size;
        commit(b, WAITING);
        end = now_s();
    } while (end - start < seconds);
    commit(b, 0);
    end = now_s();
    printf("batches of %4d: %.0f durable updates/s, %.0f batches/s\n", size,
           (double)updates / (end - start), (double)updates / size / (end - start));
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    uint64_t random_seed = 1;
    struct embedded_dir_options options = {
        .path = argv[1],
        .partitions = PARTITIONS,
        .keeper = {.random = {fill, &random_seed}, .clock = now, .replay = &fixture_replay}
    };
    struct embedded_dir *dir;
    struct buf why = {0};
    if (embedded_dir_open(&options, &dir, &why) != OK) {
        fprintf(stderr, "store_bench: %.*s\n", SPAN_ARG(why));
        return 70;
    }
    struct bench b = {.s = embedded_shard(embedded_dir_keeper(dir), 0, 1), .seed = 2};
    b.s->owner = &b;
    b.s->durable = on_durable;
    b.s->failed = on_failed;
    for (uint64_t i = 0; i < TWINS; i++) {
        update(&b, i);
        if (i % 1000 == 999)
            commit(&b, WAITING);
    }
    commit(&b, 0);
    static const int sizes[] = {1, 64, 1000};
    for (size_t i = 0; i < COUNT(sizes); i++)
        run(&b, sizes[i], argc > 2 ? atof(argv[2]) : 5);
    store_close(b.s);
    buf_fini(&b.effect);
    embedded_dir_close(dir, 0);
    return 0;
}
