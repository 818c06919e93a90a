#include "watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "process.h"
#include "service.h"

enum { PERIOD_US = 10000 };

struct watch {
    struct service service;
    pthread_t thread;
    _Atomic bool running, stopping;
};

static void *look(void *arg)
{
    static const char line[] = "\ntwinhub_checkpoint_running ";
    struct watch *w = arg;
    for (; !atomic_load(&w->stopping); usleep(PERIOD_US)) {
        struct span answer;
        int http = service_call(&w->service, "GET", "/metrics", (struct span){0}, &answer);
        const uint8_t *at = memmem(answer.data, answer.len, line, sizeof(line) - 1);
        if (http != 200 || !at)
            process_fail("GET /metrics: %d, or nothing about checkpoints", http);
        atomic_store(&w->running, at[sizeof(line) - 1] == '1');
    }
    return NULL;
}

struct watch *watch_start(struct sockaddr_in rest, const char *connection)
{
    struct watch *w = calloc(1, sizeof(*w));
    if (!w)
        check_no_memory();
    service_open(&w->service, rest, connection);
    if (pthread_create(&w->thread, NULL, look, w) != 0)
        process_fail("no thread");
    return w;
}

bool watch_running(const struct watch *w)
{
    return atomic_load(&w->running);
}

void watch_stop(struct watch *w)
{
    atomic_store(&w->stopping, true);
    pthread_join(w->thread, NULL);
    service_fini(&w->service);
    free(w);
}
