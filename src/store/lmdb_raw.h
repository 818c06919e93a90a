/* lmdb_raw.h — the base as it lies: keys and values in their order, nothing opened or believed.
 *
 * For tools that look at what may be damaged, or copy it. Its pages are checked (lmdb_tree.h); what
 * is in them is not. A walk may pause: the transaction ends, so that a hub that is writing can use
 * old pages again, and the walk goes on after the last key in the state of that time.
 *
 * Units    bytes
 * Memory   the caller's structs; spans point into the map, good until the next call
 * Threads  one
 * Errors   a code of LMDB's (lmdb_status), 0 for none, MDB_NOTFOUND at the end, MDB_CORRUPTED: a
 *          page or a value's place is damaged, and the next call goes on behind it
 * Source   LMDB 0.9.24, lmdb.h
 */
#ifndef STORE_LMDB_RAW_H
#define STORE_LMDB_RAW_H

#include "store/lmdb_tree.h"

enum { LMDB_KEY_MAX = 511 };

struct lmdb_raw {
    struct lmdb_file *file;
    MDB_txn *txn; /* NULL: paused */
    struct lmdb_tree tree;
    struct lmdb_place place;
    bool ready; /* the place is the next node to give, not the one before */
    bool ordered;
    size_t last_len;
    uint8_t last[LMDB_KEY_MAX]; /* the newest key given */
};

void lmdb_raw_init(struct lmdb_raw *w, struct lmdb_file *file);
void lmdb_raw_fini(struct lmdb_raw *w);

/* The next key and its value; w->ordered tells whether the key comes after the one before, which
 * only damage can undo. */
MUST_USE int lmdb_raw_next(struct lmdb_raw *w, struct span *key, struct span *value);
void lmdb_raw_pause(struct lmdb_raw *w);

/* Writing a new base in key order: append each, insert what comes before what is there, then end.
 * They commit. After an error nothing more is called but fini. */
struct lmdb_append {
    struct lmdb_file *file;
    MDB_txn *txn;
    size_t bytes; /* in this transaction */
};
MUST_USE int lmdb_append_put(struct lmdb_append *a, struct span key, struct span value);
MUST_USE int lmdb_append_insert(struct lmdb_append *a, struct span key, struct span value);
MUST_USE int lmdb_append_end(struct lmdb_append *a);
void lmdb_append_fini(struct lmdb_append *a);

#endif
