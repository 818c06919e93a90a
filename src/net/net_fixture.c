#include "net/net_fixture.h"

#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/check.h"
#include "net/system.h"

/* ── the echo shard ── */

struct peer *peer_of(struct link *l)
{
    return l->owner;
}

struct fixture *fixture_of_shard(void *shard)
{
    return ((struct fixture_shard *)shard)->fixture;
}

void fixture_on_open(void *shard, struct link *l)
{
    struct fixture_shard *s = shard;
    struct peer *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->fixture = s->fixture;
    p->link = l;
    p->shard = s->index;
    l->owner = p;
    atomic_fetch_add(&p->fixture->opened, 1);
}

void fixture_on_moved(void *shard, struct link *l)
{
    struct fixture_shard *s = shard;
    CHECK(s->index != peer_of(l)->shard);
    peer_of(l)->shard = s->index;
    peer_of(l)->moves++;
    atomic_fetch_add(&s->fixture->moved, 1);
}

void fixture_on_bytes(struct link *l, struct span bytes)
{
    peer_of(l)->received += bytes.len;
    link_send(l, bytes);
    size_t unsent = link_unsent(l);
    if (unsent > atomic_load(&peer_of(l)->fixture->most_unsent))
        atomic_store(&peer_of(l)->fixture->most_unsent, unsent);
    atomic_fetch_add(&peer_of(l)->fixture->bytes, (unsigned)bytes.len); /* last: waited for */
}

void fixture_on_drained(struct link *l)
{
    CHECK(link_unsent(l) == 0);
    atomic_fetch_add(&peer_of(l)->fixture->drained, 1);
}

void fixture_on_closed(struct link *l, enum status why)
{
    struct peer *p = peer_of(l);
    atomic_store(&p->fixture->last_why, why);
    atomic_fetch_add(&p->fixture->closed, 1);
    free(p);
}

void fixture_on_turn(void *shard, struct now now)
{
    CHECK(now.mono_ms > 0);
    atomic_fetch_add(&fixture_of_shard(shard)->turns, 1);
}

/* ── its life ── */

struct fixture *fixture_create(unsigned shards)
{
    CHECK(shards <= FIXTURE_SHARDS);
    struct fixture *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->config = net_defaults(shards, system_random());
    f->config.linger_ms = 200;
    f->events = (struct link_events){.on_open = fixture_on_open,
                                     .on_moved = fixture_on_moved,
                                     .on_bytes = fixture_on_bytes,
                                     .on_drained = fixture_on_drained,
                                     .on_closed = fixture_on_closed,
                                     .on_turn = fixture_on_turn};
    snprintf(f->dir, sizeof(f->dir), "/tmp/twinhub-net.XXXXXX");
    CHECK(mkdtemp(f->dir) != NULL);
    return f;
}

static void *run_shard(void *arg)
{
    struct fixture_shard *s = arg;
    net_loop_run(s->fixture->net, s->index, &s->fixture->events, s);
    return NULL;
}

static void *run_main(void *arg)
{
    struct fixture *f = arg;
    net_run(f->net, &f->main_events);
    return NULL;
}

static uint16_t listen_on(struct fixture *f, enum link_kind kind, bool tls)
{
    struct buf why = {0};
    uint16_t port;
    struct net_address at = {.host = "127.0.0.1", .kind = kind, .tls = tls};
    CHECK(net_listen(f->net, &at, &port, &why));
    return port;
}

void fixture_start(struct fixture *f)
{
    struct buf why = {0};
    f->pki = pki_open(f->dir, NULL, 0, system_random(), system_now(), &why);
    CHECK(f->pki != NULL);
    f->net = net_create(&f->config, &why);
    CHECK(f->net != NULL);
    struct net_certificate certificates[2];
    CHECK(net_certificates(f->net, certificates, pki_certificates(f->pki, certificates), &why));
    f->plain_port = listen_on(f, LINK_MQTT, false);
    f->tls_port = listen_on(f, LINK_MQTT, true);
    f->https_port = listen_on(f, LINK_HTTP, true);
    for (unsigned i = 0; i < f->config.shards; i++) {
        f->shards[i] = (struct fixture_shard){.fixture = f, .index = i};
        CHECK(pthread_create(&f->shards[i].thread, NULL, run_shard, &f->shards[i]) == 0);
    }
    CHECK(pthread_create(&f->main_thread, NULL, run_main, f) == 0);
}

void fixture_stop(struct fixture *f, int64_t deadline_ms)
{
    net_stop(f->net, deadline_ms);
    for (unsigned i = 0; i < f->config.shards; i++)
        CHECK(pthread_join(f->shards[i].thread, NULL) == 0);
    CHECK(pthread_join(f->main_thread, NULL) == 0);
    f->stopped = true;
}

static void remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

void fixture_destroy(struct fixture *f)
{
    if (f->net && !f->stopped)
        fixture_stop(f, 1000);
    net_destroy(f->net);
    pki_close(f->pki);
    remove_dir(f->dir);
    CHECK(atomic_load(&f->opened) == atomic_load(&f->closed));
    free(f);
}

struct net_stats fixture_stats(const struct fixture *f)
{
    struct net_stats sum = {0};
    for (unsigned i = 0; i < f->config.shards; i++) {
        struct net_stats one;
        net_stats(f->net, i, &one);
        uint64_t *to = (uint64_t *)&sum;
        const uint64_t *from = (const uint64_t *)&one;
        for (size_t k = 0; k < sizeof(sum) / sizeof(*to); k++)
            to[k] += from[k];
    }
    return sum;
}

bool wait_until(const atomic_uint *counter, unsigned want)
{
    for (int i = 0; i < 5000; i++) {
        if (atomic_load(counter) >= want)
            return true;
        usleep(1000);
    }
    return false;
}

/* ── clients ── */

int connect_to(uint16_t port)
{
    static const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

struct client client_plain(const struct fixture *f)
{
    struct client c = {.fd = connect_to(f->plain_port)};
    CHECK(c.fd >= 0);
    return c;
}

SSL_CTX *client_context(const struct fixture *f)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    CHECK(ctx != NULL);
    CHECK(SSL_CTX_load_verify_file(ctx, pki_ca_path(f->pki)) == 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ctx;
}

struct client client_tls(const struct fixture *f, int version, SSL_CTX *given)
{
    SSL_CTX *ctx = given ? given : client_context(f);
    if (version) {
        SSL_CTX_set_min_proto_version(ctx, version);
        SSL_CTX_set_max_proto_version(ctx, version);
    }
    struct client c = {.fd = connect_to(f->tls_port), .ssl = SSL_new(ctx)};
    CHECK(c.fd >= 0);
    CHECK(SSL_set1_host(c.ssl, "localhost") == 1);
    SSL_set_fd(c.ssl, c.fd);
    CHECK(SSL_connect(c.ssl) == 1);
    if (!given)
        SSL_CTX_free(ctx);
    return c;
}

bool client_send(struct client *c, struct span bytes)
{
    while (bytes.len) {
        ssize_t n = c->ssl ? SSL_write(c->ssl, bytes.data, (int)bytes.len)
                           : send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = span_skip(bytes, (size_t)n);
    }
    return true;
}

bool client_receive(struct client *c, uint8_t *out, size_t len)
{
    while (len) {
        ssize_t n = c->ssl ? SSL_read(c->ssl, out, (int)len) : recv(c->fd, out, len, 0);
        if (n <= 0)
            return false;
        out += n;
        len -= (size_t)n;
    }
    return true;
}

bool client_sees_end(struct client *c)
{
    uint8_t byte;
    if (c->ssl)
        return SSL_read(c->ssl, &byte, 1) <= 0 && SSL_get_error(c->ssl, 0) == SSL_ERROR_ZERO_RETURN;
    return recv(c->fd, &byte, 1, 0) == 0;
}

void client_close(struct client *c)
{
    SSL_free(c->ssl);
    close(c->fd);
}

/* ── test bytes ── */

uint8_t pattern_byte(uint64_t at)
{
    uint64_t word = (at / 8 + 1) * 0x9e3779b97f4a7c15;
    return (uint8_t)(word >> (8 * (at % 8)));
}

void pattern_fill(uint8_t *out, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = pattern_byte(at + i);
}

bool pattern_holds(const uint8_t *bytes, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != pattern_byte(at + i))
            return false;
    }
    return true;
}
