/* model_hub.h — a hub without sessions, for the power-cut trial: it changes its twins at random.
 *
 * Each operation goes through hub_apply, as it would in a shard, so that the changes are those of
 * the product and the keeper replays them by hub_replay.
 *
 * Memory   the caller's struct; model_hub_fini frees what it holds
 * Threads  one each
 * Errors   a record that cannot be read, or a refused operation, ends the process
 */
#ifndef CRASH_MODEL_HUB_H
#define CRASH_MODEL_HUB_H

#include "hub/hub.h"
#include "model.h"

/* Before the change is given to the store. */
typedef void model_change_fn(void *owner, const struct model_change *change);

struct model_hub {
    struct hub hub;
    struct hub_config config;
    struct store *store;
    struct store_partition parts[MODEL_PARTITIONS];
    struct arena arena;
    struct buf body, answer;
    uint32_t handle;
    uint64_t seed;
    int64_t now_ms;
    model_change_fn *on_change; /* may be NULL */
    void *owner;
};

void model_hub_init(struct model_hub *m, struct store *store, uint32_t handle, uint64_t seed);
void model_hub_fini(struct model_hub *m);
/* One operation: none, one or a few changes in the open batch. */
void model_hub_change(struct model_hub *m);
/* End the batch; its number. */
uint64_t model_hub_commit(struct model_hub *m);

#endif
