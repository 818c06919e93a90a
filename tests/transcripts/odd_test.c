/* Odd characters and secrets through every door (trials F36, F37): each log line is one line that
 * parses, each answer is what it looks like, and no key, signature or password is in either. */
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "credentials.h"
#include "wire/mqtt.h"
#include "wire/uri.h"
#include "world.h"

#define DEVICE "d1"

static struct world w;
static struct buf errors; /* every refusal's body */
static size_t sent;       /* requests and packets */

/* ---- what may not stand in a log line or an error body ---- */

static bool is_hidden(uint32_t c)
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

/* TIME( name=value)+, a value bare or a JSON string. */
static bool is_plain_line(struct span line)
{
    size_t at = span_index(line, ' ');
    if (at != 24 || line.data[23] != 'Z')
        return false;
    for (line = span_skip(line, at); line.len;) {
        line = span_skip(line, 1); /* the blank */
        size_t equals = span_index(line, '=');
        for (size_t i = 0; i < equals; i++)
            if (line.data[i] < 'a' || line.data[i] > 'z')
                return false;
        if (equals == 0 || equals == line.len)
            return false;
        line = span_skip(line, equals + 1);
        size_t len = span_index(line, ' ');
        if (line.len && line.data[0] == '"') {
            for (len = 1; len < line.len && line.data[len] != '"'; len++)
                len += line.data[len] == '\\';
            if (len >= line.len || !parses(span_first(line, ++len), false))
                return false;
        }
        if (len == 0 || (len < line.len && line.data[len] != ' '))
            return false;
        line = span_skip(line, len);
    }
    return true;
}

static size_t check_log(bool json)
{
    size_t lines = 0;
    struct span log = buf_span(&w.log);
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

static void start(bool json)
{
    struct world_options options = {
        .shards = 2, .seed = 11, .wall_ms = 1772619630500, .arena_size = 48 << 20};
    world_start(&w, &options);
    w.log_kept = true;
    w.cluster.log_json = json;
    sent = 0;
    struct buf b = {0};
    buf_text(&b, "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"");
    key_put(&b, SPAN(DEVICE ":primary"));
    buf_text(&b, "\",\"secondaryKey\":\"");
    key_put(&b, SPAN(DEVICE ":secondary"));
    buf_text(&b, "\"}}}");
    EXPECT_EQ(world_rest(&w, "PUT", "/devices/" DEVICE, NULL, buf_span(&b), NULL), 200);
    buf_fini(&b);
}

static void end(void)
{
    world_end(&w);
    buf_fini(&errors);
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
        buf_put(&errors, body);
    }
    return status;
}

static int say_http(struct span request)
{
    struct wire *wire = wire_open(&w, LINK_HTTP, (unsigned)test_random(&w.seed));
    wire_send(wire, request);
    world_settle(&w);
    int status = wire->to_peer.len ? check_answer(buf_span(&wire->to_peer)) : 0;
    wire_drop(wire);
    sent++;
    return status;
}

/* `token` is that of a policy unless it is given. */
static int call(const char *method, struct span path, const char *headers, struct span token,
                struct span body)
{
    struct buf b = {0};
    buf_printf(&b, "%s %.*s%capi-version=2021-04-12 HTTP/1.1\r\nHost: " WORLD_HOST "\r\n", method,
               SPAN_ARG(path), memchr(path.data, '?', path.len) ? '&' : '?');
    buf_text(&b, "Authorization: ");
    if (token.data)
        buf_put(&b, token);
    else
        token_put(&b, SPAN("policy:iothubowner"), &w);
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
            buf_put(&errors, p.payload);
        }
        buf_consume(&wire->to_peer, used);
    }
    EXPECT_EQ(wire->to_peer.len, 0);
}

static struct wire *connected;

static void say_mqtt(struct buf *packet)
{
    if (connected && connected->closed) {
        wire_drop(connected);
        connected = NULL;
    }
    if (!connected) {
        struct buf token = {0}, b = {0};
        token_put(&token, SPAN(DEVICE), &w);
        struct mqtt_connect c = {.version = MQTT_VERSION_3_1_1,
                                 .has_username = true,
                                 .has_password = true,
                                 .client_id = SPAN(DEVICE),
                                 .username = SPAN(WORLD_HOST "/" DEVICE),
                                 .password = buf_span(&token)};
        struct mqtt_filter filter = {SPAN("$iothub/twin/res/#"), 0};
        mqtt_connect_encode(&b, &c);
        mqtt_subscribe_encode(&b, 1, &filter, 1);
        connected = wire_open(&w, LINK_MQTT, 0);
        wire_send(connected, buf_span(&b));
        buf_fini(&token);
        buf_fini(&b);
    }
    wire_send(connected, buf_span(packet));
    world_settle(&w);
    check_packets(connected);
    buf_fini(packet);
    sent++;
}

static void hang_up(void)
{
    if (connected)
        wire_drop(connected);
    connected = NULL;
}

static void say_connect(struct span client, struct span user, struct span password,
                        struct span will)
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
    struct wire *wire = wire_open(&w, LINK_MQTT, 0);
    wire_send(wire, buf_span(&b));
    world_settle(&w);
    check_packets(wire);
    wire_drop(wire);
    buf_fini(&b);
    sent++;
}

/* ---- odd characters ---- */

/* `format` with each %s the text. */
static struct span filled(struct buf *b, const char *format, struct span text)
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

/* In a JSON string, the way a client would write it. */
static void put_escaped(struct buf *b, struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20 || s.data[i] == '"' || s.data[i] == '\\')
            buf_printf(b, "\\u%04x", s.data[i]);
        else
            buf_byte(b, s.data[i]);
    }
}

static void odd_paths(struct span odd)
{
    static const char *const paths[] = {
        "/devices/%s", "/twins/x%sy",     "/twins/d1/modules/%s",      "/devices/d1/modules/x%s",
        "/%s",         "/devices?top=%s", "/devices/d1?api-version=%s"};
    static const char *const methods[] = {"GET", "PUT", "DELETE", "PATCH"};
    struct buf encoded = {0}, b = {0};
    uri_put(&encoded, odd);
    for (size_t i = 0; i < COUNT(paths); i++)
        for (size_t m = 0; m < COUNT(methods); m++) {
            call(methods[m], filled(&b, paths[i], buf_span(&encoded)), "", (struct span){0},
                 SPAN("{\"tags\":[]}"));
            call(methods[m], filled(&b, paths[i], odd), "", (struct span){0}, SPAN("{}"));
        }
    buf_fini(&encoded);
    buf_fini(&b);
}

static void odd_bodies(struct span odd)
{
    static const struct {
        const char *method, *path, *body;
    } rows[] = {
        {"PUT",   "/devices/d2",            "{\"deviceId\":\"%s\"}"                          },
        {"PUT",   "/devices/d2",            "{\"status\":\"%s\"}"                            },
        {"PUT",   "/devices/d2",            "{\"authentication\":{\"type\":\"%s\"}}"         },
        {"PUT",   "/devices/d2",
         "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":"
         "\"%s\",\"secondaryKey\":\"%s\"}}}"                                                 },
        {"PUT",   "/devices/d2",
         "{\"authentication\":{\"type\":\"selfSigned\","
         "\"x509Thumbprint\":{\"primaryThumbprint\":\"%s\"}}}"                               },
        {"PUT",   "/devices/d1/modules/m2", "{\"moduleId\":\"%s\"}"                          },
        {"PATCH", "/twins/d1",              "{\"tags\":{\"%s\":1}}"                          },
        {"PATCH", "/twins/d1",              "{\"properties\":{\"desired\":{\"k%s\":[null]}}}"},
        {"PUT",   "/twins/d1",              "{\"tags\":{\"a\":{\"%s\":null}}}"               },
        {"PATCH", "/twins/d1",              "{%s"                                            },
        {"POST",  "/devices",               "[{\"id\":\"x%s\",\"importMode\":\"create\"}]"   },
        {"POST",  "/devices",               "[{\"id\":\"d1\",\"importMode\":\"%s\"}]"        },
        {"POST",  "/devices",
         "[{\"id\":\"d1\",\"moduleId\":\"%s\",\"importMode\":"
         "\"update\"}]"                                                                      },
    };
    struct buf escaped = {0}, b = {0};
    put_escaped(&escaped, odd);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span path = span_text(rows[i].path);
        call(rows[i].method, path, "", (struct span){0},
             filled(&b, rows[i].body, buf_span(&escaped)));
        call(rows[i].method, path, "", (struct span){0}, filled(&b, rows[i].body, odd));
    }
    buf_fini(&escaped);
    buf_fini(&b);
}

static void odd_headers(struct span odd)
{
    static const char *const headers[] = {"x-ms-client-request-id: a%sb\r\n",
                                          "If-Match: \"%s\"\r\n", "X-Odd%s: 1\r\n",
                                          "User-Agent: %s\r\n", "X-HTTP-Method-Override: %s\r\n"};
    static const char *const tokens[] = {"%s", "SharedAccessSignature %s",
                                         "SharedAccessSignature sr=%s&sig=%s&se=%s",
                                         "SharedAccessSignature sr=x&sig=AA&se=1&skn=%s"};
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(headers); i++) {
        filled(&b, headers[i], odd);
        if (odd.len && memchr(odd.data, 0, odd.len))
            continue; /* headers are C strings here; NUL goes through the others */
        buf_byte(&b, '\0');
        call("GET", SPAN("/devices/d9"), (const char *)b.data, (struct span){0}, (struct span){0});
    }
    for (size_t i = 0; i < COUNT(tokens); i++)
        call("GET", SPAN("/devices/d1"), "", filled(&b, tokens[i], odd), (struct span){0});
    say_http(
        filled(&b, "GET /devices/d1?api-version=2021-04-12 HTTP/1.1\r\nHost: %s\r\n\r\n", odd));
    say_http(filled(&b, "%s /devices HTTP/1.1\r\nHost: x\r\n\r\n", odd));
    say_http(filled(&b, "GET /devices HTTP/1.1%s\r\nHost: x\r\n\r\n", odd));
    buf_fini(&b);
}

static void odd_connects(struct span odd)
{
    static const char *const users[] = {WORLD_HOST "/%s",
                                        "%s/d1",
                                        WORLD_HOST "/d1/%s",
                                        WORLD_HOST "/d1/?api-version=%s",
                                        WORLD_HOST "/d1/?model-id=dtmi:%s",
                                        WORLD_HOST "/d1/?DeviceClientType=%s"};
    struct buf b = {0}, token = {0};
    token_put(&token, SPAN(DEVICE), &w);
    for (size_t i = 0; i < COUNT(users); i++) {
        say_connect(SPAN(DEVICE), filled(&b, users[i], odd), buf_span(&token), (struct span){0});
        say_connect(odd, buf_span(&b), odd, (struct span){0});
    }
    say_connect(SPAN(DEVICE), SPAN(WORLD_HOST "/d1"), buf_span(&token),
                filled(&b, "devices/d1/messages/events/%s", odd));
    say_connect(SPAN(DEVICE), SPAN(WORLD_HOST "/d1"), buf_span(&token), filled(&b, "x%s", odd));
    buf_fini(&b);
    buf_fini(&token);
}

static void odd_packets(struct span odd)
{
    static const char *const topics[] = {
        "%s",
        "devices/%s/messages/events/",
        "devices/d1/messages/events/%s=%s",
        "$iothub/twin/%s",
        "$iothub/twin/GET/?$rid=%s",
        "$iothub/twin/PATCH/properties/reported/?$rid=%s",
        "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=%s",
        "$iothub/methods/res/%s/?$rid=1"};
    static const char *const patches[] = {"{\"%s\":1}", "{\"k%s\":[null]}", "%s"};
    struct buf b = {0}, packet = {0}, escaped = {0};
    for (size_t i = 0; i < COUNT(topics); i++) {
        struct mqtt_publish p = {.topic = filled(&b, topics[i], odd), .payload = odd};
        mqtt_publish_encode(&packet, &p);
        say_mqtt(&packet);
    }
    put_escaped(&escaped, odd);
    for (size_t i = 0; i < COUNT(patches); i++)
        for (int raw = 0; raw < 2; raw++) {
            struct mqtt_publish p = {
                .topic = SPAN("$iothub/twin/PATCH/properties/reported/?$rid=1"),
                .payload = filled(&b, patches[i], raw ? odd : buf_span(&escaped))};
            mqtt_publish_encode(&packet, &p);
            say_mqtt(&packet);
        }
    struct mqtt_filter filter = {filled(&b, "devices/%s/#", odd), 0};
    mqtt_subscribe_encode(&packet, 2, &filter, 1);
    say_mqtt(&packet);
    mqtt_unsubscribe_encode(&packet, 3, &filter, 1);
    say_mqtt(&packet);
    buf_fini(&b);
    buf_fini(&escaped);
}

static void everywhere(struct span odd)
{
    odd_paths(odd);
    odd_bodies(odd);
    odd_headers(odd);
    odd_connects(odd);
    odd_packets(odd);
    buf_clear(&errors);
}

static struct span put_code_point(struct buf *b, uint32_t c)
{
    buf_clear(b);
    if (c < 0x80) {
        buf_byte(b, (uint8_t)c);
    } else if (c < 0x800) {
        buf_byte(b, (uint8_t)(0xc0 | c >> 6));
        buf_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        buf_byte(b, (uint8_t)(0xe0 | c >> 12));
        buf_byte(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        buf_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
    }
    return buf_span(b);
}

static void odd_characters(bool json)
{
    static const struct span texts[] = {
        SPAN_INIT("\r\n2026-03-04T10:20:30.500Z level=error msg=forged"),
        SPAN_INIT("\n{\"level\":\"error\",\"msg\":\"forged\"}"),
        SPAN_INIT("\x1b[2J\x1b]0;title\x07"),
        SPAN_INIT("\"}, \"x\": {\""),
        SPAN_INIT("\\"),
        SPAN_INIT("%0d%0aX-Forged: 1"),
        SPAN_INIT("\xff"),
        SPAN_INIT("\xc3"),
        SPAN_INIT("\xed\xa0\x80"),
        SPAN_INIT("\xf4\x90\x80\x80"),
        SPAN_INIT("%n%s%s%s"),
    };
    struct buf b = {0};
    start(json);
    for (uint32_t c = 0; c <= 0xffff; c++)
        if (is_hidden(c))
            everywhere(put_code_point(&b, c));
    for (size_t i = 0; i < COUNT(texts); i++)
        everywhere(texts[i]);
    hang_up();
    size_t lines = check_log(json);
    fprintf(stderr, "%zu requests and packets, %zu log lines\n", sent, lines);
    EXPECT(lines > sent); /* each opens and closes something */
    buf_fini(&b);
    end();
}

TEST(odd_characters_make_no_odd_log_lines)
{
    odd_characters(false);
}

TEST(odd_characters_make_no_odd_log_objects)
{
    odd_characters(true);
}

/* ---- secrets ---- */

enum { CANARIES_MAX = 64 };
static struct buf canaries[CANARIES_MAX];
static size_t canary_count;

static void watch(struct span secret)
{
    CHECK(canary_count < CANARIES_MAX);
    CHECK(secret.len >= 8);
    buf_put(&canaries[canary_count++], secret);
}

/* A key in every form it might slip out in. */
static void watch_key(struct span key)
{
    struct buf b = {0};
    watch(key);
    text_put_base64(&b, key);
    watch(span_first(buf_span(&b), 16)); /* not even a part */
    buf_clear(&b);
    text_put_hex(&b, key);
    watch(span_first(buf_span(&b), 16));
    buf_fini(&b);
}

static struct span watched_token(struct buf *b, const char *text)
{
    buf_clear(b);
    token_put(b, span_text(text), &w);
    const uint8_t *sig = memmem(b->data, b->len, "&sig=", 5);
    CHECK(sig);
    struct span rest = span_of(sig + 5, b->len - (size_t)(sig + 5 - b->data));
    watch(span_first(span_first(rest, span_index(rest, '&')), 16));
    return buf_span(b);
}

static void expect_no_canary(const char *where, struct span text)
{
    for (size_t i = 0; i < canary_count; i++) {
        struct span secret = buf_span(&canaries[i]);
        if (text.len && memmem(text.data, text.len, secret.data, secret.len))
            fail_msg("a secret is in the %s: %.*s", where, SPAN_ARG(secret));
    }
}

static void secrets_of_connects(void)
{
    static const char *const tokens[] = {
        "d1", "d1:secondary",  "d1,se=-999",     "d1,key=canary:wrong",     "d1,at=devices/d2",
        "d2", "policy:device", "policy:service", "policy:device,skn=nobody"};
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(tokens); i++)
        say_connect(SPAN(DEVICE), SPAN(WORLD_HOST "/d1"), watched_token(&b, tokens[i]),
                    (struct span){0});
    struct span password = SPAN("canary-password-hunter2");
    watch(password);
    say_connect(SPAN(DEVICE), SPAN(WORLD_HOST "/d1"), password, (struct span){0});
    say_connect(SPAN("x"), SPAN("elsewhere/x"), password, (struct span){0});
    buf_fini(&b);
}

static void secrets_of_calls(void)
{
    static const char *const tokens[] = {
        "policy:iothubowner,se=-999", "policy:registryRead",
        "policy:service,skn=nobody",  "d1",
        "d1,key=canary:wrong",        "policy:service,host=elsewhere"};
    static const char *const bodies[] = {
        "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"%s\"}}}",
        "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"%s\",\"secondaryKey\":\"%s!\"}}}",
        "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"%s",
        "{\"authentication\":{\"type\":\"none\",\"symmetricKey\":{\"primaryKey\":\"%s\"}}}",
        "{\"status\":\"maybe\",\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"%s\","
        "\"secondaryKey\":\"%s\"}}}",
        "[{\"id\":\"d1\",\"importMode\":\"create\",\"authentication\":{\"symmetricKey\":{"
        "\"primaryKey\":\"%s\",\"secondaryKey\":\"%s\"}}}]",
    };
    struct buf b = {0}, key = {0}, body = {0};
    key_put(&key, SPAN("canary:key"));
    watch(span_first(buf_span(&key), 16));
    for (size_t i = 0; i < COUNT(tokens); i++) {
        struct span token = watched_token(&b, tokens[i]);
        EXPECT(call("DELETE", SPAN("/twins/d1"), "", token, (struct span){0}) >= 400);
        EXPECT(call("GET", SPAN("/devices/d9"), "", token, (struct span){0}) >= 400);
        EXPECT(call("GET", SPAN("/devices/d1"), "x-ms-client-request-id: \x01\r\n", token,
                    (struct span){0}) >= 400);
    }
    for (size_t i = 0; i < COUNT(bodies); i++) {
        filled(&body, bodies[i], buf_span(&key));
        EXPECT(call("PUT", SPAN("/devices/d3"), "", (struct span){0}, buf_span(&body)) >= 400);
        EXPECT(call("POST", SPAN("/devices"), "", (struct span){0}, buf_span(&body)) >= 400);
    }
    buf_fini(&b);
    buf_fini(&key);
    buf_fini(&body);
}

TEST(no_secret_is_in_logs_refusals_or_metrics)
{
    struct buf metrics = {0};
    for (int json = 0; json < 2; json++) {
        start(json);
        uint8_t key[32];
        key_bytes(key, SPAN(DEVICE), SPAN("primary"));
        watch_key(span_of(key, sizeof(key)));
        key_bytes(key, SPAN(DEVICE), SPAN("secondary"));
        watch_key(span_of(key, sizeof(key)));
        for (size_t i = 0; i < w.policies.count; i++)
            watch(span_first(key_span(&w.policies.at[i].keys[0]), 16));
        secrets_of_connects();
        secrets_of_calls();
        EXPECT_EQ(world_rest(&w, "GET", "/metrics", NULL, (struct span){0}, &metrics), 200);
        expect_no_canary("log", buf_span(&w.log));
        expect_no_canary("refusals", buf_span(&errors));
        expect_no_canary("metrics", buf_span(&metrics));
        EXPECT(errors.len > 1000);
        check_log(json);
        end();
        buf_fini(&metrics);
        while (canary_count)
            buf_fini(&canaries[--canary_count]);
    }
}

TEST_MAIN(RUN(odd_characters_make_no_odd_log_lines), RUN(odd_characters_make_no_odd_log_objects),
          RUN(no_secret_is_in_logs_refusals_or_metrics))
