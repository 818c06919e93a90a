#include "base/arena.h"

#include <stdalign.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif

#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#define asan_poison(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define asan_unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define asan_poison(p, n)   ((void)(p), (void)(n))
#define asan_unpoison(p, n) ((void)(p), (void)(n))
#endif

void arena_init(struct arena *a, void *block, size_t size)
{
    *a = (struct arena){.base = block, .size = size};
    asan_poison(a->base, a->size);
}

void arena_fini(struct arena *a)
{
    asan_unpoison(a->base, a->size);
    *a = (struct arena){0};
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t align = alignof(max_align_t);
    size_t start = (a->used + align - 1) & ~(align - 1);
    if (start > a->size || size > a->size - start)
        return NULL;
    a->used = start + size;
    asan_unpoison(a->base + start, size);
    return memset(a->base + start, 0, size);
}

uint8_t *arena_bytes(struct arena *a, size_t size)
{
    /* Start on an 8-byte border: ASan can only poison whole granules. */
    size_t start = (a->used + 7) & ~(size_t)7;
    if (start > a->size || size > a->size - start)
        return NULL;
    a->used = start + size;
    asan_unpoison(a->base + start, size);
    return a->base + start;
}

void arena_trim(struct arena *a, const uint8_t *end)
{
    CHECK(end >= a->base);
    CHECK(end <= a->base + a->used);
    arena_release(a, (size_t)(end - a->base));
}

struct span arena_copy(struct arena *a, struct span s)
{
    uint8_t *copy = arena_bytes(a, s.len);
    if (!copy)
        return (struct span){0};
    if (s.len)
        memcpy(copy, s.data, s.len);
    return span_of(copy, s.len);
}

void arena_reset(struct arena *a)
{
    arena_release(a, 0);
}

void arena_release(struct arena *a, size_t mark)
{
    CHECK(mark <= a->used);
    asan_poison(a->base + mark, a->used - mark); /* a pointer kept too long crashes in tests */
    a->used = mark;
}
