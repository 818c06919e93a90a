#include "store/tail.h"

#include <errno.h>
#include <string.h>

enum { PIECE = 1 << 20 };

struct tail {
    const struct tail_options *o;
    struct segment s; /* the one that is read; without a file: none */
    struct mark end;
    struct buf bytes; /* of the block that is read */
    struct buf piece;
    struct buf *why;
};

static enum status refuse(struct tail *t, const char *what, uint64_t start, int error)
{
    buf_printf(t->why, "cannot %s journal/%016llx.seg: %s", what, (unsigned long long)start,
               strerror(error));
    return UNAVAILABLE;
}

static enum status damage(struct tail *t, const char *what)
{
    buf_printf(t->why, "the journal is damaged at position %llu (journal/%016llx.seg): %s",
               (unsigned long long)t->end.position, (unsigned long long)t->s.start, what);
    return DAMAGED;
}

/* NOT_FOUND: there is no such segment. */
static enum status open_segment(struct tail *t, uint64_t start, struct segment *out)
{
    char name[SEGMENT_NAME];
    uint8_t head[SEGMENT_HEAD];
    struct disk_file *file;
    size_t got = 0;
    segment_name(name, start);
    int error = disk_open(t->o->disk, name, false, &file);
    if (error == ENOENT)
        return NOT_FOUND;
    if (error)
        return refuse(t, "open", start, error);
    error = disk_read(file, 0, head, sizeof(head), &got);
    enum status st = error ? refuse(t, "read", start, error) : OK;
    if (st == OK && (got < sizeof(head) || segment_read(head, out) != OK || out->start != start ||
                     memcmp(out->hub_id, t->o->hub_id, sizeof(out->hub_id)) != 0))
        st = damage(t, "the header of a segment is not what was written");
    if (st == OK)
        out->file = file;
    else
        disk_close(file);
    return st;
}

/* Is there a block at `at` of the segment that continues the chain? t->bytes then holds it. */
static enum status read_block(struct tail *t, const struct segment *s, uint64_t at,
                              struct block *out)
{
    uint8_t head[BLOCK_HEAD];
    size_t got = 0;
    if (at + BLOCK_HEAD > s->size || (t->o->stop && s->start + at >= t->o->stop))
        return NOT_FOUND;
    int error = disk_read(s->file, at, head, sizeof(head), &got);
    if (error)
        return refuse(t, "read", s->start, error);
    if (got < sizeof(head) || block_read(span_of(head, sizeof(head)), out) != OK ||
        out->salt != s->salt || out->position != s->start + at || out->prev != t->end.prev ||
        at + block_room(out->length) > s->size)
        return NOT_FOUND;
    buf_clear(&t->bytes);
    buf_reserve(&t->bytes, out->length);
    error = disk_read(s->file, at, t->bytes.data, out->length, &got);
    if (error)
        return refuse(t, "read", s->start, error);
    t->bytes.len = got;
    return got == out->length && block_check(out, buf_span(&t->bytes)) == OK ? OK : NOT_FOUND;
}

/* -- the chain -- */

/* The first later segment that begins with the next block; those between are empty. */
static enum status turn(struct tail *t, struct block *out)
{
    uint64_t start = t->s.start + t->s.size;
    for (;;) {
        struct segment next;
        if (t->o->stop && start >= t->o->stop)
            return NOT_FOUND;
        TRY(open_segment(t, start, &next));
        enum status st = read_block(t, &next, SEGMENT_HEAD, out);
        if (st == OK) {
            disk_close(t->s.file);
            t->s = next;
            t->end.position = next.start + SEGMENT_HEAD;
            return OK;
        }
        disk_close(next.file);
        if (st != NOT_FOUND)
            return st;
        start = next.start + next.size;
    }
}

/* As far as there are blocks. */
static enum status walk(struct tail *t)
{
    for (;;) {
        struct block block;
        enum status st = read_block(t, &t->s, t->end.position - t->s.start, &block);
        if (st == NOT_FOUND)
            st = turn(t, &block);
        if (st != OK)
            return st == NOT_FOUND ? OK : st;
        TRY(t->o->fn(t->o->owner, &t->s, &block, buf_span(&t->bytes), t->why));
        t->end = (struct mark){t->end.position + block_room(block.length), block.crc};
    }
}

struct nearest {
    uint64_t position, start;
    bool any, found, later; /* later: there is one beyond the position */
};

static void on_name(void *owner, const char *name, uint64_t size)
{
    struct nearest *n = owner;
    uint64_t start;
    (void)size;
    if (!segment_start(name, &start))
        return;
    n->any = true;
    n->later |= start > n->position;
    if (start <= n->position && (!n->found || start > n->start)) {
        n->found = true;
        n->start = start;
    }
}

static enum status look(struct tail *t, struct nearest *n)
{
    int error = disk_list(t->o->disk, on_name, n);
    if (!error)
        return OK;
    buf_printf(t->why, "cannot list journal: %s", strerror(error));
    return UNAVAILABLE;
}

/* The furthest durable place that a block of the segment, from `at` on, knows of. */
static enum status search(struct tail *t, const struct segment *s, uint64_t at, uint64_t *durable)
{
    buf_reserve(&t->piece, PIECE);
    for (; at < s->size; at += PIECE) {
        size_t got = 0;
        int error = disk_read(s->file, at, t->piece.data, PIECE, &got);
        if (error)
            return refuse(t, "read", s->start, error);
        for (size_t i = 0; i + BLOCK_HEAD <= got; i += BLOCK_ALIGN) {
            struct block b;
            if (block_read(span_of(t->piece.data + i, BLOCK_HEAD), &b) == OK && b.salt == s->salt &&
                b.position == s->start + at + i && b.durable > *durable)
                *durable = b.durable;
        }
    }
    return OK;
}

static enum status search_all(struct tail *t, uint64_t *durable)
{
    uint64_t start = t->s.start + t->s.size;
    *durable = 0;
    TRY(search(t, &t->s, t->end.position - t->s.start, durable));
    for (;;) {
        struct segment s;
        struct nearest n = {.position = start};
        TRY(look(t, &n));
        enum status st = open_segment(t, start, &s);
        if (st == NOT_FOUND && n.later) /* one is missing, and was made before a later one */
            *durable = UINT64_MAX;
        if (st != OK)
            return st == NOT_FOUND ? OK : st;
        st = search(t, &s, SEGMENT_HEAD, durable);
        disk_close(s.file);
        TRY(st);
        start = s.start + s.size;
    }
}

/* -- from the mark on -- */

/* NOT_FOUND: there is no journal yet. */
static enum status find_start(struct tail *t)
{
    struct nearest n = {.position = t->end.position};
    TRY(look(t, &n));
    if (!n.any && t->end.position == 0)
        return NOT_FOUND;
    if (n.found)
        TRY(open_segment(t, n.start, &t->s));
    if (!n.found || t->end.position > t->s.start + t->s.size) {
        buf_printf(t->why, "the journal is missing from position %llu on",
                   (unsigned long long)t->end.position);
        return DAMAGED;
    }
    if (t->end.position < t->s.start + SEGMENT_HEAD)
        t->end.position = t->s.start + SEGMENT_HEAD;
    return OK;
}

/* Is the stop where the first block would be? Then whether the journal can be read is no matter. */
static bool is_nothing_before_stop(const struct tail *t)
{
    uint64_t from = t->o->from.position;
    uint64_t first = from ? from : SEGMENT_HEAD; /* where the first block would be */
    return t->o->stop && t->o->stop <= first;
}

static enum status read_all(struct tail *t)
{
    uint64_t durable;
    if (is_nothing_before_stop(t))
        return OK;
    enum status st = find_start(t);
    if (st != OK)
        return st == NOT_FOUND ? OK : st;
    TRY(t->o->fn(t->o->owner, &t->s, NULL, span_of(NULL, 0), t->why));
    TRY(walk(t));
    if (t->o->stop)
        return OK;
    TRY(search_all(t, &durable));
    if (durable > t->end.position)
        TRY(walk(t));
    if (durable > t->end.position)
        return damage(t, "a later block shows that there was one here");
    return OK;
}

enum status tail_read(const struct tail_options *o, struct mark *end, struct buf *why)
{
    struct tail t = {.o = o, .end = o->from, .why = why};
    enum status st = read_all(&t);
    disk_close(t.s.file);
    buf_fini(&t.bytes);
    buf_fini(&t.piece);
    *end = t.end;
    return st;
}
