/* http.h — HTTP/1.1, server side: bytes to requests, responses to bytes.
 *
 * A request is read in two steps: its head, after which the caller says how large a body may be,
 * and the whole of it. Every byte passes a strict check of ours (http_head.h, http_chunk.h) before
 * llhttp sees it; whatever is odd is refused, for two readers who disagree about odd bytes are how
 * requests are smuggled. A refused connection is answered with http_status and closed.
 *
 *       for (;;) {
 *           switch (http_feed(h, in, &used)) {       then in = span_skip(in, used)
 *           case HTTP_NEED_MORE:    return;          all of `in` was consumed
 *           case HTTP_HAVE_HEAD:    http_allow_body(h, max);  perhaps http_put_continue
 *                                   continue;        also with no input left: the body may be empty
 *           case HTTP_HAVE_REQUEST: act on it; http_next(h) once it is no longer needed
 *           case HTTP_REFUSED:      answer http_status(h), close
 *
 * Pure: no I/O, no clock.
 *
 * Units    lengths in bytes
 * Memory   heap while a request is in parts, nothing when idle; spans handed out are good until
 *          http_next or http_fini
 * Threads  the owner's
 * Errors   http_status: BAD_REQUEST, BAD_METHOD (a word no method is called), HEADERS_TOO_LARGE,
 *          TOO_LARGE (the body)
 * Source   RFC 9110 and 9112; spec/service-rest 1; RFC 6455 4.2.1 for the upgrade
 */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include "base/buf.h"
#include "base/status.h"

#define HTTP_HEAD_MAX   32768 /* request line and headers with their line ends */
#define HTTP_FIELDS_MAX 100

enum http_event {
    HTTP_NEED_MORE,    /* all input consumed */
    HTTP_HAVE_HEAD,    /* method, target and headers can be read; once for each request */
    HTTP_HAVE_REQUEST, /* the body too */
    HTTP_REFUSED,      /* for good; further input is dropped */
};

/* What the connection waits for: which deadline runs. */
enum http_phase {
    HTTP_PHASE_IDLE,    /* no byte of a request has come */
    HTTP_PHASE_HEAD,    /* part of a head has come */
    HTTP_PHASE_BODY,    /* between HTTP_HAVE_HEAD and HTTP_HAVE_REQUEST */
    HTTP_PHASE_REQUEST, /* whole: http_next comes next */
    HTTP_PHASE_REFUSED,
};

/* METHOD_HEAD is told apart only because its answer has no body (http_response.head_only). */
enum http_method {
    METHOD_OTHER,
    METHOD_GET,
    METHOD_PUT,
    METHOD_POST,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_HEAD,
};

struct http_field {
    struct span name, value; /* value without white space around it */
};

/* Private but for its size. */
struct http {
    struct buf head; /* as it came, through the empty line */
    struct buf body;
    struct http_request *request; /* owned; NULL between requests */
    size_t body_max;
    uint8_t phase;       /* enum http_phase */
    enum status refusal; /* OK until refused */
};

void http_init(struct http *h);
void http_fini(struct http *h);

/* Take bytes up to the next event; *used of them are consumed, always set. `in` may be empty.
 * After HTTP_HAVE_REQUEST only http_next may follow. The events do not depend on how the bytes
 * were cut into calls. */
enum http_event http_feed(struct http *h, struct span in, size_t *used);

/* At HTTP_HAVE_HEAD: how long the body may be; 0 unless called. A longer Content-Length is refused
 * by the next http_feed, a longer chunked body before the chunk that goes beyond is buffered. */
void http_allow_body(struct http *h, size_t max);

/* After HTTP_HAVE_REQUEST: forget it, be ready for the next one. All spans become invalid. */
void http_next(struct http *h);

enum http_phase http_phase(const struct http *h);
/* Why it was refused; OK when it was not. */
enum status http_status(const struct http *h);

/* The rest is for after HTTP_HAVE_HEAD (http_body: HTTP_HAVE_REQUEST), until http_next. */

enum http_method http_method(const struct http *h);
/* As sent: starts with '/', visible ASCII, no '#'; nothing decoded, the query included. */
struct span http_target(const struct http *h);
struct span http_body(const struct http *h);

/* The first header of that name, in any case; .data is NULL when there is none. */
struct span http_header(const struct http *h, struct span name);
size_t http_field_count(const struct http *h);
struct http_field http_field(const struct http *h, size_t i); /* in the order sent */

/* Among all headers of that name, each a comma-separated list: the first member equal to `token`
 * in any case, exactly as the peer wrote it; .data is NULL when there is none.
 * http_find_token(h, SPAN("sec-websocket-protocol"), SPAN("mqtt")) chooses a subprotocol. */
struct span http_find_token(const struct http *h, struct span name, struct span token);

/* The peer would like to send more requests after this one. */
bool http_keep_alive(const struct http *h);
/* The peer waits for "100 Continue" (or the refusal) before it sends the body. */
bool http_expects_continue(const struct http *h);
/* A valid opening handshake (RFC 6455 4.2.1): GET without body, Upgrade: websocket, Connection:
 * upgrade, version 13, a key of 16 bytes. The key, as sent, is header sec-websocket-key. Whatever
 * bytes follow the request are frames: they are not http_feed's. */
bool http_is_websocket_upgrade(const struct http *h);

struct http_response {
    int status;                      /* 200..599 */
    const struct http_field *fields; /* may not name Content-Length or Connection */
    size_t field_count;
    struct span body; /* must be empty with 204 */
    bool close;       /* say that the connection ends here */
    bool head_only;   /* the answer to HEAD: the body's length is told, the body left out */
};

/* Append a response. Content-Length is always there but with 204; a body without a Content-Type
 * among the fields is "application/json; charset=utf-8". A field with a control character, CR and
 * LF above all, is a bug (CHECK): peers' bytes are checked before they become headers. */
void http_put_response(struct buf *out, const struct http_response *response);
/* Append "100 Continue". */
void http_put_continue(struct buf *out);

#endif
