/* test_certs.h — certificates for tests, made with libcrypto. Never included by the product.
 *
 * Memory   test_cert_fini frees
 */
#ifndef AUTH_TEST_CERTS_H
#define AUTH_TEST_CERTS_H

#include <openssl/x509.h>

#include "base/span.h"

/* All certificates are made around this moment. */
#define TEST_NOW_S 1800000000LL
#define TEST_DAY_S 86400LL

struct test_cert {
    X509 *x509;
    EVP_PKEY *key;
    uint8_t *bytes;
    struct span der; /* the bytes */
};

/* Zero means: no such extension, valid from a day ago to a day from now, P-256, SHA-256. */
struct test_cert_options {
    struct span name, second_name; /* common names; empty data: none */
    int name_type;                 /* V_ASN1_...; 0 is UTF8String */
    const char *constraints;       /* "critical,CA:TRUE" */
    const char *usage;             /* "digitalSignature" */
    const char *purpose;           /* "clientAuth" */
    int64_t not_before_s, not_after_s;
    bool sha1, small_key;
};

/* Signed by `issuer`, or by itself when NULL. */
struct test_cert test_cert_make(const struct test_cert_options *o, const struct test_cert *issuer);
void test_cert_fini(struct test_cert *c);

#endif
