#include "cli/commands.h"

#include "cli/identity_command.h"
#include "cli/say.h"

#include <errno.h>
#include <stdio.h>

enum { TEXT_MAX = 8 << 20 }; /* the hub takes half of it */

/* What a write was asked: whose twin, and what. */
struct twin_write {
    const char *device, *module; /* module NULL: the device's own */
    struct buf body;
};

static int put_path(struct buf *path, const struct args *a, const char *device, const char *module)
{
    client_put_path(path, "twins", device, module);
    return identity_check(a, device, module);
}

int twin_show(const struct args *a)
{
    struct buf path = {0};
    int code = put_path(&path, a, a->at[0], a->at[1]);
    if (code == EXIT_OK)
        code = client_once(a, &(struct client_call){"GET", buf_span(&path), NULL, {0}},
                           client_show_reply);
    buf_fini(&path);
    return code;
}

/* ---- reading what to write ---- */

static int read_stream(FILE *f, struct buf *out)
{
    char block[16384];
    size_t len;
    while ((len = fread(block, 1, sizeof(block), f)) > 0 && out->len <= TEXT_MAX)
        buf_put(out, span_of(block, len));
    return ferror(f) ? EIO : out->len > TEXT_MAX ? EFBIG : 0;
}

/* JSON, `-` for standard input, or @FILE. */
static int read_text(const struct args *a, const char *text, struct buf *out)
{
    int error = 0;
    if (strcmp(text, "-") == 0) {
        error = read_stream(stdin, out);
    } else if (text[0] == '@') {
        FILE *f = fopen(text + 1, "re");
        error = f ? read_stream(f, out) : errno;
        if (f)
            fclose(f);
    } else {
        buf_text(out, text);
    }
    return error ? say_usage(a, "%s: %s", text, strerror(error)) : EXIT_OK;
}

static int not_an_object(const struct args *a, const char *text)
{
    bool elsewhere = text[0] == '-' || text[0] == '@';
    return say_usage(a, "%s%s is no JSON object; quote it for the shell: '{\"rate\":30}'",
                     elsewhere ? "what stands in " : "", text);
}

static bool is_object(const struct json *j)
{
    return j->root.at && doc_type(j->root) == DOC_OBJECT;
}

/* A twin, or the parts of one. The hub passes over what it does not know, so a bare
 * {"rate":30} would be taken and nothing done. */
static bool has_a_part(struct doc_node twin)
{
    struct doc_node properties = doc_find_nocase(twin, SPAN("properties"));
    return doc_find_nocase(twin, SPAN("tags")).at ||
           doc_find_nocase(properties, SPAN("desired")).at;
}

static int read_whole(const struct args *a, const char *text, bool may_be_empty, struct buf *out)
{
    struct json json = {0};
    int code = read_text(a, text, out);
    if (code == EXIT_OK && (!json_parse(buf_span(out), &json) || !is_object(&json)))
        code = not_an_object(a, text);
    else if (code == EXIT_OK && !has_a_part(json.root) &&
             !(may_be_empty && doc_count(json.root) == 0))
        code = say_usage(a, "neither \"tags\" nor \"properties\":{\"desired\":...} in it; "
                            "`twin patch --desired` takes desired properties alone");
    json_fini(&json);
    return code;
}

/* --desired or --tags as a member; `out` ends with `{` or a whole member. */
static int put_section(const struct args *a, enum option option, struct buf *out)
{
    struct buf text = {0};
    struct json json = {0};
    if (!a->option[option])
        return EXIT_OK;
    int code = read_text(a, a->option[option], &text);
    if (code == EXIT_OK && (!json_parse(buf_span(&text), &json) || !is_object(&json)))
        code = not_an_object(a, a->option[option]);
    if (code == EXIT_OK) {
        bool desired = option == OPTION_DESIRED;
        buf_text(out, out->len > 1 ? "," : "");
        buf_text(out, desired ? "\"properties\":{\"desired\":" : "\"tags\":");
        doc_put_value(out, json.root);
        buf_text(out, desired ? "}" : "");
    }
    json_fini(&json);
    buf_fini(&text);
    return code;
}

/* ---- writing ---- */

static int show_written(struct client *c, struct doc_node twin)
{
    struct buf out = {0};
    struct span module = json_text(twin, "moduleId"), etag = json_text(twin, "etag");
    if (c->args->option[OPTION_JSON])
        return client_show_reply(c, twin);
    struct doc_node desired = doc_find(doc_find(twin, SPAN("properties")), SPAN("desired"));
    struct doc_node version = doc_find(desired, SPAN("$version"));
    buf_put(&out, json_text(twin, "deviceId"));
    buf_text(&out, module.len ? "/" : "");
    buf_put(&out, module);
    buf_text(&out, ": desired version ");
    if (version.at)
        doc_put_value(&out, version);
    buf_printf(&out, ", etag %.*s\n", SPAN_ARG(etag));
    return say_out(c->args, &out);
}

static int send_write(const struct args *a, const char *method, const struct twin_write *w)
{
    struct buf path = {0};
    int code = put_path(&path, a, w->device, w->module);
    struct client_call call = {method, buf_span(&path), a->option[OPTION_ETAG], buf_span(&w->body)};
    if (code == EXIT_OK)
        code = client_once(a, &call, show_written);
    buf_fini(&path);
    return code;
}

/* DEVICE [MODULE] JSON: the last argument is the JSON. */
static int write_whole(const struct args *a, const char *method, bool may_be_empty)
{
    struct twin_write w = {.device = a->at[0], .module = a->count == 3 ? a->at[1] : NULL};
    int code = read_whole(a, a->at[a->count - 1], may_be_empty, &w.body);
    if (code == EXIT_OK)
        code = send_write(a, method, &w);
    buf_fini(&w.body);
    return code;
}

int twin_patch(const struct args *a)
{
    if (!a->option[OPTION_DESIRED] && !a->option[OPTION_TAGS]) {
        if (a->count < 2)
            return say_usage(a, "the patch is missing: --desired, --tags or JSON");
        return write_whole(a, "PATCH", false);
    }
    struct twin_write w = {.device = a->at[0], .module = a->at[1]};
    if (a->count == 3)
        return say_usage(a, "JSON for the whole, or --desired and --tags: not both");
    buf_byte(&w.body, '{');
    int code = put_section(a, OPTION_TAGS, &w.body);
    if (code == EXIT_OK)
        code = put_section(a, OPTION_DESIRED, &w.body);
    buf_byte(&w.body, '}');
    if (code == EXIT_OK)
        code = send_write(a, "PATCH", &w);
    buf_fini(&w.body);
    return code;
}

int twin_replace(const struct args *a)
{
    if (a->count < 2)
        return say_usage(a, "the twin is missing: {\"tags\":...,\"properties\":{\"desired\":...}}");
    return write_whole(a, "PUT", true);
}
