/* disk.h — one directory of files, passed in: the journal's only way to the disk.
 *
 * disk_posix.h gives the real one; tests/sim has one that loses what was not synced, tears, fills
 * up and fails. A file's bytes last once disk_sync has returned, a name once disk_sync_names has.
 *
 * Units    bytes
 * Memory   a file is its opener's until disk_close
 * Threads  a disk may be used from several at once, one file from one at a time
 * Errors   errno values, 0 for none. After a failed write or sync the file's content is not known,
 *          and nobody tries again
 * Source   design 4, trials F02-F06
 */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include <sys/uio.h>

#include "base/check.h"
#include "base/span.h"

enum { DISK_NAME_MAX = 63 };

struct disk;
struct disk_file;
typedef void disk_name_fn(void *owner, const char *name, uint64_t size);

struct disk_ops {
    int (*open)(struct disk *d, const char *name, bool create, struct disk_file **out);
    int (*write)(struct disk_file *f, const struct iovec *parts, int count, uint64_t at);
    int (*read)(struct disk_file *f, uint64_t at, void *out, size_t len, size_t *got);
    int (*size)(struct disk_file *f, uint64_t *out);
    int (*sync)(struct disk_file *f);
    void (*close)(struct disk_file *f);
    int (*rename)(struct disk *d, const char *from, const char *to);
    int (*remove)(struct disk *d, const char *name);
    int (*sync_names)(struct disk *d);
    int (*list)(struct disk *d, disk_name_fn *fn, void *owner);
};

struct disk {
    const struct disk_ops *ops;
};

struct disk_file {
    struct disk *disk;
};

/* For reading and writing. `create`: a new file, EEXIST when there is one of this name. */
MUST_USE static inline int disk_open(struct disk *d, const char *name, bool create,
                                     struct disk_file **out)
{
    return d->ops->open(d, name, create, out);
}

/* All parts, one after the other, from `at`; a short write is an error (ENOSPC or EIO). */
MUST_USE static inline int disk_write(struct disk_file *f, const struct iovec *parts, int count,
                                      uint64_t at)
{
    return f->disk->ops->write(f, parts, count, at);
}

/* *got is less than `len` only at the end of the file. */
MUST_USE static inline int disk_read(struct disk_file *f, uint64_t at, void *out, size_t len,
                                     size_t *got)
{
    return f->disk->ops->read(f, at, out, len, got);
}

MUST_USE static inline int disk_size(struct disk_file *f, uint64_t *out)
{
    return f->disk->ops->size(f, out);
}

/* fdatasync: what was written, and the size. */
MUST_USE static inline int disk_sync(struct disk_file *f)
{
    return f->disk->ops->sync(f);
}

static inline void disk_close(struct disk_file *f)
{
    if (f)
        f->disk->ops->close(f);
}

/* Replaces a file of the new name. */
MUST_USE static inline int disk_rename(struct disk *d, const char *from, const char *to)
{
    return d->ops->rename(d, from, to);
}

MUST_USE static inline int disk_remove(struct disk *d, const char *name)
{
    return d->ops->remove(d, name);
}

MUST_USE static inline int disk_sync_names(struct disk *d)
{
    return d->ops->sync_names(d);
}

/* Every file, in no order. `fn` must not change the directory. */
MUST_USE static inline int disk_list(struct disk *d, disk_name_fn *fn, void *owner)
{
    return d->ops->list(d, fn, owner);
}

#endif
