#include "store/lmdb_reader.h"

#include "store/value.h"

static enum status fail(struct lmdb_reader *r, int error)
{
    if (!r->error)
        r->error = error;
    return SERVER_ERROR;
}

enum status lmdb_reader_open(struct lmdb_reader *r, struct lmdb_file *file, struct seal *seal)
{
    *r = (struct lmdb_reader){.file = file, .seal = seal};
    int error = mdb_txn_begin(file->env, NULL, MDB_RDONLY, &r->txn);
    if (error)
        return fail(r, error);
    mdb_txn_reset(r->txn);
    return OK;
}

void lmdb_reader_close(struct lmdb_reader *r)
{
    CHECK(r->depth == 0);
    if (r->txn)
        mdb_txn_abort(r->txn);
    r->txn = NULL;
}

enum status lmdb_reader_enter(struct lmdb_reader *r)
{
    if (r->depth == 0) {
        int error = mdb_txn_renew(r->txn);
        if (error)
            return fail(r, error);
    }
    r->depth++;
    return OK;
}

void lmdb_reader_leave(struct lmdb_reader *r)
{
    CHECK(r->depth > 0);
    if (--r->depth == 0)
        mdb_txn_reset(r->txn);
}

static enum status to_record(struct seal *seal, struct span key, struct span bytes,
                             struct record **out)
{
    struct value v;
    TRY(value_decode(key, bytes, &v));
    if (v.sealed.len && v.sealed.len < SEAL_EXTRA)
        return DAMAGED;
    struct record *record = record_create(v.body.len, v.sealed.len ? v.sealed.len - SEAL_EXTRA : 0);
    if (v.body.len)
        memcpy(record->bytes, v.body.data, v.body.len);
    if (v.sealed.len && seal_open(seal, key, v.sealed, record->bytes + v.body.len) != OK) {
        record_unref(record);
        return DAMAGED;
    }
    *out = record;
    return OK;
}

/* A neighbour where a search ended: sound, and on its side of the key? */
static bool is_neighbour(int error, const MDB_val *k, const MDB_val *v, struct span key, int side)
{
    struct value value;
    if (error == MDB_NOTFOUND)
        return true; /* the end of the file */
    return !error && span_compare(lmdb_span(k), key) * side > 0 &&
           value_decode(lmdb_span(k), lmdb_span(v), &value) == OK;
}

/* The key was not found. NOT_FOUND if that can be believed. */
static enum status check_absent(MDB_txn *txn, MDB_dbi dbi, struct span key, int *error)
{
    MDB_cursor *cursor;
    *error = mdb_cursor_open(txn, dbi, &cursor);
    if (*error)
        return SERVER_ERROR;
    MDB_val k = lmdb_val(key), v;
    int after = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    bool sound = is_neighbour(after, &k, &v, key, 1);
    int before = mdb_cursor_get(cursor, &k, &v, after == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
    sound = sound && is_neighbour(before, &k, &v, key, -1);
    mdb_cursor_close(cursor);
    if (after && after != MDB_NOTFOUND)
        *error = after;
    else if (before && before != MDB_NOTFOUND)
        *error = before;
    return *error ? SERVER_ERROR : sound ? NOT_FOUND : DAMAGED;
}

static enum status get_bytes(struct lmdb_reader *r, struct span key, struct span *out)
{
    CHECK(r->depth > 0);
    MDB_val k = lmdb_val(key), v;
    int error = mdb_get(r->txn, r->file->dbi, &k, &v);
    if (error == MDB_NOTFOUND) {
        enum status st = check_absent(r->txn, r->file->dbi, key, &error);
        return st == SERVER_ERROR ? fail(r, error) : st;
    }
    if (error)
        return fail(r, error);
    *out = lmdb_span(&v);
    return OK;
}

enum status lmdb_reader_get(struct lmdb_reader *r, struct span key, struct record **out)
{
    struct span bytes;
    TRY(get_bytes(r, key, &bytes));
    return to_record(r->seal, key, bytes, out);
}

enum status lmdb_reader_counts(struct lmdb_reader *r, uint32_t partitions,
                               struct store_partition *out)
{
    for (uint32_t i = 0; i < partitions; i++) {
        struct key key;
        struct span bytes;
        struct value value;
        out[i] = (struct store_partition){0};
        key_counts(&key, i);
        enum status st = get_bytes(r, key_span(&key), &bytes);
        if (st == NOT_FOUND)
            continue;
        TRY(st);
        TRY(value_decode(key_span(&key), bytes, &value));
        TRY(value_counts(value.body, &out[i]));
    }
    return OK;
}

enum status lmdb_reader_mark(struct lmdb_reader *r, struct mark *out)
{
    struct key key;
    struct span bytes;
    struct value value;
    key_mark(&key);
    TRY(get_bytes(r, key_span(&key), &bytes));
    TRY(value_decode(key_span(&key), bytes, &value));
    return value_mark(value.body, out);
}

enum status lmdb_cursor_open(struct lmdb_cursor *c, struct lmdb_reader *r, struct span after)
{
    CHECK(r->depth > 0);
    CHECK(after.len <= KEY_BYTES);
    *c = (struct lmdb_cursor){.reader = r, .step = MDB_SET_RANGE};
    memcpy(c->at.bytes, after.data, after.len);
    c->at.len = after.len;
    int error = mdb_cursor_open(r->txn, r->file->dbi, &c->cursor);
    return error ? fail(r, error) : OK;
}

void lmdb_cursor_close(struct lmdb_cursor *c)
{
    if (c->cursor)
        mdb_cursor_close(c->cursor);
    c->cursor = NULL;
}

/* Stand right before the first record to give. As with an absent key, the search is believed only
 * if the record before is sound and on its side. */
static enum status place(struct lmdb_cursor *c)
{
    struct span at = key_span(&c->at);
    MDB_val k = lmdb_val(at), v;
    struct value value;
    c->step = MDB_FIRST;
    if (at.len == 0) /* LMDB seeks no empty key */
        return OK;
    int error = mdb_cursor_get(c->cursor, &k, &v, MDB_SET_RANGE);
    c->step = MDB_NEXT;
    if (!error && span_eq(lmdb_span(&k), at))
        return OK;
    if (error && error != MDB_NOTFOUND)
        return fail(c->reader, error);
    error = mdb_cursor_get(c->cursor, &k, &v, error ? MDB_LAST : MDB_PREV);
    if (error == MDB_NOTFOUND) {
        c->step = MDB_FIRST;
        return OK;
    }
    if (error)
        return fail(c->reader, error);
    if (span_compare(lmdb_span(&k), at) > 0)
        return DAMAGED;
    return value_decode(lmdb_span(&k), lmdb_span(&v), &value);
}

/* A sound record that does not come after the last one: if that one was sound too, a page is in
 * the wrong place; if it is only where the walk began, the search was led astray. */
static enum status out_of_order(struct lmdb_cursor *c)
{
    return c->given ? fail(c->reader, MDB_CORRUPTED) : DAMAGED;
}

/* The key of a damaged record is not to be trusted, so `at` stays that of the last sound one;
 * LMDB's cursor knows where it stands without it. */
enum status lmdb_cursor_next(struct lmdb_cursor *c, struct record **out)
{
    if (c->step == MDB_SET_RANGE)
        TRY(place(c));
    MDB_val k, v;
    int error = mdb_cursor_get(c->cursor, &k, &v, c->step);
    c->step = MDB_NEXT;
    if (error)
        return error == MDB_NOTFOUND ? NOT_FOUND : fail(c->reader, error);
    struct span key = lmdb_span(&k);
    if (key.len > KEY_BYTES)
        return DAMAGED;
    struct record *record;
    TRY(to_record(c->reader->seal, key, lmdb_span(&v), &record));
    if (span_compare(key, key_span(&c->at)) <= 0) {
        record_unref(record);
        return out_of_order(c);
    }
    memcpy(c->at.bytes, key.data, key.len);
    c->at.len = key.len;
    c->given = true;
    *out = record;
    return OK;
}
