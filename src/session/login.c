#include "session/login.h"

static bool is_own_host(const struct credential_rules *rules, struct span host)
{
    for (size_t i = 0; i < rules->host_count; i++)
        if (span_eq_nocase(rules->hosts[i], host))
            return true;
    return false;
}

/* "{d}" or "{d}/{m}", byte for byte. */
static bool client_id_matches(struct span id, struct span device, struct span module)
{
    if (!module.len)
        return span_eq(id, device);
    return id.len == device.len + 1 + module.len && span_starts(id, device) &&
           id.data[device.len] == '/' && span_eq(span_skip(id, device.len + 1), module);
}

enum status login_parse(const struct mqtt_connect *connect, const struct credential_rules *rules,
                        struct arena *scratch, struct login *out, const char **reason)
{
    out->connect = *connect;
    *reason = "no user name";
    if (!connect->has_username)
        return UNAUTHORIZED;
    *reason = "malformed user name";
    TRY(username_parse(connect->username, scratch, &out->user));
    const struct username *user = &out->user;
    *reason = "the user name is for another host";
    if (!is_own_host(rules, user->host))
        return UNAUTHORIZED;
    *reason = "not a device or module id";
    if (!auth_id_is_valid(user->device) || (user->module.len && !auth_id_is_valid(user->module)))
        return UNAUTHORIZED;
    *reason = "the client id is not that of the user name";
    if (!client_id_matches(connect->client_id, user->device, user->module))
        return UNAUTHORIZED;
    return OK;
}

static void read_identity(const struct entity *e, struct identity *out)
{
    *out = (struct identity){
        .kind = (enum identity_kind)e->auth,
        .thumbprints = {e->primary_thumbprint, e->secondary_thumbprint}
    };
    if (!key_parse(e->primary_key, &out->keys[0]))
        out->keys[0].len = 0;
    if (!key_parse(e->secondary_key, &out->keys[1]))
        out->keys[1].len = 0;
}

bool login_identity(const struct live *l, const struct record *nobody, struct entity *e,
                    struct identity *out)
{
    enum status st = entity_view(l->record ? l->record : nobody, e);
    CHECK(st == OK);
    read_identity(e, out);
    return l->record != NULL;
}

enum status login_decide(const struct login *login, const struct login_proof *proof,
                         const struct live *device, const struct live *module,
                         struct credential *out)
{
    struct identity identity;
    struct credential_target target = {.device = login->user.device, .module = login->user.module};
    struct entity of_device, of_module;
    bool is_there = login_identity(device, proof->nobody, &of_device, &identity);
    if (module)
        is_there &= login_identity(module, proof->nobody, &of_module, &identity);
    if (is_there)
        target.identity = &identity;
    out->reason = !is_there            ? "no such identity"
                  : of_device.disabled ? "the device is disabled"
                                       : NULL;
    const char *barred = out->reason;
    enum status st;
    if (login->connect.has_password) {
        struct sas token;
        st = sas_parse(login->connect.password, &token);
        if (st == OK)
            st = credential_by_token(proof->rules, &target, &token, proof->wall_ms, out);
        else
            out->reason = "malformed token";
    } else {
        st = credential_by_certificate(proof->rules, &target, proof->chain, proof->chain_count,
                                       proof->wall_ms, out);
    }
    if (st == OK &&
        !route_allows(route_get(ROUTE_MQTT_CONNECT), &out->peer, target.device, target.module)) {
        st = UNAUTHORIZED;
        out->reason = "the policy has no right to this";
    }
    if (st == OK && barred) {
        st = UNAUTHORIZED;
        out->reason = barred;
    }
    return st;
}

static uint64_t fingerprint(struct span secret, struct hash_key key)
{
    return secret.len ? hash_keyed(key, secret) | 1 : 0;
}

uint64_t login_fingerprint(const struct credential *c, const struct entity *e, struct hash_key key)
{
    switch (c->method) {
    case CREDENTIAL_KEY:
        return fingerprint(c->slot ? e->secondary_key : e->primary_key, key);
    case CREDENTIAL_THUMBPRINT:
        return fingerprint(c->slot ? e->secondary_thumbprint : e->primary_thumbprint, key);
    case CREDENTIAL_POLICY:
    case CREDENTIAL_CA:
        return 0;
    }
    return 0;
}

bool login_still_valid(uint64_t print, enum credential_method method, const struct entity *e,
                       struct hash_key key)
{
    switch (method) {
    case CREDENTIAL_KEY:
        return e->auth == AUTH_SAS && (print == fingerprint(e->primary_key, key) ||
                                       print == fingerprint(e->secondary_key, key));
    case CREDENTIAL_THUMBPRINT:
        return e->auth == AUTH_SELF_SIGNED && (print == fingerprint(e->primary_thumbprint, key) ||
                                               print == fingerprint(e->secondary_thumbprint, key));
    case CREDENTIAL_CA:
        return e->auth == AUTH_CA;
    case CREDENTIAL_POLICY:
        return true;
    }
    return false;
}
