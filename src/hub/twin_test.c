#include "hub/twin_fixture.h"

/* ---- 2.3: If-Match; C is 2 ---- */

static const struct {
    const char *name, *header; /* NULL: absent */
    enum status want;
} if_matches[] = {
    {"absent",             NULL,                                 OK           },
    {"bare star",          "*",                                  OK           },
    {"quoted star",        "\"*\"",                              OK           },
    {"the etag, quoted",   "\"AAAAAAAAAAI=\"",                   OK           },
    {"the etag, bare",     "AAAAAAAAAAI=",                       OK           },
    {"quoted twice",       "\"\\\"AAAAAAAAAAI=\\\"\"",           OK           },
    {"weak",               "W/\"AAAAAAAAAAI=\"",                 OK           },
    {"the second of two",  "\"AAAAAAAAAAk=\", \"AAAAAAAAAAI=\"", OK           },
    {"an old one, quoted", "\"AAAAAAAAAAE=\"",                   ETAG_MISMATCH},
    {"an old one, bare",   "AAAAAAAAAAE=",                       ETAG_MISMATCH},
    {"none of two",        "\"AAAAAAAAAAE=\",\"x\"",             ETAG_MISMATCH},
    {"empty",              "",                                   ETAG_MISMATCH},
};

TEST(a_write_passes_if_its_etag_is_the_current_one)
{
    for (size_t i = 0; i < COUNT(if_matches); i++) {
        struct fixture f;
        twin_start(&f, NULL);
        struct op op = twin_op(OP_TWIN_PATCH, NULL, "{\"tags\":{\"a\":1}}");
        EXPECT_EQ(twin_apply(&f, &op), OK);
        op.has_if_match = if_matches[i].header != NULL;
        op.if_match = span_text(if_matches[i].header);
        EXPECT_EQ_IN(if_matches[i].name, twin_apply(&f, &op), if_matches[i].want);
        bool passed = if_matches[i].want == OK;
        EXPECT_EQ_IN(if_matches[i].name, fixture_entity(&f, "pump-07", NULL).twin_etag,
                     passed ? 3 : 2);
        EXPECT_SPAN_IN(if_matches[i].name, f.out.etag, passed ? SPAN("AAAAAAAAAAM=") : SPAN(""));
        twin_finish(&f);
    }
}

/* ---- service-rest 7 row 5: syntax, existence, If-Match, validation ---- */

/* clang-format off */
static const struct {
    const char *name;
    enum op_kind kind;
    int if_version;
    const char *device, *module, *if_match, *body;
    enum status want;
    const char *says;
} refusals[] = {
    {"syntax before existence",     OP_TWIN_PATCH,  -1, "nobody",  NULL, NULL,  "{",           BAD_FORMAT,    NULL},
    {"no body before existence",    OP_TWIN_PUT,    -1, "nobody",  NULL, NULL,  "",            NULL_ARGUMENT, NULL},
    {"existence before If-Match",   OP_TWIN_PATCH,  -1, "nobody",  NULL, "bad", "{}",          NO_DEVICE,     "nobody"},
    {"existence before validation", OP_TWIN_PUT,    -1, "nobody",  NULL, NULL,  "[]",          NO_DEVICE,     "nobody"},
    {"If-Match before validation",  OP_TWIN_PATCH,  -1, "pump-07", NULL, "bad", "[]",          ETAG_MISMATCH, NULL},
    {"no module",                   OP_TWIN_PATCH,  -1, "pump-07", "m",  NULL,  "{}",          NO_DEVICE,     "pump-07"},
    {"no module to get",            OP_TWIN_GET,    -1, "pump-07", "m",  NULL,  "",            NO_DEVICE,     "pump-07"},
    {"no device to get",            OP_TWIN_GET,    -1, "nobody",  NULL, NULL,  "",            NO_DEVICE,     "nobody"},
    {"no device of a module",       OP_TWIN_GET,    -1, "nobody",  "m",  NULL,  "",            NO_DEVICE,     "nobody"},
    {"no device of its own",        OP_TWIN_READ,   -1, "nobody",  NULL, NULL,  "",            NO_DEVICE,     "nobody"},
    {"report of nobody",            OP_TWIN_REPORT, -1, "nobody",  NULL, NULL,  "{\"a\":1}",   NO_DEVICE,     "nobody"},
    {"syntax of a report",          OP_TWIN_REPORT, -1, "nobody",  NULL, NULL,  "{",           BAD_ARGUMENT,  "the body is not valid JSON"},
    {"$version before validation",  OP_TWIN_REPORT, 2,  "pump-07", NULL, NULL,  "{\"a b\":1}", ETAG_MISMATCH, NULL},
    {"$version 0 is a version",     OP_TWIN_REPORT, 0,  "pump-07", NULL, NULL,  "{\"a\":1}",   ETAG_MISMATCH, NULL},
    {"existence before $version",   OP_TWIN_REPORT, 9,  "nobody",  NULL, NULL,  "{}",          NO_DEVICE,     "nobody"},
    {"the right $version",          OP_TWIN_REPORT, 1,  "pump-07", NULL, NULL,  "{\"a\":1}",   OK,            NULL},
};
/* clang-format on */

TEST(refusals_come_in_their_order)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct fixture f;
        twin_start(&f, NULL);
        twin_admit(&f, "nobody", NULL);
        twin_admit(&f, "nobody", "m");
        twin_admit(&f, "pump-07", "m");
        struct op op = twin_op(refusals[i].kind, refusals[i].module, refusals[i].body);
        op.device = span_text(refusals[i].device);
        op.has_if_match = refusals[i].if_match != NULL;
        op.if_match = span_text(refusals[i].if_match);
        op.if_version = refusals[i].if_version;
        EXPECT_EQ_IN(refusals[i].name, twin_apply(&f, &op), refusals[i].want);
        EXPECT_SPAN_IN(refusals[i].name, f.out.why, span_text(refusals[i].says));
        EXPECT_EQ_IN(refusals[i].name, f.body.len, 0);
        EXPECT_EQ_IN(refusals[i].name, f.out.effects != NULL, refusals[i].want == OK);
        twin_finish(&f);
    }
}

/* ---- 3, 3.1: sizes ---- */

enum { SIZE_LONG = 1 << 17 };

/* `before`, then `count` times 'x', then `after`. */
static const char *padded(const char *before, size_t count, const char *after)
{
    static char text[SIZE_LONG];
    CHECK(strlen(before) + count + strlen(after) < sizeof(text));
    char *at = stpcpy(text, before);
    memset(at, 'x', count);
    memcpy(at + count, after, strlen(after) + 1);
    return text;
}

/* Members k10, k11, … with strings of 4,000 bytes; `count` of them. */
static const char *bulky(const char *before, int count, const char *after)
{
    static char text[SIZE_LONG];
    struct buf b = {0};
    buf_text(&b, before);
    for (int i = 0; i < count; i++) {
        buf_printf(&b, "%s\"k%d\":\"", i ? "," : "", 10 + i);
        for (int n = 0; n < 4000; n++)
            buf_byte(&b, 'y');
        buf_byte(&b, '"');
    }
    buf_text(&b, after);
    CHECK(b.len < sizeof(text));
    memcpy(text, b.data, b.len);
    text[b.len] = 0;
    buf_fini(&b);
    return text;
}

static void expect_size(enum op_kind kind, const char *body, enum status want, const char *says)
{
    struct fixture f;
    twin_start(&f, NULL);
    struct op op = twin_op(kind, NULL, body);
    EXPECT_EQ_IN(says, twin_apply(&f, &op), want);
    if (want != OK)
        EXPECT(fixture_contains(f.out.why, says));
    struct entity e = fixture_entity(&f, "pump-07", NULL);
    EXPECT_EQ_IN(says, e.twin_etag + e.reported_version > 2, want == OK);
    twin_finish(&f);
}

TEST(sizes_have_limits)
{
    static const char tags[] = "'Tags' size should be less than 8192 bytes.";
    static const char desired[] = "'Properties.Desired' size should be less than 32768 bytes.";
    static const char reported[] = "'Properties.Reported' size should be less than 32768 bytes.";
    static const char string[] =
        "Property or Tag value should be maximum 4096 bytes. Error in Property/Tag s";
    expect_size(OP_TWIN_REPORT, padded("{\"s\":\"", 4096, "\"}"), OK, "");
    expect_size(OP_TWIN_REPORT, padded("{\"s\":\"", 4097, "\"}"), BAD_ARGUMENT, string);
    expect_size(OP_TWIN_REPORT, padded("{\"", 1024, "\":1}"), OK, "");
    expect_size(OP_TWIN_REPORT, padded("{\"", 1025, "\":1}"), BAD_ARGUMENT,
                "Property or Tag name should be maximum 1024 bytes.");
    expect_size(OP_TWIN_PATCH, bulky("{\"tags\":{", 2, "}}"), OK, "");
    expect_size(OP_TWIN_PATCH, bulky("{\"tags\":{", 3, "}}"), SECTION_TOO_LARGE, tags);
    expect_size(OP_TWIN_PUT, bulky("{\"properties\":{\"desired\":{", 8, "}}}"), OK, "");
    expect_size(OP_TWIN_PUT, bulky("{\"properties\":{\"desired\":{", 9, "}}}"), SECTION_TOO_LARGE,
                desired);
    expect_size(OP_TWIN_REPORT, bulky("{", 9, "}"), SECTION_TOO_LARGE, reported);
    /* What is invalid is said first, whichever section it is in. */
    expect_size(OP_TWIN_PATCH,
                bulky("{\"properties\":{\"desired\":{\"a b\":1}},\"tags\":{", 3, "}}"),
                BAD_ARGUMENT, BAD_KEY "a b");
    expect_size(OP_TWIN_PATCH, bulky("{\"properties\":{\"desired\":{}},\"tags\":{", 3, "}}"),
                SECTION_TOO_LARGE, tags);
}

TEST(an_arena_that_is_full_asks_for_another_turn)
{
    struct fixture f;
    twin_start(&f, NULL);
    struct live *l = fixture_find(&f, "pump-07", NULL);
    struct entity e = fixture_entity(&f, "pump-07", NULL);
    struct turn turn = twin_turn(&f);
    uint8_t block[64];
    struct arena small;
    arena_init(&small, block, sizeof(block));
    turn.arena = &small;
    struct op patch = twin_op(OP_TWIN_PATCH, NULL, "{\"tags\":{\"a\":[1,2,3,4,5,6,7,8,9]}}");
    EXPECT_EQ(twin_update(&f.hub, l, l, &patch, &turn, &f.out), TOO_LARGE);
    EXPECT_EQ(twin_report(&f.hub, l, &patch, &turn, &f.out), TOO_LARGE);
    arena_init(&small, block, 40);
    EXPECT_EQ(twin_init(&f.hub, &e, (struct doc_node){NULL}, &turn, &f.out), TOO_LARGE);
    EXPECT(!f.out.effects);
    twin_finish(&f);
}

/* ---- 2.6: the worked sequence ---- */

/* clang-format off */
static const struct {
    const char *name;
    enum op_kind kind;
    enum status want;
    const char *if_match, *body;
    const char *etag; /* of the answer; NULL: none */
    int desired_version, reported_version, version;
    const char *push;
} worked[] = {
    {"1 tags", OP_TWIN_PATCH, OK, NULL, "{\"tags\":{\"site\":\"north\"}}",
     "AAAAAAAAAAI=", 1, 1, 3, NULL},
    {"2 desired", OP_TWIN_PATCH, OK, "\"AAAAAAAAAAI=\"", D("{\"rate\":30,\"net\":{\"apn\":\"iot\"}}"),
     "AAAAAAAAAAM=", 2, 1, 4, "{\"rate\":30,\"net\":{\"apn\":\"iot\"},\"$version\":2}"},
    {"3 reported", OP_TWIN_REPORT, OK, NULL, "{\"rate\":30}",
     NULL, 2, 2, 5, NULL},
    {"4 an old etag", OP_TWIN_PATCH, ETAG_MISMATCH, "\"AAAAAAAAAAI=\"", D("{\"rate\":31}"),
     NULL, 2, 2, 5, NULL},
    {"5 delete", OP_TWIN_PATCH, OK, NULL, D("{\"net\":{\"apn\":null}}"),
     "AAAAAAAAAAQ=", 3, 2, 6, "{\"net\":{\"apn\":null},\"$version\":3}"},
    {"6 nothing to delete", OP_TWIN_PATCH, OK, NULL, D("{\"ghost\":null}"),
     "AAAAAAAAAAQ=", 3, 2, 6, NULL},
    {"7 replace", OP_TWIN_PUT, OK, NULL,
     "{\"tags\":{\"a\":1},\"properties\":{\"desired\":{\"rate\":30,\"mode\":\"eco\"}}}",
     "AAAAAAAAAAU=", 4, 2, 7, "{\"rate\":30,\"mode\":\"eco\",\"net\":null,\"$version\":4}"},
};
/* clang-format on */

TEST(the_worked_sequence_of_the_specification_holds)
{
    struct fixture f;
    twin_start(&f, NULL);
    for (size_t i = 0; i < COUNT(worked); i++) {
        f.now.wall_ms += 1000;
        struct op op = twin_op(worked[i].kind, NULL, worked[i].body);
        op.has_if_match = worked[i].if_match != NULL;
        op.if_match = span_text(worked[i].if_match);
        EXPECT_EQ_IN(worked[i].name, twin_apply(&f, &op), worked[i].want);
        EXPECT_SPAN_IN(worked[i].name, f.out.etag, span_text(worked[i].etag));
        struct entity e = fixture_entity(&f, "pump-07", NULL);
        EXPECT_EQ_IN(worked[i].name, e.desired_version, worked[i].desired_version);
        EXPECT_EQ_IN(worked[i].name, e.reported_version, worked[i].reported_version);
        EXPECT_EQ_IN(worked[i].name, e.twin_etag + e.reported_version, worked[i].version);
        expect_push(&f, worked[i].name, worked[i].push, worked[i].desired_version);
    }
    EXPECT_EQ(f.parts[0].seq + f.parts[1].seq + f.parts[2].seq + f.parts[3].seq, 6);
    twin_finish(&f);
}

/* ---- what a reply waits for ---- */

TEST(a_reply_waits_for_what_it_shows)
{
    struct fixture f;
    twin_start(&f, NULL); /* written in batch 5; 6 is open */
    EXPECT_EQ(twin_create(&f, "pump-07", "m", NULL), OK);
    struct op get = twin_op(OP_TWIN_GET, NULL, NULL), read = twin_op(OP_TWIN_READ, NULL, NULL);
    struct op get_module = twin_op(OP_TWIN_GET, "m", NULL);
    static const struct {
        uint64_t durable, device, module;
    } steps[] = {
        {4, 5, 6},
        {5, 0, 6},
        {6, 0, 0}
    };
    for (size_t i = 0; i < COUNT(steps); i++) {
        hub_durable(&f.hub, steps[i].durable);
        EXPECT_EQ(twin_apply(&f, &get), OK);
        EXPECT_EQ(f.out.depends, steps[i].device);
        EXPECT_EQ(twin_apply(&f, &read), OK);
        EXPECT_EQ(f.out.depends, steps[i].device);
        EXPECT_EQ(twin_apply(&f, &get_module), OK);
        EXPECT_EQ(f.out.depends, steps[i].module);
    }
    f.hub.batch = 7; /* the module shows its device's status */
    struct op patch = twin_op(OP_TWIN_PATCH, NULL, "{\"tags\":{\"a\":1}}");
    EXPECT_EQ(twin_apply(&f, &patch), OK);
    EXPECT_EQ(f.out.depends, 7);
    EXPECT_EQ(twin_apply(&f, &get_module), OK);
    EXPECT_EQ(f.out.depends, 7);
    twin_finish(&f);
}

TEST_MAIN(RUN(a_write_passes_if_its_etag_is_the_current_one), RUN(refusals_come_in_their_order),
          RUN(sizes_have_limits), RUN(an_arena_that_is_full_asks_for_another_turn),
          RUN(the_worked_sequence_of_the_specification_holds), RUN(a_reply_waits_for_what_it_shows))
