/* doc_number.h — the text of JSON numbers. For doc/ only.
 *
 * Units    bytes
 * Threads  any
 * Source   RFC 8259 section 6; twins 3 ("any finite JSON double")
 */
#ifndef DOC_DOC_NUMBER_H
#define DOC_DOC_NUMBER_H

#include "base/check.h"
#include "base/span.h"

struct doc_number {
    size_t len;
    bool is_whole; /* neither fraction nor exponent, and not -0 */
    bool is_int;   /* whole and fits 64 bits: `value` is it */
    int64_t value;
};

/* Read the longest number at the start of `s`. False when there is none or a double cannot hold it:
 * it would round to infinity. What follows the number is not looked at. */
MUST_USE bool doc_number_scan(struct span s, struct doc_number *out);

#endif
