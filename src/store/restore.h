/* restore.h — a data directory out of a backup, or out of itself up to a place before damage.
 *
 * Either begins the next epoch (rebuild.h). Nothing that was there is deleted, and a kill at any
 * moment leaves what there was or what is to be, or a directory whose header sends its owner back
 * to the same command:
 *
 *   restore   DIR is made, its header says RESTORING; base, journal, key and files; the header
 *   recover   base.mdb.new and journal.new; the header says RECOVERING and has the new epoch; old
 *             base and journal go to DIR/journal.cut-TIME/; when that lasts, the new ones take
 *             their names; the header. Called again, it finishes
 *
 * Units    bytes, positions of the journal, milliseconds
 * Memory   as rebuild.h says
 * Threads  one; the process has no others (check.h)
 * Errors   a status, with `why` for a person
 * Source   trials F14; docs/decisions/0005
 */
#ifndef STORE_RESTORE_H
#define STORE_RESTORE_H

#include "store/backup.h"
#include "store/rebuild.h"

struct restore_options {
    const char *from; /* the backup; NULL: recover `to` itself */
    const char *to;
    uint64_t stop; /* the journal is to end before this; 0: at its end */
    bool aside;    /* move a directory that is there to DIR.before-TIME */
    const char
        *keys; /* where master.key and secret files are that the backup is without, or NULL */
    const struct backup_file *files;
    size_t file_count;
    struct random random;
    int64_t now_ms;            /* for the epoch, and the names of what is kept */
    void (*step)(void *owner); /* before each change of a name or header; NULL: nothing */
    void *step_owner;
    struct check_options check; /* of the result; `path` is filled in */
};

struct restore_result {
    struct rebuild_result state;
    uint64_t epoch;
    int64_t raised;  /* how far every version has moved on */
    bool finished;   /* it was an earlier recovery that was finished: `state` says nothing */
    struct buf kept; /* the path of what was there before; empty: nothing. The caller frees */
    struct check_result check;
};

MUST_USE enum status restore_run(const struct restore_options *options, struct restore_result *out,
                                 struct buf *why);
MUST_USE enum status recover_run(const struct restore_options *options, struct restore_result *out,
                                 struct buf *why);

#endif
