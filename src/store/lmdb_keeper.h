/* lmdb_keeper.h — the keeper's thread: batches of all handles, in order, into the base.
 *
 *   handle: give ──► queue ──► thread: write, commit ──► done ──► wake ──► handle: take
 *
 * Whatever has gathered goes into one transaction. The first failure is the last: what was not
 * committed by then never is.
 *
 * Units    bytes, milliseconds
 * Memory   a batch is the keeper's from give to take; after a failure, leave gives the rest back
 * Threads  its own; keeper_start and keeper_stop are for one thread, the others for any
 * Errors   keeper_take, keeper_why
 * Source   design 4
 */
#ifndef STORE_LMDB_KEEPER_H
#define STORE_LMDB_KEEPER_H

#include <pthread.h>

#include "store/batch.h"
#include "store/lmdb_writer.h"

/* A handle, as the keeper sees it: the `owner` of its batches. All of it is under the lock. */
struct keeper_client {
    struct list link;
    struct store *store; /* whose wake is called */
    struct list done;    /* batches, oldest first */
    size_t queued;       /* batches given and not done */
    bool woken;          /* and has not taken since */
};

struct keeper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, progress;
    struct list queue, clients;
    struct lmdb_writer writer; /* the thread's */
    bool async, stopping;
    bool busy;          /* the thread holds batches that are in no list here */
    bool unsynced;      /* async: the thread's; written since the last sync, */
    int64_t synced_ms;  /* which was then */
    enum status failed; /* OK while nothing has */
    char why[200];
};

/* 0, or why there is no thread (errno). `seal` is borrowed and the thread's alone. */
MUST_USE int keeper_start(struct keeper *k, struct lmdb_file *file, struct seal *seal,
                          struct random random, bool async);
/* What was given is written and synced first. After its clients have left. */
void keeper_stop(struct keeper *k);

void keeper_enter(struct keeper *k, struct keeper_client *client, struct store *store);
/* Waits until what the client gave is done, or has failed and is in `undone`. */
void keeper_leave(struct keeper *k, struct keeper_client *client, struct list *undone);

void keeper_give(struct keeper *k, struct batch *batch);
/* Moves the client's done batches to the end of `done`. Not OK: what failed; the batches are good
 * none the less, and the last. */
MUST_USE enum status keeper_take(struct keeper *k, struct keeper_client *client, struct list *done);

/* A reader found the file unusable: nothing more is acknowledged. */
void keeper_fail(struct keeper *k, const char *doing, int error);
/* Empty while nothing has failed, constant after. */
const char *keeper_why(struct keeper *k);

#endif
