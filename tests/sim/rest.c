#include "run.h"

#include "auth/sas.h"

#include <stdio.h>
#include <stdlib.h>

void rest_open(struct run *r, struct rest *c)
{
    c->wire = wire_open(&r->world, LINK_HTTP, (unsigned)run_random(r, 8));
    list_init(&c->line);
    memset(c->floor, 0, sizeof(c->floor));
    c->closing = c->hung_up = c->in_part = false;
    c->sent_ms = r->world.now.mono_ms;
    report_say("rest %llu opens", (unsigned long long)c->wire->number);
}

static void put_token(struct run *r, const struct ask *a, struct buf *out)
{
    char resource[64];
    struct key key;
    if (!key_parse(span_text(a->own_key), &key)) {
        world_token(&r->world, "iothubowner", out);
        return;
    }
    snprintf(resource, sizeof(resource), WORLD_HOST "/devices/%s", a->family->id);
    sas_make(out, span_text(resource), key_span(&key), r->world.now.wall_ms / 1000 + 3600,
             (struct span){0});
}

void rest_write(struct run *r, struct rest *c, struct ask *a, const char *method, const char *path,
                const struct buf *body)
{
    struct buf *out = &c->out;
    bool last = run_chance(r, 24);
    report_say("rest %llu asks %llu: %s %s %.*s%s%s", (unsigned long long)c->wire->number,
               (unsigned long long)a->id, method, path, body->len < 300 ? (int)body->len : 300,
               body->len ? (const char *)body->data : "",
               a->match == MATCH_TAG   ? " if "
               : a->match == MATCH_ANY ? " if any"
                                       : "",
               a->tag);
    buf_printf(out, "%s %s%sapi-version=2021-04-12 HTTP/1.1\r\nHost: " WORLD_HOST "\r\n", method,
               path, strchr(path, '?') ? "&" : "?");
    buf_text(out, "Authorization: ");
    put_token(r, a, out);
    buf_printf(out, "\r\nx-ms-client-request-id: %llu\r\n", (unsigned long long)a->id);
    if (a->match == MATCH_ANY)
        buf_text(out, run_chance(r, 2) ? "If-Match: *\r\n" : "If-Match: \"*\"\r\n");
    if (a->match == MATCH_TAG)
        buf_printf(out, run_chance(r, 2) ? "If-Match: \"%s\"\r\n" : "If-Match: %s\r\n", a->tag);
    if (last)
        buf_text(out, "Connection: close\r\n");
    if (body->len && run_chance(r, 8))
        buf_text(out, "Expect: 100-continue\r\n");
    if (body->len && run_chance(r, 4)) {
        size_t half = body->len / 2;
        buf_printf(out, "Transfer-Encoding: chunked\r\n\r\n");
        if (half) {
            buf_printf(out, "%zx\r\n%.*s\r\n", half, (int)half, (const char *)body->data);
        }
        buf_printf(out, "%zx\r\n%.*s\r\n0\r\n\r\n", body->len - half, (int)(body->len - half),
                   (const char *)body->data + half);
    } else {
        buf_printf(out, "Content-Length: %zu\r\n\r\n", body->len);
        buf_put(out, buf_span(body));
    }
    c->closing |= last;
    a->floor = c->floor;
    LIST_EACH(at, &a->entries)
    {
        CONTAINER_OF(at, struct ask, line)->floor = c->floor;
    }
    list_append(&c->line, &a->line);
}

void rest_flush(struct run *r, struct rest *c, bool all)
{
    if (!c->wire || c->hung_up || c->wire->closed || !c->out.len)
        return;
    size_t n = all || !run_chance(r, 3) ? c->out.len : run_random(r, (unsigned)c->out.len) + 1;
    wire_send(c->wire, span_of(c->out.data, n));
    buf_consume(&c->out, n);
    c->sent_ms = r->world.now.mono_ms;
    if (!c->in_part)
        c->part_ms = c->sent_ms;
    c->in_part = c->out.len > 0;
}

/* ---- answers ---- */

struct response {
    int http;
    struct span head, body;
    size_t len;
};

/* False: it has not all come. */
static bool parse(struct span in, struct response *out)
{
    const uint8_t *end = in.len ? memmem(in.data, in.len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    PROMISE(span_starts(in, SPAN("HTTP/1.1 ")), "no HTTP: %.*s", in.len < 80 ? (int)in.len : 80,
            (const char *)in.data);
    size_t head = (size_t)(end + 4 - in.data);
    out->head = span_of(in.data, head);
    out->http = atoi((const char *)in.data + 9);
    const char *length = memmem(in.data, head, "Content-Length: ", 16);
    size_t len = length ? (size_t)atol(length + 16) : 0;
    if (in.len < head + len)
        return false;
    out->body = span_of(in.data + head, len);
    out->len = head + len;
    return true;
}

static void take(struct run *r, struct rest *c, const struct response *answer)
{
    PROMISE(!list_empty(&c->line), "an answer that nobody asked for: %.*s", SPAN_ARG(answer->head));
    struct ask *a = CONTAINER_OF(c->line.next, struct ask, line);
    const char *id = memmem(answer->head.data, answer->head.len, "x-ms-client-request-id: ", 24);
    bool closes = memmem(answer->head.data, answer->head.len, "Connection: close", 17);
    uint64_t told = id ? strtoull(id + 24, NULL, 10) : a->id;
    PROMISE(told == a->id, "the answer to %llu stands for that to %llu", (unsigned long long)told,
            (unsigned long long)a->id);
    PROMISE(id || a->kind == ASK_REFUSED, "an answer without the id of its question");
    list_remove(&a->line);
    c->closing |= closes;
    model_rest_answer(&r->model, a, answer->http, answer->body);
    c->sent_ms = r->world.now.mono_ms;
}

static bool is_excused(const struct run *r, const struct rest *c)
{
    return r->model.ending || c->closing || c->hung_up;
}

static void lose_all(struct rest *c)
{
    LIST_EACH_SAFE(at, &c->line)
    {
        ask_lose(CONTAINER_OF(at, struct ask, line));
    }
}

bool rest_read(struct run *r, struct rest *c)
{
    bool any = false;
    struct response answer;
    if (!c->wire)
        return false;
    while (parse(buf_span(&c->wire->to_peer), &answer)) {
        any = true;
        if (answer.http != 100)
            take(r, c, &answer);
        buf_consume(&c->wire->to_peer, answer.len);
    }
    if (!c->wire->closed)
        return any;
    PROMISE(is_excused(r, c), "rest %llu was closed without a reason",
            (unsigned long long)c->wire->number);
    report_say("rest %llu is closed", (unsigned long long)c->wire->number);
    lose_all(c);
    wire_drop(c->wire);
    c->wire = NULL;
    buf_clear(&c->out);
    return true;
}

void rest_fini(struct rest *c)
{
    if (c->wire)
        lose_all(c);
    c->wire = NULL;
    buf_fini(&c->out);
}

/* ---- acting ---- */

void rest_act(struct run *r, struct rest *c)
{
    if (!c->wire) {
        rest_open(r, c);
        return;
    }
    unsigned waiting = 0;
    LIST_EACH(at, &c->line)
    {
        waiting++;
    }
    if (c->hung_up || c->wire->closed)
        return;
    if (run_chance(r, 48)) {
        report_say("rest %llu hangs up", (unsigned long long)c->wire->number);
        c->hung_up = true;
        buf_clear(&c->out);
        wire_hang_up(c->wire);
        return;
    }
    if (!c->closing && waiting < REST_LINE_MAX)
        rest_ask(r, c);
    rest_flush(r, c, false);
}
