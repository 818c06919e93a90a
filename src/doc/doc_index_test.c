#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "doc/doc_index.h"

static struct span key_of(char text[32], unsigned n)
{
    return span_of(text, (size_t)snprintf(text, 32, "key-%u", n));
}

TEST(keys_are_found_once_added_and_keep_their_order)
{
    enum { KEYS = 5000 };
    static char texts[KEYS][32];
    void *block = malloc(doc_index_size(KEYS));
    struct doc_index ix;
    memset(block, 0xa5, doc_index_size(KEYS)); /* it need not be zeroed */
    doc_index_init(&ix, block, KEYS);
    for (unsigned i = 0; i < KEYS; i++) {
        char other[32];
        EXPECT(doc_index_find(&ix, key_of(other, i)) == NULL);
        struct doc_index_key *added = doc_index_add(&ix, key_of(texts[i], i));
        EXPECT_EQ(added - ix.keys, i);
        EXPECT_EQ(added->value, 0);
        added->value = i + 7;
        EXPECT(doc_index_add(&ix, key_of(other, i / 2)) == &ix.keys[i / 2]);
    }
    EXPECT_EQ(ix.count, KEYS);
    for (unsigned i = 0; i < KEYS; i++)
        EXPECT_EQ(doc_index_find(&ix, key_of(texts[i], i))->value, i + 7);
    free(block);
}

TEST(one_key_and_the_empty_key_are_no_special_case)
{
    uint64_t block[32];
    struct doc_index ix;
    EXPECT(doc_index_size(1) <= sizeof(block));
    doc_index_init(&ix, block, 1);
    EXPECT(doc_index_find(&ix, SPAN("")) == NULL);
    doc_index_add(&ix, SPAN(""));
    EXPECT(doc_index_find(&ix, SPAN("")) == ix.keys);
    EXPECT(doc_index_find(&ix, SPAN("x")) == NULL);
    EXPECT_EQ(ix.count, 1);
}

/* How many steps lead to an entry. */
static unsigned depth_of(const struct doc_index *ix, const struct doc_index_key *k)
{
    unsigned depth = 1;
    uint32_t at = ix->heads[k->hash & ((1u << ix->head_bits) - 1)];
    for (uint64_t bits = k->hash >> ix->head_bits; &ix->keys[at - 1] != k; bits >>= 2, depth++)
        at = ix->keys[at - 1].below[bits & 3];
    return depth;
}

/* Keys chosen so that all stand below one head of a table for 1024: a chain would be 1,000 deep. */
TEST(keys_chosen_to_collide_cost_a_few_steps)
{
    enum { KEYS = 1000, TRIES = 1200000 };
    static char texts[KEYS][32];
    struct doc_index ix, probe;
    void *block = malloc(doc_index_size(KEYS)), *one = malloc(doc_index_size(1));
    doc_index_init(&ix, block, KEYS);
    for (unsigned n = 0; n < TRIES && ix.count < KEYS; n++) {
        struct span key = key_of(texts[ix.count], n);
        doc_index_init(&probe, one, 1);
        if ((doc_index_add(&probe, key)->hash & 1023) == 0)
            doc_index_add(&ix, key);
    }
    EXPECT_EQ(ix.count, KEYS);
    unsigned deepest = 0;
    for (uint32_t i = 0; i < ix.count; i++) {
        unsigned depth = depth_of(&ix, &ix.keys[i]);
        deepest = depth > deepest ? depth : deepest;
    }
    EXPECT(deepest <= 16);
    free(block);
    free(one);
}

TEST_MAIN(RUN(keys_are_found_once_added_and_keep_their_order),
          RUN(one_key_and_the_empty_key_are_no_special_case),
          RUN(keys_chosen_to_collide_cost_a_few_steps))
