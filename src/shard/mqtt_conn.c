#include "shard/internal.h"

static struct mqtt_context context(const struct conn *c)
{
    struct shard *s = c->shard;
    return (struct mqtt_context){.who = c->who,
                                 .rules = &s->cluster->rules,
                                 .now = s->now,
                                 .arena = &s->arena,
                                 .random = s->random};
}

static void touch(struct conn *c)
{
    c->who->last_activity_ms = c->shard->now.wall_ms;
}

/* ---- CONNECT ---- */

/* The newer connection of an identity takes over, once it is authenticated (mqtt 2.8). */
static void take_over(struct conn *c, struct live *device, struct live *who)
{
    struct shard *s = c->shard;
    struct conn *old = conn_find(s, who->conn);
    hub_pin(&s->hub, device);
    hub_pin(&s->hub, who);
    c->who = who;
    c->device = device;
    hub_connected(&s->hub, who, c->id); /* before the old one ends: the identity stays Connected */
    if (old)
        conn_end(old, TAKEN_OVER, NULL);
    who->connection_updated_ms = who->last_activity_ms = s->now.wall_ms;
    _Atomic uint64_t *count =
        who->module_len ? &s->totals.connected_modules : &s->totals.connected_devices;
    COUNT_UP(*count, 1);
    COUNT_UP(s->totals.connects, 1);
}

static void refuse(struct conn *c, enum mqtt_connack code, enum status st, const char *reason)
{
    struct shard *s = c->shard;
    buf_clear(&s->out);
    mqtt_session_refuse(&c->mqtt, code, &s->out);
    conn_out_now(c, buf_span(&s->out));
    COUNT_UP(s->totals.refused_connects, 1);
    conn_end(c, st, reason);
}

static void login(struct conn *c, const struct mqtt_action *action)
{
    struct shard *s = c->shard;
    const struct username *user = &action->login.user;
    if (s->failed || s->stopping) {
        refuse(c, MQTT_UNAVAILABLE, UNAVAILABLE, "stopping");
        return;
    }
    if (room_waits(s, &(struct op){.kind = OP_SESSION_SAVE}, (struct span){0})) {
        room_park(c);
        return;
    }
    struct op reads = {.kind = OP_TWIN_READ, .device = user->device, .module = user->module};
    enum ensured ensured = shard_ensure(s, &reads, c, NULL);
    if (ensured == ENSURE_WAITS)
        return;
    if (ensured == ENSURE_FAILED) {
        refuse(c, MQTT_UNAVAILABLE, SERVER_ERROR, "its record cannot be read");
        return;
    }
    struct live *device = hub_live_find(&s->hub, user->device, (struct span){0});
    struct live *module =
        user->module.len ? hub_live_find(&s->hub, user->device, user->module) : NULL;
    struct live *who = module ? module : device;
    struct credential credential = {0};
    struct login_proof proof = {&s->cluster->rules, s->hub.nobody, c->link->chain,
                                c->link->chain_count, s->now.wall_ms};
    enum status st = login_decide(&action->login, &proof, device, module, &credential);
    if (st != OK) {
        refuse(c, MQTT_NOT_AUTHORIZED, st, credential.reason);
        return;
    }
    struct entity e;
    live_entity(who, &e);
    c->method = credential.method;
    c->fingerprint = login_fingerprint(&credential, &e, s->hub.hash);
    c->expiry_s = credential.expiry_s;
    take_over(c, device, who);
    live_entity(who, &e); /* the old connection's end may have written a new record */
    struct op save;
    struct outcome outcome = {.status = OK};
    buf_clear(&s->out);
    if (mqtt_session_open(&c->mqtt, &action->login, &e, &save, &s->out))
        shard_apply(s, &save, &outcome);
    if (outcome.status != OK) {
        conn_end(c, outcome.status, "its session cannot be stored");
        return;
    }
    shard_log(s, LOG_DEBUG, "connected", c, NULL, NULL);
    /* CONNACK tells of the session, which an older connection may just have made, and that its
     * device lets a module in. */
    uint64_t of_device = hub_depends(&s->hub, device);
    c->greeting = hub_depends(&s->hub, who);
    if (of_device > c->greeting)
        c->greeting = of_device;
    conn_out(c, buf_span(&s->out), c->greeting, 1);
}

/* ---- operations ---- */

static void answer(struct conn *c, const struct mqtt_action *action, const struct outcome *outcome)
{
    struct shard *s = c->shard;
    struct mqtt_context around = context(c);
    buf_clear(&s->out);
    enum status st = mqtt_session_answer(&c->mqtt, action, outcome, &around, &s->out);
    if (s->out.len)
        conn_out(c, buf_span(&s->out), outcome->depends, 1);
    if (st != OK)
        conn_end(c, st, NULL);
}

/* False: no room in the arena this turn, or in the store; the same packet comes again. */
static bool operate(struct conn *c, const struct mqtt_action *action)
{
    struct shard *s = c->shard;
    struct outcome outcome = {.body = &s->body};
    if (room_waits(s, &action->op, (struct span){0})) {
        room_park(c);
        return false;
    }
    buf_clear(&s->body);
    touch(c);
    outcome.status = room_judge(s, &action->op, (struct span){0});
    if (outcome.status == OK)
        shard_apply(s, &action->op, &outcome);
    if (outcome.status == TOO_LARGE && arena_mark(&s->arena) > ARENA_KEEP)
        return false;
    COUNT_UP(*(action->op.kind == OP_TWIN_READ ? &s->totals.twin_reads : &s->totals.twin_reports),
             action->type == MQTT_PUBLISH);
    answer(c, action, &outcome);
    return true;
}

static void count_event(struct conn *c, const struct mqtt_action *action)
{
    struct shard *s = c->shard;
    struct outcome outcome = {.status = OK};
    touch(c);
    COUNT_UP(s->totals.messages, 1);
    COUNT_UP(s->totals.message_bytes, action->message_len);
    answer(c, action, &outcome);
}

/* Does it change the session, which must not be until the store can have the change? */
static bool waits_unread(const struct conn *c, const struct mqtt_packet *p)
{
    return c->mqtt.state == M_OPEN && (p->type == MQTT_SUBSCRIBE || p->type == MQTT_UNSUBSCRIBE) &&
           room_waits(c->shard, &(struct op){.kind = OP_SESSION_SAVE}, (struct span){0});
}

/* One packet; false when it was not used up and must come again. */
static bool step(struct conn *c, const struct mqtt_packet *p)
{
    struct shard *s = c->shard;
    struct mqtt_action action;
    if (waits_unread(c, p)) {
        room_park(c);
        return false;
    }
    struct mqtt_context around = context(c);
    buf_clear(&s->out);
    enum status st = mqtt_session_packet(&c->mqtt, p, &around, &action, &s->out);
    if (st == OK && action.act == ACT_LOGIN &&
        shard_of(s->cluster, action.login.user.device) != s->index) {
        /* Another shard's device: the connection moves there before it is authenticated. */
        c->moving = true;
        c->target = shard_of(s->cluster, action.login.user.device);
        return false;
    }
    if (s->out.len && p->type == MQTT_PUBLISH)
        conn_out(c, buf_span(&s->out), 0, 1); /* a PUBACK, in its order */
    else if (s->out.len)
        conn_out_now(c, buf_span(&s->out));
    if (st != OK) {
        COUNT_UP(s->totals.refused_connects, p->type == MQTT_CONNECT);
        conn_end(c, st, action.reason);
        return true;
    }
    switch (action.act) {
    case ACT_NONE:
    case ACT_PING:
        return true;
    case ACT_LOGIN:
        login(c, &action);
        return !c->parked && !c->waits_room;
    case ACT_OP:
        return operate(c, &action);
    case ACT_EVENT:
        count_event(c, &action);
        return true;
    case ACT_BYE:
        conn_end(c, CLOSED, NULL);
        return true;
    }
    return true;
}

bool mqtt_conn_greets(const struct conn *c)
{
    return c->mark_count && c->marks[0].batch <= c->greeting;
}

static bool takes_more(const struct conn *c)
{
    return !c->ended && !mqtt_conn_greets(c) && c->replies < UNANSWERED_MAX;
}

size_t mqtt_conn_run(struct conn *c, struct span in)
{
    size_t at = 0;
    for (int n = 0; n < OPS_A_TURN && takes_more(c); n++) {
        struct mqtt_packet packet;
        size_t used;
        enum status st = mqtt_decode(span_skip(in, at), MQTT_PACKET_MAX, &packet, &used);
        if (st == NEED_MORE)
            break;
        if (st != OK) {
            conn_end(c, st, "not an MQTT packet");
            break;
        }
        size_t mark = arena_mark(&c->shard->arena);
        bool used_up = step(c, &packet);
        shard_release(c->shard, mark);
        if (!used_up) {
            if (!c->parked && !c->moving && !c->waits_room)
                conn_ready(c);
            break;
        }
        at += used;
    }
    return at;
}

void mqtt_conn_pings(struct conn *c)
{
    struct buf *in = &c->in;
    struct mqtt_packet p;
    size_t used, kept = 0;
    c->queued = 0;
    while (c->mqtt.state == M_OPEN && !c->ended &&
           mqtt_decode(span_skip(buf_span(in), kept), MQTT_PACKET_MAX, &p, &used) == OK) {
        if (p.type != MQTT_PINGREQ || p.body.len) {
            c->queued++;
            kept += used;
            continue;
        }
        buf_clear(&c->shard->out);
        mqtt_pingresp_encode(&c->shard->out);
        memmove(in->data + kept, in->data + kept + used, in->len - kept - used);
        in->len -= used;
        conn_out_now(c, buf_span(&c->shard->out));
    }
}

void mqtt_conn_end(struct conn *c)
{
    struct shard *s = c->shard;
    if (mqtt_session_close(&c->mqtt))
        COUNT_UP(s->totals.wills, 1);
    struct live *who = c->who, *device = c->device;
    if (!who)
        return;
    c->who = c->device = NULL;
    _Atomic uint64_t *count =
        who->module_len ? &s->totals.connected_modules : &s->totals.connected_devices;
    COUNT_UP(*count, (uint64_t)-1);
    if (who->conn == c->id) {
        hub_connected(&s->hub, who, 0);
        who->connection_updated_ms = s->now.wall_ms;
        struct outcome outcome = {0};
        struct op save = {
            .kind = OP_ACTIVITY_SAVE, .device = live_device(who), .module = live_module(who)};
        if (!s->failed)
            shard_apply(s, &save, &outcome);
    }
    hub_unpin(&s->hub, who);
    hub_unpin(&s->hub, device);
}
