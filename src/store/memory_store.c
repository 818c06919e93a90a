#include "store/memory_store.h"

#include <stdlib.h>

#include "base/list.h"
#include "store/key.h"
#include "store/table.h"

enum { PARTITIONS_DEFAULT = 32 };

struct memory_env {
    struct memory_options options;
    struct table now, durable; /* all that was handed over; what a power cut would leave */
    struct store_partition *parts, *durable_parts;
    struct list shards;
};

/* A change that is not durable yet. */
struct waiting {
    struct list link;
    uint64_t batch; /* 0: of the open one */
    struct store_partition part;
    uint32_t partition;
    struct record *record; /* counted */
    struct key key;
};

struct shard {
    struct store store;
    struct memory_env *env;
    struct list link;
    struct list waiting;
    uint64_t committed, durable, reported; /* batches */
    enum status failing;                   /* not OK: the disk has failed */
    bool told;
    enum store_room room; /* as a test wants it */
};

static struct shard *shard_of(struct store *s)
{
    return CONTAINER_OF(s, struct shard, store);
}

static void apply(struct table *t, struct span key, struct record *record)
{
    if (record) {
        table_set(table_get(t, key), record);
        return;
    }
    struct table_row *row = table_find(t, key);
    if (row)
        table_remove(t, row);
}

static void memory_load(struct store *s, const struct store_key *key, store_load_fn *fn,
                        void *owner)
{
    struct key k;
    key_encode(&k, key);
    struct table_row *row = table_find(&shard_of(s)->env->now, key_span(&k));
    struct record *record = row ? record_ref(row->record) : NULL;
    fn(owner, record ? OK : NOT_FOUND, record);
    record_unref(record);
}

static void memory_scan(struct store *s, const struct store_key *after, bool whole_device,
                        store_row_fn *row_fn, store_done_fn *done, void *owner)
{
    struct table *t = &shard_of(s)->env->now;
    struct key at, prefix;
    if (after->device.len)
        key_encode(&at, after);
    else
        key_first_device(&at, after->partition);
    struct span within = span_of(at.bytes, 2);
    if (whole_device) {
        prefix = at;
        within = key_device_prefix(key_span(&prefix));
    }
    /* The callback may change the table, so the place is kept as a key. */
    for (bool more = true; more;) {
        struct table_row *row = table_after(t, key_span(&at));
        if (!row || !span_starts(table_key(row), within))
            break;
        at.len = row->key_len;
        memcpy(at.bytes, table_key(row).data, at.len);
        struct store_key key;
        CHECK(key_decode(key_span(&at), &key));
        struct record *record = record_ref(row->record);
        more = row_fn(owner, &key, record);
        record_unref(record);
    }
    done(owner, OK);
}

static void memory_append(struct store *s, const struct store_change *change)
{
    struct shard *shard = shard_of(s);
    struct memory_env *env = shard->env;
    uint32_t partition = change->key.partition;
    CHECK(partition < s->partitions);
    CHECK(change->seq == env->parts[partition].seq + 1);
    CHECK(change->part.seq == change->seq);
    struct waiting *w = calloc(1, sizeof(*w));
    if (!w)
        check_no_memory();
    key_encode(&w->key, &change->key);
    w->part = change->part;
    w->partition = partition;
    w->record = change->record ? record_ref(change->record) : NULL;
    list_append(&shard->waiting, &w->link);

    if (env->options.on_append) {
        struct table_row *row = table_find(&env->now, key_span(&w->key));
        env->options.on_append(env->options.on_append_owner, row ? row->record : NULL, change);
    }
    apply(&env->now, key_span(&w->key), change->record);
    env->parts[partition] = change->part;
}

static void free_waiting(struct waiting *w)
{
    list_remove(&w->link);
    record_unref(w->record);
    free(w);
}

static void make_durable(struct shard *shard, uint64_t upto)
{
    struct memory_env *env = shard->env;
    LIST_EACH_SAFE(at, &shard->waiting)
    {
        struct waiting *w = CONTAINER_OF(at, struct waiting, link);
        if (w->batch == 0 || w->batch > upto)
            break;
        apply(&env->durable, key_span(&w->key), w->record);
        env->durable_parts[w->partition] = w->part;
        free_waiting(w);
    }
    if (upto > shard->durable)
        shard->durable = upto;
}

static void memory_poll(struct store *s)
{
    struct shard *shard = shard_of(s);
    while (shard->reported < shard->durable) {
        shard->reported++;
        if (s->durable)
            s->durable(s->owner, shard->reported);
    }
    if (shard->failing != OK && !shard->told) {
        shard->told = true;
        if (s->failed)
            s->failed(s->owner, shard->failing);
    }
}

static void memory_commit(struct store *s, uint64_t batch)
{
    struct shard *shard = shard_of(s);
    CHECK(shard->committed == 0 || batch == shard->committed + 1);
    if (shard->committed == 0)
        shard->durable = shard->reported = batch - 1;
    shard->committed = batch;
    for (struct list *at = shard->waiting.prev; at != &shard->waiting; at = at->prev) {
        struct waiting *w = CONTAINER_OF(at, struct waiting, link);
        if (w->batch)
            break;
        w->batch = batch;
    }
    if (!shard->env->options.manual_sync && shard->failing == OK) {
        make_durable(shard, batch);
        memory_poll(s);
    }
}

static void free_shard(struct shard *shard)
{
    LIST_EACH_SAFE(at, &shard->waiting)
    {
        free_waiting(CONTAINER_OF(at, struct waiting, link));
    }
    list_remove(&shard->link);
    free(shard);
}

static void memory_close(struct store *s)
{
    struct shard *shard = shard_of(s);
    if (shard->failing == OK)
        make_durable(shard, shard->committed);
    memory_poll(s);
    free_shard(shard);
}

static enum store_room memory_room(const struct store *s)
{
    return ((const struct shard *)(const void *)s)->room; /* the store is its first member */
}

static const struct store_ops memory_ops = {
    .load = memory_load,
    .scan = memory_scan,
    .append = memory_append,
    .commit = memory_commit,
    .poll = memory_poll,
    .close = memory_close,
    .room = memory_room,
};

struct memory_env *memory_env_create(const struct memory_options *options)
{
    struct memory_env *env = calloc(1, sizeof(*env));
    if (!env)
        check_no_memory();
    env->options = *options;
    if (env->options.partitions == 0)
        env->options.partitions = PARTITIONS_DEFAULT;
    CHECK(env->options.partitions <= STORE_PARTITIONS_MAX);
    struct hash_key hash_key = {random_u64(options->random), random_u64(options->random)};
    table_init(&env->now, hash_key);
    table_init(&env->durable, hash_key);
    list_init(&env->shards);
    env->parts = calloc(env->options.partitions, sizeof(*env->parts));
    env->durable_parts = calloc(env->options.partitions, sizeof(*env->durable_parts));
    if (!env->parts || !env->durable_parts)
        check_no_memory();
    return env;
}

void memory_env_destroy(struct memory_env *env)
{
    if (!env)
        return;
    CHECK(list_empty(&env->shards));
    table_fini(&env->now);
    table_fini(&env->durable);
    free(env->parts);
    free(env->durable_parts);
    free(env);
}

struct store *memory_env_shard(struct memory_env *env)
{
    struct shard *shard = calloc(1, sizeof(*shard));
    if (!shard)
        check_no_memory();
    shard->env = env;
    shard->store.ops = &memory_ops;
    shard->store.parts = env->parts;
    shard->store.partitions = env->options.partitions;
    list_init(&shard->waiting);
    list_append(&env->shards, &shard->link);
    return &shard->store;
}

void memory_store_sync_upto(struct store *s, uint64_t upto)
{
    struct shard *shard = shard_of(s);
    CHECK(upto <= shard->committed);
    if (shard->failing != OK)
        return;
    make_durable(shard, upto);
    if (s->wake && shard->reported < shard->durable)
        s->wake(s->owner);
}

void memory_store_sync(struct store *s)
{
    memory_store_sync_upto(s, shard_of(s)->committed);
}

void memory_store_fail(struct store *s, enum status st)
{
    shard_of(s)->failing = st;
    if (s->wake)
        s->wake(s->owner);
}

void memory_store_room(struct store *s, enum store_room room)
{
    shard_of(s)->room = room;
    if (s->wake)
        s->wake(s->owner);
}

void memory_env_crash(struct memory_env *env)
{
    LIST_EACH_SAFE(at, &env->shards)
    {
        free_shard(CONTAINER_OF(at, struct shard, link));
    }
    struct hash_key hash_key = env->now.hash_key;
    table_fini(&env->now);
    table_init(&env->now, hash_key);
    for (struct table_row *row = env->durable.first[0]; row; row = row->next[0])
        table_set(table_get(&env->now, table_key(row)), row->record);
    memcpy(env->parts, env->durable_parts, env->options.partitions * sizeof(*env->parts));
}
