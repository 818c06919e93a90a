#include "store/block.h"

#include "base/hash.h"

static const uint8_t magic[4] = {'T', 'w', 'J', 'b'};

enum { AT_FORMAT = 4, AT_LENGTH = 8, AT_ENTRIES = 12, AT_COUNTS = 16, AT_BODY_CRC = 20 };
enum { AT_SALT = 24, AT_RUN = 32, AT_POSITION = 40, AT_DURABLE = 48, AT_TIME = 56, AT_PREV = 64 };
enum { AT_FEATURES = 68, AT_ZERO = 72, AT_CRC = 76 };
enum { ENTRY_HEAD = 8, COUNTS_BYTES = 40 };
_Static_assert(AT_CRC + 4 == BLOCK_HEAD, "the checksum ends the head");

static void put_zeros(struct buf *b, size_t count)
{
    buf_reserve(b, count);
    memset(b->data + b->len, 0, count);
    b->len += count;
}

void block_begin(struct buf *b)
{
    CHECK(b->len == 0);
    put_zeros(b, BLOCK_HEAD);
}

void block_put(struct buf *b, struct span effect, struct span sealed)
{
    CHECK(effect.len <= BLOCK_MAX);
    CHECK(sealed.len <= BLOCK_MAX);
    buf_reserve(b, ENTRY_HEAD + effect.len + sealed.len);
    buf_u32le(b, (uint32_t)effect.len);
    buf_u32le(b, (uint32_t)sealed.len);
    buf_put(b, effect);
    buf_put(b, sealed);
}

void block_put_counts(struct buf *b, uint32_t partition, const struct store_partition *counts)
{
    buf_reserve(b, COUNTS_BYTES);
    buf_u32le(b, partition);
    buf_u32le(b, 0);
    buf_u64le(b, counts->seq);
    buf_u64le(b, counts->devices);
    buf_u64le(b, counts->disabled);
    buf_u64le(b, counts->modules);
}

void block_close(struct buf *b, uint32_t entries, uint32_t counts, int64_t time_ms)
{
    uint32_t length = (uint32_t)b->len;
    CHECK(b->len <= BLOCK_MAX);
    memcpy(b->data, magic, sizeof(magic));
    store_u32le(b->data + AT_FORMAT, BLOCK_FORMAT);
    store_u32le(b->data + AT_LENGTH, length);
    store_u32le(b->data + AT_ENTRIES, entries);
    store_u32le(b->data + AT_COUNTS, counts);
    store_u32le(b->data + AT_BODY_CRC, hash_crc32c(0, span_skip(buf_span(b), BLOCK_HEAD)));
    store_u64le(b->data + AT_TIME, (uint64_t)time_ms);
    put_zeros(b, block_room(length) - length);
}

void block_seal(struct buf *b, struct block *place)
{
    uint8_t *head = b->data;
    store_u64le(head + AT_SALT, place->salt);
    store_u64le(head + AT_RUN, place->run);
    store_u64le(head + AT_POSITION, place->position);
    store_u64le(head + AT_DURABLE, place->durable);
    store_u32le(head + AT_PREV, place->prev);
    place->crc = hash_crc32c(0, span_of(head, AT_CRC));
    store_u32le(head + AT_CRC, place->crc);
}

enum status block_read(struct span in, struct block *out)
{
    const uint8_t *head = in.data;
    CHECK(in.len >= BLOCK_HEAD);
    if (memcmp(head, magic, sizeof(magic)) != 0 || load_u32le(head + AT_FORMAT) != BLOCK_FORMAT)
        return DAMAGED;
    uint32_t crc = hash_crc32c(0, span_of(head, AT_CRC)), length = load_u32le(head + AT_LENGTH);
    if (load_u32le(head + AT_CRC) != crc || length < BLOCK_HEAD || length > BLOCK_MAX ||
        load_u32le(head + AT_FEATURES) || load_u32le(head + AT_ZERO))
        return DAMAGED;
    *out = (struct block){
        .length = length,
        .entries = load_u32le(head + AT_ENTRIES),
        .counts = load_u32le(head + AT_COUNTS),
        .body_crc = load_u32le(head + AT_BODY_CRC),
        .salt = load_u64le(head + AT_SALT),
        .run = load_u64le(head + AT_RUN),
        .position = load_u64le(head + AT_POSITION),
        .durable = load_u64le(head + AT_DURABLE),
        .time_ms = (int64_t)load_u64le(head + AT_TIME),
        .prev = load_u32le(head + AT_PREV),
        .crc = crc,
    };
    return OK;
}

/* Do the entries and the counts, one after the other, fill the body? */
static bool fills(const struct block *block, struct span body)
{
    for (uint32_t i = 0; i < block->entries; i++) {
        SPAN_SOUND(body);
        if (body.len < ENTRY_HEAD)
            return false;
        uint64_t need = (uint64_t)load_u32le(body.data) + load_u32le(body.data + 4) + ENTRY_HEAD;
        if (need > body.len)
            return false;
        body = span_skip(body, (size_t)need);
    }
    if (body.len != (uint64_t)block->counts * COUNTS_BYTES)
        return false;
    for (; body.len; body = span_skip(body, COUNTS_BYTES)) {
        SPAN_SOUND(body);
        if (load_u32le(body.data + 4))
            return false; /* of a later format */
    }
    return true;
}

enum status block_check(const struct block *block, struct span in)
{
    CHECK(in.len == block->length);
    struct span body = block_body(in);
    return hash_crc32c(0, body) == block->body_crc && fills(block, body) ? OK : DAMAGED;
}

struct span block_body(struct span in)
{
    return span_skip(in, BLOCK_HEAD);
}

struct block_entry block_take_entry(struct span *rest)
{
    size_t effect = load_u32le(rest->data), sealed = load_u32le(rest->data + 4);
    struct span at = span_skip(*rest, ENTRY_HEAD);
    struct block_entry entry = {span_first(at, effect), span_first(span_skip(at, effect), sealed)};
    *rest = span_skip(at, effect + sealed);
    return entry;
}

struct block_count block_take_counts(struct span *rest)
{
    const uint8_t *at = rest->data;
    struct block_count count = {
        .partition = load_u32le(at),
        .counts = {.seq = load_u64le(at + 8),
                   .devices = load_u64le(at + 16),
                   .disabled = load_u64le(at + 24),
                   .modules = load_u64le(at + 32)},
    };
    *rest = span_skip(*rest, COUNTS_BYTES);
    return count;
}
