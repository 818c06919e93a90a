#include "base/test.h"

#include "doc/doc.h"
#include "doc/doc_naive.h"

/* Random documents and writes, compared with doc_naive.c. */
static struct arena arena;
static uint8_t block[256 << 10] __attribute__((aligned(16)));
static uint64_t seed = 20260304;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(test_random(&seed) % n);
}

static void random_key(struct buf *b, bool wide)
{
    static const char *const odd[] = {
        "\"\"",         "\"$version\"", "\"$metadata\"",     "\"a.b\"",     "\"\\u0007\"",
        "\"\xc3\xa9\"", "\"$x\"",       "\"a b\"",           "\"\\u0085\"", "\"*^-/:\"",
        "\"#\"",        "\"\\u00a0\"",  "\"\\ud83d\\ude00\""};
    if (wide)
        buf_printf(b, "\"k%u\"", below(60));
    else if (below(40) == 0)
        buf_text(b, odd[below(COUNT(odd))]);
    else
        buf_printf(b, "\"%c\"", 'a' + below(6));
}

static void random_scalar(struct buf *b, bool nulls)
{
    static const char *const scalars[] = {"true",
                                          "false",
                                          "0",
                                          "-7",
                                          "1.0",
                                          "4503599627370495",
                                          "1e5",
                                          "\"\"",
                                          "\"x\"",
                                          "\"\\n\"",
                                          "-0",
                                          "\"\xe2\x82\xac\\u0001\"",
                                          "-4503599627370496"};
    static const char *const out_of_range[] = {"4503599627370496", "-4503599627370497",
                                               "99999999999999999999"};
    if (nulls && below(5) == 0)
        buf_text(b, "null");
    else if (below(200) == 0)
        buf_text(b, out_of_range[below(COUNT(out_of_range))]);
    else
        buf_text(b, scalars[below(COUNT(scalars))]);
}

static void random_value(struct buf *b, uint32_t depth, bool nulls);

static void random_members(struct buf *b, uint32_t count, uint32_t depth, bool nulls)
{
    bool wide = count > 12;
    buf_text(b, "{");
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buf_text(b, ",");
        random_key(b, wide);
        buf_text(b, ":");
        random_value(b, depth, nulls);
    }
    buf_text(b, "}");
}

static void random_value(struct buf *b, uint32_t depth, bool nulls)
{
    uint32_t kind = depth ? below(6) : 5;
    if (kind == 0) {
        buf_text(b, "[");
        for (uint32_t i = below(4), comma = 0; i; i--, comma = 1) {
            if (comma)
                buf_text(b, ",");
            random_value(b, depth - 1, nulls && below(20) == 0);
        }
        buf_text(b, "]");
    } else if (kind <= 2) {
        random_members(b, below(4), depth - 1, nulls);
    } else {
        random_scalar(b, nulls);
    }
}

static void random_patch(struct buf *b, bool nulls)
{
    buf_clear(b);
    if (below(300) == 0)
        random_scalar(b, nulls);
    else
        random_members(b, below(40) == 0 ? 12 + below(40) : below(5), 2 + below(3), nulls);
}

static struct buf json, got, want;

static void expect_same(const char *what)
{
    if (!span_eq(buf_span(&got), buf_span(&want)))
        fail_msg("%s\n  sent %.*s\n  got  %.*s\n  want %.*s", what, SPAN_ARG(buf_span(&json)),
                 SPAN_ARG(buf_span(&got)), SPAN_ARG(buf_span(&want)));
    buf_clear(&got);
    buf_clear(&want);
}

static void compare_views(struct span section, const struct naive *naive, const struct doc_write *w)
{
    EXPECT(doc_is_valid(section));
    EXPECT_EQ(doc_is_empty(section), naive->first == NULL);
    doc_put_service(&got, section, w->version);
    naive_print_service(&want, naive, w);
    expect_same("service view");
    if (below(4)) /* its members are those of the service's view */
        return;
    doc_put_device(&got, section, w->version);
    naive_print_device(&want, naive, w->version);
    expect_same("device view");
}

static void compare_delta(struct span old, const struct doc_result *r, const struct naive_result *n,
                          const struct doc_write *w)
{
    struct span applied;
    EXPECT(doc_delta_is_valid(r->delta));
    doc_put_delta(&got, r->delta, w->version);
    naive_print_device(&want, n->delta, w->version);
    expect_same("delta");
    doc_put_delta_event(&got, r->delta, w->version);
    naive_print_service(&want, n->delta, w);
    expect_same("event");
    EXPECT_EQ(doc_apply(old, r->delta, &arena, &applied), OK);
    EXPECT_SPAN(applied, r->section);
    if (below(4)) /* replaying again, which changes nothing, is tried less often */
        return;
    EXPECT_EQ(doc_apply(applied, r->delta, &arena, &applied), OK);
    EXPECT_SPAN(applied, r->section);
}

static struct span write_once(struct span old, struct naive *naive, const struct doc_write *w)
{
    bool replace = below(5) == 0;
    random_patch(&json, !replace || below(20) == 0);
    struct span parsed;
    EXPECT_EQ(doc_parse(buf_span(&json), &w->limits->syntax, &arena, &parsed), OK);
    struct naive *value = naive_from(doc_root(parsed));
    struct naive_result n = replace ? naive_replace(naive, value, w) : naive_patch(naive, value, w);
    struct doc_result r;
    struct doc_fault fault;
    enum status st = replace ? doc_replace(old, doc_root(parsed), w, &arena, &r, &fault)
                             : doc_patch(old, doc_root(parsed), w, &arena, &r, &fault);
    if (st != n.status || (st == OK && r.changed != n.changed))
        fail_msg("%.*s: %s, not %s", SPAN_ARG(buf_span(&json)), status_name(st),
                 status_name(n.status));
    if (st != OK)
        return old;
    if (!r.changed) {
        EXPECT_SPAN(r.section, old);
        EXPECT_EQ(r.delta.len, 0);
        return old;
    }
    compare_delta(old, &r, &n, w);
    compare_views(r.section, naive, w);
    return r.section;
}

/* One section through a few writes. Limits small enough to be met. */
static void one_life(enum doc_section section)
{
    struct doc_limits limits = doc_limits_azure;
    limits.depth_max = 4;
    limits.tags_max = limits.properties_max = 60 + below(400);
    limits.text_max = 300 + below(800);
    limits.node_max = 20 + below(100);
    limits.flat_factor = 1000;
    struct doc_write w = {.section = section, .limits = &limits, .now_ms = 1772619630000};
    if (section != DOC_TAGS && below(4) == 0) {
        w.by = SPAN("config");
        w.by_digest = SPAN("637570574076206429");
    }
    struct span doc = doc_empty(section, w.now_ms, &arena);
    struct naive *naive = naive_empty(w.now_ms);
    for (int i = 0; i < 10; i++) {
        w.now_ms += below(2000);
        w.version++;
        doc = write_once(doc, naive, &w);
    }
}

TEST(writes_agree_with_the_naive_ones)
{
    arena_init(&arena, block, sizeof(block));
    for (int i = 0; i < 10100; i++) {
        one_life((enum doc_section)(i % 3));
        arena_reset(&arena);
        naive_reset();
    }
    buf_fini(&json);
    buf_fini(&got);
    buf_fini(&want);
}

TEST_MAIN(RUN(writes_agree_with_the_naive_ones))
