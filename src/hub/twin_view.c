#include "hub/twin.h"

#include "base/text.h"

#include <stdio.h>

static void put_field(struct buf *b, const char *name, struct span text)
{
    buf_byte(b, ',');
    text_put_json(b, span_text(name));
    buf_byte(b, ':');
    text_put_json(b, text);
}

static void put_time(struct buf *b, const char *name, int64_t wall_ms)
{
    buf_byte(b, ',');
    text_put_json(b, span_text(name));
    buf_put(b, SPAN(":\""));
    text_put_time(b, wall_ms);
    buf_byte(b, '"');
}

/* The counter C as eight bytes, high byte first; the identity's etag as decimal digits (1.1). */
static void put_etags(struct buf *b, const struct entity *e)
{
    uint8_t counter[8];
    for (int i = 0; i < 8; i++)
        counter[i] = (uint8_t)((uint64_t)e->twin_etag >> (56 - 8 * i));
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)e->identity_etag);
    buf_put(b, SPAN(",\"etag\":\""));
    text_put_base64(b, span_of(counter, sizeof(counter)));
    buf_put(b, SPAN("\",\"deviceEtag\":\""));
    text_put_base64(b, span_of(digits, (size_t)len));
    buf_byte(b, '"');
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A module has no status of its own: it shows its device's, and never a reason. */
static void put_status(struct buf *b, const struct entity *device, const struct entity *e,
                       const struct live *who)
{
    put_field(b, "status", device->disabled ? SPAN("disabled") : SPAN("enabled"));
    if (!e->module.len && e->status_reason.len)
        put_field(b, "statusReason", e->status_reason);
    put_time(b, "statusUpdateTime", e->status_updated_ms);
    put_field(b, "connectionState", who->conn ? SPAN("Connected") : SPAN("Disconnected"));
    put_time(b, "lastActivityTime", later(e->last_activity_ms, who->last_activity_ms));
    buf_put(b, SPAN(",\"cloudToDeviceMessageCount\":0"));
}

static void put_thumbprint(struct buf *b, struct span thumbprint)
{
    if (thumbprint.data)
        text_put_json(b, thumbprint);
    else
        buf_put(b, SPAN("null"));
}

static void put_authentication(struct buf *b, const struct entity *e)
{
    static const char *const names[] = {[AUTH_SAS] = "sas",
                                        [AUTH_SELF_SIGNED] = "selfSigned",
                                        [AUTH_CA] = "certificateAuthority",
                                        [AUTH_NONE] = "none"};
    put_field(b, "authenticationType", span_text(names[e->auth]));
    buf_put(b, SPAN(",\"x509Thumbprint\":{\"primaryThumbprint\":"));
    put_thumbprint(b, e->primary_thumbprint);
    buf_put(b, SPAN(",\"secondaryThumbprint\":"));
    put_thumbprint(b, e->secondary_thumbprint);
    buf_byte(b, '}');
}

static void put_sections(struct buf *b, const struct entity *e)
{
    buf_put(b, SPAN(",\"version\":"));
    buf_i64(b, e->twin_etag + e->reported_version);
    if (!doc_is_empty(e->tags)) {
        buf_put(b, SPAN(",\"tags\":"));
        doc_put_value(b, doc_root(e->tags));
    }
    buf_put(b, SPAN(",\"properties\":{\"desired\":"));
    doc_put_service(b, e->desired, e->desired_version);
    buf_put(b, SPAN(",\"reported\":"));
    doc_put_service(b, e->reported, e->reported_version);
    buf_byte(b, '}');
}

static void put_scopes(struct buf *b, const struct entity *e)
{
    if (e->scope.data)
        put_field(b, "deviceScope", e->scope);
    if (e->parent_scope.data) {
        buf_put(b, SPAN(",\"parentScopes\":["));
        text_put_json(b, e->parent_scope);
        buf_byte(b, ']');
    }
}

void twin_put_service(struct buf *b, const struct live *device, const struct live *who)
{
    struct entity d, e;
    live_entity(device, &d);
    live_entity(who, &e);
    buf_reserve(b, 1024 + 3 * (e.tags.len + e.desired.len + e.reported.len));
    buf_put(b, SPAN("{\"deviceId\":"));
    text_put_json(b, e.device);
    if (e.module.len)
        put_field(b, "moduleId", e.module);
    put_etags(b, &e);
    put_status(b, &d, &e, who);
    put_authentication(b, &e);
    put_field(b, "modelId", e.model_id);
    put_sections(b, &e);
    buf_put(b, SPAN(",\"capabilities\":{\"iotEdge\":"));
    buf_text(b, !e.module.len && e.edge ? "true}" : "false}");
    if (e.configurations.len && !doc_is_empty(e.configurations)) {
        buf_put(b, SPAN(",\"configurations\":"));
        doc_put_value(b, doc_root(e.configurations));
    }
    if (!e.module.len)
        put_scopes(b, &e);
    buf_byte(b, '}');
}

void twin_put_device(struct buf *b, const struct entity *e)
{
    buf_put(b, SPAN("{\"desired\":"));
    doc_put_device(b, e->desired, e->desired_version);
    buf_put(b, SPAN(",\"reported\":"));
    doc_put_device(b, e->reported, e->reported_version);
    buf_byte(b, '}');
}
