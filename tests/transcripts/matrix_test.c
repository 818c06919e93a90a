/* Every route of auth/route.def times everybody who might call it (trials F33, F34).
 *
 * The verdicts come from service-rest 2 and 5.2, device-auth 1 and mqtt 2 to 5, written again as
 * the small tables below; the routes come from the hub's own table, and one without a verdict
 * fails. The combinations are written as one long transcript and run: refused calls are sent in a
 * form that would have an effect, allowed ones in a form that has none, so that the store is the
 * same from first to last, and what nobody expects to hear is found out by the runner.
 */
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/route.h"
#include "script.h"
#include "voices.h"
#include "wire/uri.h"

static const struct mode mode = {.name = "matrix", .shards = 2};

/* ---- the population ---- */

static size_t combinations;

static void put_connect(struct buf *b, const struct person *p, const char *answer)
{
    struct buf name = {0};
    put_person(&name, p);
    buf_printf(b, "%.*s > CONNECT client=%.*s\n%.*s < CONNACK 0%s\n", SPAN_ARG(buf_span(&name)),
               SPAN_ARG(buf_span(&name)), SPAN_ARG(buf_span(&name)), answer);
    buf_fini(&name);
}

/* Everybody who can is connected, with every subscription it may have. */
static void put_population(struct buf *b)
{
    for (size_t i = 0; i < COUNT(people); i++) {
        const struct person *p = &people[i];
        if (same_text(p->module, "nobody"))
            continue;
        buf_text(b, p->module ? "module " : "device ");
        put_person(b, p);
        buf_text(b, p->disabled && !p->module ? " \"status\":\"disabled\"\n" : "\n");
    }
    buf_text(b, "svc > DELETE /devices/gone If-Match:*\nsvc < 204\n");
    for (size_t i = 0; i < COUNT(people); i++) {
        const struct person *p = &people[i];
        if (!is_connected(p))
            continue;
        put_connect(b, p, "");
        put_person(b, p);
        buf_printf(b,
                   " > SUBSCRIBE 1 $iothub/twin/res/#@0 $iothub/twin/PATCH/properties/desired/#@0 "
                   "$iothub/methods/POST/#@0 devices/%s%s%s/messages/devicebound/#@0",
                   p->device, p->module ? "/modules/" : "", p->module ? p->module : "");
        if (p->module)
            buf_printf(b, " devices/%s/modules/%s/inputs/#@0", p->device, p->module);
        buf_text(b, "\n");
        put_person(b, p);
        buf_printf(b, " < SUBACK 1 0 0 0 0%s\n", p->module ? " 0" : "");
    }
    /* Once more, so that activity is stored and the store comes to rest. */
    for (size_t i = 0; i < COUNT(people); i++) {
        if (!is_connected(&people[i]))
            continue;
        put_person(b, &people[i]);
        buf_text(b, " > HANGUP\n");
        put_connect(b, &people[i], " present");
    }
    buf_text(b, "remember\n");
}

/* ---- HTTP ---- */

/* How a row is called when it is allowed and when it is not, and its answer when allowed. */
enum form { READ, BULK, IDENTITY, REMOVAL, TWIN, TEXT, PEM, UPGRADE };

static const struct {
    const char *harmless, *harmful, *answer;
} forms[] = {
  /* clang-format off */
    [READ]     = {"", "", "200 <*>"},
    [BULK]     = {"[]", "[{\"id\":\"alpha\",\"importMode\":\"delete\"}]", "200 <*>"},
    [IDENTITY] = {"If-Match:\"bogus\" {}", "If-Match:* {}", "412 E1 PreconditionFailed *"},
    [REMOVAL]  = {"If-Match:\"bogus\"", "If-Match:*", "412 E1 PreconditionFailed *"},
    [TWIN]     = {"If-Match:\"bogus\" {}", "{\"properties\":{\"desired\":{\"x\":1}}}",
                  "412 E1 PreconditionFailed *"},
    [TEXT]     = {"", "", "200 type=text/plain;\\x20version=0.0.4 <*>"},
    [PEM]      = {"", "", "200 type=application/x-pem-file <*>"},
    [UPGRADE]  = {"", "", "400 close E1 GenericBadRequest *"},
  /* clang-format on */
};

/* What service-rest 2 says of a row. */
static const struct http_row {
    const char *name;
    unsigned needs, or_needs; /* a policy with all of one of these rights; 0: open to anyone */
    bool by_device;           /* the device's own key, for itself and its modules */
    enum form form;
} http_rows[] = {
    {"DEVICE_LIST",        RR, 0,  false, READ    },
    {"DEVICE_BULK",        RW, 0,  false, BULK    },
    {"DEVICE_GET",         RR, 0,  false, READ    },
    {"DEVICE_PUT",         RW, 0,  false, IDENTITY},
    {"DEVICE_DELETE",      RW, 0,  false, REMOVAL },
    {"MODULE_LIST",        RR, DC, true,  READ    },
    {"MODULE_GET",         RR, DC, true,  READ    },
    {"MODULE_PUT",         RW, DC, true,  IDENTITY},
    {"MODULE_DELETE",      RW, DC, true,  REMOVAL },
    {"TWIN_GET",           SC, 0,  false, READ    },
    {"TWIN_PATCH",         SC, 0,  false, TWIN    },
    {"TWIN_PUT",           SC, 0,  false, TWIN    },
    {"MODULE_TWIN_GET",    SC, 0,  false, READ    },
    {"MODULE_TWIN_PATCH",  SC, 0,  false, TWIN    },
    {"MODULE_TWIN_PUT",    SC, 0,  false, TWIN    },
    {"STATISTICS_DEVICES", RR, 0,  false, READ    },
    {"STATISTICS_SERVICE", RR, SC, false, READ    },
    {"HEALTHZ",            0,  0,  false, READ    },
    {"READYZ",             0,  0,  false, READ    },
    {"METRICS",            0,  0,  false, TEXT    },
    {"CA",                 0,  0,  false, PEM     },
    {"WEBSOCKET",          0,  0,  false, UPGRADE },
};

struct http_call {
    const struct route *route;
    const struct http_row *row;
    const struct person *target;
};

static bool http_allows(const struct http_call *c, const struct voice *v)
{
    if (!c->row->needs)
        return true;
    if (v->policy >= 0) {
        unsigned rights = rights_for(v, c->target);
        if (v->twist == OF_MODULE)
            rights &= ~(unsigned)DC; /* "DeviceConnect of that device" is more than of a module */
        return (rights & c->row->needs) == c->row->needs ||
               (c->row->or_needs && (rights & c->row->or_needs) == c->row->or_needs);
    }
    return c->row->by_device && v->self && !v->self->module && c->target &&
           same_text(v->self->device, c->target->device) && proves_itself(v, c->target);
}

static void put_missing(struct buf *b, const struct http_call *c)
{
    bool is_twin = span_starts(span_text(c->route->path), SPAN("/twins"));
    if (c->target->module && !is_twin && !same_text(c->target->device, "gone"))
        buf_printf(b, "404 E1 ModuleNotFound %s", c->target->module);
    else
        buf_printf(b, "404 E1 DeviceNotFound %s", c->target->device);
}

static void put_path(struct buf *b, const struct http_call *c)
{
    for (const char *at = c->route->path; *at; at++) {
        if (*at != '{') {
            buf_byte(b, (uint8_t)*at);
            continue;
        }
        uri_put(b, span_text(at[1] == 'd' ? c->target->device : c->target->module));
        at += 2;
    }
}

static void put_http_call(struct buf *b, const struct voice *v, void *ctx)
{
    const struct http_call *c = ctx;
    bool allowed = http_allows(c, v);
    combinations++;
    buf_printf(b, "svc > %s ", c->route->method);
    put_path(b, c);
    buf_text(b, " token=");
    put_token(b, v, c->target);
    buf_printf(b, " %s\nsvc < ",
               allowed ? forms[c->row->form].harmless : forms[c->row->form].harmful);
    if (!allowed)
        buf_text(b, "401 E1 IotHubUnauthorizedAccess Unauthorized");
    else if (c->target && c->target->absent)
        put_missing(b, c);
    else
        buf_text(b, forms[c->row->form].answer);
    buf_text(b, c->row->form == UPGRADE ? "\nsvc < CLOSED\n" : "\n");
    buf_text(b, "unchanged\n");
}

static void put_http_route(struct buf *b, const struct route *route)
{
    struct http_call c = {.route = route};
    for (size_t i = 0; i < COUNT(http_rows); i++)
        if (strcmp(http_rows[i].name, route->name) == 0)
            c.row = &http_rows[i];
    if (!c.row)
        fail_msg("route %s has no verdict", route->name);
    bool of_device = strstr(route->path, "{d}"), of_module = strstr(route->path, "{m}");
    if (!of_device) {
        each_voice(b, put_http_call, &c);
        return;
    }
    for (size_t i = 0; i < COUNT(people); i++) {
        c.target = &people[i];
        if (of_module == (people[i].module != NULL))
            each_voice(b, put_http_call, &c);
    }
}

/* ---- MQTT ---- */

/* To whom a row belongs: each topic or filter is its owner's, and closed to all others. */
static const struct mqtt_row {
    const char *name;
    enum { OWN, DEVICES, MODULES } whose; /* OWN: no id in it, the speaker's own is meant */
    const char *tail;                     /* of the topic or filter */
    const char *harmless;                 /* a PUBLISH's payload that changes nothing */
    const char *answer;                   /* to a PUBLISH; NULL: none */
} mqtt_rows[] = {
  /* clang-format off */
    {"MQTT_CONNECT",         OWN,     NULL,           NULL, NULL},
    {"MQTT_EVENTS",          DEVICES, "/",            "x",  NULL},
    {"MQTT_MODULE_EVENTS",   MODULES, "/",            "x",  NULL},
    {"MQTT_TWIN_GET",        OWN,     "/?$rid=1",     "",
     "200/?$rid=1 {\"desired\":{\"$version\":1},\"reported\":{\"$version\":1}}"},
    {"MQTT_TWIN_REPORT",     OWN,     "/?$rid=1",     "{}", "204/?$rid=1&$version=1"},
    {"MQTT_METHOD_ANSWER",   OWN,     "/200/?$rid=1", "{}", NULL},
    {"MQTT_HEAR_TWIN",       OWN,     "/#",           NULL, NULL},
    {"MQTT_HEAR_DESIRED",    OWN,     "/#",           NULL, NULL},
    {"MQTT_HEAR_METHODS",    OWN,     "/#",           NULL, NULL},
    {"MQTT_HEAR_C2D",        DEVICES, "/#",           NULL, NULL},
    {"MQTT_MODULE_HEAR_C2D", MODULES, "/#",           NULL, NULL},
    {"MQTT_MODULE_INPUTS",   MODULES, "/#",           NULL, NULL},
  /* clang-format on */
};

static bool connect_allows(const struct person *target, const struct voice *v)
{
    if (!is_connected(target))
        return false;
    if (v->policy >= 0)
        return rights_for(v, target) & DC;
    return v->self && same_person(v->self, target) && proves_itself(v, target);
}

static void put_connect_call(struct buf *b, const struct voice *v, void *ctx)
{
    const struct person *target = ctx;
    struct buf name = {0};
    put_person(&name, target);
    struct span n = buf_span(&name);
    combinations++;
    buf_printf(b, "x > CONNECT client=%.*s ", SPAN_ARG(n));
    if (v->policy < 0 && !v->self) {
        buf_text(b, "nopassword");
    } else {
        buf_text(b, "token=");
        put_token(b, v, target);
    }
    if (connect_allows(target, v)) { /* it takes over; then the one that was there takes over */
        buf_printf(b, "\nx < CONNACK 0 present\n%.*s < CLOSED\n", SPAN_ARG(n));
        put_connect(b, target, " present");
    } else {
        buf_text(b, "\nx < CONNACK 5\n");
    }
    buf_text(b, "x < CLOSED\nunchanged\n");
    buf_fini(&name);
}

struct mqtt_call {
    const struct route *route;
    const struct mqtt_row *row;
    const struct person *target; /* whose topic; NULL: the speaker's own */
};

static void put_topic(struct buf *b, const struct mqtt_call *c)
{
    for (const char *at = c->route->path; *at; at++) {
        if (*at != '{') {
            buf_byte(b, (uint8_t)*at);
            continue;
        }
        buf_text(b, at[1] == 'd' ? c->target->device : c->target->module);
        at += 2;
    }
    buf_text(b, c->row->tail);
}

static void put_publish(struct buf *b, const struct mqtt_call *c, const struct person *self)
{
    bool allowed = !c->target || same_person(c->target, self);
    put_person(b, self);
    buf_text(b, " > PUBLISH qos1 id=3 ");
    put_topic(b, c);
    buf_printf(b, " %s\n", allowed ? c->row->harmless : "{\"x\":1}");
    put_person(b, self);
    if (allowed) {
        buf_text(b, " < PUBACK 3\n");
        if (c->row->answer) {
            put_person(b, self);
            buf_printf(b, " < PUBLISH $iothub/twin/res/%s\n", c->row->answer);
        }
    } else {
        buf_text(b, " < CLOSED\n");
        put_connect(b, self, " present");
    }
}

static void put_subscribe(struct buf *b, const struct mqtt_call *c, const struct person *self)
{
    bool allowed = !c->target || same_person(c->target, self);
    put_person(b, self);
    buf_text(b, " > SUBSCRIBE 4 ");
    put_topic(b, c);
    buf_text(b, "@0\n");
    put_person(b, self);
    buf_printf(b, " < SUBACK 4 %s\n", allowed ? "0" : "0x80");
}

static void put_mqtt_calls(struct buf *b, const struct mqtt_call *c)
{
    for (size_t i = 0; i < COUNT(people); i++) {
        if (!is_connected(&people[i]))
            continue;
        combinations++;
        if (strcmp(c->route->method, "PUBLISH") == 0)
            put_publish(b, c, &people[i]);
        else
            put_subscribe(b, c, &people[i]);
        buf_text(b, "unchanged\n");
    }
}

static void put_mqtt_route(struct buf *b, const struct route *route)
{
    struct mqtt_call c = {.route = route};
    for (size_t i = 0; i < COUNT(mqtt_rows); i++)
        if (strcmp(mqtt_rows[i].name, route->name) == 0)
            c.row = &mqtt_rows[i];
    if (!c.row)
        fail_msg("route %s has no verdict", route->name);
    if (!c.row->tail) {
        for (size_t i = 0; i < COUNT(people); i++) {
            struct person target = people[i];
            each_voice(b, put_connect_call, &target);
        }
    } else if (c.row->whose == OWN) {
        put_mqtt_calls(b, &c);
    } else {
        for (size_t i = 0; i < COUNT(people); i++) {
            c.target = &people[i];
            if ((people[i].module != NULL) == (c.row->whose == MODULES))
                put_mqtt_calls(b, &c);
        }
    }
}

/* Topics and filters that read like somebody else's. */
static void put_tricks(struct buf *b)
{
    static const char *const topics[] = {
        "devices/+/messages/events/",
        "devices/#",
        "devices/alpha/../beta/messages/events/",
        "devices/alpha%2Fmodules%2Fm1/messages/events/",
        "devices//messages/events/",
        "devices/ALPHA/messages/events/",
        "/devices/alpha/messages/events/",
        "$iothub/twin/PATCH/properties/desired/?$rid=1",
        "$iothub/twin/GET/../PATCH/?$rid=1",
        "$iothub/methods/POST/reboot/?$rid=1",
        "$iothub/twin/res/200/?$rid=1",
        "devices/alpha/messages/devicebound/x",
        "devices/alpha/modules/m1/inputs/i/",
    };
    static const char *const filters[] = {
        "devices/+/modules/+/messages/events/#",
        "devices/alpha/messages/events/#",
        "$iothub/+/PATCH/properties/reported/#",
        "$iothub/twin/GET/#",
        "$SYS/#",
        "+",
        "devices/+",
        "devices/nobody/#",
        "/devices/#",
        "devices/alpha+/#",
        "devices/alph#",
    };
    for (size_t i = 0; i < COUNT(people); i++) {
        const struct person *self = &people[i];
        if (!is_connected(self))
            continue;
        for (size_t t = 0; t < COUNT(topics); t++, combinations++) {
            put_person(b, self);
            buf_printf(b, " > PUBLISH qos1 id=3 %s {\"x\":1}\n", topics[t]);
            put_person(b, self);
            buf_text(b, " < CLOSED\n");
            put_connect(b, self, " present");
            buf_text(b, "unchanged\n");
        }
        for (size_t f = 0; f < COUNT(filters); f++, combinations++) {
            put_person(b, self);
            buf_printf(b, " > SUBSCRIBE 4 %s@0\n", filters[f]);
            put_person(b, self);
            buf_text(b, " < SUBACK 4 0x80\nunchanged\n");
        }
    }
}

/* Whoever is spoken to hears it, nobody else does. */
static void put_deliveries(struct buf *b)
{
    for (size_t i = 0; i < COUNT(people); i++) {
        const struct person *p = &people[i];
        if (!is_connected(p))
            continue;
        buf_text(b, "svc > PATCH /twins/");
        uri_put(b, span_text(p->device));
        if (p->module)
            buf_printf(b, "/modules/%s", p->module);
        buf_text(b, " {\"properties\":{\"desired\":{\"x\":1}}}\nsvc < 200 <*>\n");
        put_person(b, p);
        buf_text(b, " < PUBLISH $iothub/twin/PATCH/properties/desired/?$version=2 "
                    "{\"x\":1,\"$version\":2}\n");
    }
}

/* ---- run ---- */

static void run(const char *what, const struct buf *text)
{
    struct buf messages = {0};
    bool holds = script_run(what, 1, buf_span(text), &mode, &messages);
    if (!holds) {
        char *colon = memchr(messages.data, ':', messages.len);
        long line = strtol(colon + 1, NULL, 10);
        struct span rest = buf_span(text), at = {0};
        for (long i = 0; i < line; i++) {
            struct span before = at;
            at = uri_cut(&rest, '\n');
            if (i + 1 == line)
                fprintf(stderr, "%.*s  %.*s\n  %.*s\n", SPAN_ARG(buf_span(&messages)),
                        SPAN_ARG(before), SPAN_ARG(at));
        }
    }
    buf_fini(&messages);
    fprintf(stderr, "%s: %zu combinations\n", what, combinations);
    EXPECT(holds);
}

static void run_door(enum route_door door, const char *what)
{
    struct buf text = {0};
    combinations = 0;
    put_population(&text);
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *route = route_at(i);
        if (route->door != door)
            continue;
        (door == DOOR_HTTP ? put_http_route : put_mqtt_route)(&text, route);
    }
    if (door == DOOR_MQTT)
        put_tricks(&text);
    put_deliveries(&text);
    run(what, &text);
    buf_fini(&text);
}

TEST(every_route_of_http_with_everybody)
{
    run_door(DOOR_HTTP, "http");
}

TEST(every_route_of_mqtt_with_everybody)
{
    run_door(DOOR_MQTT, "mqtt");
}

TEST(every_verdict_has_its_route)
{
    EXPECT_EQ(COUNT(http_rows) + COUNT(mqtt_rows), route_count());
}

TEST_MAIN(RUN(every_verdict_has_its_route), RUN(every_route_of_http_with_everybody),
          RUN(every_route_of_mqtt_with_everybody))
