/* Durable updates a second: random records of 800 bytes among 100,000, in batches, one handle, as
 * many batches waiting as a shard would have (two).
 *
 *   store_bench DIR [SECONDS]     DIR must not exist yet
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/lmdb_store.h"

enum { TWINS = 100000, PARTITIONS = 32, BODY = 800, SECRET = 88, WAITING = 2 };

struct bench {
    struct store *s;
    uint64_t batch, durable, seed;
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
    store_append(
        b->s,
        &(struct store_change){
            .key = {partition, device, SPAN("")},
              .seq = part.seq, .record = record, .part = part
    });
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
    struct lmdb_options options = {
        .path = argv[1], .random = {fill, &random_seed},
             .partitions = PARTITIONS
    };
    struct lmdb_env *env;
    struct buf why = {0};
    if (lmdb_env_open(&options, &env, &why) != OK) {
        fprintf(stderr, "store_bench: %.*s\n", SPAN_ARG(why));
        return 70;
    }
    struct bench b = {.s = lmdb_env_shard(env), .seed = 2};
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
    lmdb_env_close(env);
    return 0;
}
