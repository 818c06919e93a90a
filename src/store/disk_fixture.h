/* disk_fixture.h — for tests: a disk in memory, with power cuts, failures and a bound.
 *
 * A file's bytes last since its sync, names since the names' sync. After a power cut each later
 * sector is there or not, and each later create, remove and rename, as the seed says.
 *
 * Threads  one
 */
#ifndef STORE_DISK_FIXTURE_H
#define STORE_DISK_FIXTURE_H

#include "base/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/list.h"
#include "store/disk.h"

enum { TEST_DISK_NAMES = 64, TEST_DISK_INODES = 512, TEST_DISK_SECTOR = 512 };

struct test_disk_inode {
    struct buf now, durable;
};

struct test_disk_name {
    char text[DISK_NAME_MAX + 1];
    struct test_disk_inode *inode;
};

struct test_disk_names {
    struct test_disk_name at[TEST_DISK_NAMES];
    size_t count;
};

/* Since the names were synced: `to` takes the inode; without one, `from` goes. */
struct test_disk_change {
    char from[DISK_NAME_MAX + 1], to[DISK_NAME_MAX + 1];
    struct test_disk_inode *inode;
};

struct test_disk {
    struct disk disk;
    struct test_disk_inode inodes[TEST_DISK_INODES];
    size_t inode_count;
    struct test_disk_names now, durable;
    struct test_disk_change changes[TEST_DISK_NAMES];
    size_t change_count;
    uint64_t steps;   /* operations that change something, so far */
    uint64_t cut_at;  /* not 0: the power fails before this one; everything after is EIO */
    uint64_t fail_at; /* not 0: this one fails with `error` */
    int error;
    uint64_t room;          /* not 0: of all files, bytes */
    uint64_t read_bytes;    /* so far */
    const char *unreadable; /* reads of this file are EIO */
    size_t open_files;
};

struct test_disk_file {
    struct disk_file file;
    struct test_disk_inode *inode;
    char name[DISK_NAME_MAX + 1];
};

static inline struct test_disk *test_disk_of(struct disk *d)
{
    return CONTAINER_OF(d, struct test_disk, disk);
}

static inline struct test_disk_file *test_disk_file_of(struct disk_file *f)
{
    return CONTAINER_OF(f, struct test_disk_file, file);
}

static inline bool test_disk_is_dead(const struct test_disk *d)
{
    return d->cut_at && d->steps >= d->cut_at;
}

/* A step begins: does it fail? */
static inline int test_disk_step(struct test_disk *d)
{
    if (test_disk_is_dead(d))
        return EIO;
    d->steps++;
    if (test_disk_is_dead(d))
        return EIO;
    return d->steps == d->fail_at ? d->error : 0;
}

static inline struct test_disk_name *test_disk_name_find(struct test_disk_names *names,
                                                         const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i].text, text) == 0)
            return &names->at[i];
    return NULL;
}

static inline void test_disk_name_apply(struct test_disk_names *names,
                                        const struct test_disk_change *c)
{
    struct test_disk_name *from = c->from[0] ? test_disk_name_find(names, c->from) : NULL;
    if (from)
        *from = names->at[--names->count];
    if (!c->inode)
        return;
    struct test_disk_name *to = test_disk_name_find(names, c->to);
    if (!to) {
        EXPECT(names->count < TEST_DISK_NAMES);
        to = &names->at[names->count++];
    }
    strcpy(to->text, c->to);
    to->inode = c->inode;
}

static inline void test_disk_name_change(struct test_disk *d, const char *from, const char *to,
                                         struct test_disk_inode *inode)
{
    EXPECT(d->change_count < TEST_DISK_NAMES);
    struct test_disk_change *c = &d->changes[d->change_count++];
    *c = (struct test_disk_change){.inode = inode};
    strcpy(c->from, from);
    strcpy(c->to, to);
    test_disk_name_apply(&d->now, c);
}

static inline int test_disk_open(struct disk *disk, const char *name, bool create,
                                 struct disk_file **out)
{
    struct test_disk *d = test_disk_of(disk);
    if (test_disk_is_dead(d))
        return EIO;
    struct test_disk_name *found = test_disk_name_find(&d->now, name);
    if (create && found)
        return EEXIST;
    if (!create && !found)
        return ENOENT;
    struct test_disk_inode *inode = found ? found->inode : NULL;
    if (create) {
        int error = test_disk_step(d);
        if (error)
            return error;
        EXPECT(d->inode_count < TEST_DISK_INODES);
        inode = &d->inodes[d->inode_count++];
        test_disk_name_change(d, "", name, inode);
    }
    struct test_disk_file *f = calloc(1, sizeof(*f));
    EXPECT(f != NULL);
    *f = (struct test_disk_file){.file = {disk}, .inode = inode};
    strcpy(f->name, name);
    d->open_files++;
    *out = &f->file;
    return 0;
}

static inline void test_disk_close(struct disk_file *file)
{
    test_disk_of(file->disk)->open_files--;
    free(test_disk_file_of(file));
}

static inline uint64_t test_disk_used(const struct test_disk *d)
{
    uint64_t used = 0;
    for (size_t i = 0; i < d->now.count; i++)
        used += d->now.at[i].inode->now.len;
    return used;
}

static inline int test_disk_write(struct disk_file *file, const struct iovec *parts, int count,
                                  uint64_t at)
{
    struct test_disk *d = test_disk_of(file->disk);
    struct buf *b = &test_disk_file_of(file)->inode->now;
    int error = test_disk_step(d);
    if (error)
        return error;
    for (int i = 0; i < count; i++) {
        size_t end = at + parts[i].iov_len;
        if (end > b->len) {
            if (d->room && test_disk_used(d) + (end - b->len) > d->room)
                return ENOSPC;
            buf_reserve(b, end - b->len);
            memset(b->data + b->len, 0, end - b->len);
            b->len = end;
        }
        if (parts[i].iov_len)
            memcpy(b->data + at, parts[i].iov_base, parts[i].iov_len);
        at = end;
    }
    return 0;
}

static inline int test_disk_read(struct disk_file *file, uint64_t at, void *out, size_t len,
                                 size_t *got)
{
    struct test_disk *d = test_disk_of(file->disk);
    const struct test_disk_file *f = test_disk_file_of(file);
    if (test_disk_is_dead(d) || (d->unreadable && strcmp(d->unreadable, f->name) == 0))
        return EIO;
    const struct buf *b = &f->inode->now;
    *got = at >= b->len ? 0 : b->len - at < len ? b->len - at : len;
    if (*got)
        memcpy(out, b->data + at, *got);
    d->read_bytes += *got;
    return 0;
}

static inline int test_disk_size(struct disk_file *file, uint64_t *out)
{
    *out = test_disk_file_of(file)->inode->now.len;
    return test_disk_is_dead(test_disk_of(file->disk)) ? EIO : 0;
}

static inline int test_disk_sync(struct disk_file *file)
{
    struct test_disk_inode *inode = test_disk_file_of(file)->inode;
    int error = test_disk_step(test_disk_of(file->disk));
    if (error)
        return error;
    buf_clear(&inode->durable);
    buf_put(&inode->durable, buf_span(&inode->now));
    return 0;
}

static inline int test_disk_rename(struct disk *disk, const char *from, const char *to)
{
    struct test_disk *d = test_disk_of(disk);
    struct test_disk_name *found = test_disk_name_find(&d->now, from);
    int error = test_disk_step(d);
    if (error || !found)
        return error ? error : ENOENT;
    test_disk_name_change(d, from, to, found->inode);
    return 0;
}

static inline int test_disk_remove(struct disk *disk, const char *name)
{
    struct test_disk *d = test_disk_of(disk);
    int error = test_disk_step(d);
    if (error || !test_disk_name_find(&d->now, name))
        return error ? error : ENOENT;
    test_disk_name_change(d, name, "", NULL);
    return 0;
}

static inline int test_disk_sync_names(struct disk *disk)
{
    struct test_disk *d = test_disk_of(disk);
    int error = test_disk_step(d);
    if (error)
        return error;
    d->durable = d->now;
    d->change_count = 0;
    return 0;
}

static inline int test_disk_list(struct disk *disk, disk_name_fn *fn, void *owner)
{
    struct test_disk *d = test_disk_of(disk);
    for (size_t i = 0; i < d->now.count; i++)
        fn(owner, d->now.at[i].text, d->now.at[i].inode->now.len);
    return test_disk_is_dead(d) ? EIO : 0;
}

static inline void test_disk_init(struct test_disk *d)
{
    static const struct disk_ops ops = {
        .open = test_disk_open,
        .write = test_disk_write,
        .read = test_disk_read,
        .size = test_disk_size,
        .sync = test_disk_sync,
        .close = test_disk_close,
        .rename = test_disk_rename,
        .remove = test_disk_remove,
        .sync_names = test_disk_sync_names,
        .list = test_disk_list,
    };
    *d = (struct test_disk){.disk = {&ops}};
}

static inline void test_disk_fini(struct test_disk *d)
{
    EXPECT_EQ(d->open_files, 0);
    for (size_t i = 0; i < d->inode_count; i++) {
        buf_fini(&d->inodes[i].now);
        buf_fini(&d->inodes[i].durable);
    }
}

static inline void test_disk_inode_cut(struct test_disk_inode *inode, uint64_t *seed)
{
    struct buf *now = &inode->now, *durable = &inode->durable;
    for (size_t at = 0; at < now->len; at += TEST_DISK_SECTOR) {
        size_t len = now->len - at < TEST_DISK_SECTOR ? now->len - at : TEST_DISK_SECTOR;
        size_t old = at >= durable->len ? 0 : durable->len - at < len ? durable->len - at : len;
        if (*seed && test_random(seed) % 2)
            continue;
        memset(now->data + at + old, 0, len - old);
        if (old)
            memcpy(now->data + at, durable->data + at, old);
    }
    if (*seed == 0 || now->len < durable->len) {
        buf_clear(now);
        buf_put(now, buf_span(durable));
    }
    buf_clear(durable);
    buf_put(durable, buf_span(now));
}

/* The power is back; no file is open. Seed 0: whatever was not synced is lost. */
static inline void test_disk_cut(struct test_disk *d, uint64_t seed)
{
    EXPECT_EQ(d->open_files, 0);
    d->now = d->durable;
    for (size_t i = 0; i < d->change_count; i++) {
        const struct test_disk_change *c = &d->changes[i];
        bool there = !c->from[0] || test_disk_name_find(&d->now, c->from);
        if (seed && there && test_random(&seed) % 2)
            test_disk_name_apply(&d->now, c);
    }
    for (size_t i = 0; i < d->inode_count; i++)
        test_disk_inode_cut(&d->inodes[i], &seed);
    d->durable = d->now;
    d->change_count = 0;
    d->cut_at = d->fail_at = d->steps = 0;
}

static inline struct buf *test_disk_content(struct test_disk *d, const char *name)
{
    struct test_disk_name *found = test_disk_name_find(&d->now, name);
    return found ? &found->inode->now : NULL;
}

#endif
