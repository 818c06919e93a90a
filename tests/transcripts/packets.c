/* MQTT packets in words.
 *
 *   > CONNECT client=ID [user=NAME] [token=TEXT | password=TEXT | cert=NAME] [keep=60] [clean]
 *             [will=TOPIC] [will-payload=TEXT] [will-qos=N] [will-retain]
 *     Without user= the canonical name of the client; without a credential its primary key's token.
 *     nouser, nopassword leave them out.
 *   > PUBLISH [qos1 id=N] [dup] [retain] TOPIC [PAYLOAD]
 *   > PUBACK N, SUBSCRIBE N FILTER@QOS..., UNSUBSCRIBE N FILTER..., PINGREQ, DISCONNECT
 *   < CONNACK N [present], PUBACK N, SUBACK N CODE..., UNSUBACK N, PINGRESP
 *   < PUBLISH TOPIC [PAYLOAD]    QoS 0, not retained; patterns; payload "E2 CODE TEXT" is an error
 */
#include "script.h"
#include "wire/mqtt.h"

#include <stdlib.h>

static struct span expanded(struct script *s, struct span word, struct buf *keep)
{
    size_t from = keep->len;
    struct buf b = {0};
    struct span text = script_text(s, word, &b);
    buf_put(keep, text);
    buf_fini(&b);
    return span_of(keep->data + from, keep->len - from);
}

/* Texts of one CONNECT; room is reserved so that spans stay good. */
struct connect_texts {
    struct buf keep, password;
};

static bool connect_word(struct script *s, struct speaker *sp, struct span word,
                         struct mqtt_connect *c, struct connect_texts *t)
{
    struct span value;
    if (word_value(word, "user", &c->username) || word_value(word, "client", &c->client_id) ||
        word_value(word, "will-payload", &c->will.payload))
        return true;
    if (word_value(word, "token", &value)) {
        token_put(&t->password, value, &s->world);
        c->password = buf_span(&t->password);
    } else if (word_value(word, "password", &value)) {
        c->password = value;
    } else if (word_value(word, "cert", &value)) {
        const struct test_cert *cert = cert_get(&s->certs, value);
        sp->wire->link.chain[sp->wire->link.chain_count++] = cert->der;
        c->has_password = false;
    } else if (word_value(word, "keep", &value)) {
        c->keep_alive_s = (uint16_t)word_number(value);
    } else if (word_value(word, "will", &c->will.topic)) {
        c->has_will = true;
    } else if (word_value(word, "will-qos", &value)) {
        c->will.qos = (uint8_t)word_number(value);
    } else if (span_eq(word, SPAN("will-retain"))) {
        c->will.retain = true;
    } else if (span_eq(word, SPAN("clean"))) {
        c->clean_session = true;
    } else if (span_eq(word, SPAN("nouser"))) {
        c->has_username = c->has_password = false;
    } else if (span_eq(word, SPAN("nopassword"))) {
        c->has_password = false;
    } else {
        return false;
    }
    return true;
}

static void say_connect(struct script *s, struct speaker *sp, struct span rest, struct buf *out)
{
    struct connect_texts t = {0};
    struct buf user = {0};
    struct mqtt_connect c = {.version = MQTT_VERSION_3_1_1,
                             .has_username = true,
                             .has_password = true,
                             .keep_alive_s = 60};
    buf_reserve(&t.keep, 100000);
    speaker_wire(s, sp, false);
    for (struct span word; (word = word_next(&rest)).len;) {
        struct span text = expanded(s, word, &t.keep);
        if (!connect_word(s, sp, text, &c, &t))
            script_fail(s, "CONNECT does not know %.*s", SPAN_ARG(word));
    }
    CHECK(t.keep.len <= 100000);
    if (!c.username.data) {
        buf_printf(&user, WORLD_HOST "/%.*s/?api-version=2021-04-12", SPAN_ARG(c.client_id));
        c.username = buf_span(&user);
    }
    if (c.has_password && !c.password.data) {
        token_put(&t.password, c.client_id, &s->world);
        c.password = buf_span(&t.password);
    }
    mqtt_connect_encode(out, &c);
    buf_fini(&user);
    buf_fini(&t.keep);
    buf_fini(&t.password);
}

static struct mqtt_publish publish_read(struct script *s, struct span rest, struct buf *topic,
                                        struct buf *payload)
{
    struct mqtt_publish p = {0};
    struct span value, word = word_next(&rest);
    for (;; word = word_next(&rest)) {
        if (span_eq(word, SPAN("qos1")))
            p.qos = 1;
        else if (word_value(word, "id", &value))
            p.packet_id = (uint16_t)word_number(script_text(s, value, topic));
        else if (span_eq(word, SPAN("dup")))
            p.dup = true;
        else if (span_eq(word, SPAN("retain")))
            p.retain = true;
        else
            break;
        buf_clear(topic);
    }
    p.topic = script_text(s, word, topic);
    p.payload = script_text(s, rest, payload);
    return p;
}

static void say_publish(struct script *s, struct span rest, struct buf *out)
{
    struct buf topic = {0}, payload = {0};
    struct mqtt_publish p = publish_read(s, rest, &topic, &payload);
    mqtt_publish_encode(out, &p);
    buf_fini(&topic);
    buf_fini(&payload);
}

/* "N FILTER@QOS..." or, for UNSUBSCRIBE, "N FILTER...". */
static void say_filters(struct script *s, struct span rest, bool has_qos, struct buf *out)
{
    enum { FILTERS_MAX = 200 };
    struct mqtt_filter filters[FILTERS_MAX];
    struct buf keep = {0};
    size_t count = 0;
    buf_reserve(&keep, 100000);
    struct span id = word_next(&rest);
    for (struct span word; (word = word_next(&rest)).len;) {
        struct span text = expanded(s, word, &keep);
        uint8_t qos = 0;
        if (has_qos) {
            CHECK(text.len > 2 && text.data[text.len - 2] == '@');
            qos = (uint8_t)(text.data[text.len - 1] - '0');
            text.len -= 2;
        }
        CHECK(count < FILTERS_MAX);
        filters[count++] = (struct mqtt_filter){text, qos};
    }
    (has_qos ? mqtt_subscribe_encode : mqtt_unsubscribe_encode)(
        out, (uint16_t)word_number(expanded(s, id, &keep)), filters, count);
    buf_fini(&keep);
}

bool packet_says(struct script *s, struct speaker *sp, struct span verb, struct span rest)
{
    struct buf out = {0}, b = {0};
    if (span_eq(verb, SPAN("CONNECT")))
        say_connect(s, sp, rest, &out);
    else if (span_eq(verb, SPAN("PUBLISH")))
        say_publish(s, rest, &out);
    else if (span_eq(verb, SPAN("PUBACK")))
        mqtt_puback_encode(&out, (uint16_t)word_number(script_text(s, rest, &b)));
    else if (span_eq(verb, SPAN("SUBSCRIBE")))
        say_filters(s, rest, true, &out);
    else if (span_eq(verb, SPAN("UNSUBSCRIBE")))
        say_filters(s, rest, false, &out);
    else if (span_eq(verb, SPAN("PINGREQ")))
        mqtt_pingreq_encode(&out);
    else if (span_eq(verb, SPAN("DISCONNECT")))
        mqtt_disconnect_encode(&out);
    bool known = out.len > 0;
    if (known)
        speaker_send(s, sp, buf_span(&out));
    buf_fini(&out);
    buf_fini(&b);
    return known;
}

/* ---- what the hub says ---- */

/* Payload "E2 CODE TEXT": the error object of 7.2. */
static void put_error_pattern(struct buf *out, struct span payload)
{
    struct span rest = span_skip(payload, 3), code = word_next(&rest);
    buf_printf(out,
               "{\"errorCode\":%.*s,\"trackingId\":\"<tracking>\",\"message\":\"%.*s\","
               "\"timestampUtc\":\"<time>\"}",
               SPAN_ARG(code), SPAN_ARG(rest));
}

static void hear_publish(struct script *s, struct speaker *sp, struct span rest)
{
    struct buf topic = {0}, payload = {0}, error = {0}, again = {0};
    struct mqtt_publish want = publish_read(s, rest, &topic, &payload), got;
    struct mqtt_packet packet;
    size_t used;
    struct buf *heard = speaker_heard(s, sp);
    if (span_starts(want.payload, SPAN("E2 "))) {
        put_error_pattern(&error, want.payload);
        want.payload = buf_span(&error);
    }
    bool holds = mqtt_decode(buf_span(heard), 1 << 20, &packet, &used) == OK &&
                 packet.type == MQTT_PUBLISH && mqtt_publish_decode(&packet, &got) == OK &&
                 pattern_matches(want.topic, got.topic, &s->vars) &&
                 pattern_matches(want.payload, got.payload, &s->vars);
    if (holds) { /* then the packet is these two and nothing else */
        want.topic = got.topic;
        want.payload = got.payload;
        mqtt_publish_encode(&again, &want);
        speaker_expect(s, sp, buf_span(&again));
    } else {
        buf_printf(&again, "PUBLISH %.*s %.*s", SPAN_ARG(want.topic), SPAN_ARG(want.payload));
        script_fail_bytes(s, sp->name, buf_span(&again), buf_span(heard));
    }
    buf_fini(&topic);
    buf_fini(&payload);
    buf_fini(&error);
    buf_fini(&again);
}

static void put_suback(struct buf *out, struct span rest)
{
    uint8_t codes[200];
    size_t count = 0;
    uint16_t id = (uint16_t)word_number(word_next(&rest));
    for (struct span word; (word = word_next(&rest)).len;)
        codes[count++] = (uint8_t)strtol((const char *)word.data, NULL, 0);
    mqtt_suback_encode(out, id, span_of(codes, count));
}

bool packet_hears(struct script *s, struct speaker *sp, struct span verb, struct span rest)
{
    struct buf out = {0}, b = {0};
    struct span value;
    if (span_eq(verb, SPAN("PUBLISH"))) {
        hear_publish(s, sp, rest);
        return true;
    }
    struct span text = script_text(s, rest, &b);
    if (span_eq(verb, SPAN("CONNACK"))) {
        value = word_next(&text);
        mqtt_connack_encode(&out, span_eq(text, SPAN("present")),
                            (enum mqtt_connack)word_number(value));
    } else if (span_eq(verb, SPAN("PUBACK"))) {
        mqtt_puback_encode(&out, (uint16_t)word_number(text));
    } else if (span_eq(verb, SPAN("SUBACK"))) {
        buf_byte(&b, '\0');
        put_suback(&out, span_of(b.data, b.len - 1));
    } else if (span_eq(verb, SPAN("UNSUBACK"))) {
        mqtt_unsuback_encode(&out, (uint16_t)word_number(text));
    } else if (span_eq(verb, SPAN("PINGRESP"))) {
        mqtt_pingresp_encode(&out);
    }
    bool known = out.len > 0;
    if (known)
        speaker_expect(s, sp, buf_span(&out));
    buf_fini(&out);
    buf_fini(&b);
    return known;
}
