#include "cli/identity_command.h"

#include "base/text.h"
#include "cli/say.h"
#include "net/system.h"

enum { PAIR = 2, NEW_KEY_LEN = 32 };

/* ---- ids ---- */

int identity_check(const struct args *a, const char *device, const char *module)
{
    static const char rule[] = "1 to 128 of A-Z a-z 0-9 - : . + % _ # * ? ! ( ) , = @ ; $ '";
    if (device && !auth_id_is_valid(span_text(device)))
        return say_usage(a, "\"%s\" is no device id: %s", device, rule);
    if (module && !auth_id_is_valid(span_text(module)))
        return say_usage(a, "\"%s\" is no module id: %s", module, rule);
    return EXIT_OK;
}

struct span identity_time(struct doc_node identity, const char *name)
{
    struct span text = json_text(identity, name);
    return span_starts(text, SPAN("0001-01-01T")) ? SPAN("never") : text;
}

/* ---- credentials ---- */

/* "one" or "one,two". */
static bool split_pair(const char *text, struct span out[PAIR])
{
    struct span all = span_text(text);
    size_t comma = span_index(all, ',');
    out[0] = span_first(all, comma);
    out[1] = comma < all.len ? span_skip(all, comma + 1) : (struct span){0};
    return out[0].len && (comma == all.len || out[1].len);
}

/* The hub takes no key or two; the second is for a change of keys without a break, and new here
 * when only one is given. */
static int put_keys(struct buf *b, const struct args *a, const char *text)
{
    struct span keys[PAIR];
    struct key key;
    struct buf second = {0};
    bool ok = split_pair(text, keys);
    if (ok && !keys[1].len) {
        uint8_t bytes[NEW_KEY_LEN];
        random_fill(system_random(), bytes, sizeof(bytes));
        text_put_base64(&second, span_of(bytes, sizeof(bytes)));
        keys[1] = buf_span(&second);
    }
    for (size_t i = 0; ok && i < PAIR; i++)
        ok = key_parse(keys[i], &key);
    if (ok)
        buf_printf(b,
                   "{\"type\":\"sas\",\"symmetricKey\":{\"primaryKey\":\"%.*s\","
                   "\"secondaryKey\":\"%.*s\"}}",
                   SPAN_ARG(keys[0]), SPAN_ARG(keys[1]));
    buf_fini(&second);
    return ok ? EXIT_OK : say_usage(a, "--key takes base64 of 16 to 64 bytes, once or twice");
}

/* Openssl prints colons between the bytes, the service takes none. */
static bool put_thumbprint(struct buf *b, struct span hex)
{
    uint8_t bytes[32];
    size_t from = b->len, len;
    for (size_t i = 0; i < hex.len; i++)
        if (hex.data[i] != ':')
            buf_byte(b, hex.data[i]);
    return text_hex(span_skip(buf_span(b), from), bytes, sizeof(bytes), &len) &&
           (len == 20 || len == 32);
}

static int put_thumbprints(struct buf *b, const struct args *a, const char *text)
{
    struct span hex[PAIR];
    bool ok = split_pair(text, hex);
    buf_text(b, "{\"type\":\"selfSigned\",\"x509Thumbprint\":{\"primaryThumbprint\":\"");
    ok = ok && put_thumbprint(b, hex[0]);
    if (ok && hex[1].len) {
        buf_text(b, "\",\"secondaryThumbprint\":\"");
        ok = put_thumbprint(b, hex[1]);
    }
    buf_text(b, "\"}}");
    return ok ? EXIT_OK : say_usage(a, "--thumbprint takes 40 or 64 hex digits, once or twice");
}

int identity_put_authentication(struct buf *b, const struct args *a)
{
    const char *key = a->option[OPTION_KEY], *thumbprint = a->option[OPTION_THUMBPRINT];
    const char *ca = a->option[OPTION_CA_SIGNED];
    if ((key != NULL) + (thumbprint != NULL) + (ca != NULL) > 1)
        return say_usage(a, "--key, --thumbprint and --ca-signed exclude each other");
    if (key || thumbprint || ca)
        buf_text(b, ",\"authentication\":");
    if (key)
        return put_keys(b, a, key);
    if (thumbprint)
        return put_thumbprints(b, a, thumbprint);
    if (ca)
        buf_text(b, "{\"type\":\"certificateAuthority\"}");
    return EXIT_OK;
}

void identity_put_connection(struct buf *b, const struct connection *c, struct doc_node identity)
{
    struct span device = json_text(identity, "deviceId"), module = json_text(identity, "moduleId");
    struct doc_node authentication = doc_find_nocase(identity, SPAN("authentication"));
    struct span key =
        json_text(doc_find_nocase(authentication, SPAN("symmetricKey")), "primaryKey");
    buf_printf(b, "HostName=%s;DeviceId=%.*s", c->host, SPAN_ARG(device));
    if (module.len)
        buf_printf(b, ";ModuleId=%.*s", SPAN_ARG(module));
    if (key.len)
        buf_printf(b, ";SharedAccessKey=%.*s", SPAN_ARG(key));
    else
        buf_text(b, ";x509=true");
}

/* ---- calls ---- */

static int show_created(struct client *c, struct doc_node identity)
{
    struct buf out = {0}, lead = {0};
    if (c->args->option[OPTION_JSON])
        return client_show_reply(c, identity);
    identity_put_connection(&out, &c->connection, identity);
    buf_byte(&out, '\n');
    int code = say_out(c->args, &out);
    const char *device = c->args->at[0], *module = c->args->at[1];
    buf_printf(&lead, "give it to the %s", module ? "module" : "device");
    if (c->connection.ca)
        buf_printf(&lead, ", which is to trust %s", c->connection.ca);
    buf_text(&lead, ", or try");
    buf_byte(&lead, 0);
    static const char desired[] = "--desired", rate[] = "{\"rate\":30}";
    say_next(c->args, (char *)lead.data,
             module ? (const char *[]){"twin", "patch", device, module, desired, rate, NULL}
                    : (const char *[]){"twin", "patch", device, desired, rate, NULL});
    buf_fini(&lead);
    return code;
}

static int show_deleted(struct client *c, struct doc_node nothing)
{
    struct buf out = {0};
    const char *device = c->args->at[0], *module = c->args->at[1];
    (void)nothing;
    if (!c->args->option[OPTION_JSON]) {
        buf_printf(&out, "deleted %s%s%s\n", device, module ? "/" : "", module ? module : "");
        return say_out(c->args, &out);
    }
    buf_printf(&out, "{\"deviceId\":\"%s\"", device); /* no id holds what JSON escapes */
    if (module)
        buf_printf(&out, ",\"moduleId\":\"%s\"", module);
    buf_text(&out, ",\"deleted\":true}\n");
    return say_out(c->args, &out);
}

int identity_create(const struct args *a, const char *device, const char *module, struct span body)
{
    struct buf path = {0};
    client_put_path(&path, "devices", device, module);
    int code =
        client_once(a, &(struct client_call){"PUT", buf_span(&path), NULL, body}, show_created);
    buf_fini(&path);
    return code;
}

int identity_show(const struct args *a, const char *device, const char *module)
{
    struct buf path = {0};
    int code = identity_check(a, device, module);
    client_put_path(&path, "devices", device, module);
    if (code == EXIT_OK)
        code = client_once(a, &(struct client_call){"GET", buf_span(&path), NULL, {0}},
                           client_show_reply);
    buf_fini(&path);
    return code;
}

int identity_delete(const struct args *a, const char *device, const char *module)
{
    struct buf path = {0};
    int code = identity_check(a, device, module);
    client_put_path(&path, "devices", device, module);
    if (code == EXIT_OK)
        code = client_once(a, &(struct client_call){"DELETE", buf_span(&path), "*", {0}},
                           show_deleted);
    buf_fini(&path);
    return code;
}
