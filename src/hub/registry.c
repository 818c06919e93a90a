#include "hub/registry.h"

#include "base/text.h"
#include "hub/registry_write.h"

/* ---- the identity as JSON (registry 2, 2.1) ---- */

static void put_text(struct buf *b, const char *name, struct span value)
{
    buf_text(b, name);
    if (value.len)
        text_put_json(b, value);
    else
        buf_text(b, "null");
}

/* Identities write the never value without Z, twins with it (service-rest 1.3). */
static void put_time(struct buf *b, const char *name, int64_t wall_ms)
{
    buf_text(b, name);
    if (wall_ms == TIME_NEVER) {
        buf_text(b, "\"0001-01-01T00:00:00\"");
        return;
    }
    buf_byte(b, '"');
    text_put_time(b, wall_ms);
    buf_byte(b, '"');
}

static void put_etag(struct buf *b, uint64_t etag)
{
    struct buf digits = {0};
    buf_u64(&digits, etag);
    buf_text(b, ",\"etag\":\"");
    text_put_base64(b, buf_span(&digits));
    buf_byte(b, '"');
    buf_fini(&digits);
}

static void put_authentication(struct buf *b, const struct entity *e)
{
    static const char *const types[] = {[AUTH_SAS] = "sas",
                                        [AUTH_SELF_SIGNED] = "selfSigned",
                                        [AUTH_CA] = "certificateAuthority",
                                        [AUTH_NONE] = "none"};
    put_text(b, ",\"authentication\":{\"symmetricKey\":{\"primaryKey\":", e->primary_key);
    put_text(b, ",\"secondaryKey\":", e->secondary_key);
    put_text(b, "},\"x509Thumbprint\":{\"primaryThumbprint\":", e->primary_thumbprint);
    put_text(b, ",\"secondaryThumbprint\":", e->secondary_thumbprint);
    buf_printf(b, "},\"type\":\"%s\"}", types[e->auth]);
}

/* A leaf without a parent shows neither member; an edge device always both (registry 2). */
static void put_scopes(struct buf *b, const struct entity *e)
{
    if (e->scope.len)
        put_text(b, ",\"deviceScope\":", e->scope);
    if (e->parent_scope.len) {
        put_text(b, ",\"parentScopes\":[", e->parent_scope);
        buf_byte(b, ']');
    } else if (e->edge) {
        buf_text(b, ",\"parentScopes\":[]");
    }
}

static void put_connection_state(struct buf *b, const struct live *l)
{
    bool connected = l && l->conn;
    buf_printf(b, ",\"connectionState\":\"%s\"", connected ? "Connected" : "Disconnected");
}

static int64_t newer(int64_t memory, int64_t record)
{
    return memory > record ? memory : record;
}

void registry_put_entity(struct buf *b, const struct entity *e, const struct live *l)
{
    bool module = e->module.len > 0;
    int64_t active = newer(l ? l->last_activity_ms : TIME_NEVER, e->last_activity_ms);
    int64_t connection = newer(l ? l->connection_updated_ms : TIME_NEVER, e->connection_updated_ms);
    if (module) {
        put_text(b, "{\"moduleId\":", e->module);
        buf_text(b, ",\"managedBy\":");
        if (e->has_managed_by)
            text_put_json(b, e->managed_by);
        else
            buf_text(b, "null");
        put_text(b, ",\"deviceId\":", e->device);
    } else {
        put_text(b, "{\"deviceId\":", e->device);
    }
    buf_printf(b, ",\"generationId\":\"%llu\"", (unsigned long long)e->generation);
    put_etag(b, e->identity_etag);
    put_connection_state(b, l);
    if (!module) {
        buf_printf(b, ",\"status\":\"%s\"", e->disabled ? "disabled" : "enabled");
        put_text(b, ",\"statusReason\":", e->status_reason);
    }
    put_time(b, ",\"connectionStateUpdatedTime\":", connection);
    if (!module)
        put_time(b, ",\"statusUpdatedTime\":", e->status_updated_ms);
    put_time(b, ",\"lastActivityTime\":", active);
    buf_text(b, ",\"cloudToDeviceMessageCount\":0");
    put_authentication(b, e);
    if (!module) {
        buf_printf(b, ",\"capabilities\":{\"iotEdge\":%s}", e->edge ? "true" : "false");
        put_scopes(b, e);
    }
    buf_byte(b, '}');
}

void registry_put_identity(struct buf *b, const struct live *l)
{
    struct entity e;
    live_entity(l, &e);
    registry_put_entity(b, &e, l);
}

/* ---- operations ---- */

/* The identity is the answer. */
static enum status answer(const struct live *who, const struct turn *turn, struct outcome *out)
{
    struct entity e;
    live_entity(who, &e);
    registry_put_entity(out->body, &e, who);
    out->etag = hub_identity_etag_text(turn, &e);
    return OK;
}

static bool is_missing(const struct live *device, const struct live *who)
{
    return !device->record || !who->record;
}

enum status registry_get(struct hub *h, struct live *device, struct live *who,
                         const struct turn *turn, struct outcome *out)
{
    registry_depend(h, device, out);
    registry_depend(h, who, out);
    if (is_missing(device, who))
        return registry_refuse_missing(device, who, turn, out);
    return answer(who, turn, out);
}

static enum status check_etag(const struct live *who, const struct op *op, const struct turn *turn)
{
    struct entity e;
    live_entity(who, &e);
    return hub_if_match(op, hub_identity_etag_text(turn, &e)) ? OK : ETAG_MISMATCH;
}

/* service-rest 7 row 5: existence, then the precondition, then the rest. */
static enum status put_is_due(struct hub *h, struct live *device, struct live *who,
                              const struct op *op, const struct turn *turn, struct outcome *out)
{
    bool update = op->has_if_match;
    if (!device->record && (who->module_len || update))
        return registry_refuse_missing(device, who, turn, out);
    if (update && !who->record)
        return registry_refuse_missing(device, who, turn, out);
    if (!update && who->record)
        return registry_refuse_existing(h, who, turn, out);
    if (!update)
        return OK;
    TRY(registry_check_system(who, op, turn, out));
    return check_etag(who, op, turn);
}

enum status registry_put(struct hub *h, struct live *device, struct live *who, const struct op *op,
                         const struct turn *turn, struct outcome *out)
{
    struct span doc;
    struct identity_request req;
    registry_depend(h, device, out);
    registry_depend(h, who, out);
    if (op->body.len == 0)
        return hub_refuse(turn, out, NULL_ARGUMENT, "The body must be an identity");
    TRY(doc_parse(op->body, &h->config.limits->syntax, turn->arena, &doc));
    TRY(put_is_due(h, device, who, op, turn, out));
    TRY(identity_request_parse(doc_root(doc), who, turn, out, &req));
    if (who->record) {
        TRY(registry_check_update(who, &req, turn, out));
        registry_update(h, who, &req, turn, out);
    } else {
        TRY(registry_create(h, who, &req, (struct doc_node){NULL}, turn, out));
    }
    return answer(who, turn, out);
}

enum status registry_delete(struct hub *h, struct live *device, struct live *who,
                            const struct op *op, const struct turn *turn, struct outcome *out)
{
    registry_depend(h, device, out);
    registry_depend(h, who, out);
    if (is_missing(device, who))
        return registry_refuse_missing(device, who, turn, out);
    TRY(registry_check_system(who, op, turn, out));
    if (!op->has_if_match)
        return hub_refuse(turn, out, ETAG_MISMATCH, "Etag missing");
    TRY(check_etag(who, op, turn));
    registry_remove(h, who, turn, out);
    return OK;
}

enum status registry_modules(struct hub *h, struct live *device, const struct turn *turn,
                             struct outcome *out)
{
    registry_depend(h, device, out);
    if (!device->record)
        return registry_refuse_missing(device, device, turn, out);
    if (device->family > h->durable && device->family > out->depends)
        out->depends = device->family;
    struct live **children;
    size_t count = registry_children(device, turn, &children);
    buf_byte(out->body, '[');
    for (size_t i = 0; i < count; i++) {
        registry_depend(h, children[i], out);
        if (i)
            buf_byte(out->body, ',');
        registry_put_identity(out->body, children[i]);
    }
    buf_byte(out->body, ']');
    return OK;
}
