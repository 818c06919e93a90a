/* key.h — the key of a record on disk: bytes whose order is the order of scans.
 *
 *   partition (2, big-endian)  device  NUL  module
 *
 * No id holds NUL, so a device stands before its modules and a longer device id after both. A
 * record of the hub has an empty device: its key goes on with NUL, before every device. The
 * keeper's own keys have neither device nor module: a partition's counts, and under KEY_MARK, after
 * every partition, where replay begins.
 *
 * Pure: no I/O, no allocation.
 *
 * Units    bytes
 * Memory   encoded keys lie in the caller's array; decoded spans borrow from the input
 * Threads  any
 * Source   docs/format.md, "Base"
 */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include "store/store.h"

enum { KEY_BYTES = 2 + STORE_ID_MAX + 1 + STORE_ID_MAX, KEY_MARK = 0xffff };

struct key {
    uint8_t bytes[KEY_BYTES];
    size_t len;
};

static inline struct span key_span(const struct key *k)
{
    return span_of(k->bytes, k->len);
}

/* Ids within their limits and without NUL; the partition below STORE_PARTITIONS_MAX: our callers'
 * duty, checked. */
void key_encode(struct key *out, const struct store_key *key);

/* What key_encode makes, and nothing else: false leaves *out alone. */
MUST_USE bool key_decode(struct span bytes, struct store_key *out);

/* The key of a partition's counts. */
void key_counts(struct key *out, uint32_t partition);
/* The key of the place that replay begins at (mark.h). */
void key_mark(struct key *out);
/* Is it a key of the keeper's own, not of a record? */
MUST_USE bool key_is_own(struct span key);
/* The smallest key a device of this partition can have. */
void key_first_device(struct key *out, uint32_t partition);
/* Everything up to and with the NUL: what the keys of a device and its modules begin with. */
struct span key_device_prefix(struct span key);

#endif
