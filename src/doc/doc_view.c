#include "doc/doc_node.h"

#include "base/text.h"

/* ---- values ------------------------------------------------------------------------------- */

static void put_comma(struct buf *b, bool *first)
{
    if (!*first)
        buf_byte(b, ',');
    *first = false;
}

static void put_key(struct buf *b, struct span key)
{
    text_put_json(b, key);
    buf_byte(b, ':');
}

static void put_elements(struct buf *b, struct doc_node array)
{
    bool first = true;
    buf_byte(b, '[');
    NODE_EACH(element, array)
    {
        put_comma(b, &first);
        doc_put_value(b, element);
    }
    buf_byte(b, ']');
}

/* The members without the braces. False when there are none. */
static bool put_members(struct buf *b, struct doc_node object)
{
    bool first = true;
    NODE_EACH(member, object)
    {
        put_comma(b, &first);
        put_key(b, node_key(member));
        doc_put_value(b, member);
    }
    return !first;
}

void doc_put_value(struct buf *b, struct doc_node n)
{
    switch (doc_type(n)) {
    case DOC_NULL:
        buf_put(b, SPAN("null"));
        return;
    case DOC_FALSE:
        buf_put(b, SPAN("false"));
        return;
    case DOC_TRUE:
        buf_put(b, SPAN("true"));
        return;
    case DOC_INT:
        buf_i64(b, doc_int(n));
        return;
    case DOC_NUMBER:
        buf_put(b, doc_string(n));
        return;
    case DOC_STRING:
        text_put_json(b, doc_string(n));
        return;
    case DOC_ARRAY:
        put_elements(b, n);
        return;
    case DOC_OBJECT:
        buf_byte(b, '{');
        put_members(b, n);
        buf_byte(b, '}');
        return;
    }
}

/* ---- metadata ----------------------------------------------------------------------------- */

/* Most nodes of a section share few stamps: the last one printed is copied. */
struct stamps {
    struct buf *b;
    int64_t stamp;  /* the last one printed */
    size_t at, len; /* where its text stands in b; len 0 for none yet */
};

static void put_time(struct stamps *s, int64_t stamp)
{
    struct buf *b = s->b;
    if (s->len && s->stamp == stamp) {
        buf_reserve(b, s->len);
        memcpy(b->data + b->len, b->data + s->at, s->len);
        b->len += s->len;
        return;
    }
    s->stamp = stamp;
    s->at = b->len;
    text_put_time(b, stamp);
    s->len = b->len - s->at;
}

/* What stands in `$metadata` of one node, without the braces (twins 1.4). */
static void put_stamp(struct stamps *s, int64_t stamp, int64_t version)
{
    buf_put(s->b, SPAN("\"$lastUpdated\":\""));
    put_time(s, stamp);
    buf_byte(s->b, '"');
    if (version) {
        buf_put(s->b, SPAN(",\"$lastUpdatedVersion\":"));
        buf_i64(s->b, version);
    }
}

static void put_origin(struct buf *b, struct doc_node n)
{
    struct span by, digest;
    node_origin(n, &by, &digest);
    buf_put(b, SPAN(",\"$lastUpdatedBy\":"));
    text_put_json(b, by);
    buf_put(b, SPAN(",\"$lastUpdatedByDigest\":"));
    text_put_json(b, digest);
}

static void put_metadata(struct stamps *s, struct doc_node n)
{
    buf_byte(s->b, '{');
    put_stamp(s, node_stamp(n), node_version(n));
    if (node_flags(n) & NODE_ORIGIN)
        put_origin(s->b, n);
    if (doc_type(n) == DOC_OBJECT) {
        NODE_EACH(member, n)
        {
            buf_byte(s->b, ',');
            put_key(s->b, node_key(member));
            put_metadata(s, member);
        }
    }
    buf_byte(s->b, '}');
}

/* ---- sections ----------------------------------------------------------------------------- */

static void put_version(struct buf *b, int64_t version, bool *first)
{
    put_comma(b, first);
    buf_put(b, SPAN("\"$version\":"));
    buf_i64(b, version);
}

void doc_put_device(struct buf *b, struct span section, int64_t version)
{
    buf_byte(b, '{');
    bool first = !put_members(b, doc_root(section));
    put_version(b, version, &first);
    buf_byte(b, '}');
}

void doc_put_service(struct buf *b, struct span section, int64_t version)
{
    struct doc_node root = doc_root(section);
    buf_byte(b, '{');
    bool first = !put_members(b, root);
    if (node_flags(root) & NODE_STAMP) {
        struct stamps stamps = {.b = b};
        put_comma(b, &first);
        buf_put(b, SPAN("\"$metadata\":"));
        put_metadata(&stamps, root);
    }
    put_version(b, version, &first);
    buf_byte(b, '}');
}

/* ---- deltas ------------------------------------------------------------------------------- */

/* The node of NODE_SET that is new, of NODE_DELETE the old one. */
static struct doc_node entry_node(struct doc_node entry)
{
    return (struct doc_node){entry.at + NODE_HEAD};
}

/* The entries of NODE_INSIDE as members, without the braces. False when there are none. */
static bool put_entries(struct buf *b, struct doc_node inside)
{
    bool first = true;
    NODE_EACH(entry, inside)
    {
        put_comma(b, &first);
        if (node_type(entry) == NODE_INSIDE) {
            put_key(b, node_key(entry));
            buf_byte(b, '{');
            put_entries(b, entry);
            buf_byte(b, '}');
            continue;
        }
        put_key(b, node_key(entry_node(entry)));
        if (node_type(entry) == NODE_SET)
            doc_put_value(b, entry_node(entry));
        else
            buf_put(b, SPAN("null"));
    }
    return !first;
}

/* Of the keys written; `root` has the stamp of each object they stand in. */
static void put_entries_metadata(struct stamps *s, struct doc_node inside, struct doc_node root)
{
    buf_byte(s->b, '{');
    put_stamp(s, node_stamp(root), node_version(root));
    NODE_EACH(entry, inside)
    {
        if (node_type(entry) == NODE_DELETE)
            continue;
        bool is_set = node_type(entry) == NODE_SET;
        buf_byte(s->b, ',');
        put_key(s->b, node_key(is_set ? entry_node(entry) : entry));
        if (is_set)
            put_metadata(s, entry_node(entry));
        else
            put_entries_metadata(s, entry, root);
    }
    buf_byte(s->b, '}');
}

void doc_put_delta(struct buf *b, struct span delta, int64_t version)
{
    buf_byte(b, '{');
    bool first = delta.len == 0 || !put_entries(b, doc_root(delta));
    if (version >= 0)
        put_version(b, version, &first);
    buf_byte(b, '}');
}

void doc_put_delta_event(struct buf *b, struct span delta, int64_t version)
{
    struct doc_node root = doc_root(delta);
    buf_byte(b, '{');
    bool first = delta.len == 0 || !put_entries(b, root);
    if (delta.len && (node_flags(root) & NODE_STAMP)) {
        struct stamps stamps = {.b = b};
        put_comma(b, &first);
        buf_put(b, SPAN("\"$metadata\":"));
        put_entries_metadata(&stamps, root, root);
    }
    if (version >= 0)
        put_version(b, version, &first);
    buf_byte(b, '}');
}
