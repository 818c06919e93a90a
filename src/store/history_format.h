/* history_format.h — a segment of the journal as history keeps it: compressed, found by entity.
 *
 *    0  magic "TwHi" (4)   4  format, 1 (4)    8  features (8)   16  hub id (16)
 *   32  start (8)         40  end (8)         48  epoch (8)      56  oldest (8)   64  newest (8)
 *   72  changes (8)       80  before (4)      84  after (4)      88  zero (4)
 *   92  CRC-32C of the 92 bytes before (4)
 *   96  chunks, then pages, without a gap: each one zstd frame
 *       footer, trailer
 *
 *   footer   how many chunks (4), pages (4); then a row of each, in the order of the file
 *   chunk    at (8)  length (4)  raw length (4)  CRC-32C of the frame (4)  entries (4)
 *            position of its first entry (8)  oldest (8)  newest (8)
 *   page     at (8)  length (4)  raw length (4)  CRC-32C of the frame (4)  entries (4)
 *            length of its first key (4)  the key
 *   trailer  length of the footer (4)  CRC-32C of the footer and those 4 (4)  magic "TwHiEnd\n" (8)
 *
 * Its name is that of the segment it was made of, "%016x.hist". `start` and `end` are the places of
 * the segment and of the next one. `before` is the `prev` of the first journal block, `after` the
 * checksum of the last one's head (block.h): the next file's `before` is this one's `after`, if
 * nothing is missing. Oldest and newest are times of changes; both are 0 when there is none.
 *
 * A chunk is about HISTORY_RAW of entries in the order of the journal, cut between entries:
 *
 *   change   1 (4)  number in its block (4)  position of the block (8)
 *            length of the effect (4), of the sealed part (4), then both
 *   counts   2 (4)  partition (4)  position of the block (8)
 *            seq, devices, disabled, modules (8 each)
 *
 * A page is about HISTORY_RAW of the index, in the order of keys:
 *
 *   key      its length (4)  how many chunks hold changes of this entity (4)
 *            their numbers, ascending (4 each)  the key (key.h)
 *
 * Numbers are little-endian.
 *
 * Pure: no I/O.
 *
 * Units    bytes, wall_ms, positions of the journal
 * Memory   what is decoded borrows from the input
 * Threads  any; a zstd context is used by one at a time
 * Errors   DAMAGED
 * Source   docs/format.md, "History"; design 4
 */
#ifndef STORE_HISTORY_FORMAT_H
#define STORE_HISTORY_FORMAT_H

#include "hub/replay.h"
#include "store/block.h"
#include "store/key.h"

enum {
    HISTORY_FORMAT = 1,
    HISTORY_HEAD = 96,
    HISTORY_TRAILER = 16,
    HISTORY_CHANGE = 24, /* before the effect */
    HISTORY_COUNTS = 48,
    HISTORY_RAW = 64 << 10,                   /* of a chunk or page that has several entries */
    HISTORY_RAW_MAX = BLOCK_MAX + (64 << 10), /* of one that has a single, large one */
    HISTORY_FOOTER_MAX = 4 << 20,             /* a full segment's has less than 1 MiB */
    HISTORY_NAME = 32
};

void history_name(char out[HISTORY_NAME], uint64_t start);
/* The start, when this is such a name. */
MUST_USE bool history_start(const char *name, uint64_t *out);

/* -- head -- */

struct history_head {
    uint64_t start, end, epoch;
    int64_t oldest_ms, newest_ms;
    uint64_t changes;
    uint32_t before, after;
    uint8_t hub_id[16];
};
void history_head_encode(const struct history_head *h, uint8_t out[HISTORY_HEAD]);
/* `in` has HISTORY_HEAD bytes. */
MUST_USE enum status history_head_decode(const uint8_t *in, struct history_head *out);

/* -- the content of chunks and pages -- */

struct history_entry {
    bool is_counts;
    uint64_t position; /* of its journal block */
    /* A change: */
    uint32_t number; /* in its block: 0, 1, 2, … */
    struct span effect, sealed;
    /* Counts of a partition after the block: */
    uint32_t partition;
    struct store_partition counts;
};
/* Whose change it is, and when. False: replay cannot read it, or nobody can have such ids. */
MUST_USE bool history_whose(const struct replay *replay, struct span effect, struct key *out,
                            int64_t *time_ms);

void history_put_change(struct buf *b, uint64_t position, uint32_t number, struct block_entry e);
void history_put_counts(struct buf *b, uint64_t position, const struct block_count *c);
/* The first entry of `rest`, which loses it. NOT_FOUND: `rest` is empty. */
MUST_USE enum status history_take(struct span *rest, struct history_entry *out);

struct history_key {
    struct span key;
    struct span chunks; /* 4 bytes a number */
};
void history_put_key(struct buf *b, const struct history_key *k);
MUST_USE enum status history_take_key(struct span *rest, struct history_key *out);

/* -- frames -- */

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

struct history_piece {
    uint64_t at; /* in the file */
    uint32_t length, raw, crc, entries;
};
/* Appends a frame to `out` and sets length, raw and crc. */
void history_pack(struct ZSTD_CCtx_s *z, struct span raw, struct buf *out,
                  struct history_piece *piece);
/* `raw` is emptied, and on OK holds the content. */
MUST_USE enum status history_unpack(struct ZSTD_DCtx_s *z, const struct history_piece *piece,
                                    struct span frame, struct buf *raw);

/* -- footer -- */

struct history_chunk {
    struct history_piece piece;
    uint64_t position;
    int64_t oldest_ms, newest_ms;
};
struct history_page {
    struct history_piece piece;
    struct span first;
};
void history_put_chunk(struct buf *b, const struct history_chunk *c);
void history_put_page(struct buf *b, const struct history_page *p);
/* `footer` begins with the two numbers. */
void history_trailer_encode(struct span footer, uint8_t out[HISTORY_TRAILER]);
/* `in` has HISTORY_TRAILER bytes: how long is the footer before it? */
MUST_USE enum status history_trailer_decode(const uint8_t *in, uint32_t *footer_len);

struct history_footer {
    uint32_t chunks, pages;
    struct span chunk_rows, page_rows;
};
/* `at` is where the footer begins. OK: chunks and pages lie one after the other from HISTORY_HEAD
 * to it; positions and first keys are in order. */
MUST_USE enum status history_footer_decode(struct span footer, const uint8_t *trailer, uint64_t at,
                                           struct history_footer *out);
/* i < chunks. */
struct history_chunk history_chunk_get(const struct history_footer *f, uint32_t i);
/* The page that holds `key` if any does. */
MUST_USE bool history_page_find(const struct history_footer *f, struct span key,
                                struct history_page *out);

#endif
