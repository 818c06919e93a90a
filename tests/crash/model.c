#include "model.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

static char names[MODEL_HANDLES][MODEL_DEVICES][16];

/* Device ids that fall into a handle's partitions. */
void model_begin(void)
{
    for (uint32_t handle = 0; handle < MODEL_HANDLES; handle++) {
        for (uint32_t i = 0; i < MODEL_DEVICES; i++) {
            char *name = names[handle][i];
            for (uint32_t n = 0;; n++) {
                snprintf(name, sizeof(names[0][0]), "d%u-%u", i, n);
                if (hash_partition(span_text(name), MODEL_PARTITIONS) % MODEL_HANDLES == handle)
                    break;
            }
        }
    }
}

struct store_key model_key(uint32_t handle, uint32_t key)
{
    if (key == MODEL_OWN)
        return (struct store_key){0, SPAN(""), SPAN("own")};
    struct span device = span_text(names[handle][key / 2]);
    return (struct store_key){hash_partition(device, MODEL_PARTITIONS), device,
                              key % 2 ? SPAN("m") : SPAN("")};
}

uint32_t model_key_of(uint32_t handle, const struct store_key *key)
{
    for (uint32_t k = 0; k < MODEL_KEYS; k++) {
        struct store_key at = model_key(handle, k);
        if (span_eq(at.device, key->device) && span_eq(at.module, key->module))
            return k;
    }
    CHECK(false); /* the writer changes no other */
    return 0;
}

uint64_t model_hash(const struct record *record)
{
    if (!record)
        return 0;
    struct hash_key key = {record->body_len, record->secret_len};
    struct span all = span_of(record->bytes, record->body_len + record->secret_len);
    return hash_keyed(key, all) | 1;
}

void model_apply(struct model_state *state, const struct model_change *change)
{
    state->hash[change->key] = change->hash;
    state->parts[change->partition] = change->part;
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

static void take_found(struct model *m, struct span data)
{
    struct model_found f;
    bool found;
    CHECK(data.len == sizeof(f));
    memcpy(&f, data.data, sizeof(f));
    CHECK(f.handle < MODEL_HANDLES);
    struct model_handle *h = &m->handles[f.handle];
    model_find(m, f.handle, &f.state, &found);
    m->wrong |= !found;
    h->acked = f.state;
    h->acked_batch = h->committed_batch = 0;
    h->count = h->applied = 0; /* the rest did not make it */
}

static void take_mark(struct model *m, uint32_t kind, struct span data)
{
    struct model_change change;
    if (kind == MARK_OPENED) {
        CHECK(data.len == sizeof(m->hub_id));
        m->wrong |= m->opened && memcmp(m->hub_id, data.data, data.len) != 0;
        memcpy(m->hub_id, data.data, data.len);
        m->opened = true;
        return;
    }
    if (kind == MARK_FOUND) {
        take_found(m, data);
        return;
    }
    CHECK(data.len == sizeof(change));
    memcpy(&change, data.data, sizeof(change));
    CHECK(change.handle < MODEL_HANDLES);
    CHECK(change.key < MODEL_KEYS);
    CHECK(change.partition < MODEL_PARTITIONS);
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
