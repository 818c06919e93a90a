#include "wire/http_head.h"

#include "wire/http.h"

enum {
    TOKEN = 1,  /* RFC 9110 5.6.2: tchar */
    FIELD = 2,  /* field text, RFC 9110 5.5 */
    TARGET = 4, /* what clients send in a target, raw or encoded; not '#', which ends a URI */
    HOST = 8,   /* a name, an address, a port */
};

#define ALNUM (TOKEN | FIELD | TARGET | HOST)
/* clang-format off */
static const uint8_t classes[256] = {
    ['\t'] = FIELD, [' '] = FIELD,
    ['!'] = TOKEN | FIELD | TARGET, ['"'] = FIELD | TARGET, ['#'] = TOKEN | FIELD,
    ['$'] = TOKEN | FIELD | TARGET, ['%'] = TOKEN | FIELD | TARGET, ['&'] = TOKEN | FIELD | TARGET,
    ['\''] = TOKEN | FIELD | TARGET, ['('] = FIELD | TARGET, [')'] = FIELD | TARGET,
    ['*'] = TOKEN | FIELD | TARGET, ['+'] = TOKEN | FIELD | TARGET, [','] = FIELD | TARGET,
    ['-'] = ALNUM, ['.'] = ALNUM, ['/'] = FIELD | TARGET,
    ['0' ... '9'] = ALNUM,
    [':'] = FIELD | TARGET | HOST, [';' ... '@'] = FIELD | TARGET,
    ['A' ... 'Z'] = ALNUM,
    ['['] = FIELD | TARGET | HOST, ['\\'] = FIELD | TARGET, [']'] = FIELD | TARGET | HOST,
    ['^'] = TOKEN | FIELD | TARGET, ['_'] = ALNUM, ['`'] = TOKEN | FIELD | TARGET,
    ['a' ... 'z'] = ALNUM,
    ['{'] = FIELD | TARGET, ['|'] = TOKEN | FIELD | TARGET, ['}'] = FIELD | TARGET,
    ['~'] = TOKEN | FIELD | TARGET,
    [0x80 ... 0xff] = FIELD,
};
/* clang-format on */

static bool all(struct span s, uint8_t class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(classes[s.data[i]] & class))
            return false;
    return true;
}

bool http_is_token(struct span s)
{
    return s.len > 0 && all(s, TOKEN);
}

bool http_is_field_text(struct span s)
{
    return all(s, FIELD);
}

struct span http_trim(struct span s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = span_skip(s, 1);
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* RFC 9112 3: method SP request-target SP HTTP-version, and origin-form alone of the targets: we
 * are nobody's proxy. */
static enum status judge_request_line(struct span line)
{
    struct span method = span_first(line, span_index(line, ' '));
    if (!http_is_token(method) || method.len == line.len)
        return BAD_REQUEST;
    struct span rest = span_skip(line, method.len + 1);
    struct span target = span_first(rest, span_index(rest, ' '));
    if (target.len == 0 || target.data[0] != '/' || !all(target, TARGET))
        return BAD_REQUEST;
    return span_eq(span_skip(rest, target.len), SPAN(" HTTP/1.1")) ? OK : BAD_REQUEST;
}

/* RFC 9112 6.2; a leading zero is refused because some readers take it for octal, and 18 digits
 * fit 64 bits. */
static bool is_length(struct span s)
{
    if (s.len == 0 || s.len > 18 || (s.len > 1 && s.data[0] == '0'))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    return true;
}

/* The headers that say where the request goes and where it ends: once each, nothing fancy. `value`
 * still has its white space, of which only spaces in front are taken. */
static enum status judge_framing(struct http_head *h, struct span name, struct span value)
{
    while (value.len && value.data[0] == ' ')
        value = span_skip(value, 1);

    if (span_eq_nocase(name, SPAN("host"))) {
        if (h->host || value.len == 0 || !all(value, HOST))
            return BAD_REQUEST;
        h->host = true;
    } else if (span_eq_nocase(name, SPAN("content-length"))) {
        if (h->length || h->encoding || !is_length(value))
            return BAD_REQUEST;
        h->length = true;
    } else if (span_eq_nocase(name, SPAN("transfer-encoding"))) {
        if (h->length || h->encoding || !span_eq_nocase(value, SPAN("chunked")))
            return BAD_REQUEST;
        h->encoding = true;
    }
    return OK;
}

/* RFC 9112 5: field-name ":" OWS field-value OWS. A folded line has no name. */
static enum status judge_field(struct http_head *h, struct span line)
{
    struct span name = span_first(line, span_index(line, ':'));
    if (!http_is_token(name) || name.len == line.len)
        return BAD_REQUEST;
    struct span value = span_skip(line, name.len + 1);
    if (!http_is_field_text(value))
        return BAD_REQUEST;
    if (h->field_count == HTTP_FIELDS_MAX)
        return HEADERS_TOO_LARGE;
    h->field_count++;
    return judge_framing(h, name, value);
}

enum status http_head_line(struct http_head *h, struct span line)
{
    CHECK(!h->whole);
    if (line.len < 2 || line.data[line.len - 2] != '\r')
        return BAD_REQUEST; /* RFC 9112 2.2 lets a server take a bare LF: we do not */
    line.len -= 2;

    if (!h->begun) {
        h->begun = true;
        return judge_request_line(line);
    }
    if (line.len > 0)
        return judge_field(h, line);
    h->whole = true;
    return h->host ? OK : BAD_REQUEST;
}
