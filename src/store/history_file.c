#include "store/history_file.h"

#include <errno.h>
#include <zstd.h>

/* All `len` bytes, or DAMAGED: the file is cut short. */
static enum status read_all(struct history_file *f, uint64_t at, void *out, size_t len)
{
    size_t got = 0;
    f->error = disk_read(f->file, at, out, len, &got);
    if (f->error)
        return UNAVAILABLE;
    return got == len ? OK : DAMAGED;
}

static enum status open_head(struct history_file *f, struct disk *disk, uint64_t start,
                             const uint8_t *hub_id)
{
    char name[HISTORY_NAME];
    uint8_t head[HISTORY_HEAD];
    history_name(name, start);
    f->error = disk_open(disk, name, false, &f->file);
    if (f->error)
        return UNAVAILABLE;
    TRY(read_all(f, 0, head, sizeof(head)));
    TRY(history_head_decode(head, &f->head));
    bool ours = memcmp(f->head.hub_id, hub_id, sizeof(f->head.hub_id)) == 0;
    return f->head.start == start && ours ? OK : DAMAGED;
}

static enum status read_footer(struct history_file *f)
{
    uint8_t trailer[HISTORY_TRAILER];
    uint64_t size = 0;
    uint32_t len;
    f->error = disk_size(f->file, &size);
    if (f->error)
        return UNAVAILABLE;
    if (size < HISTORY_HEAD + HISTORY_TRAILER)
        return DAMAGED;
    uint64_t end = size - HISTORY_TRAILER;
    TRY(read_all(f, end, trailer, sizeof(trailer)));
    TRY(history_trailer_decode(trailer, &len));
    if (len > end - HISTORY_HEAD)
        return DAMAGED;
    buf_reserve(&f->footer_bytes, len);
    TRY(read_all(f, end - len, f->footer_bytes.data, len));
    f->footer_bytes.len = len;
    return history_footer_decode(buf_span(&f->footer_bytes), trailer, end - len, &f->footer);
}

enum status history_file_open(struct history_file *f, struct disk *disk, uint64_t start,
                              const uint8_t hub_id[16])
{
    *f = (struct history_file){0};
    enum status st = open_head(f, disk, start, hub_id);
    if (st == OK)
        st = read_footer(f);
    if (st != OK) {
        history_file_close(f);
        return st;
    }
    f->zstd = ZSTD_createDCtx();
    if (!f->zstd)
        check_no_memory();
    return OK;
}

void history_file_close(struct history_file *f)
{
    disk_close(f->file);
    f->file = NULL;
    ZSTD_freeDCtx(f->zstd);
    f->zstd = NULL;
    buf_fini(&f->footer_bytes);
    buf_fini(&f->frame);
    buf_fini(&f->page);
}

enum status history_file_peek(struct disk *disk, uint64_t start, const uint8_t hub_id[16],
                              struct history_head *out, int *error)
{
    struct history_file f = {0};
    enum status st = open_head(&f, disk, start, hub_id);
    history_file_close(&f);
    *error = f.error;
    if (st == OK)
        *out = f.head;
    return st;
}

static enum status read_piece(struct history_file *f, const struct history_piece *piece,
                              struct buf *raw)
{
    buf_clear(&f->frame);
    buf_reserve(&f->frame, piece->length);
    TRY(read_all(f, piece->at, f->frame.data, piece->length));
    return history_unpack(f->zstd, piece, span_of(f->frame.data, piece->length), raw);
}

enum status history_file_chunk(struct history_file *f, uint32_t i, struct buf *raw)
{
    struct history_chunk chunk = history_chunk_get(&f->footer, i);
    return read_piece(f, &chunk.piece, raw);
}

static bool are_chunks(const struct history_file *f, struct span numbers)
{
    uint32_t least = 0;
    for (size_t i = 0; i < numbers.len; i += 4) {
        uint32_t chunk = load_u32le(numbers.data + i);
        if (chunk < least || chunk >= f->footer.chunks)
            return false;
        least = chunk + 1;
    }
    return true;
}

enum status history_file_find(struct history_file *f, struct span key, struct span *chunks)
{
    struct history_page page;
    struct history_key k;
    enum status st;
    if (!history_page_find(&f->footer, key, &page))
        return NOT_FOUND;
    TRY(read_piece(f, &page.piece, &f->page));
    struct span rest = buf_span(&f->page);
    while ((st = history_take_key(&rest, &k)) == OK && span_compare(k.key, key) < 0)
        ;
    if (st != OK)
        return st;
    if (!span_eq(k.key, key))
        return NOT_FOUND;
    if (!are_chunks(f, k.chunks))
        return DAMAGED;
    *chunks = k.chunks;
    return OK;
}
