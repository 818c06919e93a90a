/* x509.h — client certificates: read the leaf, match a thumbprint, verify a chain.
 *
 * That the peer holds the private key was proved by the TLS handshake; nothing here may be called
 * with certificates from anywhere else.
 *
 * Units    DER bytes; times in wall_ms
 * Memory   struct x509_leaf borrows nothing
 * Threads  any
 * Errors   UNAUTHORIZED, with a reason for the server's log; the peer learns none of it
 * Source   spec device-auth 2, 8 rows 4 and 12; RFC 5280 section 6
 */
#ifndef AUTH_X509_H
#define AUTH_X509_H

#include "auth/identity.h"
#include "base/status.h"

#define X509_SENT_MAX 10               /* certificates a peer may send */
#define X509_PATH_MAX 5                /* from the leaf to the CA, both counted */
#define X509_NAME_MAX (2 * ID_MAX + 1) /* {d}/{m} */
#define X509_DER_MAX  65536

struct x509_leaf {
    uint8_t sha1[20], sha256[32]; /* of the DER */
    int64_t not_before_ms, not_after_ms;
    uint16_t name_len; /* 0: no usable common name */
    uint8_t name[X509_NAME_MAX];
};

/* Read one DER certificate.
 *   OK            *out is filled. name_len is 0 unless the subject has exactly one common name, in
 *                 a string type of one byte a character or UTF-8, that is not longer than
 *                 X509_NAME_MAX
 *   UNAUTHORIZED  not exactly one certificate, or a date that cannot be read
 */
MUST_USE enum status x509_read(struct span der, struct x509_leaf *out);

/* Is `hex` the SHA-1 (40 digits) or SHA-256 (64 digits) of the certificate? Either case. */
MUST_USE bool x509_has_thumbprint(const struct x509_leaf *leaf, struct span hex);

/* Is now inside the validity period, both ends included? */
MUST_USE bool x509_in_time(const struct x509_leaf *leaf, int64_t wall_ms);

/* Is the common name `device`, or `device/module`, byte for byte? Never a pattern. */
MUST_USE bool x509_is_named(const struct x509_leaf *leaf, struct span device, struct span module);

/* Verify sent[0], the leaf, through the others sent up to one of the CAs, at this time: every
 * signature, validity periods, basic constraints, path lengths, key usage, purpose TLS client; keys
 * and digests of at least 112 bits. Only the given CAs are trusted, whether they sign themselves
 * or not; one that may not sign certificates is passed over, and the leaf is never its own CA.
 *   OK
 *   UNAUTHORIZED  *reason says why, for the log
 */
MUST_USE enum status x509_verify(const struct span *sent, size_t sent_count, const struct span *cas,
                                 size_t ca_count, int64_t wall_ms, const char **reason);

#endif
