#include "wire/uri.h"

#include <stdio.h>

#include "base/test.h"

static uint8_t block[4096];
static struct arena scratch;

static struct arena *fresh(size_t size)
{
    if (scratch.base)
        arena_reset(&scratch);
    arena_init(&scratch, block, size);
    return &scratch;
}

TEST(percent_escapes_are_undone_once)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct span text;
        enum status want;
        struct span out;
    } rows[] = {
        {"nothing",           SPAN_INIT(""),             OK,          SPAN_INIT("")},
        {"plain",             SPAN_INIT("pump-07"),      OK,          SPAN_INIT("pump-07")},
        {"both cases",        SPAN_INIT("%2f%2F%7e"),    OK,          SPAN_INIT("//~")},
        {"between",           SPAN_INIT("a%20b%20c"),    OK,          SPAN_INIT("a b c")},
        {"once",              SPAN_INIT("%2525"),        OK,          SPAN_INIT("%25")},
        {"plus stays",        SPAN_INIT("a+b%2B"),       OK,          SPAN_INIT("a+b+")},
        {"any byte",          SPAN_INIT("%ff%01"),       OK,          SPAN_INIT("\xff\x01")},
        {"lone percent",      SPAN_INIT("%"),            BAD_REQUEST, SPAN_INIT("")},
        {"one digit",         SPAN_INIT("a%4"),          BAD_REQUEST, SPAN_INIT("")},
        {"no hex first",      SPAN_INIT("%g0"),          BAD_REQUEST, SPAN_INIT("")},
        {"no hex second",     SPAN_INIT("%0g"),          BAD_REQUEST, SPAN_INIT("")},
        {"below the digits",  SPAN_INIT("%/0"),          BAD_REQUEST, SPAN_INIT("")},
        {"above the digits",  SPAN_INIT("%:0"),          BAD_REQUEST, SPAN_INIT("")},
        {"below the letters", SPAN_INIT("%@0"),          BAD_REQUEST, SPAN_INIT("")},
        {"double percent",    SPAN_INIT("%%20"),         BAD_REQUEST, SPAN_INIT("")},
        {"encoded NUL",       SPAN_INIT("a%00"),         BAD_REQUEST, SPAN_INIT("")},
        {"plain NUL",         SPAN_INIT("a\0b"),         BAD_REQUEST, SPAN_INIT("")},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span out = {0};
        struct arena *a = fresh(sizeof(block));
        EXPECT_EQ_IN(rows[i].name, uri_decode(test_at_edge(rows[i].text), a, &out), rows[i].want);
        EXPECT_SPAN_IN(rows[i].name, out, rows[i].out);
        if (rows[i].want == OK)
            EXPECT_EQ_IN(rows[i].name, uri_decoded_len(rows[i].text), out.len);
        else
            EXPECT_EQ_IN(rows[i].name, arena_mark(a), 0);
    }
    EXPECT_EQ(uri_decoded_len(SPAN("a%zz%2%41%00%")), 9);
}

TEST(decoding_copies_only_when_it_must)
{
    struct span out, text = SPAN("plain");
    EXPECT_EQ(uri_decode(text, fresh(0), &out), OK);
    EXPECT(out.data == text.data);
    EXPECT_EQ(uri_decode(SPAN("%41"), fresh(2), &out), TOO_LARGE);
    EXPECT_EQ(uri_decode(SPAN("%41"), fresh(3), &out), OK);
    EXPECT_EQ(arena_mark(&scratch), 1);
}

TEST(a_target_splits_at_its_first_question_mark)
{
    static const struct {
        struct span target, path, query;
    } rows[] = {
        {SPAN_INIT("/a?b=1"), SPAN_INIT("/a"), SPAN_INIT("b=1")},
        {SPAN_INIT("/a?b?c"), SPAN_INIT("/a"), SPAN_INIT("b?c")},
        {SPAN_INIT("/a?"),    SPAN_INIT("/a"), SPAN_INIT("")   },
        {SPAN_INIT("/a"),     SPAN_INIT("/a"), SPAN_INIT("")   },
        {SPAN_INIT(""),       SPAN_INIT(""),   SPAN_INIT("")   },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span path, query;
        uri_split(test_at_edge(rows[i].target), &path, &query);
        EXPECT_SPAN(path, rows[i].path);
        EXPECT_SPAN(query, rows[i].query);
    }
}

TEST(a_path_is_decoded_then_split) /* service-rest.md 1, rows 2 to 4 */
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct span path;
        enum status want;
        const char *joined; /* the segments, with a blank behind each */
    } rows[] = {
        {"the root",             SPAN_INIT("/"),                  OK,          ""},
        {"nothing",              SPAN_INIT(""),                   OK,          ""},
        {"two",                  SPAN_INIT("/twins/pump-07"),     OK,          "twins pump-07 "},
        {"no slash in front",    SPAN_INIT("twins/pump-07"),      OK,          "twins pump-07 "},
        {"slash at the end",     SPAN_INIT("/devices/"),          OK,          "devices "},
        {"slashes in a row",     SPAN_INIT("//devices///d//"),    OK,          "devices d "},
        {"whole path encoded",   SPAN_INIT("/twins%2Fpump-07"),   OK,          "twins pump-07 "},
        {"plus is literal",      SPAN_INIT("/twins/a+b%2B"),      OK,          "twins a+b+ "},
        {"encoded percent",      SPAN_INIT("/twins/a%252Fb"),     OK,          "twins a%2Fb "},
        {"encoded wildcard",     SPAN_INIT("/twins/%23%3F"),      OK,          "twins #? "},
        {"four",                 SPAN_INIT("/a/b/c/d"),           OK,          "a b c d "},
        {"four and a slash",     SPAN_INIT("/a/b/c/d/"),          OK,          "a b c d "},
        {"five",                 SPAN_INIT("/a/b/c/d/e"),         NO_ROUTE,    ""},
        {"malformed",            SPAN_INIT("/twins/%zz"),         BAD_REQUEST, ""},
        {"NUL",                  SPAN_INIT("/twins/%00"),         BAD_REQUEST, ""},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span segments[4];
        size_t count = 0;
        char joined[64] = "";
        EXPECT_EQ_IN(
            rows[i].name,
            uri_path_split(test_at_edge(rows[i].path), fresh(sizeof(block)), segments, 4, &count),
            rows[i].want);
        for (size_t s = 0, at = 0; s < count; s++)
            at +=
                (size_t)snprintf(joined + at, sizeof(joined) - at, "%.*s ", SPAN_ARG(segments[s]));
        EXPECT_SPAN_IN(rows[i].name, span_text(joined), span_text(rows[i].joined));
    }
    struct span segments[1];
    size_t count;
    EXPECT_EQ(uri_path_split(SPAN("/%41"), fresh(1), segments, 1, &count), TOO_LARGE);
}

TEST(a_query_parameter_is_found_by_name)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct span query;
        enum status want;
        struct span out;
    } rows[] = {
        {"only one",          SPAN_INIT("top=5"),              OK,          SPAN_INIT("5")},
        {"behind another",    SPAN_INIT("a=1&top=5&b=2"),      OK,          SPAN_INIT("5")},
        {"first of two",      SPAN_INIT("top=5&top=6"),        OK,          SPAN_INIT("5")},
        {"other case",        SPAN_INIT("Top=5"),              OK,          SPAN_INIT("5")},
        {"encoded name",      SPAN_INIT("%74o%50=5"),          OK,          SPAN_INIT("5")},
        {"encoded value",     SPAN_INIT("top=a%26%3Db"),       OK,          SPAN_INIT("a&=b")},
        {"plus stays",        SPAN_INIT("top=a+b"),            OK,          SPAN_INIT("a+b")},
        {"second equals",     SPAN_INIT("top=a=b"),            OK,          SPAN_INIT("a=b")},
        {"empty value",       SPAN_INIT("top=&a=1"),           OK,          SPAN_INIT("")},
        {"no value",          SPAN_INIT("a=1&top"),            OK,          SPAN_INIT("")},
        {"empty query",       SPAN_INIT(""),                   NOT_FOUND,   SPAN_INIT("")},
        {"longer name",       SPAN_INIT("topp=5"),             NOT_FOUND,   SPAN_INIT("")},
        {"shorter name",      SPAN_INIT("to=5"),               NOT_FOUND,   SPAN_INIT("")},
        {"shorter, at the end", SPAN_INIT("a=1&to"),           NOT_FOUND,   SPAN_INIT("")},
        {"malformed name",    SPAN_INIT("to%7=5&%=1&=2&&"),    NOT_FOUND,   SPAN_INIT("")},
        {"malformed value",   SPAN_INIT("top=%q"),             BAD_REQUEST, SPAN_INIT("")},
        {"malformed other",   SPAN_INIT("a=%q&top=5"),         OK,          SPAN_INIT("5")},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span out = {0};
        EXPECT_EQ_IN(
            rows[i].name,
            uri_query_get(test_at_edge(rows[i].query), SPAN("top"), fresh(sizeof(block)), &out),
            rows[i].want);
        EXPECT_SPAN_IN(rows[i].name, out, rows[i].out);
    }
    struct span out;
    EXPECT_EQ(uri_query_get(SPAN("%zz=5"), SPAN("\xff"), fresh(0), &out), NOT_FOUND);
    EXPECT_EQ(uri_query_get(SPAN("%fF=5"), SPAN("\xff"), fresh(0), &out), OK);
}

TEST(only_unreserved_bytes_go_out_plain_and_all_come_back) /* RFC 3986 section 2.3 */
{
    struct buf b = {0};
    uri_put(&b, SPAN("azAZ09-._~ +/%=&$\xc3\xa9"));
    EXPECT_SPAN(buf_span(&b), SPAN("azAZ09-._~%20%2B%2F%25%3D%26%24%C3%A9"));
    for (unsigned c = 1; c <= 0xff; c++) {
        uint8_t byte = (uint8_t)c;
        struct span out;
        buf_clear(&b);
        uri_put(&b, span_of(&byte, 1));
        EXPECT_EQ(uri_decode(buf_span(&b), fresh(sizeof(block)), &out), OK);
        EXPECT_SPAN(out, span_of(&byte, 1));
    }
    buf_fini(&b);
}

TEST_MAIN(RUN(percent_escapes_are_undone_once), RUN(decoding_copies_only_when_it_must),
          RUN(a_target_splits_at_its_first_question_mark), RUN(a_path_is_decoded_then_split),
          RUN(a_query_parameter_is_found_by_name),
          RUN(only_unreserved_bytes_go_out_plain_and_all_come_back))
