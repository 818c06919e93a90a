/* hash.h — three hashes, each for one purpose.
 *
 * Threads  any
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/span.h"

/* For maps whose keys peers choose: SipHash-1-3 under a random key. */
struct hash_key {
    uint64_t k0, k1;
};
uint64_t hash_keyed(struct hash_key key, struct span s);

/* Device id to partition number. Fixed for ever: it decides where records lie on disk.
 * FNV-1a, 64 bits, folded; `partitions` is at least 1. */
uint32_t hash_partition(struct span device, uint32_t partitions);

/* CRC-32C (Castagnoli, reflected, as in RFC 3720 B.4): what checks records on disk.
 * Start with 0; feed the result back to continue. */
uint32_t hash_crc32c(uint32_t crc, struct span s);
/* The same without the processor's instruction; for tests. */
uint32_t hash_crc32c_by_table(uint32_t crc, struct span s);

#endif
