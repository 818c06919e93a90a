/* accept.h — the listeners, and the main thread's loop around them.
 *
 * libuv 1.44 accepts and closes when file descriptors run out; here they run out never: accepting
 * pauses while fewer than the reserve are left, or while the connect budget is spent, and more
 * peers wait in the kernel's queue.
 *
 * Threads  the main one, except acceptor_stats and acceptor_wake: any
 */
#ifndef NET_ACCEPT_H
#define NET_ACCEPT_H

#include "net/loop.h"

/* 0, or libuv's error; *out is for acceptor_destroy in both cases. */
MUST_USE int acceptor_create(struct net *net, struct acceptor **out);
void acceptor_destroy(struct acceptor *a); /* NULL is harmless */
MUST_USE bool acceptor_listen(struct acceptor *a, const struct net_address *at, uint16_t *port,
                              struct buf *why);
void acceptor_run(struct acceptor *a, const struct net_main *events);
void acceptor_close(struct acceptor *a); /* the listeners */
void acceptor_wake(struct acceptor *a);
void acceptor_stats(const struct acceptor *a, struct net_accept_stats *out);

#endif
