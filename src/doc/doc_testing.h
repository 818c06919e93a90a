/* doc_testing.h — what the tests of doc/ share: an arena, and writes from text to text.
 * For tests only; each test program has its own copy. */
#ifndef DOC_DOC_TESTING_H
#define DOC_DOC_TESTING_H

#include "base/test.h"

#include "doc/doc.h"

static uint8_t testing_block[8 << 20] __attribute__((aligned(16)));
static struct arena arena;

/* Forget everything made so far. */
static inline void testing_reset(void)
{
    if (!arena.base)
        arena_init(&arena, testing_block, sizeof(testing_block));
    arena_reset(&arena);
}

static inline struct span parsed(const char *json)
{
    struct span doc;
    if (doc_parse(span_text(json), &doc_limits_azure.syntax, &arena, &doc) != OK)
        fail_msg("does not parse: %s", json);
    return doc;
}

/* A text in the arena, good until testing_reset. */
static inline struct span kept(struct buf *b)
{
    struct span text = arena_copy(&arena, buf_span(b));
    buf_fini(b);
    return text;
}

static inline struct span value_text(struct span doc)
{
    struct buf b = {0};
    doc_put_value(&b, doc_root(doc));
    return kept(&b);
}

static inline struct span service_text(struct span section, int64_t version)
{
    struct buf b = {0};
    doc_put_service(&b, section, version);
    return kept(&b);
}

static inline struct span delta_text(struct span delta, int64_t version)
{
    struct buf b = {0};
    doc_put_delta(&b, delta, version);
    return kept(&b);
}

static inline struct span event_text(struct span delta, int64_t version)
{
    struct buf b = {0};
    doc_put_delta_event(&b, delta, version);
    return kept(&b);
}

static inline struct span fault_text(const struct doc_fault *fault)
{
    struct buf b = {0};
    doc_put_fault(&b, fault);
    return kept(&b);
}

/* 2026-03-04T10:20:30Z and some seconds. */
static inline int64_t second(int n)
{
    return 1772619630000 + n * INT64_C(1000);
}

static inline struct doc_write write_of(enum doc_section section, int64_t version)
{
    return (struct doc_write){.section = section,
                              .limits = &doc_limits_azure,
                              .now_ms = second((int)version),
                              .version = version};
}

/* A section with this content, written as version 2. */
static inline struct span section_of(enum doc_section section, const char *json)
{
    struct doc_write w = write_of(section, 2);
    struct doc_result r;
    struct doc_fault fault;
    struct span empty = doc_empty(section, second(1), &arena);
    if (doc_replace(empty, doc_root(parsed(json)), &w, &arena, &r, &fault) != OK)
        fail_msg("is refused: %s", json);
    return r.section;
}

#endif
