#include "run.h"

#include "base/test.h"

#include <stdio.h>

enum { WEEK_MS = 604800000 };

uint64_t run_random(struct run *r, unsigned below)
{
    return test_random(&r->seed) % below;
}

bool run_chance(struct run *r, unsigned one_in)
{
    return run_random(r, one_in) == 0;
}

/* ---- the trace ---- */

static void mix(struct run *r, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        r->hash = (r->hash ^ bytes.data[i]) * 0x100000001b3;
}

static void on_event(void *owner, enum world_event event, uint64_t wire, struct span bytes)
{
    struct run *r = owner;
    uint64_t head[] = {event, wire, (uint64_t)r->world.now.wall_ms, (uint64_t)r->world.now.mono_ms,
                       bytes.len};
    mix(r, span_of(head, sizeof(head)));
    mix(r, bytes);
}

/* ---- time ---- */

static void set_wall(struct run *r, int64_t wall_ms)
{
    struct world *w = &r->world;
    r->model.wall_before_ms = r->model.wall_ms;
    w->now.wall_ms = r->model.wall_ms = wall_ms;
    if (wall_ms > r->wall_max_ms)
        r->wall_max_ms = wall_ms;
}

void run_pass(struct run *r, int64_t ms)
{
    int64_t mono_ms = r->world.now.mono_ms += ms;
    for (unsigned i = 0; i < RESTS; i++) {
        struct rest *c = &r->rests[i];
        c->closing |= mono_ms - c->sent_ms >= SILENCE_MS;
        c->closing |= c->in_part && mono_ms - c->part_ms >= SILENCE_MS;
    }
    for (unsigned i = 0; i < DEVICES; i++)
        device_pass(&r->devices[i], mono_ms);
    set_wall(r, r->world.now.wall_ms + ms);
}

/* The wall clock is set, forth or back. */
static void jump(struct run *r)
{
    static const int64_t far[] = {1, 60000, 3600000, 864000000LL, 315360000000LL};
    int64_t ms = far[run_random(r, COUNT(far))];
    if (run_chance(r, 2))
        ms = -ms;
    r->model.jumps++;
    report_say("the clock jumps by %lld ms", (long long)ms);
    set_wall(r, r->world.now.wall_ms + ms);
}

/* What the hub logged since. */
void run_say_log(struct run *r)
{
    struct buf *log = &r->world.log;
    r->world.log_kept = report.verbose;
    for (size_t n; log->len; buf_consume(log, n < log->len ? n + 1 : n)) {
        n = span_index(buf_span(log), '\n');
        report_say("  | %.*s", (int)n, (const char *)log->data);
    }
}

/* ---- what everybody does ---- */

bool run_read(struct run *r)
{
    bool any = false;
    for (unsigned i = 0; i < RESTS; i++)
        any |= rest_read(r, &r->rests[i]);
    for (unsigned i = 0; i < DEVICES; i++)
        any |= device_read(r, &r->devices[i]);
    return any;
}

/* ---- when nothing moves any more ---- */

static void check_counts(struct run *r)
{
    struct buf body = {0};
    unsigned devices = 0, disabled = 0, connected = 0;
    char want[96];
    for (unsigned i = 0; i < FAMILIES; i++) {
        const struct snap *s = family_last(&r->model.families[i])->at[SLOT_DEVICE];
        devices += s != NULL;
        disabled += s && s->e.disabled;
    }
    for (unsigned i = 0; i < DEVICES; i++) {
        const struct device *d = &r->devices[i];
        connected += d->wire && d->connected && d->slot == SLOT_DEVICE && !d->wire->closed;
        if (d->wire && d->deaf) /* it may not know yet what became of it */
            goto done;
    }
    PROMISE(world_rest(&r->world, "GET", "/statistics/devices", NULL, (struct span){0}, &body) ==
                200,
            "no statistics");
    snprintf(want, sizeof(want),
             "{\"totalDeviceCount\":%u,\"enabledDeviceCount\":%u,\"disabledDeviceCount\":%u}",
             devices, devices - disabled, disabled);
    PROMISE(span_eq(buf_span(&body), span_text(want)), "statistics %.*s, not %s", SPAN_ARG(body),
            want);
    buf_clear(&body);
    PROMISE(world_rest(&r->world, "GET", "/statistics/service", NULL, (struct span){0}, &body) ==
                200,
            "no statistics");
    snprintf(want, sizeof(want), "{\"connectedDeviceCount\":%u}", connected);
    PROMISE(span_eq(buf_span(&body), span_text(want)), "statistics %.*s, not %s", SPAN_ARG(body),
            want);
done:
    buf_fini(&body);
}

static void check_rest(const struct rest *c)
{
    if (!c->wire || c->hung_up || c->closing)
        return;
    PROMISE(list_empty(&c->line), "rest %llu never had an answer to ask %llu",
            (unsigned long long)c->wire->number,
            (unsigned long long)CONTAINER_OF(c->line.next, struct ask, line)->id);
}

/* What may be kept in memory though nobody needs it. */
static void check_memory(const struct run *r)
{
    for (unsigned i = 0; i < r->world.cluster.count; i++) {
        const struct shard *s = r->world.shards[i];
        PROMISE(s->hub.recent_count <= s->hub.config.recent_max, "%zu entries are kept",
                s->hub.recent_count);
        PROMISE(list_empty(&s->hub.written), "something is still to be written");
        PROMISE(s->calls_out == 0, "%u calls are under way", s->calls_out);
        PROMISE(list_empty(&s->calls), "a call is left");
        PROMISE(list_empty(&s->held_calls), "an answer is held");
    }
}

/* Until nobody has anything more to say. The embedded keeper paces itself by the clock. */
static void settle_all(struct run *r)
{
    unsigned quiet = 0, enough = r->world.options.embedded ? 3 : 1;
    if (r->world.options.machine.async)
        enough = 20; /* it syncs every 100 ms, and many things may wait for one another */
    for (unsigned n = 0; quiet < enough; n++) {
        world_settle(&r->world);
        world_sync(&r->world);
        world_settle(&r->world);
        run_say_log(r);
        quiet = run_read(r) ? 0 : quiet + 1;
        if (quiet < enough && r->world.options.embedded)
            run_pass(r, 100);
        PROMISE(n < 1000, "it never settles");
    }
}

static void settle(struct run *r)
{
    report_say("all settle");
    trouble_ends(r);
    for (unsigned i = 0; i < RESTS; i++)
        rest_flush(r, &r->rests[i], true);
    for (unsigned i = 0; i < DEVICES; i++) {
        device_flush(r, &r->devices[i], true);
        r->devices[i].deaf = false;
        if (r->devices[i].wire)
            r->devices[i].wire->deaf = false;
    }
    settle_all(r);
    for (unsigned i = 0; i < RESTS; i++)
        check_rest(&r->rests[i]);
    for (unsigned i = 0; i < DEVICES; i++)
        device_check(r, &r->devices[i]);
    model_quiet(&r->model);
    check_counts(r);
    world_settle(&r->world);
    check_memory(r);
    trouble_check(r);
}

/* ---- the run ---- */

static void act(struct run *r)
{
    unsigned what = (unsigned)run_random(r, 1000);
    if (what < 380)
        rest_act(r, &r->rests[run_random(r, RESTS)]);
    else if (what < 900)
        device_act(r, &r->devices[run_random(r, DEVICES)]);
    else if (what < 902)
        trouble_fills(r);
    else if (what < 905)
        trouble_eases(r);
    else if (what < 960)
        world_sync_shard(&r->world, (unsigned)run_random(r, r->world.cluster.count));
    else if (what < 980)
        run_pass(r, (int64_t)run_random(r, 200));
    else if (what < 986 && !r->crash_at)
        settle(r);
    else if (what < 990)
        run_pass(r, (int64_t)run_random(r, 200000));
    else if (what < 991)
        jump(r);
    else if (what < 993)
        trouble_crash(r);
    else if (r->crash_at)
        run_pass(r, 1); /* it ends anyway */
    else if (what < 998)
        trouble_comes(r);
    else
        trouble_restart(r, true);
}

/* Small enough that segments and checkpoints follow each other. */
static struct machine_options small_machine(struct run *r)
{
    static const unsigned paces[] = {2, 4, 10, 30};
    struct machine_options o = {.segment_min = 16384u << run_random(r, 3)};
    o.segment_max = o.segment_min << run_random(r, 4);
    o.tail_max = 16384u << run_random(r, 6);
    o.hot_max = 4096u << run_random(r, 7);
    o.async = run_chance(r, 16);
    if (run_chance(r, 2))
        o.history_ms = run_chance(r, 2) ? FOR_EVER : WEEK_MS;
    if (o.history_ms && run_chance(r, 4))
        o.history_size = 4096u << run_random(r, 6);
    for (unsigned i = 0; i < MACHINE_ACTORS; i++)
        o.pace[i] = paces[run_random(r, COUNT(paces))];
    return o;
}

/* One draw a statement: the order within one is the compiler's. */
static struct world_options draw_options(struct run *r)
{
    static const unsigned shards[] = {2, 2, 2, 2, 1, 3};
    struct world_options o = {.wall_ms = 1772619630500, .mono_ms = 1000};
    o.shards = shards[run_random(r, COUNT(shards))];
    o.manual_sync = !run_chance(r, 8);
    o.chunks = !run_chance(r, 4);
    o.async_loads = run_chance(r, 2);
    o.embedded = !run_chance(r, 8);
    o.reshards = run_chance(r, 3);
    o.machine = small_machine(r);
    /* Just enough, or enough for several operations a turn. */
    o.arena_size = (size_t)(run_chance(r, 4) ? 43 : 48) << 20;
    return o;
}

static void start(struct run *r, uint64_t seed, enum fault fault)
{
    *r = (struct run){.seed = seed * 0x9e3779b97f4a7c15 + 1, .hash = 0xcbf29ce484222325};
    model_init(&r->model);
    for (unsigned i = 0; i < DEVICES; i++) {
        r->devices[i].family = &r->model.families[0];
        list_init(&r->devices[i].line);
    }
    for (unsigned i = 0; i < RESTS; i++)
        list_init(&r->rests[i].line);
    struct world_options options = draw_options(r);
    options.seed = seed;
    options.fault = fault;
    options.on_append = model_append;
    options.on_append_owner = &r->model;
    options.trace = on_event;
    options.trace_owner = r;
    r->model.wall_ms = r->model.wall_before_ms = r->wall_max_ms = options.wall_ms;
    world_start(&r->world, &options);
    report_say("seed %llu: %u shards%s%s%s", (unsigned long long)seed, options.shards,
               options.manual_sync ? ", syncs by hand" : "", options.chunks ? ", chunks" : "",
               options.async_loads ? ", loads answered late" : "");
    if (options.embedded)
        report_say("segments of %u to %u bytes, tail %llu, hot table %llu%s",
                   options.machine.segment_min, options.machine.segment_max,
                   (unsigned long long)options.machine.tail_max,
                   (unsigned long long)options.machine.hot_max,
                   options.machine.async ? ", synced later" : "");
}

struct run_result run_play(uint64_t seed, enum fault fault)
{
    static struct run run;
    struct run *r = &run;
    report.seed = seed;
    report.step = 0;
    start(r, seed, fault);
    unsigned steps = 200 + (unsigned)run_random(r, 200);
    for (; report.step < steps; report.step++) {
        if (r->crash_at == report.step && report.step)
            trouble_crash(r);
        act(r);
        for (uint64_t n = run_random(r, 3); n; n--)
            world_step(&r->world);
        run_say_log(r);
        run_read(r);
        if (r->world.machine.power.dark)
            trouble_crash(r);
    }
    if (r->crash_at)
        trouble_crash(r);
    settle(r);
    trouble_restart(r, false);
    trouble_check(r);
    struct run_result result = {.changes = r->model.changes};
    world_end(&r->world);
    if (r->world.options.embedded) {
        const struct machine *m = &r->world.machine;
        uint64_t more[] = {m->disk_hash, m->base_hash};
        mix(r, span_of(more, sizeof(more)));
        result.machine = m->stats;
    }
    result.hash = r->hash;
    model_fini(&r->model);
    return result;
}
