/* shard.h — one thread's share of the hub: its partitions, their connections, the tick.
 *
 * A shard owns some partitions: the entities, twins and connections of their devices. That code
 * takes no lock. Only mail crosses shards: calls on their way to the owner, answers on their way
 * back. Everything the world gives it (bytes, time, random bytes, durability) comes through
 * link_events, struct cluster and struct store, so that the simulator can give it instead.
 *
 * Units    times by struct now
 * Memory   a shard owns its hub, its connections and its scratch arena
 * Threads  each shard its own; shard_mail and the totals may be used from any
 * Errors   a store that failed ends in cluster.fatal; nothing is acknowledged after it
 * Source   design 2, 4, 5
 */
#ifndef SHARD_SHARD_H
#define SHARD_SHARD_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "net/link.h"
#include "session/rest.h"

struct shard;

/* What all shards share; constant once they run. */
struct cluster {
    unsigned count;
    struct shard **shards; /* by index */
    uint32_t partitions;
    struct credential_rules rules;
    struct hub_config hub;
    int64_t token_grace_s; /* how long a connection outlives its token */
    bool async;            /* replies leave before the sync; said in /readyz and /metrics */
    enum log_level log_level;
    bool log_json;
    size_t arena_size; /* of each shard; 0: the default */
    /* The world: */
    void *ctx;
    struct now (*clock)(void *ctx);
    void (*wake)(void *ctx, unsigned shard); /* from any thread: a turn of that shard soon */
    void (*log)(void *ctx, struct span line);
    void (*put_ca)(void *ctx, struct buf *out);      /* /.well-known/twinhub-ca.pem; any thread */
    void (*put_metrics)(void *ctx, struct buf *out); /* the store's; NULL: none. Any thread */
    void (*fatal)(void *ctx, enum status st);
    void (*stopped)(void *ctx, unsigned shard); /* after shard_stop: nothing is left to do */
};

/* Counts that anybody may read at any time; written by the shard alone. */
struct shard_totals {
    _Atomic uint64_t devices, disabled, modules; /* of its partitions */
    _Atomic uint64_t connections, connected_devices, connected_modules;
    _Atomic uint64_t connects, refused_connects, closed[STATUS_COUNT];
    _Atomic uint64_t messages, message_bytes, wills;
    _Atomic uint64_t twin_reads, twin_reports, desired_pushes, requests, refused_requests;
    _Atomic uint64_t changes, batches, bytes_in, bytes_out;
    _Atomic uint64_t store_busy, store_no_space, refused_writes;
};

struct conn;

/* Each group's fields in an order without gaps. */
struct shard {
    unsigned index;
    enum store_room room; /* of the store, when last looked at */
    const struct cluster *cluster;
    struct hub hub;
    struct store *store;
    struct store_partition *parts; /* counts by partition */
    struct random random;
    struct arena arena;
    size_t arena_peak;  /* of this turn */
    size_t batch_bytes; /* of the changes of the open batch */
    struct now now;

    struct conn **conns; /* by slot; NULL: free */
    uint32_t *generations;
    uint32_t *free_slots;
    uint32_t conn_room, conn_count, sweep_at, free_count;
    int64_t swept_ms;    /* mono, when conn_sweep last ran */
    struct list ready;   /* connections with input to read */
    struct list waiting; /* connections whose next operation the store has no room for */
    size_t waiting_in;   /* bytes of input that wait with them */
    struct list held;    /* connections with output that waits */

    struct list calls;                     /* to run, in order */
    struct list held_calls;                /* done, waiting for their batch */
    struct list gathers;                   /* calls whose parts are under way */
    struct buf out, app, wire, body, line; /* scratch, reused */

    pthread_mutex_t mail_lock;
    struct list mail;
    struct shard_totals totals;

    unsigned calls_out; /* this shard's requests that are somewhere under way */
    bool now_is_fresh;  /* read since the last turn */
    bool dirty;         /* the open batch has changes */
    bool failed;        /* the store cannot write any more */
    bool stopping, stopped;
    bool stood_still; /* no turn came for long before this one */
    _Atomic bool has_mail, stop_asked;
};

/* `store` is this shard's handle, opened and loaded. */
struct shard *shard_create(unsigned index, const struct cluster *cluster, struct store *store,
                           struct random random);
void shard_destroy(struct shard *s);

/* What net/ (or the simulator) calls; `shard` of the callbacks is a struct shard. */
extern const struct link_events shard_events;

/* The shard that owns a device. */
unsigned shard_of(const struct cluster *cluster, struct span device);
bool shard_owns(const struct shard *s, uint32_t partition);

/* From any thread: carry a call there (or its answer back). */
void shard_mail(struct shard *to, struct call *call);

/* From any thread: answer what is in flight, make it durable, close all connections, then call
 * cluster.stopped. */
void shard_stop(struct shard *s);

#endif
