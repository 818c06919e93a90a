#include "base/test.h"

#include <openssl/evp.h>

#include "auth/credential.h"
#include "auth/test_certs.h"
#include "base/text.h"

#define NOW_S TEST_NOW_S

static const struct span none = {0};
static const struct span hosts[] = {SPAN_INIT("hub.x")};
static struct policies policies;
static struct credential_rules rules;

/* Every key is its name, repeated. */
static struct key key_of(const char *name)
{
    struct key k = {.len = 32};
    for (size_t i = 0; i < k.len; i++)
        k.bytes[i] = (uint8_t)name[i % strlen(name)];
    return k;
}

static struct identity identity_of(enum identity_kind kind, const char *primary,
                                   const char *secondary)
{
    return (struct identity){
        .kind = kind, .keys = {key_of(primary), key_of(secondary)}
    };
}

static void set_up(void)
{
    struct policy p = {.name_len = 5, .name = "owner", .rights = RIGHTS_ALL};
    p.keys[0] = key_of("owner 1");
    p.keys[1] = key_of("owner 2");
    policies = (struct policies){.count = 0};
    EXPECT_EQ(policy_set(&policies, &p), OK);
    rules = (struct credential_rules){
        .hosts = hosts, .host_count = COUNT(hosts), .policies = &policies};
}

static enum status decide(const struct credential_target *target, const char *resource,
                          const char *key, const char *policy, struct credential *out)
{
    struct buf b = {0};
    struct sas token;
    struct key k = key_of(key);
    sas_make(&b, span_text(resource), key_span(&k), NOW_S, span_text(policy));
    EXPECT_EQ(sas_parse(buf_span(&b), &token), OK);
    enum status st = credential_by_token(&rules, target, &token, NOW_S * 1000, out);
    buf_fini(&b);
    EXPECT_EQ(out->reason != NULL, st != OK);
    return st;
}

/* ---- how much work it is ---------------------------------------------------------------------
 *
 * The linker sends calls of HMAC here (--wrap in meson.build), so that they can be counted. */

#define EVP_BLOCK 64 /* a longer key would be hashed first */

static size_t hmacs;
/* The names are the linker's, the parameters libcrypto's.
 * NOLINTBEGIN(bugprone-reserved-identifier,readability-function-size) */
uint8_t *__real_HMAC(const EVP_MD *md, const void *key, int key_len, const uint8_t *data,
                     size_t len, uint8_t *out, unsigned *out_len);
uint8_t *__wrap_HMAC(const EVP_MD *md, const void *key, int key_len, const uint8_t *data,
                     size_t len, uint8_t *out, unsigned *out_len);
uint8_t *__wrap_HMAC(const EVP_MD *md, const void *key, int key_len, const uint8_t *data,
                     size_t len, uint8_t *out, unsigned *out_len)
{
    hmacs++;
    EXPECT(key_len > 0 && key_len <= EVP_BLOCK);
    return __real_HMAC(md, key, key_len, data, len, out, out_len);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-function-size) */

/* ---- tokens ---------------------------------------------------------------------------------- */

enum who { NOBODY, KEYS, NO_KEYS, PRINT, SIGNED, NOTHING };

static const struct {
    const char *name;
    const char *device, *module; /* addressed */
    enum who identity, parent;
    const char *resource, *key, *policy;
    const char *why; /* NULL: OK */
    enum peer_kind peer;
    int slot;
} tokens[] = {
    {"device, primary",                        "d", "",  KEYS,    NOBODY, "hub.x/devices/d",           "id 1",     "",      NULL,                                                              PEER_DEVICE, 0},
    {"device, secondary",                      "d", "",  KEYS,    NOBODY, "hub.x/devices/d",           "id 2",     "",      NULL,                                                              PEER_DEVICE,
     1                                                                                                                                                                                                       },
    {"module",                                 "d", "m", KEYS,    NOBODY, "hub.x/devices/d/modules/m", "id 2",     "",      NULL,                                                              PEER_MODULE,
     1                                                                                                                                                                                                       },
    {"policy",                                 "d", "",  KEYS,    NOBODY, "hub.x",                     "owner 1",  "owner", NULL,                                                              PEER_POLICY, 0},
    {"policy, secondary, unknown device",      "d", "",  NOBODY,  NOBODY, "hub.x/devices/d",           "owner 2",
     "owner",                                                                                                               NULL,                                                              PEER_POLICY, 1},
    {"policy on an identity with certificate", "d", "",  PRINT,   NOBODY, "hub.x",                     "owner 1",  "owner",
     NULL,                                                                                                                                                                                     PEER_POLICY, 0},
    {"policy on an identity with nothing",     "d", "",  NOTHING, NOBODY, "hub.x",                     "owner 1",  "owner",
     NULL,                                                                                                                                                                                     PEER_POLICY, 0},
    {"policy on the hub",                      "",  "",  NOBODY,  NOBODY, "hub.x/devices",             "owner 1",  "owner", NULL,
     PEER_POLICY,                                                                                                                                                                                           0},
    {"device for its module",                  "d", "m", NOBODY,  KEYS,   "hub.x/devices/d",           "parent 2", "",      NULL,
     PEER_DEVICE,                                                                                                                                                                                           1},
    {"wrong key",                              "d", "",  KEYS,    NOBODY, "hub.x/devices/d",           "other",    "",
     "the signature matches neither the primary nor the secondary key",                                                                                                                        0,           0},
    {"no key",                                 "d", "",  NO_KEYS, NOBODY, "hub.x/devices/d",           "other",    "",
     "the signature matches neither the primary nor the secondary key",                                                                                                                        0,           0},
    {"unknown identity",                       "d", "",  NOBODY,  NOBODY, "hub.x/devices/d",           "id 1",     "",      "no such identity",
     0,                                                                                                                                                                                                     0},
    {"identity with thumbprint",               "d", "",  PRINT,   NOBODY, "hub.x/devices/d",           "id 1",     "",
     "the identity does not sign in with keys",                                                                                                                                                0,           0},
    {"identity signed by a CA",                "d", "",  SIGNED,  NOBODY, "hub.x/devices/d",           "id 1",     "",
     "the identity does not sign in with keys",                                                                                                                                                0,           0},
    {"identity with nothing",                  "d", "m", NOTHING, NOBODY, "hub.x/devices/d/modules/m", "id 1",     "",
     "the identity does not sign in with keys",                                                                                                                                                0,           0},
    {"device where it may not be its module",  "d", "m", KEYS,    NOBODY, "hub.x/devices/d",           "parent 1",
     "",                                                                                                                    "the token of a device does not open its modules",                 0,           0},
    {"module's key, device's resource",        "d", "m", KEYS,    KEYS,   "hub.x/devices/d",           "id 1",     "",
     "the signature matches neither the primary nor the secondary key",                                                                                                                        0,           0},
    {"device's key, module's resource",        "d", "m", KEYS,    KEYS,   "hub.x/devices/d/modules/m",
     "parent 1",                                                                                                   "",      "the signature matches neither the primary nor the secondary key", 0,           0},
    {"module on its device",                   "d", "",  KEYS,    NOBODY, "hub.x/devices/d/modules/m", "id 1",     "",
     "the token's resource does not cover what it is used for",                                                                                                                                0,           0},
    {"device on the hub",                      "",  "",  NOBODY,  NOBODY, "hub.x/devices/d",           "id 1",     "",
     "the token's resource does not cover what it is used for",                                                                                                                                0,           0},
    {"other hub",                              "d", "",  KEYS,    NOBODY, "hub.y/devices/d",           "id 1",     "",
     "the token's resource does not cover what it is used for",                                                                                                                                0,           0},
    {"key on the whole hub",                   "d", "",  KEYS,    NOBODY, "hub.x",                     "id 1",     "",
     "a token without policy must name its device or module",                                                                                                                                  0,           0},
    {"key on all devices",                     "d", "m", KEYS,    KEYS,   "hub.x/devices",             "id 1",     "",
     "a token without policy must name its device or module",                                                                                                                                  0,           0},
    {"unknown policy",                         "d", "",  KEYS,    NOBODY, "hub.x",                     "owner 1",  "other", "no policy of this name",
     0,                                                                                                                                                                                                     0},
    {"policy with the identity's key",         "d", "",  KEYS,    NOBODY, "hub.x/devices/d",           "id 1",     "owner",
     "the signature matches neither the primary nor the secondary key",                                                                                                                        0,           0},
};

static const struct identity *who(enum who kind, const char *primary, const char *secondary)
{
    static const enum identity_kind kinds[] = {[KEYS] = IDENTITY_SAS,
                                               [NO_KEYS] = IDENTITY_SAS,
                                               [PRINT] = IDENTITY_THUMBPRINT,
                                               [SIGNED] = IDENTITY_CA,
                                               [NOTHING] = IDENTITY_NONE};
    static struct identity made[2];
    struct identity *i = &made[primary[0] == 'p'];
    *i = identity_of(kinds[kind], primary, secondary);
    if (kind == NO_KEYS)
        i->keys[0].len = i->keys[1].len = 0;
    return kind == NOBODY ? NULL : i;
}

TEST(a_token_opens_what_it_should_and_says_who_speaks)
{
    set_up();
    for (size_t i = 0; i < COUNT(tokens); i++) {
        const char *name = tokens[i].name;
        struct credential_target target = {.device = span_text(tokens[i].device),
                                           .module = span_text(tokens[i].module),
                                           .identity = who(tokens[i].identity, "id 1", "id 2"),
                                           .parent = who(tokens[i].parent, "parent 1", "parent 2")};
        struct credential c;
        enum status st = decide(&target, tokens[i].resource, tokens[i].key, tokens[i].policy, &c);
        EXPECT_SPAN_IN(name, span_text(c.reason), span_text(tokens[i].why));
        EXPECT_EQ_IN(name, st, tokens[i].why ? UNAUTHORIZED : OK);
        if (st != OK)
            continue;
        bool by_policy = tokens[i].peer == PEER_POLICY;
        EXPECT_EQ_IN(name, c.peer.kind, tokens[i].peer);
        EXPECT_EQ_IN(name, c.slot, tokens[i].slot);
        EXPECT_EQ_IN(name, c.expiry_s, NOW_S);
        EXPECT_EQ_IN(name, c.method, by_policy ? CREDENTIAL_POLICY : CREDENTIAL_KEY);
        EXPECT_EQ_IN(name, c.policy == &policies.at[0], by_policy);
        EXPECT_EQ_IN(name, c.peer.rights, by_policy ? RIGHTS_ALL : 0);
    }
}

TEST(every_verdict_costs_two_hmacs)
{
    set_up();
    for (size_t i = 0; i < COUNT(tokens); i++) {
        struct credential_target target = {.device = span_text(tokens[i].device),
                                           .module = span_text(tokens[i].module),
                                           .identity = who(tokens[i].identity, "id 1", "id 2"),
                                           .parent = who(tokens[i].parent, "parent 1", "parent 2")};
        struct credential c;
        hmacs = 0;
        (void)decide(&target, tokens[i].resource, tokens[i].key, tokens[i].policy, &c);
        EXPECT_EQ_IN(tokens[i].name, hmacs, 1 + 2); /* one made the token */
    }
}

TEST(the_key_used_for_nobody_opens_nothing)
{
    set_up();
    struct key zeros = {.len = 32};
    struct buf b = {0};
    struct sas token;
    struct credential c;
    sas_make(&b, SPAN("hub.x/devices/d"), key_span(&zeros), NOW_S, none);
    EXPECT_EQ(sas_parse(buf_span(&b), &token), OK);
    struct identity keyless = {.kind = IDENTITY_SAS}, certified = {.kind = IDENTITY_CA};
    const struct identity *identities[] = {NULL, &keyless, &certified};
    for (size_t i = 0; i < COUNT(identities); i++) {
        struct credential_target target = {.device = SPAN("d"), .identity = identities[i]};
        EXPECT_EQ(credential_by_token(&rules, &target, &token, 0, &c), UNAUTHORIZED);
    }
    buf_fini(&b);
}

TEST(who_speaks_for_a_policy_is_limited_to_what_its_token_named)
{
    set_up();
    static const struct {
        const char *resource;
        enum sas_depth scope;
        const char *device, *module;
    } cases[] = {
        {"hub.x",                     SAS_HUB,     "",  "" },
        {"hub.x/devices",             SAS_DEVICES, "",  "" },
        {"hub.x/devices/D",           SAS_DEVICE,  "d", "" }, /* the exact id, not the token's */
        {"hub.x/devices/D/modules/M", SAS_MODULE,  "d", "m"},
    };
    struct credential_target target = {.device = SPAN("d"), .module = SPAN("m")};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct credential c;
        EXPECT_EQ(decide(&target, cases[i].resource, "owner 1", "owner", &c), OK);
        EXPECT_EQ_IN(cases[i].resource, c.peer.scope, cases[i].scope);
        EXPECT_SPAN_IN(cases[i].resource, c.peer.device, span_text(cases[i].device));
        EXPECT_SPAN_IN(cases[i].resource, c.peer.module, span_text(cases[i].module));
    }
}

TEST(an_expired_token_is_refused_after_the_skew)
{
    set_up();
    struct identity identity = identity_of(IDENTITY_SAS, "id 1", "id 2");
    struct credential_target target = {.device = SPAN("d"), .identity = &identity};
    struct buf b = {0};
    struct sas token;
    struct credential c;
    struct key k = key_of("id 1");
    sas_make(&b, SPAN("hub.x/devices/d"), key_span(&k), NOW_S, none);
    EXPECT_EQ(sas_parse(buf_span(&b), &token), OK);
    int64_t last = NOW_S * 1000 + SAS_SKEW_MS;
    EXPECT_EQ(credential_by_token(&rules, &target, &token, last, &c), OK);
    EXPECT_EQ(credential_by_token(&rules, &target, &token, last + 1, &c), UNAUTHORIZED);
    EXPECT_SPAN(span_text(c.reason), SPAN("the token is expired"));
    buf_fini(&b);
}

TEST(each_kind_of_token_can_be_switched_off)
{
    set_up();
    struct identity identity = identity_of(IDENTITY_SAS, "id 1", "id 2");
    struct credential_target device = {.device = SPAN("d"), .identity = &identity};
    struct credential_target module = device;
    module.module = SPAN("m");
    struct credential c;
    for (int off = 0; off < 4; off++) {
        rules.no_policy_sas = off == 1;
        rules.no_device_sas = off == 2;
        rules.no_module_sas = off == 3;
        EXPECT_EQ(decide(&device, "hub.x", "owner 1", "owner", &c), off == 1 ? UNAUTHORIZED : OK);
        EXPECT_EQ(decide(&device, "hub.x/devices/d", "id 1", "", &c), off == 2 ? UNAUTHORIZED : OK);
        EXPECT_EQ(decide(&module, "hub.x/devices/d/modules/m", "id 1", "", &c),
                  off == 3 ? UNAUTHORIZED : OK);
    }
}

/* ---- certificates (the matrix is tests/auth/x509_matrix_test.c) --------------------------------
 */

TEST(a_certificate_opens_a_device_for_its_modules_where_that_is_allowed)
{
    set_up();
    struct test_cert cert = test_cert_make(&(struct test_cert_options){.name = SPAN("d")}, NULL);
    uint8_t hash[EVP_MAX_MD_SIZE];
    struct buf hex = {0};
    EXPECT(EVP_Q_digest(NULL, "SHA256", NULL, cert.der.data, cert.der.len, hash, NULL));
    text_put_hex(&hex, span_of(hash, 32));
    struct identity device = {
        .kind = IDENTITY_THUMBPRINT, .thumbprints = {{0}, buf_span(&hex)}
    };
    struct identity module = identity_of(IDENTITY_SAS, "id 1", "id 2");
    struct credential_target target = {
        .device = SPAN("d"), .module = SPAN("m"), .identity = &module, .parent = &device};
    struct credential c;
    EXPECT_EQ(credential_by_certificate(&rules, &target, &cert.der, 1, NOW_S * 1000, &c), OK);
    EXPECT_EQ(c.peer.kind, PEER_DEVICE);
    EXPECT_EQ(c.slot, 1);
    EXPECT_EQ(c.peer.module.len, 0);
    target.identity = NULL;
    EXPECT_EQ(credential_by_certificate(&rules, &target, &cert.der, 1, NOW_S * 1000, &c), OK);
    target.parent = NULL;
    EXPECT_EQ(credential_by_certificate(&rules, &target, &cert.der, 1, NOW_S * 1000, &c),
              UNAUTHORIZED);
    EXPECT_SPAN(span_text(c.reason), SPAN("no such identity"));
    target.identity = &module;
    EXPECT_EQ(credential_by_certificate(&rules, &target, &cert.der, 1, NOW_S * 1000, &c),
              UNAUTHORIZED);
    buf_fini(&hex);
    test_cert_fini(&cert);
}

TEST(what_is_no_certificate_or_addresses_nobody_is_refused)
{
    set_up();
    struct identity identity = {.kind = IDENTITY_THUMBPRINT};
    struct credential_target target = {.device = SPAN("d"), .identity = &identity};
    struct span junk = SPAN("junk");
    struct credential c;
    EXPECT_EQ(credential_by_certificate(&rules, &target, NULL, 0, 0, &c), UNAUTHORIZED);
    EXPECT_SPAN(span_text(c.reason), SPAN("no certificate was sent"));
    EXPECT_EQ(credential_by_certificate(&rules, &target, &junk, 1, 0, &c), UNAUTHORIZED);
    EXPECT_SPAN(span_text(c.reason), SPAN("the certificate cannot be read"));
    target.device.len = 0;
    EXPECT_EQ(credential_by_certificate(&rules, &target, &junk, 1, 0, &c), UNAUTHORIZED);
    EXPECT_SPAN(span_text(c.reason), SPAN("a certificate opens devices and modules only"));
}

TEST_MAIN(RUN(a_token_opens_what_it_should_and_says_who_speaks), RUN(every_verdict_costs_two_hmacs),
          RUN(the_key_used_for_nobody_opens_nothing),
          RUN(who_speaks_for_a_policy_is_limited_to_what_its_token_named),
          RUN(an_expired_token_is_refused_after_the_skew),
          RUN(each_kind_of_token_can_be_switched_off),
          RUN(a_certificate_opens_a_device_for_its_modules_where_that_is_allowed),
          RUN(what_is_no_certificate_or_addresses_nobody_is_refused))
