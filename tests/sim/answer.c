/* answer.c — an answer must be what one moment between its question and its hearing gives. */
#include "model.h"
#include "report.h"

#include "base/text.h"

#include <stdio.h>

/* ---- moments ---- */

/* The oldest moment that an answer to this may show of that family. */
static size_t oldest(const struct ask *a, const struct family *f)
{
    size_t from = a->from[f->index];
    if (a->floor && a->floor[f->index] > from)
        from = a->floor[f->index];
    return from;
}

/* What a module's answer tells of its device. */
static bool same_device(const struct snap *x, const struct snap *y)
{
    if (!x || !y)
        return x == y;
    return x->e.generation == y->e.generation && x->e.disabled == y->e.disabled;
}

/* What SUBACK and UNSUBACK tell. */
static bool same_session(const struct snap *x, const struct snap *y)
{
    if (!x || !y)
        return x == y;
    return x->e.generation == y->e.generation && x->e.has_session == y->e.has_session &&
           span_eq(x->e.session, y->e.session);
}

/* Does an answer to this tell the same at both moments? */
static bool tells_the_same(const struct ask *a, const struct moment *x, const struct moment *y)
{
    if (a->kind == ASK_SUBSCRIBE || a->kind == ASK_UNSUBSCRIBE)
        return same_session(x->at[a->slot], y->at[a->slot]);
    bool all = a->kind == ASK_MODULES;
    for (unsigned slot = 0; slot < SLOTS; slot++)
        if ((all || slot == a->slot) && x->at[slot] != y->at[slot])
            return false;
    return same_device(x->at[SLOT_DEVICE], y->at[SLOT_DEVICE]);
}

/* The answer told what was at this moment: somebody may rely on it, up to the last change of what
 * he was told. */
static void show(const struct ask *a, struct family *f, size_t moment)
{
    if (a->floor && moment > a->floor[f->index])
        a->floor[f->index] = moment;
    if (a->malformed) /* refused whatever the state is */
        return;
    while (f->moments[moment].inside && moment + 1 < f->count)
        moment++;
    while (moment && moment != a->made &&
           tells_the_same(a, &f->moments[moment - 1], &f->moments[moment]))
        moment--;
    if (moment <= f->shown)
        return;
    f->shown = moment;
    report_say("      ask %llu shows moment %zu of %s", (unsigned long long)a->id, moment, f->id);
}

/* Does this moment give this answer? */
typedef bool fits_fn(const struct ask *a, const struct moment *at, const void *answer);

/* The oldest one that does; 0 is a moment, too, so SIZE_MAX says that there is none. */
static size_t find(const struct ask *a, const struct family *f, fits_fn *fits, const void *answer)
{
    for (size_t i = oldest(a, f); i < f->count; i++)
        if (!f->moments[i].inside && fits(a, &f->moments[i], answer))
            return i;
    return SIZE_MAX;
}

static const char *const kinds[] = {
    [ASK_PUT] = "PUT identity",    [ASK_GET] = "GET identity",
    [ASK_DELETE] = "DELETE",       [ASK_MODULES] = "modules",
    [ASK_TWIN_GET] = "GET twin",   [ASK_TWIN_PATCH] = "PATCH twin",
    [ASK_TWIN_PUT] = "PUT twin",   [ASK_BULK] = "bulk",
    [ASK_ENTRY] = "bulk entry",    [ASK_LIST] = "list",
    [ASK_REFUSED] = "refused",     [ASK_LOGIN] = "CONNECT",
    [ASK_SUBSCRIBE] = "SUBSCRIBE", [ASK_UNSUBSCRIBE] = "UNSUBSCRIBE",
    [ASK_READ] = "read",           [ASK_REPORT] = "report",
    [ASK_EVENT] = "event"};

_Noreturn static void no_moment(const struct ask *a, const char *what, struct span body)
{
    report_failure("ask %llu, %s of %s/%.*s: no moment from %zu to %zu gives %s %.*s",
                   (unsigned long long)a->id, kinds[a->kind], a->family ? a->family->id : "-",
                   SPAN_ARG(family_module(a->slot)), a->family ? oldest(a, a->family) : 0,
                   a->family ? a->family->count - 1 : 0, what, SPAN_ARG(body));
}

/* ---- what an entity looks like ---- */

static bool contains(struct span body, const struct buf *piece)
{
    return piece->len && body.len && memmem(body.data, body.len, piece->data, piece->len);
}

static bool shows(struct span body, struct buf *piece)
{
    bool found = contains(body, piece);
    buf_fini(piece);
    return found;
}

static bool shows_identity(struct span body, const struct snap *s)
{
    const struct entity *e = &s->e;
    char etag[32];
    struct buf b = {0}, keys = {0};
    snap_identity_etag(s, etag);
    buf_printf(&b, "\"deviceId\":\"%.*s\",\"generationId\":\"%llu\",\"etag\":\"%s\"",
               SPAN_ARG(e->device), (unsigned long long)e->generation, etag);
    if (e->primary_key.len)
        buf_printf(&keys, "\"primaryKey\":\"%.*s\",\"secondaryKey\":\"%.*s\"",
                   SPAN_ARG(e->primary_key), SPAN_ARG(e->secondary_key));
    else
        buf_text(&keys, "\"primaryKey\":null,\"secondaryKey\":null");
    bool whole = shows(body, &b);
    whole &= shows(body, &keys);
    if (!e->module.len) {
        buf_printf(&b, "\"status\":\"%s\",\"statusReason\":", e->disabled ? "disabled" : "enabled");
        if (e->status_reason.len)
            text_put_json(&b, e->status_reason);
        else
            buf_text(&b, "null");
        whole &= shows(body, &b);
    }
    return whole;
}

static bool shows_twin(struct span body, const struct moment *at, unsigned slot)
{
    const struct snap *s = at->at[slot];
    char etag[32], identity_etag[32];
    struct buf b = {0};
    struct doc_write w = {.section = DOC_DESIRED, .version = s->e.desired_version};
    snap_twin_etag(s, etag);
    snap_identity_etag(s, identity_etag);
    buf_printf(&b, "\"etag\":\"%s\",\"deviceEtag\":\"%s\",\"status\":\"%s\"", etag, identity_etag,
               at->at[SLOT_DEVICE]->e.disabled ? "disabled" : "enabled");
    if (!shows(body, &b))
        return false;
    buf_printf(&b, ",\"version\":%lld", (long long)s->e.twin_etag + s->e.reported_version);
    if (s->tags->first) {
        buf_text(&b, ",\"tags\":");
        naive_print(&b, s->tags);
    }
    buf_text(&b, ",\"properties\":{\"desired\":");
    naive_print_service(&b, s->desired, &w);
    w.section = DOC_REPORTED;
    w.version = s->e.reported_version;
    buf_text(&b, ",\"reported\":");
    naive_print_service(&b, s->reported, &w);
    buf_byte(&b, '}');
    return shows(body, &b);
}

static bool shows_modules(struct span body, const struct moment *at)
{
    size_t count = 0;
    for (unsigned slot = 1; slot < SLOTS; slot++) {
        if (!at->at[slot])
            continue;
        count++;
        if (!shows_identity(body, at->at[slot]))
            return false;
    }
    for (const uint8_t *p = body.data; body.len;) {
        p = memmem(p, body.len - (size_t)(p - body.data), "\"moduleId\"", 10);
        if (!p)
            break;
        p += 10;
        if (count-- == 0)
            return false;
    }
    return count == 0;
}

/* ---- back ends ---- */

struct rest_answer_seen {
    int http;
    struct span body;
};

/* An answer that a write of its own gave. */
static bool shows_result(const struct ask *a, const struct moment *at, struct span body)
{
    switch (a->kind) {
    case ASK_PUT:
    case ASK_GET:
        return shows_identity(body, at->at[a->slot]);
    case ASK_TWIN_GET:
    case ASK_TWIN_PATCH:
    case ASK_TWIN_PUT:
        return shows_twin(body, at, a->slot);
    case ASK_MODULES:
        return shows_modules(body, at);
    default:
        return true;
    }
}

static bool fits_rest(const struct ask *a, const struct moment *at, const void *answer)
{
    const struct rest_answer_seen *seen = answer;
    struct guess g;
    enum status st = model_guess(a, at, 0, &g);
    if (status_get(st)->http != seen->http)
        return false;
    return st != OK || (!g.writes && shows_result(a, at, seen->body));
}

/* A deletion of this ask's identity that it may have made, claimed or not; from `from` on. */
static size_t next_deletion(const struct ask *a, const struct family *f, size_t from, bool claimed)
{
    for (size_t i = from; i < f->count; i++) {
        const struct moment *now = &f->moments[i];
        struct guess g;
        if (now->kind == CHANGE_DELETE && now->slot == a->slot && now->claimed == claimed &&
            model_guess(a, now - 1, 0, &g) == OK && g.writes)
            return i;
    }
    return SIZE_MAX;
}

static void claim_deletion(struct moment *m, const struct ask *a, size_t oldest_moment)
{
    m->claimed = true;
    m->by = *a;
    m->by_oldest = oldest_moment;
}

/* A deletion is only known from its answer, and two asks may each have made the same one: who
 * claimed it first can have made another. */
static size_t find_deletion(const struct ask *a)
{
    struct family *f = a->family;
    size_t first = oldest(a, f) + 1, i = next_deletion(a, f, first, false);
    for (size_t at = first; i == SIZE_MAX; at++) {
        at = next_deletion(a, f, at, true);
        if (at == SIZE_MAX)
            return SIZE_MAX;
        struct moment *taken = &f->moments[at];
        size_t other = next_deletion(&taken->by, f, taken->by_oldest, false);
        if (other == SIZE_MAX)
            continue;
        claim_deletion(&f->moments[other], &taken->by, taken->by_oldest);
        i = at;
    }
    claim_deletion(&f->moments[i], a, first);
    return i;
}

static bool deletes(const struct ask *a)
{
    return a->kind == ASK_DELETE ||
           (a->kind == ASK_ENTRY && (a->mode == MODE_DELETE || a->mode == MODE_DELETE_IF_MATCH));
}

/* ---- who made a change of a twin ----
 *
 * Several asks may have the same effect (PUTs that empty a twin). When the change is stored the
 * first of them is taken for its maker; what they are answered corrects that, so that every change
 * keeps a maker of its own. */

static bool may_have_made(const struct ask *a, const struct family *f, size_t moment)
{
    return a->family == f && moment > oldest(a, f) && model_makes(a, f, moment);
}

/* Another maker for this change: one who has not been answered, and has made nothing or something
 * that finds another maker. Each is tried once. */
static bool find_maker(const struct model *m, const struct family *f, size_t moment)
{
    LIST_EACH(at, &m->asks)
    {
        struct ask *a = CONTAINER_OF(at, struct ask, all);
        if (a->tried || !may_have_made(a, f, moment))
            continue;
        a->tried = true;
        if (a->made && !find_maker(m, f, a->made))
            continue;
        a->made = moment;
        return true;
    }
    return false;
}

/* False: what it is taken to have made can be nobody else's. */
static bool give_away(const struct model *m, struct ask *a)
{
    LIST_EACH(at, &m->asks)
    {
        CONTAINER_OF(at, struct ask, all)->tried = false;
    }
    a->tried = true;
    if (a->made && !find_maker(m, a->family, a->made))
        return false;
    a->made = 0;
    return true;
}

/* Who is taken to have made what this answer shows, though `a` may have; NULL: nobody. */
static struct ask *find_rival(const struct model *m, const struct ask *a, struct span body)
{
    LIST_EACH(at, &m->asks)
    {
        struct ask *b = CONTAINER_OF(at, struct ask, all);
        if (b != a && b->made && may_have_made(a, b->family, b->made) &&
            shows_result(a, &b->family->moments[b->made], body))
            return b;
    }
    return NULL;
}

static void settle_who_made(const struct model *m, struct ask *a, int http, struct span body)
{
    if (http >= 300) {
        give_away(m, a);
        return;
    }
    if (a->made && shows_result(a, &a->family->moments[a->made], body))
        return;
    struct ask *rival = find_rival(m, a, body);
    if (!rival)
        return;
    size_t shown = rival->made;
    rival->made = 0;
    if (give_away(m, a))
        a->made = shown;
    else
        rival->made = shown;
}

/* ---- the answer to one ask ---- */

/* It succeeded: what it made is what it shows; else it changed nothing. */
static size_t find_success(struct ask *a, const struct rest_answer_seen *seen)
{
    if (deletes(a))
        return find_deletion(a);
    if (!a->made)
        return find(a, a->family, fits_rest, seen);
    struct moment *made = &a->family->moments[a->made];
    bool first = !made->claimed;
    made->claimed = true;
    return first && shows_result(a, made, seen->body) ? a->made : SIZE_MAX;
}

static size_t judge(struct ask *a, int http, struct span body)
{
    struct rest_answer_seen seen = {http, body};
    char what[16];
    snprintf(what, sizeof(what), "%d", http);
    bool success = http < 300;
    if (!success)
        PROMISE(!a->made, "ask %llu, %s, was refused with %d and carried out",
                (unsigned long long)a->id, kinds[a->kind], http);
    if (deletes(a) && success)
        seen.http = 200; /* 204 */
    size_t at = success ? find_success(a, &seen) : find(a, a->family, fits_rest, &seen);
    if (at == SIZE_MAX)
        no_moment(a, what, body);
    if (http != 401) /* who may not ask learns nothing */
        show(a, a->family, at);
    return at;
}

/* ---- lists ---- */

struct row_seen {
    bool there;
    struct span json;
};

static bool fits_row(const struct ask *a, const struct moment *at, const void *answer)
{
    const struct row_seen *row = answer;
    (void)a;
    const struct snap *device = at->at[SLOT_DEVICE];
    return row->there ? device && shows_identity(row->json, device) : !device;
}

/* Each device as it was at some moment of its own. */
static void judge_list(struct model *m, struct ask *a, struct span body)
{
    unsigned count = 0;
    const uint8_t *last = NULL;
    bool whole = true; /* the rows so far do not leave any out for want of room */
    for (unsigned i = 0; i < FAMILIES; i++) {
        struct family *f = &m->families[i];
        char name[32];
        snprintf(name, sizeof(name), "{\"deviceId\":\"%s\"", f->id);
        const uint8_t *at = memmem(body.data, body.len, name, strlen(name));
        struct row_seen row = {.there = at != NULL, .json = body};
        if (at) {
            row.json = span_of(at, body.len - (size_t)(at - body.data));
            const uint8_t *next = memmem(at + 1, row.json.len - 1, "{\"deviceId\"", 11);
            if (next)
                row.json.len = (size_t)(next - at);
            PROMISE(at > last, "the list is not in order");
            last = at;
            count++;
        }
        if (!at && (!whole || count == a->top))
            continue;
        whole = count < a->top;
        size_t moment = find(a, f, fits_row, &row);
        if (moment == SIZE_MAX)
            no_moment(a, f->id, row.json);
        show(a, f, moment);
    }
    PROMISE(count <= a->top, "%u rows of %u", count, a->top);
}

/* ---- bulk ---- */

/* The status of the entry's row in "errors"; 200 when it has none. */
static int entry_status(const struct ask *a, struct span body)
{
    struct buf b = {0};
    struct span module = family_module(a->slot);
    buf_printf(&b, "{\"deviceId\":\"%s\",\"moduleId\":", a->family->id);
    if (module.len)
        buf_printf(&b, "\"%.*s\",\"errorCode\":\"", SPAN_ARG(module));
    else
        buf_text(&b, "null,\"errorCode\":\"");
    const uint8_t *at = memmem(body.data, body.len, b.data, b.len);
    size_t len = b.len;
    buf_fini(&b);
    if (!at)
        return 200;
    struct span label = span_skip(span_of(at, body.len - (size_t)(at - body.data)), len);
    label = span_first(label, span_index(label, '"'));
    for (int st = OK + 1; st < STATUS_COUNT; st++) {
        const struct status_row *row = status_get((enum status)st);
        if (row->http && span_eq(span_text(row->label), label))
            return row->http;
    }
    report_failure("a bulk entry's error is %.*s", SPAN_ARG(label));
}

/* The hub stops, or cannot write: that is the answer. */
static bool is_end(const struct model *m, const struct ask *a, int http)
{
    return ((http == 503 && m->ending) || (http == 507 && m->full)) && !a->made;
}

/* In a bulk call both are ServiceUnavailable. */
static bool is_entry_end(const struct model *m, const struct ask *a, int http)
{
    return http == 503 && (m->ending || m->full) && !a->made;
}

static void judge_bulk(const struct model *m, struct ask *bulk, int http, struct span body)
{
    bool failed = false;
    LIST_EACH(at, &bulk->entries)
    {
        struct ask *a = CONTAINER_OF(at, struct ask, line);
        int entry = entry_status(a, body);
        failed |= entry != 200;
        if (!is_entry_end(m, a, entry))
            judge(a, entry, (struct span){0});
    }
    PROMISE(http == (failed ? 400 : 200), "a bulk call answers %d: %.*s", http, SPAN_ARG(body));
    LIST_EACH_SAFE(at, &bulk->entries)
    {
        ask_destroy(CONTAINER_OF(at, struct ask, line));
    }
}

void model_rest_answer(struct model *m, struct ask *a, int http, struct span body)
{
    report_say("      answer to %llu: %d", (unsigned long long)a->id, http);
    settle_who_made(m, a, http, body);
    if (is_end(m, a, http))
        report_say("      the hub is at its end");
    else if (http == 401 && a->jumps != m->jumps && !a->made)
        report_say("      its token was of another time");
    else if (a->kind == ASK_REFUSED)
        PROMISE(http == a->http, "an odd request was answered with %d, not %d: %.*s", http, a->http,
                SPAN_ARG(body));
    else if (a->kind == ASK_LIST)
        judge_list(m, a, body);
    else if (a->kind == ASK_BULK)
        judge_bulk(m, a, http, body);
    else
        judge(a, http, body);
    LIST_EACH_SAFE(at, &a->entries) /* refused as a whole */
    {
        ask_destroy(CONTAINER_OF(at, struct ask, line));
    }
    ask_destroy(a);
}

/* ---- devices ---- */

static bool fits_read(const struct ask *a, const struct moment *at, const void *answer)
{
    const struct span *body = answer;
    struct guess g;
    if (model_guess(a, at, 0, &g) != OK)
        return false;
    const struct snap *s = at->at[a->slot];
    struct buf b = {0};
    buf_text(&b, "{\"desired\":");
    naive_print_device(&b, s->desired, s->e.desired_version);
    buf_text(&b, ",\"reported\":");
    naive_print_device(&b, s->reported, s->e.reported_version);
    buf_byte(&b, '}');
    bool same = span_eq(buf_span(&b), *body);
    buf_fini(&b);
    return same;
}

void model_read_answer(struct model *m, struct ask *a, struct span body)
{
    (void)m;
    size_t at = find(a, a->family, fits_read, &body);
    if (at == SIZE_MAX)
        no_moment(a, "the twin", body);
    show(a, a->family, at);
    ask_destroy(a);
}

struct report_seen {
    int http;
    int64_t version;
};

static bool fits_report(const struct ask *a, const struct moment *at, const void *answer)
{
    const struct report_seen *seen = answer;
    struct guess g;
    enum status st = model_guess(a, at, 0, &g);
    if (seen->http != 204)
        return st != OK && st != UNAUTHORIZED && status_get(st)->http == seen->http;
    return st == OK && !g.writes && at->at[a->slot]->e.reported_version == seen->version;
}

void model_report_answer(struct model *m, struct ask *a, int http, int64_t version)
{
    struct report_seen seen = {http, version};
    if (http == 500 && m->full && !a->made) { /* mqtt 7.4: 507 is a number of HTTP alone */
        ask_destroy(a);
        return;
    }
    size_t at = a->made;
    if (at) {
        const struct snap *s = a->family->moments[at].at[a->slot];
        PROMISE(http == 204, "a report was refused with %d and carried out", http);
        PROMISE(s->e.reported_version == version, "a report made version %lld and says %lld",
                (long long)s->e.reported_version, (long long)version);
    } else {
        at = find(a, a->family, fits_report, &seen);
    }
    if (at == SIZE_MAX)
        no_moment(a, http == 204 ? "204" : "that refusal", (struct span){0});
    show(a, a->family, at);
    ask_destroy(a);
}

struct login_seen {
    bool accepted, present;
};

static bool fits_login(const struct ask *a, const struct moment *at, const void *answer)
{
    const struct login_seen *seen = answer;
    struct guess g;
    enum status st = model_guess(a, at, 0, &g);
    if (!seen->accepted)
        return st != OK;
    return st == OK && !g.writes && seen->present == (!a->clean && at->at[a->slot]->e.has_session);
}

/* The session that it made; 0: none. Two that ask for the same cannot be told apart. */
static size_t find_session(const struct ask *a)
{
    const struct family *f = a->family;
    for (size_t i = oldest(a, f) + 1; i < f->count; i++)
        if (model_session_is(a, &f->moments[i - 1], &f->moments[i]))
            return i;
    return 0;
}

size_t model_login_answer(struct model *m, struct ask *a, bool accepted, bool present)
{
    struct login_seen seen = {accepted, present};
    size_t at = find(a, a->family, fits_login, &seen);
    if (at == SIZE_MAX && accepted && !present && find_session(a))
        at = find_session(a);
    if (at == SIZE_MAX && !accepted && a->jumps != m->jumps)
        return 0; /* its token was of another time */
    if (at == SIZE_MAX)
        no_moment(a, accepted ? "CONNACK 0" : "CONNACK 5", (struct span){0});
    if (!accepted)
        return 0; /* a refused one learns nothing: it need not wait for the disk */
    show(a, a->family, at);
    return at;
}

static bool fits_session(const struct ask *a, const struct moment *at, const void *answer)
{
    (void)answer;
    struct guess g;
    return model_guess(a, at, 0, &g) == OK && !g.writes;
}

void model_session_answer(struct model *m, struct ask *a)
{
    (void)m;
    size_t at = find(a, a->family, fits_session, NULL);
    if (at == SIZE_MAX && find_session(a))
        at = find_session(a);
    if (at == SIZE_MAX)
        no_moment(a, "an acknowledgement", (struct span){0});
    show(a, a->family, at);
    ask_destroy(a);
}

size_t model_push(struct model *m, struct family *f, unsigned slot, uint64_t generation,
                  int64_t version, struct span body)
{
    (void)m;
    for (size_t i = f->count; i-- > 1;) {
        const struct moment *at = &f->moments[i];
        const struct snap *s = at->at[slot];
        if (at->slot != slot || !at->delta || s->e.desired_version != version ||
            (generation && s->e.generation != generation))
            continue;
        struct buf b = {0};
        naive_print_device(&b, at->delta, version);
        bool same = span_eq(buf_span(&b), body);
        buf_fini(&b);
        PROMISE(same, "%s/%.*s was pushed %.*s as version %lld", f->id,
                SPAN_ARG(family_module(slot)), SPAN_ARG(body), (long long)version);
        size_t whole = at->inside ? i + 1 : i;
        if (whole > f->shown)
            f->shown = whole;
        return i;
    }
    report_failure("%s/%.*s was pushed version %lld, which it never had: %.*s", f->id,
                   SPAN_ARG(family_module(slot)), (long long)version, SPAN_ARG(body));
}
