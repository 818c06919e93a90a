#include "hub/identity_request.h"

#include "auth/identity.h"
#include "base/text.h"

/* Where refusals go: every function here may speak for its member. */
struct reader {
    const struct turn *turn;
    struct outcome *out;
};

#define REFUSE(r, st, ...) hub_refuse((r)->turn, (r)->out, st, __VA_ARGS__)

enum want { WANT_STRING, WANT_BOOL, WANT_OBJECT, WANT_ARRAY };

static bool is_wanted(enum doc_type type, enum want want)
{
    switch (want) {
    case WANT_STRING:
        return type == DOC_STRING;
    case WANT_BOOL:
        return type == DOC_TRUE || type == DOC_FALSE;
    case WANT_OBJECT:
        return type == DOC_OBJECT;
    case WANT_ARRAY:
        return type == DOC_ARRAY;
    }
    return false;
}

/* The member, {NULL} when it is absent or null; refused when it is of another type. */
static enum status member(const struct reader *r, struct doc_node object, const char *name,
                          enum want want, struct doc_node *out)
{
    static const char *const names[] = {"a string", "a boolean", "an object", "an array"};
    *out = (struct doc_node){NULL};
    if (!object.at)
        return OK;
    struct doc_node found = doc_find_nocase(object, span_text(name));
    if (!found.at || doc_type(found) == DOC_NULL)
        return OK;
    if (!is_wanted(doc_type(found), want))
        return REFUSE(r, BAD_ARGUMENT, "The value of '%s' must be %s", name, names[want]);
    *out = found;
    return OK;
}

/* The text of a string member; {0} when it is absent or null. */
static enum status text_member(const struct reader *r, struct doc_node object, const char *name,
                               struct span *out)
{
    struct doc_node found;
    TRY(member(r, object, name, WANT_STRING, &found));
    *out = found.at ? doc_string(found) : (struct span){0};
    return OK;
}

/* ---- authentication (registry 3) ---- */

static enum status parse_type(const struct reader *r, struct doc_node auth, const struct live *who,
                              struct identity_request *req)
{
    static const struct span names[] = {[AUTH_SAS] = SPAN_INIT("sas"),
                                        [AUTH_SELF_SIGNED] = SPAN_INIT("selfSigned"),
                                        [AUTH_CA] = SPAN_INIT("certificateAuthority"),
                                        [AUTH_NONE] = SPAN_INIT("none")};
    struct span text;
    TRY(text_member(r, auth, "type", &text));
    if (text.len == 0) { /* old clients send thumbprints without a type */
        bool thumbprints = req->primary_thumbprint.len || req->secondary_thumbprint.len;
        req->auth = thumbprints ? AUTH_SELF_SIGNED : AUTH_SAS;
        return OK;
    }
    size_t i = 0;
    while (i < COUNT(names) && !span_eq_nocase(text, names[i]))
        i++;
    if (i == COUNT(names))
        return REFUSE(r, BAD_ARGUMENT, "The value of 'type' is no type of authentication");
    req->auth = (enum entity_auth)i;
    if (req->auth == AUTH_NONE && !who->module_len)
        return REFUSE(r, BAD_ARGUMENT, "DeviceAuthenticationTypeIsMissing");
    if (req->auth == AUTH_NONE && !module_is_system(live_module(who)))
        req->auth = AUTH_SAS;
    return OK;
}

static enum status check_keys(const struct reader *r, const struct identity_request *req)
{
    const struct span keys[] = {req->primary_key, req->secondary_key};
    if ((keys[0].len == 0) != (keys[1].len == 0))
        return REFUSE(r, BAD_ARGUMENT, "Either no keys or both keys can be set");
    struct key key;
    for (size_t i = 0; i < COUNT(keys); i++)
        if (keys[i].len && !key_parse(keys[i], &key))
            return REFUSE(r, BAD_ARGUMENT,
                          "Invalid device key length: a key is base64 text of %d to %d bytes",
                          KEY_MIN, KEY_MAX);
    return OK;
}

static enum status check_thumbprint(const struct reader *r, struct span text)
{
    enum { SHA1 = 20, SHA256 = 32 };
    uint8_t bytes[SHA256];
    size_t len = 0;
    if (text.len == 0)
        return OK;
    if (text_hex(text, bytes, sizeof(bytes), &len) && (len == SHA1 || len == SHA256))
        return OK;
    return REFUSE(r, BAD_ARGUMENT,
                  "StringIsNotThumbprint: a thumbprint is 40 or 64 hexadecimal digits");
}

/* Everything that is there, whatever the type. */
static enum status parse_material(const struct reader *r, struct doc_node auth,
                                  struct identity_request *req)
{
    struct doc_node keys, thumbprints;
    TRY(member(r, auth, "symmetricKey", WANT_OBJECT, &keys));
    TRY(text_member(r, keys, "primaryKey", &req->primary_key));
    TRY(text_member(r, keys, "secondaryKey", &req->secondary_key));
    TRY(member(r, auth, "x509Thumbprint", WANT_OBJECT, &thumbprints));
    TRY(text_member(r, thumbprints, "primaryThumbprint", &req->primary_thumbprint));
    return text_member(r, thumbprints, "secondaryThumbprint", &req->secondary_thumbprint);
}

/* Clients send the whole object back: what the type does not use is dropped unread. */
static enum status parse_auth(const struct reader *r, struct doc_node body, const struct live *who,
                              struct identity_request *req)
{
    struct doc_node auth;
    TRY(member(r, body, "authentication", WANT_OBJECT, &auth));
    TRY(parse_material(r, auth, req));
    TRY(parse_type(r, auth, who, req));
    if (req->auth != AUTH_SAS)
        req->primary_key = req->secondary_key = (struct span){0};
    if (req->auth != AUTH_SELF_SIGNED)
        req->primary_thumbprint = req->secondary_thumbprint = (struct span){0};
    TRY(check_keys(r, req));
    TRY(check_thumbprint(r, req->primary_thumbprint));
    return check_thumbprint(r, req->secondary_thumbprint);
}

/* ---- the other members ---- */

static enum status parse_status(const struct reader *r, struct doc_node body,
                                struct identity_request *req)
{
    struct span status;
    TRY(text_member(r, body, "status", &status));
    req->disabled = span_eq_nocase(status, SPAN("disabled"));
    if (status.len && !req->disabled && !span_eq_nocase(status, SPAN("enabled")))
        return REFUSE(r, BAD_ARGUMENT, "The value of 'status' must be enabled or disabled");

    TRY(text_member(r, body, "statusReason", &req->status_reason));
    size_t characters = 0;
    for (size_t i = 0; i < req->status_reason.len; i++)
        characters += (req->status_reason.data[i] & 0xc0) != 0x80; /* not a continuation byte */
    if (characters > STATUS_REASON_MAX)
        return REFUSE(r, BAD_ARGUMENT, "'statusReason' is longer than %d characters",
                      STATUS_REASON_MAX);
    return OK;
}

static enum status check_scope(const struct reader *r, struct span scope)
{
    if (scope.len <= SCOPE_MAX)
        return OK;
    return REFUSE(r, BAD_SCOPE, "A device scope is at most %d bytes long", SCOPE_MAX);
}

static enum status parse_scopes(const struct reader *r, struct doc_node body,
                                struct identity_request *req)
{
    TRY(text_member(r, body, "deviceScope", &req->scope));
    TRY(check_scope(r, req->scope));
    struct doc_node parents;
    TRY(member(r, body, "parentScopes", WANT_ARRAY, &parents));
    if (!parents.at)
        return OK;
    req->parent_count = doc_count(parents);
    for (struct doc_node at = doc_first(parents); at.at; at = doc_next(parents, at)) {
        if (doc_type(at) != DOC_STRING)
            return REFUSE(r, BAD_ARGUMENT, "The values in 'parentScopes' must be strings");
        TRY(check_scope(r, doc_string(at)));
    }
    if (req->parent_count)
        req->parent_scope = doc_string(doc_first(parents));
    return OK;
}

static enum status parse_device(const struct reader *r, struct doc_node body,
                                struct identity_request *req)
{
    struct doc_node capabilities, edge;
    TRY(parse_status(r, body, req));
    TRY(member(r, body, "capabilities", WANT_OBJECT, &capabilities));
    TRY(member(r, capabilities, "iotEdge", WANT_BOOL, &edge));
    req->has_edge = edge.at != NULL;
    req->edge = edge.at && doc_type(edge) == DOC_TRUE;
    return parse_scopes(r, body, req);
}

static enum status parse_module(const struct reader *r, struct doc_node body,
                                struct identity_request *req)
{
    struct doc_node managed_by;
    TRY(member(r, body, "managedBy", WANT_STRING, &managed_by));
    if (!managed_by.at)
        return OK;
    req->has_managed_by = true;
    req->managed_by = doc_string(managed_by);
    if (req->managed_by.len > MANAGED_BY_MAX)
        return REFUSE(r, BAD_ARGUMENT, "'managedBy' is longer than %d bytes", MANAGED_BY_MAX);
    return OK;
}

/* An id in the body is the path's (registry 1). */
static enum status check_id(const struct reader *r, struct doc_node body, const char *name,
                            struct span want)
{
    struct doc_node id;
    TRY(member(r, body, name, WANT_STRING, &id));
    if (!id.at || span_eq(doc_string(id), want))
        return OK;
    return REFUSE(r, BAD_ARGUMENT, "'%s' is not the id of the request, '%.*s'", name,
                  SPAN_ARG(want));
}

enum status identity_request_parse(struct doc_node body, const struct live *who,
                                   const struct turn *turn, struct outcome *out,
                                   struct identity_request *req)
{
    struct reader r = {turn, out};
    struct identity_request got = {0};
    if (doc_type(body) != DOC_OBJECT)
        return REFUSE(&r, BAD_ARGUMENT, "An identity must be an object");
    TRY(check_id(&r, body, "deviceId", live_device(who)));
    if (who->module_len)
        TRY(check_id(&r, body, "moduleId", live_module(who)));
    TRY(parse_auth(&r, body, who, &got));
    TRY(who->module_len ? parse_module(&r, body, &got) : parse_device(&r, body, &got));
    *req = got;
    return OK;
}
