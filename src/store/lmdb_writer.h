/* lmdb_writer.h — writing the base: one transaction at a time.
 *
 * A secret is sealed when it changes, and otherwise stays as it is stored, so the number of seals
 * stays far below what random nonces allow (seal.h).
 *
 * Units    bytes
 * Memory   the caller's struct; lmdb_writer_fini frees its buffers
 * Threads  one for each file
 * Errors   a code of LMDB's, 0 for none. After any other the transaction has ended without effect
 * Source   LMDB 0.9.24, lmdb.h
 */
#ifndef STORE_LMDB_WRITER_H
#define STORE_LMDB_WRITER_H

#include "base/random.h"
#include "base/record.h"
#include "store/lmdb_file.h"
#include "store/mark.h"
#include "store/seal.h"
#include "store/store.h"

struct lmdb_writer {
    struct lmdb_file *file;
    struct seal *seal; /* borrowed */
    struct random random;
    MDB_txn *txn;
    struct buf value, sealed;
};

void lmdb_writer_fini(struct lmdb_writer *w);
MUST_USE int lmdb_writer_begin(struct lmdb_writer *w);
/* `record` NULL: delete. */
MUST_USE int lmdb_writer_put(struct lmdb_writer *w, struct span key, struct record *record,
                             uint64_t seq);
MUST_USE int lmdb_writer_put_counts(struct lmdb_writer *w, uint32_t partition,
                                    const struct store_partition *counts);
MUST_USE int lmdb_writer_put_mark(struct lmdb_writer *w, struct mark mark);
MUST_USE int lmdb_writer_commit(struct lmdb_writer *w);

#endif
