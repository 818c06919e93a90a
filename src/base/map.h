/* map.h — an intrusive hash map: chains of nodes embedded in what they index.
 *
 * The caller gives the hash and tells equal keys apart. Grows by doubling at load 1; never shrinks.
 *
 * Memory   the table is on the heap; the nodes are the owner's
 * Threads  the owner's
 * Errors   none; out of memory ends the process
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **slots;
    size_t slot_count, count; /* slot_count is 0 or a power of two */
};

typedef bool map_equal_fn(const struct map_node *node, const void *key);

void map_fini(struct map *m); /* frees the table, not the nodes */
/* The node with this hash for which equal(node, key) holds; NULL when there is none. */
struct map_node *map_find(const struct map *m, uint64_t hash, map_equal_fn *equal, const void *key);
/* Room for so many, so that it need not grow step by step. */
void map_reserve(struct map *m, size_t count);
/* The key must not be in the map yet. */
void map_add(struct map *m, uint64_t hash, struct map_node *node);
/* The node must be in the map. */
void map_remove(struct map *m, struct map_node *node);

/* Visit every node; the body may remove `at`, nothing else. */
#define MAP_EACH(at, m)                                                                          \
    for (size_t at##_slot = 0; at##_slot < (m)->slot_count; at##_slot++)                         \
        for (struct map_node *at = (m)->slots[at##_slot], *at##_next = at ? at->next : NULL; at; \
             at = at##_next, at##_next = at ? at->next : NULL)

#endif
