/* journal.h — the writer's end of the journal: blocks in order, one write and one sync for a group.
 *
 * A position is a place in the endless row of segments. Every head says up to where all was durable
 * when it was written; that is how recovery tells damage from a torn tail (recovery.h).
 *
 * Units    bytes; positions
 * Memory   the caller's struct; it owns its segment's file. A block is on the heap
 * Threads  one
 * Errors   errno values, 0 for none. After any other, no space among them, the journal is not used
 *          again: a segment has its space before it is written to
 * Source   design 4
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "base/list.h"
#include "store/block.h"
#include "store/segment.h"

/* A block on its way. */
struct journal_block {
    struct list link;
    void *owner;      /* the handle it is of */
    uint64_t serial;  /* the owner's: 1, 2, 3, … */
    struct buf bytes; /* closed (block.h) */
    uint32_t entries;
    int64_t time_ms;
};

struct journal {
    struct segment current;
    uint64_t run;     /* random, of this start */
    uint64_t end;     /* where the next block goes */
    uint64_t durable; /* everything before lasts */
    uint32_t prev;    /* the checksum of the newest block's head */
};

/* How much is left in the current segment. */
uint64_t journal_left(const struct journal *j);

/* `room`: how much it will probably hold. */
struct journal_block *journal_block_create(void *owner, size_t room);
void journal_block_free(struct journal_block *b);

/* Writes the blocks (struct journal_block by `link`), which fit, at the end. */
MUST_USE int journal_append(struct journal *j, struct list *blocks);
MUST_USE int journal_sync(struct journal *j);

/* Goes on in `next`, which starts where the current one's size ends. Everything is durable; the old
 * segment's file is closed. */
void journal_turn(struct journal *j, const struct segment *next);

/* The size of the segment after one of this size. */
uint64_t journal_next_size(uint64_t size, uint64_t max);

void journal_fini(struct journal *j);

#endif
