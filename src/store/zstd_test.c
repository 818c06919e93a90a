/* What we rely on of libzstd, for history (history_chunk.h). */
#include <zstd.h>

#include "base/buf.h"
#include "base/test.h"

enum { RAW = 64 << 10 };

static uint8_t raw[RAW], packed[RAW + RAW / 2], again[RAW + 1];

/* Like changes: much that repeats, numbers that do not. */
static void fill(uint64_t seed)
{
    for (size_t i = 0; i < RAW; i++)
        raw[i] = i % 100 < 80 ? (uint8_t)(i % 100) : (uint8_t)test_random(&seed);
}

static size_t pack(ZSTD_CCtx *c)
{
    size_t n = ZSTD_compress2(c, packed, sizeof(packed), raw, RAW);
    EXPECT(!ZSTD_isError(n));
    return n;
}

TEST(a_frame_gives_back_what_was_put_in)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_DCtx *d = ZSTD_createDCtx();
    EXPECT(ZSTD_compressBound(RAW) <= sizeof(packed));
    for (uint64_t seed = 1; seed <= 20; seed++) {
        fill(seed);
        size_t n = pack(c);
        EXPECT(n < RAW / 2);
        EXPECT_EQ(ZSTD_decompressDCtx(d, again, sizeof(again), packed, n), RAW);
        EXPECT(memcmp(raw, again, RAW) == 0);
    }
    ZSTD_freeCCtx(c);
    ZSTD_freeDCtx(d);
}

TEST(a_frame_says_how_long_its_content_is)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    fill(1);
    size_t n = pack(c);
    EXPECT_EQ(ZSTD_getFrameContentSize(packed, n), RAW);
    EXPECT_EQ(ZSTD_findFrameCompressedSize(packed, n), n);
    EXPECT_EQ(ZSTD_getFrameContentSize("not a frame at all", 18), ZSTD_CONTENTSIZE_ERROR);
    ZSTD_freeCCtx(c);
}

TEST(a_frame_does_not_write_beyond_its_room)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_DCtx *d = ZSTD_createDCtx();
    fill(1);
    size_t n = pack(c);
    again[RAW - 1] = 0x5a;
    EXPECT(ZSTD_isError(ZSTD_decompressDCtx(d, again, RAW - 1, packed, n)));
    EXPECT_EQ(again[RAW - 1], 0x5a);
    EXPECT(ZSTD_isError(ZSTD_compress2(c, packed, 100, raw, RAW)));
    ZSTD_freeCCtx(c);
    ZSTD_freeDCtx(d);
}

TEST(a_frame_that_is_cut_short_is_refused)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_DCtx *d = ZSTD_createDCtx();
    fill(1);
    size_t n = pack(c);
    for (size_t len = 1; len < n; len += 97) {
        struct span cut = test_at_edge(span_of(packed, len));
        EXPECT(ZSTD_isError(ZSTD_decompressDCtx(d, again, sizeof(again), cut.data, cut.len)));
    }
    ZSTD_freeCCtx(c);
    ZSTD_freeDCtx(d);
}

/* Our own checksum is looked at first; this is for a file that was made to deceive. */
TEST(a_changed_frame_harms_nobody)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_DCtx *d = ZSTD_createDCtx();
    uint64_t seed = 7;
    fill(1);
    size_t n = pack(c);
    for (int i = 0; i < 2000; i++) {
        size_t at = test_random(&seed) % n;
        uint8_t was = packed[at];
        packed[at] ^= (uint8_t)(1 + test_random(&seed) % 255);
        size_t got = ZSTD_decompressDCtx(d, again, RAW, packed, n);
        EXPECT(ZSTD_isError(got) || got <= RAW);
        packed[at] = was;
    }
    EXPECT_EQ(ZSTD_decompressDCtx(d, again, RAW, packed, n), RAW); /* and the context is sound */
    ZSTD_freeCCtx(c);
    ZSTD_freeDCtx(d);
}

TEST_MAIN(RUN(a_frame_gives_back_what_was_put_in), RUN(a_frame_says_how_long_its_content_is),
          RUN(a_frame_does_not_write_beyond_its_room), RUN(a_frame_that_is_cut_short_is_refused),
          RUN(a_changed_frame_harms_nobody))
