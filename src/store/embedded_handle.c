#include <stdlib.h>

#include "store/embedded_parts.h"

static struct handle *handle_of(const struct store *s)
{
    union {
        const struct store *from;
        struct store *to;
    } cast = {.from = s};
    return CONTAINER_OF(cast.to, struct handle, store);
}

static void reader_failed(struct handle *h)
{
    const struct base *b = h->env->base;
    int error = h->reader->error;
    embedded_fail(h->env, "read the base", base_status(b, error), base_text(b, error));
}

static void wake_owner(const struct handle *h)
{
    if (h->store.wake)
        h->store.wake(h->store.owner);
}

/* Until its first commit or poll the owner may still be writing down who it is (store.h). */
void handle_wake(struct handle *h)
{
    if (!atomic_exchange(&h->woken, true) && atomic_load(&h->owned))
        wake_owner(h);
}

/* From here on it may be woken; whoever wanted to before could not. */
static void own(struct handle *h)
{
    if (!atomic_exchange(&h->owned, true) && atomic_load(&h->woken))
        wake_owner(h);
}

size_t handle_row_bytes(const struct table_row *row)
{
    const struct record *r = row->record;
    return sizeof(*row) + row->key_len + (r ? sizeof(*r) + r->body_len + r->secret_len : 0);
}

/* -- load -- */

static enum status load_base(struct handle *h, struct span key, struct record **out)
{
    enum status st = base_enter(h->reader);
    if (st == OK) {
        st = base_get(h->reader, key, out);
        base_leave(h->reader);
    }
    if (st == SERVER_ERROR)
        reader_failed(h);
    return st == SERVER_ERROR ? DAMAGED : st;
}

static void embedded_load(struct store *s, const struct store_key *key, store_load_fn *fn,
                          void *owner)
{
    struct handle *h = handle_of(s);
    struct key k;
    struct record *record = NULL;
    enum status st;
    key_encode(&k, key);
    const struct table_row *row = table_find(&h->hot, key_span(&k));
    if (row && (row->record || !store_fault(STORE_FAULT_HOT_DELETE_UNSEEN))) {
        record = row->record ? record_ref(row->record) : NULL;
        st = record ? OK : NOT_FOUND;
    } else {
        st = load_base(h, key_span(&k), &record);
    }
    fn(owner, st, record);
    record_unref(record);
}

/* -- scan: the hot table and the base, merged -- */

struct scan {
    struct handle *h;
    struct span within; /* every key begins with it */
    struct key at;      /* the last key given, or where it starts */
    struct base_walk *base;
    struct key base_at;
    struct record *base_record; /* counted, its key is base_at; NULL: to be read, or base_ended */
    bool base_ended;
    struct table_row *row; /* the next hot one, good while … */
    uint64_t row_changes;  /* … the table has not changed since; 0: to be sought */
    enum status st;        /* the worst so far */
};

static void fill_base(struct scan *scan)
{
    while (!scan->base_record && !scan->base_ended) {
        enum status st = base_next(scan->h->reader, scan->base, &scan->base_at, &scan->base_record);
        if (st == DAMAGED)
            scan->st = DAMAGED;
        else if (st != OK)
            scan->base_ended = true;
        if (st == SERVER_ERROR) {
            scan->st = DAMAGED;
            reader_failed(scan->h);
        }
        if (st == OK && !span_starts(key_span(&scan->base_at), scan->within)) {
            record_unref(scan->base_record);
            scan->base_record = NULL;
            scan->base_ended = true;
        }
    }
}

static void fill_hot(struct scan *scan)
{
    struct table *t = &scan->h->hot;
    if (scan->row_changes == t->changes + 1)
        return;
    scan->row = table_after(t, key_span(&scan->at));
    if (scan->row && !span_starts(table_key(scan->row), scan->within))
        scan->row = NULL;
    scan->row_changes = t->changes + 1;
}

/* The next record, counted, with its key in scan->at; NULL at the end. */
static struct record *scan_next(struct scan *scan)
{
    for (;;) {
        fill_base(scan);
        fill_hot(scan);
        if (!scan->base_record && !scan->row)
            return NULL;
        int order = !scan->base_record ? 1
                    : !scan->row       ? -1
                                 : span_compare(key_span(&scan->base_at), table_key(scan->row));
        struct record *record = scan->base_record;
        if (order <= 0)
            scan->base_record = NULL;
        if (order < 0) {
            scan->at = scan->base_at;
            return record;
        }
        if (order == 0) /* the hot one is newer */
            record_unref(record);
        struct span key = table_key(scan->row);
        memcpy(scan->at.bytes, key.data, key.len);
        scan->at.len = key.len;
        record = scan->row->record;
        scan->row_changes = 0;
        if (record)
            return record_ref(record);
    }
}

static void scan_run(struct scan *scan, store_row_fn *row_fn, void *owner)
{
    for (bool more = true; more;) {
        struct record *record = scan_next(scan);
        if (!record)
            break;
        struct store_key key;
        if (key_decode(key_span(&scan->at), &key))
            more = row_fn(owner, &key, record);
        else
            scan->st = DAMAGED; /* sound, but not a record's key: not written by us */
        record_unref(record);
    }
    record_unref(scan->base_record);
}

static void embedded_scan(struct store *s, const struct store_key *after, bool whole_device,
                          store_row_fn *row_fn, store_done_fn *done, void *owner)
{
    struct handle *h = handle_of(s);
    struct scan scan = {.h = h};
    if (after->device.len)
        key_encode(&scan.at, after);
    else
        key_first_device(&scan.at, after->partition);
    struct key start = scan.at;
    scan.within =
        whole_device ? key_device_prefix(key_span(&start)) : span_first(key_span(&start), 2);
    if (base_enter(h->reader) != OK) {
        reader_failed(h);
        done(owner, DAMAGED);
        return;
    }
    if (base_walk(h->reader, key_span(&start), &scan.base) == OK) {
        scan_run(&scan, row_fn, owner);
        base_walk_end(h->reader, scan.base);
    } else {
        reader_failed(h);
        scan.st = DAMAGED;
    }
    base_leave(h->reader);
    done(owner, scan.st);
}

/* -- append and commit -- */

static struct span seal_secret(struct handle *h, struct span key, struct span secret)
{
    buf_clear(&h->sealed);
    if (secret.len == 0 || store_fault(STORE_FAULT_SECRET_LOST))
        return buf_span(&h->sealed);
    buf_reserve(&h->sealed, secret.len + SEAL_EXTRA);
    seal_close(h->seal, h->env->o.random, key, secret, h->sealed.data);
    h->sealed.len = secret.len + SEAL_EXTRA;
    return buf_span(&h->sealed);
}

static void give(struct handle *h)
{
    struct journal_block *b = h->open;
    struct embedded *e = h->env;
    uint32_t counts = 0;
    h->open = NULL;
    for (uint32_t i = 0; i < h->store.partitions; i++) {
        if (!h->touched[i])
            continue;
        block_put_counts(&b->bytes, i, &h->store.parts[i]);
        h->touched[i] = 0;
        counts++;
    }
    block_close(&b->bytes, b->entries, counts, b->time_ms);
    b->serial = ++h->serial;
    h->room = b->bytes.len < ROOM_MAX ? b->bytes.len : ROOM_MAX;
    atomic_fetch_add(&h->waiting, b->bytes.len);
    pthread_mutex_lock(&e->lock);
    list_append(&e->queue, &b->link);
    embedded_signal(e, ACTOR_JOURNAL);
    pthread_mutex_unlock(&e->lock);
}

static void remember(struct handle *h, struct span key, const struct store_change *change)
{
    struct table_row *row = table_find(&h->hot, key);
    size_t before = row ? handle_row_bytes(row) : 0;
    if (!row)
        row = table_get(&h->hot, key);
    table_set(row, change->record);
    row->batch = change->seq;
    size_t after = handle_row_bytes(row);
    atomic_fetch_add(&h->env->hot, after - before);
}

static void embedded_append(struct store *s, const struct store_change *change)
{
    struct handle *h = handle_of(s);
    uint32_t partition = change->key.partition;
    struct replay_head head;
    struct key k;
    CHECK(partition < s->partitions);
    CHECK(partition % h->count == h->index);
    CHECK(change->seq == s->parts[partition].seq + 1);
    CHECK(change->part.seq == change->seq);
    CHECK(h->env->o.replay->head(change->effect, &head) == OK);
    s->parts[partition] = change->part;
    h->touched[partition] = h->dirty[partition] = 1;
    key_encode(&k, &change->key);
    remember(h, key_span(&k), change);
    if (!h->open)
        h->open = journal_block_create(h, h->room);
    block_put(&h->open->bytes, change->effect, seal_secret(h, key_span(&k), change->secret));
    h->open->entries++;
    if (head.time_ms > h->open->time_ms)
        h->open->time_ms = head.time_ms;
    if (h->open->bytes.len >= BLOCK_FULL)
        give(h);
}

static void put_due(struct handle *h, struct due due)
{
    if (h->due_count == h->due_room) {
        size_t room = h->due_room ? h->due_room * 2 : 8;
        struct due *dues = malloc(room * sizeof(*dues));
        if (!dues)
            check_no_memory();
        for (size_t i = 0; i < h->due_count; i++)
            dues[i] = h->dues[(h->due_first + i) % h->due_room];
        free(h->dues);
        h->dues = dues;
        h->due_room = room;
        h->due_first = 0;
    }
    h->dues[(h->due_first + h->due_count++) % h->due_room] = due;
}

/* What is written, in order, as far as it goes. */
static void report(struct handle *h)
{
    struct store *s = &h->store;
    uint64_t written = atomic_load(&h->written);
    while (h->due_count && h->dues[h->due_first].serial <= written) {
        h->durable = h->dues[h->due_first].batch;
        h->due_first = (h->due_first + 1) % h->due_room;
        h->due_count--;
        if (s->durable)
            s->durable(s->owner, h->durable);
    }
}

static void embedded_commit(struct store *s, uint64_t number)
{
    struct handle *h = handle_of(s);
    CHECK(h->given == 0 || number == h->given + 1);
    own(h);
    if (h->given == 0)
        h->durable = number - 1;
    h->given = number;
    if (h->open)
        give(h);
    put_due(h, (struct due){number, h->serial});
    if (h->due_count == 1 && !h->told)
        report(h); /* nothing was changed and nothing waits: at once */
}

static void embedded_poll(struct store *s)
{
    struct handle *h = handle_of(s);
    CHECK(h->reader->depth == 0); /* not from within a scan: it would lose rows */
    atomic_store(&h->owned, true);
    atomic_store(&h->woken, false);
    bool failed = embedded_failed(h->env);
    if (!h->told)
        report(h);
    checkpoint_answer(h);
    if (failed && !h->told) {
        h->told = true;
        if (s->failed)
            s->failed(s->owner, (enum status)atomic_load(&h->env->failed));
    }
}

/* Is a bound passed? Without space, deletions and sessions may go a quarter beyond. */
static bool is_beyond(const struct handle *h, bool without_space)
{
    const struct embedded *e = h->env;
    uint64_t tail_max = e->o.tail_max, hot_max = e->o.hot_max;
    uint64_t more = without_space ? tail_max / 4 : 0, more_hot = without_space ? hot_max / 4 : 0;
    return atomic_load(&e->tail) >= tail_max + more || atomic_load(&e->hot) >= hot_max + more_hot ||
           atomic_load(&h->waiting) >= WAITING_MAX;
}

/* Without space in the base changes go on until what it has not got is at a bound. */
static bool is_without_space(const struct embedded *e)
{
    bool full = atomic_load(&e->tail) >= e->o.tail_max || atomic_load(&e->hot) >= e->o.hot_max;
    return atomic_load(&e->no_segment) || (atomic_load(&e->no_base_space) && full);
}

static enum store_room embedded_room(const struct store *s)
{
    const struct handle *h = handle_of(s);
    if (is_without_space(h->env))
        return is_beyond(h, true) ? STORE_FULL : STORE_NO_SPACE;
    return is_beyond(h, false) ? STORE_BUSY : STORE_OPEN;
}

/* -- life -- */

/* The partitions p with p % count == index. */
struct share {
    unsigned index, count;
};

static bool is_of(void *ctx, const struct table_row *row)
{
    const struct share *share = ctx;
    struct store_key parts;
    CHECK(key_decode(table_key(row), &parts));
    return parts.partition % share->count == share->index;
}

/* What is of the one share and the other; often that is all or nothing. */
static void move_rows(struct table *to, struct share of_to, struct table *from,
                      struct share of_from)
{
    bool all = of_from.count % of_to.count == 0 && of_from.index % of_to.count == of_to.index;
    bool none = of_from.count % of_to.count == 0 ? !all
                                                 : of_to.count % of_from.count == 0 &&
                                                       of_to.index % of_from.count != of_from.index;
    if (!none)
        table_move(to, from, all ? NULL : is_of, &of_to);
}

/* Without space for a segment the rest of the queue is not acknowledged, and never will be. Under
 * the lock. */
static void wait_or_give_up(struct embedded *e)
{
    if (!e->waits_for_spare || !atomic_load(&e->no_segment)) {
        embedded_wait(e);
        return;
    }
    pthread_mutex_unlock(&e->lock);
    embedded_fail(e, "make a segment of the journal", STORAGE_FULL, "no space is left");
    pthread_mutex_lock(&e->lock);
}

/* What a failure left in the queue. Under the lock. */
static void drop_blocks(struct handle *h)
{
    LIST_EACH_SAFE(at, &h->env->queue)
    {
        struct journal_block *b = CONTAINER_OF(at, struct journal_block, link);
        if (b->owner != h)
            continue;
        list_remove(at);
        journal_block_free(b);
    }
}

static void embedded_store_close(struct store *s)
{
    struct handle *h = handle_of(s);
    struct embedded *e = h->env;
    if (h->open)
        give(h);
    pthread_mutex_lock(&e->lock);
    while (atomic_load(&h->written) < h->serial && !embedded_failed(e))
        wait_or_give_up(e);
    checkpoint_disturb(e);
    list_remove(&h->link);
    e->has_left |= h->hot.map.count != 0;
    drop_blocks(h);
    pthread_mutex_unlock(&e->lock);
    embedded_poll(s);
    pthread_mutex_lock(&e->lock); /* others may close at the same time, on their threads */
    for (unsigned i = 0; i < e->left_count; i++)
        move_rows(&e->left[i], (struct share){i, e->left_count}, &h->hot,
                  (struct share){h->index, h->count});
    pthread_mutex_unlock(&e->lock);
    table_fini(&h->hot);
    base_reader_close(h->reader);
    seal_destroy(h->seal);
    free(h->offer->parts);
    free(h->offer);
    free(h->touched);
    free(h->dirty);
    free(h->dues);
    buf_fini(&h->sealed);
    free(h);
}

static const struct store_ops embedded_ops = {
    .load = embedded_load,
    .scan = embedded_scan,
    .append = embedded_append,
    .commit = embedded_commit,
    .poll = embedded_poll,
    .close = embedded_store_close,
    .room = embedded_room,
};

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (!p)
        check_no_memory();
    return p;
}

struct store *embedded_shard(struct embedded *e, unsigned index, unsigned count)
{
    struct handle *h = zeroed(1, sizeof(*h));
    h->store =
        (struct store){.ops = &embedded_ops, .parts = e->parts, .partitions = e->o.partitions};
    h->env = e;
    h->index = index;
    h->count = count;
    h->seal = seal_create(e->o.master_key);
    h->touched = zeroed(e->o.partitions, 1);
    h->dirty = zeroed(e->o.partitions, 1);
    memset(h->dirty, 1, e->o.partitions); /* what replay found, and what other handles left */
    h->offer = zeroed(1, sizeof(*h->offer));
    h->offer->parts = zeroed(e->o.partitions, sizeof(*h->offer->parts));
    table_init(&h->hot, e->hash_key);
    if (base_reader_open(e->base, &h->reader) != OK)
        reader_failed(h);
    pthread_mutex_lock(&e->lock);
    checkpoint_disturb(e);
    e->has_left = false;
    for (unsigned i = 0; i < e->left_count; i++) {
        move_rows(&h->hot, (struct share){index, count}, &e->left[i],
                  (struct share){i, e->left_count});
        e->has_left |= e->left[i].map.count != 0;
    }
    list_append(&e->handles, &h->link);
    pthread_mutex_unlock(&e->lock);
    return &h->store;
}
