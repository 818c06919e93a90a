#include "bulk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/text.h"
#include "devices.h"
#include "process.h"
#include "service.h"

enum { SETTINGS = 5, SEED = 1 };

struct worker {
    struct bulk *of;
    pthread_t thread;
    struct service service;
    struct buf body;
    uint64_t random;
    pthread_mutex_t lock;
    struct latency latency; /* lock */
    uint64_t updated;       /* lock */
};

struct bulk {
    struct bulk_config config;
    bool creates;
    _Atomic uint64_t next; /* entry, counting on from pass to pass */
    _Atomic bool stopping;
    uint32_t *order;
    struct worker workers[];
};

static uint64_t random_next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Every device once, in random order. */
static uint32_t *shuffle(uint32_t count)
{
    uint64_t seed = SEED;
    uint32_t *order = malloc(count * sizeof(*order));
    if (!order)
        check_no_memory();
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = (uint32_t)(random_next(&seed) % (i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    return order;
}

/* ---- entries ---- */

static void put_key(struct buf *b, const char *name, const char *id)
{
    uint8_t key[32];
    device_key(id, key);
    buf_printf(b, "\"%s\":\"", name);
    text_put_base64(b, span_of(key, sizeof(key)));
    buf_byte(b, '"');
}

static void put_new(struct buf *b, const char *id, uint32_t number)
{
    buf_printf(b, "{\"id\":\"%s\",\"importMode\":\"createOrUpdate\",\"status\":\"enabled\",", id);
    buf_text(b, "\"authentication\":{\"type\":\"sas\",\"symmetricKey\":{");
    put_key(b, "primaryKey", id);
    buf_byte(b, ',');
    put_key(b, "secondaryKey", id);
    buf_printf(b, "}},\"tags\":{\"site\":\"plant-%03u\",\"line\":%u,\"model\":\"TX-2000\"},",
               number % 1000, number % 40);
    buf_text(b, "\"properties\":{\"desired\":");
    for (unsigned i = 0; i < SETTINGS; i++)
        buf_printf(b, "%c\"setting_%u\":{\"value\":%u.5,\"unit\":\"mbar\"}", i ? ',' : '{', i,
                   1000 + i);
    buf_text(b, "}}}");
}

static void put_update(struct buf *b, const char *id, uint64_t random)
{
    buf_printf(b,
               "{\"id\":\"%s\",\"importMode\":\"updateTwin\",\"properties\":{\"desired\":{"
               "\"setting_%u\":{\"value\":%u.5}}}}",
               id, (unsigned)(random % SETTINGS), 1000 + (unsigned)(random >> 32) % 9000);
}

/* ---- calls ---- */

static void fill(struct worker *w, uint64_t first, uint64_t count)
{
    const struct bulk *b = w->of;
    buf_clear(&w->body);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)((first + i) % b->config.devices);
        uint32_t number = b->creates ? at : b->order[at];
        char id[32];
        device_id(b->config.prefix, number, id);
        buf_byte(&w->body, i ? ',' : '[');
        if (b->creates)
            put_new(&w->body, id, number);
        else
            put_update(&w->body, id, random_next(&w->random));
    }
    buf_byte(&w->body, ']');
}

static void call(struct worker *w, uint64_t count)
{
    struct span answer;
    int64_t sent_ns = devices_now();
    int http = service_call(&w->service, "POST", "/devices?api-version=2021-04-12",
                            buf_span(&w->body), &answer);
    if (http != 200 || !memmem(answer.data, answer.len, "\"isSuccessful\":true", 19))
        process_fail("POST /devices: %d %.*s", http, SPAN_ARG(span_first(answer, 400)));
    pthread_mutex_lock(&w->lock);
    latency_add(&w->latency, devices_now() - sent_ns);
    w->updated += count;
    pthread_mutex_unlock(&w->lock);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct bulk *b = w->of;
    while (!atomic_load(&b->stopping)) {
        uint64_t first = atomic_fetch_add(&b->next, SERVICE_BULK_MAX), count = SERVICE_BULK_MAX;
        if (b->creates && first >= b->config.devices)
            break;
        if (b->creates && count > b->config.devices - first)
            count = b->config.devices - first;
        if (count > b->config.devices)
            count = b->config.devices; /* a call names nobody twice */
        fill(w, first, count);
        call(w, count);
    }
    return NULL;
}

/* ---- life ---- */

static struct bulk *start(const struct bulk_config *config, bool creates)
{
    struct bulk *b = calloc(1, sizeof(*b) + config->connections * sizeof(b->workers[0]));
    if (!b)
        check_no_memory();
    b->config = *config;
    b->creates = creates;
    if (!creates)
        b->order = shuffle(config->devices);
    for (unsigned i = 0; i < config->connections; i++) {
        struct worker *w = &b->workers[i];
        w->of = b;
        w->random = i;
        pthread_mutex_init(&w->lock, NULL);
        service_open(&w->service, config->rest, config->connection);
        if (pthread_create(&w->thread, NULL, work, w) != 0)
            process_fail("no thread");
    }
    return b;
}

static void finish(struct bulk *b)
{
    for (unsigned i = 0; i < b->config.connections; i++) {
        struct worker *w = &b->workers[i];
        pthread_join(w->thread, NULL);
        service_fini(&w->service);
        buf_fini(&w->body);
        pthread_mutex_destroy(&w->lock);
    }
    free(b->order);
    free(b);
}

double bulk_create(const struct bulk_config *config)
{
    int64_t began_ns = devices_now();
    finish(start(config, true));
    return (double)(devices_now() - began_ns) / 1e9;
}

struct bulk *bulk_start(const struct bulk_config *config)
{
    return start(config, false);
}

uint64_t bulk_take(struct bulk *b, struct latency *l)
{
    uint64_t updated = 0;
    for (unsigned i = 0; i < b->config.connections; i++) {
        struct worker *w = &b->workers[i];
        pthread_mutex_lock(&w->lock);
        latency_move(l, &w->latency);
        updated += w->updated;
        w->updated = 0;
        pthread_mutex_unlock(&w->lock);
    }
    return updated;
}

void bulk_stop(struct bulk *b)
{
    atomic_store(&b->stopping, true);
    finish(b);
}
