/* Input: a request target. Its segments, encoded and joined again, are the same segments; any
 * text, encoded, decodes to itself. */
#include "wire/uri.h"

enum { SEGMENTS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(struct span path, struct arena *a)
{
    struct span segments[SEGMENTS_MAX], again[SEGMENTS_MAX];
    size_t count, count_again;
    if (uri_path_split(path, a, segments, SEGMENTS_MAX, &count) != OK)
        return;
    struct buf b = {0};
    for (size_t i = 0; i < count; i++) {
        CHECK(segments[i].len);
        CHECK(span_index(segments[i], '/') == segments[i].len);
        buf_byte(&b, '/');
        uri_put(&b, segments[i]);
    }
    CHECK(uri_path_split(buf_span(&b), a, again, SEGMENTS_MAX, &count_again) == OK);
    CHECK(count == count_again);
    for (size_t i = 0; i < count; i++)
        CHECK(span_eq(segments[i], again[i]));
    buf_fini(&b);
}

static void check_query(struct span query, struct arena *a)
{
    struct span first, value, name = query;
    name = uri_cut(&name, '=');
    if (uri_decode(name, a, &first) != OK || span_index(name, '&') < name.len)
        return;
    if (query.len) /* the first parameter is always found by its own name */
        CHECK(uri_query_get(query, first, a, &value) != NOT_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t block[1 << 17];
    struct arena a;
    struct span target = span_of(data, size), path, query, back;
    arena_init(&a, block, sizeof(block));
    uri_split(target, &path, &query);
    CHECK(path.len + query.len + (path.len < target.len ? 1 : 0) == target.len);
    check_path(path, &a);
    check_query(query, &a);

    struct buf b = {0};
    uri_put(&b, target);
    CHECK(uri_decoded_len(buf_span(&b)) == target.len);
    enum status st = uri_decode(buf_span(&b), &a, &back);
    CHECK(st == (span_index(target, '\0') < target.len ? BAD_REQUEST : OK));
    CHECK(st != OK || span_eq(back, target));
    buf_fini(&b);
    arena_reset(&a);
    return 0;
}
