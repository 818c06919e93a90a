/* What a start reads from the journal (embedded.h): records the base lacks, into `left`.
 *
 * Most of the time goes into changes, not into reading. So each of several threads reads all of the
 * journal and takes the changes of some partitions. And most of that goes into waiting for memory:
 * those of a segment are carried out roughly in the order of their keys, in which their records lie
 * in the base, and of one key in the order in which they were made.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "store/embedded_parts.h"

enum {
    SCRATCH_MIN = 1 << 20,
    SCRATCH_MAX = 128 << 20,
    CHANGE_BYTES = 192, /* of journal: what one takes, as a guess */
    AHEAD = 8,          /* changes */
    LINE = 64,          /* of the processor's cache */
    LINES = 4           /* most changes are no longer */
};

/* A change that was read. */
struct change_read {
    uint64_t words[2]; /* how its key begins */
    uint64_t position; /* of its block */
    struct block_entry entry;
};

struct replaying {
    struct embedded *e;
    struct mark from;
    unsigned index;
    enum status st;
    struct table *left; /* of this index */
    struct change_read *changes;
    size_t change_count, change_room;
    struct recovery found;
    struct buf why;
    struct base_reader *reader; /* entered */
    struct seal *seal;
    struct buf secret;
    struct arena arena;
    size_t size; /* of the arena */
};

static void free_arena(struct replaying *r)
{
    void *memory = r->arena.base;
    arena_fini(&r->arena);
    free(memory);
}

static void fit_arena(struct replaying *r, size_t size)
{
    if (r->size)
        free_arena(r);
    r->size = size;
    void *memory = malloc(size);
    if (!memory)
        check_no_memory();
    arena_init(&r->arena, memory, size);
}

static bool is_id(struct span id)
{
    return id.len <= STORE_ID_MAX && span_index(id, 0) == id.len;
}

static bool is_key(const struct embedded *e, const struct store_key *key)
{
    return key->partition < e->o.partitions && is_id(key->device) && is_id(key->module) &&
           (key->device.len || (key->module.len && key->partition == 0));
}

static enum status open_secret(struct replaying *r, struct span key, struct span sealed)
{
    buf_clear(&r->secret);
    if (sealed.len == 0)
        return OK;
    if (sealed.len < SEAL_EXTRA)
        return DAMAGED;
    buf_reserve(&r->secret, sealed.len);
    r->secret.len = sealed.len - SEAL_EXTRA;
    return seal_open(r->seal, key, sealed, r->secret.data);
}

/* The record as the base has it, counted. One that is damaged there stays so unless the journal
 * has it whole. */
static enum status before_in_base(struct replaying *r, struct span key, struct record **out)
{
    enum status st = base_get(r->reader, key, out);
    *out = st == OK ? *out : NULL;
    return st == SERVER_ERROR ? SERVER_ERROR : OK;
}

static enum status apply(struct replaying *r, struct record *before, struct span effect,
                         struct record **out)
{
    for (;;) {
        enum status st =
            r->e->o.replay->apply(before, effect, buf_span(&r->secret), &r->arena, out);
        if (st != TOO_LARGE || r->size >= SCRATCH_MAX)
            return st;
        fit_arena(r, r->size * 2);
    }
}

/* `row` is the key's, NULL: none yet. */
static void keep(struct replaying *r, struct table_row *row, struct span key, struct record *before,
                 struct record *after, uint64_t seq)
{
    if (!row && before == after)
        return; /* the base has it */
    size_t bytes = row ? handle_row_bytes(row) : 0;
    if (!row)
        row = table_add_row(r->left, key);
    table_set(row, after);
    row->batch = seq;
    atomic_fetch_add(&r->e->hot, handle_row_bytes(row) - bytes);
}

static void note_change(struct replaying *r, const struct key *key, uint64_t position,
                        struct block_entry entry)
{
    struct change_read *c;
    uint8_t begin[sizeof(c->words)] = {0};
    if (r->change_count == r->change_room) {
        r->change_room = r->change_room * 2 + 1024;
        r->changes = realloc(r->changes, r->change_room * sizeof(*r->changes));
        if (!r->changes)
            check_no_memory();
    }
    c = &r->changes[r->change_count++];
    memcpy(begin, key->bytes, key->len < sizeof(begin) ? key->len : sizeof(begin));
    memcpy(c->words, begin, sizeof(begin));
    c->words[0] = be64toh(c->words[0]);
    c->words[1] = be64toh(c->words[1]);
    c->position = position;
    c->entry = entry;
}

static enum status read_entry(struct replaying *r, uint64_t position, struct block_entry entry)
{
    const struct embedded *e = r->e;
    struct replay_head head;
    struct key key;
    TRY(e->o.replay->head(entry.effect, &head));
    if (!is_key(e, &head.key))
        return DAMAGED;
    if (head.key.partition % e->left_count != r->index)
        return OK; /* another's */
    key_encode(&key, &head.key);
    note_change(r, &key, position, entry);
    return OK;
}

/* Changes of one key are in one place of the buffer behind another. */
static int by_key(const void *a, const void *b)
{
    const struct change_read *x = a, *y = b;
    for (size_t i = 0; i < COUNT(x->words); i++)
        if (x->words[i] != y->words[i])
            return x->words[i] < y->words[i] ? -1 : 1;
    return x->entry.effect.data < y->entry.effect.data ? -1 : 1;
}

static enum status carry_out(struct replaying *r, struct block_entry entry)
{
    struct replay_head head;
    struct key key;
    struct record *before = NULL, *after = NULL;
    TRY(r->e->o.replay->head(entry.effect, &head));
    key_encode(&key, &head.key);
    TRY(open_secret(r, key_span(&key), entry.sealed));
    struct table_row *row = table_find(r->left, key_span(&key));
    if (row)
        before = row->record ? record_ref(row->record) : NULL;
    else
        TRY(before_in_base(r, key_span(&key), &before));
    enum status st = apply(r, before, entry.effect, &after);
    if (st == OK && !after && before && store_fault(STORE_FAULT_DELETE_NOT_REPLAYED))
        after = record_ref(before);
    if (st == OK)
        keep(r, row, key_span(&key), before, after, head.seq);
    record_unref(before);
    if (st == OK)
        record_unref(after);
    return st;
}

static enum status replay_counts(struct embedded *e, struct block_count count)
{
    if (count.partition >= e->o.partitions)
        return DAMAGED;
    if (store_fault(STORE_FAULT_COUNTS_NOT_REPLAYED))
        return OK;
    if (count.counts.seq > e->parts[count.partition].seq)
        e->parts[count.partition] = count.counts;
    return OK;
}

/* Why a change of the block at `position` cannot be replayed; the status for the caller. */
static enum status refuse(const struct replaying *r, enum status st, uint64_t position,
                          struct buf *why)
{
    if (st == SERVER_ERROR) {
        buf_printf(why, "cannot read the base: %s", base_text(r->e->base, r->reader->error));
        return base_status(r->e->base, r->reader->error);
    }
    buf_printf(why,
               "the journal holds a change at position %llu that does not fit what came before it; "
               "see twinhub check",
               (unsigned long long)position);
    return st;
}

static enum status on_block(void *owner, const struct block *block, struct span bytes,
                            struct buf *why)
{
    struct replaying *r = owner;
    struct span rest = block_body(bytes);
    enum status st = OK;
    for (uint32_t i = 0; i < block->entries && st == OK; i++)
        st = read_entry(r, block->position, block_take_entry(&rest));
    for (uint32_t i = 0; i < block->counts && st == OK && r->index == 0; i++)
        st = replay_counts(r->e, block_take_counts(&rest));
    return st == OK ? OK : refuse(r, st, block->position, why);
}

/* The bytes of a change that comes soon: so that nobody waits for them then. */
static void fetch_ahead(const struct replaying *r, size_t i)
{
    if (i + AHEAD >= r->change_count)
        return;
    const uint8_t *at = r->changes[i + AHEAD].entry.effect.data;
    for (size_t line = 0; line < LINES; line++)
        __builtin_prefetch(at + line * LINE);
}

static enum status on_segment(void *owner, struct buf *why)
{
    struct replaying *r = owner;
    if (r->change_count)
        qsort(r->changes, r->change_count, sizeof(*r->changes), by_key);
    for (size_t i = 0; i < r->change_count; i++) {
        fetch_ahead(r, i);
        enum status st = carry_out(r, r->changes[i].entry);
        if (st != OK)
            return refuse(r, st, r->changes[i].position, why);
    }
    r->change_count = 0;
    return OK;
}

static void read_journal(struct replaying *r)
{
    struct recovery_options options = {.disk = r->e->disk,
                                       .hub_id = r->e->o.hub_id,
                                       .from = r->from,
                                       .beside = r->index > 0,
                                       .fn = on_block,
                                       .segment_fn = on_segment,
                                       .owner = r};
    map_reserve(&r->left->map, r->e->o.tail_max / CHANGE_BYTES / r->e->left_count);
    r->st = recovery_run(&options, &r->found, &r->why);
    table_order(r->left);
}

static void *replay_share(void *arg)
{
    struct replaying *r = arg;
    struct embedded *e = r->e;
    r->seal = seal_create(e->o.master_key);
    fit_arena(r, SCRATCH_MIN);
    r->st = base_reader_open(e->base, &r->reader);
    if (r->st == OK)
        r->st = base_enter(r->reader);
    if (r->st == OK) {
        read_journal(r);
        base_leave(r->reader);
    } else {
        buf_printf(&r->why, "cannot read the base: %s", base_text(e->base, r->reader->error));
        r->st = base_status(e->base, r->reader->error);
    }
    base_reader_close(r->reader);
    seal_destroy(r->seal);
    if (r->secret.data)
        explicit_bzero(r->secret.data, r->secret.cap);
    buf_fini(&r->secret);
    free(r->changes);
    free_arena(r);
    return NULL;
}

/* What the first one found counts for all; the first failure, too. */
static void join_share(struct replaying *r, struct recovery *out, enum status *st, struct buf *why)
{
    if (*st == OK && r->st != OK) {
        *st = r->st;
        buf_put(why, buf_span(&r->why));
    }
    if (r->index == 0 && r->st == OK)
        *out = r->found;
    else if (r->st == OK)
        recovery_fini(&r->found);
    buf_fini(&r->why);
}

enum status embedded_replay(struct embedded *e, struct mark from, struct recovery *out,
                            struct buf *why)
{
    struct replaying shares[REPLAY_MAX] = {{0}};
    pthread_t threads[REPLAY_MAX];
    bool runs[REPLAY_MAX] = {false};
    unsigned count = e->left_count;
    enum status st = OK;
    for (unsigned i = 0; i < count; i++)
        shares[i] = (struct replaying){.e = e, .from = from, .index = i, .left = &e->left[i]};
    for (unsigned i = 1; i < count; i++)
        runs[i] = pthread_create(&threads[i], NULL, replay_share, &shares[i]) == 0;
    for (unsigned i = 0; i < count; i++)
        if (!runs[i])
            replay_share(&shares[i]);
    for (unsigned i = 0; i < count; i++) {
        if (runs[i])
            pthread_join(threads[i], NULL);
        join_share(&shares[i], out, &st, why);
    }
    if (st != OK && shares[0].st == OK)
        recovery_fini(out);
    return st;
}
