#include "base/test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"

/* ---- buffers ---- */

TEST(a_buffer_grows_and_keeps_what_it_holds)
{
    struct buf b = {0};
    buf_put(&b, (struct span){0});
    EXPECT(!b.data);
    for (uint32_t i = 0; i < 10000; i++)
        buf_u32le(&b, i);
    EXPECT_EQ(b.len, 40000);
    EXPECT(b.cap >= b.len && b.cap <= 2 * b.len);
    for (uint32_t i = 0; i < 10000; i++)
        EXPECT_EQ(load_u32le(b.data + 4 * (size_t)i), i);
    buf_consume(&b, 39996);
    EXPECT_EQ(load_u32le(b.data), 9999);
    size_t cap = b.cap;
    buf_reserve(&b, cap - b.len);
    EXPECT_EQ(b.cap, cap);
    buf_reserve(&b, cap - b.len + 1);
    EXPECT(b.cap > cap);
    buf_consume(&b, 4);
    EXPECT_EQ(b.len, 0);
    buf_consume(&b, 0);
    buf_fini(&b);
    EXPECT(!b.data && b.cap == 0);
    buf_u64le(&b, 0x0102030405060708); /* usable after */
    EXPECT_SPAN(buf_span(&b), SPAN("\x08\x07\x06\x05\x04\x03\x02\x01"));
    EXPECT_EQ(load_u64le(b.data), 0x0102030405060708);
    buf_fini(&b);
}

TEST(texts_and_numbers_are_appended)
{
    struct buf b = {0};
    buf_text(&b, "");
    buf_byte(&b, '[');
    buf_u64(&b, 0);
    buf_byte(&b, ' ');
    buf_u64(&b, UINT64_MAX);
    buf_byte(&b, ' ');
    buf_i64(&b, -12);
    buf_byte(&b, ' ');
    buf_i64(&b, 12);
    buf_printf(&b, " %s%05d", "x", 42);
    buf_printf(&b, "%200s]", "");
    EXPECT_SPAN(span_first(buf_span(&b), 37), SPAN("[0 18446744073709551615 -12 12 x00042"));
    EXPECT_EQ(b.len, 37 + 201);
    EXPECT_EQ(b.data[b.len - 1], ']');
    buf_fini(&b);
}

/* ---- lists ---- */

struct bead {
    struct list link;
    int value;
};

static int sum_of(struct list *head)
{
    int sum = 0;
    LIST_EACH(at, head)
    {
        sum = sum * 10 + CONTAINER_OF(at, struct bead, link)->value;
    }
    return sum;
}

TEST(a_list_keeps_its_order_whatever_is_taken_out)
{
    struct list head;
    struct bead beads[5] = {0};
    list_init(&head);
    EXPECT(list_empty(&head));
    EXPECT(!list_take_first(&head));
    list_remove(&beads[0].link); /* never linked: harmless */
    EXPECT(!list_linked(&beads[0].link));
    for (int i = 0; i < 5; i++) {
        beads[i].value = i + 1;
        list_append(&head, &beads[i].link);
        EXPECT(list_linked(&beads[i].link));
    }
    EXPECT_EQ(sum_of(&head), 12345);
    list_remove(&beads[2].link);
    list_remove(&beads[2].link);
    EXPECT(!list_linked(&beads[2].link));
    EXPECT_EQ(sum_of(&head), 1245);
    list_append(&beads[1].link, &beads[2].link); /* before the second */
    EXPECT_EQ(sum_of(&head), 13245);
    EXPECT(list_take_first(&head) == &beads[0].link);
    LIST_EACH_SAFE(at, &head)
    {
        if (CONTAINER_OF(at, struct bead, link)->value % 2 == 0)
            list_remove(at);
    }
    EXPECT_EQ(sum_of(&head), 35);
}

/* ---- maps ---- */

struct item {
    struct map_node node;
    uint64_t value;
};

static bool item_equal(const struct map_node *node, const void *key)
{
    return ((const struct item *)(const void *)node)->value == *(const uint64_t *)key;
}

/* Against an array of what is in it. */
TEST(a_map_agrees_with_a_plain_array_while_it_grows)
{
    enum { ITEMS = 5000 };
    static struct item items[ITEMS];
    static bool in[ITEMS];
    struct map m = {0};
    uint64_t seed = 11, missing = ITEMS;
    size_t count = 0;
    EXPECT(!map_find(&m, 1, item_equal, &missing));
    for (int n = 0; n < 100000; n++) {
        uint64_t i = test_random(&seed) % ITEMS, hash = i * 0x9e3779b97f4a7c15;
        items[i].value = i;
        struct map_node *found = map_find(&m, hash, item_equal, &i);
        EXPECT(found == (in[i] ? &items[i].node : NULL));
        if (in[i])
            map_remove(&m, &items[i].node);
        else
            map_add(&m, hash, &items[i].node);
        in[i] = !in[i];
        count += in[i] ? 1 : (size_t)-1;
        EXPECT_EQ(m.count, count);
        EXPECT_EQ(m.slot_count & (m.slot_count - 1), 0);
        EXPECT(m.count <= m.slot_count);
        if (n == 50000) {
            map_reserve(&m, ITEMS * 3);
            EXPECT(m.slot_count >= ITEMS * 3UL && m.slot_count < ITEMS * 6UL);
        }
        if (n == 50001) {
            size_t slots = m.slot_count;
            map_reserve(&m, 1);
            EXPECT_EQ(m.slot_count, slots);
        }
    }
    size_t seen = 0;
    MAP_EACH(at, &m)
    {
        struct item *item = (struct item *)(void *)at;
        EXPECT(in[item->value]);
        map_remove(&m, at); /* the body may */
        seen++;
    }
    EXPECT_EQ(seen, count);
    EXPECT_EQ(m.count, 0);
    map_fini(&m);
}

/* ---- arenas ---- */

TEST(an_arena_gives_zeroed_aligned_memory_and_takes_back_to_a_mark)
{
    static _Alignas(16) uint8_t block[1024];
    struct arena a;
    memset(block, 0xff, sizeof(block));
    arena_init(&a, block, sizeof(block));
    uint8_t *byte = arena_bytes(&a, 1);
    EXPECT(byte != NULL);
    uint8_t *whole = arena_alloc(&a, 40);
    EXPECT_EQ((uintptr_t)whole % _Alignof(max_align_t), 0);
    for (int i = 0; i < 40; i++)
        EXPECT_EQ(whole[i], 0);
    size_t mark = arena_mark(&a);
    uint8_t *text = arena_bytes(&a, 100);
    memset(text, 'a', 100);
    arena_trim(&a, text + 3);
    EXPECT_EQ(arena_left(&a), 1024 - (size_t)(text + 3 - block));
    arena_release(&a, mark);
    EXPECT_EQ(arena_mark(&a), mark);
    EXPECT(!arena_copy(&a, span_of(block, 2000)).data);
    EXPECT(!arena_alloc(&a, SIZE_MAX));
    EXPECT(arena_copy(&a, (struct span){0}).data != NULL); /* empty, and no refusal */
    EXPECT(arena_bytes(&a, arena_left(&a) - 8) != NULL);
    EXPECT(!arena_bytes(&a, 16));
    EXPECT(!arena_alloc(&a, 16));
    arena_reset(&a);
    EXPECT_EQ(arena_left(&a), 1024);
    arena_fini(&a);
}

/* ---- hashes ---- */

/* The reference: a bit at a time. */
static uint32_t slow_crc32c(const uint8_t *bytes, size_t len)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

TEST(a_checksum_is_the_same_however_it_is_cut)
{
    uint8_t bytes[100];
    uint64_t seed = 5;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)test_random(&seed);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct span s = test_at_edge(span_of(bytes, len));
        uint32_t want = slow_crc32c(bytes, len), split = hash_crc32c(0, span_first(s, len / 3));
        EXPECT_EQ(hash_crc32c(0, s), want);
        EXPECT_EQ(hash_crc32c(split, span_skip(s, len / 3)), want);
    }
}

/* The reference: the paper's state as an array, every block put together byte by byte. */
static uint64_t slow_siphash13(const uint8_t key[16], const uint8_t *bytes, size_t len)
{
    uint64_t k0 = load_u64le(key), k1 = load_u64le(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    size_t blocks = len / 8 + 1;
    for (size_t n = 0; n < blocks + 3; n++) {
        uint64_t m = 0;
        for (size_t i = 0; n < blocks && i < 8; i++)
            if (n * 8 + i < len)
                m |= (uint64_t)bytes[n * 8 + i] << (8 * i);
        if (n == blocks - 1)
            m |= (uint64_t)len << 56;
        if (n == blocks)
            v[2] ^= 0xff;
        v[3] ^= m;
        v[0] += v[1], v[1] = v[1] << 13 | v[1] >> 51, v[1] ^= v[0], v[0] = v[0] << 32 | v[0] >> 32;
        v[2] += v[3], v[3] = v[3] << 16 | v[3] >> 48, v[3] ^= v[2];
        v[0] += v[3], v[3] = v[3] << 21 | v[3] >> 43, v[3] ^= v[0];
        v[2] += v[1], v[1] = v[1] << 17 | v[1] >> 47, v[1] ^= v[2], v[2] = v[2] << 32 | v[2] >> 32;
        v[0] ^= m;
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

TEST(a_keyed_hash_is_siphash_1_3)
{
    uint8_t key[16], bytes[64];
    for (uint8_t i = 0; i < 64; i++)
        bytes[i] = i;
    memcpy(key, bytes, sizeof(key));
    struct hash_key k = {load_u64le(key), load_u64le(key + 8)};
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct span s = test_at_edge(span_of(bytes, len));
        EXPECT_EQ((long long)hash_keyed(k, s), (long long)slow_siphash13(key, bytes, len));
    }
}

TEST(devices_spread_over_partitions)
{
    enum { DEVICES = 32000 };
    unsigned counts[32] = {0};
    for (int i = 0; i < DEVICES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "device-%d", i);
        counts[hash_partition(span_text(id), 32)]++;
    }
    for (int p = 0; p < 32; p++)
        EXPECT(counts[p] > DEVICES / 32 * 3 / 4 && counts[p] < DEVICES / 32 * 5 / 4);
}

/* ---- texts ---- */

TEST(what_is_unsafe_in_a_log_is_escaped)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
         "\"plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\""                                   },
        {"\"\\\n\r\t\x01\x7f",                           "\"\\\"\\\\\\n\\r\\t\\u0001\\u007f\""},
        {"\xc2\x80\xc2\x9f\xc2\xa0",                     "\"\\u0080\\u009f\xc2\xa0\""         },
        {"\xe2\x80\x8b\xe2\x80\x8f\xe2\x80\x90",         "\"\\u200b\\u200f\xe2\x80\x90\""     },
        {"\xe2\x80\xa8\xe2\x80\xae\xe2\x80\xaf",         "\"\\u2028\\u202e\xe2\x80\xaf\""     },
        {"\xe2\x81\xa0\xe2\x81\xaf\xe2\x81\xb0",         "\"\\u2060\\u206f\xe2\x81\xb0\""     },
        {"\xef\xbb\xbf\xd8\x9c\xe2\x80\x8a",             "\"\\ufeff\\u061c\xe2\x80\x8a\""     },
        {"\xff\xc3\xed\xa0\x80",
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""                   },
        {"",                                             "\"\""                               },
    };
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&b);
        text_put_json_any(&b, test_at_edge(span_text(rows[i].text)));
        EXPECT_SPAN_IN(rows[i].want, buf_span(&b), span_text(rows[i].want));
    }
    buf_fini(&b);
}

TEST(spans_compare_as_bytes)
{
    static const struct {
        struct span a, b;
        int order;
    } rows[] = {
        {{0},               {0},             0 },
        {SPAN_INIT("a"),    {0},             1 },
        {{0},               SPAN_INIT("a"),  -1},
        {SPAN_INIT("a"),    SPAN_INIT("a"),  0 },
        {SPAN_INIT("a"),    SPAN_INIT("ab"), -1},
        {SPAN_INIT("b"),    SPAN_INIT("ab"), 1 },
        {SPAN_INIT("\xff"), SPAN_INIT("a"),  1 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int got = span_compare(rows[i].a, rows[i].b);
        EXPECT_EQ((got > 0) - (got < 0), rows[i].order);
        EXPECT_EQ(span_eq(rows[i].a, rows[i].b), rows[i].order == 0);
    }
    EXPECT(span_eq_nocase(SPAN("aZ"), SPAN("Az")) && !span_eq_nocase(SPAN("a"), SPAN("b")));
    EXPECT(!span_eq_nocase(SPAN("a"), SPAN("ab")) && span_eq_nocase(SPAN(""), (struct span){0}));
    EXPECT(span_starts(SPAN("abc"), SPAN("ab")) && !span_starts(SPAN("abc"), SPAN("b")));
    EXPECT(span_starts((struct span){0}, SPAN("")) && !span_starts(SPAN("a"), SPAN("ab")));
    EXPECT_EQ(span_index(SPAN("abc"), 'c'), 2);
    EXPECT_EQ(span_index(SPAN("abc"), 'd'), 3);
    EXPECT_EQ(span_index((struct span){0}, 'd'), 0);
    EXPECT_EQ(span_text(NULL).len, 0);
    EXPECT_EQ(span_skip((struct span){0}, 0).len, 0);
    EXPECT_SPAN(span_first(SPAN("abc"), 9), SPAN("abc"));
}

TEST(a_uuid_says_that_it_is_random)
{
    uint8_t bytes[16];
    struct buf b = {0};
    memset(bytes, 0xff, sizeof(bytes));
    text_put_uuid(&b, bytes);
    EXPECT_SPAN(buf_span(&b), SPAN("ffffffff-ffff-4fff-bfff-ffffffffffff"));
    buf_clear(&b);
    memset(bytes, 0, sizeof(bytes));
    text_put_uuid(&b, bytes);
    EXPECT_SPAN(buf_span(&b), SPAN("00000000-0000-4000-8000-000000000000"));
    buf_fini(&b);
}

/* ---- log ---- */

TEST(log_values_are_quoted_only_when_they_must_be)
{
    static const struct {
        const char *value, *plain, *json;
    } rows[] = {
        {"d1",       " v=d1",           ",\"v\":\"d1\""      },
        {"",         " v=\"\"",         ",\"v\":\"\""        },
        {"a b",      " v=\"a b\"",      ",\"v\":\"a b\""     },
        {"a=b",      " v=\"a=b\"",      ",\"v\":\"a=b\""     },
        {"a\"b",     " v=\"a\\\"b\"",   ",\"v\":\"a\\\"b\""  },
        {"a\\b",     " v=\"a\\\\b\"",   ",\"v\":\"a\\\\b\""  },
        {"\xc3\xa4", " v=\"\xc3\xa4\"", ",\"v\":\"\xc3\xa4\""},
        {"\x7f",     " v=\"\\u007f\"",  ",\"v\":\"\\u007f\"" },
    };
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int json = 0; json < 2; json++) {
            buf_clear(&b);
            log_text(&b, json, "v", span_text(rows[i].value));
            EXPECT_SPAN(buf_span(&b), span_text(json ? rows[i].json : rows[i].plain));
        }
    }
    buf_clear(&b);
    log_begin(&b, true, (struct now){0}, LOG_ERROR, "x");
    log_number(&b, true, "n", INT64_MIN);
    log_end(&b, true);
    EXPECT_SPAN(buf_span(&b),
                SPAN("{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"error\",\"msg\":\"x\","
                     "\"n\":-9223372036854775808}\n"));
    buf_fini(&b);
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        enum log_level parsed;
        EXPECT(log_level_parse(span_text(log_level_name((enum log_level)level)), &parsed));
        EXPECT_EQ(parsed, level);
    }
}

/* ---- the end ---- */

static int exit_of(void (*run)(void))
{
    fflush(NULL);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        run();
        _exit(0);
    }
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void fail_a_check(void)
{
    CHECK(1 + 1 == 2);
    CHECK(1 + 1 == 3);
}

TEST(a_bug_stops_the_process_and_so_does_the_end_of_memory)
{
    int bug = exit_of(fail_a_check);
    EXPECT(bug == -6 || bug == 1); /* SIGABRT; a sanitizer turns it into an exit */
    EXPECT_EQ(exit_of(check_no_memory), 70);
}

TEST_MAIN(RUN(a_buffer_grows_and_keeps_what_it_holds), RUN(texts_and_numbers_are_appended),
          RUN(a_list_keeps_its_order_whatever_is_taken_out),
          RUN(a_map_agrees_with_a_plain_array_while_it_grows),
          RUN(an_arena_gives_zeroed_aligned_memory_and_takes_back_to_a_mark),
          RUN(a_checksum_is_the_same_however_it_is_cut), RUN(a_keyed_hash_is_siphash_1_3),
          RUN(devices_spread_over_partitions), RUN(what_is_unsafe_in_a_log_is_escaped),
          RUN(spans_compare_as_bytes), RUN(a_uuid_says_that_it_is_random),
          RUN(log_values_are_quoted_only_when_they_must_be),
          RUN(a_bug_stops_the_process_and_so_does_the_end_of_memory))
