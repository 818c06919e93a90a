/* latency.h — how long things took: counts in buckets of 1.6 %, as HdrHistogram does.
 *
 * Units    ns in, µs out
 * Memory   one struct, 30 KiB
 * Threads  the owner's
 * Errors   none; a negative time counts as 0
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

enum { LATENCY_SUB = 64, LATENCY_BUCKETS = 59 * LATENCY_SUB };

struct latency {
    uint64_t count, max_ns;
    uint64_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *l, int64_t ns);
/* All of `from`, which is emptied, into `l`. */
void latency_move(struct latency *l, struct latency *from);
/* The time that the share `part` (0..1) of all stayed within; the upper edge of its bucket, the
 * longest at 1. 0 when there are none. */
double latency_us(const struct latency *l, double part);

#endif
