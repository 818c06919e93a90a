/* copy.h — files of a data directory, copied into another.
 *
 * Memory   nothing is kept
 * Threads  any
 * Errors   a status, with `why` for a person (directory.h)
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/directory.h"

enum { COPY_MAX = 1 << 20 }; /* bytes of a file */

/* NOT_FOUND: `from` has none of this name. Durable after directory_sync of `to`. */
MUST_USE enum status copy_file(const struct directory *from, const struct directory *to,
                               const char *name, unsigned mode, struct buf *why);

/* Removes what a copy that failed has left in a directory of its own: files, those in its journal,
 * and itself. What it cannot remove stays. */
void copy_discard(const char *path);

/* Is `path` missing, or a directory without a file? Its lock file, and what a file system has at
 * its root, do not count. `why` says what is in the way: BAD_ARGUMENT. */
MUST_USE enum status copy_check_empty(const char *path, struct buf *why);
/* fsync of the directory that `path` is in. */
MUST_USE enum status copy_sync_parent(const char *path, struct buf *why);

#endif
