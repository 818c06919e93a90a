/* http_head.h — the strict pass over a request's head, line by line, before llhttp sees it.
 *
 * It only refuses; the values are llhttp's. What it refuses beyond what llhttp does: bare LF and
 * CR, folded lines, control characters and non-ASCII targets, every version but HTTP/1.1, a
 * missing, second or malformed Host, white space before the colon or around what frames the body,
 * Content-Length twice, signed, zero-prefixed or beside Transfer-Encoding, any Transfer-Encoding
 * but exactly "chunked", and targets that are not a path (absolute-form, asterisk, authority).
 *
 * Pure: no I/O, no clock, no allocation.
 *
 * Threads  any
 * Errors   per function; each is for good
 * Source   RFC 9112 2.2, 3, 5, 6; spec/service-rest 1 rows 14 and 16
 */
#ifndef WIRE_HTTP_HEAD_H
#define WIRE_HTTP_HEAD_H

#include "base/span.h"
#include "base/status.h"

/* Zeroed to begin a head. */
struct http_head {
    uint8_t field_count;         /* header lines so far */
    bool begun;                  /* the request line has been seen */
    bool whole;                  /* the empty line has been seen */
    bool host, length, encoding; /* these headers have been seen */
};

/* Judge the next line, its line end included; `line` ends with the first LF there is.
 *
 *   OK                 go on; h->whole says whether this was the last one
 *   BAD_REQUEST        see above
 *   HEADERS_TOO_LARGE  more than HTTP_FIELDS_MAX headers
 */
MUST_USE enum status http_head_line(struct http_head *h, struct span line);

/* One or more token characters (RFC 9110 5.6.2). */
MUST_USE bool http_is_token(struct span s);
/* Tab, space, visible ASCII, 0x80..0xff (RFC 9110 5.5). */
MUST_USE bool http_is_field_text(struct span s);
/* `s` without spaces and tabs at both ends. */
struct span http_trim(struct span s);

#endif
