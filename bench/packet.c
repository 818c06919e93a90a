#include "packet.h"

#include "wire/mqtt.h"

static size_t where(struct span in, const char *what)
{
    const uint8_t *at = memmem(in.data, in.len, what, strlen(what));
    CHECK(at);
    return (size_t)(at - in.data);
}

/* A patch of seven properties, filled up to the length asked for. */
static void put_patch(struct buf *b, size_t len)
{
    buf_text(b, "{\"temperature\":21.53,\"humidity\":48,\"door\":\"closed\",\"counter\":10000000,"
                "\"net\":{\"rssi\":-71,\"roam\":false},\"note\":\"");
    while (b->len + 2 < len)
        buf_byte(b, 'n');
    buf_text(b, "\"}");
}

void packet_make(struct packet *p, enum packet_kind kind, const char *prefix, size_t body_len,
                 unsigned qos)
{
    static const char *const topics[] = {
        [PACKET_PATCH] = "$iothub/twin/PATCH/properties/reported/?$rid=RRRRRRRR",
        [PACKET_GET] = "$iothub/twin/GET/?$rid=RRRRRRRR",
        [PACKET_PUBLISH] = "/messages/events/n=RRRRRRRR", /* after devices/{id} */
    };
    struct buf topic = {0}, body = {0};
    *p = (struct packet){0};
    if (kind != PACKET_GET)
        put_patch(&body, body_len);
    if (kind == PACKET_PUBLISH) {
        buf_printf(&topic, "devices/%s000000", prefix);
        qos = 1;
    }
    buf_text(&topic, topics[kind]);
    mqtt_publish_encode(&p->bytes, &(struct mqtt_publish){.topic = buf_span(&topic),
                                                          .payload = buf_span(&body),
                                                          .packet_id = 1,
                                                          .qos = (uint8_t)qos});
    struct span all = buf_span(&p->bytes);
    p->request_at = where(all, "RRRRRRRR");
    if (kind != PACKET_GET)
        p->value_at = where(all, "10000000");
    if (qos)
        p->packet_id_at = p->request_at + 8;
    if (kind == PACKET_PUBLISH)
        p->device_at = where(all, "000000/messages");
    buf_fini(&topic);
    buf_fini(&body);
}

void packet_fini(struct packet *p)
{
    buf_fini(&p->bytes);
}

static void put_hex(uint8_t *at, uint32_t number)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t) "0123456789abcdef"[number >> (28 - 4 * i) & 15];
}

static void put_decimal(uint8_t *at, unsigned digits, uint32_t number)
{
    for (unsigned i = digits; i-- > 0; number /= 10)
        at[i] = (uint8_t)('0' + number % 10);
}

void packet_put(const struct packet *p, const struct packet_fill *fill, struct buf *out)
{
    size_t start = out->len;
    buf_put(out, buf_span(&p->bytes));
    uint8_t *bytes = out->data + start;
    put_hex(bytes + p->request_at, fill->slot << 20 | (fill->seq & 0xfffff));
    if (p->value_at)
        put_decimal(bytes + p->value_at, 8, fill->value);
    if (p->device_at)
        put_decimal(bytes + p->device_at, 6, fill->device);
    if (p->packet_id_at) {
        bytes[p->packet_id_at] = (uint8_t)((fill->slot + 1) >> 8);
        bytes[p->packet_id_at + 1] = (uint8_t)(fill->slot + 1);
    }
}
