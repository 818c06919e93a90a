#include "store/history_reader.h"

#include <errno.h>
#include <stdlib.h>

enum { WORK = 1 << 20, BACKWARDS = 4 << 10 /* read at once, of a segment */ };

/* -- the files -- */

static void on_name(void *owner, const char *name, uint64_t size)
{
    struct history_reader *r = owner;
    uint64_t start;
    (void)size;
    if (!segment_start(name, &start) && !history_start(name, &start))
        return;
    if (r->count == r->room) {
        r->room = r->room * 2 + 16;
        r->starts = realloc(r->starts, r->room * sizeof(*r->starts));
        if (!r->starts)
            check_no_memory();
    }
    r->starts[r->count++] = start;
}

static int by_start(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* In order, each once, and only those that may hold what is asked for. */
static void choose_files(struct history_reader *r)
{
    const struct history_query *q = &r->query;
    size_t kept = 0;
    if (r->count)
        qsort(r->starts, r->count, sizeof(*r->starts), by_start);
    for (size_t i = 0; i < r->count; i++) {
        uint64_t start = r->starts[i];
        if (q->end && start >= q->end)
            break;
        if (kept && r->starts[kept - 1] == start)
            continue;
        if (kept == 1 && start <= q->from)
            kept = 0; /* the one before ends where this one begins */
        r->starts[kept++] = start;
    }
    r->count = kept;
}

enum status history_reader_open(struct history_reader *r, const struct history_query *q)
{
    *r = (struct history_reader){.query = *q};
    if (q->key)
        key_encode(&r->key, q->key);
    r->error = disk_list(q->disk, on_name, r);
    if (r->error)
        return UNAVAILABLE;
    choose_files(r);
    return OK;
}

static void close_file(struct history_reader *r)
{
    history_file_close(&r->file);
    segment_reader_close(&r->segment);
    buf_clear(&r->units);
    buf_clear(&r->places);
    r->unit = r->place = 0;
    r->gathering = false;
}

void history_reader_close(struct history_reader *r)
{
    close_file(r);
    buf_fini(&r->units);
    buf_fini(&r->raw);
    buf_fini(&r->places);
    free(r->starts);
    *r = (struct history_reader){0};
}

static enum status broken_at(struct history_reader *r, uint64_t position)
{
    r->broken = position;
    r->end = 0;
    r->chained = false;
    return DAMAGED;
}

/* Oldest first: [start, end) is read next. DAMAGED: what came before it is not there. */
static enum status check_gap(struct history_reader *r, uint64_t start, uint64_t end)
{
    uint64_t expected = r->end;
    r->end = end;
    if (expected == 0 || expected == start)
        return OK;
    r->broken = expected;
    r->chained = false;
    return DAMAGED;
}

/* -- units: chunks of a history file, blocks of a segment -- */

static void put_chunk(struct history_reader *r, uint32_t i)
{
    const struct history_query *q = &r->query;
    const struct history_footer *f = &r->file.footer;
    bool is_before = i + 1 < f->chunks && history_chunk_get(f, i + 1).position < q->from;
    bool is_after = q->end && history_chunk_get(f, i).position >= q->end;
    if (!is_before && !is_after)
        buf_u32le(&r->units, i);
}

/* Without its index a file is still read, chunk by chunk. */
static enum status choose_chunks(struct history_reader *r)
{
    struct span chunks = {0};
    enum status st = OK;
    if (r->query.key)
        st = history_file_find(&r->file, key_span(&r->key), &chunks);
    if (st == NOT_FOUND)
        return OK;
    if (st == OK && r->query.key)
        for (size_t i = 0; i < chunks.len; i += 4)
            put_chunk(r, load_u32le(chunks.data + i));
    else
        for (uint32_t i = 0; i < r->file.footer.chunks; i++)
            put_chunk(r, i);
    r->error = r->file.error;
    if (st == DAMAGED)
        r->broken = r->file.head.start;
    return st;
}

static enum status begin_history(struct history_reader *r)
{
    const struct history_head *head = &r->file.head;
    enum status st = choose_chunks(r);
    if (st == UNAVAILABLE || r->query.newest_first)
        return st;
    enum status order = check_gap(r, head->start, head->end);
    if (head->before == 0 && head->after == 0) /* no block */
        return order == OK ? st : order;
    if (r->chained && r->after != head->before) {
        r->broken = head->start;
        order = DAMAGED;
    }
    r->chained = true;
    r->after = head->after;
    return order == OK ? st : order;
}

static enum status begin_segment(struct history_reader *r)
{
    const struct segment *s = &r->segment.segment;
    r->fresh = true;
    r->gathering = r->query.newest_first;
    if (memcmp(s->hub_id, r->query.hub_id, sizeof(s->hub_id)) != 0) {
        segment_reader_close(&r->segment);
        return broken_at(r, s->start);
    }
    return r->query.newest_first ? OK : check_gap(r, s->start, s->start + s->size);
}

/* The file that begins at `start`, whichever it is by now. */
static enum status open_file(struct history_reader *r, uint64_t start)
{
    enum status st = UNAVAILABLE;
    bool damaged = false;
    for (int attempt = 0; attempt < 2; attempt++) {
        st = history_file_open(&r->file, r->query.disk, start, r->query.hub_id);
        if (st == OK)
            return begin_history(r);
        damaged |= st == DAMAGED;
        r->error = r->file.error;
        if (st == UNAVAILABLE && r->error != ENOENT)
            return st;
        st = segment_reader_open(&r->segment, r->query.disk, start);
        if (st == OK)
            return begin_segment(r);
        damaged |= st == DAMAGED;
        r->error = r->segment.error;
        if (st == UNAVAILABLE && r->error != ENOENT)
            return st;
    }
    if (damaged)
        return broken_at(r, start);
    r->end = 0; /* it is gone: too old */
    r->chained = false;
    return OK;
}

/* -- entries -- */

static bool is_wanted(const struct history_reader *r, const struct history_entry *e)
{
    const struct history_query *q = &r->query;
    struct key key;
    int64_t ms;
    if (e->position < q->from || (q->end && e->position >= q->end))
        return false;
    if (!q->key)
        return true;
    return !e->is_counts && history_whose(q->replay, e->effect, &key, &ms) &&
           span_eq(key_span(&key), key_span(&r->key));
}

/* `raw` is whole: where are its wanted entries? DAMAGED: those up to there are noted. */
static enum status note_entries(struct history_reader *r)
{
    struct span rest = buf_span(&r->raw);
    struct history_entry e;
    enum status st;
    buf_clear(&r->places);
    r->place = 0;
    for (;;) {
        size_t at = r->raw.len - rest.len;
        st = history_take(&rest, &e);
        if (st != OK)
            return st == NOT_FOUND ? OK : st;
        if (is_wanted(r, &e))
            buf_u32le(&r->places, (uint32_t)at);
    }
}

static enum status load_chunk(struct history_reader *r)
{
    size_t count = r->units.len / 4;
    if (r->unit == count)
        return NOT_FOUND;
    size_t i = r->query.newest_first ? count - 1 - r->unit : r->unit;
    r->unit++;
    uint32_t chunk = load_u32le(r->units.data + 4 * i);
    enum status st = history_file_chunk(&r->file, chunk, &r->raw);
    if (st == UNAVAILABLE)
        r->error = r->file.error;
    if (st == OK)
        st = note_entries(r);
    if (st == DAMAGED)
        r->broken = history_chunk_get(&r->file.footer, chunk).position;
    return st;
}

/* A journal block in the form of a chunk. */
static void take_block(struct history_reader *r, const struct block *block, struct span bytes)
{
    struct span rest = block_body(bytes);
    buf_clear(&r->raw);
    for (uint32_t i = 0; i < block->entries; i++)
        history_put_change(&r->raw, block->position, i, block_take_entry(&rest));
    for (uint32_t i = 0; i < block->counts; i++) {
        struct block_count c = block_take_counts(&rest);
        history_put_counts(&r->raw, block->position, &c);
    }
}

/* Oldest first: is the segment's first block not the one that continues the journal? */
static bool breaks_chain(struct history_reader *r, const struct block *block)
{
    if (r->query.newest_first)
        return false;
    bool breaks = r->fresh && r->chained && block->prev != r->after;
    r->fresh = false;
    r->chained = true;
    r->after = block->crc;
    return breaks;
}

/* The next block in the order of the journal; its entries are noted. */
static enum status next_block(struct history_reader *r, uint64_t *position)
{
    const struct segment *s = &r->segment.segment;
    uint64_t end = r->query.end;
    struct block block;
    struct span bytes;
    if (end && r->segment.at >= end)
        return NOT_FOUND;
    enum status st = segment_reader_next(&r->segment, &block, &bytes);
    if (st == UNAVAILABLE)
        r->error = r->segment.error;
    if (st == NOT_FOUND && end && end <= s->start + s->size) {
        uint64_t missing = r->segment.at;
        r->segment.at = end; /* said once */
        return broken_at(r, missing);
    }
    if (st != OK)
        return st;
    *position = block.position;
    take_block(r, &block, bytes);
    st = note_entries(r);
    CHECK(st == OK);
    if (!breaks_chain(r, &block))
        return OK;
    r->broken = s->start;
    return DAMAGED;
}

/* Newest first: first of all, where the blocks are that hold something. */
static enum status gather_block(struct history_reader *r)
{
    uint64_t position = 0;
    enum status st = next_block(r, &position);
    if (st == OK && r->places.len)
        buf_u64le(&r->units, position);
    buf_clear(&r->places);
    r->place = 0;
    if (st != NOT_FOUND)
        return st;
    r->gathering = false;
    r->segment.piece = BACKWARDS;
    return OK;
}

static enum status block_before(struct history_reader *r)
{
    size_t count = r->units.len / 8;
    uint64_t position;
    if (r->unit == count)
        return NOT_FOUND;
    uint64_t at = load_u64le(r->units.data + 8 * (count - 1 - r->unit));
    segment_reader_seek(&r->segment, at);
    enum status st = next_block(r, &position);
    if (st == NEED_MORE)
        return st;
    r->unit++;
    return st == NOT_FOUND ? broken_at(r, at) : st;
}

static enum status load_unit(struct history_reader *r)
{
    uint64_t position;
    if (r->file.file)
        return load_chunk(r);
    if (r->gathering)
        return gather_block(r);
    return r->query.newest_first ? block_before(r) : next_block(r, &position);
}

static bool give(struct history_reader *r, struct history_entry *out)
{
    size_t count = r->places.len / 4;
    if (r->place == count)
        return false;
    size_t i = r->query.newest_first ? count - 1 - r->place : r->place;
    struct span rest = span_skip(buf_span(&r->raw), load_u32le(r->places.data + 4 * i));
    r->place++;
    enum status st = history_take(&rest, out);
    CHECK(st == OK);
    return true;
}

static enum status next_file(struct history_reader *r)
{
    if (r->next == r->count)
        return NOT_FOUND;
    size_t i = r->query.newest_first ? r->count - 1 - r->next : r->next;
    r->next++;
    return open_file(r, r->starts[i]);
}

enum status history_reader_next(struct history_reader *r, struct history_entry *out)
{
    for (size_t worked = 0; worked < WORK; worked += r->raw.len + BLOCK_ALIGN) {
        if (give(r, out))
            return OK;
        if (!r->file.file && !r->segment.segment.file) {
            TRY(next_file(r));
            continue;
        }
        enum status st = load_unit(r);
        if (st == NOT_FOUND)
            close_file(r);
        else if (st != OK)
            return st;
    }
    return give(r, out) ? OK : NEED_MORE;
}
