#include "pattern.h"

#include "base/text.h"

#include <ctype.h>
#include <stdio.h>

void vars_set(struct vars *v, struct span name, struct span value)
{
    size_t i = 0;
    while (i < v->count && !span_eq(span_text(v->at[i].name), name))
        i++;
    CHECK(i < VARS_MAX);
    CHECK(name.len < sizeof(v->at[i].name));
    if (i == v->count) {
        v->count++;
        memcpy(v->at[i].name, name.data, name.len);
        v->at[i].name[name.len] = '\0';
    }
    buf_clear(&v->at[i].value);
    buf_put(&v->at[i].value, value);
}

void vars_fini(struct vars *v)
{
    for (size_t i = 0; i < v->count; i++) {
        buf_fini(&v->at[i].value);
        v->at[i].name[0] = '\0';
    }
    v->count = 0;
}

/* ---- words ---- */

struct span word_next(struct span *rest)
{
    while (rest->len && rest->data[0] == ' ')
        *rest = span_skip(*rest, 1);
    struct span word = span_first(*rest, span_index(*rest, ' '));
    *rest = span_skip(*rest, word.len);
    if (rest->len)
        *rest = span_skip(*rest, 1);
    return word;
}

bool word_value(struct span word, const char *name, struct span *value)
{
    struct span n = span_text(name);
    if (!span_starts(word, n) || word.len == n.len || word.data[n.len] != '=')
        return false;
    *value = span_skip(word, n.len + 1);
    return true;
}

int64_t word_number(struct span word)
{
    int64_t n = 0;
    if (word.len && word.data[0] == '+')
        word = span_skip(word, 1);
    CHECK(text_i64(word, &n));
    return n;
}

/* ---- expansion ---- */

static bool put_name(struct buf *out, struct span name, const struct vars *v)
{
    for (size_t i = 0; i < v->count; i++) {
        if (span_eq(span_text(v->at[i].name), name)) {
            buf_put(out, buf_span(&v->at[i].value));
            return true;
        }
    }
    return v->compute && v->compute(v->ctx, name, out);
}

/* What follows a backslash; how much of it was used. */
static size_t put_escape(struct buf *out, struct span text)
{
    static const char letters[] = "rnt\\", bytes[] = "\r\n\t\\";
    uint8_t byte;
    size_t len;
    const char *at = text.len ? memchr(letters, text.data[0], sizeof(letters) - 1) : NULL;
    if (at) {
        buf_byte(out, (uint8_t)bytes[at - letters]);
        return 1;
    }
    if (text.len >= 3 && text.data[0] == 'x' &&
        text_hex(span_of(text.data + 1, 2), &byte, 1, &len)) {
        buf_byte(out, byte);
        return 3;
    }
    buf_byte(out, '\\');
    return 0;
}

bool expand(struct buf *out, struct span text, const struct vars *v)
{
    while (text.len) {
        uint8_t c = text.data[0];
        text = span_skip(text, 1);
        if (c == '\\') {
            text = span_skip(text, put_escape(out, text));
        } else if (c == '$' && text.len && text.data[0] == '(') {
            size_t end = span_index(text, ')');
            if (end == text.len || !put_name(out, span_of(text.data + 1, end - 1), v))
                return false;
            text = span_skip(text, end + 1);
        } else {
            buf_byte(out, c);
        }
    }
    return true;
}

/* ---- wildcards ---- */

static bool is_base64(int c)
{
    return isalnum(c) || c == '+' || c == '/' || c == '=';
}

static bool is_time(int c)
{
    return isdigit(c) || c == '-' || c == ':' || c == '.' || c == 'T' || c == 'Z';
}

static bool is_word(int c)
{
    return isalpha(c) || c == ' ' || c == '-';
}

static bool is_decimal(int c)
{
    return isdigit(c);
}

#define TRACKING_ID "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-G:0-TimeStamp:dd/dd/dddd dd:dd:dd"

static const struct {
    const char *name;
    bool (*is)(int c);
    const char *shape; /* h: a hex digit, d: a decimal digit; else the character itself */
    size_t len;        /* of a run; 0: one or more */
} classes[] = {
    {"number",   is_decimal, NULL,                                   0 },
    {"word",     is_word,    NULL,                                   0 },
    {"base64",   is_base64,  NULL,                                   0 },
    {"etag",     is_base64,  NULL,                                   0 },
    {"key",      is_base64,  NULL,                                   44},
    {"time",     is_time,    NULL,                                   0 },
    {"uuid",     NULL,       "hhhhhhhh-hhhh-4hhh-hhhh-hhhhhhhhhhhh", 0 },
    {"tracking", NULL,       TRACKING_ID,                            0 },
};

static bool fits_shape(const char *shape, struct span got)
{
    size_t len = strlen(shape);
    if (got.len < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int c = got.data[i];
        bool fits = shape[i] == 'h'   ? isdigit(c) || (c >= 'a' && c <= 'f')
                    : shape[i] == 'd' ? isdigit(c)
                                      : c == shape[i];
        if (!fits)
            return false;
    }
    return true;
}

/* How many bytes of `got` a class takes; 0: it does not stand there. -1: no such class. */
static int class_len(struct span name, struct span got)
{
    for (size_t i = 0; i < COUNT(classes); i++) {
        if (!span_eq(span_text(classes[i].name), name))
            continue;
        if (classes[i].shape)
            return fits_shape(classes[i].shape, got) ? (int)strlen(classes[i].shape) : 0;
        size_t n = 0;
        while (n < got.len && classes[i].is(got.data[n]))
            n++;
        return classes[i].len && n < classes[i].len ? 0 : (int)n;
    }
    return -1;
}

/* <class> or <name=class> at the start of a pattern. */
struct wildcard {
    struct span name, class;
    size_t len; /* with its brackets; 0: there is none */
};

static struct wildcard wildcard_read(struct span pattern)
{
    struct wildcard w = {0};
    size_t end = pattern.data[0] == '<' ? span_index(pattern, '>') : pattern.len;
    if (end == pattern.len)
        return w;
    w.class = span_of(pattern.data + 1, end - 1);
    size_t equals = span_index(w.class, '=');
    if (equals < w.class.len) {
        w.name = span_first(w.class, equals);
        w.class = span_skip(w.class, equals + 1);
    }
    bool any = span_eq(w.class, SPAN("*"));
    w.len = any || class_len(w.class, (struct span){0}) >= 0 ? end + 1 : 0;
    return w;
}

static bool matches(struct span pattern, struct span got, struct vars *v)
{
    while (pattern.len) {
        struct wildcard w = wildcard_read(pattern);
        if (w.len && span_eq(w.class, SPAN("*"))) {
            for (size_t n = 0; n <= got.len; n++)
                if (matches(span_skip(pattern, w.len), span_skip(got, n), v))
                    return true;
            return false;
        }
        size_t len = 1;
        if (w.len)
            len = (size_t)class_len(w.class, got);
        else if (!got.len || got.data[0] != pattern.data[0])
            return false;
        if (len == 0)
            return false;
        if (w.name.len)
            vars_set(v, w.name, span_first(got, len));
        pattern = span_skip(pattern, w.len ? w.len : 1);
        got = span_skip(got, len);
    }
    return got.len == 0;
}

bool pattern_matches(struct span pattern, struct span got, struct vars *v)
{
    return matches(pattern, got, v);
}

void put_visible(struct buf *out, struct span bytes)
{
    enum { SHOWN = 600 };
    for (size_t i = 0; i < bytes.len && i < SHOWN; i++) {
        if (bytes.data[i] >= ' ' && bytes.data[i] < 0x7f)
            buf_byte(out, bytes.data[i]);
        else
            buf_printf(out, "\\x%02x", bytes.data[i]);
    }
    if (bytes.len > SHOWN)
        buf_printf(out, "… (%zu bytes)", bytes.len);
}
