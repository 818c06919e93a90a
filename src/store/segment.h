/* segment.h — a piece of the journal: one file, written whole before it is used.
 *
 *    0  magic "TwSg" (4)    4  format, 1 (4)    8  features (8)   16  hub id (16)
 *   32  start (8)          40  size (8)        48  salt (8)       56  epoch (8)
 *   64  zero (444)        508  CRC-32C of the 508 bytes before (4)
 *  512  blocks (block.h), then zeros or an earlier segment's blocks to `size`
 *
 * Its name is its start, "%016x.seg". `start` is the position of the file's first byte, so a block
 * at position p lies at p - start; the next segment starts where this one's size ends. The first
 * segment of a directory is small and each is twice the one before, up to SEGMENT_MAX, so that a
 * hub with little to do neither writes nor reads 64 MiB of zeros. Start and size are multiples of
 * SEGMENT_HEAD, or the next start refuses it.
 *
 * The salt and its place tell a block from one that an earlier segment left: a segment that is done
 * with becomes a new one when it is of the right size, so that its bytes need not be written again.
 *
 * A segment is made whole under another name, synced, and renamed, ahead of need (segment_make), in
 * steps of a mebibyte so that the journal's own syncs are not kept waiting.
 *
 * Units    bytes; positions of the journal
 * Memory   a made or opened file is the caller's (disk_close)
 * Threads  one for each struct
 * Errors   errno values, 0 for none; segment_read: DAMAGED
 * Source   docs/format.md, "Journal"; design 4
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "base/status.h"
#include "store/disk.h"

enum {
    SEGMENT_HEAD = 512,
    SEGMENT_FORMAT = 1,
    SEGMENT_MIN = 4 << 20, /* the first of a directory */
    SEGMENT_MAX = 64 << 20,
    SEGMENT_NAME = 24 /* with its NUL */
};
/* The file that waits to become a segment again. A start removes it. */
#define SEGMENT_USED "used.seg.new"

struct segment {
    uint64_t start, size, salt;
    uint64_t epoch; /* of the directory when it was made */
    uint8_t hub_id[16];
    struct disk_file *file; /* NULL: none */
};

void segment_name(char out[SEGMENT_NAME], uint64_t start);
/* The start, when this is the name of a segment. */
MUST_USE bool segment_start(const char *name, uint64_t *out);

void segment_write(const struct segment *s, uint8_t out[SEGMENT_HEAD]);
/* `in` has SEGMENT_HEAD bytes. On OK all but `file` is set. */
MUST_USE enum status segment_read(const uint8_t *in, struct segment *out);

/* Making one: struct segment_maker {.disk, .segment without its file, .reuse: of SEGMENT_USED,
 * which has this size and is gone afterwards, whatever comes of it}, then segment_make until it
 * gives other than EAGAIN. 0: the segment's file is open, whole and durable, names included; else
 * nothing of it is left but a file that the next start removes. */
struct segment_maker {
    struct disk *disk;
    struct segment segment;
    bool reuse;
    uint64_t zeroed;
    bool begun;
};
MUST_USE int segment_make(struct segment_maker *m);
/* Gives up. */
void segment_unmake(struct segment_maker *m);

#endif
