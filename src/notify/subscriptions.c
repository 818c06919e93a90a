#include "notify/subscriptions.h"

#include "wire/topic.h"

enum { FORMAT = 1, HEAD = 11 };

bool subscriptions_next(struct subscriptions_walk *w, struct subscription *out)
{
    if (!w->begun && w->rest.len) {
        if (w->rest.data[0] != FORMAT)
            return false;
        w->rest = span_skip(w->rest, 1);
        w->begun = true;
    }
    if (w->rest.len < HEAD)
        return false;
    const uint8_t *at = w->rest.data;
    size_t len = (size_t)at[9] | (size_t)at[10] << 8;
    if (w->rest.len - HEAD < len)
        return false;
    *out = (struct subscription){(int64_t)load_u64le(at), at[8], span_of(at + HEAD, len)};
    w->rest = span_skip(w->rest, HEAD + len);
    return true;
}

bool subscriptions_are_valid(struct span bytes)
{
    struct subscriptions_walk w = {.rest = bytes};
    struct subscription f;
    size_t count = 0;
    while (subscriptions_next(&w, &f))
        if (f.qos > 1 || ++count > SUBSCRIPTIONS_MAX)
            return false;
    return bytes.len == 0 || (w.begun && w.rest.len == 0);
}

/* Where the entry of `filter` begins, or stored->len. */
static size_t find(const struct buf *stored, struct span filter)
{
    struct subscriptions_walk w = {.rest = buf_span(stored)};
    struct subscription f;
    while (subscriptions_next(&w, &f))
        if (span_eq(f.filter, filter))
            return (size_t)(f.filter.data - stored->data) - HEAD;
    return stored->len;
}

static size_t count(const struct buf *stored)
{
    struct subscriptions_walk w = {.rest = buf_span(stored)};
    struct subscription f;
    size_t n = 0;
    while (subscriptions_next(&w, &f))
        n++;
    return n;
}

bool subscriptions_put(struct buf *stored, const struct subscription *f)
{
    size_t at = find(stored, f->filter);
    if (at < stored->len) {
        stored->data[at + 8] = f->qos;
        return true;
    }
    if (count(stored) == SUBSCRIPTIONS_MAX)
        return false;
    CHECK(f->filter.len <= UINT16_MAX);
    if (stored->len == 0)
        buf_byte(stored, FORMAT);
    buf_u64le(stored, (uint64_t)f->created_ms);
    buf_byte(stored, f->qos);
    buf_byte(stored, (uint8_t)f->filter.len);
    buf_byte(stored, (uint8_t)(f->filter.len >> 8));
    buf_put(stored, f->filter);
    return true;
}

void subscriptions_remove(struct buf *stored, struct span filter)
{
    size_t at = find(stored, filter);
    if (at == stored->len)
        return;
    size_t end = at + HEAD + filter.len;
    memmove(stored->data + at, stored->data + end, stored->len - end);
    stored->len -= end - at;
    if (stored->len == 1)
        stored->len = 0; /* no filters: no bytes, so that equal sessions are equal */
}

unsigned subscriptions_deliver(struct span stored, struct span device, struct span module)
{
    struct subscriptions_walk w = {.rest = stored};
    struct subscription f;
    unsigned bits = 0;
    while (subscriptions_next(&w, &f))
        bits |= topic_filter_matches(f.filter, device, module);
    return bits;
}
