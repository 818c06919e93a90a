/* rebuild.h — a new base and an empty journal, out of an old base and its journal: the state at the
 * journal's end, or at a place before it, with every version raised.
 *
 * What a restore and a recovery have in common. Because what came after that state may have been
 * seen, nothing that was ever handed out is handed out again: versions of twins jump (hub/kept.h),
 * so do the numbers of changes in each partition and the positions of the journal (epoch.h), and
 * the new journal begins with the next epoch.
 *
 *   to/base.mdb.new, to/journal.new/   whole and synced; the names are the caller's to give
 *
 * A record that is damaged stays as it is, byte for byte: it is neither repaired nor dropped. The
 * base may be ahead of the place: then a record is as of a later one.
 *
 * Units    bytes, positions of the journal
 * Memory   what the journal's tail changed
 * Threads  one
 * Errors   a status, with `why` for a person
 * Source   trials F14; design 4
 */
#ifndef STORE_REBUILD_H
#define STORE_REBUILD_H

#include "hub/kept.h"
#include "hub/replay.h"
#include "store/directory.h"
#include "store/epoch.h"

struct rebuild_options {
    const struct directory *from; /* header and key are read */
    const struct directory *to;   /* its header has the new epoch; may be the same directory */
    uint64_t stop;                /* 0: the journal's end */
    struct epoch_jump jump;       /* from the old state's epoch to the new one */
    const struct replay *replay;
    const struct kept_rules *rules;
    struct random random;
    size_t map_bytes; /* 0: 1 TiB, address space only */
};

struct rebuild_result {
    uint64_t devices, modules, hub_records;
    uint64_t damaged;   /* records that stay as they are */
    uint64_t from, end; /* what was replayed */
    uint64_t changes;
    int64_t newest_ms; /* the newest of them; 0: none */
};

/* Nothing of `from` is changed. Not OK: nothing is left in `to`. */
MUST_USE enum status rebuild_run(const struct rebuild_options *options, struct rebuild_result *out,
                                 struct buf *why);
/* Removes to/base.mdb.new and to/journal.new/, of a run that did not end. */
void rebuild_discard(const struct directory *to);

#endif
