#include "world.h"

#include "auth/sas.h"
#include "base/test.h"

#include <stdlib.h>

/* ---- random bytes and time ---- */

static void fill(void *ctx, void *out, size_t len)
{
    uint64_t *seed = ctx;
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

static void link_sends(struct link *l, struct span bytes)
{
    struct wire *wire = wire_of(l);
    CHECK(!wire->closed);
    CHECK(wire->moving_to < 0);
    if (!wire->gone)
        buf_put(&wire->to_peer, bytes);
}

static void link_closes(struct link *l)
{
    wire_of(l)->closing = true;
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
    free(wire);
}

static void close_wire(struct wire *wire, enum status why)
{
    wire->closed = true;
    wire->why = why;
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
        shard_events.on_open(w->shards[wire->shard], &wire->link);
        return true;
    }
    if (wire->moving_to >= 0) {
        wire->shard = (unsigned)wire->moving_to;
        wire->moving_to = -1;
        wire->reading = true;
        shard_events.on_moved(w->shards[wire->shard], &wire->link);
        return true;
    }
    if (wire->closing || (wire->gone && wire->to_hub.len == 0)) {
        close_wire(wire, CLOSED);
        return true;
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
    shard_events.on_bytes(&wire->link, buf_span(&bytes));
    buf_fini(&bytes);
    return true;
}

/* ---- steps ---- */

static bool step(struct world *w)
{
    bool moved = false;
    unsigned first = (unsigned)(test_random(&w->seed) % w->cluster.count);
    for (unsigned i = 0; i < w->cluster.count; i++) {
        unsigned shard = (first + i) % w->cluster.count;
        LIST_EACH_SAFE(at, &w->wires)
        {
            struct wire *wire = CONTAINER_OF(at, struct wire, all);
            if (wire->shard == shard)
                moved |= step_wire(wire);
        }
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
    for (int quiet = 0, n = 0; quiet < 2; n++) {
        quiet = step(w) ? 0 : quiet + 1;
        CHECK(n < 100000); /* it goes on for ever */
    }
}

void world_sync(struct world *w)
{
    for (unsigned i = 0; i < w->cluster.count; i++)
        memory_store_sync(w->stores[i]);
}

void world_pass(struct world *w, int64_t ms)
{
    w->now.wall_ms += ms;
    w->now.mono_ms += ms;
    for (int i = 0; i < 5; i++) /* the sweep takes a few turns */
        step(w);
}

/* ---- life ---- */

static void start_shards(struct world *w)
{
    for (unsigned i = 0; i < w->cluster.count; i++) {
        w->stores[i] = memory_env_shard(w->env);
        w->shards[i] =
            shard_create(i, &w->cluster, w->stores[i], (struct random){fill, &w->hub_seed});
    }
    w->stopped = 0;
    w->failed = OK;
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
    struct random random = {fill, &w->hub_seed};
    struct memory_options memory = {.partitions = 32,
                                    .manual_sync = options->manual_sync,
                                    .random = random,
                                    .on_append = options->on_append,
                                    .on_append_owner = options->on_append_owner};
    w->env = memory_env_create(&memory);
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

void world_stop(struct world *w)
{
    cut_wires(w);
    world_settle(w);
    world_sync(w);
    world_settle(w);
    for (unsigned i = 0; i < w->cluster.count; i++) {
        store_close(w->stores[i]);
        shard_destroy(w->shards[i]);
    }
}

void world_restart(struct world *w)
{
    start_shards(w);
}

void world_crash(struct world *w)
{
    cut_wires(w);
    for (unsigned i = 0; i < w->cluster.count; i++)
        shard_destroy(w->shards[i]);
    memory_env_crash(w->env);
    start_shards(w);
}

void world_end(struct world *w)
{
    world_stop(w);
    LIST_EACH_SAFE(at, &w->wires)
    {
        wire_drop(CONTAINER_OF(at, struct wire, all));
    }
    memory_env_destroy(w->env);
    buf_fini(&w->log);
}

/* ---- REST ---- */

void world_token(struct world *w, const char *policy, struct buf *out)
{
    const struct policy *p = policy_find(&w->policies, span_text(policy));
    CHECK(p);
    sas_make(out, SPAN(WORLD_HOST), key_span(&p->keys[0]), w->now.wall_ms / 1000 + 3600,
             span_text(policy));
}

/* The body after the empty line, when all of it is there. */
static bool whole_answer(struct span text, int *status, struct span *body)
{
    const char *end = text.len ? memmem(text.data, text.len, "\r\n\r\n", 4) : NULL;
    if (!end || text.len < 12)
        return false;
    *status = atoi((const char *)text.data + 9);
    size_t head = (size_t)(end + 4 - (const char *)text.data);
    const char *length = memmem(text.data, head, "Content-Length: ", 16);
    size_t len = length ? (size_t)atol(length + 16) : 0;
    *body = span_of(text.data + head, len);
    return text.len >= head + len;
}

int world_rest(struct world *w, const char *method, const char *path, const char *headers,
               struct span json, struct buf *body)
{
    struct wire *wire = wire_open(w, LINK_HTTP, (unsigned)test_random(&w->seed));
    struct buf request = {0};
    buf_printf(&request, "%s %s%sapi-version=2021-04-12 HTTP/1.1\r\nHost: " WORLD_HOST "\r\n",
               method, path, strchr(path, '?') ? "&" : "?");
    if (!headers || !strstr(headers, "Authorization:")) {
        buf_text(&request, "Authorization: ");
        world_token(w, "iothubowner", &request);
        buf_text(&request, "\r\n");
    }
    buf_printf(&request, "%sContent-Length: %zu\r\n\r\n", headers ? headers : "", json.len);
    buf_put(&request, json);
    wire_send(wire, buf_span(&request));
    buf_fini(&request);
    int status = 0;
    struct span answer = {0};
    for (int i = 0; i < 10000 && !whole_answer(buf_span(&wire->to_peer), &status, &answer); i++) {
        world_step(w);
        if (w->options.manual_sync)
            world_sync(w);
    }
    if (body)
        buf_put(body, answer);
    wire_drop(wire);
    return status;
}
