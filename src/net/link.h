/* link.h — one peer's connection as a shard sees it, whoever carries the bytes.
 *
 * net/ implements it over libuv and OpenSSL; the simulator over queues. A shard never sees a
 * socket: it is handed plain bytes and hands plain bytes back.
 *
 * Units    bytes; times in ms
 * Memory   a link belongs to net; it is freed after on_closed returns, and nowhere else
 * Threads  a link belongs to one shard at a time; link_move hands it over
 * Errors   a link that fails calls on_closed with the reason
 */
#ifndef NET_LINK_H
#define NET_LINK_H

#include "base/clock.h"
#include "base/span.h"
#include "base/status.h"

enum link_kind { LINK_MQTT, LINK_HTTP };
enum { LINK_CHAIN_MAX = 6 };

struct link;

struct link_ops {
    void (*send)(struct link *l, struct span bytes);
    void (*close)(struct link *l);
    void (*read)(struct link *l, bool on);
    size_t (*unsent)(const struct link *l);
    void (*move)(struct link *l, unsigned shard);
};

struct link {
    const struct link_ops *ops;
    enum link_kind kind;
    bool tls;
    int64_t
        opened_ms; /* mono, when it was accepted: deadlines of the first phase count from here */
    char peer[56]; /* its address, for the log */
    /* The client's certificates as DER, leaf first; good as long as the link. */
    struct span chain[LINK_CHAIN_MAX];
    unsigned chain_count;
    void *owner; /* the shard's connection */
};

/* What a shard is told. All but `wake` on the shard's own thread. */
struct link_events {
    /* A new connection whose TLS handshake, if any, is done. */
    void (*on_open)(void *shard, struct link *l);
    /* A connection that link_move has brought here; l->owner came along. */
    void (*on_moved)(void *shard, struct link *l);
    /* Bytes arrived. They are borrowed: what is not used now must be copied. Not called while
     * reading is off, except that bytes already decrypted when it was turned off may still come
     * within the same call chain. */
    void (*on_bytes)(struct link *l, struct span bytes);
    /* What link_send queued has all been given to the kernel. */
    void (*on_drained)(struct link *l);
    /* The end of a link, called once: by the peer, by a failure or after link_close. */
    void (*on_closed)(struct link *l, enum status why);
    /* After every ready socket has been read, and at least every 50 ms: the tick. What link_send
     * was given until it returns leaves in one write a link. */
    void (*on_turn)(void *shard, struct now now);
};

/* Queue plain bytes; the order is kept. Never fails: a dead link drops them. */
static inline void link_send(struct link *l, struct span bytes)
{
    l->ops->send(l, bytes);
}

/* Send what is queued (bounded in time by net), then close. on_closed follows later, never from
 * inside this call. Nothing is read any more. */
static inline void link_close(struct link *l)
{
    l->ops->close(l);
}

/* Turn reading on or off. New links read. */
static inline void link_read(struct link *l, bool on)
{
    l->ops->read(l, on);
}

/* Bytes that link_send was given and the kernel has not taken. */
static inline size_t link_unsent(const struct link *l)
{
    return l->ops->unsent(l);
}

/* Hand the link with its owner to another shard: reading stops, output drains, and that shard's
 * on_moved is called on its thread. Until then the link may not be used here; on_closed, if it
 * dies on the way, is called there after on_moved. */
static inline void link_move(struct link *l, unsigned shard)
{
    l->ops->move(l, shard);
}

#endif
