/* Clients: their connections, their WebSocket frames, and raw bytes.
 *
 *   NAME > BYTES 30 0a...     hex          NAME < BYTES 82...
 *   NAME > RAW text           escapes      NAME < RAW text
 *   NAME > HANGUP             it closes    NAME < CLOSED
 *   NAME > UPGRADE [protocol=mqtt] [path=/...] [Header:value]
 *                                          NAME < 101 mqtt
 *   NAME > SPLIT PACKET...    a frame a byte
 *   NAME > FRAGMENTS PACKET...  one message in many frames
 *   NAME > TEXT words, NAME > PING words   NAME < PONG words, NAME < CLOSE 1003
 */
#include "base/test.h"
#include "base/text.h"
#include "script.h"
#include "wire/mqtt.h"

#define SAMPLE_KEY    "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 1.3 */
#define SAMPLE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum { FRAME_TEXT = 1, FRAME_BINARY = 2, FRAME_CLOSE = 8, FRAME_PING = 9, FRAME_PONG = 10 };

struct speaker *speaker_get(struct script *s, struct span name)
{
    for (size_t i = 0; i < s->speaker_count; i++)
        if (span_eq(span_text(s->speakers[i].name), name))
            return &s->speakers[i];
    CHECK(s->speaker_count < SPEAKERS_MAX);
    struct speaker *sp = &s->speakers[s->speaker_count++];
    *sp = (struct speaker){0};
    CHECK(name.len < sizeof(sp->name));
    memcpy(sp->name, name.data, name.len);
    return sp;
}

struct wire *speaker_wire(struct script *s, struct speaker *sp, bool is_http)
{
    if (!sp->wire) {
        sp->is_http = is_http;
        sp->is_websocket = false;
        sp->wire = wire_open(&s->world, is_http ? LINK_HTTP : LINK_MQTT,
                             (unsigned)test_random(&s->world.seed));
    }
    return sp->wire;
}

static void forget(struct speaker *sp)
{
    wire_drop(sp->wire);
    sp->wire = NULL;
    sp->is_websocket = sp->deaf = false;
    buf_fini(&sp->app);
}

/* ---- frames ---- */

static void put_frame(struct buf *out, unsigned first, struct span payload)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    buf_byte(out, (uint8_t)first);
    if (payload.len < 126) {
        buf_byte(out, (uint8_t)(0x80 | payload.len));
    } else if (payload.len < 65536) {
        buf_byte(out, 0x80 | 126);
        buf_byte(out, (uint8_t)(payload.len >> 8));
        buf_byte(out, (uint8_t)payload.len);
    } else {
        buf_byte(out, 0x80 | 127);
        for (int shift = 56; shift >= 0; shift -= 8)
            buf_byte(out, (uint8_t)((uint64_t)payload.len >> shift));
    }
    buf_put(out, span_of(mask, sizeof(mask)));
    for (size_t i = 0; i < payload.len; i++)
        buf_byte(out, payload.data[i] ^ mask[i % 4]);
}

static void send_frame(struct speaker *sp, unsigned first, struct span payload)
{
    struct buf b = {0};
    put_frame(&b, first, payload);
    wire_send(sp->wire, buf_span(&b));
    buf_fini(&b);
}

void speaker_send(struct script *s, struct speaker *sp, struct span bytes)
{
    if (sp->is_websocket)
        send_frame(sp, 0x80 | FRAME_BINARY, bytes);
    else
        wire_send(speaker_wire(s, sp, false), bytes);
}

/* The first frame of the hub's bytes: never masked, never fragmented, as short as it can be. */
static bool read_frame(struct span in, unsigned *opcode, struct span *payload, size_t *used)
{
    if (in.len < 2 || !(in.data[0] & 0x80) || in.data[1] & 0x80)
        return false;
    size_t len = in.data[1], head = 2;
    if (len == 126) {
        if (in.len < 4)
            return false;
        len = (size_t)in.data[2] << 8 | in.data[3];
        head = 4;
        CHECK(len >= 126);
    } else if (len == 127) {
        if (in.len < 10)
            return false;
        len = 0;
        for (int i = 2; i < 10; i++)
            len = len << 8 | in.data[i];
        head = 10;
        CHECK(len >= 65536);
    }
    if (in.len - head < len)
        return false;
    *opcode = in.data[0] & 0x0f;
    *payload = span_of(in.data + head, len);
    *used = head + len;
    return true;
}

struct buf *speaker_heard(struct script *s, struct speaker *sp)
{
    (void)s;
    if (!sp->is_websocket)
        return &sp->wire->to_peer;
    unsigned opcode;
    struct span payload;
    size_t used;
    while (read_frame(buf_span(&sp->wire->to_peer), &opcode, &payload, &used) &&
           opcode == FRAME_BINARY) {
        buf_put(&sp->app, payload);
        buf_consume(&sp->wire->to_peer, used);
    }
    return &sp->app;
}

void speaker_expect(struct script *s, struct speaker *sp, struct span want)
{
    struct buf *heard = speaker_heard(s, sp);
    if (heard->len < want.len || !span_eq(span_first(buf_span(heard), want.len), want))
        script_fail_bytes(s, sp->name, want, buf_span(heard));
    else
        buf_consume(heard, want.len);
}

/* ---- words ---- */

static void put_bytes(struct buf *out, struct span hex)
{
    for (struct span word; (word = word_next(&hex)).len;) {
        uint8_t bytes[512];
        size_t len;
        CHECK(text_hex(word, bytes, sizeof(bytes), &len));
        buf_put(out, span_of(bytes, len));
    }
}

static void upgrade(struct script *s, struct speaker *sp, struct span rest)
{
    struct buf b = {0}, headers = {0};
    struct span path = SPAN("/$iothub/websocket"), protocol = SPAN("mqtt"), version = SPAN("13");
    for (struct span word; (word = word_next(&rest)).len;) {
        if (!word_value(word, "path", &path) && !word_value(word, "protocol", &protocol) &&
            !word_value(word, "version", &version))
            buf_printf(&headers, "%.*s\r\n", SPAN_ARG(word));
    }
    buf_printf(&b,
               "GET %.*s HTTP/1.1\r\nHost: " WORLD_HOST "\r\nUpgrade: websocket\r\n"
               "Connection: Upgrade\r\nSec-WebSocket-Key: " SAMPLE_KEY "\r\n"
               "Sec-WebSocket-Version: %.*s\r\n",
               SPAN_ARG(path), SPAN_ARG(version));
    if (protocol.len)
        buf_printf(&b, "Sec-WebSocket-Protocol: %.*s\r\n", SPAN_ARG(protocol));
    buf_printf(&b, "%.*s\r\n", SPAN_ARG(buf_span(&headers)));
    speaker_wire(s, sp, true);
    speaker_send(s, sp, buf_span(&b));
    buf_fini(&b);
    buf_fini(&headers);
}

/* A packet in frames of one byte, or in one message of several frames. */
static void say_in_parts(struct script *s, struct speaker *sp, struct span rest, bool one_message)
{
    struct buf kept = sp->wire->to_hub, packet;
    sp->wire->to_hub = (struct buf){0};
    sp->is_websocket = false; /* so that the packet comes unframed */
    struct span verb = word_next(&rest);
    if (!packet_says(s, sp, verb, rest))
        script_fail(s, "no packet: %.*s", SPAN_ARG(verb));
    sp->is_websocket = true;
    packet = sp->wire->to_hub;
    sp->wire->to_hub = kept;
    for (size_t i = 0; i < packet.len; i++) {
        unsigned opcode = one_message && i ? 0 : FRAME_BINARY;
        bool last = !one_message || i + 1 == packet.len;
        send_frame(sp, (last ? 0x80 : 0) | opcode, span_of(packet.data + i, 1));
        if (one_message && i == 1) /* a control frame may stand between fragments */
            send_frame(sp, 0x80 | FRAME_PONG, (struct span){0});
    }
    buf_fini(&packet);
}

bool speaker_says(struct script *s, struct speaker *sp, struct span verb, struct span rest)
{
    struct buf b = {0};
    struct span text = script_text(s, rest, &b);
    bool known = true;
    if (span_eq(verb, SPAN("BYTES"))) {
        struct buf bytes = {0};
        put_bytes(&bytes, text);
        speaker_wire(s, sp, false);
        speaker_send(s, sp, buf_span(&bytes));
        buf_fini(&bytes);
    } else if (span_eq(verb, SPAN("RAW"))) {
        speaker_wire(s, sp, true);
        speaker_send(s, sp, text);
    } else if (span_eq(verb, SPAN("HANGUP"))) {
        world_settle(&s->world);
        forget(sp);
    } else if (span_eq(verb, SPAN("UPGRADE"))) {
        upgrade(s, sp, text);
    } else if (span_eq(verb, SPAN("TEXT"))) {
        send_frame(sp, 0x80 | FRAME_TEXT, text);
    } else if (span_eq(verb, SPAN("PING"))) {
        send_frame(sp, 0x80 | FRAME_PING, text);
    } else if (span_eq(verb, SPAN("SPLIT")) || span_eq(verb, SPAN("FRAGMENTS"))) {
        say_in_parts(s, sp, rest, verb.data[0] == 'F');
    } else {
        known = false;
    }
    buf_fini(&b);
    return known;
}

static void hear_upgrade(struct script *s, struct speaker *sp, struct span protocol)
{
    struct buf want = {0};
    buf_printf(&want,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: " SAMPLE_ACCEPT "\r\nSec-WebSocket-Protocol: %.*s\r\n\r\n",
               SPAN_ARG(protocol));
    speaker_expect(s, sp, buf_span(&want));
    sp->is_websocket = true;
    buf_fini(&want);
}

static void hear_control(struct script *s, struct speaker *sp, unsigned want, struct span text)
{
    struct buf frame = {0};
    buf_byte(&frame, (uint8_t)(0x80 | want));
    buf_byte(&frame, (uint8_t)text.len);
    buf_put(&frame, text);
    struct buf *wire = &sp->wire->to_peer;
    if (speaker_heard(s, sp)->len || !span_starts(buf_span(wire), buf_span(&frame)))
        script_fail_bytes(s, sp->name, buf_span(&frame), buf_span(wire));
    else
        buf_consume(wire, frame.len);
    buf_fini(&frame);
}

static void hear_closed(struct script *s, struct speaker *sp)
{
    struct buf *heard = speaker_heard(s, sp);
    if (!sp->deaf && (heard->len || sp->wire->to_peer.len))
        script_fail_bytes(s, sp->name, SPAN("(closed)"), buf_span(heard));
    else if (!sp->wire->closed)
        script_fail(s, "%s is not closed", sp->name);
    else
        forget(sp);
}

bool speaker_hears(struct script *s, struct speaker *sp, struct span verb, struct span rest)
{
    struct buf b = {0}, bytes = {0};
    struct span text = script_text(s, rest, &b);
    bool known = true;
    if (span_eq(verb, SPAN("BYTES"))) {
        put_bytes(&bytes, text);
        speaker_expect(s, sp, buf_span(&bytes));
    } else if (span_eq(verb, SPAN("RAW"))) {
        speaker_expect(s, sp, text);
    } else if (span_eq(verb, SPAN("CLOSED"))) {
        hear_closed(s, sp);
    } else if (span_eq(verb, SPAN("101"))) {
        hear_upgrade(s, sp, text);
    } else if (span_eq(verb, SPAN("PONG"))) {
        hear_control(s, sp, FRAME_PONG, text);
    } else if (span_eq(verb, SPAN("CLOSE"))) {
        int64_t code = word_number(text);
        uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
        hear_control(s, sp, FRAME_CLOSE, span_of(payload, 2));
    } else {
        known = false;
    }
    buf_fini(&b);
    buf_fini(&bytes);
    return known;
}

/* ---- all of them ---- */

bool speakers_quiet(struct script *s)
{
    for (size_t i = 0; i < s->speaker_count && !s->failed; i++) {
        struct speaker *sp = &s->speakers[i];
        if (!sp->wire || sp->deaf)
            continue;
        struct buf *heard = speaker_heard(s, sp);
        if (heard->len)
            script_fail_bytes(s, sp->name, SPAN("(nothing)"), buf_span(heard));
        else if (sp->wire->to_peer.len)
            script_fail_bytes(s, sp->name, SPAN("(nothing)"), buf_span(&sp->wire->to_peer));
        else if (sp->wire->closed)
            script_fail(s, "%s was closed", sp->name);
    }
    return !s->failed;
}

void speakers_fini(struct script *s)
{
    for (size_t i = 0; i < s->speaker_count; i++)
        buf_fini(&s->speakers[i].app);
    s->speaker_count = 0; /* the wires are the world's */
}
