/* A stream gives the same packets however it is cut, and what decodes encodes to the same bytes. */
#include "wire/mqtt.h"

enum { MAX_BODY = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(struct buf *b, const struct mqtt_packet *p)
{
    struct mqtt_packet back;
    size_t used;
    CHECK(mqtt_decode(buf_span(b), MQTT_BODY_MAX, &back, &used) == OK);
    CHECK(used == b->len);
    CHECK(back.type == p->type);
    CHECK(back.flags == p->flags);
    CHECK(span_eq(back.body, p->body));
}

static void encode_filters(struct buf *b, struct mqtt_filters it)
{
    static struct mqtt_filter filters[MAX_BODY / 3];
    size_t count = 0;
    while (mqtt_filters_next(&it, &filters[count]))
        count++;
    CHECK(count == it.count);
    if (it.has_qos)
        mqtt_subscribe_encode(b, it.packet_id, filters, count);
    else
        mqtt_unsubscribe_encode(b, it.packet_id, filters, count);
}

/* Encode what `p` decodes to; false when it does not, or not to all of its bytes. */
static bool encode_again(const struct mqtt_packet *p, struct buf *b)
{
    struct mqtt_connect connect;
    struct mqtt_publish publish;
    struct mqtt_filters filters;
    struct span codes;
    uint16_t id;
    uint8_t code;
    bool present;
    switch ((enum mqtt_type)p->type) {
    case MQTT_CONNECT:
        if (mqtt_connect_decode(p, &connect) != OK || connect.version != MQTT_VERSION_3_1_1)
            return false;
        mqtt_connect_encode(b, &connect);
        return true;
    case MQTT_CONNACK:
        if (mqtt_connack_decode(p, &present, &code) != OK)
            return false;
        mqtt_connack_encode(b, present, code);
        return true;
    case MQTT_PUBLISH:
        if (mqtt_publish_decode(p, &publish) != OK)
            return false;
        mqtt_publish_encode(b, &publish);
        return true;
    case MQTT_PUBACK:
    case MQTT_UNSUBACK:
        if (mqtt_ack_decode(p, &id) != OK)
            return false;
        (p->type == MQTT_PUBACK ? mqtt_puback_encode : mqtt_unsuback_encode)(b, id);
        return true;
    case MQTT_SUBSCRIBE:
        if (mqtt_subscribe_decode(p, &filters) != OK)
            return false;
        encode_filters(b, filters);
        return true;
    case MQTT_UNSUBSCRIBE:
        if (mqtt_unsubscribe_decode(p, &filters) != OK)
            return false;
        encode_filters(b, filters);
        return true;
    case MQTT_SUBACK:
        if (mqtt_suback_decode(p, &id, &codes) != OK)
            return false;
        mqtt_suback_encode(b, id, codes);
        return true;
    case MQTT_PINGREQ:
        mqtt_pingreq_encode(b);
        return mqtt_bare_decode(p) == OK;
    case MQTT_PINGRESP:
        mqtt_pingresp_encode(b);
        return mqtt_bare_decode(p) == OK;
    case MQTT_DISCONNECT:
        mqtt_disconnect_encode(b);
        return mqtt_bare_decode(p) == OK;
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return false;
    }
    CHECK(p->type == 0); /* mqtt_decode gives only the types above */
    return false;
}

/* Byte by byte, the same verdict comes once, and stays. */
static void check_prefixes(struct span in, enum status whole, size_t whole_used)
{
    bool told = false;
    for (size_t n = 0; n <= in.len; n++) {
        struct mqtt_packet p;
        size_t used = 0;
        enum status st = mqtt_decode(span_first(in, n), MAX_BODY, &p, &used);
        if (st == NEED_MORE) {
            CHECK(!told);
            continue;
        }
        CHECK(st == whole);
        CHECK(st != OK || (used == whole_used && (told || n == used)));
        told = true;
        if (n > 8 + whole_used)
            break; /* later bytes belong to later packets */
    }
    CHECK(told == (whole != NEED_MORE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf b;
    struct span in = span_of(data, size);
    for (;;) {
        struct mqtt_packet p;
        size_t used = 0;
        enum status st = mqtt_decode(in, MAX_BODY, &p, &used);
        check_prefixes(in, st, used);
        if (st != OK)
            return 0;
        CHECK(used <= in.len);
        buf_clear(&b);
        if (encode_again(&p, &b))
            check_same(&b, &p);
        in = span_skip(in, used);
    }
}
