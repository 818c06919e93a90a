/* The program on trial: two shards' worth of random batches through the real keeper, each change
 * and each acknowledgement marked in the recorder's log (model.h).
 *
 *   writer DIR SEED BATCHES
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "model_hub.h"
#include "model_keeper.h"
#include "recorder.h"
#include "store/fault.h"

struct shard {
    struct store *store;
    struct model_hub hub;
    uint32_t handle;
    uint64_t seed, batches, durable;
    pthread_t thread;
};

static void mark(enum model_mark kind, const struct model_change *change)
{
    if (recorder_mark)
        recorder_mark(kind, change, sizeof(*change));
}

static void on_durable(void *owner, uint64_t batch)
{
    struct shard *s = owner;
    s->durable = batch;
    hub_durable(&s->hub.hub, batch);
    mark(MARK_ACK, &(struct model_change){.handle = s->handle, .batch = batch});
}

static void on_failed(void *owner, enum status st)
{
    (void)owner;
    fprintf(stderr, "writer: the store failed: %s\n", status_name(st));
    exit(70);
}

static void on_load(void *owner, enum status st, struct record *record)
{
    if (st != OK && st != NOT_FOUND)
        on_failed(NULL, st);
    *(uint64_t *)owner = model_hash(record);
}

static void mark_found(const struct shard *s)
{
    struct model_found found = {.handle = s->handle};
    for (uint32_t k = 0; k < MODEL_KEYS; k++) {
        struct store_key key = model_key(s->handle, k);
        if (k != MODEL_OWN || s->handle == 0)
            store_load(s->store, &key, on_load, &found.state.hash[k]);
    }
    for (uint32_t p = s->handle; p < MODEL_PARTITIONS; p += MODEL_HANDLES)
        found.state.parts[p] = s->store->parts[p];
    if (recorder_mark)
        recorder_mark(MARK_FOUND, &found, sizeof(found));
}

static void on_change(void *owner, const struct model_change *change)
{
    (void)owner;
    mark(MARK_CHANGE, change);
}

static void *run(void *arg)
{
    struct shard *s = arg;
    model_hub_init(&s->hub, s->store, s->handle, s->seed * 31);
    s->hub.on_change = on_change;
    for (uint64_t batch = 1; batch <= s->batches; batch++) {
        uint64_t how = image_random(&s->seed);
        uint64_t changes = how % 16 == 0 ? 40 : how % 7; /* some batches are empty, some large */
        for (uint64_t i = 0; i < changes; i++)
            model_hub_change(&s->hub);
        mark(MARK_COMMIT, &(struct model_change){.handle = s->handle, .batch = batch});
        CHECK(model_hub_commit(&s->hub) == batch);
        hub_trim(&s->hub.hub);
        bool wait = (how >> 8) % 4 != 0; /* else the keeper gathers */
        do {
            store_poll(s->store);
            sched_yield();
        } while (wait && s->durable < batch);
    }
    store_close(s->store);
    model_hub_fini(&s->hub);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 64;
    model_begin();
    uint64_t seed = strtoull(argv[2], NULL, 10), keeper_seed = seed ^ 0x5eed;
    struct embedded_dir_options options = {
        .path = argv[1],
        .partitions = MODEL_PARTITIONS,
        .map_bytes = 64 << 20,
        .keeper = model_keeper(&keeper_seed),
    };
    struct embedded_dir *dir;
    struct buf why = {0};
#ifdef TWINHUB_FAULTS
    store_fault_planted = STORE_FAULT_ACK_BEFORE_SYNC;
#endif
    if (embedded_dir_open(&options, &dir, &why) != OK) {
        fprintf(stderr, "writer: %.*s\n", SPAN_ARG(why));
        return 70;
    }
    if (recorder_mark)
        recorder_mark(MARK_OPENED, embedded_dir_directory(dir)->header.hub_id, 16);
    struct shard shards[MODEL_HANDLES] = {0};
    for (uint32_t i = 0; i < MODEL_HANDLES; i++) {
        struct shard *s = &shards[i];
        *s = (struct shard){.store = embedded_shard(embedded_dir_keeper(dir), i, MODEL_HANDLES),
                            .handle = i,
                            .seed = seed * MODEL_HANDLES + i,
                            .batches = strtoull(argv[3], NULL, 10)};
        s->store->owner = s;
        s->store->durable = on_durable;
        s->store->failed = on_failed;
    }
    for (uint32_t i = 0; i < MODEL_HANDLES; i++)
        mark_found(&shards[i]);
    for (uint32_t i = 0; i < MODEL_HANDLES; i++)
        if (pthread_create(&shards[i].thread, NULL, run, &shards[i]) != 0)
            return 70;
    for (uint32_t i = 0; i < MODEL_HANDLES; i++)
        pthread_join(shards[i].thread, NULL);
    embedded_dir_close(dir, 1000);
    return 0;
}
