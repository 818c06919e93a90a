#include "store/lmdb_writer.h"

#include "store/key.h"
#include "store/value.h"

void lmdb_writer_fini(struct lmdb_writer *w)
{
    CHECK(!w->txn);
    buf_fini(&w->value);
    buf_fini(&w->sealed);
}

static int give_up(struct lmdb_writer *w, int error)
{
    mdb_txn_abort(w->txn);
    w->txn = NULL;
    return error;
}

int lmdb_writer_begin(struct lmdb_writer *w)
{
    CHECK(!w->txn);
    return mdb_txn_begin(w->file->env, NULL, 0, &w->txn);
}

/* The sealed part of the stored record, if it opens to this secret. It lies in the map: good until
 * the next write. */
static bool find_sealed(struct lmdb_writer *w, struct span key, struct span stored,
                        struct span secret, struct span *out)
{
    struct value old;
    if (value_decode(key, stored, &old) != OK || old.sealed.len != secret.len + SEAL_EXTRA)
        return false;
    buf_clear(&w->value);
    buf_reserve(&w->value, secret.len);
    bool same = seal_open(w->seal, key, old.sealed, w->value.data) == OK &&
                memcmp(w->value.data, secret.data, secret.len) == 0;
    explicit_bzero(w->value.data, secret.len);
    *out = old.sealed;
    return same;
}

/* Fills w->sealed: as it is stored, if the secret has not changed since; else sealed anew. */
static int seal_secret(struct lmdb_writer *w, struct span key, struct span secret)
{
    buf_clear(&w->sealed);
    if (secret.len == 0)
        return 0;
    MDB_val k = lmdb_val(key), v;
    struct span sealed;
    int error = mdb_get(w->txn, w->file->dbi, &k, &v);
    if (error && error != MDB_NOTFOUND)
        return error;
    if (!error && find_sealed(w, key, lmdb_span(&v), secret, &sealed)) {
        buf_put(&w->sealed, sealed);
        return 0;
    }
    buf_reserve(&w->sealed, secret.len + SEAL_EXTRA);
    seal_close(w->seal, w->random, key, secret, w->sealed.data);
    w->sealed.len = secret.len + SEAL_EXTRA;
    return 0;
}

static int put_value(struct lmdb_writer *w, struct span key, const struct value *value)
{
    buf_clear(&w->value);
    value_encode(&w->value, key, value);
    MDB_val k = lmdb_val(key), v = lmdb_val(buf_span(&w->value));
    return mdb_put(w->txn, w->file->dbi, &k, &v, 0);
}

int lmdb_writer_put(struct lmdb_writer *w, struct span key, struct record *record, uint64_t seq)
{
    int error;
    if (record) {
        error = seal_secret(w, key, record_secret(record));
        struct value value = {record_body(record), buf_span(&w->sealed), seq};
        if (!error)
            error = put_value(w, key, &value);
    } else {
        MDB_val k = lmdb_val(key);
        error = mdb_del(w->txn, w->file->dbi, &k, NULL);
        if (error == MDB_NOTFOUND)
            error = 0;
    }
    return error ? give_up(w, error) : 0;
}

int lmdb_writer_put_counts(struct lmdb_writer *w, uint32_t partition,
                           const struct store_partition *counts)
{
    struct key key;
    key_counts(&key, partition);
    struct buf *body = &w->sealed; /* free between records */
    buf_clear(body);
    value_put_counts(body, counts);
    struct value value = {buf_span(body), span_of(NULL, 0), counts->seq};
    int error = put_value(w, key_span(&key), &value);
    return error ? give_up(w, error) : 0;
}

int lmdb_writer_put_mark(struct lmdb_writer *w, struct mark mark)
{
    struct key key;
    key_mark(&key);
    struct buf *body = &w->sealed;
    buf_clear(body);
    value_put_mark(body, mark);
    struct value value = {buf_span(body), span_of(NULL, 0), 0};
    int error = put_value(w, key_span(&key), &value);
    return error ? give_up(w, error) : 0;
}

int lmdb_writer_commit(struct lmdb_writer *w)
{
    MDB_txn *txn = w->txn;
    w->txn = NULL;
    return mdb_txn_commit(txn); /* a failed commit has aborted it */
}
