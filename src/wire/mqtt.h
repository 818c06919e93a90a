/* mqtt.h — MQTT 3.1.1 packets: bytes to values and back.
 *
 * A stream is cut into packets by mqtt_decode; each kind of packet then has a decoder for its body.
 * What the protocol forbids is refused here; what only the hub forbids (who may publish where) is
 * not looked at, with one exception: QoS 2 is refused, because no code of ours could answer it.
 *
 * Pure: no I/O, no clock, no allocation but in the encoders' buffers.
 *
 * Units    lengths in bytes
 * Memory   decoded spans borrow from the input
 * Threads  any
 * Errors   per function; BAD_PACKET always means "close the connection", and *out is then
 *          unspecified
 * Source   OASIS MQTT 3.1.1; numbers in comments are its sections and [MQTT-x] statements
 */
#ifndef WIRE_MQTT_H
#define WIRE_MQTT_H

#include "base/buf.h"
#include "base/span.h"
#include "base/status.h"

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_UNSUBSCRIBE,
    MQTT_UNSUBACK,
    MQTT_PINGREQ,
    MQTT_PINGRESP,
    MQTT_DISCONNECT,
};

/* CONNACK return codes in use (3.2.2.3; spec/mqtt.md 2.7 says why never 2 or 4). */
enum mqtt_connack {
    MQTT_ACCEPTED = 0,
    MQTT_BAD_VERSION = 1,
    MQTT_UNAVAILABLE = 3,
    MQTT_NOT_AUTHORIZED = 5,
};

enum {
    MQTT_BODY_MAX = 268435455,  /* what four length bytes can say (2.2.3) */
    MQTT_STRING_MAX = 65535,    /* topics, ids, passwords (1.5.3) */
    MQTT_SUBACK_FAILURE = 0x80, /* in place of a granted QoS (3.9.3) */
    MQTT5_UNSUPPORTED_VERSION = 0x84,
};

struct mqtt_packet {
    uint8_t type;     /* enum mqtt_type, 1..14 */
    uint8_t flags;    /* low four bits of the first byte, already checked against table 2.2 */
    struct span body; /* variable header and payload */
};

/* Find one whole packet at the start of `in`.
 *
 *   OK          *out is filled, its body points into `in`, and *used bytes belong to it
 *   NEED_MORE   the packet has not all arrived; *out and *used are untouched
 *   TOO_LARGE   its body is longer than `max` bytes, known before it is buffered
 *   BAD_PACKET  no further bytes can make it valid: reserved type, wrong flags, a fifth length byte
 */
MUST_USE enum status mqtt_decode(struct span in, size_t max, struct mqtt_packet *out, size_t *used);

/* Each decoder below is given a packet of its own type (anything else is a bug of ours) and
 * answers OK or BAD_PACKET. */

/* Which protocol the peer speaks: the name and level at the start of CONNECT. */
enum mqtt_version {
    MQTT_VERSION_OTHER, /* unknown name or level: CONNACK 1 in 3.1.1 form, close */
    MQTT_VERSION_3_1_1, /* "MQTT", level 4 */
    MQTT_VERSION_5,     /* "MQTT", level 5: mqtt_connack5_encode 0x84, close */
};

struct mqtt_will {
    struct span topic, payload;
    uint8_t qos; /* 0..2 as asked for; the hub treats 2 as 1 */
    bool retain;
};

struct mqtt_connect {
    enum mqtt_version version; /* unless 3_1_1, nothing below is filled */
    bool clean_session, has_will, has_username, has_password;
    uint16_t keep_alive_s;
    struct span client_id;          /* may be empty: the caller's business */
    struct mqtt_will will;          /* when has_will */
    struct span username, password; /* when has_...; the password is any bytes */
};

MUST_USE enum status mqtt_connect_decode(const struct mqtt_packet *p, struct mqtt_connect *out);

struct mqtt_publish {
    struct span topic; /* at least one byte, UTF-8, no NUL; `+` and `#` are topic.h's business */
    struct span payload;
    uint16_t packet_id; /* 1..65535; 0 when qos is 0 */
    uint8_t qos;        /* 0 or 1: QoS 2 and 3 are BAD_PACKET */
    bool dup, retain;
};

MUST_USE enum status mqtt_publish_decode(const struct mqtt_packet *p, struct mqtt_publish *out);

/* The filters of a SUBSCRIBE or UNSUBSCRIBE, checked as a whole by the decoder: at least one, each
 * at least one byte of UTF-8 without NUL, requested QoS 0..2.
 *
 *   TRY(mqtt_subscribe_decode(p, &filters));
 *   for (struct mqtt_filter f; mqtt_filters_next(&filters, &f);) ...
 */
struct mqtt_filters {
    uint16_t packet_id; /* 1..65535 */
    size_t count;       /* of the whole packet */
    struct span rest;   /* what mqtt_filters_next has not given yet */
    bool has_qos;       /* SUBSCRIBE */
};

struct mqtt_filter {
    struct span filter;
    uint8_t qos; /* requested, 0..2; 0 in UNSUBSCRIBE */
};

MUST_USE enum status mqtt_subscribe_decode(const struct mqtt_packet *p, struct mqtt_filters *out);
MUST_USE enum status mqtt_unsubscribe_decode(const struct mqtt_packet *p, struct mqtt_filters *out);
/* The next filter in packet order; false, and *out untouched, after the last. */
MUST_USE bool mqtt_filters_next(struct mqtt_filters *it, struct mqtt_filter *out);

/* PUBACK or UNSUBACK. Id 0 is let through: the C# DPS client acknowledges QoS 0 with it. */
MUST_USE enum status mqtt_ack_decode(const struct mqtt_packet *p, uint16_t *packet_id);
/* PINGREQ, PINGRESP or DISCONNECT: nothing may follow the fixed header. */
MUST_USE enum status mqtt_bare_decode(const struct mqtt_packet *p);

/* What only a client reads. */
MUST_USE enum status mqtt_connack_decode(const struct mqtt_packet *p, bool *session_present,
                                         uint8_t *code);
/* *codes has one byte a filter, each 0, 1, 2 or 0x80. */
MUST_USE enum status mqtt_suback_decode(const struct mqtt_packet *p, uint16_t *packet_id,
                                        struct span *codes);

/* Encoders append one packet to `b`. Values the wire cannot carry (a string over MQTT_STRING_MAX, a
 * body over MQTT_BODY_MAX, QoS 1 with packet id 0) are bugs of ours and stop the process. */

/* Session-present goes out as 0 with any code but MQTT_ACCEPTED [MQTT-3.2.2-4]. */
void mqtt_connack_encode(struct buf *b, bool session_present, enum mqtt_connack code);
/* The MQTT 5 form, without properties: for MQTT5_UNSUPPORTED_VERSION. */
void mqtt_connack5_encode(struct buf *b, uint8_t reason);
/* `packet_id` and `dup` are left out when qos is 0. */
void mqtt_publish_encode(struct buf *b, const struct mqtt_publish *publish);
void mqtt_puback_encode(struct buf *b, uint16_t packet_id);
void mqtt_suback_encode(struct buf *b, uint16_t packet_id, struct span codes);
void mqtt_unsuback_encode(struct buf *b, uint16_t packet_id);
void mqtt_pingresp_encode(struct buf *b);

/* What only a client writes. */
void mqtt_connect_encode(struct buf *b, const struct mqtt_connect *connect); /* version 3_1_1 */
void mqtt_subscribe_encode(struct buf *b, uint16_t packet_id, const struct mqtt_filter *filters,
                           size_t count);
void mqtt_unsubscribe_encode(struct buf *b, uint16_t packet_id, const struct mqtt_filter *filters,
                             size_t count);
void mqtt_pingreq_encode(struct buf *b);
void mqtt_disconnect_encode(struct buf *b);

#endif
