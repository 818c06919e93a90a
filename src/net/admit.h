/* admit.h — who may connect now: a budget of connections a second, a cap on each peer's unfinished
 * handshakes.
 *
 * Units    times in mono_ms
 * Threads  budget: the owner's; peers: any
 * Errors   none
 */
#ifndef NET_ADMIT_H
#define NET_ADMIT_H

#include <pthread.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/map.h"

/* A token bucket that holds one second's worth. */
struct budget {
    unsigned per_s; /* 0: no limit */
    int64_t left;   /* thousandths of a token */
    int64_t at_ms;
};

void budget_init(struct budget *b, unsigned per_s, int64_t now_ms);
/* Is there a token? Then it is taken. */
MUST_USE bool budget_take(struct budget *b, int64_t now_ms);

void budget_return(struct budget *b); /* the last one taken was not used */

/* Whom a cap counts as one: an IPv4 address, or the first 64 bits of an IPv6 address, since a peer
 * commands all of its subnet. */
struct peer_key {
    uint8_t bytes[16];
};

struct peer_key peer_key(const struct sockaddr *address);
bool peer_is_loopback(const struct sockaddr *address);

struct peers {
    pthread_mutex_t lock; /* guards the map */
    struct map map;
    struct hash_key hash_key;
    unsigned cap;
};

void peers_init(struct peers *p, struct hash_key key, unsigned cap);
void peers_fini(struct peers *p);
/* One more of this peer; false, and not counted, when that would exceed the cap. */
MUST_USE bool peers_enter(struct peers *p, struct peer_key key);
void peers_leave(struct peers *p, struct peer_key key); /* one that has entered */

#endif
