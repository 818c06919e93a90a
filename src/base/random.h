/* random.h — random bytes, passed in so that a seed can decide them. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    void (*fill)(void *ctx, void *out, size_t len); /* always fills */
    void *ctx;
};

static inline void random_fill(struct random r, void *out, size_t len)
{
    r.fill(r.ctx, out, len);
}

static inline uint64_t random_u64(struct random r)
{
    uint64_t value;
    r.fill(r.ctx, &value, sizeof(value));
    return value;
}

#endif
