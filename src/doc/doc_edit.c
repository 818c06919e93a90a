#include "doc/doc_edit.h"

#include "doc/doc_index.h"

enum status doc_edits_init(struct edits *e, size_t key_max, struct arena *a)
{
    *e = (struct edits){.room = (uint32_t)key_max};
    e->list = arena_alloc(a, key_max * sizeof(struct edit));
    return e->list ? OK : TOO_LARGE;
}

struct edit *doc_edits_add(struct edits *e, struct span key)
{
    CHECK(e->count < e->room);
    struct edit *edit = &e->list[e->count++];
    edit->key = key;
    return edit;
}

/* ---- matching ----------------------------------------------------------------------------- */

/* How an edit is found by its key: among few by looking, among many by an index. */
struct finder {
    struct edits *edits;
    uint32_t count;          /* without those added on the way */
    uint64_t filter;         /* few: no edit has a key whose bit is clear */
    struct doc_index *index; /* many; NULL for few */
};

enum { FEW_EDITS = 16 };

static uint64_t filter_bit(struct span key)
{
    return (uint64_t)1 << ((key.len * 7 + (key.len ? key.data[0] : 0)) & 63);
}

static enum status finder_init(struct finder *f, struct edits *e, struct arena *a)
{
    *f = (struct finder){.edits = e, .count = e->count};
    if (e->count <= FEW_EDITS) {
        for (uint32_t i = 0; i < e->count; i++)
            f->filter |= filter_bit(e->list[i].key);
        return OK;
    }
    f->index = arena_alloc(a, sizeof(*f->index));
    void *block = arena_bytes(a, doc_index_size(e->count));
    if (!f->index || !block)
        return TOO_LARGE;
    doc_index_init(f->index, block, e->count);
    for (uint32_t i = 0; i < e->count; i++)
        doc_index_add(f->index, e->list[i].key)->value = i;
    return OK;
}

static struct edit *finder_find(const struct finder *f, struct span key)
{
    if (f->index) {
        struct doc_index_key *found = doc_index_find(f->index, key);
        return found ? &f->edits->list[found->value] : NULL;
    }
    if (!(f->filter & filter_bit(key)))
        return NULL;
    for (uint32_t i = 0; i < f->count; i++)
        if (span_eq(f->edits->list[i].key, key))
            return &f->edits->list[i];
    return NULL;
}

enum status doc_edits_match(struct edits *e, struct doc_node old, struct arena *a)
{
    if (doc_type(old) != DOC_OBJECT)
        return OK;
    struct finder finder;
    size_t mark = arena_mark(a);
    TRY(finder_init(&finder, e, a));
    uint32_t *link = &e->first_old, found = 0;
    NODE_EACH(member, old)
    {
        if (found == finder.count && !e->rebuild)
            break; /* the rest is as it was */
        struct span key = node_key(member);
        struct edit *edit = finder_find(&finder, key);
        if (!edit && e->rebuild) {
            edit = doc_edits_add(e, key);
            edit->op = EDIT_DELETE;
        } else if (!edit || edit->old.at) {
            continue;
        } else {
            found++;
        }
        edit->old = member;
        *link = (uint32_t)(edit - e->list) + 1;
        link = &edit->next_old;
    }
    arena_release(a, mark);
    return OK;
}

/* ---- building ----------------------------------------------------------------------------- */

struct builder {
    const struct node_mark *mark;
    uint8_t *out;
};

static void build_object(struct builder *b, const struct edits *e, struct doc_node old,
                         struct span key);

/* What an edit leaves in its object: a node or nothing. How many that is. */
static size_t build_edit(struct builder *b, const struct edit *edit)
{
    switch (edit->op) {
    case EDIT_KEEP:
    case EDIT_DELETE:
        return 0;
    case EDIT_SET:
        b->out = node_put(b->out, edit->value.at, node_size(edit->value));
        return 1;
    case EDIT_INSIDE:
        build_object(b, edit->inside, edit->old, edit->key);
        return 1;
    }
    return 0;
}

/* Members keep their places and untouched ones are copied in runs; new ones follow in the order of
 * the edits. */
static size_t build_changes(struct builder *b, const struct edits *e, struct doc_node old)
{
    bool has_members = doc_type(old) == DOC_OBJECT;
    size_t count = has_members ? node_count(old) : 0;
    const uint8_t *run = has_members ? node_children(old).at : node_end(old);
    for (uint32_t i = e->first_old; i; i = e->list[i - 1].next_old) {
        const struct edit *edit = &e->list[i - 1];
        if (edit->op == EDIT_KEEP)
            continue;
        b->out = node_put(b->out, run, (size_t)(edit->old.at - run));
        run = node_end(edit->old);
        count += build_edit(b, edit) - 1;
    }
    b->out = node_put(b->out, run, (size_t)(node_end(old) - run));
    for (uint32_t i = 0; i < e->count; i++)
        if (!e->list[i].old.at)
            count += build_edit(b, &e->list[i]);
    return count;
}

static void build_object(struct builder *b, const struct edits *e, struct doc_node old,
                         struct span key)
{
    uint8_t *node = b->out;
    size_t count = 0;
    b->out = node_open(node, DOC_OBJECT, b->mark, key);
    if (e->rebuild) {
        for (uint32_t i = 0; i < e->count; i++)
            count += build_edit(b, &e->list[i]);
    } else {
        count = build_changes(b, e, old);
    }
    node_close(node, b->out, count);
}

enum status doc_edits_build(const struct edits *e, struct span old, size_t delta_len,
                            const struct node_mark *mark, struct arena *a, struct span *out)
{
    if (old.len + delta_len > UINT32_MAX)
        return TOO_LARGE;
    uint8_t *base = arena_bytes(a, old.len + delta_len + sizeof(mark->stamp));
    if (!base)
        return TOO_LARGE;
    struct builder b = {.mark = mark, .out = base};
    build_object(&b, e, doc_root(old), (struct span){0});
    arena_trim(a, b.out);
    *out = span_of(base, (size_t)(b.out - base));
    return OK;
}
