/* Input: device, module and text, each ended by a line feed. Topics: what is understood can be said
 * again. Filters: agree with a naive matcher on topics made up to suit the filter. */
#include "wire/topic.h"

#include "wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_any(struct span s, const char *bytes)
{
    for (; *bytes; bytes++)
        if (span_index(s, (uint8_t)*bytes) < s.len)
            return true;
    return false;
}

static bool same(const struct topic *a, const struct topic *b)
{
    return a->kind == b->kind && span_eq(a->bag, b->bag) && span_eq(a->rid, b->rid) &&
           a->has_version == b->has_version && a->version == b->version && a->status == b->status;
}

static void put_topic(struct buf *b, const struct topic *t, struct span device, struct span module)
{
    if (t->kind == TOPIC_TELEMETRY) {
        buf_text(b, "devices/");
        buf_put(b, device);
        buf_text(b, module.len ? "/modules/" : "");
        buf_put(b, module);
        buf_text(b, "/messages/events/");
        buf_put(b, t->bag);
        buf_byte(b, '/');
        return;
    }
    if (t->kind == TOPIC_METHOD_RESPONSE)
        buf_printf(b, "$iothub/methods/res/%d/", t->status);
    else
        buf_text(b, t->kind == TOPIC_TWIN_GET ? "$iothub/twin/GET/"
                                              : "$iothub/twin/PATCH/properties/reported/");
    buf_text(b, "?$rid=");
    buf_put(b, t->rid);
    if (t->has_version)
        buf_printf(b, "&$version=%lld", (long long)t->version);
}

static void check_topic(struct span text, struct span device, struct span module)
{
    struct topic t = topic_parse(text, device, module);
    CHECK(topic_kind_name(t.kind));
    if (topic_is_refused(t.kind))
        return;
    CHECK(t.rid.len <= TOPIC_RID_MAX);
    struct buf b = {0};
    put_topic(&b, &t, device, module);
    struct topic back = topic_parse(buf_span(&b), device, module);
    CHECK(same(&t, &back));
    buf_fini(&b);
}

/* MQTT 4.7, word for word; the filter is valid and nothing in `topic` looks like a wildcard. */
static bool naive_match(struct span filter, struct span topic)
{
    if (topic.len && topic.data[0] == '$' && (filter.data[0] == '+' || filter.data[0] == '#'))
        return false;
    for (;;) {
        bool more_filter = span_index(filter, '/') < filter.len;
        bool more_topic = span_index(topic, '/') < topic.len;
        struct span f = uri_cut(&filter, '/'), t = uri_cut(&topic, '/');
        if (span_eq(f, SPAN("#")))
            return true;
        if (!span_eq(f, SPAN("+")) && !span_eq(f, t))
            return false;
        if (!more_topic && more_filter)
            return span_eq(filter, SPAN("#")); /* also the parent level */
        if (!more_filter || !more_topic)
            return more_filter == more_topic;
    }
}

static bool is_valid(struct span filter)
{
    if (filter.len == 0)
        return false;
    for (bool more = true; more;) {
        more = span_index(filter, '/') < filter.len;
        struct span level = uri_cut(&filter, '/');
        if (level.len > 1 && has_any(level, "+#"))
            return false;
        if (span_eq(level, SPAN("#")) && more)
            return false;
    }
    return true;
}

/* A topic of the kind whose levels are `shape`, where * stands for what varies: there it says what
 * the filter says, or "x". D and M stand for the ids. */
static void make_up(struct buf *b, const char *shape, struct span filter, struct span device,
                    struct span module)
{
    struct span rest = span_text(shape);
    while (rest.len) {
        struct span level = uri_cut(&rest, '/'), f = uri_cut(&filter, '/');
        if (span_eq(level, SPAN("*")))
            buf_put(b, f.len == 0 || has_any(f, "+#") ? SPAN("x") : f);
        else
            buf_put(b, span_eq(level, SPAN("D"))   ? device
                       : span_eq(level, SPAN("M")) ? module
                                                   : level);
        buf_text(b, rest.len ? "/" : "");
    }
}

static void check_filter(struct span filter, struct span device, struct span module)
{
    static const struct {
        unsigned kind;
        const char *of_device, *of_module;
    } shapes[] = {
        {TOPIC_TWIN_RESPONSE, "$iothub/twin/res/*/*",                    "$iothub/twin/res/*/*"          },
        {TOPIC_DESIRED,       "$iothub/twin/PATCH/properties/desired/*",
         "$iothub/twin/PATCH/properties/desired/*"                                                       },
        {TOPIC_METHODS,       "$iothub/methods/POST/*/*",                "$iothub/methods/POST/*/*"      },
        {TOPIC_C2D,           "devices/D/messages/devicebound/*",
         "devices/D/modules/M/messages/devicebound/*"                                                    },
        {TOPIC_INPUTS,        NULL,                                      "devices/D/modules/M/inputs/*/*"},
    };
    unsigned got = topic_filter_matches(filter, device, module), want = 0;
    if (has_any(device, "+#") || has_any(module, "+#"))
        return;
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(shapes) && is_valid(filter); i++) {
        const char *shape = module.len ? shapes[i].of_module : shapes[i].of_device;
        if (!shape)
            continue;
        buf_clear(&b);
        make_up(&b, shape, filter, device, module);
        if (naive_match(filter, buf_span(&b)))
            want |= shapes[i].kind;
    }
    CHECK(got == want);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct span device = uri_cut(&text, '\n'), module = uri_cut(&text, '\n');
    if (device.len == 0 || has_any(device, "/") || has_any(module, "/"))
        return 0;
    check_topic(text, device, module);
    check_filter(text, device, module);
    return 0;
}
