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

#define RES     "$iothub/twin/res/#"
#define DESIRED "$iothub/twin/PATCH/properties/desired/#"

static struct span stored_session(const char *filter)
{
    static struct buf b;
    buf_clear(&b);
    if (filter) {
        struct subscription f = {1, 0, span_text(filter)};
        EXPECT(subscriptions_put(&b, &f));
    }
    return buf_span(&b);
}

/* ---- CONNECT ---- */

static const struct {
    const char *name, *client, *user;
    const char *will;
    enum status want;
    const char *reason;
} connects[] = {
  /* clang-format off */
    {"device",            "d",   HOST "/d/?api-version=2021-04-12",   NULL, OK, NULL},
    {"module",            "d/m", HOST "/d/m/?api-version=2021-04-12", NULL, OK, NULL},
    {"no user name",      "d",   NULL,                                NULL, UNAUTHORIZED, "no user name"},
    {"bad user name",     "d",   HOST,                                NULL, UNAUTHORIZED, "malformed user name"},
    {"another hub",       "d",   "example.test/d/",                   NULL, UNAUTHORIZED, "the user name is for another host"},
    {"another client id", "D",   HOST "/d/",                          NULL, UNAUTHORIZED,
     "the client id is not that of the user name"},
    {"will",              "d",   HOST "/d/", "devices/d/messages/events/", OK, NULL},
    {"will of a module",  "d/m", HOST "/d/m/", "devices/d/modules/m/messages/events/a=b", OK, NULL},
    {"will of another",   "d",   HOST "/d/", "devices/other/messages/events/", UNAUTHORIZED,
     "the will is no telemetry of its own"},
    {"will that asks",    "d",   HOST "/d/", "$iothub/twin/GET/?$rid=1", UNAUTHORIZED,
     "the will is no telemetry of its own"},
  /* clang-format on */
};

static enum status connect_as(struct buf *b, const char *client, const char *user, const char *will,
                              bool clean, uint16_t keep_alive_s)
{
    struct mqtt_connect connect = {.version = MQTT_VERSION_3_1_1,
                                   .clean_session = clean,
                                   .keep_alive_s = keep_alive_s,
                                   .client_id = span_text(client),
                                   .has_username = user != NULL,
                                   .username = span_text(user),
                                   .has_will = will != NULL,
                                   .will.topic = span_text(will)};
    mqtt_connect_encode(b, &connect);
    return setting_feed(&t, buf_span(b));
}

TEST(a_connect_names_who_it_is_or_is_refused_with_5)
{
    for (size_t i = 0; i < COUNT(connects); i++) {
        struct buf b = {0};
        setting_session(&t, NULL, M_NEW);
        enum status st =
            connect_as(&b, connects[i].client, connects[i].user, connects[i].will, false, 60);
        EXPECT_EQ_IN(connects[i].name, st, connects[i].want);
        EXPECT_SPAN_IN(connects[i].name, span_text(t.action.reason), span_text(connects[i].reason));
        EXPECT_SPAN_IN(connects[i].name, setting_written(&t),
                       st == OK ? (struct span){0} : SPAN("\x20\x02\x00\x05"));
        EXPECT_EQ_IN(connects[i].name, t.mqtt.state, st == OK ? M_LOGIN : M_CLOSED);
        if (st == OK) {
            EXPECT_EQ_IN(connects[i].name, t.action.act, ACT_LOGIN);
            EXPECT_SPAN_IN(connects[i].name, t.action.login.user.device, SPAN("d"));
            EXPECT_EQ(setting_feed(&t, buf_span(&b)), OK); /* again, once its record is there */
        }
        buf_fini(&b);
    }
}

TEST(other_versions_are_refused_each_in_its_form)
{
    setting_session(&t, NULL, M_NEW);
    EXPECT_EQ(setting_feed(&t, SPAN("\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00")),
              BAD_PACKET);
    EXPECT_SPAN(setting_written(&t), SPAN("\x20\x03\x00\x84\x00"));
    EXPECT_SPAN(span_text(t.action.reason), SPAN("not MQTT 3.1.1"));
    setting_session(&t, NULL, M_NEW);
    EXPECT_EQ(setting_feed(&t, SPAN("\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00")), BAD_PACKET);
    EXPECT_SPAN(setting_written(&t), SPAN("\x20\x02\x00\x01"));
}

/* ---- accepted ---- */

static const struct { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char *name;
    bool clean, has_session;
    const char *filter;             /* of the stored session; "damaged": bytes that are none */
    const char *model, *told_model; /* stored, and said by the user name */
    bool saves;
    const char *connack;
    unsigned deliveries;
} opens[] = {
  /* clang-format off */
    {"the first time",       false, false, NULL,      "",  "",  true,  "\x20\x02\x00\x00", 0},
    {"again",                false, true,  RES,       "",  "",  false, "\x20\x02\x01\x00", TOPIC_TWIN_RESPONSE},
    {"again, no filters",    false, true,  NULL,      "",  "",  false, "\x20\x02\x01\x00", 0},
    {"damaged",              false, true,  "damaged", "",  "",  false, "\x20\x02\x01\x00", 0},
    {"clean, nothing there", true,  false, NULL,      "",  "",  false, "\x20\x02\x00\x00", 0},
    {"clean ends a session", true,  true,  RES,       "",  "",  true,  "\x20\x02\x00\x00", 0},
    {"the same model",       false, true,  RES,       "a", "a", false, "\x20\x02\x01\x00", TOPIC_TWIN_RESPONSE},
    {"another model",        false, true,  RES,       "a", "b", true,  "\x20\x02\x01\x00", TOPIC_TWIN_RESPONSE},
    {"a model, clean",       true,  false, NULL,      "a", "b", true,  "\x20\x02\x00\x00", 0},
    {"no model now",         false, true,  RES,       "a", "",  false, "\x20\x02\x01\x00", TOPIC_TWIN_RESPONSE},
  /* clang-format on */
};

TEST(an_accepted_connect_takes_up_its_session_and_saves_what_is_new)
{
    for (size_t i = 0; i < COUNT(opens); i++) {
        const char *name = opens[i].name;
        char user[128];
        struct buf b = {0};
        struct op save;
        bool damaged = opens[i].filter && !strcmp(opens[i].filter, "damaged");
        struct span stored = damaged ? SPAN("\xff") : stored_session(opens[i].filter);
        struct entity e = {.device = SPAN("d"),
                           .has_session = opens[i].has_session,
                           .session = stored,
                           .model_id = span_text(opens[i].model)};
        snprintf(user, sizeof(user), HOST "/d/?model-id=%s", opens[i].told_model);
        setting_session(&t, NULL, M_NEW);
        EXPECT_EQ_IN(name, connect_as(&b, "d", user, NULL, opens[i].clean, 60), OK);
        EXPECT_EQ_IN(name, mqtt_session_open(&t.mqtt, &t.action.login, &e, &save, &t.out),
                     opens[i].saves);
        EXPECT_SPAN_IN(name, setting_written(&t), span_of(opens[i].connack, 4));
        EXPECT_EQ_IN(name, t.mqtt.state, M_OPEN);
        EXPECT_EQ_IN(name, t.mqtt.deliveries, opens[i].deliveries);
        EXPECT_EQ_IN(name, save.kind, opens[i].clean ? OP_SESSION_DROP : OP_SESSION_SAVE);
        EXPECT_SPAN_IN(name, save.device, SPAN("d"));
        EXPECT_SPAN_IN(name, save.body, opens[i].clean || damaged ? (struct span){0} : stored);
        EXPECT_EQ_IN(name, save.has_model_id, opens[i].told_model[0] != 0);
        EXPECT_SPAN_IN(name, save.model_id, span_text(opens[i].told_model));
        buf_fini(&b);
    }
}

static const struct {
    uint16_t keep_alive_s;
    int64_t silence_ms;
} keep_alives[] = {
    {0,     1767000}, /* none asked for: the cap */
    {1,     1500   },
    {60,    90000  },
    {1177,  1765500},
    {1178,  1767000},
    {1179,  1767000},
    {65535, 1767000},
};

TEST(silence_may_last_one_and_a_half_keep_alives_up_to_the_cap)
{
    for (size_t i = 0; i < COUNT(keep_alives); i++) {
        struct buf b = {0};
        struct op save;
        struct entity e = {.device = SPAN("d")};
        setting_session(&t, NULL, M_NEW);
        EXPECT_EQ(connect_as(&b, "d", HOST "/d/", "devices/d/messages/events/", true,
                             keep_alives[i].keep_alive_s),
                  OK);
        EXPECT(!mqtt_session_open(&t.mqtt, &t.action.login, &e, &save, &t.out));
        EXPECT_EQ(t.mqtt.silence_ms, keep_alives[i].silence_ms);
        EXPECT(t.mqtt.has_will);
        buf_fini(&b);
    }
}

TEST(a_refusal_by_the_caller_is_a_connack_and_the_end)
{
    setting_session(&t, NULL, M_LOGIN);
    mqtt_session_refuse(&t.mqtt, MQTT_UNAVAILABLE, &t.out);
    EXPECT_SPAN(setting_written(&t), SPAN("\x20\x02\x00\x03"));
    EXPECT_EQ(t.mqtt.state, M_CLOSED);
}

/* ---- answers ---- */

#define E2(code, text)                                                            \
    "{\"errorCode\":" code ",\"trackingId\":\"" TRACKING "\",\"message\":\"" text \
    "\",\"timestampUtc\":\"" STAMP "\"}"

static const struct { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char *name;
    uint8_t type;
    enum mqtt_act act;
    enum op_kind kind;
    uint16_t packet_id;
    const char *rid;
    bool deaf; /* did not subscribe to responses */
    enum status st;
    const char *why;
    enum status want;
    const char *acknowledged; /* four bytes before the response; NULL: none */
    const char *topic, *payload;
} answers[] = {
  /* clang-format off */
    {"twin read", MQTT_PUBLISH, ACT_OP, OP_TWIN_READ, 0, "r1", false, OK, NULL, OK, NULL,
     "$iothub/twin/res/200/?$rid=r1", "{twin}"},
    {"QoS 1: PUBACK, then the response", MQTT_PUBLISH, ACT_OP, OP_TWIN_READ, 0x101, "r1", false, OK,
     NULL, OK, "\x40\x02\x01\x01", "$iothub/twin/res/200/?$rid=r1", "{twin}"},
    {"reported", MQTT_PUBLISH, ACT_OP, OP_TWIN_REPORT, 0, "r", false, OK, NULL, OK, NULL,
     "$iothub/twin/res/204/?$rid=r&$version=5", ""},
    {"reported, QoS 1, nobody listens", MQTT_PUBLISH, ACT_OP, OP_TWIN_REPORT, 0x101, "r", true, OK,
     NULL, OK, "\x40\x02\x01\x01", NULL, NULL},
    {"reported, no rid", MQTT_PUBLISH, ACT_OP, OP_TWIN_REPORT, 0, "", false, OK, NULL, OK, NULL, NULL,
     NULL},
    {"refused with the table's text", MQTT_PUBLISH, ACT_OP, OP_TWIN_REPORT, 0, "r", false, ETAG_MISMATCH,
     NULL, OK, NULL, "$iothub/twin/res/412/?$rid=r", E2("412001", "PreconditionFailed, ETag may be invalid.")},
    {"refused with its own, QoS 1", MQTT_PUBLISH, ACT_OP, OP_TWIN_REPORT, 0x101, "r", false, BAD_ARGUMENT,
     "no", OK, "\x40\x02\x01\x01", "$iothub/twin/res/400/?$rid=r", E2("400004", "no")},
    {"a section too large", MQTT_PUBLISH, ACT_OP, OP_TWIN_REPORT, 0, "r", false, SECTION_TOO_LARGE, "s",
     OK, NULL, "$iothub/twin/res/403/?$rid=r", E2("403100", "s")},
    {"the store cannot write", MQTT_PUBLISH, ACT_OP, OP_TWIN_REPORT, 0, "r", false, UNAVAILABLE, NULL, OK,
     NULL, "$iothub/twin/res/503/?$rid=r", E2("503001", "the store cannot write now")},
    {"no space is left", MQTT_PUBLISH, ACT_OP, OP_TWIN_REPORT, 0, "r", false, STORAGE_FULL, NULL, OK,
     NULL, "$iothub/twin/res/500/?$rid=r", E2("503001", "no space is left to write")},
    {"gone meanwhile: 404, then the end", MQTT_PUBLISH, ACT_OP, OP_TWIN_READ, 0, "r", false, NO_DEVICE,
     "d", NO_DEVICE, NULL, "$iothub/twin/res/404/?$rid=r", E2("404001", "d")},
    {"telemetry, QoS 0", MQTT_PUBLISH, ACT_EVENT, 0, 0, "", false, OK, NULL, OK, NULL, NULL, NULL},
    {"telemetry, QoS 1", MQTT_PUBLISH, ACT_EVENT, 0, 0x101, "", false, OK, NULL, OK,
     "\x40\x02\x01\x01", NULL, NULL},
    {"unsubscribed", MQTT_UNSUBSCRIBE, ACT_OP, OP_SESSION_SAVE, 0x101, "", false, OK, NULL, OK,
     "\xb0\x02\x01\x01", NULL, NULL},
    {"a session that cannot be saved", MQTT_UNSUBSCRIBE, ACT_OP, OP_SESSION_SAVE, 1, "", false, NO_DEVICE,
     NULL, NO_DEVICE, NULL, NULL, NULL},
    {"nor when subscribing", MQTT_SUBSCRIBE, ACT_OP, OP_SESSION_SAVE, 1, "", false, UNAVAILABLE, NULL,
     UNAVAILABLE, NULL, NULL, NULL},
    {"what needs no answer", MQTT_PINGREQ, ACT_PING, 0, 0, "", false, OK, NULL, OK, NULL, NULL, NULL},
  /* clang-format on */
};

/* The next packet of what was written is this PUBLISH, QoS 0, not retained. */
static void expect_publish(const char *name, struct span *rest, const char *topic,
                           const char *payload)
{
    struct mqtt_packet packet;
    struct mqtt_publish p;
    size_t used;
    EXPECT_EQ_IN(name, mqtt_decode(*rest, MQTT_PACKET_MAX, &packet, &used), OK);
    EXPECT_EQ_IN(name, packet.type, MQTT_PUBLISH);
    EXPECT_EQ_IN(name, packet.flags, 0);
    EXPECT_EQ_IN(name, mqtt_publish_decode(&packet, &p), OK);
    EXPECT_SPAN_IN(name, p.topic, span_text(topic));
    EXPECT_SPAN_IN(name, p.payload, span_text(payload));
    *rest = span_skip(*rest, used);
}

TEST(outcomes_become_these_packets_in_this_order)
{
    struct buf body = {0};
    buf_text(&body, "{twin}");
    for (size_t i = 0; i < COUNT(answers); i++) {
        const char *name = answers[i].name;
        setting_session(&t, NULL, M_OPEN);
        t.mqtt.deliveries = answers[i].deaf ? TOPIC_DESIRED : TOPIC_TWIN_RESPONSE;
        t.action = (struct mqtt_action){.act = answers[i].act,
                                        .type = answers[i].type,
                                        .packet_id = answers[i].packet_id,
                                        .rid = span_text(answers[i].rid),
                                        .op.kind = answers[i].kind};
        struct outcome outcome = {
            .status = answers[i].st, .why = span_text(answers[i].why), .body = &body, .version = 5};
        EXPECT_EQ_IN(name, mqtt_session_answer(&t.mqtt, &t.action, &outcome, &t.context, &t.out),
                     answers[i].want);
        struct span rest = setting_written(&t);
        if (answers[i].acknowledged) {
            EXPECT_SPAN_IN(name, span_first(rest, 4), span_of(answers[i].acknowledged, 4));
            rest = span_skip(rest, 4);
        }
        if (answers[i].topic)
            expect_publish(name, &rest, answers[i].topic, answers[i].payload);
        EXPECT_EQ_IN(name, rest.len, 0);
    }
    buf_fini(&body);
}

TEST(a_suback_tells_the_codes_in_order)
{
    setting_session(&t, NULL, M_OPEN);
    t.action = (struct mqtt_action){
        .act = ACT_OP,
        .type = MQTT_SUBSCRIBE,
        .packet_id = 0x102,
        .codes = {1, 0x80, 0},
        .code_count = 3
    };
    struct outcome outcome = {.status = OK};
    EXPECT_EQ(mqtt_session_answer(&t.mqtt, &t.action, &outcome, &t.context, &t.out), OK);
    EXPECT_SPAN(setting_written(&t), SPAN("\x90\x05\x01\x02\x01\x80\x00"));
}

/* ---- desired ---- */

TEST(a_desired_change_is_pushed_to_those_who_listen)
{
    struct arena arena;
    struct span doc;
    struct doc_result result;
    struct doc_fault fault;
    struct doc_write w = {
        .section = DOC_DESIRED, .limits = &doc_limits_azure, .now_ms = 5, .version = 2};
    struct buf block = {0};
    buf_reserve(&block, 1 << 16);
    arena_init(&arena, block.data, block.cap);
    EXPECT_EQ(doc_parse(SPAN("{\"rate\":30}"), &doc_limits_azure.syntax, &arena, &doc), OK);
    EXPECT_EQ(
        doc_patch(doc_empty(DOC_DESIRED, 1, &arena), doc_root(doc), &w, &arena, &result, &fault),
        OK);
    static const struct {
        const char *name;
        enum mqtt_state state;
        unsigned deliveries;
        bool want;
    } rows[] = {
        {"not yet open",     M_LOGIN,  TOPIC_DESIRED,       false},
        {"not subscribed",   M_OPEN,   TOPIC_TWIN_RESPONSE, false},
        {"closed",           M_CLOSED, TOPIC_DESIRED,       false},
        {"open, subscribed", M_OPEN,   TOPIC_DESIRED,       true },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        setting_session(&t, NULL, rows[i].state);
        t.mqtt.deliveries = rows[i].deliveries;
        EXPECT_EQ_IN(rows[i].name, mqtt_session_desired(&t.mqtt, result.delta, 2, &t.out),
                     rows[i].want);
        struct span rest = setting_written(&t);
        if (rows[i].want)
            expect_publish(rows[i].name, &rest, "$iothub/twin/PATCH/properties/desired/?$version=2",
                           "{\"rate\":30,\"$version\":2}");
        EXPECT_EQ_IN(rows[i].name, rest.len, 0);
    }
    arena_fini(&arena);
    buf_fini(&block);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(CASE(a_connect_names_who_it_is_or_is_refused_with_5),
          CASE(other_versions_are_refused_each_in_its_form),
          CASE(an_accepted_connect_takes_up_its_session_and_saves_what_is_new),
          CASE(silence_may_last_one_and_a_half_keep_alives_up_to_the_cap),
          CASE(a_refusal_by_the_caller_is_a_connack_and_the_end),
          CASE(outcomes_become_these_packets_in_this_order),
          CASE(a_suback_tells_the_codes_in_order),
          CASE(a_desired_change_is_pushed_to_those_who_listen))
