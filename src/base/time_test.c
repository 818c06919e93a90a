#include "base/test.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>

/* The reference counts: from day to day, by the rule of leap years, from 0001-01-01 to 9999-12-31.
 */
struct day {
    int year, month, day;
};

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static void next_day(struct day *d)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int last = days[d->month - 1] + (d->month == 2 && is_leap(d->year));
    if (++d->day <= last)
        return;
    d->day = 1;
    if (++d->month <= 12)
        return;
    d->month = 1;
    d->year++;
}

#define DAY_MS 86400000LL

static struct buf out;

static struct span printed(void)
{
    return buf_span(&out);
}

TEST(every_day_of_ten_thousand_years_has_its_date)
{
    struct day d = {1, 1, 1};
    for (int64_t at = TIME_NEVER; d.year <= 9999; at += DAY_MS, next_day(&d)) {
        char want[32];
        snprintf(want, sizeof(want), "%04d-%02d-%02dT00:00:00Z", d.year, d.month, d.day);
        buf_clear(&out);
        text_put_time(&out, at);
        if (!span_eq(printed(), span_text(want)))
            fail_msg("%s is printed as %.*s", want, SPAN_ARG(printed()));
        if (at == 0)
            EXPECT_SPAN(printed(), SPAN("1970-01-01T00:00:00Z"));
        if (d.day < 28)
            continue;
        buf_clear(&out);
        text_put_time(&out, at + DAY_MS - 1);
        snprintf(want, sizeof(want), "%04d-%02d-%02dT23:59:59.999Z", d.year, d.month, d.day);
        if (!span_eq(printed(), span_text(want)))
            fail_msg("%s is printed as %.*s", want, SPAN_ARG(printed()));
    }
}

TEST(every_moment_of_a_day_has_its_time)
{
    for (int second = 0; second < 86400; second++) {
        char want[40];
        int64_t at = second * 1000LL + second % 1000;
        snprintf(want, sizeof(want), "1970-01-01T%02d:%02d:%02d.%03d0000Z", second / 3600,
                 second / 60 % 60, second % 60, second % 1000);
        buf_clear(&out);
        text_put_time_digits(&out, at, 7);
        if (!span_eq(printed(), span_text(want)))
            fail_msg("%s is printed as %.*s", want, SPAN_ARG(printed()));
        buf_clear(&out);
        text_put_time_us(&out, at);
        snprintf(want, sizeof(want), "01/01/1970 %02d:%02d:%02d", second / 3600, second / 60 % 60,
                 second % 60);
        if (!span_eq(printed(), span_text(want)))
            fail_msg("%s is printed as %.*s", want, SPAN_ARG(printed()));
    }
}

TEST(fractions_lose_their_trailing_zeros)
{
    for (int ms = 0; ms < 1000; ms++) {
        char want[40], fraction[8];
        snprintf(fraction, sizeof(fraction), ".%03d", ms);
        while (fraction[strlen(fraction) - 1] == '0')
            fraction[strlen(fraction) - 1] = 0;
        snprintf(want, sizeof(want), "2026-03-04T10:20:30%sZ",
                 strlen(fraction) > 1 ? fraction : "");
        buf_clear(&out);
        text_put_time(&out, 1772619630000 + ms);
        EXPECT_SPAN_IN(want, printed(), span_text(want));
        buf_clear(&out);
        text_put_time_digits(&out, 1772619630000 + ms, 3);
        snprintf(want, sizeof(want), "2026-03-04T10:20:30.%03dZ", ms);
        EXPECT_SPAN_IN(want, printed(), span_text(want));
    }
}

TEST_MAIN(RUN(every_day_of_ten_thousand_years_has_its_date),
          RUN(every_moment_of_a_day_has_its_time), RUN(fractions_lose_their_trailing_zeros))
