/* net.h — the outside: listeners, and one event loop for each shard.
 *
 * The main thread accepts and deals sockets out in turn; each shard's thread runs one loop, which
 * carries its links (link.h) over TCP or TLS. Life of a hub:
 *
 *   net_create, net_certificates, net_listen ...     set up, one thread
 *   net_loop_run   on each shard's thread            net_run on the main thread
 *   net_stop_accepting, (the shards finish), net_stop, join the shards' threads, net_destroy
 *
 * How a link ends, as on_closed tells it:
 *   OK             the shard closed it, and the peer took all that was queued
 *   CLOSED         the peer closed it, or the connection failed
 *   BAD_PACKET     what came is not TLS
 *   SLOW_READER    the peer did not take what was queued within drain_ms
 *   SHUTTING_DOWN  net_stop
 * A peer that closes only its own side still gets what the shard sends until the end of that turn.
 * While a shard has turned reading off, it does not hear of the peer's end: on_closed follows once
 * it reads again (or when a write fails). A link whose handshake fails is never heard of at all.
 *
 * Units    bytes; times in ms
 * Memory   net_create's result is the caller's until net_destroy; links belong to net
 * Threads  per function; "set up" means before any loop runs
 * Errors   false, with one line for a person in `why` (no newline at its end)
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/buf.h"
#include "base/random.h"
#include "net/link.h"

struct net;

/* Start from net_defaults(); a 0 means what the comment says. */
struct net_config {
    unsigned shards;      /* loops, at least 1 */
    struct random random; /* for the keys of session tickets; called from any loop */
    /* TICKET_SECRET bytes that those of TLS 1.3 are made from, so that they outlive the process;
     * NULL: they do not. Read by net_create alone. */
    const unsigned char *ticket_secret;
    int64_t handshake_ms;   /* a TLS handshake must be done by then: 10,000 */
    int64_t drain_ms;       /* a closing or moving link must have sent its output: 5,000 */
    int64_t linger_ms;      /* after that, how long the peer may take to close its side: 1,000 */
    unsigned accepts_per_s; /* connect budget; 0: none. More wait in the kernel's queue: 5,000 */
    unsigned handshakes_per_ip; /* unfinished ones of one peer address; 0: no cap: 1,000 */
    bool cap_loopback;          /* does the cap hold for peers on loopback: false */
    unsigned fd_reserve;        /* file descriptors that are not given to peers: 64 */
};

struct net_config net_defaults(unsigned shards, struct random random);

/* NULL with `why` when the machine refuses. Also ignores SIGPIPE for the process; SIGTERM,
 * SIGINT and SIGHUP wait for net_run from now on. Set up. */
MUST_USE struct net *net_create(const struct net_config *config, struct buf *why);
/* After every net_loop_run has returned. NULL is harmless. */
void net_destroy(struct net *n);

/* A server's certificate: PEM files, the leaf first in `chain`, and its key. */
struct net_certificate {
    const char *chain, *key;
};

/* Use these certificates (one of a kind: ECDSA, RSA) for connections accepted from now on; those
 * that are open keep theirs. On false the former ones stay. Any thread. */
MUST_USE bool net_certificates(struct net *n, const struct net_certificate *certificates,
                               unsigned count, struct buf *why);

struct net_address {
    const char *host; /* an address or a name: "127.0.0.1", "::", "localhost" */
    uint16_t port;    /* 0: any that is free */
    enum link_kind kind;
    bool tls; /* needs net_certificates first */
};

/* Bind and listen; accepting begins with net_run. *port is the port in use. On false, `why` names
 * address, port and the system's reason. Set up. */
MUST_USE bool net_listen(struct net *n, const struct net_address *at, uint16_t *port,
                         struct buf *why);

/* Run the loop of one shard, on its thread, until net_stop. `shard` comes back in every event;
 * `events` must live as long. Links still open at the end were told on_closed(SHUTTING_DOWN). */
void net_loop_run(struct net *n, unsigned index, const struct link_events *events, void *shard);

/* Make on_turn of that shard run soon, even if its sockets are silent. Any thread; never blocks;
 * many calls may become one turn. Harmless before the loop runs and after it has ended. */
void net_wake(struct net *n, unsigned index);

/* What the main thread is told, on the main thread. Any may be NULL. */
struct net_main {
    void (*on_signal)(void *ctx, int signum); /* SIGTERM, SIGINT, SIGHUP */
    void (*on_wake)(void *ctx);               /* after net_wake_main */
    void (*on_second)(void *ctx, struct now now);
    void *ctx;
};

/* Accept connections until net_stop. Main thread. */
void net_run(struct net *n, const struct net_main *events);
void net_wake_main(struct net *n); /* any thread */

/* No new connections; those that wait in the kernel's queues are refused. Main thread. */
void net_stop_accepting(struct net *n);
/* Accepting ends, every link is closed as by link_close, and net_run and every net_loop_run return:
 * when all links have gone, or after `deadline_ms`, when what is left is cut off. Links whose move
 * had begun arrive first, one begun later is closed where it is. Any thread, once. */
void net_stop(struct net *n, int64_t deadline_ms);

/* Counters of one loop since its start; `links` is a level. */
struct net_stats {
    uint64_t links;                              /* connections now, handshakes included */
    uint64_t opened, closed;                     /* on_open and on_closed calls */
    uint64_t handshakes, resumed;                /* done; of those, by a session ticket */
    uint64_t handshakes_failed, handshakes_late; /* malformed or refused; over the deadline */
    uint64_t moved_in, moved_out;
    uint64_t bytes_in, bytes_out; /* on the wire */
};

/* Any thread; the numbers are each right, not all of one moment. */
void net_stats(const struct net *n, unsigned index, struct net_stats *out);

/* Counters of the listeners. Any thread. */
struct net_accept_stats {
    uint64_t accepted;
    uint64_t refused;       /* over handshakes_per_ip: closed before TLS */
    uint64_t paused_fds;    /* times that accepting paused for want of file descriptors */
    uint64_t paused_budget; /* times that it paused on the connect budget */
};

void net_accept_stats(const struct net *n, struct net_accept_stats *out);

#endif
