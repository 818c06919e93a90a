/* history_reader.h — changes in the order of the journal, out of history files and the segments
 * that are not yet in them.
 *
 * All changes, for replay and events, or those of one entity, without reading more than the chunks
 * that hold them (segments have no index and are read whole).
 *
 * The actor (history.h) may meanwhile turn a segment into a history file or remove the oldest; a
 * file that is gone is passed over.
 *
 * Units    positions of the journal
 * Memory   heap until history_reader_close: a chunk or a journal block, one file's footer
 * Threads  one
 * Errors   history_reader_next
 * Source   design 4
 */
#ifndef STORE_HISTORY_READER_H
#define STORE_HISTORY_READER_H

#include "hub/replay.h"
#include "store/history_file.h"
#include "store/segment_reader.h"

struct history_query {
    struct disk *disk;
    const uint8_t *hub_id;
    const struct replay *replay;
    const struct store_key *key; /* whose changes; NULL: all, and the counts */
    /* Blocks with from <= position < end. `end` is not beyond what is durable; 0: all that is
     * sound, which a journal that is being written may not yet have made durable. */
    uint64_t from, end;
    bool newest_first;
};

struct history_reader {
    struct history_query query;
    int error;       /* of UNAVAILABLE */
    uint64_t broken; /* of DAMAGED: the start of the file, or where something is missing */
    /* Its own: */
    struct key key;
    uint64_t *starts;         /* of all files, ascending */
    size_t count, room, next; /* `next`: how many are begun */
    struct history_file file;
    struct segment_reader segment;
    struct buf units;  /* of the open file: chunk numbers (4), or positions of blocks (8) */
    size_t unit;       /* how many are read */
    bool gathering;    /* a segment, newest first: `units` is not complete */
    bool fresh;        /* no block of the segment was read */
    struct buf raw;    /* of the open unit */
    struct buf places; /* where its wanted entries begin (4) */
    size_t place;      /* how many are given */
    /* Oldest first, what must come next: */
    uint64_t end; /* a file that begins here; 0: not known */
    bool chained; /* a block that continues `after` */
    uint32_t after;
};

/* OK or UNAVAILABLE; in any case to be closed. */
MUST_USE enum status history_reader_open(struct history_reader *r, const struct history_query *q);
void history_reader_close(struct history_reader *r);

/*   OK           *out, which borrows until the next call
 *   NOT_FOUND    there are no more
 *   NEED_MORE    about a mebibyte was read without a result; call again
 *   DAMAGED      changes are missing at r->broken; call again for those after
 *   UNAVAILABLE  the disk refuses, r->error */
MUST_USE enum status history_reader_next(struct history_reader *r, struct history_entry *out);

#endif
