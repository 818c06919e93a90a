/* hub.h — what the service means: operations in, outcomes and effects out.
 *
 * One hub holds the entities of one shard's partitions. hub_apply is pure: the same state, the
 * same operation, the same time and random bytes give the same outcome. It writes nothing: what
 * changed leaves as effects, which the shard hands to the store, to notify/ and to the sessions.
 *
 * Entities live in a table while they are needed (hub_live). Before an operation is applied the
 * shard makes sure that everything it reads is there: hub_missing names what is not, the shard
 * loads it and says hub_admit.
 *
 * Units    times by struct now; lengths in bytes
 * Memory   outcomes live in the arena of the turn; live entries belong to the hub
 * Threads  the shard's
 * Errors   outcome.status; TOO_LARGE with an empty arena is a refusal, else "try next turn"
 * Source   spec twins, registry; design 2, 5
 */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "doc/doc.h"
#include "hub/change.h"
#include "hub/entity.h"
#include "store/store.h"

/* ---- live entities ------------------------------------------------------------------------ */

/* One identity in memory. It stays while it is connected, pinned, not yet durable, or recent. */
struct live {
    struct map_node node;
    struct list place;     /* in hub.recent or hub.written, or in neither while it is needed */
    bool is_recent;        /* in hub.recent: it may be dropped */
    struct record *record; /* NULL: no such identity (known not to exist) */
    uint64_t batch;        /* the newest batch that changed it */
    uint64_t family;       /* of a device: the newest batch that made or removed a module of it */
    uint32_t partition;
    uint32_t pins;
    struct live *parent;  /* of a module: its device, while that is in memory */
    struct list children; /* of a device: its modules in memory that exist, by `sibling` */
    struct list sibling;
    bool children_known; /* every module of this device is live */
    /* Memory only (design 5): after a start nobody is connected. */
    uint64_t conn;                 /* the shard's connection id; 0: Disconnected */
    int64_t last_activity_ms;      /* ahead of the record's; TIME_NEVER: use the record's */
    int64_t connection_updated_ms; /* the same */
    unsigned subscriptions;        /* of the connection: topic_filter bits (wire/topic.h) */
    uint8_t device_len, module_len;
    char ids[]; /* device, module; not ended by NUL */
};

static inline struct span live_device(const struct live *l)
{
    return span_of(l->ids, l->device_len);
}

static inline struct span live_module(const struct live *l)
{
    return span_of(l->ids + l->device_len, l->module_len);
}

/* The entity of a live entry that exists. Its record was checked when it was admitted. */
void live_entity(const struct live *l, struct entity *out);

/* ---- the hub ------------------------------------------------------------------------------ */

struct hub_config {
    struct span name; /* first label of the host name: texts of some errors */
    const struct doc_limits *limits;
    uint32_t partitions;
    uint32_t modules_max; /* 50 */
    size_t recent_max;    /* live entries kept though nobody needs them */
};

struct hub {
    struct hub_config config;
    struct random random;
    struct hash_key hash;
    struct store_partition *parts; /* counts by partition; the hub moves those it owns */
    struct map live;
    struct list recent; /* may be dropped, oldest first */
    size_t recent_count;
    struct list written; /* changed and not yet durable, in the order of their batches */
    uint64_t batch;      /* the open one: effects of hub_apply belong to it */
    uint64_t durable;    /* the newest durable one */
    uint64_t last_generation;
    struct buf scratch;    /* of hub_write; empty between */
    struct record *nobody; /* a device's, read where there is none: a peer could measure that */
};

void hub_init(struct hub *h, const struct hub_config *config, struct random random,
              struct store_partition *parts);
void hub_fini(struct hub *h);

/* NULL when it is not in memory (which says nothing about the store). */
struct live *hub_live_find(const struct hub *h, struct span device, struct span module);
/* Put a record that was loaded (NULL: known to be absent) into the table; one that is there
 * already stays as it is. DAMAGED when the record cannot be read: then nothing is admitted. */
MUST_USE enum status hub_admit(struct hub *h, struct span device, struct span module,
                               struct record *record, struct live **out);
/* Say that all modules of this device were admitted. */
void hub_children_known(struct hub *h, struct live *device);
void hub_pin(struct hub *h, struct live *l);
void hub_unpin(struct hub *h, struct live *l);
/* The live entry has a connection (or, with 0, none any more). */
void hub_connected(struct hub *h, struct live *l, uint64_t conn);
/* A batch is durable: what it changed is no longer needed for that. */
void hub_durable(struct hub *h, uint64_t batch);
/* Between turns: drop entries that nobody needs beyond recent_max, the oldest first. Reads bring
 * entries in, too, so this is not a matter of what was written. */
void hub_trim(struct hub *h);

/* ---- operations --------------------------------------------------------------------------- */

enum op_kind {
    OP_DEVICE_GET,
    OP_DEVICE_PUT, /* body: identity JSON */
    OP_DEVICE_DELETE,
    OP_MODULE_LIST,
    OP_MODULE_GET,
    OP_MODULE_PUT,
    OP_MODULE_DELETE,
    OP_TWIN_GET,   /* the service's view */
    OP_TWIN_PATCH, /* body: {"tags":…,"properties":{"desired":…}} */
    OP_TWIN_PUT,
    OP_BULK_ENTRY,   /* body: one ExportImportDevice */
    OP_TWIN_READ,    /* the device's view */
    OP_TWIN_REPORT,  /* body: the reported patch */
    OP_SESSION_SAVE, /* body: session bytes; model_id. Changes nothing when equal to what is stored
                      */
    OP_SESSION_DROP, /* CleanSession=1: forget the stored session */
    OP_ACTIVITY_SAVE /* write last activity and connection time, at disconnect */
};

struct op {
    enum op_kind kind;
    struct span device, module; /* module is empty for the device itself */
    struct span body;           /* JSON text; empty when there was none */
    bool has_if_match;
    struct span if_match; /* as sent, several joined by ',' */
    bool by_device;       /* the caller signed in with the device's or module's own key */
    int64_t if_version;   /* OP_TWIN_REPORT: $version precondition; -1: none */
    bool has_model_id;    /* OP_SESSION_SAVE */
    struct span model_id;
};

enum effect_kind {
    EFFECT_CHANGE,      /* append `change` to the store */
    EFFECT_DESIRED,     /* push `delta` under `version` to `who` if it listens */
    EFFECT_CREDENTIALS, /* `who` was re-keyed: end its connection if its credential is gone */
    EFFECT_KICK /* end the connection of `who`: disabled (DEVICE_DISABLED) or deleted (NO_DEVICE) */
};

struct effect {
    struct effect *next;
    enum effect_kind kind;
    struct live *who;
    struct store_change change; /* its spans and records are good until the turn ends */
    struct span delta;
    int64_t version;
    enum status why;
};

struct outcome {
    enum status status;
    struct span why; /* the text after "ErrorCode:<Name>;", in the arena; empty: the table's text */
    struct buf *body; /* where the JSON of an answer goes; set by the caller, only grown on OK */
    struct span etag; /* base64 text for the ETag header, in the arena; empty: none */
    int64_t version;  /* OP_TWIN_REPORT: the new $version */
    uint64_t depends; /* the reply may leave when this batch is durable; 0: at once */
    struct effect *effects, **last; /* in order */
};

/* What hub_apply needs of its surroundings for one turn. */
struct turn {
    struct now now;
    struct arena *arena;
};

/* What `op` reads and is not in memory: true, and *device and *module name it; with *children the
 * modules of the device are wanted (scan, admit each, then hub_children_known). */
bool hub_missing(const struct hub *h, const struct op *op, struct span *device, struct span *module,
                 bool *children);

/* Apply one operation; everything it reads is in memory (hub_missing is false). */
void hub_apply(struct hub *h, const struct op *op, const struct turn *turn, struct outcome *out);

/* Give back the counts that the effects of an outcome hold; once they were handed on. */
void hub_effects_done(struct outcome *out);

/* What a reply that shows this entity must wait for: a batch, or 0. */
static inline uint64_t hub_depends(const struct hub *h, const struct live *l)
{
    return l->batch > h->durable ? l->batch : 0;
}

/* ---- for the parts of the hub: twin.c, registry.c, bulk.c ----------------------------------- */

/* Write `after` for `who` (NULL: delete it): assigns seq, makes the record, moves the partition's
 * counts, updates the live entry and adds an EFFECT_CHANGE. `change` has kind, deltas and replace
 * set; the rest is filled here. Stamps: after->stamp_ms is set by the caller (hub_stamp). */
void hub_write(struct hub *h, struct live *who, struct entity *after, struct change *change,
               const struct turn *turn, struct outcome *out);
/* The stamp for a write at this turn: now, but never below the entity's newest. */
int64_t hub_stamp(const struct entity *e, const struct turn *turn);
struct effect *hub_effect(const struct turn *turn, struct outcome *out, enum effect_kind kind,
                          struct live *who);
/* A new generation id, greater than every one this shard gave before. */
uint64_t hub_generation(struct hub *h, const struct turn *turn);
/* A new identity etag: nine random digits, never equal to `old`. */
uint64_t hub_identity_etag(struct hub *h, uint64_t old);
/* Refuse with this text (printf); returns st. */
enum status hub_refuse(const struct turn *turn, struct outcome *out, enum status st,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Does an If-Match header (twins 2.3) let a write pass, whose current etag text is `etag`? */
bool hub_if_match(const struct op *op, struct span etag);
/* base64 texts of the two etags (twins 1.1), in the arena. */
struct span hub_twin_etag_text(const struct turn *turn, const struct entity *e);
struct span hub_identity_etag_text(const struct turn *turn, const struct entity *e);

#endif
