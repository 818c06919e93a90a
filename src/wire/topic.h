/* topic.h — the hub's MQTT topics: what a device publishes, subscribes to and is sent.
 *
 * A connection has one identity: a device, or a module of a device (`module` empty for a device,
 * `device` never empty). Ids may contain `+`, `#`, `?`, `$` and `%`, so an id in a topic or filter
 * is compared literally before any wildcard or query is looked for.
 *
 * Pure: no I/O, no clock, no allocation but in the builders' buffers.
 *
 * Units    lengths in bytes
 * Memory   spans in results borrow from the input
 * Threads  any
 * Errors   kinds of topic, all but four of which mean "close the connection"
 * Source   spec/mqtt.md sections 2.2, 4, 5, 7.1 and 8
 */
#ifndef WIRE_TOPIC_H
#define WIRE_TOPIC_H

#include "base/buf.h"
#include "base/span.h"

enum { TOPIC_RID_MAX = 256 }; /* bytes; spec/mqtt.md 7.1 */

enum topic_kind {
    /* What the hub serves; each names the fields of struct topic it fills. */
    TOPIC_TELEMETRY,       /* bag */
    TOPIC_TWIN_GET,        /* rid */
    TOPIC_TWIN_PATCH,      /* rid or empty: apply, do not answer; version when has_version */
    TOPIC_METHOD_RESPONSE, /* status, rid */
    /* Everything from here on closes the connection (topic_is_refused). */
    TOPIC_UNKNOWN,       /* no topic of the hub's */
    TOPIC_FOREIGN,       /* devices/... of another identity */
    TOPIC_WILDCARD,      /* `+` or `#` outside the own ids */
    TOPIC_BAD_OPERATION, /* $iothub/twin/... but neither GET nor PATCH of reported */
    TOPIC_NO_RID,        /* $rid missing or empty where it is needed */
    TOPIC_LONG_RID,      /* over TOPIC_RID_MAX */
    TOPIC_BAD_VERSION,   /* $version is not a decimal int64 */
    TOPIC_BAD_STATUS,    /* a method's status is not a decimal int32 */
};

struct topic {
    enum topic_kind kind;
    struct span bag;  /* property bag as sent (bag.h), trailing slashes stripped */
    struct span rid;  /* raw bytes, to be echoed as they are */
    bool has_version; /* $version was given */
    int64_t version;  /* the precondition of a PATCH */
    int32_t status;   /* of a method response */
};

static inline bool topic_is_refused(enum topic_kind kind)
{
    return kind >= TOPIC_UNKNOWN;
}

/* What a PUBLISH to topic name `text` means, coming from this identity. Fields that the kind does
 * not name are zero. Wills are judged by the same function (only TOPIC_TELEMETRY is legal). */
struct topic topic_parse(struct span text, struct span device, struct span module);
/* "UNKNOWN", "NO_RID", ...: for log lines. */
const char *topic_kind_name(enum topic_kind kind);

/* What a subscription can deliver. */
enum topic_delivery {
    TOPIC_TWIN_RESPONSE = 1 << 0, /* $iothub/twin/res/... */
    TOPIC_DESIRED = 1 << 1,       /* $iothub/twin/PATCH/properties/desired/... */
    TOPIC_METHODS = 1 << 2,       /* $iothub/methods/POST/... */
    TOPIC_C2D = 1 << 3,           /* devices/{d}[/modules/{m}]/messages/devicebound/... */
    TOPIC_INPUTS = 1 << 4,        /* devices/{d}/modules/{m}/inputs/...; modules only */
};

/* The set of topic_delivery bits that a filter of this identity can match; 0 for an invalid filter
 * and for one that matches nothing sent to this identity: refuse it with 0x80.
 *
 * Matching is MQTT 4.7 (`#` also matches the parent level; a leading wildcard never matches
 * `$...`). A literal where the hub's topic varies (a method's name, a status, a bag) counts as a
 * match, and the kind is then delivered whole. */
unsigned topic_filter_matches(struct span filter, struct span device, struct span module);

/* Topics the hub publishes to. Each is appended to `b`. */

/* $iothub/twin/res/{status}/?$rid={rid}, with &$version={version} unless that is negative. */
void topic_put_twin_response(struct buf *b, int status, struct span rid, int64_t version);
/* $iothub/twin/PATCH/properties/desired/?$version={version} */
void topic_put_desired(struct buf *b, int64_t version);
/* $iothub/methods/POST/{method}/?$rid={rid} */
void topic_put_method(struct buf *b, struct span method, struct span rid);
/* devices/{d}[/modules/{m}]/messages/devicebound/ : the bag follows (bag_put). */
void topic_put_devicebound(struct buf *b, struct span device, struct span module);

#endif
