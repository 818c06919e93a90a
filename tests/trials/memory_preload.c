/* memory.so: the n-th allocation fails (fault.h). Not for a sanitized hub, whose allocator comes
 * with its own library. */
#include "fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct fault_control *control; /* NULL: nothing happens */

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TWINHUB_FAULT_CONTROL");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        abort();
    syscall(SYS_close, fd);
    control = at;
}

static int64_t monotonic_ns(void)
{
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool no_memory(void)
{
    if (!control)
        return false;
    uint64_t n = atomic_fetch_add_explicit(&control->allocations, 1, memory_order_relaxed) + 1;
    if (n != atomic_load_explicit(&control->no_memory_at, memory_order_relaxed))
        return false;
    int64_t none = 0;
    atomic_compare_exchange_strong(&control->began_ns, &none, monotonic_ns());
    errno = ENOMEM;
    return true;
}

/* What dlsym itself allocates comes from here, and stays. */
static uint8_t early[4096];
static size_t early_used;

static void *take_early(size_t size)
{
    size_t at = early_used;
    early_used += (size + 15) & ~(size_t)15;
    return early_used <= sizeof(early) ? early + at : NULL;
}

static void *find_next(const char *name)
{
    static __thread bool finding;
    if (finding)
        return NULL;
    finding = true;
    void *found = dlsym(RTLD_NEXT, name);
    finding = false;
    return found;
}

typedef void *malloc_fn(size_t), *calloc_fn(size_t, size_t), *realloc_fn(void *, size_t);
typedef void free_fn(void *);

#define NEXT(name, type)                               \
    static type *next;                                 \
    do {                                               \
        if (!next)                                     \
            *(void **)(void *)&next = find_next(name); \
    } while (0)

EXPORT void *malloc(size_t size)
{
    NEXT("malloc", malloc_fn);
    if (!next)
        return take_early(size);
    return no_memory() ? NULL : next(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    NEXT("calloc", calloc_fn);
    if (!next)
        return take_early(count * size); /* static memory is zero */
    return no_memory() ? NULL : next(count, size);
}

EXPORT void *realloc(void *at, size_t size)
{
    NEXT("realloc", realloc_fn);
    if (!next)
        return NULL;
    return size && no_memory() ? NULL : next(at, size);
}

EXPORT void free(void *at)
{
    NEXT("free", free_fn);
    if (next && ((uint8_t *)at < early || (uint8_t *)at >= early + sizeof(early)))
        next(at);
}
