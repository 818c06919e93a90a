#include "store/epoch.h"

#include "base/test.h"

static const struct header unknown;

static struct header of(uint64_t epoch)
{
    return (struct header){.features = HEADER_BACKUP, .epoch = epoch, .partitions = 32};
}

TEST(the_next_epoch_is_after_all_that_are_known)
{
    struct header h = of(1), known = of(7);
    EXPECT(epoch_begin(&h, &unknown));
    EXPECT_EQ(h.epoch, 2);
    EXPECT(epoch_begin(&h, &known));
    EXPECT_EQ(h.epoch, 8);
    EXPECT(epoch_begin(&h, &known));
    EXPECT_EQ(h.epoch, 9);
    EXPECT_EQ(h.features, HEADER_BACKUP);
    EXPECT_EQ(h.partitions, 32);
}

TEST(the_way_to_an_epoch_does_not_matter)
{
    struct header a = of(1), b = of(4), c = of(9);
    struct epoch_jump ab = epoch_jump(&a, &b), bc = epoch_jump(&b, &c), ac = epoch_jump(&a, &c);
    EXPECT_EQ(ab.versions, 3000000);
    EXPECT_EQ(ab.versions + bc.versions, ac.versions);
    EXPECT_EQ(ab.seqs + bc.seqs, ac.seqs);
    EXPECT_EQ(ab.positions + bc.positions, ac.positions);
}

TEST(all_numbers_stay_within_what_reads_them)
{
    struct header first = of(1), last = of(EPOCH_MAX), h = first;
    struct epoch_jump all = epoch_jump(&first, &last);
    EXPECT(all.versions < INT64_C(1) << 52); /* of a sum of two as well */
    EXPECT(all.seqs < UINT64_C(1) << 53);
    EXPECT(all.positions < UINT64_C(1) << 62);
    EXPECT(!epoch_begin(&h, &last));
    EXPECT_EQ(h.epoch, 1);
    EXPECT(!epoch_begin(&last, &unknown));
}

TEST_MAIN(RUN(the_next_epoch_is_after_all_that_are_known), RUN(the_way_to_an_epoch_does_not_matter),
          RUN(all_numbers_stay_within_what_reads_them))
