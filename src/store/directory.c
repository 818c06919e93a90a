#include "store/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

static const char header_name[] = "twinhub.hdr", key_name[] = "master.key", lock_name[] = "lock";

enum status directory_refuse(const struct directory *d, const char *what, const char *name,
                             int error, struct buf *why)
{
    buf_printf(why, "cannot %s %s%s%s: %s", what, d->path, *name ? "/" : "", name, strerror(error));
    return error == ENOSPC || error == EDQUOT ? STORAGE_FULL : UNAVAILABLE;
}

/* Written beside, synced, then renamed: there is never a part of it under its name. The rename is
 * durable after the next sync of the directory. */
enum status directory_write(const struct directory *d, const char *name, struct span bytes,
                            struct buf *why)
{
    char beside[32];
    snprintf(beside, sizeof(beside), "%s.new", name);
    if (unlinkat(d->dir_fd, beside, 0) < 0 && errno != ENOENT)
        return directory_refuse(d, "remove", beside, errno, why);
    int fd = openat(d->dir_fd, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return directory_refuse(d, "create", beside, errno, why);
    ssize_t n = write(fd, bytes.data, bytes.len);
    int error = n < 0 ? errno : (size_t)n < bytes.len ? ENOSPC : 0;
    if (!error && fsync(fd) < 0)
        error = errno;
    close(fd);
    if (!error && renameat(d->dir_fd, beside, d->dir_fd, name) < 0)
        error = errno;
    return error ? directory_refuse(d, "write", name, error, why) : OK;
}

/* -- the steps of opening, in order -- */

static enum status sync_parent(const struct directory *d, struct buf *why)
{
    int parent = openat(d->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = parent >= 0 && fsync(parent) == 0;
    int error = errno;
    if (parent >= 0)
        close(parent);
    return synced ? OK : directory_refuse(d, "sync the parent of", "", error, why);
}

static enum status open_path(struct directory *d, bool make, struct buf *why)
{
    if (make && mkdir(d->path, 0700) < 0 && errno != EEXIST)
        return directory_refuse(d, "create the data directory", "", errno, why);
    d->dir_fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->dir_fd < 0)
        return directory_refuse(d, "open the data directory", "", errno, why);
    return OK;
}

enum status directory_lock(struct directory *d, struct buf *why)
{
    d->lock_fd = openat(d->dir_fd, lock_name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock_fd < 0)
        return directory_refuse(d, "open", lock_name, errno, why);
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return directory_refuse(d, "lock", lock_name, errno, why);
        buf_printf(why,
                   "the data directory %s is in use by another hub; stop that one, or choose "
                   "another directory",
                   d->path);
        return UNAVAILABLE;
    }
    return OK;
}

enum status directory_read_header(struct directory *d, struct buf *why)
{
    int fd = openat(d->dir_fd, header_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return NOT_FOUND;
    if (fd < 0)
        return directory_refuse(d, "open", header_name, errno, why);
    uint8_t bytes[HEADER_BYTES + 1]; /* one more, to see that there is no more */
    ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
    int error = errno;
    close(fd);
    if (n < 0)
        return directory_refuse(d, "read", header_name, error, why);
    struct buf reason = {0};
    enum status st = header_decode(span_of(bytes, (size_t)n), &d->header, &reason);
    if (st != OK)
        buf_printf(why, "%s/%s %.*s", d->path, header_name, SPAN_ARG(reason));
    buf_fini(&reason);
    return st;
}

/* Whoever can read the key can read every secret, so a key that others may read is refused. */
static enum status read_key(struct directory *d, int fd, struct buf *why)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return directory_refuse(d, "read", key_name, errno, why);
    if (st.st_mode & 077) {
        buf_printf(why, "%s/%s may be used by others (mode %04o); run: chmod 600 %s/%s", d->path,
                   key_name, (unsigned)st.st_mode & 07777, d->path, key_name);
        return BAD_ARGUMENT;
    }
    uint8_t bytes[SEAL_KEY + 1];
    ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
    if (n < 0)
        return directory_refuse(d, "read", key_name, errno, why);
    memcpy(d->master_key, bytes, SEAL_KEY);
    explicit_bzero(bytes, sizeof(bytes));
    if (n != SEAL_KEY) {
        buf_printf(why, "%s/%s is not %d bytes long; restore it from a backup", d->path, key_name,
                   SEAL_KEY);
        return DAMAGED;
    }
    return OK;
}

static enum status find_key(struct directory *d, struct buf *why)
{
    int fd = openat(d->dir_fd, key_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NOT_FOUND : directory_refuse(d, "open", key_name, errno, why);
    enum status st = read_key(d, fd, why);
    close(fd);
    return st;
}

static enum status get_key(struct directory *d, struct random random, struct buf *why)
{
    enum status st = find_key(d, why);
    if (st != NOT_FOUND)
        return st;
    if (!d->fresh) {
        buf_printf(why,
                   "%s/%s is missing, and without it no key of any device can be read; restore it "
                   "from a backup",
                   d->path, key_name);
        return DAMAGED;
    }
    random_fill(random, d->master_key, sizeof(d->master_key));
    return directory_write(d, key_name, span_of(d->master_key, sizeof(d->master_key)), why);
}

static enum status check_key(const struct directory *d, struct buf *why)
{
    struct seal *seal = seal_create(d->master_key);
    uint8_t nothing[1];
    enum status st = seal_open(seal, span_of(d->header.hub_id, sizeof(d->header.hub_id)),
                               span_of(d->header.key_check, SEAL_EXTRA), nothing);
    seal_destroy(seal);
    if (st != OK)
        buf_printf(why, "%s/%s is not the key of this data directory; restore the right one",
                   d->path, key_name);
    return st;
}

enum status directory_read_key(struct directory *d, struct buf *why)
{
    TRY(find_key(d, why));
    return check_key(d, why);
}

enum status directory_check_usable(const struct directory *d, struct buf *why)
{
    const char *what = d->header.features & HEADER_BACKUP
                           ? "is a backup; make a data directory of it with twinhub restore"
                       : d->header.features & HEADER_RESTORING
                           ? "is of a restore that did not finish; run twinhub restore again"
                       : d->header.features & HEADER_RECOVERING
                           ? "is of a recovery that did not finish; run twinhub restore "
                             "--recover-to again"
                           : NULL;
    if (!what)
        return OK;
    buf_printf(why, "%s %s", d->path, what);
    return BAD_ARGUMENT;
}

static enum status settle(struct directory *d, uint32_t partitions, struct random random,
                          struct buf *why)
{
    if (!d->fresh) {
        TRY(directory_check_usable(d, why));
        if (partitions && partitions != d->header.partitions) {
            buf_printf(why,
                       "%s has %u partitions, a number fixed when it was made, not %u; start "
                       "without --partitions",
                       d->path, d->header.partitions, partitions);
            return BAD_ARGUMENT;
        }
        return check_key(d, why);
    }
    if (partitions > STORE_PARTITIONS_MAX) {
        buf_printf(why, "%u partitions are more than %d", partitions, STORE_PARTITIONS_MAX);
        return BAD_ARGUMENT;
    }
    d->header.partitions = partitions ? partitions : DIRECTORY_PARTITIONS;
    d->header.epoch = 1;
    random_fill(random, d->header.hub_id, sizeof(d->header.hub_id));
    struct seal *seal = seal_create(d->master_key);
    seal_close(seal, random, span_of(d->header.hub_id, sizeof(d->header.hub_id)), span_of("", 0),
               d->header.key_check);
    seal_destroy(seal);
    return OK;
}

static enum status open_all(struct directory *d, uint32_t partitions, struct random random,
                            struct buf *why)
{
    TRY(open_path(d, true, why));
    TRY(directory_lock(d, why));
    enum status st = directory_read_header(d, why);
    d->fresh = st == NOT_FOUND;
    if (!d->fresh)
        TRY(st);
    TRY(get_key(d, random, why));
    return settle(d, partitions, random, why);
}

static void init(struct directory *d, const char *path)
{
    *d = (struct directory){.path = strdup(path), .dir_fd = -1, .lock_fd = -1};
    if (!d->path)
        check_no_memory();
}

enum status directory_attach(struct directory *d, const char *path, struct buf *why)
{
    init(d, path);
    enum status st = open_path(d, false, why);
    if (st != OK)
        directory_close(d);
    return st;
}

enum status directory_open(struct directory *d, const char *path, uint32_t partitions,
                           struct random random, struct buf *why)
{
    init(d, path);
    enum status st = open_all(d, partitions, random, why);
    if (st != OK)
        directory_close(d);
    return st;
}

enum status directory_sync(const struct directory *d, struct buf *why)
{
    return fsync(d->dir_fd) == 0 ? OK : directory_refuse(d, "sync", "", errno, why);
}

enum status directory_write_header(const struct directory *d, struct buf *why)
{
    uint8_t bytes[HEADER_BYTES];
    TRY(directory_sync(d, why)); /* the header stands for the rest, so the rest comes first */
    header_encode(&d->header, bytes);
    TRY(directory_write(d, header_name, span_of(bytes, sizeof(bytes)), why));
    TRY(directory_sync(d, why));
    return sync_parent(d, why);
}

enum status directory_finish(struct directory *d, struct buf *why)
{
    if (!d->fresh && (d->header.features & HEADER_JOURNAL))
        return OK;
    d->header.features |= HEADER_JOURNAL;
    TRY(directory_write_header(d, why));
    d->fresh = false;
    return OK;
}

void directory_close(struct directory *d)
{
    if (!d->path)
        return;
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    if (d->dir_fd >= 0)
        close(d->dir_fd);
    explicit_bzero(d->master_key, sizeof(d->master_key));
    free(d->path);
    *d = (struct directory){.dir_fd = -1, .lock_fd = -1};
}
