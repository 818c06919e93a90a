/* doc_naive.h — the rules of twins 1.4, 2 and 3 once more, over linked lists, to compare with.
 * For tests and fuzzers only. It shares nothing with what it checks but the reading functions of
 * doc.h, the limits' numbers and the printing of strings and times.
 *
 * Memory   one static block; naive_reset gives everything back
 * Threads  one
 */
#ifndef DOC_DOC_NAIVE_H
#define DOC_DOC_NAIVE_H

#include "doc/doc.h"

struct naive {
    enum doc_type type;
    struct span key, text; /* text: a string's bytes, a number as printed */
    int64_t stamp, version;
    bool by_configuration;
    struct naive *first, *next;
};

void naive_reset(void);
/* A tree of a parsed document or a section, stamps not taken over. */
struct naive *naive_from(struct doc_node n);
/* An empty object with this stamp. */
struct naive *naive_empty(int64_t stamp);

struct naive_result {
    enum status status;
    bool changed;
    struct naive *delta; /* what the device is told; nulls for what is gone */
};
/* Write `value` into `section`, which is changed in place only if the write is accepted. */
struct naive_result naive_patch(struct naive *section, const struct naive *value,
                                const struct doc_write *w);
struct naive_result naive_replace(struct naive *section, const struct naive *value,
                                  const struct doc_write *w);

void naive_print(struct buf *b, const struct naive *n);
/* Members, then "$metadata" (if `section` has any) and "$version". */
void naive_print_service(struct buf *b, const struct naive *n, const struct doc_write *w);
/* Members, then "$version". */
void naive_print_device(struct buf *b, const struct naive *n, int64_t version);

/* The counted size of twins 3.1, and how many nodes there are below `n`. */
size_t naive_counted(const struct naive *n);
size_t naive_nodes(const struct naive *n);

#endif
