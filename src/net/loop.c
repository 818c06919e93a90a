#include "net/loop.h"

#include <stdlib.h>

#include "net/conn.h"
#include "net/system.h"

enum { STOP_GRACE_MS = 500 };

static void on_async(uv_async_t *async)
{
    struct net_loop *l = async->data;
    pthread_mutex_lock(&l->lock);
    struct conn *c = l->inbox;
    l->inbox = NULL;
    l->inbox_end = &l->inbox;
    pthread_mutex_unlock(&l->lock);
    if (c)
        l->now = system_now();
    while (c) {
        struct conn *next = c->next;
        conn_arrive(l, c);
        c = next;
    }
}

static void take_all(struct list *from, struct list *to)
{
    list_init(to);
    while (!list_empty(from))
        list_append(to, list_take_first(from));
}

static void serve_handshakes(struct net_loop *l)
{
    for (int i = 0; i < HANDSHAKES_A_TURN && !list_empty(&l->handshakes); i++)
        conn_work(CONTAINER_OF(list_take_first(&l->handshakes), struct conn, work));
}

/* Serve what stood on the list when the turn came to it; what is put there meanwhile waits. */
static void serve_work(struct net_loop *l)
{
    struct list todo, *node;
    take_all(&l->work, &todo);
    while ((node = list_take_first(&todo)))
        conn_work(CONTAINER_OF(node, struct conn, work));
}

static void expire(struct net_loop *l)
{
    const int64_t patience_ms[WAIT_COUNT] = {[WAIT_HANDSHAKE] = l->net->config.handshake_ms,
                                             [WAIT_DRAIN] = l->net->config.drain_ms,
                                             [WAIT_LINGER] = l->net->config.linger_ms};
    for (int i = 0; i < WAIT_COUNT; i++) {
        while (!list_empty(&l->waits[i])) {
            struct conn *c = CONTAINER_OF(l->waits[i].next, struct conn, wait);
            if (l->now.mono_ms - c->wait_since_ms < patience_ms[i])
                break;
            list_remove(&c->wait);
            conn_expire(c);
        }
    }
}

static void flush_dirty(struct net_loop *l)
{
    struct list todo, *node;
    take_all(&l->dirty, &todo);
    while ((node = list_take_first(&todo)))
        conn_flush(CONTAINER_OF(node, struct conn, dirty));
}

/* net_stop: close all, and go when nothing is left here or on its way here. A loop that has seen
 * net_stop begins no move, so when all have seen it, `coming` can only fall. */
static void stop_step(struct net_loop *l)
{
    struct net *net = l->net;
    if (!l->stopping) {
        l->stopping = true;
        atomic_fetch_add(&net->stopping_loops, 1);
        LIST_EACH(at, &l->all)
        {
            conn_close(CONTAINER_OF(at, struct conn, all), SHUTTING_DOWN);
        }
    }
    if (l->now.mono_ms >= atomic_load(&net->stop_ms)) {
        LIST_EACH(at, &l->all)
        {
            conn_kill(CONTAINER_OF(at, struct conn, all), SHUTTING_DOWN);
        }
    }
    bool settled =
        atomic_load(&net->stopping_loops) == net->config.shards && atomic_load(&l->coming) == 0;
    /* A loop that never ran sees nothing: it is not waited for. */
    bool late = l->now.mono_ms >= atomic_load(&net->stop_ms) + STOP_GRACE_MS;
    if (list_empty(&l->all) && (settled || late))
        uv_stop(&l->uv);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active keeps the loop from waiting */
}

static void on_tick(uv_timer_t *tick)
{
    (void)tick; /* it ends the wait for sockets, so that on_check runs */
}

static void on_check(uv_check_t *check)
{
    struct net_loop *l = check->data;
    l->now = system_now();
    serve_handshakes(l);
    serve_work(l);
    expire(l);
    l->events->on_turn(l->shard, l->now);
    if (atomic_load(&l->net->stopping))
        stop_step(l);
    flush_dirty(l);
}

/* Handles that were closed call back after on_check, and may leave work: so it is looked at here,
 * just before the wait. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct net_loop *l = prepare->data;
    if (list_empty(&l->handshakes) && list_empty(&l->work) && list_empty(&l->dirty))
        uv_idle_stop(&l->idle);
    else
        uv_idle_start(&l->idle, on_idle);
}

int loop_init(struct net_loop *l, struct net *net, unsigned index)
{
    int error = uv_loop_init(&l->uv);
    if (error)
        return error;
    error = uv_async_init(&l->uv, &l->async, on_async);
    if (error) {
        CHECK(uv_loop_close(&l->uv) == 0);
        return error;
    }
    l->net = net;
    l->index = index;
    l->inbox_end = &l->inbox;
    list_init(&l->all);
    list_init(&l->handshakes);
    list_init(&l->work);
    list_init(&l->dirty);
    for (int i = 0; i < WAIT_COUNT; i++)
        list_init(&l->waits[i]);
    l->arena = malloc(READ_ARENA);
    if (!l->arena)
        check_no_memory();
    CHECK(pthread_mutex_init(&l->lock, NULL) == 0);
    CHECK(uv_prepare_init(&l->uv, &l->prepare) == 0);
    CHECK(uv_check_init(&l->uv, &l->check) == 0);
    CHECK(uv_idle_init(&l->uv, &l->idle) == 0);
    CHECK(uv_timer_init(&l->uv, &l->tick) == 0);
    l->prepare.data = l->check.data = l->async.data = l;
    return 0;
}

void loop_run(struct net_loop *l)
{
    l->now = system_now();
    CHECK(uv_prepare_start(&l->prepare, on_prepare) == 0);
    CHECK(uv_check_start(&l->check, on_check) == 0);
    CHECK(uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS) == 0);
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_fini(struct net_loop *l)
{
    if (!l->net)
        return;
    while (l->inbox) {
        struct conn *c = l->inbox;
        l->inbox = c->next;
        conn_discard(c, l->net);
    }
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_close((uv_handle_t *)&l->tick, NULL);
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&l->uv) == 0);
    pthread_mutex_destroy(&l->lock);
    buf_fini(&l->plain);
    buf_fini(&l->wire);
    free(l->arena);
}

void loop_give(struct net_loop *l, struct conn *c)
{
    c->next = NULL;
    pthread_mutex_lock(&l->lock);
    *l->inbox_end = c;
    l->inbox_end = &c->next;
    pthread_mutex_unlock(&l->lock);
    loop_wake(l);
}

void loop_wake(struct net_loop *l)
{
    CHECK(uv_async_send(&l->async) == 0);
}
