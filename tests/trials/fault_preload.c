/* fault.so (fault.h). Makes its system calls itself, as the recorder does, so that it needs no
 * other library's wrappers. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { FDS = 4096, LONG_NUMBER = 8 };

static struct fault_control *control; /* NULL: nothing happens */
static char dir[PATH_MAX];
static size_t dir_len;
static _Atomic uint8_t kinds[FDS]; /* 0: not ours; else 1 + its place in `files` */
static ino_t inodes[FDS];
static char files[UINT8_MAX][FAULT_FILE];
static _Atomic uint32_t file_count;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TWINHUB_FAULT_CONTROL"), *where = getenv("TWINHUB_FAULT_DIR");
    if (!path || !where || strlen(where) >= sizeof(dir))
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED
                      : mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        abort();
    syscall(SYS_close, fd);
    strcpy(dir, where);
    dir_len = strlen(dir);
    control = at;
}

static int64_t monotonic_ns(void)
{
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void wait_us(int64_t us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    if (us > 0)
        syscall(SYS_nanosleep, &t, NULL);
}

/* ---- sites ---- */

static void lock(void)
{
    uint32_t open = 0;
    while (!atomic_compare_exchange_weak(&control->lock, &open, 1)) {
        open = 0;
        syscall(SYS_sched_yield);
    }
}

static void unlock(void)
{
    atomic_store(&control->lock, 0);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* What kind of file a path is; false when it is elsewhere. */
static bool kind_of(const char *path, char out[FAULT_FILE])
{
    if (!control || strncmp(path, dir, dir_len) != 0 || (path[dir_len] && path[dir_len] != '/'))
        return false;
    size_t n = 0;
    path += dir_len + (path[dir_len] == '/');
    while (*path && n < FAULT_FILE - 1) {
        size_t digits = 0;
        while (is_hex(path[digits]))
            digits++;
        if (digits >= LONG_NUMBER) {
            out[n++] = '#';
            path += digits;
        } else {
            out[n++] = *path++;
        }
    }
    out[n] = 0;
    return true;
}

/* As above for a path given to the ...at calls. */
static bool kind_at(int from, const char *path, char out[FAULT_FILE])
{
    char link[40], full[2 * PATH_MAX];
    if (!control)
        return false;
    if (path[0] == '/')
        return kind_of(path, out);
    ssize_t n;
    if (from == AT_FDCWD) {
        n = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/cwd", full, PATH_MAX - 1);
    } else {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", from);
        n = syscall(SYS_readlinkat, AT_FDCWD, link, full, PATH_MAX - 1);
    }
    if (n < 0 || strlen(path) >= PATH_MAX)
        return false;
    full[n] = '/';
    strcpy(full + n + 1, path);
    return kind_of(full, out);
}

/* 1 + the site. */
static uint32_t site_of(enum fault_call call, const char *file)
{
    uint32_t i = 0, count = atomic_load(&control->site_count);
    for (; i < count; i++)
        if (control->sites[i].call == call && strcmp(control->sites[i].file, file) == 0)
            return i + 1;
    lock();
    count = atomic_load(&control->site_count);
    for (; i < count; i++) /* another thread has been here */
        if (control->sites[i].call == call && strcmp(control->sites[i].file, file) == 0)
            break;
    if (i == count && count < FAULT_SITES) {
        control->sites[i].call = call;
        strcpy(control->sites[i].file, file);
        atomic_store(&control->site_count, count + 1);
    }
    unlock();
    if (i == FAULT_SITES)
        abort(); /* there is no room for it */
    return i + 1;
}

/* Count a call; the error it shall fail with, FAULT_SHORT or 0. */
static int suffer(enum fault_call call, const char *file)
{
    uint32_t site = site_of(call, file);
    uint64_t n = atomic_fetch_add(&control->sites[site - 1].seen, 1) + 1;
    if (atomic_load(&control->site) != site || n < atomic_load(&control->from) ||
        n > atomic_load(&control->upto))
        return 0;
    int64_t none = 0;
    if (atomic_compare_exchange_strong(&control->began_ns, &none, monotonic_ns())) {
        for (int64_t us = 0; us < atomic_load(&control->pause_us) && !atomic_load(&control->go_on);
             us += 1000)
            wait_us(1000);
        atomic_store(&control->failed_ns, monotonic_ns());
    }
    atomic_fetch_add(&control->failed, 1);
    return atomic_load(&control->error);
}

/* 1 + its place; `file` is kept for ever. */
static uint8_t kind_number(const char *file)
{
    lock();
    uint32_t i = 0;
    while (i < file_count && strcmp(files[i], file) != 0)
        i++;
    if (i == file_count && i < UINT8_MAX - 1) {
        strcpy(files[i], file);
        file_count++;
    }
    unlock();
    return (uint8_t)(i + 1);
}

static const char *file_of(int fd)
{
    struct stat st;
    uint8_t kind = control && fd >= 0 && fd < FDS ? kinds[fd] : 0;
    if (!kind)
        return NULL;
    /* The C library closes what it has a stream of without a word. */
    if (syscall(SYS_fstat, fd, &st) != 0 || st.st_ino != inodes[fd]) {
        kinds[fd] = 0;
        return NULL;
    }
    return files[kind - 1];
}

static int suffer_fd(enum fault_call call, int fd)
{
    const char *file = file_of(fd);
    return file ? suffer(call, file) : 0;
}

static long fail(int error)
{
    errno = error;
    return -1;
}

/* ---- opening ---- */

static void remember(int fd, const char *file)
{
    struct stat st;
    if (fd < 0 || fd >= FDS || syscall(SYS_fstat, fd, &st) != 0)
        return;
    inodes[fd] = st.st_ino;
    kinds[fd] = kind_number(file);
}

static int do_open(int from, const char *path, int flags, mode_t mode)
{
    char file[FAULT_FILE];
    bool ours = kind_at(from, path, file);
    int error = ours ? suffer(FAULT_OPEN, file) : 0;
    if (error > 0)
        return (int)fail(error);
    int fd = (int)syscall(SYS_openat, from, path, flags, mode);
    if (fd >= 0 && ours)
        remember(fd, file);
    return fd;
}

#define OPEN(name, params, from)                                                       \
    EXPORT int name params;                                                            \
    EXPORT int name params                                                             \
    {                                                                                  \
        va_list args;                                                                  \
        va_start(args, flags);                                                         \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(args, int) : 0; \
        va_end(args);                                                                  \
        return do_open(from, path, flags, mode);                                       \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int at, const char *path, int flags, ...), at)
OPEN(openat64, (int at, const char *path, int flags, ...), at)

EXPORT int close(int fd)
{
    if (fd >= 0 && fd < FDS)
        kinds[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

/* ---- writing and reading ---- */

static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t at)
{
    return at < 0 ? syscall(SYS_writev, fd, parts, count)
                  : syscall(SYS_pwritev, fd, parts, count, at, 0);
}

/* at -1: where the descriptor stands. */
static ssize_t do_write(int fd, const struct iovec *parts, int count, off_t at)
{
    int error = suffer_fd(FAULT_WRITE, fd);
    if (error > 0)
        return fail(error);
    struct iovec half = parts[0];
    half.iov_len = (half.iov_len + 1) / 2;
    return error ? write_parts(fd, &half, 1, at) : write_parts(fd, parts, count, at);
}

static struct iovec part_of(const void *data, size_t len)
{
    union {
        const void *from;
        void *to;
    } cast = {.from = data};
    return (struct iovec){cast.to, len};
}

EXPORT ssize_t write(int fd, const void *data, size_t len)
{
    struct iovec part = part_of(data, len);
    return do_write(fd, &part, 1, -1);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return do_write(fd, parts, count, -1);
}

#define PWRITE(name)                                                    \
    EXPORT ssize_t name(int fd, const void *data, size_t len, off_t at) \
    {                                                                   \
        struct iovec part = part_of(data, len);                         \
        return do_write(fd, &part, 1, at);                              \
    }
#define PWRITEV(name)                                                           \
    EXPORT ssize_t name(int fd, const struct iovec *parts, int count, off_t at) \
    {                                                                           \
        return do_write(fd, parts, count, at);                                  \
    }
#define PREAD(name)                                                               \
    EXPORT ssize_t name(int fd, void *data, size_t len, off_t at)                 \
    {                                                                             \
        int error = suffer_fd(FAULT_READ, fd);                                    \
        return error > 0 ? fail(error) : syscall(SYS_pread64, fd, data, len, at); \
    }
#define FTRUNCATE(name)                                                          \
    EXPORT int name(int fd, off_t len)                                           \
    {                                                                            \
        int error = suffer_fd(FAULT_TRUNCATE, fd);                               \
        return (int)(error > 0 ? fail(error) : syscall(SYS_ftruncate, fd, len)); \
    }
PWRITE(pwrite)
PWRITE(pwrite64)
PWRITEV(pwritev)
PWRITEV(pwritev64)
PREAD(pread)
PREAD(pread64)
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

EXPORT ssize_t read(int fd, void *data, size_t len)
{
    int error = suffer_fd(FAULT_READ, fd);
    return error > 0 ? fail(error) : syscall(SYS_read, fd, data, len);
}

/* ---- syncing ---- */

static int do_sync(int fd, long call)
{
    if (!file_of(fd))
        return (int)syscall(call, fd);
    int error = suffer_fd(FAULT_SYNC, fd);
    if (error > 0)
        return (int)fail(error);
    wait_us(atomic_load(&control->sync_us));
    return (int)syscall(call, fd);
}

EXPORT int fsync(int fd)
{
    return do_sync(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
    return do_sync(fd, SYS_fdatasync);
}

EXPORT int msync(void *at, size_t len, int flags)
{
    int error = control ? suffer(FAULT_SYNC, "a map") : 0;
    return (int)(error > 0 ? fail(error) : syscall(SYS_msync, at, len, flags));
}

/* ---- names ---- */

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    char file[FAULT_FILE], before[FAULT_FILE];
    struct stat renamed, open;
    bool ours = kind_at(to_dir, to, file) && kind_at(from_dir, from, before);
    int error = ours ? suffer(FAULT_RENAME, file) : 0;
    if (error > 0)
        return (int)fail(error);
    bool known = ours && syscall(SYS_newfstatat, from_dir, from, &renamed, 0) == 0;
    int result = (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
    uint8_t old = result == 0 && known ? kind_number(before) : 0;
    for (int fd = 0; old && fd < FDS; fd++)
        if (kinds[fd] == old && syscall(SYS_fstat, fd, &open) == 0 && open.st_ino == renamed.st_ino)
            kinds[fd] = kind_number(file);
    return result;
}

EXPORT int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

EXPORT int unlinkat(int from, const char *path, int flags)
{
    char file[FAULT_FILE];
    int error = kind_at(from, path, file) ? suffer(FAULT_UNLINK, file) : 0;
    return (int)(error > 0 ? fail(error) : syscall(SYS_unlinkat, from, path, flags));
}

EXPORT int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

/* ---- the wall clock ---- */

static int64_t wall_ms(int64_t real_ms)
{
    int64_t stuck = control ? atomic_load(&control->stuck_ms) : 0;
    return stuck ? stuck : real_ms + (control ? atomic_load(&control->wall_ms) : 0);
}

EXPORT int clock_gettime(clockid_t id, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, id, out);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t ms = wall_ms((int64_t)out->tv_sec * 1000 + out->tv_nsec / 1000000);
        out->tv_sec = ms / 1000;
        out->tv_nsec = ms % 1000 * 1000000 + out->tv_nsec % 1000000;
    }
    return result;
}

EXPORT time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}

EXPORT int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    out->tv_sec = t.tv_sec;
    out->tv_usec = t.tv_nsec / 1000;
    return 0;
}
