/* world.h — a hub in one thread: shards, mail, sessions and a store, on a simulated network, clock
 * and random bytes. One seed decides everything.
 *
 * The store is the memory store, or, `embedded`, the product's keeper on a simulated machine
 * (machine.h). Transcripts drive it by hand; the simulator drives it at random.
 *
 * Memory   a world owns its wires; wire_drop frees one
 * Threads  one
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "auth/policy.h"
#include "fault.h"
#include "machine.h"
#include "shard/shard.h"
#include "store/memory_store.h"

enum { WORLD_SHARDS_MAX = 8 };

struct world;

/* What happens on the wires and in the store, in order: the same seed, the same trace. */
enum world_event {
    WORLD_OPENED,
    WORLD_TO_HUB,
    WORLD_TO_PEER,
    WORLD_MOVED,
    WORLD_CLOSED,
    WORLD_APPENDED, /* `wire` is 0; the bytes are the change record's */
};
typedef void world_trace_fn(void *owner, enum world_event event, uint64_t wire, struct span bytes);

/* The client's end of a connection. */
struct wire {
    struct link link; /* what the shard sees */
    uint64_t number;  /* 1, 2, 3, … */
    struct list all;
    struct world *world;
    unsigned shard;     /* where it is */
    int moving_to;      /* -1: nowhere */
    struct buf to_hub;  /* sent by the client, not yet delivered */
    struct buf to_peer; /* what the hub sent; the client consumes it */
    struct buf swapped; /* of a planted fault */
    bool opened, reading;
    bool closing;    /* by the hub */
    bool gone;       /* the client hung up */
    bool closed;     /* on_closed was called */
    enum status why; /* of the close, as the hub was told */
    bool deaf;       /* the client does not read: what is sent stays unsent */
    bool drains;     /* it has read all, and the hub is to be told */
};

struct world_options {
    unsigned shards;
    uint64_t seed;
    bool manual_sync; /* durable only by world_sync; not embedded */
    bool chunks;      /* deliver bytes in pieces of random length */
    bool async_loads; /* the store answers loads and scans on a later step */
    bool embedded;
    bool reshards; /* a start has another number of shards than the one before; embedded */
    struct machine_options machine; /* sizes; the world knows the rest */
    enum fault fault;               /* planted, see fault.h */
    int64_t wall_ms, mono_ms;
    size_t arena_size;               /* of each shard; 0: the product's */
    const struct doc_limits *limits; /* NULL: azure */
    memory_append_fn *on_append;
    void *on_append_owner;
    world_trace_fn *trace; /* may be NULL */
    void *trace_owner;
};

struct world {
    struct world_options options;
    uint64_t seed;     /* of what the simulated network decides */
    uint64_t hub_seed; /* of the hub's random bytes */
    struct now now;
    struct cluster cluster;
    struct memory_env *env;                  /* NULL: embedded */
    struct machine machine;                  /* embedded */
    struct store *stores[WORLD_SHARDS_MAX];  /* the keeper's handles */
    struct store *keepers[WORLD_SHARDS_MAX]; /* before them: what the shards see */
    struct shard *shards[WORLD_SHARDS_MAX];
    bool woken[WORLD_SHARDS_MAX];
    bool settling; /* every actor has its turn */
    bool hurries;  /* the same, but not everything is waited for */
    struct list wires;
    uint64_t wire_count; /* ever */
    struct policies policies;
    struct span hosts[2];
    struct buf log;
    bool log_kept;
    unsigned stopped;
    enum status failed;
};

void world_start(struct world *w, const struct world_options *options);
/* Every connection is cut; the store is kept for world_restart. */
void world_stop(struct world *w);
void world_restart(struct world *w);
/* A power cut: what is not durable is gone; then start again. What the old shards still had under
 * way is brought to its end in the dark: nothing of it reaches the store or a wire. */
void world_crash(struct world *w);
/* The program is killed, and started again: what it had written to the disk is there. */
void world_kill(struct world *w);
void world_end(struct world *w);

struct wire *wire_open(struct world *w, enum link_kind kind, unsigned shard);
void wire_send(struct wire *wire, struct span bytes);
void wire_hang_up(struct wire *wire); /* the client closes */
void wire_drop(struct wire *wire);    /* hang up, settle, free */

/* One step: deliver what is under way and give each shard a turn, in an order of the seed. */
void world_step(struct world *w);
/* Step until nothing moves any more. */
void world_settle(struct world *w);
/* Make what was committed durable. */
void world_sync(struct world *w);
void world_sync_shard(struct world *w, unsigned shard);
/* Time passes; timers run. */
void world_pass(struct world *w, int64_t ms);

/* A policy's token for this hub, good for an hour. */
void world_token(struct world *w, const char *policy, struct buf *out);
/* One REST call over a wire of its own; the body of the answer goes to `body`. Returns the status.
 */
int world_rest(struct world *w, const char *method, const char *path, const char *headers,
               struct span json, struct buf *body);

#define WORLD_HOST "hub.example.test"

#endif
