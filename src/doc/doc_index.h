/* doc_index.h — find equal keys among many, in time no choice of keys can spoil. For doc/ only.
 *
 * A table of heads by the low bits of a hash; below each head, a tree that branches by the
 * following bits, two at a time. Keys that share a head cost a few steps each instead of a chain,
 * and no tree is deeper than the hash is long.
 *
 * Memory   the caller's block of doc_index_size bytes, aligned for a pointer; keys are borrowed
 * Threads  the owner's
 * Errors   none
 */
#ifndef DOC_DOC_INDEX_H
#define DOC_DOC_INDEX_H

#include "base/hash.h"

struct doc_index_key {
    uint64_t hash;
    struct span key;
    uint32_t below[4]; /* number + 1, 0 for none */
    uint64_t value;    /* the owner's */
};

struct doc_index {
    struct doc_index_key *keys; /* in order of first appearance */
    uint32_t *heads;            /* number + 1, 0 for none */
    uint32_t count, head_bits;
};

size_t doc_index_size(size_t key_max);
/* An empty index in `block`, which need not be zeroed, for at most `key_max` different keys. */
void doc_index_init(struct doc_index *ix, void *block, size_t key_max);
/* The entry of `key`, added if it was not there: then it is the last, its value 0. */
struct doc_index_key *doc_index_add(struct doc_index *ix, struct span key);
/* NULL when it is not there. */
struct doc_index_key *doc_index_find(const struct doc_index *ix, struct span key);

#endif
