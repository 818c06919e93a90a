/* uri.h — request targets: percent-encoding, path segments, query parameters.
 *
 * Units    bytes
 * Memory   results borrow from the input, or from the caller's arena where decoding changed them
 * Threads  any
 * Errors   per function
 * Source   RFC 3986 section 2.1; spec/service-rest.md section 1 rows 2 to 4
 */
#ifndef WIRE_URI_H
#define WIRE_URI_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"
#include "base/status.h"

/* Undo %XX, either hex case, once. `+` stays `+`.
 *
 *   OK           *out is the decoded text; `text` itself when nothing was encoded
 *   BAD_REQUEST  a `%` without two hex digits, or a NUL, plain or encoded
 *   TOO_LARGE    the arena is full
 */
MUST_USE enum status uri_decode(struct span text, struct arena *scratch, struct span *out);

/* How long `text` is once decoded: every well-formed escape counts as one byte. */
size_t uri_decoded_len(struct span text);

/* Cut what stands before the next `mark` off the front of *rest, and the mark with it; all of *rest
 * when there is none. */
static inline struct span uri_cut(struct span *rest, uint8_t mark)
{
    size_t at = span_index(*rest, mark);
    struct span head = span_first(*rest, at);
    *rest = span_skip(*rest, at < rest->len ? at + 1 : at);
    return head;
}

/* A target into what stands before the first `?` and what stands after it (maybe nothing). */
void uri_split(struct span target, struct span *path, struct span *query);

/* Decode a path once, then split it on `/`; empty segments are left out, so that a slash at the
 * end or twice in a row does not matter.
 *
 *   OK           segments[0..*count) are filled; "/" has none
 *   BAD_REQUEST  as uri_decode
 *   NO_ROUTE     more than `room` segments
 *   TOO_LARGE    the arena is full
 */
MUST_USE enum status uri_path_split(struct span path, struct arena *scratch, struct span *segments,
                                    size_t room, size_t *count);

/* The value of a query parameter, decoded; `+` stays. Names compare ignoring case and encoding; of
 * several the first counts; a name without `=` has an empty value.
 *
 *   OK           *out is the value
 *   NOT_FOUND    no such parameter
 *   BAD_REQUEST  its value is malformed, as uri_decode
 *   TOO_LARGE    the arena is full
 */
MUST_USE enum status uri_query_get(struct span query, struct span name, struct arena *scratch,
                                   struct span *out);

/* Append `s` with everything outside A-Z a-z 0-9 - . _ ~ percent-encoded, in upper-case hex. */
void uri_put(struct buf *b, struct span s);

#endif
