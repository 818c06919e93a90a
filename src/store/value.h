/* value.h — the value of a record on disk: a checked header, the body, the sealed secret.
 *
 *   0  format (1)   1  flags (0)   2  zero (2)   4  CRC-32C (4)
 *   8  body length (4)  12  sealed length (4)  16  seq (8)
 *  24  body, then sealed secret
 *
 * Numbers are little-endian. The checksum covers the record's key, then the value but for the
 * checksum itself: a value found under another key is damage.
 *
 * Pure: no I/O.
 *
 * Units    bytes
 * Memory   decoded spans borrow from the input
 * Threads  any
 * Errors   DAMAGED
 * Source   docs/format.md, "Base"
 */
#ifndef STORE_VALUE_H
#define STORE_VALUE_H

#include "base/buf.h"
#include "store/mark.h"
#include "store/store.h"

enum {
    VALUE_FORMAT = 1,
    VALUE_HEADER = 24,
    VALUE_COUNTS = 32,
    VALUE_MARK = 16,
    VALUE_MAX = 64 << 20
};

struct value {
    struct span body, sealed;
    uint64_t seq; /* in its partition, of the change that made it */
};

/* Appends the value to `out`. */
void value_encode(struct buf *out, struct span key, const struct value *value);

/*   OK       *out is filled
 *   DAMAGED  anything but what value_encode made for this key; *out is untouched */
MUST_USE enum status value_decode(struct span key, struct span in, struct value *out);

/* A partition's counts, the body of their record: seq, devices, disabled, modules (8 each). */
void value_put_counts(struct buf *out, const struct store_partition *counts);
MUST_USE enum status value_counts(struct span body, struct store_partition *out);

/* Where replay begins, the body of its record: position (8), the checksum before it (4), zero (4).
 */
void value_put_mark(struct buf *out, struct mark mark);
MUST_USE enum status value_mark(struct span body, struct mark *out);

#endif
