#include "wire/username.h"

#include "base/text.h"
#include "wire/uri.h"

/* Node writes host:port when the connection string did. */
static struct span without_port(struct span host)
{
    size_t at = host.len;
    while (at && host.data[at - 1] >= '0' && host.data[at - 1] <= '9')
        at--;
    return at && host.data[at - 1] == ':' ? span_first(host, at - 1) : host;
}

static bool begins_query(struct span segment)
{
    return segment.len && segment.data[0] == '?';
}

static bool holds_version(struct span segment)
{
    return segment.len && memmem(segment.data, segment.len, "api-version=", 12);
}

/* The query is the segment with a leading `?`, or with "api-version=" in it (EDGE). */
static bool is_query(struct span segment)
{
    return begins_query(segment) || holds_version(segment);
}

/* A module id may begin with `?` too: then the query stands behind it. */
static bool is_module(struct span segment, struct span after)
{
    if (begins_query(segment) && begins_query(after))
        return !holds_version(segment);
    return segment.len && !is_query(segment);
}

/* A duplicate key keeps its first value (EDGE). What does not decode stays as sent: it identifies
 * nobody, and no client is locked out for it. */
static enum status keep_value(struct span raw, struct arena *scratch, struct span *out)
{
    if (out->data)
        return OK;
    size_t mark = arena_mark(scratch);
    enum status st = uri_decode(raw, scratch, out);
    if (st == TOO_LARGE)
        return TOO_LARGE;
    if (st != OK || !text_is_utf8(*out)) {
        arena_release(scratch, mark);
        *out = raw;
    }
    return OK;
}

/* Pairs joined by `&`, or by `/` from old clients. A raw `/` inside a value (some user agents) cuts
 * it short: only the client type, which is for the log, ever holds one. */
static enum status parse_query(struct span query, struct arena *scratch, struct username *out)
{
    if (begins_query(query))
        query = span_skip(query, 1);
    while (query.len) {
        struct span part = uri_cut(&query, '&');
        while (part.len) {
            struct span value = uri_cut(&part, '/'), key = uri_cut(&value, '=');
            if (span_eq(key, SPAN("api-version")))
                TRY(keep_value(value, scratch, &out->api_version));
            else if (span_eq(key, SPAN("DeviceClientType")))
                TRY(keep_value(value, scratch, &out->client_type));
            else if (span_eq(key, SPAN("model-id")))
                TRY(keep_value(value, scratch, &out->model_id));
        }
    }
    return OK;
}

enum status username_parse(struct span text, struct arena *scratch, struct username *out)
{
    struct username u = {0};
    u.host = without_port(uri_cut(&text, '/'));
    u.device = uri_cut(&text, '/');
    if (u.host.len == 0 || u.device.len == 0)
        return UNAUTHORIZED;
    struct span query = text, module = uri_cut(&text, '/');
    if (is_module(module, text)) {
        u.module = module;
        query = text;
    }
    text = query;
    if (query.len && !is_query(uri_cut(&text, '/')))
        return UNAUTHORIZED;
    TRY(parse_query(query, scratch, &u));
    u.is_registration = u.module.len && span_eq(u.device, SPAN("registrations"));
    *out = u;
    return OK;
}
