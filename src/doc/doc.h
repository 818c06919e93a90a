/* doc.h — documents: JSON text to a flat byte string and back, merge patch, metadata, limits.
 *
 * A flat document is one relocatable byte string made once from JSON text and used everywhere
 * (memory, record, change, reply) with no parse in between. A twin section (tags, desired,
 * reported) is a flat document whose root is an object; the nodes of desired and reported carry
 * the stamp that `$metadata` prints. docs/format.md draws the bytes; doc_node.h reads them.
 *
 * Pure: no I/O, no clock; memory only from the arena it is given.
 *
 * Units    bytes; times in wall_ms
 * Memory   results live in the caller's arena; views grow the caller's buffer
 * Threads  any
 * Errors   per function; TOO_LARGE: the arena is full (nothing else uses that name here)
 * Source   spec twins 1.4, 1.5, 2, 3; RFC 8259; RFC 7396
 */
#ifndef DOC_DOC_H
#define DOC_DOC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

enum doc_type {
    DOC_NULL, /* only in parsed JSON, never in a section */
    DOC_FALSE,
    DOC_TRUE,
    DOC_INT,    /* a number with neither fraction nor exponent that fits 64 bits, except -0 */
    DOC_NUMBER, /* any other number: its text, as sent */
    DOC_STRING, /* UTF-8, unescaped, checked */
    DOC_ARRAY,
    DOC_OBJECT,
};

/* A node inside a flat document; borrowed from it. `at` is NULL for "no such node". */
struct doc_node {
    const uint8_t *at;
};

/* ---- reading ---------------------------------------------------------------------------- */

struct doc_node doc_root(struct span doc);
enum doc_type doc_type(struct doc_node n);
struct span doc_string(struct doc_node n); /* DOC_STRING's bytes, DOC_NUMBER's text */
int64_t doc_int(struct doc_node n);        /* DOC_INT */
size_t doc_count(struct doc_node n);       /* children of an array or object */
/* Children in order: doc_first of an array or object, then doc_next; {NULL} after the last.
 * `parent` is the same node both times. */
struct doc_node doc_first(struct doc_node parent);
struct doc_node doc_next(struct doc_node parent, struct doc_node child);
struct span doc_key(struct doc_node member); /* of an object's member */
/* The member with this key, {NULL} when the node is no object or has none. _nocase ignores the
 * case of ASCII letters: member names of the API, never users' keys. */
struct doc_node doc_find(struct doc_node object, struct span key);
struct doc_node doc_find_nocase(struct doc_node object, struct span key);

/* ---- text to document --------------------------------------------------------------------- */

/* Parse one JSON value. A leading BOM is skipped. Duplicate keys: the last one wins, and stands
 * where the first stood.
 *
 *   OK          *out is the flat document, in the arena
 *   BAD_FORMAT  not one JSON value: syntax, UTF-8, a lone surrogate, text after the value,
 *               nesting over `nesting_max` (or 128), a number over `number_max` characters or
 *               beyond a double (1e309), a key of 1 MiB
 *   TOO_LARGE   the arena is full
 */
struct doc_syntax {
    uint32_t nesting_max; /* 64 */
    uint32_t number_max;  /* 128 characters */
};
MUST_USE enum status doc_parse(struct span json, const struct doc_syntax *syntax, struct arena *a,
                               struct span *out);

/* ---- limits ------------------------------------------------------------------------------- */

/* Everything a section may not exceed (twins 3). One table, replaced as a whole by a setting. */
struct doc_limits {
    struct doc_syntax syntax;
    uint32_t key_max;         /* 1,024 bytes */
    uint32_t string_max;      /* 4,096 bytes */
    int64_t int_min, int_max; /* -2^52, 2^52 - 1 */
    uint32_t depth_max;       /* 10: objects and arrays below the section's root */
    uint32_t tags_max;        /* 8,192 bytes, as counted by twins 3.1 */
    uint32_t properties_max;  /* 32,768 bytes, each of desired and reported */
    uint32_t text_max;        /* 120,000 bytes of JSON text, metadata not counted */
    uint32_t node_max;        /* 16,384 nodes */
    uint32_t flat_factor;     /* 4: a flat section is at most this times its limit */
};
extern const struct doc_limits doc_limits_azure;
extern const struct doc_limits doc_limits_relaxed; /* x16, depth 32 */

/* ---- sections ----------------------------------------------------------------------------- */

enum doc_section { DOC_TAGS, DOC_DESIRED, DOC_REPORTED };

/* One write. Every stamp it sets is `now_ms`, and for desired `version`. */
struct doc_write {
    enum doc_section section;
    const struct doc_limits *limits;
    int64_t now_ms;
    int64_t version;       /* the section's $version after this write; unused for tags */
    struct span by;        /* "$lastUpdatedBy" of each leaf written, empty for ordinary writes */
    struct span by_digest; /* "$lastUpdatedByDigest"; each at most 255 bytes (CHECK) */
};

/* Why a write was refused; `key` borrows from the patch. */
struct doc_fault {
    const char *rule; /* constant text with at most one "%s" for the key and one "%u" for limit */
    struct span key;
    uint32_t limit;
};
/* The text after "ErrorCode:<Name>;" (service-rest 4.2, twins 3): one line; of a long key the first
 * 128 bytes, control characters as '?'. */
void doc_put_fault(struct buf *b, const struct doc_fault *fault);

struct doc_result {
    struct span section; /* the new section; equal to the old one when !changed */
    struct span delta;   /* what changed, by key existence, with old and new values; {0} if none */
    bool changed;
};

/* An empty section with this stamp. NULL data when the arena is full. `version` 0: none printed. */
struct span doc_empty(enum doc_section section, int64_t stamp_ms, struct arena *a);

/* Merge `patch` into `old` by twins 2.1 and 2.6. `old` is a section made by this module. `patch`
 * is parsed JSON. Checks run before anything is built, sizes on the result.
 *
 *   OK                 *out is filled
 *   BAD_ARGUMENT       a rule of twins 3 is broken, or `patch` is no object: *fault says which
 *   SECTION_TOO_LARGE  the result exceeds a size: *fault says which
 *   TOO_LARGE          the arena is full
 */
MUST_USE enum status doc_patch(struct span old, struct doc_node patch, const struct doc_write *w,
                               struct arena *a, struct doc_result *out, struct doc_fault *fault);

/* Replace all of `old` by `value` (twins 2.2): nulls are refused; an absent `value` ({NULL}) or
 * JSON null empties it. changed is true unless the section was empty and stays so. Same refusals.
 */
MUST_USE enum status doc_replace(struct span old, struct doc_node value, const struct doc_write *w,
                                 struct arena *a, struct doc_result *out, struct doc_fault *fault);

/* Replay: apply a delta to the section it was made from. It holds no rule of twins 2: each delta
 * says what becomes of each key. Ancestors of a touched key take the delta's stamp.
 *
 *   OK         *out is, byte for byte, the section doc_patch or doc_replace made
 *   DAMAGED    `delta` is not well formed or does not fit `old`
 *   TOO_LARGE  the arena is full
 */
MUST_USE enum status doc_apply(struct span old, struct span delta, struct arena *a,
                               struct span *out);

/* Is this a well-formed flat document (every length inside, every string UTF-8, nesting bounded)?
 * For bytes read back from disk. */
MUST_USE bool doc_is_valid(struct span doc);
/* The same of a delta. doc_apply asks this itself; views of a delta read back from disk do not. */
MUST_USE bool doc_delta_is_valid(struct span delta);

/* ---- views -------------------------------------------------------------------------------- */

/* A value as compact JSON, no metadata. */
void doc_put_value(struct buf *b, struct doc_node n);
/* The device's view: the members and "$version" (twins 1.5). */
void doc_put_device(struct buf *b, struct span section, int64_t version);
/* The service's view: members, "$metadata", "$version" (twins 1.1, 1.4). Each node of desired whose
 * version is not 0 prints "$lastUpdatedVersion". Tags have no "$metadata": print them with
 * doc_put_value. */
void doc_put_service(struct buf *b, struct span section, int64_t version);
/* A delta as a merge patch with explicit nulls: the desired push when `version` >= 0 appends
 * "$version" (twins 2.5). */
void doc_put_delta(struct buf *b, struct span delta, int64_t version);
/* The same with "$metadata" for the written keys only and "$version": a twinChange event's section
 * (twins 4.2). */
void doc_put_delta_event(struct buf *b, struct span delta, int64_t version);
/* No members (tags are left out of a twin when empty). */
bool doc_is_empty(struct span section);

#endif
