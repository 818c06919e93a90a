#include "net/conn.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/tls.h"

static const struct link_ops ops;

static struct conn *of_link(struct link *l)
{
    return CONTAINER_OF(l, struct conn, link);
}

struct conn *conn_create(int fd, enum link_kind kind, bool tls, int64_t now_ms)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        check_no_memory();
    c->link.ops = &ops;
    c->link.kind = kind;
    c->link.tls = tls;
    c->link.opened_ms = now_ms;
    c->state = tls ? CONN_HANDSHAKE : CONN_OPEN;
    c->reads = true;
    c->fd = fd;
    return c;
}

static void free_all(struct conn *c)
{
    tls_destroy(c->ssl);
    free(c->chain_block);
    buf_fini(&c->in);
    buf_fini(&c->out);
    buf_fini(&c->cipher);
    free(c);
}

static void uncount(struct conn *c, struct net *net)
{
    if (c->counted)
        peers_leave(&net->peers, c->peer_key);
    c->counted = false;
}

void conn_discard(struct conn *c, struct net *net)
{
    if (c->fd >= 0)
        close(c->fd);
    uncount(c, net);
    atomic_fetch_sub(&net->open_fds, 1);
    free_all(c);
}

/* The end: the socket is gone, and nothing of the loop points here any more. */
static void finish(struct conn *c)
{
    struct net_loop *l = c->loop;
    list_remove(&c->all);
    CHECK(!list_linked(&c->work));
    CHECK(!list_linked(&c->dirty));
    CHECK(!list_linked(&c->wait));
    uncount(c, l->net);
    atomic_fetch_sub(&l->net->open_fds, 1);
    atomic_fetch_sub_explicit(&l->stats.links, 1, memory_order_relaxed);
    if (c->opened) {
        count_up(&l->stats.closed, 1);
        l->events->on_closed(&c->link, c->why);
    }
    free_all(c);
}

/* ── leaving the loop ── */

static void on_handle_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct net_loop *l = c->loop;
    if (!c->moving) {
        finish(c);
        return;
    }
    list_remove(&c->all);
    count_up(&l->stats.moved_out, 1);
    atomic_fetch_sub_explicit(&l->stats.links, 1, memory_order_relaxed);
    loop_give(&l->net->loops[c->target], c);
}

static void leave_loop(struct conn *c)
{
    list_remove(&c->work);
    list_remove(&c->dirty);
    list_remove(&c->wait);
    c->polled = false;
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, on_handle_closed);
}

void conn_kill(struct conn *c, enum status why)
{
    if (c->state == CONN_DEAD || uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    if (c->state < CONN_CLOSING)
        c->why = why;
    c->state = CONN_DEAD;
    leave_loop(c);
}

/* Everything has been sent: take the socket away from this loop and send it to the other. libuv
 * closes its own descriptor, so a second one travels. */
void conn_depart(struct conn *c)
{
    uv_os_fd_t fd;
    CHECK(uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0);
    c->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (c->fd < 0)
        conn_kill(c, CLOSED);
    else
        leave_loop(c);
}

/* ── waiting ── */

void conn_make_dirty(struct conn *c)
{
    if (c->state != CONN_DEAD && !list_linked(&c->dirty))
        list_append(&c->loop->dirty, &c->dirty);
}

void conn_make_work(struct conn *c)
{
    bool shakes_hands = c->state == CONN_HANDSHAKE;
    if (c->state != CONN_DEAD && !list_linked(&c->work))
        list_append(shakes_hands ? &c->loop->handshakes : &c->loop->work, &c->work);
}

void conn_wait_for(struct conn *c, enum wait what)
{
    list_remove(&c->wait);
    c->wait_since_ms = c->loop->now.mono_ms;
    list_append(&c->loop->waits[what], &c->wait);
}

void conn_expire(struct conn *c)
{
    if (c->state == CONN_HANDSHAKE)
        count_up(&c->loop->stats.handshakes_late, 1);
    if (c->state == CONN_CLOSING)
        c->why = c->why == OK ? SLOW_READER : c->why;
    conn_kill(c, c->state == CONN_MOVING ? SLOW_READER : TIMED_OUT);
}

void conn_close(struct conn *c, enum status why)
{
    if (c->state >= CONN_CLOSING || uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    if (c->state == CONN_HANDSHAKE && why != BAD_PACKET) {
        conn_kill(c, why);
        return;
    }
    c->state = CONN_CLOSING;
    c->why = why;
    conn_read_off(c);
    conn_wait_for(c, WAIT_DRAIN);
    conn_make_dirty(c);
}

void conn_opened(struct conn *c)
{
    struct net_loop *l = c->loop;
    list_remove(&c->wait);
    uncount(c, l->net);
    c->state = CONN_OPEN;
    c->opened = true;
    count_up(&l->stats.opened, 1);
    l->events->on_open(l->shard, &c->link);
}

/* ── arriving ── */

static bool open_socket(struct net_loop *l, struct conn *c)
{
    CHECK(uv_tcp_init(&l->uv, &c->tcp) == 0);
    c->tcp.data = c;
    bool opens = uv_tcp_open(&c->tcp, c->fd) == 0;
    if (!opens)
        close(c->fd);
    c->fd = -1;
    return opens;
}

static void arrive_new(struct net_loop *l, struct conn *c)
{
    if (!open_socket(l, c) || l->stopping) {
        conn_kill(c, SHUTTING_DOWN);
        return;
    }
    if (c->state == CONN_HANDSHAKE) {
        c->wait_since_ms = c->link.opened_ms;
        list_append(&l->waits[WAIT_HANDSHAKE], &c->wait);
    } else {
        conn_opened(c);
    }
    if (c->state == CONN_HANDSHAKE || (c->state == CONN_OPEN && c->reads))
        conn_read_on(c);
}

static void arrive_moved(struct net_loop *l, struct conn *c)
{
    c->moving = false;
    atomic_fetch_sub(&l->coming, 1);
    count_up(&l->stats.moved_in, 1);
    bool has_socket = c->fd >= 0;
    bool lives = has_socket && open_socket(l, c);
    c->state = lives ? CONN_OPEN : CONN_DEAD;
    l->events->on_moved(l->shard, &c->link);
    if (!lives && c->moving) { /* told to move on from on_moved: it does not any more */
        c->moving = false;
        atomic_fetch_sub(&l->net->loops[c->target].coming, 1);
    }
    if (!has_socket) {
        finish(c);
    } else if (!lives) {
        leave_loop(c);
    } else if (l->stopping) {
        conn_close(c, SHUTTING_DOWN);
    } else {
        if (c->owes_drained || c->out.len)
            conn_make_dirty(c);
        conn_resume(c);
    }
}

void conn_arrive(struct net_loop *l, struct conn *c)
{
    c->loop = l;
    list_append(&l->all, &c->all);
    atomic_fetch_add_explicit(&l->stats.links, 1, memory_order_relaxed);
    if (c->moving)
        arrive_moved(l, c);
    else
        arrive_new(l, c);
}

/* ── what the shard calls ── */

static void op_send(struct link *l, struct span bytes)
{
    struct conn *c = of_link(l);
    /* A peer that has closed only its own side still gets what this turn has for it. */
    bool half = c->state == CONN_CLOSING && c->ended && !c->goodbye;
    if (c->state != CONN_OPEN && !half)
        return;
    buf_put(&c->out, bytes);
    c->owes_drained = true;
    conn_make_dirty(c);
}

static void op_close(struct link *l)
{
    conn_close(of_link(l), OK);
}

static void op_read(struct link *l, bool on)
{
    struct conn *c = of_link(l);
    c->reads = on;
    if (c->state != CONN_OPEN)
        return;
    if (!on)
        conn_read_off(c);
    else if (!c->polled)
        conn_make_work(c); /* not from here: bytes may be left to deliver first */
}

static size_t op_unsent(const struct link *l)
{
    const struct conn *c = (const void *)l; /* its first field */
    return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) + c->cipher.len +
           c->out.len;
}

static void op_move(struct link *l, unsigned shard)
{
    struct conn *c = of_link(l);
    struct net *net = c->loop->net;
    CHECK(shard < net->config.shards);
    CHECK(!c->moving);
    if (c->loop->stopping) {
        conn_close(c, SHUTTING_DOWN);
        return;
    }
    c->moving = true;
    c->target = shard;
    atomic_fetch_add(&net->loops[shard].coming, 1);
    if (c->state != CONN_OPEN)
        return; /* it is ending: it ends there */
    conn_read_off(c);
    c->state = CONN_MOVING;
    conn_wait_for(c, WAIT_DRAIN);
    conn_make_dirty(c);
}

static const struct link_ops ops = {
    .send = op_send, .close = op_close, .read = op_read, .unsent = op_unsent, .move = op_move};
