/* history_file.h — a history file, open for reading.
 *
 * Units    bytes; positions of the journal
 * Memory   heap until history_file_close: the footer, and the largest frame read
 * Threads  one
 * Errors   DAMAGED, UNAVAILABLE with an errno in `error`. A chunk that is damaged harms no other
 * Source   history_format.h
 */
#ifndef STORE_HISTORY_FILE_H
#define STORE_HISTORY_FILE_H

#include "store/disk.h"
#include "store/history_format.h"

struct history_file {
    struct disk_file *file; /* NULL: closed */
    struct history_head head;
    struct history_footer footer;
    int error;
    struct ZSTD_DCtx_s *zstd;
    struct buf footer_bytes, frame, page;
};

/* OK, or DAMAGED (another hub's file, too) or UNAVAILABLE, and it is closed. */
MUST_USE enum status history_file_open(struct history_file *f, struct disk *disk, uint64_t start,
                                       const uint8_t hub_id[16]);
void history_file_close(struct history_file *f); /* harmless when it is closed */

/* The head alone, without keeping the file open. */
MUST_USE enum status history_file_peek(struct disk *disk, uint64_t start, const uint8_t hub_id[16],
                                       struct history_head *out, int *error);

/* The entries of chunk i < footer.chunks; `raw` is emptied first. */
MUST_USE enum status history_file_chunk(struct history_file *f, uint32_t i, struct buf *raw);
/* The chunks that hold changes of this key, 4 bytes a number, ascending; they borrow from the file
 * until the next call. NOT_FOUND: none does. */
MUST_USE enum status history_file_find(struct history_file *f, struct span key,
                                       struct span *chunks);

#endif
