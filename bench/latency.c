#include "latency.h"

/* Below 64 each value has its bucket; above, each power of two is cut into 64. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < LATENCY_SUB)
        return (unsigned)ns;
    unsigned shift = 63U - (unsigned)__builtin_clzll(ns) - 6U;
    return (shift + 1) * LATENCY_SUB + (unsigned)(ns >> shift) - LATENCY_SUB;
}

static uint64_t upper_edge(unsigned bucket)
{
    if (bucket < LATENCY_SUB)
        return bucket;
    unsigned shift = bucket / LATENCY_SUB - 1;
    return ((uint64_t)(bucket % LATENCY_SUB + LATENCY_SUB + 1) << shift) - 1;
}

void latency_add(struct latency *l, int64_t ns)
{
    uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    l->count++;
    l->buckets[bucket_of(value)]++;
    if (value > l->max_ns)
        l->max_ns = value;
}

void latency_move(struct latency *l, struct latency *from)
{
    l->count += from->count;
    if (from->max_ns > l->max_ns)
        l->max_ns = from->max_ns;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        l->buckets[i] += from->buckets[i];
    *from = (struct latency){0};
}

double latency_us(const struct latency *l, double part)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += l->buckets[i];
        if (seen && (double)seen >= part * (double)l->count) {
            uint64_t edge = upper_edge(i);
            return (double)(edge < l->max_ns ? edge : l->max_ns) / 1000;
        }
    }
    return 0;
}
