#include "wire/http_chunk.h"

#define DIGITS_MAX 8 /* 32 bits are far beyond any limit of ours */

/* The states in the order of the bytes:
 *
 *   SIZE ─► SIZE_LF ─┬─► DATA ─► DATA_CR ─► DATA_LF ─► SIZE …
 *                    └─► END_CR ─► END_LF ─► DONE
 */
enum { SIZE, SIZE_LF, DATA, DATA_CR, DATA_LF, END_CR, END_LF, DONE, BAD };

static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static uint8_t in_size(struct http_chunk *c, uint8_t byte)
{
    int value = hex_value(byte);
    if (value < 0)
        return c->digits && byte == '\r' ? SIZE_LF : BAD;
    if (c->digits++ == DIGITS_MAX)
        return BAD;
    c->left = c->left << 4 | (unsigned)value;
    return SIZE;
}

/* The state after a byte that is not data. */
static uint8_t next(struct http_chunk *c, uint8_t byte)
{
    switch (c->state) {
    case SIZE:
        return in_size(c, byte);
    case SIZE_LF:
        c->digits = 0;
        return byte != '\n' ? BAD : c->left ? DATA : END_CR;
    case DATA_CR:
        return byte == '\r' ? DATA_LF : BAD;
    case DATA_LF:
        return byte == '\n' ? SIZE : BAD;
    case END_CR:
        return byte == '\r' ? END_LF : BAD;
    default: /* END_LF */
        return byte == '\n' ? DONE : BAD;
    }
}

/* Step over the data at hand. */
static size_t skip_data(struct http_chunk *c, size_t len)
{
    size_t n = len < c->left ? len : (size_t)c->left;
    c->left -= n;
    if (c->left == 0)
        c->state = DATA_CR;
    return n;
}

enum status http_chunk_scan(struct http_chunk *c, struct span in, size_t max, size_t *used)
{
    CHECK(c->state < DONE);
    *used = 0;
    while (*used < in.len && c->state < DONE) {
        if (c->state == DATA) {
            *used += skip_data(c, in.len - *used);
            continue;
        }
        c->state = next(c, in.data[(*used)++]);
        if (c->state == DATA) {
            c->total += c->left;
            if (c->total > max)
                return TOO_LARGE;
        }
    }
    return c->state == DONE ? OK : c->state == BAD ? BAD_REQUEST : NEED_MORE;
}
