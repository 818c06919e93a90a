#include "store/rebuild.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/disk_posix.h"
#include "store/key.h"
#include "store/lmdb_base.h"
#include "store/lmdb_raw.h"
#include "store/state.h"
#include "store/tail.h"
#include "store/value.h"

static const size_t map_bytes_default = (size_t)1 << 40;
static const char journal_name[] = "journal", new_journal[] = "journal.new";

struct rebuild {
    const struct rebuild_options *o;
    struct rebuild_result *out;
    struct buf *why;
    struct lmdb_file old, new;
    struct base *base;
    struct base_reader *reader;
    struct seal *seal;
    struct state state;
    struct mark mark; /* the old base's, then the new one's */
    struct lmdb_append append;
    struct buf value, sealed;
    struct store_partition *counted; /* seq: the highest of its records */
};

static enum status base_refuse(struct rebuild *r, const char *what, int error)
{
    buf_printf(r->why, "cannot %s the base: %s", what, mdb_strerror(error));
    return lmdb_status(error);
}

/* -- the old state -- */

static enum status on_block(void *owner, const struct segment *s, const struct block *block,
                            struct span bytes, struct buf *why)
{
    struct rebuild *r = owner;
    (void)s;
    return block ? state_block(&r->state, block, bytes, why) : OK;
}

static enum status replay(struct rebuild *r)
{
    struct disk *disk;
    struct mark end;
    int error = disk_posix_view(r->o->from->dir_fd, journal_name, &disk);
    r->out->from = r->out->end = r->mark.position;
    if (error == ENOENT && !(r->o->from->header.features & HEADER_JOURNAL))
        return OK;
    if (error)
        return directory_refuse(r->o->from, "open", journal_name, error, r->why);
    struct tail_options options = {.disk = disk,
                                   .hub_id = r->o->from->header.hub_id,
                                   .from = r->mark,
                                   .stop = r->o->stop,
                                   .fn = on_block,
                                   .owner = r};
    enum status st = tail_read(&options, &end, r->why);
    disk_posix_close(disk);
    r->out->end = end.position;
    r->out->changes = r->state.changes;
    r->out->newest_ms = r->state.newest_ms;
    return st;
}

static enum status read_state(struct rebuild *r)
{
    const struct rebuild_options *o = r->o;
    uint32_t partitions = o->from->header.partitions;
    enum status st = base_reader_open(r->base, &r->reader);
    if (st == OK)
        st = base_enter(r->reader);
    if (st == OK)
        st = base_mark(r->reader, &r->mark);
    if (st == NOT_FOUND) {
        r->mark = (struct mark){0};
        st = OK;
    }
    if (st == OK)
        st = state_init(&r->state, r->reader, partitions, o->replay, r->seal);
    if (st == DAMAGED)
        buf_text(r->why, "the base's own records fail their checksums; restore a backup");
    if (st == SERVER_ERROR)
        return base_refuse(r, "read", r->reader->error);
    TRY(st);
    if (o->stop && o->stop < r->mark.position) {
        buf_printf(r->why,
                   "the base holds all that came before position %llu: choose that or a later one, "
                   "or restore a backup",
                   (unsigned long long)r->mark.position);
        return BAD_ARGUMENT;
    }
    return replay(r);
}

/* -- the new base -- */

static void count(struct rebuild *r, const struct store_key *key, const struct kept *kept)
{
    struct store_partition *p = &r->counted[key->partition];
    r->out->devices += kept->devices;
    r->out->modules += kept->modules;
    r->out->hub_records += key->device.len == 0;
    p->devices += kept->devices;
    p->disabled += kept->disabled;
    p->modules += kept->modules;
    if (kept->seq > p->seq)
        p->seq = kept->seq;
}

static int put(struct rebuild *r, struct span key, const struct value *v)
{
    buf_clear(&r->value);
    value_encode(&r->value, key, v);
    return lmdb_append_put(&r->append, key, buf_span(&r->value));
}

/* What it is stays unknown; that it is one thing or the other, its key says. */
static int put_damaged(struct rebuild *r, struct span key, struct span value)
{
    struct store_key k;
    r->out->damaged++;
    if (key_decode(key, &k) && k.partition < r->o->from->header.partitions) {
        bool device = k.device.len && !k.module.len;
        struct kept kept = {.devices = device, .modules = k.device.len && k.module.len};
        count(r, &k, &kept);
    }
    return lmdb_append_put(&r->append, key, value);
}

/* A record as the base has it. Its sealed part stays; raising a version does not look at it. */
static int put_old(struct rebuild *r, struct span key, struct span bytes)
{
    struct store_key k;
    struct value v;
    struct kept kept;
    if (value_decode(key, bytes, &v) != OK || !key_decode(key, &k))
        return put_damaged(r, key, bytes);
    struct record *old = record_create(v.body.len, 0), *raised;
    if (v.body.len)
        memcpy(old->bytes, v.body.data, v.body.len);
    int error;
    if (r->o->rules->check(&k, r->o->from->header.partitions, old, &kept) != OK) {
        error = put_damaged(r, key, bytes);
    } else {
        count(r, &k, &kept);
        raised = r->o->rules->raise(&k, old, r->o->jump.versions);
        v.body = record_body(raised);
        error = put(r, key, &v);
        record_unref(raised);
    }
    record_unref(old);
    return error;
}

/* One that the journal changed. */
static int put_changed(struct rebuild *r, const struct table_row *row)
{
    struct store_key k;
    struct kept kept;
    struct span key = table_key(row);
    if (!row->record)
        return 0;
    if (!key_decode(key, &k) ||
        r->o->rules->check(&k, r->o->from->header.partitions, row->record, &kept) != OK)
        return MDB_CORRUPTED;
    count(r, &k, &kept);
    struct record *raised = r->o->rules->raise(&k, row->record, r->o->jump.versions);
    struct span secret = record_secret(raised);
    buf_clear(&r->sealed);
    if (secret.len) {
        buf_reserve(&r->sealed, secret.len + SEAL_EXTRA);
        seal_close(r->seal, r->o->random, key, secret, r->sealed.data);
        r->sealed.len = secret.len + SEAL_EXTRA;
    }
    struct value v = {record_body(raised), buf_span(&r->sealed), row->batch};
    int error = put(r, key, &v);
    record_unref(raised);
    return error;
}

static struct table_row *next_changed(struct table_row *row)
{
    while (row && row->entry != STATE_CHANGED)
        row = row->next[0];
    return row;
}

/* Base and changed records, merged in key order. */
static int put_records(struct rebuild *r)
{
    struct lmdb_raw walk;
    struct span key = {0}, value;
    struct table_row *row = next_changed(r->state.changed.first[0]);
    lmdb_raw_init(&walk, &r->old);
    int error = lmdb_raw_next(&walk, &key, &value);
    while (error == 0 || (error == MDB_NOTFOUND && row)) {
        int order = error ? 1 : row ? span_compare(key, table_key(row)) : -1;
        int put_error = 0;
        if (order >= 0) {
            put_error = put_changed(r, row);
            row = next_changed(row->next[0]);
        } else if (!walk.ordered) {
            put_error = MDB_CORRUPTED;
        } else if (!key_is_own(key)) {
            put_error = put_old(r, key, value);
        }
        if (put_error) {
            error = put_error;
            break;
        }
        if (order <= 0)
            error = lmdb_raw_next(&walk, &key, &value);
    }
    lmdb_raw_fini(&walk);
    return error == MDB_NOTFOUND ? 0 : error;
}

static int put_own(struct rebuild *r, const struct key *key, struct span body, uint64_t seq)
{
    struct value v = {body, {0}, seq};
    buf_clear(&r->value);
    value_encode(&r->value, key_span(key), &v);
    return lmdb_append_insert(&r->append, key_span(key), buf_span(&r->value));
}

/* Counted anew: a base that is ahead of the place has other counts than the journal's there. */
static int put_counts(struct rebuild *r)
{
    struct buf body = {0};
    struct key key;
    int error = 0;
    for (uint32_t p = 0; !error && p < r->o->from->header.partitions; p++) {
        struct store_partition *counts = &r->counted[p];
        if (r->state.parts[p].seq > counts->seq)
            counts->seq = r->state.parts[p].seq;
        counts->seq += r->o->jump.seqs;
        buf_clear(&body);
        value_put_counts(&body, counts);
        key_counts(&key, p);
        error = put_own(r, &key, buf_span(&body), counts->seq);
    }
    buf_clear(&body);
    value_put_mark(&body, r->mark);
    key_mark(&key);
    if (!error)
        error = put_own(r, &key, buf_span(&body), 0);
    buf_fini(&body);
    return error;
}

/* -- the new journal -- */

static enum status make_journal(struct rebuild *r, uint64_t start)
{
    struct disk *disk;
    const struct header *h = &r->o->to->header;
    int error = disk_posix_open(r->o->to->dir_fd, new_journal, &disk);
    if (error)
        return directory_refuse(r->o->to, "create", new_journal, error, r->why);
    struct segment_maker m = {
        .disk = disk,
        .segment = {.start = start,
                    .size = SEGMENT_MIN,
                    .salt = random_u64(r->o->random),
                    .epoch = h->epoch}
    };
    memcpy(m.segment.hub_id, h->hub_id, sizeof(m.segment.hub_id));
    do
        error = segment_make(&m);
    while (error == EAGAIN);
    if (!error)
        disk_close(m.segment.file);
    disk_posix_close(disk);
    return error ? directory_refuse(r->o->to, "write", new_journal, error, r->why) : OK;
}

/* -- all -- */

static enum status write_all(struct rebuild *r)
{
    size_t map_bytes = r->o->map_bytes ? r->o->map_bytes : map_bytes_default;
    uint64_t start = r->out->end + r->o->jump.positions;
    start -= start % SEGMENT_HEAD;
    r->mark = (struct mark){start + SEGMENT_HEAD, 0};
    TRY(make_journal(r, start));
    TRY(lmdb_file_make(&r->new, r->o->to, map_bytes, r->why));
    r->append.file = &r->new;
    int error = put_records(r);
    if (!error)
        error = put_counts(r);
    if (!error)
        error = lmdb_append_end(&r->append);
    lmdb_append_fini(&r->append);
    if (error)
        return base_refuse(r, "rebuild", error);
    return lmdb_file_finish(&r->new, r->o->to, r->why);
}

static enum status run(struct rebuild *r)
{
    const struct rebuild_options *o = r->o;
    size_t map_bytes = o->map_bytes ? o->map_bytes : map_bytes_default;
    rebuild_discard(o->to);
    TRY(lmdb_file_open_read(&r->old, o->from, map_bytes, false, r->why));
    r->base = lmdb_base_create(&r->old, o->from->master_key, o->random);
    r->seal = seal_create(o->from->master_key);
    TRY(read_state(r));
    return write_all(r);
}

enum status rebuild_run(const struct rebuild_options *options, struct rebuild_result *out,
                        struct buf *why)
{
    struct rebuild r = {.o = options, .out = out, .why = why};
    *out = (struct rebuild_result){0};
    r.counted = calloc(STORE_PARTITIONS_MAX, sizeof(*r.counted));
    if (!r.counted)
        check_no_memory();
    enum status st = run(&r);
    if (r.state.parts)
        state_fini(&r.state);
    if (r.reader && r.reader->depth)
        base_leave(r.reader);
    base_reader_close(r.reader);
    base_close(r.base);
    seal_destroy(r.seal);
    lmdb_file_close(&r.old);
    lmdb_file_close(&r.new);
    buf_fini(&r.value);
    buf_fini(&r.sealed);
    free(r.counted);
    if (st != OK)
        rebuild_discard(options->to); /* a hub that is short of space needs it */
    return st;
}

void rebuild_discard(const struct directory *to)
{
    int fd = openat(to->dir_fd, new_journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        unlinkat(fd, entry->d_name, 0);
    if (dir)
        closedir(dir);
    unlinkat(to->dir_fd, new_journal, AT_REMOVEDIR);
    unlinkat(to->dir_fd, "base.mdb.new", 0);
}
