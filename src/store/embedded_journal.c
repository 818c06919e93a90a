/* The journal's steps and the spare's (embedded.h).
 *
 * journal   a group is taken from the queue, written at the end, synced; then its handles are told
 * spare     the next segment is made ahead of need; segments that the base has are done with
 */
#include <errno.h>
#include <string.h>

#include "store/embedded_parts.h"

/* -- the journal -- */

static struct journal_block *block_of(struct list *link)
{
    return CONTAINER_OF(link, struct journal_block, link);
}

static void free_blocks(struct list *blocks)
{
    for (struct list *at; (at = list_take_first(blocks));)
        journal_block_free(block_of(at));
}

/* As many blocks as may go together and fit, in order; perhaps none fits. */
static void take_group(struct embedded *e)
{
    uint64_t bytes = 0, room = journal_left(&e->journal);
    CHECK(list_empty(&e->taken));
    LIST_EACH_SAFE(at, &e->queue)
    {
        uint64_t more = block_of(at)->bytes.len;
        if (more > room - bytes || (bytes && bytes + more > GROUP_MAX))
            return;
        list_remove(at);
        list_append(&e->taken, at);
        bytes += more;
    }
}

/* The newest block does not fit: on to the spare. False: it is not there yet. */
static bool turn(struct embedded *e)
{
    struct journal *j = &e->journal;
    e->spare_need = SEGMENT_HEAD + block_of(e->queue.next)->bytes.len;
    e->waits_for_spare = !e->has_spare || e->spare.size < e->spare_need;
    if (e->waits_for_spare) {
        embedded_signal(e, ACTOR_SPARE);
        return false;
    }
    embedded_add_old(e, (struct old_segment){j->current.start, j->current.size, j->end});
    journal_turn(j, &e->spare);
    e->has_spare = false;
    e->spare_need = 0;
    embedded_signal(e, ACTOR_SPARE);
    return true;
}

/* What the group's handles may acknowledge. */
static void tell_written(struct embedded *e)
{
    LIST_EACH(at, &e->taken)
    {
        const struct journal_block *b = block_of(at);
        struct handle *h = b->owner;
        atomic_store(&h->written, b->serial);
        atomic_fetch_sub(&h->waiting, b->bytes.len);
        e->stats.blocks++;
        e->stats.bytes += b->bytes.len;
        handle_wake(h);
    }
    pthread_cond_broadcast(&e->progress);
}

static void tell_synced(struct embedded *e)
{
    const struct journal *j = &e->journal;
    e->durable = (struct mark){j->durable, j->prev};
    e->stats.groups++;
    atomic_store(&e->tail, j->durable - e->replay_from.position);
    LIST_EACH(at, &e->handles)
    {
        struct handle *h = CONTAINER_OF(at, struct handle, link);
        atomic_store(&h->synced, atomic_load(&h->written));
    }
    if (e->checkpoint.state == CK_DURABLE || checkpoint_due(e))
        embedded_signal(e, ACTOR_CHECKPOINT);
    if (spare_due(e))
        embedded_signal(e, ACTOR_SPARE);
}

static bool sync_is_due(const struct embedded *e)
{
    if (!e->unsynced)
        return false;
    return !e->o.async || embedded_mono(e) >= e->synced_ms + ASYNC_SYNC_MS;
}

/* The lock is held before and after, not meanwhile. */
static void write_group(struct embedded *e)
{
    pthread_mutex_unlock(&e->lock);
    int error = journal_append(&e->journal, &e->taken);
    if (error)
        embedded_fail(e, "write the journal", UNAVAILABLE, strerror(error));
    pthread_mutex_lock(&e->lock);
    if (embedded_failed(e))
        return;
    e->unsynced = true;
    if (e->o.async || store_fault(STORE_FAULT_ACK_BEFORE_SYNC)) {
        tell_written(e);
        free_blocks(&e->taken);
    }
}

static void sync_group(struct embedded *e)
{
    pthread_mutex_unlock(&e->lock);
    int error = journal_sync(&e->journal);
    if (error)
        embedded_fail(e, "sync the journal", UNAVAILABLE, strerror(error));
    pthread_mutex_lock(&e->lock);
    if (embedded_failed(e))
        return;
    e->unsynced = false;
    e->synced_ms = embedded_mono(e);
    tell_written(e);
    tell_synced(e);
    free_blocks(&e->taken);
}

/* True when something was done. */
static bool write_or_turn(struct embedded *e)
{
    take_group(e);
    if (!list_empty(&e->taken))
        write_group(e);
    else if (e->unsynced)
        sync_group(e); /* a segment is left only when it lasts */
    else
        return turn(e);
    return true;
}

bool journal_step(struct embedded *e)
{
    bool done = false;
    pthread_mutex_lock(&e->lock);
    if (!embedded_failed(e)) {
        if (sync_is_due(e)) {
            sync_group(e);
            done = true;
        } else if (!list_empty(&e->queue)) {
            done = write_or_turn(e);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return done;
}

/* -- the spare -- */

static bool is_no_space(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

static void begin_spare(struct embedded *e)
{
    const struct segment *current = &e->journal.current;
    uint64_t size = journal_next_size(current->size, e->o.segment_max);
    if (e->spare_size && e->spare_size < size)
        size = e->spare_size; /* a larger one found no space */
    while (size < e->spare_need)
        size *= 2;
    e->maker = (struct segment_maker){
        .disk = e->disk,
        .segment = {.start = current->start + current->size,
                    .size = size,
                    .salt = random_u64(e->o.random),
                    .epoch = e->o.epoch},
        .reuse = e->history.has_used && size == e->o.segment_max,
    };
    e->history.has_used &= !e->maker.reuse;
    memcpy(e->maker.segment.hub_id, e->o.hub_id, sizeof(e->o.hub_id));
    e->spare_zeroed = 0;
    e->making = true;
}

/* No space for it: the oldest history gives way, then a smaller one is tried, then again soon. The
 * lock is held before and after. */
static void spare_failed(struct embedded *e, int error)
{
    uint64_t smaller = e->maker.segment.size / 2 / BLOCK_ALIGN * BLOCK_ALIGN;
    if (!is_no_space(error)) {
        pthread_mutex_unlock(&e->lock);
        embedded_fail(e, "make a segment of the journal", UNAVAILABLE, strerror(error));
        pthread_mutex_lock(&e->lock);
        return;
    }
    pthread_mutex_unlock(&e->lock);
    bool gave_way = history_give_way(&e->history);
    pthread_mutex_lock(&e->lock);
    if (gave_way)
        return;
    if (smaller >= e->o.segment_min && smaller >= e->spare_need) {
        e->spare_size = smaller;
        return;
    }
    atomic_store(&e->no_segment, true);
    pthread_cond_broadcast(&e->progress); /* who closes a handle need not wait */
    e->retry_ms = embedded_mono(e) + RETRY_MS;
    embedded_signal(e, ACTOR_CHECKPOINT); /* what it brings to the base need not be kept */
}

/* Zeros compete with the journal's own writes. A large segment is there when a quarter of the one
 * before is used, and what is left of that is more than waits to be written. */
bool spare_due(const struct embedded *e)
{
    uint64_t start = e->journal.current.start + SEGMENT_HEAD, at = e->durable.position;
    uint64_t used = at > start ? at - start : 0;
    return e->making && (e->spare_need || e->spare_zeroed < SPARE_AHEAD + 4 * used);
}

static void make_spare(struct embedded *e)
{
    pthread_mutex_unlock(&e->lock);
    int error = segment_make(&e->maker);
    pthread_mutex_lock(&e->lock);
    e->spare_zeroed = e->maker.zeroed;
    if (error == EAGAIN)
        return;
    e->making = false;
    if (error) {
        spare_failed(e, error);
        return;
    }
    e->spare = e->maker.segment;
    e->has_spare = true;
    e->spare_size = 0;
    if (atomic_exchange(&e->no_segment, false))
        embedded_wake_all(e);
    if (e->waits_for_spare)
        embedded_signal(e, ACTOR_JOURNAL);
}

/* The journal waits for a larger one. A new one takes its name. */
static void drop_spare(struct embedded *e)
{
    disk_close(e->spare.file);
    e->has_spare = false;
}

/* A segment that the base has wholly is history's. */
static bool retire_old(struct embedded *e)
{
    const struct old_segment *old = e->old;
    bool early = store_fault(STORE_FAULT_REMOVED_EARLY);
    uint64_t upto = early ? e->durable.position : e->retire_to;
    if (e->old_count == 0 || old->start + old->size > upto)
        return false;
    history_add(&e->history, old);
    memmove(e->old, e->old + 1, --e->old_count * sizeof(*e->old));
    return true;
}

static bool step_history(struct embedded *e)
{
    int64_t wall_ms = e->o.clock(e->o.clock_ctx).wall_ms;
    pthread_mutex_unlock(&e->lock);
    const struct history_stats *s = &e->history.stats;
    uint64_t there = s->files + s->pending;
    bool done = history_step(&e->history, wall_ms);
    pthread_mutex_lock(&e->lock);
    e->stats.history_files = s->files;
    e->stats.history_bytes = s->bytes;
    e->stats.history_dropped = s->dropped;
    e->stats.history_kept = s->kept;
    e->stats.history_errors = s->errors;
    if (s->files + s->pending < there)
        e->retry_ms = 0; /* a file less: there may be space now */
    return done;
}

bool spare_step(struct embedded *e)
{
    bool done = true;
    pthread_mutex_lock(&e->lock);
    if (embedded_failed(e) || e->stopping)
        done = false;
    else if (spare_due(e))
        make_spare(e);
    else if (e->has_spare && e->spare.size < e->spare_need)
        drop_spare(e);
    else if (!e->has_spare && !e->making && embedded_mono(e) >= e->retry_ms)
        begin_spare(e);
    else
        done = retire_old(e) || step_history(e);
    pthread_mutex_unlock(&e->lock);
    return done;
}
