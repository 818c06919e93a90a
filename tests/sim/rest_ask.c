/* rest_ask.c — what back ends ask for. */
#include "run.h"

#include "base/test.h"

#include <stdio.h>

static struct family *any_family(struct run *r)
{
    return &r->model.families[run_random(r, FAMILIES)];
}

static void path_of(char out[96], const char *root, const struct ask *a)
{
    struct span module = family_module(a->slot);
    /* '$' may be escaped or not. */
    if (module.len)
        snprintf(out, 96, "/%s/%s/modules/%.*s", root, a->family->id, SPAN_ARG(module));
    else
        snprintf(out, 96, "/%s/%s", root, a->family->id);
}

/* As somebody who has just read it would, sometimes with an etag that is old. */
static void choose_match(struct run *r, struct ask *a, bool twin)
{
    const struct family *f = a->family;
    size_t back = run_chance(r, 4) ? run_random(r, 4) : 0;
    const struct snap *s = f->moments[f->count - 1 - (back < f->count ? back : 0)].at[a->slot];
    a->match = run_chance(r, 2) ? MATCH_ANY : MATCH_TAG;
    if (a->match == MATCH_ANY)
        return;
    if (!s)
        snprintf(a->tag, sizeof(a->tag), "AAAAAAAAAAE=");
    else if (twin)
        snap_twin_etag(s, a->tag);
    else
        snap_identity_etag(s, a->tag);
}

/* With the key of the device instead of a policy's, as it is or was. */
static void choose_own_key(struct run *r, struct ask *a)
{
    const struct family *f = a->family;
    size_t back = run_chance(r, 4) ? run_random(r, 4) : 0;
    const struct snap *s = f->moments[f->count - 1 - (back < f->count ? back : 0)].at[SLOT_DEVICE];
    struct key key;
    if (s && key_parse(s->e.primary_key, &key))
        snprintf(a->own_key, sizeof(a->own_key), "%.*s", SPAN_ARG(s->e.primary_key));
}

/* ---- identities ---- */

static void choose_keys(struct run *r, struct ask *a, struct buf *b, const struct snap *now)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if (run_chance(r, 16)) {
        a->bad_keys = true;
        buf_text(b, ",\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"short\"}}");
        return;
    }
    if (run_chance(r, 4))
        return; /* the hub makes new ones */
    for (unsigned i = 0; i < 2; i++) {
        struct span kept = {0};
        if (now && now->e.auth == AUTH_SAS && !run_chance(r, 3))
            kept = i ? now->e.secondary_key : now->e.primary_key;
        if (kept.len && kept.len < sizeof(a->keys[i])) {
            memcpy(a->keys[i], kept.data, kept.len);
            continue;
        }
        for (unsigned n = 0; n < 32; n++)
            a->keys[i][n] = alphabet[run_random(r, sizeof(alphabet) - 1)];
    }
    buf_printf(b,
               ",\"authentication\":{\"type\":\"sas\",\"symmetricKey\":{\"primaryKey\":\"%s\","
               "\"secondaryKey\":\"%s\"}}",
               a->keys[0], a->keys[1]);
}

/* The members of an identity, after the id. */
static void put_identity(struct run *r, struct ask *a, struct buf *b)
{
    const struct snap *now = family_last(a->family)->at[a->slot];
    snprintf(a->reason, sizeof(a->reason), "by %llu", (unsigned long long)a->id);
    choose_keys(r, a, b, now);
    if (a->slot) {
        buf_printf(b, ",\"managedBy\":\"%s\"", a->reason);
        return;
    }
    a->disabled = run_chance(r, 6);
    buf_printf(b, ",\"status\":\"%s\",\"statusReason\":\"%s\"",
               a->disabled ? "disabled" : "enabled", a->reason);
    if (now && now->e.edge) {
        snprintf(a->scope, sizeof(a->scope), "%.*s", SPAN_ARG(now->e.scope));
        buf_printf(b, ",\"deviceScope\":\"%s\"", a->scope);
    }
}

static void ask_put(struct run *r, struct rest *c, struct ask *a)
{
    char path[96];
    struct buf body = {0};
    const struct snap *now = family_last(a->family)->at[a->slot];
    if (run_chance(r, 8) ? !now : !!now)
        choose_match(r, a, false);
    if (run_chance(r, 32)) {
        a->malformed = true;
        buf_text(&body, "{\"deviceId\":");
    } else {
        buf_printf(&body, "{\"deviceId\":\"%s\"", a->family->id);
        if (a->slot)
            buf_printf(&body, ",\"moduleId\":\"%.*s\"", SPAN_ARG(family_module(a->slot)));
        put_identity(r, a, &body);
        if (a->slot && run_chance(r, 4))
            choose_own_key(r, a);
        if (!a->slot && a->match == MATCH_NONE && run_chance(r, 6)) {
            a->edge = true;
            buf_text(&body, ",\"capabilities\":{\"iotEdge\":true}");
        }
        buf_byte(&body, '}');
    }
    path_of(path, "devices", a);
    rest_write(r, c, a, "PUT", path, &body);
    buf_fini(&body);
}

static void ask_bare(struct run *r, struct rest *c, struct ask *a, const char *method,
                     const char *root)
{
    char path[96];
    struct buf none = {0};
    if (a->slot && a->kind != ASK_TWIN_GET && run_chance(r, 4))
        choose_own_key(r, a);
    path_of(path, root, a);
    rest_write(r, c, a, method, path, &none);
}

/* ---- twins ---- */

/* A random section: appended to the body, and kept as a tree. False: it is not JSON. */
static bool put_section(struct run *r, struct buf *body, uint64_t mark, bool nulls,
                        const struct naive **tree)
{
    struct buf text = {0};
    enum json_kind kind = json_kind(r);
    json_put_object(r, &text, kind, mark, nulls);
    buf_put(body, buf_span(&text));
    *tree = json_tree(r, buf_span(&text));
    buf_fini(&text);
    return *tree != NULL;
}

/* `"tags":…,"properties":…`, one of them or both. */
static void put_twin(struct run *r, struct ask *a, struct buf *body, bool nulls)
{
    unsigned which = 1 + (unsigned)run_random(r, 3);
    bool whole = true;
    if (which & 1) {
        buf_text(body, "\"properties\":{\"desired\":");
        whole &= put_section(r, body, a->id, nulls, &a->desired);
        buf_text(body, ",\"reported\":{\"no\":1}}");
    }
    if (which == 3)
        buf_byte(body, ',');
    if (which & 2) {
        buf_text(body, "\"tags\":");
        whole &= put_section(r, body, a->id, nulls, &a->tags);
    }
    a->malformed = !whole;
}

static void ask_twin(struct run *r, struct rest *c, struct ask *a)
{
    char path[96];
    struct buf body = {0};
    if (run_chance(r, 3))
        choose_match(r, a, true);
    buf_byte(&body, '{');
    put_twin(r, a, &body, a->kind == ASK_TWIN_PATCH);
    buf_byte(&body, '}');
    path_of(path, "twins", a);
    rest_write(r, c, a, a->kind == ASK_TWIN_PUT ? "PUT" : "PATCH", path, &body);
    buf_fini(&body);
}

/* ---- calls about many ---- */

static const char *const modes[] = {
    [MODE_CREATE] = "create",   [MODE_CREATE_OR_UPDATE] = "createOrUpdate",
    [MODE_UPDATE] = "update",   [MODE_UPDATE_IF_MATCH] = "updateIfMatchETag",
    [MODE_DELETE] = "delete",   [MODE_DELETE_IF_MATCH] = "deleteIfMatchETag",
    [MODE_TWIN] = "updateTwin", [MODE_TWIN_IF_MATCH] = "updateTwinIfMatchETag"};

static void put_entry(struct run *r, struct ask *a, struct buf *body)
{
    a->mode = (enum mode)run_random(r, MODE_COUNT);
    bool twin = a->mode == MODE_TWIN || a->mode == MODE_TWIN_IF_MATCH;
    bool tag = twin ? a->mode == MODE_TWIN_IF_MATCH
                    : a->mode == MODE_UPDATE_IF_MATCH || a->mode == MODE_DELETE_IF_MATCH;
    bool deletes = a->mode == MODE_DELETE || a->mode == MODE_DELETE_IF_MATCH;
    buf_printf(body, "{\"id\":\"%s\"", a->family->id);
    if (a->slot)
        buf_printf(body, ",\"moduleId\":\"%.*s\"", SPAN_ARG(family_module(a->slot)));
    buf_printf(body, ",\"importMode\":\"%s\"", modes[a->mode]);
    if (tag) {
        choose_match(r, a, twin);
        buf_printf(body, ",\"%s\":\"%s\"", twin ? "twinETag" : "eTag",
                   a->match == MATCH_ANY ? "*" : a->tag);
    }
    if (!twin && !deletes)
        put_identity(r, a, body);
    if (twin || (!deletes && run_chance(r, 2))) {
        size_t before = body->len;
        buf_byte(body, ',');
        put_twin(r, a, body, twin);
        if (a->malformed) { /* one bad text would spoil the whole call */
            body->len = before;
            a->malformed = false;
            a->tags = a->desired = NULL;
        }
    }
    buf_byte(body, '}');
}

static void ask_bulk(struct run *r, struct rest *c)
{
    struct ask *bulk = ask_create(&r->model, ASK_BULK, NULL, 0);
    struct buf body = {0};
    bool taken[FAMILIES][SLOTS] = {0};
    unsigned count = 1 + (unsigned)run_random(r, 5);
    struct family *f = any_family(r);
    buf_byte(&body, '[');
    for (unsigned i = 0; i < count; i++) {
        f = run_chance(r, 2) ? f : any_family(r);
        unsigned slot = (unsigned)run_random(r, SLOT_AGENT);
        if (taken[f->index][slot])
            continue;
        taken[f->index][slot] = true;
        if (body.len > 1)
            buf_byte(&body, ',');
        struct ask *a = ask_create(&r->model, ASK_ENTRY, f, slot);
        list_append(&bulk->entries, &a->line);
        put_entry(r, a, &body);
    }
    buf_byte(&body, ']');
    rest_write(r, c, bulk, "POST", "/devices", &body);
    buf_fini(&body);
}

static void ask_list(struct run *r, struct rest *c)
{
    struct ask *a = ask_create(&r->model, ASK_LIST, NULL, 0);
    struct buf none = {0};
    char path[32] = "/devices";
    a->top = 1000;
    if (run_chance(r, 2)) {
        a->top = 1 + (unsigned)run_random(r, FAMILIES);
        snprintf(path, sizeof(path), "/devices?top=%u", a->top);
    }
    rest_write(r, c, a, "GET", path, &none);
}

/* ---- what is refused whatever the state is ---- */

static void ask_refused(struct run *r, struct rest *c)
{
    static const struct {
        const char *method, *path, *body;
        int http;
    } odd[] = {
        {"GET",   "/nowhere",               "",                                  404},
        {"POST",  "/twins/d1",              "{}",                                405},
        {"PUT",   "/devices/d%201",         "{}",                                400},
        {"POST",  "/devices",               "{}",                                400},
        {"POST",  "/devices",               "[",                                 400},
        {"POST",  "/devices",               "[{\"id\":\"d1\"},{\"id\":\"d1\"}]", 400},
        {"PATCH", "/twins/d1/modules/m1/x", "{}",                                404},
    };
    size_t i = run_random(r, COUNT(odd));
    struct ask *a = ask_create(&r->model, ASK_REFUSED, NULL, 0);
    struct buf body = {0};
    a->http = odd[i].http;
    buf_text(&body, odd[i].body);
    rest_write(r, c, a, odd[i].method, odd[i].path, &body);
    buf_fini(&body);
}

/* Bytes that are no request: answered with 400, then the end. */
static void send_garbage(struct run *r, struct rest *c)
{
    struct ask *a = ask_create(&r->model, ASK_REFUSED, NULL, 0);
    a->http = 400;
    buf_text(&c->out, "GET /twins/d1 HTTP/1.1\r\nHost : x\r\n\r\n");
    report_say("rest %llu sends garbage, %llu", (unsigned long long)c->wire->number,
               (unsigned long long)a->id);
    c->closing = true;
    list_append(&c->line, &a->line);
}

static void ask_delete(struct run *r, struct rest *c, struct ask *a)
{
    if (!run_chance(r, 16))
        choose_match(r, a, false);
    ask_bare(r, c, a, "DELETE", "devices");
}

static void ask_modules(struct run *r, struct rest *c, struct ask *a)
{
    char path[96];
    struct buf none = {0};
    snprintf(path, sizeof(path), "/devices/%s/modules", a->family->id);
    if (run_chance(r, 4))
        choose_own_key(r, a);
    rest_write(r, c, a, "GET", path, &none);
}

void rest_ask(struct run *r, struct rest *c)
{
    struct model *m = &r->model;
    struct family *f = any_family(r);
    unsigned slot = run_chance(r, 2) ? SLOT_DEVICE : (unsigned)run_random(r, SLOT_AGENT);
    if (run_chance(r, 24))
        slot = SLOT_AGENT + (unsigned)run_random(r, 2);
    bool exists = family_last(f)->at[SLOT_DEVICE] && family_last(f)->at[slot];
    unsigned what = (unsigned)run_random(r, 100);
    if (!exists && slot < SLOT_AGENT && what < 60)
        what = 60; /* mostly what is not there is created */
    if (what < 35)
        ask_twin(r, c, ask_create(m, ASK_TWIN_PATCH, f, slot));
    else if (what < 43)
        ask_twin(r, c, ask_create(m, ASK_TWIN_PUT, f, slot));
    else if (what < 53)
        ask_bare(r, c, ask_create(m, ASK_TWIN_GET, f, slot), "GET", "twins");
    else if (what < 60)
        ask_bare(r, c, ask_create(m, ASK_GET, f, slot), "GET", "devices");
    else if (what < 72)
        ask_put(r, c, ask_create(m, ASK_PUT, f, slot));
    else if (what < 78)
        ask_delete(r, c, ask_create(m, ASK_DELETE, f, slot));
    else if (what < 82)
        ask_modules(r, c, ask_create(m, ASK_MODULES, f, SLOT_DEVICE));
    else if (what < 92)
        ask_bulk(r, c);
    else if (what < 96)
        ask_list(r, c);
    else if (what < 99)
        ask_refused(r, c);
    else
        send_garbage(r, c);
}
