/* lmdb_reader.h — reading the base: checked copies of records.
 *
 * Every page on the way is checked (lmdb_tree.h), and every record (value.h) before it is copied.
 * That a key is absent is believed only if neither neighbour can be its record with a damaged key:
 * a search that one led astray ends beside it. The transaction is open only between enter and
 * leave, which nest, so an idle reader keeps no old page from being used again.
 *
 * Units    bytes
 * Memory   the caller's structs; no pointer into the map leaves this module
 * Threads  one
 * Errors   DAMAGED: a record fails its check, others may be read. SERVER_ERROR: the file as a whole
 *          fails; `error` then holds LMDB's code, and lmdb_status says what it means
 * Source   LMDB 0.9.24, lmdb.h
 */
#ifndef STORE_LMDB_READER_H
#define STORE_LMDB_READER_H

#include "store/key.h"
#include "store/lmdb_tree.h"
#include "store/mark.h"
#include "store/seal.h"

struct lmdb_reader {
    struct lmdb_file *file;
    struct seal *seal; /* borrowed */
    MDB_txn *txn;
    struct lmdb_tree tree; /* the transaction's */
    struct lmdb_seen *seen;
    unsigned depth;
    int error; /* of LMDB; 0: none */
};

MUST_USE enum status lmdb_reader_open(struct lmdb_reader *r, struct lmdb_file *file,
                                      struct seal *seal);
void lmdb_reader_close(struct lmdb_reader *r);

/* The outermost enter takes the newest committed state. */
MUST_USE enum status lmdb_reader_enter(struct lmdb_reader *r);
void lmdb_reader_leave(struct lmdb_reader *r);

/* Inside enter. OK, NOT_FOUND, DAMAGED or SERVER_ERROR; on OK the caller has the one count of *out.
 */
MUST_USE enum status lmdb_reader_get(struct lmdb_reader *r, struct span key, struct record **out);

/* Reads the counts of every partition into `out`; zeros for one without. Inside enter. */
MUST_USE enum status lmdb_reader_counts(struct lmdb_reader *r, uint32_t partitions,
                                        struct store_partition *out);

/* Where replay begins. NOT_FOUND: none was ever written. Inside enter. */
MUST_USE enum status lmdb_reader_mark(struct lmdb_reader *r, struct mark *out);

/* A walk in key order, inside enter. */
struct lmdb_cursor {
    struct lmdb_reader *reader;
    struct lmdb_place place;
    bool placed, ready; /* ready: it stands at the next record, not right before it */
    struct key at;      /* of the newest sound record */
};

MUST_USE enum status lmdb_cursor_open(struct lmdb_cursor *c, struct lmdb_reader *r,
                                      struct span after);
/* The next record, its key in c->at; the caller has the one count of *out.
 *   OK, NOT_FOUND at the end of the file, DAMAGED: one that cannot be read is passed over (its key
 *   is not known for sure, so it may lie outside of what the caller looks for), SERVER_ERROR */
MUST_USE enum status lmdb_cursor_next(struct lmdb_cursor *c, struct record **out);
void lmdb_cursor_close(struct lmdb_cursor *c);

#endif
