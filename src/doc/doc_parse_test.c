#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "doc/doc_testing.h"

static const struct {
    const char *json, *printed;
} prints[] = {
    {" [ 1 , 2 ] ",                                       "[1,2]"                               },
    {"\xef\xbb\xbf{}",                                    "{}"                                  },
    {"1.0",                                               "1.0"                                 },
    {"-0",                                                "-0"                                  },
    {"1e-400",                                            "1e-400"                              },
    {"100000000000000000000",                             "100000000000000000000"               },
    {"-9223372036854775808",                              "-9223372036854775808"                },
    {"9223372036854775807",                               "9223372036854775807"                 },
    {"[true,false,null]",                                 "[true,false,null]"                   },
    {"\"\\u0041\\u00e9\\u20ac\"",                         "\"A\xc3\xa9\xe2\x82\xac\""           },
    {"\"\\ud83d\\ude00\"",                                "\"\xf0\x9f\x98\x80\""                },
    {"\"\\b\\f\\n\\r\\t\\/\\\\\\\"\"",                    "\"\\u0008\\u000c\\n\\r\\t/\\\\\\\"\""},
    {"\"\\u0000\"",                                       "\"\\u0000\""                         },
    {"{\"a\":{\"b\":[{}, [ ]]}}",                         "{\"a\":{\"b\":[{},[]]}}"             },
 /* the last one wins, at the place of the first */
    {"{\"a\":1,\"b\":2,\"a\":3}",                         "{\"a\":3,\"b\":2}"                   },
    {"{\"\":1,\"\":2}",                                   "{\"\":2}"                            },
    {"{\"a\":{\"x\":1},\"b\":0,\"a\":[]}",                "{\"a\":[],\"b\":0}"                  },
    {"[{\"a\":1,\"a\":2},{\"a\":3}]",                     "[{\"a\":2},{\"a\":3}]"               },
    {"{\"k\":1,\"\\u006b\":2}",                           "{\"k\":2}"                           },
    {"{\"a\":{\"b\":1,\"b\":2},\"a\":{\"c\":1,\"c\":2}}", "{\"a\":{\"c\":2}}"                   },
};

TEST(text_becomes_a_document_and_text_again)
{
    for (size_t i = 0; i < COUNT(prints); i++) {
        testing_reset();
        struct span doc = parsed(prints[i].json);
        EXPECT_EQ_IN(prints[i].json, doc_is_valid(test_at_edge(doc)), true);
        EXPECT_SPAN_IN(prints[i].json, value_text(doc), span_text(prints[i].printed));
    }
}

/* An object of `count` numbered keys, but the one at `again` repeats that of `first`. */
static void expect_last_of_two(int count, int first, int again)
{
    struct buf json = {0}, want = {0};
    testing_reset();
    for (int i = 0; i < count; i++) {
        buf_printf(&json, "%s\"k%d\":%d", i ? "," : "{", i == again ? first : i, i);
        if (i != again)
            buf_printf(&want, "%s\"k%d\":%d", i ? "," : "{", i, i == first ? again : i);
    }
    buf_put(&json, SPAN("}\0"));
    buf_text(&want, "}");
    EXPECT_SPAN(value_text(parsed((const char *)json.data)), buf_span(&want));
    buf_fini(&json);
    buf_fini(&want);
}

/* At every distance, in objects that are few and many (FEW_KEYS is 16). */
TEST(duplicates_are_found_among_few_and_many)
{
    for (int count = 2; count < 60; count++)
        for (int first = 0; first < count; first += 5)
            for (int again = first + 1; again < count; again += 7)
                expect_last_of_two(count, first, again);
}

static enum status parse_nested(size_t depth, char open, char close, uint32_t nesting_max)
{
    struct doc_syntax syntax = {.nesting_max = nesting_max, .number_max = 128};
    struct buf json = {0};
    struct span doc;
    for (size_t i = 0; i < depth; i++)
        buf_text(&json, open == '[' ? "[" : i + 1 < depth ? "{\"a\":" : "{");
    for (size_t i = 0; i < depth && close; i++)
        buf_byte(&json, (uint8_t)close);
    enum status st = doc_parse(buf_span(&json), &syntax, &arena, &doc);
    if (st == OK)
        EXPECT(doc_is_valid(doc));
    buf_fini(&json);
    return st;
}

TEST(nesting_is_bounded)
{
    testing_reset();
    EXPECT_EQ(parse_nested(64, '[', ']', 64), OK);
    EXPECT_EQ(parse_nested(65, '[', ']', 64), BAD_FORMAT);
    EXPECT_EQ(parse_nested(64, '{', '}', 64), OK);
    EXPECT_EQ(parse_nested(65, '{', '}', 64), BAD_FORMAT);
    EXPECT_EQ(parse_nested(128, '[', ']', 1000), OK); /* what walks a document may recurse */
    EXPECT_EQ(parse_nested(129, '[', ']', 1000), BAD_FORMAT);
    EXPECT_EQ(parse_nested(500, '[', ']', 64), BAD_FORMAT); /* JSONTestSuite's three */
    EXPECT_EQ(parse_nested(100000, '[', 0, 64), BAD_FORMAT);
    EXPECT_EQ(parse_nested(50000, '{', 0, 64), BAD_FORMAT);
}

TEST(long_numbers_and_keys_are_refused)
{
    testing_reset();
    struct doc_syntax syntax = {.nesting_max = 64, .number_max = 5};
    struct span doc;
    EXPECT_EQ(doc_parse(SPAN("12345"), &syntax, &arena, &doc), OK);
    EXPECT_EQ(doc_parse(SPAN("123456"), &syntax, &arena, &doc), BAD_FORMAT);
    EXPECT_EQ(doc_parse(SPAN("-1.234"), &syntax, &arena, &doc), BAD_FORMAT);
    for (size_t len = (1 << 20) - 1; len <= 1 << 20; len++) {
        uint8_t *block = malloc(32 << 20);
        struct arena large;
        struct buf json = {0};
        arena_init(&large, block, 32 << 20);
        buf_text(&json, "{\"");
        for (size_t i = 0; i < len; i++)
            buf_byte(&json, 'k');
        buf_text(&json, "\":0}");
        EXPECT_EQ(doc_parse(buf_span(&json), &syntax, &large, &doc),
                  len < 1 << 20 ? OK : BAD_FORMAT);
        buf_fini(&json);
        arena_reset(&large);
        free(block);
    }
}

/* Each size of arena either holds the document or is full, and is then as it was. */
TEST(a_full_arena_is_a_refusal)
{
    static const char *const texts[] = {
        "{\"a\":[1,2,\"three\",{\"b\":1.5}],\"a\":{\"c\":true},\"d\":\"\\u00e9\\u00e9\"}",
        "[12345.678901234567890123456789]",
        "\"0123456789012345678901234567890123456789\"",
        "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":10,\"k\":"
        "11,"
        "\"l\":12,\"m\":13,\"n\":14,\"o\":15,\"p\":16,\"q\":17,\"a\":18}",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        bool fitted = false;
        for (size_t size = 0; size < 4096; size++) {
            static uint8_t small[4096] __attribute__((aligned(16)));
            struct arena a;
            struct span doc;
            arena_init(&a, small, size);
            enum status st = doc_parse(span_text(texts[i]), &doc_limits_azure.syntax, &a, &doc);
            EXPECT_EQ_IN(texts[i], st == OK || st == TOO_LARGE, true);
            EXPECT_EQ_IN(texts[i], fitted && st != OK, false);
            fitted |= st == OK;
            EXPECT_EQ_IN(texts[i], a.used > 0, st == OK);
            arena_reset(&a);
            memset(&a, 0, sizeof(a));
        }
        EXPECT_EQ_IN(texts[i], fitted, true);
    }
}

/* The length of the sequence at the start of `p`, by its code point; 0 when there is none. */
static size_t sequence_reference(const uint8_t *p, size_t left)
{
    static const uint32_t least[] = {[2] = 0x80, [3] = 0x800, [4] = 0x10000};
    size_t len = p[0] < 0x80       ? 1
                 : p[0] >> 5 == 6  ? 2
                 : p[0] >> 4 == 14 ? 3
                 : p[0] >> 3 == 30 ? 4
                                   : 9;
    uint32_t value = len == 2 ? p[0] & 0x1f : len == 3 ? p[0] & 0x0f : p[0] & 0x07;
    if (len == 1)
        return 1;
    if (len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    return value < least[len] || value > 0x10ffff || surrogate ? 0 : len;
}

static bool utf8_reference(const uint8_t *p, size_t len)
{
    for (size_t i = 0, n; i < len; i += n)
        if ((n = sequence_reference(p + i, len - i)) == 0)
            return false;
    return true;
}

/* trials F22: all sequences of one to three bytes; MQTT, ids and topics ask the same function. */
TEST(every_sequence_of_three_bytes_is_judged_right)
{
    testing_reset();
    uint8_t json[5] = {'"', 0, 0, 0, '"'};
    for (uint32_t bytes = 0; bytes < 1 << 24; bytes++) {
        if ((bytes & 0xff) < 0x80 && bytes % 127)
            continue; /* what starts with ASCII is mostly two-byte sequences again */
        json[1] = (uint8_t)bytes;
        json[2] = (uint8_t)(bytes >> 8);
        json[3] = (uint8_t)(bytes >> 16);
        bool plain = true; /* quotes, backslashes and controls are another test's */
        for (int i = 1; i <= 3; i++)
            plain &= json[i] >= 0x20 && json[i] != '"' && json[i] != '\\';
        struct span doc;
        if (!plain)
            continue;
        enum status st = doc_parse(span_of(json, 5), &doc_limits_azure.syntax, &arena, &doc);
        if ((st == OK) != utf8_reference(json + 1, 3))
            fail_msg("%02x %02x %02x", json[1], json[2], json[3]);
        arena_release(&arena, 0);
    }
}

/* Ten million of four bytes: any, and those that are nearly a character beyond the first 65,536. */
TEST(random_sequences_of_four_bytes_are_judged_right)
{
    uint64_t seed = 22, good = 0;
    for (int i = 0; i < 10000000; i++) {
        uint64_t random = test_random(&seed);
        uint8_t bytes[4];
        memcpy(bytes, &random, sizeof(bytes));
        if (random >> 63) {
            bytes[0] = (uint8_t)(0xf0 | (bytes[0] & 7));
            for (int k = 1; k < 4; k++)
                bytes[k] =
                    (random >> (32 + 4 * k) & 15) ? (uint8_t)(0x80 | (bytes[k] & 0x3f)) : bytes[k];
        }
        bool is = text_is_utf8(span_of(bytes, sizeof(bytes)));
        if (is != utf8_reference(bytes, sizeof(bytes)))
            fail_msg("%02x %02x %02x %02x", bytes[0], bytes[1], bytes[2], bytes[3]);
        good += is;
    }
    EXPECT(good > 1000000);
    EXPECT(good < 9000000);
}

/* A special character at each place of a long string: the eight-at-a-time loop stops there. */
TEST(strings_are_scanned_right_at_every_offset)
{
    for (size_t len = 0; len < 40; len++)
        for (size_t at = 0; at <= len; at++) {
            static const char *const specials[] = {"\\n", "\xc3\xa9", "\x7f", "\\\"", "!", "\x1f"};
            for (size_t s = 0; s < COUNT(specials); s++) {
                testing_reset();
                struct buf json = {0};
                struct span doc;
                buf_byte(&json, '"');
                for (size_t i = 0; i < len; i++) {
                    if (i == at)
                        buf_text(&json, specials[s]);
                    buf_byte(&json, (uint8_t)('a' + i % 26));
                }
                buf_byte(&json, '"');
                bool good = s != 5 || at == len;
                EXPECT_EQ(doc_parse(test_at_edge(buf_span(&json)), &doc_limits_azure.syntax, &arena,
                                    &doc),
                          good ? OK : BAD_FORMAT);
                if (good && s != 2)
                    EXPECT_SPAN(value_text(doc), buf_span(&json));
                buf_fini(&json);
            }
        }
}

/* ---- linear time -------------------------------------------------------------------------- */

static void keys(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s\"%zx\":\"\"", i ? "," : "{", i);
    buf_text(b, "}");
}

static void one_key(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s\"k\":\"\"", i ? "," : "{");
    buf_text(b, "}");
}

static void empties(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_text(b, i ? ",[]" : "[[]");
    buf_text(b, "]");
}

static void controls(struct buf *b, size_t n)
{
    buf_byte(b, '"');
    for (size_t i = 0; i < n; i++)
        buf_text(b, "\\u0001");
    buf_byte(b, '"');
}

static void digits(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_text(b, i ? ",-1.7976931348623157e308" : "[0");
    buf_text(b, "]");
}

static double parse_cost(void (*fill)(struct buf *, size_t), size_t n)
{
    struct buf json = {0};
    double best = 1e9;
    fill(&json, n);
    for (int round = 0; round < 5; round++) {
        struct timespec from, to;
        struct span doc;
        testing_reset();
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        EXPECT_EQ(doc_parse(buf_span(&json), &doc_limits_azure.syntax, &arena, &doc), OK);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        double took = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
        best = took < best ? took : best;
    }
    buf_fini(&json);
    return best;
}

/* Eight times the text may take eight times as long, and what noise adds; a square would be 64. */
TEST(time_grows_with_the_text_and_no_faster)
{
    static void (*const fills[])(struct buf *, size_t) = {keys, one_key, empties, controls, digits};
    for (size_t i = 0; i < COUNT(fills); i++) {
        double small = parse_cost(fills[i], 1250), large = parse_cost(fills[i], 10000);
        if (large > small * 28 + 0.0005)
            fail_msg("row %zu: %.6f s, then %.6f s", i, small, large);
    }
}

TEST_MAIN(RUN(text_becomes_a_document_and_text_again), RUN(duplicates_are_found_among_few_and_many),
          RUN(nesting_is_bounded), RUN(long_numbers_and_keys_are_refused),
          RUN(a_full_arena_is_a_refusal), RUN(every_sequence_of_three_bytes_is_judged_right),
          RUN(random_sequences_of_four_bytes_are_judged_right),
          RUN(strings_are_scanned_right_at_every_offset),
          RUN(time_grows_with_the_text_and_no_faster))
