#include "shard/internal.h"

#include <stdlib.h>
#include <sys/mman.h>

unsigned shard_of(const struct cluster *cluster, struct span device)
{
    return hash_partition(device, cluster->partitions) % cluster->count;
}

bool shard_owns(const struct shard *s, uint32_t partition)
{
    return partition % s->cluster->count == s->index;
}

void shard_now(struct shard *s)
{
    if (s->now_is_fresh)
        return;
    struct now now = s->cluster->clock(s->cluster->ctx);
    s->now.wall_ms = now.wall_ms;
    if (now.mono_ms > s->now.mono_ms)
        s->now.mono_ms = now.mono_ms;
    s->now_is_fresh = true;
}

void shard_log(struct shard *s, enum log_level level, const char *msg, const struct conn *c,
               const char *why, const char *reason)
{
    const struct cluster *cluster = s->cluster;
    if (level > cluster->log_level)
        return;
    bool json = cluster->log_json;
    buf_clear(&s->line);
    log_begin(&s->line, json, s->now, level, msg);
    log_number(&s->line, json, "shard", s->index);
    if (c) {
        log_number(&s->line, json, "conn", (int64_t)c->id);
        log_text(&s->line, json, "peer", span_text(c->link->peer));
        if (c->who) {
            log_text(&s->line, json, "device", live_device(c->who));
            if (c->who->module_len)
                log_text(&s->line, json, "module", live_module(c->who));
        }
    }
    if (why)
        log_text(&s->line, json, "why", span_text(why));
    if (reason)
        log_text(&s->line, json, "reason", span_text(reason));
    log_end(&s->line, json);
    cluster->log(cluster->ctx, buf_span(&s->line));
}

/* ---- loading what an operation reads ---- */

struct load {
    struct shard *shard;
    bool is_done, is_async;
    enum status st;
    uint64_t conn; /* who waits */
    struct call *call;
    uint8_t device_len, module_len;
    uint8_t ids[2 * STORE_ID_MAX];
};

static struct span load_device(const struct load *l)
{
    return span_of(l->ids, l->device_len);
}

static struct span load_module(const struct load *l)
{
    return span_of(l->ids + l->device_len, l->module_len);
}

/* Whoever waited is taken up again. */
static void load_done(struct load *l)
{
    struct shard *s = l->shard;
    l->is_done = true;
    if (!l->is_async)
        return;
    struct conn *c = conn_find(s, l->conn);
    if (c) {
        c->parked = false;
        if (l->st == OK)
            conn_ready(c);
        else
            conn_end(c, SERVER_ERROR, "its record cannot be read");
    }
    if (l->call) {
        l->call->waits = false;
        l->call->status = l->st;
    }
    s->cluster->wake(s->cluster->ctx, s->index);
    free(l);
}

static void on_loaded(void *owner, enum status st, struct record *record)
{
    struct load *l = owner;
    if (st == OK || st == NOT_FOUND)
        st = hub_admit(&l->shard->hub, load_device(l), load_module(l), record, NULL);
    l->st = st;
    load_done(l);
}

static bool on_child(void *owner, const struct store_key *key, struct record *record)
{
    struct load *l = owner;
    enum status st = hub_admit(&l->shard->hub, key->device, key->module, record, NULL);
    if (st != OK)
        l->st = st;
    return true;
}

static void on_children(void *owner, enum status st)
{
    struct load *l = owner;
    struct live *device = hub_live_find(&l->shard->hub, load_device(l), (struct span){0});
    if (st != OK)
        l->st = st;
    if (l->st == OK && device)
        hub_children_known(&l->shard->hub, device);
    load_done(l);
}

static struct load *load_create(struct shard *s, struct span device, struct span module)
{
    struct load *l = calloc(1, sizeof(*l));
    if (!l)
        check_no_memory();
    l->shard = s;
    l->device_len = (uint8_t)device.len;
    l->module_len = (uint8_t)module.len;
    memcpy(l->ids, device.data, device.len);
    if (module.len)
        memcpy(l->ids + device.len, module.data, module.len);
    return l;
}

enum ensured shard_ensure(struct shard *s, const struct op *op, struct conn *conn,
                          struct call *call)
{
    struct span device, module;
    bool children;
    while (hub_missing(&s->hub, op, &device, &module, &children)) {
        struct load *l = load_create(s, device, module);
        struct store_key key = {hash_partition(device, s->cluster->partitions), load_device(l),
                                load_module(l)};
        if (children)
            store_scan(s->store, &key, true, on_child, on_children, l);
        else
            store_load(s->store, &key, on_loaded, l);
        if (!l->is_done) {
            l->is_async = true;
            l->conn = conn ? conn->id : 0;
            l->call = call;
            if (conn)
                conn->parked = true;
            if (call)
                call->waits = true;
            return ENSURE_WAITS;
        }
        enum status st = l->st;
        free(l);
        if (st != OK)
            return ENSURE_FAILED;
    }
    return ENSURED;
}

/* ---- applying ---- */

bool shard_is_full(const struct shard *s)
{
    return arena_left(&s->arena) < ARENA_HEAD || s->batch_bytes >= BATCH_BYTES;
}

static void push_desired(struct shard *s, const struct effect *e)
{
    struct conn *c = conn_find(s, e->who->conn);
    if (!c)
        return;
    buf_clear(&s->out);
    if (!mqtt_session_desired(&c->mqtt, e->delta, e->version, &s->out))
        return;
    COUNT_UP(s->totals.desired_pushes, 1);
    conn_out(c, buf_span(&s->out), s->hub.batch, 0);
}

static void judge_credentials(struct shard *s, const struct effect *e)
{
    struct conn *c = conn_find(s, e->who->conn);
    if (!c || !e->who->record)
        return;
    struct entity entity;
    live_entity(e->who, &entity);
    if (!login_still_valid(c->fingerprint, c->method, &entity, s->hub.hash))
        conn_end(c, CREDENTIAL_CHANGED, NULL);
}

static void carry_out(struct shard *s, const struct effect *e)
{
    struct conn *c;
    switch (e->kind) {
    case EFFECT_CHANGE:
        store_append(s->store, &e->change);
        COUNT_UP(s->totals.changes, 1);
        s->dirty = true;
        s->batch_bytes += e->change.effect.len + e->change.secret.len;
        return;
    case EFFECT_DESIRED:
        push_desired(s, e);
        return;
    case EFFECT_CREDENTIALS:
        judge_credentials(s, e);
        return;
    case EFFECT_KICK:
        c = conn_find(s, e->who->conn);
        if (c)
            conn_end(c, e->why, NULL);
        return;
    }
}

void shard_apply(struct shard *s, const struct op *op, struct outcome *out)
{
    struct turn turn = {s->now, &s->arena};
    hub_apply(&s->hub, op, &turn, out);
    for (const struct effect *e = out->effects; e; e = e->next)
        if (e->kind == EFFECT_CHANGE)
            carry_out(s, e);
    /* Then the rest: ending a connection may itself write. */
    for (const struct effect *e = out->effects; e; e = e->next)
        if (e->kind != EFFECT_CHANGE)
            carry_out(s, e);
    hub_effects_done(out);
}

/* ---- calls ---- */

void shard_mail(struct shard *to, struct call *call)
{
    pthread_mutex_lock(&to->mail_lock);
    list_append(&to->mail, &call->link);
    atomic_store(&to->has_mail, true);
    pthread_mutex_unlock(&to->mail_lock);
    to->cluster->wake(to->cluster->ctx, to->index);
}

static void call_answered(struct shard *s, struct call *call)
{
    if (call->gather)
        gather_answer(s, call);
    else
        http_conn_answer(s, call);
}

static void call_done(struct shard *s, struct call *call)
{
    call->answered = true;
    if (call->home == s->index)
        call_answered(s, call);
    else
        shard_mail(s->cluster->shards[call->home], call);
}

static void call_hold(struct shard *s, struct call *call)
{
    if (call->batch > s->hub.durable)
        list_append(&s->held_calls, &call->link);
    else
        call_done(s, call);
}

static enum status authorise(struct shard *s, struct call *call)
{
    if (call->authorised)
        return OK;
    struct live *device = hub_live_find(&s->hub, call->op.device, (struct span){0});
    struct live *module =
        call->op.module.len ? hub_live_find(&s->hub, call->op.device, call->op.module) : NULL;
    TRY(rest_authorise(call, &s->cluster->rules, s->hub.nobody, device, module, s->now.wall_ms));
    call->authorised = true;
    return OK;
}

/* True when the call is done with (it may wait for its batch); false: again on a later turn. */
static bool call_run(struct shard *s, struct call *call)
{
    if (call->route == ROUTE_DEVICE_LIST) {
        if (!gather_list_part(s, call))
            return false;
        call_hold(s, call);
        return true;
    }
    struct outcome outcome = {.body = &call->body, .status = call->status};
    size_t mark = arena_mark(&s->arena);
    enum ensured ensured =
        call->status == OK ? shard_ensure(s, &call->op, NULL, call) : ENSURE_FAILED;
    if (ensured == ENSURE_WAITS)
        return false;
    if (ensured == ENSURE_FAILED)
        outcome.status = SERVER_ERROR;
    else if (s->failed)
        outcome.status = UNAVAILABLE;
    else
        outcome.status = authorise(s, call);
    if (outcome.status == OK)
        outcome.status = room_judge(s, &call->op, call->token);
    if (outcome.status == OK) {
        shard_apply(s, &call->op, &outcome);
        if (outcome.status == TOO_LARGE && (mark > ARENA_KEEP || call->attempts++ == 0))
            return false;
    }
    call->status = outcome.status;
    call->batch = outcome.depends;
    buf_put(&call->why, outcome.why);
    if (outcome.etag.len < sizeof(call->etag))
        memcpy(call->etag, outcome.etag.data ? outcome.etag.data : (const uint8_t *)"",
               outcome.etag.len);
    shard_release(s, mark);
    call_hold(s, call);
    return true;
}

static void take_mail(struct shard *s)
{
    if (!atomic_load(&s->has_mail))
        return;
    struct list taken;
    list_init(&taken);
    pthread_mutex_lock(&s->mail_lock);
    for (struct list *at; (at = list_take_first(&s->mail));)
        list_append(&taken, at);
    atomic_store(&s->has_mail, false);
    pthread_mutex_unlock(&s->mail_lock);
    for (struct list *at; (at = list_take_first(&taken));) {
        struct call *call = CONTAINER_OF(at, struct call, link);
        if (call->answered)
            call_answered(s, call);
        else
            list_append(&s->calls, &call->link);
    }
}

/* May it run now? Not while what it reads is loaded or the store is busy, nor before the entries of
 * the same bulk call that stand before it (registry 6). */
static bool call_may_run(const struct shard *s, const struct call *call)
{
    if (call->waits || (call->route != ROUTE_DEVICE_LIST && room_waits(s, &call->op, call->token)))
        return false;
    for (struct list *at = call->link.prev; call->gather && at != &s->calls; at = at->prev)
        if (CONTAINER_OF(at, struct call, link)->gather == call->gather)
            return false;
    return true;
}

static void run_calls(struct shard *s)
{
    LIST_EACH_SAFE(at, &s->calls)
    {
        struct call *call = CONTAINER_OF(at, struct call, link);
        if (s->batch_bytes >= BATCH_BYTES)
            return;
        if (!call_may_run(s, call))
            continue;
        list_remove(at);
        if (!call_run(s, call)) { /* again, in its place */
            list_append(at_next, at);
            if (!call->waits)
                return; /* the arena is full: the turn ends */
        }
    }
}

static void run_conns(struct shard *s)
{
    struct list now;
    list_init(&now);
    for (struct list *at; (at = list_take_first(&s->ready));)
        list_append(&now, at);
    for (struct list *at; (at = list_take_first(&now));)
        conn_run(CONTAINER_OF(at, struct conn, ready));
}

/* ---- the tick ---- */

static void on_durable(void *owner, uint64_t batch)
{
    struct shard *s = owner;
    hub_durable(&s->hub, batch);
    LIST_EACH_SAFE(at, &s->held)
    {
        conn_release(CONTAINER_OF(at, struct conn, held), batch);
    }
    LIST_EACH_SAFE(at, &s->held_calls)
    {
        struct call *call = CONTAINER_OF(at, struct call, link);
        if (call->batch > batch)
            continue;
        list_remove(at);
        call_done(s, call);
    }
}

static void on_failed(void *owner, enum status st)
{
    struct shard *s = owner;
    s->failed = true;
    s->cluster->fatal(s->cluster->ctx, st);
}

static void on_wake(void *owner)
{
    struct shard *s = owner;
    s->cluster->wake(s->cluster->ctx, s->index);
}

void shard_release(struct shard *s, size_t mark)
{
    if (arena_mark(&s->arena) > s->arena_peak)
        s->arena_peak = arena_mark(&s->arena);
    arena_release(&s->arena, mark);
}

static void give_back_scratch(struct shard *s)
{
    shard_release(s, 0);
    size_t used = s->arena_peak;
    s->arena_peak = 0;
    if (used > ARENA_KEEP) {
        int rc = madvise(s->arena.base + ARENA_KEEP, s->arena.size - ARENA_KEEP, MADV_DONTNEED);
        CHECK(rc == 0);
    }
}

/* While stopping: what has nothing under way is closed; when all is closed and durable, say so. */
static void stop_step(struct shard *s)
{
    s->stopping |= atomic_load(&s->stop_asked);
    if (!s->stopping || s->stopped)
        return;
    for (uint32_t i = 0; i < s->conn_room; i++) {
        struct conn *c = s->conns[i];
        if (c && !c->ended && !c->calling && c->mark_count == 0 && !c->moving)
            conn_end(c, SHUTTING_DOWN, NULL);
    }
    if (s->conn_count || s->dirty || s->hub.durable + 1 < s->hub.batch || !list_empty(&s->calls) ||
        s->calls_out)
        return;
    s->stopped = true;
    s->cluster->stopped(s->cluster->ctx, s->index);
}

/* One turn of a shard. Operations are applied as they are decoded, so that packets of one
 * connection see each other (much was applied when bytes came); the turn ends one batch. */
static void shard_turn(void *shard, struct now now)
{
    struct shard *s = shard;
    (void)now;
    shard_now(s);
    take_mail(s);
    room_step(s);
    run_calls(s);
    run_conns(s);
    conn_sweep(s);
    stop_step(s);
    totals_publish(s);
    if (s->dirty && !s->failed) {
        s->dirty = false;
        s->batch_bytes = 0;
        COUNT_UP(s->totals.batches, 1);
        store_commit(s->store, s->hub.batch++);
    }
    store_poll(s->store);
    hub_trim(&s->hub);
    give_back_scratch(s);
    s->now_is_fresh = false;
    if (!list_empty(&s->ready) || s->dirty)
        s->cluster->wake(s->cluster->ctx, s->index);
    LIST_EACH(at, &s->calls)
    {
        if (call_may_run(s, CONTAINER_OF(at, struct call, link))) {
            s->cluster->wake(s->cluster->ctx, s->index);
            break;
        }
    }
}

const struct link_events shard_events = {
    .on_open = conn_open,
    .on_moved = conn_moved,
    .on_bytes = conn_bytes,
    .on_drained = conn_drained,
    .on_closed = conn_closed,
    .on_turn = shard_turn,
};

/* ---- life ---- */

struct shard *shard_create(unsigned index, const struct cluster *cluster, struct store *store,
                           struct random random)
{
    struct shard *s = calloc(1, sizeof(*s));
    size_t size = cluster->arena_size ? cluster->arena_size : ARENA_SIZE;
    void *block = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!s || block == MAP_FAILED)
        check_no_memory();
    list_init(&s->gathers);
    s->index = index;
    s->cluster = cluster;
    s->store = store;
    s->random = random;
    arena_init(&s->arena, block, size);
    size_t parts_size = store->partitions * sizeof(*s->parts);
    s->parts = malloc(parts_size); /* the keeper's are what it has been given; these run ahead */
    if (!s->parts)
        check_no_memory();
    memcpy(s->parts, store->parts, parts_size);
    hub_init(&s->hub, &cluster->hub, random, s->parts);
    list_init(&s->ready);
    list_init(&s->waiting);
    list_init(&s->held);
    list_init(&s->calls);
    list_init(&s->held_calls);
    list_init(&s->mail);
    int rc = pthread_mutex_init(&s->mail_lock, NULL);
    CHECK(rc == 0);
    store->owner = s;
    store->durable = on_durable;
    store->failed = on_failed;
    store->wake = on_wake;
    shard_now(s);
    totals_publish(s);
    s->now_is_fresh = false; /* its first turn may come much later */
    return s;
}

static void drop_calls(struct list *calls)
{
    for (struct list *at; (at = list_take_first(calls));)
        call_destroy(CONTAINER_OF(at, struct call, link));
}

void shard_destroy(struct shard *s)
{
    if (!s)
        return;
    CHECK(s->conn_count == 0);
    drop_calls(&s->calls);
    drop_calls(&s->held_calls);
    drop_calls(&s->mail);
    gather_drop(&s->gathers);
    hub_fini(&s->hub);
    struct arena arena = s->arena;
    arena_fini(&s->arena);
    munmap(arena.base, arena.size);
    free(s->parts);
    free(s->conns);
    free(s->generations);
    free(s->free_slots);
    buf_fini(&s->out);
    buf_fini(&s->app);
    buf_fini(&s->wire);
    buf_fini(&s->body);
    buf_fini(&s->line);
    pthread_mutex_destroy(&s->mail_lock);
    free(s);
}

void shard_stop(struct shard *s)
{
    atomic_store(&s->stop_asked, true);
    s->cluster->wake(s->cluster->ctx, s->index);
}
