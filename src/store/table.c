#include "store/table.h"

#include <endian.h>
#include <stdlib.h>

void table_init(struct table *t, struct hash_key hash_key)
{
    *t = (struct table){.hash_key = hash_key};
}

static void free_row(struct table_row *row)
{
    record_unref(row->record);
    free(row);
}

void table_fini(struct table *t)
{
    for (struct table_row *row = t->first[0], *next; row; row = next) {
        next = row->next[0];
        free_row(row);
    }
    map_fini(&t->map);
    *t = (struct table){0};
}

static bool key_equal(const struct map_node *node, const void *key)
{
    const struct table_row *row = (const struct table_row *)(const void *)node;
    return span_eq(table_key(row), *(const struct span *)key);
}
_Static_assert(offsetof(struct table_row, node) == 0, "a row's node is its address");

static struct table_row *find(const struct table *t, uint64_t hash, struct span key)
{
    return (struct table_row *)(void *)map_find(&t->map, hash, key_equal, &key);
}

struct table_row *table_find(const struct table *t, struct span key)
{
    return t->map.count ? find(t, hash_keyed(t->hash_key, key), key) : NULL;
}

/* For each level the last row whose key is below `key` (or equal to it, with `equal`); NULL stands
 * for the table's own first pointers. */
static void path_to(const struct table *t, struct span key, bool equal,
                    struct table_row *path[TABLE_LEVELS])
{
    struct table_row *at = NULL;
    for (int level = TABLE_LEVELS - 1; level >= 0; level--) {
        struct table_row *next = at ? at->next[level] : t->first[level];
        while (next && span_compare(table_key(next), key) < equal) {
            at = next;
            next = at->next[level];
        }
        path[level] = at;
    }
}

static struct table_row **link_of(struct table *t, struct table_row *row, int level)
{
    return row ? &row->next[level] : &t->first[level];
}

/* A quarter of the rows reach level 2, a sixteenth level 3, … */
static uint8_t levels_of(uint64_t hash)
{
    int levels = 1;
    for (hash >>= 32; levels < TABLE_LEVELS && (hash & 3) == 0; hash >>= 2)
        levels++;
    return (uint8_t)levels;
}

/* Without its place in the order. */
static struct table_row *make_row(struct table *t, uint64_t hash, struct span key)
{
    uint8_t levels = levels_of(hash);
    CHECK(key.len <= UINT16_MAX);
    struct table_row *row = malloc(sizeof(*row) + levels * sizeof(void *) + key.len);
    if (!row)
        check_no_memory();
    *row = (struct table_row){.key_len = (uint16_t)key.len, .levels = levels};
    if (key.len)
        memcpy(&row->next[levels], key.data, key.len);
    map_add(&t->map, hash, &row->node);
    t->changes++;
    return row;
}

struct table_row *table_get(struct table *t, struct span key)
{
    uint64_t hash = hash_keyed(t->hash_key, key);
    struct table_row *row = find(t, hash, key);
    if (row)
        return row;
    row = make_row(t, hash, key);
    struct table_row *path[TABLE_LEVELS];
    path_to(t, key, false, path);
    for (int level = 0; level < row->levels; level++) {
        struct table_row **link = link_of(t, path[level], level);
        row->next[level] = *link;
        *link = row;
    }
    return row;
}

struct table_row *table_add_row(struct table *t, struct span key)
{
    struct table_row *row = make_row(t, hash_keyed(t->hash_key, key), key);
    row->next[0] = t->first[0];
    t->first[0] = row;
    return row;
}

void table_set(struct table_row *row, struct record *record)
{
    struct record *old = row->record;
    row->record = record ? record_ref(record) : NULL;
    record_unref(old);
}

void table_remove(struct table *t, struct table_row *row)
{
    struct table_row *path[TABLE_LEVELS];
    path_to(t, table_key(row), false, path);
    for (int level = 0; level < row->levels; level++) {
        struct table_row **link = link_of(t, path[level], level);
        CHECK(*link == row);
        *link = row->next[level];
    }
    map_remove(&t->map, &row->node);
    t->changes++;
    free_row(row);
}

/* -- an order for rows that have none -- */

/* Eight bytes of the key at a time, beside the row: comparing looks into no row. */
struct slot {
    uint64_t word; /* zeros follow the key's end */
    struct table_row *row;
    unsigned len; /* how many of the eight are the key's */
};

static int by_word(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    if (x->word != y->word)
        return x->word < y->word ? -1 : 1;
    return (int)x->len - (int)y->len;
}

static void load_word(struct slot *s, size_t depth)
{
    struct span key = table_key(s->row);
    s->len = key.len - depth < 8 ? (unsigned)(key.len - depth) : 8;
    s->word = 0;
    if (s->len)
        memcpy(&s->word, key.data + depth, s->len);
    s->word = be64toh(s->word);
}

/* Their keys are the same up to `depth`, and go that far. */
static void sort_slots(struct slot *slots, size_t count, size_t depth)
{
    for (size_t i = 0; i < count; i++)
        load_word(&slots[i], depth);
    qsort(slots, count, sizeof(*slots), by_word);
    for (size_t from = 0, to; from < count; from = to) {
        to = from + 1;
        while (to < count && by_word(&slots[from], &slots[to]) == 0)
            to++;
        if (to - from > 1)
            sort_slots(slots + from, to - from, depth + 8);
    }
}

/* A table that is linked anew, from its first row to its last. */
struct chain {
    struct table *table;
    struct table_row *last[TABLE_LEVELS];
};

static struct table_row *chain_begin(struct chain *c, struct table *t)
{
    struct table_row *first = t->first[0];
    *c = (struct chain){.table = t};
    memset(t->first, 0, sizeof(t->first));
    t->changes++;
    return first;
}

static void chain_put(struct chain *c, struct table_row *row)
{
    for (int level = 0; level < row->levels; level++) {
        *link_of(c->table, c->last[level], level) = row;
        row->next[level] = NULL;
        c->last[level] = row;
    }
}

static void swap_tables(struct table *a, struct table *b)
{
    struct table was = *a;
    uint64_t changes = a->changes + b->changes + 1;
    *a = *b;
    *b = was;
    a->changes = b->changes = changes;
}

void table_move(struct table *to, struct table *from, table_pick_fn *pick, void *ctx)
{
    struct chain stay, go;
    if (!pick && to->map.count == 0) {
        swap_tables(to, from);
        return;
    }
    CHECK(to->hash_key.k0 == from->hash_key.k0);
    CHECK(to->hash_key.k1 == from->hash_key.k1);
    struct table_row *there = chain_begin(&go, to), *here = chain_begin(&stay, from);
    while (there || here) {
        int order = !here ? 1 : !there ? -1 : span_compare(table_key(here), table_key(there));
        CHECK(order != 0);
        struct table_row *row = order < 0 ? here : there;
        *(order < 0 ? &here : &there) = row->next[0];
        bool goes = order < 0 && (!pick || pick(ctx, row));
        if (goes) {
            map_remove(&from->map, &row->node);
            map_add(&to->map, row->node.hash, &row->node);
        }
        chain_put(order > 0 || goes ? &go : &stay, row);
    }
}

struct table_row *table_after(const struct table *t, struct span key)
{
    struct table_row *path[TABLE_LEVELS];
    path_to(t, key, true, path);
    return path[0] ? path[0]->next[0] : t->first[0];
}

void table_order(struct table *t)
{
    size_t count = t->map.count, at = 0;
    struct slot *slots = malloc((count ? count : 1) * sizeof(*slots));
    struct chain chain;
    if (!slots)
        check_no_memory();
    for (struct table_row *row = chain_begin(&chain, t); row; row = row->next[0])
        slots[at++].row = row;
    CHECK(at == count);
    sort_slots(slots, count, 0);
    for (size_t i = 0; i < count; i++)
        chain_put(&chain, slots[i].row);
    free(slots);
}
