#include "wire/uri.h"

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape at the start of `s` stands for, or -1. */
static int escaped(struct span s)
{
    if (s.len < 3)
        return -1;
    int high = hex_digit(s.data[1]), low = hex_digit(s.data[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

enum status uri_decode(struct span text, struct arena *scratch, struct span *out)
{
    if (span_index(text, '\0') < text.len)
        return BAD_REQUEST;
    if (span_index(text, '%') == text.len) {
        *out = text;
        return OK;
    }
    size_t mark = arena_mark(scratch);
    uint8_t *decoded = arena_bytes(scratch, text.len);
    if (!decoded)
        return TOO_LARGE;
    uint8_t *end = decoded;
    while (text.len) {
        size_t plain = span_index(text, '%');
        memcpy(end, text.data, plain);
        end += plain;
        text = span_skip(text, plain);
        if (text.len == 0)
            break;
        int byte = escaped(text);
        if (byte <= 0) {
            arena_release(scratch, mark);
            return BAD_REQUEST;
        }
        *end++ = (uint8_t)byte;
        text = span_skip(text, 3);
    }
    arena_trim(scratch, end);
    *out = span_of(decoded, (size_t)(end - decoded));
    return OK;
}

size_t uri_decoded_len(struct span text)
{
    size_t len = 0;
    for (; text.len; len++)
        text = span_skip(text, text.data[0] == '%' && escaped(text) >= 0 ? 3 : 1);
    return len;
}

void uri_split(struct span target, struct span *path, struct span *query)
{
    *path = uri_cut(&target, '?');
    *query = target;
}

enum status uri_path_split(struct span path, struct arena *scratch, struct span *segments,
                           size_t room, size_t *count)
{
    struct span rest;
    TRY(uri_decode(path, scratch, &rest));
    size_t found = 0;
    while (rest.len) {
        struct span segment = uri_cut(&rest, '/');
        if (segment.len == 0)
            continue;
        if (found == room)
            return NO_ROUTE;
        segments[found++] = segment;
    }
    *count = found;
    return OK;
}

/* Whether `raw` decodes to `name`, but for the case of ASCII letters. */
static bool names(struct span raw, struct span name)
{
    while (raw.len && name.len) {
        int byte = raw.data[0] == '%' ? escaped(raw) : raw.data[0];
        uint8_t got = (uint8_t)byte;
        if (byte < 0 || !span_eq_nocase(span_of(&got, 1), span_first(name, 1)))
            return false;
        raw = span_skip(raw, raw.data[0] == '%' ? 3 : 1);
        name = span_skip(name, 1);
    }
    return raw.len == 0 && name.len == 0;
}

enum status uri_query_get(struct span query, struct span name, struct arena *scratch,
                          struct span *out)
{
    while (query.len) {
        struct span value = uri_cut(&query, '&');
        struct span key = uri_cut(&value, '=');
        if (names(key, name))
            return uri_decode(value, scratch, out);
    }
    return NOT_FOUND;
}

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void uri_put(struct buf *b, struct span s)
{
    static const char digits[] = "0123456789ABCDEF";
    buf_reserve(b, s.len);
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (is_unreserved(c)) {
            buf_byte(b, c);
        } else {
            uint8_t text[] = {'%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
            buf_put(b, span_of(text, sizeof(text)));
        }
    }
}
