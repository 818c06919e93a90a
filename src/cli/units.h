/* units.h — durations and sizes as a person writes them: 30m, 7d, 512M, 10G.
 *
 *   duration   0, or digits and one of s m h d
 *   size       digits, and perhaps one of K M G T: times 1024, 1024^2, …
 *
 * Pure.
 *
 * Units    milliseconds; bytes
 * Errors   false: malformed, or too large for the type; *out is untouched
 */
#ifndef CLI_UNITS_H
#define CLI_UNITS_H

#include "base/check.h"
#include "base/span.h"

MUST_USE bool units_duration(struct span text, int64_t *out_ms);
MUST_USE bool units_size(struct span text, uint64_t *out);

#endif
