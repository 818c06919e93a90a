#include "hub/twin_fixture.h"

#define FRESH(ids, etag, time)                                                               \
    "{" ids ",\"etag\":\"AAAAAAAAAAE=\",\"deviceEtag\":\"" etag "\",\"status\":\"enabled\"," \
    "\"statusUpdateTime\":\"" NEVER "\",\"connectionState\":\"Disconnected\","               \
    "\"lastActivityTime\":\"" NEVER "\",\"cloudToDeviceMessageCount\":0,"                    \
    "\"authenticationType\":\"sas\",\"x509Thumbprint\":{\"primaryThumbprint\":null,"         \
    "\"secondaryThumbprint\":null},\"modelId\":\"\",\"version\":2,\"properties\":{"          \
    "\"desired\":" ROOT_AT(time) ",\"reported\":" ROOT_AT(                                   \
        time) "},\"capabilities\":{\"iotEdge\":false}}"

static void expect_twin(struct fixture *f, enum op_kind kind, const char *module, const char *want)
{
    struct op op = twin_op(kind, module, NULL);
    EXPECT_EQ(twin_apply(f, &op), OK);
    EXPECT_SPAN(buf_span(&f->body), span_text(want));
    EXPECT(!f->out.effects);
}

TEST(a_new_twin_reads_as_in_the_specification)
{
    struct fixture f;
    fixture_init(&f, 7);
    EXPECT_EQ(twin_create(&f, "pump-07", NULL, NULL), OK);
    EXPECT_EQ(twin_create(&f, "pump-07", "sampler", NULL), OK);
    expect_twin(&f, OP_TWIN_GET, NULL, FRESH("\"deviceId\":\"pump-07\"", "MzE0MTU5MjY1", CREATED));
    EXPECT_SPAN(f.out.etag, SPAN("AAAAAAAAAAE="));
    expect_twin(&f, OP_TWIN_GET, "sampler",
                FRESH("\"deviceId\":\"pump-07\",\"moduleId\":\"sampler\"", "Mjc3MTgyODE4", NEVER));
    const char *read = "{\"desired\":{\"$version\":1},\"reported\":{\"$version\":1}}";
    expect_twin(&f, OP_TWIN_READ, NULL, read);
    expect_twin(&f, OP_TWIN_READ, "sampler", read);
    EXPECT(!f.out.etag.len);
    twin_finish(&f);
}

#define LATE "2026-03-04T10:21:00.5Z"

TEST(metadata_tells_when_each_leaf_was_written)
{
    struct fixture f;
    fixture_init(&f, 7);
    EXPECT_EQ(twin_create(&f, "pump-07", NULL, NULL), OK);
    const int64_t base = f.now.wall_ms - 30123;
    static const struct {
        int ms;
        enum op_kind kind;
        const char *body;
    } writes[] = {
        {45000, OP_TWIN_PATCH,  D("{\"net\":{\"apn\":\"iot\"}}")      },
        {60500, OP_TWIN_PATCH,  D("{\"net\":{\"retry\":{\"max\":5}}}")},
        {61250, OP_TWIN_REPORT, "{\"l\":[{\"x\":1}]}"                 },
        {1000,  OP_TWIN_REPORT, "{\"t\":1}"                           }, /* the clock stepped back */
    };
    for (size_t i = 0; i < COUNT(writes); i++) {
        f.now.wall_ms = base + writes[i].ms;
        struct op op = twin_op(writes[i].kind, NULL, writes[i].body);
        EXPECT_EQ(twin_apply(&f, &op), OK);
    }
    struct op op = twin_op(OP_TWIN_GET, NULL, NULL);
    EXPECT_EQ(twin_apply(&f, &op), OK);
    static const char desired[] =
        "\"desired\":{\"net\":{\"apn\":\"iot\",\"retry\":{\"max\":5}},\"$metadata\":" AT(
            LATE,
            "3") ",\"net\":" AT(LATE,
                                "3") ",\"apn\":" AT("2026-03-04T10:20:45Z",
                                                    "2") "},"
                                                         "\"retry\":" AT(LATE, "3") ",\"max\":" AT(
                                                             LATE, "3") "}}}},\"$version\":3}";
    static const char reported[] =
        "\"reported\":{\"l\":[{\"x\":1}],\"t\":1,\"$metadata\":{\"$lastUpdated\":"
        "\"2026-03-04T10:21:01.25Z\",\"l\":{\"$lastUpdated\":\"2026-03-04T10:21:01.25Z\"},"
        "\"t\":{\"$lastUpdated\":\"2026-03-04T10:21:01.25Z\"}},\"$version\":3}";
    if (!fixture_contains(buf_span(&f.body), desired))
        fail_msg("%s is not in %.*s", desired, SPAN_ARG(f.body));
    if (!fixture_contains(buf_span(&f.body), reported))
        fail_msg("%s is not in %.*s", reported, SPAN_ARG(f.body));
    twin_finish(&f);
}

/* Write the identity's part of a twin as the registry would. */
static void identify(struct fixture *f, const char *module, void (*change_it)(struct entity *))
{
    struct live *l = fixture_find(f, "pump-07", module);
    struct turn turn = twin_turn(f);
    struct entity e;
    live_entity(l, &e);
    change_it(&e);
    struct change change = {.kind = CHANGE_IDENTITY};
    hub_write(&f->hub, l, &e, &change, &turn, &f->out);
}

static const char *configurations; /* JSON for set_everything */
static uint8_t configurations_doc[512];

static void set_everything(struct entity *e)
{
    struct arena a;
    arena_init(&a, configurations_doc, sizeof(configurations_doc));
    EXPECT_EQ(
        doc_parse(span_text(configurations), &doc_limits_azure.syntax, &a, &e->configurations), OK);
    e->disabled = e->edge = true;
    e->status_reason = SPAN("in \"repair\"");
    e->status_updated_ms = 1772619631000;
    e->last_activity_ms = 1772619600000;
    e->auth = AUTH_SELF_SIGNED;
    e->primary_thumbprint = SPAN("AB12");
    e->secondary_thumbprint = SPAN("");
    e->model_id = SPAN("dtmi:com:example:Pump;1");
    e->scope = SPAN("ms-azure-iot-edge://pump-07-1");
    e->parent_scope = SPAN("ms-azure-iot-edge://up-2");
    e->managed_by = SPAN("x");
    e->has_managed_by = true;
}

TEST(the_service_sees_the_identity_and_the_connection)
{
    struct fixture f;
    fixture_init(&f, 7);
    EXPECT_EQ(twin_create(&f, "pump-07", NULL, START), OK);
    EXPECT_EQ(twin_create(&f, "pump-07", "m", NULL), OK);
    configurations = "{\"c1\":{\"status\":\"Applied\"}}";
    identify(&f, NULL, set_everything);
    struct live *l = fixture_find(&f, "pump-07", NULL);
    hub_connected(&f.hub, l, 9);
    l->last_activity_ms = 1772619631000;
    l = fixture_find(&f, "pump-07", "m");
    hub_connected(&f.hub, l, 10);
    l->last_activity_ms = 1772619631000;

    struct op op = twin_op(OP_TWIN_GET, NULL, NULL);
    EXPECT_EQ(twin_apply(&f, &op), OK);
    static const char *const parts[] = {
        "{\"deviceId\":\"pump-07\",\"etag\":\"AAAAAAAAAAE=\",\"deviceEtag\":\"MzE0MTU5MjY1\",",
        "\"status\":\"disabled\",\"statusReason\":\"in \\\"repair\\\"\",\"statusUpdateTime\":"
        "\"2026-03-04T10:20:31Z\",\"connectionState\":\"Connected\",\"lastActivityTime\":"
        "\"2026-03-04T10:20:31Z\",\"cloudToDeviceMessageCount\":0,\"authenticationType\":"
        "\"selfSigned\",\"x509Thumbprint\":{\"primaryThumbprint\":\"AB12\","
        "\"secondaryThumbprint\":\"\"},\"modelId\":\"dtmi:com:example:Pump;1\",\"version\":2,"
        "\"tags\":{\"t\":1},\"properties\":",
        ",\"capabilities\":{\"iotEdge\":true},\"configurations\":{\"c1\":{\"status\":\"Applied\"}},"
        "\"deviceScope\":\"ms-azure-iot-edge://pump-07-1\","
        "\"parentScopes\":[\"ms-azure-iot-edge://up-2\"]}",
    };
    for (size_t i = 0; i < COUNT(parts); i++)
        if (!fixture_contains(buf_span(&f.body), parts[i]))
            fail_msg("%s is not in %.*s", parts[i], SPAN_ARG(f.body));

    op = twin_op(OP_TWIN_GET, "m", NULL);
    EXPECT_EQ(twin_apply(&f, &op), OK);
    static const char module[] =
        "\"status\":\"disabled\",\"statusUpdateTime\":\"" NEVER "\",\"connectionState\":"
        "\"Connected\",\"lastActivityTime\":\"2026-03-04T10:20:31Z\"";
    EXPECT(fixture_contains(buf_span(&f.body), module));
    configurations = "{}";
    identify(&f, "m", set_everything);
    EXPECT_EQ(twin_apply(&f, &op), OK);
    EXPECT(!fixture_contains(buf_span(&f.body), "statusReason"));
    EXPECT(!fixture_contains(buf_span(&f.body), "configurations"));
    EXPECT(!fixture_contains(buf_span(&f.body), "cope"));
    EXPECT(!fixture_contains(buf_span(&f.body), "managedBy"));
    EXPECT(fixture_contains(buf_span(&f.body), ",\"capabilities\":{\"iotEdge\":false}}"));
    twin_finish(&f);
}

static void set_authentication(struct entity *e)
{
    e->auth++;
}

TEST(each_kind_of_authentication_has_its_name)
{
    static const char *const names[] = {"sas", "selfSigned", "certificateAuthority", "none"};
    struct fixture f;
    twin_start(&f, NULL);
    struct op op = twin_op(OP_TWIN_GET, NULL, NULL);
    for (size_t i = 0; i < COUNT(names); i++) {
        char want[64];
        snprintf(want, sizeof(want), "\"authenticationType\":\"%s\"", names[i]);
        EXPECT_EQ(twin_apply(&f, &op), OK);
        EXPECT(fixture_contains(buf_span(&f.body), want));
        if (i + 1 < COUNT(names))
            identify(&f, NULL, set_authentication);
    }
    twin_finish(&f);
}

/* ---- content of a new twin ---- */

/* clang-format off */
static const struct {
    const char *name, *module, *content;
    enum status want;
    const char *says; /* the text of the refusal, or a part of the twin */
} contents[] = {
    {"stamped as version 1", NULL,
     "{\"Tags\":{\"a\":1},\"properties\":{\"desired\":{\"b\":2}}}", OK,
     "\"desired\":{\"b\":2,\"$metadata\":" AT(CREATED, "1") ",\"b\":" AT(CREATED, "1")
     "}},\"$version\":1},\"reported\":" ROOT_AT(CREATED)},
    {"a module's too", "m", D("{\"b\":2}"), OK,
     "\"desired\":{\"b\":2,\"$metadata\":" AT(CREATED, "1") ",\"b\":" AT(CREATED, "1")
     "}},\"$version\":1},\"reported\":" ROOT_AT(NEVER)},
    {"tags alone", NULL, "{\"tags\":{\"a\":1},\"properties\":{\"reported\":{\"x\":1}}}", OK,
     "\"tags\":{\"a\":1},\"properties\":{\"desired\":" ROOT_AT(CREATED)
     ",\"reported\":" ROOT_AT(CREATED)},
    {"null is absent", NULL, "{\"tags\":null,\"properties\":{\"desired\":null}}", OK,
     "\"version\":2,\"properties\":{\"desired\":" ROOT_AT(CREATED)},
    {"null inside is not", NULL, "{\"tags\":{\"a\":null}}", BAD_ARGUMENT, NO_NULL "a"},
    {"a bad key", NULL, D("{\"a b\":1}"), BAD_ARGUMENT, BAD_KEY "a b"},
    {"no object", NULL, "{\"properties\":[]}", BAD_ARGUMENT, NOT_TWIN},
};
/* clang-format on */

TEST(a_twin_may_be_created_with_content)
{
    for (size_t i = 0; i < COUNT(contents); i++) {
        struct fixture f;
        fixture_init(&f, 7);
        EXPECT_EQ(twin_create(&f, "pump-07", NULL, NULL), OK);
        if (!contents[i].module) {
            twin_turn(&f);
            fixture_fini(&f);
            fixture_init(&f, 7);
        }
        enum status got = twin_create(&f, "pump-07", contents[i].module, contents[i].content);
        EXPECT_EQ_IN(contents[i].name, got, contents[i].want);
        EXPECT(!twin_effect(&f, EFFECT_DESIRED));
        if (got != OK) {
            EXPECT_SPAN_IN(contents[i].name, f.out.why, span_text(contents[i].says));
        } else {
            struct op op = twin_op(OP_TWIN_GET, contents[i].module, NULL);
            EXPECT_EQ(twin_apply(&f, &op), OK);
            if (!fixture_contains(buf_span(&f.body), contents[i].says))
                fail_msg("%s: %.*s", contents[i].name, SPAN_ARG(f.body));
            EXPECT(fixture_contains(f.out.etag, "AAAAAAAAAAE="));
        }
        twin_finish(&f);
    }
}

TEST_MAIN(RUN(a_new_twin_reads_as_in_the_specification),
          RUN(metadata_tells_when_each_leaf_was_written),
          RUN(the_service_sees_the_identity_and_the_connection),
          RUN(each_kind_of_authentication_has_its_name), RUN(a_twin_may_be_created_with_content))
