/* The check's look at the journal, and at what it makes of the counts (check.h). A directory of
 * before the journal has the base's counts alone. */
#include <errno.h>

#include "store/check_look.h"
#include "store/disk_posix.h"
#include "store/key.h"
#include "store/lmdb_base.h"
#include "store/recovery.h"
#include "store/state.h"
#include "store/tail.h"

/* What is read of it, with or without the key. */
struct replaying {
    struct look *l;
    struct state state; /* with a key: in use */
    uint64_t end, blocks;
    bool unfit; /* a change was, in the block at `end` */
};

static enum status on_block(void *owner, const struct block *block, struct span bytes,
                            struct buf *why)
{
    struct replaying *r = owner;
    enum status st = r->l->seal ? state_block(&r->state, block, bytes, why) : OK;
    r->unfit = st != OK;
    TRY(st);
    r->end = block->position + block_room(block->length);
    r->blocks++;
    return OK;
}

/* Each record that the journal changed counts as it is after. */
static void recount(struct look *l, struct state *s)
{
    for (struct table_row *row = s->changed.first[0]; row; row = row->next[0]) {
        struct store_key key;
        struct record *before = NULL;
        struct kept kept;
        if (row->entry != STATE_CHANGED || !key_decode(table_key(row), &key))
            continue;
        if (base_get(s->base, table_key(row), &before) == OK &&
            l->o->rules->check(&key, l->out->partitions, before, &kept) == OK)
            check_count(l, &key, &kept, -1);
        record_unref(before);
        if (!row->record)
            continue;
        if (l->o->rules->check(&key, l->out->partitions, row->record, &kept) == OK)
            check_count(l, &key, &kept, 1);
        else
            check_found(l, check_of_record(CHECK_JOURNAL, &key),
                        "with its changes in the journal, its content does not hold together");
    }
}

/* Against what was counted by hand, unless records are damaged: then they cannot agree. */
static void compare_counts(struct look *l, const struct state *s)
{
    if (l->out->findings[CHECK_BASE] || l->out->findings[CHECK_JOURNAL] ||
        !l->out->looked_at[CHECK_BASE])
        return;
    for (uint32_t p = 0; p < l->out->partitions; p++) {
        const struct store_partition *is = &l->found[p], *says = &s->parts[p];
        if (is->devices != says->devices || is->disabled != says->disabled ||
            is->modules != says->modules)
            check_found(
                l, check_of_part(CHECK_COUNTS),
                "partition %u counts %llu devices (%llu disabled) and %llu modules; there are "
                "%llu (%llu) and %llu: records are missing or too many",
                p, (unsigned long long)says->devices, (unsigned long long)says->disabled,
                (unsigned long long)says->modules, (unsigned long long)is->devices,
                (unsigned long long)is->disabled, (unsigned long long)is->modules);
        if (is->seq > says->seq)
            check_found(l, check_of_part(CHECK_COUNTS),
                        "partition %u has had %llu changes, but a record is of change %llu", p,
                        (unsigned long long)says->seq, (unsigned long long)is->seq);
    }
    l->out->looked_at[CHECK_COUNTS] = true;
}

static enum status on_any_block(void *owner, const struct segment *s, const struct block *block,
                                struct span bytes, struct buf *why)
{
    (void)owner, (void)s, (void)block, (void)bytes, (void)why;
    return OK;
}

/* Where the chain ends, damage or not; 0: it cannot be told. When nothing of it can be read, that
 * is where it would begin. */
static uint64_t find_end(struct look *l, struct disk *disk, struct mark from)
{
    struct buf ignored = {0};
    struct mark end;
    struct tail_options options = {.disk = disk,
                                   .hub_id = l->d->header.hub_id,
                                   .from = from,
                                   .stop = UINT64_MAX,
                                   .fn = on_any_block};
    enum status st = tail_read(&options, &end, &ignored);
    buf_fini(&ignored);
    if (st != OK && st != DAMAGED)
        return 0;
    return end.position ? end.position : SEGMENT_HEAD;
}

/* The chain from `from` on, and each change in it. */
static enum status replay(struct look *l, struct disk *disk, struct base_reader *base,
                          struct mark from)
{
    struct replaying r = {.l = l, .end = from.position};
    struct recovery recovery;
    struct recovery_options options = {
        .disk = disk, .hub_id = l->d->header.hub_id, .from = from, .fn = on_block, .owner = &r};
    enum status st = state_init(&r.state, base, l->out->partitions, l->o->replay, l->seal);
    if (st != OK) {
        check_found(l, check_of_part(CHECK_COUNTS), "the counts of a partition cannot be read");
        state_fini(&r.state);
        return OK;
    }
    if (disk)
        st = recovery_run(&options, &recovery, l->why);
    if (st == OK && disk && recovery.count == 0 && l->out->features & HEADER_JOURNAL)
        check_found(l, check_of_part(CHECK_JOURNAL), "it has no segment");
    if (st == OK && disk)
        recovery_fini(&recovery);
    struct check_result *out = l->out;
    out->from = from.position;
    out->end = r.end;
    out->blocks = r.blocks;
    out->changes = r.state.changes;
    out->newest_ms = r.state.newest_ms;
    out->looked_at[CHECK_JOURNAL] = st == OK;
    if (st == DAMAGED) {
        struct check_finding f = {.part = CHECK_JOURNAL};
        f.position = r.unfit ? r.end : find_end(l, disk, from);
        out->recover_to = f.position;
        check_found(l, f, "%.*s", SPAN_ARG(buf_span(l->why)));
        buf_clear(l->why);
        st = OK;
    }
    if (st == OK && l->seal) {
        recount(l, &r.state);
        compare_counts(l, &r.state);
    }
    state_fini(&r.state);
    return st;
}

static enum status with_reader(struct look *l, struct disk *disk, struct base_reader *base)
{
    struct mark from;
    enum status st = base_enter(base);
    if (st != OK)
        return OK; /* the base's finding tells it */
    st = base_mark(base, &from);
    if (st == DAMAGED)
        check_found(l, check_of_part(CHECK_JOURNAL),
                    "where replay begins cannot be read from base.mdb");
    else if (st != SERVER_ERROR)
        st = replay(l, disk, base, st == OK ? from : (struct mark){0});
    base_leave(base);
    return st == DAMAGED || st == SERVER_ERROR ? OK : st;
}

enum status check_journal(struct look *l)
{
    static const uint8_t no_key[SEAL_KEY];
    struct disk *disk = NULL;
    struct base_reader *reader;
    if (!l->out->partitions || !l->file.env)
        return OK;
    int error = disk_posix_view(l->d->dir_fd, "journal", &disk);
    if (error == ENOENT && l->out->features & HEADER_JOURNAL) {
        check_found(l, check_of_part(CHECK_JOURNAL), "%s/journal is missing", l->d->path);
        return OK;
    }
    if (error && error != ENOENT)
        return directory_refuse(l->d, "open", "journal", error, l->why);
    struct base *base =
        lmdb_base_create(&l->file, l->seal ? l->d->master_key : no_key, (struct random){0});
    enum status st = base_reader_open(base, &reader);
    if (st == OK)
        st = with_reader(l, disk, reader);
    base_reader_close(reader);
    base_close(base);
    disk_posix_close(disk);
    return st == SERVER_ERROR ? OK : st;
}
