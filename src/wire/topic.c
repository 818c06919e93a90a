#include "wire/topic.h"

#include "base/text.h"
#include "wire/uri.h"

/* Cut `prefix` off the front of *s; false, and *s as it was, when it does not stand there. */
static bool take(struct span *s, struct span prefix)
{
    if (!span_starts(*s, prefix))
        return false;
    *s = span_skip(*s, prefix.len);
    return true;
}

static struct span strip_slashes(struct span s)
{
    while (s.len && s.data[s.len - 1] == '/')
        s.len--;
    return s;
}

static bool has_wildcard(struct span s)
{
    return span_index(s, '+') < s.len || span_index(s, '#') < s.len;
}

/* The first value of `name` in a query, as raw bytes; false when the query does not have it. */
static bool query_find(struct span query, struct span name, struct span *value)
{
    while (query.len) {
        struct span pair = uri_cut(&query, '&');
        if (take(&pair, name) && take(&pair, SPAN("="))) {
            *value = pair;
            return true;
        }
    }
    return false;
}

/* TOPIC_UNKNOWN stands for "nothing wrong with it" here. */
static enum topic_kind rid_fault(struct span rid, bool needed)
{
    if (needed && rid.len == 0)
        return TOPIC_NO_RID;
    return rid.len > TOPIC_RID_MAX ? TOPIC_LONG_RID : TOPIC_UNKNOWN;
}

static struct topic refused(enum topic_kind why)
{
    return (struct topic){.kind = why};
}

/* `rest` follows $iothub/twin/ : GET/?$rid=... or PATCH/properties/reported/?$rid=...&$version=...
 */
static struct topic parse_twin(struct span rest)
{
    struct span operation = strip_slashes(uri_cut(&rest, '?')), rid = {0}, version;
    struct topic t = {0};
    if (span_eq(operation, SPAN("GET")))
        t.kind = TOPIC_TWIN_GET;
    else if (span_eq(operation, SPAN("PATCH/properties/reported")))
        t.kind = TOPIC_TWIN_PATCH;
    else
        return refused(TOPIC_BAD_OPERATION);

    (void)query_find(rest, SPAN("$rid"), &rid);
    enum topic_kind fault = rid_fault(rid, t.kind == TOPIC_TWIN_GET);
    if (fault != TOPIC_UNKNOWN)
        return refused(fault);
    t.rid = rid;
    if (t.kind == TOPIC_TWIN_PATCH && query_find(rest, SPAN("$version"), &version)) {
        t.has_version = true;
        if (!text_i64(version, &t.version))
            return refused(TOPIC_BAD_VERSION);
    }
    return t;
}

/* `rest` follows $iothub/methods/res/ : {status}/?$rid=... */
static struct topic parse_response(struct span rest)
{
    struct span text = strip_slashes(uri_cut(&rest, '?')), rid = {0};
    int64_t status;
    if (!text_i64(text, &status) || status < INT32_MIN || status > INT32_MAX)
        return refused(TOPIC_BAD_STATUS);
    (void)query_find(rest, SPAN("$rid"), &rid);
    enum topic_kind fault = rid_fault(rid, true);
    if (fault != TOPIC_UNKNOWN)
        return refused(fault);
    return (struct topic){.kind = TOPIC_METHOD_RESPONSE, .status = (int32_t)status, .rid = rid};
}

/* Cut {device}[/modules/{module}] and the slash after it off the front of *s. */
static bool take_identity(struct span *s, struct span device, struct span module)
{
    CHECK(device.len);
    struct span rest = *s;
    if (!take(&rest, device))
        return false;
    if (module.len && !(take(&rest, SPAN("/modules/")) && take(&rest, module)))
        return false;
    if (!take(&rest, SPAN("/")))
        return false;
    *s = rest;
    return true;
}

/* `rest` follows devices/ : {own identity}/messages/events[/[bag]] */
static struct topic parse_device(struct span rest, struct span device, struct span module)
{
    bool own = take_identity(&rest, device, module);
    if (has_wildcard(rest))
        return refused(TOPIC_WILDCARD);
    /* A device does not speak for its modules. */
    if (!own || (module.len == 0 && span_starts(rest, SPAN("modules/"))))
        return refused(TOPIC_FOREIGN);
    if (!take(&rest, SPAN("messages/events")) || (rest.len && !take(&rest, SPAN("/"))))
        return refused(TOPIC_UNKNOWN);
    return (struct topic){.kind = TOPIC_TELEMETRY, .bag = strip_slashes(rest)};
}

struct topic topic_parse(struct span text, struct span device, struct span module)
{
    if (take(&text, SPAN("devices/")))
        return parse_device(text, device, module);
    if (has_wildcard(text))
        return refused(TOPIC_WILDCARD);
    if (take(&text, SPAN("$iothub/twin/")))
        return parse_twin(text);
    if (take(&text, SPAN("$iothub/methods/res/")))
        return parse_response(text);
    return refused(TOPIC_UNKNOWN);
}

const char *topic_kind_name(enum topic_kind kind)
{
    /* clang-format off */
    static const char *const names[] = {
        [TOPIC_TELEMETRY]       = "TELEMETRY",
        [TOPIC_TWIN_GET]        = "TWIN_GET",
        [TOPIC_TWIN_PATCH]      = "TWIN_PATCH",
        [TOPIC_METHOD_RESPONSE] = "METHOD_RESPONSE",
        [TOPIC_UNKNOWN]         = "UNKNOWN",
        [TOPIC_FOREIGN]         = "FOREIGN",
        [TOPIC_WILDCARD]        = "WILDCARD",
        [TOPIC_BAD_OPERATION]   = "BAD_OPERATION",
        [TOPIC_NO_RID]          = "NO_RID",
        [TOPIC_LONG_RID]        = "LONG_RID",
        [TOPIC_BAD_VERSION]     = "BAD_VERSION",
        [TOPIC_BAD_STATUS]      = "BAD_STATUS",
    };
    /* clang-format on */
    CHECK((size_t)kind < COUNT(names));
    return names[kind];
}

enum { LEVELS_MAX = 7 };

/* The topics of one kind, level by level; a level without bytes varies from topic to topic. */
struct pattern {
    struct span levels[LEVELS_MAX];
    size_t count;
};

/* clang-format off */
#define L(literal) SPAN_INIT(literal)
#define VARIES     {0}
static const struct {
    unsigned delivers;
    struct pattern pattern;
} shared_patterns[] = {
    {TOPIC_TWIN_RESPONSE, {{L("$iothub"), L("twin"), L("res"), VARIES, VARIES}, 5}},
    {TOPIC_DESIRED,       {{L("$iothub"), L("twin"), L("PATCH"), L("properties"), L("desired"), VARIES}, 6}},
    {TOPIC_METHODS,       {{L("$iothub"), L("methods"), L("POST"), VARIES, VARIES}, 5}},
};
#undef L
#undef VARIES
/* clang-format on */

/* MQTT 4.7 between a filter and every topic of a pattern. A level that reads like the pattern's is
 * compared first, so that the own ids may look like wildcards; every other level is checked to be
 * a whole wildcard, or free of them [MQTT-4.7.1-2], [MQTT-4.7.1-3]. */
static bool filter_meets(struct span filter, const struct pattern *p)
{
    bool hidden = p->levels[0].data[0] == '$'; /* from leading wildcards [MQTT-4.7.2-1] */
    for (size_t i = 0;; i++) {
        size_t len = span_index(filter, '/');
        bool last = len == filter.len;
        struct span level = span_first(filter, len);
        if (last && span_eq(level, SPAN("#")))
            return !(hidden && i == 0);
        if (i == p->count)
            return false;
        struct span want = p->levels[i];
        bool same = want.len ? span_eq(level, want) : level.len && !has_wildcard(level);
        bool any = span_eq(level, SPAN("+")) && !(hidden && i == 0);
        if (!same && !any)
            return false;
        if (last)
            return i + 1 == p->count;
        filter = span_skip(filter, len + 1);
    }
}

/* devices/{d}[/modules/{m}] and what comes under it. */
static struct pattern identity_pattern(struct span device, struct span module)
{
    struct pattern p = {
        {SPAN("devices"), device},
        2
    };
    if (module.len) {
        p.levels[p.count++] = SPAN("modules");
        p.levels[p.count++] = module;
    }
    return p;
}

unsigned topic_filter_matches(struct span filter, struct span device, struct span module)
{
    CHECK(device.len);
    unsigned found = 0;
    for (size_t i = 0; i < COUNT(shared_patterns); i++)
        if (filter_meets(filter, &shared_patterns[i].pattern))
            found |= shared_patterns[i].delivers;

    struct pattern c2d = identity_pattern(device, module);
    c2d.levels[c2d.count++] = SPAN("messages");
    c2d.levels[c2d.count++] = SPAN("devicebound");
    c2d.levels[c2d.count++] = (struct span){0};
    if (filter_meets(filter, &c2d))
        found |= TOPIC_C2D;

    if (module.len) {
        struct pattern inputs = identity_pattern(device, module);
        inputs.levels[inputs.count++] = SPAN("inputs");
        inputs.levels[inputs.count++] = (struct span){0};
        inputs.levels[inputs.count++] = (struct span){0};
        if (filter_meets(filter, &inputs))
            found |= TOPIC_INPUTS;
    }
    return found;
}

void topic_put_twin_response(struct buf *b, int status, struct span rid, int64_t version)
{
    buf_put(b, SPAN("$iothub/twin/res/"));
    buf_i64(b, status);
    buf_put(b, SPAN("/?$rid="));
    buf_put(b, rid);
    if (version >= 0) {
        buf_put(b, SPAN("&$version="));
        buf_i64(b, version);
    }
}

void topic_put_desired(struct buf *b, int64_t version)
{
    buf_put(b, SPAN("$iothub/twin/PATCH/properties/desired/?$version="));
    buf_i64(b, version);
}

void topic_put_method(struct buf *b, struct span method, struct span rid)
{
    buf_put(b, SPAN("$iothub/methods/POST/"));
    buf_put(b, method);
    buf_put(b, SPAN("/?$rid="));
    buf_put(b, rid);
}

void topic_put_devicebound(struct buf *b, struct span device, struct span module)
{
    buf_put(b, SPAN("devices/"));
    buf_put(b, device);
    if (module.len) {
        buf_put(b, SPAN("/modules/"));
        buf_put(b, module);
    }
    buf_put(b, SPAN("/messages/devicebound/"));
}
