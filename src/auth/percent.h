/* percent.h — undo %XX where it is one, leave every other byte as it is.
 *
 * Tokens come from clients that encode and from clients that do not, and `%` is a legal character
 * of ids; so unlike wire/uri.h, which reads request targets, nothing is malformed here.
 *
 * Units    bytes
 * Memory   writes to the caller's buffer
 * Threads  any
 * Errors   false when the result does not fit
 * Source   spec device-auth 1.1, 1.2
 */
#ifndef AUTH_PERCENT_H
#define AUTH_PERCENT_H

#include "base/check.h"
#include "base/span.h"

/* *out_len bytes are written to `out`, which has room for `room`. */
MUST_USE bool percent_decode(struct span text, uint8_t *out, size_t room, size_t *out_len);

#endif
