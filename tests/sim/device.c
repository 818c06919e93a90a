#include "run.h"

#include "auth/sas.h"
#include "base/test.h"
#include "base/text.h"
#include "socket.h"
#include "wire/mqtt.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEEP_ALIVE_S = 60 };

static struct ask *device_ask(struct run *r, struct device *d, enum ask_kind kind)
{
    struct ask *a = ask_create(&r->model, kind, d->family, d->slot);
    a->device = d;
    a->floor = d->floor;
    a->clean = d->clean;
    snprintf(a->keys[0], sizeof(a->keys[0]), "%s", d->key);
    list_append(&d->line, &a->line);
    return a;
}

/* ---- sending ---- */

static void put_packet(struct run *r, struct device *d, struct buf *packet)
{
    if (d->websocket)
        socket_put_frames(&d->out, buf_span(packet), &r->seed);
    else
        buf_put(&d->out, buf_span(packet));
    buf_fini(packet);
}

void device_flush(struct run *r, struct device *d, bool all)
{
    if (!d->wire || d->hung_up || d->wire->closed || !d->out.len)
        return;
    size_t n = all || !run_chance(r, 3) ? d->out.len : run_random(r, (unsigned)d->out.len) + 1;
    wire_send(d->wire, span_of(d->out.data, n));
    buf_consume(&d->out, n);
    d->sent_len += n;
    d->sent_ms = r->world.now.mono_ms;
}

/* Has all of CONNECT come to the hub? */
static bool has_said_hello(const struct device *d)
{
    return d->sent_len - d->wire->to_hub.len >= d->hello_len;
}

void device_pass(struct device *d, int64_t mono_ms)
{
    if (!d->wire)
        return;
    d->was_silent |= mono_ms - d->sent_ms >= SILENCE_MS;
    d->late |= !has_said_hello(d) && mono_ms - d->wire->link.opened_ms >= SILENCE_MS;
}

static void put_token(struct run *r, struct device *d, struct buf *out)
{
    char resource[96];
    struct key key;
    struct span module = family_module(d->slot);
    d->expires_s = r->world.now.wall_ms / 1000 + 3600;
    if (module.len)
        snprintf(resource, sizeof(resource), WORLD_HOST "/devices/%s/modules/%.*s", d->family->id,
                 SPAN_ARG(module));
    else
        snprintf(resource, sizeof(resource), WORLD_HOST "/devices/%s", d->family->id);
    if (!key_parse(span_text(d->key), &key))
        key = (struct key){.len = KEY_MIN}; /* nobody's */
    sas_make(out, span_text(resource), key_span(&key), d->expires_s, (struct span){0});
}

static void send_connect(struct run *r, struct device *d)
{
    struct buf packet = {0}, token = {0};
    char id[48], user[96];
    struct span module = family_module(d->slot);
    snprintf(id, sizeof(id), module.len ? "%s/%.*s" : "%s", d->family->id, SPAN_ARG(module));
    snprintf(user, sizeof(user), WORLD_HOST "/%s/?api-version=2021-04-12", id);
    put_token(r, d, &token);
    struct mqtt_connect connect = {.version = MQTT_VERSION_3_1_1,
                                   .clean_session = d->clean,
                                   .has_username = true,
                                   .has_password = true,
                                   .keep_alive_s = KEEP_ALIVE_S,
                                   .client_id = span_text(id),
                                   .username = span_text(user),
                                   .password = buf_span(&token)};
    mqtt_connect_encode(&packet, &connect);
    buf_fini(&token);
    struct ask *a = device_ask(r, d, ASK_LOGIN);
    report_say("%s connects%s%s, ask %llu", device_name(d), d->clean ? " clean" : "",
               d->websocket ? " by WebSocket" : "", (unsigned long long)a->id);
    put_packet(r, d, &packet);
}

/* One of its keys as they are, or as they were. */
static void choose_key(struct run *r, struct device *d)
{
    const struct family *f = d->family;
    size_t back = run_chance(r, 8) ? run_random(r, 4) : 0;
    const struct snap *s = f->moments[f->count - 1 - (back < f->count ? back : 0)].at[d->slot];
    struct span key = {0};
    if (s)
        key = run_chance(r, 2) ? s->e.primary_key : s->e.secondary_key;
    snprintf(d->key, sizeof(d->key), "%.*s", SPAN_ARG(key));
}

void device_open(struct run *r, struct device *d)
{
    *d = (struct device){.family = &r->model.families[run_random(r, FAMILIES)],
                         .slot =
                             run_chance(r, 2) ? SLOT_DEVICE : (unsigned)run_random(r, SLOT_AGENT),
                         .clean = run_chance(r, 4),
                         .websocket = run_chance(r, 4),
                         .packet_id = 1,
                         .sent_ms = r->world.now.mono_ms};
    list_init(&d->line);
    for (unsigned i = 0; i < 4 && !family_last(d->family)->at[d->slot];
         i++) /* mostly one that is */
        d->family = &r->model.families[run_random(r, FAMILIES)];
    choose_key(r, d);
    d->opened_at = d->family->count - 1;
    for (unsigned i = 0; i < DEVICES; i++)
        if (r->devices[i].wire && r->devices[i].family == d->family &&
            r->devices[i].slot == d->slot && &r->devices[i] != d)
            r->devices[i].rival = d->rival = true;
    d->filters_known = d->heard_known = d->clean;
    enum link_kind kind = d->websocket ? LINK_HTTP : LINK_MQTT;
    d->wire = wire_open(&r->world, kind, (unsigned)run_random(r, 8));
    if (d->websocket)
        socket_put_request(&d->out);
    send_connect(r, d);
    d->hello_len = d->out.len;
}

static const struct {
    unsigned bit;
    const char *text;
} filters[] = {
    {FILTER_RESPONSES, "$iothub/twin/res/#"                     },
    {FILTER_DESIRED,   "$iothub/twin/PATCH/properties/desired/#"},
    {FILTER_METHODS,   "$iothub/methods/POST/#"                 }
};

static void send_filters(struct run *r, struct device *d, bool subscribe, unsigned bits)
{
    struct mqtt_filter list[COUNT(filters) + 1];
    struct buf packet = {0};
    size_t count = 0;
    for (size_t i = 0; i < COUNT(filters); i++)
        if (bits & filters[i].bit)
            list[count++] = (struct mqtt_filter){span_text(filters[i].text), (uint8_t)(i % 2)};
    struct ask *a = device_ask(r, d, subscribe ? ASK_SUBSCRIBE : ASK_UNSUBSCRIBE);
    a->filters = bits;
    a->packet_id = d->packet_id++;
    if (subscribe)
        mqtt_subscribe_encode(&packet, a->packet_id, list, count);
    else
        mqtt_unsubscribe_encode(&packet, a->packet_id, list, count);
    if (subscribe)
        d->filters |= bits;
    else
        d->filters &= ~bits;
    d->filters_known |= bits == FILTERS_ALL;
    report_say("%s %s %u, ask %llu", device_name(d), subscribe ? "subscribes" : "unsubscribes",
               bits, (unsigned long long)a->id);
    put_packet(r, d, &packet);
}

static void send_publish(struct run *r, struct device *d, struct ask *a, const char *topic,
                         struct span payload)
{
    struct buf packet = {0};
    bool qos = run_chance(r, 2);
    a->packet_id = qos ? d->packet_id++ : 0;
    struct mqtt_publish p = {
        .topic = span_text(topic), .payload = payload, .packet_id = a->packet_id, .qos = qos};
    mqtt_publish_encode(&packet, &p);
    report_say("%s publishes %s %.*s, ask %llu", device_name(d), topic,
               payload.len < 200 ? (int)payload.len : 200,
               payload.len ? (const char *)payload.data : "", (unsigned long long)a->id);
    put_packet(r, d, &packet);
}

static void send_read(struct run *r, struct device *d)
{
    char topic[64];
    struct ask *a = device_ask(r, d, ASK_READ);
    a->silent = !(d->filters & FILTER_RESPONSES);
    snprintf(topic, sizeof(topic), "$iothub/twin/GET/?$rid=%llu", (unsigned long long)a->id);
    send_publish(r, d, a, topic, (struct span){0});
}

static void send_report(struct run *r, struct device *d)
{
    char topic[96];
    struct buf body = {0};
    struct ask *a = device_ask(r, d, ASK_REPORT);
    const struct snap *s = family_last(d->family)->at[d->slot];
    bool rid = !run_chance(r, 8);
    a->silent = !rid || !(d->filters & FILTER_RESPONSES);
    json_put_object(r, &body, json_kind(r), a->id, true);
    a->patch = json_tree(r, buf_span(&body));
    a->malformed = !a->patch;
    size_t n = (size_t)snprintf(topic, sizeof(topic), "$iothub/twin/PATCH/properties/reported/");
    if (rid)
        n +=
            (size_t)snprintf(topic + n, sizeof(topic) - n, "?$rid=%llu", (unsigned long long)a->id);
    if (rid && s && run_chance(r, 8)) {
        a->if_version = s->e.reported_version;
        snprintf(topic + n, sizeof(topic) - n, "&$version=%lld", (long long)a->if_version);
    }
    send_publish(r, d, a, topic, buf_span(&body));
    buf_fini(&body);
}

static void send_event(struct run *r, struct device *d)
{
    char topic[96];
    struct ask *a = device_ask(r, d, ASK_EVENT);
    struct span module = family_module(d->slot);
    a->silent = true;
    snprintf(topic, sizeof(topic),
             module.len ? "devices/%s/modules/%.*s/messages/events/k=v"
                        : "devices/%s%.*s/messages/events/",
             d->family->id, SPAN_ARG(module));
    send_publish(r, d, a, topic, SPAN("{\"t\":21.5}"));
}

/* What a well-behaved device never sends: it ends the connection. */
static void send_odd(struct run *r, struct device *d)
{
    struct buf packet = {0};
    unsigned what = (unsigned)run_random(r, 5);
    struct mqtt_publish p = {.topic = SPAN("$iothub/twin/POST/x"), .payload = SPAN("{}")};
    if (what == 0)
        p.topic = d->family->index ? SPAN("devices/d1/messages/events/")
                                   : SPAN("devices/d2/messages/events/");
    if (what == 1)
        p.topic = SPAN("$iothub/twin/GET/");
    if (what < 3)
        mqtt_publish_encode(&packet, &p);
    else if (what == 3)
        buf_put(&packet, SPAN("\x10\x00"));
    else
        buf_put(&packet, SPAN("\xf0\x00"));
    report_say("%s sends what it must not, %u", device_name(d), what);
    d->odd = true;
    put_packet(r, d, &packet);
}

/* ---- acting ---- */

static void hang_up(struct run *r, struct device *d)
{
    report_say("%s hangs up", device_name(d));
    if (run_chance(r, 2) && !d->out.len && d->connected) {
        struct buf bye = {0};
        mqtt_disconnect_encode(&bye);
        put_packet(r, d, &bye);
        device_flush(r, d, true);
        d->odd = true; /* the hub may close first */
        return;
    }
    d->hung_up = true;
    buf_clear(&d->out);
    wire_hang_up(d->wire);
}

/* More than anybody keeps for a peer that does not read. */
static void binge(struct run *r, struct device *d)
{
    struct buf body = {0};
    struct ask *a = device_ask(r, d, ASK_REPORT);
    a->silent = true;
    json_put_object(r, &body, JSON_LARGE, a->id, true);
    a->patch = json_tree(r, buf_span(&body));
    send_publish(r, d, a, "$iothub/twin/PATCH/properties/reported/", buf_span(&body));
    buf_fini(&body);
    for (unsigned i = 0; i < 60; i++)
        send_read(r, d);
}

static void talk(struct run *r, struct device *d)
{
    unsigned what = (unsigned)run_random(r, 32);
    struct buf ping = {0};
    if (!d->filters_known || what < 3) {
        send_filters(r, d, true, d->filters_known ? 1 + (unsigned)run_random(r, 7) : FILTERS_ALL);
    } else if (what == 3 && !list_empty(&d->line)) {
        send_filters(r, d, false, 1 + (unsigned)run_random(r, 7));
    } else if (what == 4) {
        mqtt_pingreq_encode(&ping);
        put_packet(r, d, &ping);
    } else if (what == 5 && run_chance(r, 2)) {
        send_odd(r, d);
    } else if (what < 10) {
        send_event(r, d);
    } else if (what < 18) {
        send_read(r, d);
    } else {
        send_report(r, d);
    }
}

void device_act(struct run *r, struct device *d)
{
    if (!d->wire) {
        buf_fini(&d->in);
        buf_fini(&d->out);
        device_open(r, d);
    }
    if (d->hung_up || d->wire->closed)
        return;
    unsigned waiting = 0;
    LIST_EACH(at, &d->line)
    {
        waiting++;
    }
    if (run_chance(r, 40)) {
        hang_up(r, d);
        return;
    }
    if (run_chance(r, 32)) {
        d->deaf = !d->deaf;
        d->was_deaf |= d->deaf;
        d->wire->deaf = d->deaf;
    }
    if (d->deaf && !d->odd && d->filters_known && waiting < DEVICE_LINE_MAX && run_chance(r, 4))
        binge(r, d);
    if (!d->odd && waiting < DEVICE_LINE_MAX)
        for (unsigned n = 1 + (unsigned)run_random(r, 3); n && !d->odd; n--)
            talk(r, d);
    device_flush(r, d, false);
}
