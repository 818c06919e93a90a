/* table.h — records by key, found by hash and walked in key order.
 *
 * A hash map and a skip list over the same rows. The height of a row comes from the keyed hash of
 * its key, so that neither chains nor heights can be chosen by a peer.
 *
 * Units    bytes
 * Memory   rows are on the heap; each holds one count of its record
 * Threads  the owner's; a row's key is constant and may be read by others while the row lives
 * Errors   none; out of memory ends the process
 */
#ifndef STORE_TABLE_H
#define STORE_TABLE_H

#include "base/hash.h"
#include "base/map.h"
#include "base/record.h"

enum { TABLE_LEVELS = 12 }; /* a row in four is on the next one: good to 16 million rows */

struct table_row {
    struct map_node node;
    struct record *record; /* counted; NULL: deleted */
    uint64_t batch;        /* the owner's: the batch of its newest change */
    size_t entry;          /* the owner's: its place in that batch */
    uint16_t key_len;
    uint8_t levels;
    struct table_row *next[]; /* one a level; the key follows */
};

struct table {
    struct map map;
    struct hash_key hash_key;
    struct table_row *first[TABLE_LEVELS];
    uint64_t changes; /* rows added or removed: a pointer kept since is good while this stands */
};

static inline struct span table_key(const struct table_row *row)
{
    return span_of(&row->next[row->levels], row->key_len);
}

void table_init(struct table *t, struct hash_key hash_key);
void table_fini(struct table *t);

/* NULL when there is none. */
struct table_row *table_find(const struct table *t, struct span key);
/* The row of this key, made without a record when there is none. */
struct table_row *table_get(struct table *t, struct span key);
/* Replaces the row's record; takes a count of `record`, which may be NULL. */
void table_set(struct table_row *row, struct record *record);
void table_remove(struct table *t, struct table_row *row);

/* Many rows at once: a key that has none gets one, which is found but not yet in the order. Nothing
 * else is done with the table before table_order. */
struct table_row *table_add_row(struct table *t, struct span key);
void table_order(struct table *t);

/* Moves the rows that are picked (NULL: all) from one table to another with the same hash key,
 * which has none of their keys. Both are walked once, so a whole table moves in the time of a walk;
 * all of it into an empty one, at once. */
typedef bool table_pick_fn(void *ctx, const struct table_row *row);
void table_move(struct table *to, struct table *from, table_pick_fn *pick, void *ctx);

/* The first row whose key is greater than `key`, NULL when there is none. */
struct table_row *table_after(const struct table *t, struct span key);

#endif
