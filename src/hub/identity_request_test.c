#include "hub/identity_request.h"

#include "base/text.h"
#include "hub/registry_fixture.h"

/* ---- bodies ---- */

/* clang-format off */
static const struct {
    const char *module, *body;
    const char *why; /* NULL: it is accepted */
} bodies[] = {
    {NULL, "null", "must be an object"},
    {NULL, "\"d\"", "must be an object"},
    {NULL, "{\"deviceId\":\"D\"}", "'deviceId' is not the id of the request, 'd'"},
    {NULL, "{\"deviceId\":7}", "'deviceId' must be a string"},
    {NULL, "{\"deviceId\":null,\"moduleId\":7}", NULL},
    {NULL, "{\"authentication\":[]}", "'authentication' must be an object"},
    {NULL, "{\"authentication\":null}", NULL},
    {NULL, "{\"authentication\":{\"type\":1}}", "'type' must be a string"},
    {NULL, AUTH("x509"), "no type of authentication"},
    {NULL, AUTH("none"), "DeviceAuthenticationTypeIsMissing"},
    {NULL, "{\"authentication\":{\"symmetricKey\":\"k\"}}", "'symmetricKey' must be an object"},
    {NULL, "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":1}}}", "'primaryKey' must be"},
    {NULL, "{\"authentication\":{\"symmetricKey\":{\"secondaryKey\":{}}}}", "'secondaryKey' must"},
    {NULL, "{\"authentication\":{\"x509Thumbprint\":true}}", "'x509Thumbprint' must be an object"},
    {NULL, "{\"authentication\":{\"x509Thumbprint\":{\"primaryThumbprint\":1}}}",
     "'primaryThumbprint' must be a string"},
    {NULL, "{\"authentication\":{\"x509Thumbprint\":{\"secondaryThumbprint\":1}}}",
     "'secondaryThumbprint' must be a string"},
    {NULL, "{\"status\":true}", "'status' must be a string"},
    {NULL, "{\"status\":\"off\"}", "'status' must be enabled or disabled"},
    {NULL, "{\"statusReason\":1}", "'statusReason' must be a string"},
    {NULL, "{\"capabilities\":true}", "'capabilities' must be an object"},
    {NULL, "{\"capabilities\":{\"iotEdge\":\"true\"}}", "'iotEdge' must be a boolean"},
    {NULL, "{\"capabilities\":{\"iotEdge\":null}}", NULL},
    {NULL, "{\"deviceScope\":1}", "'deviceScope' must be a string"},
    {NULL, "{\"parentScopes\":\"s\"}", "'parentScopes' must be an array"},
    {NULL, "{\"parentScopes\":[\"s\",1]}", "values in 'parentScopes' must be strings"},
    {NULL, "{\"managedBy\":1,\"etag\":1,\"lastActivityTime\":[],\"colour\":{}}", NULL},
    {"m", "{\"deviceId\":\"e\"}", "'deviceId' is not the id of the request, 'd'"},
    {"m", "{\"moduleId\":\"M\"}", "'moduleId' is not the id of the request, 'm'"},
    {"m", "{\"moduleId\":[]}", "'moduleId' must be a string"},
    {"m", "{\"managedBy\":1}", "'managedBy' must be a string"},
    {"m", "{\"status\":1,\"statusReason\":1,\"capabilities\":1,\"deviceScope\":1}", NULL},
};
/* clang-format on */

TEST(a_member_of_the_wrong_kind_is_refused_by_name)
{
    struct fixture f;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        fixture_init(&f, 1);
        if (bodies[i].module)
            fixture_put(&f, "d", NULL, NULL, "{}");
        const struct step step = {
            .name = bodies[i].body,
            .kind = bodies[i].module ? OP_MODULE_PUT : OP_DEVICE_PUT,
            .device = "d",
            .module = bodies[i].module,
            .body = bodies[i].body,
            .want = bodies[i].why ? BAD_ARGUMENT : OK,
            .shows = bodies[i].why,
        };
        fixture_step(&f, &step);
        fixture_fini(&f);
    }
}

TEST(names_and_values_of_the_api_match_in_any_case)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_put(&f, "d", NULL, NULL,
                "{\"DEVICEID\":\"d\",\"Status\":\"Disabled\",\"statusreason\":\"old\","
                "\"Authentication\":{\"TYPE\":\"SelfSigned\",\"X509thumbprint\":{"
                "\"PrimaryThumbprint\":\"" SHA1_A "\"}},\"Capabilities\":{\"IotEdge\":true}}");
    struct entity e = fixture_entity(&f, "d", NULL);
    EXPECT(e.disabled);
    EXPECT(e.edge);
    EXPECT_EQ(e.auth, AUTH_SELF_SIGNED);
    EXPECT_SPAN(e.status_reason, SPAN("old"));
    EXPECT_SPAN(e.primary_thumbprint, SPAN(SHA1_A));
    fixture_fini(&f);
}

/* A body whose member is `count` times `unit`. */
static void put_long(struct fixture *f, const char *format, const char *unit, size_t count,
                     enum status want)
{
    struct buf value = {0}, body = {0};
    for (size_t i = 0; i < count; i++)
        buf_text(&value, unit);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    buf_printf(&body, format, SPAN_ARG(buf_span(&value)));
#pragma GCC diagnostic pop
    buf_byte(&body, 0);
    bool module = strstr(format, "managedBy") != NULL;
    const struct step step = {.name = format,
                              .kind = module ? OP_MODULE_PUT : OP_DEVICE_PUT,
                              .device = "d",
                              .module = module ? "m" : NULL,
                              .if_match = "*",
                              .body = (char *)body.data,
                              .want = want};
    fixture_step(f, &step);
    buf_fini(&value);
    buf_fini(&body);
}

TEST(texts_have_a_longest_length)
{
    static const struct {
        const char *format, *unit;
        size_t max;
        enum status beyond;
    } rows[] = {
        {"{\"statusReason\":\"%.*s\"}",   "a",        128, BAD_ARGUMENT},
        {"{\"statusReason\":\"%.*s\"}",   "\xc3\xa8", 128, BAD_ARGUMENT}, /* characters */
        {"{\"deviceScope\":\"%.*s\"}",    "a",        512, BAD_SCOPE   },
        {"{\"parentScopes\":[\"%.*s\"]}", "a",        512, BAD_SCOPE   },
        {"{\"managedBy\":\"%.*s\"}",      "a",        512, BAD_ARGUMENT},
    };
    struct fixture f;
    fixture_init(&f, 1);
    fixture_put(&f, "d", NULL, NULL, "{}");
    fixture_put(&f, "d", "m", NULL, "{}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        put_long(&f, rows[i].format, rows[i].unit, rows[i].max, OK);
        put_long(&f, rows[i].format, rows[i].unit, rows[i].max + 1, rows[i].beyond);
    }
    fixture_fini(&f);
}

TEST(an_id_is_1_to_128_allowed_characters)
{
    char longest[129];
    memset(longest, 'a', 128);
    longest[128] = 0;
    const struct step rows[] = {
        {"128",          OP_DEVICE_PUT,       longest,                      NULL,NULL, "{}", OK},
        {"module of 128",          OP_MODULE_PUT,                           longest,                                                       longest,NULL, "{}", OK, longest},
        {"all characters",       OP_DEVICE_PUT,"Az09-:.+%_#*?!(),=@;$'",NULL,NULL, "{}", OK},
        {"slash",       OP_DEVICE_PUT,                          "a/b",                                       NULL,NULL, "{}", BAD_ARGUMENT, "id is not valid"},
        {"not ASCII",          OP_DEVICE_PUT,                         "\xc3\xa8",                                                                                       NULL,                                                                                   NULL, "{}", BAD_ARGUMENT},
        {"module with a blank",        OP_MODULE_PUT,        longest,      "a b",NULL, "{}", BAD_ARGUMENT},
        {"only create minds",          OP_DEVICE_PUT,                 "a/b",                            NULL,"*", "{}", NO_DEVICE, "a/b"},
        {"ids mind the case",OP_DEVICE_GET,"az09-:.+%_#*?!(),=@;$'",.want = NO_DEVICE},
    };
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, rows);
    fixture_fini(&f);
}

/* ---- authentication (registry 3) ---- */

/* clang-format off */
static const struct step credentials[] = {
    {"device", OP_DEVICE_PUT, "d", NULL, NULL, "{" SAS(KEY_A, KEY_B) "}", OK, NULL, "create d"},
    {"the same keys", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS(KEY_A, KEY_B) "}", OK, NULL,
     "identity d"},
    {"one key rotated", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS(KEY_A, KEY_A) "}", OK, NULL,
     "identity d, rekey d"},
    {"the first alone", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS(KEY_A, "") "}", BAD_ARGUMENT,
     "Either no keys or both keys can be set"},
    {"the second alone", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"symmetricKey\":{\"secondaryKey\":\"" KEY_A "\"}}}", BAD_ARGUMENT,
     "Either no keys or both keys can be set"},
    {"16 bytes", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS("MDEyMzQ1Njc4OWFiY2RlZg==", KEY_A) "}", OK,
     "\"primaryKey\":\"MDEyMzQ1Njc4OWFiY2RlZg==\""},
    {"15 bytes", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS("MDEyMzQ1Njc4OWFiY2Rl", KEY_A) "}",
     BAD_ARGUMENT, "Invalid device key length"},
    {"15 bytes, the second", OP_DEVICE_PUT, "d", NULL, "*",
     "{" SAS(KEY_A, "MDEyMzQ1Njc4OWFiY2Rl") "}", BAD_ARGUMENT, "Invalid device key length"},
    {"not base64", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS("1", "2") "}", BAD_ARGUMENT,
     "Invalid device key length"},
    {"a stray character", OP_DEVICE_PUT, "d", NULL, "*",
     "{" SAS("MDEyMzQ1Njc4OWFiY2R!Zg==", KEY_A) "}", BAD_ARGUMENT},
    {"thumbprints", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"selfSigned\",\"symmetricKey\":" KEYS(KEY_A, KEY_B) ","
     THUMBPRINTS(SHA1_A, SHA256_A) "}}",
     OK,
     "\"authentication\":{\"symmetricKey\":{\"primaryKey\":null,\"secondaryKey\":null},"
     "\"x509Thumbprint\":{\"primaryThumbprint\":\"" SHA1_A "\",\"secondaryThumbprint\":\"" SHA256_A
     "\"},\"type\":\"selfSigned\"}",
     "identity d, rekey d"},
    {"keys that selfSigned does not use are not checked", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"selfSigned\",\"symmetricKey\":" KEYS("1", "") ","
     THUMBPRINTS(SHA1_A, SHA256_A) "}}", OK, NULL, "identity d"},
    {"one thumbprint changed", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"selfSigned\"," THUMBPRINTS(SHA1_A, SHA1_B) "}}", OK, NULL,
     "identity d, rekey d"},
    {"the other one, without a type", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS(SHA1_B, SHA1_B) "}}", OK, "\"type\":\"selfSigned\"",
     "identity d, rekey d"},
    {"one is enough to mean selfSigned", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS("", SHA1_B) "}}", OK,
     "{\"primaryThumbprint\":null,\"secondaryThumbprint\":\"" SHA1_B "\"},\"type\":\"selfSigned\""},
    {"a thumbprint too short", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS("0123456789abcdef", "") "}}", BAD_ARGUMENT,
     "StringIsNotThumbprint"},
    {"a thumbprint in between", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS("", SHA1_A "ab") "}}", BAD_ARGUMENT,
     "StringIsNotThumbprint"},
    {"separators", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS(SHA1_A, "01:3456789abcdefABCDEF0123456789abcdef01") "}}",
     BAD_ARGUMENT, "StringIsNotThumbprint"},
    {"no thumbprints at all", OP_DEVICE_PUT, "d", NULL, "*", AUTH("selfSigned"), OK,
     "{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},\"type\":\"selfSigned\""},
    {"CA", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"certificateAuthority\",\"symmetricKey\":"
     KEYS(KEY_A, KEY_B) "," THUMBPRINTS("x", "") "}}",
     OK,
     "\"authentication\":{\"symmetricKey\":{\"primaryKey\":null,\"secondaryKey\":null},"
     "\"x509Thumbprint\":{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},"
     "\"type\":\"certificateAuthority\"}",
     "identity d, rekey d"},
    {"CA again", OP_DEVICE_PUT, "d", NULL, "*", AUTH("certificateAuthority"), OK, NULL,
     "identity d"},
    {"to SAS, dropping thumbprints", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"sas\"," THUMBPRINTS("x", SHA1_A) "}}", OK,
     "{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},\"type\":\"sas\"",
     "identity d, rekey d"},
    {"without authentication: new keys", OP_DEVICE_PUT, "d", NULL, "*", "{}", OK, NULL,
     "identity d, rekey d"},
    {"with empty keys: new keys", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS("", "") "}", OK, NULL,
     "identity d, rekey d"},
    {"module", OP_MODULE_PUT, "d", "m", NULL, AUTH("none"), OK, "\"type\":\"sas\"", "create d/m"},
    {"module without authentication", OP_MODULE_PUT, "d", "m", "*", "{}", OK, NULL,
     "identity d/m, rekey d/m"},
};
/* clang-format on */

TEST(authentication_keeps_its_rules)
{
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, credentials);
    fixture_fini(&f);
}

TEST(a_key_is_at_most_64_bytes)
{
    static const char format[] =
        "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"%.*sYQ==\","
        "\"secondaryKey\":\"" KEY_A "\"}}}";
    struct fixture f;
    fixture_init(&f, 1);
    fixture_put(&f, "d", NULL, NULL, "{}");
    put_long(&f, format, "YWFh", 21, OK);           /* 64 bytes */
    put_long(&f, format, "YWFh", 22, BAD_ARGUMENT); /* 67 */
    fixture_fini(&f);
}

static void made_keys(uint64_t seed, const char *module, struct buf *out)
{
    struct fixture f;
    fixture_init(&f, seed);
    fixture_put(&f, "d", NULL, NULL, "{}");
    if (module)
        fixture_put(&f, "d", module, NULL, "{}");
    struct entity e = fixture_entity(&f, "d", module);
    uint8_t bytes[64];
    size_t len;
    EXPECT_EQ(e.primary_key.len, 44);
    EXPECT_EQ(e.secondary_key.len, 44);
    EXPECT(text_base64(e.primary_key, bytes, sizeof(bytes), &len));
    EXPECT_EQ(len, 32);
    EXPECT(text_base64(e.secondary_key, bytes, sizeof(bytes), &len));
    EXPECT_EQ(len, 32);
    EXPECT(!span_eq(e.primary_key, e.secondary_key));
    buf_clear(out);
    buf_put(out, e.primary_key);
    buf_put(out, e.secondary_key);
    fixture_fini(&f);
}

TEST(made_keys_come_from_the_random_bytes_alone)
{
    struct buf one = {0}, two = {0};
    made_keys(1, NULL, &one);
    made_keys(1, NULL, &two);
    EXPECT_SPAN(buf_span(&one), buf_span(&two));
    made_keys(2, NULL, &two);
    EXPECT(!span_eq(buf_span(&one), buf_span(&two)));
    made_keys(1, "m", &two);
    EXPECT(!span_eq(buf_span(&one), buf_span(&two)));
    buf_fini(&one);
    buf_fini(&two);
}
TEST_MAIN(RUN(a_member_of_the_wrong_kind_is_refused_by_name),
          RUN(names_and_values_of_the_api_match_in_any_case), RUN(texts_have_a_longest_length),
          RUN(an_id_is_1_to_128_allowed_characters), RUN(authentication_keeps_its_rules),
          RUN(a_key_is_at_most_64_bytes), RUN(made_keys_come_from_the_random_bytes_alone))
