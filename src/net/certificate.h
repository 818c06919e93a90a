/* certificate.h — making and judging the certificates of the hub's own small CA.
 *
 * Units    times in wall_ms
 * Memory   results are the caller's: EVP_PKEY_free, X509_free, GENERAL_NAMES_free
 * Threads  any
 * Errors   out of memory or of entropy ends the process; else per function
 * Source   RFC 5280 4.1, 4.2
 */
#ifndef NET_CERTIFICATE_H
#define NET_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/span.h"

enum key_kind { KEY_EC, KEY_RSA, KEY_KINDS }; /* P-256; RSA of 2048 bits */

EVP_PKEY *certificate_new_key(enum key_kind kind);

/* A root for ten years that may sign leaves only. `name` is its common name. */
X509 *certificate_new_ca(EVP_PKEY *key, const char *name, struct random random, struct now now);

/* Who signs. */
struct issuer {
    X509 *certificate;
    EVP_PKEY *key;
};

/* A server's leaf for 397 days, but not beyond its issuer. */
X509 *certificate_new_server(EVP_PKEY *key, const struct issuer *issuer, GENERAL_NAMES *names,
                             struct random random, struct now now);

/* Add a DNS name (perhaps beginning with "*.") or an IP address, unless it is there. False when it
 * is neither. */
MUST_USE bool certificate_add_name(GENERAL_NAMES *names, const char *name);

/* Does a server's leaf stand for every name, fit its key and issuer, and live until `until_ms`? */
bool certificate_serves(X509 *leaf, EVP_PKEY *key, X509 *issuer, GENERAL_NAMES *names,
                        int64_t until_ms);
/* Is it valid until then? */
bool certificate_lives(const X509 *certificate, int64_t until_ms);

#endif
