#include "net/conn.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "net/tls.h"

enum { WIRE_KEPT = 256 * 1024 }; /* of the loop's buffer for encrypted output */

struct writing {
    uv_write_t request;
    struct conn *conn;
    struct buf bytes;
};

/* All was given to the kernel. */
static void drained(struct conn *c)
{
    if (c->state == CONN_MOVING) {
        conn_depart(c);
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
        conn_wait_for(c, WAIT_LINGER);
        conn_read_on(c);
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
        conn_make_dirty(c);
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
