#include "sim_disk.h"

#include "store/block.h"
#include "store/segment.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/test.h"

enum { SECTOR = 512 };

/* A sector as it was after a write that is not synced yet. */
struct version {
    uint64_t sector;
    uint64_t size; /* of the file */
    uint8_t bytes[SECTOR];
};

struct inode {
    struct list all;
    unsigned links; /* of names, changes and open files */
    struct buf now, last;
    struct version *versions;
    size_t count, room;
};

struct name {
    struct list link;
    char text[DISK_NAME_MAX + 1];
    struct inode *inode;
};

/* A change of names that is not synced yet. */
struct change {
    struct list link;
    char from[DISK_NAME_MAX + 1], to[DISK_NAME_MAX + 1]; /* empty: made, removed */
    struct inode *inode;
};

struct sim_file {
    struct disk_file file;
    struct inode *inode;
};

static struct sim_disk *disk_of(struct disk *d)
{
    return CONTAINER_OF(d, struct sim_disk, disk);
}

static struct sim_file *file_of(struct disk_file *f)
{
    return CONTAINER_OF(f, struct sim_file, file);
}

static void *alloc(size_t size)
{
    void *p = calloc(1, size);
    if (!p)
        check_no_memory();
    return p;
}

static void note(struct sim_disk *d, const char *what, uint64_t at, struct span bytes)
{
    uint64_t head[] = {(uint8_t)what[0], at, bytes.len, d->hash};
    d->hash = (d->hash << 1) ^ hash_crc32c(hash_crc32c(0, span_of(head, sizeof(head))), bytes);
}

/* ---- inodes ---- */

static struct inode *inode_ref(struct inode *n)
{
    n->links++;
    return n;
}

static void inode_unref(struct inode *n)
{
    if (--n->links)
        return;
    list_remove(&n->all);
    buf_fini(&n->now);
    buf_fini(&n->last);
    free(n->versions);
    free(n);
}

static struct inode *inode_create(struct sim_disk *d)
{
    struct inode *n = alloc(sizeof(*n));
    n->links = 1;
    list_append(&d->inodes, &n->all);
    return n;
}

static void grow(struct buf *b, uint64_t size)
{
    if (size <= b->len)
        return;
    buf_reserve(b, size - b->len);
    memset(b->data + b->len, 0, size - b->len);
    b->len = size;
}

static void keep_version(struct inode *n, uint64_t sector)
{
    if (n->count == n->room) {
        n->room = n->room ? 2 * n->room : 64;
        n->versions = realloc(n->versions, n->room * sizeof(*n->versions));
        if (!n->versions)
            check_no_memory();
    }
    struct version *v = &n->versions[n->count++];
    uint64_t at = sector * SECTOR, len = n->now.len - at;
    *v = (struct version){.sector = sector, .size = n->now.len};
    memcpy(v->bytes, n->now.data + at, len < SECTOR ? len : SECTOR);
}

/* Into the cache. */
static void inode_write(struct inode *n, struct span bytes, uint64_t at)
{
    if (bytes.len == 0)
        return;
    grow(&n->now, at + bytes.len);
    memcpy(n->now.data + at, bytes.data, bytes.len);
    for (uint64_t s = at / SECTOR; s <= (at + bytes.len - 1) / SECTOR; s++)
        keep_version(n, s);
}

static void make_durable(struct inode *n, const struct version *v)
{
    uint64_t at = v->sector * SECTOR, len = v->size - at;
    grow(&n->last, v->size);
    memcpy(n->last.data + at, v->bytes, len < SECTOR ? len : SECTOR);
}

static void inode_sync(struct inode *n)
{
    for (size_t i = 0; i < n->count; i++)
        make_durable(n, &n->versions[i]);
    n->count = 0;
}

/* Which of `count` things in a row reach the disk when nobody waits for them? */
struct luck {
    uint64_t *seed;
    unsigned one_in; /* is lost; 0: none */
    bool rarely;     /* the other way round */
    size_t first;    /* only those before */
};

static struct luck luck_of(uint64_t *seed, size_t count)
{
    struct luck l = {.seed = seed, .first = count};
    switch (test_random(seed) % 8) {
    case 0: /* all of it lasts */
        break;
    case 1:
    case 2: /* none does */
        l.first = 0;
        break;
    case 3: /* in order, up to somewhere */
    case 4:
        l.first = count ? test_random(seed) % (count + 1) : 0;
        break;
    case 5:
        l.one_in = 2;
        break;
    case 6:
        l.one_in = 16;
        break;
    case 7:
        l.one_in = 8;
        l.rarely = true;
        break;
    }
    return l;
}

static bool lasts(const struct luck *l, size_t i)
{
    if (i >= l->first)
        return false;
    return !l->one_in || (test_random(l->seed) % l->one_in == 0) == l->rarely;
}

/* What the disk holds when the cache is gone. */
static void inode_cut(struct inode *n, uint64_t *seed)
{
    struct luck l = luck_of(seed, n->count);
    for (size_t i = 0; i < n->count; i++)
        if (lasts(&l, i))
            make_durable(n, &n->versions[i]);
    n->count = 0;
}

static void set_bytes(struct buf *to, const struct buf *from)
{
    buf_clear(to);
    buf_put(to, buf_span(from));
}

/* Some reached the disk, some is gone, some is neither; the cache may still show all of it. */
static void inode_spoil(struct inode *n, uint64_t *seed)
{
    for (size_t i = 0; i < n->count; i++)
        if (test_random(seed) % 8 == 0)
            for (size_t k = 0; k < SECTOR; k++)
                n->versions[i].bytes[k] ^= (uint8_t)test_random(seed);
    inode_cut(n, seed);
    if (test_random(seed) % 2)
        set_bytes(&n->now, &n->last);
}

/* ---- names ---- */

static struct name *find(const struct list *names, const char *text)
{
    LIST_EACH(at, names)
    {
        struct name *n = CONTAINER_OF(at, struct name, link);
        if (strcmp(n->text, text) == 0)
            return n;
    }
    return NULL;
}

static void name_drop(struct name *n)
{
    list_remove(&n->link);
    inode_unref(n->inode);
    free(n);
}

static void drop_all(struct list *names)
{
    LIST_EACH_SAFE(at, names)
    {
        name_drop(CONTAINER_OF(at, struct name, link));
    }
}

static void set_name(struct list *names, const char *text, struct inode *inode)
{
    struct name *n = alloc(sizeof(*n)), *old = find(names, text);
    CHECK(strlen(text) <= DISK_NAME_MAX);
    memcpy(n->text, text, strlen(text) + 1);
    n->inode = inode_ref(inode);
    if (old)
        name_drop(old);
    list_append(names, &n->link);
}

static void copy_names(struct list *to, const struct list *from)
{
    drop_all(to);
    LIST_EACH(at, from)
    {
        const struct name *n = CONTAINER_OF(at, struct name, link);
        set_name(to, n->text, n->inode);
    }
}

static void change_names(struct list *names, const struct change *c)
{
    struct name *from = c->from[0] ? find(names, c->from) : NULL;
    if (c->to[0])
        set_name(names, c->to, c->inode);
    if (from && from->inode == c->inode)
        name_drop(from);
}

static void change_drop(struct change *c)
{
    list_remove(&c->link);
    inode_unref(c->inode);
    free(c);
}

static void change_create(struct sim_disk *d, const char *from, const char *to, struct inode *inode)
{
    struct change *c = alloc(sizeof(*c));
    memcpy(c->from, from, strlen(from) + 1);
    memcpy(c->to, to, strlen(to) + 1);
    c->inode = inode_ref(inode);
    list_append(&d->changes, &c->link);
    change_names(&d->now, c);
    note(d, "names", 0, span_text(to));
}

/* ---- what goes wrong ---- */

/* A write or sync: 0 when it may be done. */
static int begin_or_end(struct sim_disk *d, bool ends)
{
    if (d->broken || !sim_power_take_sync(d->power, ends))
        return EIO;
    bool fails = d->fail_in && --d->fail_in == 0;
    d->broken = fails && !d->once;
    d->failures += fails;
    return fails ? EIO : 0;
}

static int begin(struct sim_disk *d)
{
    return begin_or_end(d, false);
}

static uint64_t sectors(uint64_t bytes)
{
    return (bytes + SECTOR - 1) / SECTOR * SECTOR;
}

uint64_t sim_disk_used(const struct sim_disk *d)
{
    uint64_t used = 0;
    LIST_EACH(at, &d->inodes)
    {
        used += sectors(CONTAINER_OF(at, struct inode, all)->now.len);
    }
    return used;
}

/* How far a write may go. */
static uint64_t fits(const struct sim_disk *d, const struct inode *n, uint64_t end)
{
    uint64_t has = sectors(n->now.len), used = sim_disk_used(d);
    uint64_t left = used < d->room ? d->room - used : 0;
    return !d->room || sectors(end) <= has + left ? end : has + left;
}

/* ---- the calls ---- */

static int sim_open(struct disk *disk, const char *name, bool create, struct disk_file **out)
{
    struct sim_disk *d = disk_of(disk);
    struct name *found = find(&d->now, name);
    if (create && found)
        return EEXIST;
    if (!create && !found)
        return ENOENT;
    int error = create ? begin(d) : 0;
    if (error)
        return error;
    struct sim_file *f = alloc(sizeof(*f));
    f->file.disk = disk;
    f->inode = found ? inode_ref(found->inode) : inode_create(d);
    if (create)
        change_create(d, "", name, f->inode);
    d->open++;
    *out = &f->file;
    return 0;
}

static void sim_close(struct disk_file *file)
{
    struct sim_file *f = file_of(file);
    disk_of(file->disk)->open--;
    inode_unref(f->inode);
    free(f);
}

/* As much as `len` allows of it. */
static void write_first(struct inode *n, struct span bytes, uint64_t at, uint64_t len)
{
    inode_write(n, span_first(bytes, len), at);
}

static int sim_write(struct disk_file *file, const struct iovec *parts, int count, uint64_t at)
{
    struct sim_disk *d = disk_of(file->disk);
    struct inode *n = file_of(file)->inode;
    struct buf all = {0};
    bool dark = d->power->dark;
    int error = begin(d);
    for (int i = 0; i < count; i++)
        buf_put(&all, span_of(parts[i].iov_base, parts[i].iov_len));
    uint64_t end = at + all.len, may = fits(d, n, end);
    if (!error && may < end)
        error = ENOSPC;
    d->refused += error == ENOSPC;
    note(d, "write", at, buf_span(&all));
    if (error == EIO && !dark) /* it was under way */
        write_first(n, buf_span(&all), at, test_random(&d->power->seed) % (all.len + 1));
    else if (error == ENOSPC)
        write_first(n, buf_span(&all), at, may > at ? may - at : 0);
    else if (!error)
        inode_write(n, buf_span(&all), at);
    buf_fini(&all);
    return error;
}

static int sim_read(struct disk_file *file, uint64_t at, void *out, size_t len, size_t *got)
{
    struct sim_disk *d = disk_of(file->disk);
    const struct inode *n = file_of(file)->inode;
    if (d->power->dark)
        return EIO;
    uint64_t left = at < n->now.len ? n->now.len - at : 0;
    *got = left < len ? left : len;
    if (*got)
        memcpy(out, n->now.data + at, *got);
    return 0;
}

static int sim_size(struct disk_file *file, uint64_t *out)
{
    *out = file_of(file)->inode->now.len;
    return disk_of(file->disk)->power->dark ? EIO : 0;
}

static int sim_sync(struct disk_file *file)
{
    struct sim_disk *d = disk_of(file->disk);
    struct inode *n = file_of(file)->inode;
    bool in_place = n->last.len && n->last.len == n->now.len; /* not that of a file that grows */
    int error = begin_or_end(d, in_place && d->power->ends_at_disk_sync);
    note(d, "sync", n->count, (struct span){0});
    if (error && !d->power->dark)
        inode_spoil(n, &d->power->seed);
    if (error || d->no_sync)
        return error;
    inode_sync(n);
    return 0;
}

/* Without a block of its own; what an earlier segment left in it has another salt. */
static bool is_empty_segment(const struct name *n)
{
    const struct buf *b = &n->inode->now;
    struct segment s;
    struct block block;
    uint64_t start;
    return segment_start(n->text, &start) &&
           (b->len < SEGMENT_HEAD + BLOCK_HEAD || segment_read(b->data, &s) != OK ||
            block_read(span_of(b->data + SEGMENT_HEAD, BLOCK_HEAD), &block) != OK ||
            block.salt != s.salt);
}

static void keep_removed(struct sim_disk *d, const struct name *n)
{
    struct inode *copy = alloc(sizeof(*copy));
    copy->links = 1;
    list_init(&copy->all);
    set_bytes(&copy->now, &n->inode->now);
    set_name(is_empty_segment(n) ? &d->empty : &d->removed, n->text, copy);
    inode_unref(copy);
}

static int sim_rename(struct disk *disk, const char *from, const char *to)
{
    struct sim_disk *d = disk_of(disk);
    struct name *n = find(&d->now, from);
    uint64_t start;
    int error = begin(d);
    if (!error && !n)
        error = ENOENT;
    if (!error && d->keep && segment_start(from, &start))
        keep_removed(d, n); /* it is done with */
    if (!error)
        change_create(d, from, to, n->inode);
    d->renames += !error;
    return error;
}

static int sim_remove(struct disk *disk, const char *name)
{
    struct sim_disk *d = disk_of(disk);
    struct name *n = find(&d->now, name);
    int error = begin(d);
    if (!error && !n)
        error = ENOENT;
    if (error)
        return error;
    if (d->keep)
        keep_removed(d, n);
    change_create(d, name, "", n->inode);
    return 0;
}

static int sim_sync_names(struct disk *disk)
{
    struct sim_disk *d = disk_of(disk);
    int error = begin(d);
    note(d, "durable names", 0, (struct span){0});
    if (error || d->no_names)
        return error;
    copy_names(&d->last, &d->now);
    LIST_EACH_SAFE(at, &d->changes)
    {
        change_drop(CONTAINER_OF(at, struct change, link));
    }
    return 0;
}

static int sim_list(struct disk *disk, disk_name_fn *fn, void *owner)
{
    struct sim_disk *d = disk_of(disk);
    if (d->power->dark)
        return EIO;
    LIST_EACH(at, &d->now)
    {
        const struct name *n = CONTAINER_OF(at, struct name, link);
        fn(owner, n->text, n->inode->now.len);
    }
    return 0;
}

static const struct disk_ops ops = {
    .open = sim_open,
    .write = sim_write,
    .read = sim_read,
    .size = sim_size,
    .sync = sim_sync,
    .close = sim_close,
    .rename = sim_rename,
    .remove = sim_remove,
    .sync_names = sim_sync_names,
    .list = sim_list,
};

void sim_disk_init(struct sim_disk *d, struct sim_power *power)
{
    *d = (struct sim_disk){.disk = {&ops}, .power = power};
    struct list *const lists[] = {&d->inodes,  &d->now,     &d->last,
                                  &d->changes, &d->removed, &d->empty};
    for (size_t i = 0; i < COUNT(lists); i++)
        list_init(lists[i]);
}

void sim_disk_fini(struct sim_disk *d)
{
    CHECK(d->open == 0);
    LIST_EACH_SAFE(at, &d->changes)
    {
        change_drop(CONTAINER_OF(at, struct change, link));
    }
    drop_all(&d->now);
    drop_all(&d->last);
    drop_all(&d->removed);
    drop_all(&d->empty);
    CHECK(list_empty(&d->inodes));
}

void sim_disk_cut(struct sim_disk *d)
{
    size_t count = 0, i = 0;
    CHECK(d->open == 0);
    LIST_EACH(at, &d->changes)
    {
        (void)at;
        count++;
    }
    struct luck l = luck_of(&d->power->seed, count);
    LIST_EACH_SAFE(at, &d->changes)
    {
        struct change *c = CONTAINER_OF(at, struct change, link);
        if (lasts(&l, i++))
            change_names(&d->last, c);
        change_drop(c);
    }
    copy_names(&d->now, &d->last);
    LIST_EACH(at, &d->inodes)
    {
        struct inode *n = CONTAINER_OF(at, struct inode, all);
        inode_cut(n, &d->power->seed);
        set_bytes(&n->now, &n->last);
    }
    sim_disk_kill(d);
}

void sim_disk_kill(struct sim_disk *d)
{
    CHECK(d->open == 0);
    d->broken = false;
    d->fail_in = 0;
}

static void copy_file(const struct name *n, struct sim_disk *to)
{
    struct inode *copy = inode_create(to);
    set_bytes(&copy->now, &n->inode->now);
    set_bytes(&copy->last, &n->inode->now);
    set_name(&to->now, n->text, copy);
    set_name(&to->last, n->text, copy);
    inode_unref(copy);
}

static void copy_files(const struct list *names, struct sim_disk *to)
{
    LIST_EACH(at, names)
    {
        copy_file(CONTAINER_OF(at, struct name, link), to);
    }
}

/* Does a segment end at this position, or begin there? */
static bool is_border(const struct list *names, uint64_t position, bool end)
{
    LIST_EACH(at, names)
    {
        const struct name *n = CONTAINER_OF(at, struct name, link);
        uint64_t start;
        if (segment_start(n->text, &start) && start + (end ? n->inode->now.len : 0) == position)
            return true;
    }
    return false;
}

/* The journal passes a segment over if a block is too long for it: then it stands between two
 * others. Elsewhere an empty one was only made ahead, and another may have its place. */
static void copy_passed_over(const struct list *empty, struct sim_disk *to)
{
    LIST_EACH(at, empty)
    {
        const struct name *n = CONTAINER_OF(at, struct name, link);
        uint64_t start;
        CHECK(segment_start(n->text, &start));
        if (!find(&to->now, n->text) && (!start || is_border(&to->now, start, true)) &&
            is_border(&to->now, start + n->inode->now.len, false))
            copy_file(n, to);
    }
}

void sim_disk_all(const struct sim_disk *from, struct sim_disk *to)
{
    copy_files(&from->removed, to);
    copy_files(&from->now, to);
    copy_passed_over(&from->empty, to);
}

bool sim_disk_rot(struct sim_disk *d, const char *name, uint64_t at, unsigned bit)
{
    struct name *n = find(&d->now, name);
    if (!n || at >= n->inode->now.len || at >= n->inode->last.len)
        return false;
    n->inode->now.data[at] ^= (uint8_t)(1u << bit % 8);
    n->inode->last.data[at] ^= (uint8_t)(1u << bit % 8);
    return true;
}
