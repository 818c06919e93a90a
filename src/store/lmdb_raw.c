#include "store/lmdb_raw.h"

enum { TRANSACTION_BYTES = 16 << 20 };

void lmdb_raw_init(struct lmdb_raw *w, struct lmdb_file *file)
{
    *w = (struct lmdb_raw){.file = file};
}

void lmdb_raw_pause(struct lmdb_raw *w)
{
    if (w->cursor)
        mdb_cursor_close(w->cursor);
    if (w->txn)
        mdb_txn_abort(w->txn);
    w->cursor = NULL;
    w->txn = NULL;
}

void lmdb_raw_fini(struct lmdb_raw *w)
{
    lmdb_raw_pause(w);
}

/* On the first key, or on the first after the last one given. */
static int resume(struct lmdb_raw *w, MDB_val *k, MDB_val *v)
{
    int error = mdb_txn_begin(w->file->env, NULL, MDB_RDONLY, &w->txn);
    if (!error)
        error = mdb_cursor_open(w->txn, w->file->dbi, &w->cursor);
    if (error)
        return error;
    if (!w->begun)
        return mdb_cursor_get(w->cursor, k, v, MDB_FIRST);
    struct span last = span_of(w->last, w->last_len);
    *k = lmdb_val(last);
    error = mdb_cursor_get(w->cursor, k, v, MDB_SET_RANGE);
    if (!error && span_eq(lmdb_span(k), last))
        error = mdb_cursor_get(w->cursor, k, v, MDB_NEXT);
    return error;
}

int lmdb_raw_next(struct lmdb_raw *w, struct span *key, struct span *value)
{
    MDB_val k, v;
    int error = w->txn ? mdb_cursor_get(w->cursor, &k, &v, MDB_NEXT) : resume(w, &k, &v);
    if (error)
        return error;
    *key = lmdb_span(&k);
    *value = lmdb_span(&v);
    if (key->len > LMDB_KEY_MAX)
        return MDB_CORRUPTED;
    w->ordered = !w->begun || span_compare(*key, span_of(w->last, w->last_len)) > 0;
    w->begun = true;
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
