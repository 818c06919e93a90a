#include "net/conn.h"

#include "net/tls.h"
#include "net/tls_server.h"

enum {
    RECORD_HEAD = 5, /* RFC 8446 5.1: type, version, length */
    RECORD_HANDSHAKE = 22,
    RECORD_MAX = 16384 + 256,
    HELLO_MAX = 2 * RECORD_MAX, /* kept of a handshake that waits for its turn */
    CIPHER_MAX = 64 * 1024,     /* TLS's own answers to a peer that does not read */
    DISCARD_MAX = 256 * 1024    /* after that a lingering peer is cut off */
};

/* ── the socket ── */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct conn *c = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)c->loop->arena, READ_ARENA);
}

void conn_read_off(struct conn *c)
{
    if (c->polled)
        uv_read_stop((uv_stream_t *)&c->tcp);
    c->polled = false;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

void conn_read_on(struct conn *c)
{
    if (!c->polled)
        CHECK(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0);
    c->polled = true;
}

/* ── bytes ── */

/* The peer has closed its side. What it is owed so far is still sent. A shard that has turned
 * reading off is told when it reads again, one that the link moves to once it is there. */
static void peer_ended(struct conn *c)
{
    c->ended = true;
    if (c->state == CONN_OPEN && c->reads)
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
        conn_make_dirty(c);
    keep_rest(c, bytes);
    if (result == TLS_BAD)
        conn_close(c, BAD_PACKET);
    else if (result == TLS_END)
        peer_ended(c);
}

void conn_resume(struct conn *c)
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
        conn_read_on(c);
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
        conn_make_work(c);
    if (c->in.len > HELLO_MAX)
        conn_read_off(c);
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
        conn_make_dirty(c);
    switch (result) {
    case TLS_WAIT:
    case TLS_MORE:
        if (c->in.len == 0)
            buf_fini(&c->in);
        if (c->ended)
            conn_kill(c, CLOSED);
        else
            conn_read_on(c);
        return;
    case TLS_DONE:
        count_up(&l->stats.handshakes, 1);
        count_up(&l->stats.resumed, tls_resumed(c->ssl));
        c->chain_block = tls_chain(c->ssl, c->link.chain, &c->link.chain_count);
        conn_opened(c);
        conn_resume(c);
        return;
    case TLS_END:
    case TLS_BAD:
        count_up(&l->stats.handshakes_failed, 1);
        conn_close(c, BAD_PACKET);
        return;
    }
}

void conn_work(struct conn *c)
{
    if (c->state == CONN_HANDSHAKE)
        shake_hands(c);
    else
        conn_resume(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (n == 0)
        return;
    if (n == UV_EOF && c->state == CONN_OPEN) {
        conn_read_off(c);
        peer_ended(c);
        return;
    }
    if (n == UV_EOF && c->state == CONN_HANDSHAKE && c->ssl && list_linked(&c->work)) {
        conn_read_off(c); /* what waits may be the end of the handshake, and a request */
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
