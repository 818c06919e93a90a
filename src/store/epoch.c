#include "store/epoch.h"

static uint64_t newer(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool epoch_begin(struct header *h, const struct header *known)
{
    uint64_t newest = newer(h->epoch, known->epoch);
    if (newest >= EPOCH_MAX)
        return false;
    h->epoch = newest + 1;
    return true;
}

struct epoch_jump epoch_jump(const struct header *from, const struct header *to)
{
    uint64_t epochs = to->epoch - from->epoch;
    return (struct epoch_jump){.versions = (int64_t)(epochs * EPOCH_VERSIONS),
                               .seqs = epochs * EPOCH_SEQS,
                               .positions = epochs * EPOCH_POSITIONS};
}
