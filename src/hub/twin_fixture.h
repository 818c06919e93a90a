/* twin_fixture.h — for tests: the fixture of the registry's tests with twins made directly, and
 * with what an operation did kept until the next one.
 */
#ifndef HUB_TWIN_FIXTURE_H
#define HUB_TWIN_FIXTURE_H

#include "hub/registry_fixture.h"
#include "hub/twin.h"

/* Give back what the last operation left, and begin the turn of the next. */
static inline struct turn twin_turn(struct fixture *f)
{
    hub_effects_done(&f->out);
    arena_reset(&f->arena);
    buf_clear(&f->body);
    f->out = (struct outcome){.body = &f->body};
    f->out.last = &f->out.effects;
    return (struct turn){f->now, &f->arena};
}

static inline struct live *twin_admit(struct fixture *f, const char *device, const char *module)
{
    struct live *l;
    EXPECT_EQ(hub_admit(&f->hub, span_text(device), span_text(module), NULL, &l), OK);
    return l;
}

static inline struct doc_node twin_parse(const struct turn *turn, const char *json)
{
    struct span doc = {0};
    EXPECT_EQ(doc_parse(span_text(json), &doc_limits_azure.syntax, turn->arena, &doc), OK);
    return doc_root(doc);
}

/* A new identity whose twin starts with `content` (NULL: empty). */
static inline enum status twin_create(struct fixture *f, const char *device, const char *module,
                                      const char *content)
{
    struct live *l = twin_admit(f, device, module);
    struct turn turn = twin_turn(f);
    struct entity e = {
        .device = span_text(device),
        .module = span_text(module),
        .generation = hub_generation(&f->hub, &turn),
        .identity_etag = module ? 277182818 : 314159265,
        .created_ms = f->now.wall_ms,
        .status_updated_ms = TIME_NEVER,
        .last_activity_ms = TIME_NEVER,
        .connection_updated_ms = TIME_NEVER,
    };
    struct doc_node body = content ? twin_parse(&turn, content) : (struct doc_node){NULL};
    TRY(twin_init(&f->hub, &e, body, &turn, &f->out));
    struct change change = {.kind = CHANGE_CREATE};
    hub_write(&f->hub, l, &e, &change, &turn, &f->out);
    return OK;
}

/* Everything the operation reads was admitted before. */
static inline enum status twin_apply(struct fixture *f, const struct op *op)
{
    struct turn turn = twin_turn(f);
    hub_apply(&f->hub, op, &turn, &f->out);
    return f->out.status;
}

static inline struct op twin_op(enum op_kind kind, const char *module, const char *body)
{
    return (struct op){.kind = kind,
                       .device = SPAN("pump-07"),
                       .module = span_text(module),
                       .body = span_text(body),
                       .if_version = -1};
}

static inline const struct effect *twin_effect(const struct fixture *f, enum effect_kind kind)
{
    const struct effect *e = f->out.effects;
    while (e && e->kind != kind)
        e = e->next;
    return e;
}

/* ---- what the tests of twins share ---- */

#define CREATED  "2026-03-04T10:20:30.123Z"
#define NEVER    "0001-01-01T00:00:00Z"
#define START    "{\"tags\":{\"t\":1},\"properties\":{\"desired\":{\"a\":1,\"b\":2}}}"
#define DESIRED  "{\"a\":1,\"b\":2}"
#define TAGS     "{\"t\":1}"
#define D(text)  "{\"properties\":{\"desired\":" text "}}"
#define NOT_TWIN "Provided json is not a valid 'tags' or 'properties' object"
#define BAD_KEY                                                                             \
    "Property or Tag name should not contain control characters, '.', '$', '#' or spaces. " \
    "Error in Property/Tag "
#define NO_NULL           "Value of Property or Tag cannot be null. Error in Property/Tag "
#define ROOT_AT(time)     "{\"$metadata\":{\"$lastUpdated\":\"" time "\"},\"$version\":1}"
#define AT(time, version) "{\"$lastUpdated\":\"" time "\",\"$lastUpdatedVersion\":" version

static inline void twin_start(struct fixture *f, const char *content)
{
    fixture_init(f, 7);
    f->hub.batch = 5;
    EXPECT_EQ(twin_create(f, "pump-07", NULL, content), OK);
    f->hub.batch = 6;
    f->now.wall_ms += 1000;
}

static inline void twin_finish(struct fixture *f)
{
    twin_turn(f);
    fixture_fini(f);
}

static inline void expect_doc(const char *row, struct span doc, const char *want)
{
    struct buf b = {0};
    doc_put_value(&b, doc_root(doc));
    EXPECT_SPAN_IN(row, buf_span(&b), span_text(want));
    buf_fini(&b);
}

static inline void expect_push(const struct fixture *f, const char *row, const char *want,
                               int64_t version)
{
    const struct effect *push = twin_effect(f, EFFECT_DESIRED);
    EXPECT_EQ_IN(row, push != NULL, want != NULL);
    if (!push)
        return;
    struct buf b = {0};
    doc_put_delta(&b, push->delta, push->version);
    EXPECT_SPAN_IN(row, buf_span(&b), span_text(want));
    EXPECT_EQ_IN(row, push->version, version);
    buf_fini(&b);
}

#endif
