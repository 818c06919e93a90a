/* pattern.h — the small language inside a transcript's lines: words, escapes, names, wildcards.
 *
 *   \xNN \r \n \t \\      bytes; any other backslash stands for itself
 *   $(name)               a value captured before, or one the caller knows
 *   <class>               in expectations: what differs from run to run
 *   <name=class>          the same, captured under a name
 *
 * Classes: * (anything), number, word (letters and blanks), base64, etag (base64), key (44
 * characters of base64), time (ISO 8601 with Z), uuid, tracking (a tracking id).
 *
 * Memory   vars own their values
 * Threads  one
 */
#ifndef TRANSCRIPTS_PATTERN_H
#define TRANSCRIPTS_PATTERN_H

#include "base/buf.h"

enum { VARS_MAX = 64 };

struct vars {
    size_t count;
    struct var {
        char name[48];
        struct buf value;
    } at[VARS_MAX];
    /* Names that are computed; false when there is no such name. */
    bool (*compute)(void *ctx, struct span name, struct buf *out);
    void *ctx;
};

void vars_set(struct vars *v, struct span name, struct span value);
void vars_fini(struct vars *v);

/* The next word of *rest, without the blanks around it; empty at the end. */
struct span word_next(struct span *rest);
/* "name=value" with this name: true, and the value. */
bool word_value(struct span word, const char *name, struct span *value);
/* A decimal number, with a sign; stops the test when it is none. */
int64_t word_number(struct span word);

/* Append `text` with escapes undone and names replaced. False: an unknown name. */
MUST_USE bool expand(struct buf *out, struct span text, const struct vars *v);
/* Is `got`, all of it, what the expanded pattern says? Captures names when it is. */
MUST_USE bool pattern_matches(struct span pattern, struct span got, struct vars *v);

/* For messages: what is not printable as \xNN, long texts cut. */
void put_visible(struct buf *out, struct span bytes);

#endif
