#include "hub/registry.h"

#include "base/text.h"
#include "hub/registry_fixture.h"

#define KEY_A      "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
#define KEY_B      "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
#define KEYS(a, b) "{\"primaryKey\":\"" a "\",\"secondaryKey\":\"" b "\"}"
#define SAS(a, b)  "\"authentication\":{\"type\":\"sas\",\"symmetricKey\":" KEYS(a, b) "}"
#define AUTH(type) "{\"authentication\":{\"type\":\"" type "\"}}"
#define SHA1_A     "0123456789abcdefABCDEF0123456789abcdef01"
#define SHA1_B     "00000000000000000000000000000000000000ff"
#define SHA256_A   SHA1_A "0123456789abcdef01234567"
#define THUMBPRINTS(a, b) \
    "\"x509Thumbprint\":{\"primaryThumbprint\":\"" a "\",\"secondaryThumbprint\":\"" b "\"}"
#define DISABLED "\"status\":\"disabled\""
#define EDGE     "\"capabilities\":{\"iotEdge\":true}"
#define NO_EDGE  "\"capabilities\":{\"iotEdge\":false}"

#define PLAY(f, steps) fixture_play(f, steps, COUNT(steps))

static struct span answer(const struct fixture *f)
{
    return buf_span(&f->body);
}

static void put(struct fixture *f, const char *device, const char *module, const char *if_match,
                const char *body)
{
    const struct step step = {
        .name = body,
        .kind = module ? OP_MODULE_PUT : OP_DEVICE_PUT,
        .device = device,
        .module = module,
        .if_match = if_match,
        .body = body,
    };
    fixture_step(f, &step);
}

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
    put(&f, "pump-07", NULL, NULL, "{\"deviceId\":\"pump-07\"," SAS(KEY_A, KEY_B) "}");
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
    EXPECT_SPAN(answer(&f), buf_span(&want));
    buf_fini(&want);
    fixture_fini(&f);
}

TEST(a_created_module_answers_with_this_json)
{
    struct fixture f;
    struct buf want = {0};
    fixture_init(&f, 1);
    put(&f, "pump-07", NULL, NULL, "{}");
    put(&f, "pump-07", "sampler", NULL, "{" SAS(KEY_A, KEY_B) "}");
    buf_text(&want, "{\"moduleId\":\"sampler\",\"managedBy\":null,\"deviceId\":\"pump-07\",");
    put_head(&want, &f, "pump-07", "sampler");
    buf_text(&want, "\"connectionState\":\"Disconnected\","
                    "\"connectionStateUpdatedTime\":\"0001-01-01T00:00:00\","
                    "\"lastActivityTime\":\"0001-01-01T00:00:00\",\"cloudToDeviceMessageCount\":0,"
                    "\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"" KEY_A
                    "\",\"secondaryKey\":\"" KEY_B "\"},"
                    "\"x509Thumbprint\":{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},"
                    "\"type\":\"sas\"}}");
    EXPECT_SPAN(answer(&f), buf_span(&want));
    buf_fini(&want);
    fixture_fini(&f);
}

TEST(the_connection_shows_from_memory_and_then_from_the_record)
{
    struct fixture f;
    struct buf b = {0};
    fixture_init(&f, 1);
    put(&f, "d", NULL, NULL, "{}");
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
    buf_put(out, answer(f));
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
    put(&f, "d", NULL, NULL, "{\"statusReason\":\"tr\xc3\xa8s \\\"vieux\\\"\"," EDGE "}");
    without_etag(&f, &sent);
    uint64_t etag = fixture_entity(&f, "d", NULL).identity_etag;
    put(&f, "d", NULL, "*", (char *)sent.data);
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
    put(&f, "d", NULL, NULL, "{}");
    for (size_t i = 0; i < COUNT(ids); i++)
        put(&f, "d", ids[i], NULL, "{}");
    buf_byte(&want, '[');
    registry_put_identity(&want, fixture_find(&f, "d", "B"));
    buf_byte(&want, ',');
    registry_put_identity(&want, fixture_find(&f, "d", "a"));
    buf_byte(&want, ',');
    registry_put_identity(&want, fixture_find(&f, "d", "b"));
    buf_byte(&want, ']');
    const struct step list = {"list", OP_MODULE_LIST, "d", .want = OK};
    fixture_step(&f, &list);
    EXPECT_SPAN(answer(&f), buf_span(&want));
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
    put(&f, "d", NULL, NULL, "{}");
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
    put(&f, "d", NULL, NULL, "{}");
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
    put(&f, "d", NULL, NULL, "{}");
    EXPECT_EQ(f.out.depends, 1);
    f.hub.batch = 2;
    put(&f, "d", "m", NULL, "{}");
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

/* ---- bodies ---- */

/* clang-format off */
static const struct {
    const char *module, *body;
    const char *why; /* NULL: it is accepted */
} bodies[] = {
    {NULL, "null", "must be an object"},
    {NULL, "\"d\"", "must be an object"},
    {NULL, "{\"deviceId\":\"D\"}", "'deviceId' is not the id of the request, 'd'"},
    {NULL, "{\"deviceId\":7}", "'deviceId' must be a string"},
    {NULL, "{\"deviceId\":null,\"moduleId\":7}", NULL},
    {NULL, "{\"authentication\":[]}", "'authentication' must be an object"},
    {NULL, "{\"authentication\":null}", NULL},
    {NULL, "{\"authentication\":{\"type\":1}}", "'type' must be a string"},
    {NULL, AUTH("x509"), "no type of authentication"},
    {NULL, AUTH("none"), "DeviceAuthenticationTypeIsMissing"},
    {NULL, "{\"authentication\":{\"symmetricKey\":\"k\"}}", "'symmetricKey' must be an object"},
    {NULL, "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":1}}}", "'primaryKey' must be"},
    {NULL, "{\"authentication\":{\"symmetricKey\":{\"secondaryKey\":{}}}}", "'secondaryKey' must"},
    {NULL, "{\"authentication\":{\"x509Thumbprint\":true}}", "'x509Thumbprint' must be an object"},
    {NULL, "{\"authentication\":{\"x509Thumbprint\":{\"primaryThumbprint\":1}}}",
     "'primaryThumbprint' must be a string"},
    {NULL, "{\"authentication\":{\"x509Thumbprint\":{\"secondaryThumbprint\":1}}}",
     "'secondaryThumbprint' must be a string"},
    {NULL, "{\"status\":true}", "'status' must be a string"},
    {NULL, "{\"status\":\"off\"}", "'status' must be enabled or disabled"},
    {NULL, "{\"statusReason\":1}", "'statusReason' must be a string"},
    {NULL, "{\"capabilities\":true}", "'capabilities' must be an object"},
    {NULL, "{\"capabilities\":{\"iotEdge\":\"true\"}}", "'iotEdge' must be a boolean"},
    {NULL, "{\"capabilities\":{\"iotEdge\":null}}", NULL},
    {NULL, "{\"deviceScope\":1}", "'deviceScope' must be a string"},
    {NULL, "{\"parentScopes\":\"s\"}", "'parentScopes' must be an array"},
    {NULL, "{\"parentScopes\":[\"s\",1]}", "values in 'parentScopes' must be strings"},
    {NULL, "{\"managedBy\":1,\"etag\":1,\"lastActivityTime\":[],\"colour\":{}}", NULL},
    {"m", "{\"deviceId\":\"e\"}", "'deviceId' is not the id of the request, 'd'"},
    {"m", "{\"moduleId\":\"M\"}", "'moduleId' is not the id of the request, 'm'"},
    {"m", "{\"moduleId\":[]}", "'moduleId' must be a string"},
    {"m", "{\"managedBy\":1}", "'managedBy' must be a string"},
    {"m", "{\"status\":1,\"statusReason\":1,\"capabilities\":1,\"deviceScope\":1}", NULL},
};
/* clang-format on */

TEST(a_member_of_the_wrong_kind_is_refused_by_name)
{
    struct fixture f;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        fixture_init(&f, 1);
        if (bodies[i].module)
            put(&f, "d", NULL, NULL, "{}");
        const struct step step = {
            .name = bodies[i].body,
            .kind = bodies[i].module ? OP_MODULE_PUT : OP_DEVICE_PUT,
            .device = "d",
            .module = bodies[i].module,
            .body = bodies[i].body,
            .want = bodies[i].why ? BAD_ARGUMENT : OK,
            .shows = bodies[i].why,
        };
        fixture_step(&f, &step);
        fixture_fini(&f);
    }
}

TEST(names_and_values_of_the_api_match_in_any_case)
{
    struct fixture f;
    fixture_init(&f, 1);
    put(&f, "d", NULL, NULL,
        "{\"DEVICEID\":\"d\",\"Status\":\"Disabled\",\"statusreason\":\"old\","
        "\"Authentication\":{\"TYPE\":\"SelfSigned\",\"X509thumbprint\":{"
        "\"PrimaryThumbprint\":\"" SHA1_A "\"}},\"Capabilities\":{\"IotEdge\":true}}");
    struct entity e = fixture_entity(&f, "d", NULL);
    EXPECT(e.disabled);
    EXPECT(e.edge);
    EXPECT_EQ(e.auth, AUTH_SELF_SIGNED);
    EXPECT_SPAN(e.status_reason, SPAN("old"));
    EXPECT_SPAN(e.primary_thumbprint, SPAN(SHA1_A));
    fixture_fini(&f);
}

/* A body whose member is `count` times `unit`. */
static void put_long(struct fixture *f, const char *format, const char *unit, size_t count,
                     enum status want)
{
    struct buf value = {0}, body = {0};
    for (size_t i = 0; i < count; i++)
        buf_text(&value, unit);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    buf_printf(&body, format, SPAN_ARG(buf_span(&value)));
#pragma GCC diagnostic pop
    buf_byte(&body, 0);
    bool module = strstr(format, "managedBy") != NULL;
    const struct step step = {.name = format,
                              .kind = module ? OP_MODULE_PUT : OP_DEVICE_PUT,
                              .device = "d",
                              .module = module ? "m" : NULL,
                              .if_match = "*",
                              .body = (char *)body.data,
                              .want = want};
    fixture_step(f, &step);
    buf_fini(&value);
    buf_fini(&body);
}

TEST(texts_have_a_longest_length)
{
    static const struct {
        const char *format, *unit;
        size_t max;
        enum status beyond;
    } rows[] = {
        {"{\"statusReason\":\"%.*s\"}",   "a",        128, BAD_ARGUMENT},
        {"{\"statusReason\":\"%.*s\"}",   "\xc3\xa8", 128, BAD_ARGUMENT}, /* characters */
        {"{\"deviceScope\":\"%.*s\"}",    "a",        512, BAD_SCOPE   },
        {"{\"parentScopes\":[\"%.*s\"]}", "a",        512, BAD_SCOPE   },
        {"{\"managedBy\":\"%.*s\"}",      "a",        512, BAD_ARGUMENT},
    };
    struct fixture f;
    fixture_init(&f, 1);
    put(&f, "d", NULL, NULL, "{}");
    put(&f, "d", "m", NULL, "{}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        put_long(&f, rows[i].format, rows[i].unit, rows[i].max, OK);
        put_long(&f, rows[i].format, rows[i].unit, rows[i].max + 1, rows[i].beyond);
    }
    fixture_fini(&f);
}

TEST(an_id_is_1_to_128_allowed_characters)
{
    char longest[129];
    memset(longest, 'a', 128);
    longest[128] = 0;
    const struct step rows[] = {
        {"128",          OP_DEVICE_PUT,       longest,                      NULL,NULL, "{}", OK},
        {"module of 128",          OP_MODULE_PUT,                           longest,                                                       longest,NULL, "{}", OK, longest},
        {"all characters",       OP_DEVICE_PUT,"Az09-:.+%_#*?!(),=@;$'",NULL,NULL, "{}", OK},
        {"slash",       OP_DEVICE_PUT,                          "a/b",                                       NULL,NULL, "{}", BAD_ARGUMENT, "id is not valid"},
        {"not ASCII",          OP_DEVICE_PUT,                         "\xc3\xa8",                                                                                       NULL,                                                                                   NULL, "{}", BAD_ARGUMENT},
        {"module with a blank",        OP_MODULE_PUT,        longest,      "a b",NULL, "{}", BAD_ARGUMENT},
        {"only create minds",          OP_DEVICE_PUT,                 "a/b",                            NULL,"*", "{}", NO_DEVICE, "a/b"},
        {"ids mind the case",OP_DEVICE_GET,"az09-:.+%_#*?!(),=@;$'",.want = NO_DEVICE},
    };
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, rows);
    fixture_fini(&f);
}

/* ---- authentication (registry 3) ---- */

/* clang-format off */
static const struct step credentials[] = {
    {"device", OP_DEVICE_PUT, "d", NULL, NULL, "{" SAS(KEY_A, KEY_B) "}", OK, NULL, "create d"},
    {"the same keys", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS(KEY_A, KEY_B) "}", OK, NULL,
     "identity d"},
    {"one key rotated", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS(KEY_A, KEY_A) "}", OK, NULL,
     "identity d, rekey d"},
    {"the first alone", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS(KEY_A, "") "}", BAD_ARGUMENT,
     "Either no keys or both keys can be set"},
    {"the second alone", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"symmetricKey\":{\"secondaryKey\":\"" KEY_A "\"}}}", BAD_ARGUMENT,
     "Either no keys or both keys can be set"},
    {"16 bytes", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS("MDEyMzQ1Njc4OWFiY2RlZg==", KEY_A) "}", OK,
     "\"primaryKey\":\"MDEyMzQ1Njc4OWFiY2RlZg==\""},
    {"15 bytes", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS("MDEyMzQ1Njc4OWFiY2Rl", KEY_A) "}",
     BAD_ARGUMENT, "Invalid device key length"},
    {"15 bytes, the second", OP_DEVICE_PUT, "d", NULL, "*",
     "{" SAS(KEY_A, "MDEyMzQ1Njc4OWFiY2Rl") "}", BAD_ARGUMENT, "Invalid device key length"},
    {"not base64", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS("1", "2") "}", BAD_ARGUMENT,
     "Invalid device key length"},
    {"a stray character", OP_DEVICE_PUT, "d", NULL, "*",
     "{" SAS("MDEyMzQ1Njc4OWFiY2R!Zg==", KEY_A) "}", BAD_ARGUMENT},
    {"thumbprints", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"selfSigned\",\"symmetricKey\":" KEYS(KEY_A, KEY_B) ","
     THUMBPRINTS(SHA1_A, SHA256_A) "}}",
     OK,
     "\"authentication\":{\"symmetricKey\":{\"primaryKey\":null,\"secondaryKey\":null},"
     "\"x509Thumbprint\":{\"primaryThumbprint\":\"" SHA1_A "\",\"secondaryThumbprint\":\"" SHA256_A
     "\"},\"type\":\"selfSigned\"}",
     "identity d, rekey d"},
    {"keys that selfSigned does not use are not checked", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"selfSigned\",\"symmetricKey\":" KEYS("1", "") ","
     THUMBPRINTS(SHA1_A, SHA256_A) "}}", OK, NULL, "identity d"},
    {"one thumbprint changed", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"selfSigned\"," THUMBPRINTS(SHA1_A, SHA1_B) "}}", OK, NULL,
     "identity d, rekey d"},
    {"the other one, without a type", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS(SHA1_B, SHA1_B) "}}", OK, "\"type\":\"selfSigned\"",
     "identity d, rekey d"},
    {"one is enough to mean selfSigned", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS("", SHA1_B) "}}", OK,
     "{\"primaryThumbprint\":null,\"secondaryThumbprint\":\"" SHA1_B "\"},\"type\":\"selfSigned\""},
    {"a thumbprint too short", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS("0123456789abcdef", "") "}}", BAD_ARGUMENT,
     "StringIsNotThumbprint"},
    {"a thumbprint in between", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS("", SHA1_A "ab") "}}", BAD_ARGUMENT,
     "StringIsNotThumbprint"},
    {"separators", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{" THUMBPRINTS(SHA1_A, "01:3456789abcdefABCDEF0123456789abcdef01") "}}",
     BAD_ARGUMENT, "StringIsNotThumbprint"},
    {"no thumbprints at all", OP_DEVICE_PUT, "d", NULL, "*", AUTH("selfSigned"), OK,
     "{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},\"type\":\"selfSigned\""},
    {"CA", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"certificateAuthority\",\"symmetricKey\":"
     KEYS(KEY_A, KEY_B) "," THUMBPRINTS("x", "") "}}",
     OK,
     "\"authentication\":{\"symmetricKey\":{\"primaryKey\":null,\"secondaryKey\":null},"
     "\"x509Thumbprint\":{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},"
     "\"type\":\"certificateAuthority\"}",
     "identity d, rekey d"},
    {"CA again", OP_DEVICE_PUT, "d", NULL, "*", AUTH("certificateAuthority"), OK, NULL,
     "identity d"},
    {"to SAS, dropping thumbprints", OP_DEVICE_PUT, "d", NULL, "*",
     "{\"authentication\":{\"type\":\"sas\"," THUMBPRINTS("x", SHA1_A) "}}", OK,
     "{\"primaryThumbprint\":null,\"secondaryThumbprint\":null},\"type\":\"sas\"",
     "identity d, rekey d"},
    {"without authentication: new keys", OP_DEVICE_PUT, "d", NULL, "*", "{}", OK, NULL,
     "identity d, rekey d"},
    {"with empty keys: new keys", OP_DEVICE_PUT, "d", NULL, "*", "{" SAS("", "") "}", OK, NULL,
     "identity d, rekey d"},
    {"module", OP_MODULE_PUT, "d", "m", NULL, AUTH("none"), OK, "\"type\":\"sas\"", "create d/m"},
    {"module without authentication", OP_MODULE_PUT, "d", "m", "*", "{}", OK, NULL,
     "identity d/m, rekey d/m"},
};
/* clang-format on */

TEST(authentication_keeps_its_rules)
{
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, credentials);
    fixture_fini(&f);
}

TEST(a_key_is_at_most_64_bytes)
{
    static const char format[] =
        "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"%.*sYQ==\","
        "\"secondaryKey\":\"" KEY_A "\"}}}";
    struct fixture f;
    fixture_init(&f, 1);
    put(&f, "d", NULL, NULL, "{}");
    put_long(&f, format, "YWFh", 21, OK);           /* 64 bytes */
    put_long(&f, format, "YWFh", 22, BAD_ARGUMENT); /* 67 */
    fixture_fini(&f);
}

static void made_keys(uint64_t seed, const char *module, struct buf *out)
{
    struct fixture f;
    fixture_init(&f, seed);
    put(&f, "d", NULL, NULL, "{}");
    if (module)
        put(&f, "d", module, NULL, "{}");
    struct entity e = fixture_entity(&f, "d", module);
    uint8_t bytes[64];
    size_t len;
    EXPECT_EQ(e.primary_key.len, 44);
    EXPECT_EQ(e.secondary_key.len, 44);
    EXPECT(text_base64(e.primary_key, bytes, sizeof(bytes), &len));
    EXPECT_EQ(len, 32);
    EXPECT(text_base64(e.secondary_key, bytes, sizeof(bytes), &len));
    EXPECT_EQ(len, 32);
    EXPECT(!span_eq(e.primary_key, e.secondary_key));
    buf_clear(out);
    buf_put(out, e.primary_key);
    buf_put(out, e.secondary_key);
    fixture_fini(&f);
}

TEST(made_keys_come_from_the_random_bytes_alone)
{
    struct buf one = {0}, two = {0};
    made_keys(1, NULL, &one);
    made_keys(1, NULL, &two);
    EXPECT_SPAN(buf_span(&one), buf_span(&two));
    made_keys(2, NULL, &two);
    EXPECT(!span_eq(buf_span(&one), buf_span(&two)));
    made_keys(1, "m", &two);
    EXPECT(!span_eq(buf_span(&one), buf_span(&two)));
    buf_fini(&one);
    buf_fini(&two);
}

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
    put(&f, "d", NULL, NULL, "{}");
    f.now.wall_ms += 3600000;
    int64_t newest = f.now.wall_ms;
    put(&f, "d", NULL, "*", "{}");
    f.now.wall_ms -= 7200000;
    put(&f, "d", NULL, "*", "{" DISABLED "}");
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
    EXPECT(fixture_contains(answer(&f), "\"parentScopes\":[]}"));
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
        answer(&f),
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
    put(&f, "e", NULL, NULL, "{" EDGE ",\"parentScopes\":[\"p\"]}");
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
        put(&f, "e", NULL, "*", body);
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
        put(&f, "d", NULL, i ? "*" : NULL, rows[i].body);
        struct entity e = fixture_entity(&f, "d", NULL);
        EXPECT_SPAN_IN(rows[i].body, e.scope, rows[i].want);
        EXPECT_SPAN_IN(rows[i].body, e.parent_scope, rows[i].want);
        EXPECT_EQ(fixture_contains(answer(&f), "Scope"), rows[i].want.len > 0);
    }
    put(&f, "d", NULL, "*", "{\"deviceScope\":\"p\"}");
    EXPECT(fixture_contains(answer(&f), ",\"deviceScope\":\"p\",\"parentScopes\":[\"p\"]}"));
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

TEST_MAIN(
    RUN(a_created_device_answers_with_this_json), RUN(a_created_module_answers_with_this_json),
    RUN(the_connection_shows_from_memory_and_then_from_the_record),
    RUN(an_identity_sent_back_as_it_was_read_only_gets_a_new_etag),
    RUN(a_device_is_created_updated_and_deleted), RUN(a_module_is_created_updated_and_deleted),
    RUN(modules_are_listed_by_id), RUN(a_precondition_comes_in_every_form_of_the_clients),
    RUN(an_identity_write_leaves_the_twin_alone), RUN(recreation_is_a_new_identity),
    RUN(a_reply_waits_for_what_it_tells_of), RUN(a_member_of_the_wrong_kind_is_refused_by_name),
    RUN(names_and_values_of_the_api_match_in_any_case), RUN(texts_have_a_longest_length),
    RUN(an_id_is_1_to_128_allowed_characters), RUN(authentication_keeps_its_rules),
    RUN(a_key_is_at_most_64_bytes), RUN(made_keys_come_from_the_random_bytes_alone),
    RUN(a_change_of_status_is_stamped_and_reaches_the_modules),
    RUN(stamps_do_not_go_back_with_the_clock),
    RUN(an_edge_device_is_created_with_its_system_modules),
    RUN(the_edge_capability_toggles_both_ways),
    RUN(an_edge_device_that_echoes_its_scope_may_change_its_parent),
    RUN(the_scope_of_a_leaf_is_its_parent), RUN(system_modules_belong_to_the_hub_and_the_device))
