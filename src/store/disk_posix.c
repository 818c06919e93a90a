#include "store/disk_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct posix_disk {
    struct disk disk;
    int dir_fd;
};

struct posix_file {
    struct disk_file file;
    int fd;
};

static int dir_of(const struct disk *d)
{
    return ((const struct posix_disk *)(const void *)d)->dir_fd;
}

static int fd_of(const struct disk_file *f)
{
    return ((const struct posix_file *)(const void *)f)->fd;
}

static int open_file(struct disk *d, const char *name, int flags, struct disk_file **out)
{
    int fd = openat(dir_of(d), name, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    struct posix_file *f = calloc(1, sizeof(*f));
    if (!f)
        check_no_memory();
    *f = (struct posix_file){{d}, fd};
    *out = &f->file;
    return 0;
}

static int posix_open(struct disk *d, const char *name, bool create, struct disk_file **out)
{
    return open_file(d, name, O_RDWR | (create ? O_CREAT | O_EXCL : 0), out);
}

/* Drops the first `n` bytes of the parts. */
static void advance(struct iovec **parts, int *count, size_t n)
{
    while (*count && n >= (*parts)->iov_len) {
        n -= (*parts)->iov_len;
        ++*parts;
        --*count;
    }
    if (*count && n) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + n;
        (*parts)->iov_len -= n;
    }
}

/* A short write is followed by one of the rest, which says why it was short. */
static int posix_write(struct disk_file *f, const struct iovec *parts, int count, uint64_t at)
{
    struct iovec copy[IOV_MAX], *rest = copy;
    CHECK(count <= IOV_MAX);
    memcpy(copy, parts, (size_t)count * sizeof(*parts));
    advance(&rest, &count, 0);
    while (count) {
        ssize_t n = pwritev(fd_of(f), rest, count, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        at += (uint64_t)n;
        advance(&rest, &count, (size_t)n);
    }
    return 0;
}

static int posix_read(struct disk_file *f, uint64_t at, void *out, size_t len, size_t *got)
{
    *got = 0;
    while (*got < len) {
        ssize_t n = pread(fd_of(f), (char *)out + *got, len - *got, (off_t)(at + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return 0;
}

static int posix_size(struct disk_file *f, uint64_t *out)
{
    struct stat st;
    if (fstat(fd_of(f), &st) < 0)
        return errno;
    *out = (uint64_t)st.st_size;
    return 0;
}

static int posix_sync(struct disk_file *f)
{
    return fdatasync(fd_of(f)) < 0 ? errno : 0;
}

static void posix_close(struct disk_file *f)
{
    close(fd_of(f));
    free(f);
}

static int posix_rename(struct disk *d, const char *from, const char *to)
{
    return renameat(dir_of(d), from, dir_of(d), to) < 0 ? errno : 0;
}

static int posix_remove(struct disk *d, const char *name)
{
    return unlinkat(dir_of(d), name, 0) < 0 ? errno : 0;
}

static int posix_sync_names(struct disk *d)
{
    return fsync(dir_of(d)) < 0 ? errno : 0;
}

static int posix_list(struct disk *d, disk_name_fn *fn, void *owner)
{
    int fd = openat(dir_of(d), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    struct dirent *entry;
    int error = 0;
    for (errno = 0; !error && (entry = readdir(dir)); errno = 0) {
        struct stat st;
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            error = errno == ENOENT ? 0 : errno;
        else if (S_ISREG(st.st_mode))
            fn(owner, entry->d_name, (uint64_t)st.st_size);
    }
    if (!error)
        error = errno;
    closedir(dir);
    return error;
}

static const struct disk_ops posix_ops = {
    .open = posix_open,
    .write = posix_write,
    .read = posix_read,
    .size = posix_size,
    .sync = posix_sync,
    .close = posix_close,
    .rename = posix_rename,
    .remove = posix_remove,
    .sync_names = posix_sync_names,
    .list = posix_list,
};

/* -- to be looked at -- */

static int view_open(struct disk *d, const char *name, bool create, struct disk_file **out)
{
    return create ? EROFS : open_file(d, name, O_RDONLY, out);
}

static int view_write(struct disk_file *f, const struct iovec *parts, int count, uint64_t at)
{
    (void)f, (void)parts, (void)count, (void)at;
    return EROFS;
}

static int view_rename(struct disk *d, const char *from, const char *to)
{
    (void)d, (void)from, (void)to;
    return EROFS;
}

static int view_remove(struct disk *d, const char *name)
{
    (void)d, (void)name;
    return 0;
}

static const struct disk_ops view_ops = {
    .open = view_open,
    .write = view_write,
    .read = posix_read,
    .size = posix_size,
    .sync = posix_sync,
    .close = posix_close,
    .rename = view_rename,
    .remove = view_remove,
    .sync_names = posix_sync_names,
    .list = posix_list,
};

static int open_folder(int dir_fd, const char *name, const struct disk_ops *ops, struct disk **out)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    struct posix_disk *d = calloc(1, sizeof(*d));
    if (!d)
        check_no_memory();
    *d = (struct posix_disk){{ops}, fd};
    *out = &d->disk;
    return 0;
}

int disk_posix_view(int dir_fd, const char *name, struct disk **out)
{
    return open_folder(dir_fd, name, &view_ops, out);
}

int disk_posix_open(int dir_fd, const char *name, struct disk **out)
{
    bool made = mkdirat(dir_fd, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return errno;
    if (made && fsync(dir_fd) < 0)
        return errno;
    return open_folder(dir_fd, name, &posix_ops, out);
}

void disk_posix_close(struct disk *d)
{
    if (!d)
        return;
    close(dir_of(d));
    free(d);
}
