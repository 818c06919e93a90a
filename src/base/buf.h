/* buf.h — bytes that grow at the end. For output, and for input that is not whole yet.
 *
 * Units    bytes
 * Memory   heap; the owner calls buf_fini. Out of memory ends the process (check.h)
 * Threads  the owner's
 * Errors   none; what a peer can make it grow to is bounded by the caller
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <endian.h>

#include "base/check.h"
#include "base/span.h"

struct buf {
    uint8_t *data;
    size_t len, cap;
};

void buf_fini(struct buf *b);                 /* frees; the buffer is empty and usable after */
void buf_reserve(struct buf *b, size_t more); /* room for `more` bytes beyond len */
void buf_put(struct buf *b, struct span s);
void buf_text(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_u64(struct buf *b, uint64_t value); /* decimal text */
void buf_i64(struct buf *b, int64_t value);
void buf_consume(struct buf *b, size_t n); /* drop the first n bytes */

static inline void buf_byte(struct buf *b, uint8_t byte)
{
    if (b->len == b->cap)
        buf_reserve(b, 1);
    b->data[b->len++] = byte;
}

static inline void buf_clear(struct buf *b)
{
    b->len = 0;
}

static inline struct span buf_span(const struct buf *b)
{
    return span_of(b->data, b->len);
}

/* Little-endian numbers: how everything on disk is written. */
static inline uint32_t load_u32le(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static inline uint64_t load_u64le(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static inline void store_u32le(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void store_u64le(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

static inline void buf_u32le(struct buf *b, uint32_t v)
{
    buf_reserve(b, sizeof(v));
    store_u32le(b->data + b->len, v);
    b->len += sizeof(v);
}

static inline void buf_u64le(struct buf *b, uint64_t v)
{
    buf_reserve(b, sizeof(v));
    store_u64le(b->data + b->len, v);
    b->len += sizeof(v);
}

#endif
