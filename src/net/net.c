#include "net/net.h"

#include <signal.h>
#include <stdlib.h>

#include "net/accept.h"
#include "net/loop.h"
#include "net/system.h"
#include "net/tls_server.h"

struct net_config net_defaults(unsigned shards, struct random random)
{
    return (struct net_config){.shards = shards,
                               .random = random,
                               .handshake_ms = 10000,
                               .drain_ms = 5000,
                               .linger_ms = 1000,
                               .accepts_per_s = 5000,
                               .handshakes_per_ip = 1000,
                               .fd_reserve = 64};
}

struct net *net_create(const struct net_config *config, struct buf *why)
{
    CHECK(config->shards > 0);
    signal(SIGPIPE, SIG_IGN); /* a peer that has gone is an error of its write, no more */
    struct net *n = calloc(1, sizeof(*n));
    struct net_loop *loops = calloc(config->shards, sizeof(*loops));
    if (!n || !loops)
        check_no_memory();
    n->config = *config;
    n->loops = loops;
    n->tls = tls_server_create(config->random, config->ticket_secret);
    struct hash_key key = {random_u64(config->random), random_u64(config->random)};
    peers_init(&n->peers, key, config->handshakes_per_ip);
    int error = acceptor_create(n, &n->acceptor);
    for (unsigned i = 0; i < config->shards && !error; i++)
        error = loop_init(&loops[i], n, i);
    if (!error)
        return n;
    buf_printf(why, "cannot make %u event loops: %s", config->shards, uv_strerror(error));
    net_destroy(n);
    return NULL;
}

void net_destroy(struct net *n)
{
    if (!n)
        return;
    acceptor_destroy(n->acceptor);
    for (unsigned i = 0; i < n->config.shards; i++)
        loop_fini(&n->loops[i]);
    peers_fini(&n->peers);
    tls_server_destroy(n->tls);
    free(n->loops);
    free(n);
}

bool net_certificates(struct net *n, const struct net_certificate *certificates, unsigned count,
                      struct buf *why)
{
    return tls_server_load(n->tls, certificates, count, why);
}

bool net_listen(struct net *n, const struct net_address *at, uint16_t *port, struct buf *why)
{
    CHECK(!at->tls || tls_server_ready(n->tls));
    return acceptor_listen(n->acceptor, at, port, why);
}

void net_loop_run(struct net *n, unsigned index, const struct link_events *events, void *shard)
{
    CHECK(index < n->config.shards);
    n->loops[index].events = events;
    n->loops[index].shard = shard;
    loop_run(&n->loops[index]);
}

void net_wake(struct net *n, unsigned index)
{
    loop_wake(&n->loops[index]);
}

void net_run(struct net *n, const struct net_main *events)
{
    acceptor_run(n->acceptor, events);
}

void net_wake_main(struct net *n)
{
    acceptor_wake(n->acceptor);
}

void net_stop_accepting(struct net *n)
{
    acceptor_close(n->acceptor);
}

void net_stop(struct net *n, int64_t deadline_ms)
{
    atomic_store(&n->stop_ms, system_now().mono_ms + deadline_ms);
    atomic_store(&n->stopping, true);
    for (unsigned i = 0; i < n->config.shards; i++)
        loop_wake(&n->loops[i]);
    acceptor_wake(n->acceptor);
}

void net_stats(const struct net *n, unsigned index, struct net_stats *out)
{
    const struct loop_stats *s = &n->loops[index].stats;
    *out = (struct net_stats){.links = atomic_load(&s->links),
                              .opened = atomic_load(&s->opened),
                              .closed = atomic_load(&s->closed),
                              .handshakes = atomic_load(&s->handshakes),
                              .resumed = atomic_load(&s->resumed),
                              .handshakes_failed = atomic_load(&s->handshakes_failed),
                              .handshakes_late = atomic_load(&s->handshakes_late),
                              .moved_in = atomic_load(&s->moved_in),
                              .moved_out = atomic_load(&s->moved_out),
                              .bytes_in = atomic_load(&s->bytes_in),
                              .bytes_out = atomic_load(&s->bytes_out)};
}

void net_accept_stats(const struct net *n, struct net_accept_stats *out)
{
    acceptor_stats(n->acceptor, out);
}
