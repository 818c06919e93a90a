#include "cli/json.h"

#include "base/test.h"

static struct json parsed(struct span text)
{
    struct json json;
    EXPECT(json_parse(text, &json));
    return json;
}

/* clang-format off */
static const struct {
    const char *name, *text, *indented, *line;
} cases[] = {
    {"a text",       "\"a\"",                   "\"a\"",                      "\"a\""                  },
    {"a number",     " 1.50 ",                  "1.50",                       "1.50"                   },
    {"literals",     "[null,true,false]",       "[\n  null,\n  true,\n  false\n]", "[null,true,false]" },
    {"empty ones",   "{\"a\":{},\"b\":[]}",     "{\n  \"a\": {},\n  \"b\": []\n}", "{\"a\":{},\"b\":[]}"},
    {"keys in order", "{\"b\":1,\"a\":{\"z\":-2,\"y\":[{}]}}",
     "{\n  \"b\": 1,\n  \"a\": {\n    \"z\": -2,\n    \"y\": [\n      {}\n    ]\n  }\n}",
     "{\"b\":1,\"a\":{\"z\":-2,\"y\":[{}]}}"},
    {"escapes",      "{\"\\u009b\":\"\\u202e\\n\"}", "{\n  \"\\u009b\": \"\\u202e\\n\"\n}",
     "{\"\\u009b\":\"\\u202e\\n\"}"},
};
/* clang-format on */

TEST(values_print_indented_or_on_a_line)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b = {0};
        struct json json = parsed(span_text(cases[i].text));
        json_put_indented(&b, json.root);
        EXPECT_SPAN_IN(cases[i].name, buf_span(&b), span_text(cases[i].indented));
        buf_clear(&b);
        json_put_line(&b, json.root);
        EXPECT_SPAN_IN(cases[i].name, buf_span(&b), span_text(cases[i].line));
        buf_fini(&b);
        json_fini(&json);
    }
}

TEST(what_is_no_json_is_refused)
{
    static const char *const texts[] = {"", "{", "{rate:30}", "{} {}", "nul", "\"\xff\""};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct json json;
        EXPECT_EQ_IN(texts[i], json_parse(test_at_edge(span_text(texts[i])), &json), false);
        json_fini(&json);
    }
}

TEST(a_long_text_of_small_values_fits)
{
    struct buf text = {0};
    buf_byte(&text, '{');
    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "%s\"%d\":[{}]", i ? "," : "", i);
    buf_byte(&text, '}');
    struct json json = parsed(buf_span(&text));
    EXPECT_EQ(doc_count(json.root), 20000);
    json_fini(&json);
    buf_fini(&text);
}

TEST(a_member_is_found_in_any_case_and_only_as_a_text)
{
    struct json json = parsed(SPAN("{\"Message\":\"m\",\"code\":1}"));
    EXPECT_SPAN(json_text(json.root, "message"), SPAN("m"));
    EXPECT_SPAN(json_text(json.root, "code"), SPAN(""));
    EXPECT_SPAN(json_text(json.root, "other"), SPAN(""));
    EXPECT_SPAN(json_text((struct doc_node){NULL}, "message"), SPAN(""));
    EXPECT_SPAN(json_text(doc_first(json.root), "message"), SPAN(""));
    json_fini(&json);
}

TEST_MAIN(RUN(values_print_indented_or_on_a_line), RUN(what_is_no_json_is_refused),
          RUN(a_long_text_of_small_values_fits),
          RUN(a_member_is_found_in_any_case_and_only_as_a_text))
