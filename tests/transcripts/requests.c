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

/* A request as it is put together; every text is the struct's own. */
struct request {
    struct buf target, token, version, host, length, headers, body;
    bool no_body;
};

static void request_fini(struct request *r)
{
    struct buf *const all[] = {&r->target, &r->token,   &r->version, &r->host,
                               &r->length, &r->headers, &r->body};
    for (size_t i = 0; i < COUNT(all); i++)
        buf_fini(all[i]);
}

static void set(struct buf *b, struct span value)
{
    buf_clear(b);
    buf_put(b, value);
}

static void put_header(struct buf *b, struct span word)
{
    size_t colon = span_index(word, ':');
    buf_printf(b, "%.*s: %.*s\r\n", SPAN_ARG(span_first(word, colon)),
               SPAN_ARG(span_skip(word, colon + 1)));
}

static bool request_word(struct request *r, struct span word)
{
    struct span value;
    if (word_value(word, "token", &value))
        set(&r->token, value);
    else if (word_value(word, "version", &value))
        set(&r->version, value);
    else if (word_value(word, "host", &value))
        set(&r->host, value);
    else if (word_value(word, "length", &value))
        set(&r->length, value);
    else if (span_eq(word, SPAN("no-body")))
        r->no_body = true;
    else if (is_header(word))
        put_header(&r->headers, word);
    else
        return false;
    return true;
}

/* "PATH [WORD...] [BODY]" */
static void request_read(struct script *s, struct span rest, struct request *r)
{
    struct buf b = {0};
    script_text(s, word_next(&rest), &r->target);
    set(&r->token, SPAN("policy:iothubowner"));
    set(&r->version, SPAN("2021-04-12"));
    set(&r->host, SPAN(WORLD_HOST));
    while (rest.len && !s->failed) {
        struct span before = rest, word = word_next(&rest), value;
        if (word.len && (word.data[0] == '{' || word.data[0] == '[')) {
            script_text(s, before, &r->body);
            break;
        }
        if (word_value(word, "body", &value)) {
            script_text(s, span_skip(before, 5), &r->body);
            break;
        }
        buf_clear(&b);
        if (word.len && !request_word(r, script_text(s, word, &b)))
            script_fail(s, "a request does not know %.*s", SPAN_ARG(word));
    }
    buf_fini(&b);
}

static void request_encode(const struct request *r, struct span verb, const struct world *w,
                           struct buf *out)
{
    struct span target = buf_span(&r->target);
    buf_printf(out, "%.*s %.*s", SPAN_ARG(verb), SPAN_ARG(target));
    if (!span_eq(buf_span(&r->version), SPAN("none")))
        buf_printf(out, "%capi-version=%.*s", memchr(target.data, '?', target.len) ? '&' : '?',
                   SPAN_ARG(buf_span(&r->version)));
    buf_printf(out, " HTTP/1.1\r\nHost: %.*s\r\n", SPAN_ARG(buf_span(&r->host)));
    if (!span_eq(buf_span(&r->token), SPAN("none"))) {
        buf_text(out, "Authorization: ");
        token_put(out, buf_span(&r->token), w);
        buf_text(out, "\r\n");
    }
    buf_put(out, buf_span(&r->headers));
    if (r->length.len)
        buf_printf(out, "Content-Length: %.*s\r\n", SPAN_ARG(buf_span(&r->length)));
    else if (r->body.len || verb.data[0] == 'P')
        buf_printf(out, "Content-Length: %zu\r\n", r->body.len);
    buf_text(out, "\r\n");
    if (!r->no_body)
        buf_put(out, buf_span(&r->body));
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
    struct request r = {0};
    struct buf bytes = {0};
    request_read(s, rest, &r);
    if (!s->failed) {
        request_encode(&r, verb, &s->world, &bytes);
        speaker_wire(s, sp, true);
        speaker_send(s, sp, buf_span(&bytes));
    }
    buf_fini(&bytes);
    request_fini(&r);
    return true;
}

/* ---- answers ---- */

struct answer {
    struct buf type, headers, body; /* patterns */
    bool close, head;
};

static void error_words(struct answer *a, struct span rest, bool second_form)
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
}

/* A word is expanded by itself, so that an escaped blank does not end it. */
static void answer_read(struct script *s, struct span rest, struct answer *a)
{
    struct buf b = {0};
    while (rest.len) {
        struct span before = rest, word = word_next(&rest), value;
        if (span_eq(word, SPAN("close"))) {
            a->close = true;
        } else if (span_eq(word, SPAN("head"))) {
            a->head = true;
        } else if (span_eq(word, SPAN("E1")) || span_eq(word, SPAN("E2"))) {
            error_words(a, script_text(s, rest, &b), word.data[1] == '2');
            break;
        } else if (word_value(word, "type", &value)) {
            script_text(s, value, &a->type);
        } else if (is_header(word)) {
            put_header(&a->headers, script_text(s, word, &b));
            buf_clear(&b);
        } else {
            script_text(s, before, &a->body);
            break;
        }
    }
    buf_fini(&b);
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
                        const struct answer *a)
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
        buf_printf(&want, "Content-Type: %.*s\r\n", SPAN_ARG(buf_span(&a->type)));
    else if (told)
        buf_text(&want, "Content-Type: application/json; charset=utf-8\r\n");
    if (!span_eq(status, SPAN("204")))
        buf_printf(&want, "Content-Length: %zu\r\n", told);
    buf_text(&want, a->close ? "Connection: close\r\n\r\n" : "\r\n");
    struct span body_want = buf_span(&a->body);
    if (a->head)
        body_want.len = 0;
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
    struct answer a = {0};
    answer_read(s, rest, &a);
    hear_answer(s, sp, verb, &a);
    buf_fini(&a.type);
    buf_fini(&a.headers);
    buf_fini(&a.body);
    return true;
}
