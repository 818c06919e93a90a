/* What a bag says can be said again in the hub's own encoding, and weighs what bag_size says. */
#include "wire/bag.h"

#include "base/text.h"

enum { PAIRS_MAX = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_all(struct span text, struct arena *a, struct bag_pair *pairs)
{
    struct bag bag = bag_open(text);
    size_t count = 0;
    while (count < PAIRS_MAX && bag_next(&bag, a, &pairs[count]) == OK)
        count++;
    return count;
}

/* Whether an encoded `s` decodes: raw text of a malformed half may be anything. */
static bool is_text(struct span s)
{
    return text_is_utf8(s) && span_index(s, '\0') == s.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t block[1 << 17];
    static struct bag_pair first[PAIRS_MAX], second[PAIRS_MAX];
    struct arena a;
    arena_init(&a, block, sizeof(block));
    struct span text = span_of(data, size);
    size_t count = read_all(text, &a, first), kept = 0, weight = 0;
    bool malformed = false;
    struct buf b = {0};
    for (size_t i = 0; i < count; i++) {
        weight += first[i].name.len + first[i].value.len;
        malformed |= first[i].malformed;
        CHECK(first[i].malformed || (is_text(first[i].name) && is_text(first[i].value)));
        CHECK(first[i].has_value || first[i].value.len == 0);
        if (is_text(first[i].name) && is_text(first[i].value)) {
            bag_put(&b, 0, &first[i]);
            first[kept++] = first[i];
        }
    }
    if (!malformed && count < PAIRS_MAX)
        CHECK(bag_size(text) == weight);
    CHECK(bag_size(text) <= text.len);

    CHECK(read_all(buf_span(&b), &a, second) == kept);
    for (size_t i = 0; i < kept; i++) {
        CHECK(span_eq(first[i].name, second[i].name));
        CHECK(span_eq(first[i].value, second[i].value));
        CHECK(first[i].has_value == second[i].has_value);
        CHECK(second[i].malformed == (second[i].name.len == 0));
    }
    buf_fini(&b);
    arena_reset(&a);
    return 0;
}
