/* history_index.h — which chunks hold changes of which entity, gathered while they are made.
 *
 * Each chunk leaves a sorted run of the keys in it; at the end the runs are merged, key by key, so
 * that no step sorts much and the whole is about as large as the keys are in the journal.
 *
 * Units    bytes
 * Memory   heap, until history_index_fini
 * Threads  one
 * Errors   none
 */
#ifndef STORE_HISTORY_INDEX_H
#define STORE_HISTORY_INDEX_H

#include "store/history_format.h"

struct history_run {
    size_t at, end; /* of `keys`; `at` moves on while they are merged */
};

struct history_index {
    struct buf fresh;         /* the keys of the open chunk, each behind its length (2) */
    struct buf places;        /* where each begins (4) */
    struct buf keys;          /* of the runs: the same, sorted, each once */
    struct history_run *runs; /* one a chunk */
    uint32_t run_count, room;
    uint32_t *heap; /* of runs that are not at their end, least key first */
    uint32_t heap_count;
    struct buf chunks; /* of the key that was given last */
};

/* The open chunk holds a change of this entity. */
void history_index_add(struct history_index *x, struct span key);
/* The open chunk ends; the next one begins. */
void history_index_cut(struct history_index *x);

/* After the last cut: keys in order, each with its chunks, which borrow until the next call. */
void history_index_merge(struct history_index *x);
MUST_USE bool history_index_next(struct history_index *x, struct history_key *out);

void history_index_fini(struct history_index *x);

#endif
