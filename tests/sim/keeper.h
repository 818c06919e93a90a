/* keeper.h — a store between a shard and the true one: it can answer loads and scans later, as
 * a keeper behind a network would, and plant faults.
 *
 * What is answered later is read when it is answered: it shows every change handed over until then.
 *
 * Memory   keeper_create's store is freed by store_close, which closes the inner one too, or by
 *          keeper_destroy, which does not
 * Threads  one
 */
#ifndef SIM_KEEPER_H
#define SIM_KEEPER_H

#include "fault.h"
#include "store/memory_store.h"

struct keeper_options {
    bool async;     /* answer only by keeper_answer */
    uint64_t *seed; /* of what is decided here */
    enum fault fault;
    memory_append_fn *on_append; /* as the shard meant it, before any fault; may be NULL */
    void *on_append_owner;
};

/* `inner` is a handle of the memory store or of the embedded keeper. */
struct store *keeper_create(struct store *inner, const struct keeper_options *options);
/* The inner handle is gone, or somebody else's. */
void keeper_destroy(struct store *s);
/* Answer the oldest read that waits; false when none does. */
bool keeper_answer(struct store *s);
bool keeper_waits(const struct store *s);
/* The machine has lost its power, and only the program does not know: from here on nothing reaches
 * the inner store, and every batch is said to be durable, so that all that waits can end. */
void keeper_go_dark(struct store *s);

#endif
