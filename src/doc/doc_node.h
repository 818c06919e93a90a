/* doc_node.h — the bytes of a flat document and of a delta. For doc/ only.
 *
 *   0        word: bits 0-3 type, bits 4-11 flags, bits 12-31 length of the key
 *   4        size of the whole node, from its first byte to past its last descendant
 *   8        stamp     6 bytes   if NODE_STAMP: milliseconds since 1970, signed
 *            version   6 bytes   if NODE_VERSION
 *            origin              if NODE_ORIGIN: length (1 byte), by, length (1 byte), digest
 *            key                 UTF-8; of an object's members and nothing else
 *            payload             by type: nothing, an integer of 8 bytes, text, or
 *                                the count of children (4 bytes) and then the children
 *
 * A document is one node without a key. Numbers are little endian and nothing is aligned.
 * docs/format.md says the same with an example, and draws the delta.
 *
 * Units    bytes; times in wall_ms
 * Memory   borrows
 * Threads  any
 * Errors   none: these functions trust the bytes; doc_is_valid and doc_delta_is_valid are the door
 */
#ifndef DOC_DOC_NODE_H
#define DOC_DOC_NODE_H

#include <endian.h>

#include "doc/doc.h"

enum {
    NODE_STAMP = 1 << 0,   /* of desired and reported, outside arrays */
    NODE_VERSION = 1 << 1, /* of desired; only with NODE_STAMP */
    NODE_ORIGIN = 1 << 2,  /* a leaf written by a configuration; only with NODE_STAMP */
    NODE_REBUILD = 1 << 3, /* of NODE_INSIDE: the entries are all there is, in their order */

    NODE_HEAD = 8,
    NODE_TIME = 6, /* of a stamp, and of a version */
    NODE_COUNT = 4,
    NODE_KEY_MAX = (1 << 20) - 1,
    NODE_NESTING_MAX = 128, /* no document is deeper: what walks one may recurse */
    NODE_ORIGIN_MAX = 255,  /* each of by and digest */
};

/* The entries of a delta are nodes too, of these types. */
enum {
    NODE_INSIDE = 8, /* payload as an object's, of entries: the object stays, these keys change */
    NODE_SET,        /* no key; payload: the new node, then the old one if there was one */
    NODE_DELETE,     /* no key; payload: the old node */
};

static inline uint32_t node_word(struct doc_node n)
{
    return load_u32le(n.at);
}

static inline unsigned node_type(struct doc_node n)
{
    return node_word(n) & 15;
}

static inline unsigned node_flags(struct doc_node n)
{
    return node_word(n) >> 4 & 255;
}

static inline uint32_t node_key_len(struct doc_node n)
{
    return node_word(n) >> 12;
}

static inline uint32_t node_size(struct doc_node n)
{
    return load_u32le(n.at + 4);
}

static inline struct doc_node node_after(struct doc_node n)
{
    return (struct doc_node){n.at + node_size(n)};
}

static inline const uint8_t *node_end(struct doc_node n)
{
    return n.at + node_size(n);
}

static inline bool node_is_container(struct doc_node n)
{
    unsigned type = node_type(n);
    return type == DOC_ARRAY || type == DOC_OBJECT || type == NODE_INSIDE;
}

/* How long the stamp and version of a node with these flags are: 0, 6, 6, 12. */
static inline size_t node_stamp_len(unsigned flags)
{
    return UINT32_C(0x0c060600) >> (flags & 3) * 8 & 255;
}

/* Where the key starts; where there is none, the payload. */
static inline const uint8_t *node_key_at(struct doc_node n)
{
    unsigned flags = node_flags(n);
    const uint8_t *at = n.at + NODE_HEAD + node_stamp_len(flags);
    if (flags & NODE_ORIGIN) {
        at += 1 + at[0];
        at += 1 + at[0];
    }
    return at;
}

static inline struct span node_key(struct doc_node n)
{
    return span_of(node_key_at(n), node_key_len(n));
}

static inline struct span node_payload(struct doc_node n)
{
    const uint8_t *at = node_key_at(n) + node_key_len(n);
    return span_of(at, (size_t)(node_end(n) - at));
}

/* Only of a container. */
static inline uint32_t node_count(struct doc_node n)
{
    return load_u32le(node_payload(n).data);
}

/* The first child of a container, or node_end when there is none. */
static inline struct doc_node node_children(struct doc_node n)
{
    return (struct doc_node){node_payload(n).data + NODE_COUNT};
}

/* Each child of a container; the container may be empty. */
#define NODE_EACH(child, parent)                                                          \
    for (struct doc_node child = node_children(parent), child##_end = {node_end(parent)}; \
         child.at != child##_end.at; child = node_after(child))

/* Of a node with NODE_STAMP. */
int64_t node_stamp(struct doc_node n);
/* 0 when it has none. */
int64_t node_version(struct doc_node n);
/* Of a node with NODE_ORIGIN. */
void node_origin(struct doc_node n, struct span *by, struct span *digest);

/* As store_u32le, but one instruction also where the compiler leaves that a loop. */
static inline void node_store(uint8_t *at, size_t value)
{
    uint32_t le = htole32((uint32_t)value);
    memcpy(at, &le, sizeof(le));
}

/* Write a node's first eight bytes. `type` may be an entry's. */
static inline void node_head(uint8_t *at, unsigned type, unsigned flags, size_t key_len,
                             size_t size)
{
    node_store(at, type | flags << 4 | key_len << 12);
    node_store(at + 4, size);
}

/* What a write puts into each node: made once, then copied. */
struct node_mark {
    unsigned flags; /* NODE_STAMP and NODE_VERSION, by section */
    size_t stamp_len;
    uint8_t stamp[2 * NODE_TIME];
    struct span origin; /* of each leaf; empty for an ordinary write */
};
/* A time before the year -2489 or after 6429 is kept as the nearest one that 48 bits hold; a
 * version likewise. */
void node_mark_init(struct node_mark *m, enum doc_section section, int64_t stamp_ms,
                    int64_t version);

/* Copy and return the place after: each the way a run of known room is filled. */
static inline uint8_t *node_put(uint8_t *at, const void *from, size_t len)
{
    if (len)
        memcpy(at, from, len);
    return at + len;
}

/* Write a mark's stamp and version; always twelve bytes, of which those beyond stamp_len are to be
 * overwritten: a constant length is a third of the cost. */
static inline uint8_t *node_put_stamp(uint8_t *at, const struct node_mark *m)
{
    memcpy(at, m->stamp, sizeof(m->stamp));
    return at + m->stamp_len;
}

/* Write the head, stamp, key and count of an object (or of NODE_INSIDE) whose children follow; its
 * size and count are set by node_close. */
uint8_t *node_open(uint8_t *at, unsigned type, const struct node_mark *m, struct span key);
/* `end` is past the last child. */
void node_close(uint8_t *node, const uint8_t *end, size_t count);

#endif
