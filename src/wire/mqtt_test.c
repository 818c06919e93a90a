#include "wire/mqtt.h"

#include "base/test.h"

static struct buf out;

/* What was encoded since the last call. */
static struct span encoded(void)
{
    static struct buf last;
    struct buf swap = last;
    last = out;
    out = swap;
    buf_clear(&out);
    return buf_span(&last);
}

static enum status judge_body(const struct mqtt_packet *p)
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
        return mqtt_connect_decode(p, &connect);
    case MQTT_CONNACK:
        return mqtt_connack_decode(p, &present, &code);
    case MQTT_PUBLISH:
        return mqtt_publish_decode(p, &publish);
    case MQTT_PUBACK:
    case MQTT_UNSUBACK:
        return mqtt_ack_decode(p, &id);
    case MQTT_SUBSCRIBE:
        return mqtt_subscribe_decode(p, &filters);
    case MQTT_SUBACK:
        return mqtt_suback_decode(p, &id, &codes);
    case MQTT_UNSUBSCRIBE:
        return mqtt_unsubscribe_decode(p, &filters);
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
    case MQTT_DISCONNECT:
        return mqtt_bare_decode(p);
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return OK; /* QoS 2: no decoder, the session has no row for them */
    }
    return BAD_PACKET;
}

/* What a peer that sends `bytes`, a whole packet, is told. */
static enum status judge(struct span bytes)
{
    struct mqtt_packet p;
    size_t used;
    TRY(mqtt_decode(test_at_edge(bytes), 1024, &p, &used));
    EXPECT_EQ(used, bytes.len);
    return judge_body(&p);
}

/* A packet that must be whole and alone in `bytes`. */
static struct mqtt_packet packet_of(struct span bytes)
{
    struct mqtt_packet p = {0};
    size_t used = 0;
    EXPECT_EQ(mqtt_decode(bytes, MQTT_BODY_MAX, &p, &used), OK);
    EXPECT_EQ(used, bytes.len);
    return p;
}

/* clang-format off */
static const struct {
    const char *name;
    struct span bytes;
    enum status want;
    size_t used;
} streams[] = {
    {"nothing yet",           SPAN_INIT(""),                         NEED_MORE,  0},
    {"ping",                  SPAN_INIT("\xc0\x00"),                 OK,         2},
    {"first of two",          SPAN_INIT("\xc0\x00\xc0\x00"),         OK,         2},
    {"overlong zero",         SPAN_INIT("\xc0\x80\x00"),             OK,         3},
    {"length on its way",     SPAN_INIT("\x30\xff\xff\xff"),         NEED_MORE,  0},
    {"fifth length byte",     SPAN_INIT("\x30\xff\xff\xff\xff\x01"), BAD_PACKET, 0},
    {"fifth byte announced",  SPAN_INIT("\x30\x80\x80\x80\x80"),     BAD_PACKET, 0},
    {"type 0 is reserved",    SPAN_INIT("\x00"),                     BAD_PACKET, 0},
    {"type 15 is reserved",   SPAN_INIT("\xf0"),                     BAD_PACKET, 0},
    {"refused before it all", SPAN_INIT("\x30\x81\x08"),             TOO_LARGE,  0},
    {"largest length",        SPAN_INIT("\x30\xff\xff\xff\x7f"),     TOO_LARGE,  0},
    {"just not too large",    SPAN_INIT("\x30\x80\x08"),             NEED_MORE,  0},
};
/* clang-format on */

TEST(mqtt_decode_finds_whole_packets)
{
    for (size_t i = 0; i < COUNT(streams); i++) {
        struct mqtt_packet packet;
        size_t used = 0;
        enum status got = mqtt_decode(test_at_edge(streams[i].bytes), 1024, &packet, &used);
        EXPECT_EQ_IN(streams[i].name, got, streams[i].want);
        EXPECT_EQ_IN(streams[i].name, used, streams[i].used);
    }
}

TEST(flags_other_than_table_2_2_are_refused_at_the_first_byte) /* [MQTT-2.2.2-2] */
{
    /* The only legal flags of types 1..14; -1: any. */
    static const int legal[] = {[1] = 0, 0, -1, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0};
    for (unsigned first = 0; first <= 0xff; first++) {
        uint8_t byte = (uint8_t)first;
        struct mqtt_packet p;
        size_t used;
        unsigned type = first >> 4, flags = first & 15;
        bool good = type >= 1 && type <= 14 && (legal[type] < 0 || legal[type] == (int)flags);
        EXPECT_EQ_IN("flags", mqtt_decode(span_of(&byte, 1), 9, &p, &used),
                     good ? NEED_MORE : BAD_PACKET);
    }
}

TEST(a_body_length_takes_one_to_four_bytes) /* table 2.4 */
{
    static const struct {
        size_t body_len;
        struct span head;
    } rows[] = {
        {127,     SPAN_INIT("\x30\x7f")            },
        {128,     SPAN_INIT("\x30\x80\x01")        },
        {16383,   SPAN_INIT("\x30\xff\x7f")        },
        {16384,   SPAN_INIT("\x30\x80\x80\x01")    },
        {2097151, SPAN_INIT("\x30\xff\xff\x7f")    },
        {2097152, SPAN_INIT("\x30\x80\x80\x80\x01")},
        {2097153, SPAN_INIT("\x30\x81\x80\x80\x01")},
    };
    static uint8_t payload[2097153];
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mqtt_publish sent = {.topic = SPAN("t"),
                                    .payload = span_of(payload, rows[i].body_len - 3)};
        mqtt_publish_encode(&out, &sent);
        struct span bytes = encoded();
        EXPECT_SPAN(span_first(bytes, rows[i].head.len), rows[i].head);
        EXPECT_EQ(bytes.len, rows[i].head.len + rows[i].body_len);
        struct mqtt_packet p = packet_of(bytes);
        EXPECT_EQ(p.body.len, rows[i].body_len);
        size_t used;
        EXPECT_EQ(mqtt_decode(bytes, rows[i].body_len - 1, &p, &used), TOO_LARGE);
        EXPECT_EQ(mqtt_decode(span_first(bytes, bytes.len - 1), SIZE_MAX, &p, &used), NEED_MORE);
    }
}

/* One packet of each kind that has a decoder, as the specification lays it out. */
/* clang-format off */
#define NAME "\0\4MQTT"
static const struct {
    const char *name;
    struct span bytes;
} good[] = {
    {"CONNECT, least",         SPAN_INIT("\x10\x0c" NAME "\x04\x00\x00\x00\x00\x00")},
    {"CONNECT, all of it",     SPAN_INIT("\x10\x1d" NAME "\x04\xee\x00\x3c\x00\x01" "d" "\x00\x01t\x00\x02w\x00"
                                         "\x00\x03usr\x00\x02\x00\xff")},
    {"CONNECT, will QoS 2",    SPAN_INIT("\x10\x12" NAME "\x04\x14\x00\x00\x00\x01" "d" "\x00\x01t\x00\x00")},
    {"CONNECT, empty user",    SPAN_INIT("\x10\x0e" NAME "\x04\x80\x00\x00\x00\x00\x00\x00")},
    {"CONNECT, other name",    SPAN_INIT("\x10\x0c\0\6MQIsdp\x03\x00\x00\x00")},
    {"CONNECT, level 5",       SPAN_INIT("\x10\x0d" NAME "\x05\x00\x00\x00\x00\x00\x00")},
    {"CONNACK",                SPAN_INIT("\x20\x02\x01\x00")},
    {"CONNACK, refused",       SPAN_INIT("\x20\x02\x00\x05")},
    {"PUBLISH, QoS 0",         SPAN_INIT("\x30\x05\x00\x01tab")},
    {"PUBLISH, no payload",    SPAN_INIT("\x31\x03\x00\x01t")},
    {"PUBLISH, QoS 1",         SPAN_INIT("\x3b\x07\x00\x01t\x00\x0a" "ab")},
    {"PUBLISH, wildcards",     SPAN_INIT("\x30\x05\x00\x03+/#")},
    {"PUBLISH, UTF-8",         SPAN_INIT("\x30\x06\x00\x04\xf0\x9f\x98\x80")},
    {"PUBLISH, BOM is kept",   SPAN_INIT("\x30\x05\x00\x03\xef\xbb\xbf")},  /* [MQTT-1.5.3-3] */
    {"PUBACK",                 SPAN_INIT("\x40\x02\x12\x34")},
    {"PUBACK, id 0",           SPAN_INIT("\x40\x02\x00\x00")},
    {"SUBSCRIBE",              SPAN_INIT("\x82\x0b\x00\x01\x00\x01#\x02\x00\x02" "a/\x00")},
    {"SUBACK",                 SPAN_INIT("\x90\x06\x00\x01\x00\x01\x02\x80")},
    {"UNSUBSCRIBE",            SPAN_INIT("\xa2\x08\x00\x01\x00\x01" "a\x00\x01" "b")},
    {"UNSUBACK",               SPAN_INIT("\xb0\x02\x00\x01")},
    {"PINGREQ",                SPAN_INIT("\xc0\x00")},
    {"PINGRESP",               SPAN_INIT("\xd0\x00")},
    {"DISCONNECT",             SPAN_INIT("\xe0\x00")},
};

/* Whole packets that close the connection. */
static const struct {
    const char *name;
    struct span bytes;
} bad[] = {
    {"CONNECT, no body",                   SPAN_INIT("\x10\x00")},
    {"CONNECT, half a length",             SPAN_INIT("\x10\x01\x00")},
    {"CONNECT, name cut",                  SPAN_INIT("\x10\x05\x00\x04MQT")},
    {"CONNECT, no level",                  SPAN_INIT("\x10\x06" NAME)},
    {"CONNECT, no flags",                  SPAN_INIT("\x10\x07" NAME "\x04")},
    {"CONNECT, no keep-alive",             SPAN_INIT("\x10\x08" NAME "\x04\x02")},
    {"CONNECT, half a keep-alive",         SPAN_INIT("\x10\x09" NAME "\x04\x02\x00")},
    {"CONNECT, no client id",              SPAN_INIT("\x10\x0a" NAME "\x04\x02\x00\x00")},
    {"CONNECT, client id cut",             SPAN_INIT("\x10\x0d" NAME "\x04\x02\x00\x00\x00\x02" "d")},
    {"CONNECT, NUL in the name",           SPAN_INIT("\x10\x0c\0\4M\0TT\x04\x00\x00\x00\x00\x00")},
    {"CONNECT, client id not UTF-8",       SPAN_INIT("\x10\x0d" NAME "\x04\x02\x00\x00\x00\x01\xff")},
    {"CONNECT, NUL in the client id",      SPAN_INIT("\x10\x0d" NAME "\x04\x02\x00\x00\x00\x01\x00")},
    {"CONNECT, reserved flag",             SPAN_INIT("\x10\x0c" NAME "\x04\x01\x00\x00\x00\x00")},             /* [MQTT-3.1.2-3] */
    {"CONNECT, will QoS without will",     SPAN_INIT("\x10\x0c" NAME "\x04\x08\x00\x00\x00\x00")},             /* [MQTT-3.1.2-13] */
    {"CONNECT, will retain without will",  SPAN_INIT("\x10\x0c" NAME "\x04\x20\x00\x00\x00\x00")},             /* [MQTT-3.1.2-15] */
    {"CONNECT, will QoS 3",                SPAN_INIT("\x10\x11" NAME "\x04\x1c\x00\x00\x00\x00\x00\x01t\x00\x00")}, /* [MQTT-3.1.2-14] */
    {"CONNECT, password without user",     SPAN_INIT("\x10\x0e" NAME "\x04\x40\x00\x00\x00\x00\x00\x00")},     /* [MQTT-3.1.2-22] */
    {"CONNECT, will topic missing",        SPAN_INIT("\x10\x0c" NAME "\x04\x04\x00\x00\x00\x00")},
    {"CONNECT, will topic empty",          SPAN_INIT("\x10\x10" NAME "\x04\x04\x00\x00\x00\x00\x00\x00\x00\x00")}, /* [MQTT-4.7.3-1] */
    {"CONNECT, will topic not UTF-8",      SPAN_INIT("\x10\x11" NAME "\x04\x04\x00\x00\x00\x00\x00\x01\xc0\x00\x00")},
    {"CONNECT, will payload missing",      SPAN_INIT("\x10\x0f" NAME "\x04\x04\x00\x00\x00\x00\x00\x01t")},
    {"CONNECT, will payload cut",          SPAN_INIT("\x10\x12" NAME "\x04\x04\x00\x00\x00\x00\x00\x01t\x00\x02w")},
    {"CONNECT, user missing",              SPAN_INIT("\x10\x0c" NAME "\x04\x80\x00\x00\x00\x00")},
    {"CONNECT, user not UTF-8",            SPAN_INIT("\x10\x0f" NAME "\x04\x80\x00\x00\x00\x00\x00\x01\x80")}, /* [MQTT-3.1.3-11] */
    {"CONNECT, password missing",          SPAN_INIT("\x10\x0f" NAME "\x04\xc0\x00\x00\x00\x00\x00\x01u")},
    {"CONNECT, password cut",              SPAN_INIT("\x10\x12" NAME "\x04\xc0\x00\x00\x00\x00\x00\x01u\x00\x02p")},
    {"CONNECT, bytes left over",           SPAN_INIT("\x10\x0d" NAME "\x04\x00\x00\x00\x00\x00!")},
    {"CONNACK, no body",                   SPAN_INIT("\x20\x00")},
    {"CONNACK, no code",                   SPAN_INIT("\x20\x01\x00")},
    {"CONNACK, reserved flag",             SPAN_INIT("\x20\x02\x02\x00")},
    {"CONNACK, session and refusal",       SPAN_INIT("\x20\x02\x01\x05")},                                     /* [MQTT-3.2.2-4] */
    {"CONNACK, MQTT 5",                    SPAN_INIT("\x20\x03\x00\x84\x00")},
    {"PUBLISH, no body",                   SPAN_INIT("\x30\x00")},
    {"PUBLISH, half a length",             SPAN_INIT("\x30\x01\x00")},
    {"PUBLISH, topic cut",                 SPAN_INIT("\x30\x03\x00\x02t")},
    {"PUBLISH, topic empty",               SPAN_INIT("\x30\x02\x00\x00")},                                     /* [MQTT-4.7.3-1] */
    {"PUBLISH, NUL in the topic",          SPAN_INIT("\x30\x05\x00\x03" "a\0b")},                              /* [MQTT-1.5.3-2] */
    {"PUBLISH, topic not UTF-8",           SPAN_INIT("\x30\x03\x00\x01\xff")},                                 /* [MQTT-3.3.2-1] */
    {"PUBLISH, overlong UTF-8",            SPAN_INIT("\x30\x04\x00\x02\xc0\xaf")},                             /* [MQTT-1.5.3-1] */
    {"PUBLISH, NUL in two bytes",          SPAN_INIT("\x30\x04\x00\x02\xc0\x80")},
    {"PUBLISH, surrogate",                 SPAN_INIT("\x30\x05\x00\x03\xed\xa0\x80")},                         /* [MQTT-1.5.3-1] */
    {"PUBLISH, above U+10FFFF",            SPAN_INIT("\x30\x06\x00\x04\xf4\x90\x80\x80")},
    {"PUBLISH, UTF-8 cut",                 SPAN_INIT("\x30\x05\x00\x02\xe2\x82\xac")},
    {"PUBLISH, QoS 1 without id",          SPAN_INIT("\x32\x03\x00\x01t")},
    {"PUBLISH, half an id",                SPAN_INIT("\x32\x04\x00\x01t\x00")},
    {"PUBLISH, id 0",                      SPAN_INIT("\x32\x05\x00\x01t\x00\x00")},                            /* [MQTT-2.3.1-1] */
    {"PUBLISH, QoS 2",                     SPAN_INIT("\x34\x05\x00\x01t\x00\x01")},
    {"PUBLISH, QoS 3",                     SPAN_INIT("\x36\x05\x00\x01t\x00\x01")},                            /* [MQTT-3.3.1-4] */
    {"PUBLISH, DUP with QoS 0",            SPAN_INIT("\x38\x03\x00\x01t")},                                    /* [MQTT-3.3.1-2] */
    {"PUBACK, no body",                    SPAN_INIT("\x40\x00")},
    {"PUBACK, half an id",                 SPAN_INIT("\x40\x01\x01")},
    {"PUBACK, too long",                   SPAN_INIT("\x40\x03\x00\x01\x00")},
    {"SUBSCRIBE, no body",                 SPAN_INIT("\x82\x00")},
    {"SUBSCRIBE, half an id",              SPAN_INIT("\x82\x01\x00")},
    {"SUBSCRIBE, no filter",               SPAN_INIT("\x82\x02\x00\x01")},                                     /* [MQTT-3.8.3-3] */
    {"SUBSCRIBE, id 0",                    SPAN_INIT("\x82\x06\x00\x00\x00\x01" "a\x00")},                     /* [MQTT-2.3.1-1] */
    {"SUBSCRIBE, half a length",           SPAN_INIT("\x82\x03\x00\x01\x00")},
    {"SUBSCRIBE, filter cut",              SPAN_INIT("\x82\x05\x00\x01\x00\x02" "a")},
    {"SUBSCRIBE, filter empty",            SPAN_INIT("\x82\x05\x00\x01\x00\x00\x00")},                         /* [MQTT-4.7.3-1] */
    {"SUBSCRIBE, NUL in the filter",       SPAN_INIT("\x82\x06\x00\x01\x00\x01\x00\x00")},                     /* [MQTT-4.7.3-2] */
    {"SUBSCRIBE, filter not UTF-8",        SPAN_INIT("\x82\x06\x00\x01\x00\x01\xfe\x00")},                     /* [MQTT-3.8.3-1] */
    {"SUBSCRIBE, no QoS",                  SPAN_INIT("\x82\x05\x00\x01\x00\x01" "a")},
    {"SUBSCRIBE, QoS 3",                   SPAN_INIT("\x82\x06\x00\x01\x00\x01" "a\x03")},                     /* [MQTT-3.8.3-4] */
    {"SUBSCRIBE, reserved QoS bits",       SPAN_INIT("\x82\x06\x00\x01\x00\x01" "a\x41")},                     /* [MQTT-3.8.3-4] */
    {"SUBSCRIBE, second filter bad",       SPAN_INIT("\x82\x0a\x00\x01\x00\x01" "a\x00\x00\x01" "b\x03")},
    {"SUBACK, no code",                    SPAN_INIT("\x90\x02\x00\x01")},
    {"SUBACK, no id",                      SPAN_INIT("\x90\x01\x00")},
    {"SUBACK, code 3",                     SPAN_INIT("\x90\x03\x00\x01\x03")},                                 /* [MQTT-3.9.3-2] */
    {"UNSUBSCRIBE, no filter",             SPAN_INIT("\xa2\x02\x00\x01")},                                     /* [MQTT-3.10.3-2] */
    {"UNSUBSCRIBE, id 0",                  SPAN_INIT("\xa2\x05\x00\x00\x00\x01" "a")},
    {"UNSUBSCRIBE, filter empty",          SPAN_INIT("\xa2\x04\x00\x01\x00\x00")},
    {"UNSUBSCRIBE, filter cut",            SPAN_INIT("\xa2\x05\x00\x01\x00\x02" "a")},
    {"UNSUBSCRIBE, filter not UTF-8",      SPAN_INIT("\xa2\x05\x00\x01\x00\x01\x80")},                         /* [MQTT-3.10.3-1] */
    {"UNSUBACK, too long",                 SPAN_INIT("\xb0\x03\x00\x01\x00")},
    {"PINGREQ, with a body",               SPAN_INIT("\xc0\x01\x00")},
    {"PINGRESP, with a body",              SPAN_INIT("\xd0\x01\x00")},
    {"DISCONNECT, with a body",            SPAN_INIT("\xe0\x01\x00")},
};
/* clang-format on */

TEST(well_formed_packets_are_taken)
{
    for (size_t i = 0; i < COUNT(good); i++)
        EXPECT_EQ_IN(good[i].name, judge(good[i].bytes), OK);
}

TEST(malformed_packets_close_the_connection)
{
    for (size_t i = 0; i < COUNT(bad); i++)
        EXPECT_EQ_IN(bad[i].name, judge(bad[i].bytes), BAD_PACKET);
}

TEST(every_prefix_of_a_packet_waits)
{
    for (size_t i = 0; i < COUNT(good); i++)
        for (size_t n = 0; n < good[i].bytes.len; n++) {
            struct mqtt_packet p = {.type = 99};
            size_t used = 99;
            struct span prefix = test_at_edge(span_first(good[i].bytes, n));
            EXPECT_EQ_IN(good[i].name, mqtt_decode(prefix, 1024, &p, &used), NEED_MORE);
            EXPECT_EQ_IN(good[i].name, p.type, 99);
            EXPECT_EQ_IN(good[i].name, used, 99);
        }
}

/* A body cut short is never read beyond its end, whatever the decoder makes of it. */
TEST(a_body_cut_anywhere_is_judged_within_its_bytes)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        struct mqtt_packet p = packet_of(good[i].bytes);
        struct span whole = p.body;
        for (size_t n = 0; n <= whole.len; n++) {
            p.body = test_at_edge(span_first(whole, n));
            enum status st = judge_body(&p);
            EXPECT(st == OK || st == BAD_PACKET);
        }
    }
}

TEST(connect_gives_what_its_flags_announce)
{
    struct mqtt_connect c;
    struct mqtt_packet p = packet_of(good[1].bytes);
    EXPECT_EQ(mqtt_connect_decode(&p, &c), OK);
    EXPECT_EQ(c.version, MQTT_VERSION_3_1_1);
    EXPECT(c.clean_session && c.has_will && c.has_username && c.has_password);
    EXPECT_EQ(c.keep_alive_s, 60);
    EXPECT_SPAN(c.client_id, SPAN("d"));
    EXPECT_SPAN(c.will.topic, SPAN("t"));
    EXPECT_SPAN(c.will.payload, SPAN("w\0"));
    EXPECT_EQ(c.will.qos, 1);
    EXPECT(c.will.retain);
    EXPECT_SPAN(c.username, SPAN("usr"));
    EXPECT_SPAN(c.password, SPAN("\0\xff"));

    p = packet_of(good[0].bytes);
    EXPECT_EQ(mqtt_connect_decode(&p, &c), OK);
    EXPECT(!c.clean_session && !c.has_will && !c.has_username && !c.has_password);
    EXPECT_EQ(c.client_id.len, 0);

    p = packet_of(good[2].bytes);
    EXPECT_EQ(mqtt_connect_decode(&p, &c), OK);
    EXPECT_EQ(c.will.qos, 2);
    EXPECT(!c.will.retain);
}

TEST(connect_tells_which_protocol_is_spoken) /* [MQTT-3.1.2-1], [MQTT-3.1.2-2] */
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct span bytes;
        enum mqtt_version want;
    } rows[] = {
        {"3.1.1",           SPAN_INIT("\x10\x0c" NAME "\x04\x00\x00\x00\x00\x00"), MQTT_VERSION_3_1_1},
        {"5",               SPAN_INIT("\x10\x07" NAME "\x05"),                     MQTT_VERSION_5},
        {"3.1",             SPAN_INIT("\x10\x09\0\6MQIsdp\x03"),                   MQTT_VERSION_OTHER},
        {"level 3",         SPAN_INIT("\x10\x07" NAME "\x03"),                     MQTT_VERSION_OTHER},
        {"level 6",         SPAN_INIT("\x10\x07" NAME "\x06"),                     MQTT_VERSION_OTHER},
        {"a bridge",        SPAN_INIT("\x10\x07" NAME "\x84"),                     MQTT_VERSION_OTHER},
        {"lower case",      SPAN_INIT("\x10\x07\0\4mqtt\x04"),                     MQTT_VERSION_OTHER},
        {"no name",         SPAN_INIT("\x10\x03\0\0\x04"),                         MQTT_VERSION_OTHER},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mqtt_packet p = packet_of(rows[i].bytes);
        struct mqtt_connect c;
        EXPECT_EQ_IN(rows[i].name, mqtt_connect_decode(&p, &c), OK);
        EXPECT_EQ_IN(rows[i].name, c.version, rows[i].want);
    }
}

TEST(publish_gives_its_flags_and_the_rest_as_payload)
{
    struct mqtt_publish m;
    struct mqtt_packet p = packet_of(SPAN("\x3b\x07\x00\x01t\x01\x0a"
                                          "ab"));
    EXPECT_EQ(mqtt_publish_decode(&p, &m), OK);
    EXPECT(m.dup && m.retain);
    EXPECT_EQ(m.qos, 1);
    EXPECT_EQ(m.packet_id, 0x010a);
    EXPECT_SPAN(m.topic, SPAN("t"));
    EXPECT_SPAN(m.payload, SPAN("ab"));

    p = packet_of(SPAN("\x30\x03\x00\x01t"));
    EXPECT_EQ(mqtt_publish_decode(&p, &m), OK);
    EXPECT(!m.dup && !m.retain);
    EXPECT_EQ(m.qos, 0);
    EXPECT_EQ(m.packet_id, 0);
    EXPECT_EQ(m.payload.len, 0);
}

TEST(filters_come_in_packet_order)
{
    struct mqtt_filters it;
    struct mqtt_filter f;
    struct mqtt_packet p = packet_of(SPAN("\x82\x0b\x12\x34\x00\x01#\x02\x00\x02"
                                          "a/\x00"));
    EXPECT_EQ(mqtt_subscribe_decode(&p, &it), OK);
    EXPECT_EQ(it.packet_id, 0x1234);
    EXPECT_EQ(it.count, 2);
    EXPECT(mqtt_filters_next(&it, &f));
    EXPECT_SPAN(f.filter, SPAN("#"));
    EXPECT_EQ(f.qos, 2);
    EXPECT(mqtt_filters_next(&it, &f));
    EXPECT_SPAN(f.filter, SPAN("a/"));
    EXPECT_EQ(f.qos, 0);
    EXPECT(!mqtt_filters_next(&it, &f));
    EXPECT(!mqtt_filters_next(&it, &f));

    p = packet_of(SPAN("\xa2\x08\x00\x07\x00\x01"
                       "a\x00\x01"
                       "b"));
    EXPECT_EQ(mqtt_unsubscribe_decode(&p, &it), OK);
    EXPECT_EQ(it.packet_id, 7);
    EXPECT_EQ(it.count, 2);
    f.qos = 9;
    EXPECT(mqtt_filters_next(&it, &f));
    EXPECT_SPAN(f.filter, SPAN("a"));
    EXPECT_EQ(f.qos, 0);
    EXPECT(mqtt_filters_next(&it, &f));
    EXPECT_SPAN(f.filter, SPAN("b"));
    EXPECT(!mqtt_filters_next(&it, &f));
}

TEST(answers_read_back_by_a_client)
{
    uint16_t id;
    bool present;
    uint8_t code;
    struct span codes;
    struct mqtt_packet p = packet_of(SPAN("\x20\x02\x01\x00"));
    EXPECT_EQ(mqtt_connack_decode(&p, &present, &code), OK);
    EXPECT(present);
    EXPECT_EQ(code, MQTT_ACCEPTED);
    p = packet_of(SPAN("\x20\x02\x00\x05"));
    EXPECT_EQ(mqtt_connack_decode(&p, &present, &code), OK);
    EXPECT(!present);
    EXPECT_EQ(code, MQTT_NOT_AUTHORIZED);
    p = packet_of(SPAN("\x90\x04\x12\x34\x01\x80"));
    EXPECT_EQ(mqtt_suback_decode(&p, &id, &codes), OK);
    EXPECT_EQ(id, 0x1234);
    EXPECT_SPAN(codes, SPAN("\x01\x80"));
    p = packet_of(SPAN("\x40\x02\xff\xfe"));
    EXPECT_EQ(mqtt_ack_decode(&p, &id), OK);
    EXPECT_EQ(id, 0xfffe);
}

TEST(what_the_hub_sends_is_exact_to_the_byte)
{
    mqtt_connack_encode(&out, true, MQTT_ACCEPTED);
    EXPECT_SPAN(encoded(), SPAN("\x20\x02\x01\x00"));
    mqtt_connack_encode(&out, false, MQTT_ACCEPTED);
    EXPECT_SPAN(encoded(), SPAN("\x20\x02\x00\x00"));
    mqtt_connack_encode(&out, true, MQTT_NOT_AUTHORIZED); /* [MQTT-3.2.2-4] */
    EXPECT_SPAN(encoded(), SPAN("\x20\x02\x00\x05"));
    mqtt_connack5_encode(&out, MQTT5_UNSUPPORTED_VERSION);
    EXPECT_SPAN(encoded(), SPAN("\x20\x03\x00\x84\x00"));
    mqtt_publish_encode(&out, &(struct mqtt_publish){.topic = SPAN("t"), .payload = SPAN("ab")});
    EXPECT_SPAN(encoded(), SPAN("\x30\x05\x00\x01tab"));
    mqtt_publish_encode(
        &out, &(struct mqtt_publish){.topic = SPAN("t"), .packet_id = 3, .dup = true}); /* QoS 0 */
    EXPECT_SPAN(encoded(), SPAN("\x30\x03\x00\x01t"));
    mqtt_publish_encode(&out, &(struct mqtt_publish){.topic = SPAN("t"),
                                                     .payload = SPAN("ab"),
                                                     .packet_id = 0x010a,
                                                     .qos = 1,
                                                     .dup = true,
                                                     .retain = true});
    EXPECT_SPAN(encoded(), SPAN("\x3b\x07\x00\x01t\x01\x0a"
                                "ab"));
    mqtt_puback_encode(&out, 0x1234);
    EXPECT_SPAN(encoded(), SPAN("\x40\x02\x12\x34"));
    mqtt_suback_encode(&out, 1, SPAN("\x00\x01\x80"));
    EXPECT_SPAN(encoded(), SPAN("\x90\x05\x00\x01\x00\x01\x80"));
    mqtt_unsuback_encode(&out, 0x8001);
    EXPECT_SPAN(encoded(), SPAN("\xb0\x02\x80\x01"));
    mqtt_pingresp_encode(&out);
    EXPECT_SPAN(encoded(), SPAN("\xd0\x00"));
}

TEST(what_a_client_sends_is_exact_to_the_byte)
{
    struct mqtt_connect c = {.version = MQTT_VERSION_3_1_1};
    mqtt_connect_encode(&out, &c);
    EXPECT_SPAN(encoded(), good[0].bytes);
    c = (struct mqtt_connect){
        .version = MQTT_VERSION_3_1_1,
        .clean_session = true,
        .has_will = true,
        .has_username = true,
        .has_password = true,
        .keep_alive_s = 60,
        .client_id = SPAN("d"),
        .will = {SPAN("t"), SPAN("w\0"), 1, true},
        .username = SPAN("usr"),
        .password = SPAN("\0\xff"),
    };
    mqtt_connect_encode(&out, &c);
    EXPECT_SPAN(encoded(), good[1].bytes);
    struct mqtt_filter filters[] = {
        {SPAN("#"),  2},
        {SPAN("a/"), 0}
    };
    mqtt_subscribe_encode(&out, 1, filters, 2);
    EXPECT_SPAN(encoded(), SPAN("\x82\x0b\x00\x01\x00\x01#\x02\x00\x02"
                                "a/\x00"));
    mqtt_unsubscribe_encode(&out, 1, filters, 2);
    EXPECT_SPAN(encoded(), SPAN("\xa2\x09\x00\x01\x00\x01#\x00\x02"
                                "a/"));
    mqtt_pingreq_encode(&out);
    EXPECT_SPAN(encoded(), SPAN("\xc0\x00"));
    mqtt_disconnect_encode(&out);
    EXPECT_SPAN(encoded(), SPAN("\xe0\x00"));
}

TEST(a_string_of_65535_bytes_goes_through)
{
    static uint8_t text[MQTT_STRING_MAX];
    memset(text, 'a', sizeof(text));
    struct mqtt_publish sent = {.topic = span_of(text, sizeof(text)), .payload = SPAN("p")}, got;
    mqtt_publish_encode(&out, &sent);
    struct mqtt_packet p = packet_of(test_at_edge(encoded()));
    EXPECT_EQ(mqtt_publish_decode(&p, &got), OK);
    EXPECT_SPAN(got.topic, sent.topic);
    EXPECT_SPAN(got.payload, sent.payload);
}

TEST_MAIN(RUN(mqtt_decode_finds_whole_packets),
          RUN(flags_other_than_table_2_2_are_refused_at_the_first_byte),
          RUN(a_body_length_takes_one_to_four_bytes), RUN(well_formed_packets_are_taken),
          RUN(malformed_packets_close_the_connection), RUN(every_prefix_of_a_packet_waits),
          RUN(a_body_cut_anywhere_is_judged_within_its_bytes),
          RUN(connect_gives_what_its_flags_announce), RUN(connect_tells_which_protocol_is_spoken),
          RUN(publish_gives_its_flags_and_the_rest_as_payload), RUN(filters_come_in_packet_order),
          RUN(answers_read_back_by_a_client), RUN(what_the_hub_sends_is_exact_to_the_byte),
          RUN(what_a_client_sends_is_exact_to_the_byte), RUN(a_string_of_65535_bytes_goes_through))
