#include "keeper.h"

#include "base/list.h"
#include "base/test.h"

#include <stdlib.h>

struct keeper {
    struct store store; /* what the shard sees */
    struct store *inner;
    struct keeper_options options;
    struct list reads;
    bool dark;
    uint64_t committed, reported; /* batches */
};

/* A load or scan that waits. */
struct read {
    struct list link;
    bool scan, whole_device;
    store_load_fn *load;
    store_row_fn *row;
    store_done_fn *done;
    void *owner;
    uint32_t partition;
    uint8_t device_len, module_len;
    uint8_t ids[2 * STORE_ID_MAX];
};

static struct keeper *keeper_of(struct store *s)
{
    return CONTAINER_OF(s, struct keeper, store);
}

static bool strikes(const struct keeper *k, enum fault fault, unsigned one_in)
{
    return k->options.fault == fault && test_random(k->options.seed) % one_in == 0;
}

/* ---- what the inner store says ---- */

static void report(struct keeper *k, uint64_t upto)
{
    while (k->reported < upto) {
        k->reported++;
        k->store.durable(k->store.owner, k->reported);
    }
}

static void on_durable(void *owner, uint64_t batch)
{
    struct keeper *k = owner;
    bool late = k->options.fault == FAULT_LATE_SYNC && k->committed > batch;
    report(k, batch + late);
}

static void on_failed(void *owner, enum status st)
{
    struct keeper *k = owner;
    k->store.failed(k->store.owner, st);
}

static void on_wake(void *owner)
{
    struct keeper *k = owner;
    k->store.wake(k->store.owner);
}

/* ---- reading ---- */

static void load_now(struct keeper *k, const struct store_key *key, store_load_fn *fn, void *owner)
{
    if (strikes(k, FAULT_STALE_LOAD, 8))
        fn(owner, NOT_FOUND, NULL);
    else
        store_load(k->inner, key, fn, owner);
}

static struct read *read_create(struct keeper *k, const struct store_key *key, void *owner)
{
    struct read *r = calloc(1, sizeof(*r));
    if (!r)
        check_no_memory();
    r->owner = owner;
    r->partition = key->partition;
    r->device_len = (uint8_t)key->device.len;
    r->module_len = (uint8_t)key->module.len;
    if (key->device.len)
        memcpy(r->ids, key->device.data, key->device.len);
    if (key->module.len)
        memcpy(r->ids + key->device.len, key->module.data, key->module.len);
    list_append(&k->reads, &r->link);
    return r;
}

static void keeper_load(struct store *s, const struct store_key *key, store_load_fn *fn,
                        void *owner)
{
    struct keeper *k = keeper_of(s);
    if (!k->options.async) {
        load_now(k, key, fn, owner);
        return;
    }
    read_create(k, key, owner)->load = fn;
}

static void keeper_scan(struct store *s, const struct store_key *after, bool whole_device,
                        store_row_fn *row, store_done_fn *done, void *owner)
{
    struct keeper *k = keeper_of(s);
    if (!k->options.async) {
        store_scan(k->inner, after, whole_device, row, done, owner);
        return;
    }
    struct read *r = read_create(k, after, owner);
    r->scan = true;
    r->whole_device = whole_device;
    r->row = row;
    r->done = done;
}

bool keeper_waits(const struct store *s)
{
    return !list_empty(&((const struct keeper *)(const void *)s)->reads);
}

bool keeper_answer(struct store *s)
{
    struct keeper *k = keeper_of(s);
    struct list *first = list_take_first(&k->reads);
    if (!first)
        return false;
    struct read *r = CONTAINER_OF(first, struct read, link);
    struct store_key key = {r->partition, span_of(r->ids, r->device_len),
                            span_of(r->ids + r->device_len, r->module_len)};
    if (r->scan)
        store_scan(k->inner, &key, r->whole_device, r->row, r->done, r->owner);
    else
        load_now(k, &key, r->load, r->owner);
    free(r);
    return true;
}

/* ---- writing ---- */

struct found {
    struct record *record;
};

static void on_found(void *owner, enum status st, struct record *record)
{
    struct found *found = owner;
    found->record = st == OK ? record_ref(record) : NULL;
}

static void keeper_append(struct store *s, const struct store_change *change)
{
    struct keeper *k = keeper_of(s);
    struct store_change c = *change;
    struct found old = {0};
    if (k->dark)
        return;
    store_load(k->inner, &change->key, on_found, &old);
    if (k->options.on_append)
        k->options.on_append(k->options.on_append_owner, old.record, change);
    if ((!change->record && strikes(k, FAULT_LOST_DELETE, 2)) ||
        (change->record && strikes(k, FAULT_LOST_UPDATE, 16)))
        c.record = old.record;
    c.part.devices += strikes(k, FAULT_WRONG_COUNTS, 2);
    store_append(k->inner, &c);
    record_unref(old.record);
}

static void keeper_commit(struct store *s, uint64_t batch)
{
    struct keeper *k = keeper_of(s);
    if (!k->committed)
        k->reported = batch - 1;
    k->committed = batch;
    if (!k->dark)
        store_commit(k->inner, batch);
    if (k->options.fault == FAULT_EARLY_DURABLE)
        report(k, batch);
}

static void keeper_poll(struct store *s)
{
    struct keeper *k = keeper_of(s);
    if (k->dark)
        report(k, k->committed);
    else
        store_poll(k->inner);
}

static void keeper_close(struct store *s)
{
    struct keeper *k = keeper_of(s);
    while (keeper_answer(s))
        ;
    store_close(k->inner);
    keeper_destroy(s);
}

static enum store_room keeper_room(const struct store *s)
{
    const struct keeper *k = (const void *)s; /* the store is its first member */
    return k->dark ? STORE_OPEN : store_room(k->inner);
}

static const struct store_ops keeper_ops = {
    .load = keeper_load,
    .scan = keeper_scan,
    .append = keeper_append,
    .commit = keeper_commit,
    .poll = keeper_poll,
    .close = keeper_close,
    .room = keeper_room,
};

struct store *keeper_create(struct store *inner, const struct keeper_options *options)
{
    struct keeper *k = calloc(1, sizeof(*k));
    if (!k)
        check_no_memory();
    k->store =
        (struct store){.ops = &keeper_ops, .parts = inner->parts, .partitions = inner->partitions};
    k->inner = inner;
    k->options = *options;
    list_init(&k->reads);
    inner->owner = k;
    inner->durable = on_durable;
    inner->failed = on_failed;
    inner->wake = on_wake;
    return &k->store;
}

void keeper_destroy(struct store *s)
{
    struct keeper *k = keeper_of(s);
    for (struct list *at; (at = list_take_first(&k->reads));)
        free(CONTAINER_OF(at, struct read, link));
    free(k);
}

void keeper_go_dark(struct store *s)
{
    keeper_of(s)->dark = true;
}
