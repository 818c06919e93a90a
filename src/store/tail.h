/* tail.h — the journal, read while a hub writes it: from a mark to its present end.
 *
 * recovery.h reads a whole segment at once, and what the hub writes meanwhile would look to it like
 * damage. Here each block is read after the one before it. Where the chain ends, what lies further
 * on is searched for a block that knows of a durable place beyond: if there is one, the hub was
 * faster than the reading, which goes on up to that place, or else something is damaged.
 *
 * So all that was durable when the reading began is in it, and nothing without what came before.
 *
 * With a stop it reads a journal that is known to be damaged: up to there, and nothing is searched.
 * With a stop at the mark it reads nothing, so that all that is left may be the base.
 *
 * Units    bytes; positions
 * Memory   a block is good during the call
 * Threads  one; the segments are read alone, and must not be removed meanwhile (hold.h)
 * Errors   DAMAGED, UNAVAILABLE; `why` says what and where for a person
 * Source   design 4; trials F14
 */
#ifndef STORE_TAIL_H
#define STORE_TAIL_H

#include "store/block.h"
#include "store/mark.h"
#include "store/segment.h"

/* `bytes` is the whole block, `s` its segment. The first call is for the segment that the reading
 * begins in, with block NULL. Not OK ends the reading, which then gives the same. */
typedef enum status tail_fn(void *owner, const struct segment *s, const struct block *block,
                            struct span bytes, struct buf *why);

struct tail_options {
    struct disk *disk;
    const uint8_t *hub_id;
    struct mark from;
    uint64_t stop; /* 0: none; else the first block at or beyond it is the end */
    tail_fn *fn;
    void *owner;
};

/* *end is where the next block would go; if it is DAMAGED, it is sound up to there. */
MUST_USE enum status tail_read(const struct tail_options *o, struct mark *end, struct buf *why);

#endif
