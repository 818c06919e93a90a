/* Any bytes as JSON, and any bytes as a document.
 *
 * As text: what is accepted is a valid document, is valid UTF-8, and printed and parsed again gives
 * the same bytes; it may be written to. As a document, and as a delta: what is valid can be read,
 * printed and written to. */
#include <stdlib.h>

#include "base/text.h"
#include "doc/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t block[1 << 20] __attribute__((aligned(16)));
static struct arena arena;
static struct buf out;

static void print_all(struct span doc)
{
    buf_clear(&out);
    doc_put_value(&out, doc_root(doc));
    if (doc_type(doc_root(doc)) != DOC_OBJECT)
        return;
    doc_put_device(&out, doc, 1);
    doc_put_service(&out, doc, 1);
}

static void print_delta(struct span delta)
{
    buf_clear(&out);
    doc_put_delta(&out, delta, 1);
    doc_put_delta_event(&out, delta, 1);
}

/* Only a section of the right kind promises more than not to crash. What is without stamps may hold
 * nulls, which tags never do. */
static bool is_section(struct span old, enum doc_section section)
{
    struct span empty = doc_empty(section, 0, &arena);
    return section != DOC_TAGS && empty.data && old.data[0] == empty.data[0];
}

/* Write `patch` to `old`: the result is valid, its delta too, and replays to the same. */
static void write_to(struct span old, struct doc_node patch)
{
    for (int i = 0; i < 6; i++) {
        struct doc_write w = {.section = (enum doc_section)(i % 3),
                              .limits = &doc_limits_relaxed,
                              .now_ms = 1,
                              .version = 2};
        struct doc_result r;
        struct doc_fault fault;
        struct span applied;
        enum status st = i < 3 ? doc_patch(old, patch, &w, &arena, &r, &fault)
                               : doc_replace(old, patch, &w, &arena, &r, &fault);
        CHECK(st == OK || st == BAD_ARGUMENT || st == SECTION_TOO_LARGE || st == TOO_LARGE);
        if (st == BAD_ARGUMENT || st == SECTION_TOO_LARGE) {
            buf_clear(&out);
            doc_put_fault(&out, &fault);
            CHECK(text_is_utf8(buf_span(&out)));
        }
        if (st != OK || !r.changed)
            continue;
        print_delta(r.delta);
        print_all(r.section);
        if (!is_section(old, w.section))
            continue;
        CHECK(doc_is_valid(r.section));
        CHECK(doc_delta_is_valid(r.delta));
        CHECK(doc_apply(old, r.delta, &arena, &applied) == OK);
        CHECK(span_eq(applied, r.section));
    }
}

static void as_text(struct span text)
{
    struct span doc, again;
    if (doc_parse(text, &doc_limits_azure.syntax, &arena, &doc) != OK)
        return;
    CHECK(text_is_utf8(text));
    CHECK(doc_is_valid(doc));
    buf_clear(&out);
    doc_put_value(&out, doc_root(doc));
    struct span printed = arena_copy(&arena, buf_span(&out));
    CHECK(doc_parse(printed, &doc_limits_azure.syntax, &arena, &again) == OK);
    CHECK(span_eq(doc, again));
    write_to(doc_empty(DOC_DESIRED, 0, &arena), doc_root(doc));
}

static void as_bytes(struct span bytes)
{
    struct span applied, old = doc_empty(DOC_DESIRED, 0, &arena);
    if (doc_is_valid(bytes)) {
        print_all(bytes);
        write_to(bytes, doc_root(bytes));
    }
    if (!doc_delta_is_valid(bytes))
        return;
    print_delta(bytes);
    if (doc_apply(old, bytes, &arena, &applied) == OK)
        CHECK(doc_is_valid(applied));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!arena.base)
        arena_init(&arena, block, sizeof(block));
    as_text(span_of(data, size));
    arena_reset(&arena);
    as_bytes(span_of(data, size));
    arena_reset(&arena);
    return 0;
}
