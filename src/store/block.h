/* block.h — the journal's unit: what one shard changed in a turn, checked as a whole.
 *
 *    0  magic "TwJb" (4)   4  format, 1 (2)   6  zero (2)    8  length (4)   12  entries (4)
 *   16  counts (4)        20  CRC-32C of the body (4)       24  salt (8)     32  run (8)
 *   40  position (8)      48  durable (8)                   56  time (8)
 *   64  prev (4)          68  features (4)  72  zero (4)    76  CRC-32C of the 76 bytes before (4)
 *   80  the body: entries, then counts
 *
 *   entry   length of the effect (4), of the sealed part (4), then both
 *   counts  partition (4), zero (4), seq, devices, disabled, modules (8 each)
 *
 * Numbers are little-endian. A block begins at a multiple of BLOCK_ALIGN and zeros follow it to the
 * next one, so that what is being written shares no sector with what is durable. A shard makes the
 * body and its checksum; the journal fills the rest when it knows the place.
 *
 * What follows a block is the next one only if its `prev` is the checksum at 76 of this one: a
 * block left behind by a write that was cut off can never continue a later run.
 *
 * Pure: no I/O.
 *
 * Units    bytes; positions of the journal (journal.h)
 * Memory   what is read borrows from the input
 * Threads  any
 * Errors   DAMAGED
 * Source   docs/format.md, "Journal"; design 4
 */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include "base/buf.h"
#include "store/store.h"

enum {
    BLOCK_ALIGN = 512,
    BLOCK_HEAD = 80,
    BLOCK_FORMAT = 1,
    BLOCK_MAX = 48 << 20 /* less than a whole segment (segment.h) */
};

struct block {
    uint32_t length;          /* of head and body */
    uint32_t entries, counts; /* how many */
    uint32_t body_crc;
    uint64_t salt;     /* the segment's */
    uint64_t run;      /* of the journal, random: changes with every start */
    uint64_t position; /* of its first byte */
    uint64_t durable;  /* everything before this was durable when it was written */
    int64_t time_ms;   /* of its newest change, wall; 0: none */
    uint32_t prev;     /* the checksum of the head before; 0: the first of all */
    uint32_t crc;      /* its own: block_read and block_seal set it */
};

/* What a block of this length takes on disk. */
static inline uint64_t block_room(uint32_t length)
{
    return (length + (uint64_t)BLOCK_ALIGN - 1) & ~((uint64_t)BLOCK_ALIGN - 1);
}

/* -- making one: begin, entries, counts, close; then, at its place, seal -- */

/* `b` is empty after its owner's clear. */
void block_begin(struct buf *b);
void block_put(struct buf *b, struct span effect, struct span sealed);
/* After the entries. */
void block_put_counts(struct buf *b, uint32_t partition, const struct store_partition *counts);
/* Zeros to block_room, and what the shard knows: length, numbers, time, body checksum. */
void block_close(struct buf *b, uint32_t entries, uint32_t counts, int64_t time_ms);
/* The rest of the head, from salt, run, position, durable and prev of *place; sets place->crc. */
void block_seal(struct buf *b, struct block *place);

/* -- reading -- */

/* The head alone: `in` has BLOCK_HEAD bytes at least.
 *   OK       *out is a sound head; the body is not looked at
 *   DAMAGED  none, or of a later format */
MUST_USE enum status block_read(struct span in, struct block *out);
/* `in` is the whole block: does its body fit its checksum, and do entries and counts fill it? */
MUST_USE enum status block_check(const struct block *block, struct span in);

struct block_entry {
    struct span effect, sealed;
};
struct block_count {
    uint32_t partition;
    struct store_partition counts;
};
/* Of a checked block, in order; `rest` begins as block_body and loses what is taken. */
struct span block_body(struct span in);
struct block_entry block_take_entry(struct span *rest);
struct block_count block_take_counts(struct span *rest);

#endif
