#include "hub/twin.h"

static const char not_an_object[] = "Provided json is not a valid 'tags' or 'properties' object";

/* The reply shows these, be it that one is missing: it waits until that is durable. */
static void depend(const struct hub *h, const struct live *device, const struct live *who,
                   struct outcome *out)
{
    uint64_t a = hub_depends(h, device), b = hub_depends(h, who);
    out->depends = a > b ? a : b;
}

/* A missing module twin is called by its device's id, too (twins 2.3). */
static enum status no_twin(const struct live *who, const struct turn *turn, struct outcome *out)
{
    return hub_refuse(turn, out, NO_DEVICE, "%.*s", SPAN_ARG(live_device(who)));
}

/* ---- one section of a write ---- */

/* What a request says of one section, and what came of it. */
struct part {
    bool given;            /* to be written */
    bool replace;          /* all of it, else merged */
    struct doc_node value; /* {NULL}: to be emptied */
    struct doc_result result;
};

static bool is_given(struct doc_node n)
{
    return n.at && doc_type(n) != DOC_NULL;
}

/* A section that is not given keeps its bytes. BAD_ARGUMENT and SECTION_TOO_LARGE: out->why says
 * what is wrong. */
static enum status write_part(struct part *p, struct span old, const struct doc_write *w,
                              const struct turn *turn, struct outcome *out)
{
    p->result = (struct doc_result){.section = old};
    if (!p->given)
        return OK;
    struct doc_fault fault = {0};
    enum status st =
        (p->replace ? doc_replace : doc_patch)(old, p->value, w, turn->arena, &p->result, &fault);
    if (st == BAD_ARGUMENT || st == SECTION_TOO_LARGE) {
        struct buf text = {0};
        doc_put_fault(&text, &fault);
        out->why = arena_copy(turn->arena, buf_span(&text));
        buf_fini(&text);
    }
    return st;
}

/* A section that is replaced counts as written even when it was empty and stays so (twins 1.3). */
static bool part_counts(const struct part *p)
{
    return p->given && (p->replace || p->result.changed);
}

/* ---- tags and desired: by the service ---- */

struct request {
    bool replace; /* not merged: event replaceTwin */
    struct part tags, desired;
};

/* What a body asks for. With `replace`, sections it does not give are emptied if `whole`, else
 * left alone. Everything but tags and properties.desired is ignored (twins 2.1). */
static enum status request_read(struct doc_node body, bool replace, bool whole, struct request *out)
{
    if (doc_type(body) != DOC_OBJECT)
        return BAD_ARGUMENT;
    struct doc_node tags = doc_find_nocase(body, SPAN("tags"));
    struct doc_node properties = doc_find_nocase(body, SPAN("properties"));
    if (is_given(properties) && doc_type(properties) != DOC_OBJECT)
        return BAD_ARGUMENT;
    struct doc_node desired = {NULL};
    if (is_given(properties))
        desired = doc_find_nocase(properties, SPAN("desired"));
    bool empties = replace && whole;
    out->replace = replace;
    out->tags =
        (struct part){.given = empties || is_given(tags), .replace = replace, .value = tags};
    out->desired =
        (struct part){.given = empties || is_given(desired), .replace = replace, .value = desired};
    return OK;
}

/* Build both sections; nothing is written yet. What is invalid is said before what is too large,
 * whichever section it is in (service-rest 7 row 5). */
static enum status request_build(const struct hub *h, struct request *r, const struct entity *e,
                                 const struct turn *turn, struct outcome *out)
{
    struct doc_write w = {
        .section = DOC_TAGS, .limits = h->config.limits, .now_ms = hub_stamp(e, turn)};
    enum status tags = write_part(&r->tags, e->tags, &w, turn, out);
    if (tags != OK && tags != SECTION_TOO_LARGE)
        return tags;
    struct span why = out->why;
    w.section = DOC_DESIRED;
    w.version = e->desired_version + 1;
    enum status desired = write_part(&r->desired, e->desired, &w, turn, out);
    if (tags == OK || desired == BAD_ARGUMENT)
        return desired;
    out->why = why;
    return tags;
}

/* Write what was built; a request that changes nothing writes nothing. */
static void request_write(struct hub *h, struct live *who, const struct request *r,
                          const struct entity *before, const struct turn *turn, struct outcome *out)
{
    bool desired = part_counts(&r->desired);
    if (!desired && !part_counts(&r->tags))
        return;
    struct entity after = *before;
    after.tags = r->tags.result.section;
    after.desired = r->desired.result.section;
    after.twin_etag++;
    after.desired_version += desired;
    after.stamp_ms = hub_stamp(before, turn);
    struct change change = {.kind = CHANGE_TWIN,
                            .replace = r->replace,
                            .tags = r->tags.result.delta,
                            .desired = r->desired.result.delta};
    hub_write(h, who, &after, &change, turn, out);
    if (desired) { /* one push for each version, also when it brings nothing (mqtt 7.4) */
        struct effect *push = hub_effect(turn, out, EFFECT_DESIRED, who);
        push->delta = r->desired.result.delta;
        push->version = after.desired_version;
    }
}

enum status twin_write_sections(struct hub *h, struct live *who, struct doc_node body, bool replace,
                                const struct turn *turn, struct outcome *out)
{
    struct request r;
    struct entity e;
    live_entity(who, &e);
    if (request_read(body, replace, false, &r) != OK)
        return hub_refuse(turn, out, BAD_ARGUMENT, "%s", not_an_object);
    TRY(request_build(h, &r, &e, turn, out));
    request_write(h, who, &r, &e, turn, out);
    return OK;
}

static void answer(const struct live *device, const struct live *who, const struct turn *turn,
                   struct outcome *out)
{
    struct entity e;
    live_entity(who, &e);
    twin_put_service(out->body, device, who);
    out->etag = hub_twin_etag_text(turn, &e);
}

enum status twin_update(struct hub *h, struct live *device, struct live *who, const struct op *op,
                        const struct turn *turn, struct outcome *out)
{
    struct request r;
    struct entity e;
    struct span body;
    if (op->body.len == 0)
        return NULL_ARGUMENT;
    TRY(doc_parse(op->body, &h->config.limits->syntax, turn->arena, &body));
    depend(h, device, who, out);
    if (!device->record || !who->record)
        return no_twin(who, turn, out);
    live_entity(who, &e);
    if (!hub_if_match(op, hub_twin_etag_text(turn, &e)))
        return ETAG_MISMATCH;
    if (request_read(doc_root(body), op->kind == OP_TWIN_PUT, true, &r) != OK)
        return hub_refuse(turn, out, BAD_ARGUMENT, "%s", not_an_object);
    TRY(request_build(h, &r, &e, turn, out));
    request_write(h, who, &r, &e, turn, out);
    answer(device, who, turn, out);
    return OK;
}

enum status twin_get(struct hub *h, struct live *device, struct live *who, const struct turn *turn,
                     struct outcome *out)
{
    depend(h, device, who, out);
    if (!device->record || !who->record)
        return no_twin(who, turn, out);
    answer(device, who, turn, out);
    return OK;
}

/* ---- by the device or module itself ---- */

enum status twin_read(struct hub *h, struct live *who, const struct turn *turn, struct outcome *out)
{
    depend(h, who, who, out);
    if (!who->record)
        return no_twin(who, turn, out);
    struct entity e;
    live_entity(who, &e);
    twin_put_device(out->body, &e);
    return OK;
}

enum status twin_report(struct hub *h, struct live *who, const struct op *op,
                        const struct turn *turn, struct outcome *out)
{
    struct entity before;
    struct span body;
    enum status st = doc_parse(op->body, &h->config.limits->syntax, turn->arena, &body);
    if (st == BAD_FORMAT) /* a device hears 400004 (twins 2.4) */
        return hub_refuse(turn, out, BAD_ARGUMENT, "%s", status_get(BAD_FORMAT)->text);
    if (st != OK)
        return st;
    depend(h, who, who, out);
    if (!who->record)
        return no_twin(who, turn, out);
    live_entity(who, &before);
    if (op->if_version >= 0 && op->if_version != before.reported_version)
        return ETAG_MISMATCH;
    struct part part = {.given = true, .value = doc_root(body)};
    struct doc_write w = {.section = DOC_REPORTED,
                          .limits = h->config.limits,
                          .now_ms = hub_stamp(&before, turn),
                          .version = before.reported_version + 1};
    TRY(write_part(&part, before.reported, &w, turn, out));
    out->version = before.reported_version;
    if (!part.result.changed)
        return OK;
    struct entity after = before;
    after.reported = part.result.section;
    after.stamp_ms = w.now_ms;
    out->version = ++after.reported_version;
    struct change change = {.kind = CHANGE_TWIN, .reported = part.result.delta};
    hub_write(h, who, &after, &change, turn, out);
    return OK;
}

/* ---- a new twin ---- */

enum status twin_init(struct hub *h, struct entity *e, struct doc_node body,
                      const struct turn *turn, struct outcome *out)
{
    struct request r = {0};
    e->twin_etag = e->reported_version = 1;
    e->desired_version = 0; /* so that the first content has version 1 */
    e->stamp_ms = hub_stamp(e, turn);
    int64_t stamp_ms = e->module.len ? TIME_NEVER : e->stamp_ms; /* twins 1.2 */
    e->tags = doc_empty(DOC_TAGS, stamp_ms, turn->arena);
    e->desired = doc_empty(DOC_DESIRED, stamp_ms, turn->arena);
    e->reported = doc_empty(DOC_REPORTED, stamp_ms, turn->arena);
    if (!e->tags.data || !e->desired.data || !e->reported.data)
        return TOO_LARGE;
    if (body.at && request_read(body, true, false, &r) != OK)
        return hub_refuse(turn, out, BAD_ARGUMENT, "%s", not_an_object);
    TRY(request_build(h, &r, e, turn, out));
    e->tags = r.tags.result.section;
    e->desired = r.desired.result.section;
    e->desired_version = 1;
    return OK;
}
