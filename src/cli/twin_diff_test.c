#include "cli/twin_diff.h"

#include "base/test.h"
#include "cli/json.h"

static void on_change(void *ctx, const struct twin_change *change)
{
    struct buf *b = ctx;
    buf_put(b, change->path);
    buf_byte(b, ' ');
    if (change->old.at)
        doc_put_value(b, change->old);
    buf_text(b, ">");
    if (change->new.at)
        doc_put_value(b, change->new);
    buf_byte(b, '\n');
}

#define TWIN(desired, reported) \
    "{\"properties\":{\"desired\":{" desired "},\"reported\":{" reported "}}}"

/* clang-format off */
static const struct {
    const char *name, *old, *new, *want;
} cases[] = {
    {"nothing",               "{\"status\":\"enabled\"}", "{\"status\":\"enabled\"}", ""},
    {"what is not watched",   "{\"etag\":\"1\",\"lastActivityTime\":\"1\",\"version\":1}",
                              "{\"etag\":\"2\",\"lastActivityTime\":\"2\",\"version\":2}", ""},
    {"the connection",        "{\"connectionState\":\"Connected\"}", "{\"connectionState\":\"Disconnected\"}",
                              "connectionState \"Connected\">\"Disconnected\"\n"},
    {"status and reason",     "{\"status\":\"enabled\"}", "{\"status\":\"disabled\",\"statusReason\":\"lost\"}",
                              "status \"enabled\">\"disabled\"\nstatusReason >\"lost\"\n"},
    {"a value",               TWIN("\"a\":1", ""), TWIN("\"a\":2", ""), "desired.a 1>2\n"},
    {"another type",          TWIN("\"a\":1", ""), TWIN("\"a\":\"1\"", ""), "desired.a 1>\"1\"\n"},
    {"another text of it",    TWIN("\"a\":1", ""), TWIN("\"a\":1.0", ""), "desired.a 1>1.0\n"},
    {"new and gone",          TWIN("\"a\":1,\"b\":2", ""), TWIN("\"c\":{\"d\":4},\"b\":2", ""),
                              "desired.c >{\"d\":4}\ndesired.a 1>\n"},
    {"deep",                  TWIN("", "\"n\":{\"x\":{\"y\":1,\"z\":1}}"), TWIN("", "\"n\":{\"x\":{\"y\":2,\"z\":1}}"),
                              "reported.n.x.y 1>2\n"},
    {"object to value",       TWIN("", "\"n\":{\"x\":1}"), TWIN("", "\"n\":5"), "reported.n {\"x\":1}>5\n"},
    {"value to object",       TWIN("", "\"n\":5"), TWIN("", "\"n\":{}"), "reported.n 5>{}\n"},
    {"an array is one value", TWIN("\"a\":[1,2]", ""), TWIN("\"a\":[1,3]", ""), "desired.a [1,2]>[1,3]\n"},
    {"the order is nothing",  TWIN("\"a\":1,\"b\":2", ""), TWIN("\"b\":2,\"a\":1", ""), ""},
    {"a version beside a value", TWIN("\"a\":1,\"$version\":1", ""),
                              TWIN("\"a\":2,\"$metadata\":{\"x\":1},\"$version\":2", ""), "desired.a 1>2\n"},
    {"a version alone",       TWIN("\"$version\":1", "\"$version\":7"), TWIN("\"$version\":2", "\"$version\":8"),
                              "desired.$version 1>2\nreported.$version 7>8\n"},
    {"first tags",            "{}", "{\"tags\":{\"a\":1,\"b\":{\"c\":2}}}", "tags.a >1\ntags.b >{\"c\":2}\n"},
    {"last tag",              "{\"tags\":{\"a\":1}}", "{}", "tags.a 1>\n"},
    {"a tag",                 "{\"tags\":{\"a\":1,\"b\":1}}", "{\"tags\":{\"a\":2,\"b\":1}}", "tags.a 1>2\n"},
};
/* clang-format on */

TEST(each_change_is_told_once)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json old, new;
        struct buf b = {0};
        bool ok = json_parse(span_text(cases[i].old), &old);
        ok = json_parse(span_text(cases[i].new), &new) && ok;
        EXPECT_EQ_IN(cases[i].name, ok, true);
        twin_diff(old.root, new.root, on_change, &b);
        EXPECT_SPAN_IN(cases[i].name, buf_span(&b), span_text(cases[i].want));
        buf_fini(&b);
        json_fini(&old);
        json_fini(&new);
    }
}

TEST_MAIN(RUN(each_change_is_told_once))
