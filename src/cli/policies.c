#include "cli/policies.h"

#include "hub/hub_record.h"

#include <semaphore.h>
#include <stdlib.h>

static const struct store_key key = {.module = SPAN_INIT("policies")};

struct boot {
    sem_t wake;
    uint64_t durable;
    enum status st;
    struct policies *out;
    bool is_there;
};

static void on_loaded(void *owner, enum status st, struct record *record)
{
    struct boot *boot = owner;
    boot->st = st;
    if (st == NOT_FOUND)
        boot->st = OK;
    if (st != OK)
        return;
    boot->is_there = true;
    boot->st = policy_decode(record_body(record), record_secret(record), boot->out);
}

static void on_durable(void *owner, uint64_t batch)
{
    ((struct boot *)owner)->durable = batch;
}

static void on_failed(void *owner, enum status st)
{
    ((struct boot *)owner)->st = st;
}

static void on_wake(void *owner)
{
    sem_post(&((struct boot *)owner)->wake);
}

static void save(struct store *store, struct boot *boot, struct now now)
{
    struct buf body = {0}, secret = {0}, effect = {0}, effect_secret = {0};
    policy_encode(boot->out, &body, &secret);
    struct record *record = record_create(body.len, secret.len);
    memcpy(record->bytes, body.data, body.len);
    memcpy(record->bytes + body.len, secret.data, secret.len);
    struct store_partition part = store->parts[0];
    part.seq++;
    hub_record_change(key.module, record, part.seq, now.wall_ms, &effect, &effect_secret);
    struct store_change change = {.key = key,
                                  .seq = part.seq,
                                  .record = record,
                                  .effect = buf_span(&effect),
                                  .secret = buf_span(&effect_secret),
                                  .part = part};
    store_append(store, &change);
    store_commit(store, 1);
    /* Polled first: the store may have failed before it knew whom to wake. */
    for (store_poll(store); boot->durable < 1 && boot->st == OK; store_poll(store))
        sem_wait(&boot->wake);
    record_unref(record);
    explicit_bzero(secret.data, secret.len);
    buf_fini(&body);
    buf_fini(&secret);
    buf_fini(&effect);
    buf_fini(&effect_secret);
}

enum status policies_open(struct store *store, struct random random, struct now now,
                          struct policies *out, struct buf *why)
{
    struct boot *boot = calloc(1, sizeof(*boot));
    if (!boot)
        check_no_memory();
    boot->st = OK;
    boot->out = out;
    sem_init(&boot->wake, 0, 0);
    store->owner = boot;
    store->durable = on_durable;
    store->failed = on_failed;
    store->wake = on_wake;
    store_load(store, &key, on_loaded, boot);
    if (boot->st == OK && !boot->is_there) {
        policy_defaults(out, random);
        save(store, boot, now);
    }
    if (boot->st != OK)
        buf_printf(why, "the access policies cannot be %s: %s", boot->is_there ? "read" : "stored",
                   status_get(boot->st)->text);
    enum status st = boot->st;
    store_close(store);
    sem_destroy(&boot->wake);
    free(boot);
    return st;
}
