/* Odd characters through every door (trials F36): each log line is one line that parses, each
 * answer is what it looks like. */
#include "base/test.h"

#include <stdio.h>

#include "credentials.h"
#include "doors.h"
#include "wire/mqtt.h"
#include "wire/uri.h"

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
            say_call(methods[m], filled(&b, paths[i], buf_span(&encoded)), "", (struct span){0},
                     SPAN("{\"tags\":[]}"));
            say_call(methods[m], filled(&b, paths[i], odd), "", (struct span){0}, SPAN("{}"));
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
        say_call(rows[i].method, path, "", (struct span){0},
                 filled(&b, rows[i].body, buf_span(&escaped)));
        say_call(rows[i].method, path, "", (struct span){0}, filled(&b, rows[i].body, odd));
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
        say_call("GET", SPAN("/devices/d9"), (const char *)b.data, (struct span){0},
                 (struct span){0});
    }
    for (size_t i = 0; i < COUNT(tokens); i++)
        say_call("GET", SPAN("/devices/d1"), "", filled(&b, tokens[i], odd), (struct span){0});
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
    token_put(&token, SPAN(DOORS_DEVICE), &doors.world);
    for (size_t i = 0; i < COUNT(users); i++) {
        say_connect(SPAN(DOORS_DEVICE), filled(&b, users[i], odd), buf_span(&token),
                    (struct span){0});
        say_connect(odd, buf_span(&b), odd, (struct span){0});
    }
    say_connect(SPAN(DOORS_DEVICE), SPAN(WORLD_HOST "/d1"), buf_span(&token),
                filled(&b, "devices/d1/messages/events/%s", odd));
    say_connect(SPAN(DOORS_DEVICE), SPAN(WORLD_HOST "/d1"), buf_span(&token),
                filled(&b, "x%s", odd));
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
        say_packet(&packet);
    }
    put_escaped(&escaped, odd);
    for (size_t i = 0; i < COUNT(patches); i++)
        for (int raw = 0; raw < 2; raw++) {
            struct mqtt_publish p = {
                .topic = SPAN("$iothub/twin/PATCH/properties/reported/?$rid=1"),
                .payload = filled(&b, patches[i], raw ? odd : buf_span(&escaped))};
            mqtt_publish_encode(&packet, &p);
            say_packet(&packet);
        }
    struct mqtt_filter filter = {filled(&b, "devices/%s/#", odd), 0};
    mqtt_subscribe_encode(&packet, 2, &filter, 1);
    say_packet(&packet);
    mqtt_unsubscribe_encode(&packet, 3, &filter, 1);
    say_packet(&packet);
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
    buf_clear(&doors.refusals);
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
    doors_open(json);
    for (uint32_t c = 0; c <= 0xffff; c++)
        if (is_hidden(c))
            everywhere(put_code_point(&b, c));
    for (size_t i = 0; i < COUNT(texts); i++)
        everywhere(texts[i]);
    size_t lines = check_log();
    fprintf(stderr, "%zu requests and packets, %zu log lines\n", doors.said, lines);
    EXPECT(lines > doors.said); /* each opens and closes something */
    buf_fini(&b);
    doors_close();
}

TEST(odd_characters_make_no_odd_log_lines)
{
    odd_characters(false);
}

TEST(odd_characters_make_no_odd_log_objects)
{
    odd_characters(true);
}

TEST_MAIN(RUN(odd_characters_make_no_odd_log_lines), RUN(odd_characters_make_no_odd_log_objects))
