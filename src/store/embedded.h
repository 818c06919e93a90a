/* embedded.h — the embedded keeper: a journal in front of an ordered base.
 *
 *   shard:       append, commit ─► block ─► queue; the hot table has what the base lacks
 *   journal:     what has gathered ─► one write, one sync ─► wake ─► shard: poll, durable
 *   checkpoint:  dirty records, in key order, from each shard ─► short transactions ─► the base,
 *                then the mark from which replay begins
 *   spare:       the next segment, zeroed ahead of need; history of the segments that are done with
 *
 * Each of the three is an actor with a step; each has a thread, or, `stepped`, the caller runs the
 * steps (the simulator). A read looks into the hot table, then into the base.
 *
 * At any moment: a change is in its shard's hot table until the base has it and the shard has been
 * told; it is on disk once its block is synced, which is when `durable` says so; it is in the base
 * only if its block was synced before. So a start reads the base and replays the journal from the
 * mark, into the hot tables. Moment by moment: docs/architecture.md.
 *
 * A checkpoint begins when the tail or the hot tables are at half their bounds, or when there is no
 * space for a segment or was none in the base; it brings every hot record of its time to the base
 * and moves the mark. A change to a record that is damaged in the base is passed over by replay,
 * unless it creates it.
 *
 * Units    bytes, milliseconds
 * Memory   embedded_close frees the environment, store_close a handle
 * Threads  a handle belongs to one thread; embedded_* are for the main thread unless they say more
 * Errors   the first failed write or sync is the last: `failed` comes from the next store_poll,
 *          embedded_why says more, and nothing is acknowledged any more. A record that fails its
 *          check is DAMAGED and harms no other. No space for a segment or a checkpoint is no
 *          failure: store_room says so, and it is tried again within a second
 * Source   design 4; trials F01-F07
 */
#ifndef STORE_EMBEDDED_H
#define STORE_EMBEDDED_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "hub/replay.h"

struct base;
struct disk;
struct embedded;

struct embedded_options {
    struct random random; /* from any thread, unless stepped */
    struct now (*clock)(void *ctx);
    void *clock_ctx;
    const struct replay *replay;
    /* Of the directory: */
    uint8_t hub_id[16];
    const uint8_t *master_key;
    uint64_t epoch;
    uint32_t partitions;
    /* Acknowledge when written, sync every 100 ms: the end of the process loses nothing, a power
     * cut what came after the last sync. */
    bool async;
    bool stepped;            /* no threads: embedded_step */
    unsigned replay_threads; /* of a start, 4 at most; each takes a segment meanwhile. 0: 1 */
    uint64_t tail_max;       /* journal behind the mark; 0: 128 MiB */
    uint64_t hot_max;        /* of all hot tables; 0: 1 GiB */
    uint32_t segment_min;    /* 0: SEGMENT_MIN */
    uint32_t segment_max;    /* 0: SEGMENT_MAX */
    int64_t history_ms;      /* how long segments are kept; 0: not at all */
    uint64_t history_size;   /* bytes of them on disk; 0: no bound */
    /* Asked before a segment is removed: true keeps it for now (hold.h). NULL: it never is. */
    bool (*held)(void *ctx);
    void *held_ctx;
    /* The directory has had a journal: one without a segment is damaged, not new. */
    bool has_journal;
};

/* Replays the journal, and begins it where there is none. The disk and the base are borrowed until
 * embedded_close. On OK its threads run. Otherwise `why` says for a person what is wrong: DAMAGED,
 * UNAVAILABLE or STORAGE_FULL. */
MUST_USE enum status embedded_open(const struct embedded_options *options, struct disk *disk,
                                   struct base *base, struct embedded **out, struct buf *why);
/* After its handles are closed. Brings the base up to date, for `patience_ms` at most and not after
 * a failure: what is then not in it is replayed by the next start. NULL is harmless. */
void embedded_close(struct embedded *e, int64_t patience_ms);

/* A handle for the partitions p with p % count == index. The caller sets owner, durable, failed and
 * wake before using it; `wake` runs on other threads, under a lock, so it may only signal, and not
 * before the first commit or poll. */
struct store *embedded_shard(struct embedded *e, unsigned index, unsigned count);

/* What failed, in words; empty while nothing has. Any thread; constant once not empty. */
const char *embedded_why(struct embedded *e);

struct embedded_stats {
    uint64_t tail, hot;                    /* bytes now */
    uint64_t tail_max, hot_max;            /* their bounds */
    uint64_t blocks, groups;               /* written; each group one sync */
    uint64_t bytes;                        /* of blocks */
    uint64_t checkpoints, checkpointed;    /* whole ones; records written by all */
    uint64_t position;                     /* the journal's end that is durable */
    uint64_t history_files, history_bytes; /* kept now */
    uint64_t history_dropped;              /* segments not kept, for want of space */
    uint64_t history_kept;                 /* segments that could not be made history */
    uint64_t history_errors;               /* of the disk, while it was made or removed */
    uint64_t replayed;                     /* blocks, at the start */
    uint64_t checkpointing;                /* 1 while a checkpoint is under way */
    bool no_space;
};
/* Any thread. */
void embedded_stats(struct embedded *e, struct embedded_stats *out);

enum embedded_actor { ACTOR_JOURNAL, ACTOR_CHECKPOINT, ACTOR_SPARE, ACTORS };
/* Stepped: one step of an actor; false when it has nothing to do now. */
bool embedded_step(struct embedded *e, enum embedded_actor actor);

#endif
