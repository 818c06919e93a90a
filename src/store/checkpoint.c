/* The checkpoint: what changed since, into the base (embedded.h).
 *
 *   IDLE ─due─► ASK ─► HEAR ─► DURABLE ─► WRITE ─┬─► ASK …        the next offer, the next handle
 *     ▲                                          └─► SYNC ─► IDLE  after the last offer of all
 *     └──────────── a handle came or went, or there was no space ◄─┘
 *
 * The cycle's mark is where the journal was durable as it began. Every change before it was then in
 * some handle's hot table (none is begun while there are records of no handle), and a hot table
 * forgets only what the base has; so when each table has been gone through once, the base has all
 * changes before the mark. Newer ones may be in it too: replay knows by their seq. The mark is in
 * the same transaction as the last records, so it never runs ahead.
 */
#include <stdlib.h>

#include "store/embedded_parts.h"

enum {
    PAGE_ROOM = 4080, /* of LMDB's pages, for nodes */
    NODE_EXTRA = 62   /* of a record: LMDB's node and its offset, the value's header, the seal */
};

static struct handle *handle_after(const struct embedded *e, struct handle *h)
{
    struct list *next = h ? h->link.next : e->handles.next;
    return next == &e->handles ? NULL : CONTAINER_OF(next, struct handle, link);
}

/* Without space for a segment, those that are left behind may be all the space there is. A base
 * that had no space is tried until it has, though little may be left for it to have: it would be
 * called full for as long. */
bool checkpoint_due(const struct embedded *e)
{
    bool full = atomic_load(&e->tail) >= e->o.tail_max / 2 ||
                atomic_load(&e->hot) >= e->o.hot_max / 2 ||
                (atomic_load(&e->no_segment) && e->old_count) || atomic_load(&e->no_base_space);
    return full && !e->has_left && !e->stopping && !list_empty(&e->handles) && !embedded_failed(e);
}

/* -- the handle's part, on its thread -- */

static void drop_offer(struct offer *o)
{
    for (size_t i = 0; i < o->count; i++)
        record_unref(o->rows[i].record);
    o->count = o->part_count = 0;
}

static void offer_parts(struct handle *h)
{
    struct offer *o = h->offer;
    for (uint32_t i = 0; i < h->store.partitions; i++)
        if (h->dirty[i] && i % h->count == h->index)
            o->parts[o->part_count++] = (struct offer_part){i, h->store.parts[i]};
}

/* The next records in key order, as they are now. */
static void fill_offer(struct handle *h)
{
    struct offer *o = h->offer;
    struct table_row *row = table_after(&h->hot, key_span(&h->offered_to));
    o->count = o->part_count = 0;
    for (; row && o->count < OFFER_MAX; row = row->next[0]) {
        struct record *record = row->record ? record_ref(row->record) : NULL;
        o->rows[o->count++] = (struct offer_row){row, record, row->batch};
    }
    o->last = !row;
    o->needs = h->serial + (h->open != NULL);
    if (o->last)
        offer_parts(h);
    if (o->count) {
        struct span key = table_key(o->rows[o->count - 1].row);
        memcpy(h->offered_to.bytes, key.data, key.len);
        h->offered_to.len = key.len;
    }
}

/* The base has them, and every read from here on enters it after that commit. */
static void forget(struct handle *h)
{
    struct offer *o = h->offer;
    size_t freed = 0;
    for (size_t i = 0; i < o->count; i++) {
        struct table_row *row = o->rows[i].row;
        if (row->batch != o->rows[i].seq && !store_fault(STORE_FAULT_FORGETS_NEWER))
            continue;
        freed += handle_row_bytes(row);
        table_remove(&h->hot, row);
    }
    atomic_fetch_sub(&h->env->hot, freed);
    for (size_t i = 0; i < o->part_count; i++)
        if (h->store.parts[o->parts[i].partition].seq == o->parts[i].counts.seq)
            h->dirty[o->parts[i].partition] = 0;
    drop_offer(o);
}

void checkpoint_answer(struct handle *h)
{
    struct embedded *e = h->env;
    int now = atomic_load(&h->exchange), next = EX_NONE;
    if (now == EX_NONE || now == EX_OFFERED)
        return;
    bool was_full = atomic_load(&e->hot) >= e->o.hot_max;
    if (now == EX_WRITTEN || (now == EX_DROPPED && store_fault(STORE_FAULT_FORGETS_UNWRITTEN)))
        forget(h);
    else if (now == EX_DROPPED)
        drop_offer(h->offer);
    else {
        fill_offer(h);
        next = EX_OFFERED;
    }
    pthread_mutex_lock(&e->lock);
    if (atomic_load(&h->exchange) == now)
        atomic_store(&h->exchange, next);
    /* else it was given up meanwhile: EX_DROPPED, and the next poll drops the offer */
    if (now == EX_WRITTEN && was_full && atomic_load(&e->hot) < e->o.hot_max)
        embedded_wake_all(e);
    embedded_signal(e, ACTOR_CHECKPOINT);
    pthread_mutex_unlock(&e->lock);
}

/* -- the cycle -- */

static void give_up(struct embedded *e)
{
    struct checkpoint *c = &e->checkpoint;
    LIST_EACH(at, &e->handles)
    {
        struct handle *h = CONTAINER_OF(at, struct handle, link);
        int now = atomic_load(&h->exchange);
        if (now != EX_ASKED && now != EX_OFFERED)
            continue;
        atomic_store(&h->exchange, EX_DROPPED);
        handle_wake(h);
    }
    c->state = CK_IDLE;
    c->handle = NULL;
}

void checkpoint_disturb(struct embedded *e)
{
    while (e->checkpoint.writing)
        embedded_wait(e);
    if (e->checkpoint.state != CK_IDLE && e->checkpoint.state != CK_SYNC)
        give_up(e);
}

static bool begin(struct embedded *e)
{
    struct checkpoint *c = &e->checkpoint;
    if (!checkpoint_due(e) || embedded_mono(e) < c->retry_ms)
        return false;
    c->mark = e->durable;
    c->handle = handle_after(e, NULL);
    c->anew = true;
    c->state = CK_ASK;
    return true;
}

static bool ask(struct checkpoint *c)
{
    struct handle *h = c->handle;
    if (atomic_load(&h->exchange) != EX_NONE)
        return false; /* it has not yet done with the last one */
    if (c->anew)
        h->offered_to.len = 0;
    c->anew = false;
    atomic_store(&h->exchange, EX_ASKED);
    handle_wake(h);
    c->state = CK_HEAR;
    return true;
}

/* By a planted fault. */
static bool is_left_out(const struct offer_row *row)
{
    return (!row->record && store_fault(STORE_FAULT_DELETE_NOT_WRITTEN)) ||
           (row->seq % 8 == 0 && store_fault(STORE_FAULT_COUNTS_ALONE));
}

static int put_row(struct base *b, const struct offer_row *row)
{
    if (is_left_out(row))
        return 0;
    return base_put(b, table_key(row->row), row->record, row->seq);
}

/* How many records like this one fill a page of LMDB's, when that is two or three; else 1. */
static size_t group_of(const struct offer_row *row)
{
    const struct record *r = row->record;
    if (!r)
        return 1;
    size_t bytes = r->body_len + r->secret_len + row->row->key_len + NODE_EXTRA;
    size_t fit = PAGE_ROOM / bytes;
    return fit == 2 || fit == 3 ? fit : 1;
}

/* A page that is full when a record comes at its end keeps all but one of its own, which go to a
 * new one with it: of two that fit, one stays. A page into which one comes before the last keeps
 * what fits. So neighbours go in groups, the last before the one before it. Made in order, records
 * of 950 to 1,900 bytes take 1.9 to 3.1 times their size, so 1.1 to 1.6 times. */
static int put_rows(struct base *b, const struct offer *o)
{
    int error = 0;
    for (size_t at = 0; at < o->count && !error;) {
        const struct offer_row *rows = &o->rows[at];
        size_t group = group_of(rows);
        if (group > o->count - at)
            group = 1;
        at += group;
        for (size_t i = 0; i + 2 < group && !error; i++)
            error = put_row(b, &rows[i]);
        if (group > 1 && !error)
            error = put_row(b, &rows[group - 1]);
        if (!error)
            error = put_row(b, &rows[group > 1 ? group - 2 : 0]);
    }
    return error;
}

static int put_offer(struct base *b, const struct offer *o)
{
    int error = put_rows(b, o);
    for (size_t i = 0; i < o->part_count && !error; i++)
        error = base_put_counts(b, o->parts[i].partition, &o->parts[i].counts);
    return error;
}

/* How long to leave the disk alone: as long as the transaction took while the tail is half full,
 * not at all once it is three quarters full. */
static int64_t pause_ms(const struct embedded *e, int64_t took_ms)
{
    uint64_t half = e->o.tail_max / 2, quarter = half / 2, tail = atomic_load(&e->tail);
    if (tail >= half + quarter || atomic_load(&e->hot) >= e->o.hot_max / 4 * 3 || quarter == 0)
        return 0;
    uint64_t over = tail > half ? tail - half : 0;
    return (int64_t)((uint64_t)took_ms * (quarter - over) / quarter);
}

/* Under the lock before and after; the transaction is without. */
static void write_offer(struct embedded *e)
{
    struct checkpoint *c = &e->checkpoint;
    struct handle *h = c->handle, *next = h->offer->last ? handle_after(e, h) : h;
    int64_t began_ms = embedded_mono(e);
    c->writing = true;
    pthread_mutex_unlock(&e->lock);
    int error = base_begin(e->base);
    if (!error)
        error = put_offer(e->base, h->offer);
    if (store_fault(STORE_FAULT_MARK_AHEAD))
        c->mark = e->durable;
    if (!error && !next)
        error = base_put_mark(e->base, c->mark);
    if (!error)
        error = base_commit(e->base);
    enum status st = error ? base_status(e->base, error) : OK;
    if (st != OK && st != STORAGE_FULL)
        embedded_fail(e, "write the base", st, base_text(e->base, error));
    pthread_mutex_lock(&e->lock);
    c->writing = false;
    pthread_cond_broadcast(&e->progress);
    if (st != OK) {
        atomic_store(&e->no_base_space, st == STORAGE_FULL);
        c->retry_ms = embedded_mono(e) + RETRY_MS;
        give_up(e);
        return;
    }
    atomic_store(&e->no_base_space, false);
    e->stats.checkpointed += h->offer->count;
    atomic_store(&h->exchange, EX_WRITTEN);
    handle_wake(h);
    c->pause_ms = pause_ms(e, embedded_mono(e) - began_ms);
    c->anew = next != h;
    c->handle = next;
    c->state = next ? CK_ASK : CK_SYNC;
}

static void finish(struct embedded *e)
{
    struct checkpoint *c = &e->checkpoint;
    struct mark mark = c->mark;
    pthread_mutex_unlock(&e->lock);
    int error = base_sync(e->base);
    if (error)
        embedded_fail(e, "sync the base", base_status(e->base, error), base_text(e->base, error));
    pthread_mutex_lock(&e->lock);
    c->state = CK_IDLE;
    if (error)
        return;
    e->replay_from = mark;
    e->retire_to = mark.position;
    atomic_store(&e->tail, e->durable.position - mark.position);
    e->stats.checkpoints++;
    embedded_wake_all(e);            /* there is room again */
    embedded_signal(e, ACTOR_SPARE); /* segments are done with */
}

bool checkpoint_step(struct embedded *e)
{
    struct checkpoint *c = &e->checkpoint;
    bool done = true;
    pthread_mutex_lock(&e->lock);
    c->pause_ms = 0;
    if (embedded_failed(e))
        done = false;
    else if (c->state == CK_IDLE)
        done = begin(e);
    else if (c->state == CK_ASK)
        done = ask(c);
    else if (c->state == CK_HEAR)
        done = atomic_load(&c->handle->exchange) == EX_OFFERED;
    else if (c->state == CK_DURABLE)
        done = atomic_load(&c->handle->synced) >= c->handle->offer->needs ||
               store_fault(STORE_FAULT_BASE_AHEAD);
    else if (c->state == CK_WRITE)
        write_offer(e);
    else
        finish(e);
    if (done && c->state == CK_HEAR && atomic_load(&c->handle->exchange) == EX_OFFERED)
        c->state = CK_DURABLE;
    else if (done && c->state == CK_DURABLE)
        c->state = CK_WRITE;
    pthread_mutex_unlock(&e->lock);
    return done;
}

/* -- the end -- */

/* How far it has come. */
struct rest {
    unsigned table;
    struct key at;
};

static int rest_some(struct embedded *e, struct rest *r, bool *more)
{
    struct table_row *row = table_after(&e->left[r->table], key_span(&r->at)), *last = NULL;
    int error = base_begin(e->base);
    for (int i = 0; i < OFFER_MAX && row && !error; i++, row = row->next[0]) {
        error = base_put(e->base, table_key(row), row->record, row->batch);
        last = row;
    }
    if (error)
        return error;
    if (row) {
        struct span key = table_key(last);
        memcpy(r->at.bytes, key.data, key.len);
        r->at.len = key.len;
    } else {
        r->table++;
        r->at.len = 0;
    }
    *more = r->table < e->left_count;
    for (uint32_t i = 0; i < e->o.partitions && !*more && !error; i++)
        if (e->parts[i].seq)
            error = base_put_counts(e->base, i, &e->parts[i]);
    if (!error && !*more)
        error = base_put_mark(e->base, e->durable);
    return error ? error : base_commit(e->base);
}

bool checkpoint_rest(struct embedded *e, int64_t until_ms)
{
    struct rest rest = {.table = 0};
    int error = 0;
    for (bool more = true; more && !error;) {
        if (embedded_mono(e) >= until_ms)
            return false;
        error = rest_some(e, &rest, &more);
    }
    if (!error)
        error = base_sync(e->base);
    if (!error)
        e->replay_from = e->durable;
    return !error;
}
