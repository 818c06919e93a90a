/* loop.h — the event loop of one shard's thread: its turn, its inbox, its lists of connections.
 *
 * A turn:  sockets are read (conn.h)          ─► on_bytes
 *          a few handshakes take a step       ─► on_open, on_bytes
 *          the work list is served            ─► on_bytes: what was left over
 *          the deadlines are looked at
 *          on_turn
 *          the dirty list is flushed          one write a connection
 *          closed handles are let go          ─► on_closed
 *
 * While handshakes, work or dirty connections are left, the next turn does not wait for sockets.
 *
 * Threads  the loop's own, except where it says "any"
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/list.h"
#include "net/admit.h"
#include "net/net.h"

struct conn;
struct tls_server;
struct acceptor;

enum {
    READ_ARENA = 64 * 1024,
    HANDSHAKES_A_TURN = 4, /* a handshake costs as much as a hundred requests */
    TICK_MS = 50
};

/* What a connection may wait for; each list is in order of time, since all on it wait equally. */
enum wait { WAIT_HANDSHAKE, WAIT_DRAIN, WAIT_LINGER, WAIT_COUNT };

struct loop_stats {
    atomic_uint_fast64_t links, opened, closed, handshakes, resumed, handshakes_failed,
        handshakes_late, moved_in, moved_out, bytes_in, bytes_out;
};

struct net_loop {
    struct net *net;
    unsigned index;
    const struct link_events *events;
    void *shard;
    struct now now; /* of this turn */

    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* runs while the next turn must not wait */
    uv_timer_t tick;
    uv_async_t async;

    struct list all, handshakes, work, dirty, waits[WAIT_COUNT];
    uint8_t *arena;         /* what a socket is read into */
    struct buf plain, wire; /* decrypted; encrypted: for the time of one call */

    pthread_mutex_t lock; /* guards the inbox */
    struct conn *inbox, **inbox_end;
    atomic_uint coming; /* moves to here that have begun and not arrived */
    bool stopping;      /* this loop has seen net_stop */

    struct loop_stats stats;
};

struct net {
    struct net_config config;
    struct tls_server *tls;
    struct peers peers;
    struct acceptor *acceptor;
    atomic_uint_fast64_t open_fds; /* sockets of peers, in all loops */

    atomic_bool stopping;
    atomic_uint stopping_loops; /* that have seen it */
    _Atomic int64_t stop_ms;    /* mono: cut off what is left */

    struct net_loop *loops; /* config.shards of them */
};

/* 0, or libuv's error when the machine has no descriptors left for it. */
MUST_USE int loop_init(struct net_loop *l, struct net *net, unsigned index);
/* On any thread, when the loop does not run. Harmless on one that loop_init refused. */
void loop_fini(struct net_loop *l);
void loop_run(struct net_loop *l);

/* Hand a connection over to this loop. Any thread; never blocks. */
void loop_give(struct net_loop *l, struct conn *c);
void loop_wake(struct net_loop *l); /* any thread */

/* Counters have one writer each, so a load and a store will do. */
static inline void count_up(atomic_uint_fast64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

#endif
