#include "store/history_format.h"

#include <stdlib.h>
#include <zstd.h>

#include "base/hash.h"
#include "base/test.h"

TEST(a_name_is_the_start_in_hex)
{
    char name[HISTORY_NAME];
    uint64_t start = 7;
    history_name(name, 0xabcdef);
    EXPECT_SPAN(span_text(name), SPAN("0000000000abcdef.hist"));
    EXPECT(history_start(name, &start));
    EXPECT_EQ(start, 0xabcdef);
    static const char *const others[] = {"",
                                         "0000000000abcdef.seg",
                                         "0000000000abcdef.hist.new",
                                         "0000000000ABCDEF.hist",
                                         "abcdef.hist",
                                         "x000000000abcdef.hist"};
    for (size_t i = 0; i < COUNT(others); i++)
        EXPECT(!history_start(others[i], &start));
    EXPECT_EQ(start, 0xabcdef);
}

TEST(a_head_is_read_as_it_was_written_and_no_bit_may_change)
{
    const struct history_head head = {.start = 512,
                                      .end = 1 << 20,
                                      .epoch = 3,
                                      .oldest_ms = -5,
                                      .newest_ms = 1772619630123,
                                      .changes = 99,
                                      .before = 0x11223344,
                                      .after = 0x55667788,
                                      .hub_id = "0123456789abcde"};
    struct history_head got = {0};
    uint8_t bytes[HISTORY_HEAD];
    history_head_encode(&head, bytes);
    EXPECT_EQ(history_head_decode(test_at_edge(span_of(bytes, sizeof(bytes))).data, &got), OK);
    EXPECT_EQ(got.start, head.start);
    EXPECT_EQ(got.end, head.end);
    EXPECT_EQ(got.epoch, head.epoch);
    EXPECT_EQ(got.oldest_ms, head.oldest_ms);
    EXPECT_EQ(got.newest_ms, head.newest_ms);
    EXPECT_EQ(got.changes, head.changes);
    EXPECT_EQ(got.before, head.before);
    EXPECT_EQ(got.after, head.after);
    EXPECT(memcmp(got.hub_id, head.hub_id, sizeof(got.hub_id)) == 0);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_EQ(history_head_decode(bytes, &got), DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* -- entries and keys -- */

static const struct block_entry change = {SPAN_INIT("the effect"), SPAN_INIT("sealed")};
static const struct block_count count = {
    31, {7, 6, 5, 4}
};

TEST(entries_are_taken_as_they_were_put)
{
    struct buf b = {0};
    struct history_entry e;
    history_put_change(&b, 1024, 17, change);
    history_put_counts(&b, 1024, &count);
    history_put_change(&b, 2048, 0, (struct block_entry){{0}, {0}});
    struct span rest = test_at_edge(buf_span(&b));
    EXPECT_EQ(history_take(&rest, &e), OK);
    EXPECT(!e.is_counts);
    EXPECT_EQ(e.position, 1024);
    EXPECT_EQ(e.number, 17);
    EXPECT_SPAN(e.effect, change.effect);
    EXPECT_SPAN(e.sealed, change.sealed);
    EXPECT_EQ(history_take(&rest, &e), OK);
    EXPECT(e.is_counts);
    EXPECT_EQ(e.position, 1024);
    EXPECT_EQ(e.partition, 31);
    EXPECT(memcmp(&e.counts, &count.counts, sizeof(e.counts)) == 0);
    EXPECT_EQ(history_take(&rest, &e), OK);
    EXPECT_EQ(e.position, 2048);
    EXPECT_EQ(e.effect.len + e.sealed.len, 0);
    EXPECT_EQ(history_take(&rest, &e), NOT_FOUND);
    buf_fini(&b);
}

TEST(an_entry_that_is_cut_short_is_damage)
{
    struct buf whole[2] = {{0}, {0}};
    struct history_entry e;
    history_put_change(&whole[0], 1024, 17, change);
    history_put_counts(&whole[1], 1024, &count);
    for (size_t i = 0; i < COUNT(whole); i++) {
        for (size_t len = 1; len < whole[i].len; len++) {
            struct span rest = test_at_edge(span_first(buf_span(&whole[i]), len));
            EXPECT_EQ(history_take(&rest, &e), DAMAGED);
            EXPECT_EQ(rest.len, len);
        }
        whole[i].data[0] = 3; /* of no kind we know */
        struct span rest = buf_span(&whole[i]);
        EXPECT_EQ(history_take(&rest, &e), DAMAGED);
    }
    whole[1].data[0] = 2;
    store_u32le(whole[1].data + 4, STORE_PARTITIONS_MAX);
    struct span rest = buf_span(&whole[1]);
    EXPECT_EQ(history_take(&rest, &e), DAMAGED);
    buf_fini(&whole[0]);
    buf_fini(&whole[1]);
}

TEST(a_key_is_taken_as_it_was_put_and_whole)
{
    static const uint8_t chunks[] = {1, 0, 0, 0, 9, 0, 0, 0};
    const struct history_key key = {SPAN("\1\2device\0module"), span_of(chunks, sizeof(chunks))};
    struct history_key got;
    struct buf b = {0};
    history_put_key(&b, &key);
    struct span rest = test_at_edge(buf_span(&b));
    EXPECT_EQ(history_take_key(&rest, &got), OK);
    EXPECT_SPAN(got.key, key.key);
    EXPECT(span_eq(got.chunks, key.chunks));
    EXPECT_EQ(history_take_key(&rest, &got), NOT_FOUND);
    for (size_t len = 1; len < b.len; len++) {
        rest = test_at_edge(span_first(buf_span(&b), len));
        EXPECT_EQ(history_take_key(&rest, &got), DAMAGED);
    }
    store_u32le(b.data + 4, UINT32_MAX);
    rest = buf_span(&b);
    EXPECT_EQ(history_take_key(&rest, &got), DAMAGED);
    buf_fini(&b);
}

/* A replay whose effect is the store_key itself. */
static enum status bare_head(struct span effect, struct replay_head *out)
{
    if (effect.len != sizeof(struct store_key))
        return DAMAGED;
    memcpy(&out->key, effect.data, sizeof(out->key));
    out->time_ms = 5;
    return OK;
}

TEST(an_entity_that_cannot_be_is_nobody)
{
    static const char long_id[STORE_ID_MAX + 1] = {1};
    const struct span too_long = span_of(long_id, sizeof(long_id));
    const struct {
        struct store_key key;
        bool ok;
    } rows[] = {
        {{3, SPAN("d"), SPAN("m")},              true },
        {{3, SPAN("d"), {0}},                    true },
        {{0, {0}, SPAN("policy/x")},             true },
        {{STORE_PARTITIONS_MAX, SPAN("d"), {0}}, false},
        {{3, {0}, SPAN("policy/x")},             false},
        {{0, {0}, {0}},                          false},
        {{3, SPAN("d\0d"), {0}},                 false},
        {{3, SPAN("d"), SPAN("\0")},             false},
        {{3, too_long, {0}},                     false},
        {{3, SPAN("d"), too_long},               false},
    };
    const struct replay bare = {.head = bare_head};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct key key, want;
        int64_t ms = 0;
        struct span effect = span_of(&rows[i].key, sizeof(rows[i].key));
        EXPECT_EQ(history_whose(&bare, effect, &key, &ms), rows[i].ok);
        EXPECT_EQ(ms, rows[i].ok ? 5 : 0);
        if (!rows[i].ok)
            continue;
        key_encode(&want, &rows[i].key);
        EXPECT_SPAN(key_span(&key), key_span(&want));
    }
    struct key key;
    int64_t ms;
    EXPECT(!history_whose(&bare, SPAN("?"), &key, &ms));
}

/* -- frames -- */

TEST(a_frame_is_unpacked_only_as_it_was_packed)
{
    static const uint8_t raw[5000] = "content";
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_DCtx *d = ZSTD_createDCtx();
    struct buf frame = {0}, got = {0};
    struct history_piece piece = {0};
    history_pack(c, span_of(raw, sizeof(raw)), &frame, &piece);
    EXPECT_EQ(piece.length, frame.len);
    EXPECT_EQ(piece.raw, sizeof(raw));
    struct span in = test_at_edge(buf_span(&frame));
    EXPECT_EQ(history_unpack(d, &piece, in, &got), OK);
    EXPECT(span_eq(buf_span(&got), span_of(raw, sizeof(raw))));
    struct history_piece wrong = piece;
    wrong.crc++;
    EXPECT_EQ(history_unpack(d, &wrong, in, &got), DAMAGED);
    EXPECT_EQ(got.len, 0);
    wrong = piece;
    wrong.raw--;
    EXPECT_EQ(history_unpack(d, &wrong, in, &got), DAMAGED);
    wrong = piece;
    wrong.raw = HISTORY_RAW_MAX + 1;
    EXPECT_EQ(history_unpack(d, &wrong, in, &got), DAMAGED);
    EXPECT_EQ(history_unpack(d, &piece, span_first(in, in.len - 1), &got), DAMAGED);
    for (size_t i = 0; i < frame.len; i++) { /* the checksum is right, the frame is not */
        frame.data[i] ^= 0x55;
        wrong = piece;
        wrong.crc = hash_crc32c(0, buf_span(&frame));
        enum status st = history_unpack(d, &wrong, buf_span(&frame), &got);
        EXPECT(st == DAMAGED || got.len == sizeof(raw));
        frame.data[i] ^= 0x55;
    }
    buf_fini(&frame);
    buf_fini(&got);
    ZSTD_freeCCtx(c);
    ZSTD_freeDCtx(d);
}

/* -- footer -- */

enum { CHUNKS = 3, PAGES = 2, PIECE = 100, FOOTER_AT = HISTORY_HEAD + (CHUNKS + PAGES) * PIECE };

static struct history_chunk chunks[CHUNKS];
static struct history_page pages[PAGES];

static void reset_rows(void)
{
    for (size_t i = 0; i < CHUNKS; i++)
        chunks[i] = (struct history_chunk){
            {HISTORY_HEAD + i * PIECE, PIECE, 300, 1, 2},
            512 * i, (int64_t)i, (int64_t)i + 1
        };
    pages[0] = (struct history_page){
        {HISTORY_HEAD + CHUNKS * PIECE, PIECE, 300, 1, 2},
        SPAN("\0\1b")
    };
    pages[1] = (struct history_page){
        {HISTORY_HEAD + (CHUNKS + 1) * PIECE, PIECE, 300, 1, 2},
        SPAN("\0\1d")
    };
}

static enum status decode_rows(struct buf *b, uint8_t *trailer, struct history_footer *out)
{
    buf_clear(b);
    buf_u32le(b, CHUNKS);
    buf_u32le(b, PAGES);
    for (size_t i = 0; i < CHUNKS; i++)
        history_put_chunk(b, &chunks[i]);
    for (size_t i = 0; i < PAGES; i++)
        history_put_page(b, &pages[i]);
    history_trailer_encode(buf_span(b), trailer);
    return history_footer_decode(test_at_edge(buf_span(b)), trailer, FOOTER_AT, out);
}

TEST(a_footer_tells_where_everything_is)
{
    struct buf b = {0};
    uint8_t trailer[HISTORY_TRAILER];
    uint32_t len = 0;
    struct history_footer f;
    struct history_page page;
    reset_rows();
    EXPECT_EQ(decode_rows(&b, trailer, &f), OK);
    EXPECT_EQ(history_trailer_decode(trailer, &len), OK);
    EXPECT_EQ(len, b.len);
    EXPECT_EQ(f.chunks, CHUNKS);
    EXPECT_EQ(f.pages, PAGES);
    struct history_chunk c = history_chunk_get(&f, 2);
    EXPECT(memcmp(&c, &chunks[2], sizeof(c)) == 0);
    static const struct {
        struct span key;
        bool found;
        uint64_t at;
    } rows[] = {
        {SPAN_INIT("\0\1a"), false, 0                                  },
        {SPAN_INIT("\0\1b"), true,  HISTORY_HEAD + CHUNKS * PIECE      },
        {SPAN_INIT("\0\1c"), true,  HISTORY_HEAD + CHUNKS * PIECE      },
        {SPAN_INIT("\0\1d"), true,  HISTORY_HEAD + (CHUNKS + 1) * PIECE},
        {SPAN_INIT("\1"),    true,  HISTORY_HEAD + (CHUNKS + 1) * PIECE},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        EXPECT_EQ(history_page_find(&f, rows[i].key, &page), rows[i].found);
        if (rows[i].found)
            EXPECT_EQ(page.piece.at, rows[i].at);
    }
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 4;
        EXPECT_EQ(history_footer_decode(buf_span(&b), trailer, FOOTER_AT, &f), DAMAGED);
        b.data[i] ^= 4;
    }
    EXPECT_EQ(history_footer_decode(buf_span(&b), trailer, FOOTER_AT + 1, &f), DAMAGED);
    EXPECT_EQ(history_footer_decode(buf_span(&b), trailer, FOOTER_AT - 1, &f), DAMAGED);
    buf_fini(&b);
}

/* The checksum is right; what it checks is not. */
TEST(a_footer_that_does_not_add_up_is_damage)
{
    struct buf b = {0};
    uint8_t trailer[HISTORY_TRAILER];
    struct history_footer f;
    for (int fault = 0; fault < 11; fault++) {
        reset_rows();
        switch (fault) {
        case 0:
            chunks[0].piece.at++;
            break;
        case 1:
            chunks[1].piece.length++;
            break;
        case 2:
            chunks[2].piece.length = 0;
            break;
        case 3:
            chunks[1].piece.raw = HISTORY_RAW_MAX + 1;
            break;
        case 4:
            chunks[1].piece.raw = 0;
            break;
        case 5:
            chunks[1].position = 4096;
            break;
        case 6:
            chunks[1].oldest_ms = 5000;
            break;
        case 7:
            pages[0].first = pages[1].first;
            break;
        case 8:
            pages[1].piece.length = UINT32_MAX;
            break;
        case 9:
            pages[1].piece.at = UINT64_MAX - 10;
            break;
        case 10:
            pages[0].piece.at -= PIECE;
            break;
        }
        EXPECT_EQ_IN("fault", decode_rows(&b, trailer, &f), DAMAGED);
    }
    reset_rows();
    EXPECT_EQ(decode_rows(&b, trailer, &f), OK);
    static const uint32_t numbers[][2] = {
        {CHUNKS - 1, PAGES     },
        {CHUNKS + 1, PAGES     },
        {UINT32_MAX, PAGES     },
        {CHUNKS,     PAGES - 1 },
        {CHUNKS,     PAGES + 1 },
        {CHUNKS,     UINT32_MAX}
    };
    for (size_t i = 0; i < COUNT(numbers); i++) {
        store_u32le(b.data, numbers[i][0]);
        store_u32le(b.data + 4, numbers[i][1]);
        history_trailer_encode(buf_span(&b), trailer);
        EXPECT_EQ(history_footer_decode(buf_span(&b), trailer, FOOTER_AT, &f), DAMAGED);
    }
    buf_fini(&b);
}

TEST(a_trailer_is_bounded)
{
    static const uint8_t footer[HISTORY_FOOTER_MAX + 1];
    uint8_t trailer[HISTORY_TRAILER];
    uint32_t len = 0;
    history_trailer_encode(span_of(footer, 8), trailer);
    EXPECT_EQ(history_trailer_decode(trailer, &len), OK);
    trailer[15] ^= 1;
    EXPECT_EQ(history_trailer_decode(trailer, &len), DAMAGED);
    history_trailer_encode(span_of(footer, 7), trailer);
    EXPECT_EQ(history_trailer_decode(trailer, &len), DAMAGED);
    history_trailer_encode(span_of(footer, sizeof(footer)), trailer);
    EXPECT_EQ(history_trailer_decode(trailer, &len), DAMAGED);
    EXPECT_EQ(len, 8);
}

TEST_MAIN(RUN(a_name_is_the_start_in_hex),
          RUN(a_head_is_read_as_it_was_written_and_no_bit_may_change),
          RUN(entries_are_taken_as_they_were_put), RUN(an_entry_that_is_cut_short_is_damage),
          RUN(a_key_is_taken_as_it_was_put_and_whole), RUN(an_entity_that_cannot_be_is_nobody),
          RUN(a_frame_is_unpacked_only_as_it_was_packed), RUN(a_footer_tells_where_everything_is),
          RUN(a_footer_that_does_not_add_up_is_damage), RUN(a_trailer_is_bounded))
