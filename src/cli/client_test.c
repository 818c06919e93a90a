#include "cli/client.h"

#include "base/test.h"

/* clang-format off */
static const struct {
    const char *name, *body, *want;
} cases[] = {
    {"E1",            "{\"Message\":\"ErrorCode:DeviceNotFound;d9\",\"ExceptionMessage\":\"Tracking ID:1\"}", "d9"},
    {"E2",            "{\"errorCode\":409301,\"trackingId\":\"1\",\"message\":\"Device d in IotHub h; no\"}",
                      "Device d in IotHub h; no"},
    {"E3",            "{\"Message\":\"{\\\"errorCode\\\":404103,\\\"message\\\":\\\"not online\\\"}\",\"ExceptionMessage\":\"\"}",
                      "not online"},
    {"no text",       "{\"Message\":\"ErrorCode:X;\"}", "ErrorCode:X;"},
    {"no prefix",     "{\"Message\":\"a;b\"}", "a;b"},
    {"no message",    "{\"a\":1}", "{\"a\":1}"},
    {"no JSON",       "<html>", "<html>"},
    {"nothing",       "", ""},
};
/* clang-format on */

TEST(a_refusal_says_what_the_hub_says)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b = {0};
        client_put_refusal(&b, test_at_edge(span_text(cases[i].body)));
        EXPECT_SPAN_IN(cases[i].name, buf_span(&b), span_text(cases[i].want));
        buf_fini(&b);
    }
}

TEST(a_foreign_text_is_cut)
{
    struct buf b = {0};
    char text[1000];
    memset(text, 'x', sizeof(text));
    client_put_refusal(&b, span_of(text, sizeof(text)));
    EXPECT_EQ(b.len, 200);
    buf_fini(&b);
}

TEST(ids_are_encoded_in_paths)
{
    struct buf b = {0};
    client_put_path(&b, "devices", "a#?%+.", NULL);
    EXPECT_SPAN(buf_span(&b), SPAN("/devices/a%23%3F%25%2B."));
    buf_clear(&b);
    client_put_path(&b, "twins", "d", "$m");
    EXPECT_SPAN(buf_span(&b), SPAN("/twins/d/modules/%24m"));
    buf_fini(&b);
}

TEST_MAIN(RUN(a_refusal_says_what_the_hub_says), RUN(a_foreign_text_is_cut),
          RUN(ids_are_encoded_in_paths))
