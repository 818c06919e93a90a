/* http_chunk.h — the strict pass over a chunked body, before llhttp sees it.
 *
 *   5 CRLF hello CRLF 0 CRLF CRLF
 *
 * It only finds where the body ends and refuses what is odd: the bytes are llhttp's to decode.
 * RFC 9112 would have us skip extensions and allows trailers. No client sends either, and parsers
 * differ about both (llhttp 8.1 takes ";a;b=c" and not ";a=b;c"), so both are refused.
 *
 * Pure: no I/O, no clock, no allocation.
 *
 * Units    bytes
 * Threads  any
 * Source   RFC 9112 7.1
 */
#ifndef WIRE_HTTP_CHUNK_H
#define WIRE_HTTP_CHUNK_H

#include "base/span.h"
#include "base/status.h"

/* Zeroed to begin a body. */
struct http_chunk {
    uint64_t left;  /* of the chunk at hand, or its size while that is read */
    uint64_t total; /* data bytes of the chunks announced so far */
    uint8_t digits; /* of the size at hand */
    uint8_t state;
};

/* Judge `in`, which continues the body; *used is always set.
 *
 *   OK           the body ends after *used bytes; not to be called again
 *   NEED_MORE    all of `in` is well-formed, *used is its length
 *   TOO_LARGE    a chunk begins that takes the body beyond `max` bytes
 *   BAD_REQUEST  no further bytes can make it valid
 */
MUST_USE enum status http_chunk_scan(struct http_chunk *c, struct span in, size_t max,
                                     size_t *used);

#endif
