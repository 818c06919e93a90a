#include "auth/credential.h"

/* ---- tokens -------------------------------------------------------------------------------- */

/* Without a key the same work is done with this one, and the answer is no whatever it is. */
static const struct key no_key = {.len = 32};

static bool signed_by(const struct sas *token, const struct key *key)
{
    bool is_key = key && key->len;
    bool matches = sas_verify(token, key_span(is_key ? key : &no_key));
    return is_key && matches;
}

/* The keys this token may be signed with; NULL and a reason when there are none. */
static const struct key *policy_keys(const struct credential_rules *rules, const struct sas *token,
                                     struct credential *out)
{
    const struct policy *policy = policy_find(rules->policies, sas_policy(token));
    if (!policy) {
        out->reason = "no policy of this name";
        return NULL;
    }
    if (rules->no_policy_sas) {
        out->reason = "tokens of policies are switched off";
        return NULL;
    }
    out->method = CREDENTIAL_POLICY;
    out->policy = policy;
    out->peer.kind = PEER_POLICY;
    out->peer.rights = policy->rights;
    return policy->keys;
}

static const struct key *identity_keys(const struct credential_rules *rules,
                                       const struct credential_target *target, enum sas_depth depth,
                                       struct credential *out)
{
    bool is_module = depth == SAS_MODULE;
    if (!is_module && depth != SAS_DEVICE) {
        out->reason = "a token without policy must name its device or module";
        return NULL;
    }
    bool for_module = target->module.len > 0;
    const struct identity *who = is_module == for_module ? target->identity : target->parent;
    if (!who) {
        out->reason = is_module == for_module ? "no such identity"
                                              : "the token of a device does not open its modules";
        return NULL;
    }
    if (who->kind != IDENTITY_SAS) {
        out->reason = "the identity does not sign in with keys";
        return NULL;
    }
    if (is_module ? rules->no_module_sas : rules->no_device_sas) {
        out->reason = "tokens of this kind are switched off";
        return NULL;
    }
    out->method = CREDENTIAL_KEY;
    out->peer.kind = is_module ? PEER_MODULE : PEER_DEVICE;
    return who->keys;
}

enum status credential_by_token(const struct credential_rules *rules,
                                const struct credential_target *target, const struct sas *token,
                                int64_t wall_ms, struct credential *out)
{
    *out = (struct credential){.expiry_s = token->expiry_s};
    struct sas_scope scope;
    sas_scope_read(token, &scope);
    enum sas_depth depth =
        sas_scope_covers(&scope, rules->hosts, rules->host_count, target->device, target->module);
    const struct key *keys = NULL;
    if (depth == SAS_NOWHERE)
        out->reason = "the token's resource does not cover what it is used for";
    else if (token->policy_len)
        keys = policy_keys(rules, token, out);
    else
        keys = identity_keys(rules, target, depth, out);
    out->peer.scope = depth;
    if (depth >= SAS_DEVICE)
        out->peer.device = target->device;
    if (depth >= SAS_MODULE)
        out->peer.module = target->module;

    /* Both, always: the time must not tell whether there is such an identity. */
    bool primary = signed_by(token, keys ? &keys[0] : NULL);
    bool secondary = signed_by(token, keys ? &keys[1] : NULL);
    out->slot = primary ? 0 : 1;
    if (keys && !primary && !secondary)
        out->reason = "the signature matches neither the primary nor the secondary key";
    else if (keys && !sas_in_time(token, wall_ms))
        out->reason = "the token is expired";
    return out->reason ? UNAUTHORIZED : OK;
}

/* ---- certificates -------------------------------------------------------------------------- */

struct presented {
    const struct span *sent;
    size_t count;
    struct x509_leaf leaf;
};

static const char *by_thumbprint(const struct credential_rules *rules, const struct identity *who,
                                 const struct presented *cert, int64_t wall_ms,
                                 struct credential *out)
{
    size_t slot = 0;
    while (slot < COUNT(who->thumbprints) &&
           !x509_has_thumbprint(&cert->leaf, who->thumbprints[slot]))
        slot++;
    if (slot == COUNT(who->thumbprints))
        return "the certificate has neither of the registered thumbprints";
    out->out_of_time = !x509_in_time(&cert->leaf, wall_ms);
    if (out->out_of_time && rules->refuse_expired_thumbprint)
        return "the certificate is expired or not yet valid";
    out->method = CREDENTIAL_THUMBPRINT;
    out->slot = (int)slot;
    return NULL;
}

static const char *by_ca(const struct credential_rules *rules, const struct peer *who,
                         const struct presented *cert, int64_t wall_ms, struct credential *out)
{
    if (!x509_is_named(&cert->leaf, who->device, who->module))
        return "the common name is not the identity's";
    out->method = CREDENTIAL_CA;
    const char *reason = NULL;
    enum status st =
        x509_verify(cert->sent, cert->count, rules->cas, rules->ca_count, wall_ms, &reason);
    return st == OK ? NULL : reason;
}

/* Does the certificate open this identity, so that `peer` speaks? NULL, or why not. */
static const char *opens(const struct credential_rules *rules, const struct identity *who,
                         const struct presented *cert, int64_t wall_ms, struct credential *out)
{
    if (!who)
        return "no such identity";
    switch (who->kind) {
    case IDENTITY_THUMBPRINT:
        return by_thumbprint(rules, who, cert, wall_ms, out);
    case IDENTITY_CA:
        return by_ca(rules, &out->peer, cert, wall_ms, out);
    case IDENTITY_SAS:
    case IDENTITY_NONE:
        break;
    }
    return "the identity does not sign in with certificates";
}

enum status credential_by_certificate(const struct credential_rules *rules,
                                      const struct credential_target *target,
                                      const struct span *sent, size_t sent_count, int64_t wall_ms,
                                      struct credential *out)
{
    *out = (struct credential){.expiry_s = INT64_MAX};
    if (sent_count == 0 || target->device.len == 0) {
        out->reason =
            sent_count ? "a certificate opens devices and modules only" : "no certificate was sent";
        return UNAUTHORIZED;
    }
    struct presented cert = {.sent = sent, .count = sent_count};
    if (x509_read(sent[0], &cert.leaf) != OK) {
        out->reason = "the certificate cannot be read";
        return UNAUTHORIZED;
    }
    out->peer = peer_of(target->device, target->module);
    out->reason = opens(rules, target->identity, &cert, wall_ms, out);
    if (out->reason && target->module.len && target->parent) {
        out->peer = peer_of(target->device, (struct span){0});
        out->reason = opens(rules, target->parent, &cert, wall_ms, out);
    }
    return out->reason ? UNAUTHORIZED : OK;
}
