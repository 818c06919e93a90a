#include "base/text.h"
#include "shard/internal.h"

/* ---- answers ---- */

/* The request is answered: take the next one, or close. */
static void next_request(struct conn *c, bool close)
{
    c->calling = false;
    c->head_known = false;
    c->heard_ms = c->shard->now.mono_ms;
    c->phase = HTTP_PHASE_IDLE; /* the next request has time of its own, seen between them or not */
    if (close) {
        conn_finish(c);
        return;
    }
    http_next(&c->http);
    if (c->in.len)
        conn_ready(c);
}

static void put_answer(struct conn *c, struct rest_answer *answer)
{
    struct shard *s = c->shard;
    bool refused = http_phase(&c->http) == HTTP_PHASE_REFUSED;
    answer->close |= s->stopping || refused || !http_keep_alive(&c->http);
    COUNT_UP(s->totals.requests, 1);
    COUNT_UP(s->totals.refused_requests, answer->st != OK);
    buf_clear(&s->out);
    rest_put_answer(&s->out, answer, refused ? NULL : &c->http, s->now, s->random);
    conn_out(c, buf_span(&s->out), 0, 1);
    next_request(c, answer->close);
}

void http_conn_answer(struct shard *s, struct call *call)
{
    struct conn *c = conn_find(s, call->conn);
    s->calls_out--;
    if (c && !c->ended) {
        struct rest_answer answer = {.st = call->status,
                                     .status = rest_success(call->route),
                                     .body = buf_span(&call->body),
                                     .why = buf_span(&call->why),
                                     .etag = span_text(call->etag),
                                     .bulk_failed = call->bulk_failed};
        put_answer(c, &answer);
    }
    call_destroy(call);
}

static void refuse(struct conn *c, enum status st, bool close)
{
    struct rest_answer answer = {.st = st, .close = close};
    put_answer(c, &answer);
}

/* ---- what any shard answers itself ---- */

static void answer_text(struct conn *c, struct span body, struct span type)
{
    struct rest_answer answer = {.status = 200, .body = body, .content_type = type};
    put_answer(c, &answer);
}

static void answer_own(struct conn *c, enum route_id route)
{
    const struct cluster *cluster = c->shard->cluster;
    struct buf body = {0};
    uint64_t devices = 0, disabled = 0, connected = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct shard_totals *t = &cluster->shards[i]->totals;
        devices += t->devices;
        disabled += t->disabled;
        connected += t->connected_devices;
    }
    struct span type = {0};
    switch (route) {
    case ROUTE_HEALTHZ:
        buf_text(&body, "{\"status\":\"ok\"}");
        break;
    case ROUTE_READYZ:
        metrics_put_ready(&body, cluster);
        break;
    case ROUTE_METRICS:
        metrics_put(&body, cluster);
        type = SPAN("text/plain; version=0.0.4");
        break;
    case ROUTE_CA:
        if (cluster->put_ca)
            cluster->put_ca(cluster->ctx, &body);
        type = SPAN("application/x-pem-file");
        break;
    case ROUTE_STATISTICS_DEVICES:
        buf_printf(&body,
                   "{\"totalDeviceCount\":%llu,\"enabledDeviceCount\":%llu,"
                   "\"disabledDeviceCount\":%llu}",
                   (unsigned long long)devices, (unsigned long long)(devices - disabled),
                   (unsigned long long)disabled);
        break;
    default:
        buf_printf(&body, "{\"connectedDeviceCount\":%llu}", (unsigned long long)connected);
        break;
    }
    answer_text(c, buf_span(&body), type);
    buf_fini(&body);
}

static void upgrade(struct conn *c)
{
    struct shard *s = c->shard;
    struct span protocol = http_find_token(&c->http, SPAN("sec-websocket-protocol"), SPAN("mqtt"));
    if (!http_is_websocket_upgrade(&c->http) || !protocol.data || c->mark_count) {
        refuse(c, BAD_REQUEST, true);
        return;
    }
    COUNT_UP(s->totals.requests, 1);
    buf_clear(&s->out);
    ws_put_handshake(&s->out, http_header(&c->http, SPAN("sec-websocket-key")), protocol);
    conn_out_now(c, buf_span(&s->out));
    http_fini(&c->http);
    c->kind = CONN_WEBSOCKET;
}

/* ---- requests ---- */

static void send_call(struct conn *c)
{
    struct shard *s = c->shard;
    struct call *call = rest_call(&c->http, &c->head, &s->arena);
    if (!call) { /* the head was understood before: only a full arena can say no */
        conn_ready(c);
        return;
    }
    call->home = s->index;
    call->conn = c->id;
    c->calling = true;
    s->calls_out++;
    unsigned owner = shard_of(s->cluster, call->op.device);
    if (owner == s->index)
        list_append(&s->calls, &call->link);
    else
        shard_mail(s->cluster->shards[owner], call);
}

static void serve(struct conn *c)
{
    struct shard *s = c->shard;
    if (c->head.refusal != OK) {
        refuse(c, c->head.refusal, false);
        return;
    }
    switch (c->head.route) {
    case ROUTE_HEALTHZ:
    case ROUTE_READYZ:
    case ROUTE_METRICS:
    case ROUTE_CA:
    case ROUTE_STATISTICS_DEVICES:
    case ROUTE_STATISTICS_SERVICE:
        answer_own(c, c->head.route);
        return;
    case ROUTE_WEBSOCKET:
        upgrade(c);
        return;
    case ROUTE_DEVICE_LIST:
        gather_list(c);
        return;
    case ROUTE_DEVICE_BULK:
        gather_bulk(c);
        return;
    default:
        break;
    }
    if (s->stopping)
        refuse(c, SERVER_BUSY, true);
    else
        send_call(c);
}

/* The head has come. A peer that waits for "100 Continue" gets it, or the refusal, at once. */
static void read_head(struct conn *c)
{
    struct shard *s = c->shard;
    rest_head(&c->http, &s->cluster->rules, s->now.wall_ms, &s->arena, &c->head);
    c->head_known = true;
    if (c->head.refusal != OK)
        shard_log(s, LOG_DEBUG, "request refused", c, status_name(c->head.refusal), c->head.reason);
    if (http_expects_continue(&c->http)) {
        if (c->head.refusal != OK) {
            refuse(c, c->head.refusal, true);
            return;
        }
        buf_clear(&s->out);
        http_put_continue(&s->out);
        conn_out(c, buf_span(&s->out), 0, 0);
    }
    http_allow_body(&c->http, c->head.body_max);
}

size_t http_conn_run(struct conn *c, struct span in)
{
    size_t at = 0;
    if (http_phase(&c->http) == HTTP_PHASE_REQUEST && !c->calling)
        serve(c); /* put off for want of room in the arena */
    for (int n = 0; n < OPS_A_TURN;) {
        if (c->ended || c->finish || c->calling || c->kind != CONN_HTTP ||
            http_phase(&c->http) == HTTP_PHASE_REQUEST)
            break;
        size_t used, mark = arena_mark(&c->shard->arena);
        enum http_event event = http_feed(&c->http, span_skip(in, at), &used);
        at += used;
        switch (event) {
        case HTTP_NEED_MORE:
            return at;
        case HTTP_HAVE_HEAD:
            read_head(c);
            break;
        case HTTP_HAVE_REQUEST:
            n++;
            serve(c);
            break;
        case HTTP_REFUSED:
            /* What was wrong with it was said before its size was: a refused token stays one. */
            refuse(c,
                   c->head_known && c->head.refusal != OK ? c->head.refusal : http_status(&c->http),
                   true);
            break;
        }
        shard_release(c->shard, mark);
    }
    return at;
}
