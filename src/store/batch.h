/* batch.h — what one tick of a shard changed, on its way to the keeper.
 *
 * A record that changed twice in a batch is in it once, as it is at the end.
 *
 * Units    bytes
 * Memory   heap; the batch holds a count of each record, and its rows outlive it (lmdb_store.c)
 * Threads  one at a time: its handle's until it is given, then the keeper's, then the handle's
 * Errors   none; out of memory ends the process
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "base/list.h"
#include "store/store.h"
#include "store/table.h"

struct batch_entry {
    struct table_row *row; /* its key is constant; the rest of it is the handle's */
    struct record *record; /* counted; NULL: deleted */
    uint64_t seq;
};

struct batch_part {
    uint32_t partition;
    struct store_partition counts;
};

struct batch {
    struct list link;
    void *owner;
    uint64_t serial; /* the handle's own number, in row->batch */
    uint64_t number; /* the shard's, once it is closed */
    struct batch_entry *entries;
    struct batch_part *parts; /* the partitions it touches */
    size_t count, room, part_count, part_room;
    size_t bytes; /* of memory that its entries hold */
};

struct batch *batch_create(void *owner, uint64_t serial);
void batch_destroy(struct batch *b);

/* The row's record as it is now, under this seq. */
void batch_add(struct batch *b, struct table_row *row, uint64_t seq);
void batch_count(struct batch *b, uint32_t partition, const struct store_partition *counts);

#endif
