/* kill_history.h — what one twin must look like: every write that was sent, in order, and how far
 * it was acknowledged.
 *
 * The writes of a section are numbered from 1; the n-th one makes its $version n + 1. Each carries
 * a unit that no other write ever has, sets a few keys and removes one, so that the content after n
 * writes follows from the units, and no two contents are alike. Desired writes with an odd unit
 * write tags as well.
 *
 * A twin that is shown, in an answer or after a restart, must be one of the states the history can
 * have had: content and version of each section fit each other, version = C + Rv, the tags are
 * those of the desired writes. What was shown or acknowledged must be there for ever after.
 *
 * Memory   the history's own; history_fini frees
 * Errors   false, with a sentence in `why`
 * Source   spec twins 1.3, 2; trials ORA
 */
#ifndef CRASH_KILL_HISTORY_H
#define CRASH_KILL_HISTORY_H

#include "base/buf.h"

enum section { DESIRED, REPORTED, SECTIONS };

struct history {
    struct {
        uint32_t *units;    /* of write n, at n; 0 is unused */
        uint32_t *acked_at; /* the next unit of all when it was acknowledged */
        uint32_t sent, acked, room;
    } of[SECTIONS];
    int64_t raised;        /* by restores: every version and the etag are higher by so much */
    const uint32_t *clock; /* borrowed: the next unit of all; NULL: nobody asks in which order */
};

void history_init(struct history *h);
void history_fini(struct history *h);

/* The next write of a section: its number; its patch of that section is appended to `out`. `unit`
 * is not 0 and never used again. */
uint32_t history_write(struct history *h, enum section which, uint32_t unit, struct buf *out);
/* The patch of the tags that goes with a desired write, appended; false: there is none. */
bool history_tags(uint32_t unit, struct buf *out);

/* The n-th write was answered; `version` 0: without saying which version it made. */
MUST_USE bool history_ack(struct history *h, enum section which, uint32_t n, int64_t version,
                          struct buf *why);
/* The n-th write was refused, and has changed nothing: those behind it move up by one. */
void history_refuse(struct history *h, enum section which, uint32_t n);
/* A desired patch was pushed to the device. */
MUST_USE bool history_push(struct history *h, int64_t version, struct span payload,
                           struct buf *why);
/* How far each section is acknowledged now: what is asked for later shows no less. */
struct history_mark {
    uint32_t acked[SECTIONS];
};
struct history_mark history_mark(const struct history *h);
struct history_mark history_sent(const struct history *h);
/* The twin was shown: to the service (with tags, etag and version) or to the device. `since` is
 * from when it was asked for. */
MUST_USE bool history_see(struct history *h, struct history_mark since, struct span twin,
                          bool to_service, struct buf *why);
/* What a restored twin says of the moment of its backup. */
struct history_cut {
    uint32_t newest;  /* the unit of its newest write; 0: it has none */
    uint32_t missing; /* the clock when the first write it lacks was acknowledged; UINT32_MAX: none
                         that it lacks was */
};
/* The hub was restored from a backup and shows this: a state between what was acknowledged when the
 * backup began and what was sent when it ended, with versions raised by `raised` in all. Later
 * writes are forgotten. */
MUST_USE bool history_restore(struct history *h, struct history_mark begin,
                              struct history_mark sent, int64_t raised, struct span twin,
                              struct history_cut *cut, struct buf *why);
/* The hub was started anew and shows this. Writes that did not make it are forgotten, and their
 * versions will be made by others. */
MUST_USE bool history_recover(struct history *h, struct span twin, struct buf *why);

#endif
