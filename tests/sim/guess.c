#include "auth/identity.h"
#include "base/text.h"
#include "model.h"

#include <stdio.h>

/* ---- etags ---- */

static bool matches(const struct ask *a, const char *etag)
{
    return a->match != MATCH_TAG || strcmp(a->tag, etag) == 0;
}

void snap_twin_etag(const struct snap *s, char out[32])
{
    uint8_t bytes[8];
    struct buf b = {0};
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)s->e.twin_etag >> (56 - 8 * i));
    text_put_base64(&b, span_of(bytes, 8));
    snprintf(out, 32, "%.*s", SPAN_ARG(b));
    buf_fini(&b);
}

void snap_identity_etag(const struct snap *s, char out[32])
{
    char digits[24];
    struct buf b = {0};
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)s->e.identity_etag);
    text_put_base64(&b, span_text(digits));
    snprintf(out, 32, "%.*s", SPAN_ARG(b));
    buf_fini(&b);
}

static bool twin_matches(const struct ask *a, const struct snap *s)
{
    char etag[32];
    snap_twin_etag(s, etag);
    return matches(a, etag);
}

static bool identity_matches(const struct ask *a, const struct snap *s)
{
    char etag[32];
    snap_identity_etag(s, etag);
    return matches(a, etag);
}

/* ---- twins ---- */

/* What a write made of one section. */
struct written {
    struct naive *section;
    bool changed;
    const struct naive *delta;
};

/* naive_patch and naive_replace leave what is below the old root alone: a copy of it will do. */
static enum status write_section(const struct naive *old, const struct naive *value, bool replace,
                                 const struct doc_write *w, struct written *out)
{
    out->section = naive_empty(0);
    *out->section = *old;
    struct naive_result r = (replace ? naive_replace : naive_patch)(out->section, value, w);
    out->changed = r.changed;
    out->delta = r.changed ? r.delta : NULL;
    return r.status;
}

/* Tags and desired: by PATCH, by PUT (`whole`: what is not given is emptied), by a bulk entry. */
static enum status guess_twin(const struct ask *a, const struct snap *s, bool replace, bool whole,
                              int64_t time_ms, struct guess *out)
{
    const struct naive *nothing = naive_empty(0);
    const struct naive *tags = a->tags ? a->tags : whole ? nothing : NULL;
    const struct naive *desired = a->desired ? a->desired : whole ? nothing : NULL;
    struct written t = {.section = s->tags}, d = {.section = s->desired};
    struct doc_write w = {.section = DOC_TAGS,
                          .limits = &doc_limits_azure,
                          .now_ms = time_ms > s->e.stamp_ms ? time_ms : s->e.stamp_ms};
    enum status tags_st = OK, desired_st = OK;
    if (tags)
        tags_st = write_section(s->tags, tags, replace, &w, &t);
    w.section = DOC_DESIRED;
    w.version = s->e.desired_version + 1;
    if (desired)
        desired_st = write_section(s->desired, desired, replace, &w, &d);
    if (tags_st == BAD_ARGUMENT || desired_st == BAD_ARGUMENT)
        return BAD_ARGUMENT;
    if (tags_st != OK || desired_st != OK)
        return tags_st != OK ? tags_st : desired_st;
    out->tags = t.section;
    out->desired = d.section;
    out->delta = d.delta;
    out->desired_counts = desired && (replace || d.changed);
    out->writes = out->desired_counts || (tags && (replace || t.changed));
    return OK;
}

static enum status guess_update(const struct ask *a, const struct moment *at, int64_t time_ms,
                                struct guess *out)
{
    const struct snap *device = at->at[SLOT_DEVICE], *s = at->at[a->slot];
    if (a->malformed)
        return BAD_FORMAT;
    if (!device || !s)
        return NO_DEVICE;
    if (!twin_matches(a, s))
        return ETAG_MISMATCH;
    bool put = a->kind == ASK_TWIN_PUT;
    return guess_twin(a, s, put, put, time_ms, out);
}

static enum status guess_report(const struct ask *a, const struct moment *at, int64_t time_ms,
                                struct guess *out)
{
    const struct snap *s = at->at[a->slot];
    if (a->malformed)
        return BAD_ARGUMENT;
    if (a->if_version >= 0 && a->if_version != s->e.reported_version)
        return ETAG_MISMATCH;
    struct doc_write w = {.section = DOC_REPORTED,
                          .limits = &doc_limits_azure,
                          .now_ms = time_ms > s->e.stamp_ms ? time_ms : s->e.stamp_ms,
                          .version = s->e.reported_version + 1};
    struct written r;
    TRY(write_section(s->reported, a->patch, false, &w, &r));
    out->reported = r.section;
    out->writes = r.changed;
    return OK;
}

/* ---- identities ---- */

static enum status missing(const struct ask *a, const struct moment *at)
{
    if (!at->at[SLOT_DEVICE])
        return NO_DEVICE;
    return at->at[a->slot] ? OK : NO_MODULE;
}

static bool is_system(unsigned slot)
{
    return slot >= SLOT_AGENT;
}

/* May these fields become its identity? */
static enum status check_fields(const struct ask *a, const struct snap *now)
{
    if (a->bad_keys)
        return BAD_ARGUMENT;
    if (now && now->e.edge && !span_eq(span_text(a->scope), now->e.scope))
        return BAD_ARGUMENT;
    return OK;
}

static enum status guess_put(const struct ask *a, const struct moment *at, struct guess *out)
{
    const struct snap *device = at->at[SLOT_DEVICE], *s = at->at[a->slot];
    bool update = a->match != MATCH_NONE;
    if (a->malformed)
        return BAD_FORMAT;
    if (!device && (a->slot || update))
        return NO_DEVICE;
    if (update && !s)
        return NO_MODULE;
    if (!update && s)
        return a->slot ? MODULE_EXISTS : DEVICE_EXISTS;
    if (update && is_system(a->slot) && !a->own_key[0])
        return SYSTEM_MODULE;
    if (update && !identity_matches(a, s))
        return ETAG_MISMATCH;
    TRY(check_fields(a, s));
    if (is_system(a->slot) && !update)
        return BAD_ARGUMENT;
    out->writes = true;
    return OK;
}

static enum status guess_delete(const struct ask *a, const struct moment *at, struct guess *out)
{
    TRY(missing(a, at));
    if (is_system(a->slot))
        return SYSTEM_MODULE;
    if (a->match == MATCH_NONE || !identity_matches(a, at->at[a->slot]))
        return ETAG_MISMATCH;
    out->writes = true;
    return OK;
}

static enum status guess_entry_create(const struct ask *a, struct guess *out)
{
    struct guess twin = {0};
    const struct snap empty = {
        .tags = naive_empty(0), .desired = naive_empty(0), .reported = naive_empty(0)};
    TRY(check_fields(a, NULL));
    TRY(guess_twin(a, &empty, true, false, 0, &twin));
    out->writes = true;
    return OK;
}

static enum status guess_entry(const struct ask *a, const struct moment *at, int64_t time_ms,
                               struct guess *out)
{
    const struct snap *s = at->at[a->slot];
    bool creates = a->mode == MODE_CREATE || a->mode == MODE_CREATE_OR_UPDATE;
    if (a->slot && !at->at[SLOT_DEVICE])
        return NO_DEVICE;
    if (!s && !creates)
        return missing(a, at);
    if (!s)
        return guess_entry_create(a, out);
    if (a->mode == MODE_CREATE)
        return a->slot ? MODULE_EXISTS : DEVICE_EXISTS;
    if (a->mode == MODE_TWIN_IF_MATCH && !twin_matches(a, s))
        return ETAG_MISMATCH;
    if ((a->mode == MODE_UPDATE_IF_MATCH || a->mode == MODE_DELETE_IF_MATCH) &&
        !identity_matches(a, s))
        return ETAG_MISMATCH;
    if (a->mode == MODE_TWIN || a->mode == MODE_TWIN_IF_MATCH)
        return guess_twin(a, s, false, false, time_ms, out);
    if (a->mode == MODE_DELETE || a->mode == MODE_DELETE_IF_MATCH) {
        out->writes = true;
        return OK;
    }
    TRY(check_fields(a, s));
    TRY(guess_twin(a, s, true, false, time_ms, out));
    out->writes = true;
    return OK;
}

/* ---- devices ---- */

bool model_may_login(const struct moment *at, unsigned slot, struct span key)
{
    const struct snap *device = at->at[SLOT_DEVICE], *s = at->at[slot];
    if (!device || !s || device->e.disabled || s->e.auth != AUTH_SAS)
        return false;
    return span_eq(s->e.primary_key, key) || span_eq(s->e.secondary_key, key);
}

unsigned model_filters(struct span session)
{
    static const struct {
        unsigned bit;
        const char *text;
    } filters[] = {
        {FILTER_RESPONSES, "$iothub/twin/res/#"                     },
        {FILTER_DESIRED,   "$iothub/twin/PATCH/properties/desired/#"},
        {FILTER_METHODS,   "$iothub/methods/POST/#"                 }
    };
    unsigned bits = 0;
    for (size_t i = 0; i < COUNT(filters) && session.len; i++)
        if (memmem(session.data, session.len, filters[i].text, strlen(filters[i].text)))
            bits |= filters[i].bit;
    return bits;
}

enum status model_guess(const struct ask *a, const struct moment *at, int64_t time_ms,
                        struct guess *out)
{
    const struct snap *s = at->at[a->slot];
    *out = (struct guess){0};
    if (a->own_key[0] && !model_may_login(at, SLOT_DEVICE, span_text(a->own_key)))
        return UNAUTHORIZED;
    if (a->kind >= ASK_LOGIN && !model_may_login(at, a->slot, span_text(a->keys[0])))
        return UNAUTHORIZED;
    switch (a->kind) {
    case ASK_PUT:
        return guess_put(a, at, out);
    case ASK_GET:
        return missing(a, at);
    case ASK_DELETE:
        return guess_delete(a, at, out);
    case ASK_MODULES:
        return at->at[SLOT_DEVICE] ? OK : NO_DEVICE;
    case ASK_TWIN_GET:
        return at->at[SLOT_DEVICE] && s ? OK : NO_DEVICE;
    case ASK_TWIN_PATCH:
    case ASK_TWIN_PUT:
        return guess_update(a, at, time_ms, out);
    case ASK_ENTRY:
        return guess_entry(a, at, time_ms, out);
    case ASK_REPORT:
        return guess_report(a, at, time_ms, out);
    case ASK_LOGIN:
        out->writes = a->clean == s->e.has_session;
        return OK;
    case ASK_SUBSCRIBE:
        out->writes = !a->clean && a->filters & ~model_filters(s->e.session);
        return OK;
    case ASK_UNSUBSCRIBE:
        out->writes = !a->clean && a->filters & model_filters(s->e.session);
        return OK;
    case ASK_BULK:
    case ASK_LIST:
    case ASK_REFUSED:
    case ASK_READ:
    case ASK_EVENT:
        return OK;
    }
    return OK;
}
