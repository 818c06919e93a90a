/* Huge packets (trials F20): what declares itself too long is refused by its header, before it is
 * buffered: each MQTT packet type, as the first packet and after CONNECT, on plain MQTT, TLS and
 * WebSocket; HTTP bodies by length and by chunk; header blocks; WebSocket frames.
 *
 *   huge TWINHUB
 */
#include "peer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PUSH_MAX = 8 << 20, /* bytes that are pushed after the header */
    CLOSE_MS = 5000,    /* how long the end is waited for */
    GROWTH_MB = 25,
    LIMIT_MS = 100
};

struct trial {
    struct hub hub;
    struct hub_memory before;
    int64_t virtual_max, anonymous_max; /* growth */
    int64_t took_ms[1024];
    size_t count;
    unsigned left_open, wrong_status;
};

static void sample(struct trial *t)
{
    struct hub_memory now = hub_memory(&t->hub);
    if (now.virtual - t->before.virtual > t->virtual_max)
        t->virtual_max = now.virtual - t->before.virtual;
    if (now.anonymous - t->before.anonymous > t->anonymous_max)
        t->anonymous_max = now.anonymous - t->before.anonymous;
}

/* Push zeros until the hub ends the connection; count how long it took from the first byte on. */
static void push_and_wait(struct trial *t, struct peer *p, const char *name)
{
    static const uint8_t zeros[65536];
    int64_t began = now_ns();
    for (size_t sent = 0; sent < PUSH_MAX && !p->ended; sent += sizeof(zeros)) {
        if (p->ssl || p->frames)
            peer_send(p, span_of(zeros, 4096));
        else
            peer_try_send(p, span_of(zeros, sizeof(zeros)));
        if (peer_receive(p, 1))
            buf_clear(&p->in);
    }
    sample(t);
    if (!p->ended && peer_wait_end(p, CLOSE_MS) < 0) {
        printf("WRONG  %s: left open\n", name);
        t->left_open++;
    }
    t->took_ms[t->count++ % COUNT(t->took_ms)] = (now_ns() - began) / 1000000;
    peer_close(p);
}

/* ---- MQTT ---- */

enum way { PLAIN, TLS, WEBSOCKET, WAYS };
static const char *const ways[] = {"MQTT", "MQTT over TLS", "MQTT over WebSocket"};

static void dial(struct trial *t, struct peer *p, enum way way)
{
    bool ok = way == PLAIN ? peer_dial(p, &t->hub, HUB_MQTT, 0)
              : way == TLS ? peer_dial_tls(p, &t->hub, HUB_MQTTS, 0)
                           : peer_dial(p, &t->hub, HUB_HTTP, 0) && peer_upgrade(p);
    if (!ok)
        process_fail("the hub does not accept %s", ways[way]);
}

static void huge_packet(struct trial *t, enum way way, uint8_t type, bool first)
{
    struct peer p;
    char name[96];
    bool flagged = type == MQTT_PUBREL || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE;
    const uint8_t header[] = {(uint8_t)(type << 4 | (flagged ? 2 : 0)), 0xff, 0xff, 0xff, 0x7f};
    snprintf(name, sizeof(name), "%s, type %u, %s", ways[way], type,
             first ? "first" : "after CONNECT");
    dial(t, &p, way);
    if (!first && peer_login(&p, &(struct login_as){.device = "huge"}) != 0)
        process_fail("%s: no CONNACK", name);
    peer_send(&p, span_of(header, sizeof(header)));
    push_and_wait(t, &p, name);
}

/* A frame of which the length is all that is too much. */
static void huge_frame(struct trial *t)
{
    static const uint8_t header[] = {0x82, 0xff, 0, 0, 0, 0, 0x0f, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    struct peer p;
    dial(t, &p, WEBSOCKET);
    p.frames = false;
    peer_send(&p, span_of(header, sizeof(header)));
    push_and_wait(t, &p, "a huge WebSocket frame");
}

/* ---- HTTP ---- */

static void huge_request(struct trial *t, const char *name, const char *head, int want)
{
    struct peer p;
    struct buf text = {0};
    if (!peer_dial(&p, &t->hub, HUB_HTTP, 0))
        process_fail("the hub does not accept");
    buf_printf(&text,
               "PUT /devices/huge?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\n"
               "Authorization: %.*s\r\n%s",
               SPAN_ARG(buf_span(&t->hub.service.token)), head);
    peer_send(&p, buf_span(&text));
    buf_fini(&text);
    int got = peer_http_status(&p, CLOSE_MS);
    if (got != want) {
        printf("WRONG  %s: %d\n", name, got);
        t->wrong_status++;
    }
    push_and_wait(t, &p, name);
}

/* A header block without an end. */
static void huge_head(struct trial *t)
{
    struct peer p;
    int64_t began = now_ns();
    if (!peer_dial(&p, &t->hub, HUB_HTTP, 0))
        process_fail("the hub does not accept");
    peer_send_text(&p, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 4096 && !p.ended; i++) {
        char line[256];
        snprintf(line, sizeof(line), "X-%d: %0200d\r\n", i, 0);
        peer_try_send(&p, span_text(line));
        if (peer_receive(&p, 0))
            break; /* its answer, which a reset could take away later */
    }
    sample(t);
    int got = peer_http_status(&p, CLOSE_MS);
    t->wrong_status += got != 431;
    if (got != 431)
        printf("WRONG  a header block without an end: %d\n", got);
    t->left_open += peer_wait_end(&p, CLOSE_MS) < 0;
    t->took_ms[t->count++] = (now_ns() - began) / 1000000;
    peer_close(&p);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: huge TWINHUB");
    static struct trial t;
    hub_create(&t.hub, argv[1]);
    hub_start(&t.hub, NULL);
    hub_create_identity(&t.hub, "huge", NULL);
    for (enum way way = PLAIN; way < WAYS; way++) /* what each costs for the first time */
        huge_packet(&t, way, MQTT_PUBLISH, false);
    t.before = hub_memory(&t.hub);
    t.virtual_max = t.anonymous_max = 0;
    t.count = 0;
    for (enum way way = PLAIN; way < WAYS; way++)
        for (unsigned type = MQTT_CONNECT; type <= MQTT_DISCONNECT; type++)
            for (int first = 0; first < 2; first++)
                huge_packet(&t, way, (uint8_t)type, first);
    huge_frame(&t);
    huge_request(&t, "a body of 10 GB", "Content-Length: 10737418240\r\n\r\n", 413);
    huge_request(&t, "a body beyond 64 bits", "Content-Length: 99999999999999999999\r\n\r\n", 400);
    huge_request(&t, "a chunk of 4 GB", "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", 413);
    huge_request(&t, "a chunk beyond 64 bits",
                 "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400);
    huge_head(&t);
    verdict("connections left open", t.left_open, "", 0);
    verdict("refused otherwise than they should be", t.wrong_status, "", 0);
    verdict("address space grown by", (double)t.virtual_max / 1048576, "MiB", GROWTH_MB);
    verdict("memory grown by", (double)t.anonymous_max / 1048576, "MiB", GROWTH_MB);
    verdict("from the header to the end, p50", (double)percentile(t.took_ms, t.count, 50), "ms",
            LIMIT_MS);
    verdict("from the header to the end, p95", (double)percentile(t.took_ms, t.count, 95), "ms",
            3 * LIMIT_MS);
    verdict_that("the hub ends with exit code 0", hub_end(&t.hub, SIGTERM) == 0);
    hub_destroy(&t.hub);
    return verdict_exit();
}
