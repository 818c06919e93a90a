#include "hub/registry_write.h"

#include "auth/identity.h"
#include "base/text.h"
#include "hub/twin.h"

/* What an edge device has from the start (registry 5). */
static const struct span system_modules[] = {SPAN_INIT("$edgeAgent"), SPAN_INIT("$edgeHub")};

/* ---- refusals that PUT, DELETE and bulk share ---- */

enum status registry_refuse_missing(const struct live *device, const struct live *who,
                                    const struct turn *turn, struct outcome *out)
{
    struct span device_id = live_device(who), module_id = live_module(who);
    if (!device->record)
        return hub_refuse(turn, out, NO_DEVICE, "%.*s", SPAN_ARG(device_id));
    return hub_refuse(turn, out, NO_MODULE, "%.*s", SPAN_ARG(module_id));
}

enum status registry_refuse_existing(const struct hub *h, const struct live *who,
                                     const struct turn *turn, struct outcome *out)
{
    struct span device_id = live_device(who), module_id = live_module(who);
    if (module_id.len == 0)
        return hub_refuse(turn, out, DEVICE_EXISTS,
                          "A device with ID '%.*s' is already registered.", SPAN_ARG(device_id));
    return hub_refuse(turn, out, MODULE_EXISTS,
                      "Device %.*s in IotHub %.*s already contains Module %.*s.",
                      SPAN_ARG(device_id), SPAN_ARG(h->config.name), SPAN_ARG(module_id));
}

enum status registry_check_system(const struct live *who, const struct op *op,
                                  const struct turn *turn, struct outcome *out)
{
    bool is_update = op->kind == OP_MODULE_PUT;
    if (!module_is_system(live_module(who)) || (op->by_device && is_update))
        return OK;
    return hub_refuse(turn, out, SYSTEM_MODULE, "Unauthorized to modify reserved module.");
}

/* ---- parts of an identity ---- */

static struct span generate_key(struct hub *h, const struct turn *turn)
{
    uint8_t bytes[32];
    random_fill(h->random, bytes, sizeof(bytes));
    struct buf text = {0};
    text_put_base64(&text, span_of(bytes, sizeof(bytes)));
    struct span copy = arena_copy(turn->arena, buf_span(&text));
    CHECK(copy.data); /* hub_apply made sure of the room */
    buf_fini(&text);
    return copy;
}

static void set_credentials(struct hub *h, const struct identity_request *req,
                            const struct turn *turn, struct entity *e)
{
    e->auth = req->auth;
    e->primary_key = req->primary_key;
    e->secondary_key = req->secondary_key;
    if (req->auth == AUTH_SAS && req->primary_key.len == 0) {
        e->primary_key = generate_key(h, turn);
        e->secondary_key = generate_key(h, turn);
    }
    e->primary_thumbprint = req->primary_thumbprint;
    e->secondary_thumbprint = req->secondary_thumbprint;
}

static bool same_credentials(const struct entity *a, const struct entity *b)
{
    return a->auth == b->auth && span_eq(a->primary_key, b->primary_key) &&
           span_eq(a->secondary_key, b->secondary_key) &&
           span_eq(a->primary_thumbprint, b->primary_thumbprint) &&
           span_eq(a->secondary_thumbprint, b->secondary_thumbprint);
}

static struct span some(struct span s)
{
    return s.len ? s : (struct span){0};
}

/* An edge device's own scope. */
static struct span own_scope(const struct turn *turn, const struct entity *e)
{
    struct buf text = {0};
    buf_printf(&text, "ms-azure-iot-edge://%.*s-%llu", SPAN_ARG(e->device),
               (unsigned long long)e->generation);
    struct span copy = arena_copy(turn->arena, buf_span(&text));
    CHECK(copy.data); /* hub_apply made sure of the room */
    buf_fini(&text);
    return copy;
}

/* e->edge as it was, or false at creation, becomes what is asked for (registry 5). */
static void set_scopes(const struct identity_request *req, const struct turn *turn,
                       struct entity *e)
{
    bool was_edge = e->edge;
    if (req->has_edge)
        e->edge = req->edge;
    if (e->edge) {
        if (!was_edge)
            e->scope = own_scope(turn, e);
        e->parent_scope = some(req->parent_scope);
    } else {
        struct span none = {0};
        e->scope = e->parent_scope = was_edge ? none : some(req->scope);
    }
}

static void set_managed_by(const struct identity_request *req, struct entity *e)
{
    if (!req->has_managed_by && module_is_system(e->module))
        return; /* the edge daemon leaves it out */
    e->has_managed_by = req->has_managed_by;
    e->managed_by = req->managed_by;
}

/* ---- the effects of a write ---- */

static void kick(struct live *who, enum status why, const struct turn *turn, struct outcome *out)
{
    hub_effect(turn, out, EFFECT_KICK, who)->why = why;
}

size_t registry_children(const struct live *device, const struct turn *turn, struct live ***out)
{
    CHECK(device->children_known);
    size_t count = 0, used = 0;
    LIST_EACH(at, &device->children)
    {
        count++;
    }
    struct live **sorted = arena_alloc(turn->arena, count * sizeof(struct live *));
    CHECK(sorted); /* hub_apply made sure of the room */
    LIST_EACH(at, &device->children)
    {
        struct live *child = CONTAINER_OF(at, struct live, sibling);
        size_t i = used++;
        for (; i > 0 && span_compare(live_module(child), live_module(sorted[i - 1])) < 0; i--)
            sorted[i] = sorted[i - 1];
        sorted[i] = child;
    }
    *out = sorted;
    return count;
}

static void kick_family(struct live *device, enum status why, const struct turn *turn,
                        struct outcome *out)
{
    struct live **children;
    size_t count = registry_children(device, turn, &children);
    kick(device, why, turn, out);
    for (size_t i = 0; i < count; i++)
        kick(children[i], why, turn, out);
}

/* ---- creation ---- */

/* What every identity has at its beginning; the caller sets the rest. */
static void begin(struct hub *h, struct live *who, const struct turn *turn, struct entity *e)
{
    *e = (struct entity){
        .device = live_device(who),
        .module = live_module(who),
        .generation = hub_generation(h, turn),
        .identity_etag = hub_identity_etag(h, 0),
        .created_ms = turn->now.wall_ms,
        .stamp_ms = turn->now.wall_ms,
        .status_updated_ms = TIME_NEVER,
        .last_activity_ms = TIME_NEVER,
        .connection_updated_ms = TIME_NEVER,
    };
}

static void write_created(struct hub *h, struct live *who, struct entity *e,
                          const struct turn *turn, struct outcome *out)
{
    /* The entry may remember an earlier identity of this id. */
    who->last_activity_ms = who->connection_updated_ms = TIME_NEVER;
    struct change change = {.kind = CHANGE_CREATE};
    hub_write(h, who, e, &change, turn, out);
}

static void create_system_modules(struct hub *h, struct live *device, const struct turn *turn,
                                  struct outcome *out)
{
    CHECK(device->children_known);
    for (size_t i = 0; i < COUNT(system_modules); i++) {
        struct live *module;
        /* What is not in memory does not exist: all modules of the device are known. */
        enum status st = hub_admit(h, live_device(device), system_modules[i], NULL, &module);
        CHECK(st == OK);
        if (module->record)
            continue;
        struct entity e;
        begin(h, module, turn, &e);
        e.auth = AUTH_NONE;
        e.has_managed_by = true;
        e.managed_by = SPAN("iotEdge");
        st = twin_init(h, &e, (struct doc_node){NULL}, turn, out);
        CHECK(st == OK); /* nothing to refuse in an empty twin */
        write_created(h, module, &e, turn, out);
    }
}

static enum status check_parents(const struct identity_request *req, bool edge,
                                 const struct turn *turn, struct outcome *out)
{
    if (!edge || req->parent_count <= 1)
        return OK;
    return hub_refuse(turn, out, BAD_SCOPE, "An edge device has at most one parent");
}

static enum status check_new_module(const struct hub *h, const struct live *who,
                                    const struct turn *turn, struct outcome *out)
{
    const struct live *device = hub_live_find(h, live_device(who), (struct span){0});
    if (module_is_system(live_module(who)))
        return hub_refuse(turn, out, BAD_ARGUMENT, "A module id may not begin with '$'");
    CHECK(device->children_known);
    uint32_t count = 0;
    LIST_EACH(at, &device->children)
    {
        count += !module_is_system(live_module(CONTAINER_OF(at, struct live, sibling)));
    }
    if (count >= h->config.modules_max)
        return hub_refuse(turn, out, TOO_MANY_MODULES, "A device has at most %u modules",
                          h->config.modules_max);
    return OK;
}

enum status registry_create(struct hub *h, struct live *who, const struct identity_request *req,
                            struct doc_node twin, const struct turn *turn, struct outcome *out)
{
    struct entity e;
    begin(h, who, turn, &e);
    if (!auth_id_is_valid(e.module.len ? e.module : e.device))
        return hub_refuse(turn, out, BAD_ARGUMENT, "The id is not valid");
    if (e.module.len)
        TRY(check_new_module(h, who, turn, out));
    TRY(check_parents(req, req->edge, turn, out));
    TRY(twin_init(h, &e, twin, turn, out));

    set_credentials(h, req, turn, &e);
    if (e.module.len) {
        set_managed_by(req, &e);
    } else {
        e.disabled = req->disabled;
        e.status_reason = req->status_reason;
        set_scopes(req, turn, &e);
    }
    write_created(h, who, &e, turn, out);
    if (e.edge)
        create_system_modules(h, who, turn, out);
    return OK;
}

/* ---- change ---- */

enum status registry_check_update(const struct live *who, const struct identity_request *req,
                                  const struct turn *turn, struct outcome *out)
{
    if (who->module_len)
        return OK;
    struct entity e;
    live_entity(who, &e);
    bool edge = req->has_edge ? req->edge : e.edge;
    TRY(check_parents(req, edge, turn, out));
    if (edge && e.edge && !span_eq(req->scope, e.scope))
        return hub_refuse(turn, out, BAD_ARGUMENT, "Device scope is immutable");
    if (edge && !e.edge && req->scope.len)
        return hub_refuse(turn, out, BAD_SCOPE,
                          "A device that becomes an edge device names its parent in parentScopes");
    return OK;
}

static void update_device(const struct identity_request *req, const struct turn *turn,
                          struct entity *e)
{
    if (e->disabled != req->disabled)
        e->status_updated_ms = hub_stamp(e, turn);
    e->disabled = req->disabled;
    e->status_reason = req->status_reason;
    set_scopes(req, turn, e);
}

static void remove_system_modules(struct hub *h, struct live *device, const struct turn *turn,
                                  struct outcome *out)
{
    for (size_t i = 0; i < COUNT(system_modules); i++) {
        struct live *module = hub_live_find(h, live_device(device), system_modules[i]);
        if (module && module->record)
            registry_remove(h, module, turn, out);
    }
}

void registry_update(struct hub *h, struct live *who, const struct identity_request *req,
                     const struct turn *turn, struct outcome *out)
{
    struct entity before, after;
    live_entity(who, &before);
    after = before;
    set_credentials(h, req, turn, &after);
    if (after.module.len)
        set_managed_by(req, &after);
    else
        update_device(req, turn, &after);
    after.identity_etag = hub_identity_etag(h, before.identity_etag);
    after.stamp_ms = hub_stamp(&before, turn);
    bool rekeyed = !same_credentials(&before, &after);
    bool was_edge = before.edge, was_disabled = before.disabled;

    if (was_edge && !after.edge)
        remove_system_modules(h, who, turn, out);
    struct change change = {.kind = CHANGE_IDENTITY};
    hub_write(h, who, &after, &change, turn, out); /* `before` is gone from here on */
    if (rekeyed)
        hub_effect(turn, out, EFFECT_CREDENTIALS, who);
    if (!was_edge && after.edge)
        create_system_modules(h, who, turn, out);
    if (!was_disabled && after.disabled)
        kick_family(who, DEVICE_DISABLED, turn, out);
}

/* ---- end ---- */

static void remove_one(struct hub *h, struct live *who, const struct turn *turn,
                       struct outcome *out)
{
    struct change change = {.kind = CHANGE_DELETE};
    hub_write(h, who, NULL, &change, turn, out);
    kick(who, NO_DEVICE, turn, out);
}

void registry_remove(struct hub *h, struct live *who, const struct turn *turn, struct outcome *out)
{
    if (!who->module_len) {
        struct live **children;
        size_t count = registry_children(who, turn, &children);
        for (size_t i = 0; i < count; i++)
            remove_one(h, children[i], turn, out);
    }
    remove_one(h, who, turn, out);
}
