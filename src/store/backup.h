/* backup.h — a copy of a data directory, as it was at one moment, taken while a hub may use it.
 *
 * The base is copied in slices, each in a transaction of its own, so that the hub may use old pages
 * again meanwhile; then the journal, from the mark the base had before the first slice to its
 * present end. The base's copy is of no one moment, but what it has beyond the mark is in the
 * journal as well, and replay is idempotent: base and journal together are the state the hub had at
 * the journal's end. All that was acknowledged when the backup began is in it, and nothing without
 * what came before. A hold keeps the hub from removing the segments (hold.h).
 *
 *   OUT.new/ base.mdb, journal/, master.key, other files; the header last; checked; then OUT/
 *
 * A directory of before the journal is copied in one transaction.
 *
 * Units    bytes, positions of the journal
 * Memory   bounded: a slice, a block
 * Threads  one; the process has no others (check.h)
 * Errors   a status, and in `why` a sentence for a person: UNAVAILABLE, STORAGE_FULL, DAMAGED,
 *          BAD_ARGUMENT. Then there is no OUT
 * Source   design 4; trials F14
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/check.h"

/* A file of the directory beside the keeper's own. One that is missing is left out. */
struct backup_file {
    const char *name;
    bool is_secret; /* left out with master.key */
    bool is_public; /* mode 0644, not 0600 */
};

struct backup_options {
    const char *from, *to; /* `to` is missing, or an empty directory */
    const struct backup_file *files;
    size_t file_count;
    bool without_key;
    size_t slice_bytes;         /* of the base, in one transaction; 0: 1 MiB */
    void (*slice)(void *owner); /* after each slice; NULL: nothing */
    void *slice_owner;
    struct check_options check; /* of the copy; `path` is filled in */
};

struct backup_result {
    uint64_t records, damaged; /* copied; of them, as damaged as they were */
    uint64_t bytes;            /* of base and journal */
    struct check_result check;
};

MUST_USE enum status backup_run(const struct backup_options *options, struct backup_result *out,
                                struct buf *why);

#endif
