#include "hub/hub.h"

#include <stdlib.h>

enum { SCRATCH_MAX = 64 << 10 };

struct live_key {
    struct span device, module;
};

static bool live_equal(const struct map_node *node, const void *key)
{
    const struct live *l = (const struct live *)(const void *)node;
    const struct live_key *k = key;
    return span_eq(live_device(l), k->device) && span_eq(live_module(l), k->module);
}

static uint64_t live_hash(const struct hub *h, struct span device, struct span module)
{
    uint64_t hash = hash_keyed(h->hash, device);
    return module.len ? hash_keyed((struct hash_key){h->hash.k1, hash}, module) : hash;
}

void live_entity(const struct live *l, struct entity *out)
{
    CHECK(l->record);
    enum status st = entity_view(l->record, out);
    CHECK(st == OK);
}

/* As a device is that was just created. */
static struct record *make_nobody(void)
{
    static const char key[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    return entity_record(&(struct entity){
        .device = SPAN("nobody"), .primary_key = span_text(key), .secondary_key = span_text(key)});
}

void hub_init(struct hub *h, const struct hub_config *config, struct random random,
              struct store_partition *parts)
{
    *h = (struct hub){.config = *config, .random = random, .parts = parts, .batch = 1};
    random_fill(random, &h->hash, sizeof(h->hash));
    list_init(&h->recent);
    list_init(&h->written);
    h->nobody = make_nobody();
}

struct live *hub_live_find(const struct hub *h, struct span device, struct span module)
{
    struct live_key key = {device, module};
    struct map_node *node = map_find(&h->live, live_hash(h, device, module), live_equal, &key);
    return (struct live *)(void *)node;
}

/* ---- where an entry stands: needed, waiting to be durable, or droppable ---- */

static void leave_place(struct hub *h, struct live *l)
{
    list_remove(&l->place);
    h->recent_count -= l->is_recent;
    l->is_recent = false;
}

static bool is_waiting(const struct hub *h, const struct live *l)
{
    return l->batch > h->durable || l->family > h->durable;
}

static void find_place(struct hub *h, struct live *l)
{
    leave_place(h, l);
    if (is_waiting(h, l)) {
        list_append(&h->written, &l->place);
    } else if (l->conn == 0 && l->pins == 0) {
        list_append(&h->recent, &l->place);
        l->is_recent = true;
        h->recent_count++;
    }
}

/* Whether it is needed has changed. One that waits stays where it stands, in the order of batches.
 */
static void need_changed(struct hub *h, struct live *l)
{
    if (!is_waiting(h, l))
        find_place(h, l);
}

static void leave_parent(struct live *child)
{
    list_remove(&child->sibling);
    child->parent = NULL;
}

static void orphan_children(struct live *device)
{
    LIST_EACH_SAFE(at, &device->children)
    {
        leave_parent(CONTAINER_OF(at, struct live, sibling));
    }
    device->children_known = false;
}

/* A module that exists is linked to its device, one that does not is not. */
static void find_parent(struct hub *h, struct live *l)
{
    if (!l->module_len)
        return;
    if (!l->record) {
        leave_parent(l);
    } else if (!l->parent) {
        l->parent = hub_live_find(h, live_device(l), (struct span){0});
        if (l->parent)
            list_append(&l->parent->children, &l->sibling);
    }
}

static void drop(struct hub *h, struct live *l)
{
    if (l->parent)
        l->parent->children_known = false;
    leave_parent(l);
    orphan_children(l);
    leave_place(h, l);
    map_remove(&h->live, &l->node);
    record_unref(l->record);
    free(l);
}

void hub_fini(struct hub *h)
{
    MAP_EACH(at, &h->live)
    {
        struct live *l = (struct live *)(void *)at;
        record_unref(l->record);
        free(l);
    }
    map_fini(&h->live);
    buf_fini(&h->scratch);
    record_unref(h->nobody);
}

enum status hub_admit(struct hub *h, struct span device, struct span module, struct record *record,
                      struct live **out)
{
    struct live *l = hub_live_find(h, device, module);
    if (!l) {
        struct entity e;
        if (record) {
            TRY(entity_view(record, &e));
            TRY(entity_check(&e)); /* from here on the documents are trusted */
            if (!span_eq(e.device, device) || !span_eq(e.module, module))
                return DAMAGED;
        }
        CHECK(device.len <= STORE_ID_MAX);
        CHECK(module.len <= STORE_ID_MAX);
        l = calloc(1, sizeof(*l) + device.len + module.len);
        if (!l)
            check_no_memory();
        l->record = record ? record_ref(record) : NULL;
        l->partition = hash_partition(device, h->config.partitions);
        l->last_activity_ms = l->connection_updated_ms = TIME_NEVER;
        l->device_len = (uint8_t)device.len;
        l->module_len = (uint8_t)module.len;
        memcpy(l->ids, device.data, device.len);
        if (module.len)
            memcpy(l->ids + device.len, module.data, module.len);
        list_init(&l->place);
        list_init(&l->children);
        list_init(&l->sibling);
        map_add(&h->live, live_hash(h, device, module), &l->node);
        find_place(h, l);
    }
    find_parent(h, l);
    if (out)
        *out = l;
    return OK;
}

void hub_children_known(struct hub *h, struct live *device)
{
    (void)h;
    CHECK(device->module_len == 0);
    device->children_known = true;
}

void hub_pin(struct hub *h, struct live *l)
{
    l->pins++;
    need_changed(h, l);
}

void hub_unpin(struct hub *h, struct live *l)
{
    CHECK(l->pins > 0);
    l->pins--;
    need_changed(h, l);
}

void hub_connected(struct hub *h, struct live *l, uint64_t conn)
{
    l->conn = conn;
    need_changed(h, l);
}

void hub_durable(struct hub *h, uint64_t batch)
{
    h->durable = batch;
    LIST_EACH_SAFE(at, &h->written)
    {
        struct live *l = CONTAINER_OF(at, struct live, place);
        if (is_waiting(h, l))
            break;
        find_place(h, l);
    }
}

void hub_trim(struct hub *h)
{
    while (h->recent_count > h->config.recent_max)
        drop(h, CONTAINER_OF(h->recent.next, struct live, place));
}

/* ---- what an operation reads ---- */

static bool wants_children(const struct op *op)
{
    switch (op->kind) {
    case OP_DEVICE_PUT:
    case OP_DEVICE_DELETE:
    case OP_MODULE_LIST:
    case OP_MODULE_PUT:
    case OP_BULK_ENTRY:
        return true;
    case OP_DEVICE_GET:
    case OP_MODULE_GET:
    case OP_MODULE_DELETE:
    case OP_TWIN_GET:
    case OP_TWIN_PATCH:
    case OP_TWIN_PUT:
    case OP_TWIN_READ:
    case OP_TWIN_REPORT:
    case OP_SESSION_SAVE:
    case OP_SESSION_DROP:
    case OP_ACTIVITY_SAVE:
        return false;
    }
    return false;
}

bool hub_missing(const struct hub *h, const struct op *op, struct span *device, struct span *module,
                 bool *children)
{
    *device = op->device;
    *module = (struct span){0};
    *children = false;
    struct live *l = hub_live_find(h, op->device, (struct span){0});
    if (!l)
        return true;
    if (op->module.len && !hub_live_find(h, op->device, op->module)) {
        *module = op->module;
        return true;
    }
    *children = wants_children(op) && l->record && !l->children_known;
    return *children;
}

/* ---- writing ---- */

/* What an entity adds to the counts of its partition. */
static void count(struct store_partition *part, const struct entity *e, uint64_t by)
{
    if (!e)
        return;
    if (e->module.len) {
        part->modules += by;
        return;
    }
    part->devices += by;
    if (e->disabled)
        part->disabled += by;
}

static struct span to_arena(const struct turn *turn, const struct buf *b)
{
    struct span copy = arena_copy(turn->arena, buf_span(b));
    CHECK(copy.data); /* hub_apply made sure of the room */
    return copy;
}

/* Ready for the next change; what a large one took is given back. */
static void clear_scratch(struct buf *b)
{
    if (b->cap > SCRATCH_MAX)
        buf_fini(b);
    else
        buf_clear(b);
}

/* A module was made or removed: a list of its device's modules shows this batch, whether it is in
 * the list or not. */
static void touch_family(struct hub *h, const struct live *who, bool was, bool is)
{
    if (!who->module_len || was == is)
        return;
    struct live *device = hub_live_find(h, live_device(who), (struct span){0});
    if (!device)
        return;
    device->family = h->batch;
    find_place(h, device);
}

void hub_write(struct hub *h, struct live *who, struct entity *after, struct change *change,
               const struct turn *turn, struct outcome *out)
{
    struct entity before_view;
    const struct entity *before = NULL;
    if (who->record) {
        live_entity(who, &before_view);
        before = &before_view;
    }
    CHECK(before || after);
    if (after && who->last_activity_ms > after->last_activity_ms)
        after->last_activity_ms = who->last_activity_ms; /* it rides along (design 5) */
    if (after && who->connection_updated_ms > after->connection_updated_ms)
        after->connection_updated_ms = who->connection_updated_ms;
    struct store_partition *part = &h->parts[who->partition];
    change->partition = who->partition;
    change->seq = ++part->seq;
    change->time_ms = turn->now.wall_ms;
    change->before = before;
    change->after = after;
    if (after)
        after->seq = part->seq;
    struct buf secret_bytes = {0};
    change_encode(change, &h->scratch, &secret_bytes);
    count(part, before, (uint64_t)-1);
    count(part, after, 1);

    struct record *old = who->record;
    who->record = after ? entity_record(after) : NULL;
    who->batch = h->batch;
    if (!before && !who->module_len)
        who->children_known = true; /* it did not exist, so it has no modules */
    find_parent(h, who);
    find_place(h, who);
    touch_family(h, who, before != NULL, after != NULL);

    struct effect *e = hub_effect(turn, out, EFFECT_CHANGE, who);
    e->change = (struct store_change){
        .key = {who->partition, live_device(who), live_module(who)},
        .seq = part->seq,
        .record = who->record ? record_ref(who->record) : NULL,
        .effect = to_arena(turn, &h->scratch),
        .secret = to_arena(turn, &secret_bytes),
        .part = *part,
    };
    buf_fini(&secret_bytes);
    clear_scratch(&h->scratch);
    record_unref(old);
    out->depends = h->batch;
}

int64_t hub_stamp(const struct entity *e, const struct turn *turn)
{
    return turn->now.wall_ms > e->stamp_ms ? turn->now.wall_ms : e->stamp_ms;
}

struct effect *hub_effect(const struct turn *turn, struct outcome *out, enum effect_kind kind,
                          struct live *who)
{
    struct effect *e = arena_alloc(turn->arena, sizeof(*e));
    CHECK(e); /* hub_apply made sure of the room */
    e->kind = kind;
    e->who = who;
    *out->last = e;
    out->last = &e->next;
    return e;
}

void hub_effects_done(struct outcome *out)
{
    for (struct effect *e = out->effects; e; e = e->next)
        record_unref(e->kind == EFFECT_CHANGE ? e->change.record : NULL);
    out->effects = NULL;
    out->last = &out->effects;
}

uint64_t hub_generation(struct hub *h, const struct turn *turn)
{
    uint64_t ticks =
        (uint64_t)(turn->now.wall_ms - TIME_NEVER) * 10000 + random_u64(h->random) % 10000;
    if (ticks <= h->last_generation)
        ticks = h->last_generation + 1;
    h->last_generation = ticks;
    return ticks;
}

uint64_t hub_identity_etag(struct hub *h, uint64_t old)
{
    uint64_t etag;
    do
        etag = 100000000 + random_u64(h->random) % 900000000;
    while (etag == old);
    return etag;
}
