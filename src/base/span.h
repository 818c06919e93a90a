/* span.h — borrowed bytes: a pointer and a length.
 *
 * Units    bytes
 * Memory   owns nothing; good as long as what it was made from
 * Threads  any
 * Errors   none
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct span {
    const uint8_t *data;
    size_t len;
};

/* A span over a string literal, without its closing NUL. SPAN_INIT is for static initialisers. */
#define SPAN_INIT(literal)                                 \
    {                                                      \
        (const uint8_t *)("" literal), sizeof(literal) - 1 \
    }
#define SPAN(literal) ((struct span)SPAN_INIT(literal))
/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).len, (const char *)(s).data

/* Tells the analyzer what it cannot see: a span with bytes points to them. */
#ifdef __clang_analyzer__
#define SPAN_SOUND(s) ((s).len && !(s).data ? __builtin_unreachable() : (void)0)
#else
#define SPAN_SOUND(s) ((void)0)
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){(const uint8_t *)data, len};
}

static inline struct span span_text(const char *text)
{
    return (struct span){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
    SPAN_SOUND(a);
    SPAN_SOUND(b);
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Equal but for the case of ASCII letters. */
static inline bool span_eq_nocase(struct span a, struct span b)
{
    return a.len == b.len &&
           (a.len == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0);
}

static inline bool span_starts(struct span s, struct span prefix)
{
    SPAN_SOUND(s);
    SPAN_SOUND(prefix);
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

/* The span without its first `n` bytes; `n` may not exceed its length. */
static inline struct span span_skip(struct span s, size_t n)
{
    return (struct span){s.data ? s.data + n : NULL, s.len - n};
}

static inline struct span span_first(struct span s, size_t n)
{
    return (struct span){s.data, n < s.len ? n : s.len};
}

/* Where `byte` first is, or s.len. */
static inline size_t span_index(struct span s, uint8_t byte)
{
    SPAN_SOUND(s);
    const uint8_t *at = s.len ? memchr(s.data, byte, s.len) : NULL;
    return at ? (size_t)(at - s.data) : s.len;
}

/* Byte order of keys: shorter first when one begins the other. <0, 0, >0. */
static inline int span_compare(struct span a, struct span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

#endif
