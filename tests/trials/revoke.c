/* Connections whose right to be there ends (trials F29): the token expires (without grace), the
 * key is rotated, the device is disabled, the device is deleted, while it writes all the time. Each
 * is closed within seconds and nothing is acknowledged after; what has the other key stays. Plain
 * MQTT, TLS and WebSocket take turns.
 *
 *   revoke TWINHUB [DEVICES]      so many for each event
 */
#include "peer.h"

#include "base/text.h"
#include "devices.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    P99_MS = 5000,
    MAX_MS = 10000,
    WATCH_MS = 12000,     /* after the last event */
    SAY_MS = 100,         /* between two patches of a device */
    EXPIRE_S = 4,         /* after the last login, or later */
    LOGINS_A_SECOND = 50, /* at the least */
};

enum event { EXPIRED, ROTATED, DISABLED, DELETED, KEPT, EVENTS };
static const char *const events[] = {"expired token", "rotated key", "disabled device",
                                     "deleted device", "rotated other key"};

enum transport { PLAIN, TLS, WEBSOCKET, TRANSPORTS };

struct target {
    struct peer peer;
    enum event event;
    enum transport transport;
    char id[32];
    int64_t event_ns, ended_ns, said_ns;
    unsigned said;   /* patches */
    unsigned barred; /* the first one that may not be acknowledged; 0: not yet */
    unsigned wrongly_acked;
};

static int64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void put_key(struct buf *b, const char *id, uint8_t first)
{
    uint8_t key[32];
    device_key(id, key);
    key[0] = first ? first : key[0];
    text_put_base64(b, span_of(key, sizeof(key)));
}

/* A call on the device; `any` says that it is there, whatever its etag. */
static void call(struct target *t, struct hub *h, const char *method, bool any, struct span body)
{
    static const char header[] = "\r\nIf-Match: *"; /* after the token, which is a header's end */
    struct service *s = &h->service;
    struct span answer;
    char path[96];
    snprintf(path, sizeof(path), "/devices/%s?api-version=2021-04-12", t->id);
    size_t len = s->token.len;
    if (any)
        buf_text(&s->token, header);
    int http = service_call(s, method, path, body, &answer);
    s->token.len = len;
    if (http != 200 && http != 204)
        process_fail("%s %s: %d %.*s", method, path, http, SPAN_ARG(span_first(answer, 300)));
}

/* The device as it shall be: its keys' first characters (0: as device_key) and status. */
static void put_device(struct target *t, struct hub *h, const uint8_t first[2], bool enabled)
{
    struct buf body = {0};
    buf_printf(&body, "{\"deviceId\":\"%s\",\"status\":\"%s\",\"authentication\":{", t->id,
               enabled ? "enabled" : "disabled");
    buf_text(&body, "\"type\":\"sas\",\"symmetricKey\":{\"primaryKey\":\"");
    put_key(&body, t->id, first[0]);
    buf_text(&body, "\",\"secondaryKey\":\"");
    put_key(&body, t->id, first[1]);
    buf_text(&body, "\"}}}");
    call(t, h, "PUT", t->event_ns != 0, buf_span(&body));
    buf_fini(&body);
}

static bool dial(struct target *t, const struct hub *h)
{
    switch (t->transport) {
    case PLAIN:
        return peer_dial(&t->peer, h, HUB_MQTT, 0);
    case TLS:
        return peer_dial_tls(&t->peer, h, HUB_MQTTS, 0);
    case WEBSOCKET:
        return peer_dial(&t->peer, h, HUB_HTTP, 0) && peer_upgrade(&t->peer);
    case TRANSPORTS:
        break;
    }
    return false;
}

/* `expiry_s` is for those whose token shall expire. It stays good for new connections for five
 * minutes more, since clocks differ; the connection that is there ends. */
static void begin(struct target *t, struct hub *h, int64_t expiry_s)
{
    uint8_t key[32];
    device_key(t->id, key);
    if (t->event == KEPT)
        key[0] = 'B';
    struct login_as who = {.device = t->id,
                           .key = span_of(key, sizeof(key)),
                           .expiry_s = t->event == EXPIRED ? expiry_s : 0};
    if (!dial(t, h) || peer_login(&t->peer, &who) != 0 || !peer_subscribe(&t->peer))
        process_fail("%s cannot connect", t->id);
    if (t->event == EXPIRED)
        t->event_ns = now_ns() + expiry_s * 1000000000 - wall_ns();
}

static void happen(struct target *t, struct hub *h)
{
    switch (t->event) {
    case EXPIRED:
        return;
    case ROTATED:
    case KEPT: /* the primary key; this one uses the secondary */
        put_device(t, h, (const uint8_t[]){'C', 'B'}, true);
        break;
    case DISABLED:
        put_device(t, h, (const uint8_t[]){0, 'B'}, false);
        break;
    case DELETED:
        call(t, h, "DELETE", true, (struct span){0});
        break;
    case EVENTS:
        break;
    }
    t->event_ns = now_ns();
    t->barred = t->said + 1; /* the answer was: it is so from now on */
}

static bool all_closed(const struct target *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (all[i].event != KEPT && !all[i].ended_ns)
            return false;
    return true;
}

/* Send a patch when it is time, take what came. Each patch's rid is its number. */
static void talk(struct target *t)
{
    static const struct span answer = SPAN_INIT("$iothub/twin/res/204/?$rid=");
    struct mqtt_packet packet;
    if (t->ended_ns)
        return;
    if (t->event == EXPIRED && !t->barred && now_ns() > t->event_ns + P99_MS * INT64_C(1000000))
        t->barred = t->said + 1;
    if (now_ns() - t->said_ns > SAY_MS * INT64_C(1000000)) {
        struct buf out = {0};
        char topic[80];
        snprintf(topic, sizeof(topic), "$iothub/twin/PATCH/properties/reported/?$rid=%u",
                 ++t->said);
        mqtt_publish_encode(
            &out, &(struct mqtt_publish){.topic = span_text(topic), .payload = SPAN("{\"a\":1}")});
        if (!peer_send(&t->peer, buf_span(&out)))
            t->ended_ns = now_ns();
        buf_fini(&out);
        t->said_ns = now_ns();
    }
    peer_drain(&t->peer);
    for (struct mqtt_publish m; peer_packet(&t->peer, &packet, -1);)
        if (packet.type == MQTT_PUBLISH && mqtt_publish_decode(&packet, &m) == OK &&
            span_starts(m.topic, answer) && t->event != KEPT && t->barred)
            t->wrongly_acked +=
                strtoul((const char *)m.topic.data + answer.len, NULL, 10) >= t->barred;
    if (t->peer.ended)
        t->ended_ns = now_ns();
}

static void judge(struct target *all, size_t count, enum event event)
{
    static int64_t took_ms[10000];
    size_t n = 0, left = 0, wrong = 0;
    char claim[80];
    for (size_t i = 0; i < count; i++) {
        if (all[i].event != event)
            continue;
        left += all[i].ended_ns == 0;
        wrong += all[i].wrongly_acked;
        took_ms[n++] = all[i].ended_ns ? (all[i].ended_ns - all[i].event_ns) / 1000000 : INT32_MAX;
    }
    if (event == KEPT) {
        verdict_that("those with the other key stay", left == n);
        return;
    }
    snprintf(claim, sizeof(claim), "%s: closed after, p99", events[event]);
    verdict(claim, (double)percentile(took_ms, n, 99), "ms", P99_MS);
    snprintf(claim, sizeof(claim), "%s: closed after, max", events[event]);
    verdict(claim, (double)percentile(took_ms, n, 100), "ms", MAX_MS);
    snprintf(claim, sizeof(claim), "%s: acknowledgements after", events[event]);
    verdict(claim, (double)wrong, "", 0);
}

int main(int argc, char **argv)
{
    static const char *const settings[] = {"--token-grace", "0", NULL};
    if (argc < 2)
        process_fail("usage: revoke TWINHUB [DEVICES]");
    size_t count = EVENTS * (argc > 2 ? strtoul(argv[2], NULL, 10) : 40);
    struct target *all = calloc(count, sizeof(*all));
    struct hub hub;
    if (!all)
        process_fail("no memory");
    process_raise_files();
    hub_create(&hub, argv[1]);
    hub_start(&hub, settings);
    for (size_t i = 0; i < count; i++) {
        all[i].event = (enum event)(i % EVENTS);
        all[i].transport = (enum transport)(i / EVENTS % TRANSPORTS);
        device_id("rev", (uint32_t)i, all[i].id);
        put_device(&all[i], &hub, (const uint8_t[]){0, 'B'}, true);
        all[i].event_ns = now_ns(); /* it is there now */
    }
    int64_t expiry_s = time(NULL) + EXPIRE_S + (int64_t)count / LOGINS_A_SECOND;
    for (size_t i = 0; i < count; i++)
        begin(&all[i], &hub, expiry_s);
    for (size_t next = 0; next < count;) {
        for (int step = 0; step < 10 && next < count; step++)
            happen(&all[next++], &hub);
        for (size_t i = 0; i < count; i++)
            talk(&all[i]);
    }
    for (int64_t last_ns = now_ns(); now_ns() - last_ns < WATCH_MS * INT64_C(1000000);) {
        for (size_t i = 0; i < count; i++)
            talk(&all[i]);
        if (all_closed(all, count))
            break;
        sleep_ms(2);
    }
    for (enum event event = EXPIRED; event < EVENTS; event++)
        judge(all, count, event);
    for (size_t i = 0; i < count; i++)
        peer_close(&all[i].peer);
    verdict_that("the hub ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    hub_destroy(&hub);
    free(all);
    return verdict_exit();
}
