#include "store/check_look.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "store/key.h"
#include "store/value.h"

static const size_t map_bytes_default = (size_t)1 << 40;

/* -- findings -- */

void check_found(struct look *l, struct check_finding f, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 is mistaken */
    int n = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    f.text = span_of(text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
    l->out->findings[f.part]++;
    l->o->fn(l->o->owner, &f);
}

/* What `why` says, as a finding; `why` is empty after. */
static void found_why(struct look *l, enum check_part part)
{
    check_found(l, check_of_part(part), "%.*s", SPAN_ARG(buf_span(l->why)));
    buf_clear(l->why);
}

/* -- header and key -- */

static enum status look_at_header(struct look *l)
{
    struct check_result *out = l->out;
    enum status st = directory_read_header(l->d, l->why);
    if (st == NOT_FOUND) {
        check_found(l, check_of_part(CHECK_HEADER), "%s/twinhub.hdr is missing", l->d->path);
    } else if (st == DAMAGED) {
        found_why(l, CHECK_HEADER);
    } else {
        TRY(st);
        const struct header *h = &l->d->header;
        memcpy(out->hub_id, h->hub_id, sizeof(out->hub_id));
        out->epoch = h->epoch;
        out->features = h->features;
        out->partitions = h->partitions;
        if (h->features & (HEADER_RESTORING | HEADER_RECOVERING)) {
            (void)!directory_check_usable(l->d, l->why);
            found_why(l, CHECK_HEADER);
        }
    }
    out->looked_at[CHECK_HEADER] = true;
    return OK;
}

/* A backup may have been made without its key. */
static enum status look_at_key(struct look *l)
{
    struct check_result *out = l->out;
    if (!out->partitions)
        return OK; /* whose key it is stands in the header */
    enum status st = directory_read_key(l->d, l->why);
    if (st == OK) {
        l->seal = seal_create(l->d->master_key);
        out->keys_looked_at = true;
    } else if (st == NOT_FOUND && !(out->features & HEADER_BACKUP)) {
        check_found(l, check_of_part(CHECK_KEY), "%s/master.key is missing", l->d->path);
    } else if (st == DAMAGED || st == BAD_ARGUMENT) {
        found_why(l, CHECK_KEY);
    } else if (st != NOT_FOUND) {
        return st;
    }
    out->looked_at[CHECK_KEY] = true;
    return OK;
}

/* -- the base -- */

void check_count(struct look *l, const struct store_key *key, const struct kept *kept, int by)
{
    uint64_t n = (uint64_t)by;
    l->out->hub_records += key->device.len ? 0 : n;
    l->out->devices += n * kept->devices;
    l->out->disabled += n * kept->disabled;
    l->out->modules += n * kept->modules;
    if (key->partition >= l->out->partitions)
        return;
    struct store_partition *p = &l->found[key->partition];
    p->devices += n * kept->devices;
    p->disabled += n * kept->disabled;
    p->modules += n * kept->modules;
    if (by > 0 && kept->seq > p->seq)
        p->seq = kept->seq;
}

/* The secret of a sound value, opened; NULL when it does not open. Without a key the record has
 * none. */
static struct record *open_record(struct look *l, struct span key, const struct value *v)
{
    bool opens = l->seal && v->sealed.len;
    if (v->sealed.len && v->sealed.len < SEAL_EXTRA)
        return NULL;
    struct record *r = record_create(v->body.len, opens ? v->sealed.len - SEAL_EXTRA : 0);
    if (v->body.len)
        memcpy(r->bytes, v->body.data, v->body.len);
    if (opens && seal_open(l->seal, key, v->sealed, r->bytes + v->body.len) != OK) {
        record_unref(r);
        return NULL;
    }
    return r;
}

static void look_at_record(struct look *l, struct span bytes, const struct store_key *key,
                           const struct value *v)
{
    struct kept kept = {0};
    struct record *r = open_record(l, bytes, v);
    if (!r)
        check_found(l, check_of_record(CHECK_BASE, key), "its keys cannot be opened");
    else if (l->out->partitions && l->o->rules->check(key, l->out->partitions, r, &kept) != OK)
        check_found(l, check_of_record(CHECK_BASE, key), "its content does not hold together");
    else
        check_count(l, key, &kept, 1);
    record_unref(r);
}

/* A sound value that is no record. */
static void look_at_own(struct look *l, struct span bytes, const struct value *v)
{
    struct store_partition counts;
    struct mark mark;
    struct key of_mark;
    key_mark(&of_mark);
    if (span_eq(bytes, key_span(&of_mark))) {
        if (value_mark(v->body, &mark) != OK)
            check_found(l, check_of_part(CHECK_JOURNAL),
                        "where replay begins is malformed in base.mdb");
    } else if (!key_is_own(bytes)) {
        struct buf hex = {0};
        text_put_hex(&hex, bytes);
        check_found(l, check_of_part(CHECK_BASE),
                    "a record stands under a key that no twinhub writes: %.*s",
                    SPAN_ARG(span_first(buf_span(&hex), hex.len < 128 ? hex.len : 128)));
        buf_fini(&hex);
    } else if (value_counts(v->body, &counts) != OK) {
        check_found(l, check_of_part(CHECK_COUNTS), "the counts of partition %u are malformed",
                    (unsigned)(bytes.data[0] << 8 | bytes.data[1]));
    }
}

static void look_at_value(struct look *l, struct span bytes, struct span in, bool ordered)
{
    struct store_key key;
    struct value v;
    bool is_record = key_decode(bytes, &key);
    struct check_finding f =
        is_record ? check_of_record(CHECK_BASE, &key) : check_of_part(CHECK_BASE);
    if (value_decode(bytes, in, &v) != OK)
        check_found(l, f, "%s",
                    is_record ? "its checksum does not match"
                              : "the checksum of a record without a readable id, or of "
                                "counts, does not match");
    else if (!ordered)
        check_found(l, f, "it is out of its place: a page of base.mdb is damaged");
    else if (is_record)
        look_at_record(l, bytes, &key, &v);
    else
        look_at_own(l, bytes, &v);
}

/* LMDB found its pages to contradict each other: as good as a fault of memory. */
static void on_assert(MDB_env *env, const char *message)
{
    (void)env;
    (void)message;
    abort();
}

/* A page that is damaged hides the records on it: those behind the newest one read. */
static void found_page(struct look *l)
{
    struct store_key key;
    struct span last = span_of(l->at->last, l->at->last_len);
    if (key_decode(last, &key))
        check_found(l, check_of_record(CHECK_BASE, &key),
                    "a page behind it is damaged: the records that were on it cannot be read");
    else
        check_found(l, check_of_part(CHECK_BASE),
                    "a page is damaged: the records that were on it cannot be read");
}

static int walk_base(struct look *l)
{
    struct lmdb_raw walk;
    struct span key, value;
    int error;
    lmdb_raw_init(&walk, &l->file);
    while ((error = lmdb_raw_next(&walk, &key, &value)) == 0 ||
           (error == MDB_CORRUPTED && walk.txn)) {
        if (error) {
            found_page(l);
            continue;
        }
        l->at->records++;
        l->at->last_len = key.len;
        memcpy(l->at->last, key.data, key.len);
        look_at_value(l, key, value, walk.ordered);
    }
    lmdb_raw_fini(&walk);
    return error;
}

static enum status look_at_base(struct look *l)
{
    size_t map_bytes = l->o->map_bytes ? l->o->map_bytes : map_bytes_default;
    enum status st = lmdb_file_open_read(&l->file, l->d, map_bytes, false, l->why);
    if (st == DAMAGED) {
        found_why(l, CHECK_BASE);
        return OK;
    }
    TRY(st);
    int error = mdb_env_set_assert(l->file.env, on_assert);
    CHECK(error == 0);
    error = walk_base(l);
    l->out->looked_at[CHECK_BASE] = error == MDB_NOTFOUND;
    if (error != MDB_NOTFOUND)
        check_found(l, check_of_part(CHECK_BASE), "it cannot be read: %s", mdb_strerror(error));
    return OK;
}

/* -- all -- */

static enum status look_at_all(struct look *l)
{
    TRY(look_at_header(l));
    l->at->part = CHECK_KEY;
    TRY(look_at_key(l));
    l->at->part = CHECK_BASE;
    l->found = calloc(STORE_PARTITIONS_MAX, sizeof(*l->found));
    if (!l->found)
        check_no_memory();
    TRY(look_at_base(l));
    TRY(check_journal(l));
    l->at->part = CHECK_HISTORY;
    return check_history(l);
}

enum status check_look(const struct check_options *options, struct directory *d,
                       struct check_progress *at, struct buf *why)
{
    struct look l = {.o = options, .d = d, .at = at, .out = &at->result, .why = why};
    enum status st = look_at_all(&l);
    lmdb_file_close(&l.file);
    seal_destroy(l.seal);
    free(l.found);
    return st;
}
