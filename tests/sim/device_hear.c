/* device_hear.c — what a device or module is told, and whether it may be told that. */
#include "run.h"

#include "socket.h"
#include "wire/mqtt.h"

#include <stdio.h>
#include <stdlib.h>

const char *device_name(const struct device *d)
{
    static char name[48];
    snprintf(name, sizeof(name), "device %llu (%s/%.*s)",
             (unsigned long long)(d->wire ? d->wire->number : 0), d->family->id,
             SPAN_ARG(family_module(d->slot)));
    return name;
}

static struct ask *first_ask(const struct device *d)
{
    return list_empty(&d->line) ? NULL : CONTAINER_OF(d->line.next, struct ask, line);
}

static void on_connack(struct run *r, struct device *d, const struct mqtt_packet *p)
{
    bool present;
    uint8_t code;
    struct ask *a = first_ask(d);
    PROMISE(mqtt_connack_decode(p, &present, &code) == OK, "a bad CONNACK");
    PROMISE(a && a->kind == ASK_LOGIN, "%s: a CONNACK that nobody asked for", device_name(d));
    PROMISE(code == MQTT_ACCEPTED || code == MQTT_NOT_AUTHORIZED ||
                (code == MQTT_UNAVAILABLE && r->model.ending),
            "CONNACK %u", code);
    PROMISE(!d->connected, "a second CONNACK");
    report_say("%s: CONNACK %u%s", device_name(d), code, present ? ", session present" : "");
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
            device_name(d), id);
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
            device_name(d), id);
    d->heard &= ~a->filters;
    d->heard_known |= a->filters == FILTERS_ALL;
    model_session_answer(&r->model, a);
}

static void on_puback(struct device *d, const struct mqtt_packet *p)
{
    uint16_t id;
    struct ask *a = next_heard(d);
    PROMISE(mqtt_ack_decode(p, &id) == OK, "a bad PUBACK");
    PROMISE(a && a->packet_id == id && !a->acked, "%s: PUBACK %u out of turn", device_name(d), id);
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
    PROMISE(a && (uint64_t)rid == a->id, "%s: the response to %lld out of turn", device_name(d),
            (long long)rid);
    PROMISE(!a->packet_id || a->acked, "%s: the response came before the PUBACK", device_name(d));
    PROMISE(d->heard & FILTER_RESPONSES || !d->heard_known, "a response without subscription");
    report_say("%s: response to %lld: %d %.*s", device_name(d), (long long)rid, http,
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
                "%s reads version %lld of desired and had been told of %lld", device_name(d),
                (long long)now, (long long)d->version);
        d->version = now;
    }
}

static void on_desired(struct run *r, struct device *d, const struct mqtt_publish *p)
{
    int64_t version = number_after(p->topic, "$version=");
    report_say("%s: desired %lld %.*s", device_name(d), (long long)version,
               p->payload.len < 300 ? (int)p->payload.len : 300, (const char *)p->payload.data);
    PROMISE(d->connected, "a push before CONNACK");
    PROMISE(d->heard & FILTER_DESIRED || !d->heard_known, "%s: a push without subscription",
            device_name(d));
    size_t at = model_push(&r->model, d->family, d->slot, d->generation, version, p->payload);
    PROMISE(at > d->opened_at, "%s: a push of before it connected", device_name(d));
    PROMISE(!d->version || version == d->version + 1,
            "%s is pushed version %lld of desired and had been told of %lld", device_name(d),
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
        report_failure("%s gets %.*s", device_name(d), SPAN_ARG(p.topic));
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
        report_failure("%s gets a packet of type %u", device_name(d), p->type);
    }
}

/* Has the hub a reason to end this connection? */
static bool is_excused(const struct run *r, const struct device *d)
{
    if (d->odd || d->hung_up || d->rival || d->was_deaf || d->was_silent || d->late)
        return true;
    if (r->world.failed != OK) /* a hub whose store has failed lets nobody in, and ends */
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
    PROMISE(!d->in.len || st == NEED_MORE, "%s gets what is no packet", device_name(d));
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
    PROMISE(is_excused(r, d), "%s was closed without a reason", device_name(d));
    report_say("%s is closed", device_name(d));
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
                    device_name(d), (unsigned long long)a->id);
        }
    PROMISE(!d->odd, "%s sent what it must not, and lives", device_name(d));
    PROMISE(model_may_login(now, d->slot, span_text(d->key)),
            "%s may not be here any more, and lives", device_name(d));
    PROMISE(!d->generation || d->generation == s->e.generation, "%s outlived its identity",
            device_name(d));
    if (d->heard_known && d->heard & FILTER_DESIRED)
        PROMISE(!d->version || d->version == s->e.desired_version,
                "%s was told of version %lld of desired, there is %lld", device_name(d),
                (long long)d->version, (long long)s->e.desired_version);
    for (unsigned i = 0; i < DEVICES; i++) {
        const struct device *other = &r->devices[i];
        PROMISE(other == d || !other->wire || !other->connected || !d->connected ||
                    other->family != d->family || other->slot != d->slot || other->deaf,
                "two connections of one identity: %s", device_name(d));
    }
}
