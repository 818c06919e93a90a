/* rest_fixture.h — for tests: HTTP requests written as text, and their tokens. */
#ifndef SESSION_REST_FIXTURE_H
#define SESSION_REST_FIXTURE_H

#include "session/rest.h"
#include "session/session_fixture.h"

/* Feed a request up to its head, or with `whole` to its end. */
static inline void rest_read(struct http *http, struct span text, bool whole)
{
    struct span all = text;
    http_fini(http);
    enum http_event event;
    do {
        size_t used;
        event = http_feed(http, text, &used);
        text = span_skip(text, used);
        if (event == HTTP_HAVE_HEAD)
            http_allow_body(http, 1 << 20);
    } while (event == HTTP_HAVE_HEAD && whole);
    if (event != (whole ? HTTP_HAVE_REQUEST : HTTP_HAVE_HEAD))
        fail_msg("event %d after %.*s", event, SPAN_ARG(all));
}

/* "METHOD TARGET", headers, and the token in it (resource NULL: none; key NULL: `policy`'s). */
struct rest_request {
    const char *line;    /* "GET /devices/d?api-version=2021-04-12" */
    const char *headers; /* "A: b\r\n…"; NULL: the right Host */
    const char *resource, *key, *policy;
};

static inline void rest_put(const struct setting *t, struct buf *b, const struct rest_request *r)
{
    buf_printf(b, "%s HTTP/1.1\r\n%s", r->line, r->headers ? r->headers : "Host: " HOST "\r\n");
    if (r->resource) {
        buf_text(b, "Authorization: ");
        put_token(t, b, r->resource, r->key, r->policy);
        buf_text(b, "\r\n");
    }
    buf_text(b, "\r\n");
}

#endif
