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
    struct check_result result;
    enum check_part part;
    uint64_t records;
    size_t last_len;
    uint8_t last[LMDB_KEY_MAX]; /* the newest key read */
};

/* What the looking's own files share: check_look.c has header, key and base, check_journal.c the
 * rest.
 */
struct look {
    const struct check_options *o;
    struct directory *d;
    struct check_progress *at;
    struct check_result *out;
    struct buf *why;
    struct lmdb_file file;
    struct seal *seal;             /* NULL: there is no key */
    struct store_partition *found; /* by partition; seq: the highest of its records */
};

static inline struct check_finding check_of_part(enum check_part part)
{
    return (struct check_finding){.part = part};
}

static inline struct check_finding check_of_record(enum check_part part,
                                                   const struct store_key *key)
{
    return (struct check_finding){.part = part, .is_record = true, .key = *key};
}

void check_found(struct look *l, struct check_finding f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A sound record is added (by: 1) or taken away (-1). */
void check_count(struct look *l, const struct store_key *key, const struct kept *kept, int by);
MUST_USE enum status check_journal(struct look *l);
MUST_USE enum status check_history(struct look *l);

/* `d` is attached, and locked or a backup; *at is zeroed. Findings go to options->fn. */
MUST_USE enum status check_look(const struct check_options *options, struct directory *d,
                                struct check_progress *at, struct buf *why);

#endif
