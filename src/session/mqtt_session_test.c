#include "base/test.h"

#include "session/session_fixture.h"

static struct setting t;

static int set_up(void **state)
{
    (void)state;
    setting_init(&t);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    setting_fini(&t);
    return 0;
}

/* ---- which packet is legal when ---- */

#define EVENTS "devices/d/messages/events/"
#define GET    "$iothub/twin/GET/?$rid="
#define REPORT "$iothub/twin/PATCH/properties/reported/?$rid="

static const struct {
    const char *name;
    struct span bytes;
    bool at_first; /* legal in M_NEW and M_LOGIN, else in M_OPEN or (bytes of a server) never */
    bool when_open;
} packets[] = {
  /* clang-format off */
    {"CONNECT", SPAN_INIT("\x10\x22\x00\x04MQTT\x04\x80\x00\x3c\x00\x01" "d"
                          "\x00\x13" HOST "/d/"), true, false},
    {"CONNACK", SPAN_INIT("\x20\x02\x00\x00"), false, false},
    {"PUBLISH", SPAN_INIT("\x30\x1c\x00\x1a" EVENTS), false, true},
    {"PUBACK", SPAN_INIT("\x40\x02\x00\x01"), false, true},
    {"PUBREC", SPAN_INIT("\x50\x02\x00\x01"), false, false},
    {"PUBREL", SPAN_INIT("\x62\x02\x00\x01"), false, false},
    {"PUBCOMP", SPAN_INIT("\x70\x02\x00\x01"), false, false},
    {"SUBSCRIBE", SPAN_INIT("\x82\x06\x00\x01\x00\x01#\x00"), false, true},
    {"SUBACK", SPAN_INIT("\x90\x03\x00\x01\x00"), false, false},
    {"UNSUBSCRIBE", SPAN_INIT("\xa2\x05\x00\x01\x00\x01#"), false, true},
    {"UNSUBACK", SPAN_INIT("\xb0\x02\x00\x01"), false, false},
    {"PINGREQ", SPAN_INIT("\xc0\x00"), false, true},
    {"PINGRESP", SPAN_INIT("\xd0\x00"), false, false},
    {"DISCONNECT", SPAN_INIT("\xe0\x00"), false, true},
  /* clang-format on */
};

TEST(each_packet_is_legal_in_its_states_only)
{
    EXPECT_EQ(COUNT(packets), 14);
    for (size_t i = 0; i < COUNT(packets); i++) {
        for (int in = M_NEW; in <= M_CLOSED; in++) {
            setting_session(&t, NULL, (enum mqtt_state)in);
            bool first = in == M_NEW || in == M_LOGIN;
            bool legal = first ? packets[i].at_first : packets[i].when_open && in == M_OPEN;
            EXPECT_EQ_IN(packets[i].name, setting_feed(&t, packets[i].bytes),
                         legal ? OK : BAD_PACKET);
            EXPECT_EQ_IN(packets[i].name, t.action.type, i + 1);
            if (!legal)
                EXPECT_SPAN_IN(packets[i].name, span_text(t.action.reason), SPAN("not legal now"));
        }
    }
}

static const struct {
    const char *name;
    struct span bytes;
    enum mqtt_state state;
} malformed[] = {
    {"malformed CONNECT",     SPAN_INIT("\x10\x02\x00\x04"),         M_NEW },
    {"malformed PUBLISH",     SPAN_INIT("\x30\x02\x00\x09"),         M_OPEN},
    {"malformed PUBACK",      SPAN_INIT("\x40\x01\x00"),             M_OPEN},
    {"malformed SUBSCRIBE",   SPAN_INIT("\x82\x02\x00\x01"),         M_OPEN},
    {"malformed UNSUBSCRIBE", SPAN_INIT("\xa2\x04\x00\x01\x00\x09"), M_OPEN},
    {"malformed PINGREQ",     SPAN_INIT("\xc0\x01\x00"),             M_OPEN},
    {"malformed DISCONNECT",  SPAN_INIT("\xe0\x01\x00"),             M_OPEN},
};

TEST(a_malformed_packet_closes_and_says_which)
{
    for (size_t i = 0; i < COUNT(malformed); i++) {
        setting_session(&t, NULL, malformed[i].state);
        EXPECT_EQ_IN(malformed[i].name, setting_feed(&t, malformed[i].bytes), BAD_PACKET);
        EXPECT_SPAN_IN("reason", span_text(t.action.reason), span_text(malformed[i].name));
        EXPECT_EQ_IN(malformed[i].name, t.out.len, 0);
    }
}

TEST(a_ping_is_answered_and_an_acknowledgement_heard)
{
    setting_session(&t, NULL, M_OPEN);
    EXPECT_EQ(setting_feed(&t, SPAN("\xc0\x00")), OK);
    EXPECT_EQ(t.action.act, ACT_PING);
    EXPECT_SPAN(setting_written(&t), SPAN("\xd0\x00"));
    EXPECT_EQ(setting_feed(&t, SPAN("\x40\x02\x00\x07")), OK);
    EXPECT_EQ(t.action.act, ACT_NONE);
}

/* ---- PUBLISH ---- */

static void publish(struct buf *b, const char *topic, size_t payload_len, uint16_t packet_id)
{
    static const uint8_t zeros[MQTT_MESSAGE_MAX + 64];
    struct mqtt_publish p = {.topic = span_text(topic),
                             .payload = span_of(zeros, payload_len),
                             .qos = packet_id != 0,
                             .packet_id = packet_id};
    mqtt_publish_encode(b, &p);
}

static const struct {
    const char *name, *module, *topic;
    size_t payload_len;
    uint16_t packet_id;
    enum status want;
    enum mqtt_act act;
    enum op_kind kind;
    const char *rid;
    int64_t if_version;
    const char *written;
} publishes[] = {
  /* clang-format off */
    {"telemetry", NULL, EVENTS, 3, 0, OK, ACT_EVENT, 0, "", -1, ""},
    {"telemetry, QoS 1: PUBACK later", NULL, EVENTS, 3, 9, OK, ACT_EVENT, 0, "", -1, ""},
    {"telemetry of a module", "m", "devices/d/modules/m/messages/events/", 0, 0, OK, ACT_EVENT, 0, "",
     -1, ""},
    {"a module is not its device", "m", EVENTS, 0, 0, UNAUTHORIZED, 0, 0, NULL, 0, ""},
    {"nor a device its module", NULL, "devices/d/modules/m/messages/events/", 0, 0, UNAUTHORIZED, 0, 0,
     NULL, 0, ""},
    {"another device", NULL, "devices/other/messages/events/", 0, 0, UNAUTHORIZED, 0, 0, NULL, 0, ""},
    {"the largest message", NULL, EVENTS, MQTT_MESSAGE_MAX, 0, OK, ACT_EVENT, 0, "", -1, ""},
    {"one byte more", NULL, EVENTS, MQTT_MESSAGE_MAX + 1, 0, TOO_LARGE, 0, 0, NULL, 0, ""},
    {"properties count", NULL, EVENTS "a=b", MQTT_MESSAGE_MAX - 1, 0, TOO_LARGE, 0, 0, NULL, 0, ""},
    {"twin, read", NULL, GET "7", 1, 0, OK, ACT_OP, OP_TWIN_READ, "7", -1, ""},
    {"twin of a module, read", "m", GET "x%20", 0, 5, OK, ACT_OP, OP_TWIN_READ, "x%20", -1, ""},
    {"twin, read without rid", NULL, "$iothub/twin/GET/", 0, 0, BAD_PACKET, 0, 0, NULL, 0, ""},
    {"twin, reported", NULL, REPORT "8", 2, 4, OK, ACT_OP, OP_TWIN_REPORT, "8", -1, ""},
    {"twin, reported, no answer wanted", NULL, "$iothub/twin/PATCH/properties/reported/", 2, 0, OK,
     ACT_OP, OP_TWIN_REPORT, "", -1, ""},
    {"twin, reported at a version", NULL, REPORT "8&$version=3", 2, 0, OK, ACT_OP, OP_TWIN_REPORT, "8",
     3, ""},
    {"a version below zero is none", NULL, REPORT "8&$version=-1", 2, 0, OK, ACT_OP, OP_TWIN_REPORT,
     "8", INT64_MAX, ""},
    {"twin, a report too large", NULL, REPORT "8", MQTT_MESSAGE_MAX + 1, 0, TOO_LARGE, 0, 0, NULL, 0,
     ""},
    {"twin, what nobody may", NULL, "$iothub/twin/PATCH/properties/desired/?$rid=1", 0, 0, BAD_PACKET,
     0, 0, NULL, 0, ""},
    {"a method's answer, too late", NULL, "$iothub/methods/res/200/?$rid=1", 2, 0, OK, ACT_NONE, 0, "1",
     -1, ""},
    {"the same with QoS 1 is acknowledged", NULL, "$iothub/methods/res/200/?$rid=1", 2, 0x102, OK,
     ACT_NONE, 0, "1", -1, "\x40\x02\x01\x02"},
    {"a method's answer without a status", NULL, "$iothub/methods/res/x/?$rid=1", 0, 0, BAD_PACKET, 0, 0,
     NULL, 0, ""},
    {"wildcard", NULL, EVENTS "#", 0, 0, BAD_PACKET, 0, 0, NULL, 0, ""},
    {"no topic of ours", NULL, "a/b", 0, 0, BAD_PACKET, 0, 0, NULL, 0, ""},
  /* clang-format on */
};

TEST(a_publish_becomes_the_action_its_topic_names)
{
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(publishes); i++) {
        const char *name = publishes[i].name;
        setting_session(&t, publishes[i].module, M_OPEN);
        buf_clear(&b);
        publish(&b, publishes[i].topic, publishes[i].payload_len, publishes[i].packet_id);
        EXPECT_EQ_IN(name, setting_feed(&t, buf_span(&b)), publishes[i].want);
        EXPECT_SPAN_IN(name, setting_written(&t), span_text(publishes[i].written));
        if (publishes[i].want != OK) {
            EXPECT(t.action.reason);
            continue;
        }
        const struct op *op = &t.action.op;
        EXPECT_EQ_IN(name, t.action.act, publishes[i].act);
        EXPECT_EQ_IN(name, t.action.packet_id, publishes[i].packet_id);
        EXPECT_SPAN_IN(name, t.action.rid, span_text(publishes[i].rid));
        EXPECT_EQ_IN(name, op->if_version, publishes[i].if_version);
        EXPECT_SPAN_IN(name, op->device, SPAN("d"));
        EXPECT_SPAN_IN(name, op->module, span_text(publishes[i].module));
        EXPECT_EQ_IN(name, op->by_device, true);
        if (t.action.act == ACT_OP)
            EXPECT_EQ_IN(name, op->kind, publishes[i].kind);
        if (op->kind == OP_TWIN_REPORT)
            EXPECT_EQ_IN(name, op->body.len, publishes[i].payload_len);
        if (t.action.act == ACT_EVENT)
            EXPECT_EQ_IN(name, t.action.message_len, publishes[i].payload_len);
    }
    buf_fini(&b);
}

/* ---- SUBSCRIBE, UNSUBSCRIBE ---- */

#define RES     "$iothub/twin/res/#"
#define DESIRED "$iothub/twin/PATCH/properties/desired/#"

static struct span long_filter(size_t len)
{
    static char text[MQTT_FILTER_MAX + 2] = "$iothub/methods/POST/";
    memset(text + 21, 'a', len - 23);
    text[len - 2] = '/';
    text[len - 1] = '#';
    return span_of(text, len);
}

static enum status subscribe(const struct mqtt_filter *filters, size_t count)
{
    struct buf b = {0};
    mqtt_subscribe_encode(&b, 258, filters, count);
    enum status st = setting_feed(&t, buf_span(&b));
    buf_fini(&b); /* what the action says of filters was copied */
    return st;
}

TEST(filters_are_granted_one_by_one)
{
    const struct {
        struct mqtt_filter filter;
        uint8_t code;
    } rows[] = {
        {{SPAN(RES), 0},                                    0   },
        {{SPAN(DESIRED), 1},                                1   },
        {{SPAN("devices/d/messages/devicebound/#"), 2},     1   },
        {{SPAN("devices/other/messages/devicebound/#"), 1}, 0x80},
        {{SPAN("#/a"), 1},                                  0x80},
        {{long_filter(MQTT_FILTER_MAX + 1), 1},             0x80},
    };
    setting_session(&t, NULL, M_OPEN);
    struct mqtt_filter filters[COUNT(rows)];
    for (size_t i = 0; i < COUNT(rows); i++)
        filters[i] = rows[i].filter;
    EXPECT_EQ(subscribe(filters, COUNT(rows)), OK);
    EXPECT_EQ(t.action.act, ACT_OP);
    EXPECT_EQ(t.action.op.kind, OP_SESSION_SAVE);
    EXPECT_SPAN(t.action.op.body, buf_span(&t.mqtt.stored));
    EXPECT_EQ(t.action.packet_id, 258);
    EXPECT_EQ(t.action.code_count, COUNT(rows));
    for (size_t i = 0; i < COUNT(rows); i++)
        EXPECT_EQ_IN((const char *)rows[i].filter.filter.data, t.action.codes[i], rows[i].code);
    EXPECT_EQ(t.mqtt.deliveries, TOPIC_TWIN_RESPONSE | TOPIC_DESIRED | TOPIC_C2D);
    struct mqtt_filter longest = {long_filter(MQTT_FILTER_MAX), 1};
    EXPECT_EQ(subscribe(&longest, 1), OK);
    EXPECT_EQ(t.action.codes[0], 1);
    EXPECT_EQ(t.action.code_count, 1);
}

/* What is stored must stay small enough for a record, whatever a device asks for. */
TEST(a_session_has_32_filters_of_which_none_is_long)
{
    setting_session(&t, NULL, M_OPEN);
    struct mqtt_filter filters[129];
    char texts[129][40];
    for (size_t i = 0; i < COUNT(filters); i++) {
        snprintf(texts[i], sizeof(texts[i]), "$iothub/methods/POST/%zu/#", i);
        filters[i] = (struct mqtt_filter){span_text(texts[i]), 0};
    }
    EXPECT_EQ(subscribe(filters, 128), OK);
    for (size_t i = 0; i < 128; i++)
        EXPECT_EQ_IN(texts[i], t.action.codes[i], i < SUBSCRIPTIONS_MAX ? 0 : 0x80);
    EXPECT_EQ(subscribe(filters, 1), OK); /* there already */
    EXPECT_EQ(t.action.codes[0], 0);
    EXPECT_EQ(subscribe(filters, 129), TOO_LARGE);
    EXPECT(t.mqtt.stored.len <= SUBSCRIPTIONS_MAX * (MQTT_FILTER_MAX + 11) + 1);
}

TEST(unsubscribing_takes_filters_away_and_is_always_acknowledged)
{
    static const struct mqtt_filter both[] = {
        {SPAN_INIT(RES),     0},
        {SPAN_INIT(DESIRED), 0}
    };
    static const struct mqtt_filter gone[] = {
        {SPAN_INIT("never/there"), 0},
        {SPAN_INIT(RES),           0}
    };
    for (int clean = 0; clean < 2; clean++) {
        setting_session(&t, NULL, M_OPEN);
        t.mqtt.clean = clean;
        EXPECT_EQ(subscribe(both, 2), OK);
        EXPECT_EQ(t.action.op.kind, clean ? OP_SESSION_DROP : OP_SESSION_SAVE);
        struct buf b = {0};
        mqtt_unsubscribe_encode(&b, 3, gone, 2);
        EXPECT_EQ(setting_feed(&t, buf_span(&b)), OK);
        buf_fini(&b);
        EXPECT_EQ(t.action.act, ACT_OP);
        EXPECT_EQ(t.action.packet_id, 3);
        EXPECT_EQ(t.action.op.kind, clean ? OP_SESSION_DROP : OP_SESSION_SAVE);
        EXPECT_SPAN(t.action.op.body, buf_span(&t.mqtt.stored));
        EXPECT_EQ(t.mqtt.deliveries, TOPIC_DESIRED);
    }
}

/* ---- the end ---- */

static const struct {
    const char *name;
    enum mqtt_state state;
    bool has_will, disconnect, want;
} ends[] = {
    {"a connection that breaks", M_OPEN,   true,  false, true },
    {"without a will",           M_OPEN,   false, false, false},
    {"DISCONNECT",               M_OPEN,   true,  true,  false},
    {"before it was accepted",   M_LOGIN,  true,  false, false},
    {"before it began",          M_NEW,    false, false, false},
    {"closed already",           M_CLOSED, true,  false, false},
};

TEST(a_will_is_sent_for_those_who_do_not_say_goodbye)
{
    for (size_t i = 0; i < COUNT(ends); i++) {
        setting_session(&t, NULL, ends[i].state);
        t.mqtt.has_will = ends[i].has_will;
        if (ends[i].disconnect) {
            EXPECT_EQ(setting_feed(&t, SPAN("\xe0\x00")), OK);
            EXPECT_EQ(t.action.act, ACT_BYE);
        }
        EXPECT_EQ_IN(ends[i].name, mqtt_session_close(&t.mqtt), ends[i].want);
        EXPECT_EQ_IN(ends[i].name, t.mqtt.state, M_CLOSED);
        EXPECT_EQ_IN(ends[i].name, mqtt_session_close(&t.mqtt), false);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(CASE(each_packet_is_legal_in_its_states_only),
          CASE(a_malformed_packet_closes_and_says_which),
          CASE(a_ping_is_answered_and_an_acknowledgement_heard),
          CASE(a_publish_becomes_the_action_its_topic_names), CASE(filters_are_granted_one_by_one),
          CASE(a_session_has_32_filters_of_which_none_is_long),
          CASE(unsubscribing_takes_filters_away_and_is_always_acknowledged),
          CASE(a_will_is_sent_for_those_who_do_not_say_goodbye))
