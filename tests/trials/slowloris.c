/* Peers that speak one byte at a time (trials F17), in each phase a connection has before somebody
 * is known: the phase's deadline ends them, and good clients do not notice.
 *
 *   slowloris TWINHUB tls|all [PEERS]      tls takes 12 s, all 66 s
 */
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    DRIP_MS = 500,    /* between two bytes of a peer, or longer: */
    DRIPS_MAX = 3000, /* a second, of all */
    GRACE_MS = 5000,  /* beyond the deadline */
    MARGIN_MS = 10,   /* of the good clients' p99 … */
    BUSY_MS = 100,    /* … beside other tests */
    STEP_MS = 5,
    EVENTS = 256,
};

enum phase { TLS_HELLO, WSS_HELLO, HEADERS, UPGRADE, CONNECT, SILENT, WS_CONNECT, BODY, PHASES };

static const struct {
    const char *name;
    uint16_t port;
    int limit_ms;
    const char *drip; /* over and over */
} phases[] = {
    [TLS_HELLO] = {"TLS hello to MQTT",           HUB_MQTTS, 10000, "\x01"           },
    [WSS_HELLO] = {"TLS hello to HTTPS",          HUB_HTTPS, 10000, "\x01"           },
    [HEADERS] = {"HTTP headers",                HUB_HTTP,  30000, "X-Slow: 1\r\n"  },
    [UPGRADE] = {"headers of an upgrade",       HUB_HTTP,  30000, "X-Slower: 1\r\n"},
    [CONNECT] = {"CONNECT",                     HUB_MQTT,  30000, "x"              },
    [SILENT] = {"not a byte to MQTT",          HUB_MQTT,  30000, ""               },
    [WS_CONNECT] = {"CONNECT in WebSocket frames", HUB_HTTP,  30000, "x"              },
    [BODY] = {"HTTP body",                   HUB_HTTP,  60000, " "              },
};

struct slow {
    struct peer peer;
    enum phase phase;
    int64_t since_ns, ended_ns;
    size_t at;
};

/* What goes at once, before the dripping. */
static void begin(struct slow *s, struct hub *h, unsigned from)
{
    static const uint8_t hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
    static const uint8_t connect[] = {0x10, 0xf4, 3,    0, 4,  'M', 'Q', 'T',
                                      'T',  4,    0xc2, 0, 60, 1,   0xe0};
    s->since_ns = now_ns();
    if (!peer_dial(&s->peer, h, phases[s->phase].port, from))
        process_fail("the hub does not accept");
    switch (s->phase) {
    case TLS_HELLO:
    case WSS_HELLO:
        peer_send(&s->peer, span_of(hello, sizeof(hello)));
        break;
    case HEADERS:
        peer_send_text(&s->peer, "GET /devices HTTP/1.1\r\n");
        break;
    case UPGRADE:
        peer_send_text(&s->peer, "GET /$iothub/websocket HTTP/1.1\r\nUpgrade: websocket\r\n");
        break;
    case CONNECT:
        peer_send(&s->peer, span_of(connect, sizeof(connect)));
        break;
    case WS_CONNECT:
        if (!peer_upgrade(&s->peer))
            process_fail("no upgrade");
        peer_send(&s->peer, span_of(connect, sizeof(connect)));
        break;
    case BODY:
        peer_send_text(&s->peer, "PUT /devices/slow?api-version=2021-04-12 HTTP/1.1\r\n"
                                 "Host: localhost\r\nContent-Length: 4000\r\nAuthorization: ");
        peer_send(&s->peer, buf_span(&h->service.token));
        peer_send_text(&s->peer, "\r\n\r\n");
        break;
    case SILENT:
    case PHASES:
        break;
    }
}

static void drip(struct slow *s)
{
    const char *text = phases[s->phase].drip;
    struct span byte = span_text(text);
    if (!byte.len || s->ended_ns)
        return;
    byte = span_of(byte.data + s->at++ % byte.len, 1);
    if (s->peer.frames) {
        struct buf frame = {0};
        put_frame(&frame, 0x82, byte);
        peer_try_send(&s->peer, buf_span(&frame));
        buf_fini(&frame);
    } else {
        peer_try_send(&s->peer, byte);
    }
}

/* There is something to read, or the end: is it that? */
static bool look(struct slow *s, int epoll)
{
    peer_drain(&s->peer);
    if (!s->peer.ended)
        return false;
    s->ended_ns = now_ns();
    epoll_ctl(epoll, EPOLL_CTL_DEL, s->peer.fd, NULL);
    return true;
}

static void watch(struct slow *s, int epoll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->peer.fd, &event) != 0)
        process_fail("epoll_ctl: %s", strerror(errno));
}

static void judge(const struct slow *all, size_t count, enum phase phase)
{
    int64_t first = INT64_MAX, last = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].phase != phase)
            continue;
        int64_t ms = all[i].ended_ns ? (all[i].ended_ns - all[i].since_ns) / 1000000 : INT32_MAX;
        first = ms < first ? ms : first;
        last = ms > last ? ms : last;
    }
    char claim[80];
    snprintf(claim, sizeof(claim), "%s: nobody is cut off early (%lld ms)", phases[phase].name,
             (long long)first);
    verdict_that(claim, first >= phases[phase].limit_ms - 100);
    snprintf(claim, sizeof(claim), "%s: the last is closed after", phases[phase].name);
    verdict(claim, (double)last, "ms", phases[phase].limit_ms + GRACE_MS);
}

/* One drips after the other, evenly. What costs the hub little must cost us little too: the good
 * client is on the same cores. */
static void press(struct slow *all, size_t count, int ms)
{
    size_t next = 0, ended = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++)
        watch(&all[i], epoll);
    int64_t gap_ns = DRIP_MS * 1000000LL / (int64_t)count;
    gap_ns = gap_ns < 1000000000 / DRIPS_MAX ? 1000000000 / DRIPS_MAX : gap_ns;
    int64_t began = now_ns(), dripped = began;
    while (ended < count && now_ns() - began < ms * 1000000LL) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, STEP_MS);
        for (int i = 0; i < n; i++)
            ended += look(events[i].data.ptr, epoll);
        for (; dripped + gap_ns <= now_ns(); dripped += gap_ns, next = (next + 1) % count)
            drip(&all[next]);
    }
    close(epoll);
}

/* The good client knows nothing of the others. */
struct good_one {
    struct good of;
    pthread_t thread;
    atomic_bool done;
};

static void *be_good(void *arg)
{
    struct good_one *g = arg;
    while (!atomic_load(&g->done))
        good_run(&g->of, 50);
    return NULL;
}

static void good_begin(struct good_one *g)
{
    if (pthread_create(&g->thread, NULL, be_good, g) != 0)
        process_fail("no thread");
}

static void good_end(struct good_one *g)
{
    atomic_store(&g->done, true);
    pthread_join(g->thread, NULL);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        process_fail("usage: slowloris TWINHUB tls|all [PEERS]");
    unsigned phase_count = strcmp(argv[2], "all") == 0 ? PHASES : 2;
    size_t count = (argc > 3 ? strtoul(argv[3], NULL, 10) : 50) * phase_count;
    struct slow *all = calloc(count, sizeof(*all));
    struct hub hub;
    struct good_one good = {0};
    if (!all)
        process_fail("no memory");
    process_raise_files();
    hub_create(&hub, argv[1]);
    hub_start(&hub, NULL);
    good_init(&good.of, &hub);
    good_run(&good.of, 1000);
    double idle = good_p99_ms(&good.of);
    for (size_t i = 0; i < count; i++) {
        all[i].phase = (enum phase)(i % phase_count);
        begin(&all[i], &hub, 1 + (unsigned)(i / 200));
    }
    good_begin(&good);
    press(all, count, phases[phase_count - 1].limit_ms + 2 * GRACE_MS);
    good_end(&good);
    for (unsigned phase = 0; phase < phase_count; phase++)
        judge(all, count, (enum phase)phase);
    printf("       good clients' p99 when idle %.2f ms\n", idle);
    verdict("good clients' p99 beside them", good_p99_ms(&good.of), "ms",
            2 * idle + (phase_count == PHASES ? MARGIN_MS : BUSY_MS));
    verdict("good calls that failed", good.of.failed, "", 0);
    for (size_t i = 0; i < count; i++)
        peer_close(&all[i].peer);
    good_fini(&good.of);
    verdict_that("the hub ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    hub_destroy(&hub);
    free(all);
    return verdict_exit();
}
