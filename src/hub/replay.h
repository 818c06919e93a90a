/* replay.h — what a change means, for those who keep changes: the store holds no rule of the hub.
 *
 * hub_replay is the product's. Tests of the store have simpler ones.
 *
 * Units    wall_ms
 * Memory   spans borrow from the effect
 * Threads  any
 * Errors   DAMAGED: the bytes do not hold together, or do not fit the record before
 * Source   design 4; docs/format.md, "Change record"
 */
#ifndef HUB_REPLAY_H
#define HUB_REPLAY_H

#include "base/arena.h"
#include "store/store.h"

struct replay_head {
    struct store_key key;
    uint64_t seq;
    int64_t time_ms;
};

struct replay {
    /* Whose change it is. */
    enum status (*head)(struct span effect, struct replay_head *out);
    /* The record after: a count for the caller, NULL when there is none. `before` may be NULL, and
     * may hold the change already (hub/change.h, change_apply); TOO_LARGE when the arena is full.
     */
    enum status (*apply)(struct record *before, struct span effect, struct span secret,
                         struct arena *a, struct record **out);
};

extern const struct replay hub_replay;

#endif
