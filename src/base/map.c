#include "base/map.h"

#include "base/check.h"

#include <stdlib.h>

void map_fini(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

struct map_node *map_find(const struct map *m, uint64_t hash, map_equal_fn *equal, const void *key)
{
    if (m->slot_count == 0)
        return NULL;
    struct map_node *at = m->slots[hash & (m->slot_count - 1)];
    while (at && !(at->hash == hash && equal(at, key)))
        at = at->next;
    return at;
}

static void grow(struct map *m, size_t slot_count)
{
    struct map_node **slots =
        calloc(slot_count, sizeof(struct map_node *)); /* NOLINT(bugprone-sizeof-expression) */
    if (!slots)
        check_no_memory();
    MAP_EACH(at, m)
    {
        struct map_node **slot = &slots[at->hash & (slot_count - 1)];
        at->next = *slot;
        *slot = at;
    }
    free(m->slots);
    m->slots = slots;
    m->slot_count = slot_count;
}

void map_reserve(struct map *m, size_t count)
{
    size_t slot_count = m->slot_count ? m->slot_count : 16;
    while (slot_count < count)
        slot_count *= 2;
    if (slot_count > m->slot_count)
        grow(m, slot_count);
}

void map_add(struct map *m, uint64_t hash, struct map_node *node)
{
    if (m->count >= m->slot_count)
        grow(m, m->slot_count ? m->slot_count * 2 : 16);
    struct map_node **slot = &m->slots[hash & (m->slot_count - 1)];
    node->hash = hash;
    node->next = *slot;
    *slot = node;
    m->count++;
}

void map_remove(struct map *m, struct map_node *node)
{
    CHECK(m->slot_count > 0);
    struct map_node **link = &m->slots[node->hash & (m->slot_count - 1)];
    while (*link && *link != node)
        link = &(*link)->next;
    CHECK(*link == node);
    *link = node->next;
    node->next = NULL;
    m->count--;
}
