/* test.h — a thin page over cmocka: tests that read as sentences.
 *
 *   TEST(base64_decodes_what_it_encoded) { EXPECT_EQ(got, want); }
 *   TEST_MAIN(RUN(base64_decodes_what_it_encoded))
 *
 * For tests and fuzzers only; never included by the product.
 */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"

#define TEST(name) static void name(void **state __attribute__((unused)))
#define RUN(name)  cmocka_unit_test(name)
#define TEST_MAIN(...)                                    \
    int main(void)                                        \
    {                                                     \
        const struct CMUnitTest tests[] = {__VA_ARGS__};  \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

#define EXPECT(condition)                             \
    do {                                              \
        if (!(condition))                             \
            fail_msg("%s does not hold", #condition); \
    } while (0)
#define EXPECT_EQ(got, want) EXPECT_EQ_IN(#got, got, want)
/* `row` names the case of a table. */
#define EXPECT_EQ_IN(row, got, want)                                      \
    do {                                                                  \
        long long got_ = (long long)(got), want_ = (long long)(want);     \
        if (got_ != want_)                                                \
            fail_msg("%s: %s is %lld, not %lld", row, #got, got_, want_); \
    } while (0)
#define EXPECT_SPAN(got, want) EXPECT_SPAN_IN(#got, got, want)
#define EXPECT_SPAN_IN(row, got, want)                                                        \
    do {                                                                                      \
        struct span got_ = (got), want_ = (want);                                             \
        if (!span_eq(got_, want_))                                                            \
            fail_msg("%s: got \"%.*s\", not \"%.*s\"", row, SPAN_ARG(got_), SPAN_ARG(want_)); \
    } while (0)

/* A copy of `s` whose last byte touches an unreadable page. Good until the process ends. */
struct span test_at_edge(struct span s);

/* Seeded random numbers for property tests (splitmix64). */
uint64_t test_random(uint64_t *seed);

#endif
