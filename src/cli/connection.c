#include "cli/connection.h"

#include "base/text.h"
#include "cli/say.h"
#include "cli/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 4096 };

/* ---- the text ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct span trim(struct span s)
{
    while (s.len && is_space(s.data[0]))
        s = span_skip(s, 1);
    while (s.len && is_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

static bool copy(struct span text, char *out, size_t room)
{
    if (!text.len || text.len >= room)
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = 0;
    return true;
}

/* "name", "name:port", "[::1]:port", "[::1]". What goes into a URL is a name and nothing else. */
static bool read_host(struct span text, struct connection *out)
{
    uint64_t port = 443;
    bool bracket = text.len && text.data[0] == '[';
    size_t end = span_index(text, bracket ? ']' : ':');
    struct span host = span_first(text, end);
    if (bracket) {
        host = span_skip(host, 1);
        end += end < text.len;
    }
    struct span rest = span_skip(text, end);
    if (rest.len && (rest.data[0] != ':' || !text_u64(span_skip(rest, 1), &port)))
        return false;
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.data[i];
        bool word = (c | 32) >= 'a' && (c | 32) <= 'z';
        if (!word && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' &&
            !(bracket && c == ':'))
            return false;
    }
    if (port == 0 || port > UINT16_MAX || !copy(host, out->host, sizeof(out->host)))
        return false;
    out->port = (uint16_t)port;
    return true;
}

enum field { HOST, POLICY, KEY, DEVICE, FIELD_COUNT };

static const char *const field_names[FIELD_COUNT] = {"HostName", "SharedAccessKeyName",
                                                     "SharedAccessKey", "DeviceId"};

static void split(struct span text, struct span fields[FIELD_COUNT])
{
    while (text.len) {
        struct span part = span_first(text, span_index(text, ';'));
        text = span_skip(text, part.len < text.len ? part.len + 1 : part.len);
        size_t equals = span_index(part, '=');
        for (size_t i = 0; i < FIELD_COUNT && equals < part.len; i++)
            if (span_eq_nocase(trim(span_first(part, equals)), span_text(field_names[i])))
                fields[i] = trim(span_skip(part, equals + 1));
    }
}

bool connection_parse(struct span text, struct connection *out, struct buf *why)
{
    struct span fields[FIELD_COUNT] = {0};
    *out = (struct connection){0};
    split(trim(text), fields);
    if (fields[DEVICE].len) {
        buf_text(why, "this is the connection string of a device; a service's names "
                      "SharedAccessKeyName");
        return false;
    }
    for (size_t i = 0; i <= KEY; i++)
        if (!fields[i].len) {
            buf_printf(why, "no %s in the connection string", field_names[i]);
            return false;
        }
    if (!read_host(fields[HOST], out))
        buf_text(why, "HostName is no name with or without a port");
    else if (!copy(fields[POLICY], out->policy, sizeof(out->policy)))
        buf_printf(why, "SharedAccessKeyName is longer than %d characters", CONNECTION_POLICY_MAX);
    else if (!key_parse(fields[KEY], &out->key))
        buf_text(why, "SharedAccessKey is not base64 of 16 to 64 bytes");
    else
        return true;
    return false;
}

void connection_fini(struct connection *c)
{
    free(c->ca);
    free(c->data);
    explicit_bzero(c, sizeof(*c));
}

void connection_put_address(struct buf *b, const struct connection *c)
{
    bool v6 = strchr(c->host, ':') != NULL;
    buf_printf(b, "%s%s%s", v6 ? "[" : "", c->host, v6 ? "]" : "");
    if (c->port != 443)
        buf_printf(b, ":%u", c->port);
}

void connection_put(struct buf *b, const struct connection *c)
{
    buf_text(b, "HostName=");
    connection_put_address(b, c);
    buf_printf(b, ";SharedAccessKeyName=%s;SharedAccessKey=", c->policy);
    text_put_base64(b, key_span(&c->key));
}

bool connection_is_loopback(const struct connection *c)
{
    return strcasecmp(c->host, "localhost") == 0 || strncmp(c->host, "127.", 4) == 0 ||
           strcmp(c->host, "::1") == 0;
}

/* ---- finding it ---- */

static char *copy_of(const char *text)
{
    char *c = strdup(text);
    if (!c)
        check_no_memory();
    return c;
}

/* A variable that is set and not empty. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int read_file(const char *path, struct buf *out)
{
    char text[FILE_MAX];
    FILE *f = fopen(path, "re");
    if (!f)
        return errno;
    size_t len = fread(text, 1, sizeof(text), f);
    int error = ferror(f) ? EIO : 0;
    fclose(f);
    buf_put(out, span_of(text, len));
    explicit_bzero(text, sizeof(text));
    return error;
}

/* DIR/connection-string is not there, or not for us to read. */
static int no_directory(const struct args *a, const char *data, const char *path, int error)
{
    struct buf message = {0}, hint = {0};
    bool missing = error == ENOENT || error == ENOTDIR;
    if (missing) {
        buf_printf(&message, "no hub has run in %s", data);
        buf_text(&hint, "start one: twinhub serve --data ");
        say_put_word(&hint, data);
        buf_text(&hint, "; or name its directory with --data, or a --connection-string");
    } else {
        buf_printf(&message, "%s: %s", path, strerror(error));
        buf_text(&hint, "run this as the user the hub runs as");
    }
    int code =
        say_failure(a, &(struct failure){.exit_code = missing ? EXIT_UNREACHABLE : EXIT_CONFIG,
                                         .message = buf_span(&message),
                                         .hint = buf_span(&hint)});
    buf_fini(&message);
    buf_fini(&hint);
    return code;
}

static int find_in_directory(const struct args *a, struct connection *out)
{
    struct buf data = {0}, path = {0}, text = {0}, why = {0};
    const char *named = a->option[OPTION_DATA];
    if (!named)
        named = environment("TWINHUB_DATA");
    if (named)
        buf_text(&data, named);
    else
        settings_default_data(&data);
    buf_byte(&data, 0);
    buf_printf(&path, "%s/connection-string", (char *)data.data);
    buf_byte(&path, 0);
    int code = EXIT_OK, error = read_file((char *)path.data, &text);
    if (error) {
        code = no_directory(a, (char *)data.data, (char *)path.data, error);
    } else if (!connection_parse(buf_span(&text), out, &why)) {
        code = say_failure(a, &(struct failure){.exit_code = EXIT_CONFIG,
                                                .message = buf_span(&why),
                                                .hint = span_text((char *)path.data)});
    } else {
        out->data = copy_of((char *)data.data);
        buf_clear(&path);
        buf_printf(&path, "%s/ca.pem", out->data);
        buf_byte(&path, 0);
        out->ca = copy_of((char *)path.data);
    }
    if (text.len)
        explicit_bzero(text.data, text.len);
    buf_fini(&data);
    buf_fini(&path);
    buf_fini(&text);
    buf_fini(&why);
    return code;
}

int connection_find(const struct args *a, struct connection *out)
{
    const char *text = a->option[OPTION_CONNECTION], *ca = a->option[OPTION_CA];
    *out = (struct connection){0};
    if (text && a->option[OPTION_DATA])
        return say_usage(a, "--connection-string and --data each name a hub: give one");
    if (!text && !a->option[OPTION_DATA])
        text = environment("TWINHUB_CONNECTION_STRING");
    if (!text) {
        int code = find_in_directory(a, out);
        if (code != EXIT_OK)
            return code;
    } else {
        struct buf why = {0};
        bool ok = connection_parse(span_text(text), out, &why);
        int code = ok ? EXIT_OK : say_usage(a, "%.*s", SPAN_ARG(buf_span(&why)));
        buf_fini(&why);
        if (!ok)
            return code;
    }
    if (!ca)
        ca = environment("TWINHUB_CA");
    if (ca) {
        free(out->ca);
        out->ca = copy_of(ca);
    }
    return EXIT_OK;
}
