/* A thousand hostile clients at once (trials F20 to F25): garbage, half packets, headers without an
 * end, huge frames, what is not UTF-8, QoS 2, requests whose answers nobody reads. Whoever is
 * closed comes back; then all go, and the same comes once more. The hub's memory stays bounded, and
 * a good client is served.
 *
 *   hostile TWINHUB [CLIENTS] [SECONDS]
 */
#include "peer.h"

#include "base/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CLIENT_KB = 64, /* a client's share before it is known; trials, section 3, number 6 */
    MARGIN_MS = 50, /* of the good client's p99, above twice the idle one … */
    BUSY_MS = 200,  /* … beside other tests */
    KEPT_MB = 32,   /* more when the second herd has gone than when the first had */
    GONE_MS = 2500, /* lingering ones too */
    STEP = 16       /* clients that speak between two rounds of the good one */
};

struct hostile {
    struct peer peer;
    unsigned lives;
    bool known; /* has sent what comes first */
};

struct herd {
    struct hub *hub;
    struct hostile *all;
    size_t count;
    uint64_t seed, endings;
};

static void put_garbage(struct buf *out, uint64_t *seed, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_byte(out, (uint8_t)test_random(seed));
}

static void put_requests(struct buf *out, const struct hub *h, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        buf_printf(out,
                   "GET /twins/good?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\n"
                   "Authorization: %.*s\r\n\r\n",
                   SPAN_ARG(buf_span(&h->service.token)));
}

static void put_first(struct buf *out, const char *device)
{
    put_login(out, &(struct login_as){.device = device});
}

enum { KINDS = 12 };

static uint16_t port_of(size_t kind)
{
    static const uint16_t ports[KINDS] = {HUB_MQTT, HUB_HTTP, HUB_MQTTS, HUB_MQTT,
                                          HUB_HTTP, HUB_HTTP, HUB_HTTP,  HUB_MQTT,
                                          HUB_MQTT, HUB_MQTT, HUB_HTTP,  HUB_HTTPS};
    return ports[kind];
}

/* What a client of this kind says next. */
static void put_words(struct herd *herd, size_t kind, bool first, struct buf *out)
{
    static const uint8_t half[] = {0x10, 0xff, 0xff, 0x0f, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xc2};
    static const uint8_t not_utf8[] = {0x30, 6, 0, 4, 0xf5, 0x80, 0x80, 0x80};
    static const uint8_t qos2[] = {0x34, 10, 0, 5, 't', 'o', 'p', 'i', 'c', 0, 1, 'x'};
    static const uint8_t frame[] = {0x82, 0xff, 0, 0, 0, 0, 0, 4, 0xff, 0xff, 0, 0, 0, 0};
    switch (kind) {
    case 0:
    case 1:
    case 2: /* garbage to MQTT, HTTP, TLS */
        put_garbage(out, &herd->seed, 64 + test_random(&herd->seed) % 4096);
        return;
    case 3: /* half a CONNECT, then a little more, as long as it is let */
        if (first)
            buf_put(out, span_of(half, sizeof(half)));
        put_garbage(out, &herd->seed, 4096);
        return;
    case 4: /* headers without an end */
        if (first)
            buf_text(out, "GET /devices HTTP/1.1\r\nHost: localhost\r\n");
        buf_printf(out, "X-%u: %01000d\r\n", (unsigned)test_random(&herd->seed), 0);
        return;
    case 5: /* requests whose answers nobody reads */
        put_requests(out, herd->hub, 20);
        return;
    case 6: /* a huge WebSocket frame */
        if (first)
            buf_text(out, "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\n"
                          "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        else
            buf_put(out, span_of(frame, sizeof(frame)));
        put_garbage(out, &herd->seed, first ? 0 : 4096);
        return;
    case 7: /* known, then what is not UTF-8 */
        if (first)
            put_first(out, "hostile7");
        else
            buf_put(out, span_of(not_utf8, sizeof(not_utf8)));
        return;
    case 8: /* known, then QoS 2 */
        if (first)
            put_first(out, "hostile8");
        else
            buf_put(out, span_of(qos2, sizeof(qos2)));
        return;
    case 9: /* unknown devices with tokens that look right */
        put_first(out, "nobody");
        return;
    case 10: /* a chunked body without an end, unauthorised */
        if (first)
            buf_text(out, "POST /devices?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n");
        buf_text(out, "400;");
        put_garbage(out, &herd->seed, 1024);
        return;
    default: /* a TLS hello that breaks off */
        buf_put(out, SPAN("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
        put_garbage(out, &herd->seed, 100);
        return;
    }
}

static void act(struct herd *herd, size_t i)
{
    struct hostile *c = &herd->all[i];
    size_t kind = i % KINDS;
    if (c->lives && !c->peer.ended && kind != 5) { /* that one never reads */
        peer_drain(&c->peer);
        buf_clear(&c->peer.in);
    }
    if (!c->lives || c->peer.ended) {
        herd->endings += c->lives > 0;
        if (c->lives)
            peer_close(&c->peer);
        c->lives++;
        c->known = false;
        if (!peer_dial(&c->peer, herd->hub, port_of(kind), 1 + (unsigned)(i / 50)))
            return;
    }
    struct buf out = {0};
    put_words(herd, kind, !c->known, &out);
    c->known = true;
    peer_try_send(&c->peer, buf_span(&out));
    buf_fini(&out);
}

/* They come, and go: the most memory that the hub had meanwhile. */
static int64_t storm(struct herd *herd, struct good *good, int64_t length_ns)
{
    int64_t most = 0, until = now_ns() + length_ns;
    for (size_t i = 0; now_ns() < until; i++) {
        act(herd, i % herd->count);
        if (i % STEP == 0)
            good_round(good);
        int64_t memory = i % 500 == 0 ? hub_memory(herd->hub).anonymous : 0;
        most = memory > most ? memory : most;
    }
    printf("       %zu clients came back %llu times; %lld connections at the end\n", herd->count,
           (unsigned long long)herd->endings,
           (long long)hub_metric(herd->hub, "twinhub_connections"));
    for (size_t i = 0; i < herd->count; i++)
        if (herd->all[i].lives)
            peer_close(&herd->all[i].peer);
    memset(herd->all, 0, herd->count * sizeof(*herd->all));
    sleep_ms(GONE_MS);
    return most;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: hostile TWINHUB [CLIENTS] [SECONDS]");
    struct hub hub;
    struct good good;
    struct herd herd = {
        .hub = &hub, .count = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000, .seed = 21};
    int64_t length_ns = (argc > 3 ? strtoll(argv[3], NULL, 10) : 8) * 1000000000;
    process_raise_files();
    hub_create(&hub, argv[1]);
    hub_start(&hub, NULL);
    hub_create_identity(&hub, "hostile7", NULL);
    hub_create_identity(&hub, "hostile8", NULL);
    good_init(&good, &hub);
    good_run(&good, 1000);
    double idle = good_p99_ms(&good);
    herd.all = calloc(herd.count, sizeof(*herd.all));
    if (!herd.all)
        process_fail("no memory");
    int64_t before = hub_memory(&hub).anonymous;
    int64_t most = storm(&herd, &good, length_ns / 2), kept = hub_memory(&hub).anonymous;
    int64_t most_again = storm(&herd, &good, length_ns / 2);
    most = most_again > most ? most_again : most;
    verdict("memory beside them", (double)(most - before) / 1048576, "MiB",
            (double)herd.count * CLIENT_KB / 1024);
    printf("       %.2f MiB of it are still the heap's when the first herd has gone\n",
           (double)(kept - before) / 1048576);
    verdict("memory kept after the second herd",
            (double)(hub_memory(&hub).anonymous - kept) / 1048576, "MiB", KEPT_MB);
    printf("       good client's p99 when idle %.2f ms\n", idle);
    verdict("good client's p99 beside them", good_p99_ms(&good), "ms",
            2 * idle + (argc > 2 ? MARGIN_MS : BUSY_MS));
    verdict("good calls that failed", good.failed, "", 0);
    verdict_that("the good client is still connected", !good.device.ended);
    good_fini(&good);
    verdict_that("the hub ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    hub_destroy(&hub);
    free(herd.all);
    return verdict_exit();
}
