#include "store/segment_reader.h"

#include <errno.h>

static uint64_t end_of(const struct segment_reader *r)
{
    return r->segment.start + r->segment.size;
}

static enum status read_head(struct segment_reader *r)
{
    uint8_t head[SEGMENT_HEAD];
    struct disk_file *file = r->segment.file;
    uint64_t size = 0;
    size_t got = 0;
    r->error = disk_read(file, 0, head, sizeof(head), &got);
    if (!r->error)
        r->error = disk_size(file, &size);
    if (r->error)
        return UNAVAILABLE;
    if (got < sizeof(head) || segment_read(head, &r->segment) != OK || size < r->segment.size)
        return DAMAGED;
    r->segment.file = file;
    return OK;
}

enum status segment_reader_open(struct segment_reader *r, struct disk *disk, uint64_t start)
{
    char name[SEGMENT_NAME];
    *r = (struct segment_reader){.piece = SEGMENT_PIECE};
    segment_name(name, start);
    r->error = disk_open(disk, name, false, &r->segment.file);
    if (r->error)
        return UNAVAILABLE;
    enum status st = read_head(r);
    if (st == OK && r->segment.start != start)
        st = DAMAGED;
    r->at = start + SEGMENT_HEAD;
    if (st != OK)
        segment_reader_close(r);
    return st;
}

void segment_reader_close(struct segment_reader *r)
{
    disk_close(r->segment.file);
    r->segment.file = NULL;
    buf_fini(&r->window);
}

static bool in_window(const struct segment_reader *r, uint64_t position, size_t len)
{
    return position >= r->window_at && position + len <= r->window_at + r->window.len;
}

static struct span window_span(const struct segment_reader *r, uint64_t position, size_t len)
{
    return span_of(r->window.data + (position - r->window_at), len);
}

/* What the window holds from `position` on becomes its beginning. */
static void move_window(struct segment_reader *r, uint64_t position)
{
    if (position > r->window_at && position < r->window_at + r->window.len)
        buf_consume(&r->window, position - r->window_at);
    else if (position != r->window_at)
        buf_clear(&r->window);
    r->window_at = position;
}

/* OK: the window holds [position, position + len), which lies within the segment. */
static enum status want(struct segment_reader *r, uint64_t position, size_t len)
{
    if (in_window(r, position, len))
        return OK;
    move_window(r, position);
    uint64_t from = position + r->window.len;
    size_t missing = len - r->window.len, got = 0;
    size_t piece = missing > r->piece ? SEGMENT_PIECE : r->piece;
    if (piece > end_of(r) - from)
        piece = end_of(r) - from;
    buf_reserve(&r->window, piece);
    r->error = disk_read(r->segment.file, from - r->segment.start, r->window.data + r->window.len,
                         piece, &got);
    if (!r->error && got < piece)
        r->error = EIO;
    if (r->error)
        return UNAVAILABLE;
    r->window.len += piece;
    return in_window(r, position, len) ? OK : NEED_MORE;
}

/* A sound head in its place. */
static bool head_at(const struct segment_reader *r, uint64_t position, struct block *out)
{
    return block_read(window_span(r, position, BLOCK_HEAD), out) == OK &&
           out->salt == r->segment.salt && out->position == position &&
           block_room(out->length) <= end_of(r) - position;
}

enum status segment_reader_next(struct segment_reader *r, struct block *out, struct span *bytes)
{
    struct block block;
    if (end_of(r) - r->at < BLOCK_ALIGN)
        return NOT_FOUND;
    TRY(want(r, r->at, BLOCK_HEAD));
    if (!head_at(r, r->at, &block) || (r->chained && block.prev != r->prev))
        return NOT_FOUND;
    TRY(want(r, r->at, block.length));
    struct span whole = window_span(r, r->at, block.length);
    if (block_check(&block, whole) != OK)
        return NOT_FOUND;
    r->at += block_room(block.length);
    r->prev = block.crc;
    r->chained = true;
    *out = block;
    *bytes = whole;
    return OK;
}

void segment_reader_seek(struct segment_reader *r, uint64_t position)
{
    r->at = position;
    r->chained = false;
}

enum status segment_reader_beyond(struct segment_reader *r, uint64_t *from)
{
    struct block block;
    uint64_t first = *from;
    for (; end_of(r) - *from >= BLOCK_ALIGN && *from - first < SEGMENT_PIECE;
         *from += BLOCK_ALIGN) {
        TRY(want(r, *from, BLOCK_HEAD));
        if (head_at(r, *from, &block) && block.durable > r->at)
            return DAMAGED;
    }
    return end_of(r) - *from < BLOCK_ALIGN ? NOT_FOUND : NEED_MORE;
}
