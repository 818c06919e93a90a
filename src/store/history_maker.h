/* history_maker.h — makes the history file of one segment, in steps.
 *
 *   begin ──► blocks ──► beyond ──► index ──► end ──► done
 *             entries into chunks   pages     footer, head, sync, rename
 *
 * A step reads, compresses or syncs about a mebibyte, so that the thread that also makes spare
 * segments is never away long. The file is whole, synced and named before done; the segment is left
 * alone. A power cut at any moment leaves the segment, and of the file nothing, "*.hist.new", or
 * all of it. After a failure nothing of the file is left, or what a start removes (history.h).
 *
 * Units    bytes; positions of the journal
 * Memory   heap until history_unmake: a block, a chunk, and the keys of the segment
 * Threads  one
 * Errors   errno values, 0 for none. EBADMSG: the segment is damaged
 * Source   design 4
 */
#ifndef STORE_HISTORY_MAKER_H
#define STORE_HISTORY_MAKER_H

#include "hub/replay.h"
#include "store/history_index.h"
#include "store/segment_reader.h"

enum history_making { HISTORY_BEGIN, HISTORY_BLOCKS, HISTORY_BEYOND, HISTORY_INDEX, HISTORY_END };

struct history_maker {
    struct disk *disk;
    const struct replay *replay;
    uint64_t start; /* of the segment */
    uint64_t used;  /* the position after its last block; 0: as far as its blocks go */
    uint8_t hub_id[16];
    uint64_t size; /* of the file, once it is made */
    struct history_head head;
    /* Its own: */
    enum history_making state;
    struct segment_reader reader;
    struct disk_file *file;
    bool named; /* it has its name, which may not last yet */
    struct ZSTD_CCtx_s *zstd;
    uint64_t beyond;
    size_t worked, unsynced; /* in this step; since the last sync */
    /* The journal block whose entries are taken: */
    struct block block;
    struct span rest;
    uint32_t entries_left, counts_left;
    /* What is not yet written: */
    struct history_chunk chunk;
    struct history_page page;
    struct buf raw, out, chunk_rows, page_rows, first;
    uint32_t chunks, pages;
    uint64_t at; /* where `out` goes */
    struct history_index index;
};

/* EAGAIN: call again. 0: the file is there and lasts. Anything else: it has given up. */
MUST_USE int history_make(struct history_maker *m);
/* Frees, and gives up if it is not done. */
void history_unmake(struct history_maker *m);

/* The name of a file that is being made. */
void history_new_name(char out[HISTORY_NAME], uint64_t start);

#endif
