/* identity_request.h — the body of an identity write, checked and read.
 *
 * The same members come in a PUT body and in a bulk entry. Member names and enum values match in
 * any case; members that no caller may write (etag, connectionState, …) and unknown ones are
 * ignored; null is the same as absent.
 *
 * Units    bytes, unless said otherwise
 * Memory   spans borrow from the parsed body
 * Threads  any
 * Errors   BAD_ARGUMENT and BAD_SCOPE, with outcome.why
 * Source   spec registry 1, 2, 3, 5
 */
#ifndef HUB_IDENTITY_REQUEST_H
#define HUB_IDENTITY_REQUEST_H

#include "hub/hub.h"

enum {
    STATUS_REASON_MAX = 128, /* characters; registry 2; BAD_ARGUMENT */
    MANAGED_BY_MAX = 512,    /* ours; BAD_ARGUMENT */
    SCOPE_MAX = 512          /* deviceScope and each of parentScopes; ours; BAD_SCOPE */
};

struct identity_request {
    /* What `auth` does not use is empty. */
    enum entity_auth auth;
    struct span primary_key, secondary_key;               /* both empty: to be generated */
    struct span primary_thumbprint, secondary_thumbprint; /* empty: none */
    /* Of a device: */
    bool disabled;
    bool has_edge, edge;
    struct span status_reason; /* empty: null */
    struct span scope;         /* empty: none given */
    struct span parent_scope;  /* the first of parentScopes; empty: none given */
    size_t parent_count;
    /* Of a module: */
    bool has_managed_by;
    struct span managed_by;
};

/* Is this the id of a module that only the hub itself makes? */
static inline bool module_is_system(struct span module)
{
    return span_starts(module, SPAN("$"));
}

/* Read `body` as a request for the device or module `who`.
 *   OK            *req is filled; each member is valid by itself
 *   BAD_ARGUMENT  no object, a member of a wrong type or value, an id that is not who's
 *   BAD_SCOPE     a scope over SCOPE_MAX
 */
MUST_USE enum status identity_request_parse(struct doc_node body, const struct live *who,
                                            const struct turn *turn, struct outcome *out,
                                            struct identity_request *req);

#endif
