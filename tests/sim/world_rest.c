/* world_rest.c — a back end's call, from its token to the answer. */
#include "auth/sas.h"
#include "base/test.h"
#include "world.h"

#include <stdlib.h>

void world_token(struct world *w, const char *policy, struct buf *out)
{
    const struct policy *p = policy_find(&w->policies, span_text(policy));
    CHECK(p);
    sas_make(out, SPAN(WORLD_HOST), key_span(&p->keys[0]), w->now.wall_ms / 1000 + 3600,
             span_text(policy));
}

/* The body after the empty line, when all of it is there. */
static bool whole_answer(struct span text, int *status, struct span *body)
{
    const char *end = text.len ? memmem(text.data, text.len, "\r\n\r\n", 4) : NULL;
    if (!end || text.len < 12)
        return false;
    *status = atoi((const char *)text.data + 9);
    size_t head = (size_t)(end + 4 - (const char *)text.data);
    const char *length = memmem(text.data, head, "Content-Length: ", 16);
    size_t len = length ? (size_t)atol(length + 16) : 0;
    *body = span_of(text.data + head, len);
    return text.len >= head + len;
}

int world_rest(struct world *w, const char *method, const char *path, const char *headers,
               struct span json, struct buf *body)
{
    struct wire *wire = wire_open(w, LINK_HTTP, (unsigned)test_random(&w->seed));
    struct buf request = {0};
    buf_printf(&request, "%s %s%sapi-version=2021-04-12 HTTP/1.1\r\nHost: " WORLD_HOST "\r\n",
               method, path, strchr(path, '?') ? "&" : "?");
    if (!headers || !strstr(headers, "Authorization:")) {
        buf_text(&request, "Authorization: ");
        world_token(w, "iothubowner", &request);
        buf_text(&request, "\r\n");
    }
    buf_printf(&request, "%sContent-Length: %zu\r\n\r\n", headers ? headers : "", json.len);
    buf_put(&request, json);
    wire_send(wire, buf_span(&request));
    buf_fini(&request);
    int status = 0;
    struct span answer = {0};
    for (int i = 0; i < 10000 && !whole_answer(buf_span(&wire->to_peer), &status, &answer); i++) {
        world_step(w);
        if (w->options.manual_sync)
            world_sync(w);
    }
    if (body)
        buf_put(body, answer);
    wire_drop(wire);
    return status;
}
