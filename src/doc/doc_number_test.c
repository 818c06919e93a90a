#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/test.h"

#include "doc/doc_number.h"

static const struct {
    struct span text;
    size_t len; /* 0: none */
    bool is_whole, is_int;
    int64_t value;
} rows[] = {
    {SPAN_INIT("0"),                    1,  true,  true,  0        },
    {SPAN_INIT("-0"),                   2,  false, false, 0        },
    {SPAN_INIT("-0.0"),                 4,  false, false, 0        },
    {SPAN_INIT("-05"),                  2,  false, false, 0        },
    {SPAN_INIT("7,"),                   1,  true,  true,  7        },
    {SPAN_INIT("-12]"),                 3,  true,  true,  -12      },
    {SPAN_INIT("012"),                  1,  true,  true,  0        },
    {SPAN_INIT("9223372036854775807"),  19, true,  true,  INT64_MAX},
    {SPAN_INIT("9223372036854775808"),  19, true,  false, 0        },
    {SPAN_INIT("-9223372036854775808"), 20, true,  true,  INT64_MIN},
    {SPAN_INIT("-9223372036854775809"), 20, true,  false, 0        },
    {SPAN_INIT("1.0"),                  3,  false, false, 0        },
    {SPAN_INIT("1e5x"),                 3,  false, false, 0        },
    {SPAN_INIT("1E-5"),                 4,  false, false, 0        },
    {SPAN_INIT(""),                     0,  false, false, 0        },
    {SPAN_INIT("-"),                    0,  false, false, 0        },
    {SPAN_INIT("+1"),                   0,  false, false, 0        },
    {SPAN_INIT(".5"),                   0,  false, false, 0        },
    {SPAN_INIT("1."),                   0,  false, false, 0        },
    {SPAN_INIT("1.e5"),                 0,  false, false, 0        },
    {SPAN_INIT("1e"),                   0,  false, false, 0        },
    {SPAN_INIT("1e+"),                  0,  false, false, 0        },
    {SPAN_INIT("x"),                    0,  false, false, 0        },
};

TEST(numbers_are_read_as_far_as_they_go)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *name = (const char *)rows[i].text.data;
        struct doc_number n = {0};
        EXPECT_EQ_IN(name, doc_number_scan(test_at_edge(rows[i].text), &n), rows[i].len > 0);
        EXPECT_EQ_IN(name, n.len, rows[i].len);
        EXPECT_EQ_IN(name, n.is_whole, rows[i].is_whole);
        EXPECT_EQ_IN(name, n.is_int, rows[i].is_int);
        if (n.is_int)
            EXPECT_EQ_IN(name, n.value, rows[i].value);
    }
}

/* The first 128 digits of 2^1024 - 2^970, which is where infinity begins. */
#define EDGE                                                                                     \
    "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017" \
    "97758720709633028641669288791094655554"
#define ZEROS_180                                                                                  \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"

static const struct {
    const char *text;
    bool finite;
} edges[] = {
    {"1e308",                                  true },
    {"1e309",                                  false},
    {"-1e309",                                 false},
    {"1e-400",                                 true },
    {"0e999999999999999999999",                true },
    {"0.000e309",                              true },
    {"1.7976931348623157e308",                 true },
    {"1.7976931348623158e308",                 true },
    {"1.7976931348623159e308",                 false},
    {"17976931348623158e292",                  true },
    {"17976931348623159e292",                  false},
    {"0.017976931348623158e310",               true },
    {"0.017976931348623159e310",               false},
    {"0.1e309",                                true },
    {"10e308",                                 false},
    {"0.00000000000000000001e328",             true },
    {"0.00000000000000000001e329",             false},
    {"100000000000000000000e288",              true },
    {"100000000000000000000e289",              false},
    {EDGE "e181",                              true },
    {EDGE ".9e181",                            false},
    {EDGE "8e180",                             false},
    {EDGE "7e180",                             true },
    {"9e307",                                  true },
    {"1" ZEROS_180 ZEROS_180,                  false},
    {"1e-99999999999999999999999999999999999", true },
    {"1e99999999999999999999999999999999999",  false},
};

TEST(what_a_double_cannot_hold_is_refused)
{
    for (size_t i = 0; i < COUNT(edges); i++) {
        struct doc_number n;
        struct span text = span_text(edges[i].text);
        bool is_number = doc_number_scan(test_at_edge(text), &n);
        EXPECT_EQ_IN(edges[i].text, is_number, edges[i].finite);
        if (is_number)
            EXPECT_EQ_IN(edges[i].text, n.len, text.len);
    }
}

/* strtod is the second opinion, near the edge and anywhere. */
TEST(random_numbers_agree_with_the_c_library)
{
    uint64_t seed = 7;
    for (int i = 0; i < 100000; i++) {
        char text[80];
        uint64_t r = test_random(&seed);
        int exponent = r & 1 ? (int)(test_random(&seed) % 40) + 285 : (int)(r >> 8 & 1023) - 512;
        const char *lead = r & 2 ? "17976931348623158" : r & 4 ? "1797693134862315" : "";
        snprintf(text, sizeof(text), "%s%u.%ue%d", lead,
                 (unsigned)(test_random(&seed) % 10) + (lead[0] == 0),
                 (unsigned)(test_random(&seed) % 1000000), exponent - (int)strlen(lead));
        struct doc_number n;
        EXPECT_EQ_IN(text, doc_number_scan(span_text(text), &n), isfinite(strtod(text, NULL)) != 0);
    }
}

TEST_MAIN(RUN(numbers_are_read_as_far_as_they_go), RUN(what_a_double_cannot_hold_is_refused),
          RUN(random_numbers_agree_with_the_c_library))
