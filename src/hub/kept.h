/* kept.h — what a record means for those who look after a data directory: whether it is sound, what
 * it counts for, and how it looks with its versions raised.
 *
 * After a restore every version a device or service may have seen since the backup must not come
 * again for other content (docs/decisions/0005): the twin etag's number and both $version are
 * raised. Content and stamps stay.
 *
 * hub_kept is the product's. Tests of the store have simpler ones.
 *
 * Memory   records are counted; raise gives one count
 * Threads  any
 * Errors   DAMAGED: it does not hold together, or is not a record of this key
 * Source   trials F14; docs/format.md, "Entity record"
 */
#ifndef HUB_KEPT_H
#define HUB_KEPT_H

#include "store/store.h"

struct kept {
    uint64_t seq;                        /* of its newest change; 0: it does not know */
    uint64_t devices, disabled, modules; /* what it adds to its partition's counts */
};

struct kept_rules {
    enum status (*check)(const struct store_key *key, uint32_t partitions,
                         const struct record *record, struct kept *out);
    /* Of a record that was checked, every version that much higher. */
    struct record *(*raise)(const struct store_key *key, struct record *record, int64_t by);
};

extern const struct kept_rules hub_kept;

#endif
