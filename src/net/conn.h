/* conn.h — one connection: the link a shard sees, over a socket and perhaps TLS.
 *
 *            TLS done           link_close, the peer's end
 *   HANDSHAKE ──────► OPEN ──────────────────────────────► CLOSING ──► LINGER ──► DEAD
 *       │              │ ▲  link_move                      (drains)    (discards)   ▲
 *       │              ▼ │                                                          │
 *       │            MOVING (drains, then arrives at another loop)                  │
 *       └───────────────┴──────────── failures, deadlines ──────────────────────────┘
 *
 * DEAD waits for libuv to let go of the handle; then on_closed, then the memory is freed. One that
 * dies while it moves travels on without a socket, and is told so where it was going.
 *
 * Threads  that of the loop it belongs to
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/buf.h"
#include "net/loop.h"

struct ssl_st;
struct sockaddr_storage;

enum conn_state { CONN_HANDSHAKE, CONN_OPEN, CONN_MOVING, CONN_CLOSING, CONN_LINGER, CONN_DEAD };

struct conn {
    struct link link; /* first: a link is its conn */
    struct net_loop *loop;
    enum conn_state state;
    enum status why; /* of the end */
    bool opened;     /* on_open was called: on_closed is owed */
    bool reads;      /* the shard wants bytes */
    bool polled;     /* libuv is reading */
    bool moving;     /* link_move was called; `target` is where to */
    bool ended;      /* the peer has ended its side: nothing to linger for */
    bool goodbye;    /* close_notify was queued */
    bool owes_drained;
    bool counted; /* among the peer's unfinished handshakes */
    unsigned target;
    int fd; /* on its way to a loop; else -1 */
    struct peer_key peer_key;

    struct ssl_st *ssl;
    uint8_t *chain_block;    /* what link.chain points into */
    struct buf in;           /* received, not yet consumed */
    struct buf out;          /* plain, from link_send */
    struct buf cipher;       /* encrypted, not from link_send: handshake, alerts */
    struct writing *writing; /* what the kernel did not take at once */
    size_t discarded;        /* bytes, while lingering */

    struct list all, work, dirty, wait; /* of the loop */
    int64_t wait_since_ms;
    struct conn *next; /* in an inbox */
    uv_tcp_t tcp;
};

/* For a socket just accepted; then loop_give. Any thread. */
struct conn *conn_create(int fd, enum link_kind kind, bool tls, int64_t now_ms);
/* One that never got to its loop. */
void conn_discard(struct conn *c, struct net *net);

/* ── for the loop ── */

/* It has come out of the inbox, for the first time or by a move. */
void conn_arrive(struct net_loop *l, struct conn *c);
/* Progress one that stood on the list of handshakes or of work (conn_read.c). */
void conn_work(struct conn *c);
/* Give the kernel what is queued (conn_write.c). */
void conn_flush(struct conn *c);
/* It has waited too long. */
void conn_expire(struct conn *c);
/* Close after draining; `why` goes to on_closed. Harmless when it is closing already. */
void conn_close(struct conn *c, enum status why);
/* Close at once. Harmless when it is dead already. */
void conn_kill(struct conn *c, enum status why);

/* ── between conn.c, conn_read.c and conn_write.c ── */

void conn_opened(struct conn *c); /* it is whole: tell the shard */
void conn_depart(struct conn *c); /* MOVING, and all is sent */
/* Put it on a list of its loop, once. */
void conn_make_dirty(struct conn *c);
void conn_make_work(struct conn *c);
void conn_wait_for(struct conn *c, enum wait what);
/* Have libuv read the socket, or not. */
void conn_read_on(struct conn *c);
void conn_read_off(struct conn *c);
/* Deliver what was received but not consumed, then read on. */
void conn_resume(struct conn *c);

#endif
