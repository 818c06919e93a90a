#include "model_hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "hub/hub_record.h"

enum {
    ARENA = 64 << 20, /* address space: touched only as far as used */
    RECENT = 6,       /* so few that most is read from the store again */
    PAD_MAX = 700,
    LARGE_MAX = 12000, /* more than a page */
    OWN_ONE_IN = 40,   /* changes of the hub's own record */
};

static uint64_t next(struct model_hub *m)
{
    return image_random(&m->seed);
}

static void fill(void *ctx, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)image_random(ctx);
}

void model_hub_init(struct model_hub *m, struct store *store, uint32_t handle, uint64_t seed)
{
    void *room = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        check_no_memory();
    *m = (struct model_hub){.store = store, .handle = handle, .seed = seed};
    m->config = (struct hub_config){.name = SPAN("hub"),
                                    .limits = &doc_limits_azure,
                                    .partitions = MODEL_PARTITIONS,
                                    .modules_max = 50,
                                    .recent_max = RECENT};
    memcpy(m->parts, store->parts, sizeof(m->parts));
    arena_init(&m->arena, room, ARENA);
    hub_init(&m->hub, &m->config, (struct random){fill, &m->seed}, m->parts);
    m->now_ms = 1772619630500;
}

void model_hub_fini(struct model_hub *m)
{
    void *room = m->arena.base;
    hub_fini(&m->hub);
    arena_fini(&m->arena);
    munmap(room, ARENA);
    buf_fini(&m->body);
    buf_fini(&m->answer);
}

/* ---- what an operation reads ---- */

struct load {
    struct model_hub *m;
    const struct op *op;
};

_Noreturn static void give_up(const char *what, enum status st)
{
    fprintf(stderr, "model_hub: %s: %s\n", what, status_name(st));
    exit(70);
}

static void admit(struct model_hub *m, struct span device, struct span module, enum status st,
                  struct record *record)
{
    if (st == OK || st == NOT_FOUND)
        st = hub_admit(&m->hub, device, module, record, NULL);
    if (st != OK)
        give_up("a record cannot be read", st);
}

static void on_device(void *owner, enum status st, struct record *record)
{
    struct load *l = owner;
    admit(l->m, l->op->device, (struct span){0}, st, record);
}

static void on_module(void *owner, enum status st, struct record *record)
{
    struct load *l = owner;
    admit(l->m, l->op->device, l->op->module, st, record);
}

static bool on_child(void *owner, const struct store_key *key, struct record *record)
{
    admit(((struct load *)owner)->m, key->device, key->module, OK, record);
    return true;
}

static void on_children(void *owner, enum status st)
{
    if (st != OK)
        give_up("modules cannot be read", st);
    (void)owner;
}

static void load(struct model_hub *m, const struct op *op)
{
    struct load l = {m, op};
    struct span device, module;
    bool children;
    while (hub_missing(&m->hub, op, &device, &module, &children)) {
        struct store_key key = {hash_partition(device, MODEL_PARTITIONS), device, module};
        if (children) {
            store_scan(m->store, &key, true, on_child, on_children, &l);
            hub_children_known(&m->hub, hub_live_find(&m->hub, device, (struct span){0}));
        } else {
            store_load(m->store, &key, module.len ? on_module : on_device, &l);
        }
    }
}

/* ---- applying ---- */

static void hand_on(struct model_hub *m, const struct store_change *change)
{
    struct model_change told = {.handle = m->handle,
                                .key = model_key_of(m->handle, &change->key),
                                .partition = change->key.partition,
                                .batch = m->hub.batch,
                                .hash = model_hash(change->record),
                                .part = change->part};
    if (m->on_change)
        m->on_change(m->owner, &told);
    store_append(m->store, change);
}

static void apply(struct model_hub *m, const struct op *op)
{
    struct turn turn = {
        {m->now_ms, m->now_ms},
        &m->arena
    };
    struct outcome out = {.body = &m->answer};
    buf_clear(&m->answer);
    hub_apply(&m->hub, op, &turn, &out);
    for (const struct effect *e = out.effects; e; e = e->next)
        if (e->kind == EFFECT_CHANGE)
            hand_on(m, &e->change);
    if (out.status != OK && out.status != SECTION_TOO_LARGE) {
        fprintf(stderr, "model_hub: operation %d with %.*s: %.*s\n", op->kind,
                SPAN_ARG(span_first(op->body, 200)), SPAN_ARG(out.why));
        give_up("refused", out.status);
    }
    hub_effects_done(&out);
    arena_reset(&m->arena);
}

/* ---- what happens ---- */

static void put_pad(struct model_hub *m)
{
    uint64_t n = next(m), len = n % 24 ? (n >> 8) % PAD_MAX : (n >> 8) % LARGE_MAX;
    for (unsigned member = 0; len; member++) { /* no text may be longer than 4 KiB */
        uint64_t piece = len < 3000 ? len : 3000;
        buf_printf(&m->body, "\"p%u\":\"", member);
        for (uint64_t i = 0; i < piece; i++)
            buf_byte(&m->body, (uint8_t)('a' + (n >> (i % 32)) % 26));
        buf_text(&m->body, "\",");
        len -= piece;
    }
    buf_printf(&m->body, "\"n\":%llu", (unsigned long long)(n >> 12));
}

static void put_section(struct model_hub *m, bool whole)
{
    uint64_t n = next(m);
    buf_printf(&m->body, "{\"k%llu\":", (unsigned long long)(n % 5));
    if (!whole && (n >> 8) % 4 == 0) { /* a patch may remove */
        buf_text(&m->body, "null}");
        return;
    }
    buf_byte(&m->body, '{');
    put_pad(m);
    buf_text(&m->body, "}}");
}

static void put_twin(struct model_hub *m, bool tags, bool whole)
{
    buf_text(&m->body, tags ? "{\"tags\":" : "{\"properties\":{\"desired\":");
    put_section(m, whole);
    buf_text(&m->body, tags ? "}" : "}}");
}

static void put_session(struct model_hub *m)
{
    for (uint64_t left = next(m) % PAD_MAX; left; left--)
        buf_byte(&m->body, (uint8_t)next(m));
}

static void put_identity(struct model_hub *m, const struct op *op)
{
    buf_printf(&m->body, "{\"deviceId\":\"%.*s\"", SPAN_ARG(op->device));
    if (op->module.len)
        buf_printf(&m->body, ",\"moduleId\":\"%.*s\"", SPAN_ARG(op->module));
    else if (next(m) % 3 == 0)
        buf_text(&m->body, ",\"status\":\"disabled\"");
    buf_byte(&m->body, '}');
}

/* What it does to one that exists. */
static void choose(struct model_hub *m, struct op *op)
{
    switch (next(m) % 12) {
    case 0:
        op->kind = op->module.len ? OP_MODULE_DELETE : OP_DEVICE_DELETE;
        return;
    case 1:
        op->kind = op->module.len ? OP_MODULE_PUT : OP_DEVICE_PUT;
        put_identity(m, op);
        return;
    case 2:
        op->kind = OP_SESSION_SAVE;
        put_session(m);
        return;
    case 3:
        op->kind = OP_ACTIVITY_SAVE;
        return;
    case 4:
        op->kind = OP_TWIN_PUT;
        put_twin(m, false, true);
        return;
    case 5:
    case 6:
        op->kind = OP_TWIN_PATCH;
        put_twin(m, next(m) % 2, false);
        return;
    default:
        op->kind = OP_TWIN_REPORT;
        put_section(m, false);
        return;
    }
}

static void change_own(struct model_hub *m)
{
    struct buf effect = {0}, secret = {0};
    struct store_key key = model_key(0, MODEL_OWN);
    uint64_t len = next(m) % PAD_MAX;
    struct record *record = record_create(8 + len, 44);
    fill(&m->seed, record->bytes, 8 + len + 44);
    m->parts[0].seq++;
    hub_record_change(key.module, record, m->parts[0].seq, m->now_ms, &effect, &secret);
    struct store_change change = {.key = key,
                                  .seq = m->parts[0].seq,
                                  .record = record,
                                  .effect = buf_span(&effect),
                                  .secret = buf_span(&secret),
                                  .part = m->parts[0]};
    hand_on(m, &change);
    record_unref(record);
    buf_fini(&effect);
    buf_fini(&secret);
}

void model_hub_change(struct model_hub *m)
{
    m->now_ms += (int64_t)(next(m) % 50);
    if (m->handle == 0 && next(m) % OWN_ONE_IN == 0) {
        change_own(m);
        return;
    }
    struct store_key key = model_key(m->handle, (uint32_t)(next(m) % MODEL_OWN));
    struct op op = {.kind = OP_DEVICE_PUT, .device = key.device, .if_version = -1};
    load(m, &op);
    const struct live *device = hub_live_find(&m->hub, key.device, (struct span){0});
    op.module = device->record ? key.module : (struct span){0}; /* the device comes first */
    load(m, &op);
    struct live *who = hub_live_find(&m->hub, op.device, op.module);
    buf_clear(&m->body);
    if (who->record) {
        op.has_if_match = true;
        op.if_match = SPAN("*");
        who->last_activity_ms = m->now_ms;
        choose(m, &op);
    } else {
        op.kind = op.module.len ? OP_MODULE_PUT : OP_DEVICE_PUT;
        put_identity(m, &op);
    }
    op.body = buf_span(&m->body);
    load(m, &op);
    apply(m, &op);
}

uint64_t model_hub_commit(struct model_hub *m)
{
    uint64_t batch = m->hub.batch++;
    store_commit(m->store, batch);
    return batch;
}
