#include "net/conn.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls.h"
#include "net/tls_server.h"

enum {
    RECORD_HEAD = 5, /* RFC 8446 5.1: type, version, length */
    RECORD_HANDSHAKE = 22,
    RECORD_MAX = 16384 + 256,
    HELLO_MAX = 2 * RECORD_MAX, /* kept of a handshake that waits for its turn */
    CIPHER_MAX = 64 * 1024,     /* TLS's own answers to a peer that does not read */
    WIRE_KEPT = 256 * 1024,     /* of the loop's buffer for encrypted output */
    DISCARD_MAX = 256 * 1024    /* after that a lingering peer is cut off */
};

struct writing {
    uv_write_t request;
    struct conn *conn;
    struct buf bytes;
};

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
static void depart(struct conn *c)
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

static void make_dirty(struct conn *c)
{
    if (c->state != CONN_DEAD && !list_linked(&c->dirty))
        list_append(&c->loop->dirty, &c->dirty);
}

static void make_work(struct conn *c)
{
    if (c->state != CONN_DEAD && !list_linked(&c->work))
        list_append(&c->loop->work, &c->work);
}

static void wait_for(struct conn *c, enum wait what)
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

/* ── reading ── */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct conn *c = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)c->loop->arena, READ_ARENA);
}

static void poll_off(struct conn *c)
{
    if (c->polled)
        uv_read_stop((uv_stream_t *)&c->tcp);
    c->polled = false;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void poll_on(struct conn *c)
{
    if (!c->polled)
        CHECK(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0);
    c->polled = true;
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
    poll_off(c);
    wait_for(c, WAIT_DRAIN);
    make_dirty(c);
}

/* The peer has closed its side. What it is owed so far is still sent. */
static void peer_ended(struct conn *c)
{
    c->ended = true;
    conn_close(c, CLOSED);
}

/* Keep what could not be consumed now. Nothing is kept of a connection that is closing. */
static void keep_rest(struct conn *c, struct span rest)
{
    if (c->state == CONN_OPEN || c->state == CONN_MOVING)
        buf_put(&c->in, rest);
}

static void deliver(struct conn *c, struct span bytes)
{
    if (bytes.len)
        c->loop->events->on_bytes(&c->link, bytes);
}

static void read_tls(struct conn *c, struct span bytes)
{
    struct net_loop *l = c->loop;
    enum tls_result result;
    do {
        buf_clear(&l->plain);
        result = tls_read(c->ssl, &bytes, &c->cipher, &l->plain, READ_ARENA);
        deliver(c, buf_span(&l->plain));
    } while (result == TLS_MORE && c->state == CONN_OPEN && c->reads);
    if (c->cipher.len > CIPHER_MAX)
        conn_kill(c, SLOW_READER);
    else if (c->cipher.len)
        make_dirty(c);
    keep_rest(c, bytes);
    if (result == TLS_BAD)
        conn_close(c, BAD_PACKET);
    else if (result == TLS_END)
        peer_ended(c);
}

/* Deliver what was received but not consumed, then read on. */
static void resume(struct conn *c)
{
    if (c->state != CONN_OPEN || !c->reads)
        return;
    if (c->ssl) {
        struct buf kept = c->in; /* OpenSSL may hold bytes too, so even if this is empty */
        c->in = (struct buf){0};
        read_tls(c, buf_span(&kept));
        buf_fini(&kept);
    }
    if (c->state != CONN_OPEN || !c->reads)
        return;
    if (c->ended)
        peer_ended(c);
    else
        poll_on(c);
}

/* ── handshake ── */

/* The length of the whole TLS records at the start of `in`; SIZE_MAX when it is not TLS. */
static size_t whole_records(struct span in)
{
    size_t whole = 0;
    while (in.len - whole >= RECORD_HEAD) {
        const uint8_t *head = in.data + whole;
        size_t len = (size_t)head[3] << 8 | head[4];
        if (head[1] != 3 || len == 0 || len > RECORD_MAX)
            return SIZE_MAX;
        if (in.len - whole - RECORD_HEAD < len)
            break;
        whole += RECORD_HEAD + len;
    }
    return whole;
}

/* Bytes of a handshake wait until it is their turn. What cannot be TLS ends here, at no cost. */
static void hello(struct conn *c, struct span bytes)
{
    buf_put(&c->in, bytes);
    bool foreign = !c->ssl && c->in.data[0] != RECORD_HANDSHAKE;
    size_t whole = foreign ? SIZE_MAX : whole_records(buf_span(&c->in));
    if (whole == SIZE_MAX) {
        count_up(&c->loop->stats.handshakes_failed, 1);
        conn_kill(c, BAD_PACKET);
        return;
    }
    if (whole > 0)
        make_work(c);
    if (c->in.len > HELLO_MAX)
        poll_off(c);
}

static void opened(struct conn *c)
{
    struct net_loop *l = c->loop;
    list_remove(&c->wait);
    uncount(c, l->net);
    c->state = CONN_OPEN;
    c->opened = true;
    count_up(&l->stats.opened, 1);
    l->events->on_open(l->shard, &c->link);
}

static void shake_hands(struct conn *c)
{
    struct net_loop *l = c->loop;
    if (!c->ssl)
        c->ssl = tls_server_accept(l->net->tls, c->link.kind);
    struct span bytes = span_first(buf_span(&c->in), whole_records(buf_span(&c->in)));
    size_t len = bytes.len;
    enum tls_result result = tls_handshake(c->ssl, &bytes, &c->cipher);
    buf_consume(&c->in, len - bytes.len);
    if (c->cipher.len)
        make_dirty(c);
    switch (result) {
    case TLS_WAIT:
    case TLS_MORE:
        if (c->in.len == 0)
            buf_fini(&c->in);
        if (c->ended)
            conn_kill(c, CLOSED);
        else
            poll_on(c);
        return;
    case TLS_DONE:
        count_up(&l->stats.handshakes, 1);
        count_up(&l->stats.resumed, tls_resumed(c->ssl));
        c->chain_block = tls_chain(c->ssl, c->link.chain, &c->link.chain_count);
        opened(c);
        resume(c);
        return;
    case TLS_END:
    case TLS_BAD:
        count_up(&l->stats.handshakes_failed, 1);
        conn_close(c, BAD_PACKET);
        return;
    }
}

bool conn_shakes_hands(const struct conn *c)
{
    return c->state == CONN_HANDSHAKE;
}

void conn_work(struct conn *c)
{
    if (c->state == CONN_HANDSHAKE)
        shake_hands(c);
    else
        resume(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (n == 0)
        return;
    if (n == UV_EOF && c->state == CONN_OPEN) {
        poll_off(c);
        peer_ended(c);
        return;
    }
    if (n == UV_EOF && c->state == CONN_HANDSHAKE && c->ssl && list_linked(&c->work)) {
        poll_off(c); /* what waits may be the end of the handshake, and a request */
        c->ended = true;
        return;
    }
    if (n < 0) {
        conn_kill(c, CLOSED);
        return;
    }
    struct span bytes = span_of(buf->base, (size_t)n);
    count_up(&c->loop->stats.bytes_in, bytes.len);
    if (c->state == CONN_LINGER) {
        c->discarded += bytes.len;
        if (c->discarded > DISCARD_MAX)
            conn_kill(c, c->why);
    } else if (c->state == CONN_HANDSHAKE) {
        hello(c, bytes);
    } else if (c->ssl) {
        read_tls(c, bytes);
    } else {
        deliver(c, bytes);
    }
}

/* ── writing ── */

/* All was given to the kernel. */
static void drained(struct conn *c)
{
    if (c->state == CONN_MOVING) {
        depart(c);
    } else if (c->state == CONN_CLOSING) {
        /* Closing now would reset the connection if the peer has sent more, and take from it what
         * it has not read yet: so only our side is closed, and what still comes is discarded. */
        uv_os_fd_t fd;
        CHECK(uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0);
        if (c->ended || c->moving || shutdown(fd, SHUT_WR) < 0) {
            conn_kill(c, c->why);
            return;
        }
        c->state = CONN_LINGER;
        wait_for(c, WAIT_LINGER);
        poll_on(c);
    } else if (c->owes_drained) {
        c->owes_drained = false;
        c->loop->events->on_drained(&c->link);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct writing *w = CONTAINER_OF(request, struct writing, request);
    struct conn *c = w->conn;
    buf_fini(&w->bytes);
    free(w);
    c->writing = NULL;
    if (status == 0)
        make_dirty(c);
    else
        conn_kill(c, CLOSED);
}

/* The kernel has taken `taken` bytes; libuv brings it the rest as it makes room. */
static void write_rest(struct conn *c, struct buf bytes, size_t taken)
{
    struct writing *w = calloc(1, sizeof(*w));
    if (!w)
        check_no_memory();
    w->conn = c;
    w->bytes = bytes;
    uv_buf_t rest = uv_buf_init((char *)bytes.data + taken, (unsigned)(bytes.len - taken));
    CHECK(uv_write(&w->request, (uv_stream_t *)&c->tcp, &rest, 1, on_written) == 0);
    c->writing = w;
}

/* The next bytes for the wire, all that there are, in a buffer of their own. False when TLS is
 * beyond use. */
static bool next_output(struct conn *c, struct buf *wire)
{
    bool usable = true;
    buf_put(wire, buf_span(&c->cipher));
    buf_fini(&c->cipher);
    if (c->state != CONN_HANDSHAKE && c->out.len)
        usable = tls_write(c->ssl, buf_span(&c->out), wire);
    buf_fini(&c->out);
    if (c->state == CONN_CLOSING && !c->goodbye && c->ssl) {
        c->goodbye = true;
        tls_goodbye(c->ssl, wire);
    }
    return usable;
}

void conn_flush(struct conn *c)
{
    if (c->writing || c->state >= CONN_LINGER)
        return;
    struct buf *bytes = &c->out;
    if (c->link.tls) {
        bytes = &c->loop->wire;
        buf_clear(bytes);
        if (!next_output(c, bytes)) {
            conn_kill(c, CLOSED);
            return;
        }
    }
    if (bytes->len) {
        uv_buf_t all = uv_buf_init((char *)bytes->data, (unsigned)bytes->len);
        int n = uv_try_write((uv_stream_t *)&c->tcp, &all, 1);
        if (n < 0 && n != UV_EAGAIN) {
            conn_kill(c, CLOSED);
            return;
        }
        size_t taken = n < 0 ? 0 : (size_t)n;
        count_up(&c->loop->stats.bytes_out, bytes->len);
        if (taken < bytes->len) {
            struct buf rest = *bytes;
            *bytes = (struct buf){0};
            write_rest(c, rest, taken);
            return;
        }
    }
    buf_fini(&c->out);
    if (c->loop->wire.cap > WIRE_KEPT)
        buf_fini(&c->loop->wire);
    drained(c);
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
        opened(c);
    }
    if (c->state == CONN_HANDSHAKE || (c->state == CONN_OPEN && c->reads))
        poll_on(c);
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
            make_dirty(c);
        resume(c);
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
    make_dirty(c);
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
        poll_off(c);
    else if (!c->polled)
        make_work(c); /* not from here: bytes may be left to deliver first */
}

static size_t op_unsent(const struct link *l)
{
    const struct conn *c = (const void *)l; /* its first field */
    size_t writing = c->writing ? uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) : 0;
    return writing + c->cipher.len + c->out.len;
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
    poll_off(c);
    c->state = CONN_MOVING;
    wait_for(c, WAIT_DRAIN);
    make_dirty(c);
}

static const struct link_ops ops = {
    .send = op_send, .close = op_close, .read = op_read, .unsent = op_unsent, .move = op_move};
