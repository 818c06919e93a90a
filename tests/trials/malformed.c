/* Malformed input (trials F21, F22, F24, F25): MQTT, HTTP and WebSocket byte strings that must end
 * their own connection, or be refused on it, and touch nothing else: after each, a good client next
 * to it is answered, and at the end the device that said it all is as it was.
 *
 *   malformed TWINHUB
 */
#include "peer.h"

#include <signal.h>
#include <stdio.h>

enum { END_MS = 10000 };

/* How a connection begins, and what is expected of it. */
enum start { FIRST, KNOWN, HTTP, WS };

static const struct {
    const char *name;
    enum start start; /* FIRST: MQTT's first bytes; KNOWN: after CONNECT; WS: after the upgrade */
    struct span bytes;
    int status; /* of HTTP; else 0: ended without a word, or with CONNACK */
} cases[] = {
#define B(text) SPAN_INIT(text)
  /* clang-format off */
    {"type 0",                           FIRST, B("\x00\x00"), 0},
    {"type 15",                          FIRST, B("\xf0\x00"), 0},
    {"a fifth length byte",              FIRST, B("\x10\xff\xff\xff\xff\x01"), 0},
    {"PINGREQ first",                    FIRST, B("\xc0\x00"), 0},
    {"SUBSCRIBE first",                  FIRST, B("\x82\x06\x00\x01\x00\x01#\x00"), 0},
    {"CONNECT with flags",               FIRST, B("\x11\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"), 0},
    {"CONNECT, reserved flag",           FIRST, B("\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00"), 0},
    {"CONNECT, will QoS 3",              FIRST, B("\x10\x12\x00\x04MQTT\x04\x1e\x00\x3c\x00\x00\x00\x01t\x00\x01m"), 0},
    {"CONNECT, password, no user",       FIRST, B("\x10\x0f\x00\x04MQTT\x04\x42\x00\x3c\x00\x00\x00\x01p"), 0},
    {"CONNECT, protocol MQIsdp 3",       FIRST, B("\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00"), 0},
    {"CONNECT, level 99",                FIRST, B("\x10\x0c\x00\x04MQTT\x63\x02\x00\x3c\x00\x00"), 0},
    {"CONNECT, MQTT 5",                  FIRST, B("\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"), 0},
    {"CONNECT cut short",                FIRST, B("\x10\x05\x00\x04MQT"), 0},
    {"CONNECT, id beyond the packet",    FIRST, B("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\xff\xff"), 0},
    {"CONNECT, id with NUL",             FIRST, B("\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03" "a\x00" "b"), 0},
    {"CONNECT, id a surrogate",          FIRST, B("\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03\xed\xa0\x80"), 0},
    {"CONNECT, id overlong",             FIRST, B("\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02\xc0\x80"), 0},
    {"CONNECT, bytes after",             FIRST, B("\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x00zz"), 0},
    {"CONNECT without a user",           FIRST, B("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"), 0},
    {"TLS to the plain port",            FIRST, B("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"), 0},
    {"HTTP to the MQTT port",            FIRST, B("GET / HTTP/1.1\r\n\r\n"), 0},
    {"an SSH client",                    FIRST, B("SSH-2.0-OpenSSH_9.2\r\n"), 0},

    {"a second CONNECT",                 KNOWN, B("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"), 0},
    {"CONNACK from a client",            KNOWN, B("\x20\x02\x00\x00"), 0},
    {"SUBACK from a client",             KNOWN, B("\x90\x03\x00\x01\x00"), 0},
    {"UNSUBACK from a client",           KNOWN, B("\xb0\x02\x00\x01"), 0},
    {"PINGRESP from a client",           KNOWN, B("\xd0\x00"), 0},
    {"PUBREC",                           KNOWN, B("\x50\x02\x00\x01"), 0},
    {"PUBREL",                           KNOWN, B("\x62\x02\x00\x01"), 0},
    {"PUBCOMP",                          KNOWN, B("\x70\x02\x00\x01"), 0},
    {"PUBREL without its flag",          KNOWN, B("\x60\x02\x00\x01"), 0},
    {"SUBSCRIBE without its flag",       KNOWN, B("\x80\x06\x00\x01\x00\x01#\x00"), 0},
    {"SUBSCRIBE without a filter",       KNOWN, B("\x82\x02\x00\x01"), 0},
    {"SUBSCRIBE with id 0",              KNOWN, B("\x82\x06\x00\x00\x00\x01#\x00"), 0},
    {"SUBSCRIBE with QoS 3",             KNOWN, B("\x82\x06\x00\x01\x00\x01#\x03"), 0},
    {"SUBSCRIBE, an empty filter",       KNOWN, B("\x82\x05\x00\x01\x00\x00\x00"), 0},
    {"SUBSCRIBE cut short",              KNOWN, B("\x82\x05\x00\x01\x00\x09#"), 0},
    {"UNSUBSCRIBE without a filter",     KNOWN, B("\xa2\x02\x00\x01"), 0},
    {"PUBLISH with QoS 2",               KNOWN, B("\x34\x0a\x00\x05topic\x00\x01x"), 0},
    {"PUBLISH with QoS 3",               KNOWN, B("\x36\x0a\x00\x05topic\x00\x01x"), 0},
    {"PUBLISH with packet id 0",         KNOWN, B("\x32\x0a\x00\x05topic\x00\x00x"), 0},
    {"PUBLISH without a topic",          KNOWN, B("\x30\x02\x00\x00"), 0},
    {"PUBLISH to a wildcard",            KNOWN, B("\x30\x03\x00\x01#"), 0},
    {"PUBLISH, topic with NUL",          KNOWN, B("\x30\x05\x00\x03" "a\x00" "b"), 0},
    {"PUBLISH, topic not UTF-8",         KNOWN, B("\x30\x04\x00\x02\xff\xfe"), 0},
    {"PUBLISH, topic beyond the packet", KNOWN, B("\x30\x04\x00\x09" "ab"), 0},
    {"PUBLISH to another device",        KNOWN, B("\x30\x21\x00\x1f" "devices/good/messages/events/a=b"), 0},
    {"PUBLISH to no topic of the hub",   KNOWN, B("\x30\x07\x00\x05topic"), 0},
    {"twin GET without a rid",           KNOWN, B("\x30\x13\x00\x11$iothub/twin/GET/"), 0},
    {"twin DELETE",                      KNOWN, B("\x30\x1d\x00\x1b$iothub/twin/DELETE/?$rid=1"), 0},
    {"PINGREQ with a body",              KNOWN, B("\xc0\x01\x00"), 0},
    {"DISCONNECT with a body",           KNOWN, B("\xe0\x01\x00"), 0},
    {"DISCONNECT with flags",            KNOWN, B("\xe1\x00"), 0},

    {"no HTTP",                          HTTP, B("hello\r\n\r\n"), 400},
    {"HTTP/3.0",                         HTTP, B("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n"), 400},
    {"a bare LF",                        HTTP, B("GET / HTTP/1.1\nHost: localhost\n\n"), 400},
    {"a bare CR",                        HTTP, B("GET / HTTP/1.1\r\nHost: local\rhost\r\n\r\n"), 400},
    {"no Host",                          HTTP, B("GET / HTTP/1.1\r\n\r\n"), 400},
    {"two Hosts",                        HTTP, B("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"), 400},
    {"a blank before the colon",         HTTP, B("GET / HTTP/1.1\r\nHost : localhost\r\n\r\n"), 400},
    {"a folded header",                  HTTP, B("GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n"), 400},
    {"a NUL in a header",                HTTP, B("GET / HTTP/1.1\r\nHost: localhost\r\nA: b\x00" "c\r\n\r\n"), 400},
    {"CL and TE",                        HTTP, B("POST /devices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {"two lengths",                      HTTP, B("POST /devices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"), 400},
    {"a length with a sign",             HTTP, B("POST /devices HTTP/1.1\r\nHost: localhost\r\nContent-Length: +4\r\n\r\nabcd"), 400},
    {"a length in hex",                  HTTP, B("POST /devices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x4\r\n\r\nabcd"), 400},
    {"a length with a list",             HTTP, B("POST /devices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4, 5\r\n\r\nabcd"), 400},
    {"TE not chunked last",              HTTP, B("POST /devices HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), 400},
    {"TE with a tab",                    HTTP, B("POST /devices HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\x0b" "chunked\r\n\r\n0\r\n\r\n"), 400},
    {"a path with %00",                  HTTP, B("GET /devices/a%00b?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 400},
    {"a path not UTF-8, and no token",   HTTP, B("GET /devices/%ff?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 401},
    {"a path cut in an escape",          HTTP, B("GET /devices/%4?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 400},
    {"an upgrade without a key",         HTTP, B("GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"), 400},
    {"an upgrade to another protocol",   HTTP, B("GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), 400},
    {"an upgrade of version 8",          HTTP, B("GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), 400},

    {"an unmasked frame",                WS, B("\x82\x02\xc0\x00"), 0},
    {"a reserved bit",                   WS, B("\xc2\x82\x01\x02\x03\x04\xc1\x02"), 0},
    {"a reserved opcode",                WS, B("\x83\x80\x01\x02\x03\x04"), 0},
    {"a text message",                   WS, B("\x81\x81\x01\x02\x03\x04\x60"), 0},
    {"a long ping",                      WS, B("\x89\xfe\x00\x7e\x01\x02\x03\x04"), 0},
    {"a ping in parts",                  WS, B("\x09\x80\x01\x02\x03\x04"), 0},
    {"a continuation of nothing",        WS, B("\x80\x80\x01\x02\x03\x04"), 0},
    {"a message in a message",           WS, B("\x02\x80\x01\x02\x03\x04\x82\x80\x01\x02\x03\x04"), 0},
    {"a length that is too long a form", WS, B("\x82\xfe\x00\x01\x01\x02\x03\x04\x00"), 0},
    {"a length with its top bit",        WS, B("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01\x01\x02\x03\x04"), 0},
    {"a close of one byte",              WS, B("\x88\x81\x01\x02\x03\x04\x00"), 0},
    {"a close with code 1005",           WS, B("\x88\x82\x00\x00\x00\x00\x03\xed"), 0},
    {"a close reason not UTF-8",         WS, B("\x88\x83\x00\x00\x00\x00\x03\xe8\xff"), 0},
    {"garbage in a frame",               WS, B("\x82\x82\x00\x00\x00\x00\xf0\x00"), 0},
  /* clang-format on */
#undef B
};

static bool begin(struct peer *p, struct hub *h, enum start start)
{
    switch (start) {
    case FIRST:
        return peer_dial(p, h, HUB_MQTT, 0);
    case KNOWN:
        return peer_dial(p, h, HUB_MQTT, 0) &&
               peer_login(p, &(struct login_as){.device = "bad"}) == 0 && peer_subscribe(p);
    case HTTP:
        return peer_dial(p, h, HUB_HTTP, 0);
    case WS:
        if (!peer_dial(p, h, HUB_HTTP, 0) || !peer_upgrade(p))
            return false;
        p->frames = false; /* they are made by hand */
        return true;
    }
    return false;
}

/* The bytes whole, then in two, cut at each place. */
static unsigned run(struct hub *h, struct good *good, size_t at)
{
    size_t len = cases[at].bytes.len, step = len / 5 + 1;
    for (size_t cut = 0; cut < len; cut += step) {
        struct peer p;
        if (!begin(&p, h, cases[at].start))
            process_fail("%s: cannot begin", cases[at].name);
        peer_send(&p, span_first(cases[at].bytes, cut));
        if (cut)
            sleep_ms(2);
        peer_send(&p, span_skip(cases[at].bytes, cut));
        int status = cases[at].status ? peer_http_status(&p, END_MS) : 0;
        int64_t ended = peer_wait_end(&p, END_MS);
        peer_close(&p);
        good_round(good);
        if (ended < 0 || status != cases[at].status) {
            printf("WRONG  %s, cut at %zu: %s, status %d\n", cases[at].name, cut,
                   ended < 0 ? "left open" : "ended", status);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: malformed TWINHUB");
    struct hub hub;
    struct good good;
    struct buf before = {0};
    struct span body;
    static const char twin[] = "/twins/bad?api-version=2021-04-12";
    unsigned wrong = 0;
    hub_create(&hub, argv[1]);
    hub_start(&hub, NULL);
    hub_create_identity(&hub, "bad", NULL);
    good_init(&good, &hub);
    service_call(&hub.service, "GET", twin, (struct span){0}, &body);
    buf_put(&before, body);
    for (size_t i = 0; i < COUNT(cases); i++)
        wrong += run(&hub, &good, i);
    service_call(&hub.service, "GET", twin, (struct span){0}, &body);
    /* All but the activity time, which is what a device's being there changes. */
    static const char after[] = "\"version\"";
    const uint8_t *was = memmem(before.data, before.len, after, strlen(after));
    const uint8_t *is = memmem(body.data, body.len, after, strlen(after));
    bool same = was && is &&
                span_eq(span_of(was, (size_t)(before.data + before.len - was)),
                        span_of(is, (size_t)(body.data + body.len - is)));
    printf("       %zu cases\n", COUNT(cases));
    verdict("cases that were not refused as they should be", wrong, "", 0);
    verdict("good calls that failed", good.failed, "", 0);
    verdict_that("the good client is still connected", !good.device.ended);
    verdict_that("the twin of the device that said it all is as it was", same);
    buf_fini(&before);
    good_fini(&good);
    verdict_that("the hub ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    hub_destroy(&hub);
    return verdict_exit();
}
