#include "doc/doc_node.h"

#include "doc/doc_edit.h"
#include "doc/doc_limits.h"

/* A write, in three steps: check what was sent, plan what becomes of each key, and write the plan
 * down twice: as a delta and as the new section. */
struct work {
    const struct doc_write *write;
    struct arena *arena;
    bool replace;
    struct doc_survey survey;
    struct node_mark mark;
};

/* ---- the rules of twins 2 ----------------------------------------------------------------- */

static enum status plan_members(struct work *k, struct edits *e, struct doc_node old,
                                struct doc_node value, bool *changed);

/* What becomes of one key (twins 2.6). In a replacement the patch holds no null, and what is an
 * object before and after is written anew although it stays. */
static enum status plan_member(struct work *k, struct edit *edit)
{
    if (edit->op == EDIT_DELETE)
        return OK;
    if (doc_type(edit->value) == DOC_NULL) {
        edit->op = edit->old.at ? EDIT_DELETE : EDIT_KEEP;
        return OK;
    }
    if (!edit->old.at || doc_type(edit->old) != DOC_OBJECT || doc_type(edit->value) != DOC_OBJECT) {
        edit->op = EDIT_SET;
        return OK;
    }
    bool changed;
    edit->inside = arena_alloc(k->arena, sizeof(*edit->inside));
    if (!edit->inside)
        return TOO_LARGE;
    TRY(plan_members(k, edit->inside, edit->old, edit->value, &changed));
    edit->op = changed || k->replace ? EDIT_INSIDE : EDIT_KEEP;
    return OK;
}

static enum status plan_members(struct work *k, struct edits *e, struct doc_node old,
                                struct doc_node value, bool *changed)
{
    TRY(doc_edits_init(e, node_count(value) + (k->replace ? doc_count(old) : 0), k->arena));
    e->rebuild = k->replace;
    NODE_EACH(member, value)
    {
        struct span key = node_key(member);
        if (!doc_key_is_ignored(key))
            doc_edits_add(e, key)->value = member;
    }
    TRY(doc_edits_match(e, old, k->arena));
    *changed = false;
    for (uint32_t i = 0; i < e->count; i++) {
        TRY(plan_member(k, &e->list[i]));
        *changed |= e->list[i].op != EDIT_KEEP;
    }
    return OK;
}

/* ---- new nodes ---------------------------------------------------------------------------- */

/* A value inside an array, without the members that are ignored. */
static uint8_t *put_plain(uint8_t *at, struct doc_node n)
{
    if (!node_is_container(n))
        return node_put(at, n.at, node_size(n));
    static const struct node_mark plain;
    uint8_t *node = at;
    size_t count = 0;
    at = node_open(node, node_type(n), &plain, node_key(n));
    NODE_EACH(child, n)
    {
        if (doc_type(n) == DOC_OBJECT && doc_key_is_ignored(node_key(child)))
            continue;
        at = put_plain(at, child);
        count++;
    }
    node_close(node, at, count);
    return at;
}

/* Scalars and arrays: one stamp each (twins 6 row 4), and the origin if there is one. */
static uint8_t *put_leaf(uint8_t *at, struct doc_node n, const struct work *k)
{
    const struct node_mark *m = &k->mark;
    uint8_t *node = at;
    const uint8_t *body = node_key_at(n);
    struct span key = node_key(n);
    at = node_put_stamp(at + NODE_HEAD, m);
    at = node_put(at, m->origin.data, m->origin.len);
    if (doc_type(n) == DOC_ARRAY && k->survey.ignored_in_array) {
        at = node_put(at, key.data, key.len);
        node_store(at, node_count(n));
        at += NODE_COUNT;
        NODE_EACH(element, n)
        at = put_plain(at, element);
    } else {
        at = node_put(at, body, (size_t)(node_end(n) - body));
    }
    node_head(node, node_type(n), m->flags | (m->origin.len ? NODE_ORIGIN : 0), key.len,
              (size_t)(at - node));
    return at;
}

/* A member as it enters the section: stamped, without nulls and what is ignored. */
static uint8_t *put_new(uint8_t *at, struct doc_node n, const struct work *k)
{
    if (doc_type(n) != DOC_OBJECT)
        return put_leaf(at, n, k);
    uint8_t *node = at;
    size_t count = 0;
    at = node_open(node, DOC_OBJECT, &k->mark, node_key(n));
    NODE_EACH(child, n)
    {
        if (doc_type(child) == DOC_NULL || doc_key_is_ignored(node_key(child)))
            continue;
        at = put_new(at, child, k);
        count++;
    }
    node_close(node, at, count);
    return at;
}

/* ---- the delta ---------------------------------------------------------------------------- */

static uint8_t *put_entry(uint8_t *at, struct edit *edit, const struct work *k);

static uint8_t *put_entries(uint8_t *at, const struct edits *e, const struct work *k, size_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < e->count; i++) {
        if (e->list[i].op == EDIT_KEEP)
            continue;
        at = put_entry(at, &e->list[i], k);
        ++*count;
    }
    return at;
}

/* Also points the edit to its new node in the delta, from where the section takes it. */
static uint8_t *put_entry(uint8_t *at, struct edit *edit, const struct work *k)
{
    static const struct node_mark plain;
    uint8_t *entry = at;
    if (edit->op == EDIT_INSIDE) {
        size_t count;
        at = put_entries(node_open(entry, NODE_INSIDE, &plain, edit->key), edit->inside, k, &count);
        node_close(entry, at, count);
        return at;
    }
    at += NODE_HEAD;
    if (edit->op == EDIT_SET) {
        struct doc_node new = {at};
        at = put_new(at, edit->value, k);
        edit->value = new;
    }
    if (edit->old.at)
        at = node_put(at, edit->old.at, node_size(edit->old));
    node_head(entry, edit->op == EDIT_SET ? NODE_SET : NODE_DELETE, 0, 0, (size_t)(at - entry));
    return at;
}

/* The room below is enough: each node sent becomes at most an entry and a stamped node, each
 * member of the old section is copied at most once, and in a replacement may be an entry. */
static enum status put_delta(const struct edits *e, struct span old, struct doc_node value,
                             const struct work *k, struct span *out)
{
    size_t per_node = NODE_HEAD + k->mark.stamp_len + k->mark.origin.len;
    size_t room = NODE_HEAD + 2 * sizeof(k->mark.stamp) + NODE_COUNT + node_size(value) +
                  k->survey.node_count * per_node + old.len * (k->replace ? 2 : 1);
    uint8_t *base = arena_bytes(k->arena, room);
    if (!base || room > UINT32_MAX)
        return TOO_LARGE;
    size_t count;
    uint8_t *at = node_open(base, NODE_INSIDE, &k->mark, (struct span){0});
    at = put_entries(at, e, k, &count);
    node_head(base, NODE_INSIDE, k->mark.flags | (k->replace ? NODE_REBUILD : 0), 0, 0);
    node_close(base, at, count);
    arena_trim(k->arena, at);
    *out = span_of(base, (size_t)(at - base));
    return OK;
}

/* ---- a write ------------------------------------------------------------------------------ */

static enum status mark_origin(struct node_mark *m, const struct doc_write *w, struct arena *a)
{
    if (w->by.len == 0 || !(m->flags & NODE_STAMP))
        return OK;
    CHECK(w->by.len <= NODE_ORIGIN_MAX);
    CHECK(w->by_digest.len <= NODE_ORIGIN_MAX);
    size_t len = 2 + w->by.len + w->by_digest.len;
    uint8_t *origin = arena_bytes(a, len);
    if (!origin)
        return TOO_LARGE;
    m->origin = span_of(origin, len);
    *origin++ = (uint8_t)w->by.len;
    origin = node_put(origin, w->by.data, w->by.len);
    *origin++ = (uint8_t)w->by_digest.len;
    node_put(origin, w->by_digest.data, w->by_digest.len);
    return OK;
}

static enum status write_section(struct work *k, struct span old, struct doc_node value,
                                 struct doc_result *out, struct doc_fault *fault)
{
    const struct doc_write *w = k->write;
    struct doc_result result = {.section = old};
    struct edits edits;
    TRY(doc_limits_check(value, w->limits, !k->replace, &k->survey, fault));
    TRY(plan_members(k, &edits, doc_root(old), value, &result.changed));
    if (result.changed) {
        node_mark_init(&k->mark, w->section, w->now_ms, w->version);
        TRY(mark_origin(&k->mark, w, k->arena));
        TRY(put_delta(&edits, old, value, k, &result.delta));
        TRY(doc_edits_build(&edits, old, result.delta.len, &k->mark, k->arena, &result.section));
        TRY(doc_limits_check_size(result.section, w, fault));
    }
    *out = result;
    return OK;
}

/* A refused write leaves the arena as it was. */
static enum status write_or_release(struct work *k, struct span old, struct doc_node value,
                                    struct doc_result *out, struct doc_fault *fault)
{
    size_t mark = arena_mark(k->arena);
    enum status st = write_section(k, old, value, out, fault);
    if (st != OK || !out->changed)
        arena_release(k->arena, mark);
    return st;
}

enum status doc_patch(struct span old, struct doc_node patch, const struct doc_write *w,
                      struct arena *a, struct doc_result *out, struct doc_fault *fault)
{
    struct work work = {.write = w, .arena = a};
    return write_or_release(&work, old, patch, out, fault);
}

enum status doc_replace(struct span old, struct doc_node value, const struct doc_write *w,
                        struct arena *a, struct doc_result *out, struct doc_fault *fault)
{
    uint8_t nothing[NODE_HEAD + NODE_COUNT] = {0};
    node_head(nothing, DOC_OBJECT, 0, 0, sizeof(nothing));
    if (!value.at || doc_type(value) == DOC_NULL)
        value.at = nothing;
    struct work work = {.write = w, .arena = a, .replace = true};
    return write_or_release(&work, old, value, out, fault);
}
