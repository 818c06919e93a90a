#include "run.h"

#include "base/test.h"

#include <stdio.h>

enum { SILENCE_MS = 30000 }; /* the shortest that the hub may take for the end */

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

static void pass(struct run *r, int64_t ms)
{
    int64_t mono_ms = r->world.now.mono_ms += ms;
    for (unsigned i = 0; i < RESTS; i++)
        r->rests[i].closing |= mono_ms - r->rests[i].sent_ms >= SILENCE_MS;
    for (unsigned i = 0; i < DEVICES; i++)
        r->devices[i].was_silent |= mono_ms - r->devices[i].sent_ms >= SILENCE_MS;
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
static void say_log(struct run *r)
{
    struct buf *log = &r->world.log;
    r->world.log_kept = report.verbose;
    for (size_t n; log->len; buf_consume(log, n < log->len ? n + 1 : n)) {
        n = span_index(buf_span(log), '\n');
        report_say("  | %.*s", (int)n, (const char *)log->data);
    }
}

/* ---- what everybody does ---- */

static bool read_all(struct run *r)
{
    bool any = false;
    for (unsigned i = 0; i < RESTS; i++)
        any |= rest_read(r, &r->rests[i]);
    for (unsigned i = 0; i < DEVICES; i++)
        any |= device_read(r, &r->devices[i]);
    return any;
}

static void forget_clients(struct run *r)
{
    read_all(r);
    for (unsigned i = 0; i < RESTS; i++)
        rest_fini(&r->rests[i]);
    for (unsigned i = 0; i < DEVICES; i++)
        device_fini(&r->devices[i]);
    LIST_EACH_SAFE(at, &r->world.wires)
    {
        wire_drop(CONTAINER_OF(at, struct wire, all));
    }
}

/* The disk of a shard fails: nothing is acknowledged any more, and soon the hub ends. */
static void fail_disk(struct run *r)
{
    unsigned shard = (unsigned)run_random(r, r->world.cluster.count);
    report_say("the disk of shard %u fails", shard);
    memory_store_fail(r->world.stores[shard], SERVER_ERROR);
    r->model.ending = true;
    r->crash_at = report.step + 1 + (unsigned)run_random(r, 20);
}

static void crash(struct run *r)
{
    report_say("the power is cut");
    r->crash_at = 0;
    for (unsigned i = 0; i < RESTS; i++)
        r->rests[i].closing = true;
    for (unsigned i = 0; i < DEVICES; i++)
        r->devices[i].odd = true;
    read_all(r);
    world_crash(&r->world);
    forget_clients(r);
    model_restart(&r->model, r->world.stores[0], true);
    r->model.ending = false;
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
        world_step(w);
        read_all(r);
    }
    say_log(r);
    LIST_EACH(at, &w->wires)
    {
        const struct wire *wire = CONTAINER_OF(at, struct wire, all);
        PROMISE(!wire->opened || wire->closed, "wire %llu outlives the hub",
                (unsigned long long)wire->number);
    }
}

static void restart(struct run *r)
{
    bool in_order = run_chance(r, 2);
    report_say("the hub is started anew%s", in_order ? " after an orderly stop" : "");
    for (unsigned i = 0; i < RESTS; i++)
        r->rests[i].closing = true;
    for (unsigned i = 0; i < DEVICES; i++)
        r->devices[i].odd = true;
    r->model.ending = true;
    if (in_order)
        stop_in_order(r);
    world_stop(&r->world);
    forget_clients(r);
    world_restart(&r->world);
    model_restart(&r->model, r->world.stores[0], false);
    r->model.ending = false;
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

static void settle(struct run *r)
{
    report_say("all settle");
    for (unsigned i = 0; i < RESTS; i++)
        rest_flush(r, &r->rests[i], true);
    for (unsigned i = 0; i < DEVICES; i++) {
        device_flush(r, &r->devices[i], true);
        r->devices[i].deaf = false;
        if (r->devices[i].wire)
            r->devices[i].wire->deaf = false;
    }
    bool any = true;
    for (unsigned n = 0; any; n++) {
        world_settle(&r->world);
        world_sync(&r->world);
        world_settle(&r->world);
        say_log(r);
        any = read_all(r);
        PROMISE(n < 1000, "it never settles");
    }
    for (unsigned i = 0; i < RESTS; i++)
        check_rest(&r->rests[i]);
    for (unsigned i = 0; i < DEVICES; i++)
        device_check(r, &r->devices[i]);
    model_quiet(&r->model);
    check_counts(r);
    world_settle(&r->world);
    check_memory(r);
}

/* ---- the run ---- */

static void act(struct run *r)
{
    unsigned what = (unsigned)run_random(r, 1000);
    if (what < 380)
        rest_act(r, &r->rests[run_random(r, RESTS)]);
    else if (what < 900)
        device_act(r, &r->devices[run_random(r, DEVICES)]);
    else if (what < 960)
        world_sync_shard(&r->world, (unsigned)run_random(r, r->world.cluster.count));
    else if (what < 980)
        pass(r, (int64_t)run_random(r, 200));
    else if (what < 986 && !r->crash_at)
        settle(r);
    else if (what < 990)
        pass(r, (int64_t)run_random(r, 200000));
    else if (what < 993)
        jump(r);
    else if (what < 997 || r->crash_at)
        crash(r);
    else if (what < 998)
        fail_disk(r);
    else
        restart(r);
}

static void start(struct run *r, uint64_t seed, enum fault fault)
{
    static const unsigned shards[] = {2, 2, 2, 2, 1, 3};
    *r = (struct run){.seed = seed * 0x9e3779b97f4a7c15 + 1, .hash = 0xcbf29ce484222325};
    model_init(&r->model);
    for (unsigned i = 0; i < DEVICES; i++) {
        r->devices[i].family = &r->model.families[0];
        list_init(&r->devices[i].line);
    }
    for (unsigned i = 0; i < RESTS; i++)
        list_init(&r->rests[i].line);
    struct world_options options = {.shards = shards[run_random(r, COUNT(shards))],
                                    .seed = seed,
                                    .manual_sync = !run_chance(r, 8),
                                    .chunks = !run_chance(r, 4),
                                    .async_loads = run_chance(r, 2),
                                    .fault = fault,
                                    /* Just enough, or enough for several operations a turn. */
                                    .arena_size = (size_t)(run_chance(r, 4) ? 43 : 48) << 20,
                                    .wall_ms = 1772619630500,
                                    .mono_ms = 1000,
                                    .on_append = model_append,
                                    .on_append_owner = &r->model,
                                    .trace = on_event,
                                    .trace_owner = r};
    r->model.wall_ms = r->model.wall_before_ms = r->wall_max_ms = options.wall_ms;
    world_start(&r->world, &options);
    report_say("seed %llu: %u shards%s%s%s", (unsigned long long)seed, options.shards,
               options.manual_sync ? ", syncs by hand" : "", options.chunks ? ", chunks" : "",
               options.async_loads ? ", loads answered late" : "");
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
            crash(r);
        act(r);
        for (uint64_t n = run_random(r, 3); n; n--)
            world_step(&r->world);
        say_log(r);
        read_all(r);
    }
    if (r->crash_at)
        crash(r);
    settle(r);
    struct run_result result = {r->hash, r->model.changes};
    for (unsigned i = 0; i < DEVICES; i++)
        r->devices[i].odd = true;
    for (unsigned i = 0; i < RESTS; i++)
        r->rests[i].closing = true;
    world_stop(&r->world);
    forget_clients(r);
    world_restart(&r->world);
    model_restart(&r->model, r->world.stores[0], false);
    world_end(&r->world);
    model_fini(&r->model);
    return result;
}
