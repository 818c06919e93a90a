#include "doc/doc_index.h"

#include "base/check.h"

/* Any fixed key will do: the tree, not a secret, is what bounds the cost. */
static const struct hash_key fixed = {0x6b65797320696e20, 0x6f6e65206f626a65};

static uint32_t head_bits_for(size_t key_max)
{
    uint32_t bits = 0;
    while (((size_t)1 << bits) < key_max)
        bits++;
    return bits;
}

size_t doc_index_size(size_t key_max)
{
    return key_max * sizeof(struct doc_index_key) + (sizeof(uint32_t) << head_bits_for(key_max));
}

void doc_index_init(struct doc_index *ix, void *block, size_t key_max)
{
    *ix = (struct doc_index){.keys = block, .head_bits = head_bits_for(key_max)};
    ix->heads = (uint32_t *)(void *)(ix->keys + key_max);
    memset(ix->heads, 0, sizeof(uint32_t) << ix->head_bits);
}

/* The link that leads to `key`, or the empty one where it belongs. */
static uint32_t *link_of(const struct doc_index *ix, uint64_t hash, struct span key)
{
    uint32_t *link = &ix->heads[hash & (((uint64_t)1 << ix->head_bits) - 1)];
    for (uint64_t bits = hash >> ix->head_bits; *link; bits >>= 2) {
        struct doc_index_key *k = &ix->keys[*link - 1];
        if (k->hash == hash && span_eq(k->key, key))
            break;
        link = &k->below[bits & 3];
    }
    return link;
}

struct doc_index_key *doc_index_add(struct doc_index *ix, struct span key)
{
    uint64_t hash = hash_keyed(fixed, key);
    uint32_t *link = link_of(ix, hash, key);
    if (*link == 0) {
        ix->keys[ix->count] = (struct doc_index_key){.hash = hash, .key = key};
        *link = ++ix->count;
    }
    return &ix->keys[*link - 1];
}

struct doc_index_key *doc_index_find(const struct doc_index *ix, struct span key)
{
    uint32_t number = *link_of(ix, hash_keyed(fixed, key), key);
    return number ? &ix->keys[number - 1] : NULL;
}
