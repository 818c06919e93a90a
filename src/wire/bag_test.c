#include "wire/bag.h"

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

/* A bag as a person would note it: [name=value], [name] for a null, `!` before a malformed one. */
static struct span noted(struct span text)
{
    static struct buf note;
    struct arena *a = fresh(sizeof(block));
    struct bag bag = bag_open(test_at_edge(text));
    struct bag_pair pair;
    enum status st;
    buf_clear(&note);
    while ((st = bag_next(&bag, a, &pair)) == OK) {
        buf_text(&note, pair.malformed ? "![" : "[");
        buf_put(&note, pair.name);
        if (pair.has_value)
            buf_byte(&note, '=');
        buf_put(&note, pair.value);
        buf_byte(&note, ']');
    }
    EXPECT_EQ(st, NOT_FOUND);
    return buf_span(&note);
}

TEST(a_bag_is_read_pair_by_pair) /* mqtt.md 6.1 */
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct span text;
        struct span want;
        size_t size;
    } rows[] = {
        {"empty",                    SPAN_INIT(""),                  SPAN_INIT(""),                    0},
        {"only the mark",            SPAN_INIT("?"),                 SPAN_INIT(""),                    0},
        {"null value",               SPAN_INIT("key"),               SPAN_INIT("[key]"),               3},
        {"empty value",              SPAN_INIT("key="),              SPAN_INIT("[key=]"),              3},
        {"value",                    SPAN_INIT("key=value"),         SPAN_INIT("[key=value]"),         8},
        {"all three",                SPAN_INIT("a&b=&c=1"),          SPAN_INIT("[a][b=][c=1]"),        4},
        {"leading question mark",    SPAN_INIT("?a=1"),              SPAN_INIT("[a=1]"),               2},
        {"second question mark",     SPAN_INIT("??a=1"),             SPAN_INIT("[?a=1]"),              3},
        {"first equals divides",     SPAN_INIT("a=b=c"),             SPAN_INIT("[a=b=c]"),             4},
        {"system name, encoded",     SPAN_INIT("%24.mid=1"),         SPAN_INIT("[$.mid=1]"),           6},
        {"system name, raw",         SPAN_INIT("$.mid=1"),           SPAN_INIT("[$.mid=1]"),           6},
        {"hex in both cases",        SPAN_INIT("a=%2f%2F"),          SPAN_INIT("[a=//]"),              3},
        {"plus is no blank",         SPAN_INIT("a+b=c+d%20e"),       SPAN_INIT("[a+b=c+d e]"),         8},
        {"encoded separators",       SPAN_INIT("a%3Db=c%26d"),       SPAN_INIT("[a=b=c&d]"),           6},
        {"raw slash",                SPAN_INIT("path=/a/b"),         SPAN_INIT("[path=/a/b]"),         8},
        {"UTF-8",                    SPAN_INIT("a=%C3%A9"),          SPAN_INIT("[a=\xc3\xa9]"),        3},
        {"duplicates both come",     SPAN_INIT("a=1&a=2"),           SPAN_INIT("[a=1][a=2]"),          4},
        {"empty stretches",          SPAN_INIT("&&a=1&&b&"),         SPAN_INIT("[a=1][b]"),            3},
        {"bad escape in a value",    SPAN_INIT("a=%zz&b=1"),         SPAN_INIT("![a=%zz][b=1]"),       6},
        {"bad escape in a name",     SPAN_INIT("a%2=%41"),           SPAN_INIT("![a%2=A]"),            4},
        {"bad escapes in both",      SPAN_INIT("%=%"),               SPAN_INIT("![%=%]"),              2},
        {"escape cut short",         SPAN_INIT("a=1%"),              SPAN_INIT("![a=1%]"),             3},
        {"decodes to NUL",           SPAN_INIT("a=%00"),             SPAN_INIT("![a=%00]"),            2},
        {"decodes to no UTF-8",      SPAN_INIT("a=%ff"),             SPAN_INIT("![a=%ff]"),            2},
        {"empty name",               SPAN_INIT("=v&b=1"),            SPAN_INIT("![=v][b=1]"),          3},
        {"nothing but equals",       SPAN_INIT("="),                 SPAN_INIT("![=]"),                0},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT(rows); i++) {
        EXPECT_SPAN_IN(rows[i].name, noted(rows[i].text), rows[i].want);
        EXPECT_EQ_IN(rows[i].name, bag_size(test_at_edge(rows[i].text)), rows[i].size);
    }
}

TEST(a_full_arena_refuses_the_pair_and_gives_it_again)
{
    struct bag bag = bag_open(SPAN("a=1&%41=%42"));
    struct bag_pair pair;
    for (size_t size = 0; size < 9; size++) { /* two allocations, the second on an 8-byte border */
        struct arena *a = fresh(size);
        struct bag copy = bag;
        EXPECT_EQ(bag_next(&copy, a, &pair), OK);
        EXPECT_EQ(bag_next(&copy, a, &pair), TOO_LARGE);
        EXPECT_EQ(arena_mark(a), 0);
        EXPECT_EQ(bag_next(&copy, a, &pair), TOO_LARGE);
        EXPECT_EQ(bag_next(&copy, fresh(sizeof(block)), &pair), OK);
        EXPECT_SPAN(pair.name, SPAN("A"));
        EXPECT_SPAN(pair.value, SPAN("B"));
        EXPECT_EQ(bag_next(&copy, &scratch, &pair), NOT_FOUND);
    }
}

TEST(a_bag_goes_out_encoded) /* mqtt.md 6.4 */
{
    static const struct bag_pair pairs[] = {
        {SPAN_INIT("$.mid"), SPAN_INIT("7"),                                   true,  false},
        {SPAN_INIT("$.to"),  SPAN_INIT("/devices/MyDev/messages/deviceBound"), true,  false},
        {SPAN_INIT("a b"),   SPAN_INIT("1+1=2&\xc3\xa9"),                      true,  false},
        {SPAN_INIT("empty"), SPAN_INIT(""),                                    true,  false},
        {SPAN_INIT("null"),  {0},                                              false, false},
    };
    struct buf b = {0};
    buf_text(&b, "devices/d/messages/devicebound/");
    size_t start = b.len;
    for (size_t i = 0; i < COUNT(pairs); i++)
        bag_put(&b, start, &pairs[i]);
    EXPECT_SPAN(span_skip(buf_span(&b), start),
                SPAN("%24.mid=7&%24.to=%2Fdevices%2FMyDev%2Fmessages%2FdeviceBound&a%20b=1%2B1%3D2"
                     "%26%C3%A9&empty=&null"));
    EXPECT_SPAN(noted(span_skip(buf_span(&b), start)),
                SPAN("[$.mid=7][$.to=/devices/MyDev/messages/deviceBound][a b=1+1=2&\xc3\xa9]"
                     "[empty=][null]"));
    buf_fini(&b);
}

TEST_MAIN(RUN(a_bag_is_read_pair_by_pair), RUN(a_full_arena_refuses_the_pair_and_gives_it_again),
          RUN(a_bag_goes_out_encoded))
