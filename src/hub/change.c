#include "hub/change.h"

#include "base/text.h"
#include "doc/doc.h"
#include "store/store.h"

/* docs/format.md, "Change record". */
enum {
    FORMAT = 1,
    AT_KIND = 1,
    AT_FLAGS = 2,
    AT_DEVICE_LEN = 3,
    AT_MODULE_LEN = 4,
    AT_ZERO = 5,
    AT_FEATURES = 6,
    AT_PARTITION = 8,
    AT_SEQ = 12,
    AT_GENERATION = 20,
    AT_TIME = 28,
    AT_COUNTERS = 36,
    HEADER = 60,

    FLAG_REPLACE = 1,
    EFFECT_MAX = 1 << 30, /* far above every limit: what is longer is not ours */
};

/* The fields of an entity that a change may carry, by the number of their bit. Each holds the
 * value before and after; sections hold a delta instead, the keys are in the secret part. */
enum field_type { NUMBER, FLAGS, UTF8, DOCUMENT, BYTES, DELTA, KEYS };

/* clang-format off */
static const struct field {
    enum field_type type;
    bool identity;   /* belongs to the identity: whole in every identity change */
    size_t in_entity, delta; /* offsets in struct entity and, of a section, in struct change */
} fields[] = {
    {NUMBER,   false, offsetof(struct entity, stamp_ms),              0},
    {NUMBER,   false, offsetof(struct entity, last_activity_ms),      0},
    {NUMBER,   false, offsetof(struct entity, connection_updated_ms), 0},
    {NUMBER,   true,  offsetof(struct entity, status_updated_ms),     0},
    {NUMBER,   true,  offsetof(struct entity, identity_etag),         0},
    {FLAGS,    true,  0,                                              0},
    {UTF8,     true,  offsetof(struct entity, status_reason),         0},
    {UTF8,     true,  offsetof(struct entity, managed_by),            0},
    {UTF8,     true,  offsetof(struct entity, scope),                 0},
    {UTF8,     true,  offsetof(struct entity, parent_scope),          0},
    {UTF8,     false, offsetof(struct entity, model_id),              0},
    {UTF8,     true,  offsetof(struct entity, primary_thumbprint),    0},
    {UTF8,     true,  offsetof(struct entity, secondary_thumbprint),  0},
    {DOCUMENT, false, offsetof(struct entity, configurations),        0},
    {BYTES,    false, offsetof(struct entity, session),               0},
    {DELTA,    false, offsetof(struct entity, tags),                  offsetof(struct change, tags)},
    {DELTA,    false, offsetof(struct entity, desired),               offsetof(struct change, desired)},
    {DELTA,    false, offsetof(struct entity, reported),              offsetof(struct change, reported)},
    {KEYS,     true,  0,                                              0},
};
/* clang-format on */

static uint64_t *number_of(struct entity *e, const struct field *f)
{
    return (uint64_t *)(void *)((char *)e + f->in_entity);
}

static uint64_t number_get(const struct entity *e, const struct field *f)
{
    if (f->type == FLAGS)
        return entity_flags(e);
    return *(const uint64_t *)(const void *)((const char *)e + f->in_entity);
}

static struct span *span_in(struct entity *e, const struct field *f)
{
    return (struct span *)(void *)((char *)e + f->in_entity);
}

static struct span span_get(const struct entity *e, const struct field *f)
{
    return *(const struct span *)(const void *)((const char *)e + f->in_entity);
}

static struct span delta_get(const struct change *c, const struct field *f)
{
    return *(const struct span *)(const void *)((const char *)c + f->delta);
}

/* ---- writing ---- */

static void put_head(struct buf *b, const struct change *c)
{
    const struct entity *e = c->after ? c->after : c->before;
    buf_reserve(b, HEADER + e->device.len + e->module.len);
    buf_byte(b, FORMAT);
    buf_byte(b, (uint8_t)c->kind);
    buf_byte(b, c->replace ? FLAG_REPLACE : 0);
    buf_byte(b, (uint8_t)e->device.len);
    buf_byte(b, (uint8_t)e->module.len);
    buf_put(b, SPAN("\0\0\0")); /* zero, features */
    buf_u32le(b, c->partition);
    buf_u64le(b, c->seq);
    buf_u64le(b, e->generation);
    buf_u64le(b, (uint64_t)c->time_ms);
    buf_u64le(b, (uint64_t)e->twin_etag);
    buf_u64le(b, (uint64_t)e->desired_version);
    buf_u64le(b, (uint64_t)e->reported_version);
    buf_put(b, e->device);
    buf_put(b, e->module);
}

static bool has_keys(const struct entity *e)
{
    return e->primary_key.len || e->secondary_key.len;
}

/* Spans that were not touched still point to the same bytes: seen without comparing them. */
static bool span_same(struct span a, struct span b)
{
    return (a.data == b.data && a.len == b.len) || span_eq(a, b);
}

/* Is this field in the change? */
static bool carries(const struct change *c, const struct field *f)
{
    const struct entity *before = c->before, *after = c->after;
    bool whole = c->kind == CHANGE_IDENTITY && f->identity;
    switch (f->type) {
    case NUMBER:
    case FLAGS:
        return whole || number_get(before, f) != number_get(after, f);
    case UTF8:
    case DOCUMENT:
    case BYTES:
        return whole || !span_same(span_get(before, f), span_get(after, f));
    case DELTA:
        if (delta_get(c, f).len)
            return true;
        CHECK(span_same(span_get(before, f), span_get(after, f)));
        return false;
    case KEYS:
        return (whole && (has_keys(before) || has_keys(after))) ||
               !span_same(before->primary_key, after->primary_key) ||
               !span_same(before->secondary_key, after->secondary_key);
    }
    return false;
}

static void put_field(const struct change *c, const struct field *f, struct buf *effect,
                      struct buf *secret)
{
    switch (f->type) {
    case NUMBER:
    case FLAGS:
        buf_u64le(effect, number_get(c->before, f));
        buf_u64le(effect, number_get(c->after, f));
        return;
    case UTF8:
    case DOCUMENT:
    case BYTES:
        buf_u32le(effect, (uint32_t)span_get(c->before, f).len);
        buf_u32le(effect, (uint32_t)span_get(c->after, f).len);
        buf_put(effect, span_get(c->before, f));
        buf_put(effect, span_get(c->after, f));
        return;
    case DELTA:
        buf_u32le(effect, (uint32_t)delta_get(c, f).len);
        buf_put(effect, delta_get(c, f));
        return;
    case KEYS: {
        struct buf old = {0};
        entity_put_keys(&old, c->before);
        buf_u32le(secret, (uint32_t)old.len);
        buf_put(secret, buf_span(&old));
        entity_put_keys(secret, c->after);
        if (old.len)
            explicit_bzero(old.data, old.len);
        buf_fini(&old);
        return;
    }
    }
}

static void put_fields(const struct change *c, struct buf *effect, struct buf *secret)
{
    CHECK(c->before->generation == c->after->generation);
    CHECK(c->before->created_ms == c->after->created_ms);
    size_t mask_at = effect->len;
    uint32_t mask = 0;
    buf_u32le(effect, 0);
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (!carries(c, &fields[i]))
            continue;
        mask |= 1u << i;
        put_field(c, &fields[i], effect, secret);
    }
    store_u32le(effect->data + mask_at, mask);
}

static void put_record(const struct entity *e, struct buf *effect, struct buf *secret)
{
    struct record *r = entity_record(e);
    buf_put(effect, record_body(r));
    buf_put(secret, record_secret(r));
    record_unref(r);
}

void change_encode(const struct change *c, struct buf *effect, struct buf *secret)
{
    CHECK((c->before == NULL) == (c->kind == CHANGE_CREATE));
    CHECK((c->after == NULL) == (c->kind == CHANGE_DELETE));
    put_head(effect, c);
    if (c->before && c->after)
        put_fields(c, effect, secret);
    else
        put_record(c->after ? c->after : c->before, effect, secret);
}

/* ---- reading ---- */

enum status change_head(struct span effect, struct change_head *out)
{
    const uint8_t *at = effect.data;
    if (effect.len < HEADER || effect.len > EFFECT_MAX || at[0] != FORMAT ||
        at[AT_KIND] < CHANGE_CREATE || at[AT_KIND] > CHANGE_ACTIVITY ||
        at[AT_FLAGS] & ~FLAG_REPLACE || at[AT_ZERO] || at[AT_FEATURES] || at[AT_FEATURES + 1])
        return DAMAGED;
    size_t device_len = at[AT_DEVICE_LEN], module_len = at[AT_MODULE_LEN];
    if (device_len == 0 || device_len > STORE_ID_MAX || module_len > STORE_ID_MAX ||
        effect.len - HEADER < device_len + module_len)
        return DAMAGED;
    struct change_head head = {
        .kind = (enum change_kind)at[AT_KIND],
        .replace = at[AT_FLAGS] & FLAG_REPLACE,
        .partition = load_u32le(at + AT_PARTITION),
        .seq = load_u64le(at + AT_SEQ),
        .generation = load_u64le(at + AT_GENERATION),
        .time_ms = (int64_t)load_u64le(at + AT_TIME),
        .device = span_of(at + HEADER, device_len),
        .module = span_of(at + HEADER + device_len, module_len),
        .twin_etag = (int64_t)load_u64le(at + AT_COUNTERS),
        .desired_version = (int64_t)load_u64le(at + AT_COUNTERS + 8),
        .reported_version = (int64_t)load_u64le(at + AT_COUNTERS + 16),
    };
    if (!entity_is_counter(head.twin_etag) || !entity_is_counter(head.desired_version) ||
        !entity_is_counter(head.reported_version))
        return DAMAGED;
    *out = head;
    return OK;
}

/* Take the first `len` bytes of *in; false when there are fewer. */
static bool take(struct span *in, size_t len, struct span *out)
{
    if (len > in->len)
        return false;
    *out = len ? span_first(*in, len) : (struct span){0};
    *in = span_skip(*in, len);
    return true;
}

static bool take_u32(struct span *in, uint32_t *out)
{
    struct span bytes;
    if (!take(in, 4, &bytes))
        return false;
    *out = load_u32le(bytes.data);
    return true;
}

/* What a change says, and what it is applied to. */
struct replay {
    struct entity e;            /* the record before; becomes the record after */
    uint16_t flags;             /* of e, after */
    struct span effect, secret; /* what is still to be read */
    struct arena *arena;
};

static enum status apply_number(struct replay *r, const struct field *f)
{
    struct span bytes;
    if (!take(&r->effect, 16, &bytes) || load_u64le(bytes.data) != number_get(&r->e, f))
        return DAMAGED;
    uint64_t after = load_u64le(bytes.data + 8);
    if (f->type == NUMBER)
        *number_of(&r->e, f) = after;
    else if (after <= UINT16_MAX)
        r->flags = (uint16_t)after;
    else
        return DAMAGED;
    return OK;
}

static bool fits_type(enum field_type type, struct span s)
{
    if (type == UTF8)
        return text_is_utf8(s);
    if (type == DOCUMENT && s.len)
        return doc_is_valid(s) && doc_type(doc_root(s)) == DOC_OBJECT;
    return true;
}

static enum status apply_bytes(struct replay *r, const struct field *f)
{
    uint32_t before_len, after_len;
    struct span before, after;
    if (!take_u32(&r->effect, &before_len) || !take_u32(&r->effect, &after_len) ||
        !take(&r->effect, before_len, &before) || !take(&r->effect, after_len, &after))
        return DAMAGED;
    if (!span_eq(before, span_get(&r->e, f)) || !fits_type(f->type, after))
        return DAMAGED;
    *span_in(&r->e, f) = after;
    return OK;
}

static enum status apply_delta(struct replay *r, const struct field *f)
{
    uint32_t len;
    struct span delta;
    if (!take_u32(&r->effect, &len) || !take(&r->effect, len, &delta))
        return DAMAGED;
    return doc_apply(span_get(&r->e, f), delta, r->arena, span_in(&r->e, f));
}

static enum status apply_keys(struct replay *r)
{
    uint32_t len;
    struct span before;
    struct entity old;
    if (!take_u32(&r->secret, &len) || !take(&r->secret, len, &before) ||
        !entity_set_keys(&old, before) || !span_eq(old.primary_key, r->e.primary_key) ||
        !span_eq(old.secondary_key, r->e.secondary_key) || !entity_set_keys(&r->e, r->secret))
        return DAMAGED;
    r->secret = (struct span){0};
    return OK;
}

static enum status apply_field(struct replay *r, const struct field *f)
{
    switch (f->type) {
    case NUMBER:
    case FLAGS:
        return apply_number(r, f);
    case UTF8:
    case DOCUMENT:
    case BYTES:
        return apply_bytes(r, f);
    case DELTA:
        return apply_delta(r, f);
    case KEYS:
        return apply_keys(r);
    }
    return DAMAGED;
}

static enum status apply_fields(struct replay *r)
{
    uint32_t mask;
    r->flags = entity_flags(&r->e);
    if (!take_u32(&r->effect, &mask) || mask >> COUNT(fields))
        return DAMAGED;
    for (size_t i = 0; i < COUNT(fields); i++)
        if (mask >> i & 1)
            TRY(apply_field(r, &fields[i]));
    bool whole = r->effect.len == 0 && r->secret.len == 0;
    return whole && entity_set_flags(&r->e, r->flags) ? OK : DAMAGED;
}

static bool same_ids(const struct entity *e, const struct change_head *head)
{
    return span_eq(e->device, head->device) && span_eq(e->module, head->module);
}

/* A change of the record that is there. */
static enum status apply_change(const struct change_head *head, struct replay *r,
                                struct record **out)
{
    struct entity *e = &r->e;
    if (head->twin_etag < e->twin_etag || head->desired_version < e->desired_version ||
        head->reported_version < e->reported_version)
        return DAMAGED;
    size_t mark = arena_mark(r->arena);
    enum status st = apply_fields(r);
    if (st == OK) {
        e->seq = head->seq;
        e->twin_etag = head->twin_etag;
        e->desired_version = head->desired_version;
        e->reported_version = head->reported_version;
        *out = entity_record(e);
    }
    arena_release(r->arena, mark);
    return st;
}

/* The record that a creation carries. */
static enum status carried(const struct change_head *head, struct span body, struct span secret,
                           struct record **out)
{
    struct record *r = record_create(body.len, secret.len);
    if (body.len)
        memcpy(r->bytes, body.data, body.len);
    if (secret.len)
        memcpy(r->bytes + body.len, secret.data, secret.len);
    struct entity e;
    if (entity_view(r, &e) != OK || entity_check(&e) != OK || !same_ids(&e, head) ||
        e.generation != head->generation || e.seq != head->seq || e.twin_etag != head->twin_etag ||
        e.desired_version != head->desired_version ||
        e.reported_version != head->reported_version) {
        record_unref(r);
        return DAMAGED;
    }
    *out = r;
    return OK;
}

enum status change_apply(struct record *before, struct span effect, struct span secret,
                         struct arena *a, struct record **out)
{
    struct change_head head;
    TRY(change_head(effect, &head));
    struct replay r = {.arena = a, .secret = secret};
    if (before) {
        TRY(entity_view(before, &r.e));
        if (!same_ids(&r.e, &head))
            return DAMAGED;
        if (head.seq <= r.e.seq) {
            *out = record_ref(before);
            return OK;
        }
    }
    r.effect = span_skip(effect, HEADER + head.device.len + head.module.len);
    bool same_generation = before && r.e.generation == head.generation;
    if (head.kind == CHANGE_CREATE)
        return same_generation ? DAMAGED : carried(&head, r.effect, secret, out);
    if (before && !same_generation)
        return DAMAGED;
    if (before && head.kind != CHANGE_DELETE)
        return apply_change(&head, &r, out);
    *out = NULL;
    return OK;
}
