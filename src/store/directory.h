/* directory.h — the data directory: whose it is, what format it has, and the one lock.
 *
 *   DIR/twinhub.hdr   the header (header.h); written last, so it stands for a whole directory
 *   DIR/master.key    32 random bytes, mode 0600
 *   DIR/lock          held (flock) by the one process that uses the directory
 *   DIR/base.mdb      the base (lmdb_file.h)
 *   DIR/journal/      the journal (segment.h)
 *
 * Making one is directory_open, then base and journal, then directory_finish: a power cut before
 * its end leaves no header, and the next start begins again.
 *
 * Tools attach instead, and read header and key one by one: they look at what is damaged, too.
 *
 * Units    bytes
 * Memory   struct directory is the caller's; directory_close wipes the key
 * Threads  one
 * Errors   a status, and in `why` a sentence for a person with the path and what to do:
 *          UNAVAILABLE in use, or the file system refuses; STORAGE_FULL; BAD_ARGUMENT the directory
 *          is sound but not for this program or these options; DAMAGED
 * Source   docs/format.md, "Data directory"
 */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "base/buf.h"
#include "base/random.h"
#include "base/status.h"
#include "store/header.h"

enum { DIRECTORY_PARTITIONS = 32 /* unless asked for another number when it is made */ };

struct directory {
    char *path;
    int dir_fd, lock_fd; /* -1: not open */
    bool fresh;          /* has no header yet: directory_finish writes it */
    struct header header;
    uint8_t master_key[SEAL_KEY];
};

/* Opens and locks `path`, making it (mode 0700, not its parents) when it is missing. `partitions`
 * is 0 for whatever it has. Not OK: nothing is held, and directory_close is harmless. */
MUST_USE enum status directory_open(struct directory *d, const char *path, uint32_t partitions,
                                    struct random random, struct buf *why);

/* Makes a fresh directory whole, and one of an earlier format current: what was written into it is
 * durable before the header is. Does nothing to any other. */
MUST_USE enum status directory_finish(struct directory *d, struct buf *why);

/* Releases the lock. */
void directory_close(struct directory *d);

/* -- for tools -- */

/* Opens an existing directory; others may be using it, until directory_lock, which makes nothing
 * but the lock file. */
MUST_USE enum status directory_attach(struct directory *d, const char *path, struct buf *why);
MUST_USE enum status directory_lock(struct directory *d, struct buf *why);
/* OK, NOT_FOUND without a word in `why`, DAMAGED, BAD_ARGUMENT: of a newer twinhub. */
MUST_USE enum status directory_read_header(struct directory *d, struct buf *why);
/* The key, and whether it is the header's, which has been read. NOT_FOUND as above. */
MUST_USE enum status directory_read_key(struct directory *d, struct buf *why);
/* Refuses a directory that no hub may use as it is: a backup, or what a restore left half made. */
MUST_USE enum status directory_check_usable(const struct directory *d, struct buf *why);

/* Writes a small file whole, under its name once it is; durable after directory_sync. */
MUST_USE enum status directory_write(const struct directory *d, const char *name, struct span bytes,
                                     struct buf *why);
MUST_USE enum status directory_sync(const struct directory *d, struct buf *why);
/* What was written before is durable first, then d->header is, under its name; so is the name of
 * the directory itself. */
MUST_USE enum status directory_write_header(const struct directory *d, struct buf *why);

/* "<what> DIR/<name>: <the system's reason>" in `why`, and the status for this errno. */
enum status directory_refuse(const struct directory *d, const char *what, const char *name,
                             int error, struct buf *why);

#endif
