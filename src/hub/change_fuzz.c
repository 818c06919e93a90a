/* Replay of arbitrary changes, one onto the next. The input is a list of them: length of the effect
 * and of the secret (2 bytes each), effect, secret.
 *
 * Property: what is applied makes a record that holds together and has the head's numbers; applied
 * again it changes nothing; and what it did to the identity can be written and replayed again. */
#include "doc/doc.h"
#include "hub/change.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t block[1 << 20];

static enum status apply(struct record *before, struct span effect, struct span secret,
                         struct record **out)
{
    struct arena a;
    arena_init(&a, block, sizeof(block));
    return change_apply(before, effect, secret, &a, out);
}

static bool take(struct span *in, struct span *effect, struct span *secret)
{
    if (in->len < 4)
        return false;
    uint32_t lengths = load_u32le(in->data);
    *in = span_skip(*in, 4);
    *effect = span_first(*in, lengths & 0xffff);
    *in = span_skip(*in, effect->len);
    *secret = span_first(*in, lengths >> 16);
    *in = span_skip(*in, secret->len);
    return true;
}

static bool same_record(const struct record *a, const struct record *b)
{
    return span_eq(record_body(a), record_body(b)) && span_eq(record_secret(a), record_secret(b));
}

static void view(const struct record *r, struct entity *out)
{
    enum status st = entity_view(r, out);
    CHECK(st == OK);
    CHECK(entity_check(out) == OK);
}

/* Encode what became of the identity, and replay that. */
static void check_again(struct record *before, struct record *after, const struct change_head *head)
{
    struct entity old, new;
    view(before, &old);
    view(after, &new);
    if (old.generation != new.generation || !span_eq(old.tags, new.tags) ||
        !span_eq(old.desired, new.desired) || !span_eq(old.reported, new.reported))
        return;
    struct change c = {.kind = head->kind,
                       .seq = head->seq,
                       .time_ms = head->time_ms,
                       .before = &old,
                       .after = &new};
    struct buf effect = {0}, secret = {0};
    change_encode(&c, &effect, &secret);
    struct record *again = NULL;
    enum status st = apply(before, buf_span(&effect), buf_span(&secret), &again);
    CHECK(st == OK);
    CHECK(same_record(again, after));
    record_unref(again);
    buf_fini(&effect);
    buf_fini(&secret);
}

static void check_record(struct record *before, struct record *after, struct span effect,
                         struct span secret)
{
    struct change_head head;
    struct entity e;
    enum status st = change_head(effect, &head);
    CHECK(st == OK);
    if (after == before)
        return;
    CHECK(head.kind != CHANGE_DELETE);
    view(after, &e);
    CHECK(e.seq == head.seq);
    CHECK(e.generation == head.generation);
    CHECK(e.twin_etag == head.twin_etag);
    CHECK(e.desired_version == head.desired_version);
    CHECK(e.reported_version == head.reported_version);
    CHECK(span_eq(e.device, head.device));
    CHECK(span_eq(e.module, head.module));
    struct record *again;
    st = apply(after, effect, secret, &again);
    CHECK(st == OK);
    CHECK(again == after);
    record_unref(again);
    if (before && head.kind != CHANGE_CREATE)
        check_again(before, after, &head);
}

/* A copy of its own length, so that reading past its end is seen. */
static struct buf copy_of(struct span s)
{
    struct buf copy = {.data = malloc(s.len + !s.len), .len = s.len, .cap = s.len};
    CHECK(copy.data);
    if (s.len)
        memcpy(copy.data, s.data, s.len);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size), effect, secret;
    struct record *state = NULL;
    while (take(&in, &effect, &secret)) {
        struct buf own_effect = copy_of(effect), own_secret = copy_of(secret);
        effect = buf_span(&own_effect);
        secret = buf_span(&own_secret);
        struct record *after = NULL;
        if (apply(state, effect, secret, &after) == OK) {
            if (after)
                check_record(state, after, effect, secret);
            record_unref(state);
            state = after;
        }
        buf_fini(&own_effect);
        buf_fini(&own_secret);
    }
    record_unref(state);
    return 0;
}
