#include "cli/twin_diff.h"

struct diff {
    struct buf path;
    struct buf old_text, new_text; /* scratch: two values as text */
    twin_change_fn *on_change;
    void *ctx;
    size_t count; /* of changes so far */
};

static void tell(struct diff *d, struct doc_node old, struct doc_node new)
{
    struct twin_change change = {.path = buf_span(&d->path), .old = old, .new = new};
    d->count++;
    d->on_change(d->ctx, &change);
}

static bool same(struct diff *d, struct doc_node a, struct doc_node b)
{
    buf_clear(&d->old_text);
    buf_clear(&d->new_text);
    doc_put_value(&d->old_text, a);
    doc_put_value(&d->new_text, b);
    return span_eq(buf_span(&d->old_text), buf_span(&d->new_text));
}

static void compare(struct diff *d, struct doc_node old, struct doc_node new);

/* The hub's own members; no key of a user begins with `$`. */
static bool is_own(struct doc_node member)
{
    return span_starts(doc_key(member), SPAN("$"));
}

static void compare_member(struct diff *d, struct span key, struct doc_node old,
                           struct doc_node new)
{
    size_t len = d->path.len;
    if (len)
        buf_byte(&d->path, '.');
    buf_put(&d->path, key);
    compare(d, old, new);
    d->path.len = len;
}

static struct doc_node first(struct doc_node object)
{
    return object.at ? doc_first(object) : object;
}

/* Either may be absent: then it has no members. */
static void compare_objects(struct diff *d, struct doc_node old, struct doc_node new)
{
    for (struct doc_node m = first(new); m.at; m = doc_next(new, m))
        if (!is_own(m))
            compare_member(d, doc_key(m), doc_find(old, doc_key(m)), m);
    for (struct doc_node m = first(old); m.at; m = doc_next(old, m))
        if (!is_own(m) && !doc_find(new, doc_key(m)).at)
            compare_member(d, doc_key(m), m, (struct doc_node){NULL});
}

static bool is_object(struct doc_node n)
{
    return n.at && doc_type(n) == DOC_OBJECT;
}

static void compare(struct diff *d, struct doc_node old, struct doc_node new)
{
    if (is_object(old) && is_object(new))
        compare_objects(d, old, new);
    else if ((old.at || new.at) && (!old.at || !new.at || !same(d, old, new)))
        tell(d, old, new);
}

/* Desired or reported: a twin always has both. */
static void compare_section(struct diff *d, struct span name, struct doc_node old,
                            struct doc_node new)
{
    size_t before = d->count;
    struct span version = SPAN("$version");
    struct doc_node from = doc_find(old, name), to = doc_find(new, name);
    compare_member(d, name, from, to);
    if (d->count == before) {
        buf_put(&d->path, name);
        compare_member(d, version, doc_find(from, version), doc_find(to, version));
        buf_clear(&d->path);
    }
}

void twin_diff(struct doc_node old, struct doc_node new, twin_change_fn *on_change, void *ctx)
{
    static const struct span plain[] = {SPAN_INIT("status"), SPAN_INIT("statusReason"),
                                        SPAN_INIT("connectionState")};
    const struct span tags = SPAN("tags"), properties = SPAN("properties");
    struct diff d = {.on_change = on_change, .ctx = ctx};
    for (size_t i = 0; i < COUNT(plain); i++)
        compare_member(&d, plain[i], doc_find(old, plain[i]), doc_find(new, plain[i]));

    /* Empty tags are left out of a twin; each tag is a change of its own all the same. */
    buf_put(&d.path, tags);
    compare_objects(&d, doc_find(old, tags), doc_find(new, tags));
    buf_clear(&d.path);

    struct doc_node from = doc_find(old, properties), to = doc_find(new, properties);
    compare_section(&d, SPAN("desired"), from, to);
    compare_section(&d, SPAN("reported"), from, to);
    buf_fini(&d.path);
    buf_fini(&d.old_text);
    buf_fini(&d.new_text);
}
