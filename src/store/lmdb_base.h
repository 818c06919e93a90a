/* lmdb_base.h — the base in LMDB (base.h): the file of lmdb_file.h, its readers and its writer.
 *
 * Each commit syncs what it wrote but not the page that names it (MDB_NOMETASYNC): the next commit,
 * or base_sync, does. So a power cut undoes the last transaction at most. No space, in a commit's
 * sync as in its writes, undoes the transaction and is no failure. LMDB does not tell a short write
 * from EIO: with no space left both are taken for the former.
 *
 * Memory   base_close frees it; the file and the random source are the caller's
 * Threads  as base.h says
 * Errors   codes of LMDB or the system
 * Source   LMDB 0.9.24, lmdb.h; docs/format.md, "Base"
 */
#ifndef STORE_LMDB_BASE_H
#define STORE_LMDB_BASE_H

#include "base/random.h"
#include "store/base.h"
#include "store/lmdb_file.h"

struct base *lmdb_base_create(struct lmdb_file *file, const uint8_t *master_key,
                              struct random random);

#endif
