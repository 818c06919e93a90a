#include "session/rest.h"

#include "base/text.h"
#include "session/error.h"
#include "session/login.h"
#include "wire/uri.h"

#include <stdlib.h>

enum { SEGMENTS_MAX = 8 };

static struct span method_of(const struct http *http)
{
    static const char *const names[] = {
        [METHOD_OTHER] = "OTHER", [METHOD_GET] = "GET",     [METHOD_PUT] = "PUT",
        [METHOD_POST] = "POST",   [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE",
        [METHOD_HEAD] = "HEAD",
    };
    return route_method(span_text(names[http_method(http)]),
                        http_header(http, SPAN("x-http-method-override")));
}

/* YYYY-MM-DD, perhaps with -preview. */
static bool is_api_version(struct span v)
{
    if (v.len < 10 || (v.len > 10 && !span_eq(span_skip(v, 10), SPAN("-preview"))))
        return false;
    for (size_t i = 0; i < 10; i++) {
        bool dash = i == 4 || i == 7;
        if (dash ? v.data[i] != '-' : v.data[i] < '0' || v.data[i] > '9')
            return false;
    }
    return true;
}

static bool has_api_version(struct span query, struct arena *scratch)
{
    struct span version;
    return uri_query_get(query, SPAN("api-version"), scratch, &version) == OK &&
           is_api_version(version);
}

static bool is_own_host(const struct credential_rules *rules, struct span host)
{
    /* A port, but not the colons of an address in brackets. */
    size_t colon = host.len;
    while (colon && host.data[colon - 1] != ':' && host.data[colon - 1] != ']')
        colon--;
    if (colon && host.data[colon - 1] == ':')
        host.len = colon - 1;
    if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = span_of(host.data + 1, host.len - 2);
    for (size_t i = 0; i < rules->host_count; i++)
        if (span_eq_nocase(rules->hosts[i], host))
            return true;
    return false;
}

/* The path's row. */
static enum status match(const struct http *http, struct arena *scratch, struct route_match *out,
                         struct span *query)
{
    struct span path, segments[SEGMENTS_MAX];
    size_t count;
    uri_split(http_target(http), &path, query);
    TRY(uri_path_split(path, scratch, segments, SEGMENTS_MAX, &count));
    return route_find(method_of(http), segments, count, out);
}

/* A policy's token decides at once. A token without a policy is the identity's own: its row must
 * know such callers, and the owner decides. On no row at all (`route` NULL) any policy passes. */
static enum status judge_token(const struct http *http, const struct credential_rules *rules,
                               int64_t wall_ms, const struct route_match *m, struct rest_head *out)
{
    struct sas token;
    struct span header = http_header(http, SPAN("authorization"));
    out->reason = header.data ? "malformed token" : "no token";
    if (!header.data || sas_parse(header, &token) != OK)
        return UNAUTHORIZED;
    const struct route *route = m->route;
    if (!token.policy_len) {
        out->reason = "no identity may call this with its own key";
        return route && (route->by & (BY_DEVICE | BY_MODULE | BY_PARENT)) ? OK : UNAUTHORIZED;
    }
    struct credential credential;
    struct credential_target target = {.device = m->device, .module = m->module};
    enum status st = credential_by_token(rules, &target, &token, wall_ms, &credential);
    out->reason = credential.reason;
    if (st != OK)
        return st;
    out->reason = "the policy has no right to this";
    if (route && !route_allows(route, &credential.peer, m->device, m->module))
        return UNAUTHORIZED;
    out->reason = NULL;
    out->authorised = true;
    return OK;
}

static enum status judge(const struct http *http, const struct credential_rules *rules,
                         int64_t wall_ms, struct arena *scratch, struct rest_head *out)
{
    struct route_match m = {0};
    struct span query = {0};
    enum status found = match(http, scratch, &m, &query);
    if (found == BAD_REQUEST || found == TOO_LARGE)
        return BAD_REQUEST;
    if (found == OK) {
        out->route = m.route->id;
        out->body_max = m.route->body_max;
        if (m.route->by & BY_ANYONE) {
            out->authorised = true;
            return OK;
        }
    }
    if (!has_api_version(query, scratch))
        return BAD_API_VERSION;
    if (!is_own_host(rules, http_header(http, SPAN("host"))))
        return HUB_NOT_FOUND;
    TRY(judge_token(http, rules, wall_ms, &m, out));
    TRY(found);
    if ((m.device.len && !auth_id_is_valid(m.device)) ||
        (m.module.len && !auth_id_is_valid(m.module)))
        return BAD_ARGUMENT;
    return OK;
}

void rest_head(const struct http *http, const struct credential_rules *rules, int64_t wall_ms,
               struct arena *scratch, struct rest_head *out)
{
    *out = (struct rest_head){0};
    out->refusal = judge(http, rules, wall_ms, scratch, out);
    if (out->refusal != OK || !out->authorised)
        out->body_max = REST_UNPROVEN_BODY_MAX;
}

/* ---- calls ---- */

struct call *call_create(void)
{
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        check_no_memory();
    return c;
}

struct span call_keep(struct call *c, struct span s, size_t *at)
{
    CHECK(c->bytes.cap - *at >= s.len);
    if (s.len)
        memcpy(c->bytes.data + *at, s.data, s.len);
    struct span kept = span_of(c->bytes.data + *at, s.len);
    *at += s.len;
    c->bytes.len = *at;
    return kept;
}

void call_destroy(struct call *c)
{
    if (!c)
        return;
    buf_fini(&c->bytes);
    buf_fini(&c->body);
    buf_fini(&c->why);
    free(c);
}

/* Every If-Match header, joined by commas. */
static size_t if_match_len(const struct http *http, size_t *count)
{
    size_t len = 0;
    *count = 0;
    for (size_t i = 0; i < http_field_count(http); i++) {
        struct http_field f = http_field(http, i);
        if (!span_eq_nocase(f.name, SPAN("if-match")))
            continue;
        len += f.value.len + 1;
        (*count)++;
    }
    return len;
}

static struct span keep_if_match(struct call *c, const struct http *http, size_t *at)
{
    size_t from = *at;
    for (size_t i = 0; i < http_field_count(http); i++) {
        struct http_field f = http_field(http, i);
        if (!span_eq_nocase(f.name, SPAN("if-match")))
            continue;
        if (*at > from)
            call_keep(c, SPAN(","), at);
        call_keep(c, f.value, at);
    }
    return span_of(c->bytes.data + from, *at - from);
}

static enum op_kind op_of(enum route_id route)
{
    switch (route) {
    case ROUTE_DEVICE_GET:
        return OP_DEVICE_GET;
    case ROUTE_DEVICE_PUT:
        return OP_DEVICE_PUT;
    case ROUTE_DEVICE_DELETE:
        return OP_DEVICE_DELETE;
    case ROUTE_MODULE_LIST:
        return OP_MODULE_LIST;
    case ROUTE_MODULE_GET:
        return OP_MODULE_GET;
    case ROUTE_MODULE_PUT:
        return OP_MODULE_PUT;
    case ROUTE_MODULE_DELETE:
        return OP_MODULE_DELETE;
    case ROUTE_TWIN_PATCH:
    case ROUTE_MODULE_TWIN_PATCH:
        return OP_TWIN_PATCH;
    case ROUTE_TWIN_PUT:
    case ROUTE_MODULE_TWIN_PUT:
        return OP_TWIN_PUT;
    default:
        return OP_TWIN_GET;
    }
}

struct call *rest_call(const struct http *http, const struct rest_head *head, struct arena *scratch)
{
    struct route_match m = {0};
    struct span query;
    if (match(http, scratch, &m, &query) != OK)
        return NULL;
    struct call *c = call_create();
    struct span token = {0};
    if (!head->authorised)
        token = http_header(http, SPAN("authorization"));
    struct span body = http_body(http);
    size_t matches, at = 0, tags = if_match_len(http, &matches);
    buf_reserve(&c->bytes, m.device.len + m.module.len + tags + body.len + token.len + 1);
    c->route = head->route;
    c->authorised = head->authorised;
    c->op.kind = op_of(head->route);
    c->op.device = call_keep(c, m.device, &at);
    c->op.module = call_keep(c, m.module, &at);
    c->op.has_if_match = matches > 0;
    c->op.if_match = keep_if_match(c, http, &at);
    c->op.body = call_keep(c, body, &at);
    c->op.if_version = -1;
    c->op.by_device = !head->authorised;
    c->token = call_keep(c, token, &at);
    return c;
}

enum status rest_authorise(const struct call *c, const struct credential_rules *rules,
                           const struct record *nobody, const struct live *device,
                           const struct live *module, int64_t wall_ms)
{
    struct identity of_device, of_module;
    struct credential_target target = {.device = c->op.device, .module = c->op.module};
    struct entity d, m;
    bool open = login_identity(device, nobody, &d, &of_device) && !d.disabled;
    if (module || c->op.module.len)
        target.parent = open ? &of_device : NULL;
    else
        target.identity = open ? &of_device : NULL;
    if (module && login_identity(module, nobody, &m, &of_module) && open)
        target.identity = &of_module;
    struct sas token;
    struct credential credential;
    TRY(sas_parse(c->token, &token));
    TRY(credential_by_token(rules, &target, &token, wall_ms, &credential));
    bool allowed = route_allows(route_get(c->route), &credential.peer, c->op.device, c->op.module);
    return allowed ? OK : UNAUTHORIZED;
}

int rest_success(enum route_id route)
{
    return route == ROUTE_DEVICE_DELETE || route == ROUTE_MODULE_DELETE ? 204 : 200;
}

/* ---- responses ---- */

/* A header the client may have echoed to it: visible ASCII of a sensible length. */
static bool may_echo(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < ' ' || value.data[i] > '~')
            return false;
    return value.data && value.len <= 256;
}

void rest_put_answer(struct buf *out, const struct rest_answer *answer, const struct http *http,
                     struct now now, struct random random)
{
    struct http_field fields[6];
    size_t n = 0;
    struct buf id = {0}, etag = {0}, error = {0};
    uint8_t bytes[16];
    random_fill(random, bytes, sizeof(bytes));
    text_put_uuid(&id, bytes);
    fields[n++] = (struct http_field){SPAN("x-ms-request-id"), buf_span(&id)};
    struct span client_id = {0};
    if (http)
        client_id = http_header(http, SPAN("x-ms-client-request-id"));
    if (may_echo(client_id))
        fields[n++] = (struct http_field){SPAN("x-ms-client-request-id"), client_id};
    struct http_response response = {.status = answer->status,
                                     .body = answer->body,
                                     .fields = fields,
                                     .close = answer->close,
                                     .head_only = http && http_method(http) == METHOD_HEAD};
    if (answer->st != OK) {
        const struct status_row *row = status_get(answer->st);
        error_put_rest(&error, answer->st, answer->why, now, random);
        fields[n++] = (struct http_field){SPAN("iothub-errorcode"), span_text(row->label)};
        response.status = row->http ? row->http : 400;
        response.body = buf_span(&error);
    } else if (answer->bulk_failed) { /* C# reads the second name (registry 6) */
        struct span label = span_text(status_get(BULK_FAILED)->label);
        fields[n++] = (struct http_field){SPAN("iothub-errorcode"), label};
        fields[n++] = (struct http_field){SPAN("IotHubErrorCode"), label};
        response.status = status_get(BULK_FAILED)->http;
    } else if (answer->etag.len) {
        buf_printf(&etag, "\"%.*s\"", SPAN_ARG(answer->etag));
        fields[n++] = (struct http_field){SPAN("ETag"), buf_span(&etag)};
    }
    if (answer->st == OK && answer->content_type.len)
        fields[n++] = (struct http_field){SPAN("Content-Type"), answer->content_type};
    response.field_count = n;
    http_put_response(out, &response);
    buf_fini(&id);
    buf_fini(&etag);
    buf_fini(&error);
}
