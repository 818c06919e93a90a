#include "base/test.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "auth/test_certs.h"
#include "auth/x509.h"
#include "base/text.h"

static const struct span no_id = {0};

static struct x509_leaf read_new(const struct test_cert_options *o)
{
    struct x509_leaf leaf;
    struct test_cert c = test_cert_make(o, NULL);
    EXPECT_EQ(x509_read(test_at_edge(c.der), &leaf), OK);
    test_cert_fini(&c);
    return leaf;
}

static const struct {
    const char *name;
    struct test_cert_options made;
    struct span read; /* empty: no usable common name */
} names[] = {
    {"plain",           {.name = SPAN_INIT("dev1")},                                   SPAN_INIT("dev1")   },
    {"printable",
     {.name = SPAN_INIT("dev1"), .name_type = V_ASN1_PRINTABLESTRING},
     SPAN_INIT("dev1")                                                                                     },
    {"IA5",             {.name = SPAN_INIT("dev@1"), .name_type = V_ASN1_IA5STRING},   SPAN_INIT("dev@1")  },
    {"T61",             {.name = SPAN_INIT("dev1"), .name_type = V_ASN1_T61STRING},    SPAN_INIT("dev1")   },
    {"two bytes each",  {.name = SPAN_INIT("\0d\0e"), .name_type = V_ASN1_BMPSTRING},  {NULL, 0}           },
    {"four bytes each",
     {.name = SPAN_INIT("\0\0\0d"), .name_type = V_ASN1_UNIVERSALSTRING},
     {NULL, 0}                                                                                             },
    {"none",            {.name = {NULL, 0}},                                           {NULL, 0}           },
    {"two",             {.name = SPAN_INIT("dev1"), .second_name = SPAN_INIT("dev1")}, {NULL, 0}           },
    {"with NUL",        {.name = SPAN_INIT("dev1\0x")},                                SPAN_INIT("dev1\0x")},
    {"module",          {.name = SPAN_INIT("dev1/m")},                                 SPAN_INIT("dev1/m") },
};

TEST(the_common_name_is_read_byte_for_byte)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        struct x509_leaf leaf = read_new(&names[i].made);
        EXPECT_SPAN_IN(names[i].name, span_of(leaf.name, leaf.name_len), names[i].read);
    }
}

TEST(a_common_name_may_be_two_ids_long_and_no_longer)
{
    char text[X509_NAME_MAX + 1];
    memset(text, 'n', sizeof(text));
    struct test_cert_options o = {.name = span_of(text, X509_NAME_MAX)};
    EXPECT_EQ(read_new(&o).name_len, X509_NAME_MAX);
    o.name.len++;
    EXPECT_EQ(read_new(&o).name_len, 0);
}

static const struct {
    const char *name, *device, *module;
    bool want;
} matches[] = {
    {"dev1",    "dev1",   "",  true },
    {"dev1",    "dev",    "",  false},
    {"dev1",    "dev12",  "",  false},
    {"dev1",    "DEV1",   "",  false},
    {"dev1",    "",       "",  false},
    {"",        "",       "",  false},
    {"dev1",    "dev1",   "m", false},
    {"dev1/m",  "dev1",   "m", true },
    {"dev1/m",  "dev1",   "",  false},
    {"dev1/m",  "dev1/m", "",  true }, /* no such id: the registry refuses it */
    {"dev1/m",  "dev1",   "n", false},
    {"dev1/mm", "dev1",   "m", false},
    {"dev1m",   "dev1",   "m", false},
    {"dev1/",   "dev1",   "m", false},
    {"*",       "dev1",   "",  false},
    {"*",       "*",      "",  true },
    {"dev*",    "dev1",   "",  false},
    {"dev1/*",  "dev1",   "m", false},
};

TEST(the_name_must_be_the_id_and_nothing_is_a_pattern)
{
    for (size_t i = 0; i < COUNT(matches); i++) {
        struct x509_leaf leaf = {.name_len = (uint16_t)strlen(matches[i].name)};
        memcpy(leaf.name, matches[i].name, leaf.name_len);
        EXPECT_EQ_IN(
            matches[i].name,
            x509_is_named(&leaf, span_text(matches[i].device), span_text(matches[i].module)),
            matches[i].want);
    }
    struct x509_leaf nul = {.name_len = 6, .name = "dev1\0x"};
    EXPECT(!x509_is_named(&nul, SPAN("dev1"), no_id));
    EXPECT(!x509_is_named(&nul, SPAN("dev1"), SPAN("x")));
}

TEST(thumbprints_match_in_either_length_and_case)
{
    struct test_cert c = test_cert_make(&(struct test_cert_options){.name = SPAN("dev1")}, NULL);
    struct x509_leaf leaf;
    EXPECT_EQ(x509_read(c.der, &leaf), OK);
    static const struct {
        const char *digest;
        size_t len;
    } kinds[] = {
        {"SHA1",   20},
        {"SHA256", 32},
    };
    for (size_t i = 0; i < COUNT(kinds); i++) {
        uint8_t hash[EVP_MAX_MD_SIZE];
        EXPECT(EVP_Q_digest(NULL, kinds[i].digest, NULL, c.der.data, c.der.len, hash, NULL));
        struct buf hex = {0};
        text_put_hex(&hex, span_of(hash, kinds[i].len));
        EXPECT(x509_has_thumbprint(&leaf, test_at_edge(buf_span(&hex))));
        EXPECT(!x509_has_thumbprint(&leaf, span_first(buf_span(&hex), hex.len - 2)));
        EXPECT(!x509_has_thumbprint(&leaf, span_first(buf_span(&hex), hex.len - 1)));
        for (size_t at = 0; at < hex.len; at++)
            if (hex.data[at] >= 'a')
                hex.data[at] -= 'a' - 'A';
        EXPECT(x509_has_thumbprint(&leaf, buf_span(&hex)));
        hex.data[0] = hex.data[0] == '1' ? '2' : '1';
        EXPECT(!x509_has_thumbprint(&leaf, buf_span(&hex)));
        hex.data[0] = ':';
        EXPECT(!x509_has_thumbprint(&leaf, buf_span(&hex)));
        buf_fini(&hex);
    }
    EXPECT(!x509_has_thumbprint(&leaf, no_id));
    test_cert_fini(&c);
}

TEST(the_validity_period_includes_both_its_seconds)
{
    struct x509_leaf leaf = read_new(&(struct test_cert_options){
        .name = SPAN("d"), .not_before_s = TEST_NOW_S, .not_after_s = TEST_NOW_S + 60});
    EXPECT_EQ(leaf.not_before_ms, TEST_NOW_S * 1000);
    EXPECT_EQ(leaf.not_after_ms, (TEST_NOW_S + 60) * 1000);
    EXPECT(!x509_in_time(&leaf, TEST_NOW_S * 1000 - 1));
    EXPECT(x509_in_time(&leaf, TEST_NOW_S * 1000));
    EXPECT(x509_in_time(&leaf, (TEST_NOW_S + 60) * 1000 + 999));
    EXPECT(!x509_in_time(&leaf, (TEST_NOW_S + 61) * 1000));
}

TEST(dates_far_from_now_are_read)
{
    struct x509_leaf leaf = read_new(&(struct test_cert_options){
        .name = SPAN("d"), .not_before_s = -2208988800LL, .not_after_s = 253402300799LL});
    EXPECT_EQ(leaf.not_before_ms, -2208988800000LL);
    EXPECT_EQ(leaf.not_after_ms, 253402300799000LL);
}

TEST(only_one_whole_certificate_is_read_and_no_error_is_left_behind)
{
    struct test_cert c = test_cert_make(&(struct test_cert_options){.name = SPAN("dev1")}, NULL);
    struct x509_leaf leaf = {.name_len = 7};
    for (size_t len = 0; len < c.der.len; len++)
        EXPECT_EQ(x509_read(test_at_edge(span_first(c.der, len)), &leaf), UNAUTHORIZED);
    struct buf longer = {0};
    buf_put(&longer, c.der);
    buf_byte(&longer, 0);
    EXPECT_EQ(x509_read(buf_span(&longer), &leaf), UNAUTHORIZED);
    buf_fini(&longer);
    static const uint8_t huge[X509_DER_MAX + 1];
    EXPECT_EQ(x509_read(span_of(huge, sizeof(huge)), &leaf), UNAUTHORIZED);
    EXPECT_EQ(leaf.name_len, 7);
    EXPECT_EQ(ERR_peek_error(), 0);
    test_cert_fini(&c);
}

TEST(a_certificate_with_an_unreadable_date_is_refused)
{
    struct test_cert c = test_cert_make(&(struct test_cert_options){.name = SPAN("dev1")}, NULL);
    struct buf spoilt = {0};
    buf_put(&spoilt, c.der);
    uint8_t *utc = memmem(spoilt.data, spoilt.len, "\x17\x0d", 2); /* UTCTime, 13 characters */
    EXPECT(utc);
    utc[4] = 'x';
    struct x509_leaf leaf;
    EXPECT_EQ(x509_read(buf_span(&spoilt), &leaf), UNAUTHORIZED);
    buf_fini(&spoilt);
    test_cert_fini(&c);
}

TEST(a_chain_is_refused_with_a_reason_and_no_error_is_left_behind)
{
    struct test_cert c = test_cert_make(&(struct test_cert_options){.name = SPAN("dev1")}, NULL);
    struct span sent[X509_SENT_MAX + 1], junk = SPAN("junk");
    for (size_t i = 0; i < COUNT(sent); i++)
        sent[i] = c.der;
    const int64_t now = TEST_NOW_S * 1000;
    static const char *const none = "not set";
    const char *reason = none;
    EXPECT_EQ(x509_verify(sent, 0, sent, 1, now, &reason), UNAUTHORIZED);
    EXPECT_SPAN(span_text(reason), SPAN("no certificate was sent"));
    EXPECT_EQ(x509_verify(sent, X509_SENT_MAX + 1, sent, 1, now, &reason), UNAUTHORIZED);
    EXPECT_SPAN(span_text(reason), SPAN("too many certificates were sent"));
    EXPECT_EQ(x509_verify(&junk, 1, sent, 1, now, &reason), UNAUTHORIZED);
    EXPECT_SPAN(span_text(reason), SPAN("a certificate that was sent cannot be read"));
    EXPECT_EQ(x509_verify(sent, 1, &junk, 1, now, &reason), UNAUTHORIZED);
    EXPECT_SPAN(span_text(reason), SPAN("a CA of the hub cannot be read"));
    EXPECT_EQ(x509_verify(sent, 1, NULL, 0, now, &reason), UNAUTHORIZED);
    EXPECT_EQ(x509_verify(sent, X509_SENT_MAX, sent, 1, now, &reason), UNAUTHORIZED);
    EXPECT_EQ(ERR_peek_error(), 0);
    test_cert_fini(&c);
}

TEST_MAIN(RUN(the_common_name_is_read_byte_for_byte),
          RUN(a_common_name_may_be_two_ids_long_and_no_longer),
          RUN(the_name_must_be_the_id_and_nothing_is_a_pattern),
          RUN(thumbprints_match_in_either_length_and_case),
          RUN(the_validity_period_includes_both_its_seconds), RUN(dates_far_from_now_are_read),
          RUN(only_one_whole_certificate_is_read_and_no_error_is_left_behind),
          RUN(a_certificate_with_an_unreadable_date_is_refused),
          RUN(a_chain_is_refused_with_a_reason_and_no_error_is_left_behind))
