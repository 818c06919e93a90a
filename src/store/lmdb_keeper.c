#include "store/lmdb_keeper.h"

#include <stdio.h>
#include <time.h>

enum {
    SYNC_MS = 100,                   /* async: how much a power cut may take */
    ENTRIES_MAX = 4096,              /* of one transaction, … */
    TRANSACTION_BYTES_MAX = 16 << 20 /* … unless one batch alone is larger */
};

static int64_t mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct batch *batch_of(struct list *link)
{
    return CONTAINER_OF(link, struct batch, link);
}

/* -- under the lock -- */

static void wake(struct keeper_client *client)
{
    if (client->woken)
        return;
    client->woken = true;
    if (client->store->wake)
        client->store->wake(client->store->owner);
}

static void fail_locked(struct keeper *k, const char *doing, int error)
{
    if (k->failed != OK)
        return;
    k->failed = lmdb_status(error);
    snprintf(k->why, sizeof(k->why), "cannot %s the base: %s", doing, mdb_strerror(error));
    LIST_EACH(at, &k->clients)
    {
        wake(CONTAINER_OF(at, struct keeper_client, link));
    }
    pthread_cond_broadcast(&k->progress);
}

/* As many batches as one transaction should have, at least one. */
static void take_work(struct keeper *k, struct list *taken)
{
    size_t entries = 0, bytes = 0;
    LIST_EACH_SAFE(at, &k->queue)
    {
        struct batch *b = batch_of(at);
        entries += b->count;
        bytes += b->bytes;
        if (!list_empty(taken) && (entries > ENTRIES_MAX || bytes > TRANSACTION_BYTES_MAX))
            return;
        list_remove(at);
        list_append(taken, at);
    }
}

static void report_done(struct keeper *k, struct list *taken)
{
    for (struct list *at; (at = list_take_first(taken));) {
        struct keeper_client *client = batch_of(at)->owner;
        list_append(&client->done, at);
        client->queued--;
        wake(client);
    }
    pthread_cond_broadcast(&k->progress);
}

/* Not written: back to the front of the queue, where keeper_leave finds them. */
static void put_back(struct keeper *k, struct list *taken)
{
    LIST_EACH_SAFE(at, &k->queue)
    {
        list_remove(at);
        list_append(taken, at);
    }
    for (struct list *at; (at = list_take_first(taken));)
        list_append(&k->queue, at);
    pthread_cond_broadcast(&k->progress);
}

/* Until there is something to write, to sync or to stop for. */
static void wait_for_work(struct keeper *k)
{
    while (list_empty(&k->queue) && !k->stopping && k->failed == OK) {
        if (!k->unsynced) {
            pthread_cond_wait(&k->work, &k->lock);
            continue;
        }
        int64_t due_ms = k->synced_ms + SYNC_MS;
        if (mono_ms() >= due_ms)
            return;
        struct timespec due = {due_ms / 1000, due_ms % 1000 * 1000000};
        pthread_cond_timedwait(&k->work, &k->lock, &due);
    }
}

/* -- on the keeper's thread, without the lock -- */

static int put_batch(struct lmdb_writer *w, const struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct batch_entry *e = &b->entries[i];
        int error = lmdb_writer_put(w, table_key(e->row), e->record, e->seq);
        if (error)
            return error;
    }
    for (size_t i = 0; i < b->part_count; i++) {
        int error = lmdb_writer_put_counts(w, b->parts[i].partition, &b->parts[i].counts);
        if (error)
            return error;
    }
    return 0;
}

static int put_all(struct lmdb_writer *w, const struct list *taken)
{
    int error = lmdb_writer_begin(w);
    LIST_EACH(at, taken)
    {
        if (!error)
            error = put_batch(w, batch_of(at));
    }
    return error;
}

#ifdef TWINHUB_FAULT_ACK_BEFORE_SYNC
/* The fault that tests/crash must find: a promise before it is kept. */
static void acknowledge_early(struct keeper *k, struct list *taken)
{
    pthread_mutex_lock(&k->lock);
    report_done(k, taken);
    pthread_mutex_unlock(&k->lock);
}
#endif

static int write_batches(struct keeper *k, struct list *taken)
{
    int error = put_all(&k->writer, taken);
    if (error)
        return error;
#ifdef TWINHUB_FAULT_ACK_BEFORE_SYNC
    acknowledge_early(k, taken);
#endif
    error = lmdb_writer_commit(&k->writer);
    if (!error && k->async)
        k->unsynced = true;
    return error;
}

/* Async: every SYNC_MS, and at the end. */
static int sync_if_due(struct keeper *k, bool stopping)
{
    if (!k->unsynced || (!stopping && mono_ms() < k->synced_ms + SYNC_MS))
        return 0;
    int error = mdb_env_sync(k->writer.file->env, 1);
    k->unsynced = false;
    k->synced_ms = mono_ms();
    return error;
}

static void *keeper_run(void *arg)
{
    struct keeper *k = arg;
    pthread_mutex_lock(&k->lock);
    while (k->failed == OK) {
        struct list taken;
        list_init(&taken);
        wait_for_work(k);
        if (k->failed != OK)
            break;
        take_work(k, &taken);
        k->busy = true;
        bool stopping = k->stopping, idle = list_empty(&taken);
        pthread_mutex_unlock(&k->lock);

        int error = idle ? 0 : write_batches(k, &taken);
        int sync_error = error ? 0 : sync_if_due(k, stopping);

        pthread_mutex_lock(&k->lock);
        k->busy = false;
        if (error)
            fail_locked(k, "write", error);
        else if (sync_error)
            fail_locked(k, "sync", sync_error);
        if (k->failed == OK)
            report_done(k, &taken);
        else
            put_back(k, &taken);
        if (stopping && idle)
            break;
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* -- for others -- */

int keeper_start(struct keeper *k, struct lmdb_file *file, struct seal *seal, struct random random,
                 bool async)
{
    *k = (struct keeper){.async = async};
    k->writer = (struct lmdb_writer){.file = file, .seal = seal, .random = random};
    list_init(&k->queue);
    list_init(&k->clients);
    pthread_condattr_t attr;
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->progress, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&k->work, &attr);
    pthread_condattr_destroy(&attr);
    k->synced_ms = mono_ms();
    return pthread_create(&k->thread, NULL, keeper_run, k);
}

void keeper_stop(struct keeper *k)
{
    pthread_mutex_lock(&k->lock);
    CHECK(list_empty(&k->clients));
    k->stopping = true;
    pthread_cond_signal(&k->work);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->thread, NULL);
    lmdb_writer_fini(&k->writer);
    pthread_cond_destroy(&k->work);
    pthread_cond_destroy(&k->progress);
    pthread_mutex_destroy(&k->lock);
}

void keeper_enter(struct keeper *k, struct keeper_client *client, struct store *store)
{
    *client = (struct keeper_client){.store = store};
    list_init(&client->done);
    pthread_mutex_lock(&k->lock);
    list_append(&k->clients, &client->link);
    pthread_mutex_unlock(&k->lock);
}

void keeper_leave(struct keeper *k, struct keeper_client *client, struct list *undone)
{
    pthread_mutex_lock(&k->lock);
    while (client->queued && (k->failed == OK || k->busy))
        pthread_cond_wait(&k->progress, &k->lock);
    list_remove(&client->link);
    LIST_EACH_SAFE(at, &k->queue)
    {
        if (batch_of(at)->owner != client)
            continue;
        list_remove(at);
        list_append(undone, at);
    }
    pthread_mutex_unlock(&k->lock);
}

void keeper_give(struct keeper *k, struct batch *batch)
{
    struct keeper_client *client = batch->owner;
    pthread_mutex_lock(&k->lock);
    list_append(&k->queue, &batch->link);
    client->queued++;
    pthread_cond_signal(&k->work);
    pthread_mutex_unlock(&k->lock);
}

enum status keeper_take(struct keeper *k, struct keeper_client *client, struct list *done)
{
    pthread_mutex_lock(&k->lock);
    for (struct list *at; (at = list_take_first(&client->done));)
        list_append(done, at);
    client->woken = false;
    enum status st = k->failed;
    pthread_mutex_unlock(&k->lock);
    return st;
}

void keeper_fail(struct keeper *k, const char *doing, int error)
{
    pthread_mutex_lock(&k->lock);
    fail_locked(k, doing, error);
    pthread_cond_signal(&k->work);
    pthread_mutex_unlock(&k->lock);
}

const char *keeper_why(struct keeper *k)
{
    pthread_mutex_lock(&k->lock);
    const char *why = k->why;
    pthread_mutex_unlock(&k->lock);
    return why;
}
