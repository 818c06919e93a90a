#include "hub/registry_write.h"

#include "hub/registry_fixture.h"

/* ---- status ---- */

/* clang-format off */
static const struct step status_steps[] = {
    {"device", OP_DEVICE_PUT, "d", NULL, NULL, "{" SAS(KEY_A, KEY_B) "," DISABLED "}", OK,
     "\"statusUpdatedTime\":\"0001-01-01T00:00:00\"", "create d"},
    {"still disabled", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS(KEY_A, KEY_B) "," DISABLED "}", OK,
     "\"statusUpdatedTime\":\"0001-01-01T00:00:00\"", "identity d"},
    {"enabled, being the default", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS(KEY_A, KEY_B) "}", OK,
     "\"statusUpdatedTime\":\"2026-03-04T10:20:30.123Z\"", "identity d"},
    {"m2", OP_MODULE_PUT, "d", "m2", NULL, "{}", OK},
    {"m1", OP_MODULE_PUT, "d", "m1", NULL, "{}", OK},
    {"disabled, with its modules", OP_DEVICE_PUT, "d", NULL, "*",
     "{" SAS(KEY_A, KEY_B) "," DISABLED ",\"statusReason\":\"stolen\"}", OK,
     "\"status\":\"disabled\",\"statusReason\":\"stolen\"",
     "identity d, kick d DEVICE_DISABLED, kick d/m1 DEVICE_DISABLED, kick d/m2 DEVICE_DISABLED"},
    {"the reason is not kept", OP_DEVICE_PUT, "d", NULL, "*",
     "{" SAS(KEY_A, KEY_B) ",\"status\":\"ENABLED\"}", OK,
     "\"status\":\"enabled\",\"statusReason\":null", "identity d"},
};
/* clang-format on */

TEST(a_change_of_status_is_stamped_and_reaches_the_modules)
{
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, status_steps);
    EXPECT_EQ(fixture_entity(&f, "d", NULL).status_updated_ms, f.now.wall_ms);
    uint64_t disabled = 0, devices = 0, modules = 0;
    for (size_t i = 0; i < COUNT(f.parts); i++) {
        disabled += f.parts[i].disabled;
        devices += f.parts[i].devices;
        modules += f.parts[i].modules;
    }
    EXPECT_EQ(devices, 1);
    EXPECT_EQ(disabled, 0);
    EXPECT_EQ(modules, 2);
    fixture_fini(&f);
}

TEST(stamps_do_not_go_back_with_the_clock)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_put(&f, "d", NULL, NULL, "{}");
    f.now.wall_ms += 3600000;
    int64_t newest = f.now.wall_ms;
    fixture_put(&f, "d", NULL, "*", "{}");
    f.now.wall_ms -= 7200000;
    fixture_put(&f, "d", NULL, "*", "{" DISABLED "}");
    EXPECT_EQ(fixture_entity(&f, "d", NULL).status_updated_ms, newest);
    EXPECT_EQ(fixture_entity(&f, "d", NULL).stamp_ms, newest);
    fixture_fini(&f);
}

/* ---- edge devices and scopes (registry 5) ---- */

static void expect_scope(struct fixture *f, const char *device)
{
    char want[80];
    struct entity e = fixture_entity(f, device, NULL);
    snprintf(want, sizeof(want), "ms-azure-iot-edge://%s-%llu", device,
             (unsigned long long)e.generation);
    EXPECT_SPAN(e.scope, span_text(want));
}

TEST(an_edge_device_is_created_with_its_system_modules)
{
    struct fixture f;
    fixture_init(&f, 1);
    const struct step create = {"edge",
                                OP_DEVICE_PUT,
                                "e",
                                NULL,
                                NULL,
                                "{" EDGE ",\"deviceScope\":\"mine\"}",
                                OK,
                                "\"capabilities\":{\"iotEdge\":true},\"deviceScope\":"
                                "\"ms-azure-iot-edge://e-",
                                "create e, create e/$edgeAgent, create e/$edgeHub"};
    fixture_step(&f, &create);
    EXPECT(fixture_contains(fixture_answer(&f), "\"parentScopes\":[]}"));
    expect_scope(&f, "e");
    struct entity agent = fixture_entity(&f, "e", "$edgeAgent");
    struct entity hub = fixture_entity(&f, "e", "$edgeHub");
    EXPECT(agent.generation != hub.generation);
    EXPECT_EQ(agent.twin_etag, 1);
    EXPECT_EQ(agent.desired_version, 1);
    const struct step get = {
        "get", OP_MODULE_GET, "e", "$edgeAgent",
        NULL,  NULL,          OK,  "\"managedBy\":\"iotEdge\",\"deviceId\":\"e\""};
    fixture_step(&f, &get);
    EXPECT(fixture_contains(
        fixture_answer(&f),
        "\"authentication\":{\"symmetricKey\":{\"primaryKey\":null,\"secondaryKey\":null},"
        "\"x509Thumbprint\":{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},"
        "\"type\":\"none\"}"));
    fixture_fini(&f);
}

/* clang-format off */
static const struct step edge_steps[] = {
    {"leaf", OP_DEVICE_PUT, "e", NULL, NULL, "{" SAS(KEY_A, KEY_B) ",\"deviceScope\":\"p\"}", OK},
    {"m", OP_MODULE_PUT, "e", "m", NULL, "{}", OK},
    {"to edge with a parent as its scope", OP_DEVICE_PUT, "e", NULL, "*",
     "{" EDGE ",\"deviceScope\":\"p\"}", BAD_SCOPE, "parentScopes"},
    {"to edge with two parents", OP_DEVICE_PUT, "e", NULL, "*",
     "{" EDGE ",\"parentScopes\":[\"p\",\"q\"]}", BAD_SCOPE, "at most one parent"},
    {"to edge", OP_DEVICE_PUT, "e", NULL, "*",
     "{" SAS(KEY_A, KEY_B) "," EDGE ",\"deviceScope\":\"\",\"parentScopes\":[\"p\"]}", OK,
     "\"parentScopes\":[\"p\"]", "identity e, create e/$edgeAgent, create e/$edgeHub"},
    {"omitting its scope", OP_DEVICE_PUT, "e", NULL, "*", "{" EDGE "}", BAD_ARGUMENT,
     "Device scope is immutable"},
    {"omitting capabilities too", OP_DEVICE_PUT, "e", NULL, "*", "{}", BAD_ARGUMENT,
     "Device scope is immutable"},
    {"another scope", OP_DEVICE_PUT, "e", NULL, "*", "{" EDGE ",\"deviceScope\":\"p\"}",
     BAD_ARGUMENT, "Device scope is immutable"},
    {"to leaf", OP_DEVICE_PUT, "e", NULL, "*",
     "{" SAS(KEY_A, KEY_B) "," NO_EDGE ",\"deviceScope\":\"p\",\"parentScopes\":[\"p\"]}", OK,
     "\"capabilities\":{\"iotEdge\":false}}",
     "delete e/$edgeAgent, kick e/$edgeAgent NO_DEVICE, delete e/$edgeHub, "
     "kick e/$edgeHub NO_DEVICE, identity e"},
    {"a leaf may have what it likes", OP_DEVICE_PUT, "e", NULL, "*", "{}", OK,
     "\"capabilities\":{\"iotEdge\":false}}"},
    {"to edge and disabled at once", OP_DEVICE_PUT, "e", NULL, "*",
     "{" SAS(KEY_A, KEY_B) "," EDGE "," DISABLED "}", OK, "\"parentScopes\":[]",
     "identity e, rekey e, create e/$edgeAgent, create e/$edgeHub, kick e DEVICE_DISABLED, "
     "kick e/$edgeAgent DEVICE_DISABLED, kick e/$edgeHub DEVICE_DISABLED, "
     "kick e/m DEVICE_DISABLED"},
    {"delete", OP_DEVICE_DELETE, "e", NULL, "*", NULL, OK, NULL,
     "delete e/$edgeAgent, kick e/$edgeAgent NO_DEVICE, delete e/$edgeHub, "
     "kick e/$edgeHub NO_DEVICE, delete e/m, kick e/m NO_DEVICE, delete e, kick e NO_DEVICE"},
    {"create with two parents", OP_DEVICE_PUT, "e", NULL, NULL,
     "{" EDGE ",\"parentScopes\":[\"p\",\"q\"]}", BAD_SCOPE},
};
/* clang-format on */

TEST(the_edge_capability_toggles_both_ways)
{
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, edge_steps);
    fixture_fini(&f);
}

TEST(an_edge_device_that_echoes_its_scope_may_change_its_parent)
{
    struct fixture f;
    char body[256];
    fixture_init(&f, 1);
    fixture_put(&f, "e", NULL, NULL, "{" EDGE ",\"parentScopes\":[\"p\"]}");
    EXPECT_SPAN(fixture_entity(&f, "e", NULL).parent_scope, SPAN("p"));
    unsigned long long generation = fixture_entity(&f, "e", NULL).generation;
    static const struct {
        const char *parents;
        struct span want;
    } rows[] = {
        {"[\"q\"]", SPAN_INIT("q")},
        {"[]",      {0}           },
        {"[\"q\"]", SPAN_INIT("q")},
        {"null",    {0}           },
        {"[\"\"]",  {0}           },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(body, sizeof(body),
                 "{\"deviceScope\":\"ms-azure-iot-edge://e-%llu\",\"parentScopes\":%s}", generation,
                 rows[i].parents);
        fixture_put(&f, "e", NULL, "*", body);
        struct entity e = fixture_entity(&f, "e", NULL);
        EXPECT(e.edge); /* capabilities were left out */
        EXPECT_SPAN_IN(rows[i].parents, e.parent_scope, rows[i].want);
    }
    expect_scope(&f, "e");
    fixture_fini(&f);
}

TEST(the_scope_of_a_leaf_is_its_parent)
{
    static const struct {
        const char *body;
        struct span want;
    } rows[] = {
        {"{\"deviceScope\":\"p\"}",                                SPAN_INIT("p")           },
        {"{\"deviceScope\":\"p\",\"parentScopes\":[\"q\",\"r\"]}", SPAN_INIT("p")           },
        {"{\"parentScopes\":[\"q\"]}",                             {0}                      },
        {"{\"deviceScope\":\"any text <1>\"}",                     SPAN_INIT("any text <1>")},
        {"{\"deviceScope\":\"\"}",                                 {0}                      },
        {"{\"deviceScope\":\"p\"}",                                SPAN_INIT("p")           },
        {"{\"deviceScope\":null}",                                 {0}                      },
    };
    struct fixture f;
    fixture_init(&f, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        fixture_put(&f, "d", NULL, i ? "*" : NULL, rows[i].body);
        struct entity e = fixture_entity(&f, "d", NULL);
        EXPECT_SPAN_IN(rows[i].body, e.scope, rows[i].want);
        EXPECT_SPAN_IN(rows[i].body, e.parent_scope, rows[i].want);
        EXPECT_EQ(fixture_contains(fixture_answer(&f), "Scope"), rows[i].want.len > 0);
    }
    fixture_put(&f, "d", NULL, "*", "{\"deviceScope\":\"p\"}");
    EXPECT(
        fixture_contains(fixture_answer(&f), ",\"deviceScope\":\"p\",\"parentScopes\":[\"p\"]}"));
    fixture_fini(&f);
}

/* clang-format off */
static const struct step system_steps[] = {
    {"edge", OP_DEVICE_PUT, "e", NULL, NULL, "{" EDGE "}", OK},
    {"a caller may not create one", OP_MODULE_PUT, "e", "$mine", NULL, "{}", BAD_ARGUMENT,
     "may not begin with '$'"},
    {"nor may the device", OP_MODULE_PUT, "e", "$mine", NULL, "{}", BAD_ARGUMENT, NULL, NULL, true},
    {"there is one already", OP_MODULE_PUT, "e", "$edgeHub", NULL, "{}", MODULE_EXISTS},
    {"a caller may not change one", OP_MODULE_PUT, "e", "$edgeAgent", "*", "{}", SYSTEM_MODULE,
     "Unauthorized to modify reserved module."},
    {"a caller may not delete one", OP_MODULE_DELETE, "e", "$edgeAgent", "*", NULL, SYSTEM_MODULE},
    {"nor may the device", OP_MODULE_DELETE, "e", "$edgeAgent", "*", NULL, SYSTEM_MODULE, NULL,
     NULL, true},
    {"what is missing is missing first", OP_MODULE_DELETE, "e", "$x", NULL, NULL, NO_MODULE},
    {"the device sets keys, without managedBy", OP_MODULE_PUT, "e", "$edgeAgent", "*",
     "{\"moduleId\":\"$edgeAgent\",\"deviceId\":\"e\"," SAS(KEY_A, KEY_B) "}", OK,
     "\"managedBy\":\"iotEdge\"", "identity e/$edgeAgent, rekey e/$edgeAgent", true},
    {"they show", OP_MODULE_GET, "e", "$edgeAgent", NULL, NULL, OK, KEY_A},
    {"the device sets them again", OP_MODULE_PUT, "e", "$edgeAgent", "*",
     "{\"managedBy\":\"x\"," SAS(KEY_A, KEY_B) "}", OK, "\"managedBy\":\"x\"",
     "identity e/$edgeAgent", true},
    {"only the device goes back to none", OP_MODULE_PUT, "e", "$edgeAgent", "*", AUTH("none"), OK,
     "\"type\":\"none\"", "identity e/$edgeAgent, rekey e/$edgeAgent", true},
    {"the device creates a module", OP_MODULE_PUT, "e", "m", NULL,
     "{\"moduleId\":\"m\",\"deviceId\":\"e\",\"managedBy\":\"IotEdge\"}", OK,
     "\"managedBy\":\"IotEdge\"", "create e/m", true},
    {"and sets its keys; managedBy is cleared", OP_MODULE_PUT, "e", "m", "*",
     "{" SAS(KEY_A, KEY_B) "}", OK, "\"managedBy\":null", "identity e/m, rekey e/m", true},
    {"an empty one is kept", OP_MODULE_PUT, "e", "m", "*", "{\"managedBy\":\"\"}", OK,
     "\"managedBy\":\"\""},
    {"the device deletes it", OP_MODULE_DELETE, "e", "m", "*", NULL, OK, NULL,
     "delete e/m, kick e/m NO_DEVICE", true},
    {"system modules do not count: 1", OP_MODULE_PUT, "e", "1", NULL, "{}", OK},
    {"2", OP_MODULE_PUT, "e", "2", NULL, "{}", OK},
    {"3", OP_MODULE_PUT, "e", "3", NULL, "{}", OK},
    {"4", OP_MODULE_PUT, "e", "4", NULL, "{}", TOO_MANY_MODULES},
};
/* clang-format on */

TEST(system_modules_belong_to_the_hub_and_the_device)
{
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, system_steps);
    fixture_fini(&f);
}
TEST_MAIN(RUN(a_change_of_status_is_stamped_and_reaches_the_modules),
          RUN(stamps_do_not_go_back_with_the_clock),
          RUN(an_edge_device_is_created_with_its_system_modules),
          RUN(the_edge_capability_toggles_both_ways),
          RUN(an_edge_device_that_echoes_its_scope_may_change_its_parent),
          RUN(the_scope_of_a_leaf_is_its_parent),
          RUN(system_modules_belong_to_the_hub_and_the_device))
