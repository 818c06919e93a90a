#include "doc/doc_node.h"

#include "base/text.h"
#include "doc/doc_number.h"

struct doc_node doc_root(struct span doc)
{
    return (struct doc_node){doc.data};
}

enum doc_type doc_type(struct doc_node n)
{
    return (enum doc_type)node_type(n);
}

struct span doc_string(struct doc_node n)
{
    return node_payload(n);
}

int64_t doc_int(struct doc_node n)
{
    return (int64_t)load_u64le(node_payload(n).data);
}

size_t doc_count(struct doc_node n)
{
    return n.at && node_is_container(n) ? node_count(n) : 0;
}

struct doc_node doc_first(struct doc_node parent)
{
    if (doc_count(parent) == 0)
        return (struct doc_node){NULL};
    return node_children(parent);
}

struct doc_node doc_next(struct doc_node parent, struct doc_node child)
{
    struct doc_node next = node_after(child);
    if (next.at == node_end(parent))
        next.at = NULL;
    return next;
}

struct span doc_key(struct doc_node member)
{
    return node_key(member);
}

struct doc_node doc_find(struct doc_node object, struct span key)
{
    if (!object.at || node_type(object) != DOC_OBJECT)
        return (struct doc_node){NULL};
    NODE_EACH(member, object)
    if (node_key_len(member) == key.len && span_eq(node_key(member), key))
        return member;
    return (struct doc_node){NULL};
}

struct doc_node doc_find_nocase(struct doc_node object, struct span key)
{
    if (!object.at || node_type(object) != DOC_OBJECT)
        return (struct doc_node){NULL};
    NODE_EACH(member, object)
    if (node_key_len(member) == key.len && span_eq_nocase(node_key(member), key))
        return member;
    return (struct doc_node){NULL};
}

bool doc_is_empty(struct span section)
{
    return doc_count(doc_root(section)) == 0;
}

/* ---- stamps ------------------------------------------------------------------------------- */

static uint64_t load_48(const uint8_t *p)
{
    return load_u32le(p) | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40;
}

static void store_48(uint8_t *p, uint64_t v)
{
    store_u32le(p, (uint32_t)v);
    p[4] = (uint8_t)(v >> 32);
    p[5] = (uint8_t)(v >> 40);
}

int64_t node_stamp(struct doc_node n)
{
    return (int64_t)(load_48(n.at + NODE_HEAD) << 16) >> 16; /* the sign is bit 47 */
}

int64_t node_version(struct doc_node n)
{
    return node_flags(n) & NODE_VERSION ? (int64_t)load_48(n.at + NODE_HEAD + NODE_TIME) : 0;
}

void node_origin(struct doc_node n, struct span *by, struct span *digest)
{
    const uint8_t *at = n.at + NODE_HEAD + node_stamp_len(node_flags(n));
    *by = span_of(at + 1, at[0]);
    at += 1 + at[0];
    *digest = span_of(at + 1, at[0]);
}

static int64_t between(int64_t low, int64_t value, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

void node_mark_init(struct node_mark *m, enum doc_section section, int64_t stamp_ms,
                    int64_t version)
{
    static const unsigned flags[] = {
        [DOC_TAGS] = 0, [DOC_DESIRED] = NODE_STAMP | NODE_VERSION, [DOC_REPORTED] = NODE_STAMP};
    m->flags = flags[section];
    m->stamp_len = node_stamp_len(m->flags);
    m->origin = (struct span){0};
    int64_t most = INT64_C(1) << 47;
    store_48(m->stamp, (uint64_t)between(-most, stamp_ms, most - 1));
    store_48(m->stamp + NODE_TIME, (uint64_t)between(0, version, 2 * most - 1));
}

uint8_t *node_open(uint8_t *at, unsigned type, const struct node_mark *m, struct span key)
{
    node_head(at, type, m->flags, key.len, 0);
    at = node_put_stamp(at + NODE_HEAD, m);
    return node_put(at, key.data, key.len) + NODE_COUNT;
}

void node_close(uint8_t *node, const uint8_t *end, size_t count)
{
    struct doc_node n = {node};
    node_store(node + 4, (size_t)(end - node));
    size_t count_at = NODE_HEAD + node_stamp_len(node_flags(n)) + node_key_len(n);
    node_store(node + count_at, count);
}

struct span doc_empty(enum doc_section section, int64_t stamp_ms, struct arena *a)
{
    struct node_mark mark;
    node_mark_init(&mark, section, stamp_ms, 0);
    uint8_t *node = arena_bytes(a, NODE_HEAD + NODE_COUNT + sizeof(mark.stamp));
    if (!node)
        return (struct span){0};
    uint8_t *end = node_open(node, DOC_OBJECT, &mark, (struct span){0});
    node_close(node, end, 0);
    arena_trim(a, end);
    return span_of(node, (size_t)(end - node));
}
