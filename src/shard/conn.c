#include "shard/internal.h"

#include <stdlib.h>

/* ---- the table: an id is a slot and its generation ---- */

struct conn *conn_find(const struct shard *s, uint64_t id)
{
    uint32_t slot = (uint32_t)id;
    if (!id || slot >= s->conn_room || !s->conns[slot] || s->conns[slot]->id != id)
        return NULL;
    return s->conns[slot];
}

static void grow(struct shard *s)
{
    uint32_t room = s->conn_room ? s->conn_room * 2 : 64;
    s->conns =
        realloc(s->conns, room * sizeof(struct conn *)); /* NOLINT(bugprone-sizeof-expression) */
    s->generations = realloc(s->generations, room * sizeof(*s->generations));
    s->free_slots = realloc(s->free_slots, room * sizeof(*s->free_slots));
    if (!s->conns || !s->generations || !s->free_slots)
        check_no_memory();
    for (uint32_t slot = room; slot-- > s->conn_room;) {
        s->conns[slot] = NULL;
        s->generations[slot] = 0;
        s->free_slots[s->free_count++] = slot;
    }
    s->conn_room = room;
}

static void enter(struct shard *s, struct conn *c)
{
    if (s->free_count == 0)
        grow(s);
    uint32_t slot = s->free_slots[--s->free_count];
    c->shard = s;
    c->id = (uint64_t)++s->generations[slot] << 32 | slot;
    s->conns[slot] = c;
    s->conn_count++;
}

static void leave(struct conn *c)
{
    struct shard *s = c->shard;
    uint32_t slot = (uint32_t)c->id;
    list_remove(&c->ready);
    list_remove(&c->held);
    s->conns[slot] = NULL;
    s->free_slots[s->free_count++] = slot;
    s->conn_count--;
}

/* ---- life ---- */

void conn_open(void *shard, struct link *l)
{
    struct shard *s = shard;
    shard_now(s);
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        check_no_memory();
    c->link = l;
    l->owner = c;
    c->kind = l->kind == LINK_MQTT ? CONN_MQTT : CONN_HTTP;
    c->heard_ms = c->phase_ms = s->now.mono_ms;
    list_init(&c->ready);
    list_init(&c->held);
    mqtt_session_init(&c->mqtt);
    http_init(&c->http);
    ws_init(&c->ws);
    enter(s, c);
    shard_log(s, LOG_DEBUG, "opened", c, NULL, NULL);
    if (s->stopping)
        conn_end(c, SHUTTING_DOWN, NULL);
}

void conn_moved(void *shard, struct link *l)
{
    struct shard *s = shard;
    struct conn *c = l->owner;
    shard_now(s);
    c->moving = false;
    enter(s, c);
    if (s->stopping)
        conn_end(c, SHUTTING_DOWN, NULL);
    else
        conn_ready(c);
}

static void conn_free(struct conn *c)
{
    mqtt_session_fini(&c->mqtt);
    http_fini(&c->http);
    ws_fini(&c->ws);
    buf_fini(&c->in);
    buf_fini(&c->bytes);
    free(c->marks);
    free(c);
}

void conn_closed(struct link *l, enum status why)
{
    struct conn *c = l->owner;
    shard_now(c->shard);
    if (!c->ended)
        conn_end(c, why, NULL);
    leave(c);
    conn_free(c);
}

void conn_end(struct conn *c, enum status why, const char *reason)
{
    struct shard *s = c->shard;
    if (c->ended)
        return;
    c->ended = true;
    COUNT_UP(s->totals.closed[why], 1);
    shard_log(s, why == SERVER_ERROR ? LOG_WARN : LOG_DEBUG, "closing", c, status_name(why),
              reason);
    if (c->kind != CONN_HTTP)
        mqtt_conn_end(c);
    list_remove(&c->ready);
    room_count(c);
    buf_fini(&c->in);
    link_read(c->link, false);
    link_close(c->link);
}

void conn_finish(struct conn *c)
{
    if (c->mark_count == 0)
        conn_end(c, CLOSED, NULL);
    else
        c->finish = true;
}

/* ---- output ---- */

static void send_bytes(struct conn *c, struct span bytes)
{
    if (!bytes.len || c->ended)
        return;
    COUNT_UP(c->shard->totals.bytes_out, bytes.len);
    link_send(c->link, bytes);
}

static void put_mark(struct conn *c, uint64_t batch, unsigned replies)
{
    c->replies += replies;
    if (c->mark_count && c->marks[c->mark_count - 1].batch >= batch) {
        c->marks[c->mark_count - 1].end = c->bytes.len;
        c->marks[c->mark_count - 1].replies += replies;
        return;
    }
    if (!c->marks || c->mark_count == c->mark_room) {
        c->mark_room = c->mark_room ? c->mark_room * 2 : 2;
        c->marks = realloc(c->marks, c->mark_room * sizeof(*c->marks));
        if (!c->marks)
            check_no_memory();
    }
    c->marks[c->mark_count++] = (struct mark){batch, c->bytes.len, replies};
}

/* A peer that does not read what it is sent ends here; it reads its twin again when it is back. */
static void judge_reader(struct conn *c)
{
    if (!c->ended && c->bytes.len + link_unsent(c->link) > UNREAD_OUTPUT_MAX &&
        c->kind != CONN_HTTP)
        conn_end(c, SLOW_READER, NULL);
}

void conn_out(struct conn *c, struct span bytes, uint64_t batch, unsigned replies)
{
    struct shard *s = c->shard;
    if (c->ended)
        return;
    struct span out = bytes;
    if (c->kind == CONN_WEBSOCKET) {
        buf_clear(&s->wire);
        ws_put_binary(&c->ws, bytes, &s->wire);
        out = buf_span(&s->wire);
    }
    if (c->mark_count == 0 && batch <= s->hub.durable) {
        send_bytes(c, out);
    } else {
        if (c->mark_count == 0)
            list_append(&s->held, &c->held);
        buf_put(&c->bytes, out);
        put_mark(c, batch, replies);
    }
    judge_reader(c);
}

void conn_out_now(struct conn *c, struct span bytes)
{
    struct shard *s = c->shard;
    if (c->kind == CONN_WEBSOCKET) {
        buf_clear(&s->wire);
        ws_put_binary(&c->ws, bytes, &s->wire);
        bytes = buf_span(&s->wire);
    }
    send_bytes(c, bytes);
    judge_reader(c);
}

void conn_release(struct conn *c, uint64_t durable)
{
    unsigned n = 0;
    size_t end = 0;
    while (n < c->mark_count && c->marks[n].batch <= durable) {
        end = c->marks[n].end;
        c->replies -= c->marks[n++].replies;
    }
    if (n == 0)
        return;
    if (c->kind != CONN_WEBSOCKET || !c->ws.close_sent) /* nothing follows a close frame */
        send_bytes(c, span_of(c->bytes.data, end));
    if (mqtt_conn_greets(c))
        c->heard_ms = c->shard->now.mono_ms; /* it could not know that it may speak */
    buf_consume(&c->bytes, end);
    c->mark_count -= n;
    memmove(c->marks, c->marks + n, c->mark_count * sizeof(*c->marks));
    for (unsigned i = 0; i < c->mark_count; i++)
        c->marks[i].end -= end;
    if (c->mark_count == 0) {
        list_remove(&c->held);
        if (c->bytes.cap > 4096) /* an idle connection keeps no buffer */
            buf_fini(&c->bytes);
        if (c->finish)
            conn_end(c, CLOSED, NULL);
    }
    if (!c->ended && c->in.len && c->replies < UNANSWERED_MAX)
        conn_ready(c);
}

/* ---- input ---- */

void conn_ready(struct conn *c)
{
    if (!c->ended && !list_linked(&c->ready))
        list_append(&c->shard->ready, &c->ready);
}

/* An HTTP peer that sends requests and does not read the answers waits until it does. */
static bool is_behind(const struct conn *c)
{
    return c->kind == CONN_HTTP && link_unsent(c->link) > UNREAD_ANSWERS_MAX;
}

/* May it be read on at once? Else its turn comes when what it waits for has happened. While the
 * hub stops nothing new is begun, or a peer that never pauses would keep it from stopping. */
static bool may_run(const struct conn *c)
{
    return !c->ended && !c->parked && !c->waits_room && !c->moving && !c->finish && !c->calling &&
           !mqtt_conn_greets(c) && c->replies < UNANSWERED_MAX && !c->shard->failed &&
           !c->shard->stopping && !is_behind(c);
}

/* Its next operation waits for the store; what comes behind it is looked at for pings. */
static bool may_ping(const struct conn *c)
{
    bool room = c->in.len < WAITING_INPUT_ONE || c->shard->waiting_in < WAITING_INPUT_ALL;
    return c->waits_room && c->mqtt.state == M_OPEN && room &&
           c->replies + c->queued < UNANSWERED_MAX;
}

/* Read from the socket only what can be used soon. */
static void set_reading(struct conn *c)
{
    struct shard *s = c->shard;
    if (c->ended || c->moving)
        return;
    room_count(c);
    bool goes_on = may_run(c) || may_ping(c);
    bool no_read = c->in.len > 0 && (!goes_on || c->in.len > MQTT_HEAD_MAX + MQTT_PACKET_MAX);
    if (no_read == c->no_read)
        return;
    c->no_read = no_read;
    if (!no_read)
        c->heard_ms = s->now.mono_ms; /* while we did not read, its silence did not count */
    link_read(c->link, !no_read);
}

/* The clock of an HTTP phase starts when its first byte has come. */
static void note_phase(struct conn *c)
{
    enum http_phase phase = http_phase(&c->http);
    if (phase == c->phase)
        return;
    c->phase = phase;
    c->phase_ms = c->shard->now.mono_ms;
}

static size_t use(struct conn *c, struct span in)
{
    if (shard_is_full(c->shard)) {
        conn_ready(c);
        return 0;
    }
    if (c->kind != CONN_HTTP)
        return mqtt_conn_run(c, in);
    size_t used = http_conn_run(c, in);
    if (c->kind == CONN_HTTP && !c->ended)
        note_phase(c);
    return used;
}

/* It belongs to another shard: from here on this one does not know it. */
static void depart(struct conn *c)
{
    if (!c->moving)
        return;
    leave(c);
    link_move(c->link, c->target);
}

static void feed_websocket(struct conn *c, struct span bytes);

/* No frame is read any more, and what came before the end has been used, or never will be. */
static bool is_over(const struct conn *c)
{
    if (c->frames_end == OK || c->moving)
        return false;
    return c->in.len == 0 || (may_run(c) && !list_linked(&c->ready));
}

void conn_run(struct conn *c)
{
    enum conn_kind kind = c->kind;
    size_t used = may_run(c) ? use(c, buf_span(&c->in)) : 0;
    if (c->ended)
        return;
    if (used == c->in.len)
        buf_fini(&c->in);
    else
        buf_consume(&c->in, used);
    if (c->kind != kind) { /* it was upgraded: what follows are frames */
        struct buf frames = c->in;
        c->in = (struct buf){0};
        feed_websocket(c, buf_span(&frames));
        buf_fini(&frames);
        return;
    }
    if (used && c->in.len && may_run(c))
        conn_ready(c);
    if (c->waits_room)
        mqtt_conn_pings(c);
    if (is_over(c)) {
        conn_end(c, c->frames_end, "WebSocket");
        return;
    }
    set_reading(c);
    depart(c);
}

static void feed_websocket(struct conn *c, struct span bytes)
{
    struct shard *s = c->shard;
    size_t before = c->in.len;
    buf_clear(&s->wire);
    c->frames_end = ws_feed(&c->ws, bytes, &c->in, &s->wire);
    if (c->in.len > before) /* control frames are no sign of life (mqtt 1) */
        c->heard_ms = s->now.mono_ms;
    send_bytes(c, buf_span(&s->wire));
    judge_reader(c); /* pongs are output, too */
    conn_run(c);     /* what came before an end counts; and perhaps it is another shard's then */
}

void conn_bytes(struct link *l, struct span bytes)
{
    struct conn *c = l->owner;
    struct shard *s = c->shard;
    if (c->ended)
        return;
    shard_now(s);
    COUNT_UP(s->totals.bytes_in, bytes.len);
    if (c->kind == CONN_WEBSOCKET) {
        feed_websocket(c, bytes);
        return;
    }
    c->heard_ms = s->now.mono_ms;
    /* The common case, whole packets and nothing left over, copies nothing. */
    size_t used = 0;
    if (c->in.len == 0 && may_run(c))
        used = use(c, bytes);
    if (c->ended)
        return;
    if (c->kind == CONN_WEBSOCKET) { /* it was upgraded: what follows are frames */
        feed_websocket(c, span_skip(bytes, used));
        return;
    }
    buf_put(&c->in, span_skip(bytes, used));
    if (c->waits_room)
        mqtt_conn_pings(c);
    if (c->in.len && (used || c->in.len > bytes.len))
        conn_ready(c);
    set_reading(c);
    depart(c);
}

void conn_drained(struct link *l)
{
    struct conn *c = l->owner;
    if (c->in.len) /* it may have been behind */
        conn_ready(c);
}

/* ---- deadlines ---- */

static bool mqtt_is_late(const struct conn *c, struct now now)
{
    bool waits = c->parked || c->waits_room; /* for the store: that is not the client's delay */
    if (c->mqtt.state != M_OPEN)
        return !waits && now.mono_ms - c->link->opened_ms > MQTT_CONNECT_MS;
    return !c->no_read && !mqtt_conn_greets(c) && now.mono_ms - c->heard_ms > c->mqtt.silence_ms;
}

static bool http_is_late(const struct conn *c, struct now now)
{
    int64_t since = now.mono_ms - c->phase_ms;
    switch (c->phase) {
    case HTTP_PHASE_IDLE:
        return now.mono_ms - c->heard_ms > REST_IDLE_MS && !c->calling;
    case HTTP_PHASE_HEAD:
        return since > REST_HEADERS_MS;
    case HTTP_PHASE_BODY:
        return since > REST_BODY_MS;
    case HTTP_PHASE_REQUEST:
    case HTTP_PHASE_REFUSED:
        return false;
    }
    return false;
}

static void check(struct conn *c)
{
    struct shard *s = c->shard;
    if (c->ended || c->moving)
        return;
    if (c->kind == CONN_HTTP ? http_is_late(c, s->now) : mqtt_is_late(c, s->now)) {
        conn_end(c, TIMED_OUT, NULL);
        return;
    }
    int64_t grace_s = s->cluster->token_grace_s;
    if (c->who && c->expiry_s < INT64_MAX / 1000 - grace_s &&
        s->now.wall_ms > (c->expiry_s + grace_s) * 1000) {
        conn_end(c, TOKEN_EXPIRED, NULL);
        return;
    }
    set_reading(c);
}

/* The whole table every SWEEP_MS, a little each turn: turns come at least every 50 ms, and under
 * load thousands of times a second. If none came for long the process stood still, or its machine:
 * what was sent meanwhile is read before anybody's silence is judged. */
void conn_sweep(struct shard *s)
{
    int64_t since_ms = s->now.mono_ms - s->swept_ms;
    if ((since_ms <= 0 && !s->stood_still) || s->conn_room == 0)
        return;
    s->swept_ms = s->now.mono_ms;
    s->stood_still = !s->stood_still && since_ms > STANDSTILL_MS;
    if (s->stood_still)
        return;
    if (since_ms <= 0 || since_ms > SWEEP_MS)
        since_ms = SWEEP_MS;
    uint32_t n = (uint32_t)((uint64_t)s->conn_room * (uint64_t)since_ms / SWEEP_MS) + 1;
    for (uint32_t i = 0; i < n; i++) {
        s->sweep_at = (s->sweep_at + 1) % s->conn_room;
        if (s->conns[s->sweep_at])
            check(s->conns[s->sweep_at]);
    }
}
