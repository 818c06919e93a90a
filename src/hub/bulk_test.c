#include "hub/registry.h"

#include "hub/registry_fixture.h"

#define MODE(mode) "\"id\":\"d\",\"importMode\":\"" mode "\""
#define TAGS       "\"tags\":{\"site\":\"north\"}"
#define DESIRED    "\"properties\":{\"desired\":{\"rate\":30},\"reported\":{\"x\":1}}"
#define C1         "AAAAAAAAAAE=" /* the twin etag after creation */
#define C2         "AAAAAAAAAAI="

/* ---- the call ---- */

static struct doc_node parse(struct fixture *f, const char *json)
{
    struct span doc;
    EXPECT_EQ(doc_parse(span_text(json), &doc_limits_azure.syntax, &f->arena, &doc), OK);
    return doc_root(doc);
}

TEST(a_call_is_an_array_that_names_nobody_twice)
{
    static const struct {
        const char *json;
        enum status want;
    } rows[] = {
        {"[]",                                                                    OK              },
        {"{}",                                                                    BAD_ARGUMENT    },
        {"null",                                                                  BAD_ARGUMENT    },
        {"\"[]\"",                                                                BAD_ARGUMENT    },
        {"[{\"id\":\"a\"},{\"id\":\"b\"}]",                                       OK              },
        {"[{\"id\":\"a\"},{\"id\":\"A\"}]",                                       OK              },
        {"[{\"id\":\"a\"},{\"id\":\"b\"},{\"ID\":\"a\"}]",                        DUPLICATE_DEVICE},
        {"[{\"id\":\"a\"},{\"id\":\"a\",\"moduleId\":\"m\"}]",                    OK              },
        {"[{\"id\":\"a\",\"moduleId\":\"m\"},{\"id\":\"b\",\"moduleId\":\"m\"}]", OK              },
        {"[{\"id\":\"a\",\"moduleid\":\"m\"},{\"id\":\"a\",\"moduleId\":\"m\"}]", DUPLICATE_DEVICE},
        {"[{\"id\":\"a\"},{\"id\":\"a\",\"moduleId\":null}]",                     DUPLICATE_DEVICE},
        {"[{},{},1,null,{\"id\":7},{\"id\":7}]",                                  OK              }, /* errors of their own */
    };
    struct fixture f;
    fixture_init(&f, 1);
    for (size_t i = 0; i < COUNT(rows); i++)
        EXPECT_EQ_IN(rows[i].json, bulk_check(parse(&f, rows[i].json)), rows[i].want);
    fixture_fini(&f);
}

TEST(a_call_has_at_most_100_entries)
{
    struct fixture f;
    struct buf json = {0};
    fixture_init(&f, 1);
    buf_byte(&json, '[');
    for (int i = 1; i <= 101; i++) {
        buf_printf(&json, "%s{\"id\":\"%d\"}", i > 1 ? "," : "", i);
        buf_text(&json, "]");
        buf_byte(&json, 0);
        enum status want = i <= 100 ? OK : TOO_MANY_DEVICES;
        EXPECT_EQ_IN("entries", bulk_check(parse(&f, (char *)json.data)), want);
        json.len -= 2;
    }
    buf_text(&json, ",{\"id\":\"1\"}]");
    buf_byte(&json, 0);
    EXPECT_EQ(bulk_check(parse(&f, (char *)json.data)), TOO_MANY_DEVICES);
    buf_fini(&json);
    fixture_fini(&f);
}

TEST(an_entry_says_who_is_meant)
{
    static const struct {
        const char *json;
        enum status want;
        struct span device, module, mode;
    } rows[] = {
        {"{\"id\":\"d\"}",                                              OK,           SPAN_INIT("d"),   {0}, {0}                },
        {"{\"ID\":\"d\",\"ModuleId\":\"m\",\"ImportMode\":\"Update\"}", OK,           SPAN_INIT("d"),
         SPAN_INIT("m"),                                                                                     SPAN_INIT("Update")},
        {"{\"id\":\"d\",\"moduleId\":null,\"importMode\":null}",        OK,           SPAN_INIT("d"),   {0}, {0}                },
        {"{\"id\":\"d\",\"moduleId\":\"\"}",                            OK,           SPAN_INIT("d"),   {0}, {0}                },
        {"{\"id\":\"d\",\"moduleId\":7}",                               BAD_ARGUMENT, SPAN_INIT("d"),   {0}, {0}                },
        {"{\"id\":\"d\",\"moduleId\":\"m/n\"}",
         BAD_ARGUMENT,                                                                SPAN_INIT("d"),
         SPAN_INIT("m/n"),
         {0}                                                                                                                    },
        {"{\"id\":\"d e\"}",                                            BAD_ARGUMENT, SPAN_INIT("d e"), {0}, {0}                },
        {"{\"id\":7}",                                                  BAD_ARGUMENT, {0},              {0}, {0}                },
        {"{\"id\":\"\"}",                                               BAD_ARGUMENT, {0},              {0}, {0}                },
        {"{\"importMode\":\"delete\"}",                                 BAD_ARGUMENT, {0},              {0}, SPAN_INIT("delete")},
        {"[]",                                                          BAD_ARGUMENT, {0},              {0}, {0}                },
        {"null",                                                        BAD_ARGUMENT, {0},              {0}, {0}                },
    };
    struct fixture f;
    fixture_init(&f, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bulk_entry entry;
        EXPECT_EQ_IN(rows[i].json, bulk_entry(parse(&f, rows[i].json), &entry), rows[i].want);
        EXPECT_SPAN_IN(rows[i].json, entry.device, rows[i].device);
        EXPECT_SPAN_IN(rows[i].json, entry.module, rows[i].module);
        EXPECT_SPAN_IN(rows[i].json, entry.mode, rows[i].mode);
    }
    fixture_fini(&f);
}

TEST(an_id_of_an_entry_has_at_most_128_characters)
{
    struct fixture f;
    char json[200];
    struct bulk_entry entry;
    fixture_init(&f, 1);
    snprintf(json, sizeof(json), "{\"id\":\"%0128d\"}", 0);
    EXPECT_EQ(bulk_entry(parse(&f, json), &entry), OK);
    snprintf(json, sizeof(json), "{\"id\":\"%0129d\"}", 0);
    EXPECT_EQ(bulk_entry(parse(&f, json), &entry), BAD_ARGUMENT);
    snprintf(json, sizeof(json), "{\"id\":\"d\",\"moduleId\":\"%0129d\"}", 0);
    EXPECT_EQ(bulk_entry(parse(&f, json), &entry), BAD_ARGUMENT);
    fixture_fini(&f);
}

TEST(an_error_is_told_in_this_form)
{
    static const struct {
        struct bulk_entry entry;
        enum status st;
        const char *why, *want;
    } rows[] = {
        {{SPAN_INIT("pump-08"), {0}, SPAN_INIT("Create")},
         DEVICE_EXISTS, "A device with ID 'pump-08' is already registered.",
         "{\"deviceId\":\"pump-08\",\"moduleId\":null,\"errorCode\":\"DeviceAlreadyExists\","
         "\"errorStatus\":\"A device with ID 'pump-08' is already registered.\","
         "\"operation\":\"create\"}"                                                  },
        {{SPAN_INIT("d"), SPAN_INIT("m"), {0}},
         NO_MODULE,     "",
         "{\"deviceId\":\"d\",\"moduleId\":\"m\",\"errorCode\":\"ModuleNotFound\","
         "\"errorStatus\":\"module not registered\",\"operation\":\"createOrUpdate\"}"},
        {{{0}, {0}, SPAN_INIT("des\"troy")},
         BAD_ARGUMENT,  "no id",
         "{\"deviceId\":null,\"moduleId\":null,\"errorCode\":\"ArgumentInvalid\","
         "\"errorStatus\":\"no id\",\"operation\":\"des\\\"troy\"}"                   },
    };
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&b);
        bulk_put_error(&b, &rows[i].entry, rows[i].st, span_text(rows[i].why));
        EXPECT_SPAN(buf_span(&b), span_text(rows[i].want));
    }
    buf_fini(&b);
}

/* ---- the modes ---- */

/* Each mode on a device that is missing, and on one that exists, whose twin is at C 1. */
static const struct {
    const char *entry;
    enum status missing, exists;
    const char *created, *changed; /* effects */
} mode_rows[] = {
    {MODE("create"),                                                               OK,           DEVICE_EXISTS, "create d", ""                          },
    {MODE("createOrUpdate"),                                                       OK,           OK,            "create d", "identity d"                },
    {"\"id\":\"d\"",                                                               OK,           OK,            "create d", "identity d"                },
    {"\"id\":\"d\",\"importMode\":null",                                           OK,           OK,            "create d", "identity d"                },
    {MODE("createOrUpdateIfMatchETag") ",\"eTag\":\"*\"",                          OK,           OK,            "create d", "identity d"                },
    {MODE("createOrUpdateIfMatchETag") ",\"eTag\":\"MQ==\"",                       OK,           ETAG_MISMATCH, "create d", ""                          },
    {MODE("createOrUpdateIfMatchETag"),                                            OK,           ETAG_MISMATCH, "create d", ""                          },
    {MODE("update"),                                                               NO_DEVICE,    OK,            "",         "identity d"                },
    {MODE("update") ",\"eTag\":\"MQ==\"",                                          NO_DEVICE,    OK,            "",         "identity d"                },
    {MODE("updateIfMatchETag") ",\"eTag\":\"\\\"*\\\"\"",                          NO_DEVICE,    OK,            "",         "identity d"                },
    {MODE("updateIfMatchETag") ",\"eTag\":\"MQ==\"",                               NO_DEVICE,    ETAG_MISMATCH, "",         ""                          },
    {MODE("updateIfMatchETag") ",\"eTag\":null",                                   NO_DEVICE,    ETAG_MISMATCH, "",         ""                          },
    {MODE("updateIfMatchETag") ",\"eTag\":7",                                      NO_DEVICE,    ETAG_MISMATCH, "",         ""                          },
    {MODE("delete"),                                                               NO_DEVICE,    OK,            "",         "delete d, kick d NO_DEVICE"},
    {MODE("delete") ",\"eTag\":\"MQ==\"",                                          NO_DEVICE,    OK,            "",         "delete d, kick d NO_DEVICE"},
    {MODE("deleteIfMatchETag") ",\"eTag\":\"*\"",                                  NO_DEVICE,    OK,            "",         "delete d, kick d NO_DEVICE"},
    {MODE("deleteIfMatchETag") ",\"eTag\":\"MQ==\"",                               NO_DEVICE,    ETAG_MISMATCH, "",         ""                          },
    {MODE("deleteIfMatchETag"),                                                    NO_DEVICE,    ETAG_MISMATCH, "",         ""                          },
    {MODE("updateTwin") "," TAGS,                                                  NO_DEVICE,    OK,            "",         "twin d"                    },
    {MODE("updateTwin") ",\"twinETag\":\"" C2 "\"," TAGS,                          NO_DEVICE,    OK,            "",         "twin d"                    },
    {MODE("updateTwin"),                                                           NO_DEVICE,    OK,            "",         ""                          },
    {MODE("updateTwinIfMatchETag") ",\"twinETag\":\"" C1 "\"," DESIRED,            NO_DEVICE,    OK,            "",
     "twin d, push d"                                                                                                                                   },
    {MODE("updateTwinIfMatchETag") ",\"twinETag\":\"\\\"" C1 "\\\"\"," TAGS,       NO_DEVICE,    OK,            "",
     "twin d"                                                                                                                                           },
    {MODE("updateTwinIfMatchETag") ",\"twinETag\":\"" C2 "\"," TAGS,               NO_DEVICE,    ETAG_MISMATCH, "",
     ""                                                                                                                                                 },
    {MODE("updateTwinIfMatchETag") ",\"eTag\":\"*\"," TAGS,                        NO_DEVICE,    ETAG_MISMATCH, "",         ""                          },
 /* Case variants of real clients. */
    {MODE("Update"),                                                               NO_DEVICE,    OK,            "",         "identity d"                },
    {MODE("UpdateIfMatchETag") ",\"ETAG\":\"*\"",                                  NO_DEVICE,    OK,            "",         "identity d"                },
    {MODE("Delete"),                                                               NO_DEVICE,    OK,            "",         "delete d, kick d NO_DEVICE"},
    {"\"ID\":\"d\",\"importmode\":\"deleteIfMatchEtag\",\"etag\":\"*\"",           NO_DEVICE,    OK,            "",
     "delete d, kick d NO_DEVICE"                                                                                                                       },
 /* twinETag holds by itself wherever twin data overwrites. */
    {MODE("createOrUpdate") ",\"twinETag\":\"" C1 "\"," TAGS,                      OK,           OK,            "create d",
     "twin d, identity d"                                                                                                                               },
    {MODE("createOrUpdate") ",\"twinETag\":\"" C2 "\"," TAGS,                      OK,           ETAG_MISMATCH, "create d", ""                          },
    {MODE("createOrUpdate") ",\"twinETag\":\"" C2 "\"",                            OK,           OK,            "create d", "identity d"                },
    {MODE("update") ",\"twinETag\":\"" C2 "\"," DESIRED,                           NO_DEVICE,    ETAG_MISMATCH, "",         ""                          },
    {MODE("update") ",\"twinETag\":\"\\\"*\\\"\"," DESIRED,                        NO_DEVICE,    OK,            "",
     "twin d, push d, identity d"                                                                                                                       },
    {MODE("updateIfMatchETag") ",\"eTag\":\"*\",\"twinETag\":\"" C2 "\"," TAGS,    NO_DEVICE,
     ETAG_MISMATCH,                                                                                             "",         ""                          },
    {MODE("updateIfMatchETag") ",\"eTag\":\"MQ==\",\"twinETag\":\"" C1 "\"," TAGS, NO_DEVICE,
     ETAG_MISMATCH,                                                                                             "",         ""                          },
    {MODE("update") ",\"twinETag\":null," TAGS,                                    NO_DEVICE,    OK,            "",         "twin d, identity d"        },
 /* Null sections are absent. */
    {MODE("update") ",\"tags\":null,\"properties\":{\"desired\":null}",            NO_DEVICE,    OK,            "",
     "identity d"                                                                                                                                       },
    {MODE("update") ",\"tags\":null,\"properties\":null",                          NO_DEVICE,    OK,            "",         "identity d"                },
 /* Refusals of their own. */
    {MODE("upsert"),                                                               BAD_ARGUMENT, BAD_ARGUMENT,  "",         ""                          },
    {"\"id\":\"d\",\"importMode\":1",                                              BAD_ARGUMENT, BAD_ARGUMENT,  "",         ""                          },
    {MODE("createOrUpdate") ",\"status\":\"off\"",                                 BAD_ARGUMENT, BAD_ARGUMENT,  "",         ""                          },
    {MODE("createOrUpdate") ",\"tags\":[]",                                        BAD_ARGUMENT, BAD_ARGUMENT,  "",         ""                          },
    {MODE("createOrUpdate") ",\"tags\":{\"a.b\":1}",                               BAD_ARGUMENT, BAD_ARGUMENT,  "",         ""                          },
    {MODE("createOrUpdate") ",\"properties\":[]",                                  BAD_ARGUMENT, BAD_ARGUMENT,  "",         ""                          },
    {MODE("createOrUpdate") ",\"properties\":{\"desired\":7}",                     BAD_ARGUMENT, BAD_ARGUMENT,  "",         ""                          },
};

TEST(each_mode_does_what_its_row_says)
{
    static const struct step seed = {
        "seed", OP_DEVICE_PUT, "d", NULL, NULL, "{" SAS(KEY_A, KEY_B) "}", OK};
    struct fixture f;
    for (size_t i = 0; i < COUNT(mode_rows); i++) {
        char body[512];
        snprintf(body, sizeof(body), "{%s," SAS(KEY_A, KEY_B) "}", mode_rows[i].entry);
        for (int exists = 0; exists < 2; exists++) {
            const struct step step = {
                .name = mode_rows[i].entry,
                .kind = OP_BULK_ENTRY,
                .device = "d",
                .body = body,
                .want = exists ? mode_rows[i].exists : mode_rows[i].missing,
                .effects = exists ? mode_rows[i].changed : mode_rows[i].created,
            };
            fixture_init(&f, 1);
            if (exists)
                fixture_step(&f, &seed);
            fixture_step(&f, &step);
            fixture_fini(&f);
        }
    }
}

TEST(the_right_etag_passes_with_and_without_quotes)
{
    static const char *const formats[] = {"%s", "\\\"%s\\\""};
    struct fixture f;
    for (size_t i = 0; i < COUNT(formats); i++) {
        char etag[32] = {0}, quoted[40], body[256];
        static const struct step seed = {"seed", OP_DEVICE_PUT, "d", NULL, NULL, "{}", OK};
        fixture_init(&f, 1);
        fixture_step(&f, &seed);
        memcpy(etag, f.out.etag.data, f.out.etag.len);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(quoted, sizeof(quoted), formats[i], etag);
#pragma GCC diagnostic pop
        snprintf(body, sizeof(body), "{" MODE("updateIfMatchETag") ",\"eTag\":\"%s\"}", quoted);
        const struct step step = {"update", OP_BULK_ENTRY,        "d", NULL, NULL, body, OK,
                                  NULL,     "identity d, rekey d"};
        fixture_step(&f, &step);
        const struct step stale = {"update", OP_BULK_ENTRY, "d", NULL, NULL, body, ETAG_MISMATCH};
        fixture_step(&f, &stale);
        fixture_fini(&f);
    }
}

/* ---- what becomes of the twin ---- */

/* clang-format off */
static const struct step twin_steps[] = {
    {"first content", OP_BULK_ENTRY, "d", NULL, NULL,
     "{" MODE("create") "," SAS(KEY_A, KEY_B) "," TAGS "," DESIRED "}", OK, NULL, "create d"},
    {"no write of the twin", OP_TWIN_GET, "d", NULL, NULL, NULL, OK, "\"etag\":\"" C1 "\""},
    {"version", OP_TWIN_GET, "d", NULL, NULL, NULL, OK, "\"version\":2,\"tags\":{\"site\":\"north\"}"},
    {"desired", OP_TWIN_READ, "d", NULL, NULL, NULL, OK,
     "{\"desired\":{\"rate\":30,\"$version\":1},\"reported\":{\"$version\":1}}"},
    {"a merge", OP_BULK_ENTRY, "d", NULL, NULL,
     "{" MODE("updateTwin") ",\"tags\":{\"x\":1},\"properties\":{\"desired\":{\"y\":2}}}", OK, NULL,
     "twin d, push d"},
    {"keeps the rest", OP_TWIN_READ, "d", NULL, NULL, NULL, OK,
     "{\"desired\":{\"rate\":30,\"y\":2,\"$version\":2}"},
    {"also of tags", OP_TWIN_GET, "d", NULL, NULL, NULL, OK, "{\"site\":\"north\",\"x\":1}"},
    {"an overwrite of one section", OP_BULK_ENTRY, "d", NULL, NULL,
     "{" MODE("update") "," SAS(KEY_A, KEY_B) ",\"properties\":{\"desired\":{\"z\":3}}}", OK, NULL,
     "twin d, push d, identity d"},
    {"replaces it", OP_TWIN_READ, "d", NULL, NULL, NULL, OK,
     "{\"desired\":{\"z\":3,\"$version\":3}"},
    {"and leaves the other", OP_TWIN_GET, "d", NULL, NULL, NULL, OK, "{\"site\":\"north\",\"x\":1}"},
    {"the counters moved once a write", OP_TWIN_GET, "d", NULL, NULL, NULL, OK,
     "\"etag\":\"AAAAAAAAAAM=\""},
};
/* clang-format on */

TEST(twin_data_is_first_content_merge_or_overwrite)
{
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, twin_steps);
    fixture_fini(&f);
}

TEST(an_entry_that_is_refused_changes_neither_twin_nor_identity)
{
    /* clang-format off */
    static const struct step steps[] = {
        {"device", OP_DEVICE_PUT, "d", NULL, NULL, "{" SAS(KEY_A, KEY_B) "}", OK},
        {"a bad identity", OP_BULK_ENTRY, "d", NULL, NULL,
         "{" MODE("update") ",\"capabilities\":{\"iotEdge\":true},\"deviceScope\":\"p\"," TAGS "}",
         BAD_SCOPE, NULL, ""},
        {"a bad twin", OP_BULK_ENTRY, "d", NULL, NULL,
         "{" MODE("update") ",\"status\":\"disabled\",\"tags\":{\"$a\":1}}", BAD_ARGUMENT, NULL, ""},
        {"as before", OP_DEVICE_GET, "d", NULL, NULL, NULL, OK, "\"status\":\"enabled\""},
        {"as before", OP_TWIN_GET, "d", NULL, NULL, NULL, OK, "\"etag\":\"" C1 "\""},
    };
    /* clang-format on */
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, steps);
    fixture_fini(&f);
}

/* ---- modules, edge devices ---- */

/* clang-format off */
static const struct step module_steps[] = {
    {"no device", OP_BULK_ENTRY, "d", "m", NULL, "{\"id\":\"d\",\"moduleId\":\"m\"}", NO_DEVICE, "d"},
    {"no device to delete from", OP_BULK_ENTRY, "d", "m", NULL, "{" MODE("delete") "}", NO_DEVICE, "d"},
    {"edge device", OP_BULK_ENTRY, "d", NULL, NULL,
     "{" MODE("create") ",\"capabilities\":{\"iotEdge\":true},\"parentScopes\":[]}", OK, NULL,
     "create d, create d/$edgeAgent, create d/$edgeHub"},
    {"no module", OP_BULK_ENTRY, "d", "m", NULL,
     "{" MODE("update") ",\"moduleId\":\"m\"}", NO_MODULE, "m"},
    {"module", OP_BULK_ENTRY, "d", "m", NULL,
     "{" MODE("create") ",\"moduleId\":\"m\",\"managedBy\":\"me\"," SAS(KEY_A, KEY_B) "," DESIRED "}", OK, NULL,
     "create d/m"},
    {"managedBy is accepted", OP_MODULE_GET, "d", "m", NULL, NULL, OK, "\"managedBy\":\"me\""},
    {"its twin", OP_TWIN_READ, "d", "m", NULL, NULL, OK, "{\"rate\":30,\"$version\":1}"},
    {"module again", OP_BULK_ENTRY, "d", "m", NULL,
     "{" MODE("create") ",\"moduleId\":\"m\"}", MODULE_EXISTS,
     "Device d in IotHub myhub already contains Module m."},
    {"its id is not another's", OP_BULK_ENTRY, "d", "m", NULL,
     "{" MODE("update") ",\"moduleId\":\"n\"}", BAD_ARGUMENT, "'moduleId'"},
    {"update", OP_BULK_ENTRY, "d", "m", NULL,
     "{" MODE("update") ",\"moduleId\":\"m\"," SAS(KEY_A, KEY_B) "," TAGS "}", OK, NULL,
     "twin d/m, identity d/m"},
    {"twin", OP_BULK_ENTRY, "d", "m", NULL,
     "{" MODE("updateTwin") ",\"moduleId\":\"m\"," TAGS "}", OK, NULL, "twin d/m"},
    {"system modules are not made", OP_BULK_ENTRY, "d", "$x", NULL,
     "{" MODE("create") ",\"moduleId\":\"$x\"}", BAD_ARGUMENT},
    {"nor changed", OP_BULK_ENTRY, "d", "$edgeHub", NULL,
     "{" MODE("update") ",\"moduleId\":\"$edgeHub\"}", SYSTEM_MODULE,
     "Unauthorized to modify reserved module."},
    {"nor deleted", OP_BULK_ENTRY, "d", "$edgeHub", NULL,
     "{" MODE("delete") ",\"moduleId\":\"$edgeHub\"}", SYSTEM_MODULE},
    {"delete", OP_BULK_ENTRY, "d", "m", NULL,
     "{" MODE("delete") ",\"moduleId\":\"m\"}", OK, NULL, "delete d/m, kick d/m NO_DEVICE"},
    {"the device needs its scope", OP_BULK_ENTRY, "d", NULL, NULL, "{" MODE("update") "}",
     BAD_ARGUMENT, "Device scope is immutable"},
    {"the device and all", OP_BULK_ENTRY, "d", NULL, NULL, "{" MODE("delete") "}", OK, NULL,
     "delete d/$edgeAgent, kick d/$edgeAgent NO_DEVICE, delete d/$edgeHub, "
     "kick d/$edgeHub NO_DEVICE, delete d, kick d NO_DEVICE"},
    {"a leaf with an arbitrary parent", OP_BULK_ENTRY, "d", NULL, NULL,
     "{" MODE("create") ",\"deviceScope\":\"someScope1\"}", OK},
    {"mirrored", OP_DEVICE_GET, "d", NULL, NULL, NULL, OK,
     "\"deviceScope\":\"someScope1\",\"parentScopes\":[\"someScope1\"]"},
};
/* clang-format on */

TEST(entries_address_modules_and_edge_devices)
{
    struct fixture f;
    fixture_init(&f, 1);
    PLAY(&f, module_steps);
    fixture_fini(&f);
}

/* service-rest 6, script 5, as the shard that answers it does it: create two and one of them again.
 */
TEST(a_call_tells_the_errors_and_applies_the_rest)
{
    static const char *const entries[] = {"{\"id\":\"a\",\"importMode\":\"create\"}",
                                          "{\"id\":\"b\",\"importMode\":\"create\"}",
                                          "{\"id\":\"a\",\"importMode\":\"Create\"}"};
    struct fixture f;
    struct buf errors = {0};
    fixture_init(&f, 1);
    for (size_t i = 0; i < COUNT(entries); i++) {
        uint8_t block[512];
        struct arena arena;
        struct span doc;
        struct bulk_entry entry;
        arena_init(&arena, block, sizeof(block));
        EXPECT_EQ(doc_parse(span_text(entries[i]), &doc_limits_azure.syntax, &arena, &doc), OK);
        EXPECT_EQ(bulk_entry(doc_root(doc), &entry), OK);
        const struct op op = {
            .kind = OP_BULK_ENTRY, .device = entry.device, .body = span_text(entries[i])};
        enum status st = fixture_apply(&f, &op);
        if (st != OK)
            bulk_put_error(&errors, &entry, st, f.out.why);
        arena_reset(&arena);
    }
    EXPECT_SPAN(buf_span(&errors),
                SPAN("{\"deviceId\":\"a\",\"moduleId\":null,\"errorCode\":\"DeviceAlreadyExists\","
                     "\"errorStatus\":\"A device with ID 'a' is already registered.\","
                     "\"operation\":\"create\"}"));
    fixture_entity(&f, "a", NULL);
    fixture_entity(&f, "b", NULL);
    buf_fini(&errors);
    fixture_fini(&f);
}

TEST_MAIN(RUN(a_call_is_an_array_that_names_nobody_twice), RUN(a_call_has_at_most_100_entries),
          RUN(an_entry_says_who_is_meant), RUN(an_id_of_an_entry_has_at_most_128_characters),
          RUN(an_error_is_told_in_this_form), RUN(each_mode_does_what_its_row_says),
          RUN(the_right_etag_passes_with_and_without_quotes),
          RUN(twin_data_is_first_content_merge_or_overwrite),
          RUN(an_entry_that_is_refused_changes_neither_twin_nor_identity),
          RUN(entries_address_modules_and_edge_devices),
          RUN(a_call_tells_the_errors_and_applies_the_rest))
