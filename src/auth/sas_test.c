#include "base/test.h"

#include "auth/sas.h"
#include "base/text.h"

#define SIG "nHnGdF+xwzm5TLjxwl4yrOOjp+WC4mnTiAf1dUN4r34="
#define SAS "SharedAccessSignature "

static const struct span no_id = {0};

/* ---- the vectors of device-auth 1.4 and service-rest 5.1 ------------------------------------ */

static const struct {
    const char *name, *key, *token;
} vectors[] = {
    {"upper-case hex", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
     SAS
     "sr=hub.example.test%2Fdevices%2Fdev1&sig=nHnGdF%2Bxwzm5TLjxwl4yrOOjp%2BWC4mnTiAf1dUN4r34%3D"
     "&se=2000000000"                                                          },
    {"lower-case hex", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
     SAS "sr=hub.example.test%2fdevices%2fdev1&sig=4uKgPgixxNm5A5iMZmgSd1HdfAs0PibKwZWxJtYOANc="
         "&se=2000000000"                                                      },
    {"raw",            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
     SAS "se=2000000000&sr=hub.example.test/devices/dev1"
         "&sig=KAQrN4TIZOtPjvClkaSxTuszeFTjMT9d9FZMZ8T7DzE%3d"                 },
    {"service",        "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
     SAS "sr=myhub.example.net%2Fdevices%2Fpump-07&"
         "sig=CvJcdCDc%2Fuz%2FXMURMw4u4dPcO7WPXaChCX5w1suZSPE%3D&se=1893456000"},
};

TEST(tokens_of_the_specification_verify_with_their_key_and_no_other)
{
    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct sas t;
        uint8_t key[32];
        size_t len;
        EXPECT_EQ_IN(vectors[i].name, sas_parse(test_at_edge(span_text(vectors[i].token)), &t), OK);
        EXPECT(text_base64(span_text(vectors[i].key), key, sizeof(key), &len));
        EXPECT_EQ_IN(vectors[i].name, sas_verify(&t, span_of(key, len)), true);
        EXPECT_EQ_IN(vectors[i].name, sas_verify(&t, span_of(key, len - 1)), false);
        EXPECT_EQ_IN(vectors[i].name, sas_verify(&t, span_of(key, 0)), false);
        for (size_t byte = 0; byte < sizeof(t.sig); byte++) {
            t.sig[byte] ^= 1;
            EXPECT_EQ_IN(vectors[i].name, sas_verify(&t, span_of(key, len)), false);
            t.sig[byte] ^= 1;
        }
    }
}

TEST(a_token_we_make_is_the_one_of_the_specification)
{
    struct buf b = {0};
    uint8_t key[32];
    size_t len;
    EXPECT(text_base64(span_text(vectors[3].key), key, sizeof(key), &len));
    sas_make(&b, SPAN("myhub.example.net/devices/pump-07"), span_of(key, len), 1893456000, no_id);
    EXPECT_SPAN(buf_span(&b), span_text(vectors[3].token));
    buf_fini(&b);
}

TEST(a_token_we_make_is_read_back_with_its_policy_and_scope)
{
    struct buf b = {0};
    struct sas t;
    struct sas_scope scope;
    struct span host = SPAN("h.x"), key = SPAN("0123456789abcdef");
    sas_make(&b, SPAN("h.x/devices/a#b/modules/m%41;"), key, 123, SPAN("p@1"));
    EXPECT_EQ(sas_parse(test_at_edge(buf_span(&b)), &t), OK);
    EXPECT(sas_verify(&t, key));
    EXPECT_SPAN(sas_policy(&t), SPAN("p@1"));
    EXPECT_EQ(t.expiry_s, 123);
    sas_scope_read(&t, &scope);
    EXPECT_EQ(sas_scope_covers(&scope, &host, 1, SPAN("a#b"), SPAN("m%41;")), SAS_MODULE);
    buf_fini(&b);
}

/* ---- form ----------------------------------------------------------------------------------- */

static const struct {
    const char *name, *token;
    enum status want;
} forms[] = {
    {"usual",                    SAS "sr=h&sig=" SIG "&se=1&skn=p",                                    OK          },
    {"other order",              SAS "skn=p&se=1&sig=" SIG "&sr=h",                                    OK          },
    {"names in any case",        SAS "SR=h&Sig=" SIG "&sE=1",                                          OK          },
    {"word in any case",         "sharedaccesssignature sr=h&sig=" SIG "&se=1",                        OK          },
    {"a tab after the word",     "SharedAccessSignature\tsr=h&sig=" SIG "&se=1",                       OK          },
    {"two blanks",               "SharedAccessSignature  sr=h&sig=" SIG "&se=1",                       UNAUTHORIZED},
    {"no blank",                 "SharedAccessSignaturesr=h&sig=" SIG "&se=1",                         UNAUTHORIZED},
    {"word alone",               "SharedAccessSignature",                                              UNAUTHORIZED},
    {"word and blank",           SAS,                                                                  UNAUTHORIZED},
    {"nothing",                  "",                                                                   UNAUTHORIZED},
    {"other scheme",             "Bearer sr=h&sig=" SIG "&se=1",                                       UNAUTHORIZED},
    {"unknown fields",           SAS "a=1&sr=h&b&sig=" SIG "&=x&se=1",                                 OK          },
    {"empty fields",             SAS "&&sr=h&sig=" SIG "&se=1&",                                       OK          },
    {"empty policy",             SAS "sr=h&sig=" SIG "&se=1&skn=",                                     OK          },
    {"sr twice",                 SAS "sr=h&sr=h&sig=" SIG "&se=1",                                     UNAUTHORIZED},
    {"sr twice in two cases",    SAS "sr=h&SR=h&sig=" SIG "&se=1",                                     UNAUTHORIZED},
    {"skn twice",                SAS "sr=h&skn=&skn=&sig=" SIG "&se=1",                                UNAUTHORIZED},
    {"unknown twice",            SAS "sr=h&x=1&X=2&sig=" SIG "&se=1",                                  UNAUTHORIZED},
    {"no sr",                    SAS "sig=" SIG "&se=1",                                               UNAUTHORIZED},
    {"empty sr",                 SAS "sr=&sig=" SIG "&se=1",                                           UNAUTHORIZED},
    {"no sig",                   SAS "sr=h&se=1",                                                      UNAUTHORIZED},
    {"empty sig",                SAS "sr=h&sig=&se=1",                                                 UNAUTHORIZED},
    {"short sig",                SAS "sr=h&sig=AAAA&se=1",                                             UNAUTHORIZED},
    {"long sig",                 SAS "sr=h&sig=" SIG "AAAA&se=1",                                      UNAUTHORIZED},
    {"sig without padding",      SAS "sr=h&sig=nHnGdF+xwzm5TLjxwl4yrOOjp+WC4mnTiAf1dUN4r34&se=1",
     UNAUTHORIZED                                                                                                  },
    {"sig of 33 bytes",          SAS "sr=h&sig=nHnGdF+xwzm5TLjxwl4yrOOjp+WC4mnTiAf1dUN4r34A&se=1",
     UNAUTHORIZED                                                                                                  },
    {"sig not base64",           SAS "sr=h&sig=nHnGdF-xwzm5TLjxwl4yrOOjp+WC4mnTiAf1dUN4r34=&se=1",
     UNAUTHORIZED                                                                                                  },
    {"sig with stray bits",      SAS "sr=h&sig=nHnGdF+xwzm5TLjxwl4yrOOjp+WC4mnTiAf1dUN4r35=&se=1",
     UNAUTHORIZED                                                                                                  },
    {"sig with blanks for plus", SAS "sr=h&sig=nHnGdF xwzm5TLjxwl4yrOOjp%20WC4mnTiAf1dUN4r34=&se=1",
     OK                                                                                                            },
    {"sig encoded twice",        SAS "sr=h&sig=nHnGdF+xwzm5TLjxwl4yrOOjp+WC4mnTiAf1dUN4r34%253D&se=1",
     UNAUTHORIZED                                                                                                  },
    {"no se",                    SAS "sr=h&sig=" SIG,                                                  UNAUTHORIZED},
    {"empty se",                 SAS "sr=h&sig=" SIG "&se=",                                           UNAUTHORIZED},
    {"se in words",              SAS "sr=h&sig=" SIG "&se=soon",                                       UNAUTHORIZED},
    {"se below zero",            SAS "sr=h&sig=" SIG "&se=-1",                                         UNAUTHORIZED},
    {"se with exponent",         SAS "sr=h&sig=" SIG "&se=1e9",                                        UNAUTHORIZED},
    {"se with bare point",       SAS "sr=h&sig=" SIG "&se=1.",                                         UNAUTHORIZED},
    {"se of fraction alone",     SAS "sr=h&sig=" SIG "&se=.5",                                         UNAUTHORIZED},
    {"se with two points",       SAS "sr=h&sig=" SIG "&se=1.5.5",                                      UNAUTHORIZED},
    {"sixteen fields",           SAS "sr=h&sig=" SIG "&se=1&a&b&c&d&e&f&g&h&i&j&k&l&m",                OK          },
    {"seventeen fields",         SAS "sr=h&sig=" SIG "&se=1&a&b&c&d&e&f&g&h&i&j&k&l&m&n",              UNAUTHORIZED},
};

TEST(a_token_is_read_or_refused_by_its_form)
{
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct sas t;
        EXPECT_EQ_IN(forms[i].name, sas_parse(test_at_edge(span_text(forms[i].token)), &t),
                     forms[i].want);
    }
}

TEST(every_beginning_of_a_token_is_refused)
{
    struct span whole = span_text(vectors[0].token);
    for (size_t len = 0; len < whole.len - 10; len++) { /* before the first digit of se */
        struct sas t;
        EXPECT_EQ(sas_parse(test_at_edge(span_first(whole, len)), &t), UNAUTHORIZED);
    }
}

/* A token whose fields have these lengths. */
static enum status parse_sized(size_t resource, size_t expiry, size_t policy, size_t other)
{
    static struct buf b;
    struct sas t;
    buf_clear(&b);
    buf_text(&b, SAS "sig=" SIG "&sr=");
    for (size_t i = 0; i < resource; i++)
        buf_byte(&b, 'h');
    buf_text(&b, "&se=");
    for (size_t i = 0; i < expiry; i++)
        buf_byte(&b, '1');
    buf_text(&b, "&skn=");
    for (size_t i = 0; i < policy; i++)
        buf_text(&b, "%70");
    buf_text(&b, "&x=");
    for (size_t i = 0; i < other; i++)
        buf_byte(&b, 'x');
    enum status st = sas_parse(test_at_edge(buf_span(&b)), &t);
    if (st == OK)
        EXPECT_EQ(t.policy_len, policy);
    return st;
}

TEST(each_part_of_a_token_has_its_limit)
{
    EXPECT_EQ(parse_sized(SAS_RESOURCE_MAX, 1, 0, 0), OK);
    EXPECT_EQ(parse_sized(SAS_RESOURCE_MAX + 1, 1, 0, 0), UNAUTHORIZED);
    EXPECT_EQ(parse_sized(1, SAS_EXPIRY_MAX, 0, 0), OK);
    EXPECT_EQ(parse_sized(1, SAS_EXPIRY_MAX + 1, 0, 0), UNAUTHORIZED);
    EXPECT_EQ(parse_sized(1, 1, SAS_POLICY_MAX, 0), OK);
    EXPECT_EQ(parse_sized(1, 1, SAS_POLICY_MAX + 1, 0), UNAUTHORIZED);
    size_t rest = sizeof(SAS "sig=" SIG "&sr=h&se=1&skn=&x=") - 1;
    EXPECT_EQ(parse_sized(1, 1, 0, SAS_TOKEN_MAX - rest), OK);
    EXPECT_EQ(parse_sized(1, 1, 0, SAS_TOKEN_MAX - rest + 1), UNAUTHORIZED);
}

TEST(what_was_sent_is_kept_and_what_is_compared_is_decoded)
{
    struct sas t;
    EXPECT_EQ(sas_parse(SPAN(SAS "sr=H%2fx&sig=" SIG "&se=0012.50&skn=a%42+"), &t), OK);
    EXPECT_SPAN(t.resource, SPAN("H%2fx"));
    EXPECT_SPAN(t.expiry, SPAN("0012.50"));
    EXPECT_EQ(t.expiry_s, 12);
    EXPECT_SPAN(sas_policy(&t), SPAN("aB+"));
}

/* ---- time ----------------------------------------------------------------------------------- */

TEST(a_token_is_good_until_five_minutes_after_its_expiry)
{
    struct sas t;
    EXPECT_EQ(sas_parse(SPAN(SAS "sr=h&sig=" SIG "&se=2000000000.9"), &t), OK);
    EXPECT(sas_in_time(&t, 0));
    EXPECT(sas_in_time(&t, 2000000000000));
    EXPECT(sas_in_time(&t, 2000000300000));
    EXPECT(!sas_in_time(&t, 2000000300001));
}

TEST(an_expiry_beyond_all_numbers_is_far_and_does_not_wrap)
{
    static const char *const far[] = {"9223372036854775", "9223372036854775807",
                                      "9223372036854775808", "99999999999999999999999999999.5"};
    for (size_t i = 0; i < COUNT(far); i++) {
        struct buf b = {0};
        struct sas t;
        buf_printf(&b, SAS "sr=h&sig=" SIG "&se=%s", far[i]);
        EXPECT_EQ_IN(far[i], sas_parse(buf_span(&b), &t), OK);
        EXPECT_EQ_IN(far[i], t.expiry_s, SAS_FOREVER_S);
        EXPECT(sas_in_time(&t, 4102444800000));
        buf_fini(&b);
    }
}

/* ---- scope ---------------------------------------------------------------------------------- */

static const struct {
    const char *resource, *device, *module;
    enum sas_depth want;
} scopes[] = {
    {"hub.x",                             "",           "",  SAS_HUB    },
    {"hub.x",                             "d",          "",  SAS_HUB    },
    {"hub.x",                             "d",          "m", SAS_HUB    },
    {"HUB.x",                             "d",          "",  SAS_HUB    },
    {"alias",                             "d",          "",  SAS_HUB    },
    {"hub.x/",                            "d",          "",  SAS_HUB    },
    {"hub.x:443",                         "d",          "",  SAS_HUB    },
    {"hub.x%3a443%2f",                    "d",          "",  SAS_HUB    },
    {"hub.x/devices",                     "",           "",  SAS_DEVICES},
    {"hub.x/Devices/",                    "d",          "m", SAS_DEVICES},
    {"hub.x/devices/d",                   "d",          "",  SAS_DEVICE },
    {"hub.x/devices/d",                   "d",          "m", SAS_DEVICE },
    {"hub.x/devices/d",                   "",           "",  SAS_NOWHERE},
    {"hub.x/devices/d",                   "dd",         "",  SAS_NOWHERE},
    {"hub.x/devices/dd",                  "d",          "",  SAS_NOWHERE},
    {"hub.x/devices/PUMP",                "pump",       "",  SAS_DEVICE },
    {"hub.x/devices/d/modules/m",         "d",          "m", SAS_MODULE },
    {"hub.x/DEVICES/D/MODULES/M/",        "d",          "m", SAS_MODULE },
    {"hub.x/devices/d/modules/m",         "d",          "",  SAS_NOWHERE},
    {"hub.x/devices/d/modules/m",         "",           "",  SAS_NOWHERE},
    {"hub.x/devices/d/modules/m",         "e",          "m", SAS_NOWHERE},
    {"hub.x/devices/d/modules/m",         "d",          "n", SAS_NOWHERE},
    {"hub.x%2Fdevices%2Fd%2Fmodules%2fm", "d",          "m", SAS_MODULE },
    {"hub.x/devices/a%23b",               "a#b",        "",  SAS_DEVICE },
    {"hub.x%2Fdevices%2Fa%2523b",         "a#b",        "",  SAS_DEVICE },
    {"hub.x%252Fdevices%252Fd",           "d",          "",  SAS_DEVICE },
    {"hub.x%25252Fdevices%25252Fd",       "d",          "",  SAS_NOWHERE},
    {"hub.x/devices/a%23b",               "a%23b",      "",  SAS_DEVICE },
    {"hub.x/devices/50%",                 "50%",        "",  SAS_DEVICE },
    {"hub.x/devices/50%2",                "50%2",       "",  SAS_DEVICE },
    {"hub.x/devices/50%2g",               "50%2g",      "",  SAS_DEVICE },
    {"hub.x%2fdevices%2Fa+b",             "a+b",        "",  SAS_DEVICE },
    {"hub.x/devices/d%2fmodules%2fm",     "d",          "m", SAS_MODULE },
    {"hub.x/devices/d%2fmodules%2fm",     "d",          "",  SAS_NOWHERE},
    {"hub.x/devices/%2fmodules",          "%2fmodules", "",  SAS_DEVICE },
    {"other",                             "d",          "",  SAS_NOWHERE},
    {"hub.x.",                            "d",          "",  SAS_NOWHERE},
    {"hub.xy",                            "d",          "",  SAS_NOWHERE},
    {"hub.x:",                            "d",          "",  SAS_NOWHERE},
    {"hub.x:p",                           "d",          "",  SAS_NOWHERE},
    {"hub.x:123456",                      "d",          "",  SAS_NOWHERE},
    {":443",                              "d",          "",  SAS_NOWHERE},
    {"443",                               "d",          "",  SAS_NOWHERE},
    {"/",                                 "d",          "",  SAS_NOWHERE},
    {"//",                                "d",          "",  SAS_NOWHERE},
    {"/devices/d",                        "d",          "",  SAS_NOWHERE},
    {"hub.x//",                           "d",          "",  SAS_NOWHERE},
    {"hub.x//d",                          "d",          "",  SAS_NOWHERE},
    {"hub.x/device/d",                    "d",          "",  SAS_NOWHERE},
    {"hub.x/twins/d",                     "d",          "",  SAS_NOWHERE},
    {"hub.x/messages/events",             "d",          "",  SAS_NOWHERE},
    {"hub.x/devices/d/modules",           "d",          "",  SAS_NOWHERE},
    {"hub.x/devices/d/module/m",          "d",          "m", SAS_NOWHERE},
    {"hub.x/devices/d/modules/m/x",       "d",          "m", SAS_NOWHERE},
    {"hub.x/devices/d/modules//",         "d",          "m", SAS_NOWHERE},
};

TEST(a_scope_covers_what_lies_below_it_by_whole_segments)
{
    static const struct span hosts[] = {SPAN_INIT("alias"), SPAN_INIT("hub.X")};
    for (size_t i = 0; i < COUNT(scopes); i++) {
        struct sas t = {.resource = test_at_edge(span_text(scopes[i].resource))};
        struct sas_scope scope;
        sas_scope_read(&t, &scope);
        EXPECT_EQ_IN(scopes[i].resource,
                     sas_scope_covers(&scope, hosts, COUNT(hosts), span_text(scopes[i].device),
                                      span_text(scopes[i].module)),
                     scopes[i].want);
        EXPECT_EQ(sas_scope_covers(&scope, hosts, 0, SPAN("d"), no_id), SAS_NOWHERE);
    }
}

TEST(of_two_readings_that_cover_the_wider_counts)
{
    struct span host = SPAN("h");
    struct sas t = {.resource = SPAN("h")};
    struct sas_scope scope;
    sas_scope_read(&t, &scope);
    EXPECT_EQ(scope.levels, 1);
    scope.levels = 3;
    scope.level[1] = (struct sas_place){.depth = SAS_DEVICE, .host = host, .device = SPAN("d")};
    scope.level[2] = (struct sas_place){.depth = SAS_DEVICES, .host = host};
    EXPECT_EQ(sas_scope_covers(&scope, &host, 1, SPAN("d"), no_id), SAS_HUB);
    scope.level[0].depth = SAS_NOWHERE;
    EXPECT_EQ(sas_scope_covers(&scope, &host, 1, SPAN("d"), no_id), SAS_DEVICES);
    EXPECT_EQ(sas_scope_covers(&scope, &host, 1, SPAN("e"), no_id), SAS_DEVICES);
}

TEST_MAIN(RUN(tokens_of_the_specification_verify_with_their_key_and_no_other),
          RUN(a_token_we_make_is_the_one_of_the_specification),
          RUN(a_token_we_make_is_read_back_with_its_policy_and_scope),
          RUN(a_token_is_read_or_refused_by_its_form), RUN(every_beginning_of_a_token_is_refused),
          RUN(each_part_of_a_token_has_its_limit),
          RUN(what_was_sent_is_kept_and_what_is_compared_is_decoded),
          RUN(a_token_is_good_until_five_minutes_after_its_expiry),
          RUN(an_expiry_beyond_all_numbers_is_far_and_does_not_wrap),
          RUN(a_scope_covers_what_lies_below_it_by_whole_segments),
          RUN(of_two_readings_that_cover_the_wider_counts))
