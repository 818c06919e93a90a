/* stored.h — what is kept of an MQTT session: its filters, with QoS and time.
 *
 * Bytes: format (1), then for each filter {created_ms u64, qos u8, len u16, filter}, little endian.
 * Two sessions with the same filters made at the same times are the same bytes, so that a
 * reconnect that changes nothing is seen to change nothing.
 *
 * Units    times in wall_ms
 * Memory   grows the caller's buffer
 * Threads  any
 * Errors   stored_is_valid tells bytes from disk that do not hold together
 * Source   spec mqtt 2.4
 */
#ifndef SESSION_STORED_H
#define SESSION_STORED_H

#include "base/buf.h"

enum { STORED_FILTERS_MAX = 32 };

struct stored_filter {
    int64_t created_ms;
    uint8_t qos; /* granted: 0 or 1 */
    struct span filter;
};

/* Start with rest = the session's bytes (perhaps empty). False at the end. */
struct stored_walk {
    struct span rest;
    bool begun;
};
bool stored_next(struct stored_walk *w, struct stored_filter *out);

MUST_USE bool stored_is_valid(struct span bytes);
/* Add a filter, or change its QoS keeping its time. False when it would be the 33rd. */
bool stored_put(struct buf *stored, const struct stored_filter *f);
void stored_remove(struct buf *stored, struct span filter);
/* The topic_delivery bits (wire/topic.h) that all filters together deliver to this identity. */
unsigned stored_deliveries(struct span stored, struct span device, struct span module);

#endif
