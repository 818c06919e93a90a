/* machine.h — a simulated machine with the embedded keeper on it: what a power cut leaves is its
 * disk and its base, what a kill leaves is that and what lay in the caches.
 *
 *   machine_start ─► shards, steps ─► machine_stop                     in good order
 *        ▲                 └────────► machine_down ─► machine_start    a cut or a kill
 *        └── the power may be cut again while it starts
 *
 * Memory   the caller's struct; machine_fini frees what is in it
 * Threads  one
 * Errors   a hub that does not start, though nothing but the power failed, ends the process and
 *          says why
 */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "fault.h"
#include "sim_disk.h"
#include "store/seal.h"
#include "store/store.h"
#include "store/table.h"

/* base.h and auth/identity.h both have a struct key, so the base is behind a pointer here. */
struct base;
struct sim_base;
struct embedded;

enum { MACHINE_JOURNAL, MACHINE_ACTORS = 3 };

struct machine_options {
    uint64_t seed;
    enum fault fault;
    struct random random;
    struct now (*clock)(void *ctx);
    void *clock_ctx;
    uint32_t partitions;
    uint32_t segment_min, segment_max;
    uint64_t tail_max, hot_max;
    bool async;         /* only a kill is promised to be harmless: no cut, no failing disk */
    int64_t history_ms; /* 0: no history */
    uint64_t history_size;
    unsigned pace[MACHINE_ACTORS]; /* an actor has one step in so many; 0: in two */
};

/* What happened, of all starts together. */
#define MACHINE_STATS(X)                                  \
    X(starts, "starts")                                   \
    X(starts_cut, "starts that the power cut short")      \
    X(replayed, "blocks replayed")                        \
    X(groups, "groups synced")                            \
    X(segments, "segments made")                          \
    X(checkpoints, "checkpoints")                         \
    X(checkpointed, "records checkpointed")               \
    X(undone, "commits undone by a cut")                  \
    X(failures, "writes and syncs that failed")           \
    X(full, "writes and commits that found no space")     \
    X(blocks, "blocks read again from the very first on") \
    X(history, "entries read again from history")
struct machine_stats {
#define X(name, text) uint64_t name;
    MACHINE_STATS(X)
#undef X
};

struct machine {
    struct machine_options options;
    struct sim_power power;
    struct sim_disk disk;
    struct sim_base *base;
    struct base *base_handle; /* while it runs */
    struct embedded *env;     /* NULL: it does not run */
    uint8_t hub_id[16], master_key[SEAL_KEY];
    bool made;           /* it has started once */
    unsigned start_cuts; /* so many cuts during the next start, if they come in time */
    struct machine_stats stats;
    uint64_t disk_hash, base_hash; /* at the end: of all that was done to them */
};

void machine_init(struct machine *m, const struct machine_options *options);
void machine_fini(struct machine *m);

void machine_start(struct machine *m);
/* A handle for a shard. */
struct store *machine_shard(struct machine *m, unsigned index, unsigned count);
/* One step of an actor of the keeper (enum embedded_actor), false when it has nothing to do. */
bool machine_step(struct machine *m, unsigned actor);
/* The handles are closed; perhaps the power is cut after it. */
void machine_stop(struct machine *m);

/* No space is left but for so many bytes; there is space again. */
void machine_fill(struct machine *m, uint64_t left);
void machine_free(struct machine *m);
/* The n-th write, commit or sync from now fails, of the disk or of the base. */
void machine_fail(struct machine *m, bool base, uint64_t n);

/* From here on nothing has an effect. Then close the handles, then machine_down. */
void machine_dark(struct machine *m);
/* The program is gone, in the middle of what it did; `cut`: with the power. */
void machine_down(struct machine *m, bool cut);

/* ---- machine_replay.c ---- */

/* What all blocks make that were ever written and not written over. */
struct machine_state {
    struct table table; /* rows without a record are deleted */
    struct store_partition parts[STORE_PARTITIONS_MAX];
};

/* The journal from its very first block: every segment, those that were removed too. machine_state
 * is to be ended in any case. Nothing is being written. Not OK: `why` says what does not hold. */
enum status machine_replay(struct machine *m, struct machine_state *out, struct buf *why);
/* The same from what the keeper itself has kept: history, and then the journal. */
enum status machine_replay_history(struct machine *m, struct machine_state *out, struct buf *why);
void machine_state_fini(struct machine_state *s);
/* Borrowed; NULL when there is none. */
struct record *machine_state_find(const struct machine_state *s, const struct store_key *key);

#endif
