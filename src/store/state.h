/* state.h — what base and journal say together, worked out in memory: for tools.
 *
 * The base as it is, and over it a table of the records that the journal changed. A change whose
 * record in the base is damaged is passed over until a creation makes the entity anew: check tells
 * of the record, and nothing is made up in its place.
 *
 * Units    bytes; positions of the journal
 * Memory   the caller's struct; what it holds is bounded by the journal's tail
 * Threads  one
 * Errors   DAMAGED with a sentence in `why`; SERVER_ERROR: the base (base.h)
 * Source   design 4
 */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "hub/replay.h"
#include "store/base.h"
#include "store/block.h"
#include "store/seal.h"
#include "store/table.h"

struct state {
    struct base_reader *base; /* borrowed; entered */
    const struct replay *replay;
    struct seal *seal; /* borrowed */
    uint32_t partitions;
    struct store_partition *parts; /* counts: the base's, then the newest block's */
    struct table changed; /* row->batch is the seq of its newest change, row->entry enum state_row;
                             record NULL: deleted, or not known */
    uint8_t *scratch;
    size_t scratch_size;
    uint64_t blocks, changes;
    uint64_t end; /* of the last block taken in; 0: none was */
    int64_t newest_ms;
};

enum state_row { STATE_SAME /* as in the base */, STATE_CHANGED, STATE_UNKNOWN };

/* `base` is entered. */
MUST_USE enum status state_init(struct state *s, struct base_reader *base, uint32_t partitions,
                                const struct replay *replay, struct seal *seal);
void state_fini(struct state *s);

/* A recovery_fn; the owner is the struct state. */
enum status state_block(void *owner, const struct block *block, struct span bytes, struct buf *why);

#endif
