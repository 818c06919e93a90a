/* explain.c — every change has somebody who asked for it, and is exactly what was asked for. */
#include "model.h"

#include "report.h"

/* ---- what a change may not touch ---- */

static bool same_sections(const struct snap *a, const struct snap *b)
{
    return span_eq(a->e.tags, b->e.tags) && span_eq(a->e.desired, b->e.desired) &&
           span_eq(a->e.reported, b->e.reported) && a->e.twin_etag == b->e.twin_etag &&
           a->e.desired_version == b->e.desired_version &&
           a->e.reported_version == b->e.reported_version;
}

static bool same_identity(const struct snap *a, const struct snap *b)
{
    const struct entity *x = &a->e, *y = &b->e;
    return x->generation == y->generation && x->identity_etag == y->identity_etag &&
           x->created_ms == y->created_ms && x->status_updated_ms == y->status_updated_ms &&
           x->auth == y->auth && x->disabled == y->disabled && x->edge == y->edge &&
           x->has_managed_by == y->has_managed_by && span_eq(x->status_reason, y->status_reason) &&
           span_eq(x->managed_by, y->managed_by) && span_eq(x->scope, y->scope) &&
           span_eq(x->primary_key, y->primary_key) && span_eq(x->secondary_key, y->secondary_key);
}

static bool same_session(const struct snap *a, const struct snap *b)
{
    return a->e.has_session == b->e.has_session && span_eq(a->e.session, b->e.session) &&
           span_eq(a->e.model_id, b->e.model_id);
}

static void inherit(struct snap *s, const struct snap *before)
{
    s->tags = before->tags;
    s->desired = before->desired;
    s->reported = before->reported;
}

/* ---- what a change says must be what the trees say ---- */

static void check_section(const char *name, struct span section, const struct naive *tree,
                          enum doc_section kind, int64_t version)
{
    struct buf got = {0}, want = {0};
    struct doc_write w = {.section = kind, .limits = &doc_limits_azure, .version = version};
    if (kind == DOC_TAGS) {
        doc_put_value(&got, doc_root(section));
        naive_print(&want, tree);
    } else {
        doc_put_service(&got, section, version);
        naive_print_service(&want, tree, &w);
    }
    PROMISE(span_eq(buf_span(&got), buf_span(&want)), "%s is\n  %.*s\nand should be\n  %.*s", name,
            SPAN_ARG(got), SPAN_ARG(want));
    buf_fini(&got);
    buf_fini(&want);
}

static bool section_is(struct span section, const struct naive *tree)
{
    struct buf got = {0}, want = {0};
    doc_put_value(&got, doc_root(section));
    naive_print(&want, tree);
    bool same = span_eq(buf_span(&got), buf_span(&want));
    buf_fini(&got);
    buf_fini(&want);
    return same;
}

static void check_sections(const struct snap *s)
{
    check_section("tags", s->e.tags, s->tags, DOC_TAGS, 0);
    check_section("desired", s->e.desired, s->desired, DOC_DESIRED, s->e.desired_version);
    check_section("reported", s->e.reported, s->reported, DOC_REPORTED, s->e.reported_version);
}

/* ---- who asked ---- */

static void claim(const struct family *f, struct ask *a, size_t moment)
{
    const size_t *floor = a->floor ? &a->floor[f->index] : NULL;
    PROMISE(!floor || moment > *floor, "ask %llu was carried out before an earlier one",
            (unsigned long long)a->id);
    report_say("      moment %zu of %s/%.*s by ask %llu", moment, f->id,
               SPAN_ARG(family_module(a->slot)), (unsigned long long)a->id);
    a->made = moment;
}

/* What is found is tried in the order in which it was asked. */
#define EACH_ASK(a, m, f, the_slot)                                       \
    LIST_EACH(at_, &(m)->asks)                                            \
    for (struct ask *a = CONTAINER_OF(at_, struct ask, all); a; a = NULL) \
        if (a->family == (f) && a->slot == (the_slot) && !a->made)

/* A bulk entry that writes the identity, perhaps after the twin. */
static bool updates(const struct ask *a)
{
    return a->kind == ASK_ENTRY && (a->mode == MODE_UPDATE || a->mode == MODE_UPDATE_IF_MATCH ||
                                    a->mode == MODE_CREATE_OR_UPDATE);
}

/* Would this ask have turned the twin before into just the one after? Gives `after` its trees. */
static bool makes_twin(const struct ask *a, const struct moment *prev, const struct snap *before,
                       struct snap *after, int64_t time_ms, struct guess *g)
{
    bool reported = a->kind == ASK_REPORT;
    if (!reported && a->kind != ASK_TWIN_PATCH && a->kind != ASK_TWIN_PUT && a->kind != ASK_ENTRY)
        return false;
    if (model_guess(a, prev, time_ms, g) != OK || !g->writes || (!reported && !g->tags))
        return false; /* a deletion writes, too, but no twin */
    inherit(after, before);
    if (reported)
        after->reported = g->reported;
    else
        after->tags = g->tags, after->desired = g->desired;
    return after->e.twin_etag == before->e.twin_etag + !reported &&
           after->e.desired_version == before->e.desired_version + g->desired_counts &&
           after->e.reported_version == before->e.reported_version + reported &&
           section_is(after->e.tags, after->tags) && section_is(after->e.desired, after->desired) &&
           section_is(after->e.reported, after->reported);
}

bool model_makes(const struct ask *a, const struct family *f, size_t moment)
{
    const struct moment *prev = &f->moments[moment - 1], *now = &f->moments[moment];
    const struct snap *before = prev->at[a->slot];
    if (now->kind != CHANGE_TWIN || now->slot != a->slot || !before || !now->at[a->slot])
        return false;
    if (now->inside || updates(a))
        return false;
    struct snap after = *now->at[a->slot];
    struct guess g;
    return makes_twin(a, prev, before, &after, 0, &g);
}

/* Is this change of a twin what the ask makes? Then it has the ask's trees. */
static bool take_twin(struct family *f, const struct ask *a, size_t moment, int64_t time_ms)
{
    const struct moment *prev = &f->moments[moment - 1];
    struct moment *now = &f->moments[moment];
    struct snap *after = now->at[now->slot];
    struct guess g;
    if (!makes_twin(a, prev, prev->at[now->slot], after, time_ms, &g))
        return false;
    check_sections(after); /* the stamps, too */
    now->delta = !g.desired_counts ? NULL : g.delta ? g.delta : naive_empty(0);
    now->inside = updates(a); /* its identity follows */
    return true;
}

/* One that would also write the identity comes last: had it made this, the next change says so. */
static void explain_twin(struct model *m, struct family *f, size_t moment, int64_t time_ms)
{
    const struct moment *prev = &f->moments[moment - 1], *now = &f->moments[moment];
    const struct snap *before = prev->at[now->slot], *after = now->at[now->slot];
    PROMISE(before && after, "a twin was written that does not exist");
    PROMISE(same_identity(before, after) && same_session(before, after),
            "a twin write changed the identity");
    EACH_ASK(a, m, f, now->slot)
    {
        if (updates(a) || !take_twin(f, a, moment, time_ms))
            continue;
        claim(f, a, moment);
        return;
    }
    EACH_ASK(a, m, f, now->slot)
    {
        if (updates(a) && take_twin(f, a, moment, time_ms))
            return;
    }
    report_failure("nobody asked for this change of %s/%.*s: desired %lld, reported %lld", f->id,
                   SPAN_ARG(family_module(now->slot)), (long long)after->e.desired_version,
                   (long long)after->e.reported_version);
}

/* A bulk update writes the twin, then the identity: is the change before this one its twin's? Then
 * it is nobody else's. */
static bool follows_twin(struct model *m, struct family *f, const struct ask *a, size_t moment,
                         int64_t time_ms)
{
    const struct moment *prev = &f->moments[moment - 1];
    if (!updates(a) || prev->kind != CHANGE_TWIN || prev->slot != a->slot ||
        !take_twin(f, a, moment - 1, time_ms))
        return false;
    LIST_EACH(at, &m->asks)
    {
        struct ask *other = CONTAINER_OF(at, struct ask, all);
        if (other->family == f && other->made == moment - 1)
            other->made = 0;
    }
    return true;
}

/* The fields of an identity as asked for. */
static bool has_fields(const struct ask *a, const struct snap *s)
{
    const struct entity *e = &s->e;
    struct span reason = span_text(a->reason);
    if (a->slot ? !span_eq(e->managed_by, reason) : !span_eq(e->status_reason, reason))
        return false;
    if (!a->slot && e->disabled != a->disabled)
        return false;
    if (!a->keys[0][0])
        return e->primary_key.len == 44 && e->secondary_key.len == 44;
    return span_eq(e->primary_key, span_text(a->keys[0])) &&
           span_eq(e->secondary_key, span_text(a->keys[1]));
}

/* What is new must be new: nobody else ever had this generation, nor a key the hub made. */
static void check_fresh(struct model *m, const struct snap *s, bool made_keys)
{
    LIST_EACH(at, &m->snaps)
    {
        const struct snap *other = CONTAINER_OF(at, struct snap, all);
        if (other == s)
            continue;
        bool same = span_eq(other->e.device, s->e.device) && span_eq(other->e.module, s->e.module);
        PROMISE(!same || other->e.generation != s->e.generation, "a generation is used again");
        PROMISE(!made_keys || !span_eq(other->e.primary_key, s->e.primary_key),
                "a key is used again");
    }
    PROMISE(!made_keys || !span_eq(s->e.primary_key, s->e.secondary_key), "both keys are the same");
}

static void explain_system(struct family *f, size_t moment)
{
    struct moment *now = &f->moments[moment];
    const struct snap *device = now->at[SLOT_DEVICE];
    PROMISE(device && device->e.edge, "a system module came from nowhere");
    now->claimed = true;
    struct moment *at = now - 1;
    while (at->slot != SLOT_DEVICE)
        at--;
    /* All of it becomes visible together, with the last one. */
    for (; at < now; at++)
        at->inside = true;
}

static void explain_create(struct model *m, struct family *f, size_t moment, int64_t time_ms)
{
    struct moment *prev = &f->moments[moment - 1], *now = &f->moments[moment];
    struct snap *after = now->at[now->slot];
    PROMISE(after && !prev->at[now->slot], "what exists was created");
    PROMISE(after->e.twin_etag == 1 && after->e.desired_version == 1 &&
                after->e.reported_version == 1,
            "a new twin has old numbers");
    int64_t stamp = now->slot ? TIME_NEVER : time_ms;
    after->tags = naive_empty(stamp);
    after->desired = naive_empty(stamp);
    after->reported = naive_empty(stamp);
    check_fresh(m, after, false);
    if (now->slot >= SLOT_AGENT) {
        check_sections(after);
        explain_system(f, moment);
        return;
    }
    EACH_ASK(a, m, f, now->slot)
    {
        struct guess g;
        if (a->kind != ASK_PUT && a->kind != ASK_ENTRY)
            continue;
        if (model_guess(a, prev, time_ms, &g) != OK || !g.writes || !has_fields(a, after))
            continue;
        check_fresh(m, after, !a->keys[0][0]);
        PROMISE(after->e.edge == a->edge, "the edge capability");
        if (a->kind == ASK_ENTRY) {
            struct doc_write w = {
                .section = DOC_TAGS, .limits = &doc_limits_azure, .now_ms = time_ms};
            if (a->tags)
                (void)naive_replace(after->tags, a->tags, &w);
            w.section = DOC_DESIRED;
            w.version = 1;
            if (a->desired)
                (void)naive_replace(after->desired, a->desired, &w);
        }
        check_sections(after);
        claim(f, a, moment);
        return;
    }
    report_failure("nobody asked to create %s/%.*s", f->id, SPAN_ARG(family_module(now->slot)));
}

static void explain_identity(struct model *m, struct family *f, size_t moment, int64_t time_ms)
{
    struct moment *prev = &f->moments[moment - 1], *now = &f->moments[moment];
    const struct snap *before = prev->at[now->slot];
    struct snap *after = now->at[now->slot];
    PROMISE(before && after, "an identity was written that does not exist");
    PROMISE(same_sections(before, after) && same_session(before, after),
            "an identity write changed the twin");
    PROMISE(before->e.generation == after->e.generation, "another generation");
    PROMISE(before->e.identity_etag != after->e.identity_etag, "the etag stayed");
    EACH_ASK(a, m, f, now->slot)
    {
        struct guess g;
        if ((a->kind != ASK_PUT && a->kind != ASK_ENTRY) || !has_fields(a, after))
            continue;
        if (a->tags || a->desired ? !follows_twin(m, f, a, moment, time_ms)
                                  : model_guess(a, prev, time_ms, &g) != OK || !g.writes)
            continue;
        inherit(after, before);
        claim(f, a, moment);
        return;
    }
    report_failure("nobody asked to change the identity %s/%.*s", f->id,
                   SPAN_ARG(family_module(now->slot)));
}

static void explain_delete(struct model *m, struct family *f, size_t moment)
{
    struct moment *prev = &f->moments[moment - 1], *now = &f->moments[moment];
    PROMISE(prev->at[now->slot] && !now->at[now->slot], "what does not exist was deleted");
    if (now->slot) {
        /* Of its own or with its device: which, only what follows tells. */
        bool asked = false;
        for (unsigned slot = 0; slot <= now->slot; slot += now->slot)
            EACH_ASK(a, m, f, slot)
            {
                struct guess g;
                asked |= (a->kind == ASK_DELETE || a->kind == ASK_ENTRY) &&
                         model_guess(a, prev, 0, &g) == OK && g.writes;
            }
        PROMISE(asked || prev->inside, "nobody asked to delete %s/%.*s", f->id,
                SPAN_ARG(family_module(now->slot)));
        now->inside = prev->at[SLOT_DEVICE] && now->slot >= SLOT_AGENT;
        return;
    }
    for (unsigned slot = 1; slot < SLOTS; slot++)
        PROMISE(!now->at[slot], "%s was deleted without its module %.*s", f->id,
                SPAN_ARG(family_module(slot)));
}

bool model_session_is(const struct ask *a, const struct moment *prev, const struct moment *now)
{
    const struct snap *before = prev->at[a->slot], *after = now->at[a->slot];
    struct guess g;
    if (a->kind < ASK_LOGIN || now->kind != CHANGE_SESSION || now->slot != a->slot ||
        model_guess(a, prev, 0, &g) != OK)
        return false;
    unsigned had = model_filters(before->e.session), has = model_filters(after->e.session);
    switch (a->kind) {
    case ASK_LOGIN:
        return after->e.has_session == !a->clean && has == 0 &&
               before->e.has_session != after->e.has_session;
    case ASK_SUBSCRIBE:
        return !a->clean && after->e.has_session && has == (had | a->filters);
    case ASK_UNSUBSCRIBE:
        return !a->clean && after->e.has_session && has == (had & ~a->filters);
    default:
        return false;
    }
}

static void explain_session(struct model *m, struct family *f, size_t moment)
{
    struct moment *prev = &f->moments[moment - 1], *now = &f->moments[moment];
    const struct snap *before = prev->at[now->slot];
    struct snap *after = now->at[now->slot];
    PROMISE(before && after, "a session of nobody was written");
    PROMISE(same_sections(before, after) && same_identity(before, after),
            "a session changed the rest");
    inherit(after, before);
    EACH_ASK(a, m, f, now->slot)
    {
        if (model_session_is(a, prev, now))
            return; /* which of several, only the answers tell */
    }
    report_failure("nobody asked for this session of %s/%.*s", f->id,
                   SPAN_ARG(family_module(now->slot)));
}

void model_explain(struct model *m, struct family *f, size_t moment, const struct change_head *head)
{
    struct moment *now = &f->moments[moment];
    const struct snap *before = f->moments[moment - 1].at[now->slot];
    switch (head->kind) {
    case CHANGE_CREATE:
        explain_create(m, f, moment, head->time_ms);
        break;
    case CHANGE_DELETE:
        explain_delete(m, f, moment);
        break;
    case CHANGE_IDENTITY:
        explain_identity(m, f, moment, head->time_ms);
        break;
    case CHANGE_TWIN:
        explain_twin(m, f, moment, head->time_ms);
        break;
    case CHANGE_SESSION:
        explain_session(m, f, moment);
        break;
    case CHANGE_ACTIVITY:
        PROMISE(before && now->at[now->slot], "activity of nobody");
        inherit(now->at[now->slot], before);
        PROMISE(same_sections(before, now->at[now->slot]) &&
                    same_identity(before, now->at[now->slot]) &&
                    same_session(before, now->at[now->slot]),
                "activity changed the rest");
        break;
    }
    if (head->kind != CHANGE_DELETE)
        PROMISE(now->at[now->slot]->e.stamp_ms >= (before ? before->e.stamp_ms : TIME_NEVER),
                "the stamps of %s went back", f->id);
}
