/* doc_limits.h — the checks of twins 3, before a write and on its result. For doc/ only.
 *
 * Units    bytes
 * Threads  any
 * Errors   BAD_ARGUMENT and SECTION_TOO_LARGE, with *fault filled
 * Source   twins 3, 3.1, 6 (rows 4 to 8)
 */
#ifndef DOC_DOC_LIMITS_H
#define DOC_DOC_LIMITS_H

#include "doc/doc_node.h"

/* What the check learns on its way. */
struct doc_survey {
    size_t node_count;     /* below the root, ignored members left out */
    bool ignored_in_array; /* an object inside an array has members to leave out */
};

/* "$metadata" and "$version", which clients send back: left out wherever they stand. */
static inline bool doc_key_is_ignored(struct span key)
{
    return key.len && key.data[0] == '$' &&
           (span_eq(key, SPAN("$metadata")) || span_eq(key, SPAN("$version")));
}

/* Check what a client sent, an object, for one section. `allow_null` is true for a patch. */
MUST_USE enum status doc_limits_check(struct doc_node value, const struct doc_limits *limits,
                                      bool allow_null, struct doc_survey *out,
                                      struct doc_fault *fault);

/* Check a section's sizes: counted, as text, in nodes, and its own. */
MUST_USE enum status doc_limits_check_size(struct span section, const struct doc_write *w,
                                           struct doc_fault *fault);

/* The sizes of a section, by one walk. */
struct doc_sizes {
    size_t counted; /* twins 3.1 */
    size_t text;    /* what doc_put_value prints */
    size_t nodes;   /* below the root */
};
struct doc_sizes doc_limits_measure(struct doc_node section);

#endif
