/* entity.h — one identity and its twin, as its record holds them.
 *
 * A record (base/record.h) is read in place: entity_view fills spans that point into it. A change
 * is a copy of the struct with fields replaced, and entity_record makes the new record of it.
 * The layout is drawn in docs/format.md and is final; unknown feature bits are refused.
 *
 * Units    times in wall_ms
 * Memory   spans borrow from the record they were read from, or from what the writer put there
 * Threads  any
 * Errors   DAMAGED when bytes from disk do not hold together
 * Source   spec registry 2, 3, 5; twins 1
 */
#ifndef HUB_ENTITY_H
#define HUB_ENTITY_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/record.h"
#include "base/status.h"

enum entity_auth { AUTH_SAS, AUTH_SELF_SIGNED, AUTH_CA, AUTH_NONE };

struct entity {
    struct span device, module;    /* module is empty for a device */
    uint64_t seq;                  /* of its newest change, in its partition */
    uint64_t generation;           /* 100 ns since year 1, unique for each creation */
    uint64_t identity_etag;        /* the decimal number inside `etag` / `deviceEtag` */
    int64_t twin_etag;             /* C of twins 1.3 */
    int64_t desired_version;       /* Dv */
    int64_t reported_version;      /* Rv */
    int64_t created_ms;            /* its creation */
    int64_t stamp_ms;              /* the newest stamp it was given; later ones are never below */
    int64_t status_updated_ms;     /* TIME_NEVER until status changes */
    int64_t last_activity_ms;      /* TIME_NEVER until it was active; memory may be ahead */
    int64_t connection_updated_ms; /* TIME_NEVER until it connected; memory may be ahead */
    enum entity_auth auth;
    bool disabled;    /* devices */
    bool edge;        /* capabilities.iotEdge */
    bool has_session; /* a CleanSession=0 session is stored, perhaps without filters */
    bool has_managed_by;
    struct span status_reason; /* empty data: null */
    struct span managed_by;
    struct span scope;        /* deviceScope; NULL data: none */
    struct span parent_scope; /* parentScopes[0]; NULL data: none */
    struct span model_id;
    struct span primary_thumbprint, secondary_thumbprint; /* as sent; NULL data: null */
    struct span tags, desired, reported;                  /* sections (doc.h) */
    struct span configurations; /* flat document, for a later issue; empty: none */
    struct span session;        /* stored subscriptions (notify/subscriptions.h); opaque here */
    /* Sealed by the store: */
    struct span primary_key, secondary_key; /* base64 text as it was set; empty: none */
};

/* Read a record in place. Cheap: the documents are not looked into.
 *   OK       *out points into `r`; entity_record of it gives the same bytes
 *   DAMAGED  the bytes do not hold together, or were written by a newer twinhub
 */
MUST_USE enum status entity_view(const struct record *r, struct entity *out);

/* Look into everything entity_view passed over: sections and configurations are well-formed
 * documents, texts are UTF-8. Once, for each record that comes from disk.
 *   OK       whatever prints or changes this entity may trust it
 *   DAMAGED  it may not
 */
MUST_USE enum status entity_check(const struct entity *e);

/* A new record of `e`; the caller holds its one count. Without has_managed_by and has_session
 * those two are empty. */
struct record *entity_record(const struct entity *e);

/* ---- for change.c: parts of a record, as docs/format.md draws them ---- */

/* The word of flags: auth, the booleans, and which optional texts are there. */
uint16_t entity_flags(const struct entity *e);
/* Take what the word says; the texts are set already. An optional text gets NULL data or not by
 * its bit. False when the word has an unknown bit, or a text has bytes but not its bit. */
MUST_USE bool entity_set_flags(struct entity *e, uint16_t flags);
/* The secret part: both keys, or nothing when there are none. */
void entity_put_keys(struct buf *b, const struct entity *e);
MUST_USE bool entity_set_keys(struct entity *e, struct span keys); /* false: malformed */
/* May this be a number of twins 1.3? Keeps every sum of two far from overflow. */
static inline bool entity_is_counter(int64_t n)
{
    return n >= 0 && n <= INT64_MAX / 4;
}

#endif
