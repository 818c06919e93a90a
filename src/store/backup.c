#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/copy.h"
#include "store/disk_posix.h"
#include "store/hold.h"
#include "store/key.h"
#include "store/lmdb_raw.h"
#include "store/lmdb_reader.h"
#include "store/tail.h"
#include "store/value.h"

static const size_t map_bytes_default = (size_t)1 << 40, slice_bytes_default = 1 << 20;
static const char key_name[] = "master.key", journal_name[] = "journal";

struct backup {
    const struct backup_options *o;
    struct backup_result *out;
    struct buf *why;
    struct directory from, to;
    struct hold hold;
    struct lmdb_file base, copy;
    struct mark mark;
    bool has_mark, made; /* `made`: OUT.new is ours */
    /* The journal's copy: */
    int journal_fd, segment_fd;
    uint64_t segment_start;
};

static size_t map_bytes(const struct backup *b)
{
    return b->o->check.map_bytes ? b->o->check.map_bytes : map_bytes_default;
}

static enum status base_refuse(struct backup *b, const char *what, int error)
{
    buf_printf(b->why, "cannot %s the base: %s", what, mdb_strerror(error));
    if (lmdb_status(error) == DAMAGED)
        buf_text(b->why, "; see twinhub check");
    return lmdb_status(error);
}

/* -- the base -- */

static enum status read_mark(struct backup *b)
{
    struct lmdb_reader reader;
    enum status st = lmdb_reader_open(&reader, &b->base, NULL);
    if (st == OK)
        st = lmdb_reader_enter(&reader);
    if (st == OK) {
        st = lmdb_reader_mark(&reader, &b->mark);
        lmdb_reader_leave(&reader);
    }
    int error = reader.error;
    lmdb_reader_close(&reader);
    b->has_mark = st == OK;
    if (st == DAMAGED)
        buf_text(b->why, "where replay begins cannot be read from the base; see twinhub check");
    else if (st == SERVER_ERROR)
        return base_refuse(b, "read", error);
    return st == NOT_FOUND ? OK : st;
}

/* In place of the mark that is found: the one the copy began with. */
static int put_mark(struct backup *b, struct lmdb_append *a, struct span key)
{
    struct buf body = {0}, bytes = {0};
    if (!b->has_mark)
        return 0;
    value_put_mark(&body, b->mark);
    struct value value = {buf_span(&body), {0}, 0};
    value_encode(&bytes, key, &value);
    int error = lmdb_append_put(a, key, buf_span(&bytes));
    buf_fini(&body);
    buf_fini(&bytes);
    return error;
}

static int put(struct backup *b, struct lmdb_append *a, struct span key, struct span value)
{
    struct key mark;
    struct value v;
    key_mark(&mark);
    b->out->bytes += key.len + value.len;
    if (span_eq(key, key_span(&mark)))
        return put_mark(b, a, key);
    b->out->records += !key_is_own(key);
    b->out->damaged += value_decode(key, value, &v) != OK;
    return lmdb_append_put(a, key, value);
}

/* Of before the journal: all of it in one transaction. */
static int copy_records(struct backup *b, struct lmdb_append *a)
{
    bool in_slices = b->from.header.features & HEADER_JOURNAL;
    size_t slice_bytes = b->o->slice_bytes ? b->o->slice_bytes : slice_bytes_default;
    struct lmdb_raw walk;
    struct span key, value;
    size_t slice = 0;
    int error;
    lmdb_raw_init(&walk, &b->base);
    while ((error = lmdb_raw_next(&walk, &key, &value)) == 0) {
        error = walk.ordered ? put(b, a, key, value) : MDB_CORRUPTED;
        if (error)
            break;
        slice += key.len + value.len;
        if (in_slices && slice > slice_bytes) {
            lmdb_raw_pause(&walk);
            slice = 0;
            if (b->o->slice)
                b->o->slice(b->o->slice_owner);
        }
    }
    lmdb_raw_fini(&walk);
    return error == MDB_NOTFOUND ? lmdb_append_end(a) : error;
}

static enum status copy_base(struct backup *b)
{
    TRY(lmdb_file_open_read(&b->base, &b->from, map_bytes(b), true, b->why));
    TRY(read_mark(b));
    TRY(lmdb_file_make(&b->copy, &b->to, map_bytes(b), b->why));
    struct lmdb_append append = {.file = &b->copy};
    int error = copy_records(b, &append);
    lmdb_append_fini(&append);
    if (error)
        return base_refuse(b, "copy", error);
    return lmdb_file_settle(&b->copy, &b->to, b->why);
}

/* -- the journal -- */

static enum status journal_refuse(struct backup *b, const char *what)
{
    return directory_refuse(&b->to, what, journal_name, errno, b->why);
}

static enum status end_segment(struct backup *b)
{
    bool ok = b->segment_fd < 0 || fsync(b->segment_fd) == 0;
    enum status st = ok ? OK : journal_refuse(b, "sync");
    if (b->segment_fd >= 0)
        close(b->segment_fd);
    b->segment_fd = -1;
    return st;
}

/* As large as it is, with nothing behind its header yet. */
static enum status begin_segment(struct backup *b, const struct segment *s)
{
    char name[SEGMENT_NAME];
    uint8_t head[SEGMENT_HEAD];
    TRY(end_segment(b));
    segment_name(name, s->start);
    segment_write(s, head);
    b->segment_fd = openat(b->journal_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    b->segment_start = s->start;
    if (b->segment_fd < 0 || ftruncate(b->segment_fd, (off_t)s->size) < 0 ||
        pwrite(b->segment_fd, head, sizeof(head), 0) != sizeof(head))
        return journal_refuse(b, "write");
    return OK;
}

static enum status on_block(void *owner, const struct segment *s, const struct block *block,
                            struct span bytes, struct buf *why)
{
    struct backup *b = owner;
    (void)why; /* is b->why */
    if (b->segment_fd < 0 || b->segment_start != s->start)
        TRY(begin_segment(b, s));
    if (!block)
        return OK;
    uint64_t at = block->position - s->start;
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = pwrite(b->segment_fd, bytes.data + done, bytes.len - done, (off_t)(at + done));
        if (n < 0)
            return journal_refuse(b, "write");
        done += (size_t)n;
    }
    b->out->bytes += bytes.len;
    return OK;
}

static enum status copy_segments(struct backup *b, struct disk *disk)
{
    struct mark end;
    struct tail_options options = {
        .disk = disk, .hub_id = b->from.header.hub_id, .from = b->mark, .fn = on_block, .owner = b};
    TRY(tail_read(&options, &end, b->why));
    TRY(end_segment(b));
    return fsync(b->journal_fd) == 0 ? OK : journal_refuse(b, "sync");
}

static enum status copy_journal(struct backup *b)
{
    struct disk *disk;
    if (!(b->from.header.features & HEADER_JOURNAL))
        return OK;
    int error = disk_posix_view(b->from.dir_fd, journal_name, &disk);
    if (error)
        return directory_refuse(&b->from, "open", journal_name, error, b->why);
    if (mkdirat(b->to.dir_fd, journal_name, 0700) == 0)
        b->journal_fd = openat(b->to.dir_fd, journal_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status st = b->journal_fd < 0 ? journal_refuse(b, "create") : copy_segments(b, disk);
    disk_posix_close(disk);
    return st;
}

/* -- the rest -- */

static enum status copy_files(struct backup *b)
{
    const struct backup_options *o = b->o;
    if (!o->without_key)
        TRY(copy_file(&b->from, &b->to, key_name, 0600, b->why));
    for (size_t i = 0; i < o->file_count; i++) {
        const struct backup_file *f = &o->files[i];
        if (f->is_secret && o->without_key)
            continue;
        enum status st = copy_file(&b->from, &b->to, f->name, f->is_public ? 0644 : 0600, b->why);
        if (st != NOT_FOUND)
            TRY(st);
    }
    return OK;
}

static enum status make_target(struct backup *b, const char *path)
{
    if (mkdir(path, 0700) < 0) {
        buf_printf(b->why, "cannot create %s: %s", path, strerror(errno));
        if (errno == EEXIST)
            buf_text(b->why, "; an earlier backup did not finish: remove it");
        return errno == ENOSPC || errno == EDQUOT ? STORAGE_FULL : UNAVAILABLE;
    }
    b->made = true;
    return directory_attach(&b->to, path, b->why);
}

static enum status read_source(struct backup *b)
{
    TRY(directory_attach(&b->from, b->o->from, b->why));
    enum status st = directory_read_header(&b->from, b->why);
    if (st == NOT_FOUND) {
        buf_printf(b->why, "%s is no data directory: it has no header twinhub.hdr", b->o->from);
        return BAD_ARGUMENT;
    }
    TRY(st);
    TRY(directory_check_usable(&b->from, b->why));
    st = b->o->without_key ? OK : directory_read_key(&b->from, b->why);
    if (st == NOT_FOUND) {
        buf_printf(b->why, "%s/%s is missing; with --without-key a backup does without it",
                   b->o->from, key_name);
        return DAMAGED;
    }
    return st;
}

static enum status copy_all(struct backup *b, const char *path)
{
    TRY(read_source(b));
    TRY(copy_check_empty(b->o->to, b->why));
    TRY(make_target(b, path));
    int error = hold_take(&b->hold, b->from.dir_fd);
    if (error)
        return directory_refuse(&b->from, "hold", "journal.hold", error, b->why);
    TRY(copy_base(b));
    TRY(copy_journal(b));
    TRY(copy_files(b));
    b->to.header = b->from.header;
    b->to.header.features |= HEADER_BACKUP;
    return directory_write_header(&b->to, b->why);
}

static enum status keep(struct backup *b, const char *path)
{
    struct check_options check = b->o->check;
    check.path = path;
    TRY(check_run(&check, &b->out->check, b->why));
    if (rename(path, b->o->to) < 0) {
        buf_printf(b->why, "cannot rename %s to %s: %s", path, b->o->to, strerror(errno));
        return UNAVAILABLE;
    }
    return copy_sync_parent(b->o->to, b->why);
}

static void end(struct backup *b)
{
    if (b->segment_fd >= 0)
        close(b->segment_fd);
    if (b->journal_fd >= 0)
        close(b->journal_fd);
    lmdb_file_close(&b->base);
    lmdb_file_close(&b->copy);
    hold_close(&b->hold);
    directory_close(&b->from);
    directory_close(&b->to);
}

enum status backup_run(const struct backup_options *options, struct backup_result *out,
                       struct buf *why)
{
    struct backup b = {
        .o = options,
        .out = out,
        .why = why,
        .from = {.dir_fd = -1,   .lock_fd = -1},
        .to = {.dir_fd = -1,              .lock_fd = -1},
        .hold = {-1},
        .journal_fd = -1,
        .segment_fd = -1
    };
    struct buf path = {0};
    *out = (struct backup_result){0};
    buf_text(&path, options->to);
    while (path.len > 1 && path.data[path.len - 1] == '/')
        path.len--;
    buf_text(&path, ".new");
    buf_byte(&path, 0);
    enum status st = copy_all(&b, (const char *)path.data);
    end(&b);
    if (st == OK)
        st = keep(&b, (const char *)path.data);
    if (st != OK && b.made)
        copy_discard((const char *)path.data);
    buf_fini(&path);
    return st;
}
