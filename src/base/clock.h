/* clock.h — the two clocks. Pure code is handed a `struct now`; it never asks.
 *
 * wall_ms  milliseconds since 1970-01-01 UTC: stamps and tokens; may jump
 * mono_ms  milliseconds since some start: timers; never goes back
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct now {
    int64_t wall_ms, mono_ms;
};

/* The service's "never": 0001-01-01T00:00:00Z in wall_ms. */
#define TIME_NEVER (-62135596800000LL)

#endif
