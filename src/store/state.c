#include "store/state.h"

#include <stdlib.h>

#include "base/arena.h"

enum { SCRATCH_FIRST = 1 << 20, SCRATCH_MAX = 256 << 20 };

enum status state_init(struct state *s, struct base_reader *base, uint32_t partitions,
                       const struct replay *replay, struct seal *seal)
{
    *s = (struct state){.base = base,
                        .replay = replay,
                        .seal = seal,
                        .partitions = partitions,
                        .parts = calloc(partitions, sizeof(*s->parts)),
                        .scratch = malloc(SCRATCH_FIRST),
                        .scratch_size = SCRATCH_FIRST};
    if (!s->parts || !s->scratch)
        check_no_memory();
    table_init(&s->changed, (struct hash_key){1, 2}); /* one run, keys of our own files */
    return base_counts(base, partitions, s->parts);
}

void state_fini(struct state *s)
{
    table_fini(&s->changed);
    free(s->parts);
    free(s->scratch);
    *s = (struct state){0};
}

/* The row of this key, filled from the base when it is new. */
static enum status find_row(struct state *s, struct span key, struct table_row **out)
{
    struct table_row *row = table_find(&s->changed, key);
    if (!row) {
        struct record *record = NULL;
        enum status st = base_get(s->base, key, &record);
        if (st == SERVER_ERROR)
            return st;
        row = table_get(&s->changed, key);
        row->entry = st == DAMAGED ? STATE_UNKNOWN : STATE_SAME;
        if (st == OK)
            table_set(row, record);
        record_unref(record);
    }
    *out = row;
    return OK;
}

/* Twice as much scratch as often as the change asks for. */
static enum status apply(struct state *s, struct record *before, struct span effect,
                         struct span secret, struct record **out)
{
    for (;;) {
        struct arena arena;
        arena_init(&arena, s->scratch, s->scratch_size);
        enum status st = s->replay->apply(before, effect, secret, &arena, out);
        arena_fini(&arena);
        if (st != TOO_LARGE || s->scratch_size >= SCRATCH_MAX)
            return st == TOO_LARGE ? DAMAGED : st;
        s->scratch_size *= 2;
        free(s->scratch);
        s->scratch = malloc(s->scratch_size);
        if (!s->scratch)
            check_no_memory();
    }
}

static enum status open_secret(struct state *s, struct span key, struct span sealed,
                               struct buf *out)
{
    buf_clear(out);
    if (sealed.len == 0)
        return OK;
    if (sealed.len < SEAL_EXTRA)
        return DAMAGED;
    buf_reserve(out, sealed.len);
    TRY(seal_open(s->seal, key, sealed, out->data));
    out->len = sealed.len - SEAL_EXTRA;
    return OK;
}

static bool is_id(struct span id)
{
    return id.len <= STORE_ID_MAX && span_index(id, 0) == id.len;
}

static bool is_key(const struct state *s, const struct store_key *key)
{
    return key->partition < s->partitions && is_id(key->device) && is_id(key->module) &&
           (key->device.len || (key->module.len && key->partition == 0));
}

static enum status change(struct state *s, const struct block_entry *entry, struct buf *secret)
{
    struct replay_head head;
    struct key key;
    struct table_row *row;
    struct record *after = NULL;
    TRY(s->replay->head(entry->effect, &head));
    if (!is_key(s, &head.key))
        return DAMAGED;
    key_encode(&key, &head.key);
    TRY(open_secret(s, key_span(&key), entry->sealed, secret));
    TRY(find_row(s, key_span(&key), &row));
    enum status st = apply(s, row->record, entry->effect, buf_span(secret), &after);
    if (row->entry == STATE_UNKNOWN && (st != OK || !after))
        return OK;
    TRY(st);
    if (after != row->record || row->entry == STATE_CHANGED) {
        row->entry = STATE_CHANGED;
        row->batch = head.seq;
    }
    table_set(row, after);
    record_unref(after);
    s->changes++;
    if (head.time_ms > s->newest_ms)
        s->newest_ms = head.time_ms;
    return OK;
}

enum status state_block(void *owner, const struct block *block, struct span bytes, struct buf *why)
{
    struct state *s = owner;
    struct span rest = block_body(bytes);
    struct buf secret = {0};
    enum status st = OK;
    for (uint32_t i = 0; st == OK && i < block->entries; i++) {
        struct block_entry entry = block_take_entry(&rest);
        st = change(s, &entry, &secret);
    }
    for (uint32_t i = 0; st == OK && i < block->counts; i++) {
        struct block_count count = block_take_counts(&rest);
        if (count.partition >= s->partitions)
            st = DAMAGED;
        else if (count.counts.seq > s->parts[count.partition].seq) /* the base may be ahead */
            s->parts[count.partition] = count.counts;
    }
    if (st != OK)
        buf_printf(why,
                   st == SERVER_ERROR ? "the base cannot be read for the change at position %llu"
                                      : "the journal holds a change at position %llu that does not "
                                        "fit what came before it",
                   (unsigned long long)block->position);
    else
        s->end = block->position + block_room(block->length);
    s->blocks += st == OK;
    if (secret.cap)
        explicit_bzero(secret.data, secret.cap);
    buf_fini(&secret);
    return st;
}
