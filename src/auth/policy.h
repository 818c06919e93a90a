/* policy.h — shared access policies: names, rights, keys.
 *
 * Units    bytes
 * Memory   struct policies holds everything; no heap
 * Threads  any; a list is constant once published
 * Errors   per function
 * Source   spec service-rest 5.2; registry 10.1
 */
#ifndef AUTH_POLICY_H
#define AUTH_POLICY_H

#include "auth/identity.h"
#include "base/buf.h"
#include "base/random.h"
#include "base/status.h"

#define POLICY_MAX         16
#define POLICY_SERVICE_MAX 10 /* of these with RIGHT_SERVICE */
#define POLICY_NAME_MAX    64

/* The values used in management JSON: writing the registry includes reading it. */
#define RIGHT_REGISTRY_READ  1u
#define RIGHT_REGISTRY_WRITE 3u
#define RIGHT_SERVICE        4u
#define RIGHT_DEVICE         8u
#define RIGHTS_ALL           15u

struct policy {
    uint8_t name_len;
    uint8_t rights;
    uint8_t name[POLICY_NAME_MAX];
    struct key keys[2]; /* primary, secondary */
};

struct policies {
    size_t count;
    struct policy at[POLICY_MAX];
};

static inline struct span policy_name(const struct policy *p)
{
    return span_of(p->name, p->name_len);
}

/* 1-64 of A-Z a-z 0-9 - _ @ . */
MUST_USE bool policy_name_is_valid(struct span name);

/* NULL when there is none of this name; names compare byte for byte. */
const struct policy *policy_find(const struct policies *list, struct span name);

/* iothubowner, service, device, registryRead, registryReadWrite, each with two new 32-byte keys. */
void policy_defaults(struct policies *out, struct random random);

/* Add a policy, or replace the one of this name.
 *   OK
 *   BAD_ARGUMENT   the name, the rights (none, unknown, or write without read) or a key is invalid
 *   BAD_OPERATION  17 policies, or 11 with RIGHT_SERVICE
 */
MUST_USE enum status policy_set(struct policies *list, const struct policy *policy);
/* False when there is none of this name. */
MUST_USE bool policy_remove(struct policies *list, struct span name);

/* "RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect". */
void rights_put(struct buf *b, unsigned rights);
/* The same, in any order and case, blanks optional; false when a word is unknown or none is there.
 * RegistryWrite and RegistryReadWrite both mean RIGHT_REGISTRY_WRITE. */
MUST_USE bool rights_parse(struct span text, unsigned *out);

/* The list as bytes: what may be read, and the keys, which the store seals. */
void policy_encode(const struct policies *list, struct buf *open, struct buf *secret);
/*   OK       *out is filled
 *   DAMAGED  the two do not hold together, or break a rule of policy_set
 */
MUST_USE enum status policy_decode(struct span open, struct span secret, struct policies *out);

#endif
