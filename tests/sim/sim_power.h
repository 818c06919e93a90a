/* sim_power.h — the electricity of the simulated machine: what its disk and its base share.
 *
 * Each write, sync and change of a name takes a unit. When none is left the machine is dark in the
 * middle of what it does: nothing has an effect any more and everything fails with EIO, until
 * somebody cuts disk and base (sim_disk_cut, sim_base_cut) and gives it power again.
 *
 * Memory   the caller's
 * Threads  one
 */
#ifndef SIM_POWER_H
#define SIM_POWER_H

#include <stdbool.h>
#include <stdint.h>

struct sim_power {
    uint64_t seed; /* of what a cut leaves */
    uint64_t left; /* units; 0: as many as are asked for */
    uint64_t used; /* ever */
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

#endif
