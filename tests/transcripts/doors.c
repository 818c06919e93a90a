#include "doors.h"

#include "base/test.h"

#include <stdlib.h>

#include "base/text.h"
#include "credentials.h"
#include "wire/mqtt.h"
#include "wire/uri.h"

struct doors doors;

/* ---- what may not stand in a log line or an error body ---- */

bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static uint32_t code_point(struct span s, size_t len)
{
    if (len == 1)
        return s.data[0];
    uint32_t c = s.data[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (s.data[i] & 0x3fu);
    return c;
}

static bool is_plain_text(struct span s)
{
    for (size_t len; s.len; s = span_skip(s, len)) {
        len = text_utf8_len(s);
        if (len == 0 || is_hidden(code_point(s, len)))
            return false;
    }
    return true;
}

static bool parses(struct span json, bool object)
{
    static uint8_t room[8 << 20];
    struct arena a;
    struct span doc;
    arena_init(&a, room, sizeof(room));
    return doc_parse(json, &doc_limits_azure.syntax, &a, &doc) == OK &&
           (!object || doc_type(doc_root(doc)) == DOC_OBJECT);
}

/* How long the value at the start is, bare or a JSON string; 0: there is none. */
static size_t value_len(struct span line)
{
    if (!line.len || line.data[0] != '"')
        return span_index(line, ' ');
    size_t len = 1;
    while (len < line.len && line.data[len] != '"')
        len += 1 + (line.data[len] == '\\');
    return len < line.len && parses(span_first(line, len + 1), false) ? len + 1 : 0;
}

static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < 'a' || s.data[i] > 'z')
            return false;
    return s.len > 0;
}

/* TIME( name=value)+ */
static bool is_plain_line(struct span line)
{
    struct span time = uri_cut(&line, ' ');
    if (time.len != 24 || time.data[23] != 'Z')
        return false;
    while (line.len) {
        size_t equals = span_index(line, '=');
        if (equals == line.len || !is_name(span_first(line, equals)))
            return false;
        line = span_skip(line, equals + 1);
        size_t len = value_len(line);
        if (len == 0 || (len < line.len && line.data[len] != ' '))
            return false;
        line = span_skip(line, len < line.len ? len + 1 : len);
    }
    return true;
}

size_t check_log(void)
{
    bool json = doors.world.cluster.log_json;
    size_t lines = 0;
    struct span log = buf_span(&doors.world.log);
    EXPECT(log.len && log.data[log.len - 1] == '\n');
    while (log.len) {
        struct span line = uri_cut(&log, '\n');
        if (!is_plain_text(line) || !(json ? parses(line, true) : is_plain_line(line)))
            fail_msg("no log line: %.*s", SPAN_ARG(line));
        lines++;
    }
    return lines;
}

/* ---- saying things ---- */

void doors_open(bool json_log)
{
    struct world_options options = {
        .shards = 2, .seed = 11, .wall_ms = CREDENTIALS_START_MS, .arena_size = 48 << 20};
    world_start(&doors.world, &options);
    doors.world.log_kept = true;
    doors.world.cluster.log_json = json_log;
    doors.said = 0;
    identity_put(&doors.world, DOORS_DEVICE);
}

void doors_close(void)
{
    if (doors.device)
        wire_drop(doors.device);
    doors.device = NULL;
    world_end(&doors.world);
    buf_fini(&doors.refusals);
}

static const char *const header_names[] = {"x-ms-request-id: ",
                                           "x-ms-client-request-id: ",
                                           "iothub-errorcode: ",
                                           "IotHubErrorCode: ",
                                           "ETag: ",
                                           "Content-Type: ",
                                           "Content-Length: ",
                                           "Connection: close"};

static bool is_known_header(struct span line)
{
    for (size_t i = 0; i < COUNT(header_names); i++)
        if (span_starts(line, span_text(header_names[i])))
            return true;
    return false;
}

/* One answer: known headers only, a body of JSON, nothing behind it. */
static int check_answer(struct span answer)
{
    struct span rest = answer, line = uri_cut(&rest, '\r');
    EXPECT(span_starts(line, SPAN("HTTP/1.1 ")));
    int status = atoi((const char *)line.data + 9);
    for (;;) {
        rest = span_skip(rest, 1); /* the line feed */
        line = uri_cut(&rest, '\r');
        if (line.len == 0)
            break;
        if (!is_known_header(line) || !is_plain_text(line))
            fail_msg("no header of ours: %.*s", SPAN_ARG(line));
    }
    struct span body = span_skip(rest, 1);
    EXPECT(body.len == 0 || parses(body, false));
    if (status >= 400) {
        if (!parses(body, true) || !is_plain_text(body))
            fail_msg("no refusal: %.*s", SPAN_ARG(body));
        buf_put(&doors.refusals, body);
    }
    return status;
}

int say_http(struct span request)
{
    struct wire *wire =
        wire_open(&doors.world, LINK_HTTP, (unsigned)test_random(&doors.world.seed));
    wire_send(wire, request);
    world_settle(&doors.world);
    int status = wire->to_peer.len ? check_answer(buf_span(&wire->to_peer)) : 0;
    wire_drop(wire);
    doors.said++;
    return status;
}

int say_call(const char *method, struct span path, const char *headers, struct span token,
             struct span body)
{
    struct buf b = {0};
    buf_printf(&b, "%s %.*s%capi-version=2021-04-12 HTTP/1.1\r\nHost: " WORLD_HOST "\r\n", method,
               SPAN_ARG(path), memchr(path.data, '?', path.len) ? '&' : '?');
    buf_text(&b, "Authorization: ");
    if (token.data)
        buf_put(&b, token);
    else
        token_put(&b, SPAN("policy:iothubowner"), &doors.world);
    buf_printf(&b, "\r\n%sContent-Length: %zu\r\n\r\n", headers, body.len);
    buf_put(&b, body);
    int status = say_http(buf_span(&b));
    buf_fini(&b);
    return status;
}

/* The packets the hub answers with: refusals of twins are kept. */
static void check_packets(struct wire *wire)
{
    struct mqtt_packet packet;
    struct mqtt_publish p;
    size_t used;
    while (mqtt_decode(buf_span(&wire->to_peer), 1 << 20, &packet, &used) == OK) {
        if (packet.type == MQTT_PUBLISH && mqtt_publish_decode(&packet, &p) == OK &&
            span_starts(p.topic, SPAN("$iothub/twin/res/4"))) {
            EXPECT(parses(p.payload, true));
            EXPECT(is_plain_text(p.payload));
            buf_put(&doors.refusals, p.payload);
        }
        buf_consume(&wire->to_peer, used);
    }
    EXPECT_EQ(wire->to_peer.len, 0);
}

void say_packet(struct buf *packet)
{
    if (doors.device && doors.device->closed) {
        wire_drop(doors.device);
        doors.device = NULL;
    }
    if (!doors.device) {
        struct buf token = {0}, b = {0};
        token_put(&token, SPAN(DOORS_DEVICE), &doors.world);
        struct mqtt_connect c = {.version = MQTT_VERSION_3_1_1,
                                 .has_username = true,
                                 .has_password = true,
                                 .client_id = SPAN(DOORS_DEVICE),
                                 .username = SPAN(WORLD_HOST "/" DOORS_DEVICE),
                                 .password = buf_span(&token)};
        struct mqtt_filter filter = {SPAN("$iothub/twin/res/#"), 0};
        mqtt_connect_encode(&b, &c);
        mqtt_subscribe_encode(&b, 1, &filter, 1);
        doors.device = wire_open(&doors.world, LINK_MQTT, 0);
        wire_send(doors.device, buf_span(&b));
        buf_fini(&token);
        buf_fini(&b);
    }
    wire_send(doors.device, buf_span(packet));
    world_settle(&doors.world);
    check_packets(doors.device);
    buf_fini(packet);
    doors.said++;
}

void say_connect(struct span client, struct span user, struct span password, struct span will)
{
    struct buf b = {0};
    struct mqtt_connect c = {.version = MQTT_VERSION_3_1_1,
                             .has_username = true,
                             .has_password = true,
                             .client_id = client,
                             .username = user,
                             .password = password,
                             .has_will = will.len > 0,
                             .will = {.topic = will}};
    mqtt_connect_encode(&b, &c);
    struct wire *wire = wire_open(&doors.world, LINK_MQTT, 0);
    wire_send(wire, buf_span(&b));
    world_settle(&doors.world);
    check_packets(wire);
    wire_drop(wire);
    buf_fini(&b);
    doors.said++;
}

struct span filled(struct buf *b, const char *format, struct span text)
{
    buf_clear(b);
    for (; *format; format++) {
        if (format[0] == '%' && format[1] == 's') {
            buf_put(b, text);
            format++;
        } else {
            buf_byte(b, (uint8_t)*format);
        }
    }
    return buf_span(b);
}
