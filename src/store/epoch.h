/* epoch.h — the epoch of a data directory, and how far a restore moves its numbers on.
 *
 * A restore and a recovery go back to an earlier state and begin the next epoch. What was handed
 * out in between, by whichever directory of this hub, must not come again for something else
 * (docs/decisions/0005). So each epoch moves the numbers on by
 *
 *   a million   versions: the twin etag's number, and both $version of a twin
 *   2^40        seqs: the changes of a partition
 *   2^48        positions: the bytes of the journal
 *
 * and how far a state has been moved in all depends on its epoch alone, not on the way there. The
 * next epoch is therefore the one after the newest that is known: of the backup, and of the
 * directory that is moved aside for it.
 *
 * 32 bits hold a version for two thousand restores, as some of Azure's SDKs do; a double holds a
 * seq (2^53) and a position, a multiple of 512 (2^62), for EPOCH_MAX of them.
 *
 * Pure: no I/O.
 *
 * Memory   the caller's
 * Threads  any
 * Source   trials F14
 */
#ifndef STORE_EPOCH_H
#define STORE_EPOCH_H

#include "store/header.h"

enum { EPOCH_MAX = 5000, EPOCH_VERSIONS = 1000000 };
#define EPOCH_SEQS      (UINT64_C(1) << 40)
#define EPOCH_POSITIONS (UINT64_C(1) << 48)

struct epoch_jump {
    int64_t versions;
    uint64_t seqs, positions;
};

/* `h`, the header of a state that is gone back to, becomes one of the epoch after its own and after
 * the known one's. False: there is none, and *h is untouched. */
MUST_USE bool epoch_begin(struct header *h, const struct header *known);

/* From a state of the one header to a later epoch. */
struct epoch_jump epoch_jump(const struct header *from, const struct header *to);

#endif
