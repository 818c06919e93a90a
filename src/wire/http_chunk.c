#include "wire/http_chunk.h"

#include "wire/http_head.h"

#define DIGITS_MAX    8    /* four times eight bits is far beyond any limit of ours */
#define EXTENSION_MAX 1024 /* bytes in the whole body: they cost the peer nothing and us time */

/* The states in the order of the bytes:
 *
 *   SIZE ─► SIZE_LF ─► DATA ─► DATA_CR ─► DATA_LF ─► SIZE …        a chunk
 *     │        ▲ └──────────► END_CR ─► END_LF ─► DONE             the chunk of size 0
 *     └► NAME ─┼► VALUE_START ─► VALUE ─► (NAME, SIZE_LF)          extensions
 *              │            └──► QUOTED ─► QUOTED_END ─► (NAME, SIZE_LF)
 */
enum {
    SIZE, /* first: a zeroed struct begins here */
    NAME_START,
    NAME,
    VALUE_START,
    VALUE,
    QUOTED,
    QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    END_CR,
    END_LF,
    DONE,
    BAD,
};

static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* After a whole size, name or value: the line ends or another extension begins. */
static uint8_t after_word(uint8_t byte)
{
    return byte == '\r' ? SIZE_LF : byte == ';' ? NAME_START : BAD;
}

static uint8_t in_size(struct http_chunk *c, uint8_t byte)
{
    int value = hex_value(byte);
    if (value < 0)
        return c->digits ? after_word(byte) : BAD;
    if (c->digits++ == DIGITS_MAX)
        return BAD;
    c->left = c->left << 4 | (unsigned)value;
    return SIZE;
}

static uint8_t in_extension(uint8_t state, uint8_t byte)
{
    bool token = http_is_token(span_of(&byte, 1));
    switch (state) {
    case NAME_START:
        return token ? NAME : BAD;
    case NAME:
        return token ? NAME : byte == '=' ? VALUE_START : after_word(byte);
    case VALUE_START:
        return token ? VALUE : byte == '"' ? QUOTED : BAD;
    case VALUE:
        return token ? VALUE : after_word(byte);
    case QUOTED: /* no quoted pairs: readers differ about them */
        if (byte == '"')
            return QUOTED_END;
        return byte != '\\' && http_is_field_text(span_of(&byte, 1)) ? QUOTED : BAD;
    default: /* QUOTED_END */
        return after_word(byte);
    }
}

/* The state after a byte that is not data. */
static uint8_t next(struct http_chunk *c, uint8_t byte)
{
    switch (c->state) {
    case SIZE:
        return in_size(c, byte);
    case SIZE_LF:
        return byte != '\n' ? BAD : c->left ? DATA : END_CR;
    case DATA_CR:
        return byte == '\r' ? DATA_LF : BAD;
    case DATA_LF:
        c->digits = 0;
        return byte == '\n' ? SIZE : BAD;
    case END_CR:
        return byte == '\r' ? END_LF : BAD;
    case END_LF:
        return byte == '\n' ? DONE : BAD;
    default:
        return ++c->extension_len > EXTENSION_MAX ? BAD : in_extension(c->state, byte);
    }
}

enum status http_chunk_scan(struct http_chunk *c, struct span in, size_t max, size_t *used)
{
    CHECK(c->state < DONE);
    size_t at = 0;
    while (at < in.len && c->state < DONE) {
        if (c->state == DATA) {
            size_t n = in.len - at < c->left ? in.len - at : (size_t)c->left;
            at += n;
            c->left -= n;
            if (c->left == 0)
                c->state = DATA_CR;
            continue;
        }
        c->state = next(c, in.data[at++]);
        if (c->state == DATA) {
            c->total += c->left; /* at most 2^32 a step, and refused below long before 2^64 */
            if (c->total > max) {
                *used = at;
                return TOO_LARGE;
            }
        }
    }
    *used = at;
    return c->state == DONE ? OK : c->state == BAD ? BAD_REQUEST : NEED_MORE;
}
