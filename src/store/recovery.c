#include "store/recovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/fault.h"

struct reading {
    const struct recovery_options *o;
    struct recovery *r;
    struct buf *why;
    uint8_t *bytes; /* of the segment that is read, to its size */
    size_t room;
};

static struct segment *segment_at(const struct reading *g, size_t i)
{
    return &g->r->segments[i];
}

static enum status refuse(struct reading *g, const char *what, const char *name, int error)
{
    buf_printf(g->why, "cannot %s journal/%s: %s", what, name, strerror(error));
    return error == ENOSPC || error == EDQUOT ? STORAGE_FULL : UNAVAILABLE;
}

static enum status damage(struct reading *g, const struct segment *s, uint64_t position,
                          const char *what)
{
    buf_printf(g->why,
               "the journal is damaged at position %llu (journal/%016llx.seg, byte %llu): %s; see "
               "twinhub check, and twinhub restore --recover-to",
               (unsigned long long)position, (unsigned long long)s->start,
               (unsigned long long)(position - s->start), what);
    return DAMAGED;
}

/* -- the files -- */

struct names {
    uint64_t *starts;
    char (*leftovers)[DISK_NAME_MAX + 1];
    size_t count, room, left, left_room;
};

static void on_name(void *owner, const char *name, uint64_t size)
{
    struct names *n = owner;
    uint64_t start;
    size_t len = strlen(name);
    (void)size;
    if (len > 4 && len <= DISK_NAME_MAX && strcmp(name + len - 4, ".new") == 0) {
        if (n->left == n->left_room) {
            n->left_room = n->left_room * 2 + 4;
            n->leftovers = realloc(n->leftovers, n->left_room * sizeof(*n->leftovers));
            if (!n->leftovers)
                check_no_memory();
        }
        memcpy(n->leftovers[n->left++], name, len + 1);
    }
    if (!segment_start(name, &start))
        return;
    if (n->count == n->room) {
        n->room = n->room * 2 + 8;
        n->starts = realloc(n->starts, n->room * sizeof(*n->starts));
        if (!n->starts)
            check_no_memory();
    }
    n->starts[n->count++] = start;
}

static int by_start(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A file that was cut off is damage, and so is one that is not of this hub. */
static enum status open_segment(struct reading *g, uint64_t start, struct segment *out)
{
    char name[SEGMENT_NAME];
    uint8_t head[SEGMENT_HEAD];
    struct disk_file *file;
    size_t got = 0;
    uint64_t size = 0;
    segment_name(name, start);
    int error = disk_open(g->o->disk, name, false, &file);
    if (error)
        return refuse(g, "open", name, error);
    error = disk_read(file, 0, head, sizeof(head), &got);
    if (!error)
        error = disk_size(file, &size);
    enum status st = error ? refuse(g, "read", name, error) : OK;
    const struct segment named = {.start = start};
    struct segment s = named;
    if (st == OK && (got < sizeof(head) || segment_read(head, &s) != OK || s.start != start))
        st = damage(g, &named, start, "its header is not what was written");
    if (st == OK && size < s.size)
        st = damage(g, &s, start + size, "the file is cut short");
    if (st == OK && memcmp(s.hub_id, g->o->hub_id, sizeof(s.hub_id)) != 0)
        st = damage(g, &s, start, "it belongs to another hub");
    s.file = file;
    if (st != OK)
        disk_close(file);
    else
        *out = s;
    return st;
}

static enum status open_all(struct reading *g, struct names *names)
{
    struct recovery *r = g->r;
    int error = disk_list(g->o->disk, on_name, names);
    for (size_t i = 0; !error && i < names->left && !g->o->beside; i++)
        error = disk_remove(g->o->disk, names->leftovers[i]);
    if (error)
        return refuse(g, "list", "", error);
    if (names->count == 0)
        return OK;
    qsort(names->starts, names->count, sizeof(*names->starts), by_start);
    r->segments = calloc(names->count, sizeof(*r->segments));
    if (!r->segments)
        check_no_memory();
    for (size_t i = 0; i < names->count; i++, r->count++)
        TRY(open_segment(g, names->starts[i], segment_at(g, i)));
    return OK;
}

/* -- the blocks -- */

static enum status load_segment(struct reading *g, const struct segment *s)
{
    size_t got = 0;
    if (s->size > g->room) {
        free(g->bytes);
        g->bytes = malloc(s->size);
        if (!g->bytes)
            check_no_memory();
        g->room = s->size;
    }
    int error = disk_read(s->file, 0, g->bytes, s->size, &got);
    if (!error && got < s->size)
        error = EIO;
    if (!error)
        return OK;
    char name[SEGMENT_NAME];
    segment_name(name, s->start);
    return refuse(g, "read", name, error);
}

/* A sound head in its place. */
static bool head_at(const struct reading *g, const struct segment *s, uint64_t position,
                    struct block *out)
{
    uint64_t at = position - s->start;
    return at + BLOCK_HEAD <= s->size &&
           block_read(span_of(g->bytes + at, BLOCK_HEAD), out) == OK && out->salt == s->salt &&
           out->position == position && at + block_room(out->length) <= s->size;
}

static bool continues(const struct reading *g, const struct block *block)
{
    return block->prev == g->r->end.prev || store_fault(STORE_FAULT_NO_CHAIN_CHECK);
}

static bool is_newest(const struct reading *g, const struct segment *s, const struct block *block)
{
    struct block next;
    return !head_at(g, s, block->position + block_room(block->length), &next);
}

/* Every block from g->r->end on that continues the chain. */
static enum status read_blocks(struct reading *g, const struct segment *s)
{
    struct mark *end = &g->r->end;
    struct block block;
    while (head_at(g, s, end->position, &block) && continues(g, &block)) {
        struct span bytes = span_of(g->bytes + (end->position - s->start), block.length);
        if (g->o->stop && block.position >= g->o->stop)
            return OK;
        if (block_check(&block, bytes) != OK && !store_fault(STORE_FAULT_NO_BODY_CHECK))
            return OK;
        if (store_fault(STORE_FAULT_STOPS_EARLY) && is_newest(g, s, &block))
            return OK;
        TRY(g->o->fn(g->o->owner, &block, bytes, g->why));
        g->r->blocks++;
        g->r->known = block.durable;
        *end = (struct mark){end->position + block_room(block.length), block.crc};
    }
    return OK;
}

/* Does anything after the end in this segment know that more was durable? */
static enum status look_beyond(struct reading *g, const struct segment *s)
{
    uint64_t end = g->r->end.position;
    struct block block;
    for (uint64_t at = end; at < s->start + s->size; at += BLOCK_ALIGN)
        if (head_at(g, s, at, &block) && block.durable > end)
            return damage(g, s, end, "a later block shows that there was one here");
    return OK;
}

/* Segment i is loaded. Does it begin with a block, and one that continues the chain? */
enum first { FIRST_NONE, FIRST_CONTINUES, FIRST_STRANGE };
static enum first first_of(const struct reading *g, const struct segment *s)
{
    struct block block;
    if (!head_at(g, s, s->start + SEGMENT_HEAD, &block))
        return FIRST_NONE;
    return block.prev == g->r->end.prev ? FIRST_CONTINUES : FIRST_STRANGE;
}

/* The journal seems to end in segment r->last. What is in the later ones? On OK with *more, the
 * chain goes on in the one that r->last now is, which is loaded; those between are empty. */
static enum status look_at_later(struct reading *g, bool *more)
{
    struct recovery *r = g->r;
    *more = false;
    for (size_t i = r->last + 1; i < r->count; i++) {
        struct segment *s = segment_at(g, i);
        TRY(load_segment(g, s));
        enum first first = first_of(g, s);
        if (first == FIRST_CONTINUES) {
            r->last = i;
            r->end.position = s->start + SEGMENT_HEAD;
            *more = true;
            return OK;
        }
        struct block block;
        for (uint64_t at = s->start + SEGMENT_HEAD; at < s->start + s->size; at += BLOCK_ALIGN)
            if (head_at(g, s, at, &block) &&
                (first == FIRST_STRANGE || block.durable > s->start + SEGMENT_HEAD))
                return damage(g, segment_at(g, r->last), r->end.position,
                              "a later segment shows that there was more");
    }
    return OK;
}

/* The segment that the mark lies in. */
static enum status find_start(struct reading *g)
{
    struct recovery *r = g->r;
    uint64_t from = g->o->from.position;
    size_t i = 0;
    while (i < r->count && r->segments[i].start + r->segments[i].size <= from)
        i++;
    if (i && i == r->count && segment_at(g, i - 1)->start + segment_at(g, i - 1)->size == from)
        i--; /* it is full, and there was no space for the next one */
    if (i == r->count || r->segments[i].start > from) {
        buf_printf(g->why,
                   "the journal is missing from position %llu on; restore the directory from a "
                   "backup",
                   (unsigned long long)from);
        return DAMAGED;
    }
    for (size_t k = i; k + 1 < r->count; k++) {
        const struct segment *s = segment_at(g, k);
        if (s->start + s->size != segment_at(g, k + 1)->start)
            return damage(g, s, s->start + s->size, "the next segment is missing");
    }
    r->last = i;
    r->end = g->o->from;
    if (r->end.position < r->segments[i].start + SEGMENT_HEAD)
        r->end.position = r->segments[i].start + SEGMENT_HEAD;
    return OK;
}

static enum status read_all(struct reading *g)
{
    struct recovery *r = g->r;
    TRY(find_start(g));
    TRY(load_segment(g, segment_at(g, r->last)));
    for (bool more = true; more;) {
        const struct segment *s = segment_at(g, r->last);
        TRY(read_blocks(g, s));
        if (g->o->segment_fn)
            TRY(g->o->segment_fn(g->o->owner, g->why));
        if (g->o->stop)
            more = r->end.position < g->o->stop && r->last + 1 < r->count;
        else
            TRY(look_beyond(g, s));
        if (more)
            TRY(look_at_later(g, &more));
    }
    return OK;
}

enum status recovery_run(const struct recovery_options *o, struct recovery *out, struct buf *why)
{
    struct names names = {0};
    *out = (struct recovery){.end = o->from, .known = o->from.position};
    struct reading g = {.o = o, .r = out, .why = why};
    enum status st = open_all(&g, &names);
    if (st == OK && (out->count || o->from.position))
        st = read_all(&g);
    free(names.starts);
    free(names.leftovers);
    free(g.bytes);
    if (st != OK)
        recovery_fini(out);
    return st;
}

void recovery_fini(struct recovery *r)
{
    for (size_t i = 0; i < r->count; i++)
        disk_close(r->segments[i].file);
    free(r->segments);
    *r = (struct recovery){0};
}
