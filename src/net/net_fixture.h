/* net_fixture.h — for tests: a net with running loops around an echo shard, and blocking clients.
 *
 * The echo shard sends back what comes. A test changes what it needs in `events` before
 * fixture_start; counters may be read from the test's thread.
 */
#ifndef NET_NET_FIXTURE_H
#define NET_NET_FIXTURE_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "net/net.h"
#include "net/pki.h"

enum { FIXTURE_SHARDS = 2 };

struct fixture;

struct fixture_shard {
    struct fixture *fixture;
    unsigned index;
    pthread_t thread;
};

struct fixture {
    struct net_config config;
    struct link_events events;
    struct net_main main_events;
    struct net *net;
    struct pki *pki;
    char dir[64];
    struct fixture_shard shards[FIXTURE_SHARDS];
    pthread_t main_thread;
    uint16_t plain_port, tls_port, https_port;
    bool listens; /* plain only; false: all three */
    bool stopped;
    atomic_uint opened, closed, moved, drained, turns, bytes;
    atomic_int last_why;
    atomic_size_t most_unsent;
};

/* Defaults, with limits that do not hold a test up. */
struct fixture *fixture_create(unsigned shards);
void fixture_start(struct fixture *f);
void fixture_stop(struct fixture *f, int64_t deadline_ms);
void fixture_destroy(struct fixture *f); /* stops it, if that is still to do */

/* The fixture of an event's link: links carry a counted owner made in on_open. */
struct peer {
    struct fixture *fixture;
    struct link *link;
    unsigned shard;
    uint64_t received, sent;
    unsigned turns, moves;
};
struct peer *peer_of(struct link *l);
struct fixture *fixture_of_shard(void *shard);

/* The default events, for those that add to them. */
void fixture_on_open(void *shard, struct link *l);
void fixture_on_moved(void *shard, struct link *l);
void fixture_on_bytes(struct link *l, struct span bytes);
void fixture_on_drained(struct link *l);
void fixture_on_closed(struct link *l, enum status why);
void fixture_on_turn(void *shard, struct now now);

/* Wait up to five seconds until the counter is at least `want`. */
bool wait_until(const atomic_uint *counter, unsigned want);
/* The sums over all loops. */
struct net_stats fixture_stats(const struct fixture *f);

/* A blocking client: a socket, and TLS when ssl is set. */
struct client {
    int fd;
    SSL *ssl;
};

int connect_to(uint16_t port);
struct client client_plain(const struct fixture *f);
/* TLS of that version only; 0: any. It trusts the fixture's CA. `ctx` may be NULL. */
struct client client_tls(const struct fixture *f, int version, SSL_CTX *ctx);
SSL_CTX *client_context(const struct fixture *f);
bool client_send(struct client *c, struct span bytes);
/* Exactly `len` bytes; false at an earlier end. */
bool client_receive(struct client *c, uint8_t *out, size_t len);
/* True when nothing but the end comes within five seconds. */
bool client_sees_end(struct client *c);
void client_close(struct client *c);

/* Byte number `at` of an endless test sequence. */
uint8_t pattern_byte(uint64_t at);
void pattern_fill(uint8_t *out, uint64_t at, size_t len);
bool pattern_holds(const uint8_t *bytes, uint64_t at, size_t len);

#endif
