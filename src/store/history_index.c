#include "store/history_index.h"

#include <stdlib.h>

enum { LENGTH = 2 };

static struct span key_at(const struct buf *b, size_t at)
{
    size_t len = b->data[at] | (size_t)b->data[at + 1] << 8;
    return span_of(b->data + at + LENGTH, len);
}

static void put_key(struct buf *b, struct span key)
{
    CHECK(key.len <= KEY_BYTES);
    buf_byte(b, (uint8_t)key.len);
    buf_byte(b, (uint8_t)(key.len >> 8));
    buf_put(b, key);
}

void history_index_add(struct history_index *x, struct span key)
{
    buf_u32le(&x->places, (uint32_t)x->fresh.len);
    put_key(&x->fresh, key);
}

static int by_key(const void *a, const void *b, void *fresh)
{
    return span_compare(key_at(fresh, load_u32le(a)), key_at(fresh, load_u32le(b)));
}

void history_index_cut(struct history_index *x)
{
    struct span before = {0};
    size_t count = x->places.len / 4;
    struct history_run run = {x->keys.len, 0};
    if (count)
        qsort_r(x->places.data, count, 4, by_key, &x->fresh);
    for (size_t i = 0; i < count; i++) {
        struct span key = key_at(&x->fresh, load_u32le(x->places.data + 4 * i));
        if (i == 0 || !span_eq(key, before))
            put_key(&x->keys, key);
        before = key;
    }
    buf_clear(&x->fresh);
    buf_clear(&x->places);
    run.end = x->keys.len;
    if (x->run_count == x->room) {
        x->room = x->room * 2 + 64;
        x->runs = realloc(x->runs, x->room * sizeof(*x->runs));
        if (!x->runs)
            check_no_memory();
    }
    x->runs[x->run_count++] = run;
}

/* Equal keys: the earlier chunk first. */
static bool less(const struct history_index *x, uint32_t a, uint32_t b)
{
    int order = span_compare(key_at(&x->keys, x->runs[a].at), key_at(&x->keys, x->runs[b].at));
    return order < 0 || (order == 0 && a < b);
}

static void sift_down(struct history_index *x, uint32_t i)
{
    for (;;) {
        uint32_t least = i, left = 2 * i + 1, right = left + 1;
        if (left < x->heap_count && less(x, x->heap[left], x->heap[least]))
            least = left;
        if (right < x->heap_count && less(x, x->heap[right], x->heap[least]))
            least = right;
        if (least == i)
            return;
        uint32_t moved = x->heap[i];
        x->heap[i] = x->heap[least];
        x->heap[least] = moved;
        i = least;
    }
}

void history_index_merge(struct history_index *x)
{
    x->heap = calloc(x->run_count + 1, sizeof(*x->heap));
    if (!x->heap)
        check_no_memory();
    for (uint32_t i = 0; i < x->run_count; i++)
        if (x->runs[i].at < x->runs[i].end)
            x->heap[x->heap_count++] = i;
    for (uint32_t i = x->heap_count / 2; i-- > 0;)
        sift_down(x, i);
}

/* The least run goes on to its next key. */
static void advance(struct history_index *x)
{
    struct history_run *run = &x->runs[x->heap[0]];
    run->at += LENGTH + key_at(&x->keys, run->at).len;
    if (run->at == run->end)
        x->heap[0] = x->heap[--x->heap_count];
    sift_down(x, 0);
}

bool history_index_next(struct history_index *x, struct history_key *out)
{
    if (x->heap_count == 0)
        return false;
    struct span key = key_at(&x->keys, x->runs[x->heap[0]].at);
    buf_clear(&x->chunks);
    while (x->heap_count && span_eq(key_at(&x->keys, x->runs[x->heap[0]].at), key)) {
        buf_u32le(&x->chunks, x->heap[0]);
        advance(x);
    }
    *out = (struct history_key){.key = key, .chunks = buf_span(&x->chunks)};
    return true;
}

void history_index_fini(struct history_index *x)
{
    buf_fini(&x->fresh);
    buf_fini(&x->places);
    buf_fini(&x->keys);
    buf_fini(&x->chunks);
    free(x->runs);
    free(x->heap);
    *x = (struct history_index){0};
}
