#include "store/lmdb_base.h"

#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "store/lmdb_reader.h"
#include "store/lmdb_writer.h"
#include "store/value.h"

struct lmdb_base {
    struct base base;
    struct lmdb_file *file;
    const uint8_t *master_key;
    struct seal *seal; /* the writer's */
    struct lmdb_writer writer;
};

struct lmdb_base_reader {
    struct base_reader reader;
    struct seal *seal;
    struct lmdb_reader lmdb;
};

struct base_walk {
    struct lmdb_cursor cursor;
};

static struct lmdb_base *base_of(struct base *b)
{
    return CONTAINER_OF(b, struct lmdb_base, base);
}

static struct lmdb_base_reader *reader_of(struct base_reader *r)
{
    return CONTAINER_OF(r, struct lmdb_base_reader, reader);
}

/* What the caller is told; the code of a base that failed goes where base.h says. */
static enum status told(struct lmdb_base_reader *r, enum status st)
{
    r->reader.error = r->lmdb.error;
    return st;
}

/* -- reading -- */

static enum status reader_open(struct base *b, struct base_reader **out)
{
    struct lmdb_base *base = base_of(b);
    struct lmdb_base_reader *r = calloc(1, sizeof(*r));
    if (!r)
        check_no_memory();
    r->reader.base = b;
    r->seal = seal_create(base->master_key);
    *out = &r->reader;
    return told(r, lmdb_reader_open(&r->lmdb, base->file, r->seal));
}

static void reader_close(struct base_reader *reader)
{
    struct lmdb_base_reader *r = reader_of(reader);
    lmdb_reader_close(&r->lmdb);
    seal_destroy(r->seal);
    free(r);
}

static enum status enter(struct base_reader *reader)
{
    struct lmdb_base_reader *r = reader_of(reader);
    if (r->lmdb.error)
        return SERVER_ERROR;
    enum status st = told(r, lmdb_reader_enter(&r->lmdb));
    reader->depth = r->lmdb.depth;
    return st;
}

static void leave(struct base_reader *reader)
{
    struct lmdb_base_reader *r = reader_of(reader);
    lmdb_reader_leave(&r->lmdb);
    reader->depth = r->lmdb.depth;
}

static enum status get(struct base_reader *reader, struct span key, struct record **out)
{
    struct lmdb_base_reader *r = reader_of(reader);
    return told(r, lmdb_reader_get(&r->lmdb, key, out));
}

static enum status counts(struct base_reader *reader, uint32_t partitions,
                          struct store_partition *out)
{
    struct lmdb_base_reader *r = reader_of(reader);
    return told(r, lmdb_reader_counts(&r->lmdb, partitions, out));
}

static enum status mark(struct base_reader *reader, struct mark *out)
{
    struct lmdb_base_reader *r = reader_of(reader);
    return told(r, lmdb_reader_mark(&r->lmdb, out));
}

static enum status walk(struct base_reader *reader, struct span after, struct base_walk **out)
{
    struct lmdb_base_reader *r = reader_of(reader);
    struct base_walk *w = calloc(1, sizeof(*w));
    if (!w)
        check_no_memory();
    enum status st = told(r, lmdb_cursor_open(&w->cursor, &r->lmdb, after));
    if (st == OK)
        *out = w;
    else
        free(w);
    return st;
}

static enum status next(struct base_walk *w, struct key *at, struct record **out)
{
    struct lmdb_base_reader *r = CONTAINER_OF(w->cursor.reader, struct lmdb_base_reader, lmdb);
    struct record *record;
    do {
        TRY(told(r, lmdb_cursor_next(&w->cursor, &record)));
        if (key_is_own(key_span(&w->cursor.at)))
            record_unref(record);
    } while (key_is_own(key_span(&w->cursor.at)));
    *at = w->cursor.at;
    *out = record;
    return OK;
}

static void walk_end(struct base_walk *w)
{
    lmdb_cursor_close(&w->cursor);
    free(w);
}

/* -- writing -- */

static int begin(struct base *b)
{
    return lmdb_writer_begin(&base_of(b)->writer);
}

static int put(struct base *b, struct span key, struct record *record, uint64_t seq)
{
    return lmdb_writer_put(&base_of(b)->writer, key, record, seq);
}

static int put_counts(struct base *b, uint32_t partition, const struct store_partition *parts)
{
    return lmdb_writer_put_counts(&base_of(b)->writer, partition, parts);
}

static int put_mark(struct base *b, struct mark m)
{
    return lmdb_writer_put_mark(&base_of(b)->writer, m);
}

/* The last write before a disk is full ends half-way. LMDB calls that EIO, too, but the system did
 * not, and errno tells: a disk that fails is not to be tried again. */
static int commit(struct base *b)
{
    errno = 0;
    int error = lmdb_writer_commit(&base_of(b)->writer);
    return error == EIO && errno != EIO ? ENOSPC : error;
}

/* A backup that was killed has left its entry among the readers: it would keep old pages for ever.
 */
static int sync_all(struct base *b)
{
    MDB_env *env = base_of(b)->file->env;
    int dead, error = mdb_reader_check(env, &dead);
    return error ? error : mdb_env_sync(env, 1);
}

static const char *text(int error)
{
    return mdb_strerror(error);
}

static void base_free(struct base *b)
{
    struct lmdb_base *base = base_of(b);
    lmdb_writer_fini(&base->writer);
    seal_destroy(base->seal);
    free(base);
}

static const struct base_ops lmdb_base_ops = {
    .reader_open = reader_open,
    .reader_close = reader_close,
    .enter = enter,
    .leave = leave,
    .get = get,
    .counts = counts,
    .mark = mark,
    .walk = walk,
    .next = next,
    .walk_end = walk_end,
    .begin = begin,
    .put = put,
    .put_counts = put_counts,
    .put_mark = put_mark,
    .commit = commit,
    .sync = sync_all,
    .status = lmdb_status,
    .text = text,
    .close = base_free,
};

struct base *lmdb_base_create(struct lmdb_file *file, const uint8_t *master_key,
                              struct random random)
{
    struct lmdb_base *b = calloc(1, sizeof(*b));
    if (!b)
        check_no_memory();
    b->base.ops = &lmdb_base_ops;
    b->file = file;
    b->master_key = master_key;
    b->seal = seal_create(master_key);
    b->writer = (struct lmdb_writer){.file = file, .seal = b->seal, .random = random};
    return &b->base;
}
