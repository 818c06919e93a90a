/* text.h — small texts: base64, hex, times, JSON strings, UTF-8, decimal numbers.
 *
 * Units    bytes; times in wall_ms (clock.h)
 * Memory   writes to the caller's buffer
 * Threads  any
 * Errors   the parsers answer false and leave *out alone
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"
#include "base/check.h"

/* Standard alphabet with padding (RFC 4648 section 4). */
void text_put_base64(struct buf *b, struct span bytes);
/* Strict: right length, padding and alphabet, and no stray bits in the last digit. *out_len bytes
 * are written to `out`, which has room for `room`; false when malformed or longer. */
MUST_USE bool text_base64(struct span text, uint8_t *out, size_t room, size_t *out_len);

void text_put_hex(struct buf *b, struct span bytes); /* lower case */
MUST_USE bool text_hex(struct span text, uint8_t *out, size_t room, size_t *out_len);

/* yyyy-MM-ddTHH:mm:ss[.fff]Z, trailing zeros of the fraction trimmed (service-rest 1.3). */
void text_put_time(struct buf *b, int64_t wall_ms);
/* The same with always `digits` (3 or 7) fraction digits. */
void text_put_time_digits(struct buf *b, int64_t wall_ms, int digits);
/* MM/dd/yyyy HH:mm:ss, as in tracking ids. */
void text_put_time_us(struct buf *b, int64_t wall_ms);

/* A JSON string with its quotes. Escapes only what JSON demands, plus DEL; `s` is valid UTF-8. */
void text_put_json(struct buf *b, struct span s);
/* The same for bytes nobody has checked: what is not UTF-8 becomes U+FFFD, and C1 controls and
 * bidirectional marks are escaped, so that a log line stays one line (trials F36). */
void text_put_json_any(struct buf *b, struct span s);

/* Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. NUL is allowed. */
MUST_USE bool text_is_utf8(struct span s);
/* The length of the well-formed sequence at the start of s (1..4), 0 when there is none. */
MUST_USE size_t text_utf8_len(struct span s);

/* All of `s` is decimal digits (an optional '-' for i64) and fits. */
MUST_USE bool text_u64(struct span s, uint64_t *out);
MUST_USE bool text_i64(struct span s, int64_t *out);

/* 8-4-4-4-12 lower-case hex from 16 random bytes (RFC 4122 version 4). */
void text_put_uuid(struct buf *b, const uint8_t random[16]);

#endif
