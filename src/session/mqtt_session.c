#include "session/mqtt_session.h"

#include "notify/subscriptions.h"
#include "session/error.h"
#include "wire/bag.h"
#include "wire/topic.h"

#define IN(state) (1u << (state))

static const unsigned may_become[] = {
    [M_NEW] = IN(M_LOGIN) | IN(M_CLOSED),
    [M_LOGIN] = IN(M_OPEN) | IN(M_CLOSED) | IN(M_LOGIN), /* again: its identity had to be loaded */
    [M_OPEN] = IN(M_CLOSED),
    [M_CLOSED] = IN(M_CLOSED),
};

static void become(struct mqtt_session *s, enum mqtt_state next)
{
    CHECK(may_become[s->state] & IN(next));
    s->state = next;
}

void mqtt_session_init(struct mqtt_session *s)
{
    *s = (struct mqtt_session){.state = M_NEW};
}

void mqtt_session_fini(struct mqtt_session *s)
{
    buf_fini(&s->stored);
}

/* ---- CONNECT ---- */

static enum status on_connect(struct mqtt_session *s, const struct mqtt_packet *p,
                              const struct mqtt_context *c, struct mqtt_action *a, struct buf *out)
{
    struct mqtt_connect connect;
    a->reason = "malformed CONNECT";
    TRY(mqtt_connect_decode(p, &connect));
    if (connect.version != MQTT_VERSION_3_1_1) {
        if (connect.version == MQTT_VERSION_5)
            mqtt_connack5_encode(out, MQTT5_UNSUPPORTED_VERSION);
        else
            mqtt_connack_encode(out, false, MQTT_BAD_VERSION);
        a->reason = "not MQTT 3.1.1";
        return BAD_PACKET;
    }
    enum status st = login_parse(&connect, c->rules, c->arena, &a->login, &a->reason);
    if (st != OK) {
        mqtt_session_refuse(s, MQTT_NOT_AUTHORIZED, out);
        return st;
    }
    if (connect.has_will) {
        struct topic will =
            topic_parse(connect.will.topic, a->login.user.device, a->login.user.module);
        a->reason = "the will is no telemetry of its own";
        if (will.kind != TOPIC_TELEMETRY) {
            mqtt_session_refuse(s, MQTT_NOT_AUTHORIZED, out);
            return UNAUTHORIZED;
        }
    }
    a->act = ACT_LOGIN;
    a->reason = NULL;
    become(s, M_LOGIN);
    return OK;
}

bool mqtt_session_open(struct mqtt_session *s, const struct login *login, const struct entity *e,
                       struct op *save, struct buf *out)
{
    const struct mqtt_connect *connect = &login->connect;
    become(s, M_OPEN);
    s->clean = connect->clean_session;
    s->has_will = connect->has_will;
    s->silence_ms = (int64_t)connect->keep_alive_s * 1500;
    if (s->silence_ms == 0 || s->silence_ms > MQTT_SILENCE_MAX_MS)
        s->silence_ms = MQTT_SILENCE_MAX_MS;
    bool present = !s->clean && e->has_session;
    buf_clear(&s->stored);
    if (present && subscriptions_are_valid(e->session))
        buf_put(&s->stored, e->session);
    s->deliveries = subscriptions_deliver(buf_span(&s->stored), e->device, e->module);
    mqtt_connack_encode(out, present, MQTT_ACCEPTED);

    *save = (struct op){.kind = s->clean ? OP_SESSION_DROP : OP_SESSION_SAVE,
                        .device = e->device,
                        .module = e->module,
                        .body = buf_span(&s->stored),
                        .has_model_id = login->user.model_id.len > 0,
                        .model_id = login->user.model_id};
    return (s->clean ? e->has_session : !e->has_session) ||
           (save->has_model_id && !span_eq(save->model_id, e->model_id));
}

void mqtt_session_refuse(struct mqtt_session *s, enum mqtt_connack code, struct buf *out)
{
    mqtt_connack_encode(out, false, code);
    become(s, M_CLOSED);
}

/* ---- PUBLISH ---- */

static const enum route_id route_of[][2] = {
  /*                        device                   module */
    [TOPIC_TELEMETRY] = {ROUTE_MQTT_EVENTS,        ROUTE_MQTT_MODULE_EVENTS},
    [TOPIC_TWIN_GET] = {ROUTE_MQTT_TWIN_GET,      ROUTE_MQTT_TWIN_GET     },
    [TOPIC_TWIN_PATCH] = {ROUTE_MQTT_TWIN_REPORT,   ROUTE_MQTT_TWIN_REPORT  },
    [TOPIC_METHOD_RESPONSE] = {ROUTE_MQTT_METHOD_ANSWER, ROUTE_MQTT_METHOD_ANSWER},
};

static enum status on_publish(struct mqtt_session *s, const struct mqtt_packet *p,
                              const struct mqtt_context *c, struct mqtt_action *a, struct buf *out)
{
    (void)s;
    struct mqtt_publish publish;
    a->reason = "malformed PUBLISH";
    TRY(mqtt_publish_decode(p, &publish));
    struct span device = live_device(c->who), module = live_module(c->who);
    struct topic topic = topic_parse(publish.topic, device, module);
    a->message_len = publish.payload.len + bag_size(topic.bag);
    a->reason = topic_kind_name(topic.kind);
    if (topic_is_refused(topic.kind))
        return topic.kind == TOPIC_FOREIGN ? UNAUTHORIZED : BAD_PACKET;
    struct peer peer = peer_of(device, module);
    if (!route_allows(route_get(route_of[topic.kind][module.len > 0]), &peer, device, module))
        return UNAUTHORIZED;
    a->reason = "larger than a message may be";
    if (a->message_len > MQTT_MESSAGE_MAX)
        return TOO_LARGE;
    a->packet_id = publish.packet_id;
    a->op = (struct op){.device = device, .module = module, .by_device = true, .if_version = -1};
    a->act = ACT_OP;
    a->rid = topic.rid;
    switch (topic.kind) {
    case TOPIC_TWIN_GET:
        a->op.kind = OP_TWIN_READ;
        return OK;
    case TOPIC_TWIN_PATCH:
        a->op.kind = OP_TWIN_REPORT;
        a->op.body = publish.payload;
        if (topic.has_version) /* below zero is no version: INT64_MAX is none either */
            a->op.if_version = topic.version < 0 ? INT64_MAX : topic.version;
        return OK;
    default: /* telemetry, and the answer to a method call nobody waits for */
        a->act = topic.kind == TOPIC_TELEMETRY ? ACT_EVENT : ACT_NONE;
        if (a->act == ACT_NONE && a->packet_id)
            mqtt_puback_encode(out, a->packet_id);
        return OK;
    }
}

/* ---- SUBSCRIBE, UNSUBSCRIBE ---- */

/* The session as it now is must be on disk before it is acknowledged. */
static void save_session(struct mqtt_session *s, const struct mqtt_context *c,
                         struct mqtt_action *a)
{
    struct span device = live_device(c->who), module = live_module(c->who);
    s->deliveries = subscriptions_deliver(buf_span(&s->stored), device, module);
    a->act = ACT_OP;
    a->op = (struct op){.kind = s->clean ? OP_SESSION_DROP : OP_SESSION_SAVE,
                        .device = device,
                        .module = module,
                        .body = buf_span(&s->stored)};
}

static enum status on_subscribe(struct mqtt_session *s, const struct mqtt_packet *p,
                                const struct mqtt_context *c, struct mqtt_action *a,
                                struct buf *out)
{
    (void)out;
    struct mqtt_filters filters;
    a->reason = "malformed SUBSCRIBE";
    TRY(mqtt_subscribe_decode(p, &filters));
    a->reason = "too many filters in one SUBSCRIBE";
    if (filters.count > sizeof(a->codes))
        return TOO_LARGE;
    a->packet_id = filters.packet_id;
    for (struct mqtt_filter f; mqtt_filters_next(&filters, &f);) {
        struct subscription keep = {c->now.wall_ms, f.qos ? 1 : 0, f.filter};
        bool granted = f.filter.len <= MQTT_FILTER_MAX &&
                       topic_filter_matches(f.filter, live_device(c->who), live_module(c->who)) &&
                       subscriptions_put(&s->stored, &keep);
        a->codes[a->code_count++] = granted ? keep.qos : MQTT_SUBACK_FAILURE;
    }
    save_session(s, c, a);
    return OK;
}

static enum status on_unsubscribe(struct mqtt_session *s, const struct mqtt_packet *p,
                                  const struct mqtt_context *c, struct mqtt_action *a,
                                  struct buf *out)
{
    (void)out;
    struct mqtt_filters filters;
    a->reason = "malformed UNSUBSCRIBE";
    TRY(mqtt_unsubscribe_decode(p, &filters));
    a->packet_id = filters.packet_id;
    for (struct mqtt_filter f; mqtt_filters_next(&filters, &f);)
        subscriptions_remove(&s->stored, f.filter);
    save_session(s, c, a);
    return OK;
}

/* ---- the rest ---- */

static enum status on_ack(struct mqtt_session *s, const struct mqtt_packet *p,
                          const struct mqtt_context *c, struct mqtt_action *a, struct buf *out)
{
    (void)s, (void)c, (void)out;
    uint16_t packet_id; /* nothing of ours waits for one */
    a->reason = "malformed PUBACK";
    return mqtt_ack_decode(p, &packet_id);
}

static enum status on_ping(struct mqtt_session *s, const struct mqtt_packet *p,
                           const struct mqtt_context *c, struct mqtt_action *a, struct buf *out)
{
    (void)s, (void)c;
    a->reason = "malformed PINGREQ";
    TRY(mqtt_bare_decode(p));
    a->act = ACT_PING;
    mqtt_pingresp_encode(out);
    return OK;
}

static enum status on_disconnect(struct mqtt_session *s, const struct mqtt_packet *p,
                                 const struct mqtt_context *c, struct mqtt_action *a,
                                 struct buf *out)
{
    (void)c, (void)out;
    a->reason = "malformed DISCONNECT";
    TRY(mqtt_bare_decode(p));
    s->has_will = false;
    a->act = ACT_BYE;
    return OK;
}

/* One row for each packet a device may send (MQTT 3.1.1, table 2.1). No row or a wrong state closes
 * the connection; the reserved flag bits of table 2.2 were checked by mqtt_decode. */
static const struct handler {
    enum status (*run)(struct mqtt_session *, const struct mqtt_packet *,
                       const struct mqtt_context *, struct mqtt_action *, struct buf *);
    unsigned states;
} handlers[16] = {
  /* clang-format off */
    [MQTT_CONNECT]     = {on_connect,     IN(M_NEW) | IN(M_LOGIN)},
    [MQTT_PUBLISH]     = {on_publish,     IN(M_OPEN)},
    [MQTT_PUBACK]      = {on_ack,         IN(M_OPEN)},
    [MQTT_SUBSCRIBE]   = {on_subscribe,   IN(M_OPEN)},
    [MQTT_UNSUBSCRIBE] = {on_unsubscribe, IN(M_OPEN)},
    [MQTT_PINGREQ]     = {on_ping,        IN(M_OPEN)},
    [MQTT_DISCONNECT]  = {on_disconnect,  IN(M_OPEN)},
  /* clang-format on */
};

enum status mqtt_session_packet(struct mqtt_session *s, const struct mqtt_packet *p,
                                const struct mqtt_context *c, struct mqtt_action *action,
                                struct buf *out)
{
    action->act = ACT_NONE;
    action->type = p->type;
    action->packet_id = 0;
    action->rid = (struct span){0};
    action->code_count = 0;
    action->reason = "not legal now";
    const struct handler *h = &handlers[p->type];
    if (!h->run || !(h->states & IN(s->state)))
        return BAD_PACKET;
    return h->run(s, p, c, action, out);
}

/* ---- answers ---- */

static void put_publish(struct buf *out, struct buf *topic, struct span payload)
{
    struct mqtt_publish publish = {.topic = buf_span(topic), .payload = payload};
    mqtt_publish_encode(out, &publish);
    buf_fini(topic);
}

static void answer_twin(const struct mqtt_session *s, const struct mqtt_action *a,
                        const struct outcome *outcome, const struct mqtt_context *c,
                        struct buf *out)
{
    if (!a->rid.len || !(s->deliveries & TOPIC_TWIN_RESPONSE))
        return; /* executed, and the response is lost (7.5) */
    struct buf topic = {0}, error = {0};
    if (outcome->status != OK) {
        int status = status_get(outcome->status)->http;
        if (outcome->status == STORAGE_FULL)
            status = 500; /* 507 is a number of HTTP alone */
        topic_put_twin_response(&topic, status, a->rid, -1);
        error_put_device(&error, outcome->status, outcome->why, c->now, c->random);
        put_publish(out, &topic, buf_span(&error));
        buf_fini(&error);
        return;
    }
    bool read = a->op.kind == OP_TWIN_READ;
    topic_put_twin_response(&topic, read ? 200 : 204, a->rid, read ? -1 : outcome->version);
    put_publish(out, &topic, read ? buf_span(outcome->body) : (struct span){0});
}

enum status mqtt_session_answer(struct mqtt_session *s, const struct mqtt_action *a,
                                const struct outcome *outcome, const struct mqtt_context *c,
                                struct buf *out)
{
    switch (a->type) {
    case MQTT_PUBLISH:
        if (a->packet_id)
            mqtt_puback_encode(out, a->packet_id);
        if (a->act == ACT_OP)
            answer_twin(s, a, outcome, c, out);
        return outcome->status == NO_DEVICE ? NO_DEVICE : OK;
    case MQTT_SUBSCRIBE:
        TRY(outcome->status);
        mqtt_suback_encode(out, a->packet_id, span_of(a->codes, a->code_count));
        return OK;
    case MQTT_UNSUBSCRIBE:
        TRY(outcome->status);
        mqtt_unsuback_encode(out, a->packet_id);
        return OK;
    default:
        return OK;
    }
}

bool mqtt_session_desired(const struct mqtt_session *s, struct span delta, int64_t version,
                          struct buf *out)
{
    if (s->state != M_OPEN || !(s->deliveries & TOPIC_DESIRED))
        return false;
    struct buf topic = {0}, payload = {0};
    topic_put_desired(&topic, version);
    doc_put_delta(&payload, delta, version);
    put_publish(out, &topic, buf_span(&payload));
    buf_fini(&payload);
    return true;
}

bool mqtt_session_close(struct mqtt_session *s)
{
    bool will = s->state == M_OPEN && s->has_will;
    become(s, M_CLOSED);
    return will;
}
