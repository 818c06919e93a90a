#include "base/record.h"

#include <stdlib.h>

struct record *record_create(size_t body_len, size_t secret_len)
{
    CHECK(body_len < UINT32_MAX);
    CHECK(secret_len < UINT32_MAX);
    struct record *r = malloc(sizeof(*r) + body_len + secret_len);
    if (!r)
        check_no_memory();
    atomic_init(&r->refs, 1);
    r->body_len = (uint32_t)body_len;
    r->secret_len = (uint32_t)secret_len;
    return r;
}

struct record *record_ref(struct record *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void record_unref(struct record *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    explicit_bzero(r->bytes + r->body_len, r->secret_len);
    free(r);
}
