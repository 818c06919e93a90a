#include "doc/doc_node.h"

#include "doc/doc_edit.h"

/* The plan a delta was written from. */
static enum status read_entries(struct edits *e, struct doc_node inside, struct doc_node old,
                                struct arena *a);

static void read_entry(struct edits *e, struct doc_node entry)
{
    unsigned type = node_type(entry);
    struct doc_node node = {node_payload(entry).data};
    struct edit *edit = doc_edits_add(e, node_key(type == NODE_INSIDE ? entry : node));
    edit->op = type == NODE_SET ? EDIT_SET : type == NODE_DELETE ? EDIT_DELETE : EDIT_INSIDE;
    edit->value = type == NODE_INSIDE ? entry : node;
}

/* An object that stays must be there, but for a rebuild: that takes nothing from the old one. */
static enum status read_inside(struct edit *edit, bool rebuild, struct arena *a)
{
    bool is_object = edit->old.at && doc_type(edit->old) == DOC_OBJECT;
    if (!is_object && !rebuild)
        return DAMAGED;
    edit->inside = arena_alloc(a, sizeof(*edit->inside));
    if (!edit->inside)
        return TOO_LARGE;
    edit->inside->rebuild = rebuild;
    return read_entries(edit->inside, edit->value, edit->old, a);
}

static enum status read_entries(struct edits *e, struct doc_node inside, struct doc_node old,
                                struct arena *a)
{
    bool rebuild = e->rebuild;
    TRY(doc_edits_init(e, node_count(inside), a));
    e->rebuild = rebuild;
    NODE_EACH(entry, inside)
    read_entry(e, entry);
    if (!rebuild)
        TRY(doc_edits_match(e, old, a));
    for (uint32_t i = 0; i < e->count; i++)
        if (e->list[i].op == EDIT_INSIDE)
            TRY(read_inside(&e->list[i], rebuild, a));
    return OK;
}

static enum status apply(struct span old, struct span delta, struct arena *a, struct span *out)
{
    struct doc_node root = doc_root(delta);
    unsigned stamp_flags = node_flags(root) & (NODE_STAMP | NODE_VERSION);
    if (doc_type(doc_root(old)) != DOC_OBJECT || node_flags(doc_root(old)) != stamp_flags)
        return DAMAGED; /* of another section */
    struct node_mark mark = {.flags = stamp_flags, .stamp_len = node_stamp_len(stamp_flags)};
    memcpy(mark.stamp, root.at + NODE_HEAD, mark.stamp_len);
    struct edits edits = {.rebuild = node_flags(root) & NODE_REBUILD};
    TRY(read_entries(&edits, root, doc_root(old), a));
    return doc_edits_build(&edits, old, delta.len, &mark, a, out);
}

enum status doc_apply(struct span old, struct span delta, struct arena *a, struct span *out)
{
    if (!doc_delta_is_valid(delta))
        return DAMAGED;
    size_t mark = arena_mark(a);
    enum status st = apply(old, delta, a, out);
    if (st != OK)
        arena_release(a, mark);
    return st;
}
