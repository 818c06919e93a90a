/* model.h — what the writer does, and what must be there after a cut.
 *
 * Two handles change their own keys. Each change is marked before it is committed and each batch
 * when it is acknowledged, so that at any place of the log it is known what each handle may show:
 * the state after some whole batch, not before the newest acknowledged one, not after the newest
 * committed one. A record's content follows from its key and its seq.
 *
 * Memory   the caller's structs; model_fini frees what they hold
 * Threads  one
 */
#ifndef CRASH_MODEL_H
#define CRASH_MODEL_H

#include "base/buf.h"
#include "base/record.h"
#include "image.h"
#include "store/store.h"

enum { MODEL_HANDLES = 2, MODEL_PARTITIONS = 4, MODEL_KEYS = 32 /* of each handle */ };

enum model_mark { MARK_OPENED = 1 /* data: hub id */, MARK_CHANGE, MARK_COMMIT, MARK_ACK };

struct model_change {
    uint32_t handle, key, deleted, unused;
    uint64_t batch, seq;
};

/* What a handle's keys and partitions show. */
struct model_state {
    uint64_t seq[MODEL_KEYS]; /* of the record; 0: none */
    struct store_partition parts[MODEL_PARTITIONS];
};

/* The key's name; its spans are good until the next call. */
struct store_key model_key(uint32_t handle, uint32_t key);
/* The record this change makes; the caller has its one count. */
struct record *model_record(uint32_t handle, uint32_t key, uint64_t seq);
/* Its seq, or 0 if `record` is not what model_record makes for this key. */
uint64_t model_seq_of(uint32_t handle, uint32_t key, const struct record *record);
void model_apply(struct model_state *state, const struct model_change *change);

struct model {
    bool opened;
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
