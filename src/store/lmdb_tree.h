/* lmdb_tree.h — LMDB's tree, read page by page, and each page checked.
 *
 * LMDB believes its pages: one that is damaged, or another's in its place, can make a record vanish
 * without a trace, or end the process. Here a page is believed if it is where it says it is, is of
 * its kind, if its nodes fill it without a gap, and if its keys ascend and lie between those that
 * led to it. So a key that is not found is not there.
 *
 * What this cannot see: a place that names an older copy of the right page, which was given up and
 * not overwritten yet.
 *
 *   page    0  its number (8)          8  –                    10  kind (2)
 *          12  end of the offsets (2)  14  first node (2)
 *          16  offsets of the nodes, by key (2 each); nodes, to the end of the page
 *   node    0  low and high half of the size of the value (2, 2), or with the next field the
 *              number of the child
 *           4  1: the value is on pages of its own (2)        6  size of the key (2)
 *           8  key, value; sizes are rounded up to even
 *   meta   16  magic (4)               20  version (4)         94  depth (2)
 *         128  root (8)               136  last page (8)      144  transaction (8)
 *
 * A search goes through the same branches again and again. Within one transaction a page does not
 * change, so a branch that was reached from the same node before need not be checked again.
 *
 * Pages are in a map of our own, so that nothing depends on where LMDB has its. A transaction of
 * LMDB's that is open keeps them from being used again.
 *
 * Units    bytes
 * Memory   the caller's structs; spans point into the map, good while the transaction is open
 * Threads  one; the map may be shared
 * Errors   DAMAGED
 * Source   LMDB 0.9.24, mdb.c: MDB_page, MDB_node, MDB_meta, MDB_db; on 64 bits, little-endian
 */
#ifndef STORE_LMDB_TREE_H
#define STORE_LMDB_TREE_H

#include "store/lmdb_file.h"

enum { LMDB_TREE_DEPTH = 20, LMDB_SEEN = 1 << 14 };

/* Branches that were checked, by their number; a later one takes an earlier one's place. */
struct lmdb_seen {
    uint64_t round; /* what was seen before it began is forgotten; 1, 2, … */
    struct lmdb_seen_page {
        uint64_t number, parent, round;
        unsigned index; /* of the parent's node */
    } pages[LMDB_SEEN];
};

/* The tree of one transaction. */
struct lmdb_tree {
    const uint8_t *map;
    size_t page_size;
    uint64_t root, last_page;
    unsigned depth;         /* 0: it is empty */
    struct lmdb_seen *seen; /* of this transaction alone; NULL: every page is checked each time */
};

/*   OK         *out is the tree that `txn`, just begun or renewed, sees
 *   NOT_FOUND  its root has been overwritten meanwhile: renew it
 *   DAMAGED    its root is not to be believed */
MUST_USE enum status lmdb_tree_open(struct lmdb_tree *out, const struct lmdb_file *f, MDB_txn *txn);

/* Where in the tree: a leaf's node, or beyond its last one. */
struct lmdb_level {
    const uint8_t *page;
    uint64_t number;
    unsigned index, count;
    struct span low, high; /* its keys are in [low, high); without data: unbounded */
};
struct lmdb_place {
    const struct lmdb_tree *tree;
    struct lmdb_level at[LMDB_TREE_DEPTH];
    bool lost; /* a page was damaged: `step` goes on behind it */
    unsigned level;
};

/* At the first key that is not less than `key`; *exact: it is `key`. OK or DAMAGED. */
MUST_USE enum status lmdb_tree_seek(const struct lmdb_tree *t, struct span key,
                                    struct lmdb_place *out, bool *exact);
/* Is there a node here, and not only the end of a leaf? */
bool lmdb_place_has(const struct lmdb_place *p);
/* To the next node: at the end of a leaf, to the first of the next one. OK; NOT_FOUND at the end;
 * DAMAGED: a page cannot be read, and stepping again goes on behind it. */
MUST_USE enum status lmdb_place_step(struct lmdb_place *p);
/* To the one before. OK, NOT_FOUND, DAMAGED; after the last nothing is done with the place. */
MUST_USE enum status lmdb_place_back(struct lmdb_place *p);
/* Key and value of the node that is here. The key is good even when the value is DAMAGED. */
MUST_USE enum status lmdb_place_get(const struct lmdb_place *p, struct span *key,
                                    struct span *value);

#endif
