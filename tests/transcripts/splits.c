/* Every split point of recorded sessions (trials F25): what the hub answers and what it stores do
 * not depend on how a client's bytes were cut.
 *
 *   splits EVERY                  each EVERY-th split point of each session; 1: all of them
 *   splits EVERY MUTANTS SEED     then so many sessions with a few bytes changed (trials F21)
 *
 * The sessions are the bytes of every client of every transcript: MQTT as it was said there, the
 * same in WebSocket frames behind an upgrade, and what came over WebSocket there. A session goes to
 * a hub of its own in one piece; again in two, cut at every place; and byte by byte. Then the back
 * end writes a desired property, which the device hears if it is still there.
 *
 * Equal must be: the answers, without WebSocket's frame borders; why the hub ended the connection,
 * if it did; every change that was stored, in order; every record at the end. Two things differ
 * with the time between two bytes, and may. PINGRESP alone passes answers that wait for the disk
 * (architecture.md), so pings are counted apart. And what still waits when a connection ends is not
 * sent, so if there is an end, answers need only be the first of those to the bytes one by one.
 */
#include "base/hash.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "cases.h"
#include "script.h"
#include "wire/mqtt.h"

enum {
    SESSION_MAX = 4096, /* longer ones are left out */
    WIRES_MAX = 256,    /* of one case */
    SESSIONS_LEAST = 200,
};

struct session {
    char name[96];
    enum link_kind kind;
    bool logs_in;
    struct buf bytes;
};

static struct session *sessions;
static size_t session_count, session_room, too_long;

/* ---- recording ---- */

static struct buf heard[WIRES_MAX]; /* by wire, of the case at hand */

static void on_recorded(void *owner, enum world_event event, uint64_t wire, struct span bytes)
{
    (void)owner;
    if (event == WORLD_TO_HUB && wire < WIRES_MAX)
        buf_put(&heard[wire], bytes);
}

static bool is_known(struct span bytes)
{
    for (size_t i = 0; i < session_count; i++)
        if (span_eq(buf_span(&sessions[i].bytes), bytes))
            return true;
    return false;
}

/* Frees the bytes, or keeps them. */
static void add(const char *file, int line, const char *how, enum link_kind kind, struct buf *bytes)
{
    if (bytes->len > SESSION_MAX || is_known(buf_span(bytes))) {
        too_long += bytes->len > SESSION_MAX;
        buf_fini(bytes);
        return;
    }
    if (session_count == session_room) {
        session_room = session_room ? session_room * 2 : 256;
        sessions = realloc(sessions, session_room * sizeof(*sessions));
        if (!sessions)
            check_no_memory();
    }
    struct session *s = &sessions[session_count++];
    *s = (struct session){.kind = kind, .bytes = *bytes};
    snprintf(s->name, sizeof(s->name), "%s:%d%s", file, line, how);
    *bytes = (struct buf){0};
}

static const char upgrade[] = "GET /$iothub/websocket HTTP/1.1\r\nHost: " WORLD_HOST "\r\n"
                              "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

static void put_frame(struct buf *out, unsigned first, struct span payload)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    CHECK(payload.len <= UINT16_MAX);
    buf_byte(out, (uint8_t)first);
    buf_byte(out, (uint8_t)(0x80 | (payload.len < 126 ? payload.len : 126)));
    if (payload.len >= 126) {
        buf_byte(out, (uint8_t)(payload.len >> 8));
        buf_byte(out, (uint8_t)payload.len);
    }
    buf_put(out, span_of(mask, sizeof(mask)));
    for (size_t i = 0; i < payload.len; i++)
        buf_byte(out, payload.data[i] ^ mask[i % 4]);
}

/* In frames of many lengths, which are messages or fragments of one, with a ping here and there. */
static void put_frames(struct buf *out, struct span bytes)
{
    uint64_t seed = bytes.len;
    for (bool begun = false; bytes.len;) {
        uint64_t r = test_random(&seed);
        size_t n = r % 4 ? 1 + (r >> 8) % 40 : bytes.len;
        struct span piece = span_first(bytes, n);
        bytes = span_skip(bytes, piece.len);
        bool last = bytes.len == 0 || r >> 16 & 1;
        put_frame(out, (last ? 0x80u : 0) | (begun ? 0u : 2u), piece);
        begun = !last;
        if (r >> 17 & 1)
            put_frame(out, 0x89, span_first(SPAN("ping"), r >> 18 & 3));
    }
}

/* What begins with a method is HTTP. */
static bool is_http(struct span bytes)
{
    return bytes.len > 3 && bytes.data[0] >= 'A' && bytes.data[0] <= 'Z' && bytes.data[1] >= 'A' &&
           bytes.data[1] <= 'Z';
}

static void record(void *ctx, const char *file, int line, struct span text)
{
    static const struct mode mode = {.name = "recorded", .shards = 1, .trace = on_recorded};
    struct buf *messages = ctx;
    script_run(file, line, text, &mode, messages);
    for (size_t i = 0; i < WIRES_MAX; i++) {
        struct buf *b = &heard[i], framed = {0};
        if (b->len && is_http(buf_span(b))) {
            if (memmem(b->data, b->len, "Upgrade: websocket", 18))
                add(file, line, "", LINK_HTTP, b);
        } else if (b->len) {
            buf_text(&framed, upgrade);
            if (b->len <= SESSION_MAX)
                put_frames(&framed, buf_span(b));
            add(file, line, ", in frames", LINK_HTTP, &framed);
            add(file, line, "", LINK_MQTT, b);
        }
        buf_fini(b);
    }
}

/* ---- what a session leads to ---- */

struct result {
    struct buf head, control; /* WebSocket: the answer to the upgrade; control frames */
    struct buf answers;       /* MQTT but for PINGRESP */
    size_t pings;
    char why[32]; /* the hub ended the connection; empty: it is open */
    uint64_t changes, records;
};

static void result_fini(struct result *r)
{
    buf_fini(&r->head);
    buf_fini(&r->control);
    buf_fini(&r->answers);
}

static void on_change(void *owner, enum world_event event, uint64_t wire, struct span bytes)
{
    (void)wire;
    struct result *r = owner;
    if (event == WORLD_APPENDED)
        r->changes = hash_keyed((struct hash_key){r->changes, 1}, bytes);
}

static void take_packets(struct result *r, struct span in)
{
    struct mqtt_packet packet;
    for (size_t used; mqtt_decode(in, SESSION_MAX * 16, &packet, &used) == OK;
         in = span_skip(in, used)) {
        if (packet.type == MQTT_PINGRESP)
            r->pings++;
        else
            buf_put(&r->answers, span_first(in, used));
    }
    buf_put(&r->answers, in);
}

/* The hub's frames are whole and not masked (websocket_test.c). */
static void take_frames(struct result *r, struct span in)
{
    struct buf app = {0};
    const uint8_t *end = in.len ? memmem(in.data, in.len, "\r\n\r\n", 4) : NULL;
    size_t head = end ? (size_t)(end - in.data) + 4 : in.len;
    buf_put(&r->head, span_first(in, head));
    in = span_skip(in, head);
    bool switched = span_starts(buf_span(&r->head), SPAN("HTTP/1.1 101"));
    while (switched && in.len >= 2) {
        size_t len = in.data[1], before = 2;
        if (len == 126) {
            CHECK(in.len >= 4);
            len = (size_t)in.data[2] << 8 | in.data[3];
            before = 4;
        }
        CHECK(len < 127 || before == 4);
        CHECK(in.len >= before + len);
        struct span frame = span_first(in, before + len);
        in = span_skip(in, frame.len);
        if (frame.data[0] == 0x82)
            buf_put(&app, span_skip(frame, before));
        else
            buf_put(&r->control, frame);
    }
    buf_put(&r->head, in); /* the body of a refusal */
    take_packets(r, buf_span(&app));
    buf_fini(&app);
}

/* "… msg="closing" … why=NAME …" */
static void take_end(struct result *r, const struct world *w)
{
    static const char closing[] = "msg=\"closing\"", mark[] = " why=";
    const uint8_t *at =
        w->log.len ? memmem(w->log.data, w->log.len, closing, strlen(closing)) : NULL;
    if (!at)
        return;
    struct span line = span_skip(buf_span(&w->log), (size_t)(at - w->log.data));
    line = span_first(line, span_index(line, '\n'));
    const uint8_t *why = memmem(line.data, line.len, mark, strlen(mark));
    CHECK(why);
    line = span_skip(line, (size_t)(why - line.data) + strlen(mark));
    snprintf(r->why, sizeof(r->why), "%.*s", SPAN_ARG(span_first(line, span_index(line, ' '))));
}

/* ---- the hub they are said to ---- */

/* `cut` bytes, then the rest; or, with cut 0, byte by byte. */
static void say(struct wire *wire, struct span bytes, size_t cut)
{
    for (; cut == 0 && bytes.len; bytes = span_skip(bytes, 1)) {
        wire_send(wire, span_first(bytes, 1));
        world_step(wire->world);
    }
    if (bytes.len) {
        wire_send(wire, span_first(bytes, cut));
        world_settle(wire->world);
        wire_send(wire, span_skip(bytes, cut));
    }
    world_settle(wire->world);
}

/* Two shards, so that about half of the connections move to their device's. */
static struct result replay(const struct session *s, size_t cut)
{
    static struct world w;
    struct result r = {0};
    struct world_options options = {.shards = 2,
                                    .seed = 25,
                                    .wall_ms = CREDENTIALS_START_MS,
                                    .arena_size = 43 << 20, /* no turn begins with less */
                                    .trace = on_change,
                                    .trace_owner = &r};
    world_start(&w, &options);
    identity_put(&w, "d1");
    identity_put(&w, "d1/m1");
    w.log_kept = true;
    struct wire *wire = wire_open(&w, s->kind, (unsigned)s->bytes.len);
    say(wire, buf_span(&s->bytes), cut);
    take_end(&r, &w);
    CHECK(world_rest(&w, "PATCH", "/twins/d1", NULL,
                     SPAN("{\"properties\":{\"desired\":{\"last\":1}}}"), NULL) == 200);
    world_settle(&w);
    if (s->kind == LINK_HTTP)
        take_frames(&r, buf_span(&wire->to_peer));
    else
        take_packets(&r, buf_span(&wire->to_peer));
    wire_drop(wire);
    r.records = world_digest(&w);
    world_end(&w);
    return r;
}

/* ---- equal ---- */

/* Of two that ended the first may have less to say. */
static bool same_bytes(const struct buf *a, const struct buf *b, bool ended)
{
    return ended ? span_starts(buf_span(b), buf_span(a)) : span_eq(buf_span(a), buf_span(b));
}

static const char *difference(const struct result *r, const struct result *bytewise)
{
    bool ended = r->why[0] != '\0';
    if (strcmp(r->why, bytewise->why) != 0)
        return "why the connection ended";
    if (!same_bytes(&r->head, &bytewise->head, false))
        return "the answer to the upgrade";
    if (!same_bytes(&r->control, &bytewise->control, ended) &&
        !same_bytes(&bytewise->control, &r->control, ended)) /* frames are read ahead */
        return "the control frames";
    if (!same_bytes(&r->answers, &bytewise->answers, ended))
        return "the answers";
    if (r->pings > bytewise->pings || (r->pings < bytewise->pings && !ended))
        return "the pings answered";
    if (r->changes != bytewise->changes)
        return "the changes stored";
    if (r->records != bytewise->records)
        return "the records";
    return NULL;
}

static void show(const char *name, const struct result *r)
{
    struct buf b = {0};
    buf_text(&b, "control ");
    put_visible(&b, buf_span(&r->control));
    buf_text(&b, ", answers ");
    put_visible(&b, buf_span(&r->answers));
    printf("  %-12s ended \"%s\", %zu pings, changes %llx, records %llx, %.*s\n", name, r->why,
           r->pings, (unsigned long long)r->changes, (unsigned long long)r->records,
           SPAN_ARG(buf_span(&b)));
    buf_fini(&b);
}

static size_t splits;

/* True: the session cut here leads to what it led to byte by byte. */
static bool compare(const struct session *s, const struct result *bytewise, size_t cut)
{
    struct result r = replay(s, cut);
    const char *what = difference(&r, bytewise);
    if (what) {
        printf("WRONG  %s, %zu bytes, cut at %zu: %s\n", s->name, s->bytes.len, cut, what);
        show("byte by byte", bytewise);
        show("cut", &r);
    }
    splits++;
    result_fini(&r);
    return !what;
}

static size_t accepted, open_at_end;

/* True: every split is equal, and the whole; the first that is not ends it. */
static bool try_session(struct session *s, size_t every, size_t from)
{
    struct result bytewise = replay(s, 0);
    s->logs_in = span_starts(buf_span(&bytewise.answers), SPAN("\x20\x02\x00\x00"));
    accepted += s->logs_in;
    open_at_end += bytewise.why[0] == '\0';
    bool same = compare(s, &bytewise, s->bytes.len);
    for (size_t cut = 1 + from % every; same && cut < s->bytes.len; cut += every)
        same = compare(s, &bytewise, cut);
    result_fini(&bytewise);
    return same;
}

/* ---- changed sessions: whole and byte by byte ---- */

/* Mostly behind the first `login` bytes: what breaks a token is soon seen. */
static void change(struct buf *b, size_t login, uint64_t *seed)
{
    static const uint8_t odd[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    uint64_t r = test_random(seed);
    size_t from = b->len > login && (r >> 48) % 8 ? login : 0;
    size_t at = from + (r >> 8) % (b->len - from), len = 1 + (r >> 24) % 8;
    len = len < b->len - at ? len : b->len - at;
    const struct buf *other = &sessions[(r >> 32) % session_count].bytes;
    struct buf tail = {0};
    buf_put(&tail, span_skip(buf_span(b), at));
    switch (r % 6) {
    case 0: /* a bit */
        b->data[at] ^= (uint8_t)(1u << (r >> 40) % 8);
        break;
    case 1: /* a byte that is often wrong */
        b->data[at] = odd[(r >> 40) % sizeof(odd)];
        break;
    case 2: /* a few are missing */
        b->len = at;
        buf_put(b, span_skip(buf_span(&tail), len));
        break;
    case 3: /* a few are there again */
        b->len = at + len;
        buf_put(b, buf_span(&tail));
        break;
    case 4: /* a few more */
        b->len = at;
        for (size_t i = 0; i < len; i++)
            buf_byte(b, (uint8_t)test_random(seed));
        buf_put(b, buf_span(&tail));
        break;
    default: /* it goes on as another does */
        b->len = at;
        buf_put(b, span_skip(buf_span(other), (r >> 40) % other->len));
    }
    buf_fini(&tail);
}

/* Mostly one that logs in. */
static const struct session *choose(uint64_t *seed)
{
    const struct session *s;
    do
        s = &sessions[test_random(seed) % session_count];
    while (!s->logs_in && test_random(seed) % 8);
    return s;
}

static size_t try_mutants(size_t count, uint64_t seed)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const struct session *of = choose(&seed);
        struct session mutant = {.kind = of->kind};
        snprintf(mutant.name, sizeof(mutant.name), "mutant %zu of %.60s", i, of->name);
        buf_put(&mutant.bytes, buf_span(&of->bytes));
        for (uint64_t n = 1 + test_random(&seed) % 4; n && mutant.bytes.len; n--)
            change(&mutant.bytes, of->kind == LINK_HTTP ? 520 : 260, &seed);
        wrong += mutant.bytes.len && !try_session(&mutant, SIZE_MAX, SIZE_MAX - 1);
        buf_fini(&mutant.bytes);
    }
    return wrong;
}

static void verdict(bool ok, const char *figure, double value, const char *limit)
{
    printf("%-6s %-58s %10.0f  (limit %s)\n", ok ? "ok" : "FAILED", figure, value, limit);
}

int main(int argc, char **argv)
{
    size_t every = argc == 2 || argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    if (every == 0) {
        fprintf(stderr, "usage: splits EVERY [MUTANTS SEED]\n");
        return 2;
    }
    struct buf messages = {0};
    size_t wrong = 0, framed = 0, mutants = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    CHECK(cases_each(record, &messages) > 0);
    if (messages.len) {
        printf("%.*s", SPAN_ARG(buf_span(&messages)));
        return 1;
    }
    for (size_t i = 0; i < session_count; i++) {
        framed += sessions[i].kind == LINK_HTTP;
        wrong += !try_session(&sessions[i], every, i);
    }
    printf(
        "       %zu sessions over MQTT and %zu over WebSocket, %zu over %d bytes left out; %zu log "
        "in, %zu stay open; %zu splits\n",
        session_count - framed, framed, too_long, SESSION_MAX, accepted, open_at_end, splits);
    bool enough = session_count >= SESSIONS_LEAST || getenv("TRANSCRIPT");
    verdict(enough, "recorded sessions", (double)session_count, ">= 200");
    verdict(wrong == 0, "sessions with a split that is not equal", (double)wrong, "0");
    if (mutants) {
        accepted = 0;
        size_t bad = try_mutants(mutants, strtoull(argv[3], NULL, 10));
        printf("       %zu changed sessions, seed %s; %zu log in\n", mutants, argv[3], accepted);
        verdict(bad == 0, "changed sessions with a split that is not equal", (double)bad, "0");
        wrong += bad;
    }
    for (size_t i = 0; i < session_count; i++)
        buf_fini(&sessions[i].bytes);
    free(sessions);
    buf_fini(&messages);
    return enough && wrong == 0 ? 0 : 1;
}
