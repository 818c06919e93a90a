#include "hub/entity.h"

#include "base/text.h"
#include "doc/doc.h"
#include "store/store.h"

/* docs/format.md, "Entity record". */
enum {
    FORMAT = 1,
    AT_DEVICE_LEN = 1,
    AT_MODULE_LEN = 2,
    AT_ZERO = 3,
    AT_FLAGS = 4,
    AT_FEATURES = 6,
    AT_NUMBERS = 8,  /* eleven of 8 bytes */
    AT_LENGTHS = 96, /* one of 4 bytes for each text */
    TEXTS = 12,
    HEADER = AT_LENGTHS + 4 * TEXTS,

    FLAG_AUTH = 3,
    FLAG_DISABLED = 1 << 2,
    FLAG_EDGE = 1 << 3,
    FLAG_SESSION = 1 << 4,
    FLAG_MANAGED_BY = 1 << 5,
    FLAG_SCOPE = 1 << 6,
    FLAG_PARENT_SCOPE = 1 << 7,
    FLAG_PRIMARY_THUMBPRINT = 1 << 8,
    FLAG_SECONDARY_THUMBPRINT = 1 << 9,
    FLAGS_KNOWN = (1 << 10) - 1,
};

/* What follows the ids, in this order. `flag` says whether an optional one is there at all. */
/* clang-format off */
static const struct text {
    size_t field; /* of struct entity */
    uint16_t flag;
    bool is_utf8;
} texts[TEXTS] = {
    {offsetof(struct entity, status_reason),        0,                         true},
    {offsetof(struct entity, managed_by),           FLAG_MANAGED_BY,           true},
    {offsetof(struct entity, scope),                FLAG_SCOPE,                true},
    {offsetof(struct entity, parent_scope),         FLAG_PARENT_SCOPE,         true},
    {offsetof(struct entity, model_id),             0,                         true},
    {offsetof(struct entity, primary_thumbprint),   FLAG_PRIMARY_THUMBPRINT,   true},
    {offsetof(struct entity, secondary_thumbprint), FLAG_SECONDARY_THUMBPRINT, true},
    {offsetof(struct entity, tags),                 0,                         false},
    {offsetof(struct entity, desired),              0,                         false},
    {offsetof(struct entity, reported),             0,                         false},
    {offsetof(struct entity, configurations),       0,                         false},
    {offsetof(struct entity, session),              FLAG_SESSION,              false},
};
/* clang-format on */

static struct span *text_of(struct entity *e, const struct text *t)
{
    return (struct span *)(void *)((char *)e + t->field);
}

static struct span text_get(const struct entity *e, const struct text *t)
{
    return *(const struct span *)(const void *)((const char *)e + t->field);
}

/* ---- flags and keys ---- */

uint16_t entity_flags(const struct entity *e)
{
    unsigned flags = e->auth;
    flags |= e->disabled ? FLAG_DISABLED : 0;
    flags |= e->edge ? FLAG_EDGE : 0;
    flags |= e->has_session ? FLAG_SESSION : 0;
    flags |= e->has_managed_by ? FLAG_MANAGED_BY : 0;
    flags |= e->scope.data ? FLAG_SCOPE : 0;
    flags |= e->parent_scope.data ? FLAG_PARENT_SCOPE : 0;
    flags |= e->primary_thumbprint.data ? FLAG_PRIMARY_THUMBPRINT : 0;
    flags |= e->secondary_thumbprint.data ? FLAG_SECONDARY_THUMBPRINT : 0;
    return (uint16_t)flags;
}

bool entity_set_flags(struct entity *e, uint16_t flags)
{
    if (flags & ~FLAGS_KNOWN)
        return false;
    e->auth = (enum entity_auth)(flags & FLAG_AUTH);
    e->disabled = flags & FLAG_DISABLED;
    e->edge = flags & FLAG_EDGE;
    e->has_session = flags & FLAG_SESSION;
    e->has_managed_by = flags & FLAG_MANAGED_BY;
    for (size_t i = 0; i < TEXTS; i++) {
        struct span *text = text_of(e, &texts[i]);
        if (text->len) {
            if (texts[i].flag & ~flags)
                return false;
        } else {
            *text = texts[i].flag & flags ? SPAN("") : (struct span){0};
        }
    }
    return true;
}

static size_t keys_len(const struct entity *e)
{
    size_t len = e->primary_key.len + e->secondary_key.len;
    return len ? 2 + len : 0;
}

static uint8_t *put(uint8_t *at, struct span s)
{
    if (s.len)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

static void store_keys(uint8_t *at, const struct entity *e)
{
    CHECK(e->primary_key.len <= UINT16_MAX);
    at[0] = (uint8_t)e->primary_key.len;
    at[1] = (uint8_t)(e->primary_key.len >> 8);
    put(put(at + 2, e->primary_key), e->secondary_key);
}

void entity_put_keys(struct buf *b, const struct entity *e)
{
    size_t len = keys_len(e);
    if (!len)
        return;
    buf_reserve(b, len);
    store_keys(b->data + b->len, e);
    b->len += len;
}

bool entity_set_keys(struct entity *e, struct span keys)
{
    e->primary_key = e->secondary_key = (struct span){0};
    if (keys.len == 0)
        return true;
    if (keys.len <= 2) /* no keys are written as nothing */
        return false;
    size_t primary_len = (size_t)(keys.data[0] | keys.data[1] << 8);
    struct span rest = span_skip(keys, 2);
    if (primary_len > rest.len)
        return false;
    if (primary_len)
        e->primary_key = span_first(rest, primary_len);
    if (primary_len < rest.len)
        e->secondary_key = span_skip(rest, primary_len);
    return true;
}

/* ---- reading ---- */

static bool load_numbers(struct entity *e, const uint8_t *at)
{
    e->seq = load_u64le(at);
    e->generation = load_u64le(at + 8);
    e->identity_etag = load_u64le(at + 16);
    e->twin_etag = (int64_t)load_u64le(at + 24);
    e->desired_version = (int64_t)load_u64le(at + 32);
    e->reported_version = (int64_t)load_u64le(at + 40);
    e->created_ms = (int64_t)load_u64le(at + 48);
    e->stamp_ms = (int64_t)load_u64le(at + 56);
    e->status_updated_ms = (int64_t)load_u64le(at + 64);
    e->last_activity_ms = (int64_t)load_u64le(at + 72);
    e->connection_updated_ms = (int64_t)load_u64le(at + 80);
    return entity_is_counter(e->twin_etag) && entity_is_counter(e->desired_version) &&
           entity_is_counter(e->reported_version);
}

/* The ids and the texts fill the body to its last byte. */
static bool load_texts(struct entity *e, struct span body)
{
    const uint8_t *head = body.data;
    size_t device_len = head[AT_DEVICE_LEN], module_len = head[AT_MODULE_LEN];
    if (device_len == 0 || device_len > STORE_ID_MAX || module_len > STORE_ID_MAX)
        return false;
    struct span rest = span_skip(body, HEADER);
    if (rest.len < device_len + module_len)
        return false;
    e->device = span_first(rest, device_len);
    rest = span_skip(rest, device_len);
    e->module = span_first(rest, module_len);
    rest = span_skip(rest, module_len);
    for (size_t i = 0; i < TEXTS; i++) {
        uint32_t len = load_u32le(head + AT_LENGTHS + 4 * i);
        if (len > rest.len)
            return false;
        *text_of(e, &texts[i]) = span_first(rest, len);
        rest = span_skip(rest, len);
    }
    return rest.len == 0;
}

enum status entity_view(const struct record *r, struct entity *out)
{
    struct span body = record_body(r);
    if (body.len < HEADER || body.data[0] != FORMAT || body.data[AT_ZERO] != 0 ||
        load_u32le(body.data + AT_FLAGS) >> 16 != 0) /* the features: none is defined yet */
        return DAMAGED;
    struct entity e;
    uint16_t flags = (uint16_t)load_u32le(body.data + AT_FLAGS);
    if (!load_numbers(&e, body.data + AT_NUMBERS) || !load_texts(&e, body) ||
        !entity_set_flags(&e, flags) || !entity_set_keys(&e, record_secret(r)))
        return DAMAGED;
    *out = e;
    return OK;
}

static bool is_id(struct span id)
{
    return text_is_utf8(id) && span_index(id, 0) == id.len;
}

static bool is_object(struct span doc)
{
    return doc_is_valid(doc) && doc_type(doc_root(doc)) == DOC_OBJECT;
}

enum status entity_check(const struct entity *e)
{
    if (!is_id(e->device) || !is_id(e->module))
        return DAMAGED;
    for (size_t i = 0; i < TEXTS; i++)
        if (texts[i].is_utf8 && !text_is_utf8(text_get(e, &texts[i])))
            return DAMAGED;
    if (!is_object(e->tags) || !is_object(e->desired) || !is_object(e->reported))
        return DAMAGED;
    return e->configurations.len == 0 || is_object(e->configurations) ? OK : DAMAGED;
}

/* ---- writing ---- */

static void store_numbers(uint8_t *at, const struct entity *e)
{
    store_u64le(at, e->seq);
    store_u64le(at + 8, e->generation);
    store_u64le(at + 16, e->identity_etag);
    store_u64le(at + 24, (uint64_t)e->twin_etag);
    store_u64le(at + 32, (uint64_t)e->desired_version);
    store_u64le(at + 40, (uint64_t)e->reported_version);
    store_u64le(at + 48, (uint64_t)e->created_ms);
    store_u64le(at + 56, (uint64_t)e->stamp_ms);
    store_u64le(at + 64, (uint64_t)e->status_updated_ms);
    store_u64le(at + 72, (uint64_t)e->last_activity_ms);
    store_u64le(at + 80, (uint64_t)e->connection_updated_ms);
}

struct record *entity_record(const struct entity *e)
{
    CHECK(e->device.len > 0);
    CHECK(e->device.len <= STORE_ID_MAX);
    CHECK(e->module.len <= STORE_ID_MAX);
    uint16_t flags = entity_flags(e);
    size_t body_len = HEADER + e->device.len + e->module.len;
    for (size_t i = 0; i < TEXTS; i++)
        body_len += text_get(e, &texts[i]).len;
    struct record *r = record_create(body_len, keys_len(e));

    uint8_t *head = r->bytes;
    head[0] = FORMAT;
    head[AT_DEVICE_LEN] = (uint8_t)e->device.len;
    head[AT_MODULE_LEN] = (uint8_t)e->module.len;
    head[AT_ZERO] = 0;
    store_u32le(head + AT_FLAGS, flags);
    store_numbers(head + AT_NUMBERS, e);
    uint8_t *at = put(put(head + HEADER, e->device), e->module);
    for (size_t i = 0; i < TEXTS; i++) {
        struct span text = text_get(e, &texts[i]);
        CHECK(text.len == 0 || !(texts[i].flag & ~flags));
        store_u32le(head + AT_LENGTHS + 4 * i, (uint32_t)text.len);
        at = put(at, text);
    }
    if (r->secret_len)
        store_keys(at, e);
    return r;
}
