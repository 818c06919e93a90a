/* segment_reader.h — the blocks of one segment, in order, read in pieces.
 *
 * For history: the segment is done with, or at least its blocks before the caller's bound are
 * durable. A start reads by recovery.h, which judges what is missing.
 *
 * A call reads a piece at most and then says NEED_MORE, so that a caller with other duties is never
 * away long.
 *
 * Units    bytes; positions of the journal
 * Memory   a piece, or the block when that is larger; what is given borrows it until the next call
 * Threads  one
 * Errors   NOT_FOUND the end, DAMAGED, UNAVAILABLE with an errno in `error`
 * Source   design 4
 */
#ifndef STORE_SEGMENT_READER_H
#define STORE_SEGMENT_READER_H

#include "store/block.h"
#include "store/segment.h"

enum { SEGMENT_PIECE = 256 << 10 };

struct segment_reader {
    struct segment segment; /* its file is the reader's */
    uint64_t at;            /* where the next block would be */
    uint32_t prev;          /* the checksum it must continue from */
    bool chained;           /* false: whatever its `prev` is */
    int error;
    struct buf window; /* read from window_at on */
    uint64_t window_at;
    size_t piece;
};

/* OK, or DAMAGED or UNAVAILABLE and the reader is closed, `error` ENOENT when there is none. */
MUST_USE enum status segment_reader_open(struct segment_reader *r, struct disk *disk,
                                         uint64_t start);
void segment_reader_close(struct segment_reader *r); /* harmless when it is closed */

/* OK         *out is the block, *bytes the whole of it; the reader stands behind it
 * NEED_MORE  a piece was read; call again
 * NOT_FOUND  no sound block continues here */
MUST_USE enum status segment_reader_next(struct segment_reader *r, struct block *out,
                                         struct span *bytes);
/* The next block is the one at this position, where one was before. */
void segment_reader_seek(struct segment_reader *r, uint64_t position);

/* After NOT_FOUND: does anything further on say that a block was durable here? *from is the
 * caller's, r->at at first.
 *   NOT_FOUND  nothing; the segment's blocks end here
 *   DAMAGED    one is missing
 *   NEED_MORE  call again */
MUST_USE enum status segment_reader_beyond(struct segment_reader *r, uint64_t *from);

#endif
