/* twin_diff.h — what differs between two readings of a twin.
 *
 * Compared are status, statusReason, connectionState, tags and the properties, objects member by
 * member, everything else whole. "$metadata" is left out, and so is a section's "$version" unless
 * it is all that moved: a write that changed no value.
 *
 * Pure: no I/O, no clock.
 *
 * Memory   a change borrows from the two documents and is good during the call
 * Threads  any
 */
#ifndef CLI_TWIN_DIFF_H
#define CLI_TWIN_DIFF_H

#include "doc/doc.h"

struct twin_change {
    struct span path;         /* "desired.net.apn", "tags.site", "connectionState" */
    struct doc_node old, new; /* {NULL}: was not there, is not there any more */
};

typedef void twin_change_fn(void *ctx, const struct twin_change *change);

/* `on_change` hears of each, in the order of the new document, what is gone last in its object. */
void twin_diff(struct doc_node old, struct doc_node new, twin_change_fn *on_change, void *ctx);

#endif
