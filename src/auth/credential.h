/* credential.h — one decision: does this token, or this certificate, open this identity?
 *
 * The session parses what the peer sent and looks up what it addresses; here the two meet. OK is
 * who speaks; what that peer may do, the route table says (route.h), and whether a device is
 * disabled, the hub.
 *
 * Unknown identities, unknown policies and identities without keys cost the same work as known
 * ones: two HMACs, whatever the outcome (trials F35).
 *
 * Units    times in wall_ms, expiry in seconds
 * Memory   spans of the result borrow from the arguments; reasons are constant text
 * Threads  any
 * Errors   UNAUTHORIZED, and credential.reason for the server's log; the peer learns none of it
 * Source   spec device-auth 1.3-1.5, 1.7, 2, 8; service-rest 5
 */
#ifndef AUTH_CREDENTIAL_H
#define AUTH_CREDENTIAL_H

#include "auth/route.h"
#include "auth/x509.h"

/* What the hub is configured to accept. All zero but hosts and policies is the default. */
struct credential_rules {
    const struct span *hosts; /* every name of the hub, without port */
    size_t host_count;
    const struct policies *policies;
    const struct span *cas; /* DER */
    size_t ca_count;
    bool no_policy_sas, no_device_sas,
        no_module_sas;              /* disableLocalAuth, ...DeviceSAS, ...Module */
    bool refuse_expired_thumbprint; /* device-auth 8 row 4 */
};

/* What the peer addresses: a module, a device (module empty), or the hub (both empty). Ids are the
 * exact ones of the connection or path. */
struct credential_target {
    struct span device, module;
    /* The identity addressed; NULL when there is no such identity or it may not speak here. */
    const struct identity *identity;
    /* Of a module: its device, where the device may speak for it (registry 5.1). NULL where it may
     * not: then a device's credential on a module is refused. */
    const struct identity *parent;
};

enum credential_method {
    CREDENTIAL_KEY,        /* SAS with the identity's own key */
    CREDENTIAL_POLICY,     /* SAS with a policy's key; iothub-connection-auth-method scope "hub" */
    CREDENTIAL_THUMBPRINT, /* certificate, by thumbprint */
    CREDENTIAL_CA          /* certificate, signed by a CA of the hub */
};

struct credential {
    struct peer peer;
    enum credential_method method;
    int slot;                    /* 0 primary, 1 secondary: of the key or thumbprint; CA: 0 */
    const struct policy *policy; /* CREDENTIAL_POLICY; else NULL */
    int64_t expiry_s;            /* of the token; INT64_MAX for certificates */
    bool out_of_time;            /* CREDENTIAL_THUMBPRINT outside its validity: worth a warning */
    const char *reason;          /* on refusal, for the log; NULL on OK */
};

/*   OK            *out says who speaks
 *   UNAUTHORIZED  only out->reason means anything
 */
MUST_USE enum status credential_by_token(const struct credential_rules *rules,
                                         const struct credential_target *target,
                                         const struct sas *token, int64_t wall_ms,
                                         struct credential *out);

/* sent[0] is the leaf; none sent is refused. The hub itself is never opened by a certificate. */
MUST_USE enum status credential_by_certificate(const struct credential_rules *rules,
                                               const struct credential_target *target,
                                               const struct span *sent, size_t sent_count,
                                               int64_t wall_ms, struct credential *out);

#endif
