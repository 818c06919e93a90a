/* bag.h — property bags: the name=value&name=value end of a message topic.
 *
 * Units    bytes
 * Memory   pairs borrow from the bag's text, or from the caller's arena where decoding changed them
 * Threads  any
 * Errors   a malformed pair is not an error: it keeps its raw text and says so
 * Source   spec/mqtt.md sections 6.1 and 6.4
 */
#ifndef WIRE_BAG_H
#define WIRE_BAG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"
#include "base/status.h"

struct bag_pair {
    struct span name, value;
    bool has_value; /* false: "key", a null. "key=" has an empty value */
    bool malformed; /* an empty name, or a half that did not decode and stands here as sent */
};

/* Goes over a bag; start with bag_open. */
struct bag {
    struct span rest;
};

/* A leading `?` is dropped. */
struct bag bag_open(struct span text);
/* The next pair in bag order, names and values percent-decoded; `+` stays. Halves that are not
 * well-formed (bad `%`, decoded to NUL or to what is not UTF-8) stay as sent. Empty stretches
 * between `&` are skipped. Duplicates are given each time: the last wins, which is the caller's.
 *
 *   OK         *out is filled
 *   NOT_FOUND  the bag is at its end
 *   TOO_LARGE  the arena is full; the same pair comes again on the next call
 */
MUST_USE enum status bag_next(struct bag *bag, struct arena *scratch, struct bag_pair *out);
/* The sum of all names and values, decoded: what counts against the message limit, together with
 * the body. */
size_t bag_size(struct span text);

/* Append one pair; `start` is b->len where the bag begins, so that `&` goes between. Everything
 * outside A-Z a-z 0-9 - . _ ~ is percent-encoded, in upper-case hex. */
void bag_put(struct buf *b, size_t start, const struct bag_pair *pair);

#endif
