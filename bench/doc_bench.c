/* doc_bench — what documents cost: one small write, and the worst ones a peer can send.
 *
 *   doc_bench               the best of several rounds, in nanoseconds or milliseconds
 *   doc_bench --count N     N small writes and nothing else, for callgrind
 *   doc_bench --worst MS    the worst ones alone: none may take longer, or more memory than
 *                           MEMORY_MAX
 *   doc_bench --linear R2   documents of 1 KiB to 512 KiB: the line through their times must
 *                           explain more than this share of them (0.99; of a square's it
 *                           explains 0.92, of n^1.5 0.97)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "doc/doc.h"

enum { ARENA_SIZE = 64 << 20, MEMORY_MAX = 4 << 20, ROUNDS = 9, WRITES = 20000 };

static struct arena arena;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other work on the machine does not count */
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(enum status st)
{
    if (st == OK)
        return;
    fprintf(stderr, "doc_bench: %s\n", status_name(st));
    exit(1);
}

static const struct doc_write desired = {
    .section = DOC_DESIRED, .limits = &doc_limits_azure, .now_ms = 1772619630500, .version = 7};

static struct span parse(struct span json)
{
    struct span doc;
    must(doc_parse(json, &doc_limits_azure.syntax, &arena, &doc));
    return doc;
}

static struct span write_section(struct span old, struct span json, const struct doc_write *w)
{
    struct doc_result result;
    struct doc_fault fault;
    must(doc_patch(old, doc_root(parse(json)), w, &arena, &result, &fault));
    return result.section;
}

/* ---- one small write ---------------------------------------------------------------------- */

static const char section_json[] =
    "{\"firmware\":{\"version\":\"4.11.2-rc1\",\"url\":\"https://updates.example.com/pump/4.11.2\","
    "\"checksum\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"},"
    "\"telemetry\":{\"interval\":30,\"batch\":12,\"enabled\":true,\"fields\":[\"temp\",\"rpm\","
    "\"pressure\",\"flow\"]},\"network\":{\"apn\":\"iot.example\",\"retry\":{\"max\":5,\"backoff\":"
    "1.5},\"proxy\":\"\",\"dns\":[\"10.0.0.1\",\"10.0.0.2\"]},\"limits\":{\"temp\":{\"low\":-20,"
    "\"high\":85.5},\"rpm\":{\"low\":0,\"high\":3600},\"pressure\":{\"low\":0.2,\"high\":9.8}},"
    "\"schedule\":{\"start\":\"06:00\",\"stop\":\"22:30\",\"days\":[1,2,3,4,5],\"zone\":"
    "\"Europe/Berlin\"},\"site\":\"north-hall-3\",\"line\":\"packaging\",\"owner\":"
    "\"maintenance@example.com\",\"mode\":\"eco\",\"rate\":30,\"debug\":false,\"contract\":"
    "\"C-2026-004711\",\"note\":\"inspected; bearings to be replaced in spring\"}";
static const char patch_json[] =
    "{\"rate\":45,\"mode\":\"boost\",\"telemetry\":{\"interval\":10,\"enabled\":false},\"limits\":{"
    "\"temp\":{\"high\":90.25}},\"debug\":null,\"window\":{\"from\":\"06:00\",\"to\":\"07:15\"}}";

static void small_writes(struct span old, long count)
{
    size_t mark = arena_mark(&arena);
    for (long i = 0; i < count; i++) {
        write_section(old, span_of(patch_json, sizeof(patch_json) - 1), &desired);
        arena_release(&arena, mark);
    }
}

static struct span small_section(void)
{
    struct span empty = doc_empty(DOC_DESIRED, 0, &arena);
    return write_section(empty, span_of(section_json, sizeof(section_json) - 1), &desired);
}

static void bench_small(void)
{
    double best = 1e18, parse_best = 1e18;
    struct span old = small_section();
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        small_writes(old, WRITES);
        double each = (now_ns() - start) / WRITES;
        best = each < best ? each : best;
        size_t mark = arena_mark(&arena);
        start = now_ns();
        for (int i = 0; i < WRITES; i++) {
            parse(span_of(patch_json, sizeof(patch_json) - 1));
            arena_release(&arena, mark);
        }
        each = (now_ns() - start) / WRITES;
        parse_best = each < parse_best ? each : parse_best;
    }
    printf("patch %zu B, section %zu B (flat %zu B): %.0f ns, of which parse %.0f ns\n",
           sizeof(patch_json) - 1, sizeof(section_json) - 1, old.len, best, parse_best);
    arena_reset(&arena);
}

/* ---- the worst ---------------------------------------------------------------------------- */

static void keys(struct buf *b, int i, const char *value)
{
    buf_printf(b, "%s\"%x\":%s", i ? "," : "", i, value);
}

static void many_keys(struct buf *b)
{
    for (int i = 0; i < 10000; i++)
        keys(b, i, "\"\"");
}

static void one_key(struct buf *b)
{
    for (int i = 0; i < 10000; i++)
        buf_text(b, i ? ",\"k\":\"\"" : "\"k\":\"\"");
}

static void empty_objects(struct buf *b)
{
    buf_text(b, "\"a\":[");
    for (int i = 0; i < 10000; i++)
        buf_text(b, i ? ",{}" : "{}");
    buf_text(b, "]");
}

static void control_strings(struct buf *b)
{
    for (int i = 0; i < 5; i++) {
        buf_printf(b, "%s\"%d\":\"", i ? "," : "", i);
        for (int c = 0; c < 3900; c++)
            buf_text(b, "\\u0001");
        buf_text(b, "\"");
    }
}

static void wide_strings(struct buf *b)
{
    for (int i = 0; i < 7; i++) {
        buf_printf(b, "%s\"%d\":\"", i ? "," : "", i);
        for (int c = 0; c < 4096 / 3; c++)
            buf_text(b, "\xe2\x82\xac");
        buf_text(b, "\"");
    }
}

static void numbers(struct buf *b)
{
    buf_text(b, "\"a\":[");
    for (int i = 0; i < 4000; i++)
        buf_text(b, i ? ",1.7976931348623157e308" : "0.1");
    buf_text(b, "]");
}

static const struct {
    const char *name;
    void (*fill)(struct buf *b);
} worst[] = {
    {"10,000 keys",           many_keys      },
    {"one key 10,000 times",  one_key        },
    {"array of empty ones",   empty_objects  },
    {"control characters",    control_strings},
    {"three-byte characters", wide_strings   },
    {"long numbers",          numbers        },
};

/* Relaxed limits: nothing is refused before its work is done. Reported: 10,000 short keys fit. */
static const struct doc_write reported = {
    .section = DOC_REPORTED, .limits = &doc_limits_relaxed, .now_ms = 1772619630500, .version = 7};

/* Comes back with the longest of the three, in ms. */
static double bench_worst(size_t row, size_t *memory)
{
    struct buf json = {0};
    buf_text(&json, "{");
    worst[row].fill(&json);
    buf_text(&json, "}");
    double parse_best = 1e18, best = 1e18, again_best = 1e18;
    size_t used = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct span empty = doc_empty(DOC_REPORTED, 0, &arena);
        double start = now_ns();
        parse(buf_span(&json));
        double parsed = now_ns() - start;
        start = now_ns();
        struct span section = write_section(empty, buf_span(&json), &reported);
        double all = now_ns() - start;
        size_t mark = arena_mark(&arena);
        start = now_ns();
        write_section(section, buf_span(&json), &reported);
        double again = now_ns() - start;
        used = arena.used - mark;
        parse_best = parsed < parse_best ? parsed : parse_best;
        best = all < best ? all : best;
        again_best = again < again_best ? again : again_best;
        arena_reset(&arena);
    }
    printf("%-22s %7zu B: parse %.2f ms, onto nothing %.2f ms, onto itself %.2f ms, arena %zu kB\n",
           worst[row].name, json.len, parse_best / 1e6, best / 1e6, again_best / 1e6, used >> 10);
    buf_fini(&json);
    *memory = used;
    double longest = best > again_best ? best : again_best;
    return (longest > parse_best ? longest : parse_best) / 1e6;
}

static int judge_worst(double limit_ms)
{
    int failed = 0;
    for (size_t i = 0; i < COUNT(worst); i++) {
        size_t memory;
        double ms = bench_worst(i, &memory);
        bool ok = ms <= limit_ms && memory <= MEMORY_MAX;
        printf("%-6s %-58s %10.2f ms (limit %.2f)\n", ok ? "ok" : "FAILED", worst[i].name, ms,
               limit_ms);
        failed |= !ok;
    }
    return failed;
}

/* ---- time grows with length --------------------------------------------------------------- */

/* Each writes members, without the braces, until the text is this long. */
static void few_long_strings(struct buf *b, size_t size)
{
    for (int i = 0; b->len < size; i++) {
        buf_printf(b, "%s\"%d\":\"", i ? "," : "", i);
        for (size_t n = 0; n < 4000 && b->len < size; n += 40)
            buf_text(b, "0123456789abcdefghij0123456789abcdefghij");
        buf_text(b, "\"");
    }
}

static void short_keys(struct buf *b, size_t size)
{
    for (int i = 0; b->len < size; i++)
        keys(b, i, "\"\"");
}

static void same_key(struct buf *b, size_t size)
{
    for (int i = 0; b->len < size; i++)
        buf_text(b, i ? ",\"k\":\"\"" : "\"k\":\"\"");
}

static void escapes(struct buf *b, size_t size)
{
    for (int i = 0; b->len < size; i++) {
        buf_printf(b, "%s\"%d\":\"", i ? "," : "", i);
        for (int n = 0; n < 600 && b->len < size; n++)
            buf_text(b, "\\u20ac");
        buf_text(b, "\"");
    }
}

static void empty_ones(struct buf *b, size_t size)
{
    buf_text(b, "\"a\":[{}");
    while (b->len < size)
        buf_text(b, ",{}");
    buf_text(b, "]");
}

static void long_numbers(struct buf *b, size_t size)
{
    buf_text(b, "\"a\":[0.1");
    while (b->len < size)
        buf_text(b, ",1.7976931348623157e308");
    buf_text(b, "]");
}

/* Objects in one another, DEEPEST at the full size: the depth grows with the text. */
enum { LINEAR_MAX = 512 << 10, DEEPEST = 48 };

static void nested(struct buf *b, size_t size)
{
    size_t depth = 1 + size * (DEEPEST - 1) / LINEAR_MAX, of_level = LINEAR_MAX / DEEPEST;
    for (size_t level = 0; level < depth; level++) {
        size_t end = level + 1 < depth ? b->len + of_level : size;
        for (int i = 0; i == 0 || b->len < end; i++)
            keys(b, i, "\"\"");
        buf_text(b, level + 1 < depth ? ",\"in\":{" : "");
    }
    while (--depth)
        buf_text(b, "}");
}

static const struct {
    const char *name;
    void (*fill)(struct buf *b, size_t size);
} growing[] = {
    {"short keys",            short_keys      },
    {"one key again",         same_key        },
    {"long strings",          few_long_strings},
    {"escapes",               escapes         },
    {"array of empty ones",   empty_ones      },
    {"array of long numbers", long_numbers    },
    {"depth",                 nested          },
};

static const size_t lengths[] = {1 << 10,   4 << 10,   16 << 10,  32 << 10,  64 << 10,
                                 96 << 10,  128 << 10, 160 << 10, 192 << 10, 224 << 10,
                                 256 << 10, 288 << 10, 320 << 10, 352 << 10, 384 << 10,
                                 416 << 10, 448 << 10, 480 << 10, LINEAR_MAX};
enum { LENGTHS = COUNT(lengths), TRIES = 21 };

/* The line would bend where documents outgrow a cache: none finds anything there. */
static void forget_caches(void)
{
    enum { CACHES = 64 << 20, LINE = 64 };
    static volatile uint8_t other[CACHES];
    for (size_t i = 0; i < CACHES; i += LINE)
        other[i]++;
}

/* Parsed, merged onto nothing, and onto itself. */
static double time_of(struct span json, const struct doc_write *w)
{
    forget_caches();
    double start = now_ns();
    struct span empty = doc_empty(DOC_REPORTED, 0, &arena);
    write_section(write_section(empty, json, w), json, w);
    double took = now_ns() - start;
    arena_reset(&arena);
    return took;
}

/* Of the straight line through the points with the smallest squares: the share it explains. */
static double r_squared(const double *x, const double *y, size_t n)
{
    double mx = 0, my = 0, xx = 0, xy = 0, yy = 0;
    for (size_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        xy += (x[i] - mx) * (y[i] - my);
        yy += (y[i] - my) * (y[i] - my);
    }
    return xy * xy / (xx * yy);
}

/* Every length once, then again: a slow moment of the machine hits one of many tries. */
static double bench_linear(size_t row, const struct doc_write *w)
{
    struct buf json[LENGTHS] = {0};
    double x[LENGTHS], best[LENGTHS];
    for (size_t i = 0; i < LENGTHS; i++) {
        buf_text(&json[i], "{");
        growing[row].fill(&json[i], lengths[i]);
        buf_text(&json[i], "}");
        x[i] = (double)json[i].len;
        best[i] = 1e18;
    }
    for (int round = 0; round < TRIES; round++)
        for (size_t i = 0; i < LENGTHS; i++) {
            double took = time_of(buf_span(&json[i]), w);
            best[i] = took < best[i] ? took : best[i];
        }
    printf("       %-22s %.1f, %.1f, %.1f and %.1f ns a byte at 1, 32, 256 and 512 KiB\n",
           growing[row].name, best[0] / x[0], best[3] / x[3], best[10] / x[10],
           best[LENGTHS - 1] / x[LENGTHS - 1]);
    for (size_t i = 0; i < LENGTHS; i++)
        buf_fini(&json[i]);
    return r_squared(x, best, LENGTHS);
}

static int judge_linear(double least)
{
    int failed = 0;
    /* Nothing is refused before its work is done; and no section is so large that it is measured
     * (doc_limits_check_size): that would be a step in a line. */
    struct doc_limits wide = doc_limits_relaxed;
    wide.depth_max = 60;
    wide.properties_max *= 64;
    wide.node_max *= 64;
    wide.text_max *= 64;
    struct doc_write w = reported;
    w.limits = &wide;
    for (size_t i = 0; i < COUNT(growing); i++) {
        char figure[64];
        double r2 = bench_linear(i, &w);
        snprintf(figure, sizeof(figure), "linear in length, R^2: %s", growing[i].name);
        printf("%-6s %-58s %10.4f  (limit > %.2f)\n", r2 > least ? "ok" : "FAILED", figure, r2,
               least);
        failed |= r2 <= least;
    }
    return failed;
}

int main(int argc, char **argv)
{
    void *block = malloc(ARENA_SIZE);
    if (!block)
        return 70;
    int code = 0;
    size_t memory;
    arena_init(&arena, block, ARENA_SIZE);
    if (argc == 3 && strcmp(argv[1], "--worst") == 0) {
        code = judge_worst(strtod(argv[2], NULL));
    } else if (argc == 3 && strcmp(argv[1], "--linear") == 0) {
        code = judge_linear(strtod(argv[2], NULL));
    } else if (argc == 3 && strcmp(argv[1], "--count") == 0) {
        small_writes(small_section(), strtol(argv[2], NULL, 10));
    } else {
        bench_small();
        for (size_t i = 0; i < COUNT(worst); i++)
            bench_worst(i, &memory);
    }
    free(block);
    return code;
}
