#include "model.h"

#include <stdio.h>
#include <stdlib.h>

/* Even keys are devices, odd ones modules of the device before; handle 0's first is the hub's. */
static bool is_module(uint32_t key)
{
    return key % 2;
}

struct store_key model_key(uint32_t handle, uint32_t key)
{
    static _Thread_local char device[16], module[16];
    uint32_t partition = key / 2 % 2 * 2 + handle;
    if (handle == 0 && key == 0)
        return (struct store_key){0, SPAN(""), SPAN("policy")};
    snprintf(device, sizeof(device), "d%u", key / 2);
    snprintf(module, sizeof(module), "m%u", key);
    return (struct store_key){partition, span_text(device),
                              is_module(key) ? span_text(module) : SPAN("")};
}

static void pattern(uint8_t *out, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = image_random(&seed);
        memcpy(out + i, &word, len - i < 8 ? len - i : 8);
    }
}

/* Mostly as twins are; one in sixteen is larger than a page. Secrets change now and then. */
struct record *model_record(uint32_t handle, uint32_t key, uint64_t seq)
{
    uint64_t seed = (uint64_t)handle << 32 | key, one = seed ^ seq << 8;
    uint64_t secret_seed = seed ^ (seq / 8) << 40, size = image_random(&one);
    size_t body_len = size % 16 ? 16 + (size >> 8) % 900 : 3000 + (size >> 8) % 9000;
    size_t secret_len = (size_t)(key % 3) * 44;
    struct record *r = record_create(body_len, secret_len);
    store_u64le(r->bytes, seq);
    pattern(r->bytes + 8, body_len - 8, one);
    pattern(r->bytes + body_len, secret_len, secret_seed);
    return r;
}

uint64_t model_seq_of(uint32_t handle, uint32_t key, const struct record *record)
{
    if (record->body_len < 8)
        return 0;
    uint64_t seq = load_u64le(record->bytes);
    struct record *want = model_record(handle, key, seq);
    bool same = span_eq(record_body(record), record_body(want)) &&
                span_eq(record_secret(record), record_secret(want));
    record_unref(want);
    return same ? seq : 0;
}

void model_apply(struct model_state *state, const struct model_change *change)
{
    uint32_t partition = model_key(change->handle, change->key).partition;
    struct store_partition *part = &state->parts[partition];
    state->seq[change->key] = change->deleted ? 0 : change->seq;
    *part = (struct store_partition){.seq = change->seq};
    for (uint32_t k = 0; k < MODEL_KEYS; k++) {
        struct store_key key = model_key(change->handle, k);
        if (!state->seq[k] || key.partition != partition || key.device.len == 0)
            continue;
        part->devices += !is_module(k);
        part->modules += is_module(k);
        part->disabled += !is_module(k) && state->seq[k] % 2;
    }
}

void model_fini(struct model *m)
{
    for (int i = 0; i < MODEL_HANDLES; i++)
        free(m->handles[i].changes);
}

static void add_change(struct model *m, const struct model_change *change)
{
    struct model_handle *h = &m->handles[change->handle];
    if (h->count == h->room) {
        h->room = h->room ? h->room * 2 : 256;
        h->changes = realloc(h->changes, h->room * sizeof(*h->changes));
        if (!h->changes)
            check_no_memory();
    }
    h->changes[h->count++] = *change;
}

static size_t apply_upto(const struct model_handle *h, size_t from, uint64_t batch,
                         struct model_state *state)
{
    for (; from < h->count && h->changes[from].batch <= batch; from++)
        model_apply(state, &h->changes[from]);
    return from;
}

static void take_mark(struct model *m, uint32_t kind, struct span data)
{
    struct model_change change;
    if (kind == MARK_OPENED) {
        CHECK(data.len == sizeof(m->hub_id));
        memcpy(m->hub_id, data.data, data.len);
        m->opened = true;
        return;
    }
    CHECK(data.len == sizeof(change));
    memcpy(&change, data.data, sizeof(change));
    CHECK(change.handle < MODEL_HANDLES);
    CHECK(change.key < MODEL_KEYS);
    struct model_handle *h = &m->handles[change.handle];
    if (kind == MARK_CHANGE) {
        add_change(m, &change);
    } else if (kind == MARK_COMMIT) {
        h->committed_batch = change.batch;
    } else {
        CHECK(kind == MARK_ACK);
        CHECK(change.batch <= h->committed_batch);
        h->acked_batch = change.batch;
        h->applied = apply_upto(h, h->applied, change.batch, &h->acked);
    }
}

void model_advance(struct model *m, const struct image_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].head.type == REC_MARK)
            take_mark(m, entries[i].head.file, entries[i].data);
}

uint64_t model_find(const struct model *m, uint32_t handle, const struct model_state *state,
                    bool *found)
{
    const struct model_handle *h = &m->handles[handle];
    struct model_state at = h->acked;
    size_t applied = h->applied;
    for (uint64_t batch = h->acked_batch;; batch++) {
        applied = apply_upto(h, applied, batch, &at);
        *found = memcmp(&at, state, sizeof(at)) == 0;
        if (*found || batch >= h->committed_batch)
            return batch;
    }
}
