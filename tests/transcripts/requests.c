/* HTTP in words.
 *
 *   > METHOD PATH [WORD...] [BODY]
 *       token=TEXT  whose token (credentials.h; default policy:iothubowner), none: no header
 *       version=V   the api-version (default 2021-04-12), none: no parameter
 *       host=NAME, length=N, Name:value   headers
 *       no-body     the body is only announced
 *       BODY begins with { or [, or is all that follows body=
 *   < STATUS [WORD...] [BODY]
 *       close       says that the connection ends
 *       head        an answer to HEAD: the body's length without the body
 *       Name:value  a header, in this place
 *       type=TEXT   another Content-Type than JSON
 *       E1 NAME TEXT, E2 NAME CODE TEXT   an error body of service-rest 4.1 and its header
 *     The whole head is compared: nothing else may be in it. An answer that is one identity or twin
 *     carries its etag as ETag.
 */
#include "script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_header(struct span word)
{
    size_t colon = span_index(word, ':');
    if (colon == 0 || colon == word.len || !isalpha(word.data[0]))
        return false;
    for (size_t i = 0; i < colon; i++)
        if (!isalnum(word.data[i]) && word.data[i] != '-')
            return false;
    return true;
}

struct request_words {
    struct span token, version, host, length, body;
    struct buf headers;
    bool no_body;
};

static bool request_word(struct request_words *r, struct span word)
{
    if (word_value(word, "token", &r->token) || word_value(word, "version", &r->version) ||
        word_value(word, "host", &r->host) || word_value(word, "length", &r->length))
        return true;
    if (span_eq(word, SPAN("no-body"))) {
        r->no_body = true;
        return true;
    }
    if (!is_header(word))
        return false;
    size_t colon = span_index(word, ':');
    buf_printf(&r->headers, "%.*s: %.*s\r\n", SPAN_ARG(span_first(word, colon)),
               SPAN_ARG(span_skip(word, colon + 1)));
    return true;
}

/* The words up to the body; spans into `keep`. */
static void request_read(struct script *s, struct span rest, struct request_words *r,
                         struct buf *keep)
{
    while (rest.len) {
        struct span before = rest, value;
        struct span word = word_next(&rest);
        if (!word.len)
            return;
        if (word.data[0] == '{' || word.data[0] == '[' || word_value(word, "body", &value)) {
            struct buf b = {0};
            size_t skip = word.data[0] == '{' || word.data[0] == '[' ? 0 : 5;
            size_t from = keep->len;
            buf_put(keep, script_text(s, span_skip(before, skip), &b));
            r->body = span_of(keep->data + from, keep->len - from);
            buf_fini(&b);
            return;
        }
        struct buf b = {0};
        size_t from = keep->len;
        buf_put(keep, script_text(s, word, &b));
        buf_fini(&b);
        if (!request_word(r, span_of(keep->data + from, keep->len - from)))
            script_fail(s, "a request does not know %.*s", SPAN_ARG(word));
    }
}

bool request_says(struct script *s, struct speaker *sp, struct span verb, struct span rest)
{
    static const char *const methods[] = {"GET",    "PUT",  "POST",    "PATCH",
                                          "DELETE", "HEAD", "OPTIONS", "TRACE"};
    size_t m = 0;
    while (m < COUNT(methods) && !span_eq(span_text(methods[m]), verb))
        m++;
    if (m == COUNT(methods))
        return false;
    struct buf b = {0}, path = {0}, keep = {0};
    struct request_words r = {.token = SPAN("policy:iothubowner"),
                              .version = SPAN("2021-04-12"),
                              .host = SPAN(WORLD_HOST)};
    struct span target = script_text(s, word_next(&rest), &path);
    buf_reserve(&keep, 12 << 20); /* so that spans into it stay good */
    request_read(s, rest, &r, &keep);
    CHECK(keep.len <= 12 << 20);
    buf_printf(&b, "%.*s %.*s", SPAN_ARG(verb), SPAN_ARG(target));
    if (!span_eq(r.version, SPAN("none")))
        buf_printf(&b, "%capi-version=%.*s", memchr(target.data, '?', target.len) ? '&' : '?',
                   SPAN_ARG(r.version));
    buf_printf(&b, " HTTP/1.1\r\nHost: %.*s\r\n", SPAN_ARG(r.host));
    if (!span_eq(r.token, SPAN("none"))) {
        buf_text(&b, "Authorization: ");
        token_put(&b, r.token, &s->world);
        buf_text(&b, "\r\n");
    }
    buf_put(&b, buf_span(&r.headers));
    if (r.length.len)
        buf_printf(&b, "Content-Length: %.*s\r\n", SPAN_ARG(r.length));
    else if (r.body.len || verb.data[0] == 'P')
        buf_printf(&b, "Content-Length: %zu\r\n", r.body.len);
    buf_text(&b, "\r\n");
    if (!r.no_body)
        buf_put(&b, r.body);
    speaker_wire(s, sp, true);
    speaker_send(s, sp, buf_span(&b));
    buf_fini(&b);
    buf_fini(&path);
    buf_fini(&keep);
    buf_fini(&r.headers);
    return true;
}

/* ---- answers ---- */

struct answer_words {
    struct span type;
    struct buf headers, body; /* patterns */
    bool close, head, has_error;
};

static void error_words(struct answer_words *a, struct span rest, bool second_form)
{
    struct span name = word_next(&rest), code = {0};
    if (second_form)
        code = word_next(&rest);
    if (span_eq(rest, SPAN("*")))
        rest = SPAN("<*>");
    buf_printf(&a->headers, "iothub-errorcode: %.*s\r\n", SPAN_ARG(name));
    if (second_form)
        buf_printf(&a->body,
                   "{\"errorCode\":%.*s,\"trackingId\":\"<tracking>\",\"message\":\"%.*s\","
                   "\"timestampUtc\":\"<time>\"}",
                   SPAN_ARG(code), SPAN_ARG(rest));
    else
        buf_printf(&a->body,
                   "{\"Message\":\"ErrorCode:%.*s;%.*s\","
                   "\"ExceptionMessage\":\"Tracking ID:<tracking>\"}",
                   SPAN_ARG(name), SPAN_ARG(rest));
    a->has_error = true;
}

/* Words are expanded one by one, so that \\x20 does not end one; spans into `keep`. */
static void answer_read(struct script *s, struct span rest, struct answer_words *a,
                        struct buf *keep)
{
    while (rest.len) {
        struct span before = rest, word = script_text(s, word_next(&rest), keep);
        if (span_eq(word, SPAN("close"))) {
            a->close = true;
        } else if (span_eq(word, SPAN("head"))) {
            a->head = true;
        } else if (span_eq(word, SPAN("E1")) || span_eq(word, SPAN("E2"))) {
            bool second_form = word.data[1] == '2';
            error_words(a, script_text(s, rest, keep), second_form);
            return;
        } else if (word_value(word, "type", &a->type)) {
            continue;
        } else if (is_header(word)) {
            size_t colon = span_index(word, ':');
            buf_printf(&a->headers, "%.*s: %.*s\r\n", SPAN_ARG(span_first(word, colon)),
                       SPAN_ARG(span_skip(word, colon + 1)));
        } else {
            buf_put(&a->body, script_text(s, before, keep));
            return;
        }
    }
}

/* Where the head ends and how long the body is; false while it has not all come. */
static bool measure(struct span heard, bool is_head, size_t *head, size_t *told, size_t *body)
{
    const uint8_t *end = heard.len ? memmem(heard.data, heard.len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    *head = (size_t)(end - heard.data) + 4;
    const char *length = memmem(heard.data, *head, "Content-Length: ", 16);
    *told = length ? (size_t)atol(length + 16) : 0;
    *body = is_head ? 0 : *told;
    return heard.len >= *head + *body;
}

static void put_etag_header(struct buf *want, struct span body)
{
    if (!span_starts(body, SPAN("{\"deviceId\":")) && !span_starts(body, SPAN("{\"moduleId\":")))
        return;
    const uint8_t *at = memmem(body.data, body.len, "\"etag\":\"", 8);
    if (!at)
        return;
    struct span etag = span_skip(body, (size_t)(at - body.data) + 8);
    buf_printf(want, "ETag: \"%.*s\"\r\n", SPAN_ARG(span_first(etag, span_index(etag, '"'))));
}

static void hear_answer(struct script *s, struct speaker *sp, struct span status,
                        const struct answer_words *a)
{
    struct buf want = {0}, *heard = speaker_heard(s, sp);
    size_t head = 0, told = 0, len = 0;
    if (!measure(buf_span(heard), a->head, &head, &told, &len)) {
        buf_printf(&want, "HTTP %.*s %.*s", SPAN_ARG(status), SPAN_ARG(buf_span(&a->body)));
        script_fail_bytes(s, sp->name, buf_span(&want), buf_span(heard));
        buf_fini(&want);
        return;
    }
    struct span body = span_of(heard->data + head, len);
    buf_printf(&want, "HTTP/1.1 %.*s <word>\r\nx-ms-request-id: <uuid>\r\n", SPAN_ARG(status));
    buf_put(&want, buf_span(&a->headers));
    put_etag_header(&want, body);
    if (a->type.len)
        buf_printf(&want, "Content-Type: %.*s\r\n", SPAN_ARG(a->type));
    else if (told)
        buf_text(&want, "Content-Type: application/json; charset=utf-8\r\n");
    if (!span_eq(status, SPAN("204")))
        buf_printf(&want, "Content-Length: %zu\r\n", told);
    buf_text(&want, a->close ? "Connection: close\r\n\r\n" : "\r\n");
    struct span body_want = a->head ? (struct span){0} : buf_span(&a->body);
    if (!pattern_matches(buf_span(&want), span_first(buf_span(heard), head), &s->vars) ||
        !pattern_matches(body_want, body, &s->vars)) {
        buf_put(&want, body_want);
        script_fail_bytes(s, sp->name, buf_span(&want), buf_span(heard));
    } else {
        buf_consume(heard, head + len);
    }
    buf_fini(&want);
}

bool request_hears(struct script *s, struct speaker *sp, struct span verb, struct span rest)
{
    if (verb.len != 3 || !isdigit(verb.data[0]))
        return false;
    if (span_eq(verb, SPAN("100"))) {
        speaker_expect(s, sp, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
        return true;
    }
    struct buf b = {0};
    struct answer_words a = {0};
    buf_reserve(&b, 1 << 20); /* so that spans into it stay good */
    answer_read(s, rest, &a, &b);
    hear_answer(s, sp, verb, &a);
    buf_fini(&b);
    buf_fini(&a.headers);
    buf_fini(&a.body);
    return true;
}
