#include "cli/client.h"

#include "auth/sas.h"
#include "base/text.h"
#include "cli/say.h"
#include "net/system.h"
#include "wire/uri.h"

#include <stdlib.h>

#define API_VERSION "2021-04-12"

enum { TOKEN_S = 3600, REFUSAL_DEPTH_MAX = 3, FOREIGN_MAX = 200 };

/* ---- what a refusal says ---- */

/* clang-format off */
static const struct hint {
    const char *code, *text;
} hints[] = {
    {"DeviceNotFound",              "twinhub device list shows the devices there are"},
    {"ModuleNotFound",              "twinhub module list DEVICE shows the modules there are"},
    {"DeviceAlreadyExists",         "twinhub device show DEVICE prints it"},
    {"ModuleAlreadyExistsOnDevice", "twinhub module show DEVICE MODULE prints it"},
    {"PreconditionFailed",          "somebody changed it meanwhile: read it again, then write with its new etag"},
    {"IotHubUnauthorizedAccess",    "the hub does not take this key or policy, or the two clocks differ by over five minutes"},
    {"IotHubNotFound",              "the hub does not go by this name: start it with --host NAME"},
    {"ServiceUnavailable",          "the hub's disk takes no writes: see its log"},
};
/* clang-format on */

static struct span hint_of(const char *code)
{
    for (size_t i = 0; i < COUNT(hints); i++)
        if (strcmp(hints[i].code, code) == 0)
            return span_text(hints[i].text);
    return (struct span){0};
}

/* Message of E1, message of E2, which E3 nests as a text inside E1. */
static bool put_message(struct buf *b, struct span body, int depth)
{
    struct json json;
    bool found = false;
    if (json_parse(body, &json)) {
        struct span text = json_text(json.root, "message");
        found = text.len > 0;
        if (found && (depth == REFUSAL_DEPTH_MAX || !put_message(b, text, depth + 1))) {
            size_t semicolon = span_index(text, ';');
            if (span_starts(text, SPAN("ErrorCode:")) && semicolon + 1 < text.len)
                text = span_skip(text, semicolon + 1);
            buf_put(b, text);
        }
    }
    json_fini(&json);
    return found;
}

void client_put_refusal(struct buf *b, struct span body)
{
    if (!put_message(b, body, 0))
        buf_put(b, span_first(body, FOREIGN_MAX));
}

int client_refused(struct client *c)
{
    struct buf message = {0};
    const struct https_reply *r = &c->reply;
    struct failure f = {.exit_code = r->status >= 500 ? EXIT_FAILED : EXIT_REFUSED,
                        .code = span_text(r->error_code),
                        .status = r->status,
                        .hint = hint_of(r->error_code)};
    client_put_refusal(&message, buf_span(&r->body));
    if (!f.code.len) { /* every refusal of a hub has one */
        struct buf address = {0};
        connection_put_address(&address, &c->connection);
        buf_clear(&message);
        buf_printf(&message, "what answers at %.*s is no hub (HTTP %ld)",
                   SPAN_ARG(buf_span(&address)), r->status);
        buf_fini(&address);
        f.exit_code = EXIT_UNREACHABLE;
    }
    f.message = buf_span(&message);
    int code = say_failure(c->args, &f);
    buf_fini(&message);
    return code;
}

/* ---- why there is no answer ---- */

int client_unanswered(struct client *c, const struct client_call *call, enum https_end end,
                      struct span why)
{
    struct buf message = {0}, hint = {0}, address = {0};
    const struct connection *to = &c->connection;
    int code = end == HTTPS_BAD_CA ? EXIT_CONFIG : EXIT_UNREACHABLE;
    connection_put_address(&address, to);
    buf_byte(&address, 0);
    const char *at = (char *)address.data;
    if (end == HTTPS_BAD_CA) {
        buf_printf(&message, "the CA file %s cannot be used: %.*s", to->ca, SPAN_ARG(why));
        buf_text(&hint, "`twinhub cert`, where the hub runs, prints the right one");
    } else if (end == HTTPS_UNTRUSTED) {
        buf_printf(&message, "the certificate of %s is not to be trusted: %.*s", at, SPAN_ARG(why));
        buf_text(&hint, "name the hub's CA with --ca FILE; `twinhub cert`, where the hub runs, "
                        "prints it");
    } else if (end == HTTPS_LOST) {
        buf_printf(&message, "no whole answer from %s: %.*s", at, SPAN_ARG(why));
        if (strcmp(call->method, "GET") != 0)
            buf_text(&hint, "it may have been done all the same: look before asking again");
    } else {
        buf_printf(&message, "no hub answers at %s: %.*s", at, SPAN_ARG(why));
        buf_text(&hint, "start it with `twinhub serve");
        if (c->args->option[OPTION_DATA]) {
            buf_text(&hint, " --data ");
            say_put_word(&hint, to->data);
        }
        buf_byte(&hint, '`');
    }
    say_failure(c->args, &(struct failure){.exit_code = code,
                                           .message = buf_span(&message),
                                           .hint = buf_span(&hint)});
    buf_fini(&message);
    buf_fini(&hint);
    buf_fini(&address);
    return code;
}

/* ---- calls ---- */

int client_open(struct client *c, const struct args *args)
{
    *c = (struct client){.args = args};
    struct buf why = {0};
    int code = connection_find(args, &c->connection);
    if (code == EXIT_OK)
        c->https = https_open("https", &why);
    if (code == EXIT_OK && !c->https)
        code = say_failure(args, &(struct failure){.exit_code = EXIT_FAILED,
                                                   .message = buf_span(&why),
                                                   .hint = SPAN("install libcurl4")});
    buf_fini(&why);
    return code;
}

void client_close(struct client *c)
{
    https_close(c->https);
    buf_fini(&c->reply.body);
    connection_fini(&c->connection);
}

enum https_end client_try(struct client *c, const struct client_call *call, struct buf *why)
{
    struct buf url = {0}, token = {0}, match = {0};
    const struct connection *to = &c->connection;
    bool any = call->if_match && strcmp(call->if_match, "*") == 0;
    buf_text(&url, "https://");
    connection_put_address(&url, to);
    buf_put(&url, call->path);
    bool has_query = span_index(call->path, '?') < call->path.len;
    buf_text(&url, has_query ? "&api-version=" API_VERSION : "?api-version=" API_VERSION);
    buf_byte(&url, 0);

    buf_text(&token, "Authorization: ");
    sas_make(&token, span_text(to->host), key_span(&to->key), system_now().wall_ms / 1000 + TOKEN_S,
             span_text(to->policy));
    buf_byte(&token, 0);
    if (call->if_match)
        buf_printf(&match, any ? "If-Match: %s" : "If-Match: \"%s\"", call->if_match);
    buf_byte(&match, 0);

    struct https_request request = {
        .method = call->method,
        .url = (char *)url.data,
        .headers = {(char *)token.data, "Content-Type: application/json; charset=utf-8",
                    call->if_match ? (char *)match.data : NULL},
        .body = call->body,
        .ca = to->ca,
        .direct = connection_is_loopback(to),
    };
    enum https_end end = https_call(c->https, &request, &c->reply, why);
    buf_fini(&url);
    buf_fini(&token);
    buf_fini(&match);
    return end;
}

int client_send(struct client *c, const struct client_call *call)
{
    struct buf why = {0};
    enum https_end end = client_try(c, call, &why);
    int code = end == HTTPS_ANSWERED ? EXIT_OK : client_unanswered(c, call, end, buf_span(&why));
    buf_fini(&why);
    return code;
}

int client_call(struct client *c, const struct client_call *call)
{
    int code = client_send(c, call);
    if (code == EXIT_OK && (c->reply.status < 200 || c->reply.status > 299))
        code = client_refused(c);
    return code;
}

int client_ask(struct client *c, const struct client_call *call, struct json *out)
{
    *out = (struct json){0};
    int code = client_call(c, call);
    if (code == EXIT_OK && c->reply.body.len && !json_parse(buf_span(&c->reply.body), out))
        code = client_refused(c);
    return code;
}

int client_show_reply(struct client *c, struct doc_node reply)
{
    struct buf out = {0};
    if (c->args->option[OPTION_JSON])
        json_put_line(&out, reply);
    else
        json_put_indented(&out, reply);
    buf_byte(&out, '\n');
    return say_out(c->args, &out);
}

int client_once(const struct args *args, const struct client_call *call, client_show *show)
{
    struct client c;
    struct json reply = {0};
    int code = client_open(&c, args);
    if (code == EXIT_OK)
        code = client_ask(&c, call, &reply);
    if (code == EXIT_OK)
        code = show(&c, reply.root);
    json_fini(&reply);
    client_close(&c);
    return code;
}

void client_put_path(struct buf *b, const char *collection, const char *device, const char *module)
{
    buf_printf(b, "/%s/", collection);
    uri_put(b, span_text(device));
    if (module) {
        buf_text(b, "/modules/");
        uri_put(b, span_text(module));
    }
}
