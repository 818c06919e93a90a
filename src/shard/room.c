#include "hub/registry.h"
#include "shard/internal.h"

/* What an operation asks of the store. */
enum need {
    NEEDS_NOTHING, /* it reads; or it is what a connection leaves behind, one record each */
    NEEDS_TURN,    /* it writes, and frees as much as it takes, or little: never refused */
    NEEDS_SPACE    /* what the store holds may grow by it */
};

/* clang-format off */
static const enum need needs[] = {
    [OP_DEVICE_GET]    = NEEDS_NOTHING, [OP_DEVICE_PUT]    = NEEDS_SPACE, [OP_DEVICE_DELETE] = NEEDS_TURN,
    [OP_MODULE_LIST]   = NEEDS_NOTHING,
    [OP_MODULE_GET]    = NEEDS_NOTHING, [OP_MODULE_PUT]    = NEEDS_SPACE, [OP_MODULE_DELETE] = NEEDS_TURN,
    [OP_TWIN_GET]      = NEEDS_NOTHING, [OP_TWIN_PATCH]    = NEEDS_SPACE, [OP_TWIN_PUT]      = NEEDS_SPACE,
    [OP_BULK_ENTRY]    = NEEDS_SPACE,
    [OP_TWIN_READ]     = NEEDS_NOTHING, [OP_TWIN_REPORT]   = NEEDS_SPACE,
    [OP_SESSION_SAVE]  = NEEDS_TURN,    [OP_SESSION_DROP]  = NEEDS_TURN,
    [OP_ACTIVITY_SAVE] = NEEDS_NOTHING,
};
/* clang-format on */

/* `mode` is a bulk entry's importMode. */
static enum need need_of(const struct op *op, struct span mode)
{
    if (op->kind == OP_BULK_ENTRY && bulk_deletes(mode))
        return NEEDS_TURN;
    return needs[op->kind];
}

static bool is_without_space(enum store_room room)
{
    return room == STORE_NO_SPACE || room == STORE_FULL;
}

bool room_waits(const struct shard *s, const struct op *op, struct span mode)
{
    enum need need = need_of(op, mode);
    enum store_room room = store_room(s->store);
    return !s->failed && ((need != NEEDS_NOTHING && room == STORE_BUSY) ||
                          (need == NEEDS_TURN && room == STORE_FULL));
}

enum status room_judge(struct shard *s, const struct op *op, struct span mode)
{
    if (need_of(op, mode) != NEEDS_SPACE || !is_without_space(store_room(s->store)))
        return OK;
    COUNT_UP(s->totals.refused_writes, 1);
    return STORAGE_FULL;
}

void room_park(struct conn *c)
{
    c->waits_room = true;
    list_remove(&c->ready);
    list_append(&c->shard->waiting, &c->ready);
}

void room_count(struct conn *c)
{
    size_t now = c->waits_room && !c->ended ? c->in.len : 0;
    c->shard->waiting_in += now - c->counted;
    c->counted = now;
}

void room_step(struct shard *s)
{
    enum store_room room = store_room(s->store);
    bool full = is_without_space(room), busy = room == STORE_BUSY || room == STORE_FULL;
    if (full != is_without_space(s->room) && s->index == 0)
        shard_log(s, full ? LOG_WARN : LOG_INFO,
                  full ? "no space is left: what needs some is refused" : "there is space again",
                  NULL, NULL, NULL);
    bool changed = room != s->room;
    s->room = room;
    atomic_store_explicit(&s->totals.store_busy, busy, memory_order_relaxed);
    atomic_store_explicit(&s->totals.store_no_space, full, memory_order_relaxed);
    if (!s->failed && (room == STORE_BUSY || (room == STORE_FULL && !changed)))
        return;
    for (struct list *at; (at = list_take_first(&s->waiting));) {
        struct conn *c = CONTAINER_OF(at, struct conn, ready);
        c->waits_room = false;
        room_count(c);
        conn_ready(c);
    }
}
