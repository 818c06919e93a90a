/* embedded_dir.h — the embedded keeper in a data directory: its header, its base in LMDB, its
 * journal in DIR/journal.
 *
 * The directory is locked from open to close. One of the format before, without a journal, is taken
 * over: the journal is begun, then the header says so.
 *
 * Units    bytes, milliseconds
 * Memory   embedded_dir_close frees it, after store_close of its handles
 * Threads  for the main thread, unless embedded.h says more
 * Errors   as directory.h, lmdb_file.h and embedded.h say, with `why` for a person
 * Source   docs/format.md; design 4
 */
#ifndef STORE_EMBEDDED_DIR_H
#define STORE_EMBEDDED_DIR_H

#include "store/directory.h"
#include "store/embedded.h"

struct embedded_dir;

struct embedded_dir_options {
    const char *path;    /* made when it is missing */
    uint32_t partitions; /* 0: what the directory has, 32 in a new one */
    size_t map_bytes;    /* 0: 1 TiB, address space only; tests under a sanitizer take less */
    /* What the directory says (hub id, key, epoch, partitions) is filled in. */
    struct embedded_options keeper;
};

MUST_USE enum status embedded_dir_open(const struct embedded_dir_options *options,
                                       struct embedded_dir **out, struct buf *why);
/* NULL is harmless. `patience_ms` as of embedded_close. */
void embedded_dir_close(struct embedded_dir *d, int64_t patience_ms);

const struct directory *embedded_dir_directory(const struct embedded_dir *d);
struct embedded *embedded_dir_keeper(const struct embedded_dir *d);

#endif
