/* epoch.h — the epoch of a data directory, and how far a restore moves its numbers on.
 *
 * A restore and a recovery go back to an earlier state and begin the next epoch. What was handed
 * out in between, by whichever directory of this hub, must not come again for something else
 * (docs/decisions/0005). So numbers move on for each epoch, and for each minute from when the one
 * began to when the other did:
 *
 *               an epoch    a minute
 *   versions   1,000,000         200   the twin etag's number, and both $version of a twin
 *   seqs            2^40        2^26   the changes of a partition
 *   positions       2^48        2^36   the bytes of the journal
 *
 * How far a state has been moved in all depends on its epoch and minute alone, not on the way
 * there. The next epoch is the one after the newest that is known: of the backup, and of the
 * directory that is moved aside for it. Of two restores that know nothing of each other, on two new
 * hosts, the epoch is the same; the minutes put the later one beyond what the earlier one hands out
 * until then, at up to 200 versions a minute and so on.
 *
 * Minutes are counted from 2026 on, and to 2041 at most: 32 bits, in which some of Azure's SDKs
 * hold a version, have room for those and for five hundred epochs. A double holds a seq (2^53) and
 * a position, a multiple of 512 (2^62), of any.
 *
 * Pure: no I/O, no clock.
 *
 * Units    minutes since 2026-01-01 UTC
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

enum { EPOCH_MINUTE_MAX = 8000000, EPOCH_MINUTE_VERSIONS = 200 };
#define EPOCH_MINUTE_SEQS      (UINT64_C(1) << 26)
#define EPOCH_MINUTE_POSITIONS (UINT64_C(1) << 36)

struct epoch_jump {
    int64_t versions;
    uint64_t seqs, positions;
};

/* `h`, the header of a state that is gone back to, becomes one of the epoch after its own and after
 * the known one's, begun now or, if the clock is behind, when theirs were. False: there is no later
 * epoch, and *h is untouched. */
MUST_USE bool epoch_begin(struct header *h, const struct header *known, int64_t wall_ms);

/* From a state of the one header to a later epoch. */
struct epoch_jump epoch_jump(const struct header *from, const struct header *to);

#endif
