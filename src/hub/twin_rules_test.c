#include "hub/twin_fixture.h"

/* ---- one write on a twin that holds `start`: counters 1.3, merge 2.1, PUT 2.2, push 2.5 ---- */

struct row {
    const char *name;
    const char *start; /* NULL: the one below */
    enum op_kind kind;
    enum status want;
    const char *body;
    const char *says; /* of a refusal */
    struct {
        int etag, desired, reported; /* C, Dv, Rv of twins 1.3 */
    } after;
    const char *tags, *desired, *reported; /* after; NULL: as they were */
    const char *push;                      /* NULL: none */
};

#define DEEP_IN  "{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":"
#define DEEP_OUT "}}}}}}}}}}"

/* clang-format off */
static const struct row rows[] = {
    /* 1.3: what moves which counter */
    {.name = "tags alone move C", .kind = OP_TWIN_PATCH, .body = "{\"tags\":{\"site\":\"n\"}}",
     .after = {2, 1, 1}, .tags = "{\"t\":1,\"site\":\"n\"}"},
    {.name = "desired moves C and Dv", .kind = OP_TWIN_PATCH, .body = D("{\"c\":3}"),
     .after = {2, 2, 1}, .desired = "{\"a\":1,\"b\":2,\"c\":3}",
     .push = "{\"c\":3,\"$version\":2}"},
    {.name = "tags and desired move C once", .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"t\":2},\"properties\":{\"desired\":{\"a\":2}}}", .after = {2, 2, 1},
     .tags = "{\"t\":2}", .desired = "{\"a\":2,\"b\":2}", .push = "{\"a\":2,\"$version\":2}"},
    {.name = "PUT moves C and Dv", .kind = OP_TWIN_PUT, .body = D("{\"a\":1}"),
     .after = {2, 2, 1}, .tags = "{}", .desired = "{\"a\":1}",
     .push = "{\"a\":1,\"b\":null,\"$version\":2}"},
    {.name = "PUT of tags alone empties desired", .kind = OP_TWIN_PUT,
     .body = "{\"tags\":{\"u\":1}}", .after = {2, 2, 1}, .tags = "{\"u\":1}", .desired = "{}",
     .push = "{\"a\":null,\"b\":null,\"$version\":2}"},
    {.name = "PUT counts though desired was and stays empty: a push of the version alone",
     .start = "{}", .kind = OP_TWIN_PUT, .body = "{}", .after = {2, 2, 1}, .tags = "{}",
     .desired = "{}", .push = "{\"$version\":2}"},
    {.name = "reported moves Rv", .kind = OP_TWIN_REPORT, .body = "{\"temp\":21}",
     .after = {1, 1, 2}, .reported = "{\"temp\":21}"},
    {.name = "the same desired value is a write", .kind = OP_TWIN_PATCH, .body = D(DESIRED),
     .after = {2, 2, 1}, .push = "{\"a\":1,\"b\":2,\"$version\":2}"},
    {.name = "the same tag is a write", .kind = OP_TWIN_PATCH, .body = "{\"tags\":{\"t\":1}}",
     .after = {2, 1, 1}},
    {.name = "null for a missing key is none", .kind = OP_TWIN_PATCH, .body = D("{\"x\":null}"),
     .after = {1, 1, 1}},
    {.name = "null for a missing tag is none", .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"x\":null}}", .after = {1, 1, 1}},
    {.name = "{} onto an object is none", .start = D("{\"o\":{\"x\":1}}"), .kind = OP_TWIN_PATCH,
     .body = D("{\"o\":{}}"), .after = {1, 1, 1}, .tags = "{}", .desired = "{\"o\":{\"x\":1}}"},
    {.name = "an empty report is none", .kind = OP_TWIN_REPORT, .body = "{}", .after = {1, 1, 1}},
    {.name = "a report that removes nothing is none", .kind = OP_TWIN_REPORT,
     .body = "{\"x\":null}", .after = {1, 1, 1}},
    {.name = "an empty PATCH is none", .kind = OP_TWIN_PATCH, .body = "{}", .after = {1, 1, 1}},
    {.name = "so is one with empty tags", .kind = OP_TWIN_PATCH, .body = "{\"tags\":{}}",
     .after = {1, 1, 1}},
    {.name = "tags change while desired does not", .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"u\":1},\"properties\":{\"desired\":{\"x\":null}}}", .after = {2, 1, 1},
     .tags = "{\"t\":1,\"u\":1}"},

    /* 2.1: merge */
    {.name = "an array is replaced whole", .start = D("{\"l\":[1,2,3]}"), .kind = OP_TWIN_PATCH,
     .body = D("{\"l\":[4]}"), .after = {2, 2, 1}, .tags = "{}", .desired = "{\"l\":[4]}",
     .push = "{\"l\":[4],\"$version\":2}"},
    {.name = "an object onto an object is merged", .start = D("{\"o\":{\"x\":1}}"),
     .kind = OP_TWIN_PATCH, .body = D("{\"o\":{\"y\":2}}"), .after = {2, 2, 1}, .tags = "{}",
     .desired = "{\"o\":{\"x\":1,\"y\":2}}", .push = "{\"o\":{\"y\":2},\"$version\":2}"},
    {.name = "an object onto a scalar replaces it, nulls stripped", .kind = OP_TWIN_PATCH,
     .body = D("{\"a\":{\"x\":null,\"y\":1}}"), .after = {2, 2, 1},
     .desired = "{\"a\":{\"y\":1},\"b\":2}", .push = "{\"a\":{\"y\":1},\"$version\":2}"},
    {.name = "a scalar onto an object replaces it", .start = D("{\"o\":{\"x\":1}}"),
     .kind = OP_TWIN_PATCH, .body = D("{\"o\":5}"), .after = {2, 2, 1}, .tags = "{}",
     .desired = "{\"o\":5}", .push = "{\"o\":5,\"$version\":2}"},
    {.name = "the last leaf goes, its object stays", .start = D("{\"o\":{\"x\":1}}"),
     .kind = OP_TWIN_PATCH, .body = D("{\"o\":{\"x\":null}}"), .after = {2, 2, 1}, .tags = "{}",
     .desired = "{\"o\":{}}", .push = "{\"o\":{\"x\":null},\"$version\":2}"},
    {.name = "{} for a missing key makes an object", .kind = OP_TWIN_PATCH,
     .body = D("{\"o\":{}}"), .after = {2, 2, 1}, .desired = "{\"a\":1,\"b\":2,\"o\":{}}",
     .push = "{\"o\":{},\"$version\":2}"},
    {.name = "null for a missing key spares its siblings", .kind = OP_TWIN_PATCH,
     .body = D("{\"x\":null,\"a\":9}"), .after = {2, 2, 1}, .desired = "{\"a\":9,\"b\":2}",
     .push = "{\"a\":9,\"$version\":2}"},
    {.name = "number texts are kept", .kind = OP_TWIN_PATCH, .body = D("{\"a\":1.0}"),
     .after = {2, 2, 1}, .desired = "{\"a\":1.0,\"b\":2}", .push = "{\"a\":1.0,\"$version\":2}"},
    {.name = "null sections of a PATCH are absent", .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":null,\"properties\":{\"desired\":null}}", .after = {1, 1, 1}},
    {.name = "null properties too", .kind = OP_TWIN_PATCH, .body = "{\"properties\":null}",
     .after = {1, 1, 1}},
    {.name = "a device's nulls delete", .kind = OP_TWIN_REPORT, .body = "{\"p\":{\"x\":null}}",
     .after = {1, 1, 2}, .reported = "{\"p\":{}}"},

    /* 2.1: what is ignored */
    {.name = "a whole twin sent back", .kind = OP_TWIN_PATCH, .body =
         "{\"deviceId\":\"x\",\"etag\":\"AAAAAAAAAAk=\",\"version\":77,\"status\":\"disabled\","
         "\"capabilities\":{\"iotEdge\":true},\"desired\":{\"z\":1},\"properties\":{\"reported\":"
         "{\"r\":1,\"bad key\":null},\"desired\":{\"a\":7,\"$metadata\":{\"a b\":1},"
         "\"$version\":55}}}", .after = {2, 2, 1},
     .desired = "{\"a\":7,\"b\":2}", .push = "{\"a\":7,\"$version\":2}"},
    {.name = "names of the API have no case, users' keys do", .kind = OP_TWIN_PATCH,
     .body = "{\"Tags\":{\"T\":2},\"PROPERTIES\":{\"Desired\":{\"A\":3}}}", .after = {2, 2, 1},
     .tags = "{\"t\":1,\"T\":2}", .desired = "{\"a\":1,\"b\":2,\"A\":3}",
     .push = "{\"A\":3,\"$version\":2}"},

    /* 2.2: PUT */
    {.name = "null sections of a PUT are empty", .kind = OP_TWIN_PUT,
     .body = "{\"tags\":null,\"properties\":null}", .after = {2, 2, 1}, .tags = "{}",
     .desired = "{}", .push = "{\"a\":null,\"b\":null,\"$version\":2}"},
    {.name = "null in a tag of a PUT", .kind = OP_TWIN_PUT,
     .body = "{\"tags\":{\"my-tag\":null}}", .want = BAD_ARGUMENT, .says = NO_NULL "my-tag"},
    {.name = "null deep in desired of a PUT", .kind = OP_TWIN_PUT,
     .body = D("{\"o\":{\"p\":null}}"), .want = BAD_ARGUMENT, .says = NO_NULL "p"},
    {.name = "reported is not touched by a PUT", .kind = OP_TWIN_PUT,
     .body = "{\"properties\":{\"desired\":{\"a\":1,\"b\":2},\"reported\":{\"r\":null}}}",
     .after = {2, 2, 1}, .tags = "{}", .push = "{\"a\":1,\"b\":2,\"$version\":2}"},
    {.name = "2.5: a PUT pushes what vanished as null", .kind = OP_TWIN_PUT,
     .body = D("{\"a\":1,\"c\":100}"), .after = {2, 2, 1}, .tags = "{}",
     .desired = "{\"a\":1,\"c\":100}", .push = "{\"a\":1,\"c\":100,\"b\":null,\"$version\":2}"},

    /* 3: validation; nothing is written */
    {.name = "no body", .kind = OP_TWIN_PATCH, .body = "", .want = NULL_ARGUMENT},
    {.name = "no body of a PUT", .kind = OP_TWIN_PUT, .body = "", .want = NULL_ARGUMENT},
    {.name = "no JSON", .kind = OP_TWIN_PATCH, .body = "{\"tags\":", .want = BAD_FORMAT},
    {.name = "a device's bad JSON", .kind = OP_TWIN_REPORT, .body = "{\"temp\":",
     .want = BAD_ARGUMENT, .says = "the body is not valid JSON"},
    {.name = "a device's empty body", .kind = OP_TWIN_REPORT, .body = "", .want = BAD_ARGUMENT,
     .says = "the body is not valid JSON"},
    {.name = "a body that is no object", .kind = OP_TWIN_PATCH, .body = "[]",
     .want = BAD_ARGUMENT, .says = NOT_TWIN},
    {.name = "a PUT of null", .kind = OP_TWIN_PUT, .body = "null", .want = BAD_ARGUMENT,
     .says = NOT_TWIN},
    {.name = "properties that are no object", .kind = OP_TWIN_PATCH, .body = "{\"properties\":1}",
     .want = BAD_ARGUMENT, .says = NOT_TWIN},
    {.name = "tags that are no object", .kind = OP_TWIN_PATCH, .body = "{\"tags\":[1]}",
     .want = BAD_ARGUMENT, .says = NOT_TWIN},
    {.name = "desired that is no object", .kind = OP_TWIN_PUT, .body = D("\"x\""),
     .want = BAD_ARGUMENT, .says = NOT_TWIN},
    {.name = "a report that is no object", .kind = OP_TWIN_REPORT, .body = "null",
     .want = BAD_ARGUMENT, .says = NOT_TWIN},
    {.name = "a dot in a key", .kind = OP_TWIN_PATCH, .body = D("{\"a.b\":1}"),
     .want = BAD_ARGUMENT, .says = BAD_KEY "a.b"},
    {.name = "a blank in a key", .kind = OP_TWIN_PATCH, .body = "{\"tags\":{\"a b\":1}}",
     .want = BAD_ARGUMENT, .says = BAD_KEY "a b"},
    {.name = "# in a key", .kind = OP_TWIN_REPORT, .body = "{\"a#\":1}", .want = BAD_ARGUMENT,
     .says = BAD_KEY "a#"},
    {.name = "$ in a key refuses all of it", .kind = OP_TWIN_REPORT,
     .body = "{\"ok\":\"abcd\",\"$3f\":123}", .want = BAD_ARGUMENT, .says = BAD_KEY "$3f"},
    {.name = "^ and * in keys", .kind = OP_TWIN_REPORT, .body = "{\"a*b^c-d/e:f\":1}",
     .after = {1, 1, 2}, .reported = "{\"a*b^c-d/e:f\":1}"},
    {.name = "the largest integer", .kind = OP_TWIN_REPORT, .body = "{\"n\":4503599627370495}",
     .after = {1, 1, 2}, .reported = "{\"n\":4503599627370495}"},
    {.name = "an integer too large", .kind = OP_TWIN_REPORT, .body = "{\"n\":4503599627370496}",
     .want = BAD_ARGUMENT,
     .says = "Integer value of Property or Tag is out of range. Error in Property/Tag n"},
    {.name = "an integer too small", .kind = OP_TWIN_PATCH,
     .body = D("{\"n\":-4503599627370497}"), .want = BAD_ARGUMENT,
     .says = "Integer value of Property or Tag is out of range. Error in Property/Tag n"},
    {.name = "null in an array", .kind = OP_TWIN_PATCH, .body = D("{\"b\":[1,null]}"),
     .want = BAD_ARGUMENT, .says = NO_NULL "b"},
    {.name = "null in an object in an array", .kind = OP_TWIN_REPORT,
     .body = "{\"b\":[{\"c\":null}]}", .want = BAD_ARGUMENT, .says = NO_NULL "c"},
    {.name = "ten levels", .start = "{}", .kind = OP_TWIN_PATCH,
     .body = D(DEEP_IN "{\"k\":1}" DEEP_OUT), .after = {2, 2, 1}, .tags = "{}",
     .desired = DEEP_IN "{\"k\":1}" DEEP_OUT,
     .push = "{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":" "{\"k\":1}"
         "}}}}}}}}}" ",\"$version\":2}"},
    {.name = "eleven levels", .kind = OP_TWIN_PATCH, .body = D(DEEP_IN "{\"k\":{}}" DEEP_OUT),
     .want = BAD_ARGUMENT, .says = "Property or Tag depth should be maximum 10. Error in "
         "Property/Tag k"},
    {.name = "bad tags keep desired from being written", .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"a b\":1},\"properties\":{\"desired\":{\"c\":1}}}",
     .want = BAD_ARGUMENT, .says = BAD_KEY "a b"},
    {.name = "bad desired keeps tags from being written", .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"c\":1},\"properties\":{\"desired\":{\"a b\":1}}}",
     .want = BAD_ARGUMENT, .says = BAD_KEY "a b"},
};
/* clang-format on */

static const char *or_else(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

/* The twin after a row, and what left the hub with it. */
static void expect_after(struct fixture *f, const struct row *r, const struct row *want)
{
    struct entity e = fixture_entity(f, "pump-07", NULL);
    bool wrote = want->after.etag + want->after.reported > 2;
    EXPECT_EQ_IN(r->name, e.twin_etag, want->after.etag);
    EXPECT_EQ_IN(r->name, e.desired_version, want->after.desired);
    EXPECT_EQ_IN(r->name, e.reported_version, want->after.reported);
    expect_doc(r->name, e.tags, or_else(want->tags, TAGS));
    expect_doc(r->name, e.desired, or_else(want->desired, DESIRED));
    expect_doc(r->name, e.reported, or_else(want->reported, "{}"));
    expect_push(f, r->name, want->push, want->after.desired);
    const struct effect *written = twin_effect(f, EFFECT_CHANGE);
    EXPECT_EQ_IN(r->name, written != NULL, wrote);
    EXPECT_EQ_IN(r->name, e.stamp_ms, f->now.wall_ms - (wrote ? 0 : 1000));
    if (r->want == OK)
        EXPECT_EQ_IN(r->name, f->out.depends, wrote ? 6 : 5);
    if (!written)
        return;
    struct change_head head;
    EXPECT_EQ_IN(r->name, change_head(written->change.effect, &head), OK);
    EXPECT_EQ_IN(r->name, head.replace, r->kind == OP_TWIN_PUT);
    EXPECT_EQ_IN(r->name, head.kind, CHANGE_TWIN);
    EXPECT_EQ_IN(r->name, head.twin_etag, want->after.etag);
}

TEST(each_write_has_the_effect_the_rules_say)
{
    static const struct row refused = {
        .after = {1, 1, 1}
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *r = &rows[i];
        struct fixture f;
        twin_start(&f, or_else(r->start, START));
        struct op op = twin_op(r->kind, NULL, r->body);
        enum status got = twin_apply(&f, &op);
        if (got != r->want)
            fail_msg("%s: %s (%.*s)", r->name, status_name(got), SPAN_ARG(f.out.why));
        EXPECT_SPAN_IN(r->name, f.out.why, span_text(r->says));
        bool answers = got == OK && r->kind != OP_TWIN_REPORT;
        EXPECT_EQ_IN(r->name, f.body.len > 0, answers);
        EXPECT_EQ_IN(r->name, f.out.etag.len > 0, answers);
        if (r->kind == OP_TWIN_REPORT && got == OK)
            EXPECT_EQ_IN(r->name, f.out.version, r->after.reported);
        expect_after(&f, r, got == OK ? r : &refused);
        twin_finish(&f);
    }
}

/* ---- content of bulk entries ---- */

/* clang-format off */
static const struct {
    const char *name;
    bool replace;
    enum status want;
    const char *body;
    int etag, desired_version;
    const char *tags, *desired, *push;
} sections[] = {
    {"merged", false, OK,
     "{\"id\":\"x\",\"tags\":{\"u\":2},\"properties\":{\"desired\":{\"a\":null}}}",
     2, 2, "{\"t\":1,\"u\":2}", "{\"b\":2}", "{\"a\":null,\"$version\":2}"},
    {"one replaced, the other left", true, OK, "{\"tags\":{\"u\":2}}",
     2, 1, "{\"u\":2}", DESIRED, NULL},
    {"null leaves it, too", true, OK, "{\"tags\":null,\"properties\":{\"desired\":{\"c\":1}}}",
     2, 2, TAGS, "{\"c\":1}", "{\"c\":1,\"a\":null,\"b\":null,\"$version\":2}"},
    {"nothing given", true, OK, "{}",
     1, 1, TAGS, DESIRED, NULL},
    {"invalid", true, BAD_ARGUMENT, "{\"tags\":{\"a b\":2}}",
     1, 1, TAGS, DESIRED, NULL},
    {"no object", false, BAD_ARGUMENT, "[]",
     1, 1, TAGS, DESIRED, NULL},
};
/* clang-format on */

TEST(bulk_entries_write_the_sections_they_give)
{
    for (size_t i = 0; i < COUNT(sections); i++) {
        struct fixture f;
        twin_start(&f, START);
        struct turn turn = twin_turn(&f);
        struct doc_node body = twin_parse(&turn, sections[i].body);
        enum status got = twin_write_sections(&f.hub, fixture_find(&f, "pump-07", NULL), body,
                                              sections[i].replace, &turn, &f.out);
        EXPECT_EQ_IN(sections[i].name, got, sections[i].want);
        struct entity e = fixture_entity(&f, "pump-07", NULL);
        EXPECT_EQ_IN(sections[i].name, e.twin_etag, sections[i].etag);
        EXPECT_EQ_IN(sections[i].name, e.desired_version, sections[i].desired_version);
        expect_doc(sections[i].name, e.tags, sections[i].tags);
        expect_doc(sections[i].name, e.desired, sections[i].desired);
        expect_push(&f, sections[i].name, sections[i].push, 2);
        EXPECT_EQ_IN(sections[i].name, f.body.len, 0);
        EXPECT_EQ_IN(sections[i].name, f.out.why.len > 0, got != OK);
        twin_finish(&f);
    }
}

TEST_MAIN(RUN(each_write_has_the_effect_the_rules_say),
          RUN(bulk_entries_write_the_sections_they_give))
