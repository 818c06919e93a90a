#include "run.h"

#include "auth/sas.h"
#include "base/test.h"
#include "base/text.h"
#include "socket.h"
#include "wire/mqtt.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEEP_ALIVE_S = 60 };

static struct ask *first_ask(const struct device *d)
{
    return list_empty(&d->line) ? NULL : CONTAINER_OF(d->line.next, struct ask, line);
}

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

static const char *name_of(const struct device *d)
{
    static char name[48];
    snprintf(name, sizeof(name), "device %llu (%s/%.*s)",
             (unsigned long long)(d->wire ? d->wire->number : 0), d->family->id,
             SPAN_ARG(family_module(d->slot)));
    return name;
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
    d->sent_ms = r->world.now.mono_ms;
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
    report_say("%s connects%s%s, ask %llu", name_of(d), d->clean ? " clean" : "",
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
    report_say("%s %s %u, ask %llu", name_of(d), subscribe ? "subscribes" : "unsubscribes", bits,
               (unsigned long long)a->id);
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
    report_say("%s publishes %s %.*s, ask %llu", name_of(d), topic,
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
    report_say("%s sends what it must not, %u", name_of(d), what);
    d->odd = true;
    put_packet(r, d, &packet);
}

/* ---- receiving ---- */

static void on_connack(struct run *r, struct device *d, const struct mqtt_packet *p)
{
    bool present;
    uint8_t code;
    struct ask *a = first_ask(d);
    PROMISE(mqtt_connack_decode(p, &present, &code) == OK, "a bad CONNACK");
    PROMISE(a && a->kind == ASK_LOGIN, "%s: a CONNACK that nobody asked for", name_of(d));
    PROMISE(code == MQTT_ACCEPTED || code == MQTT_NOT_AUTHORIZED ||
                (code == MQTT_UNAVAILABLE && r->model.ending),
            "CONNACK %u", code);
    PROMISE(!d->connected, "a second CONNACK");
    report_say("%s: CONNACK %u%s", name_of(d), code, present ? ", session present" : "");
    if (code == MQTT_UNAVAILABLE) {
        d->odd = true;
        ask_lose(a);
        return;
    }
    size_t at = model_login_answer(&r->model, a, code == MQTT_ACCEPTED, present);
    d->connected = code == MQTT_ACCEPTED;
    d->odd |= !d->connected;
    const struct family *f = d->family;
    struct span session = {0};
    for (size_t i = a->from[f->index]; d->connected && i < f->count; i++) {
        const struct snap *s = f->moments[i].at[d->slot];
        if (!model_may_login(&f->moments[i], d->slot, span_text(d->key)))
            continue;
        bool first = !d->generation || i == a->from[f->index];
        d->generation = first || d->generation == s->e.generation ? s->e.generation : 0;
        if (i == at)
            session = s->e.session;
    }
    if (d->connected && !d->clean) {
        /* Several states may have been met; only when all agree is it known which. */
        bool same = true;
        for (size_t i = a->from[f->index]; i < f->count; i++) {
            const struct snap *s = f->moments[i].at[d->slot];
            same &= s && model_filters(s->e.session) == model_filters(session);
        }
        d->heard_known = same;
        d->heard = model_filters(session);
        if (list_empty(&d->line) || d->line.next->next == &d->line) {
            d->filters_known = d->heard_known;
            d->filters = d->heard;
        }
    }
    ask_destroy(a);
}

/* Asks of which nothing is heard are over when something later is heard of. */
static struct ask *next_heard(struct device *d)
{
    struct ask *a = first_ask(d);
    while (a && a->silent && (!a->packet_id || a->acked)) {
        ask_lose(a);
        a = first_ask(d);
    }
    return a;
}

static void on_suback(struct run *r, struct device *d, const struct mqtt_packet *p)
{
    uint16_t id;
    struct span codes;
    struct ask *a = next_heard(d);
    PROMISE(mqtt_suback_decode(p, &id, &codes) == OK, "a bad SUBACK");
    PROMISE(a && a->kind == ASK_SUBSCRIBE && a->packet_id == id, "%s: SUBACK %u out of turn",
            name_of(d), id);
    for (size_t i = 0; i < codes.len; i++)
        PROMISE(codes.data[i] < 2, "a filter was refused");
    bool begins = !(d->heard & FILTER_DESIRED);
    if ((a->filters & FILTER_DESIRED) && (begins || !d->heard_known))
        d->version = 0;
    d->heard |= a->filters;
    d->heard_known |= a->filters == FILTERS_ALL;
    model_session_answer(&r->model, a);
}

static void on_unsuback(struct run *r, struct device *d, const struct mqtt_packet *p)
{
    uint16_t id;
    struct ask *a = next_heard(d);
    PROMISE(mqtt_ack_decode(p, &id) == OK, "a bad UNSUBACK");
    PROMISE(a && a->kind == ASK_UNSUBSCRIBE && a->packet_id == id, "%s: UNSUBACK %u out of turn",
            name_of(d), id);
    d->heard &= ~a->filters;
    d->heard_known |= a->filters == FILTERS_ALL;
    model_session_answer(&r->model, a);
}

static void on_puback(struct device *d, const struct mqtt_packet *p)
{
    uint16_t id;
    struct ask *a = next_heard(d);
    PROMISE(mqtt_ack_decode(p, &id) == OK, "a bad PUBACK");
    PROMISE(a && a->packet_id == id && !a->acked, "%s: PUBACK %u out of turn", name_of(d), id);
    a->acked = true;
    if (a->made && a->made > a->family->shown) /* its effect is durable */
        a->family->shown = a->made;
    if (a->silent)
        ask_lose(a);
}

/* `n` after `key` in a topic, or -1. */
static int64_t number_after(struct span topic, const char *key)
{
    const char *at = memmem(topic.data, topic.len, key, strlen(key));
    if (!at)
        return -1;
    at += strlen(key);
    int64_t n = 0;
    for (; at < (const char *)topic.data + topic.len && *at >= '0' && *at <= '9'; at++)
        n = n * 10 + (*at - '0');
    return n;
}

static void on_response(struct run *r, struct device *d, const struct mqtt_publish *p)
{
    struct ask *a = next_heard(d);
    int http = (int)number_after(p->topic, "/res/");
    int64_t rid = number_after(p->topic, "$rid="), version = number_after(p->topic, "$version=");
    PROMISE(a && (uint64_t)rid == a->id, "%s: the response to %lld out of turn", name_of(d),
            (long long)rid);
    PROMISE(!a->packet_id || a->acked, "%s: the response came before the PUBACK", name_of(d));
    PROMISE(d->heard & FILTER_RESPONSES || !d->heard_known, "a response without subscription");
    report_say("%s: response to %lld: %d %.*s", name_of(d), (long long)rid, http,
               p->payload.len < 300 ? (int)p->payload.len : 300, (const char *)p->payload.data);
    PROMISE((http == 204) == (a->kind == ASK_REPORT && version > 0), "%.*s", SPAN_ARG(p->topic));
    if (http >= 300)
        PROMISE(memmem(p->payload.data, p->payload.len, "\"errorCode\":", 12), "a bare refusal");
    list_remove(&a->line);
    if (a->kind == ASK_REPORT) {
        model_report_answer(&r->model, a, http, version);
        return;
    }
    PROMISE(http == 200, "a read was answered with %d", http);
    model_read_answer(&r->model, a, p->payload);
    int64_t now = number_after(p->payload, "\"desired\":{\"$version\":");
    if (now < 0) { /* the last member of desired */
        const uint8_t *end = memmem(p->payload.data, p->payload.len, "},\"reported\":", 13);
        PROMISE(end, "a twin without reported");
        const uint8_t *at = end;
        while (at > p->payload.data && at[-1] != ':')
            at--;
        now = atoll((const char *)at);
    }
    if (d->heard & FILTER_DESIRED && d->heard_known) {
        PROMISE(!d->version || d->version == now,
                "%s reads version %lld of desired and had been told of %lld", name_of(d),
                (long long)now, (long long)d->version);
        d->version = now;
    }
}

static void on_desired(struct run *r, struct device *d, const struct mqtt_publish *p)
{
    int64_t version = number_after(p->topic, "$version=");
    report_say("%s: desired %lld %.*s", name_of(d), (long long)version,
               p->payload.len < 300 ? (int)p->payload.len : 300, (const char *)p->payload.data);
    PROMISE(d->connected, "a push before CONNACK");
    PROMISE(d->heard & FILTER_DESIRED || !d->heard_known, "%s: a push without subscription",
            name_of(d));
    size_t at = model_push(&r->model, d->family, d->slot, d->generation, version, p->payload);
    PROMISE(at > d->opened_at, "%s: a push of before it connected", name_of(d));
    PROMISE(!d->version || version == d->version + 1,
            "%s is pushed version %lld of desired and had been told of %lld", name_of(d),
            (long long)version, (long long)d->version);
    if (d->heard_known)
        d->version = version;
}

static void on_publish(struct run *r, struct device *d, const struct mqtt_packet *packet)
{
    struct mqtt_publish p;
    PROMISE(mqtt_publish_decode(packet, &p) == OK, "a bad PUBLISH");
    PROMISE(p.qos == 0 && !p.retain && !p.dup, "flags of a PUBLISH");
    if (span_starts(p.topic, SPAN("$iothub/twin/res/")))
        on_response(r, d, &p);
    else if (span_starts(p.topic, SPAN("$iothub/twin/PATCH/properties/desired/")))
        on_desired(r, d, &p);
    else
        report_failure("%s gets %.*s", name_of(d), SPAN_ARG(p.topic));
}

static void on_packet(struct run *r, struct device *d, const struct mqtt_packet *p)
{
    switch (p->type) {
    case MQTT_CONNACK:
        on_connack(r, d, p);
        return;
    case MQTT_SUBACK:
        on_suback(r, d, p);
        return;
    case MQTT_UNSUBACK:
        on_unsuback(r, d, p);
        return;
    case MQTT_PUBACK:
        on_puback(d, p);
        return;
    case MQTT_PUBLISH:
        on_publish(r, d, p);
        return;
    case MQTT_PINGRESP:
        return;
    default:
        report_failure("%s gets a packet of type %u", name_of(d), p->type);
    }
}

/* Has the hub a reason to end this connection? */
static bool is_excused(const struct run *r, const struct device *d)
{
    if (d->odd || d->hung_up || d->rival || d->was_deaf || d->was_silent)
        return true;
    if (r->wall_max_ms > (d->expires_s + 600) * 1000)
        return true;
    for (size_t i = d->opened_at; i < d->family->count; i++) {
        const struct snap *s = d->family->moments[i].at[d->slot];
        if (!model_may_login(&d->family->moments[i], d->slot, span_text(d->key)) ||
            (d->generation && s->e.generation != d->generation))
            return true;
    }
    return false;
}

static void lose_all(struct device *d)
{
    LIST_EACH_SAFE(at, &d->line)
    {
        ask_lose(CONTAINER_OF(at, struct ask, line));
    }
}

static void take_packets(struct run *r, struct device *d)
{
    struct mqtt_packet packet;
    size_t used;
    enum status st = OK;
    while (d->in.len && (st = mqtt_decode(buf_span(&d->in), MQTT_BODY_MAX, &packet, &used)) == OK) {
        on_packet(r, d, &packet);
        buf_consume(&d->in, used);
    }
    PROMISE(!d->in.len || st == NEED_MORE, "%s gets what is no packet", name_of(d));
}

bool device_read(struct run *r, struct device *d)
{
    if (!d->wire || (d->deaf && !d->wire->closed))
        return false;
    bool any = d->wire->to_peer.len > 0;
    if (d->websocket) {
        if (!d->upgraded)
            d->upgraded = socket_take_answer(&d->wire->to_peer);
        if (d->upgraded)
            socket_take_frames(&d->wire->to_peer, &d->in);
        if (d->wire->to_peer.len == 0 || !d->upgraded)
            any = any && d->in.len;
    } else {
        buf_put(&d->in, buf_span(&d->wire->to_peer));
        buf_clear(&d->wire->to_peer);
    }
    take_packets(r, d);
    if (!d->wire->closed)
        return any;
    PROMISE(is_excused(r, d), "%s was closed without a reason", name_of(d));
    report_say("%s is closed", name_of(d));
    lose_all(d);
    wire_drop(d->wire);
    d->wire = NULL;
    buf_clear(&d->in);
    buf_clear(&d->out);
    return true;
}

void device_fini(struct device *d)
{
    if (d->wire)
        lose_all(d);
    d->wire = NULL;
    buf_fini(&d->in);
    buf_fini(&d->out);
}

/* ---- acting ---- */

static void hang_up(struct run *r, struct device *d)
{
    report_say("%s hangs up", name_of(d));
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

void device_check(const struct run *r, const struct device *d)
{
    if (!d->wire || d->deaf || d->wire->closed)
        return;
    const struct moment *now = family_last(d->family);
    const struct snap *s = now->at[d->slot];
    if (!d->odd && !d->hung_up)
        LIST_EACH(at, &d->line)
        {
            const struct ask *a = CONTAINER_OF(at, struct ask, line);
            PROMISE(a->silent && (!a->packet_id || a->acked), "%s never had an answer to ask %llu",
                    name_of(d), (unsigned long long)a->id);
        }
    PROMISE(!d->odd, "%s sent what it must not, and lives", name_of(d));
    PROMISE(model_may_login(now, d->slot, span_text(d->key)),
            "%s may not be here any more, and lives", name_of(d));
    PROMISE(!d->generation || d->generation == s->e.generation, "%s outlived its identity",
            name_of(d));
    if (d->heard_known && d->heard & FILTER_DESIRED)
        PROMISE(!d->version || d->version == s->e.desired_version,
                "%s was told of version %lld of desired, there is %lld", name_of(d),
                (long long)d->version, (long long)s->e.desired_version);
    for (unsigned i = 0; i < DEVICES; i++) {
        const struct device *other = &r->devices[i];
        PROMISE(other == d || !other->wire || !other->connected || !d->connected ||
                    other->family != d->family || other->slot != d->slot || other->deaf,
                "two connections of one identity: %s", name_of(d));
    }
}
