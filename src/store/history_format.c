#include "store/history_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/hash.h"

enum {
    AT_CRC = HISTORY_HEAD - 4,
    IS_CHANGE = 1,
    IS_COUNTS = 2,
    KEY_HEAD = 8,
    CHUNK_ROW = 48,
    PAGE_ROW = 28, /* before the key */
    FOOTER_HEAD = 8
};

static const uint8_t magic[4] = {'T', 'w', 'H', 'i'};
static const uint8_t end_magic[8] = {'T', 'w', 'H', 'i', 'E', 'n', 'd', '\n'};

void history_name(char out[HISTORY_NAME], uint64_t start)
{
    snprintf(out, HISTORY_NAME, "%016llx.hist", (unsigned long long)start);
}

bool history_start(const char *name, uint64_t *out)
{
    char again[HISTORY_NAME];
    uint64_t start = strtoull(name, NULL, 16);
    history_name(again, start);
    if (strcmp(name, again) != 0)
        return false;
    *out = start;
    return true;
}

/* -- head -- */

void history_head_encode(const struct history_head *h, uint8_t out[HISTORY_HEAD])
{
    memset(out, 0, HISTORY_HEAD);
    memcpy(out, magic, sizeof(magic));
    store_u32le(out + 4, HISTORY_FORMAT);
    memcpy(out + 16, h->hub_id, sizeof(h->hub_id));
    store_u64le(out + 32, h->start);
    store_u64le(out + 40, h->end);
    store_u64le(out + 48, h->epoch);
    store_u64le(out + 56, (uint64_t)h->oldest_ms);
    store_u64le(out + 64, (uint64_t)h->newest_ms);
    store_u64le(out + 72, h->changes);
    store_u32le(out + 80, h->before);
    store_u32le(out + 84, h->after);
    store_u32le(out + AT_CRC, hash_crc32c(0, span_of(out, AT_CRC)));
}

enum status history_head_decode(const uint8_t *in, struct history_head *out)
{
    struct history_head h = {.start = load_u64le(in + 32),
                             .end = load_u64le(in + 40),
                             .epoch = load_u64le(in + 48),
                             .oldest_ms = (int64_t)load_u64le(in + 56),
                             .newest_ms = (int64_t)load_u64le(in + 64),
                             .changes = load_u64le(in + 72),
                             .before = load_u32le(in + 80),
                             .after = load_u32le(in + 84)};
    if (memcmp(in, magic, sizeof(magic)) != 0 || load_u32le(in + 4) != HISTORY_FORMAT ||
        load_u64le(in + 8) != 0 || load_u32le(in + AT_CRC) != hash_crc32c(0, span_of(in, AT_CRC)))
        return DAMAGED;
    if (load_u32le(in + 88) != 0 || h.end <= h.start || h.oldest_ms > h.newest_ms)
        return DAMAGED;
    memcpy(h.hub_id, in + 16, sizeof(h.hub_id));
    *out = h;
    return OK;
}

/* -- the content of chunks and pages -- */

static bool is_id(struct span id)
{
    return id.len <= STORE_ID_MAX && span_index(id, 0) == id.len;
}

bool history_whose(const struct replay *replay, struct span effect, struct key *out,
                   int64_t *time_ms)
{
    struct replay_head head;
    if (replay->head(effect, &head) != OK)
        return false;
    const struct store_key *key = &head.key;
    bool of_hub = key->device.len == 0;
    if (key->partition >= STORE_PARTITIONS_MAX || !is_id(key->device) || !is_id(key->module) ||
        (of_hub && (key->partition != 0 || key->module.len == 0)))
        return false;
    key_encode(out, key);
    *time_ms = head.time_ms;
    return true;
}

void history_put_change(struct buf *b, uint64_t position, uint32_t number, struct block_entry e)
{
    buf_u32le(b, IS_CHANGE);
    buf_u32le(b, number);
    buf_u64le(b, position);
    buf_u32le(b, (uint32_t)e.effect.len);
    buf_u32le(b, (uint32_t)e.sealed.len);
    buf_put(b, e.effect);
    buf_put(b, e.sealed);
}

void history_put_counts(struct buf *b, uint64_t position, const struct block_count *c)
{
    buf_u32le(b, IS_COUNTS);
    buf_u32le(b, c->partition);
    buf_u64le(b, position);
    buf_u64le(b, c->counts.seq);
    buf_u64le(b, c->counts.devices);
    buf_u64le(b, c->counts.disabled);
    buf_u64le(b, c->counts.modules);
}

static enum status take_change(struct span *rest, struct history_entry *out)
{
    const uint8_t *in = rest->data;
    uint64_t effect_len = load_u32le(in + 16), sealed_len = load_u32le(in + 20);
    if (effect_len + sealed_len > rest->len - HISTORY_CHANGE)
        return DAMAGED;
    *out = (struct history_entry){
        .number = load_u32le(in + 4),
        .position = load_u64le(in + 8),
        .effect = span_of(in + HISTORY_CHANGE, effect_len),
        .sealed = span_of(in + HISTORY_CHANGE + effect_len, sealed_len),
    };
    *rest = span_skip(*rest, HISTORY_CHANGE + effect_len + sealed_len);
    return OK;
}

static enum status take_counts(struct span *rest, struct history_entry *out)
{
    const uint8_t *in = rest->data;
    if (rest->len < HISTORY_COUNTS || load_u32le(in + 4) >= STORE_PARTITIONS_MAX)
        return DAMAGED;
    *out = (struct history_entry){
        .is_counts = true,
        .partition = load_u32le(in + 4),
        .position = load_u64le(in + 8),
        .counts = {load_u64le(in + 16), load_u64le(in + 24), load_u64le(in + 32),
                   load_u64le(in + 40)},
    };
    *rest = span_skip(*rest, HISTORY_COUNTS);
    return OK;
}

enum status history_take(struct span *rest, struct history_entry *out)
{
    if (rest->len == 0)
        return NOT_FOUND;
    if (rest->len < HISTORY_CHANGE)
        return DAMAGED;
    switch (load_u32le(rest->data)) {
    case IS_CHANGE:
        return take_change(rest, out);
    case IS_COUNTS:
        return take_counts(rest, out);
    default:
        return DAMAGED;
    }
}

void history_put_key(struct buf *b, const struct history_key *k)
{
    buf_u32le(b, (uint32_t)k->key.len);
    buf_u32le(b, (uint32_t)(k->chunks.len / 4));
    buf_put(b, k->chunks);
    buf_put(b, k->key);
}

enum status history_take_key(struct span *rest, struct history_key *out)
{
    if (rest->len == 0)
        return NOT_FOUND;
    if (rest->len < KEY_HEAD)
        return DAMAGED;
    uint64_t key_len = load_u32le(rest->data), chunks_len = 4ULL * load_u32le(rest->data + 4);
    if (key_len > KEY_BYTES || chunks_len + key_len > rest->len - KEY_HEAD)
        return DAMAGED;
    *out = (struct history_key){.chunks = span_of(rest->data + KEY_HEAD, chunks_len),
                                .key = span_of(rest->data + KEY_HEAD + chunks_len, key_len)};
    *rest = span_skip(*rest, KEY_HEAD + chunks_len + key_len);
    return OK;
}

/* -- frames -- */

void history_pack(struct ZSTD_CCtx_s *z, struct span raw, struct buf *out,
                  struct history_piece *piece)
{
    size_t bound = ZSTD_compressBound(raw.len);
    buf_reserve(out, bound);
    uint8_t *frame = out->data + out->len;
    size_t length = ZSTD_compress2(z, frame, bound, raw.data, raw.len);
    if (ZSTD_isError(length)) /* there is room: only memory can be missing */
        check_no_memory();
    out->len += length;
    piece->length = (uint32_t)length;
    piece->raw = (uint32_t)raw.len;
    piece->crc = hash_crc32c(0, span_of(frame, length));
}

enum status history_unpack(struct ZSTD_DCtx_s *z, const struct history_piece *piece,
                           struct span frame, struct buf *raw)
{
    buf_clear(raw);
    if (frame.len != piece->length || hash_crc32c(0, frame) != piece->crc)
        return DAMAGED;
    if (piece->raw > HISTORY_RAW_MAX ||
        ZSTD_getFrameContentSize(frame.data, frame.len) != piece->raw)
        return DAMAGED;
    buf_reserve(raw, piece->raw);
    if (ZSTD_decompressDCtx(z, raw->data, piece->raw, frame.data, frame.len) != piece->raw)
        return DAMAGED;
    raw->len = piece->raw;
    return OK;
}

/* -- footer -- */

static void put_piece(struct buf *b, const struct history_piece *p)
{
    buf_u64le(b, p->at);
    buf_u32le(b, p->length);
    buf_u32le(b, p->raw);
    buf_u32le(b, p->crc);
    buf_u32le(b, p->entries);
}

static struct history_piece load_piece(const uint8_t *in)
{
    return (struct history_piece){.at = load_u64le(in),
                                  .length = load_u32le(in + 8),
                                  .raw = load_u32le(in + 12),
                                  .crc = load_u32le(in + 16),
                                  .entries = load_u32le(in + 20)};
}

void history_put_chunk(struct buf *b, const struct history_chunk *c)
{
    put_piece(b, &c->piece);
    buf_u64le(b, c->position);
    buf_u64le(b, (uint64_t)c->oldest_ms);
    buf_u64le(b, (uint64_t)c->newest_ms);
}

void history_put_page(struct buf *b, const struct history_page *p)
{
    put_piece(b, &p->piece);
    buf_u32le(b, (uint32_t)p->first.len);
    buf_put(b, p->first);
}

static uint32_t footer_crc(struct span footer, const uint8_t *trailer)
{
    return hash_crc32c(hash_crc32c(0, footer), span_of(trailer, 4));
}

void history_trailer_encode(struct span footer, uint8_t out[HISTORY_TRAILER])
{
    store_u32le(out, (uint32_t)footer.len);
    store_u32le(out + 4, footer_crc(footer, out));
    memcpy(out + 8, end_magic, sizeof(end_magic));
}

enum status history_trailer_decode(const uint8_t *in, uint32_t *footer_len)
{
    uint32_t len = load_u32le(in);
    if (memcmp(in + 8, end_magic, sizeof(end_magic)) != 0 || len < FOOTER_HEAD ||
        len > HISTORY_FOOTER_MAX)
        return DAMAGED;
    *footer_len = len;
    return OK;
}

/* Does this piece lie where the one before ends? Then *at is its own end. */
static bool follows(const struct history_piece *p, uint64_t *at, uint64_t end)
{
    if (p->at != *at || p->length == 0 || p->length > end - *at || p->raw == 0 ||
        p->raw > HISTORY_RAW_MAX)
        return false;
    *at += p->length;
    return true;
}

static bool check_chunks(const struct history_footer *f, uint64_t *at, uint64_t end)
{
    uint64_t position = 0;
    for (uint32_t i = 0; i < f->chunks; i++) {
        struct history_chunk c = history_chunk_get(f, i);
        if (!follows(&c.piece, at, end) || c.position < position || c.oldest_ms > c.newest_ms)
            return false;
        position = c.position;
    }
    return true;
}

static bool take_page(struct span *rest, struct history_page *out)
{
    if (rest->len < PAGE_ROW)
        return false;
    uint32_t key_len = load_u32le(rest->data + PAGE_ROW - 4);
    if (key_len > KEY_BYTES || key_len > rest->len - PAGE_ROW)
        return false;
    *out = (struct history_page){.piece = load_piece(rest->data),
                                 .first = span_of(rest->data + PAGE_ROW, key_len)};
    *rest = span_skip(*rest, PAGE_ROW + key_len);
    return true;
}

static bool check_pages(const struct history_footer *f, uint64_t *at, uint64_t end)
{
    struct span rest = f->page_rows, before = {0};
    for (uint32_t i = 0; i < f->pages; i++) {
        struct history_page p;
        if (!take_page(&rest, &p) || !follows(&p.piece, at, end) ||
            span_compare(before, p.first) >= 0)
            return false;
        before = p.first;
    }
    return rest.len == 0;
}

enum status history_footer_decode(struct span footer, const uint8_t *trailer, uint64_t at,
                                  struct history_footer *out)
{
    if (footer.len < FOOTER_HEAD || load_u32le(trailer) != footer.len ||
        load_u32le(trailer + 4) != footer_crc(footer, trailer) || at < HISTORY_HEAD)
        return DAMAGED;
    struct span rows = span_skip(footer, FOOTER_HEAD);
    struct history_footer f = {.chunks = load_u32le(footer.data),
                               .pages = load_u32le(footer.data + 4)};
    if (f.chunks > rows.len / CHUNK_ROW)
        return DAMAGED;
    f.chunk_rows = span_first(rows, (size_t)f.chunks * CHUNK_ROW);
    f.page_rows = span_skip(rows, f.chunk_rows.len);
    uint64_t end = HISTORY_HEAD;
    if (!check_chunks(&f, &end, at) || !check_pages(&f, &end, at) || end != at)
        return DAMAGED;
    *out = f;
    return OK;
}

struct history_chunk history_chunk_get(const struct history_footer *f, uint32_t i)
{
    CHECK(i < f->chunks);
    const uint8_t *in = f->chunk_rows.data + (size_t)i * CHUNK_ROW;
    return (struct history_chunk){.piece = load_piece(in),
                                  .position = load_u64le(in + 24),
                                  .oldest_ms = (int64_t)load_u64le(in + 32),
                                  .newest_ms = (int64_t)load_u64le(in + 40)};
}

bool history_page_find(const struct history_footer *f, struct span key, struct history_page *out)
{
    struct span rest = f->page_rows;
    struct history_page page;
    bool found = false;
    while (take_page(&rest, &page) && span_compare(page.first, key) <= 0) {
        *out = page;
        found = true;
    }
    return found;
}
