#include "auth/route.h"

/* clang-format off */
static const struct route routes[ROUTE_COUNT] = {
#define ROUTE(name, door, method, path, right, other_right, by, api_version, body_max) \
    [ROUTE_##name] = {#name, method, path, ROUTE_##name, DOOR_##door, body_max, by, api_version, \
                      {right, other_right}},
#include "auth/route.def"
#undef ROUTE
};
/* clang-format on */

size_t route_count(void)
{
    return ROUTE_COUNT;
}

const struct route *route_at(size_t i)
{
    CHECK(i < ROUTE_COUNT);
    return &routes[i];
}

const struct route *route_get(enum route_id id)
{
    return route_at(id);
}

/* ---- which row ------------------------------------------------------------------------------ */

static bool fits(const struct route *r, const struct span *segments, size_t count,
                 struct route_match *out)
{
    struct route_match m = {.route = r};
    struct span path = span_text(r->path);
    for (size_t i = 0; i < count; i++) {
        if (path.len == 0)
            return false;
        path = span_skip(path, 1); /* its slash */
        struct span part = span_first(path, span_index(path, '/'));
        path = span_skip(path, part.len);
        if (span_eq(part, SPAN("{d}")))
            m.device = segments[i];
        else if (span_eq(part, SPAN("{m}")))
            m.module = segments[i];
        else if (!span_eq_nocase(part, segments[i]))
            return false;
    }
    *out = m;
    return path.len == 0;
}

enum status route_find(struct span method, const struct span *segments, size_t count,
                       struct route_match *out)
{
    enum status st = NO_ROUTE;
    struct route_match m;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (routes[i].door != DOOR_HTTP || !fits(&routes[i], segments, count, &m))
            continue;
        if (span_eq(method, span_text(routes[i].method))) {
            *out = m;
            return OK;
        }
        st = BAD_METHOD;
    }
    return st;
}

struct span route_method(struct span method, struct span override)
{
    bool patch = span_eq(method, SPAN("POST")) && span_eq_nocase(override, SPAN("PATCH"));
    return patch ? SPAN("PATCH") : method;
}

/* ---- who may call it ------------------------------------------------------------------------ */

struct peer peer_of(struct span device, struct span module)
{
    return (struct peer){
        .kind = module.len ? PEER_MODULE : PEER_DEVICE, .device = device, .module = module};
}

/* Does the target have the ids that the row's path asks for, and no others? */
static bool has_shape(const struct route *r, struct span device, struct span module)
{
    bool wants_device = strstr(r->path, "{d}"), wants_module = strstr(r->path, "{m}");
    if (r->door == DOOR_MQTT && !wants_device)
        return device.len > 0;
    return wants_device == (device.len > 0) && wants_module == (module.len > 0);
}

static bool scope_reaches(const struct route *r, const struct peer *peer, struct span device,
                          struct span module)
{
    switch (peer->scope) {
    case SAS_NOWHERE:
        return false;
    case SAS_HUB:
        return true;
    case SAS_DEVICES:
        return device.len || span_starts(span_text(r->path), SPAN("/devices"));
    case SAS_DEVICE:
        return device.len && span_eq(peer->device, device);
    case SAS_MODULE:
        return module.len && span_eq(peer->device, device) && span_eq(peer->module, module);
    }
    return false;
}

static bool policy_may(const struct route *r, const struct peer *peer, struct span device,
                       struct span module)
{
    if (!scope_reaches(r, peer, device, module))
        return false;
    /* RIGHT_DEVICE speaks as the device or module in its scope. One module's scope does not reach
     * what only its device may do. */
    bool as_module_only = peer->scope == SAS_MODULE && !(r->by & BY_MODULE);
    for (size_t i = 0; i < COUNT(r->rights); i++) {
        unsigned right = r->rights[i];
        if (right && (peer->rights & right) == right && !(right == RIGHT_DEVICE && as_module_only))
            return true;
    }
    return false;
}

bool route_allows(const struct route *r, const struct peer *peer, struct span device,
                  struct span module)
{
    if (!has_shape(r, device, module))
        return false;
    if (r->by & BY_ANYONE)
        return true;
    switch (peer->kind) {
    case PEER_NOBODY:
        return false;
    case PEER_POLICY:
        return policy_may(r, peer, device, module);
    case PEER_DEVICE:
        return r->by & (module.len ? BY_PARENT : BY_DEVICE) && span_eq(peer->device, device);
    case PEER_MODULE:
        return module.len && r->by & BY_MODULE && span_eq(peer->device, device) &&
               span_eq(peer->module, module);
    }
    return false;
}
