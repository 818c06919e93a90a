#include "store/epoch.h"

#include "base/test.h"

static const struct header unknown;
static const int64_t noon_ms = 1767268800000; /* 2026-01-01T12:00Z, minute 720 */

static struct header of(uint64_t epoch, uint64_t minute)
{
    return (struct header){
        .features = HEADER_BACKUP, .epoch = epoch, .epoch_minute = minute, .partitions = 32};
}

static const struct {
    const char *name;
    uint64_t epoch, minute, known_epoch, known_minute;
    int64_t wall_ms;
    uint64_t want_epoch, want_minute;
} rows[] = {
    {"the first restore",        1, 0,    0, 0,    noon_ms,         2, 720             },
    {"within the minute",        1, 0,    0, 0,    noon_ms + 59999, 2, 720             },
    {"a minute later",           1, 0,    0, 0,    noon_ms + 60000, 2, 721             },
    {"over a newer one",         1, 0,    7, 700,  noon_ms,         8, 720             },
    {"over an older one",        7, 700,  1, 0,    noon_ms,         8, 720             },
    {"the clock was ahead",      7, 9000, 1, 0,    noon_ms,         8, 9000            },
    {"elsewhere it was",         1, 0,    7, 9000, noon_ms,         8, 9000            },
    {"the clock is not set",     3, 700,  0, 0,    0,               4, 700             },
    {"it is as wrong as can be", 3, 700,  0, 0,    INT64_MIN,       4, 700             },
    {"or in the far future",     3, 700,  0, 0,    INT64_MAX,       4, EPOCH_MINUTE_MAX},
};

TEST(the_next_epoch_is_after_all_that_are_known)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct header h = of(rows[i].epoch, rows[i].minute);
        struct header known = of(rows[i].known_epoch, rows[i].known_minute);
        EXPECT(epoch_begin(&h, &known, rows[i].wall_ms));
        EXPECT_EQ_IN(rows[i].name, h.epoch, rows[i].want_epoch);
        EXPECT_EQ_IN(rows[i].name, h.epoch_minute, rows[i].want_minute);
        EXPECT_EQ(h.features, HEADER_BACKUP);
        EXPECT_EQ(h.partitions, 32);
    }
}

TEST(the_way_to_an_epoch_does_not_matter)
{
    struct header a = of(1, 0), b = of(4, 10), c = of(9, 700);
    struct epoch_jump ab = epoch_jump(&a, &b), bc = epoch_jump(&b, &c), ac = epoch_jump(&a, &c);
    EXPECT_EQ(ab.versions, 3002000);
    EXPECT_EQ(ab.versions + bc.versions, ac.versions);
    EXPECT_EQ(ab.seqs + bc.seqs, ac.seqs);
    EXPECT_EQ(ab.positions + bc.positions, ac.positions);
}

TEST(all_numbers_stay_within_what_reads_them)
{
    struct header first = of(1, 0), last = of(EPOCH_MAX, EPOCH_MINUTE_MAX), h = first;
    struct header late = of(500, EPOCH_MINUTE_MAX);
    struct epoch_jump all = epoch_jump(&first, &last);
    EXPECT(all.versions < INT64_C(1) << 52); /* of a sum of two as well */
    EXPECT(all.seqs < UINT64_C(1) << 53);
    EXPECT(all.positions < UINT64_C(1) << 62);
    EXPECT(epoch_jump(&first, &late).versions < INT32_MAX - 40000000);
    EXPECT(!epoch_begin(&h, &last, noon_ms));
    EXPECT_EQ(h.epoch, 1);
    EXPECT_EQ(h.epoch_minute, 0);
    EXPECT(!epoch_begin(&last, &unknown, noon_ms));
}

TEST_MAIN(RUN(the_next_epoch_is_after_all_that_are_known), RUN(the_way_to_an_epoch_does_not_matter),
          RUN(all_numbers_stay_within_what_reads_them))
