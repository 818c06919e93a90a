#include "run.h"

#include "base/test.h"

static const char *const keys[] = {"a", "b", "c", "net", "cfg", "\xc3\xa9t\xc3\xa9", "*^-/:", ""};

static void put_key(struct run *r, struct buf *b)
{
    buf_printf(b, "\"%s\":", keys[run_random(r, COUNT(keys))]);
}

static void put_value(struct run *r, struct buf *b, unsigned depth, bool nulls);

static void put_inside(struct run *r, struct buf *b, unsigned depth, bool nulls)
{
    unsigned count = (unsigned)run_random(r, 4);
    buf_byte(b, '{');
    for (unsigned i = 0; i < count; i++) {
        if (i)
            buf_byte(b, ',');
        put_key(r, b);
        put_value(r, b, depth + 1, nulls);
    }
    buf_byte(b, '}');
}

static void put_array(struct run *r, struct buf *b, unsigned depth)
{
    unsigned count = (unsigned)run_random(r, 3);
    buf_byte(b, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i)
            buf_byte(b, ',');
        put_value(r, b, depth + 1, false);
    }
    buf_byte(b, ']');
}

static void put_value(struct run *r, struct buf *b, unsigned depth, bool nulls)
{
    static const char *const leaves[] = {
        "true",     "false",          "1",  "1.0", "-4503599627370496", "0", "\"\"",
        "\"text\"", "\"\\u00e9\\n\"", "1e3"};
    unsigned what = (unsigned)run_random(r, 10);
    if (what < 2 && nulls)
        buf_text(b, "null");
    else if (what < 5 && depth < 4)
        put_inside(r, b, depth, nulls);
    else if (what == 5 && depth < 4)
        put_array(r, b, depth);
    else
        buf_text(b, leaves[run_random(r, COUNT(leaves))]);
}

enum json_kind json_kind(struct run *r)
{
    unsigned n = (unsigned)run_random(r, 64);
    if (n < 50)
        return JSON_CHANGE;
    if (n < 55)
        return JSON_NOTHING;
    if (n < 60)
        return JSON_BAD_VALUE;
    return n < 63 ? JSON_BAD_TEXT : JSON_LARGE;
}

static void put_large(struct run *r, struct buf *b)
{
    unsigned count = 1 + (unsigned)run_random(r, 10);
    buf_text(b, ",\"big\":{");
    for (unsigned i = 0; i < count; i++) {
        buf_printf(b, "%s\"%u\":\"", i ? "," : "", i);
        for (unsigned n = 0; n < 4000; n++)
            buf_byte(b, (uint8_t)('a' + i));
        buf_byte(b, '"');
    }
    buf_byte(b, '}');
}

static void put_change(struct run *r, struct buf *b, uint64_t mark, bool nulls)
{
    unsigned count = (unsigned)run_random(r, 4);
    buf_printf(b, "{\"mark\":%llu", (unsigned long long)mark);
    for (unsigned i = 0; i < count; i++) {
        buf_byte(b, ',');
        put_key(r, b);
        put_value(r, b, 1, nulls);
    }
    if (nulls && run_chance(r, 8))
        buf_text(b, ",\"big\":null");
    if (run_chance(r, 8))
        buf_text(b, ",\"$version\":7,\"$metadata\":{\"x\":1}");
    buf_byte(b, '}');
}

void json_put_object(struct run *r, struct buf *b, enum json_kind kind, uint64_t mark, bool nulls)
{
#define SIX(text) "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":" text "}}}}}}"
    static const char *const bad_values[] = {
        "{\"a.b\":1}", "{\"$x\":1}",          "{\"a\":[null]}", "[]",
        "1",           "{\"a\":1,\"b c\":2}", SIX(SIX("1")),    "{\"a\":9007199254740993}"};
#undef SIX
    static const char *const bad_texts[] = {"", "{", "{\"a\":}", "{\"a\":1}x", "nul", "{\"a\":1,}"};
    static const char *const nothings[] = {"{}", "{\"ghost\":null}",
                                           "{\"ghost\":null,\"$version\":3}"};
    switch (kind) {
    case JSON_CHANGE:
        put_change(r, b, mark, nulls);
        return;
    case JSON_NOTHING:
        buf_text(b, nothings[nulls ? run_random(r, COUNT(nothings)) : 0]);
        return;
    case JSON_BAD_VALUE:
        buf_text(b, bad_values[run_random(r, COUNT(bad_values))]);
        return;
    case JSON_BAD_TEXT:
        buf_text(b, bad_texts[run_random(r, COUNT(bad_texts))]);
        return;
    case JSON_LARGE:
        buf_printf(b, "{\"mark\":%llu", (unsigned long long)mark);
        put_large(r, b);
        buf_byte(b, '}');
        return;
    }
}

const struct naive *json_tree(struct run *r, struct span text)
{
    struct span doc;
    struct arena *a = &r->model.arena;
    const struct naive *tree = NULL;
    if (doc_parse(text, &doc_limits_azure.syntax, a, &doc) == OK)
        tree = naive_from(doc_root(doc));
    arena_reset(a);
    return tree;
}
