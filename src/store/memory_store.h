/* memory_store.h — a keeper that keeps nothing: for tests and for the simulator.
 *
 * Several handles (shards) over one environment; all of one thread. What is committed is durable at
 * once, or, with manual_sync, when the test says so: then memory_env_crash shows what a power cut
 * would have left.
 *
 * Units    bytes
 * Memory   the environment holds the records; handles are freed by store_close
 * Threads  one
 * Errors   only those a test asks for
 * Source   design 9
 */
#ifndef STORE_MEMORY_STORE_H
#define STORE_MEMORY_STORE_H

#include "base/random.h"
#include "store/store.h"

struct memory_env;

/* Called for every append before it is applied; `old` is NULL when there was no record. */
typedef void memory_append_fn(void *owner, struct record *old, const struct store_change *change);

struct memory_options {
    uint32_t partitions; /* 0: 32 */
    bool manual_sync;    /* durable only by memory_store_sync */
    struct random random;
    memory_append_fn *on_append; /* may be NULL */
    void *on_append_owner;
};

struct memory_env *memory_env_create(const struct memory_options *options);
/* After its handles are closed. */
void memory_env_destroy(struct memory_env *env);
/* A handle; the caller sets owner, durable, failed and wake (which may be NULL). */
struct store *memory_env_shard(struct memory_env *env);

/* What this handle has committed (up to batch `upto`) is durable: wake is called now, and
 * `durable` by the next store_poll. */
void memory_store_sync(struct store *s);
void memory_store_sync_upto(struct store *s, uint64_t upto);
/* The disk fails: nothing of this handle becomes durable any more, and the next store_poll calls
 * `failed` with this status. */
void memory_store_fail(struct store *s, enum status st);

/* What store_room says from now on; wake is called. */
void memory_store_room(struct store *s, enum store_room room);

/* A power cut: what is not durable is gone. Every handle is freed without a word to its owner;
 * open new ones. */
void memory_env_crash(struct memory_env *env);

#endif
