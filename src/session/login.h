/* login.h — a CONNECT: who it says it is, and whether it may.
 *
 * Two steps, because the identity's record may have to be loaded in between: login_parse names the
 * identity, login_decide judges.
 *
 * Units    times in wall_ms
 * Memory   spans borrow from the packet or the arena
 * Threads  any
 * Errors   UNAUTHORIZED, with a reason for the server's log: the peer learns none of it
 * Source   spec mqtt 2; device-auth 1.3-1.7, 2
 */
#ifndef SESSION_LOGIN_H
#define SESSION_LOGIN_H

#include "auth/credential.h"
#include "hub/hub.h"
#include "wire/mqtt.h"
#include "wire/username.h"

struct login {
    struct mqtt_connect connect;
    struct username user;
};

/* Who connects. `hosts` of the rules decide whether the name addressed is ours.
 *   OK            out->user.device and .module are valid ids and match the client id
 *   UNAUTHORIZED  *reason says why, for the log
 */
MUST_USE enum status login_parse(const struct mqtt_connect *connect,
                                 const struct credential_rules *rules, struct arena *scratch,
                                 struct login *out, const char **reason);

struct login_proof {
    const struct credential_rules *rules;
    const struct record *nobody; /* the hub's */
    const struct span *chain;    /* the certificates it sent */
    size_t chain_count;
    int64_t wall_ms;
};

/* May it? `device` and `module` are live entries, perhaps absent identities; `module` is NULL for a
 * device. Costs the same for unknown identities. */
MUST_USE enum status login_decide(const struct login *login, const struct login_proof *proof,
                                  const struct live *device, const struct live *module,
                                  struct credential *out);

/* An identity as auth/ wants it: *e is its entity, *out borrows from that. False when there is
 * none: then the same is done with `nobody`. */
bool login_identity(const struct live *l, const struct record *nobody, struct entity *e,
                    struct identity *out);

/* A fingerprint, under the hub's random key, of what a connection signed in with: after a change of
 * credentials it tells whether that one is still there. 0 for policy tokens and CA certificates. */
uint64_t login_fingerprint(const struct credential *c, const struct entity *e, struct hash_key key);
/* Does the identity still have the credential of this fingerprint, and its method? */
bool login_still_valid(uint64_t fingerprint, enum credential_method method, const struct entity *e,
                       struct hash_key key);

#endif
