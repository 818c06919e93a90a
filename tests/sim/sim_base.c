#include "sim_base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/test.h"

struct row {
    struct key key;
    struct record *record;
    uint64_t seq;
};

/* One committed state; constant once it is the newest. */
struct sim_image {
    unsigned refs;
    struct row *rows; /* by key */
    size_t count, room;
    struct store_partition parts[STORE_PARTITIONS_MAX];
    bool marked;
    struct mark mark;
};

struct handle {
    struct base base;
    struct sim_base *store;
    struct sim_image *txn; /* NULL: none is open */
    unsigned readers;
};

struct reader {
    struct base_reader reader;
    struct sim_image *image; /* between enter and leave */
    unsigned walks;
};

struct base_walk {
    struct reader *reader;
    struct sim_image *image; /* it is in */
    struct key after;
};

static void *alloc(size_t size)
{
    void *p = calloc(1, size);
    if (!p)
        check_no_memory();
    return p;
}

static struct handle *handle_of(struct base *b)
{
    return CONTAINER_OF(b, struct handle, base);
}

static struct reader *reader_of(struct base_reader *r)
{
    return CONTAINER_OF(r, struct reader, reader);
}

/* ---- images ---- */

static struct record *copy_of(const struct record *r)
{
    struct record *copy = record_create(r->body_len, r->secret_len);
    memcpy(copy->bytes, r->bytes, (size_t)r->body_len + r->secret_len);
    return copy;
}

static struct sim_image *image_ref(struct sim_image *m)
{
    m->refs++;
    return m;
}

static void image_unref(struct sim_image *m)
{
    if (!m || --m->refs)
        return;
    for (size_t i = 0; i < m->count; i++)
        record_unref(m->rows[i].record);
    free(m->rows);
    free(m);
}

static struct sim_image *image_copy(const struct sim_image *from)
{
    struct sim_image *m = alloc(sizeof(*m));
    *m = *from;
    m->refs = 1;
    m->room = from->count + 8;
    m->rows = alloc(m->room * sizeof(*m->rows));
    for (size_t i = 0; i < m->count; i++) {
        m->rows[i] = from->rows[i];
        record_ref(m->rows[i].record);
    }
    return m;
}

/* The first row whose key is `key` or after it. */
static size_t row_from(const struct sim_image *m, struct span key)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (span_compare(key_span(&m->rows[mid].key), key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool row_is(const struct sim_image *m, size_t i, struct span key)
{
    return i < m->count && span_eq(key_span(&m->rows[i].key), key);
}

static void row_remove(struct sim_image *m, size_t i)
{
    record_unref(m->rows[i].record);
    memmove(&m->rows[i], &m->rows[i + 1], (m->count - i - 1) * sizeof(*m->rows));
    m->count--;
}

static struct row *row_insert(struct sim_image *m, size_t i, struct span key)
{
    if (m->count == m->room) {
        m->room = 2 * m->room + 8;
        m->rows = realloc(m->rows, m->room * sizeof(*m->rows));
        if (!m->rows)
            check_no_memory();
    }
    memmove(&m->rows[i + 1], &m->rows[i], (m->count - i) * sizeof(*m->rows));
    m->count++;
    struct row *row = &m->rows[i];
    *row = (struct row){.key = {.len = key.len}};
    memcpy(row->key.bytes, key.data, key.len);
    return row;
}

/* ---- reading ---- */

static enum status sim_reader_open(struct base *b, struct base_reader **out)
{
    struct reader *r = alloc(sizeof(*r));
    r->reader.base = b;
    handle_of(b)->readers++;
    *out = &r->reader;
    return OK;
}

static void sim_reader_close(struct base_reader *reader)
{
    struct reader *r = reader_of(reader);
    CHECK(reader->depth == 0);
    handle_of(reader->base)->readers--;
    free(r);
}

static enum status sim_enter(struct base_reader *reader)
{
    struct reader *r = reader_of(reader);
    const struct sim_base *s = handle_of(reader->base)->store;
    bool stale = s->fault == SIM_BASE_STALE && s->older;
    if (reader->depth++ == 0)
        r->image = image_ref(stale ? s->older : s->newest);
    return OK;
}

static void sim_leave(struct base_reader *reader)
{
    struct reader *r = reader_of(reader);
    CHECK(reader->depth > 0);
    if (--reader->depth)
        return;
    CHECK(r->walks == 0);
    image_unref(r->image);
    r->image = NULL;
}

static const struct sim_image *image_of(struct base_reader *reader)
{
    CHECK(reader->depth > 0);
    return reader_of(reader)->image;
}

static enum status sim_get(struct base_reader *reader, struct span key, struct record **out)
{
    const struct sim_image *m = image_of(reader);
    size_t i = row_from(m, key);
    if (!row_is(m, i, key))
        return NOT_FOUND;
    *out = copy_of(m->rows[i].record);
    return OK;
}

static enum status sim_counts(struct base_reader *reader, uint32_t partitions,
                              struct store_partition *out)
{
    const struct sim_image *m = image_of(reader);
    CHECK(partitions <= STORE_PARTITIONS_MAX);
    memcpy(out, m->parts, partitions * sizeof(*out));
    return OK;
}

static enum status sim_mark(struct base_reader *reader, struct mark *out)
{
    const struct sim_image *m = image_of(reader);
    if (!m->marked)
        return NOT_FOUND;
    *out = m->mark;
    return OK;
}

static enum status sim_walk(struct base_reader *reader, struct span after, struct base_walk **out)
{
    struct base_walk *w = alloc(sizeof(*w));
    CHECK(reader->depth > 0);
    CHECK(after.len <= KEY_BYTES);
    w->reader = reader_of(reader);
    w->image = w->reader->image;
    w->reader->walks++;
    w->after.len = after.len;
    if (after.len)
        memcpy(w->after.bytes, after.data, after.len);
    *out = w;
    return OK;
}

static enum status sim_next(struct base_walk *w, struct key *at, struct record **out)
{
    const struct sim_image *m = w->image;
    CHECK(w->reader->image == m);
    size_t i = row_from(m, key_span(&w->after));
    if (row_is(m, i, key_span(&w->after)))
        i++;
    if (i >= m->count)
        return NOT_FOUND;
    w->after = m->rows[i].key;
    *at = m->rows[i].key;
    *out = copy_of(m->rows[i].record);
    return OK;
}

static void sim_walk_end(struct base_walk *w)
{
    w->reader->walks--;
    free(w);
}

/* ---- writing ---- */

static int end_txn(struct handle *h, int error)
{
    image_unref(h->txn);
    h->txn = NULL;
    return error;
}

static int sim_begin(struct base *b)
{
    struct handle *h = handle_of(b);
    CHECK(!h->txn);
    if (h->store->power->dark || h->store->broken)
        return EIO;
    h->txn = image_copy(h->store->newest);
    return 0;
}

static void note(struct sim_base *s, struct span key, struct span bytes, uint64_t number)
{
    uint64_t head[] = {s->hash, number};
    s->hash = (s->hash << 1) ^
              hash_crc32c(hash_crc32c(hash_crc32c(0, span_of(head, sizeof(head))), key), bytes);
}

static int sim_put(struct base *b, struct span key, struct record *record, uint64_t seq)
{
    struct handle *h = handle_of(b);
    struct sim_base *s = h->store;
    struct store_key decoded;
    CHECK(h->txn);
    CHECK(key_decode(key, &decoded));
    note(s, key, record ? record_body(record) : (struct span){0}, seq);
    size_t i = row_from(h->txn, key);
    bool there = row_is(h->txn, i, key);
    CHECK(!there || h->txn->rows[i].seq <= seq); /* nothing goes back */
    if (!record) {
        if (there && s->fault != SIM_BASE_LOST_DELETE)
            row_remove(h->txn, i);
        return 0;
    }
    if (s->fault == SIM_BASE_LOST_RECORD && test_random(&s->power->seed) % 16 == 0)
        return 0;
    struct row *row = there ? &h->txn->rows[i] : row_insert(h->txn, i, key);
    record_unref(row->record);
    row->record = copy_of(record);
    row->seq = seq;
    return 0;
}

static int sim_put_counts(struct base *b, uint32_t partition, const struct store_partition *counts)
{
    struct handle *h = handle_of(b);
    CHECK(h->txn);
    CHECK(partition < STORE_PARTITIONS_MAX);
    CHECK(h->txn->parts[partition].seq <= counts->seq);
    note(h->store, span_of(counts, sizeof(*counts)), (struct span){0}, partition);
    h->txn->parts[partition] = *counts;
    return 0;
}

static int sim_put_mark(struct base *b, struct mark mark)
{
    struct handle *h = handle_of(b);
    CHECK(h->txn);
    CHECK(!h->txn->marked || h->txn->mark.position <= mark.position);
    note(h->store, (struct span){0}, (struct span){0}, mark.position);
    h->txn->marked = true;
    h->txn->mark = mark;
    return 0;
}

/* A commit or sync: 0 when it may be done. */
static int begin(struct sim_base *s, bool ends)
{
    if (s->broken || !sim_power_take_sync(s->power, ends))
        return EIO;
    s->broken = s->fail_in && --s->fail_in == 0;
    s->failures += s->broken;
    return s->broken ? EIO : 0;
}

static void replace(struct sim_image **at, struct sim_image *with)
{
    image_unref(*at);
    *at = with;
}

static int sim_commit(struct base *b)
{
    struct handle *h = handle_of(b);
    struct sim_base *s = h->store;
    CHECK(h->txn);
    bool lit = !s->power->dark && !s->broken;
    int error = begin(s, false);
    if (error && lit) /* it was under way, and may have happened by the next start */
        replace(&s->next, image_ref(h->txn));
    if (!error && s->full)
        error = ENOSPC;
    s->refused += error == ENOSPC;
    if (error)
        return end_txn(h, error);
    /* Its pages are synced first, and with them what the commit before wrote, but not what a sync
     * that failed has given up. */
    if ((s->fault != SIM_BASE_LOST_SYNC && !s->given_up) || !s->before)
        replace(&s->before, image_ref(s->newest));
    s->given_up = false;
    replace(&s->older, image_ref(s->newest));
    replace(&s->newest, h->txn);
    h->txn = NULL;
    return 0;
}

static int sim_sync(struct base *b)
{
    struct handle *h = handle_of(b);
    CHECK(!h->txn);
    int error = begin(h->store, h->store->power->ends_at_base_sync);
    if (h->store->broken)
        h->store->given_up = true;
    if (!error && !h->store->given_up && h->store->fault != SIM_BASE_LOST_SYNC)
        replace(&h->store->before, NULL);
    return error;
}

static enum status sim_status(int error)
{
    return error == 0 ? OK : error == ENOSPC ? STORAGE_FULL : SERVER_ERROR;
}

static const char *sim_text(int error)
{
    return strerror(error);
}

static void sim_close(struct base *b)
{
    struct handle *h = handle_of(b);
    CHECK(!h->txn);
    CHECK(h->readers == 0);
    h->store->open = false;
    free(h);
}

static const struct base_ops ops = {
    .reader_open = sim_reader_open,
    .reader_close = sim_reader_close,
    .enter = sim_enter,
    .leave = sim_leave,
    .get = sim_get,
    .counts = sim_counts,
    .mark = sim_mark,
    .walk = sim_walk,
    .next = sim_next,
    .walk_end = sim_walk_end,
    .begin = sim_begin,
    .put = sim_put,
    .put_counts = sim_put_counts,
    .put_mark = sim_put_mark,
    .commit = sim_commit,
    .sync = sim_sync,
    .status = sim_status,
    .text = sim_text,
    .close = sim_close,
};

void sim_base_init(struct sim_base *s, struct sim_power *power)
{
    *s = (struct sim_base){.power = power};
    s->newest = alloc(sizeof(*s->newest));
    s->newest->refs = 1;
}

void sim_base_fini(struct sim_base *s)
{
    CHECK(!s->open);
    image_unref(s->newest);
    image_unref(s->older);
    image_unref(s->before);
    image_unref(s->next);
}

struct base *sim_base_open(struct sim_base *s)
{
    struct handle *h = alloc(sizeof(*h));
    CHECK(!s->open);
    s->open = true;
    h->base.ops = &ops;
    h->store = s;
    return &h->base;
}

/* Some rows of the newest state, the rest of the one before. */
static void tear(struct sim_base *s)
{
    struct sim_image *torn = image_copy(s->newest);
    for (size_t i = torn->count; i > 0; i--) {
        size_t old = row_from(s->before, key_span(&torn->rows[i - 1].key));
        bool there = row_is(s->before, old, key_span(&torn->rows[i - 1].key));
        if (test_random(&s->power->seed) % 2)
            continue;
        if (!there) {
            row_remove(torn, i - 1);
            continue;
        }
        record_unref(torn->rows[i - 1].record);
        torn->rows[i - 1] = s->before->rows[old];
        record_ref(torn->rows[i - 1].record);
    }
    replace(&s->newest, torn);
}

void sim_base_cut(struct sim_base *s)
{
    uint64_t luck = test_random(&s->power->seed);
    CHECK(!s->open);
    if (s->next && luck % 3 == 0) {
        replace(&s->newest, image_ref(s->next));
    } else if (s->before && luck % 2 == 0) {
        if (s->fault == SIM_BASE_TORN)
            tear(s);
        else
            replace(&s->newest, image_ref(s->before));
        s->undone++;
    }
    replace(&s->before, NULL);
    replace(&s->next, NULL);
    sim_base_kill(s);
}

void sim_base_kill(struct sim_base *s)
{
    CHECK(!s->open);
    if (s->next && test_random(&s->power->seed) % 2) {
        replace(&s->before, s->newest);
        s->newest = image_ref(s->next);
    }
    replace(&s->next, NULL);
    s->broken = false;
    s->fail_in = 0;
}
