#include "doc/doc_naive.h"

#include "base/text.h"

static uint8_t block[64 << 20];
static size_t used;

void naive_reset(void)
{
    used = 0;
}

static void *take(size_t size)
{
    used = (used + 15) & ~(size_t)15;
    CHECK(size <= sizeof(block) - used);
    void *p = block + used;
    used += size;
    return memset(p, 0, size);
}

static struct span keep(struct span s)
{
    uint8_t *copy = take(s.len + 1);
    if (s.len)
        memcpy(copy, s.data, s.len);
    return span_of(copy, s.len);
}

static struct naive *make(enum doc_type type, struct span key)
{
    struct naive *n = take(sizeof(*n));
    n->type = type;
    n->key = key;
    return n;
}

static void append(struct naive *parent, struct naive *child)
{
    struct naive **link = &parent->first;
    while (*link)
        link = &(*link)->next;
    child->next = NULL;
    *link = child;
}

struct naive *naive_empty(int64_t stamp)
{
    struct naive *n = make(DOC_OBJECT, (struct span){0});
    n->stamp = stamp;
    return n;
}

struct naive *naive_from(struct doc_node d)
{
    struct naive *n = make(doc_type(d), (struct span){0});
    struct naive **link = &n->first;
    if (n->type == DOC_STRING || n->type == DOC_NUMBER)
        n->text = keep(doc_string(d));
    if (n->type == DOC_INT) {
        struct buf text = {0};
        buf_i64(&text, doc_int(d));
        n->text = keep(buf_span(&text));
        buf_fini(&text);
    }
    for (struct doc_node c = doc_first(d); c.at; c = doc_next(d, c)) {
        struct naive *child = naive_from(c);
        if (n->type == DOC_OBJECT)
            child->key = keep(doc_key(c));
        *link = child;
        link = &child->next;
    }
    return n;
}

/* ---- twins 3 ------------------------------------------------------------------------------ */

static bool ignored(struct span key)
{
    return span_eq(key, SPAN("$metadata")) || span_eq(key, SPAN("$version"));
}

/* The code point at the start of s, whose UTF-8 is good, and its length. */
static uint32_t code_point(struct span s, size_t *len)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *len = text_utf8_len(s);
    uint32_t c = s.data[0] & masks[*len];
    for (size_t i = 1; i < *len; i++)
        c = c << 6 | (s.data[i] & 0x3f);
    return c;
}

static bool is_control(uint32_t c)
{
    return c <= 0x1f || (c >= 0x7f && c <= 0x9f);
}

static bool good_key(struct span key, const struct doc_limits *l)
{
    if (key.len > l->key_max)
        return false;
    for (size_t len; key.len; key = span_skip(key, len)) {
        uint32_t c = code_point(key, &len);
        if (is_control(c) || c == '.' || c == '$' || c == ' ' || c == '#')
            return false;
    }
    return true;
}

static bool good_number(struct span text, const struct doc_limits *l)
{
    int64_t value;
    for (size_t i = 0; i < text.len; i++)
        if (strchr(".eE", text.data[i]))
            return true;
    if (span_eq(text, SPAN("-0")))
        return true;
    return text_i64(text, &value) && value >= l->int_min && value <= l->int_max;
}

static bool good(const struct naive *n, uint32_t depth, bool in_array, bool nulls,
                 const struct doc_limits *l)
{
    switch (n->type) {
    case DOC_NULL:
        return nulls && !in_array;
    case DOC_INT:
    case DOC_NUMBER:
        return good_number(n->text, l);
    case DOC_STRING:
        return n->text.len <= l->string_max;
    case DOC_FALSE:
    case DOC_TRUE:
        return true;
    case DOC_ARRAY:
    case DOC_OBJECT:
        break;
    }
    if (depth > l->depth_max)
        return false;
    for (const struct naive *c = n->first; c; c = c->next) {
        if (n->type == DOC_OBJECT && ignored(c->key))
            continue;
        if (n->type == DOC_OBJECT && !good_key(c->key, l))
            return false;
        if (!good(c, depth + 1, in_array || n->type == DOC_ARRAY, nulls, l))
            return false;
    }
    return true;
}

size_t naive_counted(const struct naive *n)
{
    size_t sum = 0, len;
    if (n->type == DOC_INT || n->type == DOC_NUMBER)
        return 8;
    if (n->type == DOC_FALSE || n->type == DOC_TRUE)
        return 4;
    for (struct span s = n->text; s.len; s = span_skip(s, len))
        if (!is_control(code_point(s, &len)))
            sum += len;
    for (const struct naive *c = n->first; c; c = c->next)
        sum += c->key.len + naive_counted(c);
    return sum;
}

size_t naive_nodes(const struct naive *n)
{
    size_t sum = 0;
    for (const struct naive *c = n->first; c; c = c->next)
        sum += 1 + naive_nodes(c);
    return sum;
}

static bool fits(const struct naive *n, const struct doc_write *w)
{
    struct buf text = {0};
    naive_print(&text, n);
    size_t text_len = text.len;
    buf_fini(&text);
    uint32_t limit = w->section == DOC_TAGS ? w->limits->tags_max : w->limits->properties_max;
    return naive_counted(n) <= limit && text_len <= w->limits->text_max &&
           naive_nodes(n) <= w->limits->node_max;
}

/* ---- twins 2 ------------------------------------------------------------------------------ */

/* A copy with stamps, without nulls and ignored members. */
static struct naive *fresh(const struct naive *value, struct span key, const struct doc_write *w)
{
    struct naive *n = make(value->type, key);
    n->text = value->text;
    n->stamp = w->now_ms;
    n->version = w->version;
    n->by_configuration = value->type != DOC_OBJECT && w->by.len;
    for (const struct naive *c = value->first; c; c = c->next)
        if (!ignored(c->key) && c->type != DOC_NULL)
            append(n, fresh(c, c->key, w));
    return n;
}

/* A copy as it is; a refused write works on one. */
static struct naive *clone(const struct naive *from)
{
    struct naive *n = take(sizeof(*n));
    *n = *from;
    n->first = n->next = NULL;
    struct naive **link = &n->first;
    for (const struct naive *c = from->first; c; c = c->next) {
        *link = clone(c);
        link = &(*link)->next;
    }
    return n;
}

static struct naive **find(struct naive *object, struct span key)
{
    struct naive **link = &object->first;
    while (*link && !span_eq((*link)->key, key))
        link = &(*link)->next;
    return link;
}

static void stamp(struct naive *n, const struct doc_write *w)
{
    n->stamp = w->now_ms;
    n->version = w->version;
}

/* twins 2.6, with what the device is told noted in `delta`. */
static bool merge(struct naive *target, const struct naive *patch, const struct doc_write *w,
                  struct naive *delta)
{
    bool changed = false;
    stamp(delta, w);
    for (const struct naive *x = patch->first; x; x = x->next) {
        if (ignored(x->key))
            continue;
        struct naive **old = find(target, x->key);
        if (x->type == DOC_NULL) {
            if (!*old)
                continue;
            *old = (*old)->next;
            append(delta, make(DOC_NULL, x->key));
        } else if (*old && (*old)->type == DOC_OBJECT && x->type == DOC_OBJECT) {
            struct naive *inner = make(DOC_OBJECT, x->key);
            if (!merge(*old, x, w, inner))
                continue;
            append(delta, inner);
        } else {
            struct naive *n = fresh(x, x->key, w);
            append(delta, clone(n));
            n->next = *old ? (*old)->next : NULL;
            *old = n;
        }
        changed = true;
    }
    if (changed)
        stamp(target, w);
    return changed;
}

/* twins 2.5: every key of `new`, and null for each only in `old`. */
static struct naive *diff(struct naive *old, struct naive *new)
{
    struct naive *delta = make(DOC_OBJECT, new->key);
    delta->stamp = new->stamp;
    delta->version = new->version;
    for (struct naive *n = new->first; n; n = n->next) {
        struct naive *o = *find(old, n->key);
        bool objects = o && o->type == DOC_OBJECT && n->type == DOC_OBJECT;
        append(delta, objects ? diff(o, n) : clone(n));
    }
    for (const struct naive *o = old->first; o; o = o->next)
        if (!*find(new, o->key))
            append(delta, make(DOC_NULL, o->key));
    return delta;
}

struct naive_result naive_patch(struct naive *section, const struct naive *value,
                                const struct doc_write *w)
{
    struct naive_result r = {.status = BAD_ARGUMENT};
    if (value->type != DOC_OBJECT || !good(value, 0, false, true, w->limits))
        return r;
    struct naive *copy = clone(section);
    r.delta = make(DOC_OBJECT, (struct span){0});
    r.changed = merge(copy, value, w, r.delta);
    r.status = r.changed && !fits(copy, w) ? SECTION_TOO_LARGE : OK;
    if (r.status == OK)
        *section = *copy;
    return r;
}

struct naive_result naive_replace(struct naive *section, const struct naive *value,
                                  const struct doc_write *w)
{
    struct naive_result r = {.status = BAD_ARGUMENT};
    struct naive *nothing = make(DOC_OBJECT, (struct span){0});
    if (value->type == DOC_NULL)
        value = nothing;
    if (value->type != DOC_OBJECT || !good(value, 0, false, false, w->limits))
        return r;
    struct naive *new = fresh(value, (struct span){0}, w);
    r.delta = diff(section, new);
    r.changed = section->first || new->first;
    r.status = r.changed && !fits(new, w) ? SECTION_TOO_LARGE : OK;
    if (r.status == OK && r.changed)
        *section = *new;
    return r;
}

/* ---- printing ----------------------------------------------------------------------------- */

static void print_inside(struct buf *b, const struct naive *n)
{
    for (const struct naive *c = n->first; c; c = c->next) {
        if (n->type == DOC_OBJECT) {
            text_put_json(b, c->key);
            buf_text(b, ":");
        }
        naive_print(b, c);
        if (c->next)
            buf_text(b, ",");
    }
}

void naive_print(struct buf *b, const struct naive *n)
{
    static const char *const words[] = {
        [DOC_NULL] = "null", [DOC_FALSE] = "false", [DOC_TRUE] = "true"};
    if (n->type == DOC_STRING) {
        text_put_json(b, n->text);
    } else if (n->type == DOC_INT || n->type == DOC_NUMBER) {
        buf_put(b, n->text);
    } else if (n->type == DOC_ARRAY || n->type == DOC_OBJECT) {
        buf_text(b, n->type == DOC_ARRAY ? "[" : "{");
        print_inside(b, n);
        buf_text(b, n->type == DOC_ARRAY ? "]" : "}");
    } else {
        buf_text(b, words[n->type]);
    }
}

static void print_metadata(struct buf *b, const struct naive *n, const struct doc_write *w)
{
    buf_text(b, "{\"$lastUpdated\":\"");
    text_put_time(b, n->stamp);
    buf_text(b, "\"");
    if (w->section == DOC_DESIRED && n->version)
        buf_printf(b, ",\"$lastUpdatedVersion\":%lld", (long long)n->version);
    if (n->by_configuration)
        buf_printf(b, ",\"$lastUpdatedBy\":\"%.*s\",\"$lastUpdatedByDigest\":\"%.*s\"",
                   SPAN_ARG(w->by), SPAN_ARG(w->by_digest));
    for (const struct naive *c = n->type == DOC_OBJECT ? n->first : NULL; c; c = c->next) {
        if (c->type == DOC_NULL)
            continue;
        buf_text(b, ",");
        text_put_json(b, c->key);
        buf_text(b, ":");
        print_metadata(b, c, w);
    }
    buf_text(b, "}");
}

void naive_print_service(struct buf *b, const struct naive *n, const struct doc_write *w)
{
    buf_text(b, "{");
    print_inside(b, n);
    if (w->section != DOC_TAGS) {
        buf_text(b, n->first ? ",\"$metadata\":" : "\"$metadata\":");
        print_metadata(b, n, w);
    }
    buf_printf(b, "%s\"$version\":%lld}", n->first || w->section != DOC_TAGS ? "," : "",
               (long long)w->version);
}

void naive_print_device(struct buf *b, const struct naive *n, int64_t version)
{
    buf_text(b, "{");
    print_inside(b, n);
    buf_printf(b, "%s\"$version\":%lld}", n->first ? "," : "", (long long)version);
}
