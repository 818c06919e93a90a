/* lmdb_file.h — the base: one LMDB file in the data directory.
 *
 * A new one is made under another name, synced and renamed, because LMDB does not sync the first
 * pages of a file it makes. An empty file in place of a base is refused, because LMDB would begin a
 * new one.
 *
 * Units    bytes
 * Memory   the caller's struct
 * Threads  opened and closed by one; read by any number of lmdb_reader, written by one lmdb_writer
 * Errors   a status with `why` for a person, as in directory.h
 * Source   LMDB 0.9.24, lmdb.h; design 4
 */
#ifndef STORE_LMDB_FILE_H
#define STORE_LMDB_FILE_H

#include <lmdb.h>

#include "base/buf.h"
#include "store/directory.h"

struct lmdb_file {
    MDB_env *env; /* NULL: not open */
    MDB_dbi dbi;
    const uint8_t *map; /* of our own, to read pages from (lmdb_tree.h); NULL: of one being made */
    size_t map_bytes, page_size;
};

/* Opens the directory's base; makes it when the directory is fresh. A base that is missing or too
 * short, and a fresh directory whose base holds records (its header is lost), are DAMAGED. */
MUST_USE enum status lmdb_file_open(struct lmdb_file *f, const struct directory *d,
                                    size_t map_bytes, struct buf *why);
/* For tools: the directory's base, to be read alone. `shared`: a hub may be writing it, and readers
 * are entered in its lock file; otherwise the directory is ours and nothing is touched. */
MUST_USE enum status lmdb_file_open_read(struct lmdb_file *f, const struct directory *d,
                                         size_t map_bytes, bool shared, struct buf *why);
/* A new base under the name `base.mdb.new`, in place of one that is there; not synced as it grows.
 * lmdb_file_finish syncs and closes it, lmdb_file_adopt gives it its name, lmdb_file_settle is
 * both.
 */
MUST_USE enum status lmdb_file_make(struct lmdb_file *f, const struct directory *d,
                                    size_t map_bytes, struct buf *why);
MUST_USE enum status lmdb_file_finish(struct lmdb_file *f, const struct directory *d,
                                      struct buf *why);
MUST_USE enum status lmdb_file_adopt(const struct directory *d, struct buf *why);
MUST_USE enum status lmdb_file_settle(struct lmdb_file *f, const struct directory *d,
                                      struct buf *why);
void lmdb_file_close(struct lmdb_file *f);

/* What a code of LMDB's (or the system's) means for the file: STORAGE_FULL, DAMAGED, or
 * UNAVAILABLE for everything else; OK for 0. */
enum status lmdb_status(int error);

/* LMDB's spans; it does not write through the ones it is given. */
static inline MDB_val lmdb_val(struct span s)
{
    union {
        const void *from;
        void *to;
    } cast = {.from = s.data};
    return (MDB_val){s.len, cast.to};
}

static inline struct span lmdb_span(const MDB_val *v)
{
    return span_of(v->mv_data, v->mv_size);
}

#endif
