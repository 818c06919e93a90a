/* registry_fixture.h — for tests: a hub without a store, driven step by step through hub_apply.
 *
 * Everything that was ever admitted stays in memory, so what hub_missing asks for does not exist.
 */
#ifndef HUB_REGISTRY_FIXTURE_H
#define HUB_REGISTRY_FIXTURE_H

#include "base/test.h"
#include "hub/hub.h"

#include <stdio.h>
#include <stdlib.h>

/* Parts of bodies. */
#define KEY_A      "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
#define KEY_B      "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
#define KEYS(a, b) "{\"primaryKey\":\"" a "\",\"secondaryKey\":\"" b "\"}"
#define SAS(a, b)  "\"authentication\":{\"type\":\"sas\",\"symmetricKey\":" KEYS(a, b) "}"
#define AUTH(type) "{\"authentication\":{\"type\":\"" type "\"}}"
#define SHA1_A     "0123456789abcdefABCDEF0123456789abcdef01"
#define SHA1_B     "00000000000000000000000000000000000000ff"
#define SHA256_A   SHA1_A "0123456789abcdef01234567"
#define THUMBPRINTS(a, b) \
    "\"x509Thumbprint\":{\"primaryThumbprint\":\"" a "\",\"secondaryThumbprint\":\"" b "\"}"
#define DISABLED "\"status\":\"disabled\""
#define EDGE     "\"capabilities\":{\"iotEdge\":true}"
#define NO_EDGE  "\"capabilities\":{\"iotEdge\":false}"

/* Rows of steps end where nothing more is expected. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum { FIXTURE_PARTITIONS = 4, FIXTURE_ARENA = 64 << 20 };

struct fixture {
    struct hub hub;
    struct store_partition parts[FIXTURE_PARTITIONS];
    struct arena arena;
    struct now now;
    uint64_t seed;
    struct outcome out; /* of the last operation; its arena lasts until the next one */
    struct buf body;
    struct buf effects; /* as text: "create d, kick d DEVICE_DISABLED" */
};

/* One operation and what must come of it. The order is that in which a row reads. */
struct step { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char *name;
    enum op_kind kind;
    const char *device, *module, *if_match, *body; /* NULL: none */
    enum status want;
    const char *shows;   /* somewhere in the answer, or in the text of the refusal; NULL: any */
    const char *effects; /* NULL: any */
    bool by_device;
};

static inline void fixture_random(void *ctx, void *out, size_t len)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)test_random(ctx);
}

static inline void fixture_init(struct fixture *f, uint64_t seed)
{
    const struct hub_config config = {
        .name = SPAN("myhub"),
        .limits = &doc_limits_azure,
        .partitions = FIXTURE_PARTITIONS,
        .modules_max = 3,
        .recent_max = 1000,
    };
    *f = (struct fixture){
        .seed = seed, .now = {1772619630123, 5000}
    }; /* 2026-03-04T10:20:30.123 */
    arena_init(&f->arena, malloc(FIXTURE_ARENA), FIXTURE_ARENA);
    hub_init(&f->hub, &config, (struct random){fixture_random, &f->seed}, f->parts);
}

static inline void fixture_fini(struct fixture *f)
{
    hub_fini(&f->hub);
    arena_reset(&f->arena);
    free(f->arena.base);
    buf_fini(&f->body);
    buf_fini(&f->effects);
}

static inline struct live *fixture_find(struct fixture *f, const char *device, const char *module)
{
    return hub_live_find(&f->hub, span_text(device), span_text(module));
}

static inline struct entity fixture_entity(struct fixture *f, const char *device,
                                           const char *module)
{
    struct live *l = fixture_find(f, device, module);
    struct entity e;
    EXPECT(l && l->record);
    live_entity(l, &e);
    return e;
}

static inline void fixture_note(struct fixture *f, const struct effect *e)
{
    static const char *const kinds[] = {
        [EFFECT_DESIRED] = "push", [EFFECT_CREDENTIALS] = "rekey", [EFFECT_KICK] = "kick"};
    static const char *const changes[] = {
        [CHANGE_CREATE] = "create", [CHANGE_DELETE] = "delete",   [CHANGE_IDENTITY] = "identity",
        [CHANGE_TWIN] = "twin",     [CHANGE_SESSION] = "session", [CHANGE_ACTIVITY] = "activity"};
    const char *what = kinds[e->kind];
    if (e->kind == EFFECT_CHANGE) {
        struct change_head head;
        EXPECT_EQ(change_head(e->change.effect, &head), OK);
        what = changes[head.kind];
    }
    struct span device = live_device(e->who), module = live_module(e->who);
    buf_printf(&f->effects, "%s%s %.*s", f->effects.len ? ", " : "", what, SPAN_ARG(device));
    if (module.len)
        buf_printf(&f->effects, "/%.*s", SPAN_ARG(module));
    if (e->kind == EFFECT_KICK)
        buf_printf(&f->effects, " %s", status_name(e->why));
}

static inline enum status fixture_apply(struct fixture *f, const struct op *op)
{
    struct span device, module;
    bool children;
    while (hub_missing(&f->hub, op, &device, &module, &children)) {
        if (children) {
            hub_children_known(&f->hub, hub_live_find(&f->hub, device, (struct span){0}));
            continue;
        }
        struct live *l;
        EXPECT_EQ(hub_admit(&f->hub, device, module, NULL, &l), OK);
    }
    arena_reset(&f->arena);
    buf_clear(&f->body);
    buf_clear(&f->effects);
    f->out = (struct outcome){.body = &f->body};
    struct turn turn = {f->now, &f->arena};
    hub_apply(&f->hub, op, &turn, &f->out);
    for (const struct effect *e = f->out.effects; e; e = e->next)
        fixture_note(f, e);
    hub_effects_done(&f->out);
    return f->out.status;
}

static inline bool fixture_contains(struct span text, const char *part)
{
    return memmem(text.data, text.len, part, strlen(part)) != NULL;
}

static inline void fixture_step(struct fixture *f, const struct step *s)
{
    struct op op = {
        .kind = s->kind,
        .device = span_text(s->device),
        .module = span_text(s->module),
        .body = span_text(s->body),
        .has_if_match = s->if_match != NULL,
        .if_match = span_text(s->if_match),
        .by_device = s->by_device,
        .if_version = -1,
    };
    enum status got = fixture_apply(f, &op);
    if (got != s->want)
        fail_msg("%s: %s, not %s (%.*s)", s->name, status_name(got), status_name(s->want),
                 SPAN_ARG(f->out.why));
    struct span text = got == OK ? buf_span(&f->body) : f->out.why;
    if (s->shows && !fixture_contains(text, s->shows))
        fail_msg("%s: %s is not in %.*s", s->name, s->shows, SPAN_ARG(text));
    if (s->effects)
        EXPECT_SPAN_IN(s->name, buf_span(&f->effects), span_text(s->effects));
    if (got != OK && (f->body.len || f->effects.len))
        fail_msg("%s: refused, and yet something came of it", s->name);
}

/* Create (if_match NULL) or update an identity; module NULL: the device. It must succeed. */
static inline void fixture_put(struct fixture *f, const char *device, const char *module,
                               const char *if_match, const char *body)
{
    const struct step step = {
        .name = body,
        .kind = module ? OP_MODULE_PUT : OP_DEVICE_PUT,
        .device = device,
        .module = module,
        .if_match = if_match,
        .body = body,
    };
    fixture_step(f, &step);
}

static inline struct span fixture_answer(const struct fixture *f)
{
    return buf_span(&f->body);
}

#define PLAY(f, steps) fixture_play(f, steps, COUNT(steps))
static inline void fixture_play(struct fixture *f, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fixture_step(f, &steps[i]);
}

#endif
