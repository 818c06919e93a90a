#include "store/store_fixture.h"

#include "store/value.h"

static struct span key = SPAN_INIT("\0\1d1\0");

TEST(a_value_is_laid_out_as_documented)
{
    struct buf out = {0};
    value_encode(&out, key, &(struct value){SPAN("body"), SPAN("sealed"), 0x0102});
    static const uint8_t want[] = {1,   0,   0,   0,   0,   0,   0,   0,   4,   0,  0, 0,
                                   6,   0,   0,   0,   2,   1,   0,   0,   0,   0,  0, 0,
                                   'b', 'o', 'd', 'y', 's', 'e', 'a', 'l', 'e', 'd'};
    store_u32le(out.data + 4, 0);
    EXPECT_SPAN(buf_span(&out), span_of(want, sizeof(want)));
    buf_fini(&out);
}

TEST(a_value_decodes_to_what_it_was_and_only_under_its_key)
{
    static const struct value values[] = {
        {SPAN_INIT("body"), SPAN_INIT("sealed"), UINT64_MAX},
        {SPAN_INIT(""),     SPAN_INIT(""),       0         },
    };
    for (size_t i = 0; i < COUNT(values); i++) {
        struct buf out = {0};
        struct value back;
        value_encode(&out, key, &values[i]);
        EXPECT_EQ(value_decode(key, test_at_edge(buf_span(&out)), &back), OK);
        EXPECT_SPAN(back.body, values[i].body);
        EXPECT_SPAN(back.sealed, values[i].sealed);
        EXPECT(back.seq == values[i].seq);
        EXPECT_EQ(value_decode(SPAN("\0\1d2\0"), buf_span(&out), &back), DAMAGED);
        buf_fini(&out);
    }
}

TEST(every_flipped_bit_and_every_cut_is_damage)
{
    struct buf out = {0};
    struct value back;
    value_encode(&out, key, &(struct value){SPAN("a body of some length"), SPAN("sealed"), 7});
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_EQ(value_decode(key, buf_span(&out), &back), DAMAGED);
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < out.len; len++)
        EXPECT_EQ(value_decode(key, test_at_edge(span_of(out.data, len)), &back), DAMAGED);
    EXPECT_EQ(value_decode(key, buf_span(&out), &back), OK);
    buf_byte(&out, 0);
    EXPECT_EQ(value_decode(key, buf_span(&out), &back), DAMAGED);
    buf_fini(&out);
}

TEST(counts_decode_to_what_they_were)
{
    struct buf out = {0};
    struct store_partition in = {UINT64_MAX, 2, 3, 4}, back;
    value_put_counts(&out, &in);
    EXPECT_EQ(out.len, VALUE_COUNTS);
    EXPECT_EQ(value_counts(buf_span(&out), &back), OK);
    EXPECT(memcmp(&in, &back, sizeof(in)) == 0);
    EXPECT_EQ(value_counts(span_of(out.data, out.len - 1), &back), DAMAGED);
    buf_fini(&out);
}

TEST_MAIN(RUN(a_value_is_laid_out_as_documented),
          RUN(a_value_decodes_to_what_it_was_and_only_under_its_key),
          RUN(every_flipped_bit_and_every_cut_is_damage), RUN(counts_decode_to_what_they_were))
