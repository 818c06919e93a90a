#include "cli/commands.h"

#include "base/text.h"
#include "cli/identity_command.h"
#include "cli/say.h"

#include <errno.h>
#include <stdio.h>

enum { CA_FILE_MAX = 1 << 20 };

/* {"name":"text"} or the text itself, and a line's end. */
static int print_text(const struct args *a, const char *name, struct span text)
{
    struct buf out = {0};
    if (a->option[OPTION_JSON]) {
        buf_printf(&out, "{\"%s\":", name);
        text_put_json_any(&out, text);
        buf_byte(&out, '}');
    } else {
        buf_put(&out, text);
    }
    if (out.data[out.len - 1] != '\n')
        buf_byte(&out, '\n');
    return say_out(a, &out);
}

/* ---- connection-string ---- */

static int show_identity(struct client *c, struct doc_node identity)
{
    struct buf text = {0};
    identity_put_connection(&text, &c->connection, identity);
    int code = print_text(c->args, "connectionString", buf_span(&text));
    buf_fini(&text);
    return code;
}

static int of_identity(const struct args *a, const char *device, const char *module)
{
    struct buf path = {0};
    int code = identity_check(a, device, module);
    client_put_path(&path, "devices", device, module);
    if (code == EXIT_OK)
        code =
            client_once(a, &(struct client_call){"GET", buf_span(&path), NULL, {0}}, show_identity);
    buf_fini(&path);
    return code;
}

static int of_service(const struct args *a)
{
    struct connection c;
    struct buf text = {0};
    const char *policy = a->option[OPTION_POLICY];
    int code = connection_find(a, &c);
    if (code == EXIT_OK && policy && strcmp(policy, c.policy) != 0) {
        code = say_usage(a,
                         "only the key of %s is at hand: the hub keeps those of other policies "
                         "to itself",
                         c.policy);
    } else if (code == EXIT_OK) {
        connection_put(&text, &c);
        code = print_text(a, "connectionString", buf_span(&text));
    }
    buf_fini(&text);
    connection_fini(&c);
    return code;
}

int connection_command(const struct args *a)
{
    const char *device = a->option[OPTION_DEVICE], *module = a->option[OPTION_MODULE];
    if (module && !device)
        return say_usage(a, "--module needs its --device");
    if (device && a->option[OPTION_POLICY])
        return say_usage(a, "--policy is for the service's connection string, not a device's");
    return device ? of_identity(a, device, module) : of_service(a);
}

/* ---- cert ---- */

static int print_file(const struct args *a, const char *path)
{
    struct buf text = {0};
    FILE *f = fopen(path, "re");
    int error = f ? 0 : errno;
    char block[4096];
    for (size_t n; f && text.len < CA_FILE_MAX && (n = fread(block, 1, sizeof(block), f)) > 0;)
        buf_put(&text, span_of(block, n));
    if (f && ferror(f))
        error = EIO;
    if (f)
        fclose(f);
    int code = error ? say_failure(a, &(struct failure){.exit_code = EXIT_CONFIG,
                                                        .message = span_text(strerror(error)),
                                                        .hint = span_text(path)})
                     : print_text(a, "pem", buf_span(&text));
    buf_fini(&text);
    return code;
}

int cert_command(const struct args *a)
{
    struct connection c;
    int code = connection_find(a, &c);
    if (code == EXIT_OK && !c.ca)
        code = say_failure(
            a, &(struct failure){.exit_code = EXIT_CONFIG,
                                 .message = SPAN("a connection string does not tell the CA"),
                                 .hint = SPAN("run `twinhub cert` where the hub runs, or name its "
                                              "--data directory")});
    else if (code == EXIT_OK && a->option[OPTION_PATH])
        code = print_text(a, "path", span_text(c.ca));
    else if (code == EXIT_OK)
        code = print_file(a, c.ca);
    connection_fini(&c);
    return code;
}

/* ---- version ---- */

int version_command(const struct args *a)
{
    return print_text(a, "version",
                      a->option[OPTION_JSON] ? SPAN(TWINHUB_VERSION)
                                             : SPAN("twinhub " TWINHUB_VERSION));
}
