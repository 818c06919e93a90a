#include "store/value.h"

#include "base/hash.h"

static uint32_t checksum(struct span key, struct span value)
{
    uint32_t crc = hash_crc32c(0, key);
    crc = hash_crc32c(crc, span_first(value, 4));
    return hash_crc32c(crc, span_skip(value, 8));
}

void value_encode(struct buf *out, struct span key, const struct value *value)
{
    CHECK(value->body.len <= VALUE_MAX - VALUE_HEADER);
    CHECK(value->sealed.len <= VALUE_MAX - VALUE_HEADER - value->body.len);
    size_t start = out->len;
    buf_reserve(out, VALUE_HEADER + value->body.len + value->sealed.len);
    buf_u32le(out, VALUE_FORMAT);
    buf_u32le(out, 0);
    buf_u32le(out, (uint32_t)value->body.len);
    buf_u32le(out, (uint32_t)value->sealed.len);
    buf_u64le(out, value->seq);
    buf_put(out, value->body);
    buf_put(out, value->sealed);
    struct span made = span_of(out->data + start, out->len - start);
    store_u32le(out->data + start + 4, checksum(key, made));
}

enum status value_decode(struct span key, struct span in, struct value *out)
{
    if (in.len < VALUE_HEADER || in.len > VALUE_MAX || load_u32le(in.data) != VALUE_FORMAT)
        return DAMAGED;
    size_t body_len = load_u32le(in.data + 8), sealed_len = load_u32le(in.data + 12);
    if (in.len != VALUE_HEADER + body_len + sealed_len)
        return DAMAGED;
    if (load_u32le(in.data + 4) != checksum(key, in))
        return DAMAGED;
    struct span rest = span_skip(in, VALUE_HEADER);
    *out = (struct value){
        .body = span_first(rest, body_len),
        .sealed = span_skip(rest, body_len),
        .seq = load_u64le(in.data + 16),
    };
    return OK;
}

void value_put_counts(struct buf *out, const struct store_partition *counts)
{
    buf_u64le(out, counts->seq);
    buf_u64le(out, counts->devices);
    buf_u64le(out, counts->disabled);
    buf_u64le(out, counts->modules);
}

enum status value_counts(struct span body, struct store_partition *out)
{
    if (body.len != VALUE_COUNTS)
        return DAMAGED;
    *out = (struct store_partition){
        .seq = load_u64le(body.data),
        .devices = load_u64le(body.data + 8),
        .disabled = load_u64le(body.data + 16),
        .modules = load_u64le(body.data + 24),
    };
    return OK;
}

void value_put_mark(struct buf *out, struct mark mark)
{
    buf_u64le(out, mark.position);
    buf_u32le(out, mark.prev);
    buf_u32le(out, 0);
}

enum status value_mark(struct span body, struct mark *out)
{
    if (body.len != VALUE_MARK || load_u32le(body.data + 12))
        return DAMAGED;
    *out = (struct mark){load_u64le(body.data), load_u32le(body.data + 8)};
    return OK;
}
