/* change.h — what happened to one entity: the effect, never the request.
 *
 * Replay and history read it without any rule of twins.md: a twin change carries deltas with old
 * and new values and stamps, an identity change the whole identity block before and after, a
 * creation or deletion the whole record. The bytes are drawn in docs/format.md and are final.
 * Whatever else the hub changed in the same write (activity, stamps) rides along, so that replay
 * gives the record the hub made, byte for byte.
 *
 * Units    times in wall_ms
 * Memory   change_encode grows the caller's buffers; change_head borrows from its input
 * Threads  any
 * Errors   DAMAGED when bytes do not hold together or do not fit the record; TOO_LARGE when an
 * arena is full Source   design 4 "Change record"
 */
#ifndef HUB_CHANGE_H
#define HUB_CHANGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "hub/entity.h"

enum change_kind {
    CHANGE_CREATE = 1, /* carries the record after */
    CHANGE_DELETE,     /* carries the record before */
    CHANGE_IDENTITY,   /* identity fields, keys included */
    CHANGE_TWIN,       /* tags, desired, reported: up to three deltas */
    CHANGE_SESSION,    /* the stored MQTT session, model id */
    CHANGE_ACTIVITY    /* last activity, connection time */
};

struct change {
    enum change_kind kind;
    uint32_t partition;
    uint64_t seq;
    int64_t time_ms;
    bool replace; /* a twin change by PUT (event replaceTwin) */
    /* The entity before and after. Before is NULL for a creation, after for a deletion. */
    const struct entity *before, *after;
    struct span tags, desired,
        reported; /* deltas of CHANGE_TWIN; empty: that section did not change */
};

/* Append the change as bytes: `effect`, and apart from it `secret` (key material, perhaps empty).
 */
void change_encode(const struct change *c, struct buf *effect, struct buf *secret);

/* The head of an encoded change. */
struct change_head {
    enum change_kind kind;
    uint32_t partition;
    uint64_t seq, generation;
    int64_t time_ms;
    bool replace;
    struct span device, module;
    int64_t twin_etag, desired_version, reported_version; /* after */
};
/*   OK       *out borrows from `effect`; what follows the head is not looked at
 *   DAMAGED  this is no head, or a newer twinhub wrote it
 */
MUST_USE enum status change_head(struct span effect, struct change_head *out);

/* Replay: the record after this change. `before` may be NULL; a record from disk was checked
 * (entity_check). Changes come in the order of their seq, but `before` may already hold some of
 * them, and others may be of an entity that was deleted since; so
 *   - a change whose seq is not greater than the record's is in it and changes nothing,
 *   - a creation replaces an earlier generation,
 *   - without a record, everything but a creation changes nothing,
 *   - a change of another generation than the record's cannot be: what made that generation would
 *     have come before it.
 *
 *   OK         *out is the record after (a count for the caller), or NULL: there is none
 *   DAMAGED    the bytes do not hold together or do not fit `before`
 *   TOO_LARGE  the arena is full; otherwise it is as it was
 */
MUST_USE enum status change_apply(struct record *before, struct span effect, struct span secret,
                                  struct arena *a, struct record **out);

#endif
