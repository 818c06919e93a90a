/* The preloaded library (recorder.h). Makes its system calls itself, so that it stands before any
 * other library's wrappers and needs none of them. */
/* Every name of each call is ours, so none may stand for another. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { FDS = 4096, FILES = 4096 };

static struct {
    pthread_mutex_t lock;
    char dir[PATH_MAX];
    size_t dir_len; /* 0: not recording */
    int log;
    uint64_t entries, exit_at;
    long sync_us;
    struct {
        uint32_t file; /* 0: not ours */
        bool synced;   /* opened with O_DSYNC or O_SYNC */
    } fds[FDS];
    ino_t inodes[FILES]; /* by file; a file that is gone has 0 */
    uint32_t files;
} r = {.lock = PTHREAD_MUTEX_INITIALIZER, .log = -1};

/* For struct iovec, which has no constant form. */
static struct iovec part_of(const void *data, size_t len)
{
    union {
        const void *from;
        void *to;
    } cast = {.from = data};
    return (struct iovec){cast.to, len};
}

/* -- the log; all under the lock -- */

static uint64_t put(enum recorder_type type, uint32_t file, uint64_t offset, const char *path,
                    const struct iovec *data, int data_count)
{
    struct recorder_entry e = {.type = type, .file = file, .offset = offset};
    struct iovec all[66] = {
        {&e, sizeof(e)},
        part_of(path, path ? strlen(path) : 0)
    };
    if (data_count > 64)
        abort();
    e.path_len = (uint32_t)all[1].iov_len;
    for (int i = 0; i < data_count; i++) {
        all[2 + i] = data[i];
        e.data_len += (uint32_t)data[i].iov_len;
    }
    ssize_t len = (ssize_t)(sizeof(e) + e.path_len + e.data_len);
    if (syscall(SYS_writev, r.log, all, 2 + data_count) != len)
        abort();
    if (r.entries + 1 == r.exit_at)
        syscall(SYS_exit_group, 137);
    return r.entries++;
}

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("TWINHUB_RECORD_DIR"), *log = getenv("TWINHUB_RECORD_LOG"),
               *sync_us = getenv("TWINHUB_RECORD_SYNC_US"),
               *exit_at = getenv("TWINHUB_RECORD_EXIT");
    int how = getenv("TWINHUB_RECORD_APPEND") ? O_APPEND : O_TRUNC;
    if (!dir || !log || strlen(dir) >= sizeof(r.dir))
        return;
    r.log = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | how | O_CLOEXEC, 0600);
    if (r.log < 0)
        abort();
    strcpy(r.dir, dir);
    r.dir_len = strlen(dir);
    r.sync_us = sync_us ? atol(sync_us) : 0;
    r.files = 1;
    r.exit_at = exit_at ? strtoull(exit_at, NULL, 10) : 0;
    put(REC_START, 0, 0, NULL, NULL, 0);
}

static void put_text(enum recorder_type type, uint32_t file, const char *path, const char *text)
{
    struct iovec data = part_of(text, strlen(text));
    put(type, file, 0, path, &data, 1);
}

/* The part below the directory, or NULL when it is elsewhere. */
static const char *below(const char *path)
{
    if (!r.dir_len || strncmp(path, r.dir, r.dir_len) != 0)
        return NULL;
    if (path[r.dir_len] == 0)
        return path + r.dir_len;
    return path[r.dir_len] == '/' ? path + r.dir_len + 1 : NULL;
}

static bool fd_path(int fd, char out[PATH_MAX])
{
    char link[40];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
    if (n < 0)
        return false;
    out[n] = 0;
    return true;
}

/* As above for a path given to the ...at calls. The program does not use "." and symbolic links in
 * names it changes. */
static const char *below_at(int dir, const char *path, char full[PATH_MAX])
{
    if (path[0] == '/')
        return below(path);
    char base[PATH_MAX];
    if (dir == AT_FDCWD ? !getcwd(base, sizeof(base)) : !fd_path(dir, base))
        return NULL;
    if ((size_t)snprintf(full, PATH_MAX, "%s/%s", base, path) >= PATH_MAX)
        return NULL;
    return below(full);
}

static uint32_t file_of(int fd)
{
    return fd >= 0 && fd < FDS ? r.fds[fd].file : 0;
}

static uint32_t find_file(ino_t inode)
{
    for (uint32_t i = 1; i < r.files; i++)
        if (r.inodes[i] == inode)
            return i;
    return 0;
}

/* -- opening -- */

static void opened(int fd, bool existed, int flags)
{
    char path[PATH_MAX];
    struct stat st;
    const char *name = fd_path(fd, path) ? below(path) : NULL;
    if (!name || fd >= FDS || syscall(SYS_fstat, fd, &st) < 0)
        return;
    uint32_t file = existed ? find_file(st.st_ino) : 0;
    if (!file) {
        if (r.files == FILES)
            abort();
        uint32_t old = find_file(st.st_ino); /* a number used again */
        if (old)
            r.inodes[old] = 0;
        file = r.files++;
        r.inodes[file] = st.st_ino;
        put(existed ? REC_OPEN : REC_CREATE, file, 0, name, NULL, 0);
    }
    if (existed && (flags & O_TRUNC))
        put(REC_TRUNCATE, file, 0, NULL, NULL, 0);
    r.fds[fd].file = file;
    r.fds[fd].synced = flags & O_DSYNC; /* O_SYNC has this bit too */
}

static int do_open(int dir, const char *path, int flags, mode_t mode)
{
    if (!r.dir_len)
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    pthread_mutex_lock(&r.lock);
    struct stat st;
    bool existed = !(flags & O_CREAT) || syscall(SYS_newfstatat, dir, path, &st, 0) == 0;
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    int error = errno;
    if (fd >= 0)
        opened(fd, existed, flags);
    pthread_mutex_unlock(&r.lock);
    errno = error;
    return fd;
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPEN(name)                                     \
    EXPORT int name(const char *path, int flags, ...); \
    EXPORT int name(const char *path, int flags, ...)  \
    {                                                  \
        va_list args;                                  \
        va_start(args, flags);                         \
        mode_t mode = mode_of(flags, args);            \
        va_end(args);                                  \
        return do_open(AT_FDCWD, path, flags, mode);   \
    }
#define OPENAT(name)                                            \
    EXPORT int name(int dir, const char *path, int flags, ...); \
    EXPORT int name(int dir, const char *path, int flags, ...)  \
    {                                                           \
        va_list args;                                           \
        va_start(args, flags);                                  \
        mode_t mode = mode_of(flags, args);                     \
        va_end(args);                                           \
        return do_open(dir, path, flags, mode);                 \
    }
OPEN(open)
OPEN(open64)
OPEN(__open_2)
OPEN(__open64_2)
OPENAT(openat)
OPENAT(openat64)
OPENAT(__openat_2)
OPENAT(__openat64_2)

EXPORT int creat(const char *path, mode_t mode)
{
    return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

EXPORT int close(int fd)
{
    pthread_mutex_lock(&r.lock);
    if (file_of(fd))
        r.fds[fd].file = 0;
    pthread_mutex_unlock(&r.lock);
    return (int)syscall(SYS_close, fd);
}

/* -- writing -- */

static void sync_delay(void)
{
    if (r.sync_us)
        syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = r.sync_us * 1000}, NULL);
}

static void put_done(uint64_t number)
{
    pthread_mutex_lock(&r.lock);
    put(REC_DONE, 0, number, NULL, NULL, 0);
    pthread_mutex_unlock(&r.lock);
}

/* What was written of the parts that were asked to be. */
static int clip(struct iovec *parts, int count, size_t written)
{
    int i = 0;
    for (; i < count && written; i++) {
        if (parts[i].iov_len > written)
            parts[i].iov_len = written;
        written -= parts[i].iov_len;
    }
    return i;
}

/* offset -1: where the descriptor stands. */
static ssize_t do_write(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (!file_of(fd))
        return offset < 0 ? syscall(SYS_writev, fd, parts, count)
                          : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    pthread_mutex_lock(&r.lock);
    off_t at = offset < 0 ? syscall(SYS_lseek, fd, 0, SEEK_CUR) : offset;
    struct stat st;
    if (offset < 0 && (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) &&
        syscall(SYS_fstat, fd, &st) == 0)
        at = st.st_size;
    ssize_t n = offset < 0 ? syscall(SYS_writev, fd, parts, count)
                           : syscall(SYS_pwritev, fd, parts, count, offset, 0);
    int error = errno;
    bool synced = r.fds[fd].synced;
    uint64_t number = 0;
    if (n > 0) {
        struct iovec done[64];
        if (count > 64)
            abort();
        memcpy(done, parts, (size_t)count * sizeof(*parts));
        count = clip(done, count, (size_t)n);
        number = put(REC_WRITE, r.fds[fd].file, (uint64_t)at, NULL, done, count);
    }
    pthread_mutex_unlock(&r.lock);
    if (n > 0 && synced) {
        sync_delay();
        put_done(number);
    }
    errno = error;
    return n;
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
PWRITE(pwrite)
PWRITE(pwrite64)
PWRITEV(pwritev)
PWRITEV(pwritev64)

#define FTRUNCATE(name)                                                   \
    EXPORT int name(int fd, off_t len)                                    \
    {                                                                     \
        pthread_mutex_lock(&r.lock);                                      \
        int result = (int)syscall(SYS_ftruncate, fd, len);                \
        int error = errno;                                                \
        if (result == 0 && file_of(fd))                                   \
            put(REC_TRUNCATE, file_of(fd), (uint64_t)len, NULL, NULL, 0); \
        pthread_mutex_unlock(&r.lock);                                    \
        errno = error;                                                    \
        return result;                                                    \
    }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

/* -- syncing -- */

static int do_sync(int fd, long call)
{
    uint32_t file = file_of(fd);
    uint64_t number = 0;
    if (file) {
        pthread_mutex_lock(&r.lock);
        number = put(REC_SYNC, file, 0, NULL, NULL, 0);
        pthread_mutex_unlock(&r.lock);
    }
    int result = (int)syscall(call, fd);
    int error = errno;
    if (file)
        sync_delay();
    if (file && result == 0)
        put_done(number);
    errno = error;
    return result;
}

EXPORT int fsync(int fd)
{
    return do_sync(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
    return do_sync(fd, SYS_fdatasync);
}

/* sync_file_range promises nothing about a power cut, and msync only matters for what REC_MAPPED
 * has given up on: neither needs an entry. */

/* -- names -- */

static int do_rename(int from_dir, const char *from, int to_dir, const char *to)
{
    char a[PATH_MAX], b[PATH_MAX];
    pthread_mutex_lock(&r.lock);
    int result = (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
    int error = errno;
    const char *old = result == 0 && r.dir_len ? below_at(from_dir, from, a) : NULL;
    const char *new = old ? below_at(to_dir, to, b) : NULL;
    if (old && new)
        put_text(REC_RENAME, 0, old, new);
    pthread_mutex_unlock(&r.lock);
    errno = error;
    return result;
}

EXPORT int rename(const char *from, const char *to)
{
    return do_rename(AT_FDCWD, from, AT_FDCWD, to);
}

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return do_rename(from_dir, from, to_dir, to);
}

static int do_unlink(int dir, const char *path, int flags)
{
    char full[PATH_MAX];
    pthread_mutex_lock(&r.lock);
    int result = (int)syscall(SYS_unlinkat, dir, path, flags);
    int error = errno;
    const char *name = result == 0 && r.dir_len ? below_at(dir, path, full) : NULL;
    if (name)
        put(REC_UNLINK, 0, 0, name, NULL, 0);
    pthread_mutex_unlock(&r.lock);
    errno = error;
    return result;
}

EXPORT int unlink(const char *path)
{
    return do_unlink(AT_FDCWD, path, 0);
}

EXPORT int unlinkat(int dir, const char *path, int flags)
{
    return do_unlink(dir, path, flags);
}

static int do_mkdir(int dir, const char *path, mode_t mode)
{
    char full[PATH_MAX];
    pthread_mutex_lock(&r.lock);
    int result = (int)syscall(SYS_mkdirat, dir, path, mode);
    int error = errno;
    const char *name = result == 0 && r.dir_len ? below_at(dir, path, full) : NULL;
    if (name)
        put(REC_MKDIR, 0, 0, name, NULL, 0);
    pthread_mutex_unlock(&r.lock);
    errno = error;
    return result;
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    return do_mkdir(AT_FDCWD, path, mode);
}

EXPORT int mkdirat(int dir, const char *path, mode_t mode)
{
    return do_mkdir(dir, path, mode);
}

/* -- what cannot be followed -- */

static void put_unfollowed(enum recorder_type type, int fd, const char *call)
{
    pthread_mutex_lock(&r.lock);
    if (file_of(fd))
        put_text(type, file_of(fd), NULL, call);
    pthread_mutex_unlock(&r.lock);
}

static void *pointer_of(long address)
{
    union {
        long from;
        void *to;
    } cast = {.from = address};
    return cast.to;
}

#define MMAP(name)                                                                     \
    EXPORT void *name(void *at, size_t len, int prot, int flags, int fd, off_t offset) \
    {                                                                                  \
        if ((prot & PROT_WRITE) && (flags & MAP_SHARED) && !(flags & MAP_ANONYMOUS))   \
            put_unfollowed(REC_MAPPED, fd, "mmap");                                    \
        return pointer_of(syscall(SYS_mmap, at, len, prot, flags, fd, offset));        \
    }
MMAP(mmap)
MMAP(mmap64)

#define FALLOCATE(name)                                            \
    EXPORT int name(int fd, int mode, off_t offset, off_t len)     \
    {                                                              \
        put_unfollowed(REC_UNKNOWN, fd, "fallocate");              \
        return (int)syscall(SYS_fallocate, fd, mode, offset, len); \
    }
FALLOCATE(fallocate)
FALLOCATE(fallocate64)

EXPORT void recorder_mark(uint32_t kind, const void *data, uint32_t len)
{
    if (!r.dir_len)
        return;
    struct iovec part = part_of(data, len);
    pthread_mutex_lock(&r.lock);
    put(REC_MARK, kind, 0, NULL, &part, 1);
    pthread_mutex_unlock(&r.lock);
}
