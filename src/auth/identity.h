/* identity.h — what an identity is to a credential: its id, its kind, its keys or thumbprints.
 *
 * Units    bytes
 * Memory   struct key holds its bytes; spans borrow
 * Threads  any
 * Errors   the parsers answer false and leave *out alone
 * Source   spec registry 1, 3; device-auth 1.4
 */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include "base/check.h"
#include "base/span.h"

#define ID_MAX  128
#define KEY_MIN 16
#define KEY_MAX 64

/* A device or module id: 1-128 of A-Z a-z 0-9 - : . + % _ # * ? ! ( ) , = @ ; $ ' (registry 1).
 * That a caller may not create a module whose id begins with `$` is the registry's rule. */
MUST_USE bool auth_id_is_valid(struct span id);

/* A symmetric key. len 0: there is none, and nothing verifies with it. */
struct key {
    uint8_t len;
    uint8_t bytes[KEY_MAX];
};

/* From base64 text (strict, padded) of 16 to 64 bytes; false for anything else. */
MUST_USE bool key_parse(struct span base64, struct key *out);

static inline struct span key_span(const struct key *k)
{
    return span_of(k->bytes, k->len);
}

/* registry 3, `authentication.type`; in the order of the hub's enum entity_auth. */
enum identity_kind { IDENTITY_SAS, IDENTITY_THUMBPRINT, IDENTITY_CA, IDENTITY_NONE };

/* What one identity signs in with. What its kind does not use is ignored. */
struct identity {
    enum identity_kind kind;
    struct key keys[2];         /* primary, secondary */
    struct span thumbprints[2]; /* hex as registered; empty: none */
};

#endif
