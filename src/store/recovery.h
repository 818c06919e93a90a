/* recovery.h — reading the journal at a start: what it holds, where it ends, and whether that end
 * is a torn tail or damage.
 *
 * A block counts if head and body are sound, salt and position are its place's, and it continues
 * the chain (block.h). The journal ends at the first place without one. That is a torn tail, to be
 * written over, unless something later says that what is missing was durable: a sound head further
 * on in the segment that knows of a durable position beyond the end, or any block in a later
 * segment, since a segment is begun only when the one before lasts. Then it is damage, and named.
 * Of the newest group nothing says that it was durable: damaged, it is a torn tail. What is found
 * sound may be in a cache only: whoever goes on from here writes what is after `known` once more.
 *
 * Units    bytes; positions
 * Memory   the found segments are the caller's (recovery_fini)
 * Threads  one
 * Errors   DAMAGED, UNAVAILABLE (the file system refuses); `why` says what and where for a person
 * Source   design 4; trials F02, F07
 */
#ifndef STORE_RECOVERY_H
#define STORE_RECOVERY_H

#include "store/block.h"
#include "store/mark.h"
#include "store/segment.h"

struct recovery {
    struct segment *segments; /* every one in the directory, by start; the files are open */
    size_t count;
    size_t last;     /* where the journal ends; count: there is no segment */
    struct mark end; /* where the next block goes */
    uint64_t known;  /* everything before this lasted when the newest block was written */
    uint64_t blocks; /* given */
};

/* Given each block from the mark on, in order: `bytes` is the whole of it, `in` its segment's file
 * name. Not OK ends the reading, which then gives the same. */
typedef enum status recovery_fn(void *owner, const struct block *block, struct span bytes,
                                struct buf *why);

/* All of a segment's blocks were given, and their bytes are about to go. */
typedef enum status recovery_segment_fn(void *owner, struct buf *why);

struct recovery_options {
    struct disk *disk;
    const uint8_t *hub_id;
    struct mark from; /* a zero mark: from the very first block */
    bool beside;      /* another does the same now: leftovers are its matter */
    uint64_t stop;    /* 0: none; else the first block at or beyond it is the end, damage or not */
    recovery_fn *fn;
    recovery_segment_fn *segment_fn; /* NULL: none */
    void *owner;
};

/* OK: *out is filled. An empty directory is OK only from a zero mark. Leftovers "*.new" are
 * removed. */
MUST_USE enum status recovery_run(const struct recovery_options *o, struct recovery *out,
                                  struct buf *why);
void recovery_fini(struct recovery *r); /* closes the files that are still in it */

#endif
