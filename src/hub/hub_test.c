#include "base/test.h"

#include "hub/registry_fixture.h"

static struct fixture f;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&f, 5);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

/* ---- If-Match (twins 2.3) ---- */

static const struct {
    const char *if_match; /* NULL: no header */
    bool passes;
} preconditions[] = {
  /* clang-format off */
    {NULL, true},
    {"*", true}, {"\"*\"", true}, {" * ", true}, {"W/\"*\"", true},
    {"\"AAAAAAAAAAE=\"", true}, {"AAAAAAAAAAE=", true},
    {"\"\\\"AAAAAAAAAAE=\\\"\"", true}, {"W/\"AAAAAAAAAAE=\"", true}, {" \t\"AAAAAAAAAAE=\"\t ", true},
    {"\"x\",\"AAAAAAAAAAE=\"", true}, {"\"AAAAAAAAAAE=\" , x", true}, {"x,*", true}, {",,AAAAAAAAAAE=", true},
    {"", false}, {"\"\"", false}, {"\"", false}, {",", false}, {" ", false}, {"W/", false}, {"\\", false},
    {"AAAAAAAAAAI=", false}, {"\"AAAAAAAAAAE\"", false}, {"\"aaaaaaaaaae=\"", false}, {"\"x\",\"y\"", false},
    {"\"AAAAAAAAAAE= x\"", false}, {"w/\"AAAAAAAAAAE=\"", false}, {"**", false},
  /* clang-format on */
};

TEST(a_precondition_is_understood_in_every_form)
{
    for (size_t i = 0; i < COUNT(preconditions); i++) {
        const char *text = preconditions[i].if_match;
        struct op op = {.has_if_match = text != NULL, .if_match = span_text(text)};
        EXPECT_EQ_IN(text ? text : "none", hub_if_match(&op, SPAN("AAAAAAAAAAE=")),
                     preconditions[i].passes);
    }
}

TEST(etags_are_base64_of_their_number)
{
    struct turn turn = {f.now, &f.arena};
    struct entity e = {.twin_etag = 0x0102030405060708, .identity_etag = 123456789};
    EXPECT_SPAN(hub_twin_etag_text(&turn, &e), SPAN("AQIDBAUGBwg="));
    EXPECT_SPAN(hub_identity_etag_text(&turn, &e), SPAN("MTIzNDU2Nzg5"));
    e.twin_etag = 1;
    EXPECT_SPAN(hub_twin_etag_text(&turn, &e), SPAN("AAAAAAAAAAE="));
}

TEST(a_text_of_refusal_is_cut_at_its_limit)
{
    struct turn turn = {f.now, &f.arena};
    struct outcome out = {0};
    char text[2000];
    memset(text, 'a', sizeof(text));
    text[1999] = 0;
    EXPECT_EQ(hub_refuse(&turn, &out, BAD_ARGUMENT, "%s", "no"), BAD_ARGUMENT);
    EXPECT_SPAN(out.why, SPAN("no"));
    EXPECT_EQ(hub_refuse(&turn, &out, NO_DEVICE, "%s", text), NO_DEVICE);
    EXPECT_EQ(out.why.len, 1023);
}

/* ---- what an operation reads ---- */

static const struct {
    enum op_kind kind;
    bool children;
} kinds[] = {
    {OP_DEVICE_GET,    false},
    {OP_DEVICE_PUT,    true },
    {OP_DEVICE_DELETE, true },
    {OP_MODULE_LIST,   true },
    {OP_MODULE_GET,    false},
    {OP_MODULE_PUT,    true },
    {OP_MODULE_DELETE, false},
    {OP_TWIN_GET,      false},
    {OP_TWIN_PATCH,    false},
    {OP_TWIN_PUT,      false},
    {OP_BULK_ENTRY,    true },
    {OP_TWIN_READ,     false},
    {OP_TWIN_REPORT,   false},
    {OP_SESSION_SAVE,  false},
    {OP_SESSION_DROP,  false},
    {OP_ACTIVITY_SAVE, false},
};

TEST(an_operation_names_what_it_reads_and_is_not_there)
{
    EXPECT_EQ(COUNT(kinds), OP_ACTIVITY_SAVE + 1);
    fixture_put(&f, "d", NULL, NULL, "{}");
    struct record *record = record_ref(fixture_find(&f, "d", NULL)->record);
    hub_durable(&f.hub, 1);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        f.hub.config.recent_max = 0;
        hub_trim(&f.hub);
        struct op op = {.kind = kinds[i].kind, .device = SPAN("d"), .module = SPAN("m")};
        struct span device, module;
        bool children = true;
        EXPECT(hub_missing(&f.hub, &op, &device, &module, &children));
        EXPECT_SPAN(device, SPAN("d"));
        EXPECT_EQ(module.len, 0);
        EXPECT(!children);
        EXPECT_EQ(hub_admit(&f.hub, device, module, record, NULL), OK);
        EXPECT(hub_missing(&f.hub, &op, &device, &module, &children));
        EXPECT_SPAN(module, SPAN("m"));
        EXPECT_EQ(hub_admit(&f.hub, device, module, NULL, NULL), OK);
        EXPECT_EQ(hub_missing(&f.hub, &op, &device, &module, &children), kinds[i].children);
        EXPECT_EQ(children, kinds[i].children);
        hub_children_known(&f.hub, fixture_find(&f, "d", NULL));
        EXPECT(!hub_missing(&f.hub, &op, &device, &module, &children));
    }
    record_unref(record);
}

TEST(a_device_that_does_not_exist_has_no_modules_to_load)
{
    struct op op = {.kind = OP_MODULE_LIST, .device = SPAN("nobody")};
    struct span device, module;
    bool children;
    EXPECT(hub_missing(&f.hub, &op, &device, &module, &children));
    EXPECT_EQ(hub_admit(&f.hub, device, module, NULL, NULL), OK);
    EXPECT(!hub_missing(&f.hub, &op, &device, &module, &children));
}

/* ---- the one door ---- */

static const struct step doors[] = {
  /* clang-format off */
    {"create",       OP_DEVICE_PUT,  "d", .body = "{}", .want = OK, .shows = "\"deviceId\":\"d\"", .effects = "create d"},
    {"read",         OP_DEVICE_GET,  "d", .want = OK, .shows = "\"deviceId\":\"d\"", .effects = ""},
    {"module",       OP_MODULE_PUT,  "d", "m", .body = "{}", .want = OK, .shows = "\"moduleId\":\"m\"", .effects = "create d/m"},
    {"read it",      OP_MODULE_GET,  "d", "m", .want = OK, .shows = "\"moduleId\":\"m\""},
    {"list",         OP_MODULE_LIST, "d", .want = OK, .shows = "[{\"moduleId\":\"m\""},
    {"twin",         OP_TWIN_GET,    "d", .want = OK, .shows = "\"etag\":\"AAAAAAAAAAE=\""},
    {"its patch",    OP_TWIN_PATCH,  "d", .body = "{\"properties\":{\"desired\":{\"a\":1}}}", .want = OK, .effects = "twin d, push d"},
    {"replaced",     OP_TWIN_PUT,    "d", .body = "{}", .want = OK, .effects = "twin d, push d"},
    {"as seen by it", OP_TWIN_READ,  "d", .want = OK, .shows = "{\"desired\":{\"$version\":3}", .by_device = true},
    {"reported",     OP_TWIN_REPORT, "d", .body = "{\"b\":2}", .want = OK, .effects = "twin d", .by_device = true},
    {"bulk",         OP_BULK_ENTRY,  "e", .body = "{\"id\":\"e\",\"importMode\":\"create\"}", .want = OK, .effects = "create e"},
    {"module gone",  OP_MODULE_DELETE, "d", "m", "*", .want = OK, .effects = "delete d/m, kick d/m NO_DEVICE"},
    {"device gone",  OP_DEVICE_DELETE, "d", .if_match = "*", .want = OK, .effects = "delete d, kick d NO_DEVICE"},
    {"twin of nobody", OP_TWIN_GET,  "d", .want = NO_DEVICE},
  /* clang-format on */
};

TEST(each_kind_of_operation_reaches_its_own)
{
    PLAY(&f, doors);
}

TEST(without_room_nothing_is_begun)
{
    static const struct {
        const char *name;
        enum op_kind kind;
        size_t room;
    } rows[] = {
        {"one entity",                OP_TWIN_PATCH,    2 << 20 },
        {"a device with its modules", OP_DEVICE_PUT,    42 << 20},
        {"and its end",               OP_DEVICE_DELETE, 42 << 20},
        {"and in bulk",               OP_BULK_ENTRY,    42 << 20},
    };
    fixture_put(&f, "d", NULL, NULL, "{}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        static const char body[] = "{\"id\":\"d\",\"tags\":{\"a\":1}}";
        struct op op = {.kind = rows[i].kind, .device = SPAN("d"), .body = span_text(body)};
        struct turn turn = {f.now, &f.arena};
        size_t room = rows[i].room + 12 * op.body.len;
        arena_reset(&f.arena);
        EXPECT(arena_bytes(&f.arena, FIXTURE_ARENA - room + 1));
        buf_clear(&f.body);
        f.out = (struct outcome){.body = &f.body};
        uint64_t seq = f.parts[hash_partition(op.device, FIXTURE_PARTITIONS)].seq;
        hub_apply(&f.hub, &op, &turn, &f.out);
        EXPECT_EQ_IN(rows[i].name, f.out.status, TOO_LARGE);
        EXPECT(!f.out.effects);
        EXPECT_EQ(f.body.len, 0);
        EXPECT_EQ(f.parts[hash_partition(op.device, FIXTURE_PARTITIONS)].seq, seq);
        arena_reset(&f.arena);
        EXPECT(arena_bytes(&f.arena, FIXTURE_ARENA - room));
        hub_apply(&f.hub, &op, &turn, &f.out);
        EXPECT_EQ_IN(rows[i].name, f.out.status == TOO_LARGE, false);
        hub_effects_done(&f.out);
    }
}

/* ---- sessions and activity ---- */

static enum status save(enum op_kind kind, const char *session, const char *model)
{
    struct op op = {.kind = kind,
                    .device = SPAN("d"),
                    .body = span_text(session),
                    .has_model_id = model != NULL,
                    .model_id = span_text(model)};
    return fixture_apply(&f, &op);
}

static const struct { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char *name;
    enum op_kind kind;
    const char *session, *model; /* model NULL: not told */
    bool writes;
    bool has_session; /* after */
    const char *session_after, *model_after;
} sessions[] = {
  /* clang-format off */
    {"none to drop",           OP_SESSION_DROP, NULL, NULL, false, false, "",  ""},
    {"the first, empty",       OP_SESSION_SAVE, NULL, NULL, true,  true,  "",  ""},
    {"the same",               OP_SESSION_SAVE, NULL, NULL, false, true,  "",  ""},
    {"a filter",               OP_SESSION_SAVE, "f",  NULL, true,  true,  "f", ""},
    {"the same again",         OP_SESSION_SAVE, "f",  "",   false, true,  "f", ""},
    {"a model",                OP_SESSION_SAVE, "f",  "m",  true,  true,  "f", "m"},
    {"the same model",         OP_SESSION_SAVE, "f",  "m",  false, true,  "f", "m"},
    {"another filter, model untold", OP_SESSION_SAVE, "g", NULL, true, true, "g", "m"},
    {"dropped",                OP_SESSION_DROP, "x",  "m",  true,  false, "",  "m"},
    {"dropped already",        OP_SESSION_DROP, "x",  "m",  false, false, "",  "m"},
    {"dropped, another model", OP_SESSION_DROP, "x",  "n",  true,  false, "",  "n"},
  /* clang-format on */
};

TEST(a_session_is_written_only_when_it_is_another)
{
    fixture_put(&f, "d", NULL, NULL, "{}");
    for (size_t i = 0; i < COUNT(sessions); i++) {
        const char *name = sessions[i].name;
        uint64_t seq = fixture_entity(&f, "d", NULL).seq;
        f.hub.batch = 10 + i;
        EXPECT_EQ_IN(name, save(sessions[i].kind, sessions[i].session, sessions[i].model), OK);
        struct entity e = fixture_entity(&f, "d", NULL);
        EXPECT_EQ_IN(name, e.seq - seq, sessions[i].writes);
        EXPECT_EQ_IN(name, f.out.depends, sessions[i].writes ? f.hub.batch : 0);
        EXPECT_EQ_IN(name, e.has_session, sessions[i].has_session);
        EXPECT_SPAN_IN(name, e.session, span_text(sessions[i].session_after));
        EXPECT_SPAN_IN(name, e.model_id, span_text(sessions[i].model_after));
    }
    static const struct step delete = {"delete", OP_DEVICE_DELETE, "d", .if_match = "*"};
    fixture_step(&f, &delete);
    EXPECT_EQ(save(OP_SESSION_SAVE, "f", NULL), NO_DEVICE);
}

static const struct {
    const char *name;
    int64_t active_ms, connection_ms; /* in memory */
    bool writes;
    int64_t active_after, connection_after;
} activities[] = {
    {"never was",               TIME_NEVER, TIME_NEVER, false, TIME_NEVER, TIME_NEVER},
    {"connected",               TIME_NEVER, 100,        true,  TIME_NEVER, 100       },
    {"active",                  200,        100,        true,  200,        100       },
    {"both",                    300,        300,        true,  300,        300       },
    {"nothing new",             300,        300,        false, 300,        300       },
    {"memory knows less",       TIME_NEVER, 250,        false, 300,        300       },
    {"less of one, more of it", 250,        400,        true,  300,        400       },
};

TEST(activity_is_written_when_memory_is_ahead)
{
    fixture_put(&f, "d", NULL, NULL, "{}");
    struct op op = {.kind = OP_ACTIVITY_SAVE, .device = SPAN("d")};
    for (size_t i = 0; i < COUNT(activities); i++) {
        struct live *l = fixture_find(&f, "d", NULL);
        uint64_t seq = fixture_entity(&f, "d", NULL).seq;
        l->last_activity_ms = activities[i].active_ms;
        l->connection_updated_ms = activities[i].connection_ms;
        EXPECT_EQ_IN(activities[i].name, fixture_apply(&f, &op), OK);
        struct entity e = fixture_entity(&f, "d", NULL);
        EXPECT_EQ_IN(activities[i].name, e.seq - seq, activities[i].writes);
        EXPECT_EQ_IN(activities[i].name, e.last_activity_ms, activities[i].active_after);
        EXPECT_EQ_IN(activities[i].name, e.connection_updated_ms, activities[i].connection_after);
    }
    op.device = SPAN("nobody");
    EXPECT_EQ(fixture_apply(&f, &op), NO_DEVICE);
}

TEST(activity_rides_along_with_whatever_is_written)
{
    static const struct step patch = {"patch", OP_TWIN_PATCH, "d", .body = "{\"tags\":{\"a\":1}}"};
    fixture_put(&f, "d", NULL, NULL, "{}");
    struct live *l = fixture_find(&f, "d", NULL);
    l->last_activity_ms = 5000;
    l->connection_updated_ms = 4000;
    fixture_step(&f, &patch);
    struct entity e = fixture_entity(&f, "d", NULL);
    EXPECT_EQ(e.last_activity_ms, 5000);
    EXPECT_EQ(e.connection_updated_ms, 4000);
    l->last_activity_ms = l->connection_updated_ms = 1;
    fixture_step(&f, &patch);
    e = fixture_entity(&f, "d", NULL);
    EXPECT_EQ(e.last_activity_ms, 5000);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(CASE(a_precondition_is_understood_in_every_form), CASE(etags_are_base64_of_their_number),
          CASE(a_text_of_refusal_is_cut_at_its_limit),
          CASE(an_operation_names_what_it_reads_and_is_not_there),
          CASE(a_device_that_does_not_exist_has_no_modules_to_load),
          CASE(each_kind_of_operation_reaches_its_own), CASE(without_room_nothing_is_begun),
          CASE(a_session_is_written_only_when_it_is_another),
          CASE(activity_is_written_when_memory_is_ahead),
          CASE(activity_rides_along_with_whatever_is_written))
