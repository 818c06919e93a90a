#include "auth/test_certs.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/check.h"

static void add_name(X509 *cert, struct span name, int type)
{
    if (name.data)
        CHECK(X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName,
                                         type ? type : V_ASN1_UTF8STRING, name.data, (int)name.len,
                                         -1, 0));
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    if (!value)
        return;
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    CHECK(e && X509_add_ext(cert, e, -1));
    X509_EXTENSION_free(e);
}

struct test_cert test_cert_make(const struct test_cert_options *o, const struct test_cert *issuer)
{
    static long serial;
    struct test_cert c = {.x509 = X509_new(),
                          .key = o->small_key ? EVP_RSA_gen(1024) : EVP_EC_gen("P-256")};
    CHECK(c.x509 && c.key);
    X509_set_version(c.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), ++serial);
    int64_t from = o->not_before_s ? o->not_before_s : TEST_NOW_S - TEST_DAY_S;
    int64_t to = o->not_after_s ? o->not_after_s : TEST_NOW_S + TEST_DAY_S;
    ASN1_TIME_set(X509_getm_notBefore(c.x509), from);
    ASN1_TIME_set(X509_getm_notAfter(c.x509), to);
    add_name(c.x509, o->name, o->name_type);
    add_name(c.x509, o->second_name, o->name_type);
    X509_set_pubkey(c.x509, c.key);
    X509_set_issuer_name(c.x509, X509_get_subject_name(issuer ? issuer->x509 : c.x509));
    add_extension(c.x509, NID_basic_constraints, o->constraints);
    add_extension(c.x509, NID_key_usage, o->usage);
    add_extension(c.x509, NID_ext_key_usage, o->purpose);
    CHECK(X509_sign(c.x509, issuer ? issuer->key : c.key, o->sha1 ? EVP_sha1() : EVP_sha256()));

    int len = i2d_X509(c.x509, &c.bytes);
    CHECK(len > 0);
    c.der = span_of(c.bytes, (size_t)len);
    return c;
}

void test_cert_fini(struct test_cert *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    OPENSSL_free(c->bytes);
    *c = (struct test_cert){0};
}
