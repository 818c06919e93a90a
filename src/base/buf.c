#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_reserve(struct buf *b, size_t more)
{
    if (b->data && b->cap - b->len >= more)
        return;
    size_t need = b->len + more;
    CHECK(need >= more);
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap += cap / 2;
    uint8_t *data = realloc(b->data, cap);
    if (!data)
        check_no_memory();
    b->data = data;
    b->cap = cap;
}

void buf_put(struct buf *b, struct span s)
{
    if (s.len == 0)
        return;
    buf_reserve(b, s.len);
    memcpy(b->data + b->len, s.data, s.len);
    b->len += s.len;
}

void buf_text(struct buf *b, const char *text)
{
    buf_put(b, span_text(text));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(n >= 0);
    buf_reserve(b, (size_t)n + 1);
    va_start(args, format);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

void buf_u64(struct buf *b, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value);
    buf_put(b, span_of(digits + at, sizeof(digits) - at));
}

void buf_i64(struct buf *b, int64_t value)
{
    if (value < 0)
        buf_byte(b, '-');
    buf_u64(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= b->len);
    b->len -= n;
    if (b->len)
        memmove(b->data, b->data + n, b->len);
}
