#include "doc/doc_testing.h"

#include "doc/doc_limits.h"

#define NAME_RULE                                                                                 \
    "Property or Tag name should not contain control characters, '.', '$', '#' or spaces. Error " \
    "in Property/Tag "
#define NULL_RULE  "Value of Property or Tag cannot be null. Error in Property/Tag "
#define INT_RULE   "Integer value of Property or Tag is out of range. Error in Property/Tag "
#define DEPTH_RULE "Property or Tag depth should be maximum 10. Error in Property/Tag "
#define ROOT_RULE  "Provided json is not a valid 'tags' or 'properties' object"
#define NEST8(x)   "{\"1\":{\"2\":{\"3\":{\"4\":{\"5\":{\"6\":{\"7\":{\"8\":" x "}}}}}}}}"

/* twins 3, row by row. No text: accepted. */
static const struct {
    const char *name, *patch, *patch_text, *replace_text;
} rules[] = {
    {"plain",                              "{\"a\":1}",                                               NULL,                  NULL                },
    {"edge's keys",                        "{\"azureiot*com^dtracing^1\":1,\"a-b/c:d\":2}",           NULL,                  NULL                },
    {"not ASCII",                          "{\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\":1}",            NULL,                  NULL                },
    {"no-break space is no space",         "{\"\\u00a0\":1}",                                         NULL,                  NULL                },
    {"empty key",                          "{\"\":1}",                                                NULL,                  NULL                },
    {"dot",                                "{\"a.b\":1}",                                             NAME_RULE "a.b",       NAME_RULE "a.b"     },
    {"dollar",                             "{\"a$\":1}",                                              NAME_RULE "a$",        NAME_RULE "a$"      },
    {"hash",                               "{\"#\":1}",                                               NAME_RULE "#",         NAME_RULE "#"       },
    {"space",                              "{\"a b\":1}",                                             NAME_RULE "a b",       NAME_RULE "a b"     },
    {"NUL",                                "{\"a\\u0000\":1}",                                        NAME_RULE "a?",        NAME_RULE "a?"      },
    {"C0",                                 "{\"\\u001f\":1}",                                         NAME_RULE "?",         NAME_RULE "?"       },
    {"DEL",                                "{\"\\u007f\":1}",                                         NAME_RULE "?",         NAME_RULE "?"       },
    {"C1, first",                          "{\"x\\u0080y\":1}",                                       NAME_RULE "x?y",       NAME_RULE "x?y"     },
    {"C1, last",                           "{\"\\u009f\":1}",                                         NAME_RULE "?",         NAME_RULE "?"       },
    {"bad key of a null",                  "{\"a.b\":null}",                                          NAME_RULE "a.b",       NAME_RULE "a.b"     },
    {"bad key below",                      "{\"a\":{\"b\":{\"c.d\":1}}}",                             NAME_RULE "c.d",       NAME_RULE "c.d"     },
    {"bad key in an array",                "{\"a\":[[{\"c.d\":1}]]}",                                 NAME_RULE "c.d",       NAME_RULE "c.d"     },
    {"$ name at the root",                 "{\"$guid\":123,\"ok\":\"abcd\"}",                         NAME_RULE "$guid",     NAME_RULE "$guid"   },
    {"$ name below",                       "{\"a\":{\"$x\":1}}",                                      NAME_RULE "$x",        NAME_RULE "$x"      },
    {"$ name in an array",                 "{\"a\":[{\"$x\":1}]}",                                    NAME_RULE "$x",        NAME_RULE "$x"      },
    {"$iotin:",                            "{\"$iotin:c\":{}}",                                       NAME_RULE "$iotin:c",  NAME_RULE "$iotin:c"},
    {"$Metadata is not $metadata",         "{\"$Metadata\":1}",                                       NAME_RULE "$Metadata",
     NAME_RULE "$Metadata"                                                                                                                       },
    {"echoed members are not looked into", "{\"$metadata\":{\"$x\":[null,{\"a b\":1e5}]}}",           NULL,
     NULL                                                                                                                                        },
    {"echoed members in arrays",           "{\"a\":[{\"$version\":null}]}",                           NULL,                  NULL                },
    {"null",                               "{\"my-tag\":null}",                                       NULL,                  NULL_RULE "my-tag"  },
    {"null below",                         "{\"a\":{\"b\":null}}",                                    NULL,                  NULL_RULE "b"       },
    {"null in an array",                   "{\"b\":[1,null]}",                                        NULL_RULE "b",         NULL_RULE "b"       },
    {"null in an object in an array",      "{\"a\":[{\"b\":null}]}",                                  NULL_RULE "b",         NULL_RULE "b"       },
    {"null in an array in an array",       "{\"a\":[[null]]}",                                        NULL_RULE "a",         NULL_RULE "a"       },
    {"null after an array",                "{\"a\":[1],\"b\":null}",                                  NULL,                  NULL_RULE "b"       },
    {"least integer",                      "{\"a\":-4503599627370496}",                               NULL,                  NULL                },
    {"greatest integer",                   "{\"a\":4503599627370495}",                                NULL,                  NULL                },
    {"below the least",                    "{\"a\":-4503599627370497}",                               INT_RULE "a",          INT_RULE "a"        },
    {"above the greatest",                 "{\"a\":[4503599627370496]}",                              INT_RULE "a",          INT_RULE "a"        },
    {"64 bits and more",                   "{\"a\":100000000000000000000}",                           INT_RULE "a",          INT_RULE "a"        },
    {"minus zero",                         "{\"a\":-0}",                                              NULL,                  NULL                },
    {"large with a fraction",              "{\"a\":4503599627370496.0}",                              NULL,                  NULL                },
    {"large with an exponent",             "{\"a\":1e300}",                                           NULL,                  NULL                },
    {"scalar in the tenth object",         "{\"0\":" NEST8("{\"9\":{\"s\":1}}") "}",                  NULL,                  NULL                },
    {"eleven objects",                     "{\"0\":" NEST8("{\"9\":{\"s\":{}}}") "}",                 DEPTH_RULE "s",        DEPTH_RULE "s"      },
    {"array in the tenth",                 "{\"0\":" NEST8("{\"9\":{\"s\":[]}}") "}",                 DEPTH_RULE "s",
     DEPTH_RULE "s"                                                                                                                              },
    {"arrays count",                       "{\"0\":" NEST8("[[1,[]]]") "}",                           DEPTH_RULE "8",        DEPTH_RULE "8"      },
    {"one array less",                     "{\"0\":" NEST8("[[1],[2]]") "}",                          NULL,                  NULL                },
    {"echoed members are no level",        "{\"0\":" NEST8("{\"9\":{\"$metadata\":{\"s\":{}}}}") "}", NULL,
     NULL                                                                                                                                        },
    {"array as root",                      "[1]",                                                     ROOT_RULE,             ROOT_RULE           },
    {"string as root",                     "\"x\"",                                                   ROOT_RULE,             ROOT_RULE           },
    {"null as root",                       "null",                                                    ROOT_RULE,             NULL                },
};

static void expect_rule(const char *name, const char *json, bool replace, const char *text)
{
    testing_reset();
    struct span old = doc_empty(DOC_DESIRED, 0, &arena), doc = parsed(json);
    struct doc_write w = write_of(DOC_DESIRED, 2);
    struct doc_result r;
    struct doc_fault fault = {0};
    enum status st = replace ? doc_replace(old, doc_root(doc), &w, &arena, &r, &fault)
                             : doc_patch(old, doc_root(doc), &w, &arena, &r, &fault);
    EXPECT_EQ_IN(name, st, text ? BAD_ARGUMENT : OK);
    if (text)
        EXPECT_SPAN_IN(name, fault_text(&fault), span_text(text));
}

TEST(what_clients_send_is_checked_as_twins_3_says)
{
    for (size_t i = 0; i < COUNT(rules); i++) {
        expect_rule(rules[i].name, rules[i].patch, false, rules[i].patch_text);
        expect_rule(rules[i].name, rules[i].patch, true, rules[i].replace_text);
    }
}

TEST(a_missing_patch_is_no_object)
{
    testing_reset();
    struct doc_write w = write_of(DOC_TAGS, 2);
    struct doc_result r;
    struct doc_fault fault;
    struct span old = doc_empty(DOC_TAGS, 0, &arena);
    EXPECT_EQ(doc_patch(old, (struct doc_node){NULL}, &w, &arena, &r, &fault), BAD_ARGUMENT);
    EXPECT_SPAN(fault_text(&fault), SPAN(ROOT_RULE));
}

/* A text of `n` times `unit`, good until testing_reset. */
static const char *many(const char *before, const char *unit, size_t n, const char *after)
{
    struct buf b = {0};
    buf_text(&b, before);
    for (size_t i = 0; i < n; i++)
        buf_text(&b, unit);
    buf_text(&b, after);
    buf_byte(&b, 0);
    return (const char *)kept(&b).data;
}

static enum status patch_status(enum doc_section section, const char *json, struct doc_fault *fault)
{
    struct doc_write w = write_of(section, 2);
    struct doc_result r;
    struct span old = doc_empty(section, 0, &arena);
    return doc_patch(old, doc_root(parsed(json)), &w, &arena, &r, fault);
}

TEST(lengths_are_in_bytes_and_exact)
{
    struct doc_fault fault;
    testing_reset();
    EXPECT_EQ(patch_status(DOC_REPORTED, many("{\"", "k", 1024, "\":1}"), &fault), OK);
    EXPECT_EQ(patch_status(DOC_REPORTED, many("{\"", "k", 1025, "\":1}"), &fault), BAD_ARGUMENT);
    EXPECT_SPAN(fault_text(&fault),
                span_text(many("Property or Tag name should be maximum 1024 bytes. Error in "
                               "Property/Tag ",
                               "k", 128, "...")));
    EXPECT_EQ(patch_status(DOC_REPORTED, many("{\"", "\xc3\xa9", 513, "\":1}"), &fault),
              BAD_ARGUMENT);
    EXPECT_EQ(patch_status(DOC_REPORTED, many("{\"a\":\"", "v", 4096, "\"}"), &fault), OK);
    EXPECT_EQ(patch_status(DOC_REPORTED, many("{\"a\":[\"", "v", 4097, "\"]}"), &fault),
              BAD_ARGUMENT);
    EXPECT_SPAN(
        fault_text(&fault),
        SPAN("Property or Tag value should be maximum 4096 bytes. Error in Property/Tag a"));
}

/* ---- sizes: twins 3.1 --------------------------------------------------------------------- */

static const struct {
    const char *json;
    size_t counted, nodes;
} sizes[] = {
    {"{}",                                    0,  0},
    {"{\"abc\":{}}",                          3,  1},
    {"{\"abc\":[]}",                          3,  1},
    {"{\"a\":1}",                             9,  1},
    {"{\"a\":-123456789012}",                 9,  1},
    {"{\"a\":1.25e-3}",                       9,  1},
    {"{\"a\":true,\"b\":false}",              10, 2},
    {"{\"a\":\"xyz\"}",                       4,  1},
    {"{\"a\":\"x\\n\\u0000\\u007f\\u0085\"}", 2,  1},
    {"{\"a\":\"\\u00a0\"}",                   3,  1},
    {"{\"a\":\"\\\"\\\\\\/\"}",               4,  1},
    {"{\"\xc3\xa9\":\"\xe2\x82\xac\"}",       5,  1},
    {"{\"a\":[1,\"xy\",true,{\"b\":2}]}",     24, 6},
    {"{\"a\":{\"b\":{\"c\":\"d\"}}}",         4,  3},
    {"{\"a\\\"\":\"\\u001f\\t\\r\\\\\"}",     3,  1},
    {"[null]",                                0,  1},
};

TEST(sizes_are_counted_as_twins_3_1_says)
{
    for (size_t i = 0; i < COUNT(sizes); i++) {
        testing_reset();
        struct span doc = parsed(sizes[i].json);
        struct doc_sizes got = doc_limits_measure(doc_root(doc));
        EXPECT_EQ_IN(sizes[i].json, got.counted, sizes[i].counted);
        EXPECT_EQ_IN(sizes[i].json, got.nodes, sizes[i].nodes);
        EXPECT_EQ_IN(sizes[i].json, got.text, value_text(doc).len);
    }
}

/* A section of `n` strings of 1,000 bytes under keys of one byte, and one last of `more`. */
static const char *section_json(size_t n, size_t more)
{
    struct buf b = {0};
    for (size_t i = 0; i <= n; i++) {
        buf_printf(&b, "%s\"%c\":\"", i ? "," : "{", (int)('0' + i));
        for (size_t c = 0; c < (i < n ? 1000 : more); c++)
            buf_byte(&b, 'x');
        buf_byte(&b, '"');
    }
    buf_put(&b, SPAN("}\0"));
    return (const char *)kept(&b).data;
}

TEST(a_section_over_its_size_is_refused_by_name)
{
    static const struct {
        enum doc_section section;
        size_t strings, more;
        const char *text;
    } rows[] = {
        {DOC_TAGS,     8,  8192 - 8009,   "'Tags' size should be less than 8192 bytes."},
        {DOC_DESIRED,  32, 32768 - 32033,
         "'Properties.Desired' size should be less than 32768 bytes."                  },
        {DOC_REPORTED, 32, 32768 - 32033,
         "'Properties.Reported' size should be less than 32768 bytes."                 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct doc_fault fault;
        testing_reset();
        EXPECT_EQ(
            patch_status(rows[i].section, section_json(rows[i].strings, rows[i].more), &fault), OK);
        EXPECT_EQ(
            patch_status(rows[i].section, section_json(rows[i].strings, rows[i].more + 1), &fault),
            SECTION_TOO_LARGE);
        EXPECT_SPAN(fault_text(&fault), span_text(rows[i].text));
    }
}

TEST(what_counts_as_nothing_is_bounded_too)
{
    struct doc_fault fault;
    testing_reset();
    struct doc_limits limits = doc_limits_azure;
    struct doc_write w = write_of(DOC_DESIRED, 2);
    struct doc_result r;
    w.limits = &limits;
    struct span old = doc_empty(DOC_DESIRED, 0, &arena);
    struct span doc = parsed("{\"a\":\"\\u0001\\u0002\",\"b\":[{},[],\"\"]}");
    size_t text = value_text(doc).len;
    struct span section = section_of(DOC_DESIRED, "{\"a\":\"\\u0001\\u0002\",\"b\":[{},[],\"\"]}");
    for (int row = 0; row < 6; row++) {
        limits = doc_limits_azure;
        if (row < 2)
            limits.text_max = (uint32_t)text - (row == 1);
        else if (row < 4)
            limits.node_max = 5 - (row == 3);
        else {
            limits.flat_factor = 1;
            limits.properties_max = (uint32_t)section.len - (row == 5);
        }
        EXPECT_EQ(doc_patch(old, doc_root(doc), &w, &arena, &r, &fault),
                  row % 2 ? SECTION_TOO_LARGE : OK);
    }
}

/* design 3: 16,384 nodes and four times the limit, under the limits of the product. */
TEST(arrays_of_empty_ones_are_refused)
{
    struct doc_fault fault;
    testing_reset();
    EXPECT_EQ(patch_status(DOC_REPORTED, many("{\"a\":[0", ",\"\"", 10000, "]}"), &fault), OK);
    EXPECT_EQ(patch_status(DOC_REPORTED, many("{\"a\":[0", ",\"\"", 16382, "]}"), &fault),
              SECTION_TOO_LARGE); /* 16,384 nodes, but 131,100 bytes of them */
    EXPECT_EQ(patch_status(DOC_REPORTED, many("{\"a\":[0", ",[]", 12000, "]}"), &fault),
              SECTION_TOO_LARGE);
    EXPECT_SPAN(fault_text(&fault),
                SPAN("'Properties.Reported' size should be less than 32768 bytes."));
    EXPECT_EQ(patch_status(DOC_TAGS, many("{\"a\":[0", ",\"\"", 5000, "]}"), &fault),
              SECTION_TOO_LARGE);
}

/* Sections of ordinary values are refused for their counted size, never first for their bytes. */
TEST(the_flat_size_spares_ordinary_sections)
{
    struct doc_fault fault;
    testing_reset();
    struct buf json = {0};
    for (int i = 0; i < 2978; i++) /* three bytes of key and eight of number each: 32,758 */
        buf_printf(&json, "%s\"%c%02x\":%d", i ? "," : "{", 'a' + i / 256, i % 256, i);
    buf_put(&json, SPAN("}\0"));
    EXPECT_EQ(patch_status(DOC_DESIRED, (const char *)json.data, &fault), OK);
    buf_fini(&json);
    for (int i = 0; i < 4681; i++) /* three bytes of key and four of true each: 32,767 */
        buf_printf(&json, "%s\"%c%02x\":true", i ? "," : "{", 'a' + i / 256, i % 256);
    buf_put(&json, SPAN("}\0"));
    EXPECT_EQ(patch_status(DOC_DESIRED, (const char *)json.data, &fault), OK);
    buf_fini(&json);
}

TEST(refused_sizes_leave_the_arena_alone)
{
    struct doc_fault fault;
    testing_reset();
    struct doc_write w = write_of(DOC_TAGS, 2);
    struct doc_result r;
    struct span old = doc_empty(DOC_TAGS, 0, &arena), doc = parsed(section_json(8, 1000));
    size_t used = arena.used;
    EXPECT_EQ(doc_patch(old, doc_root(doc), &w, &arena, &r, &fault), SECTION_TOO_LARGE);
    EXPECT_EQ(arena.used, used);
    w.limits = &doc_limits_relaxed;
    EXPECT_EQ(doc_patch(old, doc_root(doc), &w, &arena, &r, &fault), OK);
}

/* `n` strings of 60,000 characters under keys of one byte, and one last of `more`. */
static const char *large_section(size_t n, size_t more)
{
    struct buf b = {0};
    for (size_t i = 0; i <= n; i++) {
        buf_printf(&b, "%s\"%c\":\"", i ? "," : "{", (int)('A' + i));
        for (size_t c = 0; c < (i < n ? 60000 : more); c++)
            buf_byte(&b, 'x');
        buf_byte(&b, '"');
    }
    buf_put(&b, SPAN("}\0"));
    return (const char *)kept(&b).data;
}

static enum status relaxed_status(enum doc_section section, const char *json)
{
    struct doc_write w = write_of(section, 2);
    struct doc_result r;
    struct doc_fault fault;
    struct span doc, old = doc_empty(section, 0, &arena);
    w.limits = &doc_limits_relaxed;
    EXPECT_EQ(doc_parse(span_text(json), &w.limits->syntax, &arena, &doc), OK);
    return doc_patch(old, doc_root(doc), &w, &arena, &r, &fault);
}

/* {"a":{"a":…}}: `n` objects, one in the other, below the section. */
static const char *nested_objects(size_t n)
{
    const char *open = many("{", "\"a\":{", n, "");
    return many(open, "}", n + 1, "");
}

/* Sixteen times as large and 32 levels: each holds, and one more does not. */
TEST(the_relaxed_profile_has_its_own_edges)
{
    static const struct {
        enum doc_section section;
        size_t strings, more; /* keys count a byte each */
    } sections[] = {
        {DOC_TAGS,     2, 131072 - 2 * 60001 - 1},
        {DOC_DESIRED,  8, 524288 - 8 * 60001 - 1},
        {DOC_REPORTED, 8, 524288 - 8 * 60001 - 1},
    };
    for (size_t i = 0; i < COUNT(sections); i++) {
        size_t n = sections[i].strings, more = sections[i].more;
        testing_reset();
        EXPECT_EQ(relaxed_status(sections[i].section, large_section(n, more)), OK);
        EXPECT_EQ(relaxed_status(sections[i].section, large_section(n, more + 1)),
                  SECTION_TOO_LARGE);
    }
    testing_reset();
    EXPECT_EQ(relaxed_status(DOC_REPORTED, many("{\"", "k", 16384, "\":1}")), OK);
    EXPECT_EQ(relaxed_status(DOC_REPORTED, many("{\"", "k", 16385, "\":1}")), BAD_ARGUMENT);
    EXPECT_EQ(relaxed_status(DOC_REPORTED, many("{\"a\":\"", "v", 65536, "\"}")), OK);
    EXPECT_EQ(relaxed_status(DOC_REPORTED, many("{\"a\":\"", "v", 65537, "\"}")), BAD_ARGUMENT);
    EXPECT_EQ(relaxed_status(DOC_REPORTED, nested_objects(32)), OK);
    EXPECT_EQ(relaxed_status(DOC_REPORTED, nested_objects(33)), BAD_ARGUMENT);
}

/* The key of a fault is cut between characters, and bytes that are none are left out. */
TEST(faults_are_one_short_line)
{
    testing_reset();
    struct doc_fault fault = {.rule = "%s has %u%", .limit = 7};
    fault.key = span_text(many("", "\xe2\x82\xac", 50, ""));
    EXPECT_SPAN(fault_text(&fault), span_text(many("", "\xe2\x82\xac", 43, "... has 7%")));
    fault.key = SPAN("a\r\n\x1b\xffz\xc2");
    EXPECT_SPAN(fault_text(&fault), SPAN("a???z has 7%"));
}

TEST_MAIN(RUN(what_clients_send_is_checked_as_twins_3_says), RUN(a_missing_patch_is_no_object),
          RUN(lengths_are_in_bytes_and_exact), RUN(sizes_are_counted_as_twins_3_1_says),
          RUN(a_section_over_its_size_is_refused_by_name),
          RUN(what_counts_as_nothing_is_bounded_too), RUN(arrays_of_empty_ones_are_refused),
          RUN(the_flat_size_spares_ordinary_sections), RUN(refused_sizes_leave_the_arena_alone),
          RUN(the_relaxed_profile_has_its_own_edges), RUN(faults_are_one_short_line))
