#include "hub/registry.h"

#include "hub/registry_fixture.h"

/* ---- the identity as JSON ---- */

static void put_head(struct buf *b, struct fixture *f, const char *device, const char *module)
{
    struct turn turn = {f->now, &f->arena};
    struct entity e = fixture_entity(f, device, module);
    struct span etag = hub_identity_etag_text(&turn, &e);
    EXPECT(e.generation > 600000000000000000u); /* 18 digits */
    EXPECT(e.generation < 1000000000000000000u);
    EXPECT(e.identity_etag >= 100000000); /* nine digits */
    EXPECT(e.identity_etag < 1000000000);
    buf_printf(b, "\"generationId\":\"%llu\",\"etag\":\"%.*s\",", (unsigned long long)e.generation,
               SPAN_ARG(etag));
    EXPECT_SPAN(f->out.etag, etag);
}

TEST(a_created_device_answers_with_this_json)
{
    struct fixture f;
    struct buf want = {0};
    fixture_init(&f, 1);
    fixture_put(&f, "pump-07", NULL, NULL, "{\"deviceId\":\"pump-07\"," SAS(KEY_A, KEY_B) "}");
    buf_text(&want, "{\"deviceId\":\"pump-07\",");
    put_head(&want, &f, "pump-07", NULL);
    buf_text(&want,
             "\"connectionState\":\"Disconnected\",\"status\":\"enabled\",\"statusReason\":null,"
             "\"connectionStateUpdatedTime\":\"0001-01-01T00:00:00\","
             "\"statusUpdatedTime\":\"0001-01-01T00:00:00\","
             "\"lastActivityTime\":\"0001-01-01T00:00:00\",\"cloudToDeviceMessageCount\":0,"
             "\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"" KEY_A
             "\",\"secondaryKey\":\"" KEY_B "\"},"
             "\"x509Thumbprint\":{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},"
             "\"type\":\"sas\"},\"capabilities\":{\"iotEdge\":false}}");
    EXPECT_SPAN(fixture_answer(&f), buf_span(&want));
    buf_fini(&want);
    fixture_fini(&f);
}

TEST(a_created_module_answers_with_this_json)
{
    struct fixture f;
    struct buf want = {0};
    fixture_init(&f, 1);
    fixture_put(&f, "pump-07", NULL, NULL, "{}");
    fixture_put(&f, "pump-07", "sampler", NULL, "{" SAS(KEY_A, KEY_B) "}");
    buf_text(&want, "{\"moduleId\":\"sampler\",\"managedBy\":null,\"deviceId\":\"pump-07\",");
    put_head(&want, &f, "pump-07", "sampler");
    buf_text(&want, "\"connectionState\":\"Disconnected\","
                    "\"connectionStateUpdatedTime\":\"0001-01-01T00:00:00\","
                    "\"lastActivityTime\":\"0001-01-01T00:00:00\",\"cloudToDeviceMessageCount\":0,"
                    "\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"" KEY_A
                    "\",\"secondaryKey\":\"" KEY_B "\"},"
                    "\"x509Thumbprint\":{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},"
                    "\"type\":\"sas\"}}");
    EXPECT_SPAN(fixture_answer(&f), buf_span(&want));
    buf_fini(&want);
    fixture_fini(&f);
}

TEST(the_connection_shows_from_memory_and_then_from_the_record)
{
    struct fixture f;
    struct buf b = {0};
    fixture_init(&f, 1);
    fixture_put(&f, "d", NULL, NULL, "{}");
    struct live *l = fixture_find(&f, "d", NULL);
    hub_connected(&f.hub, l, 7);
    l->connection_updated_ms = f.now.wall_ms;
    l->last_activity_ms = f.now.wall_ms + 1000;
    registry_put_identity(&b, l);
    EXPECT(fixture_contains(buf_span(&b), "\"connectionState\":\"Connected\""));
    EXPECT(fixture_contains(buf_span(&b),
                            "\"connectionStateUpdatedTime\":\"2026-03-04T10:20:30.123Z\""));
    EXPECT(fixture_contains(buf_span(&b), "\"lastActivityTime\":\"2026-03-04T10:20:31.123Z\""));

    struct entity e = fixture_entity(&f, "d", NULL);
    e.last_activity_ms = f.now.wall_ms + 2000;
    buf_clear(&b);
    registry_put_entity(&b, &e, NULL);
    EXPECT(fixture_contains(buf_span(&b), "\"connectionState\":\"Disconnected\""));
    EXPECT(fixture_contains(buf_span(&b), "\"lastActivityTime\":\"2026-03-04T10:20:32.123Z\""));
    EXPECT(
        fixture_contains(buf_span(&b), "\"connectionStateUpdatedTime\":\"0001-01-01T00:00:00\""));
    buf_fini(&b);
    fixture_fini(&f);
}

/* The answer, with the etag made blank and a NUL at its end. */
static void without_etag(const struct fixture *f, struct buf *out)
{
    static const char before[] = "\"etag\":\"";
    buf_put(out, fixture_answer(f));
    buf_byte(out, 0);
    char *at = strstr((char *)out->data, before);
    EXPECT(at != NULL);
    memset(at + strlen(before), ' ', f->out.etag.len);
}

TEST(an_identity_sent_back_as_it_was_read_only_gets_a_new_etag)
{
    struct fixture f;
    struct buf sent = {0}, got = {0};
    fixture_init(&f, 3);
    fixture_put(&f, "d", NULL, NULL, "{\"statusReason\":\"tr\xc3\xa8s \\\"vieux\\\"\"," EDGE "}");
    without_etag(&f, &sent);
    uint64_t etag = fixture_entity(&f, "d", NULL).identity_etag;
    fixture_put(&f, "d", NULL, "*", (char *)sent.data);
    without_etag(&f, &got);
    EXPECT_SPAN(buf_span(&got), buf_span(&sent));
    EXPECT_SPAN(buf_span(&f.effects), SPAN("identity d"));
    EXPECT(fixture_entity(&f, "d", NULL).identity_etag != etag);
    buf_fini(&sent);
    buf_fini(&got);
    fixture_fini(&f);
}

/* ---- create, update, delete (registry 4) ---- */

/* clang-format off */
static const struct step life[] = {
    {"create", OP_DEVICE_PUT, "d", NULL, NULL, "{}", OK, "\"deviceId\":\"d\"", "create d"},
    {"create again", OP_DEVICE_PUT, "d", NULL, NULL, "{}", DEVICE_EXISTS,
     "A device with ID 'd' is already registered."},
    {"disable", OP_DEVICE_PUT, "d", NULL, "\"*\"", "{" DISABLED "," SAS(KEY_A, KEY_B) "}", OK,
     "\"status\":\"disabled\"", "identity d, rekey d, kick d DEVICE_DISABLED"},
    {"keys that are sent stay", OP_DEVICE_GET, "d", NULL, NULL, NULL, OK,
     "\"primaryKey\":\"" KEY_A "\",\"secondaryKey\":\"" KEY_B "\"", ""},
    {"delete without a header", OP_DEVICE_DELETE, "d", NULL, NULL, NULL, ETAG_MISMATCH,
     "Etag missing"},
    {"delete with a wrong etag", OP_DEVICE_DELETE, "d", NULL, "\"MQ==\"", NULL, ETAG_MISMATCH},
    {"delete", OP_DEVICE_DELETE, "d", NULL, "\"*\"", NULL, OK, NULL,
     "delete d, kick d NO_DEVICE"},
    {"get", OP_DEVICE_GET, "d", NULL, NULL, NULL, NO_DEVICE, "d"},
    {"delete what is gone", OP_DEVICE_DELETE, "d", NULL, "*", NULL, NO_DEVICE, "d"},
    {"missing goes before the header", OP_DEVICE_DELETE, "d", NULL, NULL, NULL, NO_DEVICE, "d"},
    {"update what is gone", OP_DEVICE_PUT, "d", NULL, "*", "{}", NO_DEVICE, "d"},
    {"syntax goes before existence", OP_DEVICE_PUT, "d", NULL, "*", "{", BAD_FORMAT},
    {"existence goes before validation", OP_DEVICE_PUT, "d", NULL, "*", "[]", NO_DEVICE},
    {"a body is needed", OP_DEVICE_PUT, "d", NULL, NULL, NULL, NULL_ARGUMENT},
    {"an object is needed", OP_DEVICE_PUT, "d", NULL, NULL, "[]", BAD_ARGUMENT},
    {"create once more", OP_DEVICE_PUT, "d", NULL, NULL, "{}", OK, NULL, "create d"},
    {"the header goes before validation", OP_DEVICE_PUT, "d", NULL, "MQ==", "[]", ETAG_MISMATCH},
    {"existing goes before validation", OP_DEVICE_PUT, "d", NULL, NULL, "[]", DEVICE_EXISTS},
};
/* clang-format on */

TEST(a_device_is_created_updated_and_deleted)
{
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, life);
    fixture_fini(&f);
}

/* clang-format off */
static const struct step module_life[] = {
    {"no device", OP_MODULE_PUT, "d", "m", NULL, "{}", NO_DEVICE, "d"},
    {"get without device", OP_MODULE_GET, "d", "m", NULL, NULL, NO_DEVICE, "d"},
    {"delete without device", OP_MODULE_DELETE, "d", "m", "*", NULL, NO_DEVICE, "d"},
    {"list without device", OP_MODULE_LIST, "d", NULL, NULL, NULL, NO_DEVICE, "d"},
    {"device", OP_DEVICE_PUT, "d", NULL, NULL, "{" DISABLED "}", OK},
    {"list of none", OP_MODULE_LIST, "d", NULL, NULL, NULL, OK, "[]", ""},
    {"update of none", OP_MODULE_PUT, "d", "m", "*", "{}", NO_MODULE, "m"},
    {"get of none", OP_MODULE_GET, "d", "m", NULL, NULL, NO_MODULE, "m"},
    {"delete of none", OP_MODULE_DELETE, "d", "m", NULL, NULL, NO_MODULE, "m"},
    {"create, on a disabled device", OP_MODULE_PUT, "d", "m", NULL, "{}", OK,
     "\"moduleId\":\"m\"", "create d/m"},
    {"create again", OP_MODULE_PUT, "d", "m", NULL, "{}", MODULE_EXISTS,
     "Device d in IotHub myhub already contains Module m."},
    {"update", OP_MODULE_PUT, "d", "m", "*", "{" SAS(KEY_A, KEY_B) "}", OK, KEY_A,
     "identity d/m, rekey d/m"},
    {"get", OP_MODULE_GET, "d", "m", NULL, NULL, OK, KEY_A, ""},
    {"wrong etag", OP_MODULE_PUT, "d", "m", "MQ==", "{}", ETAG_MISMATCH},
    {"delete without a header", OP_MODULE_DELETE, "d", "m", NULL, NULL, ETAG_MISMATCH,
     "Etag missing"},
    {"delete with a wrong etag", OP_MODULE_DELETE, "d", "m", "MQ==", NULL, ETAG_MISMATCH},
    {"delete", OP_MODULE_DELETE, "d", "m", "*", NULL, OK, NULL, "delete d/m, kick d/m NO_DEVICE"},
    {"b", OP_MODULE_PUT, "d", "b", NULL, "{}", OK},
    {"a", OP_MODULE_PUT, "d", "a", NULL, "{}", OK},
    {"c", OP_MODULE_PUT, "d", "c", NULL, "{}", OK},
    {"one too many", OP_MODULE_PUT, "d", "e", NULL, "{}", TOO_MANY_MODULES, "at most 3"},
    {"an update is not one more", OP_MODULE_PUT, "d", "a", "*", "{}", OK},
    {"the device goes with its modules, theirs first", OP_DEVICE_DELETE, "d", NULL, "*", NULL, OK,
     NULL,
     "delete d/a, kick d/a NO_DEVICE, delete d/b, kick d/b NO_DEVICE, "
     "delete d/c, kick d/c NO_DEVICE, delete d, kick d NO_DEVICE"},
    {"nothing is left", OP_MODULE_GET, "d", "a", NULL, NULL, NO_DEVICE},
    {"device again", OP_DEVICE_PUT, "d", NULL, NULL, "{}", OK},
    {"without modules", OP_MODULE_LIST, "d", NULL, NULL, NULL, OK, "[]"},
    {"the module is new", OP_MODULE_PUT, "d", "a", NULL, "{}", OK, NULL, "create d/a"},
};
/* clang-format on */

TEST(a_module_is_created_updated_and_deleted)
{
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, module_life);
    fixture_fini(&f);
}

TEST(modules_are_listed_by_id)
{
    static const char *const ids[] = {"b", "B", "a"};
    struct fixture f;
    struct buf want = {0};
    fixture_init(&f, 1);
    fixture_put(&f, "d", NULL, NULL, "{}");
    for (size_t i = 0; i < COUNT(ids); i++)
        fixture_put(&f, "d", ids[i], NULL, "{}");
    buf_byte(&want, '[');
    registry_put_identity(&want, fixture_find(&f, "d", "B"));
    buf_byte(&want, ',');
    registry_put_identity(&want, fixture_find(&f, "d", "a"));
    buf_byte(&want, ',');
    registry_put_identity(&want, fixture_find(&f, "d", "b"));
    buf_byte(&want, ']');
    const struct step list = {"list", OP_MODULE_LIST, "d", .want = OK};
    fixture_step(&f, &list);
    EXPECT_SPAN(fixture_answer(&f), buf_span(&want));
    buf_fini(&want);
    fixture_fini(&f);
}

TEST(a_precondition_comes_in_every_form_of_the_clients)
{
    static const struct {
        const char *format;
        enum status want;
    } forms[] = {
        {"*",                OK           },
        {"\"*\"",            OK           },
        {"%s",               OK           },
        {"\"%s\"",           OK           },
        {"W/\"%s\"",         OK           },
        {"\"MQ==\", \"%s\"", OK           },
        {"MQ==",             ETAG_MISMATCH},
        {"",                 ETAG_MISMATCH},
        {"%sx",              ETAG_MISMATCH},
    };
    struct fixture f;
    fixture_init(&f, 1);
    fixture_put(&f, "d", NULL, NULL, "{}");
    for (size_t i = 0; i < COUNT(forms); i++) {
        char etag[32] = {0}, header[64];
        memcpy(etag, f.out.etag.data, f.out.etag.len);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(header, sizeof(header), forms[i].format, etag);
#pragma GCC diagnostic pop
        const struct step step = {forms[i].format, OP_DEVICE_PUT, "d",          NULL,
                                  header,          "{}",          forms[i].want};
        fixture_step(&f, &step);
        const struct step get = {"get", OP_DEVICE_GET, "d", .want = OK};
        fixture_step(&f, &get);
    }
    fixture_fini(&f);
}

TEST(an_identity_write_leaves_the_twin_alone)
{
    static const struct step steps[] = {
        {"device",  OP_DEVICE_PUT, "d", NULL, NULL, "{}",                   OK},
        {"twin",    OP_TWIN_PATCH, "d", NULL, NULL, "{\"tags\":{\"a\":1}}", OK},
        {"disable", OP_DEVICE_PUT, "d", NULL, "*",  "{" DISABLED "}",       OK},
    };
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, steps);
    struct entity e = fixture_entity(&f, "d", NULL);
    EXPECT_EQ(e.twin_etag, 2);
    EXPECT_EQ(e.desired_version, 1);
    EXPECT_EQ(e.reported_version, 1);
    fixture_fini(&f);
}

TEST(recreation_is_a_new_identity)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_put(&f, "d", NULL, NULL, "{}");
    struct entity e = fixture_entity(&f, "d", NULL);
    uint64_t generation = e.generation;
    char key[64] = {0};
    memcpy(key, e.primary_key.data, e.primary_key.len);
    struct live *l = fixture_find(&f, "d", NULL);
    l->last_activity_ms = l->connection_updated_ms = f.now.wall_ms;
    static const struct step again[] = {
        {"twin",            OP_TWIN_PATCH, "d",  NULL, NULL, "{\"tags\":{\"a\":1}}", OK},
        {        "delete", OP_DEVICE_DELETE,           "d", NULL,  "*", NULL,                     OK  },
        { "create",              OP_DEVICE_PUT,                       "d", NULL, NULL,   "{}",                             OK,
         "\"lastActivityTime\":\"0001-01-01T00:00:00\""},
    };
    PLAY(&f, again);
    e = fixture_entity(&f, "d", NULL);
    EXPECT(e.generation > generation);
    EXPECT(!span_eq(e.primary_key, span_text(key)));
    EXPECT_EQ(e.twin_etag, 1);
    EXPECT(doc_is_empty(e.tags));
    fixture_fini(&f);
}

TEST(a_reply_waits_for_what_it_tells_of)
{
    static const struct step get = {"get", OP_DEVICE_GET, "d", .want = OK};
    static const struct step list = {"list", OP_MODULE_LIST, "d", .want = OK};
    static const struct step exists = {"put", OP_DEVICE_PUT, "d", .body = "{}",
                                       .want = DEVICE_EXISTS};
    static const struct step gone = {"get", OP_DEVICE_GET, "d", .want = NO_DEVICE};
    static const struct step delete = {"delete", OP_DEVICE_DELETE, "d", .if_match = "*"};
    struct fixture f;
    fixture_init(&f, 1);
    fixture_put(&f, "d", NULL, NULL, "{}");
    EXPECT_EQ(f.out.depends, 1);
    f.hub.batch = 2;
    fixture_put(&f, "d", "m", NULL, "{}");
    EXPECT_EQ(f.out.depends, 2);
    fixture_step(&f, &get);
    EXPECT_EQ(f.out.depends, 1);
    fixture_step(&f, &exists);
    EXPECT_EQ(f.out.depends, 1);
    fixture_step(&f, &list);
    EXPECT_EQ(f.out.depends, 2);
    hub_durable(&f.hub, 2);
    fixture_step(&f, &get);
    EXPECT_EQ(f.out.depends, 0);
    f.hub.batch = 3;
    fixture_step(&f, &delete);
    fixture_step(&f, &gone);
    EXPECT_EQ(f.out.depends, 3);
    fixture_fini(&f);
}
TEST_MAIN(RUN(a_created_device_answers_with_this_json),
          RUN(a_created_module_answers_with_this_json),
          RUN(the_connection_shows_from_memory_and_then_from_the_record),
          RUN(an_identity_sent_back_as_it_was_read_only_gets_a_new_etag),
          RUN(a_device_is_created_updated_and_deleted),
          RUN(a_module_is_created_updated_and_deleted), RUN(modules_are_listed_by_id),
          RUN(a_precondition_comes_in_every_form_of_the_clients),
          RUN(an_identity_write_leaves_the_twin_alone), RUN(recreation_is_a_new_identity),
          RUN(a_reply_waits_for_what_it_tells_of))
