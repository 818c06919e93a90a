#include "base/test.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/text.h"
#include "store/block.h"

static const struct store_partition counts_of_3 = {
    .seq = 0x0102030405060708, .devices = 20, .disabled = 3, .modules = 4};

/* Two entries and one partition's counts. */
static void make(struct buf *b, struct block *place)
{
    block_begin(b);
    block_put(b, SPAN("effect"), SPAN("sealed!"));
    block_put(b, SPAN("x"), SPAN(""));
    block_put_counts(b, 3, &counts_of_3);
    block_close(b, 2, 1, 0x1122334455667788);
    *place = (struct block){.salt = 0xa1a2a3a4a5a6a7a8,
                            .run = 0xb1b2b3b4b5b6b7b8,
                            .position = 0x400,
                            .durable = 0x200,
                            .prev = 0xc1c2c3c4};
    block_seal(b, place);
}

enum { LENGTH = BLOCK_HEAD + 8 + 6 + 7 + 8 + 1 + 40 };

static struct span whole(const struct buf *b)
{
    return span_first(buf_span(b), LENGTH);
}

TEST(a_block_lies_on_disk_as_its_header_draws_it)
{
    static const char want[] = "54774a62" /* "TwJb" */
                               "01000000" /* format, zero */
                               "96000000" /* length */
                               "02000000" /* entries */
                               "01000000" /* counts */
                               "652c7b9a" /* of the body */
                               "a8a7a6a5a4a3a2a1"
                               "b8b7b6b5b4b3b2b1"
                               "0004000000000000"
                               "0002000000000000"
                               "8877665544332211"
                               "c4c3c2c1"
                               "00000000"
                               "00000000"
                               "33045cb5" /* of the head */
                               "0600000007000000656666656374"
                               "7365616c656421"
                               "010000000000000078"
                               "0300000000000000"
                               "0807060504030201"
                               "1400000000000000"
                               "0300000000000000"
                               "0400000000000000";
    struct buf b = {0}, hex = {0};
    struct block place;
    make(&b, &place);
    text_put_hex(&hex, whole(&b));
    EXPECT_SPAN(buf_span(&hex), span_text(want));
    EXPECT_EQ(b.len, BLOCK_ALIGN);
    for (size_t i = LENGTH; i < b.len; i++)
        EXPECT_EQ(b.data[i], 0);
    buf_fini(&hex);
    buf_fini(&b);
}

TEST(what_is_read_is_what_was_put)
{
    struct buf b = {0};
    struct block place, got;
    make(&b, &place);
    EXPECT_EQ(block_read(test_at_edge(span_first(whole(&b), BLOCK_HEAD)), &got), OK);
    EXPECT_EQ(got.length, LENGTH);
    EXPECT_EQ(got.entries, 2);
    EXPECT_EQ(got.counts, 1);
    EXPECT_EQ(got.salt, place.salt);
    EXPECT_EQ(got.run, place.run);
    EXPECT_EQ(got.position, place.position);
    EXPECT_EQ(got.durable, place.durable);
    EXPECT_EQ(got.time_ms, 0x1122334455667788);
    EXPECT_EQ(got.prev, place.prev);
    EXPECT_EQ(got.crc, place.crc);
    struct span at = test_at_edge(whole(&b)), rest = block_body(at);
    EXPECT_EQ(block_check(&got, at), OK);
    struct block_entry first = block_take_entry(&rest), second = block_take_entry(&rest);
    EXPECT_SPAN(first.effect, SPAN("effect"));
    EXPECT_SPAN(first.sealed, SPAN("sealed!"));
    EXPECT_SPAN(second.effect, SPAN("x"));
    EXPECT_SPAN(second.sealed, SPAN(""));
    struct block_count count = block_take_counts(&rest);
    EXPECT_EQ(count.partition, 3);
    EXPECT(memcmp(&count.counts, &counts_of_3, sizeof(counts_of_3)) == 0);
    EXPECT_EQ(rest.len, 0);
    buf_fini(&b);
}

TEST(every_flipped_bit_of_the_head_is_damage)
{
    struct buf b = {0};
    struct block place, got;
    make(&b, &place);
    for (size_t bit = 0; bit < (size_t)BLOCK_HEAD * 8; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_EQ(block_read(whole(&b), &got), DAMAGED);
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    EXPECT_EQ(block_read(whole(&b), &got), OK);
    buf_fini(&b);
}

TEST(every_flipped_bit_of_the_body_is_damage)
{
    struct buf b = {0};
    struct block place, got;
    make(&b, &place);
    EXPECT_EQ(block_read(whole(&b), &got), OK);
    for (size_t bit = (size_t)BLOCK_HEAD * 8; bit < (size_t)LENGTH * 8; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_EQ(block_check(&got, whole(&b)), DAMAGED);
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    EXPECT_EQ(block_check(&got, whole(&b)), OK);
    buf_fini(&b);
}

/* A number of the head with its checksum made right again. */
static const struct {
    const char *name;
    size_t at;
    uint32_t value;
    enum status want;
} heads[] = {
    {"as it is",              8,  LENGTH,         OK     },
    {"the shortest",          8,  BLOCK_HEAD,     OK     },
    {"shorter than the head", 8,  BLOCK_HEAD - 1, DAMAGED},
    {"the longest",           8,  BLOCK_MAX,      OK     },
    {"longer",                8,  BLOCK_MAX + 1,  DAMAGED},
    {"another magic",         0,  0x624a7755,     DAMAGED},
    {"a later format",        4,  2,              DAMAGED},
    {"not zero after it",     4,  0x10001,        DAMAGED},
    {"a feature",             68, 1,              DAMAGED},
    {"not zero at 72",        72, 1,              DAMAGED},
};

TEST(a_head_with_numbers_that_no_writer_makes_is_damage)
{
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct buf b = {0};
        struct block place, got;
        make(&b, &place);
        store_u32le(b.data + heads[i].at, heads[i].value);
        block_seal(&b, &place);
        EXPECT_EQ_IN(heads[i].name, block_read(whole(&b), &got), heads[i].want);
        buf_fini(&b);
    }
}

/* A sound head whose numbers of entries and counts are these: does the body hold as many? */
static const struct {
    const char *name;
    uint32_t entries, counts;
    size_t at; /* in the body, of a number that is changed; 0: none */
    uint32_t value;
    enum status want;
} bodies[] = {
    {"as it is",                 2,          1,          0,  0,          OK     },
    {"an entry too few",         1,          1,          0,  0,          DAMAGED},
    {"an entry too many",        3,          1,          0,  0,          DAMAGED},
    {"no counts",                2,          0,          0,  0,          DAMAGED},
    {"counts too many",          2,          2,          0,  0,          DAMAGED},
    {"more than can be",         UINT32_MAX, UINT32_MAX, 0,  0,          DAMAGED},
    {"counts that wrap",         2,          0x20000001, 0,  0,          DAMAGED},
    {"an effect that ends late", 2,          1,          21, 2,          DAMAGED},
    {"an endless effect",        2,          1,          21, UINT32_MAX, DAMAGED},
    {"an endless sealed part",   2,          1,          25, UINT32_MAX, DAMAGED},
    {"no zero in the counts",    2,          1,          34, 1,          DAMAGED},
};

TEST(entries_and_counts_must_fill_the_body)
{
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct buf b = {0};
        struct block place, got;
        make(&b, &place);
        if (bodies[i].at)
            store_u32le(b.data + BLOCK_HEAD + bodies[i].at, bodies[i].value);
        store_u32le(b.data + 12, bodies[i].entries);
        store_u32le(b.data + 16, bodies[i].counts);
        store_u32le(b.data + 20, hash_crc32c(0, block_body(whole(&b))));
        block_seal(&b, &place);
        EXPECT_EQ_IN(bodies[i].name, block_read(whole(&b), &got), OK);
        EXPECT_EQ_IN(bodies[i].name, block_check(&got, test_at_edge(whole(&b))), bodies[i].want);
        buf_fini(&b);
    }
}

/* One entry, of a body that is nothing but zeros. */
TEST(an_entry_whose_lengths_are_cut_off_is_none)
{
    for (size_t len = 0; len <= 9; len++) {
        struct buf b = {0};
        struct block place = {.salt = 1}, got;
        block_begin(&b);
        buf_put(&b, span_of("\0\0\0\0\0\0\0\0\0", len));
        block_close(&b, 1, 0, 0);
        block_seal(&b, &place);
        struct span at = test_at_edge(span_first(buf_span(&b), BLOCK_HEAD + len));
        EXPECT_EQ(block_read(at, &got), OK);
        EXPECT_EQ(block_check(&got, at), len == 8 ? OK : DAMAGED);
        buf_fini(&b);
    }
}

TEST(a_block_ends_where_the_next_may_begin)
{
    static const struct {
        uint32_t length, room;
    } rows[] = {
        {BLOCK_HEAD,      512      },
        {511,             512      },
        {512,             512      },
        {513,             1024     },
        {BLOCK_MAX - 511, BLOCK_MAX},
        {BLOCK_MAX,       BLOCK_MAX},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        EXPECT_EQ(block_room(rows[i].length), rows[i].room);
    for (size_t len = 400; len < 600; len++) {
        struct buf b = {0};
        char bytes[600];
        memset(bytes, 'x', sizeof(bytes));
        block_begin(&b);
        block_put(&b, span_of(bytes, len), SPAN(""));
        block_close(&b, 1, 0, 0);
        EXPECT_EQ(b.len, block_room((uint32_t)(BLOCK_HEAD + 8 + len)));
        buf_fini(&b);
    }
}

TEST(an_empty_block_is_a_block)
{
    struct buf b = {0};
    struct block place = {.salt = 1}, got;
    block_begin(&b);
    block_close(&b, 0, 0, 0);
    block_seal(&b, &place);
    EXPECT_EQ(block_read(buf_span(&b), &got), OK);
    EXPECT_EQ(got.length, BLOCK_HEAD);
    EXPECT_EQ(block_check(&got, span_first(buf_span(&b), BLOCK_HEAD)), OK);
    buf_fini(&b);
}

TEST_MAIN(RUN(a_block_lies_on_disk_as_its_header_draws_it), RUN(what_is_read_is_what_was_put),
          RUN(every_flipped_bit_of_the_head_is_damage),
          RUN(every_flipped_bit_of_the_body_is_damage),
          RUN(a_head_with_numbers_that_no_writer_makes_is_damage),
          RUN(entries_and_counts_must_fill_the_body),
          RUN(an_entry_whose_lengths_are_cut_off_is_none),
          RUN(a_block_ends_where_the_next_may_begin), RUN(an_empty_block_is_a_block))
