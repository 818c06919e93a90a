#include "net/logger.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "net/system.h"

enum {
    CHUNK = 4096, /* PIPE_BUF: a pipe that polls writable takes this much without blocking */
    POLL_MS = 100,
    FAREWELL_MS = 500
};

struct logger {
    int fd;
    bool json;
    pthread_t thread;
    atomic_uint_fast64_t dropped;
    pthread_mutex_t lock; /* guards all below; held for a copy, never while writing */
    pthread_cond_t more;
    uint64_t told;    /* of `dropped`, how many the log knows of */
    int64_t until_ms; /* mono; 0: run on */
    size_t size, start, used;
    uint8_t ring[];
};

static void ring_put(struct logger *l, struct span s)
{
    size_t end = (l->start + l->used) % l->size;
    size_t first = l->size - end < s.len ? l->size - end : s.len;
    memcpy(l->ring + end, s.data, first);
    memcpy(l->ring, s.data + first, s.len - first);
    l->used += s.len;
}

/* Room again after lines were dropped: say how many, at the place where they are missing. */
static void ring_confess(struct logger *l)
{
    uint64_t dropped = atomic_load(&l->dropped);
    if (dropped == l->told)
        return;
    struct buf line = {0};
    log_begin(&line, l->json, system_now(), LOG_WARN, "log lines dropped");
    log_number(&line, l->json, "count", (int64_t)(dropped - l->told));
    log_end(&line, l->json);
    if (line.len <= l->size - l->used) {
        ring_put(l, buf_span(&line));
        l->told = dropped;
    }
    buf_fini(&line);
}

void logger_put(struct logger *l, struct span lines)
{
    pthread_mutex_lock(&l->lock);
    ring_confess(l);
    if (lines.len <= l->size - l->used && atomic_load(&l->dropped) == l->told)
        ring_put(l, lines);
    else
        atomic_fetch_add(&l->dropped, 1);
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
}

uint64_t logger_dropped(struct logger *l)
{
    return atomic_load(&l->dropped);
}

/* Wait for bytes and copy some out; 0 when there are none and the end has come. */
static size_t next_chunk(struct logger *l, uint8_t out[CHUNK], int64_t *until_ms)
{
    pthread_mutex_lock(&l->lock);
    while (l->used == 0 && l->until_ms == 0)
        pthread_cond_wait(&l->more, &l->lock);
    *until_ms = l->until_ms;
    size_t len = l->used < CHUNK ? l->used : CHUNK;
    size_t first = l->size - l->start < len ? l->size - l->start : len;
    memcpy(out, l->ring + l->start, first);
    memcpy(out + first, l->ring, len - first);
    pthread_mutex_unlock(&l->lock);
    return len;
}

static void drop_chunk(struct logger *l, size_t len)
{
    pthread_mutex_lock(&l->lock);
    l->start = (l->start + len) % l->size;
    l->used -= len;
    ring_confess(l);
    pthread_mutex_unlock(&l->lock);
}

static void *run(void *arg)
{
    struct logger *l = arg;
    uint8_t chunk[CHUNK];
    for (;;) {
        int64_t until_ms;
        size_t len = next_chunk(l, chunk, &until_ms);
        if (len == 0 || (until_ms && system_now().mono_ms >= until_ms))
            return NULL;
        struct pollfd at = {.fd = l->fd, .events = POLLOUT};
        if (poll(&at, 1, POLL_MS) <= 0)
            continue;
        ssize_t n = write(l->fd, chunk, len);
        if (n > 0)
            drop_chunk(l, (size_t)n);
        else if (errno != EINTR && errno != EAGAIN)
            drop_chunk(l, len); /* nobody will ever read it: a closed pipe, a full disk */
    }
}

struct logger *logger_create(int fd, size_t ring_size, bool json)
{
    struct logger *l = calloc(1, sizeof(*l) + ring_size);
    if (!l)
        check_no_memory();
    l->fd = fd;
    l->json = json;
    l->size = ring_size;
    CHECK(ring_size > 0);
    CHECK(pthread_mutex_init(&l->lock, NULL) == 0);
    CHECK(pthread_cond_init(&l->more, NULL) == 0);
    if (pthread_create(&l->thread, NULL, run, l) != 0)
        check_no_memory(); /* for its stack */
    return l;
}

void logger_finish(struct logger *l)
{
    pthread_mutex_lock(&l->lock);
    l->until_ms = system_now().mono_ms + FAREWELL_MS;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
    CHECK(pthread_join(l->thread, NULL) == 0);
}

void logger_destroy(struct logger *l)
{
    if (!l)
        return;
    logger_finish(l);
    pthread_cond_destroy(&l->more);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
