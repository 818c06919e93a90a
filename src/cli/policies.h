/* policies.h — the shared access policies of a data directory: read, or made at the first start.
 *
 * They are a record of partition 0 (store.h); their keys are its secret part, which is sealed.
 *
 * Threads  one, before the shards run
 * Errors   DAMAGED, UNAVAILABLE or STORAGE_FULL, with a sentence in `why`
 */
#ifndef CLI_POLICIES_H
#define CLI_POLICIES_H

#include "auth/policy.h"
#include "base/clock.h"
#include "store/store.h"

/* `store` is a handle nobody else uses; it is closed here. */
MUST_USE enum status policies_open(struct store *store, struct random random, struct now now,
                                   struct policies *out, struct buf *why);

#endif
