#include <time.h>

#include "doc/doc_testing.h"

/* twins 2.1 and 2.4, row by row, and 2.5: what a patch leaves, and what the device is told. A NULL
 * push: nothing has changed. */
static const struct {
    const char *name, *old, *patch, *left, *push;
} patches[] = {
    {"absent key stays",                   "{\"a\":1,\"b\":2}",                 "{\"a\":-1}",                                  "{\"a\":-1,\"b\":2}",             "{\"a\":-1}"                    },
    {"same value counts",                  "{\"a\":1,\"b\":2}",                 "{\"a\":1,\"b\":2}",                           "{\"a\":1,\"b\":2}",
     "{\"a\":1,\"b\":2}"                                                                                                                                                                         },
    {"null removes",                       "{\"a\":1,\"b\":2}",                 "{\"b\":null}",                                "{\"a\":1}",                      "{\"b\":null}"                  },
    {"null of nothing",                    "{\"a\":1}",                         "{\"b\":null}",                                "{\"a\":1}",                      NULL                            },
    {"null of nothing spares siblings",    "{\"a\":{\"x\":1,\"y\":2}}",         "{\"a\":{\"z\":null}}",
     "{\"a\":{\"x\":1,\"y\":2}}",                                                                                                                                NULL                            },
    {"null of nothing beside a change",    "{\"a\":1}",                         "{\"b\":null,\"c\":3}",                        "{\"a\":1,\"c\":3}",
     "{\"c\":3}"                                                                                                                                                                                 },
    {"empty patch",                        "{\"a\":1}",                         "{}",                                          "{\"a\":1}",                      NULL                            },
    {"new key goes last",                  "{\"b\":1}",                         "{\"a\":2,\"b\":3}",                           "{\"b\":3,\"a\":2}",
     "{\"a\":2,\"b\":3}"                                                                                                                                                                         },
    {"array replaces array",               "{\"a\":[1,2,3]}",                   "{\"a\":[9]}",                                 "{\"a\":[9]}",                    "{\"a\":[9]}"                   },
    {"scalar replaces array",              "{\"a\":[1]}",                       "{\"a\":0}",                                   "{\"a\":0}",                      "{\"a\":0}"                     },
    {"scalar replaces object",             "{\"a\":{\"x\":1}}",                 "{\"a\":0}",                                   "{\"a\":0}",                      "{\"a\":0}"                     },
    {"object replaces scalar",             "{\"a\":1}",                         "{\"a\":{\"x\":2}}",                           "{\"a\":{\"x\":2}}",
     "{\"a\":{\"x\":2}}"                                                                                                                                                                         },
    {"object replaces array",              "{\"a\":[1]}",                       "{\"a\":{\"x\":2}}",                           "{\"a\":{\"x\":2}}",
     "{\"a\":{\"x\":2}}"                                                                                                                                                                         },
    {"object into object",                 "{\"a\":{\"x\":1,\"y\":2}}",         "{\"a\":{\"y\":3,\"z\":4}}",
     "{\"a\":{\"x\":1,\"y\":3,\"z\":4}}",                                                                                                                        "{\"a\":{\"y\":3,\"z\":4}}"     },
    {"nulls in a new object are stripped", "{}",                                "{\"p1\":{\"p2\":null,\"p3\":{\"p4\":null}}}",
     "{\"p1\":{\"p3\":{}}}",                                                                                                                                     "{\"p1\":{\"p3\":{}}}"          },
    {"nulls over a scalar are stripped",   "{\"p1\":5}",                        "{\"p1\":{\"p2\":null}}",                      "{\"p1\":{}}",
     "{\"p1\":{}}"                                                                                                                                                                               },
    {"last leaf leaves its object",        "{\"net\":{\"apn\":\"iot\"}}",       "{\"net\":{\"apn\":null}}",
     "{\"net\":{}}",                                                                                                                                             "{\"net\":{\"apn\":null}}"      },
    {"empty object onto nothing",          "{}",                                "{\"a\":{}}",                                  "{\"a\":{}}",                     "{\"a\":{}}"                    },
    {"empty object onto object",           "{\"a\":{\"x\":1}}",                 "{\"a\":{}}",                                  "{\"a\":{\"x\":1}}",              NULL                            },
    {"empty object beside a change",       "{\"a\":{\"x\":1}}",                 "{\"a\":{},\"b\":1}",
     "{\"a\":{\"x\":1},\"b\":1}",                                                                                                                                "{\"b\":1}"                     },
    {"null at depth",                      "{\"a\":{\"b\":{\"c\":1,\"d\":2}}}", "{\"a\":{\"b\":{\"c\":null}}}",
     "{\"a\":{\"b\":{\"d\":2}}}",                                                                                                                                "{\"a\":{\"b\":{\"c\":null}}}"  },
    {"removes a whole object",             "{\"a\":{\"b\":{\"c\":1}},\"d\":1}", "{\"a\":null}",                                "{\"d\":1}",
     "{\"a\":null}"                                                                                                                                                                              },
    {"numbers as sent",                    "{\"a\":1}",                         "{\"a\":1.0,\"b\":-0,\"c\":1E3}",
     "{\"a\":1.0,\"b\":-0,\"c\":1E3}",                                                                                                                           "{\"a\":1.0,\"b\":-0,\"c\":1E3}"},
    {"echoed members at the root",         "{\"a\":1}",
     "{\"$metadata\":{\"$lastUpdated\":\"x\",\"a b\":null},\"$version\":4}",                                                   "{\"a\":1}",                      NULL                            },
    {"echoed members beside a change",     "{\"a\":1}",
     "{\"a\":2,\"$metadata\":null,\"$version\":\"x\"}",                                                                        "{\"a\":2}",                      "{\"a\":2}"                     },
    {"echoed members below",               "{\"a\":{\"x\":1}}",                 "{\"a\":{\"$version\":1,\"$metadata\":{}}}",
     "{\"a\":{\"x\":1}}",                                                                                                                                        NULL                            },
    {"echoed members in what is new",      "{}",                                "{\"a\":{\"$version\":1,\"b\":2}}",            "{\"a\":{\"b\":2}}",
     "{\"a\":{\"b\":2}}"                                                                                                                                                                         },
    {"echoed members in arrays",           "{}",
     "{\"a\":[{\"$version\":1,\"b\":[2,{\"$metadata\":{}}]},\"s\"]}",                                                          "{\"a\":[{\"b\":[2,{}]},\"s\"]}", "{\"a\":[{\"b\":[2,{}]},\"s\"]}"},
    {"empty key",                          "{\"\":1}",                          "{\"\":2}",                                    "{\"\":2}",                       "{\"\":2}"                      },
    {"keys differ by case",                "{\"a\":1}",                         "{\"A\":2}",                                   "{\"a\":1,\"A\":2}",              "{\"A\":2}"                     },
    {"removal and addition",               "{\"a\":1,\"b\":2,\"c\":3}",         "{\"d\":4,\"b\":null,\"a\":5}",
     "{\"a\":5,\"c\":3,\"d\":4}",                                                                                                                                "{\"d\":4,\"b\":null,\"a\":5}"  },
    {"all removed",                        "{\"a\":1,\"b\":2}",                 "{\"b\":null,\"a\":null}",                     "{}",
     "{\"b\":null,\"a\":null}"                                                                                                                                                                   },
};

static const struct {
    const char *name, *old, *value, *left, *push;
} replacements[] = {
    {"twins 2.5",                    "{\"a\":1,\"b\":2}",                 "{\"a\":1,\"c\":100}",               "{\"a\":1,\"c\":100}",
     "{\"a\":1,\"c\":100,\"b\":null}"                                                                                                                                                  },
    {"twins 2.6 row 7",              "{\"rate\":30,\"net\":{}}",          "{\"rate\":30,\"mode\":\"eco\"}",
     "{\"rate\":30,\"mode\":\"eco\"}",                                                                                                "{\"rate\":30,\"mode\":\"eco\",\"net\":null}"    },
    {"order of the new one",         "{\"a\":1,\"b\":2}",                 "{\"b\":2,\"a\":1}",                 "{\"b\":2,\"a\":1}",
     "{\"b\":2,\"a\":1}"                                                                                                                                                               },
    {"the same again",               "{\"a\":1}",                         "{\"a\":1}",                         "{\"a\":1}",           "{\"a\":1}"                                      },
    {"objects are compared",         "{\"o\":{\"a\":1,\"b\":{\"x\":1}}}", "{\"o\":{\"b\":{\"y\":1}}}",
     "{\"o\":{\"b\":{\"y\":1}}}",                                                                                                     "{\"o\":{\"b\":{\"y\":1,\"x\":null},\"a\":null}}"},
    {"an object kept empty",         "{\"o\":{}}",                        "{\"o\":{}}",                        "{\"o\":{}}",          "{\"o\":{}}"                                     },
    {"an object emptied",            "{\"o\":{\"a\":1}}",                 "{\"o\":{}}",                        "{\"o\":{}}",          "{\"o\":{\"a\":null}}"                           },
    {"object for scalar",            "{\"o\":1}",                         "{\"o\":{\"a\":1}}",                 "{\"o\":{\"a\":1}}",
     "{\"o\":{\"a\":1}}"                                                                                                                                                               },
    {"array for object",             "{\"o\":{\"a\":1}}",                 "{\"o\":[1]}",                       "{\"o\":[1]}",         "{\"o\":[1]}"                                    },
    {"emptied",                      "{\"a\":1,\"b\":{\"c\":2}}",         "{}",                                "{}",                  "{\"a\":null,\"b\":null}"                        },
    {"emptied by null",              "{\"a\":1}",                         "null",                              "{}",                  "{\"a\":null}"                                   },
    {"was and stays empty",          "{}",                                "{}",                                "{}",                  NULL                                             },
    {"was and stays empty, by null", "{}",                                "null",                              "{}",                  NULL                                             },
    {"only echoed members",          "{}",                                "{\"$metadata\":{},\"$version\":3}", "{}",                  NULL                                             },
    {"echoed members",               "{\"a\":1}",                         "{\"$version\":3,\"a\":2}",          "{\"a\":2}",           "{\"a\":2}"                                      },
};

static void expect_write(const char *name, struct span old, const struct doc_result *r,
                         const char *left, const char *push)
{
    EXPECT_SPAN_IN(name, value_text(r->section), span_text(left));
    EXPECT_EQ_IN(name, r->changed, push != NULL);
    if (!push) {
        EXPECT_SPAN_IN(name, r->section, old);
        EXPECT_EQ_IN(name, r->delta.len, 0);
        return;
    }
    EXPECT_SPAN_IN(name, delta_text(r->delta, -1), span_text(push));
    EXPECT_EQ_IN(name, doc_is_valid(test_at_edge(r->section)), true);
    struct span applied;
    EXPECT_EQ_IN(name, doc_apply(old, test_at_edge(r->delta), &arena, &applied), OK);
    EXPECT_SPAN_IN(name, applied, r->section);
}

TEST(patches_leave_and_tell_what_twins_2_says)
{
    for (size_t i = 0; i < COUNT(patches); i++)
        for (int section = DOC_TAGS; section <= DOC_REPORTED; section++) {
            testing_reset();
            struct span old = section_of((enum doc_section)section, patches[i].old);
            struct doc_write w = write_of((enum doc_section)section, 3);
            struct doc_result r;
            struct doc_fault fault;
            size_t used = arena.used;
            struct span patch = parsed(patches[i].patch);
            EXPECT_EQ_IN(patches[i].name, arena.used > used, true);
            used = arena.used;
            EXPECT_EQ_IN(
                patches[i].name,
                doc_patch(test_at_edge(old), doc_root(test_at_edge(patch)), &w, &arena, &r, &fault),
                OK);
            EXPECT_EQ_IN(patches[i].name, arena.used > used, r.changed);
            expect_write(patches[i].name, old, &r, patches[i].left, patches[i].push);
        }
}

TEST(replacements_leave_and_tell_what_twins_2_says)
{
    for (size_t i = 0; i < COUNT(replacements); i++) {
        testing_reset();
        struct span old = section_of(DOC_DESIRED, replacements[i].old);
        struct doc_write w = write_of(DOC_DESIRED, 3);
        struct doc_result r;
        struct doc_fault fault;
        struct span value = parsed(replacements[i].value);
        EXPECT_EQ_IN(replacements[i].name,
                     doc_replace(test_at_edge(old), doc_root(value), &w, &arena, &r, &fault), OK);
        expect_write(replacements[i].name, old, &r, replacements[i].left, replacements[i].push);
    }
}

TEST(an_absent_value_empties_the_section)
{
    testing_reset();
    struct span old = section_of(DOC_DESIRED, "{\"a\":1}");
    struct doc_write w = write_of(DOC_DESIRED, 3);
    struct doc_result r;
    struct doc_fault fault;
    EXPECT_EQ(doc_replace(old, (struct doc_node){NULL}, &w, &arena, &r, &fault), OK);
    expect_write("absent", old, &r, "{}", "{\"a\":null}");
    EXPECT(doc_is_empty(r.section));
}

/* Key `k` of the test below was in the old section; it is in the patch; it is removed by it. */
static bool was(int k, int count)
{
    return k % 2 == 0 && k / 2 < count;
}

static bool is_patched(int k, int count)
{
    return k % 3 == 0 && k / 3 < count;
}

static bool is_removed(int k)
{
    return k / 3 % 4 == 1;
}

static void put_wide_result(struct buf *want, int count)
{
    buf_byte(want, '{');
    for (int k = 0; k < count * 2; k += 2)
        if (!is_patched(k, count))
            buf_printf(want, "\"k%d\":%d,", k, k / 2);
        else if (!is_removed(k))
            buf_printf(want, "\"k%d\":\"new\",", k);
    for (int k = 0; k < count * 3; k += 3)
        if (!was(k, count) && !is_removed(k))
            buf_printf(want, "\"k%d\":\"new\",", k);
    want->data[want->len - 1] = '}';
}

/* Above FEW_EDITS keys an index finds them: every count around it, keys found, missing, removed. */
TEST(wide_patches_are_merged_like_narrow_ones)
{
    for (int count = 1; count < 80; count++) {
        testing_reset();
        struct buf old = {0}, patch = {0}, want = {0};
        for (int i = 0; i < count; i++) {
            buf_printf(&old, "%s\"k%d\":%d", i ? "," : "{", i * 2, i);
            buf_printf(&patch, "%s\"k%d\":%s", i ? "," : "{", i * 3,
                       is_removed(i * 3) ? "null" : "\"new\"");
        }
        buf_put(&old, SPAN("}\0"));
        buf_put(&patch, SPAN("}\0"));
        put_wide_result(&want, count);
        struct span section = section_of(DOC_REPORTED, (const char *)old.data);
        struct doc_write w = write_of(DOC_REPORTED, 3);
        struct doc_result r;
        struct doc_fault fault;
        struct span sent = parsed((const char *)patch.data);
        EXPECT_EQ(doc_patch(section, doc_root(sent), &w, &arena, &r, &fault), OK);
        EXPECT_SPAN(value_text(r.section), buf_span(&want));
        buf_fini(&old);
        buf_fini(&patch);
        buf_fini(&want);
    }
}

/* ---- stamps: twins 1.4 -------------------------------------------------------------------- */

static struct span patched(struct span old, const char *json, const struct doc_write *w)
{
    struct doc_result r;
    struct doc_fault fault;
    if (doc_patch(old, doc_root(parsed(json)), w, &arena, &r, &fault) != OK)
        fail_msg("is refused: %s", json);
    return r.section;
}

#define T(s)     "\"$lastUpdated\":\"2026-03-04T10:20:3" #s "Z\""
#define TV(s, v) T(s) ",\"$lastUpdatedVersion\":" #v

TEST(a_write_stamps_its_leaves_and_all_above_them)
{
    testing_reset();
    struct span doc = doc_empty(DOC_DESIRED, second(1), &arena);
    EXPECT_SPAN(service_text(doc, 1), SPAN("{\"$metadata\":{" T(1) "},\"$version\":1}"));
    struct doc_write w = write_of(DOC_DESIRED, 2);
    doc =
        patched(doc, "{\"net\":{\"apn\":\"iot\",\"retry\":{\"min\":1}},\"list\":[{\"x\":1}]}", &w);
    w = write_of(DOC_DESIRED, 3);
    doc = patched(doc, "{\"net\":{\"retry\":{\"max\":5}}}", &w);
    EXPECT_SPAN(
        service_text(doc, 3),
        SPAN("{\"net\":{\"apn\":\"iot\",\"retry\":{\"min\":1,\"max\":5}},\"list\":[{\"x\":1}],"
             "\"$metadata\":{" TV(3, 3) ",\"net\":{" TV(3, 3) ",\"apn\":{" TV(
                 2,
                 2) "},\"retry\":{" TV(3,
                                       3) ",\"min\":{" TV(2,
                                                          2) "},\"max\":{" TV(3,
                                                                              3) "}}},\"list\":"
                                                                                 "{" TV(2,
                                                                                        2) "}},\"$"
                                                                                           "version"
                                                                                           "\":"
                                                                                           "3}"));
    w = write_of(DOC_DESIRED, 4); /* a removal stamps what is above */
    doc = patched(doc, "{\"net\":{\"retry\":{\"min\":null}}}", &w);
    w = write_of(DOC_DESIRED, 5); /* a no-op stamps nothing */
    doc = patched(doc, "{\"net\":{\"retry\":{\"min\":null}}}", &w);
    w = write_of(DOC_DESIRED, 6); /* scalar to object: fresh metadata */
    doc = patched(doc, "{\"list\":{\"y\":{}}}", &w);
    EXPECT_SPAN(
        service_text(doc, 6),
        SPAN(
            "{\"net\":{\"apn\":\"iot\",\"retry\":{\"max\":5}},\"list\":{\"y\":{}},"
            "\"$metadata\":{" TV(6, 6) ",\"net\":{" TV(4, 4) ",\"apn\":{" TV(
                2,
                2) "},\"retry\":{" TV(4,
                                      4) ",\"max\":{" TV(3,
                                                         3) "}}},\"list\":{" TV(6,
                                                                                6) ",\"y\":"
                                                                                   "{" TV(
                                                                                       6,
                                                                                       6) "}"
                                                                                          "}"
                                                                                          "}"
                                                                                          ","
                                                                                          "\"$"
                                                                                          "version"
                                                                                          "\":6}"));
}

TEST(reported_has_times_and_no_versions_and_tags_have_neither)
{
    testing_reset();
    struct doc_write w = write_of(DOC_REPORTED, 2);
    struct span doc = doc_empty(DOC_REPORTED, second(1), &arena);
    EXPECT_SPAN(service_text(doc, 1), SPAN("{\"$metadata\":{" T(1) "},\"$version\":1}"));
    doc = patched(doc, "{\"temp\":21.5}", &w);
    EXPECT_SPAN(service_text(doc, 2), SPAN("{\"temp\":21.5,\"$metadata\":{" T(2) ",\"temp\":{" T(
                                          2) "}},\"$version\":2}"));
    w = write_of(DOC_TAGS, 0);
    doc = patched(doc_empty(DOC_TAGS, second(1), &arena), "{\"site\":\"north\"}", &w);
    EXPECT_SPAN(service_text(doc, 2), SPAN("{\"site\":\"north\",\"$version\":2}"));
}

TEST(a_replacement_stamps_everything)
{
    testing_reset();
    struct span old = section_of(DOC_DESIRED, "{\"a\":{\"b\":1},\"c\":2}");
    struct doc_write w = write_of(DOC_DESIRED, 3);
    struct doc_result r;
    struct doc_fault fault;
    EXPECT_EQ(doc_replace(old, doc_root(parsed("{\"a\":{\"b\":1}}")), &w, &arena, &r, &fault), OK);
    EXPECT_SPAN(service_text(r.section, 3),
                SPAN("{\"a\":{\"b\":1},\"$metadata\":{" TV(3, 3) ",\"a\":{" TV(3, 3) ",\"b\":{" TV(
                    3, 3) "}}},\"$version\":3}"));
}

TEST(leaves_name_the_configuration_until_an_ordinary_write)
{
    testing_reset();
    struct doc_write w = write_of(DOC_DESIRED, 2);
    w.by = SPAN("cfg-1");
    w.by_digest = SPAN("637570574076206429");
    struct span doc = patched(doc_empty(DOC_DESIRED, second(1), &arena),
                              "{\"a\":{\"b\":1,\"d\":{}},\"c\":[1,{\"$version\":1}]}", &w);
    EXPECT(doc_is_valid(test_at_edge(doc)));
#define BY ",\"$lastUpdatedBy\":\"cfg-1\",\"$lastUpdatedByDigest\":\"637570574076206429\""
    EXPECT_SPAN(service_text(doc, 2),
                SPAN("{\"a\":{\"b\":1,\"d\":{}},\"c\":[1,{}],\"$metadata\":{" TV(
                    2, 2) ",\"a\":{" TV(2, 2) ",\"b\":{" TV(2, 2) BY
                     "},\"d\":{" TV(2, 2) "}},\"c\":{" TV(2, 2) BY "}},\"$version\":2}"));
    EXPECT_SPAN(doc_key(doc_find(doc_root(doc), SPAN("c"))), SPAN("c"));
    w = write_of(DOC_DESIRED, 3);
    doc = patched(doc, "{\"a\":{\"b\":1}}", &w);
    EXPECT_SPAN(
        service_text(doc, 3),
        SPAN("{\"a\":{\"b\":1,\"d\":{}},\"c\":[1,{}],\"$metadata\":{" TV(3, 3) ",\"a\":{" TV(
            3, 3) ",\"b\":{" TV(3, 3) "},\"d\":{" TV(2, 2) "}},\"c\":{" TV(2, 2) BY
             "}},\"$version\":3}"));
    w = write_of(DOC_TAGS, 3); /* tags have no place for it */
    w.by = SPAN("cfg-1");
    doc = patched(doc_empty(DOC_TAGS, 0, &arena), "{\"a\":1}", &w);
    EXPECT(doc_is_valid(doc));
}

TEST(stamps_hold_the_first_time_and_far_ones)
{
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {
        {-62135596800000, "0001-01-01T00:00:00Z"    },
        {0,               "1970-01-01T00:00:00Z"    },
        {140737488355327, "6429-10-17T02:45:55.327Z"},
        {253402300799999, "6429-10-17T02:45:55.327Z"}, /* the last that 48 bits hold */
    };
    for (size_t i = 0; i < COUNT(times); i++) {
        testing_reset();
        struct buf want = {0};
        buf_printf(&want, "{\"$metadata\":{\"$lastUpdated\":\"%s\"},\"$version\":1}",
                   times[i].text);
        EXPECT_SPAN(service_text(doc_empty(DOC_REPORTED, times[i].ms, &arena), 1), buf_span(&want));
        buf_fini(&want);
    }
    struct doc_write w = write_of(DOC_DESIRED, 2);
    w.version = INT64_C(0x123456789abc);
    struct span doc = patched(doc_empty(DOC_DESIRED, 0, &arena), "{\"a\":1}", &w);
    struct span text = service_text(doc, w.version);
    EXPECT(memmem(text.data, text.len, "\"$lastUpdatedVersion\":20015998343868,", 37));
}

/* Each size of arena either holds the result or is full, and is then as it was. */
TEST(a_full_arena_refuses_a_write_and_is_left_alone)
{
    static uint8_t small[32 << 10] __attribute__((aligned(16)));
    testing_reset();
    struct span old = section_of(DOC_DESIRED, "{\"a\":{\"b\":1},\"c\":[1,2],\"d\":\"x\"}");
    struct buf wide = {0};
    for (int i = 0; i < 20; i++)
        buf_printf(&wide, "%s\"k%d\":%d", i ? "," : "{\"a\":{\"b\":2},\"c\":null,", i, i);
    buf_put(&wide, SPAN("}\0"));
    struct span patch = parsed((const char *)wide.data);
    struct span value = parsed("{\"a\":{\"b\":2},\"e\":{\"f\":true}}");
    buf_fini(&wide);
    for (int kind = 0; kind < 3; kind++) {
        struct doc_write w = write_of(DOC_DESIRED, 3);
        struct doc_result r, full;
        struct doc_fault fault;
        struct span applied;
        EXPECT_EQ(doc_patch(old, doc_root(patch), &w, &arena, &full, &fault), OK);
        bool fitted = false;
        for (size_t size = 0; size < sizeof(small); size += 16) {
            struct arena a;
            arena_init(&a, small, size);
            enum status st = kind == 0   ? doc_patch(old, doc_root(patch), &w, &a, &r, &fault)
                             : kind == 1 ? doc_replace(old, doc_root(value), &w, &a, &r, &fault)
                                         : doc_apply(old, full.delta, &a, &applied);
            EXPECT(st == OK || st == TOO_LARGE);
            EXPECT(!fitted || st == OK);
            EXPECT_EQ(a.used > 0, st == OK);
            fitted |= st == OK;
            arena_reset(&a);
            EXPECT_EQ(doc_empty(DOC_DESIRED, 0, &a).data != NULL, size >= 24);
        }
        EXPECT(fitted);
    }
}

/* A section of another kind, or no section at all, is not a reason to crash. */
TEST(any_valid_document_can_be_written_to)
{
    static const char *const olds[] = {"1", "null", "[1,2]", "\"x\"", "{\"a\":{\"b\":null}}", "{}"};
    for (size_t i = 0; i < COUNT(olds); i++)
        for (int section = DOC_TAGS; section <= DOC_REPORTED; section++) {
            testing_reset();
            struct doc_write w = write_of((enum doc_section)section, 3);
            struct doc_result r;
            struct doc_fault fault;
            struct span old = parsed(olds[i]), patch = parsed("{\"a\":{\"b\":1},\"c\":2}");
            EXPECT_EQ(doc_patch(old, doc_root(patch), &w, &arena, &r, &fault), OK);
            EXPECT_SPAN(value_text(r.section), SPAN("{\"a\":{\"b\":1},\"c\":2}"));
            EXPECT_EQ(doc_replace(old, doc_root(patch), &w, &arena, &r, &fault), OK);
            EXPECT_SPAN(value_text(r.section), SPAN("{\"a\":{\"b\":1},\"c\":2}"));
        }
}

/* ---- linear time -------------------------------------------------------------------------- */

/* An object of `n` numbered members, all `value`. */
static struct span wide(size_t n, const char *value)
{
    struct buf json = {0};
    for (size_t i = 0; i < n; i++)
        buf_printf(&json, "%s\"%zx\":%s", i ? "," : "{", i, value);
    buf_put(&json, SPAN("}\0"));
    struct span doc = parsed((const char *)json.data);
    buf_fini(&json);
    return doc;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The best time of a wide patch onto a section as wide; *used is what it takes of the arena. */
static double write_cost(size_t n, const char *value, bool replace, size_t *used)
{
    double best = 1e9;
    struct doc_limits limits = doc_limits_relaxed;
    limits.tags_max = 1 << 30;
    struct doc_write w = write_of(DOC_TAGS, 2);
    w.limits = &limits;
    for (int round = 0; round < 5; round++) {
        struct doc_result r;
        struct doc_fault fault;
        testing_reset();
        struct span old = wide(n, "{}"), sent = wide(n, value);
        size_t mark = arena.used;
        double start = cpu_seconds();
        enum status st = replace ? doc_replace(old, doc_root(sent), &w, &arena, &r, &fault)
                                 : doc_patch(old, doc_root(sent), &w, &arena, &r, &fault);
        double took = cpu_seconds() - start;
        EXPECT_EQ(st, OK);
        best = took < best ? took : best;
        *used = arena.used - mark;
    }
    return best;
}

/* Eight times the keys may take eight times as long, and what noise adds; a square would be 64. */
TEST(time_and_memory_grow_with_the_keys_and_no_faster)
{
    static const struct {
        const char *value;
        bool replace;
    } rows[] = {
        {"\"x\"",     false},
        {"null",      false},
        {"{\"a\":1}", false},
        {"1",         true },
        {"{}",        true }
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t small_used, large_used;
        double small = write_cost(1000, rows[i].value, rows[i].replace, &small_used);
        double large = write_cost(8000, rows[i].value, rows[i].replace, &large_used);
        if (large > small * 28 + 0.0005)
            fail_msg("row %zu: %.6f s, then %.6f s", i, small, large);
        EXPECT(large_used <= small_used * 9);
        EXPECT(large_used <= (size_t)8000 * 400);
    }
}

TEST_MAIN(RUN(patches_leave_and_tell_what_twins_2_says),
          RUN(replacements_leave_and_tell_what_twins_2_says),
          RUN(an_absent_value_empties_the_section), RUN(wide_patches_are_merged_like_narrow_ones),
          RUN(a_write_stamps_its_leaves_and_all_above_them),
          RUN(reported_has_times_and_no_versions_and_tags_have_neither),
          RUN(a_replacement_stamps_everything),
          RUN(leaves_name_the_configuration_until_an_ordinary_write),
          RUN(stamps_hold_the_first_time_and_far_ones),
          RUN(a_full_arena_refuses_a_write_and_is_left_alone),
          RUN(any_valid_document_can_be_written_to),
          RUN(time_and_memory_grow_with_the_keys_and_no_faster))
