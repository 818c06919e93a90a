#include "cli/json.h"

#include "base/text.h"

#include <stdlib.h>

enum {
    NESTING_MAX = 128, /* the deepest a twin gets is 32 levels of values, and as many of metadata */
    NUMBER_MAX = 1024,
    FACTOR = 16, /* bytes of document for a byte of text: "1," makes 16, and keys need an index */
    FACTOR_MAX = 128
};

bool json_parse(struct span text, struct json *out)
{
    static const struct doc_syntax syntax = {.nesting_max = NESTING_MAX, .number_max = NUMBER_MAX};
    *out = (struct json){0};
    for (size_t factor = FACTOR; factor <= FACTOR_MAX; factor *= 2) {
        size_t room = text.len * factor + 4096;
        void *block = malloc(room);
        struct span doc;
        if (!block)
            check_no_memory();
        arena_init(&out->arena, block, room);
        enum status st = doc_parse(text, &syntax, &out->arena, &doc);
        if (st == OK)
            out->root = doc_root(doc);
        if (st != TOO_LARGE)
            return st == OK;
        json_fini(out);
    }
    return false;
}

void json_fini(struct json *j)
{
    void *block = j->arena.base;
    if (block)
        arena_fini(&j->arena);
    free(block);
    *j = (struct json){0};
}

/* `indent` < 0: all on one line. */
static void put(struct buf *b, struct doc_node n, int indent);

static void put_break(struct buf *b, int indent)
{
    if (indent < 0)
        return;
    buf_byte(b, '\n');
    for (int i = 0; i < indent; i++)
        buf_text(b, "  ");
}

static void put_children(struct buf *b, struct doc_node parent, int indent)
{
    bool object = doc_type(parent) == DOC_OBJECT, first = true;
    int inside = indent < 0 ? indent : indent + 1;
    buf_byte(b, object ? '{' : '[');
    for (struct doc_node c = doc_first(parent); c.at; c = doc_next(parent, c), first = false) {
        if (!first)
            buf_byte(b, ',');
        put_break(b, inside);
        if (object) {
            text_put_json_any(b, doc_key(c));
            buf_text(b, indent < 0 ? ":" : ": ");
        }
        put(b, c, inside);
    }
    if (!first)
        put_break(b, indent);
    buf_byte(b, object ? '}' : ']');
}

static void put(struct buf *b, struct doc_node n, int indent)
{
    switch (doc_type(n)) {
    case DOC_STRING:
        text_put_json_any(b, doc_string(n));
        return;
    case DOC_ARRAY:
    case DOC_OBJECT:
        put_children(b, n, indent);
        return;
    case DOC_NULL:
    case DOC_FALSE:
    case DOC_TRUE:
    case DOC_INT:
    case DOC_NUMBER:
        doc_put_value(b, n);
        return;
    }
}

void json_put_indented(struct buf *b, struct doc_node n)
{
    put(b, n, 0);
}

void json_put_line(struct buf *b, struct doc_node n)
{
    put(b, n, -1);
}

struct span json_text(struct doc_node object, const char *name)
{
    struct doc_node n = object.at ? doc_find_nocase(object, span_text(name)) : object;
    return n.at && doc_type(n) == DOC_STRING ? doc_string(n) : (struct span){0};
}
