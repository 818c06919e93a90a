/* Secrets through every door, good and bad (trials F37): no key, signature or password is in the
 * log, in a refusal or in the metrics, not even in part. */
#include "base/test.h"

#include "base/text.h"
#include "credentials.h"
#include "doors.h"

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
    token_put(b, span_text(text), &doors.world);
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
        say_connect(SPAN(DOORS_DEVICE), SPAN(WORLD_HOST "/d1"), watched_token(&b, tokens[i]),
                    (struct span){0});
    struct span password = SPAN("canary-password-hunter2");
    watch(password);
    say_connect(SPAN(DOORS_DEVICE), SPAN(WORLD_HOST "/d1"), password, (struct span){0});
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
        EXPECT(say_call("DELETE", SPAN("/twins/d1"), "", token, (struct span){0}) >= 400);
        EXPECT(say_call("GET", SPAN("/devices/d9"), "", token, (struct span){0}) >= 400);
        EXPECT(say_call("GET", SPAN("/devices/d1"), "x-ms-client-request-id: \x01\r\n", token,
                        (struct span){0}) >= 400);
    }
    for (size_t i = 0; i < COUNT(bodies); i++) {
        filled(&body, bodies[i], buf_span(&key));
        EXPECT(say_call("PUT", SPAN("/devices/d3"), "", (struct span){0}, buf_span(&body)) >= 400);
        EXPECT(say_call("POST", SPAN("/devices"), "", (struct span){0}, buf_span(&body)) >= 400);
    }
    buf_fini(&b);
    buf_fini(&key);
    buf_fini(&body);
}

TEST(no_secret_is_in_logs_refusals_or_metrics)
{
    struct buf metrics = {0};
    for (int json = 0; json < 2; json++) {
        doors_open(json);
        uint8_t key[32];
        key_bytes(key, SPAN(DOORS_DEVICE), SPAN("primary"));
        watch_key(span_of(key, sizeof(key)));
        key_bytes(key, SPAN(DOORS_DEVICE), SPAN("secondary"));
        watch_key(span_of(key, sizeof(key)));
        for (size_t i = 0; i < doors.world.policies.count; i++)
            watch(span_first(key_span(&doors.world.policies.at[i].keys[0]), 16));
        secrets_of_connects();
        secrets_of_calls();
        EXPECT_EQ(world_rest(&doors.world, "GET", "/metrics", NULL, (struct span){0}, &metrics),
                  200);
        expect_no_canary("log", buf_span(&doors.world.log));
        expect_no_canary("refusals", buf_span(&doors.refusals));
        expect_no_canary("metrics", buf_span(&metrics));
        EXPECT(doors.refusals.len > 1000);
        check_log();
        doors_close();
        buf_fini(&metrics);
        while (canary_count)
            buf_fini(&canaries[--canary_count]);
    }
}

TEST_MAIN(RUN(no_secret_is_in_logs_refusals_or_metrics))
