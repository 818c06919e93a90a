/* json.h — JSON a person or a script reads: parsed texts, and texts on one line or indented.
 *
 * Memory   json_fini frees; nodes borrow from the struct json
 * Threads  one
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include "doc/doc.h"

struct json {
    struct arena arena;
    struct doc_node root;
};

/* False when it is not one JSON value. json_fini is right in either case. */
MUST_USE bool json_parse(struct span text, struct json *out);
void json_fini(struct json *j);

/* A value, keys in their order. What a terminal might act on (C1 controls, bidirectional marks) is
 * escaped. Nothing after the last bracket. */
void json_put_indented(struct buf *b, struct doc_node n);
void json_put_line(struct buf *b, struct doc_node n);

/* A member's string, by name in any case; empty when there is none or it is no string. */
struct span json_text(struct doc_node object, const char *name);

#endif
