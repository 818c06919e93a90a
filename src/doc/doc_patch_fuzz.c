/* Writes compared with doc_naive.c. The input: one byte of choices, then texts between zero bytes,
 * each written to the section the ones before it left. */
#include "doc/doc.h"
#include "doc/doc_naive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t block[2 << 20] __attribute__((aligned(16)));
static struct arena arena;
static struct buf got, want;

static void check_same(void)
{
    CHECK(span_eq(buf_span(&got), buf_span(&want)));
    buf_clear(&got);
    buf_clear(&want);
}

static void check_write(struct span old, const struct doc_result *r, const struct naive *naive,
                        const struct naive_result *n, const struct doc_write *w)
{
    struct span applied;
    CHECK(doc_is_valid(r->section));
    CHECK(doc_delta_is_valid(r->delta));
    CHECK(doc_apply(old, r->delta, &arena, &applied) == OK);
    CHECK(span_eq(applied, r->section));
    CHECK(doc_apply(applied, r->delta, &arena, &applied) == OK);
    CHECK(span_eq(applied, r->section));
    doc_put_service(&got, r->section, w->version);
    naive_print_service(&want, naive, w);
    check_same();
    doc_put_delta(&got, r->delta, w->version);
    naive_print_device(&want, n->delta, w->version);
    check_same();
    doc_put_delta_event(&got, r->delta, w->version);
    naive_print_service(&want, n->delta, w);
    check_same();
}

static struct span write_text(struct span old, struct naive *naive, struct span text, bool replace,
                              const struct doc_write *w)
{
    struct span parsed;
    struct doc_result r;
    struct doc_fault fault;
    if (doc_parse(text, &w->limits->syntax, &arena, &parsed) != OK)
        return old;
    struct naive *value = naive_from(doc_root(parsed));
    struct naive_result n = replace ? naive_replace(naive, value, w) : naive_patch(naive, value, w);
    enum status st = replace ? doc_replace(old, doc_root(parsed), w, &arena, &r, &fault)
                             : doc_patch(old, doc_root(parsed), w, &arena, &r, &fault);
    CHECK(st == n.status);
    if (st != OK)
        return old;
    CHECK(r.changed == n.changed);
    CHECK(r.changed || (span_eq(r.section, old) && r.delta.len == 0));
    if (r.changed)
        check_write(old, &r, naive, &n, w);
    return r.section;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!arena.base)
        arena_init(&arena, block, sizeof(block));
    if (size == 0 || size > 4096)
        return 0;
    uint8_t choice = data[0];
    struct doc_limits limits = doc_limits_azure;
    limits.flat_factor = 1000; /* the one limit that only flat documents know */
    if (choice & 4) {
        limits.properties_max = limits.tags_max = 40;
        limits.text_max = 90;
        limits.node_max = 12;
        limits.depth_max = 3;
        limits.key_max = 6;
        limits.string_max = 9;
    }
    struct doc_write w = {.section = (enum doc_section)((choice & 3) % 3),
                          .limits = &limits,
                          .now_ms = 1772619630000};
    struct span doc = doc_empty(w.section, w.now_ms, &arena), rest = span_of(data + 1, size - 1);
    struct naive *naive = naive_empty(w.now_ms);
    for (int i = 0; i < 16 && rest.len; i++) {
        size_t len = span_index(rest, 0);
        w.now_ms += 1500;
        w.version++;
        doc = write_text(doc, naive, span_first(rest, len), choice >> 3 & 1 && i % 2, &w);
        rest = len < rest.len ? span_skip(rest, len + 1) : (struct span){0};
    }
    arena_reset(&arena);
    naive_reset();
    return 0;
}
