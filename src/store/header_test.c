#include "store/store_fixture.h"

#include "base/hash.h"
#include "store/header.h"

static const struct header sample = {.features = HEADER_FEATURES,
                                     .epoch = 3,
                                     .epoch_minute = 0x010203,
                                     .partitions = 32,
                                     .hub_id = "0123456789abcde",
                                     .key_check = "check"};

static void sign(uint8_t *bytes)
{
    store_u32le(bytes + 124, hash_crc32c(0, span_of(bytes, 124)));
}

static enum status decode(const uint8_t *bytes, size_t len, struct buf *why)
{
    struct header out;
    buf_clear(why);
    enum status st = header_decode(test_at_edge(span_of(bytes, len)), &out, why);
    buf_byte(why, 0);
    return st;
}

TEST(a_header_decodes_to_what_it_was)
{
    uint8_t bytes[HEADER_BYTES];
    struct header out;
    struct buf why = {0};
    header_encode(&sample, bytes);
    EXPECT_SPAN(span_of(bytes, 16), SPAN("twinhub\n\1\0\0\0\x80\0\0\0"));
    EXPECT_SPAN(span_of(bytes + 40, 8), SPAN("\3\0\0\0\0\0\0\0"));
    EXPECT_SPAN(span_of(bytes + 84, 8), SPAN("\3\2\1\0\0\0\0\0"));
    EXPECT_EQ(header_decode(test_at_edge(span_of(bytes, sizeof(bytes))), &out, &why), OK);
    EXPECT(memcmp(&out, &sample, sizeof(out)) == 0);
    EXPECT_EQ(why.len, 0);
}

TEST(every_flipped_bit_and_every_other_length_is_damage)
{
    uint8_t bytes[HEADER_BYTES + 1] = {0};
    struct buf why = {0};
    header_encode(&sample, bytes);
    for (size_t bit = 0; bit < (size_t)HEADER_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_EQ(decode(bytes, HEADER_BYTES, &why), DAMAGED);
        EXPECT(why.len > 1);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < HEADER_BYTES; len++)
        EXPECT_EQ(decode(bytes, len, &why), DAMAGED);
    EXPECT_EQ(decode(bytes, HEADER_BYTES + 1, &why), DAMAGED);
    buf_fini(&why);
}

static const struct {
    const char *name;
    size_t at;
    uint32_t value;
    enum status want;
    const char *why; /* a part of it */
} rows[] = {
    {"a newer format",      8,  2,       BAD_ARGUMENT, "newer twinhub (format 2; this one reads up to 1)"},
    {"format 0",            8,  0,       DAMAGED,      "values no twinhub writes"                        },
    {"another length",      12, 64,      DAMAGED,      "values no twinhub writes"                        },
    {"unknown features",    16, 0x15,    BAD_ARGUMENT, "does not know (bits 4)"                          },
    {"two unknown ones",    16, 0x93,    BAD_ARGUMENT, "does not know (bits 4 7)"                        },
    {"no partitions",       48, 0,       DAMAGED,      "values no twinhub writes"                        },
    {"too many partitions", 48, 1025,    DAMAGED,      "values no twinhub writes"                        },
    {"a minute too late",   84, 8000001, DAMAGED,      "values no twinhub writes"                        },
};

TEST(what_cannot_be_used_is_refused_with_a_reason)
{
    struct buf why = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t bytes[HEADER_BYTES];
        header_encode(&sample, bytes);
        store_u32le(bytes + rows[i].at, rows[i].value);
        sign(bytes);
        EXPECT_EQ_IN(rows[i].name, decode(bytes, sizeof(bytes), &why), rows[i].want);
        EXPECT(strstr((const char *)why.data, rows[i].why) != NULL);
    }
    buf_fini(&why);
}

TEST(a_longer_header_of_a_newer_format_is_called_newer)
{
    uint8_t bytes[HEADER_BYTES + 1] = {0};
    struct buf why = {0};
    header_encode(&sample, bytes);
    store_u32le(bytes + 8, 2);
    store_u32le(bytes + 12, 256);
    sign(bytes);
    EXPECT_EQ(decode(bytes, sizeof(bytes), &why), BAD_ARGUMENT);
    buf_fini(&why);
}

TEST_MAIN(RUN(a_header_decodes_to_what_it_was),
          RUN(every_flipped_bit_and_every_other_length_is_damage),
          RUN(what_cannot_be_used_is_refused_with_a_reason),
          RUN(a_longer_header_of_a_newer_format_is_called_newer))
