#include "store/lmdb_store.h"

#include <stdlib.h>

#include "store/lmdb_keeper.h"
#include "store/lmdb_reader.h"

static const size_t map_bytes_default = (size_t)1 << 40;
static const size_t pending_max_default = (size_t)64 << 20;

struct lmdb_env {
    struct directory directory;
    struct lmdb_file file;
    struct seal *seal; /* the keeper's */
    struct keeper keeper;
    struct store_partition *parts; /* each is its handle's */
    struct hash_key hash_key;
    size_t pending_max;
};

struct handle {
    struct store store;
    struct lmdb_env *env;
    struct keeper_client client;
    struct lmdb_reader reader;
    struct seal *seal;
    struct table pending; /* what is not in the base yet, or was not when last polled */
    size_t pending_bytes;
    struct batch *open;
    uint64_t serial;         /* of the open batch */
    uint64_t given, durable; /* batches, by the shard's numbers */
    bool told;               /* of the failure */
};

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
    keeper_fail(&h->env->keeper, "read", h->reader.error);
}

/* -- load -- */

static enum status load_base(struct handle *h, struct span key, struct record **out)
{
    enum status st = lmdb_reader_enter(&h->reader);
    if (st == OK) {
        st = lmdb_reader_get(&h->reader, key, out);
        lmdb_reader_leave(&h->reader);
    }
    if (st == SERVER_ERROR)
        reader_failed(h);
    return st == SERVER_ERROR ? DAMAGED : st;
}

static void lmdb_load(struct store *s, const struct store_key *key, store_load_fn *fn, void *owner)
{
    struct handle *h = handle_of(s);
    struct key k;
    struct record *record = NULL;
    enum status st;
    key_encode(&k, key);
    const struct table_row *row = table_find(&h->pending, key_span(&k));
    if (row) {
        record = row->record ? record_ref(row->record) : NULL;
        st = record ? OK : NOT_FOUND;
    } else {
        st = load_base(h, key_span(&k), &record);
    }
    fn(owner, st, record);
    record_unref(record);
}

/* -- scan: the pending table and the base, merged -- */

struct scan {
    struct handle *h;
    struct span within; /* every key begins with it */
    struct key at;      /* the last key given, or where it starts */
    struct lmdb_cursor base;
    struct record *base_record; /* counted, its key is base.at; NULL: to be read, or base_ended */
    bool base_ended;
    struct table_row *row; /* the next pending one, good while … */
    uint64_t row_changes;  /* … the table has not changed since; 0: to be sought */
    enum status st;        /* the worst so far */
};

static void fill_base(struct scan *scan)
{
    while (!scan->base_record && !scan->base_ended) {
        enum status st = lmdb_cursor_next(&scan->base, &scan->base_record);
        if (st == DAMAGED)
            scan->st = DAMAGED;
        else if (st != OK)
            scan->base_ended = true;
        if (st == SERVER_ERROR) {
            scan->st = DAMAGED;
            reader_failed(scan->h);
        }
        if (st == OK && !span_starts(key_span(&scan->base.at), scan->within)) {
            record_unref(scan->base_record);
            scan->base_record = NULL;
            scan->base_ended = true;
        }
    }
}

static void fill_pending(struct scan *scan)
{
    struct table *t = &scan->h->pending;
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
        fill_pending(scan);
        if (!scan->base_record && !scan->row)
            return NULL;
        int order = !scan->base_record ? 1
                    : !scan->row       ? -1
                                 : span_compare(key_span(&scan->base.at), table_key(scan->row));
        struct record *record = scan->base_record;
        if (order <= 0)
            scan->base_record = NULL;
        if (order < 0) {
            scan->at = scan->base.at;
            return record;
        }
        if (order == 0) /* the pending one is newer */
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

static void lmdb_scan(struct store *s, const struct store_key *after, bool whole_device,
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
    if (lmdb_reader_enter(&h->reader) != OK) {
        reader_failed(h);
        done(owner, DAMAGED);
        return;
    }
    if (lmdb_cursor_open(&scan.base, &h->reader, key_span(&start)) == OK) {
        scan_run(&scan, row_fn, owner);
    } else {
        reader_failed(h);
        scan.st = DAMAGED;
    }
    lmdb_cursor_close(&scan.base);
    lmdb_reader_leave(&h->reader);
    done(owner, scan.st);
}

/* -- append, commit, poll -- */

static void lmdb_append(struct store *s, const struct store_change *change)
{
    struct handle *h = handle_of(s);
    uint32_t partition = change->key.partition;
    CHECK(partition < s->partitions);
    CHECK(change->seq == s->parts[partition].seq + 1);
    CHECK(change->part.seq == change->seq);
    s->parts[partition] = change->part;

    struct key k;
    key_encode(&k, &change->key);
    struct table_row *row = table_get(&h->pending, key_span(&k));
    table_set(row, change->record);
    if (!h->open)
        h->open = batch_create(&h->client, ++h->serial);
    size_t before = h->open->bytes;
    batch_add(h->open, row, change->seq);
    batch_count(h->open, partition, &change->part);
    h->pending_bytes += h->open->bytes - before;
}

static void lmdb_commit(struct store *s, uint64_t number)
{
    struct handle *h = handle_of(s);
    CHECK(h->given == 0 || number == h->given + 1);
    if (h->given == 0)
        h->durable = number - 1;
    h->given = number;
    if (!h->open && h->durable == number - 1 && !h->told) {
        h->durable = number; /* nothing was changed and nothing waits */
        if (s->durable)
            s->durable(s->owner, number);
        return;
    }
    if (!h->open)
        h->open = batch_create(&h->client, ++h->serial);
    struct batch *batch = h->open;
    h->open = NULL;
    batch->number = number;
    keeper_give(&h->env->keeper, batch);
}

/* Its rows that have not changed since are in the base, and every read from here on begins a read
 * transaction after that commit. */
static void forget(struct handle *h, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct table_row *row = batch->entries[i].row;
        if (row->batch == batch->serial)
            table_remove(&h->pending, row);
    }
    h->pending_bytes -= batch->bytes;
    batch_destroy(batch);
}

static void report(struct handle *h, struct list *done, enum status failed)
{
    struct store *s = &h->store;
    for (struct list *at; (at = list_take_first(done));) {
        struct batch *batch = CONTAINER_OF(at, struct batch, link);
        h->durable = batch->number;
        forget(h, batch);
        if (s->durable)
            s->durable(s->owner, h->durable);
    }
    if (failed != OK && !h->told) {
        h->told = true;
        if (s->failed)
            s->failed(s->owner, failed);
    }
}

static void lmdb_poll(struct store *s)
{
    struct handle *h = handle_of(s);
    struct list done;
    CHECK(h->reader.depth == 0); /* not from within a scan: it would lose rows */
    list_init(&done);
    enum status failed = keeper_take(&h->env->keeper, &h->client, &done);
    report(h, &done, failed);
}

/* -- life -- */

static void lmdb_close(struct store *s)
{
    struct handle *h = handle_of(s);
    struct list undone;
    list_init(&undone);
    keeper_leave(&h->env->keeper, &h->client, &undone);
    lmdb_poll(s);
    for (struct list *at; (at = list_take_first(&undone));)
        batch_destroy(CONTAINER_OF(at, struct batch, link));
    batch_destroy(h->open);
    table_fini(&h->pending);
    lmdb_reader_close(&h->reader);
    seal_destroy(h->seal);
    free(h);
}

static const struct store_ops lmdb_ops = {
    .load = lmdb_load,
    .scan = lmdb_scan,
    .append = lmdb_append,
    .commit = lmdb_commit,
    .poll = lmdb_poll,
    .close = lmdb_close,
};

struct store *lmdb_env_shard(struct lmdb_env *env)
{
    struct handle *h = calloc(1, sizeof(*h));
    if (!h)
        check_no_memory();
    h->store = (struct store){
        .ops = &lmdb_ops, .parts = env->parts, .partitions = env->directory.header.partitions};
    h->env = env;
    h->seal = seal_create(env->directory.master_key);
    table_init(&h->pending, env->hash_key);
    keeper_enter(&env->keeper, &h->client, &h->store);
    if (lmdb_reader_open(&h->reader, &env->file, h->seal) != OK)
        reader_failed(h);
    return &h->store;
}

static enum status read_counts(struct lmdb_env *env, struct buf *why)
{
    uint32_t partitions = env->directory.header.partitions;
    env->parts = calloc(partitions, sizeof(*env->parts));
    if (!env->parts)
        check_no_memory();
    struct lmdb_reader reader;
    enum status st = lmdb_reader_open(&reader, &env->file, env->seal);
    if (st == OK)
        st = lmdb_reader_enter(&reader);
    if (st == OK) {
        st = lmdb_reader_counts(&reader, partitions, env->parts);
        lmdb_reader_leave(&reader);
    }
    if (st != OK)
        buf_printf(why,
                   "cannot read the partitions' counts in %s/base.mdb: %s; restore it from a "
                   "backup",
                   env->directory.path,
                   st == DAMAGED ? "a checksum does not match" : mdb_strerror(reader.error));
    if (st == SERVER_ERROR)
        st = lmdb_status(reader.error);
    lmdb_reader_close(&reader);
    return st;
}

static enum status open_all(struct lmdb_env *env, const struct lmdb_options *options,
                            struct buf *why)
{
    size_t map_bytes = options->map_bytes ? options->map_bytes : map_bytes_default;
    struct directory *d = &env->directory;
    TRY(directory_open(d, options->path, options->partitions, options->random, why));
    TRY(lmdb_file_open(&env->file, d, map_bytes, options->async, why));
    TRY(directory_finish(d, why));
    env->seal = seal_create(d->master_key);
    TRY(read_counts(env, why));
    int error = keeper_start(&env->keeper, &env->file, env->seal, options->random, options->async);
    return error ? directory_refuse(d, "start the keeper of", "", error, why) : OK;
}

static void free_env(struct lmdb_env *env)
{
    lmdb_file_close(&env->file);
    directory_close(&env->directory);
    seal_destroy(env->seal);
    free(env->parts);
    free(env);
}

enum status lmdb_env_open(const struct lmdb_options *options, struct lmdb_env **out,
                          struct buf *why)
{
    struct lmdb_env *env = calloc(1, sizeof(*env));
    if (!env)
        check_no_memory();
    env->pending_max = options->pending_max ? options->pending_max : pending_max_default;
    env->hash_key = (struct hash_key){random_u64(options->random), random_u64(options->random)};
    enum status st = open_all(env, options, why);
    if (st == OK)
        *out = env;
    else
        free_env(env);
    return st;
}

void lmdb_env_close(struct lmdb_env *env)
{
    if (!env)
        return;
    keeper_stop(&env->keeper);
    free_env(env);
}

const struct directory *lmdb_env_directory(const struct lmdb_env *env)
{
    return &env->directory;
}

const char *lmdb_env_why(struct lmdb_env *env)
{
    return keeper_why(&env->keeper);
}

size_t lmdb_store_pending_bytes(const struct store *s)
{
    return handle_of(s)->pending_bytes;
}

bool lmdb_store_full(const struct store *s)
{
    const struct handle *h = handle_of(s);
    return h->pending_bytes > h->env->pending_max;
}
