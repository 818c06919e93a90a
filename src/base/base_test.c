#include "base/test.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/status.h"
#include "base/text.h"

static struct buf out;

static struct span printed(void)
{
    return buf_span(&out);
}

TEST(base64_decodes_what_it_encodes_and_refuses_the_rest)
{
    uint8_t bytes[64], back[64];
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(i * 37 + n);
        buf_clear(&out);
        text_put_base64(&out, span_of(bytes, n));
        size_t len = 99;
        EXPECT(text_base64(test_at_edge(printed()), back, sizeof(back), &len));
        EXPECT_SPAN(span_of(back, len), span_of(bytes, n));
    }
    static const char *const bad[] = {
        "A", "AA", "AAA", "A===", "AB==", "AAB=", "AA=A", "A*==", "====", "AA==AAAA"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        size_t len;
        EXPECT_EQ_IN(bad[i], text_base64(span_text(bad[i]), back, sizeof(back), &len), false);
    }
    size_t len;
    EXPECT(!text_base64(SPAN("AAAA"), back, 2, &len));
}

TEST(hex_takes_both_cases)
{
    uint8_t bytes[4];
    size_t len;
    EXPECT(text_hex(SPAN("0aFf"), bytes, sizeof(bytes), &len));
    EXPECT_SPAN(span_of(bytes, len), SPAN("\x0a\xff"));
    EXPECT(!text_hex(SPAN("0"), bytes, sizeof(bytes), &len));
    EXPECT(!text_hex(SPAN("0g"), bytes, sizeof(bytes), &len));
    EXPECT(!text_hex(SPAN("0011223344"), bytes, sizeof(bytes), &len));
}

static const struct {
    int64_t wall_ms;
    const char *text;
} times[] = {
    {TIME_NEVER,      "0001-01-01T00:00:00Z"    },
    {0,               "1970-01-01T00:00:00Z"    },
    {-1,              "1969-12-31T23:59:59.999Z"},
    {951782400000,    "2000-02-29T00:00:00Z"    },
    {1772619630500,   "2026-03-04T10:20:30.5Z"  },
    {1772619630120,   "2026-03-04T10:20:30.12Z" },
    {253402300799999, "9999-12-31T23:59:59.999Z"},
};

TEST(times_are_printed_as_the_service_prints_them)
{
    for (size_t i = 0; i < COUNT(times); i++) {
        buf_clear(&out);
        text_put_time(&out, times[i].wall_ms);
        EXPECT_SPAN_IN(times[i].text, printed(), span_text(times[i].text));
    }
    buf_clear(&out);
    text_put_time_digits(&out, 1772619630500, 7);
    EXPECT_SPAN(printed(), SPAN("2026-03-04T10:20:30.5000000Z"));
    buf_clear(&out);
    text_put_time_us(&out, 1772619630500);
    EXPECT_SPAN(printed(), SPAN("03/04/2026 10:20:30"));
}

TEST(json_strings_are_escaped)
{
    buf_clear(&out);
    text_put_json(&out, SPAN("a\"\\\n\r\t\x01\x7f\xc3\xa4"));
    EXPECT_SPAN(printed(), SPAN("\"a\\\"\\\\\\n\\r\\t\\u0001\\u007f\xc3\xa4\""));
    buf_clear(&out);
    text_put_json_any(&out, SPAN("\xff\xc2\x85\xe2\x80\xae\xc3\xa4\n"));
    EXPECT_SPAN(printed(), SPAN("\"\xef\xbf\xbd\\u0085\\u202e\xc3\xa4\\n\""));
}

/* The reference: decode by the definition, then check what a code point must satisfy. */
static size_t reference_utf8_len(struct span s)
{
    uint8_t c = s.data[0];
    size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
    if (n == 0 || s.len < n)
        return 0;
    uint32_t code = n == 1 ? c : c & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (s.data[i] >> 6 != 2)
            return 0;
        code = code << 6 | (s.data[i] & 63);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool ok = code >= least[n] && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return ok ? n : 0;
}

TEST(utf8_agrees_with_its_definition_on_every_three_byte_text)
{
    uint8_t s[4];
    for (uint32_t v = 0; v < 1u << 24; v++) {
        s[0] = (uint8_t)(v >> 16), s[1] = (uint8_t)(v >> 8), s[2] = (uint8_t)v;
        struct span text = span_of(s, 3);
        if (text_utf8_len(text) != reference_utf8_len(text))
            fail_msg("%06x", v);
    }
    uint64_t seed = 22;
    for (int i = 0; i < 10000000; i++) {
        uint32_t v = (uint32_t)test_random(&seed) | 0xf0000000;
        s[0] = (uint8_t)(v >> 24), s[1] = (uint8_t)(v >> 16), s[2] = (uint8_t)(v >> 8);
        s[3] = (uint8_t)v;
        struct span text = span_of(s, 4);
        if (text_utf8_len(text) != reference_utf8_len(text))
            fail_msg("%08x", v);
    }
    EXPECT(text_is_utf8(SPAN("12345678\xc3\xa4 12345678")));
    EXPECT(!text_is_utf8(SPAN("12345678\xc3")));
}

TEST(numbers_stop_at_their_edges)
{
    uint64_t u;
    int64_t i;
    EXPECT(text_u64(SPAN("18446744073709551615"), &u) && u == UINT64_MAX);
    EXPECT(!text_u64(SPAN("18446744073709551616"), &u));
    EXPECT(!text_u64(SPAN(""), &u) && !text_u64(SPAN("1a"), &u) && !text_u64(SPAN("+1"), &u));
    EXPECT(text_i64(SPAN("-9223372036854775808"), &i) && i == INT64_MIN);
    EXPECT(!text_i64(SPAN("9223372036854775808"), &i) && !text_i64(SPAN("-"), &i));
    buf_clear(&out);
    buf_i64(&out, INT64_MIN);
    EXPECT_SPAN(printed(), SPAN("-9223372036854775808"));
}

TEST(hashes_are_the_published_ones)
{
    EXPECT_EQ(hash_crc32c(0, SPAN("123456789")), 0xe3069283);
    EXPECT_EQ(hash_crc32c_by_table(0, SPAN("123456789")), 0xe3069283);
    for (size_t n = 0; n < 40; n++) {
        struct span s =
            test_at_edge(span_first(SPAN("0123456789abcdefghijklmnopqrstuvwxyzABCD"), n));
        EXPECT_EQ(hash_crc32c((uint32_t)n, s), hash_crc32c_by_table((uint32_t)n, s));
    }
    EXPECT_EQ(hash_crc32c(hash_crc32c(0, SPAN("12345")), SPAN("6789")), 0xe3069283);
    EXPECT_EQ(hash_partition(SPAN("pump-07"), 1), 0);
    /* Fixed for ever: a changed value here would lose every stored record. */
    EXPECT_EQ(hash_partition(SPAN("pump-07"), 32), 5);
    EXPECT_EQ(hash_partition(SPAN("soil-0042"), 32), 26);
    struct hash_key key = {1, 2};
    EXPECT(hash_keyed(key, SPAN("a")) != hash_keyed(key, SPAN("b")));
    EXPECT(hash_keyed(key, SPAN("12345678a")) !=
           hash_keyed((struct hash_key){1, 3}, SPAN("12345678a")));
}

struct item {
    struct map_node node;
    int value;
};

static bool item_equal(const struct map_node *node, const void *key)
{
    return ((const struct item *)(const void *)node)->value == *(const int *)key;
}

TEST(map_finds_what_was_added_until_it_is_removed)
{
    static struct item items[1000];
    struct map m = {0};
    for (int i = 0; i < 1000; i++) {
        items[i].value = i;
        map_add(&m, (uint64_t)i % 7, &items[i].node); /* many collisions */
    }
    for (int i = 0; i < 1000; i++)
        EXPECT(map_find(&m, (uint64_t)i % 7, item_equal, &i) == &items[i].node);
    for (int i = 0; i < 1000; i += 2)
        map_remove(&m, &items[i].node);
    size_t seen = 0;
    MAP_EACH(at, &m)
    {
        EXPECT(CONTAINER_OF(at, struct item, node)->value % 2 == 1);
        seen++;
    }
    EXPECT_EQ(seen, 500);
    map_fini(&m);
}

TEST(arena_hands_out_what_it_has_and_no_more)
{
    static _Alignas(16) uint8_t block[256];
    struct arena a;
    arena_init(&a, block, sizeof(block));
    EXPECT(arena_alloc(&a, 100) != NULL);
    EXPECT(arena_alloc(&a, 200) == NULL);
    EXPECT(arena_bytes(&a, SIZE_MAX) == NULL);
    size_t mark = arena_mark(&a);
    EXPECT_SPAN(arena_copy(&a, SPAN("abc")), SPAN("abc"));
    arena_release(&a, mark);
    EXPECT_EQ(arena_left(&a), 156);
    arena_reset(&a);
    EXPECT(arena_alloc(&a, 256) != NULL);
}

TEST(a_log_line_is_one_line_whatever_it_is_given)
{
    buf_clear(&out);
    log_begin(&out, false, (struct now){0, 0}, LOG_WARN, "closing");
    log_text(&out, false, "device", SPAN("d1"));
    log_text(&out, false, "why", SPAN("a b\n\x1b[2J"));
    log_number(&out, false, "n", -1);
    log_end(&out, false);
    EXPECT_SPAN(printed(), SPAN("1970-01-01T00:00:00.000Z level=warn msg=\"closing\" device=d1 "
                                "why=\"a b\\n\\u001b[2J\" n=-1\n"));
    buf_clear(&out);
    log_begin(&out, true, (struct now){0, 0}, LOG_INFO, "x");
    log_text(&out, true, "device", SPAN("d\r\n"));
    log_end(&out, true);
    EXPECT_SPAN(printed(), SPAN("{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\","
                                "\"msg\":\"x\",\"device\":\"d\\r\\n\"}\n"));
    enum log_level level;
    EXPECT(log_level_parse(SPAN("Debug"), &level) && level == LOG_DEBUG);
    EXPECT(!log_level_parse(SPAN("loud"), &level));
}

TEST(every_status_has_its_row)
{
    for (int st = 0; st < STATUS_COUNT; st++)
        EXPECT(status_get((enum status)st)->text != NULL);
    EXPECT_EQ(status_get(NO_DEVICE)->code, 404001);
}

TEST_MAIN(RUN(base64_decodes_what_it_encodes_and_refuses_the_rest), RUN(hex_takes_both_cases),
          RUN(times_are_printed_as_the_service_prints_them), RUN(json_strings_are_escaped),
          RUN(utf8_agrees_with_its_definition_on_every_three_byte_text),
          RUN(numbers_stop_at_their_edges), RUN(hashes_are_the_published_ones),
          RUN(map_finds_what_was_added_until_it_is_removed),
          RUN(arena_hands_out_what_it_has_and_no_more),
          RUN(a_log_line_is_one_line_whatever_it_is_given), RUN(every_status_has_its_row))
