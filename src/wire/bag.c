#include "wire/bag.h"

#include "base/text.h"
#include "wire/uri.h"

struct bag bag_open(struct span text)
{
    return (struct bag){text.len && text.data[0] == '?' ? span_skip(text, 1) : text};
}

/* The next stretch between `&` that is not empty; .len 0 at the end. */
static struct span next_text(struct span *rest)
{
    struct span text = {0};
    while (rest->len && text.len == 0)
        text = uri_cut(rest, '&');
    return text;
}

/* Both halves of "name=value", split at the first `=`. */
static struct bag_pair split(struct span text)
{
    bool has_value = span_index(text, '=') < text.len;
    struct span name = uri_cut(&text, '=');
    return (struct bag_pair){
        .name = name, .value = text, .has_value = has_value, .malformed = name.len == 0};
}

/* Decode *half, or leave it as it was sent and say so. */
static enum status decode_half(struct span *half, struct arena *scratch, bool *malformed)
{
    struct span decoded;
    size_t mark = arena_mark(scratch);
    enum status st = uri_decode(*half, scratch, &decoded);
    if (st == TOO_LARGE)
        return TOO_LARGE;
    if (st == OK && text_is_utf8(decoded)) {
        *half = decoded;
        return OK;
    }
    arena_release(scratch, mark);
    *malformed = true;
    return OK;
}

enum status bag_next(struct bag *bag, struct arena *scratch, struct bag_pair *out)
{
    struct span rest = bag->rest, text = next_text(&rest);
    if (text.len == 0)
        return NOT_FOUND;
    size_t mark = arena_mark(scratch);
    struct bag_pair pair = split(text);
    enum status st = decode_half(&pair.name, scratch, &pair.malformed);
    if (st == OK)
        st = decode_half(&pair.value, scratch, &pair.malformed);
    if (st != OK) {
        arena_release(scratch, mark);
        return st;
    }
    *out = pair;
    bag->rest = rest;
    return OK;
}

size_t bag_size(struct span text)
{
    size_t size = 0;
    for (struct bag bag = bag_open(text); bag.rest.len;) {
        struct bag_pair pair = split(next_text(&bag.rest));
        size += uri_decoded_len(pair.name) + uri_decoded_len(pair.value);
    }
    return size;
}

void bag_put(struct buf *b, size_t start, const struct bag_pair *pair)
{
    if (b->len > start)
        buf_byte(b, '&');
    uri_put(b, pair->name);
    if (pair->has_value) {
        buf_byte(b, '=');
        uri_put(b, pair->value);
    }
}
