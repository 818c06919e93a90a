#include "net/system.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <uv.h>

#include "base/check.h"

static int64_t clock_ms(clockid_t id)
{
    struct timespec t;
    CHECK(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct now system_now(void)
{
    return (struct now){.wall_ms = clock_ms(CLOCK_REALTIME), .mono_ms = clock_ms(CLOCK_MONOTONIC)};
}

static void fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    uint8_t *at = out;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        CHECK(n > 0 || errno == EINTR);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

struct random system_random(void)
{
    return (struct random){.fill = fill};
}

uint64_t system_prepare(void)
{
    CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    struct rlimit raised = {.rlim_cur = files.rlim_max, .rlim_max = files.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : files.rlim_cur;
}

/* ---- memory for the libraries ---- */

static void *given(void *at, size_t size)
{
    if (!at && size)
        check_no_memory();
    return at;
}

static void *uv_take(size_t size)
{
    return given(malloc(size), size);
}

static void *uv_retake(void *at, size_t size)
{
    return given(realloc(at, size), size);
}

static void *uv_take_zeroed(size_t count, size_t size)
{
    return given(calloc(count, size), count * size);
}

/* libcrypto takes no memory for no bytes. */
static void *ssl_take(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return size ? uv_take(size) : NULL;
}

static void ssl_free(void *at, const char *file, int line)
{
    (void)file, (void)line;
    free(at);
}

static void *ssl_retake(void *at, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    if (size)
        return uv_retake(at, size);
    free(at);
    return NULL;
}

void system_memory(void)
{
    CHECK(uv_replace_allocator(uv_take, uv_retake, uv_take_zeroed, free) == 0);
    CHECK(CRYPTO_set_mem_functions(ssl_take, ssl_retake, ssl_free) == 1);
}
