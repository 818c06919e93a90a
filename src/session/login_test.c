#include "base/test.h"

#include "auth/test_certs.h"
#include "base/text.h"
#include "session/session_fixture.h"

static struct setting t;

static int set_up(void **state)
{
    (void)state;
    setting_init(&t);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    setting_fini(&t);
    return 0;
}

/* ---- who ---- */

static const struct {
    const char *name, *user, *client;
    enum status want;
    const char *device, *module;
} parses[] = {
  /* clang-format off */
    {"device",                       HOST "/d/?api-version=1",           "d",   OK, "d", ""},
    {"module",                       HOST "/d/m/?api-version=1",         "d/m", OK, "d", "m"},
    {"no query",                     HOST "/d",                          "d",   OK, "d", ""},
    {"the host in another case",     "HUB.Example.TEST/d",               "d",   OK, "d", ""},
    {"the host with its port",       HOST ":8883/d",                     "d",   OK, "d", ""},
    {"another name of the hub",      "localhost/d",                           "d",   OK, "d", ""},
    {"an id with a plus",            HOST "/a+b/",                       "a+b", OK, "a+b", ""},
    {"another host",                 "hub.example.test.evil/d",          "d",   UNAUTHORIZED, NULL, NULL},
    {"no host",                      "/d",                               "d",   UNAUTHORIZED, NULL, NULL},
    {"an id with a blank",           HOST "/a b/",                       "a b", UNAUTHORIZED, NULL, NULL},
    {"a module id with a blank",     HOST "/d/a b/?api-version=1",       "d/a b", UNAUTHORIZED, NULL, NULL},
    {"an encoded id is another",     HOST "/d%20/",                      "d ",  UNAUTHORIZED, NULL, NULL},
    {"no client id",                 HOST "/d/",                         "",    UNAUTHORIZED, NULL, NULL},
    {"a client id in another case",  HOST "/d/",                         "D",   UNAUTHORIZED, NULL, NULL},
    {"a module's, of a device",      HOST "/d/",                         "d/m", UNAUTHORIZED, NULL, NULL},
    {"a device's, of a module",      HOST "/d/m/?api-version=1",         "d",   UNAUTHORIZED, NULL, NULL},
    {"of another module",            HOST "/d/m/?api-version=1",         "d/n", UNAUTHORIZED, NULL, NULL},
    {"of another device's module",   HOST "/d/m/?api-version=1",         "e/m", UNAUTHORIZED, NULL, NULL},
    {"another mark between them",    HOST "/d/m/?api-version=1",         "d.m", UNAUTHORIZED, NULL, NULL},
    {"a registration elsewhere",     "0ne00/registrations/d/api-version=1", "d", UNAUTHORIZED, NULL, NULL},
  /* clang-format on */
};

TEST(a_user_name_and_a_client_id_name_one_identity)
{
    for (size_t i = 0; i < COUNT(parses); i++) {
        struct login login;
        const char *reason = NULL;
        struct mqtt_connect connect = {.has_username = true,
                                       .username = span_text(parses[i].user),
                                       .client_id = span_text(parses[i].client)};
        EXPECT_EQ_IN(parses[i].name, login_parse(&connect, &t.rules, &t.arena, &login, &reason),
                     parses[i].want);
        if (parses[i].want != OK) {
            EXPECT(reason);
            continue;
        }
        EXPECT_SPAN_IN(parses[i].name, login.user.device, span_text(parses[i].device));
        EXPECT_SPAN_IN(parses[i].name, login.user.module, span_text(parses[i].module));
    }
}

TEST(a_full_arena_is_no_verdict)
{
    struct login login;
    const char *reason;
    struct mqtt_connect connect = {.has_username = true,
                                   .username = SPAN(HOST "/d/?model-id=dtmi%3ax%3b1"),
                                   .client_id = SPAN("d")};
    EXPECT(arena_bytes(&t.arena, arena_left(&t.arena)));
    EXPECT_EQ(login_parse(&connect, &t.rules, &t.arena, &login, &reason), TOO_LARGE);
    arena_reset(&t.arena);
    EXPECT_EQ(login_parse(&connect, &t.rules, &t.arena, &login, &reason), OK);
    EXPECT_SPAN(login.user.model_id, SPAN("dtmi:x;1"));
}

/* ---- may it ---- */

#define DEVICE_SR HOST "%2Fdevices%2Fd"
#define MODULE_SR HOST "/devices/d/modules/m"

static const struct verdict {
    const char *name;
    const char *device, *module;         /* addressed */
    const char *resource, *key, *policy; /* of the token; resource NULL: none is sent */
    int64_t late_s;                      /* how long after it was made */
    const char *reason;                  /* NULL: OK */
    enum credential_method method;
    int slot;
} verdicts[] = {
  /* clang-format off */
    {"primary key",               "d", NULL, HOST "/devices/d", KEY_A, NULL, 0, NULL, CREDENTIAL_KEY, 0},
    {"secondary key",             "d", NULL, HOST "/devices/d", KEY_B, NULL, 0, NULL, CREDENTIAL_KEY, 1},
    {"a module's own key",        "d", "m",  MODULE_SR, KEY_B, NULL, 0, NULL, CREDENTIAL_KEY, 0},
    {"a policy for a device",     "d", NULL, HOST, NULL, "device", 0, NULL, CREDENTIAL_POLICY, 0},
    {"a policy for a module",     "d", "m",  HOST, NULL, "iothubowner", 0, NULL, CREDENTIAL_POLICY, 0},
    {"a policy without the right", "d", NULL, HOST, NULL, "service", 0,
     "the policy has no right to this", 0, 0},
    {"a policy for nobody",       "nobody", NULL, HOST, NULL, "device", 0, "no such identity", 0, 0},
    {"a policy for no module",    "d", "none", HOST, NULL, "device", 0, "no such identity", 0, 0},
    {"an unknown device",         "nobody", NULL, HOST "/devices/nobody", KEY_A, NULL, 0, "", 0, 0},
    {"an unknown module",         "d", "none", HOST "/devices/d/modules/none", KEY_A, NULL, 0, "", 0, 0},
    {"another device's resource", "d", NULL, HOST "/devices/other", KEY_A, NULL, 0, "", 0, 0},
    {"a device's token for its module", "d", "m", HOST "/devices/d", KEY_A, NULL, 0, "", 0, 0},
    {"another hub",               "d", NULL, "hub.test/devices/d", KEY_A, NULL, 0, "", 0, 0},
    {"within the skew",           "d", NULL, HOST "/devices/d", KEY_A, NULL, 3600 + 299, NULL, CREDENTIAL_KEY, 0},
    {"expired",                   "d", NULL, HOST "/devices/d", KEY_A, NULL, 3600 + 301, "", 0, 0},
    {"no password, no certificate", "d", NULL, NULL, NULL, NULL, 0, "", 0, 0},
    {"disabled",                  "off", NULL, HOST "/devices/off", KEY_A, NULL, 0, "the device is disabled", 0, 0},
    {"disabled, by policy",       "off", NULL, HOST, NULL, "device", 0, "the device is disabled", 0, 0},
    {"a module of a disabled device", "off", "m", HOST "/devices/off/modules/m", KEY_A, NULL, 0,
     "the device is disabled", 0, 0},
  /* clang-format on */
};

static struct live *known(const char *device, const char *module)
{
    struct live *l = fixture_find(&t.hub, device, module);
    if (!l)
        EXPECT_EQ(hub_admit(&t.hub.hub, span_text(device), span_text(module), NULL, &l), OK);
    return l;
}

static enum status decide(const struct verdict *v, struct credential *out)
{
    struct buf b = {0};
    struct login login = {
        .user = {.device = span_text(v->device), .module = span_text(v->module)}
    };
    struct login_proof proof = {.rules = &t.rules,
                                .nobody = t.hub.hub.nobody,
                                .wall_ms = t.hub.now.wall_ms + v->late_s * 1000};
    if (v->resource)
        put_token(&t, &b, v->resource, v->key, v->policy);
    login.connect.has_password = v->resource != NULL;
    login.connect.password = buf_span(&b);
    struct live *module = v->module ? known(v->device, v->module) : NULL;
    enum status st = login_decide(&login, &proof, known(v->device, NULL), module, out);
    buf_fini(&b);
    return st;
}

TEST(a_credential_opens_its_identity_and_no_other)
{
    fixture_put(&t.hub, "off", NULL, NULL, "{" DISABLED "," SAS(KEY_A, KEY_B) "}");
    fixture_put(&t.hub, "off", "m", NULL, "{" SAS(KEY_A, KEY_B) "}");
    for (size_t i = 0; i < COUNT(verdicts); i++) {
        const struct verdict *v = &verdicts[i];
        struct credential c = {0};
        EXPECT_EQ_IN(v->name, decide(v, &c), v->reason ? UNAUTHORIZED : OK);
        if (v->reason) {
            EXPECT_EQ_IN(v->name, c.reason != NULL, true);
            if (v->reason[0])
                EXPECT_SPAN_IN(v->name, span_text(c.reason), span_text(v->reason));
            continue;
        }
        EXPECT_EQ_IN(v->name, c.method, v->method);
        EXPECT_EQ_IN(v->name, c.slot, v->slot);
        EXPECT_EQ_IN(v->name, c.expiry_s, t.hub.now.wall_ms / 1000 + 3600);
    }
}

TEST(a_password_that_is_no_token_is_refused)
{
    struct login login = {
        .user = {.device = SPAN("d")        },
        .connect = { .has_password = true, .password = SPAN("secret")}
    };
    struct login_proof proof = {
        .rules = &t.rules, .nobody = t.hub.hub.nobody, .wall_ms = t.hub.now.wall_ms};
    struct credential c = {0};
    EXPECT_EQ(login_decide(&login, &proof, known("d", NULL), NULL, &c), UNAUTHORIZED);
    EXPECT_SPAN(span_text(c.reason), SPAN("malformed token"));
}

TEST(a_certificate_opens_the_device_that_has_its_thumbprint)
{
    struct test_cert cert = test_cert_make(&(struct test_cert_options){.name = SPAN("x")}, NULL);
    uint8_t sum[32];
    unsigned len;
    EXPECT(EVP_Digest(cert.der.data, cert.der.len, sum, &len, EVP_sha256(), NULL));
    struct buf hex = {0}, body = {0};
    text_put_hex(&hex, span_of(sum, len));
    buf_printf(&body,
               "{\"authentication\":{\"type\":\"selfSigned\"," THUMBPRINTS(SHA1_A, "%.*s") "}}%c",
               SPAN_ARG(buf_span(&hex)), 0);
    fixture_put(&t.hub, "x", NULL, NULL, (const char *)body.data);
    struct login login = {.user = {.device = SPAN("x")}};
    struct login_proof proof = {&t.rules, t.hub.hub.nobody, &cert.der, 1, TEST_NOW_S * 1000};
    struct credential c;
    EXPECT_EQ(login_decide(&login, &proof, known("x", NULL), NULL, &c), OK);
    EXPECT_EQ(c.method, CREDENTIAL_THUMBPRINT);
    EXPECT_EQ(c.slot, 1);
    EXPECT_EQ(c.expiry_s, INT64_MAX);
    login.user.device = SPAN("d");
    EXPECT_EQ(login_decide(&login, &proof, known("d", NULL), NULL, &c), UNAUTHORIZED);
    buf_fini(&hex);
    buf_fini(&body);
    test_cert_fini(&cert);
}

/* ---- is it still there ---- */

#define TYPE(type)   "{\"authentication\":{\"type\":\"" type "\"}}"
#define PRINTS(a, b) "{\"authentication\":{\"type\":\"selfSigned\"," THUMBPRINTS(a, b) "}}"

static const struct {
    const char *name;
    enum credential_method method;
    int slot;
    const char *before, *after;
    bool valid;
} rotations[] = {
  /* clang-format off */
    {"nothing changed", CREDENTIAL_KEY, 0, "{" SAS(KEY_A, KEY_B) "}", "{" SAS(KEY_A, KEY_B) "}", true},
    {"the other key rotated", CREDENTIAL_KEY, 0, "{" SAS(KEY_A, KEY_B) "}", "{" SAS(KEY_A, KEY_A) "}", true},
    {"swapped", CREDENTIAL_KEY, 0, "{" SAS(KEY_A, KEY_B) "}", "{" SAS(KEY_B, KEY_A) "}", true},
    {"swapped, by the second", CREDENTIAL_KEY, 1, "{" SAS(KEY_A, KEY_B) "}", "{" SAS(KEY_B, KEY_A) "}", true},
    {"its key is gone", CREDENTIAL_KEY, 0, "{" SAS(KEY_A, KEY_B) "}", "{" SAS(KEY_B, KEY_B) "}", false},
    {"its second key is gone", CREDENTIAL_KEY, 1, "{" SAS(KEY_A, KEY_B) "}", "{" SAS(KEY_A, KEY_A) "}", false},
    {"keys no more", CREDENTIAL_KEY, 0, "{" SAS(KEY_A, KEY_B) "}", PRINTS(SHA1_A, SHA1_B), false},
    {"thumbprint kept", CREDENTIAL_THUMBPRINT, 0, PRINTS(SHA1_A, SHA1_B), PRINTS(SHA1_B, SHA1_A), true},
    {"second thumbprint kept", CREDENTIAL_THUMBPRINT, 1, PRINTS(SHA1_A, SHA1_B), PRINTS(SHA1_A, SHA1_B), true},
    {"thumbprint gone", CREDENTIAL_THUMBPRINT, 0, PRINTS(SHA1_A, SHA1_B), PRINTS(SHA256_A, SHA1_B), false},
    {"thumbprints no more", CREDENTIAL_THUMBPRINT, 0, PRINTS(SHA1_A, SHA1_B), TYPE("certificateAuthority"), false},
    {"still by CA", CREDENTIAL_CA, 0, TYPE("certificateAuthority"), TYPE("certificateAuthority"), true},
    {"by CA no more", CREDENTIAL_CA, 0, TYPE("certificateAuthority"), "{" SAS(KEY_A, KEY_B) "}", false},
    {"a policy does not depend on it", CREDENTIAL_POLICY, 0, "{" SAS(KEY_A, KEY_B) "}", TYPE("certificateAuthority"), true},
  /* clang-format on */
};

TEST(after_a_rotation_those_who_hold_a_present_credential_stay)
{
    const struct hash_key key = {1, 2};
    for (size_t i = 0; i < COUNT(rotations); i++) {
        char device[16];
        snprintf(device, sizeof(device), "r%zu", i);
        fixture_put(&t.hub, device, NULL, NULL, rotations[i].before);
        struct entity e = fixture_entity(&t.hub, device, NULL);
        struct credential c = {.method = rotations[i].method, .slot = rotations[i].slot};
        uint64_t print = login_fingerprint(&c, &e, key);
        bool has_secret = c.method == CREDENTIAL_KEY || c.method == CREDENTIAL_THUMBPRINT;
        EXPECT_EQ_IN(rotations[i].name, print != 0, has_secret);
        fixture_put(&t.hub, device, NULL, "*", rotations[i].after);
        e = fixture_entity(&t.hub, device, NULL);
        EXPECT_EQ_IN(rotations[i].name, login_still_valid(print, c.method, &e, key),
                     rotations[i].valid);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(CASE(a_user_name_and_a_client_id_name_one_identity), CASE(a_full_arena_is_no_verdict),
          CASE(a_credential_opens_its_identity_and_no_other),
          CASE(a_password_that_is_no_token_is_refused),
          CASE(a_certificate_opens_the_device_that_has_its_thumbprint),
          CASE(after_a_rotation_those_who_hold_a_present_credential_stay))
