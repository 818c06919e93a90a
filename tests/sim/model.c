#include "model.h"

#include "base/hash.h"
#include "base/test.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

static uint8_t arena_block[8 << 20] __attribute__((aligned(16)));

static void add_moment(struct family *f, const struct moment *moment)
{
    if (f->count == f->room) {
        f->room = f->room ? 2 * f->room : 16;
        f->moments = realloc(f->moments, f->room * sizeof(*f->moments));
        if (!f->moments)
            check_no_memory();
    }
    f->moments[f->count++] = *moment;
}

void model_init(struct model *m)
{
    *m = (struct model){0};
    list_init(&m->snaps);
    list_init(&m->asks);
    arena_init(&m->arena, arena_block, sizeof(arena_block));
    naive_reset();
    for (unsigned i = 0; i < FAMILIES; i++) {
        struct family *f = &m->families[i];
        snprintf(f->id, sizeof(f->id), "d%u", i + 1);
        f->index = i;
        f->partition = hash_partition(span_text(f->id), PARTITIONS);
        add_moment(f, &(struct moment){0});
    }
}

void model_fini(struct model *m)
{
    for (struct list *at; (at = list_take_first(&m->snaps));) {
        struct snap *s = CONTAINER_OF(at, struct snap, all);
        record_unref(s->record);
        free(s);
    }
    for (struct list *at; (at = list_take_first(&m->asks));)
        ask_destroy(CONTAINER_OF(at, struct ask, all));
    for (unsigned i = 0; i < FAMILIES; i++)
        free(m->families[i].moments);
    arena_fini(&m->arena);
}

struct span family_module(unsigned slot)
{
    static const struct span ids[SLOTS] = {
        {NULL, 0},
        SPAN_INIT("m1"),         SPAN_INIT("m2"),
        SPAN_INIT("m3"), SPAN_INIT("$edgeAgent"), SPAN_INIT("$edgeHub")
    };
    return ids[slot];
}

/* ---- asks ---- */

struct ask *ask_create(struct model *m, enum ask_kind kind, struct family *f, unsigned slot)
{
    struct ask *a = calloc(1, sizeof(*a));
    if (!a)
        check_no_memory();
    a->id = ++m->last_ask;
    a->kind = kind;
    a->family = f;
    a->slot = slot;
    a->if_version = -1;
    a->jumps = m->jumps;
    list_init(&a->line);
    list_init(&a->entries);
    for (unsigned i = 0; i < FAMILIES; i++)
        a->from[i] = m->families[i].count - 1;
    list_append(&m->asks, &a->all);
    return a;
}

void ask_destroy(struct ask *a)
{
    list_remove(&a->all);
    list_remove(&a->line);
    free(a);
}

void ask_lose(struct ask *a)
{
    LIST_EACH_SAFE(at, &a->entries)
    {
        ask_lose(CONTAINER_OF(at, struct ask, line));
    }
    a->lost = true;
    a->floor = NULL;
    a->device = NULL;
    list_remove(&a->line);
}

void model_quiet(struct model *m)
{
    LIST_EACH_SAFE(at, &m->asks)
    {
        struct ask *a = CONTAINER_OF(at, struct ask, all);
        if (a->lost)
            ask_destroy(a);
    }
}

/* ---- changes ---- */

static struct family *find_family(struct model *m, struct span device)
{
    for (unsigned i = 0; i < FAMILIES; i++)
        if (span_eq(span_text(m->families[i].id), device))
            return &m->families[i];
    report_failure("a change of %.*s, whom nobody knows", SPAN_ARG(device));
}

static unsigned find_slot(struct span module)
{
    unsigned slot = 0;
    while (slot < SLOTS && !span_eq(family_module(slot), module))
        slot++;
    PROMISE(slot < SLOTS, "a change of module %.*s, whom nobody knows", SPAN_ARG(module));
    return slot;
}

static bool same_record(const struct record *a, const struct record *b)
{
    if (!a || !b)
        return a == b;
    return span_eq(record_body(a), record_body(b)) && span_eq(record_secret(a), record_secret(b));
}

/* Replay of the change record gives the record the hub made, byte for byte. */
static void check_replay(struct model *m, struct record *old, const struct store_change *c)
{
    struct record *replayed = NULL;
    enum status st = change_apply(old, c->effect, c->secret, &m->arena, &replayed);
    PROMISE(st == OK, "the change record cannot be replayed: %s", status_name(st));
    PROMISE(same_record(replayed, c->record), "replay gives another record");
    record_unref(replayed);
    arena_reset(&m->arena);
}

static void count(struct store_partition *part, const struct snap *s, uint64_t by)
{
    if (!s)
        return;
    if (s->e.module.len) {
        part->modules += by;
        return;
    }
    part->devices += by;
    part->disabled += s->e.disabled ? by : 0;
}

static void check_part(struct model *m, const struct store_change *c, const struct snap *before,
                       const struct snap *after)
{
    struct store_partition *part = &m->parts[c->key.partition];
    PROMISE(c->seq == part->seq + 1, "seq %llu after %llu", (unsigned long long)c->seq,
            (unsigned long long)part->seq);
    part->seq++;
    count(part, before, (uint64_t)-1);
    count(part, after, 1);
    PROMISE(memcmp(part, &c->part, sizeof(*part)) == 0,
            "partition %u counts %llu devices, %llu disabled, %llu modules; there are %llu, %llu, "
            "%llu",
            c->key.partition, (unsigned long long)c->part.devices,
            (unsigned long long)c->part.disabled, (unsigned long long)c->part.modules,
            (unsigned long long)part->devices, (unsigned long long)part->disabled,
            (unsigned long long)part->modules);
}

static struct snap *take_snap(struct model *m, struct record *record)
{
    struct snap *s = calloc(1, sizeof(*s));
    if (!s)
        check_no_memory();
    list_append(&m->snaps, &s->all);
    s->record = record_ref(record);
    PROMISE(entity_view(record, &s->e) == OK, "the record cannot be read");
    PROMISE(entity_check(&s->e) == OK, "the record does not hold together");
    return s;
}

static void check_head(const struct model *m, const struct store_change *c,
                       const struct change_head *head)
{
    PROMISE(head->seq == c->seq && head->partition == c->key.partition &&
                span_eq(head->device, c->key.device) && span_eq(head->module, c->key.module),
            "the change record names another change");
    PROMISE(head->time_ms == m->wall_ms || head->time_ms == m->wall_before_ms,
            "the change was made at %lld, it is %lld", (long long)head->time_ms,
            (long long)m->wall_ms);
}

void model_append(void *model, struct record *old, const struct store_change *c)
{
    struct model *m = model;
    struct family *f = find_family(m, c->key.device);
    struct moment next = *family_last(f);
    struct change_head head;
    next.slot = find_slot(c->key.module);
    const struct snap *before = next.at[next.slot];
    PROMISE(same_record(before ? before->record : NULL, old),
            "the store holds another record of %s/%.*s than it was given", f->id,
            SPAN_ARG(c->key.module));
    PROMISE(c->key.partition == f->partition, "partition %u", c->key.partition);
    PROMISE(change_head(c->effect, &head) == OK, "the change record has no head");
    check_head(m, c, &head);
    check_replay(m, old, c);
    struct snap *after = c->record ? take_snap(m, c->record) : NULL;
    PROMISE(!after || after->e.seq == c->seq, "the record has another seq");
    check_part(m, c, before, after);
    next.kind = head.kind;
    next.seq = c->seq;
    next.inside = next.claimed = false;
    next.delta = NULL;
    next.at[next.slot] = after;
    add_moment(f, &next);
    m->changes++;
    model_explain(m, f, f->count - 1, &head);
}

/* ---- after a power cut ---- */

static void on_record(void *owner, enum status st, struct record *record)
{
    struct record **out = owner;
    *out = st == OK ? record_ref(record) : NULL;
}

static void check_slot(const struct family *f, struct store *store, unsigned slot)
{
    const struct snap *want = family_last(f)->at[slot];
    struct record *got = NULL;
    struct store_key key = {f->partition, span_text(f->id), family_module(slot)};
    store_load(store, &key, on_record, &got);
    PROMISE(same_record(want ? want->record : NULL, got),
            "after the restart %s/%.*s is not what it was", f->id, SPAN_ARG(family_module(slot)));
    record_unref(got);
}

void model_restart(struct model *m, struct store *const *stores, unsigned shards, bool crashed)
{
    for (unsigned i = 0; i < FAMILIES; i++) {
        struct family *f = &m->families[i];
        size_t before = f->count;
        struct store *store = stores[f->partition % shards];
        uint64_t seq = store->parts[f->partition].seq;
        while (f->count > 1 && family_last(f)->seq > seq)
            f->count--;
        PROMISE(crashed || f->count == before, "an orderly stop lost %zu changes of %s",
                before - f->count, f->id);
        PROMISE(f->shown < f->count, "%s was shown its change %zu and has only %zu", f->id,
                f->shown, f->count - 1);
        PROMISE(!family_last(f)->inside, "half of a change of %s is there", f->id);
        for (unsigned slot = 0; slot < SLOTS; slot++)
            check_slot(f, store, slot);
    }
    memset(m->parts, 0, sizeof(m->parts));
    for (unsigned i = 0; i < FAMILIES; i++)
        for (unsigned slot = 0; slot < SLOTS; slot++)
            count(&m->parts[m->families[i].partition], family_last(&m->families[i])->at[slot], 1);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        const struct store_partition *parts = stores[i % shards]->parts;
        m->parts[i].seq = parts[i].seq;
        PROMISE(memcmp(&m->parts[i], &parts[i], sizeof(m->parts[i])) == 0,
                "the counts of partition %u are wrong after the restart", i);
    }
    model_quiet(m);
}
