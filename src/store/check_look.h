/* check_look.h — the looking itself, in the process that may end by it (check.h).
 *
 * Memory   the caller's structs
 * Threads  one
 * Errors   as check_run's; what is damaged is a finding
 */
#ifndef STORE_CHECK_LOOK_H
#define STORE_CHECK_LOOK_H

#include "store/check.h"
#include "store/directory.h"
#include "store/lmdb_raw.h"

/* How far it is; in memory that its parent sees. */
struct check_progress {
    enum check_part part;
    uint64_t records;
    size_t last_len;
    uint8_t last[LMDB_KEY_MAX]; /* the newest key read */
};

/* `d` is attached, and locked or a backup. Findings go to options->fn. */
MUST_USE enum status check_look(const struct check_options *options, struct directory *d,
                                struct check_progress *at, struct check_result *out,
                                struct buf *why);

#endif
