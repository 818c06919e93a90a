#include "base/test.h"

#include "auth/route.h"

static const struct span none = {0};

/* ---- the whole matrix ------------------------------------------------------------------------
 *
 * What service-rest 2 and 5.2, registry 5.1 and mqtt 2, 4, 5 allow, written a second time: for each
 * row the letters of those who may call it. A row that is not here fails the test.
 *
 *   R W S C   a policy with RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect
 *   O         a policy with all of them
 *   D         the device addressed, by its own credential
 *   P         the device whose module is addressed
 *   M         the module addressed
 *   N         nobody known
 */
static const struct {
    enum route_id id;
    const char *method, *path, *may;
    bool api_version;
    uint32_t body_mib;
} matrix[] = {
    {ROUTE_DEVICE_LIST,          "GET",       "/devices",                                     "RWO",       true,  4},
    {ROUTE_DEVICE_BULK,          "POST",      "/devices",                                     "WO",        true,  8},
    {ROUTE_DEVICE_GET,           "GET",       "/devices/{d}",                                 "RWO",       true,  4},
    {ROUTE_DEVICE_PUT,           "PUT",       "/devices/{d}",                                 "WO",        true,  4},
    {ROUTE_DEVICE_DELETE,        "DELETE",    "/devices/{d}",                                 "WO",        true,  4},
    {ROUTE_MODULE_LIST,          "GET",       "/devices/{d}/modules",                         "RWOCD",     true,  4},
    {ROUTE_MODULE_GET,           "GET",       "/devices/{d}/modules/{m}",                     "RWOCP",     true,  4},
    {ROUTE_MODULE_PUT,           "PUT",       "/devices/{d}/modules/{m}",                     "WOCP",      true,  4},
    {ROUTE_MODULE_DELETE,        "DELETE",    "/devices/{d}/modules/{m}",                     "WOCP",      true,  4},
    {ROUTE_TWIN_GET,             "GET",       "/twins/{d}",                                   "SO",        true,  4},
    {ROUTE_TWIN_PATCH,           "PATCH",     "/twins/{d}",                                   "SO",        true,  4},
    {ROUTE_TWIN_PUT,             "PUT",       "/twins/{d}",                                   "SO",        true,  4},
    {ROUTE_MODULE_TWIN_GET,      "GET",       "/twins/{d}/modules/{m}",                       "SO",        true,  4},
    {ROUTE_MODULE_TWIN_PATCH,    "PATCH",     "/twins/{d}/modules/{m}",                       "SO",        true,  4},
    {ROUTE_MODULE_TWIN_PUT,      "PUT",       "/twins/{d}/modules/{m}",                       "SO",        true,  4},
    {ROUTE_STATISTICS_DEVICES,   "GET",       "/statistics/devices",                          "RWO",       true,  4},
    {ROUTE_STATISTICS_SERVICE,   "GET",       "/statistics/service",                          "RWSO",      true,  4},
    {ROUTE_HEALTHZ,              "GET",       "/healthz",                                     "RWSCODPMN", false, 4},
    {ROUTE_READYZ,               "GET",       "/readyz",                                      "RWSCODPMN", false, 4},
    {ROUTE_METRICS,              "GET",       "/metrics",                                     "RWSCODPMN", false, 4},
    {ROUTE_CA,                   "GET",       "/.well-known/twinhub-ca.pem",                  "RWSCODPMN", false, 4},
    {ROUTE_WEBSOCKET,            "GET",       "/$iothub/websocket",                           "RWSCODPMN", false, 4},
    {ROUTE_MQTT_CONNECT,         "CONNECT",   "",                                             "CODM",      false, 0},
    {ROUTE_MQTT_EVENTS,          "PUBLISH",   "devices/{d}/messages/events",                  "D",         false, 0},
    {ROUTE_MQTT_MODULE_EVENTS,   "PUBLISH",   "devices/{d}/modules/{m}/messages/events",      "M",         false, 0},
    {ROUTE_MQTT_TWIN_GET,        "PUBLISH",   "$iothub/twin/GET",                             "DM",        false, 0},
    {ROUTE_MQTT_TWIN_REPORT,     "PUBLISH",   "$iothub/twin/PATCH/properties/reported",       "DM",        false, 0},
    {ROUTE_MQTT_METHOD_ANSWER,   "PUBLISH",   "$iothub/methods/res",                          "DM",        false, 0},
    {ROUTE_MQTT_HEAR_TWIN,       "SUBSCRIBE", "$iothub/twin/res",                             "DM",        false, 0},
    {ROUTE_MQTT_HEAR_DESIRED,    "SUBSCRIBE", "$iothub/twin/PATCH/properties/desired",        "DM",        false, 0},
    {ROUTE_MQTT_HEAR_METHODS,    "SUBSCRIBE", "$iothub/methods/POST",                         "DM",        false, 0},
    {ROUTE_MQTT_HEAR_C2D,        "SUBSCRIBE", "devices/{d}/messages/devicebound",             "D",         false, 0},
    {ROUTE_MQTT_MODULE_HEAR_C2D, "SUBSCRIBE", "devices/{d}/modules/{m}/messages/devicebound", "M",
     false,                                                                                                       0},
    {ROUTE_MQTT_MODULE_INPUTS,   "SUBSCRIBE", "devices/{d}/modules/{m}/inputs",               "M",         false, 0},
};

static const struct {
    char letter;
    unsigned rights;
} policy_letters[] = {
    {'R', 1 },
    {'W', 3 },
    {'S', 4 },
    {'C', 8 },
    {'O', 15},
};

static bool may(size_t row, char letter)
{
    return strchr(matrix[row].may, letter);
}

/* Every speaker against one target, which has this device and module. */
static void check_target(size_t row, struct span device, struct span module)
{
    const struct route *r = route_get(matrix[row].id);
    const char *name = r->name;
    bool open = may(row, 'N');

    for (size_t i = 0; i < COUNT(policy_letters); i++) {
        struct peer policy = {
            .kind = PEER_POLICY, .rights = (uint8_t)policy_letters[i].rights, .scope = SAS_HUB};
        EXPECT_EQ_IN(name, route_allows(r, &policy, device, module),
                     may(row, policy_letters[i].letter));
    }
    struct peer nobody = {.kind = PEER_NOBODY, .rights = 15, .scope = SAS_HUB, .device = device};
    EXPECT_EQ_IN(name, route_allows(r, &nobody, device, module), open);
    EXPECT_EQ_IN(name, route_allows(r, &(struct peer){0}, device, module), open);

    struct peer self = peer_of(device, none), part = peer_of(device, module);
    if (module.len == 0 && device.len)
        EXPECT_EQ_IN(name, route_allows(r, &self, device, module), may(row, 'D'));
    if (module.len) {
        EXPECT_EQ_IN(name, route_allows(r, &self, device, module), may(row, 'P'));
        EXPECT_EQ_IN(name, route_allows(r, &part, device, module), may(row, 'M'));
    }

    /* Strangers: another device, one that differs in case, modules of theirs, other modules. */
    struct peer strangers[] = {
        peer_of(SPAN("dev2"), none),
        peer_of(SPAN("DEV1"), none),
        peer_of(SPAN("dev"), none),
        peer_of(SPAN("dev1/mod1"), none),
        peer_of(SPAN("dev2"), SPAN("mod1")),
        peer_of(SPAN("dev1"), SPAN("mod2")),
        peer_of(SPAN("dev1"), SPAN("MOD1")),
        peer_of(SPAN("mod1"), SPAN("dev1")),
        {.kind = PEER_DEVICE},
        {.kind = PEER_MODULE},
    };
    for (size_t i = 0; i < COUNT(strangers); i++) {
        strangers[i].rights = 15; /* mean nothing to an identity */
        EXPECT_EQ_IN(name, route_allows(r, &strangers[i], device, module), open);
    }
    /* A module on its own device. */
    struct peer mod = peer_of(SPAN("dev1"), SPAN("mod1"));
    if (module.len == 0)
        EXPECT_EQ_IN(name, route_allows(r, &mod, device, module), open);
}

TEST(every_row_allows_whom_the_specification_names_and_nobody_else)
{
    static const struct {
        struct span device, module;
    } targets[] = {
        {{NULL, 0},         {NULL, 0}        },
        {SPAN_INIT("dev1"), {NULL, 0}        },
        {SPAN_INIT("dev1"), SPAN_INIT("mod1")},
    };
    EXPECT_EQ(COUNT(matrix), route_count());
    for (size_t row = 0; row < COUNT(matrix); row++) {
        const struct route *r = route_get(matrix[row].id);
        EXPECT_EQ_IN(r->name, r->id, row);
        EXPECT(r == route_at(row));
        EXPECT_SPAN(span_text(r->method), span_text(matrix[row].method));
        EXPECT_SPAN(span_text(r->path), span_text(matrix[row].path));
        EXPECT_EQ_IN(r->name, r->api_version, matrix[row].api_version);
        EXPECT_EQ_IN(r->name, r->body_max,
                     r->door == DOOR_MQTT ? 262144 : matrix[row].body_mib * 1048576);
        bool has_device = strstr(r->path, "{d}"), has_module = strstr(r->path, "{m}");
        for (size_t t = 0; t < COUNT(targets); t++) {
            size_t ids = has_module ? 2 : has_device ? 1 : 0;
            bool fits = r->door == DOOR_MQTT && ids == 0 ? t > 0 : t == ids;
            if (fits) {
                check_target(row, targets[t].device, targets[t].module);
                continue;
            }
            /* A target of another shape: not even the owner. */
            struct peer owner = {.kind = PEER_POLICY, .rights = 15, .scope = SAS_HUB};
            EXPECT_EQ_IN(r->name, route_allows(r, &owner, targets[t].device, targets[t].module),
                         false);
        }
    }
}

/* ---- scopes of policy tokens ----------------------------------------------------------------- */

static const struct {
    enum route_id id;
    const char *device, *module; /* addressed */
    const char *may;             /* scopes that reach it: H hub, L devices, D dev1, M dev1/mod1 */
} reach[] = {
    {ROUTE_DEVICE_LIST,        "",     "",     "HL"  },
    {ROUTE_DEVICE_BULK,        "",     "",     "HL"  },
    {ROUTE_STATISTICS_DEVICES, "",     "",     "H"   },
    {ROUTE_STATISTICS_SERVICE, "",     "",     "H"   },
    {ROUTE_DEVICE_PUT,         "dev1", "",     "HLD" },
    {ROUTE_DEVICE_PUT,         "dev2", "",     "HL"  },
    {ROUTE_DEVICE_PUT,         "DEV1", "",     "HL"  }, /* exact ids: decided at sign-in */
    {ROUTE_TWIN_GET,           "dev1", "",     "HLD" },
    {ROUTE_MODULE_TWIN_GET,    "dev1", "mod1", "HLDM"},
    {ROUTE_MODULE_TWIN_GET,    "dev1", "mod2", "HLD" },
    {ROUTE_MODULE_TWIN_GET,    "dev2", "mod1", "HL"  },
    {ROUTE_MODULE_LIST,        "dev1", "",     "HLD" },
    {ROUTE_MODULE_PUT,         "dev1", "mod1", "HLDM"},
    {ROUTE_MQTT_CONNECT,       "dev1", "",     "HLD" },
    {ROUTE_MQTT_CONNECT,       "dev1", "mod1", "HLDM"},
    {ROUTE_MQTT_CONNECT,       "dev2", "",     "HL"  },
    {ROUTE_MQTT_TWIN_GET,      "dev1", "",     ""    },
};

static const struct peer scoped[] = {
    {PEER_POLICY, 15, SAS_HUB,     {NULL, 0},         {NULL, 0}        },
    {PEER_POLICY, 15, SAS_DEVICES, {NULL, 0},         {NULL, 0}        },
    {PEER_POLICY, 15, SAS_DEVICE,  SPAN_INIT("dev1"), {NULL, 0}        },
    {PEER_POLICY, 15, SAS_MODULE,  SPAN_INIT("dev1"), SPAN_INIT("mod1")},
};

TEST(a_policy_reaches_as_far_as_the_scope_of_its_token)
{
    for (size_t i = 0; i < COUNT(reach); i++) {
        const struct route *r = route_get(reach[i].id);
        struct span device = span_text(reach[i].device), module = span_text(reach[i].module);
        for (size_t s = 0; s < COUNT(scoped); s++)
            EXPECT_EQ_IN(r->name, route_allows(r, &scoped[s], device, module),
                         strchr(reach[i].may, "HLDM"[s]) != NULL);
        struct peer nowhere = scoped[0];
        nowhere.scope = SAS_NOWHERE;
        EXPECT_EQ_IN(r->name, route_allows(r, &nowhere, device, module), false);
    }
}

TEST(device_connect_for_one_module_does_not_do_what_only_its_device_may)
{
    const struct route *put = route_get(ROUTE_MODULE_PUT);
    struct peer p = scoped[3];
    p.rights = RIGHT_DEVICE;
    EXPECT(!route_allows(put, &p, SPAN("dev1"), SPAN("mod1")));
    EXPECT(route_allows(route_get(ROUTE_MQTT_CONNECT), &p, SPAN("dev1"), SPAN("mod1")));
    p = scoped[2];
    p.rights = RIGHT_DEVICE;
    EXPECT(route_allows(put, &p, SPAN("dev1"), SPAN("mod1")));
    EXPECT(!route_allows(put, &p, SPAN("dev2"), SPAN("mod1")));
}

/* ---- finding rows ---------------------------------------------------------------------------- */

static const struct {
    const char *method, *path; /* split here on '/' */
    enum status want;
    enum route_id id;
    const char *device, *module;
} found[] = {
    {"GET",     "devices",                    OK,         ROUTE_DEVICE_LIST,        "",        ""  },
    {"POST",    "DEVICES",                    OK,         ROUTE_DEVICE_BULK,        "",        ""  },
    {"GET",     "devices/Dev1",               OK,         ROUTE_DEVICE_GET,         "Dev1",    ""  },
    {"GET",     "devices/devices",            OK,         ROUTE_DEVICE_GET,         "devices", ""  },
    {"PUT",     "devices/d#1",                OK,         ROUTE_DEVICE_PUT,         "d#1",     ""  },
    {"DELETE",  "devices/{d}",                OK,         ROUTE_DEVICE_DELETE,      "{d}",     ""  },
    {"GET",     "devices/d/Modules",          OK,         ROUTE_MODULE_LIST,        "d",       ""  },
    {"PUT",     "devices/d/modules/M",        OK,         ROUTE_MODULE_PUT,         "d",       "M" },
    {"PATCH",   "twins/d",                    OK,         ROUTE_TWIN_PATCH,         "d",       ""  },
    {"PATCH",   "twins/d/modules/m",          OK,         ROUTE_MODULE_TWIN_PATCH,  "d",       "m" },
    {"GET",     "statistics/service",         OK,         ROUTE_STATISTICS_SERVICE, "",        ""  },
    {"GET",     ".well-known/twinhub-ca.pem", OK,         ROUTE_CA,                 "",        ""  },
    {"GET",     "$iothub/websocket",          OK,         ROUTE_WEBSOCKET,          "",        ""  },
    {"GET",     "$IoTHub/WebSocket",          OK,         ROUTE_WEBSOCKET,          "",        ""  },
    {"PUT",     "devices",                    BAD_METHOD, 0,                        NULL,      NULL},
    {"get",     "devices",                    BAD_METHOD, 0,                        NULL,      NULL},
    {"HEAD",    "devices/d",                  BAD_METHOD, 0,                        NULL,      NULL},
    {"OPTIONS", "twins/d",                    BAD_METHOD, 0,                        NULL,      NULL},
    {"POST",    "twins/d",                    BAD_METHOD, 0,                        NULL,      NULL},
    {"POST",    "healthz",                    BAD_METHOD, 0,                        NULL,      NULL},
    {"PUBLISH", "$iothub/twin/GET",           NO_ROUTE,   0,                        NULL,      NULL},
    {"CONNECT", "",                           NO_ROUTE,   0,                        NULL,      NULL},
    {"GET",     "",                           NO_ROUTE,   0,                        NULL,      NULL},
    {"GET",     "twins",                      NO_ROUTE,   0,                        NULL,      NULL},
    {"GET",     "devicess",                   NO_ROUTE,   0,                        NULL,      NULL},
    {"GET",     "devices/d/module",           NO_ROUTE,   0,                        NULL,      NULL},
    {"GET",     "devices/d/modules/m/x",      NO_ROUTE,   0,                        NULL,      NULL},
    {"GET",     "twins/d/modules",            NO_ROUTE,   0,                        NULL,      NULL},
    {"GET",     "statistics",                 NO_ROUTE,   0,                        NULL,      NULL},
};

static size_t split(struct span path, struct span *segments)
{
    size_t count = 0;
    while (path.len) {
        segments[count] = span_first(path, span_index(path, '/'));
        size_t len = segments[count++].len;
        path = span_skip(path, len < path.len ? len + 1 : len);
    }
    return count;
}

TEST(a_request_finds_its_row)
{
    for (size_t i = 0; i < COUNT(found); i++) {
        struct span segments[8];
        struct route_match m = {0};
        size_t count = split(span_text(found[i].path), segments);
        EXPECT_EQ_IN(found[i].path, route_find(span_text(found[i].method), segments, count, &m),
                     found[i].want);
        if (found[i].want != OK)
            continue;
        EXPECT_EQ_IN(found[i].path, m.route->id, found[i].id);
        EXPECT_SPAN_IN(found[i].path, m.device, span_text(found[i].device));
        EXPECT_SPAN_IN(found[i].path, m.module, span_text(found[i].module));
    }
}

TEST(post_with_override_means_patch)
{
    EXPECT_SPAN(route_method(SPAN("POST"), SPAN("PATCH")), SPAN("PATCH"));
    EXPECT_SPAN(route_method(SPAN("POST"), SPAN("patch")), SPAN("PATCH"));
    EXPECT_SPAN(route_method(SPAN("POST"), none), SPAN("POST"));
    EXPECT_SPAN(route_method(SPAN("POST"), SPAN("DELETE")), SPAN("POST"));
    EXPECT_SPAN(route_method(SPAN("GET"), SPAN("PATCH")), SPAN("GET"));
}

TEST_MAIN(RUN(every_row_allows_whom_the_specification_names_and_nobody_else),
          RUN(a_policy_reaches_as_far_as_the_scope_of_its_token),
          RUN(device_connect_for_one_module_does_not_do_what_only_its_device_may),
          RUN(a_request_finds_its_row), RUN(post_with_override_means_patch))
