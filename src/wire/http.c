#include "wire/http.h"

#include <stdlib.h>

#include <llhttp.h>

#include "base/text.h"
#include "wire/http_chunk.h"
#include "wire/http_head.h"

/* A place in http.head rather than a pointer, which would take four times the room. */
struct place {
    uint16_t at, len;
};
_Static_assert(HTTP_HEAD_MAX <= UINT16_MAX, "a place in the head fits 16 bits");

/* What a request needs beyond its bytes. */
struct http_request {
    llhttp_t parser;
    struct http_head strict;
    struct http_chunk chunk;
    size_t line_at;       /* in http.head: where the line that is not whole yet begins */
    uint64_t length_left; /* of a body with Content-Length */
    bool chunked;
    bool keep_alive;
    bool has_body;
    bool headers_complete, complete; /* as llhttp sees it */
    uint8_t field_count;
    struct place target;
    struct {
        struct place name, value;
    } fields[HTTP_FIELDS_MAX];
};

void http_init(struct http *h)
{
    *h = (struct http){.phase = HTTP_PHASE_IDLE};
}

void http_fini(struct http *h)
{
    buf_fini(&h->head);
    buf_fini(&h->body);
    free(h->request);
    http_init(h);
}

void http_next(struct http *h)
{
    CHECK(h->phase == HTTP_PHASE_REQUEST);
    http_fini(h);
}

enum http_phase http_phase(const struct http *h)
{
    return h->phase;
}

enum status http_status(const struct http *h)
{
    return h->refusal;
}

void http_allow_body(struct http *h, size_t max)
{
    CHECK(h->phase == HTTP_PHASE_BODY);
    h->body_max = max;
}

/* ---- what llhttp tells ---- */

static struct place place_of(const struct http *h, const char *at, size_t len)
{
    return (struct place){(uint16_t)((const uint8_t *)at - h->head.data), (uint16_t)len};
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    h->request->target = place_of(h, at, len);
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    struct http_request *r = h->request;
    CHECK(r->field_count < HTTP_FIELDS_MAX); /* the strict pass has counted */
    r->fields[r->field_count].name = place_of(h, at, len);
    r->fields[r->field_count].value = (struct place){0};
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    h->request->fields[h->request->field_count].value = place_of(h, at, len);
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    struct http *h = parser->data;
    h->request->field_count++;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http *h = parser->data;
    struct http_request *r = h->request;
    r->headers_complete = true;
    r->chunked = parser->flags & F_CHUNKED;
    r->length_left = parser->content_length;
    r->has_body = r->chunked || r->length_left > 0;
    r->keep_alive = llhttp_should_keep_alive(parser);
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http *h = parser->data;
    CHECK(len <= h->body_max - h->body.len); /* the limit was applied before */
    buf_put(&h->body, span_of(at, len));
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    struct http *h = parser->data;
    h->request->complete = true;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

/* ---- reading ---- */

static enum http_event refuse(struct http *h, enum status why)
{
    h->phase = HTTP_PHASE_REFUSED; /* what was read stays: spans of it may be in use */
    h->refusal = why;
    return HTTP_REFUSED;
}

static void begin(struct http *h)
{
    struct http_request *r = malloc(sizeof(*r));
    if (!r)
        check_no_memory();
    memset(r, 0, offsetof(struct http_request, fields));
    llhttp_init(&r->parser, HTTP_REQUEST, &settings);
    r->parser.data = h;
    h->request = r;
    h->phase = HTTP_PHASE_HEAD;
}

/* Give bytes that have passed the strict check to llhttp; false: it does not like them. It pauses
 * behind every request that asks for an upgrade, granted or not. */
static bool run(struct http *h, struct span in)
{
    if (in.len == 0)
        return true;
    llhttp_errno_t err = llhttp_execute(&h->request->parser, (const char *)in.data, in.len);
    return err == HPE_OK || err == HPE_PAUSED_UPGRADE;
}

/* The head is whole and has passed the strict check: let llhttp read it. */
static enum http_event read_head(struct http *h)
{
    struct http_request *r = h->request;
    if (!run(h, buf_span(&h->head))) {
        /* The line is well-formed and its version is 1.1, so it is the method that llhttp does
         * not know, or knows from a protocol that only looks like HTTP. */
        llhttp_errno_t err = llhttp_get_errno(&r->parser);
        bool method = err == HPE_INVALID_METHOD || err == HPE_INVALID_CONSTANT;
        return refuse(h, method ? BAD_METHOD : BAD_REQUEST);
    }
    /* Both parsers must agree on where the request ends. */
    if (!r->headers_complete || r->complete == r->has_body || r->chunked != r->strict.encoding)
        return refuse(h, BAD_REQUEST);
    h->phase = HTTP_PHASE_BODY;
    return HTTP_HAVE_HEAD;
}

static enum http_event feed_head(struct http *h, struct span in, size_t *used)
{
    struct http_request *r = h->request;
    buf_reserve(&h->head, in.len < 1024 ? in.len : 1024);
    for (;;) {
        struct span piece = span_first(in, span_index(in, '\n') + 1);
        piece = span_first(piece, HTTP_HEAD_MAX - h->head.len);
        if (piece.len == 0)
            return h->head.len == HTTP_HEAD_MAX ? refuse(h, HEADERS_TOO_LARGE) : HTTP_NEED_MORE;
        buf_put(&h->head, piece);
        in = span_skip(in, piece.len);
        *used += piece.len;
        if (piece.data[piece.len - 1] != '\n')
            continue;

        enum status st = http_head_line(&r->strict, span_skip(buf_span(&h->head), r->line_at));
        if (st != OK)
            return refuse(h, st);
        r->line_at = h->head.len;
        if (r->strict.whole)
            return read_head(h);
    }
}

/* How much of `in` is this body's and may be buffered: OK when the body ends there. */
static enum status scan_body(struct http *h, struct span in, size_t *used)
{
    struct http_request *r = h->request;
    if (r->chunked)
        return http_chunk_scan(&r->chunk, in, h->body_max, used);
    *used = in.len < r->length_left ? in.len : (size_t)r->length_left;
    r->length_left -= *used;
    return r->length_left ? NEED_MORE : OK;
}

static enum http_event feed_body(struct http *h, struct span in, size_t *used)
{
    struct http_request *r = h->request;
    if (r->has_body) {
        /* length_left is the whole length until the first byte was taken. */
        if (!r->chunked && h->body.len == 0 && r->length_left > h->body_max)
            return refuse(h, TOO_LARGE);
        enum status st = scan_body(h, in, used);
        if (st != OK && st != NEED_MORE)
            return refuse(h, st);
        if (!run(h, span_first(in, *used)) || r->complete != (st == OK))
            return refuse(h, BAD_REQUEST); /* the two parsers disagree */
        if (st == NEED_MORE)
            return HTTP_NEED_MORE;
    }
    h->phase = HTTP_PHASE_REQUEST;
    return HTTP_HAVE_REQUEST;
}

enum http_event http_feed(struct http *h, struct span in, size_t *used)
{
    CHECK(h->phase != HTTP_PHASE_REQUEST);
    *used = 0;
    if (h->phase == HTTP_PHASE_REFUSED) {
        *used = in.len;
        return HTTP_REFUSED;
    }
    if (h->phase == HTTP_PHASE_BODY)
        return feed_body(h, in, used);
    if (in.len == 0)
        return HTTP_NEED_MORE;
    if (h->phase == HTTP_PHASE_IDLE) {
        if (!http_is_token(span_first(in, 1)))
            return refuse(h, BAD_REQUEST); /* no line end may ever come: a TLS hello, for one */
        begin(h);
    }
    return feed_head(h, in, used);
}

/* ---- what a request says ---- */

static struct span text_at(const struct http *h, struct place p)
{
    return span_of(h->head.data + p.at, p.len);
}

enum http_method http_method(const struct http *h)
{
    CHECK(h->request);
    switch (llhttp_get_method(&h->request->parser)) {
    case HTTP_GET:
        return METHOD_GET;
    case HTTP_PUT:
        return METHOD_PUT;
    case HTTP_POST:
        return METHOD_POST;
    case HTTP_PATCH:
        return METHOD_PATCH;
    case HTTP_DELETE:
        return METHOD_DELETE;
    case HTTP_HEAD:
        return METHOD_HEAD;
    default:
        return METHOD_OTHER;
    }
}

struct span http_target(const struct http *h)
{
    CHECK(h->request);
    return text_at(h, h->request->target);
}

struct span http_body(const struct http *h)
{
    return buf_span(&h->body);
}

size_t http_field_count(const struct http *h)
{
    CHECK(h->request);
    return h->request->field_count;
}

struct http_field http_field(const struct http *h, size_t i)
{
    CHECK(i < http_field_count(h));
    return (struct http_field){.name = text_at(h, h->request->fields[i].name),
                               .value = http_trim(text_at(h, h->request->fields[i].value))};
}

struct span http_header(const struct http *h, struct span name)
{
    for (size_t i = 0; i < http_field_count(h); i++) {
        struct http_field f = http_field(h, i);
        if (span_eq_nocase(f.name, name))
            return f.value;
    }
    return (struct span){0};
}

struct span http_find_token(const struct http *h, struct span name, struct span token)
{
    for (size_t i = 0; i < http_field_count(h); i++) {
        struct http_field f = http_field(h, i);
        if (!span_eq_nocase(f.name, name))
            continue;
        for (struct span rest = f.value; rest.len;) {
            struct span member = span_first(rest, span_index(rest, ','));
            rest = span_skip(rest, member.len < rest.len ? member.len + 1 : rest.len);
            member = http_trim(member);
            if (span_eq_nocase(member, token))
                return member;
        }
    }
    return (struct span){0};
}

bool http_keep_alive(const struct http *h)
{
    CHECK(h->request);
    return h->request->keep_alive;
}

bool http_expects_continue(const struct http *h)
{
    return h->phase == HTTP_PHASE_BODY && h->request->has_body && h->body.len == 0 &&
           span_eq_nocase(http_header(h, SPAN("expect")), SPAN("100-continue"));
}

bool http_is_websocket_upgrade(const struct http *h)
{
    uint8_t key[16];
    size_t key_len;
    return http_method(h) == METHOD_GET && !h->request->has_body &&
           http_find_token(h, SPAN("upgrade"), SPAN("websocket")).data &&
           http_find_token(h, SPAN("connection"), SPAN("upgrade")).data &&
           span_eq(http_header(h, SPAN("sec-websocket-version")), SPAN("13")) &&
           text_base64(http_header(h, SPAN("sec-websocket-key")), key, sizeof(key), &key_len) &&
           key_len == sizeof(key);
}

/* ---- responses ---- */

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {200, "OK"                             },
        {201, "Created"                        },
        {202, "Accepted"                       },
        {204, "No Content"                     },
        {207, "Multi-Status"                   },
        {400, "Bad Request"                    },
        {401, "Unauthorized"                   },
        {403, "Forbidden"                      },
        {404, "Not Found"                      },
        {405, "Method Not Allowed"             },
        {408, "Request Timeout"                },
        {409, "Conflict"                       },
        {412, "Precondition Failed"            },
        {413, "Content Too Large"              },
        {415, "Unsupported Media Type"         },
        {426, "Upgrade Required"               },
        {429, "Too Many Requests"              },
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"          },
        {501, "Not Implemented"                },
        {502, "Bad Gateway"                    },
        {503, "Service Unavailable"            },
        {504, "Gateway Timeout"                },
        {507, "Insufficient Storage"           },
    };
    for (size_t i = 0; i < COUNT(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return ""; /* RFC 9112 4: may be empty */
}

static void put_field(struct buf *out, struct http_field f)
{
    CHECK(http_is_token(f.name));
    CHECK(http_is_field_text(f.value));
    buf_put(out, f.name);
    buf_text(out, ": ");
    buf_put(out, f.value);
    buf_text(out, "\r\n");
}

void http_put_response(struct buf *out, const struct http_response *r)
{
    CHECK(r->status >= 200);
    CHECK(r->status <= 599);
    CHECK(r->status != 204 || r->body.len == 0);
    buf_text(out, "HTTP/1.1 ");
    buf_u64(out, (uint64_t)r->status);
    buf_byte(out, ' ');
    buf_text(out, reason(r->status));
    buf_text(out, "\r\n");

    bool typed = false;
    for (size_t i = 0; i < r->field_count; i++) {
        typed = typed || span_eq_nocase(r->fields[i].name, SPAN("content-type"));
        put_field(out, r->fields[i]);
    }
    if (r->body.len && !typed)
        buf_text(out, "Content-Type: application/json; charset=utf-8\r\n");
    if (r->status != 204) { /* RFC 9110 8.6 forbids it there */
        buf_text(out, "Content-Length: ");
        buf_u64(out, r->body.len);
        buf_text(out, "\r\n");
    }
    buf_text(out, r->close ? "Connection: close\r\n\r\n" : "\r\n");
    if (!r->head_only)
        buf_put(out, r->body);
}

void http_put_continue(struct buf *out)
{
    buf_text(out, "HTTP/1.1 100 Continue\r\n\r\n");
}
