#include "hub/twin_fixture.h"

#define CREATED "2026-03-04T10:20:30.123Z"
#define NEVER   "0001-01-01T00:00:00Z"

static void start(struct fixture *f, const char *content)
{
    fixture_init(f, 7);
    f->hub.batch = 5;
    EXPECT_EQ(twin_create(f, "pump-07", NULL, content), OK);
    f->hub.batch = 6;
    f->now.wall_ms += 1000;
}

static void finish(struct fixture *f)
{
    twin_turn(f);
    fixture_fini(f);
}

/* ---- one write on a twin that holds `start`: counters 1.3, merge 2.1, PUT 2.2, push 2.5 ---- */

struct row {
    const char *name;
    const char *start; /* NULL: the one below */
    enum op_kind kind;
    const char *body;
    enum status want;
    const char *says; /* of a refusal */
    int etag, desired_version, reported_version;
    const char *tags, *desired, *reported; /* after; NULL: as they were */
    const char *push;                      /* NULL: none */
};

#define START    "{\"tags\":{\"t\":1},\"properties\":{\"desired\":{\"a\":1,\"b\":2}}}"
#define DESIRED  "{\"a\":1,\"b\":2}"
#define TAGS     "{\"t\":1}"
#define D(text)  "{\"properties\":{\"desired\":" text "}}"
#define DEEP_IN  "{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":"
#define DEEP_OUT "}}}}}}}}}}"
#define NOT_TWIN "Provided json is not a valid 'tags' or 'properties' object"
#define BAD_KEY                                                                             \
    "Property or Tag name should not contain control characters, '.', '$', '#' or spaces. " \
    "Error in Property/Tag "
#define NO_NULL "Value of Property or Tag cannot be null. Error in Property/Tag "

static const struct row rows[] = {
  /* 1.3: what moves which counter */
    {.name = "tags alone move C",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"site\":\"n\"}}",
     .etag = 2,
     .desired_version = 1,
     .reported_version = 1,
     .tags = "{\"t\":1,\"site\":\"n\"}"},
    {.name = "desired moves C and Dv",
     .kind = OP_TWIN_PATCH,
     .body = D("{\"c\":3}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .desired = "{\"a\":1,\"b\":2,\"c\":3}",
     .push = "{\"c\":3,\"$version\":2}"},
    {.name = "tags and desired move C once",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"t\":2},\"properties\":{\"desired\":{\"a\":2}}}",
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{\"t\":2}",
     .desired = "{\"a\":2,\"b\":2}",
     .push = "{\"a\":2,\"$version\":2}"},
    {.name = "PUT moves C and Dv",
     .kind = OP_TWIN_PUT,
     .body = D("{\"a\":1}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .desired = "{\"a\":1}",
     .push = "{\"a\":1,\"b\":null,\"$version\":2}"},
    {.name = "PUT of tags alone empties desired",
     .kind = OP_TWIN_PUT,
     .body = "{\"tags\":{\"u\":1}}",
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{\"u\":1}",
     .desired = "{}",
     .push = "{\"a\":null,\"b\":null,\"$version\":2}"},
    {.name = "PUT counts though desired was and stays empty, without a push",
     .start = "{}",
     .kind = OP_TWIN_PUT,
     .body = "{}",
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .desired = "{}"},
    {.name = "reported moves Rv",
     .kind = OP_TWIN_REPORT,
     .body = "{\"temp\":21}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 2,
     .reported = "{\"temp\":21}"},
    {.name = "the same desired value is a write",
     .kind = OP_TWIN_PATCH,
     .body = D(DESIRED),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .push = "{\"a\":1,\"b\":2,\"$version\":2}"},
    {.name = "the same tag is a write",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"t\":1}}",
     .etag = 2,
     .desired_version = 1,
     .reported_version = 1},
    {.name = "null for a missing key is none",
     .kind = OP_TWIN_PATCH,
     .body = D("{\"x\":null}"),
     .etag = 1,
     .desired_version = 1,
     .reported_version = 1},
    {.name = "null for a missing tag is none",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"x\":null}}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 1},
    {.name = "{} onto an object is none",
     .start = D("{\"o\":{\"x\":1}}"),
     .kind = OP_TWIN_PATCH,
     .body = D("{\"o\":{}}"),
     .etag = 1,
     .desired_version = 1,
     .reported_version = 1,
     .tags = "{}",
     .desired = "{\"o\":{\"x\":1}}"},
    {.name = "an empty report is none",
     .kind = OP_TWIN_REPORT,
     .body = "{}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 1},
    {.name = "a report that removes nothing is none",
     .kind = OP_TWIN_REPORT,
     .body = "{\"x\":null}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 1},
    {.name = "an empty PATCH is none",
     .kind = OP_TWIN_PATCH,
     .body = "{}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 1},
    {.name = "so is one with empty tags",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{}}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 1},
    {.name = "tags change while desired does not",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"u\":1},\"properties\":{\"desired\":{\"x\":null}}}",
     .etag = 2,
     .desired_version = 1,
     .reported_version = 1,
     .tags = "{\"t\":1,\"u\":1}"},

 /* 2.1: merge */
    {.name = "an array is replaced whole",
     .start = D("{\"l\":[1,2,3]}"),
     .kind = OP_TWIN_PATCH,
     .body = D("{\"l\":[4]}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .desired = "{\"l\":[4]}",
     .push = "{\"l\":[4],\"$version\":2}"},
    {.name = "an object onto an object is merged",
     .start = D("{\"o\":{\"x\":1}}"),
     .kind = OP_TWIN_PATCH,
     .body = D("{\"o\":{\"y\":2}}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .desired = "{\"o\":{\"x\":1,\"y\":2}}",
     .push = "{\"o\":{\"y\":2},\"$version\":2}"},
    {.name = "an object onto a scalar replaces it, nulls stripped",
     .kind = OP_TWIN_PATCH,
     .body = D("{\"a\":{\"x\":null,\"y\":1}}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .desired = "{\"a\":{\"y\":1},\"b\":2}",
     .push = "{\"a\":{\"y\":1},\"$version\":2}"},
    {.name = "a scalar onto an object replaces it",
     .start = D("{\"o\":{\"x\":1}}"),
     .kind = OP_TWIN_PATCH,
     .body = D("{\"o\":5}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .desired = "{\"o\":5}",
     .push = "{\"o\":5,\"$version\":2}"},
    {.name = "the last leaf goes, its object stays",
     .start = D("{\"o\":{\"x\":1}}"),
     .kind = OP_TWIN_PATCH,
     .body = D("{\"o\":{\"x\":null}}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .desired = "{\"o\":{}}",
     .push = "{\"o\":{\"x\":null},\"$version\":2}"},
    {.name = "{} for a missing key makes an object",
     .kind = OP_TWIN_PATCH,
     .body = D("{\"o\":{}}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .desired = "{\"a\":1,\"b\":2,\"o\":{}}",
     .push = "{\"o\":{},\"$version\":2}"},
    {.name = "null for a missing key spares its siblings",
     .kind = OP_TWIN_PATCH,
     .body = D("{\"x\":null,\"a\":9}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .desired = "{\"a\":9,\"b\":2}",
     .push = "{\"a\":9,\"$version\":2}"},
    {.name = "number texts are kept",
     .kind = OP_TWIN_PATCH,
     .body = D("{\"a\":1.0}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .desired = "{\"a\":1.0,\"b\":2}",
     .push = "{\"a\":1.0,\"$version\":2}"},
    {.name = "null sections of a PATCH are absent",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":null,\"properties\":{\"desired\":null}}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 1},
    {.name = "null properties too",
     .kind = OP_TWIN_PATCH,
     .body = "{\"properties\":null}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 1},
    {.name = "a device's nulls delete",
     .kind = OP_TWIN_REPORT,
     .body = "{\"p\":{\"x\":null}}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 2,
     .reported = "{\"p\":{}}"},

 /* 2.1: what is ignored */
    {.name = "a whole twin sent back",
     .kind = OP_TWIN_PATCH,
     .body =
         "{\"deviceId\":\"x\",\"etag\":\"AAAAAAAAAAk=\",\"version\":77,\"status\":\"disabled\","
         "\"capabilities\":{\"iotEdge\":true},\"desired\":{\"z\":1},\"properties\":{\"reported\":"
         "{\"r\":1,\"bad key\":null},\"desired\":{\"a\":7,\"$metadata\":{\"a b\":1},"
         "\"$version\":55}}}",                                                                                 .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .desired = "{\"a\":7,\"b\":2}",
     .push = "{\"a\":7,\"$version\":2}"},
    {.name = "names of the API have no case, users' keys do",
     .kind = OP_TWIN_PATCH,
     .body = "{\"Tags\":{\"T\":2},\"PROPERTIES\":{\"Desired\":{\"A\":3}}}",
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{\"t\":1,\"T\":2}",
     .desired = "{\"a\":1,\"b\":2,\"A\":3}",
     .push = "{\"A\":3,\"$version\":2}"},

 /* 2.2: PUT */
    {.name = "null sections of a PUT are empty",
     .kind = OP_TWIN_PUT,
     .body = "{\"tags\":null,\"properties\":null}",
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .desired = "{}",
     .push = "{\"a\":null,\"b\":null,\"$version\":2}"},
    {.name = "null in a tag of a PUT",
     .kind = OP_TWIN_PUT,
     .body = "{\"tags\":{\"my-tag\":null}}",
     .want = BAD_ARGUMENT,
     .says = NO_NULL "my-tag"                                                                                                                                                                                                                                                                                                                                                                                                                                                                      },
    {.name = "null deep in desired of a PUT",
     .kind = OP_TWIN_PUT,
     .body = D("{\"o\":{\"p\":null}}"),
     .want = BAD_ARGUMENT,
     .says = NO_NULL "p"                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    },
    {.name = "reported is not touched by a PUT",
     .kind = OP_TWIN_PUT,
     .body = "{\"properties\":{\"desired\":{\"a\":1,\"b\":2},\"reported\":{\"r\":null}}}",
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .push = "{\"a\":1,\"b\":2,\"$version\":2}"},
    {.name = "2.5: a PUT pushes what vanished as null",
     .kind = OP_TWIN_PUT,
     .body = D("{\"a\":1,\"c\":100}"),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .desired = "{\"a\":1,\"c\":100}",
     .push = "{\"a\":1,\"c\":100,\"b\":null,\"$version\":2}"},

 /* 3: validation; nothing is written */
    {.name = "no body",                                                             .kind = OP_TWIN_PATCH,                                     .body = "",                                                                                                        .want = NULL_ARGUMENT                                                                                                                                                                                                                                },
    {.name = "no body of a PUT",                                         .kind = OP_TWIN_PUT,                                      .body = "",                                                                                         .want = NULL_ARGUMENT                                                                                                                                                                                                                  },
    {.name = "no JSON",   .kind = OP_TWIN_PATCH,                                                             .body = "{\"tags\":",                                                                                                         .want = BAD_FORMAT                                                                                                                                                                                                                                   },
    {.name = "a device's bad JSON",
     .kind = OP_TWIN_REPORT,
     .body = "{\"temp\":",
     .want = BAD_ARGUMENT,
     .says = "the body is not valid JSON"                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    },
    {.name = "a device's empty body",
     .kind = OP_TWIN_REPORT,
     .body = "",
     .want = BAD_ARGUMENT,
     .says = "the body is not valid JSON"                                                                                                                                                                                                                                                                                                                                                                                                         },
    {.name = "a body that is no object",
     .kind = OP_TWIN_PATCH,
     .body = "[]",
     .want = BAD_ARGUMENT,
     .says = NOT_TWIN                                                                                                                                                                                                                                                                                                                                                                                                                                                                      },
    {.name = "a PUT of null",
     .kind = OP_TWIN_PUT,
     .body = "null",
     .want = BAD_ARGUMENT,
     .says = NOT_TWIN                                                                                                                                                                                                                                                                                                                                                                                                                                                                        },
    {.name = "properties that are no object",
     .kind = OP_TWIN_PATCH,
     .body = "{\"properties\":1}",
     .want = BAD_ARGUMENT,
     .says = NOT_TWIN                                                                                                                                                                                                                                                                                                                                                                                                                                                                         },
    {.name = "tags that are no object",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":[1]}",
     .want = BAD_ARGUMENT,
     .says = NOT_TWIN                                                                                                                                                                                                                                                                                                                                                                                                                                                                     },
    {.name = "desired that is no object",
     .kind = OP_TWIN_PUT,
     .body = D("\"x\""),
     .want = BAD_ARGUMENT,
     .says = NOT_TWIN                                                                                                                                                                                                                                                                                                                                                                                                                                                         },
    {.name = "a report that is no object",
     .kind = OP_TWIN_REPORT,
     .body = "null",
     .want = BAD_ARGUMENT,
     .says = NOT_TWIN                                                                                                                                                                                                                                                                                                                                                                                                                                                                        },
    {.name = "a dot in a key",
     .kind = OP_TWIN_PATCH,
     .body = D("{\"a.b\":1}"),
     .want = BAD_ARGUMENT,
     .says = BAD_KEY "a.b"                                                                                                                                                                                                                                                                                                                                                                                                                                                                          },
    {.name = "a blank in a key",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"a b\":1}}",
     .want = BAD_ARGUMENT,
     .says = BAD_KEY "a b"                                                                                                                                                                                                                                                                                                                                                                                                                                                                              },
    {.name = "# in a key",
     .kind = OP_TWIN_REPORT,
     .body = "{\"a#\":1}",
     .want = BAD_ARGUMENT,
     .says = BAD_KEY "a#"                                                                                                                                                                                                                                                                                                                                                                                                                                                                         },
    {.name = "$ in a key refuses all of it",
     .kind = OP_TWIN_REPORT,
     .body = "{\"ok\":\"abcd\",\"$3f\":123}",
     .want = BAD_ARGUMENT,
     .says = BAD_KEY "$3f"                                                                                                                                                                                                                                                                                                                                                                                                                                                                         },
    {.name = "^ and * in keys",
     .kind = OP_TWIN_REPORT,
     .body = "{\"a*b^c-d/e:f\":1}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 2,
     .reported = "{\"a*b^c-d/e:f\":1}"},
    {.name = "the largest integer",
     .kind = OP_TWIN_REPORT,
     .body = "{\"n\":4503599627370495}",
     .etag = 1,
     .desired_version = 1,
     .reported_version = 2,
     .reported = "{\"n\":4503599627370495}"},
    {.name = "an integer too large",
     .kind = OP_TWIN_REPORT,
     .body = "{\"n\":4503599627370496}",
     .want = BAD_ARGUMENT,
     .says = "Integer value of Property or Tag is out of range. Error in Property/Tag n"                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 },
    {.name = "an integer too small",
     .kind = OP_TWIN_PATCH,
     .body = D("{\"n\":-4503599627370497}"),
     .want = BAD_ARGUMENT,
     .says = "Integer value of Property or Tag is out of range. Error in Property/Tag n"                                                                                                                                                                                                                                                                               },
    {.name = "null in an array",
     .kind = OP_TWIN_PATCH,
     .body = D("{\"b\":[1,null]}"),
     .want = BAD_ARGUMENT,
     .says = NO_NULL "b"    },
    {.name = "null in an object in an array",
     .kind = OP_TWIN_REPORT,
     .body = "{\"b\":[{\"c\":null}]}",
     .want = BAD_ARGUMENT,
     .says = NO_NULL "c"},
    {.name = "ten levels",
     .start = "{}",
     .kind = OP_TWIN_PATCH,
     .body = D(DEEP_IN "{\"k\":1}" DEEP_OUT),
     .etag = 2,
     .desired_version = 2,
     .reported_version = 1,
     .tags = "{}",
     .desired = DEEP_IN "{\"k\":1}" DEEP_OUT,
     .push = "{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":{\"k\":"
             "{\"k\":1}"
             "}}}}}}}}}"
             ",\"$version\":2}"},
    {.name = "eleven levels",
     .kind = OP_TWIN_PATCH,
     .body = D(DEEP_IN "{\"k\":{}}" DEEP_OUT),
     .want = BAD_ARGUMENT,
     .says = "Property or Tag depth should be maximum 10. Error in "
             "Property/Tag k"                                              },
    {.name = "bad tags keep desired from being written",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"a b\":1},\"properties\":{\"desired\":{\"c\":1}}}",
     .want = BAD_ARGUMENT,
     .says = BAD_KEY "a b"     },
    {.name = "bad desired keeps tags from being written",
     .kind = OP_TWIN_PATCH,
     .body = "{\"tags\":{\"c\":1},\"properties\":{\"desired\":{\"a b\":1}}}",
     .want = BAD_ARGUMENT,
     .says = BAD_KEY "a b"   },
};

static void expect_doc(const char *row, struct span doc, const char *want)
{
    struct buf b = {0};
    doc_put_value(&b, doc_root(doc));
    EXPECT_SPAN_IN(row, buf_span(&b), span_text(want));
    buf_fini(&b);
}

static void expect_push(const struct fixture *f, const char *row, const char *want, int64_t version)
{
    const struct effect *push = twin_effect(f, EFFECT_DESIRED);
    EXPECT_EQ_IN(row, push != NULL, want != NULL);
    if (!push)
        return;
    struct buf b = {0};
    doc_put_delta(&b, push->delta, push->version);
    EXPECT_SPAN_IN(row, buf_span(&b), span_text(want));
    EXPECT_EQ_IN(row, push->version, version);
    buf_fini(&b);
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

/* The twin after a row, and what left the hub with it. */
static void expect_after(struct fixture *f, const struct row *r, const struct row *want)
{
    struct entity e = fixture_entity(f, "pump-07", NULL);
    bool wrote = want->etag + want->reported_version > 2;
    EXPECT_EQ_IN(r->name, e.twin_etag, want->etag);
    EXPECT_EQ_IN(r->name, e.desired_version, want->desired_version);
    EXPECT_EQ_IN(r->name, e.reported_version, want->reported_version);
    expect_doc(r->name, e.tags, or_else(want->tags, TAGS));
    expect_doc(r->name, e.desired, or_else(want->desired, DESIRED));
    expect_doc(r->name, e.reported, or_else(want->reported, "{}"));
    expect_push(f, r->name, want->push, want->desired_version);
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
    EXPECT_EQ_IN(r->name, head.twin_etag, want->etag);
}

TEST(each_write_has_the_effect_the_rules_say)
{
    static const struct row refused = {.etag = 1, .desired_version = 1, .reported_version = 1};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *r = &rows[i];
        struct fixture f;
        start(&f, or_else(r->start, START));
        struct op op = twin_op(r->kind, NULL, r->body);
        enum status got = twin_apply(&f, &op);
        if (got != r->want)
            fail_msg("%s: %s (%.*s)", r->name, status_name(got), SPAN_ARG(f.out.why));
        EXPECT_SPAN_IN(r->name, f.out.why, span_text(r->says));
        bool answers = got == OK && r->kind != OP_TWIN_REPORT;
        EXPECT_EQ_IN(r->name, f.body.len > 0, answers);
        EXPECT_EQ_IN(r->name, f.out.etag.len > 0, answers);
        if (r->kind == OP_TWIN_REPORT && got == OK)
            EXPECT_EQ_IN(r->name, f.out.version, r->reported_version);
        expect_after(&f, r, got == OK ? r : &refused);
        finish(&f);
    }
}

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
        start(&f, NULL);
        struct op op = twin_op(OP_TWIN_PATCH, NULL, "{\"tags\":{\"a\":1}}");
        EXPECT_EQ(twin_apply(&f, &op), OK);
        op.has_if_match = if_matches[i].header != NULL;
        op.if_match = span_text(if_matches[i].header);
        EXPECT_EQ_IN(if_matches[i].name, twin_apply(&f, &op), if_matches[i].want);
        bool passed = if_matches[i].want == OK;
        EXPECT_EQ_IN(if_matches[i].name, fixture_entity(&f, "pump-07", NULL).twin_etag,
                     passed ? 3 : 2);
        EXPECT_SPAN_IN(if_matches[i].name, f.out.etag, passed ? SPAN("AAAAAAAAAAM=") : SPAN(""));
        finish(&f);
    }
}

/* ---- service-rest 7 row 5: syntax, existence, If-Match, validation ---- */

static const struct {
    const char *name;
    enum op_kind kind;
    const char *device, *module, *if_match, *body;
    int64_t if_version;
    enum status want;
    const char *says;
} refusals[] = {
    {"syntax before existence",     OP_TWIN_PATCH,  "nobody",  NULL, NULL,  "{",           -1, BAD_FORMAT,    NULL     },
    {"no body before existence",    OP_TWIN_PUT,    "nobody",  NULL, NULL,  "",            -1, NULL_ARGUMENT, NULL     },
    {"existence before If-Match",   OP_TWIN_PATCH,  "nobody",  NULL, "bad", "{}",          -1, NO_DEVICE,
     "nobody"                                                                                                          },
    {"existence before validation", OP_TWIN_PUT,    "nobody",  NULL, NULL,  "[]",          -1, NO_DEVICE,
     "nobody"                                                                                                          },
    {"If-Match before validation",  OP_TWIN_PATCH,  "pump-07", NULL, "bad", "[]",          -1, ETAG_MISMATCH,
     NULL                                                                                                              },
    {"no module",                   OP_TWIN_PATCH,  "pump-07", "m",  NULL,  "{}",          -1, NO_DEVICE,     "pump-07"},
    {"no module to get",            OP_TWIN_GET,    "pump-07", "m",  NULL,  "",            -1, NO_DEVICE,     "pump-07"},
    {"no device to get",            OP_TWIN_GET,    "nobody",  NULL, NULL,  "",            -1, NO_DEVICE,     "nobody" },
    {"no device of a module",       OP_TWIN_GET,    "nobody",  "m",  NULL,  "",            -1, NO_DEVICE,     "nobody" },
    {"no device of its own",        OP_TWIN_READ,   "nobody",  NULL, NULL,  "",            -1, NO_DEVICE,     "nobody" },
    {"report of nobody",            OP_TWIN_REPORT, "nobody",  NULL, NULL,  "{\"a\":1}",   -1, NO_DEVICE,
     "nobody"                                                                                                          },
    {"syntax of a report",          OP_TWIN_REPORT, "nobody",  NULL, NULL,  "{",           -1, BAD_ARGUMENT,
     "the body is not valid JSON"                                                                                      },
    {"$version before validation",  OP_TWIN_REPORT, "pump-07", NULL, NULL,  "{\"a b\":1}", 2,
     ETAG_MISMATCH,                                                                                           NULL     },
    {"$version 0 is a version",     OP_TWIN_REPORT, "pump-07", NULL, NULL,  "{\"a\":1}",   0,
     ETAG_MISMATCH,                                                                                           NULL     },
    {"existence before $version",   OP_TWIN_REPORT, "nobody",  NULL, NULL,  "{}",          9,  NO_DEVICE,
     "nobody"                                                                                                          },
    {"the right $version",          OP_TWIN_REPORT, "pump-07", NULL, NULL,  "{\"a\":1}",   1,  OK,            NULL     },
};

TEST(refusals_come_in_their_order)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct fixture f;
        start(&f, NULL);
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
        finish(&f);
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
    strcpy(at + count, after);
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
    start(&f, NULL);
    struct op op = twin_op(kind, NULL, body);
    EXPECT_EQ_IN(says, twin_apply(&f, &op), want);
    if (want != OK)
        EXPECT(fixture_contains(f.out.why, says));
    struct entity e = fixture_entity(&f, "pump-07", NULL);
    EXPECT_EQ_IN(says, e.twin_etag + e.reported_version > 2, want == OK);
    finish(&f);
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
    start(&f, NULL);
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
    finish(&f);
}

/* ---- 2.6: the worked sequence ---- */

static const struct {
    const char *name;
    enum op_kind kind;
    const char *if_match, *body;
    enum status want;
    const char *etag; /* of the answer; NULL: none */
    int desired_version, reported_version, version;
    const char *push;
} worked[] = {
    {"1 tags",              OP_TWIN_PATCH,  NULL,               "{\"tags\":{\"site\":\"north\"}}",            OK,            "AAAAAAAAAAI=", 1, 1, 3,
     NULL                                                                                                                                                                                                         },
    {"2 desired",           OP_TWIN_PATCH,  "\"AAAAAAAAAAI=\"", D("{\"rate\":30,\"net\":{\"apn\":\"iot\"}}"),
     OK,                                                                                                                     "AAAAAAAAAAM=", 2, 1, 4, "{\"rate\":30,\"net\":{\"apn\":\"iot\"},\"$version\":2}"    },
    {"3 reported",          OP_TWIN_REPORT, NULL,               "{\"rate\":30}",                              OK,            NULL,           2, 2, 5, NULL                                                        },
    {"4 an old etag",       OP_TWIN_PATCH,  "\"AAAAAAAAAAI=\"", D("{\"rate\":31}"),                           ETAG_MISMATCH, NULL,           2,
     2,                                                                                                                                            5, NULL                                                        },
    {"5 delete",            OP_TWIN_PATCH,  NULL,               D("{\"net\":{\"apn\":null}}"),                OK,            "AAAAAAAAAAQ=", 3, 2, 6,
     "{\"net\":{\"apn\":null},\"$version\":3}"                                                                                                                                                                    },
    {"6 nothing to delete", OP_TWIN_PATCH,  NULL,               D("{\"ghost\":null}"),                        OK,            "AAAAAAAAAAQ=", 3, 2, 6,
     NULL                                                                                                                                                                                                         },
    {"7 replace",           OP_TWIN_PUT,    NULL,
     "{\"tags\":{\"a\":1},\"properties\":{\"desired\":{\"rate\":30,\"mode\":\"eco\"}}}",                      OK,
     "AAAAAAAAAAU=",                                                                                                                         4, 2, 7, "{\"rate\":30,\"mode\":\"eco\",\"net\":null,\"$version\":4}"},
};

TEST(the_worked_sequence_of_the_specification_holds)
{
    struct fixture f;
    start(&f, NULL);
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
    finish(&f);
}

/* ---- 1: views ---- */

#define ROOT_AT(time) "{\"$metadata\":{\"$lastUpdated\":\"" time "\"},\"$version\":1}"
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
    finish(&f);
}

#define AT(time, version) "{\"$lastUpdated\":\"" time "\",\"$lastUpdatedVersion\":" version
#define LATE              "2026-03-04T10:21:00.5Z"

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
    finish(&f);
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
    finish(&f);
}

static void set_authentication(struct entity *e)
{
    e->auth++;
}

TEST(each_kind_of_authentication_has_its_name)
{
    static const char *const names[] = {"sas", "selfSigned", "certificateAuthority", "none"};
    struct fixture f;
    start(&f, NULL);
    struct op op = twin_op(OP_TWIN_GET, NULL, NULL);
    for (size_t i = 0; i < COUNT(names); i++) {
        char want[64];
        snprintf(want, sizeof(want), "\"authenticationType\":\"%s\"", names[i]);
        EXPECT_EQ(twin_apply(&f, &op), OK);
        EXPECT(fixture_contains(buf_span(&f.body), want));
        if (i + 1 < COUNT(names))
            identify(&f, NULL, set_authentication);
    }
    finish(&f);
}

/* ---- what a reply waits for ---- */

TEST(a_reply_waits_for_what_it_shows)
{
    struct fixture f;
    start(&f, NULL); /* written in batch 5; 6 is open */
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
    finish(&f);
}

/* ---- content of a new twin, and of bulk entries ---- */

static const struct {
    const char *name, *module, *content;
    enum status want;
    const char *says; /* the text of the refusal, or the properties */
} contents[] = {
    {"stamped as version 1",                                          NULL, "{\"Tags\":{\"a\":1},\"properties\":{\"desired\":{\"b\":2}}}",
     OK,                                                                                                                                            "\"desired\":{\"b\":2,\"$metadata\":" AT(CREATED,"1") ",\"b\":" AT(
         CREATED, "1") "}},\"$version\":1},\"reported\":" ROOT_AT(CREATED)},
    {"a module's too",       "m",           D("{\"b\":2}"),                                                         OK,
     "\"desired\":{\"b\":2,\"$metadata\":" AT(CREATED,"1") ",\"b\":" AT(
         CREATED, "1") "}},\"$version\":1},\"reported\":" ROOT_AT(NEVER)},
    {"tags alone",                NULL,     "{\"tags\":{\"a\":1},\"properties\":{\"reported\":{\"x\":1}}}",            OK,
     "\"tags\":{\"a\":1},\"properties\":{\"desired\":" ROOT_AT(CREATED) ",\"reported\":" ROOT_AT(
         CREATED)},
    {"null is absent", NULL,"{\"tags\":null,\"properties\":{\"desired\":null}}",                                                                                                                         OK,
     "\"version\":2,\"properties\":{\"desired\":" ROOT_AT(CREATED)                                                                                                         },
    {"null inside is not",            NULL,                "{\"tags\":{\"a\":null}}",                                                                        BAD_ARGUMENT,                                                                               NO_NULL "a"},
    {"a bad key",                                      NULL,               D("{\"a b\":1}"),BAD_ARGUMENT,BAD_KEY "a b"},
    {"no object",                                               NULL,                         "{\"properties\":[]}",                                                                                BAD_ARGUMENT,                                                                                                                                                                     NOT_TWIN                                          },
};

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
        finish(&f);
    }
}

static const struct {
    const char *name;
    bool replace;
    const char *body;
    enum status want;
    int etag, desired_version;
    const char *tags, *desired, *push;
} sections[] = {
    {"merged",                       false, "{\"id\":\"x\",\"tags\":{\"u\":2},\"properties\":{\"desired\":{\"a\":null}}}",
     OK,                                                                                                                                 2, 2, "{\"t\":1,\"u\":2}", "{\"b\":2}", "{\"a\":null,\"$version\":2}"                   },
    {"one replaced, the other left", true,  "{\"tags\":{\"u\":2}}",                                                        OK,           2, 1, "{\"u\":2}",         DESIRED,
     NULL                                                                                                                                                                                                                        },
    {"null leaves it, too",          true,  "{\"tags\":null,\"properties\":{\"desired\":{\"c\":1}}}",                      OK,           2,
     2,                                                                                                                                        TAGS,                "{\"c\":1}", "{\"c\":1,\"a\":null,\"b\":null,\"$version\":2}"},
    {"nothing given",                true,  "{}",                                                                          OK,           1, 1, TAGS,                DESIRED,     NULL                                            },
    {"invalid",                      true,  "{\"tags\":{\"a b\":2}}",                                                      BAD_ARGUMENT, 1, 1, TAGS,                DESIRED,     NULL                                            },
    {"no object",                    false, "[]",                                                                          BAD_ARGUMENT, 1, 1, TAGS,                DESIRED,     NULL                                            },
};

TEST(bulk_entries_write_the_sections_they_give)
{
    for (size_t i = 0; i < COUNT(sections); i++) {
        struct fixture f;
        start(&f, START);
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
        finish(&f);
    }
}

TEST_MAIN(RUN(each_write_has_the_effect_the_rules_say),
          RUN(a_write_passes_if_its_etag_is_the_current_one), RUN(refusals_come_in_their_order),
          RUN(sizes_have_limits), RUN(an_arena_that_is_full_asks_for_another_turn),
          RUN(the_worked_sequence_of_the_specification_holds),
          RUN(a_new_twin_reads_as_in_the_specification),
          RUN(metadata_tells_when_each_leaf_was_written),
          RUN(the_service_sees_the_identity_and_the_connection),
          RUN(each_kind_of_authentication_has_its_name), RUN(a_reply_waits_for_what_it_shows),
          RUN(a_twin_may_be_created_with_content), RUN(bulk_entries_write_the_sections_they_give))
