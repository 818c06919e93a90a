#include "store/history_maker.h"

#include <errno.h>
#include <stdio.h>
#include <zstd.h>

#include "store/fault.h"

enum { WORK = 1 << 20, WRITE = 256 << 10 };

void history_new_name(char out[HISTORY_NAME], uint64_t start)
{
    snprintf(out, HISTORY_NAME, "%016llx.hist.new", (unsigned long long)start);
}

/* -- writing -- */

static int write_at(struct history_maker *m, struct span bytes, uint64_t at)
{
    union {
        const uint8_t *from;
        void *to;
    } place = {.from = bytes.data};
    struct iovec part = {place.to, bytes.len};
    m->unsynced += bytes.len;
    return disk_write(m->file, &part, 1, at);
}

static int flush(struct history_maker *m)
{
    int error = m->out.len ? write_at(m, buf_span(&m->out), m->at) : 0;
    m->at += m->out.len;
    buf_clear(&m->out);
    if (error || m->unsynced < WORK)
        return error;
    m->unsynced = 0;
    m->worked = WORK; /* a sync is enough for a step */
    return disk_sync(m->file);
}

/* `raw` becomes a frame at the file's end. */
static int pack(struct history_maker *m, struct history_piece *piece)
{
    piece->at = m->at + m->out.len;
    history_pack(m->zstd, buf_span(&m->raw), &m->out, piece);
    m->worked += m->raw.len;
    buf_clear(&m->raw);
    return m->out.len < WRITE ? 0 : flush(m);
}

/* -- chunks -- */

static int cut_chunk(struct history_maker *m)
{
    if (m->raw.len == 0)
        return 0;
    int error = pack(m, &m->chunk.piece);
    history_put_chunk(&m->chunk_rows, &m->chunk);
    history_index_cut(&m->index);
    m->chunks++;
    m->chunk = (struct history_chunk){0};
    return error;
}

/* Another entry of `len` bytes comes: does it begin a chunk? */
static int make_room(struct history_maker *m, size_t len)
{
    int error = m->raw.len && m->raw.len + len > HISTORY_RAW ? cut_chunk(m) : 0;
    if (m->chunk.piece.entries++ == 0)
        m->chunk.position = m->block.position;
    return error;
}

static void note_time(int64_t ms, bool first, int64_t *oldest, int64_t *newest)
{
    if (first || ms < *oldest)
        *oldest = ms;
    if (first || ms > *newest)
        *newest = ms;
}

/* Whose change it is. A block that is sound holds what a hub wrote; what this program cannot read
 * is kept all the same, without a place in the index. */
static void note_change(struct history_maker *m, struct span effect)
{
    struct key key;
    int64_t ms;
    bool first_in_chunk = m->index.places.len == 0;
    bool first = first_in_chunk && m->index.keys.len == 0;
    m->head.changes++;
    if (!history_whose(m->replay, effect, &key, &ms))
        return;
    history_index_add(&m->index, key_span(&key));
    note_time(ms, first_in_chunk, &m->chunk.oldest_ms, &m->chunk.newest_ms);
    note_time(ms, first, &m->head.oldest_ms, &m->head.newest_ms);
}

static int take_entry(struct history_maker *m)
{
    struct block_entry e = block_take_entry(&m->rest);
    int error = make_room(m, HISTORY_CHANGE + e.effect.len + e.sealed.len);
    history_put_change(&m->raw, m->block.position, m->block.entries - m->entries_left, e);
    note_change(m, e.effect);
    m->entries_left--;
    return error;
}

static int take_counts(struct history_maker *m)
{
    struct block_count c = block_take_counts(&m->rest);
    int error = make_room(m, HISTORY_COUNTS);
    history_put_counts(&m->raw, m->block.position, &c);
    m->counts_left--;
    return error;
}

/* -- the segment's blocks -- */

static int end_of_blocks(struct history_maker *m)
{
    m->head.after = m->reader.prev;
    m->beyond = m->reader.at;
    if (m->used && m->reader.at != m->used)
        return EBADMSG;
    m->state = m->used ? HISTORY_INDEX : HISTORY_BEYOND;
    int error = cut_chunk(m);
    history_index_merge(&m->index);
    return error;
}

static int next_block(struct history_maker *m)
{
    struct span bytes;
    bool first = !m->reader.chained;
    if (m->used && m->reader.at == m->used)
        return end_of_blocks(m);
    switch (segment_reader_next(&m->reader, &m->block, &bytes)) {
    case OK:
        break;
    case NEED_MORE:
        m->worked += SEGMENT_PIECE;
        return 0;
    case NOT_FOUND:
        return end_of_blocks(m);
    default:
        return m->reader.error;
    }
    if (first)
        m->head.before = m->block.prev;
    m->rest = block_body(bytes);
    m->entries_left = m->block.entries;
    m->counts_left = m->block.counts;
    m->worked += BLOCK_ALIGN;
    return 0;
}

static int take_blocks(struct history_maker *m)
{
    if (m->entries_left)
        return take_entry(m);
    if (m->counts_left)
        return take_counts(m);
    return next_block(m);
}

/* Nobody knows how much of the segment was used: is what looks like the end one? */
static int look_beyond(struct history_maker *m)
{
    m->worked += SEGMENT_PIECE;
    switch (segment_reader_beyond(&m->reader, &m->beyond)) {
    case NEED_MORE:
        return 0;
    case NOT_FOUND:
        m->state = HISTORY_INDEX;
        return 0;
    case DAMAGED:
        return EBADMSG;
    default:
        return m->reader.error;
    }
}

/* -- pages -- */

static int cut_page(struct history_maker *m)
{
    if (m->raw.len == 0)
        return 0;
    m->page.first = buf_span(&m->first);
    int error = pack(m, &m->page.piece);
    history_put_page(&m->page_rows, &m->page);
    m->pages++;
    m->page = (struct history_page){0};
    buf_clear(&m->first);
    return error;
}

static int take_key(struct history_maker *m)
{
    struct history_key k;
    if (!history_index_next(&m->index, &k)) {
        m->state = HISTORY_END;
        return cut_page(m);
    }
    size_t before = m->raw.len;
    history_put_key(&m->raw, &k);
    m->worked += m->raw.len - before;
    if (m->page.piece.entries++ == 0)
        buf_put(&m->first, k.key);
    return m->raw.len < HISTORY_RAW ? 0 : cut_page(m);
}

/* -- begin and end -- */

static int create(struct history_maker *m)
{
    char name[HISTORY_NAME];
    history_new_name(name, m->start);
    int error = disk_open(m->disk, name, true, &m->file);
    if (error == EEXIST) { /* of an attempt that failed */
        error = disk_remove(m->disk, name);
        if (!error)
            error = disk_open(m->disk, name, true, &m->file);
    }
    return error;
}

static int begin(struct history_maker *m)
{
    enum status st = segment_reader_open(&m->reader, m->disk, m->start);
    if (st != OK)
        return st == DAMAGED ? EBADMSG : m->reader.error;
    const struct segment *s = &m->reader.segment;
    if (memcmp(s->hub_id, m->hub_id, sizeof(m->hub_id)) != 0 || m->used > s->start + s->size)
        return EBADMSG;
    m->head =
        (struct history_head){.start = s->start, .end = s->start + s->size, .epoch = s->epoch};
    memcpy(m->head.hub_id, m->hub_id, sizeof(m->hub_id));
    m->zstd = ZSTD_createCCtx();
    /* Of 64 KiB the lowest level makes no more than the third does, in less time. */
    if (!m->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(m->zstd, ZSTD_c_compressionLevel, 1)))
        check_no_memory();
    m->at = HISTORY_HEAD;
    m->state = HISTORY_BLOCKS;
    return create(m);
}

static void put_footer(struct history_maker *m)
{
    uint8_t trailer[HISTORY_TRAILER];
    struct buf footer = {0};
    buf_u32le(&footer, m->chunks);
    buf_u32le(&footer, m->pages);
    buf_put(&footer, buf_span(&m->chunk_rows));
    buf_put(&footer, buf_span(&m->page_rows));
    CHECK(footer.len <= HISTORY_FOOTER_MAX);
    history_trailer_encode(buf_span(&footer), trailer);
    buf_put(&m->out, buf_span(&footer));
    buf_put(&m->out, span_of(trailer, sizeof(trailer)));
    buf_fini(&footer);
}

static int finish(struct history_maker *m)
{
    uint8_t head[HISTORY_HEAD];
    char from[HISTORY_NAME], to[HISTORY_NAME];
    put_footer(m);
    history_head_encode(&m->head, head);
    history_new_name(from, m->start);
    history_name(to, m->start);
    int error = flush(m);
    if (!error)
        error = write_at(m, span_of(head, sizeof(head)), 0);
    if (!error && !store_fault(STORE_FAULT_HISTORY_NOT_SYNCED))
        error = disk_sync(m->file);
    if (!error)
        error = disk_rename(m->disk, from, to);
    m->named = !error;
    if (!error)
        error = disk_sync_names(m->disk);
    if (error)
        return error;
    m->size = m->at;
    disk_close(m->file);
    m->file = NULL;
    history_unmake(m);
    return 0;
}

int history_make(struct history_maker *m)
{
    int error = 0;
    m->worked = 0;
    while (!error && m->worked < WORK) {
        switch (m->state) {
        case HISTORY_BEGIN:
            error = begin(m);
            break;
        case HISTORY_BLOCKS:
            error = take_blocks(m);
            break;
        case HISTORY_BEYOND:
            error = look_beyond(m);
            break;
        case HISTORY_INDEX:
            error = take_key(m);
            break;
        case HISTORY_END:
            error = finish(m);
            if (!error)
                return 0;
            break;
        }
    }
    if (!error)
        return EAGAIN;
    history_unmake(m);
    return error;
}

void history_unmake(struct history_maker *m)
{
    char name[HISTORY_NAME];
    if (m->file) {
        disk_close(m->file);
        m->file = NULL;
        if (m->named)
            history_name(name, m->start);
        else
            history_new_name(name, m->start);
        (void)!disk_remove(m->disk, name); /* the space is wanted back; a start removes it too */
    }
    m->named = false;
    segment_reader_close(&m->reader);
    ZSTD_freeCCtx(m->zstd);
    m->zstd = NULL;
    buf_fini(&m->raw);
    buf_fini(&m->out);
    buf_fini(&m->chunk_rows);
    buf_fini(&m->page_rows);
    buf_fini(&m->first);
    history_index_fini(&m->index);
    m->state = HISTORY_BEGIN;
}
