/* sim_power.h — the electricity of the simulated machine: what its disk and its base share.
 *
 * Each write, sync and change of a name takes a unit. When none is left the machine is dark in the
 * middle of what it does: nothing has an effect any more and everything fails with EIO, until
 * somebody cuts disk and base (sim_disk_cut, sim_base_cut) and gives it power again. A program that
 * is killed in the middle of what it does is the same, but for what lies in the caches
 * (sim_disk_kill, sim_base_kill).
 *
 * Memory   the caller's
 * Threads  one
 */
#ifndef SIM_POWER_H
#define SIM_POWER_H

#include <stdbool.h>
#include <stdint.h>

struct sim_power {
    uint64_t seed;                             /* of what a cut leaves */
    uint64_t left;                             /* units; 0: as many as are asked for */
    uint64_t used;                             /* ever */
    bool ends_at_disk_sync, ends_at_base_sync; /* the next one (of a file that does not grow) does
                                                  not happen */
    bool dark;
};

/* One unit: false when there is none. */
static inline bool sim_power_take(struct sim_power *p)
{
    if (p->dark)
        return false;
    p->used++;
    if (p->left && --p->left == 0)
        p->dark = true;
    return !p->dark;
}

/* The same for a sync. */
static inline bool sim_power_take_sync(struct sim_power *p, bool ends)
{
    p->dark |= ends;
    return sim_power_take(p);
}

static inline void sim_power_restore(struct sim_power *p)
{
    p->ends_at_disk_sync = p->ends_at_base_sync = p->dark = false;
    p->left = 0;
}

#endif
