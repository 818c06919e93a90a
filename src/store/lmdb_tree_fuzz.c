/* Pages of any content: nothing outside the map is read, keys ascend, and a walk ends.
 *
 * Input: depth, root, a key of up to 8 bytes, then pages of PAGE bytes. */
#include <stdlib.h>

#include "base/test.h"
#include "store/lmdb_tree.h"

enum { PAGE = 256, PAGES_MAX = 32, KEY_MAX = 8, HEAD = 3, STEPS_MAX = 20000 };

static void within(const struct lmdb_tree *t, struct span s)
{
    const uint8_t *end = t->map + (t->last_page + 1) * t->page_size;
    CHECK(s.len == 0 || s.data >= t->map);
    CHECK(s.len == 0 || s.data + s.len <= end);
}

static void walk(const struct lmdb_tree *t, struct lmdb_place place, bool forth)
{
    struct span key, value, before = {0};
    int steps = 0;
    for (enum status st = OK; st != NOT_FOUND; steps++) {
        CHECK(steps < STEPS_MAX);
        if (st == OK && lmdb_place_has(&place)) {
            if (lmdb_place_get(&place, &key, &value) == OK)
                within(t, value);
            within(t, key);
            CHECK(!before.data || span_compare(before, key) * (forth ? 1 : -1) < 0);
            before = key;
        }
        st = forth ? lmdb_place_step(&place) : lmdb_place_back(&place);
        if (st == DAMAGED && !forth)
            return; /* after it nothing is done with the place */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    size_t key_len = data[2] % (KEY_MAX + 1);
    if (size < HEAD + key_len)
        return 0;
    struct span pages = span_of(data + HEAD + key_len, size - HEAD - key_len);
    size_t count = pages.len / PAGE;
    if (count == 0 || count > PAGES_MAX)
        return 0;
    uint8_t *map = malloc(count * PAGE); /* its end is the sanitizer's */
    if (!map)
        return 0;
    memcpy(map, pages.data, count * PAGE);
    static struct lmdb_seen seen;
    seen.round++;
    struct lmdb_tree tree = {.map = map,
                             .page_size = PAGE,
                             .root = data[1],
                             .last_page = count - 1,
                             .depth = 1 + data[0] % 4,
                             .seen = data[0] & 4 ? &seen : NULL};
    struct lmdb_place place;
    bool exact;
    struct span key = span_of(data + HEAD, key_len), found, value;
    enum status st = lmdb_tree_seek(&tree, key, &place, &exact);
    if (st == OK && exact && lmdb_place_get(&place, &found, &value) == OK)
        CHECK(span_eq(found, key));
    walk(&tree, place, true);
    if (st == OK)
        walk(&tree, place, false);
    free(map);
    return 0;
}
