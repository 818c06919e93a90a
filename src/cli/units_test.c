#include "cli/units.h"

#include "base/test.h"

enum { UNTOUCHED = 77 };

TEST(a_duration_is_a_number_and_a_unit)
{
    static const struct {
        struct span text;
        bool ok;
        int64_t ms;
    } rows[] = {
        {SPAN_INIT("0"),                     true,  0                    },
        {SPAN_INIT("0s"),                    true,  0                    },
        {SPAN_INIT("90s"),                   true,  90000                },
        {SPAN_INIT("30m"),                   true,  1800000              },
        {SPAN_INIT("12h"),                   true,  43200000             },
        {SPAN_INIT("7d"),                    true,  604800000            },
        {SPAN_INIT("106751991167d"),         true,  9223372036828800000LL},
        {SPAN_INIT("106751991168d"),         false, 0                    },
        {SPAN_INIT("18446744073709551616s"), false, 0                    },
        {SPAN_INIT(""),                      false, 0                    },
        {SPAN_INIT("7"),                     false, 0                    },
        {SPAN_INIT("d"),                     false, 0                    },
        {SPAN_INIT("-1d"),                   false, 0                    },
        {SPAN_INIT("1.5h"),                  false, 0                    },
        {SPAN_INIT("7 d"),                   false, 0                    },
        {SPAN_INIT("7D"),                    false, 0                    },
        {SPAN_INIT("7dd"),                   false, 0                    },
        {SPAN_INIT("7w"),                    false, 0                    },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *name = (const char *)rows[i].text.data;
        int64_t got = UNTOUCHED;
        EXPECT_EQ_IN(name, units_duration(test_at_edge(rows[i].text), &got), rows[i].ok);
        EXPECT_EQ_IN(name, got, rows[i].ok ? rows[i].ms : UNTOUCHED);
    }
}

TEST(a_size_is_a_number_and_perhaps_a_unit)
{
    static const struct {
        struct span text;
        bool ok;
        uint64_t bytes;
    } rows[] = {
        {SPAN_INIT("0"),                    true,  0                 },
        {SPAN_INIT("0G"),                   true,  0                 },
        {SPAN_INIT("1"),                    true,  1                 },
        {SPAN_INIT("64K"),                  true,  65536             },
        {SPAN_INIT("512M"),                 true,  536870912         },
        {SPAN_INIT("10G"),                  true,  10737418240       },
        {SPAN_INIT("2T"),                   true,  2199023255552     },
        {SPAN_INIT("18446744073709551615"), true,  UINT64_MAX        },
        {SPAN_INIT("16777215T"),            true,  0xffffff0000000000},
        {SPAN_INIT("16777216T"),            false, 0                 },
        {SPAN_INIT("18446744073709551616"), false, 0                 },
        {SPAN_INIT(""),                     false, 0                 },
        {SPAN_INIT("G"),                    false, 0                 },
        {SPAN_INIT("-1"),                   false, 0                 },
        {SPAN_INIT("1.5G"),                 false, 0                 },
        {SPAN_INIT("10 G"),                 false, 0                 },
        {SPAN_INIT("10g"),                  false, 0                 },
        {SPAN_INIT("10GB"),                 false, 0                 },
        {SPAN_INIT("7d"),                   false, 0                 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *name = (const char *)rows[i].text.data;
        uint64_t got = UNTOUCHED;
        EXPECT_EQ_IN(name, units_size(test_at_edge(rows[i].text), &got), rows[i].ok);
        EXPECT_EQ_IN(name, got, rows[i].ok ? rows[i].bytes : UNTOUCHED);
    }
}

TEST_MAIN(RUN(a_duration_is_a_number_and_a_unit), RUN(a_size_is_a_number_and_perhaps_a_unit))
