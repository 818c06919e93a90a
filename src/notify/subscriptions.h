/* subscriptions.h — what is kept of an MQTT session: its filters, with QoS and time.
 *
 * Bytes: format (1), then for each filter {created_ms u64, qos u8, len u16, filter}, little endian.
 * Two sessions with the same filters made at the same times are the same bytes, so that a
 * reconnect that changes nothing is seen to change nothing.
 *
 * Units    times in wall_ms
 * Memory   grows the caller's buffer
 * Threads  any
 * Errors   subscriptions_are_valid tells bytes from disk that do not hold together
 * Source   spec mqtt 2.4
 */
#ifndef NOTIFY_SUBSCRIPTIONS_H
#define NOTIFY_SUBSCRIPTIONS_H

#include "base/buf.h"

enum { SUBSCRIPTIONS_MAX = 32 };

struct subscription {
    int64_t created_ms;
    uint8_t qos; /* granted: 0 or 1 */
    struct span filter;
};

/* Start with rest = the session's bytes (perhaps empty). False at the end. */
struct subscriptions_walk {
    struct span rest;
    bool begun;
};
bool subscriptions_next(struct subscriptions_walk *w, struct subscription *out);

MUST_USE bool subscriptions_are_valid(struct span bytes);
/* Add a filter, or change its QoS keeping its time. False when it would be the 33rd. */
bool subscriptions_put(struct buf *stored, const struct subscription *f);
void subscriptions_remove(struct buf *stored, struct span filter);
/* The topic_delivery bits (wire/topic.h) that all filters together deliver to this identity. */
unsigned subscriptions_deliver(struct span stored, struct span device, struct span module);

#endif
