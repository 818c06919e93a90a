/* arena.h — scratch memory that is given back all at once.
 *
 * Each shard owns one arena and resets it at the end of every tick, so nothing allocated here may
 * be kept across ticks. The arena never grows: what does not fit ends the turn early; only what
 * does not fit an empty arena is refused (TOO_LARGE).
 *
 * Units    bytes
 * Memory   the caller's block, lent at arena_init
 * Threads  the owner's
 * Errors   NULL when full
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/check.h"
#include "base/span.h"

struct arena {
    uint8_t *base;
    size_t size, used;
};

void arena_init(struct arena *a, void *block, size_t size);
/* The block is the caller's again. */
void arena_fini(struct arena *a);
/* Zeroed, aligned for any type; NULL when it does not fit. */
void *arena_alloc(struct arena *a, size_t size);
/* Not zeroed and not aligned: for bytes. NULL when it does not fit. */
uint8_t *arena_bytes(struct arena *a, size_t size);
/* Give back the end of the last arena_bytes: `end` is one past the last byte kept. */
void arena_trim(struct arena *a, const uint8_t *end);
/* A copy of `s` in the arena; .data is NULL when it does not fit. */
struct span arena_copy(struct arena *a, struct span s);
/* Everything allocated becomes invalid; in sanitizer builds, touching it crashes. */
void arena_reset(struct arena *a);

/* Take a mark, and later give back all that was allocated since. */
static inline size_t arena_mark(const struct arena *a)
{
    return a->used;
}
void arena_release(struct arena *a, size_t mark);

static inline size_t arena_left(const struct arena *a)
{
    return a->size - a->used;
}

#endif
