/* trouble.c — what befalls the machine under the hub, and what must be left of it. */
#include "run.h"

enum { RETRY_MS = 1100 }; /* the keeper looks for space every second */

static void excuse_clients(struct run *r)
{
    for (unsigned i = 0; i < RESTS; i++)
        r->rests[i].closing = true;
    for (unsigned i = 0; i < DEVICES; i++)
        r->devices[i].odd = true;
}

void trouble_forget(struct run *r)
{
    run_read(r);
    for (unsigned i = 0; i < RESTS; i++)
        rest_fini(&r->rests[i]);
    for (unsigned i = 0; i < DEVICES; i++)
        device_fini(&r->devices[i]);
    LIST_EACH_SAFE(at, &r->world.wires)
    {
        wire_drop(CONTAINER_OF(at, struct wire, all));
    }
}

/* ---- it comes ---- */

/* In the middle of what it does: at a sync, with what was written still in the cache, or anywhere;
 * or the disk fails, or the base. */
static void arm(struct run *r)
{
    struct machine *m = &r->world.machine;
    unsigned n = 1 + (unsigned)run_random(r, run_chance(r, 4) ? 40 : 6);
    unsigned what = (unsigned)run_random(r, m->options.async ? 7 : 10);
    r->world.hurries = what != 2 && what != 3; /* or it would not come to that; but a slow journal
                                                  has larger groups */
    if (what < 2) {
        report_say("the hub ends at the %u. write or sync from here", n);
        m->power.left = n;
    } else if (what < 4) {
        report_say("the hub ends at the next sync of the disk");
        m->power.ends_at_disk_sync = true;
    } else if (what < 7) {
        report_say("the hub ends at the next sync of the base");
        m->power.ends_at_base_sync = true;
    } else if (what < 9) {
        report_say("the disk fails at the %u. write or sync from here", n);
        machine_fail(m, false, n);
    } else {
        report_say("the base fails at the %u. commit or sync from here", n % 4 + 1);
        machine_fail(m, true, n % 4 + 1);
    }
}

void trouble_comes(struct run *r)
{
    if (r->world.options.embedded) {
        arm(r);
    } else {
        unsigned shard = (unsigned)run_random(r, r->world.cluster.count);
        report_say("the disk of shard %u fails", shard);
        memory_store_fail(r->world.stores[shard], SERVER_ERROR);
    }
    r->model.ending = true;
    r->crash_at = report.step + 1 + (unsigned)run_random(r, 100);
}

void trouble_fills(struct run *r)
{
    if (!r->world.options.embedded)
        return;
    unsigned left = run_chance(r, 2) ? 0 : (unsigned)run_random(r, 200000);
    report_say("the disk fills up: %u bytes are left", left);
    machine_fill(&r->world.machine, left);
    r->model.full = r->full = r->was_full = true;
}

void trouble_eases(struct run *r)
{
    if (!r->full)
        return;
    report_say("there is space again");
    machine_free(&r->world.machine);
    r->full = false;
}

void trouble_ends(struct run *r)
{
    trouble_eases(r);
    if (r->model.full)
        run_pass(r, RETRY_MS);
}

/* ---- the hub starts again ---- */

static void came_back(struct run *r, bool crashed)
{
    struct world *w = &r->world;
    model_restart(&r->model, w->stores, w->cluster.count, crashed);
    r->model.ending = false;
    w->hurries = false;
    r->crash_at = 0;
}

/* Once more, before the hub has got far. */
static void again(struct run *r, bool at_sync)
{
    struct world *w = &r->world;
    r->crash_at = report.step + 1 + (unsigned)run_random(r, 20);
    w->hurries = at_sync;
    if (!at_sync || run_chance(r, 3))
        return;
    r->crash_at += 40;
    w->machine.power.ends_at_disk_sync = r->model.ending = true;
}

void trouble_crash(struct run *r)
{
    struct world *w = &r->world;
    bool cut = !w->options.embedded || (run_chance(r, 2) && !w->options.machine.async);
    report_say(cut ? "the power is cut" : "the hub is killed");
    bool at_sync = w->machine.power.dark;
    excuse_clients(r);
    run_read(r);
    if (w->options.embedded && run_chance(r, 2))
        w->machine.start_cuts = 1 + (unsigned)run_random(r, 3);
    if (cut)
        world_crash(w);
    else
        world_kill(w);
    trouble_forget(r);
    came_back(r, true);
    if (w->options.embedded && run_chance(r, at_sync ? 1 : 3))
        again(r, at_sync);
}

/* The hub is asked to stop: it answers what it has begun, closes everybody and says so. */
static void stop_in_order(struct run *r)
{
    struct world *w = &r->world;
    for (unsigned i = 0; i < w->cluster.count; i++)
        shard_stop(w->shards[i]);
    for (unsigned n = 0; w->stopped < w->cluster.count; n++) {
        PROMISE(n < 2000, "it does not stop");
        struct rest *c = &r->rests[run_random(r, RESTS)];
        if (c->wire && run_chance(r, 8)) /* the doors are closed, but who is in may talk */
            rest_act(r, c);
        if (run_chance(r, 4))
            world_sync(w);
        if (w->options.machine.async)
            run_pass(r, 10);
        world_step(w);
        run_read(r);
    }
    world_settle(w); /* who was on the way from one shard to another is closed on arrival */
    run_read(r);
    run_say_log(r);
    LIST_EACH(at, &w->wires)
    {
        const struct wire *wire = CONTAINER_OF(at, struct wire, all);
        PROMISE(!wire->opened || wire->closed, "wire %llu outlives the hub",
                (unsigned long long)wire->number);
    }
}

void trouble_restart(struct run *r, bool may_stop)
{
    bool in_order = may_stop && run_chance(r, 2);
    report_say("the hub is started anew%s", in_order ? " after an orderly stop" : "");
    excuse_clients(r);
    trouble_ends(r);
    r->model.ending = true;
    for (int i = 0; i < 10 && r->world.options.machine.async; i++) { /* it syncs by the clock */
        world_settle(&r->world);
        run_pass(r, 100);
    }
    if (in_order)
        stop_in_order(r);
    world_stop(&r->world);
    trouble_forget(r);
    world_restart(&r->world);
    came_back(r, false);
}

/* ---- what the journal holds ---- */

static bool same_record(const struct record *a, const struct record *b)
{
    if (!a || !b)
        return a == b;
    return span_eq(record_body(a), record_body(b)) && span_eq(record_secret(a), record_secret(b));
}

static void check_family(const struct machine_state *state, const struct family *f)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        const struct snap *want = family_last(f)->at[slot];
        struct store_key key = {f->partition, span_text(f->id), family_module(slot)};
        PROMISE(same_record(machine_state_find(state, &key), want ? want->record : NULL),
                "the journal makes another record of %s/%.*s", f->id,
                SPAN_ARG(family_module(slot)));
    }
}

static void check_state(const struct run *r, const struct machine_state *state)
{
    for (unsigned i = 0; i < FAMILIES; i++)
        check_family(state, &r->model.families[i]);
    for (unsigned i = 0; i < PARTITIONS; i++)
        PROMISE(memcmp(&state->parts[i], &r->model.parts[i], sizeof(state->parts[i])) == 0,
                "the journal counts otherwise in partition %u", i);
}

/* Nothing is under way: the journal, read from its very first block, gives the present state; so
 * does history, when nothing of it had to go. */
void trouble_check(struct run *r)
{
    static struct machine_state state;
    struct machine *m = &r->world.machine;
    struct buf why = {0};
    if (!r->world.options.embedded)
        return;
    r->model.full = false;
    enum status st = machine_replay(m, &state, &why);
    PROMISE(st == OK, "the journal cannot be read from the start: %.*s", SPAN_ARG(why));
    check_state(r, &state);
    machine_state_fini(&state);
    if (m->options.history_ms == FOR_EVER && !m->options.history_size && !r->was_full) {
        st = machine_replay_history(m, &state, &why);
        PROMISE(st == OK, "history cannot be read from the start: %.*s", SPAN_ARG(why));
        check_state(r, &state);
        machine_state_fini(&state);
    }
    buf_fini(&why);
}
