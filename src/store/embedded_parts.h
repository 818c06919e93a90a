/* embedded_parts.h — what the parts of the embedded keeper share (embedded.h is for others).
 *
 *   embedded.c           opening, closing, threads
 *   embedded_replay.c    what a start reads from the journal
 *   embedded_handle.c    a shard's handle: struct store
 *   embedded_journal.c   the journal's and the spare's steps
 *   checkpoint.c         the checkpoint's steps
 *
 * Locks    `lock` guards what is marked; no I/O happens under it
 */
#ifndef STORE_EMBEDDED_PARTS_H
#define STORE_EMBEDDED_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "store/base.h"
#include "store/disk.h"
#include "store/embedded.h"
#include "store/fault.h"
#include "store/history.h"
#include "store/journal.h"
#include "store/recovery.h"
#include "store/seal.h"
#include "store/table.h"

enum {
    ROOM_MAX = 96 << 10,   /* of a block before it has anything: no page of its own */
    BLOCK_FULL = 1 << 20,  /* a shard closes its open block at this size, */
    WAITING_MAX = 2 << 20, /* and reads no sockets while this much waits for the disk */
    GROUP_MAX = 4 << 20,   /* one write and sync, unless one block alone is larger */
    OFFER_MAX = 1000,      /* records in one transaction of the checkpoint */
    SPARE_AHEAD = 8 << 20, /* zeroed at once; the rest four times as fast as the journal fills */
    ASYNC_SYNC_MS = 100,
    REPLAY_MAX = 4, /* threads: together they take twice the tail's bound, in segments */
    RETRY_MS = 400  /* without space: so that it goes on within a second */
};

/* -- the checkpoint's talk with a handle -- */

/* Whose turn it is. Each side changes only its own states to the next. */
enum exchange {
    EX_NONE,    /* nobody's: the checkpoint may ask */
    EX_ASKED,   /* the handle's: fill the offer */
    EX_OFFERED, /* the checkpoint's: write it */
    EX_WRITTEN, /* the handle's: the base has it, forget what has not changed since */
    EX_DROPPED  /* the handle's: it was not written */
};

struct offer_row {
    struct table_row *row; /* its key is constant while it lives */
    struct record *record; /* counted; NULL: deleted */
    uint64_t seq;
};

struct offer_part {
    uint32_t partition;
    struct store_partition counts;
};

struct offer {
    struct offer_row rows[OFFER_MAX];
    size_t count;
    struct offer_part *parts; /* room for every partition; those with changes, in the last offer */
    size_t part_count;
    uint64_t needs; /* the handle's block that must be synced before this is written */
    bool last;      /* of this handle in this cycle */
};

/* -- a handle -- */

/* A batch is durable with a block. */
struct due {
    uint64_t batch, serial;
};

struct handle {
    struct store store;
    struct embedded *env;
    struct list link; /* lock */
    unsigned index, count;
    struct base_reader *reader;
    struct seal *seal;

    struct table hot; /* row->batch is the seq of its newest change */
    struct journal_block *open;
    uint8_t *touched; /* by partition: since the open block began … */
    uint8_t *dirty;   /* … and since the base had its counts */
    struct buf sealed;
    uint64_t serial; /* of the newest block given */
    size_t room;     /* for the next one: as much as it had */
    struct due *dues;
    size_t due_first, due_count, due_room;
    uint64_t given, durable; /* batches */
    bool told;               /* of the failure */
    struct key offered_to;   /* this cycle's offers are up to this key; by exchange */

    _Atomic uint64_t written, synced; /* blocks, by the journal: what may be acknowledged, what the
                                         base may have; they differ with `async` alone */
    _Atomic uint64_t waiting;         /* bytes of blocks given and not written */
    _Atomic bool owned;               /* the owner has called: its `wake` is set */
    _Atomic bool woken;
    _Atomic int exchange; /* enum exchange */
    struct offer *offer;  /* by exchange */
};

/* -- the checkpoint -- */

enum checkpoint_state { CK_IDLE, CK_ASK, CK_HEAR, CK_DURABLE, CK_WRITE, CK_SYNC };

struct checkpoint {
    enum checkpoint_state state;
    struct mark mark;      /* what the cycle brings the base to */
    struct handle *handle; /* lock; whose turn it is */
    bool writing;          /* lock: this handle's offer is being written */
    bool anew;             /* lock: its next offer is its first of this cycle */
    int64_t retry_ms;      /* mono: not before */
    int64_t pause_ms;      /* its thread's: to wait before the next step */
};

/* Each group's fields in an order without gaps. */
struct embedded {
    struct embedded_options o;
    struct disk *disk;
    struct base *base;
    struct store_partition *parts; /* each is its handle's */
    struct hash_key hash_key;
    /* Records the base lacks, of no handle: left[i] has the partitions p with p % left_count == i.
     * lock, once there are handles */
    struct table left[REPLAY_MAX];
    unsigned left_count;

    pthread_t threads[ACTORS];
    pthread_mutex_t lock;
    pthread_cond_t work[ACTORS], progress;

    /* lock: */
    struct list handles, queue; /* queue: journal_block, by link */
    struct mark durable;        /* the journal lasts up to here */
    struct mark replay_from;    /* the base has all before … */
    uint64_t retire_to;         /* … and, up to here, will still say so after a power cut */
    struct segment spare;
    uint64_t spare_need;   /* the journal waits for one of this size at least */
    uint64_t spare_size;   /* not 0: a larger one found no space */
    uint64_t spare_zeroed; /* of the one that is being made */
    struct old_segment *old;
    size_t old_count, old_room;
    struct embedded_stats stats;
    char why[256];

    /* the journal's: */
    struct journal journal;
    struct list taken; /* a group: written, not acknowledged */
    int64_t synced_ms;

    /* the spare's: */
    struct segment_maker maker;
    struct history history;
    int64_t retry_ms; /* mono: not before */

    struct checkpoint checkpoint;

    /* read without the lock: */
    _Atomic uint64_t tail, hot;
    _Atomic int failed; /* enum status */
    _Atomic bool no_segment, no_base_space;

    int thread_count;       /* the main thread's */
    bool signalled[ACTORS]; /* lock: there may be something to do */
    bool has_left;          /* lock: `left` is not empty, so no checkpoint can have everything */
    bool stopping;          /* lock */
    bool has_spare;         /* lock */
    bool waits_for_spare;   /* lock: the journal does */
    bool unsynced;          /* the journal's: something is written and not synced */
    bool making;            /* the spare's */
};

static inline int64_t embedded_mono(const struct embedded *e)
{
    return e->o.clock(e->o.clock_ctx).mono_ms;
}

/* Under the lock. */
static inline void embedded_signal(struct embedded *e, enum embedded_actor actor)
{
    e->signalled[actor] = true;
    pthread_cond_signal(&e->work[actor]);
}
/* Under the lock: every handle is to poll. */
void embedded_wake_all(struct embedded *e);
/* Under the lock, or while nothing else runs: a segment behind the current one. */
void embedded_add_old(struct embedded *e, struct old_segment old);

/* The first failure is kept; every handle is woken. Any thread, without the lock. */
void embedded_fail(struct embedded *e, const char *doing, enum status st, const char *text);
static inline bool embedded_failed(const struct embedded *e)
{
    return atomic_load(&e->failed) != OK;
}

/* -- steps: true when there was something to do -- */
bool journal_step(struct embedded *e);
bool spare_step(struct embedded *e);
/* Is a segment being made whose zeros need not wait? Under the lock. */
bool spare_due(const struct embedded *e);
bool checkpoint_step(struct embedded *e);

/* -- handles -- */
/* Any thread: its owner is to poll. */
void handle_wake(struct handle *h);
/* Memory of a row with its record. */
size_t handle_row_bytes(const struct table_row *row);

/* -- the checkpoint, for others -- */
/* Under the lock: a handle comes or goes; the cycle under way, if any, is given up. Waits until
 * none of its offers is being written. */
void checkpoint_disturb(struct embedded *e);
/* The handle's part; on its thread. */
void checkpoint_answer(struct handle *h);
/* Everything in `left` into the base, the counts and the mark; stops at `until_ms` (mono). True:
 * the base has it all. The actors have stopped. */
bool checkpoint_rest(struct embedded *e, int64_t until_ms);
/* Is it time to begin? Under the lock. */
bool checkpoint_due(const struct embedded *e);

/* -- replay -- */
/* The journal from `from` on, into `left` and the counts. *out has its segments and its end. */
MUST_USE enum status embedded_replay(struct embedded *e, struct mark from, struct recovery *out,
                                     struct buf *why);

/* Under the lock: wait until something has happened. */
void embedded_wait(struct embedded *e);

#endif
