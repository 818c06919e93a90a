#include "peer.h"

#include "auth/sas.h"
#include "devices.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { READ_MAX = 65536, ANSWER_MS = 10000, HANDSHAKE_S = 20 };

/* ---- connections ---- */

bool peer_dial(struct peer *p, const struct hub *h, uint16_t port, unsigned from)
{
    struct sockaddr_in to = hub_address(h, port), source = {.sin_family = AF_INET};
    int one = 1;
    *p = (struct peer){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (p->fd < 0)
        process_fail("socket: %s", strerror(errno));
    source.sin_addr.s_addr = htonl(from ? 0x7f090000 + from : 0x7f000001);
    setsockopt(p->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(p->fd, (struct sockaddr *)&source, sizeof(source)) == 0 &&
        connect(p->fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return true;
    peer_close(p);
    p->ended = true;
    return false;
}

bool peer_dial_tls(struct peer *p, const struct hub *h, uint16_t port, unsigned from)
{
    static SSL_CTX *context;
    struct timeval patience = {.tv_sec = HANDSHAKE_S};
    if (!context)
        context = SSL_CTX_new(TLS_client_method());
    if (!context || !peer_dial(p, h, port, from))
        return false;
    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    p->ssl = SSL_new(context);
    if (!p->ssl || !SSL_set_fd(p->ssl, p->fd))
        check_no_memory();
    if (SSL_connect(p->ssl) == 1)
        return true;
    peer_close(p);
    p->ended = true;
    return false;
}

void peer_close(struct peer *p)
{
    SSL_free(p->ssl);
    p->ssl = NULL;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    buf_fini(&p->in);
}

static bool lost(struct peer *p)
{
    p->ended = true;
    p->reset |= errno == ECONNRESET;
    return false;
}

static bool send_raw(struct peer *p, struct span bytes)
{
    while (bytes.len) {
        errno = 0;
        ssize_t n = p->ssl ? SSL_write(p->ssl, bytes.data, (int)bytes.len)
                           : send(p->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return lost(p);
        bytes = span_skip(bytes, (size_t)n);
    }
    return true;
}

bool peer_send(struct peer *p, struct span bytes)
{
    if (!p->frames)
        return send_raw(p, bytes);
    struct buf frame = {0};
    put_frame(&frame, 0x82, bytes);
    bool ok = send_raw(p, buf_span(&frame));
    buf_fini(&frame);
    return ok;
}

bool peer_send_text(struct peer *p, const char *text)
{
    return peer_send(p, span_text(text));
}

/* What was answered before an end is still there to be read, the end comes after it. */
void peer_try_send(struct peer *p, struct span bytes)
{
    if (p->fd >= 0 && !p->ended &&
        send(p->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        p->reset |= errno == ECONNRESET;
}

bool peer_receive(struct peer *p, int within_ms)
{
    struct pollfd at = {.fd = p->fd, .events = POLLIN};
    if (p->ended || p->fd < 0 || (!(p->ssl && SSL_pending(p->ssl)) && poll(&at, 1, within_ms) <= 0))
        return false;
    buf_reserve(&p->in, READ_MAX);
    errno = 0;
    ssize_t n = p->ssl ? SSL_read(p->ssl, p->in.data + p->in.len, READ_MAX)
                       : recv(p->fd, p->in.data + p->in.len, READ_MAX, 0);
    if (n <= 0)
        return lost(p);
    p->in.len += (size_t)n;
    return true;
}

int64_t peer_wait_end(struct peer *p, int within_ms)
{
    int64_t began = now_ns(), until = began + within_ms * 1000000LL;
    while (!p->ended && now_ns() < until) {
        peer_receive(p, (int)((until - now_ns()) / 1000000) + 1);
        buf_clear(&p->in);
    }
    return p->ended ? (now_ns() - began) / 1000000 : -1;
}

void peer_drain(struct peer *p)
{
    while (peer_receive(p, 0))
        continue;
}

/* ---- MQTT ---- */

void put_login(struct buf *out, const struct login_as *who)
{
    struct buf id = {0}, user = {0}, resource = {0}, token = {0};
    uint8_t own[32];
    device_key(who->module ? who->module : who->device, own);
    buf_text(&id, who->device);
    buf_printf(&resource, "localhost/devices/%s", who->device);
    if (who->module) {
        buf_printf(&id, "/%s", who->module);
        buf_printf(&resource, "/modules/%s", who->module);
    }
    buf_printf(&user, "localhost/%.*s/?api-version=2021-04-12", SPAN_ARG(buf_span(&id)));
    sas_make(&token, buf_span(&resource), who->key.len ? who->key : span_of(own, sizeof(own)),
             who->expiry_s ? who->expiry_s : time(NULL) + 3600, (struct span){0});
    mqtt_connect_encode(out, &(struct mqtt_connect){.version = MQTT_VERSION_3_1_1,
                                                    .clean_session = who->clean,
                                                    .has_username = true,
                                                    .has_password = true,
                                                    .keep_alive_s = (uint16_t)who->keep_alive_s,
                                                    .client_id = buf_span(&id),
                                                    .username = buf_span(&user),
                                                    .password = buf_span(&token)});
    buf_fini(&id);
    buf_fini(&user);
    buf_fini(&resource);
    buf_fini(&token);
}

int peer_login(struct peer *p, const struct login_as *who)
{
    struct buf out = {0};
    struct mqtt_packet packet;
    bool present;
    uint8_t code;
    put_login(&out, who);
    bool sent = peer_send(p, buf_span(&out));
    buf_fini(&out);
    if (!sent || !peer_packet(p, &packet, ANSWER_MS) || packet.type != MQTT_CONNACK ||
        mqtt_connack_decode(&packet, &present, &code) != OK)
        return -1;
    return code;
}

bool peer_subscribe(struct peer *p)
{
    static const struct mqtt_filter filters[] = {
        {SPAN_INIT("$iothub/twin/res/#"),                      0},
        {SPAN_INIT("$iothub/twin/PATCH/properties/desired/#"), 0}
    };
    struct buf out = {0};
    struct mqtt_packet packet;
    mqtt_subscribe_encode(&out, 1, filters, COUNT(filters));
    bool sent = peer_send(p, buf_span(&out));
    buf_fini(&out);
    return sent && peer_packet(p, &packet, ANSWER_MS) && packet.type == MQTT_SUBACK;
}

bool peer_packet(struct peer *p, struct mqtt_packet *out, int within_ms)
{
    static uint8_t kept[READ_MAX];
    for (int64_t until = now_ns() + within_ms * 1000000LL;;) {
        size_t used, skip = 0;
        if (p->frames && p->in.len >= 2)
            skip = p->in.data[1] == 126 ? 4 : 2; /* the hub masks nothing, and sends no more */
        if (p->in.len > skip &&
            mqtt_decode(span_skip(buf_span(&p->in), skip), READ_MAX, out, &used) == OK) {
            memcpy(kept, out->body.data, out->body.len);
            out->body.data = kept;
            buf_consume(&p->in, skip + used);
            return true;
        }
        int64_t left_ms = (until - now_ns()) / 1000000;
        if (left_ms < 0 || !peer_receive(p, (int)left_ms + 1))
            return false;
    }
}

int peer_report(struct peer *p, const char *patch, int within_ms)
{
    static const struct span answer = SPAN_INIT("$iothub/twin/res/");
    struct buf out = {0};
    struct mqtt_packet packet;
    struct mqtt_publish m = {.topic = SPAN("$iothub/twin/PATCH/properties/reported/?$rid=1"),
                             .payload = span_text(patch)};
    mqtt_publish_encode(&out, &m);
    bool sent = peer_send(p, buf_span(&out));
    buf_fini(&out);
    while (sent && peer_packet(p, &packet, within_ms))
        if (packet.type == MQTT_PUBLISH && mqtt_publish_decode(&packet, &m) == OK &&
            span_starts(m.topic, answer))
            return atoi((const char *)m.topic.data + answer.len);
    return -1;
}

/* ---- HTTP ---- */

void put_frame(struct buf *out, uint8_t first, struct span payload)
{
    static const uint8_t mask[4] = {0x11, 0x22, 0x33, 0x44};
    buf_byte(out, first);
    if (payload.len < 126) {
        buf_byte(out, (uint8_t)(0x80 | payload.len));
    } else {
        buf_byte(out, payload.len < 65536 ? 0xfe : 0xff);
        for (int shift = payload.len < 65536 ? 8 : 56; shift >= 0; shift -= 8)
            buf_byte(out, (uint8_t)(payload.len >> shift));
    }
    buf_put(out, span_of(mask, sizeof(mask)));
    for (size_t i = 0; i < payload.len; i++)
        buf_byte(out, payload.data[i] ^ mask[i % 4]);
}

int peer_http_status(struct peer *p, int within_ms)
{
    for (int64_t until = now_ns() + within_ms * 1000000LL;;) {
        const uint8_t *end = p->in.len ? memmem(p->in.data, p->in.len, "\r\n\r\n", 4) : NULL;
        if (end && p->in.len > 12) {
            int status = atoi((const char *)p->in.data + 9);
            buf_consume(&p->in, (size_t)(end - p->in.data) + 4);
            return status;
        }
        int64_t left_ms = (until - now_ns()) / 1000000;
        if (left_ms < 0 || !peer_receive(p, (int)left_ms + 1))
            return -1;
    }
}

bool peer_upgrade(struct peer *p)
{
    p->frames = peer_send_text(p, "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\n"
                                  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n") &&
                peer_http_status(p, ANSWER_MS) == 101;
    return p->frames;
}

/* ---- the good client ---- */

void good_init(struct good *g, struct hub *h)
{
    char connection[128];
    *g = (struct good){.hub = h, .room = 65536};
    g->took_ns = calloc(g->room, sizeof(*g->took_ns));
    if (!g->took_ns)
        check_no_memory();
    hub_create_identity(h, "good", NULL);
    snprintf(connection, sizeof(connection), "%s/connection-string", h->data);
    service_open(&g->service, hub_address(h, HUB_HTTP), connection);
    if (!peer_dial(&g->device, h, HUB_MQTT, 0) ||
        peer_login(&g->device, &(struct login_as){.device = "good"}) != 0 ||
        !peer_subscribe(&g->device))
        process_fail("the good client cannot connect");
}

void good_fini(struct good *g)
{
    peer_close(&g->device);
    service_fini(&g->service);
    free(g->took_ns);
}

static void took(struct good *g, int64_t since_ns)
{
    if (g->count < g->room)
        g->took_ns[g->count++] = now_ns() - since_ns;
}

void good_round(struct good *g)
{
    char patch[96];
    int64_t at = now_ns();
    snprintf(patch, sizeof(patch), "{\"n\":%zu}", g->count);
    g->failed += peer_report(&g->device, patch, ANSWER_MS) != 204;
    took(g, at);
    snprintf(patch, sizeof(patch), "{\"properties\":{\"desired\":{\"n\":%zu}}}", g->count);
    at = now_ns();
    g->failed += service_call(&g->service, "PATCH", "/twins/good?api-version=2021-04-12",
                              span_text(patch), NULL) != 200;
    took(g, at);
}

void good_run(struct good *g, int64_t ms)
{
    for (int64_t until = now_ns() + ms * 1000000; now_ns() < until; sleep_ms(2))
        good_round(g);
}

double good_p99_ms(struct good *g)
{
    double p99 = (double)percentile(g->took_ns, g->count, 99) / 1e6;
    printf("       %zu good calls, the longest took %.2f ms\n", g->count,
           (double)percentile(g->took_ns, g->count, 100) / 1e6);
    g->count = 0;
    return p99;
}
