#include "store/embedded.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/embedded_parts.h"

static const struct {
    uint64_t tail_max, hot_max;
} defaults = {(uint64_t)128 << 20, (uint64_t)1 << 30};

/* -- for the parts -- */

void embedded_wake_all(struct embedded *e)
{
    LIST_EACH(at, &e->handles)
    {
        handle_wake(CONTAINER_OF(at, struct handle, link));
    }
}

void embedded_add_old(struct embedded *e, struct old_segment old)
{
    if (e->old_count == e->old_room) {
        e->old_room = e->old_room * 2 + 8;
        e->old = realloc(e->old, e->old_room * sizeof(*e->old));
        if (!e->old)
            check_no_memory();
    }
    e->old[e->old_count++] = old;
}

void embedded_fail(struct embedded *e, const char *doing, enum status st, const char *text)
{
    pthread_mutex_lock(&e->lock);
    if (!embedded_failed(e)) {
        snprintf(e->why, sizeof(e->why), "cannot %s: %s", doing, text);
        atomic_store(&e->failed, (int)st);
        embedded_wake_all(e);
        for (int i = 0; i < ACTORS; i++)
            embedded_signal(e, (enum embedded_actor)i);
        pthread_cond_broadcast(&e->progress);
    }
    pthread_mutex_unlock(&e->lock);
}

void embedded_wait(struct embedded *e)
{
    if (!e->o.stepped) {
        pthread_cond_wait(&e->progress, &e->lock);
        return;
    }
    pthread_mutex_unlock(&e->lock);
    for (int i = 0; i < ACTORS; i++)
        embedded_step(e, (enum embedded_actor)i);
    pthread_mutex_lock(&e->lock);
}

bool embedded_step(struct embedded *e, enum embedded_actor actor)
{
    switch (actor) {
    case ACTOR_JOURNAL:
        return journal_step(e);
    case ACTOR_CHECKPOINT:
        return checkpoint_step(e);
    case ACTOR_SPARE:
        return spare_step(e);
    case ACTORS:
        break;
    }
    return false;
}

/* -- threads -- */

struct actor {
    struct embedded *e;
    enum embedded_actor which;
};

/* Waits until the actor is signalled, for `ms` at most. */
static void sleep_for(struct embedded *e, enum embedded_actor which, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int rc = 0;
    while (!e->signalled[which] && !e->stopping && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&e->work[which], &e->lock, &until);
    e->signalled[which] = false;
}

/* The checkpoint leaves the disk alone for a while, whatever it is told. Under the lock. */
static void pace(struct embedded *e)
{
    int64_t until_ms = embedded_mono(e) + e->checkpoint.pause_ms, left_ms;
    while (!e->stopping && !embedded_failed(e) && (left_ms = until_ms - embedded_mono(e)) > 0) {
        e->signalled[ACTOR_CHECKPOINT] = false;
        sleep_for(e, ACTOR_CHECKPOINT, left_ms);
    }
    e->signalled[ACTOR_CHECKPOINT] = true;
}

static void *run(void *arg)
{
    struct actor *a = arg;
    struct embedded *e = a->e;
    enum embedded_actor which = a->which;
    free(a);
    for (;;) {
        bool done = embedded_step(e, which);
        pthread_mutex_lock(&e->lock);
        if (e->stopping) {
            pthread_mutex_unlock(&e->lock);
            return NULL;
        }
        if (which == ACTOR_CHECKPOINT && e->checkpoint.pause_ms)
            pace(e);
        else if (!done)
            sleep_for(e, which,
                      which == ACTOR_JOURNAL && e->o.async ? ASYNC_SYNC_MS / 2 : RETRY_MS);
        pthread_mutex_unlock(&e->lock);
    }
}

static int start_threads(struct embedded *e)
{
    for (; e->thread_count < ACTORS && !e->o.stepped; e->thread_count++) {
        struct actor *a = malloc(sizeof(*a));
        if (!a)
            check_no_memory();
        *a = (struct actor){e, (enum embedded_actor)e->thread_count};
        int error = pthread_create(&e->threads[e->thread_count], NULL, run, a);
        if (error) {
            free(a);
            return error;
        }
    }
    return 0;
}

static void stop_threads(struct embedded *e)
{
    pthread_mutex_lock(&e->lock);
    e->stopping = true;
    for (int i = 0; i < ACTORS; i++)
        pthread_cond_signal(&e->work[i]);
    pthread_mutex_unlock(&e->lock);
    while (e->thread_count)
        pthread_join(e->threads[--e->thread_count], NULL);
}

/* -- opening -- */

static int put_mark(struct base *b, struct mark mark)
{
    int error = base_begin(b);
    if (!error)
        error = base_put_mark(b, mark);
    return error ? error : base_commit(b);
}

/* Segments before the mark are removed, so one that is only in a cache is no good: the process
 * before was killed between commit and sync, or its sync failed, and then another one does nothing.
 * So it is put once more. Without space for that the segments wait for a checkpoint. */
static enum status settle_mark(struct embedded *e, struct mark mark, struct buf *why)
{
    if (mark.position == 0)
        return OK;
    int error = put_mark(e->base, mark);
    bool is_full = error && base_status(e->base, error) == STORAGE_FULL;
    if (!error)
        error = base_sync(e->base);
    if (!error)
        e->retire_to = mark.position;
    if (!error || is_full)
        return OK;
    buf_printf(why, "cannot sync the base: %s", base_text(e->base, error));
    return base_status(e->base, error);
}

static enum status read_base(struct embedded *e, struct mark *mark, struct buf *why)
{
    struct base_reader *r;
    enum status st = base_reader_open(e->base, &r);
    if (st == OK)
        st = base_enter(r);
    if (st == OK) {
        st = base_counts(r, e->o.partitions, e->parts);
        if (st == OK)
            st = base_mark(r, mark);
        if (st == NOT_FOUND) {
            *mark = (struct mark){0};
            st = OK;
        }
        base_leave(r);
    }
    if (st == DAMAGED)
        buf_text(why, "the base's own records fail their checksums; restore it from a backup");
    else if (st != OK)
        buf_printf(why, "cannot read the base: %s", base_text(e->base, r->error));
    if (st == SERVER_ERROR)
        st = base_status(e->base, r->error);
    base_reader_close(r);
    return st;
}

static bool is_no_space(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

/* The very first segment of a directory. */
static enum status begin_journal(struct embedded *e, struct buf *why)
{
    struct segment_maker m = {
        .disk = e->disk,
        .segment = {.size = e->o.segment_min, .salt = random_u64(e->o.random), .epoch = e->o.epoch},
    };
    int error;
    memcpy(m.segment.hub_id, e->o.hub_id, sizeof(e->o.hub_id));
    do
        error = segment_make(&m);
    while (error == EAGAIN);
    if (error) {
        buf_printf(why, "cannot make the journal: %s", strerror(error));
        return is_no_space(error) ? STORAGE_FULL : UNAVAILABLE;
    }
    e->journal.current = m.segment;
    e->journal.end = e->journal.durable = SEGMENT_HEAD;
    return OK;
}

/* Goes on where the journal ends: one segment is current, the next one is the spare, those before
 * are the base's soon. */
static void take_over(struct embedded *e, struct recovery *r)
{
    struct journal *j = &e->journal;
    for (size_t i = 0; i < r->last; i++)
        embedded_add_old(e, (struct old_segment){r->segments[i].start, r->segments[i].size, 0});
    j->current = r->segments[r->last];
    r->segments[r->last].file = NULL;
    j->end = j->durable = r->end.position;
    j->prev = r->end.prev;
    if (r->last + 1 < r->count) {
        e->spare = r->segments[r->last + 1];
        r->segments[r->last + 1].file = NULL;
        e->has_spare = true;
    }
}

/* What a read found may be in a cache only: the process before was killed between write and sync,
 * or its sync failed, and then another does nothing. So the newest group is written once more, and
 * names, before anybody is shown what it changes. */
static int write_again(struct embedded *e, uint64_t known)
{
    struct journal *j = &e->journal;
    uint64_t first = j->current.start + SEGMENT_HEAD, from = known > first ? known : first;
    size_t len = j->end - from, got = 0;
    struct iovec part = {malloc(len ? len : 1), len};
    if (!part.iov_base)
        check_no_memory();
    int error = disk_read(j->current.file, from - j->current.start, part.iov_base, len, &got);
    if (!error && got < len)
        error = EIO;
    if (!error && len)
        error = disk_write(j->current.file, &part, 1, from - j->current.start);
    if (!error)
        error = disk_sync(j->current.file);
    free(part.iov_base);
    return error ? error : disk_sync_names(e->disk);
}

/* Empty ones behind the spare: made for a turn that did not last. If the spare is made anew, in
 * another size, they would lie in its place. write_again makes it last. */
static int remove_rest(struct embedded *e, const struct recovery *r)
{
    int error = 0;
    for (size_t i = r->last + 2; i < r->count && !error; i++) {
        char name[SEGMENT_NAME];
        segment_name(name, r->segments[i].start);
        error = disk_remove(e->disk, name);
    }
    return error;
}

static enum status go_on(struct embedded *e, struct recovery *found, struct buf *why)
{
    take_over(e, found);
    int error = remove_rest(e, found);
    if (!error && !store_fault(STORE_FAULT_NOT_WRITTEN_AGAIN))
        error = write_again(e, found->known);
    if (!error)
        return OK;
    buf_printf(why, "cannot sync the journal: %s", strerror(error));
    return is_no_space(error) ? STORAGE_FULL : UNAVAILABLE;
}

static enum status open_history(struct embedded *e, struct buf *why)
{
    const struct history_options options = {.replay = e->o.replay,
                                            .history_ms = e->o.history_ms,
                                            .history_size = e->o.history_size,
                                            .reuse_size = e->o.segment_max,
                                            .held = e->o.held,
                                            .held_ctx = e->o.held_ctx};
    int error = history_init(&e->history, e->disk, e->o.hub_id, &options);
    if (error)
        buf_printf(why, "cannot read the folder journal: %s", strerror(error));
    return error ? UNAVAILABLE : OK;
}

static enum status open_journal(struct embedded *e, struct mark mark, struct buf *why)
{
    struct recovery found;
    TRY(open_history(e, why));
    TRY(embedded_replay(e, mark, &found, why));
    enum status st = OK;
    if (found.count)
        st = go_on(e, &found, why);
    else if (e->o.has_journal) {
        buf_text(why, "the journal has no segment; restore the directory from a backup");
        st = DAMAGED;
    } else
        st = begin_journal(e, why);
    e->stats.replayed = found.blocks;
    recovery_fini(&found);
    e->journal.run = random_u64(e->o.random);
    e->durable = (struct mark){e->journal.durable, e->journal.prev};
    e->replay_from = mark;
    atomic_store(&e->tail, e->durable.position - mark.position);
    return st;
}

static void init(struct embedded *e)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->progress, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (int i = 0; i < ACTORS; i++)
        pthread_cond_init(&e->work[i], &attr);
    pthread_condattr_destroy(&attr);
    list_init(&e->handles);
    list_init(&e->queue);
    list_init(&e->taken);
    e->hash_key = (struct hash_key){random_u64(e->o.random), random_u64(e->o.random)};
    e->left_count = e->o.replay_threads < REPLAY_MAX ? e->o.replay_threads : REPLAY_MAX;
    for (unsigned i = 0; i < e->left_count; i++)
        table_init(&e->left[i], e->hash_key);
    e->parts = calloc(e->o.partitions, sizeof(*e->parts));
    if (!e->parts)
        check_no_memory();
    e->synced_ms = embedded_mono(e);
}

static void complete(struct embedded_options *o)
{
    if (!o->tail_max)
        o->tail_max = defaults.tail_max;
    if (!o->hot_max)
        o->hot_max = defaults.hot_max;
    if (!o->segment_min)
        o->segment_min = SEGMENT_MIN;
    if (!o->segment_max)
        o->segment_max = SEGMENT_MAX;
    if (!o->replay_threads)
        o->replay_threads = 1;
}

static void free_all(struct embedded *e)
{
    for (struct list *at; (at = list_take_first(&e->taken));)
        journal_block_free(CONTAINER_OF(at, struct journal_block, link));
    for (int i = 0; i < ACTORS; i++)
        pthread_cond_destroy(&e->work[i]);
    pthread_cond_destroy(&e->progress);
    pthread_mutex_destroy(&e->lock);
    if (e->making)
        segment_unmake(&e->maker);
    if (e->has_spare)
        disk_close(e->spare.file);
    history_fini(&e->history);
    journal_fini(&e->journal);
    for (unsigned i = 0; i < e->left_count; i++)
        table_fini(&e->left[i]);
    free(e->old);
    free(e->parts);
    free(e);
}

enum status embedded_open(const struct embedded_options *options, struct disk *disk,
                          struct base *base, struct embedded **out, struct buf *why)
{
    struct embedded *e = calloc(1, sizeof(*e));
    struct mark mark = {0};
    if (!e)
        check_no_memory();
    e->o = *options;
    e->disk = disk;
    e->base = base;
    complete(&e->o);
    init(e);
    enum status st = read_base(e, &mark, why);
    if (store_fault(STORE_FAULT_BASE_NOT_SYNCED))
        e->retire_to = mark.position;
    else if (st == OK)
        st = settle_mark(e, mark, why);
    if (st == OK)
        st = open_journal(e, mark, why);
    int error = st == OK ? start_threads(e) : 0;
    if (error) {
        buf_printf(why, "cannot start a thread: %s", strerror(error));
        st = UNAVAILABLE;
        stop_threads(e);
    }
    if (st == OK)
        *out = e;
    else
        free_all(e);
    return st;
}

/* -- closing -- */

/* Async: what was written is to last before the base may have it. */
static bool settle_journal(struct embedded *e)
{
    if (!e->unsynced)
        return true;
    if (journal_sync(&e->journal))
        return false;
    e->durable = (struct mark){e->journal.durable, e->journal.prev};
    return true;
}

void embedded_close(struct embedded *e, int64_t patience_ms)
{
    if (!e)
        return;
    CHECK(list_empty(&e->handles));
    stop_threads(e);
    if (!embedded_failed(e) && settle_journal(e) && patience_ms > 0)
        (void)!checkpoint_rest(e, embedded_mono(e) + patience_ms); /* the journal has the rest */
    free_all(e);
}

const char *embedded_why(struct embedded *e)
{
    return embedded_failed(e) ? e->why : "";
}

void embedded_stats(struct embedded *e, struct embedded_stats *out)
{
    pthread_mutex_lock(&e->lock);
    *out = e->stats;
    out->position = e->durable.position;
    out->checkpointing = e->checkpoint.state != CK_IDLE;
    pthread_mutex_unlock(&e->lock);
    out->tail = atomic_load(&e->tail);
    out->hot = atomic_load(&e->hot);
    out->tail_max = e->o.tail_max;
    out->hot_max = e->o.hot_max;
    out->no_space = atomic_load(&e->no_segment) || atomic_load(&e->no_base_space);
}
