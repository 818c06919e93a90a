#include "store/lmdb_tree.h"

#include "base/buf.h"

enum {
    PAGE_HEAD = 16,
    NODE_HEAD = 8,
    KIND_BRANCH = 1,
    KIND_LEAF = 2,
    KIND_OVERFLOW = 4,
    NODE_APART = 1, /* the value is on pages of its own */
    META_MAGIC_AT = 16,
    META_DEPTH_AT = 94,
    META_ROOT_AT = 128,
    META_LAST_AT = 136,
    META_TXN_AT = 144,
    PAGE_MAX = 32768
};
static const uint32_t meta_magic = 0xbeefc0de;

static unsigned load_u16le(const uint8_t *p)
{
    return (unsigned)(p[0] | p[1] << 8);
}

/* ---- nodes of a page that was checked ---- */

static const uint8_t *node_at(const uint8_t *page, unsigned index)
{
    return page + load_u16le(page + PAGE_HEAD + 2 * (size_t)index);
}

static struct span node_key(const uint8_t *node)
{
    return span_of(node + NODE_HEAD, load_u16le(node + 6));
}

static uint64_t node_child(const uint8_t *node)
{
    return load_u32le(node) | (uint64_t)load_u16le(node + 4) << 32;
}

/* ---- checking a page ---- */

static size_t node_size(const uint8_t *node, bool is_leaf)
{
    size_t size = NODE_HEAD + load_u16le(node + 6);
    if (is_leaf)
        size += load_u16le(node + 4) & NODE_APART ? sizeof(uint64_t) : load_u32le(node);
    return size + (size & 1);
}

/* A leaf's nodes are far apart, and each is looked at: the memory is to come at once. */
static void fetch_nodes(const uint8_t *page, size_t page_size, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        size_t at = load_u16le(page + PAGE_HEAD + 2 * (size_t)i);
        if (at < page_size)
            __builtin_prefetch(page + at);
    }
}

/* The nodes fill the page from the first to its end, without a gap: none is missing, and each is
 * where it says. */
static bool nodes_fill(const uint8_t *page, size_t page_size, unsigned count, bool is_leaf)
{
    size_t upper = load_u16le(page + 14), sum = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t at = load_u16le(page + PAGE_HEAD + 2 * (size_t)i);
        if (at < upper || at + NODE_HEAD > page_size)
            return false;
        size_t size = node_size(page + at, is_leaf);
        if (size > page_size - at)
            return false;
        sum += size;
    }
    return sum == page_size - upper;
}

static void look_at(const struct lmdb_tree *t, uint64_t number, struct lmdb_level *l)
{
    l->number = number;
    l->page = t->map + number * t->page_size;
    l->count = (load_u16le(l->page + 12) - PAGE_HEAD) / 2;
}

/* They ascend, within the bounds. The first key of a branch says nothing. */
static bool keys_ascend(const struct lmdb_level *l, bool is_leaf)
{
    struct span before = l->low;
    unsigned first = is_leaf ? 0 : 1;
    for (unsigned i = first; i < l->count; i++) {
        struct span key = node_key(node_at(l->page, i));
        int order = before.data ? span_compare(before, key) : -1;
        if (order > 0 || (order == 0 && i > first)) /* the first may be the bound itself */
            return false;
        before = key;
    }
    return !l->high.data || !before.data || span_compare(before, l->high) < 0;
}

static bool is_here(const struct lmdb_tree *t, uint64_t number, unsigned kind)
{
    if (number < 2 || number > t->last_page)
        return false;
    const uint8_t *page = t->map + number * t->page_size;
    return load_u64le(page) == number && load_u16le(page + 10) == kind;
}

/* Is it a page of its kind that holds together? Fills l->page and l->count; the bounds are set. */
static enum status check(const struct lmdb_tree *t, uint64_t number, bool is_leaf,
                         struct lmdb_level *l)
{
    if (!is_here(t, number, is_leaf ? KIND_LEAF : KIND_BRANCH))
        return DAMAGED;
    look_at(t, number, l);
    size_t lower = load_u16le(l->page + 12), upper = load_u16le(l->page + 14);
    if (lower < PAGE_HEAD + 2 || lower & 1 || lower > upper || upper > t->page_size)
        return DAMAGED;
    if (is_leaf)
        fetch_nodes(l->page, t->page_size, l->count);
    return nodes_fill(l->page, t->page_size, l->count, is_leaf) && keys_ascend(l, is_leaf)
               ? OK
               : DAMAGED;
}

/* From the same node of the same parent: so the bounds are the same, too. */
static bool was_seen(const struct lmdb_tree *t, const struct lmdb_seen_page *page)
{
    const struct lmdb_seen_page *seen = &t->seen->pages[page->number % LMDB_SEEN];
    return seen->number == page->number && seen->parent == page->parent &&
           seen->index == page->index && seen->round == page->round;
}

/* Into page `number`, which node `index` of page `parent` names; the root's parent is 0. */
static enum status enter(const struct lmdb_tree *t, uint64_t number, uint64_t parent,
                         unsigned index, bool is_leaf, struct lmdb_level *l)
{
    if (is_leaf || !t->seen)
        return check(t, number, is_leaf, l);
    const struct lmdb_seen_page page = {number, parent, t->seen->round, index};
    if (was_seen(t, &page)) {
        look_at(t, number, l);
        return OK;
    }
    TRY(check(t, number, is_leaf, l));
    t->seen->pages[number % LMDB_SEEN] = page;
    return OK;
}

/* ---- the tree ---- */

enum status lmdb_tree_open(struct lmdb_tree *out, const struct lmdb_file *f, MDB_txn *txn)
{
    uint64_t id = mdb_txn_id(txn);
    const uint8_t *meta = f->map + (id & 1) * f->page_size;
    if (load_u64le(meta + META_TXN_AT) != id)
        return NOT_FOUND;
    *out = (struct lmdb_tree){.map = f->map,
                              .page_size = f->page_size,
                              .root = load_u64le(meta + META_ROOT_AT),
                              .last_page = load_u64le(meta + META_LAST_AT),
                              .depth = load_u16le(meta + META_DEPTH_AT)};
    bool is_empty = out->root == UINT64_MAX;
    enum status st = load_u32le(meta + META_MAGIC_AT) != meta_magic ||
                             out->depth > LMDB_TREE_DEPTH || is_empty != (out->depth == 0) ||
                             out->last_page >= f->map_bytes / f->page_size
                         ? DAMAGED
                         : OK;
    /* Written anew while it was read? */
    return load_u64le(meta + META_TXN_AT) != id ? NOT_FOUND : st;
}

/* From the node at `level`, which is a branch's, into its child. */
static enum status descend(struct lmdb_place *p, unsigned level)
{
    const struct lmdb_tree *t = p->tree;
    const struct lmdb_level *from = &p->at[level];
    struct lmdb_level *to = &p->at[level + 1];
    *to = (struct lmdb_level){.low = from->low, .high = from->high};
    if (from->index > 0)
        to->low = node_key(node_at(from->page, from->index));
    if (from->index + 1 < from->count)
        to->high = node_key(node_at(from->page, from->index + 1));
    uint64_t child = node_child(node_at(from->page, from->index));
    enum status st = enter(t, child, from->number, from->index, level + 2 == t->depth, to);
    p->level = st == OK ? level + 1 : level;
    p->lost = st != OK;
    return st;
}

/* The first node whose key is not less than `key`; of a branch, the last that is not greater. */
static void find(struct lmdb_level *l, struct span key, bool is_leaf)
{
    unsigned low = !is_leaf, high = l->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = span_compare(node_key(node_at(l->page, middle)), key);
        if (order < 0 || (order == 0 && !is_leaf))
            low = middle + 1;
        else
            high = middle;
    }
    l->index = is_leaf ? low : low - 1;
}

enum status lmdb_tree_seek(const struct lmdb_tree *t, struct span key, struct lmdb_place *out,
                           bool *exact)
{
    *exact = false;
    out->tree = t;
    out->lost = false;
    out->level = 0;
    out->at[0] = (struct lmdb_level){0}; /* the deeper ones are set on the way */
    if (t->depth == 0)
        return OK;
    enum status st = enter(t, t->root, 0, 0, t->depth == 1, &out->at[0]);
    out->lost = st != OK;
    if (out->lost)
        out->at[0] = (struct lmdb_level){0}; /* there is nothing behind it */
    for (unsigned level = 0; st == OK; level++) {
        struct lmdb_level *l = &out->at[level];
        bool is_leaf = level + 1 == t->depth;
        find(l, key, is_leaf);
        if (is_leaf) {
            *exact = l->index < l->count && span_eq(node_key(node_at(l->page, l->index)), key);
            return OK;
        }
        st = descend(out, level);
    }
    return st;
}

bool lmdb_place_has(const struct lmdb_place *p)
{
    const struct lmdb_level *l = &p->at[p->level];
    return p->tree->depth && !p->lost && p->level + 1 == p->tree->depth && l->index < l->count;
}

/* ---- moving ---- */

/* Down to the first leaf below. */
static enum status first_below(struct lmdb_place *p)
{
    while (p->level + 1 < p->tree->depth) {
        TRY(descend(p, p->level));
    }
    return OK;
}

enum status lmdb_place_step(struct lmdb_place *p)
{
    struct lmdb_level *l = &p->at[p->level];
    if (p->tree->depth == 0 || (p->lost && !l->page))
        return NOT_FOUND;
    p->lost = false;
    while (++l->index >= l->count) {
        if (p->level == 0) {
            l->index = l->count;
            return NOT_FOUND;
        }
        l = &p->at[--p->level];
    }
    return first_below(p);
}

enum status lmdb_place_back(struct lmdb_place *p)
{
    struct lmdb_level *l = &p->at[p->level];
    if (p->tree->depth == 0)
        return NOT_FOUND;
    while (l->index == 0) {
        if (p->level == 0)
            return NOT_FOUND;
        l = &p->at[--p->level];
    }
    l->index--;
    while (p->level + 1 < p->tree->depth) {
        TRY(descend(p, p->level));
        p->at[p->level].index = p->at[p->level].count - 1;
    }
    return OK;
}

/* ---- the node ---- */

/* Its value on pages of its own. */
static enum status get_apart(const struct lmdb_tree *t, const uint8_t *node, size_t len,
                             struct span *value)
{
    uint64_t number = load_u64le(node + NODE_HEAD + load_u16le(node + 6));
    if (!is_here(t, number, KIND_OVERFLOW))
        return DAMAGED;
    const uint8_t *page = t->map + number * t->page_size;
    uint64_t pages = load_u32le(page + 12);
    if (pages == 0 || pages - 1 > t->last_page - number || pages * t->page_size - PAGE_HEAD < len)
        return DAMAGED;
    *value = span_of(page + PAGE_HEAD, len);
    return OK;
}

enum status lmdb_place_get(const struct lmdb_place *p, struct span *key, struct span *value)
{
    CHECK(lmdb_place_has(p));
    const struct lmdb_level *l = &p->at[p->level];
    const uint8_t *node = node_at(l->page, l->index);
    unsigned flags = load_u16le(node + 4);
    size_t len = load_u32le(node);
    *key = node_key(node);
    if (flags == NODE_APART)
        return get_apart(p->tree, node, len, value);
    if (flags)
        return DAMAGED;
    *value = span_of(node + NODE_HEAD + key->len, len);
    return OK;
}
