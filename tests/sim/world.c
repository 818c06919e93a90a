#include "world.h"

#include "base/test.h"
#include "keeper.h"

#include <stdlib.h>

/* Does the planted fault strike now? */
static bool strikes(struct world *w, enum fault fault, unsigned one_in)
{
    return w->options.fault == fault && test_random(&w->seed) % one_in == 0;
}

static void trace(struct world *w, enum world_event event, const struct wire *wire,
                  struct span bytes)
{
    if (w->options.trace)
        w->options.trace(w->options.trace_owner, event, wire ? wire->number : 0, bytes);
}

/* ---- random bytes and time ---- */

static void fill(void *ctx, void *out, size_t len)
{
    struct world *w = ctx;
    uint64_t same = 1;
    uint64_t *seed = w->options.fault == FAULT_SAME_RANDOM && len == 32 ? &same : &w->hub_seed;
    uint8_t *at = out;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = test_random(seed);
        memcpy(at + i, &v, len - i < 8 ? len - i : 8);
    }
}

static struct now world_clock(void *ctx)
{
    return ((struct world *)ctx)->now;
}

static void world_wake(void *ctx, unsigned shard)
{
    ((struct world *)ctx)->woken[shard] = true;
}

static void world_log(void *ctx, struct span line)
{
    struct world *w = ctx;
    if (w->log_kept)
        buf_put(&w->log, line);
}

static void world_fatal(void *ctx, enum status st)
{
    ((struct world *)ctx)->failed = st;
}

static void world_stopped(void *ctx, unsigned shard)
{
    (void)shard;
    ((struct world *)ctx)->stopped++;
}

static void world_put_ca(void *ctx, struct buf *out)
{
    (void)ctx;
    buf_text(out, "-----BEGIN CERTIFICATE-----\n");
}

/* ---- wires: the link of the simulated network ---- */

static struct wire *wire_of(struct link *l)
{
    return CONTAINER_OF(l, struct wire, link);
}

static void arrive(struct wire *wire, struct span bytes)
{
    buf_put(&wire->to_peer, bytes);
    wire->drains = true;
    trace(wire->world, WORLD_TO_PEER, wire, bytes);
}

/* Another open connection than this, of the same kind. */
static struct wire *other_wire(struct wire *wire)
{
    LIST_EACH(at, &wire->world->wires)
    {
        struct wire *other = CONTAINER_OF(at, struct wire, all);
        if (other != wire && other->opened && !other->closed && !other->gone &&
            other->link.kind == wire->link.kind && other->to_peer.len)
            return other;
    }
    return NULL;
}

static bool holds(struct span bytes, const char *text)
{
    return bytes.len && memmem(bytes.data, bytes.len, text, strlen(text));
}

/* The send is the planted fault's victim. */
static bool goes_wrong(struct wire *wire, struct span bytes)
{
    struct world *w = wire->world;
    bool push = holds(bytes, "/PATCH/properties/desired/"), twin = holds(bytes, "/res/200/");
    struct wire *other = push || twin ? other_wire(wire) : NULL;
    if (strikes(w, FAULT_LOST_SEND, 64))
        return true;
    if (strikes(w, FAULT_DOUBLE_SEND, 64))
        arrive(wire, bytes);
    if (other && ((push && strikes(w, FAULT_STRAY_PUSH, 4)) ||
                  (twin && strikes(w, FAULT_STRAY_ANSWER, 16)))) {
        arrive(other, bytes);
        return true;
    }
    if (wire->swapped.len == 0 && strikes(w, FAULT_SWAPPED_SENDS, 32)) {
        buf_put(&wire->swapped, bytes);
        return true;
    }
    return false;
}

static void link_sends(struct link *l, struct span bytes)
{
    struct wire *wire = wire_of(l);
    CHECK(!wire->closed);
    CHECK(wire->moving_to < 0);
    if (wire->gone)
        return;
    bool held = wire->swapped.len > 0;
    if (wire->world->options.fault != FAULT_NONE && goes_wrong(wire, bytes))
        return;
    arrive(wire, bytes);
    if (held) {
        arrive(wire, buf_span(&wire->swapped));
        buf_clear(&wire->swapped);
    }
}

static void link_closes(struct link *l)
{
    struct wire *wire = wire_of(l);
    if (!strikes(wire->world, FAULT_KEPT_OPEN, 2))
        wire->closing = true;
}

static void link_reads(struct link *l, bool on)
{
    wire_of(l)->reading = on;
}

static size_t link_has_unsent(const struct link *l)
{
    const struct wire *wire = (const struct wire *)(const void *)l;
    return wire->deaf ? wire->to_peer.len : 0;
}

static void link_moves(struct link *l, unsigned shard)
{
    wire_of(l)->moving_to = (int)shard;
}

static const struct link_ops ops = {link_sends, link_closes, link_reads, link_has_unsent,
                                    link_moves};

struct wire *wire_open(struct world *w, enum link_kind kind, unsigned shard)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    if (!wire)
        check_no_memory();
    wire->link = (struct link){.ops = &ops, .kind = kind, .opened_ms = w->now.mono_ms};
    memcpy(wire->link.peer, "sim", 4);
    wire->world = w;
    wire->shard = shard % w->cluster.count;
    wire->moving_to = -1;
    wire->reading = true;
    wire->number = ++w->wire_count;
    list_append(&w->wires, &wire->all);
    return wire;
}

void wire_send(struct wire *wire, struct span bytes)
{
    buf_put(&wire->to_hub, bytes);
}

void wire_hang_up(struct wire *wire)
{
    wire->gone = true;
}

void wire_drop(struct wire *wire)
{
    wire_hang_up(wire);
    if (!wire->closed)
        world_settle(wire->world);
    CHECK(wire->closed);
    list_remove(&wire->all);
    buf_fini(&wire->to_hub);
    buf_fini(&wire->to_peer);
    buf_fini(&wire->swapped);
    free(wire);
}

static void close_wire(struct wire *wire, enum status why)
{
    wire->closed = true;
    wire->why = why;
    trace(wire->world, WORLD_CLOSED, wire, (struct span){0});
    shard_events.on_closed(&wire->link, why);
}

/* True when something happened. */
static bool step_wire(struct wire *wire)
{
    struct world *w = wire->world;
    if (wire->closed)
        return false;
    if (!wire->opened) {
        wire->opened = true;
        trace(w, WORLD_OPENED, wire, (struct span){0});
        shard_events.on_open(w->shards[wire->shard], &wire->link);
        return true;
    }
    if (wire->moving_to >= 0) {
        wire->shard = (unsigned)wire->moving_to;
        wire->moving_to = -1;
        wire->reading = true;
        trace(w, WORLD_MOVED, wire, (struct span){0});
        shard_events.on_moved(w->shards[wire->shard], &wire->link);
        return true;
    }
    if (wire->closing || (wire->gone && wire->to_hub.len == 0)) {
        close_wire(wire, CLOSED);
        return true;
    }
    if (wire->drains && !wire->deaf) {
        wire->drains = false;
        shard_events.on_drained(&wire->link);
    }
    if (wire->gone && !wire->reading) {
        close_wire(wire, CLOSED);
        return true;
    }
    if (!wire->reading || wire->to_hub.len == 0)
        return false;
    size_t n = wire->to_hub.len;
    if (w->options.chunks)
        n = 1 + test_random(&w->seed) % n;
    struct buf bytes = {0}; /* a copy of its own: what is kept too long is caught by ASan */
    buf_put(&bytes, span_of(wire->to_hub.data, n));
    buf_consume(&wire->to_hub, n);
    trace(w, WORLD_TO_HUB, wire, buf_span(&bytes));
    shard_events.on_bytes(&wire->link, buf_span(&bytes));
    buf_fini(&bytes);
    return true;
}

/* ---- steps ---- */

/* Some of the reads that wait in the store are answered. */
static bool step_store(struct world *w, unsigned shard)
{
    if (!keeper_waits(w->keepers[shard]))
        return false;
    while (test_random(&w->seed) % 4 && keeper_answer(w->keepers[shard]))
        ;
    return true;
}

/* The shard on whose thread the next event of this wire comes. */
static unsigned thread_of(const struct wire *wire)
{
    return wire->moving_to >= 0 ? (unsigned)wire->moving_to : wire->shard;
}

/* How often an actor of the keeper gets a turn. */
static bool has_turn(struct world *w, unsigned actor)
{
    unsigned pace = w->hurries ? 1 : w->options.machine.pace[actor];
    return w->settling || test_random(&w->seed) % (pace ? pace : 2) == 0;
}

/* The keeper's actors, from a random one on. */
static bool step_machine(struct world *w)
{
    bool moved = false;
    unsigned first = w->options.embedded ? (unsigned)(test_random(&w->seed) % MACHINE_ACTORS) : 0;
    for (unsigned i = 0; w->options.embedded && i < MACHINE_ACTORS; i++) {
        unsigned actor = (first + i) % MACHINE_ACTORS;
        if (has_turn(w, actor))
            moved |= machine_step(&w->machine, actor);
    }
    return moved;
}

static bool step(struct world *w)
{
    bool moved = step_machine(w);
    unsigned first = (unsigned)(test_random(&w->seed) % w->cluster.count);
    for (unsigned i = 0; i < w->cluster.count; i++) {
        unsigned shard = (first + i) % w->cluster.count;
        LIST_EACH_SAFE(at, &w->wires)
        {
            struct wire *wire = CONTAINER_OF(at, struct wire, all);
            if (thread_of(wire) == shard)
                moved |= step_wire(wire);
        }
        moved |= step_store(w, shard);
        moved |= w->woken[shard];
        w->woken[shard] = false;
        shard_events.on_turn(w->shards[shard], w->now);
    }
    for (unsigned i = 0; i < w->cluster.count; i++)
        moved |= w->woken[i];
    return moved;
}

void world_step(struct world *w)
{
    step(w);
}

void world_settle(struct world *w)
{
    bool before = w->settling;
    w->settling = true;
    for (int quiet = 0, n = 0; quiet < 2; n++) {
        quiet = step(w) ? 0 : quiet + 1;
        CHECK(n < 100000); /* it goes on for ever */
    }
    w->settling = before;
}

void world_sync_shard(struct world *w, unsigned shard)
{
    if (!w->options.embedded)
        memory_store_sync(w->stores[shard]);
    else /* there is one journal for all */
        while (machine_step(&w->machine, MACHINE_JOURNAL))
            ;
}

void world_sync(struct world *w)
{
    for (unsigned i = 0; i < w->cluster.count; i++)
        world_sync_shard(w, i);
}

void world_pass(struct world *w, int64_t ms)
{
    w->now.wall_ms += ms;
    w->now.mono_ms += ms;
    for (int i = 0; i < 5; i++) /* the sweep takes a few turns */
        step(w);
}

/* ---- life ---- */

static void on_append(void *owner, struct record *old, const struct store_change *change)
{
    struct world *w = owner;
    trace(w, WORLD_APPENDED, NULL, change->effect);
    if (w->options.on_append)
        w->options.on_append(w->options.on_append_owner, old, change);
}

static void start_shards(struct world *w)
{
    if (w->options.embedded)
        machine_start(&w->machine);
    if (w->options.embedded && w->options.reshards)
        w->cluster.count = 1 + (unsigned)(test_random(&w->seed) % 3);
    for (unsigned i = 0; i < w->cluster.count; i++) {
        struct keeper_options keeper = {.async = w->options.async_loads,
                                        .seed = &w->seed,
                                        .fault = w->options.fault,
                                        .on_append = on_append,
                                        .on_append_owner = w};
        w->stores[i] = w->options.embedded ? machine_shard(&w->machine, i, w->cluster.count)
                                           : memory_env_shard(w->env);
        w->keepers[i] = keeper_create(w->stores[i], &keeper);
        w->shards[i] = shard_create(i, &w->cluster, w->keepers[i], (struct random){fill, w});
    }
    w->stopped = 0;
    w->failed = OK;
}

static void make_store(struct world *w)
{
    struct random random = {fill, w};
    if (!w->options.embedded) {
        struct memory_options memory = {
            .partitions = 32, .manual_sync = w->options.manual_sync, .random = random};
        w->env = memory_env_create(&memory);
        return;
    }
    struct machine_options machine = w->options.machine;
    machine.seed = w->options.seed;
    machine.fault = w->options.fault;
    machine.random = random;
    machine.clock = world_clock;
    machine.clock_ctx = w;
    machine.partitions = 32;
    machine_init(&w->machine, &machine);
}

void world_start(struct world *w, const struct world_options *options)
{
    *w = (struct world){
        .options = *options,
        .seed = options->seed,
        .hub_seed = ~options->seed,
        .now = {options->wall_ms, options->mono_ms}
    };
    list_init(&w->wires);
    struct random random = {fill, w};
    make_store(w);
    policy_defaults(&w->policies, random);
    w->hosts[0] = SPAN(WORLD_HOST);
    w->hosts[1] = SPAN("localhost");
    w->cluster = (struct cluster){
        .count = options->shards,
        .shards = w->shards,
        .partitions = 32,
        .rules = {.hosts = w->hosts, .host_count = 2, .policies = &w->policies},
        .hub = { .name = SPAN("hub"),
                  .limits = options->limits ? options->limits : &doc_limits_azure,
                  .partitions = 32,
                  .modules_max = 50,
                  .recent_max = 8}, /* small, so that loading is exercised */
        .token_grace_s = 600,
        .log_level = LOG_DEBUG,
        .arena_size = options->arena_size,
        .ctx = w,
        .clock = world_clock,
        .wake = world_wake,
        .log = world_log,
        .put_ca = world_put_ca,
        .fatal = world_fatal,
        .stopped = world_stopped,
    };
    start_shards(w);
}

static void cut_wires(struct world *w)
{
    LIST_EACH_SAFE(at, &w->wires)
    {
        struct wire *wire = CONTAINER_OF(at, struct wire, all);
        if (wire->closed)
            continue;
        if (!wire->opened) {
            wire->closed = true;
            continue;
        }
        if (wire->moving_to >= 0)
            step_wire(wire);
        close_wire(wire, CLOSED);
    }
}

/* Nobody waits for anything: no call is under way, nothing is left to write. */
static void check_idle(const struct world *w)
{
    for (unsigned i = 0; i < w->cluster.count; i++) {
        const struct shard *s = w->shards[i];
        CHECK(s->calls_out == 0);
        CHECK(list_empty(&s->calls));
        CHECK(list_empty(&s->held_calls));
        CHECK(list_empty(&s->mail));
        CHECK(s->conn_count == 0);
        CHECK(!s->dirty);
    }
}

void world_stop(struct world *w)
{
    cut_wires(w);
    world_settle(w);
    world_sync(w);
    world_settle(w);
    if (w->failed == OK)
        check_idle(w);
    for (unsigned i = 0; i < w->cluster.count; i++) {
        store_close(w->keepers[i]);
        shard_destroy(w->shards[i]);
    }
    if (w->options.embedded)
        machine_stop(&w->machine);
}

void world_restart(struct world *w)
{
    start_shards(w);
}

/* Nothing has an effect any more, and the shards come to their end without knowing it. */
static void go_dark(struct world *w)
{
    cut_wires(w);
    for (unsigned i = 0; i < w->cluster.count; i++)
        keeper_go_dark(w->keepers[i]);
    if (w->options.embedded)
        machine_dark(&w->machine);
    world_settle(w);
    for (unsigned i = 0; i < w->cluster.count; i++) /* polled once more, all is durable */
        w->woken[i] = true;
    world_settle(w);
    if (w->failed == OK)
        check_idle(w);
}

static void die(struct world *w, bool cut)
{
    go_dark(w);
    for (unsigned i = 0; i < w->cluster.count; i++) {
        if (w->options.embedded)
            store_close(w->stores[i]);
        shard_destroy(w->shards[i]);
        keeper_destroy(w->keepers[i]);
    }
    if (w->options.embedded)
        machine_down(&w->machine, cut);
    else
        memory_env_crash(w->env);
    start_shards(w);
}

void world_crash(struct world *w)
{
    die(w, true);
}

void world_kill(struct world *w)
{
    CHECK(w->options.embedded);
    die(w, false);
}

void world_end(struct world *w)
{
    world_stop(w);
    LIST_EACH_SAFE(at, &w->wires)
    {
        wire_drop(CONTAINER_OF(at, struct wire, all));
    }
    if (w->options.embedded)
        machine_fini(&w->machine);
    else
        memory_env_destroy(w->env);
    buf_fini(&w->log);
}
