#include "hub/hub.h"

#include "base/text.h"
#include "hub/registry.h"
#include "hub/twin.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    /* The room in the arena that an operation may need beyond its body, so that nothing fails half
     * done: an entity's record is at most about 350 KiB, a change record about twice that. */
    ROOM_ONE = 2 << 20,
    /* A device with all its modules: 51 records, 51 changes. */
    ROOM_FAMILY = 40 << 20,
    ROOM_BODY_FACTOR = 12, /* parsed JSON and what is built from it, per byte of text */
};

enum status hub_refuse(const struct turn *turn, struct outcome *out, enum status st,
                       const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    CHECK(n >= 0);
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    out->why = arena_copy(turn->arena, span_of(text, len));
    return st;
}

/* One member of an If-Match list: W/, backslashes and quotes stripped (twins 2.3). */
static bool tag_matches(struct span tag, struct span etag)
{
    SPAN_SOUND(tag);
    while (tag.len && strchr(" \t", tag.data[0]))
        tag = span_skip(tag, 1);
    while (tag.len && strchr(" \t", tag.data[tag.len - 1]))
        tag.len--;
    if (span_starts(tag, SPAN("W/")))
        tag = span_skip(tag, 2);
    while (tag.len && strchr("\\\"", tag.data[0]))
        tag = span_skip(tag, 1);
    while (tag.len && strchr("\\\"", tag.data[tag.len - 1]))
        tag.len--;
    return span_eq(tag, SPAN("*")) || span_eq(tag, etag);
}

bool hub_if_match(const struct op *op, struct span etag)
{
    if (!op->has_if_match)
        return true;
    struct span rest = op->if_match;
    for (;;) {
        size_t comma = span_index(rest, ',');
        if (tag_matches(span_first(rest, comma), etag))
            return true;
        if (comma == rest.len)
            return false;
        rest = span_skip(rest, comma + 1);
    }
}

static struct span base64_in_arena(const struct turn *turn, struct span bytes)
{
    struct buf b = {0};
    text_put_base64(&b, bytes);
    struct span copy = arena_copy(turn->arena, buf_span(&b));
    CHECK(copy.data);
    buf_fini(&b);
    return copy;
}

struct span hub_twin_etag_text(const struct turn *turn, const struct entity *e)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)e->twin_etag >> (56 - 8 * i));
    return base64_in_arena(turn, span_of(bytes, sizeof(bytes)));
}

struct span hub_identity_etag_text(const struct turn *turn, const struct entity *e)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)e->identity_etag);
    return base64_in_arena(turn, span_of(digits, (size_t)n));
}

/* ---- sessions and activity: what a connection leaves in the record ---- */

static enum status session_save(struct hub *h, struct live *who, const struct op *op,
                                const struct turn *turn, struct outcome *out)
{
    if (!who->record)
        return NO_DEVICE;
    struct entity e;
    live_entity(who, &e);
    bool drop = op->kind == OP_SESSION_DROP;
    bool same_model = !op->has_model_id || span_eq(op->model_id, e.model_id);
    bool same = drop ? !e.has_session : e.has_session && span_eq(op->body, e.session);
    if (same && same_model)
        return OK;
    e.has_session = !drop;
    e.session = op->body;
    if (drop)
        e.session.len = 0;
    if (!same_model)
        e.model_id = op->model_id;
    struct change change = {.kind = CHANGE_SESSION};
    hub_write(h, who, &e, &change, turn, out);
    return OK;
}

static enum status activity_save(struct hub *h, struct live *who, const struct turn *turn,
                                 struct outcome *out)
{
    if (!who->record)
        return NO_DEVICE;
    struct entity e;
    live_entity(who, &e);
    if (who->last_activity_ms <= e.last_activity_ms &&
        who->connection_updated_ms <= e.connection_updated_ms)
        return OK;
    /* hub_write takes what memory knows */
    struct change change = {.kind = CHANGE_ACTIVITY};
    hub_write(h, who, &e, &change, turn, out);
    return OK;
}

/* ---- the one door ---- */

static size_t room_for(const struct op *op)
{
    size_t room = ROOM_ONE + op->body.len * ROOM_BODY_FACTOR;
    bool family =
        op->kind == OP_DEVICE_PUT || op->kind == OP_DEVICE_DELETE || op->kind == OP_BULK_ENTRY;
    return family ? room + ROOM_FAMILY : room;
}

static enum status dispatch(struct hub *h, const struct op *op, const struct turn *turn,
                            struct outcome *out)
{
    struct live *device = hub_live_find(h, op->device, (struct span){0});
    struct live *who = op->module.len ? hub_live_find(h, op->device, op->module) : device;
    CHECK(device);
    CHECK(who);
    switch (op->kind) {
    case OP_DEVICE_GET:
    case OP_MODULE_GET:
        return registry_get(h, device, who, turn, out);
    case OP_DEVICE_PUT:
    case OP_MODULE_PUT:
        return registry_put(h, device, who, op, turn, out);
    case OP_DEVICE_DELETE:
    case OP_MODULE_DELETE:
        return registry_delete(h, device, who, op, turn, out);
    case OP_MODULE_LIST:
        return registry_modules(h, device, turn, out);
    case OP_BULK_ENTRY:
        return registry_bulk(h, device, who, op, turn, out);
    case OP_TWIN_GET:
        return twin_get(h, device, who, turn, out);
    case OP_TWIN_PATCH:
    case OP_TWIN_PUT:
        return twin_update(h, device, who, op, turn, out);
    case OP_TWIN_READ:
        return twin_read(h, who, turn, out);
    case OP_TWIN_REPORT:
        return twin_report(h, who, op, turn, out);
    case OP_SESSION_SAVE:
    case OP_SESSION_DROP:
        return session_save(h, who, op, turn, out);
    case OP_ACTIVITY_SAVE:
        return activity_save(h, who, turn, out);
    }
    return BAD_OPERATION;
}

void hub_apply(struct hub *h, const struct op *op, const struct turn *turn, struct outcome *out)
{
    out->effects = NULL;
    out->last = &out->effects;
    out->why = out->etag = (struct span){0};
    out->depends = 0;
    if (arena_left(turn->arena) < room_for(op)) {
        out->status = TOO_LARGE;
        return;
    }
    out->status = dispatch(h, op, turn, out);
}
