#include "store/lmdb_raw.h"

enum { TRANSACTION_BYTES = 16 << 20 };

void lmdb_raw_init(struct lmdb_raw *w, struct lmdb_file *file)
{
    *w = (struct lmdb_raw){.file = file};
}

void lmdb_raw_pause(struct lmdb_raw *w)
{
    if (w->txn)
        mdb_txn_abort(w->txn);
    w->txn = NULL;
}

void lmdb_raw_fini(struct lmdb_raw *w)
{
    lmdb_raw_pause(w);
}

static int begin(struct lmdb_raw *w)
{
    for (;;) {
        int error = mdb_txn_begin(w->file->env, NULL, MDB_RDONLY, &w->txn);
        if (error)
            return error;
        enum status st = lmdb_tree_open(&w->tree, w->file, w->txn);
        if (st == OK)
            return 0;
        lmdb_raw_pause(w);
        if (st != NOT_FOUND)
            return MDB_CORRUPTED;
    }
}

/* At the first key after the last one given. */
static int resume(struct lmdb_raw *w)
{
    bool exact;
    int error = begin(w);
    if (error)
        return error;
    enum status st = lmdb_tree_seek(&w->tree, span_of(w->last, w->last_len), &w->place, &exact);
    w->ready = st == OK && !exact && lmdb_place_has(&w->place);
    return st == OK ? 0 : MDB_CORRUPTED;
}

int lmdb_raw_next(struct lmdb_raw *w, struct span *key, struct span *value)
{
    int error = w->txn ? 0 : resume(w);
    if (error)
        return error;
    enum status st = w->ready ? OK : lmdb_place_step(&w->place);
    w->ready = false;
    if (st == OK)
        st = lmdb_place_get(&w->place, key, value);
    if (st != OK)
        return st == NOT_FOUND ? MDB_NOTFOUND : MDB_CORRUPTED;
    if (key->len > LMDB_KEY_MAX)
        return MDB_CORRUPTED;
    w->ordered = span_compare(*key, span_of(w->last, w->last_len)) > 0;
    memcpy(w->last, key->data, key->len);
    w->last_len = key->len;
    return 0;
}

/* -- writing -- */

static int commit(struct lmdb_append *a)
{
    MDB_txn *txn = a->txn;
    a->txn = NULL;
    a->bytes = 0;
    return txn ? mdb_txn_commit(txn) : 0;
}

static int put(struct lmdb_append *a, struct span key, struct span value, unsigned flags)
{
    int error = 0;
    if (a->bytes > TRANSACTION_BYTES)
        error = commit(a);
    if (!error && !a->txn)
        error = mdb_txn_begin(a->file->env, NULL, 0, &a->txn);
    if (error)
        return error;
    MDB_val k = lmdb_val(key), v = lmdb_val(value);
    a->bytes += key.len + value.len;
    return mdb_put(a->txn, a->file->dbi, &k, &v, flags);
}

int lmdb_append_put(struct lmdb_append *a, struct span key, struct span value)
{
    return put(a, key, value, MDB_APPEND);
}

int lmdb_append_insert(struct lmdb_append *a, struct span key, struct span value)
{
    return put(a, key, value, 0);
}

int lmdb_append_end(struct lmdb_append *a)
{
    return commit(a);
}

void lmdb_append_fini(struct lmdb_append *a)
{
    if (a->txn)
        mdb_txn_abort(a->txn);
    a->txn = NULL;
}
