#include "cli/commands.h"

#include "base/text.h"
#include "cli/identity_command.h"
#include "cli/say.h"
#include "cli/table.h"

#include <stdio.h>

enum { TOP_MAX = 1000 };

int device_create(const struct args *a)
{
    struct buf body = {0};
    int code = identity_check(a, a->at[0], NULL);
    if (code != EXIT_OK)
        return code;
    buf_printf(&body, "{\"deviceId\":\"%s\",\"status\":\"%s\",\"capabilities\":{\"iotEdge\":%s}",
               a->at[0], a->option[OPTION_DISABLED] ? "disabled" : "enabled",
               a->option[OPTION_EDGE] ? "true" : "false");
    code = identity_put_authentication(&body, a);
    buf_byte(&body, '}');
    if (code == EXIT_OK)
        code = identity_create(a, a->at[0], NULL, buf_span(&body));
    buf_fini(&body);
    return code;
}

int device_show(const struct args *a)
{
    return identity_show(a, a->at[0], NULL);
}

int device_delete(const struct args *a)
{
    return identity_delete(a, a->at[0], NULL);
}

/* ---- list ---- */

static int show_list(struct client *c, struct doc_node devices)
{
    struct table table = {0};
    struct buf out = {0};
    if (c->args->option[OPTION_JSON])
        return client_show_reply(c, devices);
    table_add(&table, (struct span[]){SPAN("DEVICE"), SPAN("STATUS"), SPAN("CONNECTION"),
                                      SPAN("LAST ACTIVITY")});
    for (struct doc_node d = doc_first(devices); d.at; d = doc_next(devices, d))
        table_add(&table, (struct span[]){json_text(d, "deviceId"), json_text(d, "status"),
                                          json_text(d, "connectionState"),
                                          identity_time(d, "lastActivityTime")});
    table_put(&out, &table);
    int code = say_out(c->args, &out);
    if (doc_count(devices) == TOP_MAX)
        fprintf(stderr, "The first %d are shown; there may be more.\n", TOP_MAX);
    return code;
}

int device_list(const struct args *a)
{
    uint64_t top = TOP_MAX;
    struct buf path = {0};
    const char *text = a->option[OPTION_TOP];
    if (text && (!text_u64(span_text(text), &top) || top == 0 || top > TOP_MAX))
        return say_usage(a, "--top takes a number from 1 to %d, not \"%s\"", TOP_MAX, text);
    buf_printf(&path, "/devices?top=%u", (unsigned)top);
    int code = client_once(a, &(struct client_call){"GET", buf_span(&path), NULL, {0}}, show_list);
    buf_fini(&path);
    return code;
}

/* ---- disable, enable ---- */

/* The identity with another status: a PUT replaces all of it, the keys too. */
static void put_with_status(struct buf *b, struct doc_node identity, const char *status,
                            const char *reason)
{
    buf_byte(b, '{');
    for (struct doc_node m = doc_first(identity); m.at; m = doc_next(identity, m)) {
        if (span_eq_nocase(doc_key(m), SPAN("status")) ||
            span_eq_nocase(doc_key(m), SPAN("statusReason")))
            continue;
        text_put_json(b, doc_key(m));
        buf_byte(b, ':');
        doc_put_value(b, m);
        buf_byte(b, ',');
    }
    buf_printf(b, "\"status\":\"%s\",\"statusReason\":", status);
    if (reason)
        text_put_json_any(b, span_text(reason));
    else
        buf_text(b, "null");
    buf_byte(b, '}');
}

/* Read, change, write with the etag read. c->reply.status may be 412: it changed in between. */
static int change_status(struct client *c, struct span path, const char *status, struct json *out)
{
    struct buf body = {0}, etag = {0};
    struct json identity;
    int code = client_ask(c, &(struct client_call){"GET", path, NULL, {0}}, &identity);
    if (code == EXIT_OK) {
        put_with_status(&body, identity.root, status, c->args->option[OPTION_REASON]);
        buf_put(&etag, json_text(identity.root, "etag"));
        buf_byte(&etag, 0);
        code =
            client_send(c, &(struct client_call){"PUT", path, (char *)etag.data, buf_span(&body)});
    }
    if (code == EXIT_OK && c->reply.status == 200 && !json_parse(buf_span(&c->reply.body), out))
        code = client_refused(c);
    json_fini(&identity);
    if (body.len)
        explicit_bzero(body.data, body.len);
    buf_fini(&body);
    buf_fini(&etag);
    return code;
}

static int set_status(const struct args *a, const char *status)
{
    struct client c;
    struct buf path = {0}, out = {0};
    struct json identity = {0};
    int code = identity_check(a, a->at[0], NULL);
    if (code != EXIT_OK)
        return code;
    client_put_path(&path, "devices", a->at[0], NULL);
    code = client_open(&c, a);
    for (int tries = 0; tries < 2 && code == EXIT_OK; tries++) {
        code = change_status(&c, buf_span(&path), status, &identity);
        if (c.reply.status != 412)
            break;
    }
    if (code == EXIT_OK && c.reply.status != 200) {
        code = client_refused(&c);
    } else if (code == EXIT_OK && a->option[OPTION_JSON]) {
        code = client_show_reply(&c, identity.root);
    } else if (code == EXIT_OK) {
        buf_printf(&out, "%s is %s\n", a->at[0], status);
        code = say_out(a, &out);
    }
    json_fini(&identity);
    buf_fini(&path);
    client_close(&c);
    return code;
}

int device_disable(const struct args *a)
{
    return set_status(a, "disabled");
}

int device_enable(const struct args *a)
{
    return set_status(a, "enabled");
}
