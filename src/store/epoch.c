#include "store/epoch.h"

static const int64_t first_ms = 1767225600000; /* 2026-01-01 */

static uint64_t newer(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t minute_of(int64_t wall_ms)
{
    int64_t minute = wall_ms > first_ms ? (wall_ms - first_ms) / 60000 : 0;
    return minute < EPOCH_MINUTE_MAX ? (uint64_t)minute : EPOCH_MINUTE_MAX;
}

bool epoch_begin(struct header *h, const struct header *known, int64_t wall_ms)
{
    uint64_t newest = newer(h->epoch, known->epoch);
    if (newest >= EPOCH_MAX)
        return false;
    h->epoch = newest + 1;
    h->epoch_minute = newer(newer(h->epoch_minute, known->epoch_minute), minute_of(wall_ms));
    return true;
}

struct epoch_jump epoch_jump(const struct header *from, const struct header *to)
{
    uint64_t epochs = to->epoch - from->epoch, minutes = to->epoch_minute - from->epoch_minute;
    return (struct epoch_jump){
        .versions = (int64_t)(epochs * EPOCH_VERSIONS + minutes * EPOCH_MINUTE_VERSIONS),
        .seqs = epochs * EPOCH_SEQS + minutes * EPOCH_MINUTE_SEQS,
        .positions = epochs * EPOCH_POSITIONS + minutes * EPOCH_MINUTE_POSITIONS};
}
