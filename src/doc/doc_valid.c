#include "doc/doc_node.h"

#include "base/text.h"
#include "doc/doc_number.h"

/* What the nodes of one document or delta have in common. */
struct rules {
    unsigned flags; /* NODE_STAMP and NODE_VERSION of each node outside arrays */
    bool allow_null;
};

/* Where a node stands. */
struct place {
    unsigned depth; /* containers around it */
    bool has_key;   /* it is a member */
    bool in_array;
};

static bool is_node(struct span s, const struct rules *r, struct place at);

static bool is_origin(struct span s, size_t *len)
{
    size_t at = 0;
    for (int i = 0; i < 2; i++) {
        if (at >= s.len || s.data[at] > s.len - at - 1)
            return false;
        if (!text_is_utf8(span_of(s.data + at + 1, s.data[at])))
            return false;
        at += 1 + (size_t)s.data[at];
    }
    *len = at;
    return true;
}

/* `s` starts with a node's first eight bytes and its size lies inside `s`. */
static bool is_head(struct span s, size_t least)
{
    return s.len >= least && node_size(doc_root(s)) >= least && node_size(doc_root(s)) <= s.len;
}

/* All of `s` is `count` nodes, one after the other. */
static bool are_children(struct span s, uint32_t count, const struct rules *r, struct place at)
{
    for (; count; count--) {
        if (!is_node(s, r, at))
            return false;
        s = span_skip(s, node_size(doc_root(s)));
    }
    return s.len == 0;
}

static bool is_payload(struct doc_node n, const struct rules *r, struct place at)
{
    struct span payload = node_payload(n);
    struct doc_number number;
    unsigned type = node_type(n);
    switch (type) {
    case DOC_NULL:
        return payload.len == 0 && r->allow_null;
    case DOC_FALSE:
    case DOC_TRUE:
        return payload.len == 0;
    case DOC_INT:
        return payload.len == 8;
    case DOC_NUMBER:
        return doc_number_scan(payload, &number) && number.len == payload.len && !number.is_int;
    case DOC_STRING:
        return text_is_utf8(payload);
    case DOC_ARRAY:
    case DOC_OBJECT:
        at.depth++;
        at.has_key = type == DOC_OBJECT;
        at.in_array |= type == DOC_ARRAY;
        return at.depth <= NODE_NESTING_MAX && payload.len >= NODE_COUNT &&
               are_children(span_skip(payload, NODE_COUNT), load_u32le(payload.data), r, at);
    default:
        return false;
    }
}

/* A node stands at the start of `s`. */
static bool is_node(struct span s, const struct rules *r, struct place at)
{
    if (!is_head(s, NODE_HEAD))
        return false;
    struct doc_node n = doc_root(s);
    unsigned flags = node_flags(n), want = at.in_array ? 0 : r->flags;
    if ((flags & NODE_ORIGIN) && (want & NODE_STAMP) && node_type(n) != DOC_OBJECT)
        want |= NODE_ORIGIN;
    if (flags != want)
        return false;
    s = span_first(s, node_size(n));
    size_t fixed = NODE_HEAD + node_stamp_len(flags), origin_len = 0;
    if (s.len < fixed)
        return false;
    if ((flags & NODE_ORIGIN) && !is_origin(span_skip(s, fixed), &origin_len))
        return false;
    size_t key_len = node_key_len(n);
    if ((key_len && !at.has_key) || s.len - fixed - origin_len < key_len)
        return false;
    return text_is_utf8(node_key(n)) && is_payload(n, r, at);
}

bool doc_is_valid(struct span doc)
{
    if (!is_head(doc, NODE_HEAD) || node_size(doc_root(doc)) != doc.len)
        return false;
    struct rules r = {.flags = node_flags(doc_root(doc)) & (NODE_STAMP | NODE_VERSION)};
    if (r.flags == NODE_VERSION)
        return false;
    r.allow_null = r.flags == 0;
    return is_node(doc, &r, (struct place){0});
}

/* ---- deltas ------------------------------------------------------------------------------- */

static bool is_inside(struct doc_node entry, const struct rules *r, struct place at);

/* The new node and the old one, or only the old one; both of the same key. */
static bool is_pair(struct span s, bool may_be_two, const struct rules *r, struct place at)
{
    if (!is_node(s, r, at))
        return false;
    struct span key = node_key(doc_root(s)), rest = span_skip(s, node_size(doc_root(s)));
    if (rest.len == 0)
        return true;
    return may_be_two && is_node(rest, r, at) && node_size(doc_root(rest)) == rest.len &&
           span_eq(node_key(doc_root(rest)), key);
}

static bool is_entry(struct span s, const struct rules *r, struct place at)
{
    if (!is_head(s, NODE_HEAD))
        return false;
    struct doc_node entry = doc_root(s);
    unsigned type = node_type(entry);
    if (node_flags(entry))
        return false;
    if (type == NODE_INSIDE)
        return is_inside(entry, r, at);
    if ((type != NODE_SET && type != NODE_DELETE) || node_key_len(entry))
        return false;
    return is_pair(span_of(entry.at + NODE_HEAD, node_size(entry) - NODE_HEAD), type == NODE_SET, r,
                   at);
}

/* Its head has been checked, and its flags. */
static bool is_inside(struct doc_node entry, const struct rules *r, struct place at)
{
    size_t fixed = NODE_HEAD + node_stamp_len(node_flags(entry)) + node_key_len(entry) + NODE_COUNT;
    if (node_size(entry) < fixed || ++at.depth > NODE_NESTING_MAX || !text_is_utf8(node_key(entry)))
        return false;
    at.has_key = true;
    struct span rest = span_of(entry.at + fixed, node_size(entry) - fixed);
    for (uint32_t count = node_count(entry); count; count--) {
        if (!is_entry(rest, r, at))
            return false;
        rest = span_skip(rest, node_size(doc_root(rest)));
    }
    return rest.len == 0;
}

bool doc_delta_is_valid(struct span delta)
{
    if (!is_head(delta, NODE_HEAD) || node_size(doc_root(delta)) != delta.len)
        return false;
    struct doc_node root = doc_root(delta);
    unsigned flags = node_flags(root) & ~(unsigned)NODE_REBUILD;
    struct rules r = {.flags = flags};
    if (node_type(root) != NODE_INSIDE || node_key_len(root))
        return false;
    if (flags != 0 && flags != NODE_STAMP && flags != (NODE_STAMP | NODE_VERSION))
        return false;
    return is_inside(root, &r, (struct place){0});
}
