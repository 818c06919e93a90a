/* The program on trial: two shards' worth of random batches through the real keeper, each change
 * and each acknowledgement marked in the recorder's log (model.h).
 *
 *   writer DIR SEED BATCHES
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"
#include "model_keeper.h"
#include "recorder.h"
#include "store/fault.h"

struct shard {
    struct store *store;
    uint32_t handle;
    uint64_t seed, batches, durable;
    struct model_state state;
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
    if (st == OK)
        *(uint64_t *)owner = load_u64le(record->bytes);
    else if (st != NOT_FOUND)
        on_failed(NULL, st);
}

static void read_state(struct shard *s)
{
    for (uint32_t k = 0; k < MODEL_KEYS; k++) {
        struct store_key key = model_key(s->handle, k);
        store_load(s->store, &key, on_load, &s->state.seq[k]);
    }
    for (uint32_t p = s->handle; p < MODEL_PARTITIONS; p += MODEL_HANDLES)
        s->state.parts[p] = s->store->parts[p];
}

static void change_one(struct shard *s, uint64_t batch)
{
    uint32_t k = (uint32_t)(image_random(&s->seed) % MODEL_KEYS);
    uint32_t partition = model_key(s->handle, k).partition;
    struct model_change change = {
        .handle = s->handle,
        .key = k,
        .deleted = s->state.seq[k] && image_random(&s->seed) % 5 == 0,
        .batch = batch,
        .seq = s->state.parts[partition].seq + 1,
    };
    mark(MARK_CHANGE, &change);
    model_apply(&s->state, &change);
    struct record *record = change.deleted ? NULL : model_record(s->handle, k, change.seq);
    struct store_change stored = {
        .key = model_key(s->handle, k),
        .seq = change.seq,
        .record = record,
        .part = s->state.parts[partition],
    };
    struct buf effect = {0};
    fixture_effect(&stored, &effect);
    store_append(s->store, &stored);
    buf_fini(&effect);
    record_unref(record);
}

static void *run(void *arg)
{
    struct shard *s = arg;
    for (uint64_t batch = 1; batch <= s->batches; batch++) {
        uint64_t how = image_random(&s->seed);
        uint64_t changes = how % 16 == 0 ? 40 : how % 7; /* some batches are empty, some large */
        for (uint64_t i = 0; i < changes; i++)
            change_one(s, batch);
        mark(MARK_COMMIT, &(struct model_change){.handle = s->handle, .batch = batch});
        store_commit(s->store, batch);
        bool wait = (how >> 8) % 4 != 0; /* else the keeper gathers */
        do {
            store_poll(s->store);
            sched_yield();
        } while (wait && s->durable < batch);
    }
    store_close(s->store);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 64;
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
        read_state(s);
    }
    for (uint32_t i = 0; i < MODEL_HANDLES; i++)
        if (pthread_create(&shards[i].thread, NULL, run, &shards[i]) != 0)
            return 70;
    for (uint32_t i = 0; i < MODEL_HANDLES; i++)
        pthread_join(shards[i].thread, NULL);
    embedded_dir_close(dir, 1000);
    return 0;
}
