/* machine_replay.c — the whole journal read again, from its very first block; and history. */
#include "machine.h"

#include "base/buf.h"
#include "hub/replay.h"
#include "store/history_reader.h"
#include "store/key.h"
#include "store/recovery.h"
#include "store/table.h"

enum { ARENA = 8 << 20 };

struct reading {
    struct machine *machine;
    struct machine_state *out;
    struct seal *seal;
    struct arena arena;
    struct buf secret;
};

static enum status wrong(struct buf *why, uint64_t position, const char *what)
{
    buf_printf(why, "block at %llu: %s", (unsigned long long)position, what);
    return DAMAGED;
}

static enum status open_secret(struct reading *g, struct span key, struct span sealed)
{
    buf_clear(&g->secret);
    if (sealed.len == 0)
        return OK;
    if (sealed.len < SEAL_EXTRA)
        return DAMAGED;
    buf_reserve(&g->secret, sealed.len);
    TRY(seal_open(g->seal, key, sealed, g->secret.data));
    g->secret.len = sealed.len - SEAL_EXTRA;
    return OK;
}

static enum status read_entry(struct reading *g, uint64_t position, const struct block_entry *entry,
                              struct buf *why)
{
    struct replay_head head;
    struct record *after = NULL;
    struct key key;
    struct store_partition *parts = g->out->parts;
    if (hub_replay.head(entry->effect, &head) != OK || head.key.partition >= STORE_PARTITIONS_MAX)
        return wrong(why, position, "a change without a head");
    if (head.seq != ++parts[head.key.partition].seq)
        return wrong(why, position, "a change out of order");
    key_encode(&key, &head.key);
    if (open_secret(g, key_span(&key), entry->sealed) != OK)
        return wrong(why, position, "a secret that does not open");
    struct table_row *row = table_get(&g->out->table, key_span(&key));
    enum status st =
        hub_replay.apply(row->record, entry->effect, buf_span(&g->secret), &g->arena, &after);
    arena_release(&g->arena, 0);
    if (st != OK)
        return wrong(why, position, "a change that does not fit");
    table_set(row, after);
    record_unref(after);
    return OK;
}

static enum status read_counts(struct reading *g, uint64_t position,
                               const struct block_count *count, struct buf *why)
{
    if (count->partition >= STORE_PARTITIONS_MAX ||
        g->out->parts[count->partition].seq != count->counts.seq)
        return wrong(why, position, "counts of another moment");
    g->out->parts[count->partition] = count->counts;
    return OK;
}

static enum status on_block(void *owner, const struct block *block, struct span bytes,
                            struct buf *why)
{
    struct reading *g = owner;
    struct span rest = block_body(bytes);
    for (uint32_t i = 0; i < block->entries; i++) {
        struct block_entry entry = block_take_entry(&rest);
        TRY(read_entry(g, block->position, &entry, why));
    }
    for (uint32_t i = 0; i < block->counts; i++) {
        struct block_count count = block_take_counts(&rest);
        TRY(read_counts(g, block->position, &count, why));
    }
    g->machine->stats.blocks++;
    return OK;
}

static void begin(struct reading *g, struct machine *m, struct machine_state *out)
{
    static uint8_t scratch[ARENA] __attribute__((aligned(16)));
    *out = (struct machine_state){0};
    *g = (struct reading){.machine = m, .out = out, .seal = seal_create(m->master_key)};
    table_init(&out->table, (struct hash_key){1, 2});
    arena_init(&g->arena, scratch, sizeof(scratch));
}

static void end(struct reading *g)
{
    arena_fini(&g->arena);
    buf_fini(&g->secret);
    seal_destroy(g->seal);
}

enum status machine_replay(struct machine *m, struct machine_state *out, struct buf *why)
{
    struct sim_power power = {.seed = 1};
    struct sim_disk all;
    struct recovery recovery;
    struct reading g;
    begin(&g, m, out);
    sim_disk_init(&all, &power);
    sim_disk_all(&m->disk, &all);
    struct recovery_options o = {
        .disk = &all.disk, .hub_id = m->hub_id, .fn = on_block, .owner = &g};
    enum status st = recovery_run(&o, &recovery, why);
    if (st == OK)
        recovery_fini(&recovery);
    sim_disk_fini(&all);
    end(&g);
    return st;
}

static enum status read_history(struct reading *g, const struct history_entry *e, struct buf *why)
{
    struct block_entry entry = {e->effect, e->sealed};
    struct block_count count = {e->partition, e->counts};
    g->machine->stats.history++;
    return e->is_counts ? read_counts(g, e->position, &count, why)
                        : read_entry(g, e->position, &entry, why);
}

enum status machine_replay_history(struct machine *m, struct machine_state *out, struct buf *why)
{
    struct history_query query = {
        .disk = &m->disk.disk, .hub_id = m->hub_id, .replay = &hub_replay};
    struct history_reader reader;
    struct history_entry entry;
    struct reading g;
    begin(&g, m, out);
    enum status st = history_reader_open(&reader, &query);
    while (st == OK || st == NEED_MORE) {
        st = history_reader_next(&reader, &entry);
        if (st == OK)
            st = read_history(&g, &entry, why);
        else if (st == DAMAGED)
            wrong(why, reader.broken, "changes are missing");
    }
    history_reader_close(&reader);
    end(&g);
    return st == NOT_FOUND ? OK : st;
}

void machine_state_fini(struct machine_state *s)
{
    table_fini(&s->table);
}

struct record *machine_state_find(const struct machine_state *s, const struct store_key *key)
{
    struct key k;
    key_encode(&k, key);
    struct table_row *row = table_find(&s->table, key_span(&k));
    return row ? row->record : NULL;
}
