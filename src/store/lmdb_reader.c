#include "store/lmdb_reader.h"

#include <stdlib.h>

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
    r->seen = calloc(1, sizeof(*r->seen));
    if (!r->seen)
        check_no_memory();
    return OK;
}

void lmdb_reader_close(struct lmdb_reader *r)
{
    CHECK(r->depth == 0);
    if (r->txn)
        mdb_txn_abort(r->txn);
    r->txn = NULL;
    free(r->seen);
    r->seen = NULL;
}

/* A root that is overwritten while it is read is one of a transaction that is old by then. */
enum status lmdb_reader_enter(struct lmdb_reader *r)
{
    enum status st = r->depth ? OK : NOT_FOUND;
    while (st == NOT_FOUND) {
        int error = mdb_txn_renew(r->txn);
        if (error)
            return fail(r, error);
        st = lmdb_tree_open(&r->tree, r->file, r->txn);
        if (st != OK)
            mdb_txn_reset(r->txn);
    }
    if (st != OK)
        return fail(r, MDB_CORRUPTED);
    if (r->depth++ == 0) {
        r->tree.seen = r->seen;
        r->seen->round++;
    }
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

/* A node where a search ended; st: how it was reached. Sound, or the end of the tree? */
static bool is_sound(enum status st, const struct lmdb_place *p, struct span *key)
{
    struct span bytes;
    struct value value;
    *key = span_of(NULL, 0);
    if (st != OK)
        return st == NOT_FOUND;
    return lmdb_place_get(p, key, &bytes) == OK && value_decode(*key, bytes, &value) == OK;
}

/* Could the node be the one sought, its key damaged? The keys of a page ascend, so a search goes
 * astray only beside the key that is damaged; and its nodes fill the page, so that the key's length
 * can be wrong by no more than what is filled up to an even number. */
static bool may_be(enum status st, const struct lmdb_place *p, struct span sought)
{
    struct span key;
    if (is_sound(st, p, &key))
        return false;
    return st != OK || (key.len <= sought.len + 1 && key.len + 1 >= sought.len);
}

/* The key is not where it would be. NOT_FOUND if that can be believed. */
static enum status check_absent(const struct lmdb_place *p, struct span key)
{
    struct lmdb_place before = *p, after = *p;
    enum status st = lmdb_place_has(p) ? OK : lmdb_place_step(&after);
    return may_be(st, &after, key) || may_be(lmdb_place_back(&before), &before, key) ? DAMAGED
                                                                                     : NOT_FOUND;
}

static enum status get_bytes(struct lmdb_reader *r, struct span key, struct span *out)
{
    struct lmdb_place place;
    struct span found;
    bool exact;
    CHECK(r->depth > 0);
    TRY(lmdb_tree_seek(&r->tree, key, &place, &exact));
    return exact ? lmdb_place_get(&place, &found, out) : check_absent(&place, key);
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
    *c = (struct lmdb_cursor){.reader = r};
    if (after.len)
        memcpy(c->at.bytes, after.data, after.len);
    c->at.len = after.len;
    return OK;
}

void lmdb_cursor_close(struct lmdb_cursor *c)
{
    c->reader = NULL;
}

/* Stand at the first record to give, or right before it. As with an absent key, the search is
 * believed only if the record before is sound. */
static enum status place(struct lmdb_cursor *c)
{
    bool exact;
    c->placed = true;
    TRY(lmdb_tree_seek(&c->reader->tree, key_span(&c->at), &c->place, &exact));
    c->ready = !exact && lmdb_place_has(&c->place);
    if (exact)
        return OK;
    struct lmdb_place before = c->place;
    struct span key;
    return is_sound(lmdb_place_back(&before), &before, &key) ? OK : DAMAGED;
}

/* The key of a damaged record is not to be trusted, so `at` stays that of the last sound one; the
 * place is known without it. */
enum status lmdb_cursor_next(struct lmdb_cursor *c, struct record **out)
{
    struct span key, bytes;
    struct record *record;
    if (!c->placed)
        TRY(place(c));
    if (!c->ready)
        TRY(lmdb_place_step(&c->place));
    c->ready = false;
    TRY(lmdb_place_get(&c->place, &key, &bytes));
    if (key.len > KEY_BYTES || span_compare(key, key_span(&c->at)) <= 0)
        return DAMAGED;
    TRY(to_record(c->reader->seal, key, bytes, &record));
    memcpy(c->at.bytes, key.data, key.len);
    c->at.len = key.len;
    *out = record;
    return OK;
}
