#include "wire/username.h"

#include <stdio.h>

#include "base/test.h"

static uint8_t block[4096];
static struct arena scratch;

static struct arena *fresh(size_t size)
{
    if (scratch.base)
        arena_reset(&scratch);
    arena_init(&scratch, block, size);
    return &scratch;
}

/* clang-format off */
static const struct {
    const char *name;
    struct span text;
    struct username want;
} rows[] = {
    {"SDK, device", SPAN_INIT("hub.x/d1/?api-version=2021-04-12&DeviceClientType=py%2F2.0"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("2021-04-12"),
      .client_type = SPAN_INIT("py/2.0")}},
    {"SDK, module", SPAN_INIT("hub.x/d1/m1/?api-version=2020-09-30"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .module = SPAN_INIT("m1"),
      .api_version = SPAN_INIT("2020-09-30")}},
    {"no question mark", SPAN_INIT("hub.x/d1/api-version=2016-11-14&DeviceClientType=c"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("2016-11-14"),
      .client_type = SPAN_INIT("c")}},
    {"no question mark, module", SPAN_INIT("hub.x/d1/m1/api-version=2016-11-14"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .module = SPAN_INIT("m1"),
      .api_version = SPAN_INIT("2016-11-14")}},
    {"slash separated", SPAN_INIT("hub.x/d1/api-version=2017-06-30/DeviceClientType=c"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("2017-06-30"),
      .client_type = SPAN_INIT("c")}},
    {"slash separated, module, six segments",
     SPAN_INIT("hub.x/d1/m1/api-version=2017-06-30/DeviceClientType=c/other=1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .module = SPAN_INIT("m1"),
      .api_version = SPAN_INIT("2017-06-30"), .client_type = SPAN_INIT("c")}},
    {"version not first", SPAN_INIT("hub.x/d1/DeviceClientType=c&api-version=1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("1"),
      .client_type = SPAN_INIT("c")}},
    {"no query", SPAN_INIT("hub.x/d1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1")}},
    {"no query, slash", SPAN_INIT("hub.x/d1/"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1")}},
    {"no query, module", SPAN_INIT("hub.x/d1/m1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .module = SPAN_INIT("m1")}},
    {"no query, module, slash", SPAN_INIT("hub.x/d1/m1/"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .module = SPAN_INIT("m1")}},
    {"empty query", SPAN_INIT("hub.x/d1/?"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1")}},
    {"model id, raw", SPAN_INIT("hub.x/d1/?api-version=1&model-id=dtmi:a:b;1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("1"),
      .model_id = SPAN_INIT("dtmi:a:b;1")}},
    {"model id, encoded", SPAN_INIT("hub.x/d1/?api-version=1&model-id=dtmi%3aa%3Ab%3B1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("1"),
      .model_id = SPAN_INIT("dtmi:a:b;1")}},
    {"first of duplicates", SPAN_INIT("hub.x/d1/?api-version=1&model-id=&model-id=x&api-version=2"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("1")}},
    {"unknown keys", SPAN_INIT("hub.x/d1/?auth-chain=e1;e2&api-version=1&Api-Version=2&&=&x"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("1")}},
    {"second equals", SPAN_INIT("hub.x/d1/?api-version=1=2"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("1=2")}},
    {"values that do not decode", SPAN_INIT("hub.x/d1/?api-version=%zz&DeviceClientType=%00&model-id=%ff"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("%zz"),
      .client_type = SPAN_INIT("%00"), .model_id = SPAN_INIT("%ff")}},
    {"raw slash in the user agent", SPAN_INIT("hub.x/d1/?api-version=1&DeviceClientType=py/2.0 (x/y)"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("1"),
      .client_type = SPAN_INIT("py")}},
    {"raw slash and mark in the user agent", SPAN_INIT("hub.x/d1/?api-version=1&DeviceClientType=a/?b"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("1"),
      .client_type = SPAN_INIT("a")}},
    {"port", SPAN_INIT("hub.x:9088/d1/?api-version=1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1"), .api_version = SPAN_INIT("1")}},
    {"empty port", SPAN_INIT("hub.x:/d1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d1")}},
    {"digits but no port", SPAN_INIT("10.0.0.1/d1"),
     {.host = SPAN_INIT("10.0.0.1"), .device = SPAN_INIT("d1")}},
    {"all digits", SPAN_INIT("123/d1"),
     {.host = SPAN_INIT("123"), .device = SPAN_INIT("d1")}},
    {"ids are not decoded", SPAN_INIT("hub.x/d%2F1+#?$/m%41/?api-version=1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("d%2F1+#?$"), .module = SPAN_INIT("m%41"),
      .api_version = SPAN_INIT("1")}},
    {"ids that begin with a mark", SPAN_INIT("hub.x/?d/?m/?api-version=1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("?d"), .module = SPAN_INIT("?m"),
      .api_version = SPAN_INIT("1")}},
    {"provisioning", SPAN_INIT("0ne00000000/registrations/reg-1/api-version=2019-03-31&ClientVersion=c%2F1"),
     {.host = SPAN_INIT("0ne00000000"), .device = SPAN_INIT("registrations"), .module = SPAN_INIT("reg-1"),
      .api_version = SPAN_INIT("2019-03-31"), .is_registration = true}},
    {"a device named registrations", SPAN_INIT("hub.x/registrations/?api-version=1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("registrations"), .api_version = SPAN_INIT("1")}},
    {"a device with a module", SPAN_INIT("hub.x/Registrations/m/?api-version=1"),
     {.host = SPAN_INIT("hub.x"), .device = SPAN_INIT("Registrations"), .module = SPAN_INIT("m"),
      .api_version = SPAN_INIT("1")}},
};
/* clang-format on */

TEST(every_form_in_the_field_is_understood) /* mqtt.md 2.3 */
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct username got;
        const struct username *want = &rows[i].want;
        const char *row = rows[i].name;
        struct span text = test_at_edge(rows[i].text);
        EXPECT_EQ_IN(row, username_parse(text, fresh(sizeof(block)), &got), OK);
        EXPECT_SPAN_IN(row, got.host, want->host);
        EXPECT_SPAN_IN(row, got.device, want->device);
        EXPECT_SPAN_IN(row, got.module, want->module);
        EXPECT_SPAN_IN(row, got.api_version, want->api_version);
        EXPECT_SPAN_IN(row, got.client_type, want->client_type);
        EXPECT_SPAN_IN(row, got.model_id, want->model_id);
        EXPECT_EQ_IN(row, got.is_registration, want->is_registration);
    }
}

TEST(anything_else_names_nobody)
{
    static const char *const bad[] = {
        "",
        "hub.x",
        "hub.x/",
        "/d1",
        ":8883/d",
        "hub.x//m1",
        "hub.x//?api-version=1",
        "hub.x/d1//?api-version=1",
        "//",
        "hub.x/d1/m1/x",
        "hub.x/d1/m1/x/?api-version=1",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct username got = {.host = SPAN("untouched")};
        struct span text = test_at_edge(span_text(bad[i]));
        EXPECT_EQ_IN(bad[i], username_parse(text, fresh(sizeof(block)), &got), UNAUTHORIZED);
        EXPECT_SPAN_IN(bad[i], got.host, SPAN("untouched"));
    }
}

TEST(a_full_arena_is_said_so)
{
    static const char *const keys[] = {"api-version", "DeviceClientType", "model-id"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        char text[64];
        struct username got;
        snprintf(text, sizeof(text), "h/d/?%s=%%41", keys[i]);
        EXPECT_EQ_IN(keys[i], username_parse(span_text(text), fresh(2), &got), TOO_LARGE);
        EXPECT_EQ_IN(keys[i], username_parse(span_text(text), fresh(3), &got), OK);
    }
}

TEST_MAIN(RUN(every_form_in_the_field_is_understood), RUN(anything_else_names_nobody),
          RUN(a_full_arena_is_said_so))
