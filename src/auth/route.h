/* route.h — the one table of routes, identities and rights: route.def.
 *
 * Every door asks here before it acts: REST calls by method and path, MQTT by the row's name. What
 * no row allows is refused.
 *
 * Units    bytes
 * Memory   rows are constant; matches borrow from the caller's segments
 * Threads  any
 * Errors   per function
 * Source   spec service-rest 2, 5.2; registry 5.1; mqtt 2, 4, 5
 */
#ifndef AUTH_ROUTE_H
#define AUTH_ROUTE_H

#include "auth/policy.h"
#include "auth/sas.h"

enum route_id {
#define ROUTE(name, ...) ROUTE_##name,
#include "auth/route.def"
#undef ROUTE
    ROUTE_COUNT
};

enum route_door { DOOR_HTTP, DOOR_MQTT };

/* Who may call a row besides policy tokens with its rights. */
#define BY_NOBODY 0u /* no identity by its own credential */
#define BY_DEVICE 1u /* the device, for itself */
#define BY_MODULE 2u /* the module, for itself */
#define BY_PARENT 4u /* the device, for one of its modules */
#define BY_ANYONE 8u /* whoever asks, without a credential */

struct route {
    const char *name;   /* "DEVICE_GET" */
    const char *method; /* HTTP: "GET"; MQTT: CONNECT, PUBLISH, SUBSCRIBE */
    const char *path;   /* "/devices/{d}/modules/{m}"; MQTT: the beginning of the topic or filter */
    enum route_id id;
    enum route_door door;
    uint32_t body_max;
    uint8_t by;        /* BY_ bits */
    bool api_version;  /* 400 without one (service-rest 1.1) */
    uint8_t rights[2]; /* a policy with all of one of these may call; 0: none */
};

size_t route_count(void);
const struct route *route_at(size_t i);
/* Never NULL. */
const struct route *route_get(enum route_id id);

/* ---- which row ------------------------------------------------------------------------------ */

struct route_match {
    const struct route *route;
    struct span device, module; /* from the path; empty when the row has none. Not checked ids */
};

/* Find the HTTP row. `segments` are the decoded path, split, without empty ones. Fixed words match
 * in any case; ids are whatever stands there; a row of fixed words goes before one with an id.
 *   OK          *out is filled
 *   NO_ROUTE    unknown path
 *   BAD_METHOD  known path, other methods
 */
MUST_USE enum status route_find(struct span method, const struct span *segments, size_t count,
                                struct route_match *out);

/* The method a request means: PATCH for POST with X-HTTP-Method-Override: PATCH (any case), else
 * the method itself. `override` is empty without the header. */
struct span route_method(struct span method, struct span override);

/* ---- who may call it ------------------------------------------------------------------------ */

enum peer_kind { PEER_NOBODY, PEER_POLICY, PEER_DEVICE, PEER_MODULE };

/* Who speaks. An MQTT connection made with a policy token speaks as its identity from the accepted
 * CONNECT on: PEER_DEVICE or PEER_MODULE (peer_of). */
struct peer {
    enum peer_kind kind;
    uint8_t rights;       /* PEER_POLICY */
    enum sas_depth scope; /* PEER_POLICY: how far its token reaches */
    /* Exact ids: of the device or module that speaks; of PEER_POLICY those its token is limited
     * to (SAS_DEVICE: device; SAS_MODULE: both). */
    struct span device, module;
};

/* The device, or with a module id the module, speaking for itself. */
struct peer peer_of(struct span device, struct span module);

/* May `peer` call the row for this device (module empty), this module, or, on rows without an id,
 * the hub (both empty)? MQTT rows without an id in their topic take the speaker's own. Ids compare
 * byte for byte. A target of another shape than the row's is refused. */
MUST_USE bool route_allows(const struct route *route, const struct peer *peer, struct span device,
                           struct span module);

#endif
