#include "wire/mqtt.h"

#include "base/text.h"

enum {
    /* Flags of PUBLISH (3.3.1). */
    PUBLISH_RETAIN = 0x01,
    PUBLISH_QOS_SHIFT = 1,
    PUBLISH_DUP = 0x08,
    /* Connect flags (3.1.2.3). */
    CONNECT_RESERVED = 0x01,
    CONNECT_CLEAN = 0x02,
    CONNECT_WILL = 0x04,
    CONNECT_WILL_QOS_SHIFT = 3,
    CONNECT_WILL_RETAIN = 0x20,
    CONNECT_PASSWORD = 0x40,
    CONNECT_USERNAME = 0x80,

    QOS_MASK = 3,
};

/* Table 2.2: the values that the low four bits of the first byte may have, as a set; any other is
 * malformed [MQTT-2.2.2-2]. PUBLISH carries DUP, QoS and RETAIN there, which its decoder judges.
 * Types 0 and 15 are reserved (2.2.1): no row. */
#define ONLY(flags) (1u << (flags))
/* clang-format off */
static const uint16_t legal_flags[16] = {
    [MQTT_CONNECT]     = ONLY(0),
    [MQTT_CONNACK]     = ONLY(0),
    [MQTT_PUBLISH]     = 0xffff,
    [MQTT_PUBACK]      = ONLY(0),
    [MQTT_PUBREC]      = ONLY(0),
    [MQTT_PUBREL]      = ONLY(2), /* [MQTT-3.6.1-1] */
    [MQTT_PUBCOMP]     = ONLY(0),
    [MQTT_SUBSCRIBE]   = ONLY(2), /* [MQTT-3.8.1-1] */
    [MQTT_SUBACK]      = ONLY(0),
    [MQTT_UNSUBSCRIBE] = ONLY(2), /* [MQTT-3.10.1-1] */
    [MQTT_UNSUBACK]    = ONLY(0),
    [MQTT_PINGREQ]     = ONLY(0),
    [MQTT_PINGRESP]    = ONLY(0),
    [MQTT_DISCONNECT]  = ONLY(0), /* [MQTT-3.14.1-1] */
};
/* clang-format on */

enum status mqtt_decode(struct span in, size_t max, struct mqtt_packet *out, size_t *used)
{
    if (in.len == 0)
        return NEED_MORE;

    uint8_t type = in.data[0] >> 4, flags = in.data[0] & 0x0f;
    if (!(legal_flags[type] & ONLY(flags)))
        return BAD_PACKET;

    /* 2.2.3: the body length, seven bits a byte, low bits first, four bytes at most. */
    size_t body_len = 0, at = 1;
    for (unsigned shift = 0;; shift += 7) {
        if (shift > 21)
            return BAD_PACKET;
        if (at == in.len)
            return NEED_MORE;
        uint8_t byte = in.data[at++];
        body_len |= (size_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    if (body_len > max)
        return TOO_LARGE;
    if (body_len > in.len - at)
        return NEED_MORE;

    *out = (struct mqtt_packet){
        .type = type, .flags = flags, .body = {in.data + at, body_len}
    };
    *used = at + body_len;
    return OK;
}

/* The take functions cut a value off the front of *in; false when it is not all there. */

static bool take_u8(struct span *in, uint8_t *out)
{
    if (in->len < 1)
        return false;
    *out = in->data[0];
    *in = span_skip(*in, 1);
    return true;
}

static bool take_u16(struct span *in, uint16_t *out)
{
    if (in->len < 2)
        return false;
    *out = (uint16_t)(in->data[0] << 8 | in->data[1]);
    *in = span_skip(*in, 2);
    return true;
}

static bool take_bytes(struct span *in, struct span *out)
{
    uint16_t len;
    if (!take_u16(in, &len) || len > in->len)
        return false;
    *out = span_first(*in, len);
    *in = span_skip(*in, len);
    return true;
}

/* 1.5.3: well-formed UTF-8 [MQTT-1.5.3-1] without U+0000 [MQTT-1.5.3-2]. */
static bool take_text(struct span *in, struct span *out)
{
    return take_bytes(in, out) && span_index(*out, '\0') == out->len && text_is_utf8(*out);
}

/* A topic name or filter: at least one character [MQTT-4.7.3-1]. */
static bool take_topic(struct span *in, struct span *out)
{
    return take_text(in, out) && out->len > 0;
}

static enum mqtt_version version_of(struct span name, uint8_t level)
{
    if (!span_eq(name, SPAN("MQTT")))
        return MQTT_VERSION_OTHER;
    return level == 4 ? MQTT_VERSION_3_1_1 : level == 5 ? MQTT_VERSION_5 : MQTT_VERSION_OTHER;
}

/* The connect flags, 3.1.2.3 to 3.1.2.9. */
static bool read_connect_flags(uint8_t flags, struct mqtt_connect *out)
{
    uint8_t will_qos = flags >> CONNECT_WILL_QOS_SHIFT & QOS_MASK;
    out->clean_session = flags & CONNECT_CLEAN;
    out->has_will = flags & CONNECT_WILL;
    out->will.qos = will_qos;
    out->will.retain = flags & CONNECT_WILL_RETAIN;
    out->has_password = flags & CONNECT_PASSWORD;
    out->has_username = flags & CONNECT_USERNAME;

    if (flags & CONNECT_RESERVED) /* [MQTT-3.1.2-3] */
        return false;
    if (will_qos > 2) /* [MQTT-3.1.2-14] */
        return false;
    if (!out->has_will && (will_qos || out->will.retain)) /* [MQTT-3.1.2-13], [MQTT-3.1.2-15] */
        return false;
    return out->has_username || !out->has_password; /* [MQTT-3.1.2-22] */
}

/* 3.1.3: what the flags announce, in this order [MQTT-3.1.3-1], and nothing after it. */
static bool read_connect_payload(struct span in, struct mqtt_connect *out)
{
    if (!take_text(&in, &out->client_id))
        return false;
    if (out->has_will &&
        !(take_topic(&in, &out->will.topic) && take_bytes(&in, &out->will.payload)))
        return false;
    if (out->has_username && !take_text(&in, &out->username))
        return false;
    if (out->has_password && !take_bytes(&in, &out->password))
        return false;
    return in.len == 0;
}

enum status mqtt_connect_decode(const struct mqtt_packet *p, struct mqtt_connect *out)
{
    CHECK(p->type == MQTT_CONNECT);
    *out = (struct mqtt_connect){0};
    struct span in = p->body, name;
    uint8_t level, flags;
    if (!take_text(&in, &name) || !take_u8(&in, &level))
        return BAD_PACKET;
    out->version = version_of(name, level);
    if (out->version != MQTT_VERSION_3_1_1)
        return OK;
    if (!take_u8(&in, &flags) || !read_connect_flags(flags, out))
        return BAD_PACKET;
    if (!take_u16(&in, &out->keep_alive_s))
        return BAD_PACKET;
    return read_connect_payload(in, out) ? OK : BAD_PACKET;
}

enum status mqtt_publish_decode(const struct mqtt_packet *p, struct mqtt_publish *out)
{
    CHECK(p->type == MQTT_PUBLISH);
    *out = (struct mqtt_publish){
        .qos = p->flags >> PUBLISH_QOS_SHIFT & QOS_MASK,
        .dup = p->flags & PUBLISH_DUP,
        .retain = p->flags & PUBLISH_RETAIN,
    };
    if (out->qos > 1) /* 3: [MQTT-3.3.1-4]; 2: spec/mqtt.md 3 */
        return BAD_PACKET;
    if (out->dup && out->qos == 0) /* [MQTT-3.3.1-2] */
        return BAD_PACKET;
    struct span in = p->body;
    if (!take_topic(&in, &out->topic)) /* [MQTT-3.3.2-1] */
        return BAD_PACKET;
    if (out->qos > 0 && !(take_u16(&in, &out->packet_id) && out->packet_id)) /* [MQTT-2.3.1-1] */
        return BAD_PACKET;
    out->payload = in;
    return OK;
}

static bool take_filter(struct span *in, bool has_qos, struct mqtt_filter *out)
{
    out->qos = 0;
    if (!take_topic(in, &out->filter)) /* [MQTT-3.8.3-1], [MQTT-3.10.3-1] */
        return false;
    return !has_qos || (take_u8(in, &out->qos) && out->qos <= 2); /* [MQTT-3.8.3-4] */
}

static enum status filters_decode(struct span in, bool has_qos, struct mqtt_filters *out)
{
    *out = (struct mqtt_filters){.has_qos = has_qos};
    if (!take_u16(&in, &out->packet_id) || out->packet_id == 0) /* [MQTT-2.3.1-1] */
        return BAD_PACKET;
    out->rest = in;
    struct mqtt_filter filter;
    for (; in.len; out->count++)
        if (!take_filter(&in, has_qos, &filter))
            return BAD_PACKET;
    return out->count ? OK : BAD_PACKET; /* [MQTT-3.8.3-3], [MQTT-3.10.3-2] */
}

enum status mqtt_subscribe_decode(const struct mqtt_packet *p, struct mqtt_filters *out)
{
    CHECK(p->type == MQTT_SUBSCRIBE);
    return filters_decode(p->body, true, out);
}

enum status mqtt_unsubscribe_decode(const struct mqtt_packet *p, struct mqtt_filters *out)
{
    CHECK(p->type == MQTT_UNSUBSCRIBE);
    return filters_decode(p->body, false, out);
}

bool mqtt_filters_next(struct mqtt_filters *it, struct mqtt_filter *out)
{
    if (it->rest.len == 0)
        return false;
    bool whole = take_filter(&it->rest, it->has_qos, out);
    CHECK(whole); /* filters_decode has seen it */
    return true;
}

enum status mqtt_ack_decode(const struct mqtt_packet *p, uint16_t *packet_id)
{
    CHECK(p->type == MQTT_PUBACK || p->type == MQTT_UNSUBACK);
    struct span in = p->body;
    return take_u16(&in, packet_id) && in.len == 0 ? OK : BAD_PACKET;
}

enum status mqtt_bare_decode(const struct mqtt_packet *p)
{
    CHECK(p->type == MQTT_PINGREQ || p->type == MQTT_PINGRESP || p->type == MQTT_DISCONNECT);
    return p->body.len == 0 ? OK : BAD_PACKET;
}

enum status mqtt_connack_decode(const struct mqtt_packet *p, bool *session_present, uint8_t *code)
{
    CHECK(p->type == MQTT_CONNACK);
    struct span in = p->body;
    uint8_t flags;
    if (!take_u8(&in, &flags) || !take_u8(&in, code) || in.len)
        return BAD_PACKET;
    if (flags > 1 || (flags && *code != MQTT_ACCEPTED)) /* 3.2.2.1, [MQTT-3.2.2-4] */
        return BAD_PACKET;
    *session_present = flags;
    return OK;
}

enum status mqtt_suback_decode(const struct mqtt_packet *p, uint16_t *packet_id, struct span *codes)
{
    CHECK(p->type == MQTT_SUBACK);
    struct span in = p->body;
    if (!take_u16(&in, packet_id) || in.len == 0)
        return BAD_PACKET;
    for (size_t i = 0; i < in.len; i++)
        if (in.data[i] > 2 && in.data[i] != MQTT_SUBACK_FAILURE) /* [MQTT-3.9.3-2] */
            return BAD_PACKET;
    *codes = in;
    return OK;
}

/* The fixed header (2.2), and room for the whole packet. */
static void put_head(struct buf *b, enum mqtt_type type, uint8_t flags, size_t body_len)
{
    CHECK(body_len <= MQTT_BODY_MAX);
    buf_reserve(b, 5 + body_len);
    buf_byte(b, (uint8_t)(type << 4 | flags));
    do {
        uint8_t more = body_len > 0x7f ? 0x80 : 0;
        buf_byte(b, (uint8_t)(body_len & 0x7f) | more);
        body_len >>= 7;
    } while (body_len);
}

static void put_u16(struct buf *b, uint16_t value)
{
    buf_byte(b, (uint8_t)(value >> 8));
    buf_byte(b, (uint8_t)value);
}

static void put_bytes(struct buf *b, struct span s)
{
    CHECK(s.len <= MQTT_STRING_MAX);
    put_u16(b, (uint16_t)s.len);
    buf_put(b, s);
}

void mqtt_connack_encode(struct buf *b, bool session_present, enum mqtt_connack code)
{
    put_head(b, MQTT_CONNACK, 0, 2);
    buf_byte(b, session_present && code == MQTT_ACCEPTED);
    buf_byte(b, (uint8_t)code);
}

void mqtt_connack5_encode(struct buf *b, uint8_t reason)
{
    put_head(b, MQTT_CONNACK, 0, 3); /* MQTT 5 section 3.2: flags, reason, no properties */
    buf_byte(b, 0);
    buf_byte(b, reason);
    buf_byte(b, 0);
}

void mqtt_publish_encode(struct buf *b, const struct mqtt_publish *publish)
{
    bool acked = publish->qos > 0;
    CHECK(publish->qos <= 1);
    CHECK(!acked || publish->packet_id);
    CHECK(publish->payload.len <= MQTT_BODY_MAX); /* the sum below cannot wrap */
    uint8_t flags = (uint8_t)(publish->qos << PUBLISH_QOS_SHIFT);
    if (publish->retain)
        flags |= PUBLISH_RETAIN;
    if (publish->dup && acked)
        flags |= PUBLISH_DUP;
    put_head(b, MQTT_PUBLISH, flags,
             2 + publish->topic.len + (acked ? 2 : 0) + publish->payload.len);
    put_bytes(b, publish->topic);
    if (acked)
        put_u16(b, publish->packet_id);
    buf_put(b, publish->payload);
}

void mqtt_puback_encode(struct buf *b, uint16_t packet_id)
{
    put_head(b, MQTT_PUBACK, 0, 2);
    put_u16(b, packet_id);
}

void mqtt_suback_encode(struct buf *b, uint16_t packet_id, struct span codes)
{
    CHECK(codes.len);
    put_head(b, MQTT_SUBACK, 0, 2 + codes.len);
    put_u16(b, packet_id);
    buf_put(b, codes);
}

void mqtt_unsuback_encode(struct buf *b, uint16_t packet_id)
{
    put_head(b, MQTT_UNSUBACK, 0, 2);
    put_u16(b, packet_id);
}

void mqtt_pingresp_encode(struct buf *b)
{
    put_head(b, MQTT_PINGRESP, 0, 0);
}

static uint8_t connect_flags(const struct mqtt_connect *c)
{
    unsigned flags = 0;
    if (c->clean_session)
        flags |= CONNECT_CLEAN;
    if (c->has_will) {
        flags |= CONNECT_WILL | (unsigned)c->will.qos << CONNECT_WILL_QOS_SHIFT;
        if (c->will.retain)
            flags |= CONNECT_WILL_RETAIN;
    }
    if (c->has_username)
        flags |= CONNECT_USERNAME;
    if (c->has_password)
        flags |= CONNECT_PASSWORD;
    return (uint8_t)flags;
}

void mqtt_connect_encode(struct buf *b, const struct mqtt_connect *c)
{
    CHECK(c->version == MQTT_VERSION_3_1_1);
    CHECK(c->will.qos <= 2);
    CHECK(c->has_username || !c->has_password);
    size_t len = 10 + 2 + c->client_id.len;
    if (c->has_will)
        len += 2 + c->will.topic.len + 2 + c->will.payload.len;
    if (c->has_username)
        len += 2 + c->username.len;
    if (c->has_password)
        len += 2 + c->password.len;
    put_head(b, MQTT_CONNECT, 0, len);
    put_bytes(b, SPAN("MQTT"));
    buf_byte(b, 4);
    buf_byte(b, connect_flags(c));
    put_u16(b, c->keep_alive_s);
    put_bytes(b, c->client_id);
    if (c->has_will) {
        put_bytes(b, c->will.topic);
        put_bytes(b, c->will.payload);
    }
    if (c->has_username)
        put_bytes(b, c->username);
    if (c->has_password)
        put_bytes(b, c->password);
}

void mqtt_subscribe_encode(struct buf *b, uint16_t packet_id, const struct mqtt_filter *filters,
                           size_t count)
{
    CHECK(packet_id);
    CHECK(count);
    size_t len = 2;
    for (size_t i = 0; i < count; i++)
        len += 2 + filters[i].filter.len + 1;
    put_head(b, MQTT_SUBSCRIBE, 2, len);
    put_u16(b, packet_id);
    for (size_t i = 0; i < count; i++) {
        put_bytes(b, filters[i].filter);
        buf_byte(b, filters[i].qos);
    }
}

void mqtt_unsubscribe_encode(struct buf *b, uint16_t packet_id, const struct mqtt_filter *filters,
                             size_t count)
{
    CHECK(packet_id);
    CHECK(count);
    size_t len = 2;
    for (size_t i = 0; i < count; i++)
        len += 2 + filters[i].filter.len;
    put_head(b, MQTT_UNSUBSCRIBE, 2, len);
    put_u16(b, packet_id);
    for (size_t i = 0; i < count; i++)
        put_bytes(b, filters[i].filter);
}

void mqtt_pingreq_encode(struct buf *b)
{
    put_head(b, MQTT_PINGREQ, 0, 0);
}

void mqtt_disconnect_encode(struct buf *b)
{
    put_head(b, MQTT_DISCONNECT, 0, 0);
}
