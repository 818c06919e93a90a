/* model.h — what the writer does, and what must be there after a cut.
 *
 * Two handles change the twins of their own devices. Each change is marked before it is committed
 * and each batch when it is acknowledged, so that at any place of the log it is known what each
 * handle may show: the state after some whole batch, not before the newest acknowledged one, not
 * after the newest committed one. A process that follows one that was killed has found such a
 * state, too, and from there on that one must last.
 *
 * Memory   the caller's structs; model_fini frees what they hold
 * Threads  any, after model_begin
 */
#ifndef CRASH_MODEL_H
#define CRASH_MODEL_H

#include "base/buf.h"
#include "base/record.h"
#include "image.h"
#include "store/store.h"

enum {
    MODEL_HANDLES = 2,
    MODEL_PARTITIONS = 4,
    MODEL_DEVICES = 12,                 /* of each handle, each with a module */
    MODEL_OWN = 2 * MODEL_DEVICES,      /* of handle 0: a record of the hub itself */
    MODEL_KEYS = 2 * MODEL_DEVICES + 1, /* of each handle */
};

enum model_mark {
    MARK_OPENED = 1, /* data: hub id */
    MARK_FOUND,      /* data: struct model_found */
    MARK_CHANGE,     /* data: struct model_change, as of the others */
    MARK_COMMIT,
    MARK_ACK
};

struct model_change {
    uint32_t handle, key, partition, unused;
    uint64_t batch, hash; /* of the record after; 0: deleted */
    struct store_partition part;
};

/* What a handle's keys and partitions show. */
struct model_state {
    uint64_t hash[MODEL_KEYS]; /* 0: there is no record */
    struct store_partition parts[MODEL_PARTITIONS];
};

/* What a process found when it opened the directory, and may have shown. */
struct model_found {
    uint32_t handle, unused;
    struct model_state state;
};

/* Once, before all else. */
void model_begin(void);
/* Of the device's and its module's records, and of the hub's own; good for ever. */
struct store_key model_key(uint32_t handle, uint32_t key);
/* Which one it is. */
uint32_t model_key_of(uint32_t handle, const struct store_key *key);
/* Of all that a record holds; never 0 but for NULL. */
uint64_t model_hash(const struct record *record);
void model_apply(struct model_state *state, const struct model_change *change);

struct model {
    bool opened;
    bool wrong; /* a process found what it should not have */
    uint8_t hub_id[16];
    struct model_handle {
        struct model_state acked;
        uint64_t acked_batch, committed_batch;
        struct model_change *changes; /* all, in order; */
        size_t count, room, applied;  /* `applied` of them are in `acked` */
    } handles[MODEL_HANDLES];
};

void model_fini(struct model *m);
/* The marks among these entries of the log. */
void model_advance(struct model *m, const struct image_entry *entries, size_t count);
/* The batch after which the handle shows `state`; *found tells whether there is one. */
uint64_t model_find(const struct model *m, uint32_t handle, const struct model_state *state,
                    bool *found);

#endif
