/* record.h — an entity's record: immutable bytes, shared by count.
 *
 * The shard that owns an entity and the keeper that writes it hold the same record; a change makes
 * a new one. The secret part (keys) is last, so that the store can seal it apart from the rest.
 *
 * Units    bytes
 * Memory   heap; each holder gives its count back with record_unref
 * Threads  the bytes are constant once record_create's caller has filled them; the count is atomic
 * Errors   none; out of memory ends the process
 */
#ifndef BASE_RECORD_H
#define BASE_RECORD_H

#include <stdatomic.h>

#include "base/check.h"
#include "base/span.h"

struct record {
    atomic_uint refs;
    uint32_t body_len, secret_len;
    uint8_t bytes[]; /* body, then secret */
};

/* One count, held by the caller, who fills `bytes` before anybody else sees it. */
struct record *record_create(size_t body_len, size_t secret_len);
struct record *record_ref(struct record *r);
void record_unref(struct record *r); /* NULL is harmless; secrets are wiped with the last count */

static inline struct span record_body(const struct record *r)
{
    return span_of(r->bytes, r->body_len);
}

static inline struct span record_secret(const struct record *r)
{
    return span_of(r->bytes + r->body_len, r->secret_len);
}

#endif
