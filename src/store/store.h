/* store.h — where state lives: one interface, several keepers.
 *
 * The only header below the line that code above it may include. Loads, scans and commits are all
 * asynchronous by contract; the memory and LMDB keepers answer loads and scans before they return,
 * a PostgreSQL keeper will not. Each shard has one handle and uses it from its own thread alone.
 *
 * A batch is what one tick of a shard changed. Reads see every change handed over, durable or
 * not. A batch is durable when every byte of it would survive a power cut; batches of one handle
 * become durable in order.
 *
 * Units    bytes
 * Memory   spans handed in are borrowed until the call returns; records are counted (record.h)
 * Threads  a handle belongs to one thread; only `wake` is called from elsewhere
 * Errors   a keeper that cannot write any more calls `failed` and acknowledges nothing after
 * Source   design 4
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/record.h"
#include "base/status.h"

enum {
    STORE_ID_MAX = 128,         /* a device or module id, bytes */
    STORE_PARTITIONS_MAX = 1024 /* the default is 32 */
};

/* Records of one partition are ordered by (device, module), bytewise, a device before its modules.
 * Records of the hub itself (policies, CAs, …) are in partition 0 with an empty device and their
 * kind as the module. */
struct store_key {
    uint32_t partition;
    struct span device;
    struct span module; /* empty: the device itself */
};

/* What a partition counts; kept with its records, in the same batch. */
struct store_partition {
    uint64_t seq; /* of its newest change */
    uint64_t devices, disabled, modules;
};

/* One changed entity. */
struct store_change {
    struct store_key key;
    uint64_t seq;          /* in its partition; 1, 2, 3, … without a gap */
    struct record *record; /* after the change; NULL: deleted. The keeper takes its own count */
    struct span effect, secret;  /* the change record (hub/change.h) and its part to be sealed */
    struct store_partition part; /* the partition's counts after the change */
};

/* *record is valid during the call; take a count to keep it. NOT_FOUND and DAMAGED: record is NULL.
 */
typedef void store_load_fn(void *owner, enum status st, struct record *record);
/* One row of a scan, in key order; return false to end it. */
typedef bool store_row_fn(void *owner, const struct store_key *key, struct record *record);
/* The scan has ended: OK, or DAMAGED when a record could not be read (the others were given). */
typedef void store_done_fn(void *owner, enum status st);

/* May more be asked of it? */
enum store_room {
    STORE_OPEN,
    STORE_BUSY,     /* what writes waits until it is open again, in the end in unread sockets; reads
                       and what a connection's end leaves go on */
    STORE_NO_SPACE, /* nothing that needs space is applied (507); reads, deletions and sessions are
                     */
    STORE_FULL /* no space, and what was left for the others is used up: they wait, as when busy */
};

struct store;
struct store_ops {
    void (*load)(struct store *s, const struct store_key *key, store_load_fn *fn, void *owner);
    void (*scan)(struct store *s, const struct store_key *after, bool whole_device,
                 store_row_fn *row, store_done_fn *done, void *owner);
    void (*append)(struct store *s, const struct store_change *change);
    void (*commit)(struct store *s, uint64_t batch);
    void (*poll)(struct store *s);
    void (*close)(struct store *s);
    enum store_room (*room)(const struct store *s); /* NULL: STORE_OPEN always */
};

struct store {
    const struct store_ops *ops;
    struct store_partition
        *parts; /* the keeper's, by partition number: read at start by the owner */
    uint32_t partitions;
    /* Set by the owner after opening, before any other call: */
    void *owner;
    void (*durable)(void *owner, uint64_t batch); /* from poll or commit, on the owner's thread */
    void (*failed)(void *owner, enum status st);  /* the same; nothing is acknowledged after it */
    void (*wake)(void *owner);                    /* from any thread: call store_poll soon */
};

/* Read one record. fn is called once, perhaps before this returns. */
static inline void store_load(struct store *s, const struct store_key *key, store_load_fn *fn,
                              void *owner)
{
    s->ops->load(s, key, fn, owner);
}

/* The records of after->partition that come after `after`, in order. An empty after->device starts
 * at the first device; the hub's own records are never given. With whole_device, only the modules
 * of after->device that come after after->module. */
static inline void store_scan(struct store *s, const struct store_key *after, bool whole_device,
                              store_row_fn *row, store_done_fn *done, void *owner)
{
    s->ops->scan(s, after, whole_device, row, done, owner);
}

/* Add a change to the open batch. Visible to reads at once. */
static inline void store_append(struct store *s, const struct store_change *change)
{
    s->ops->append(s, change);
}

/* Close the open batch under this number, which is one more than the last one's. */
static inline void store_commit(struct store *s, uint64_t batch)
{
    s->ops->commit(s, batch);
}

/* Report what has become durable since. */
static inline void store_poll(struct store *s)
{
    s->ops->poll(s);
}

static inline enum store_room store_room(const struct store *s)
{
    return s->ops->room ? s->ops->room(s) : STORE_OPEN;
}

/* Everything committed is made durable and reported first, or else `failed` is called: also when
 * there is no space for it, since nobody waits for that any more. */
static inline void store_close(struct store *s)
{
    s->ops->close(s);
}

#endif
