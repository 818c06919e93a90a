#include "net/accept.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/system.h"
#include "net/tls_server.h"

enum { BACKLOG = 4096, ACCEPTS_A_TURN = 64, PAUSE_MS = 20 };

struct listener {
    struct list all;
    struct acceptor *acceptor;
    enum link_kind kind;
    bool tls;
    int fd;
    uv_poll_t poll;
};

struct acceptor {
    struct net *net;
    const struct net_main *events;
    uv_loop_t uv;
    uv_async_t async;
    uv_timer_t pause, second;
    uv_signal_t signals[3];
    struct list listeners;
    struct budget budget;
    uint64_t fds_for_peers;
    unsigned next_shard;
    bool paused;
    atomic_uint_fast64_t accepted, refused, paused_fds, paused_budget;
};

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP};

/* ── pausing ── */

static void on_connecting(uv_poll_t *poll, int status, int events);

static void poll_all(struct acceptor *a)
{
    LIST_EACH(at, &a->listeners)
    {
        struct listener *l = CONTAINER_OF(at, struct listener, all);
        if (a->paused)
            uv_poll_stop(&l->poll);
        else
            CHECK(uv_poll_start(&l->poll, UV_READABLE, on_connecting) == 0);
    }
}

static void on_pause_over(uv_timer_t *timer)
{
    struct acceptor *a = timer->data;
    a->paused = false;
    poll_all(a);
}

static void pause_accepting(struct acceptor *a, atomic_uint_fast64_t *reason)
{
    count_up(reason, 1);
    a->paused = true;
    poll_all(a);
    CHECK(uv_timer_start(&a->pause, on_pause_over, PAUSE_MS, 0) == 0);
}

/* How many descriptors peers may have: all but those in use now and the reserve. */
static uint64_t count_fds_for_peers(const struct net *net)
{
    uint64_t used = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir) {
        while (readdir(dir))
            used++;
        closedir(dir);
    }
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    uint64_t reserve = net->config.fd_reserve;
    if (reserve > files.rlim_cur / 4)
        reserve = files.rlim_cur / 4; /* a tiny limit still lets someone in */
    return files.rlim_cur > used + reserve ? files.rlim_cur - used - reserve : 1;
}

/* ── accepting ── */

static void put_peer(const struct sockaddr_storage *from, char *out, size_t room)
{
    char host[INET6_ADDRSTRLEN] = "?";
    struct sockaddr_in6 in6;
    memcpy(&in6, from, sizeof(in6));
    if (from->ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
        inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
        snprintf(out, room, "[%s]:%u", host, ntohs(in6.sin6_port));
        return;
    }
    struct sockaddr_in in;
    memcpy(&in, from, sizeof(in));
    if (from->ss_family == AF_INET6) {
        in.sin_port = in6.sin6_port;
        memcpy(&in.sin_addr, in6.sin6_addr.s6_addr + 12, 4);
    }
    inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
    snprintf(out, room, "%s:%u", host, ntohs(in.sin_port));
}

static void deal(struct listener *l, int fd, const struct sockaddr_storage *from, int64_t now_ms)
{
    struct acceptor *a = l->acceptor;
    struct net *net = a->net;
    const struct sockaddr *address = (const void *)from;
    struct peer_key key = peer_key(address);
    bool capped = l->tls && net->config.handshakes_per_ip &&
                  (net->config.cap_loopback || !peer_is_loopback(address));
    if (capped && !peers_enter(&net->peers, key)) {
        count_up(&a->refused, 1);
        close(fd);
        return;
    }
    struct conn *c = conn_create(fd, l->kind, l->tls, now_ms);
    c->peer_key = key;
    c->counted = capped;
    put_peer(from, c->link.peer, sizeof(c->link.peer));
    count_up(&a->accepted, 1);
    atomic_fetch_add(&net->open_fds, 1);
    loop_give(&net->loops[a->next_shard], c);
    a->next_shard = (a->next_shard + 1) % net->config.shards;
}

/* True when there may be more to accept at once. */
static bool accept_one(struct listener *l, int64_t now_ms)
{
    struct acceptor *a = l->acceptor;
    if (atomic_load(&a->net->open_fds) >= a->fds_for_peers) {
        pause_accepting(a, &a->paused_fds);
        return false;
    }
    if (!budget_take(&a->budget, now_ms)) {
        pause_accepting(a, &a->paused_budget);
        return false;
    }
    struct sockaddr_storage from = {0};
    socklen_t from_len = sizeof(from);
    int fd = accept4(l->fd, (struct sockaddr *)&from, &from_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        deal(l, fd, &from, now_ms);
        return true;
    }
    budget_return(&a->budget);
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        pause_accepting(a, &a->paused_fds);
        return false;
    case EAGAIN:
        return false;
    default: /* accept(2): an error of the connection that was waiting; the next may be well */
        return true;
    }
}

static void on_connecting(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    (void)status, (void)events;
    int64_t now_ms = system_now().mono_ms;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        if (!accept_one(l, now_ms))
            return;
    }
}

/* ── listening ── */

static bool refuse(const struct net_address *at, const char *reason, struct buf *why)
{
    buf_printf(why, "cannot listen on %s port %u: %s", at->host, at->port, reason);
    return false;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    CHECK(getsockname(fd, (struct sockaddr *)&bound, &len) == 0);
    struct sockaddr_in in; /* the port is in the same place in both families */
    memcpy(&in, &bound, sizeof(in));
    return ntohs(in.sin_port);
}

/* A bound, listening socket, or -1 with errno. */
static int listen_at(const struct addrinfo *at)
{
    static const int on = 1, off = 0;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* accepted sockets inherit it */
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

bool acceptor_listen(struct acceptor *a, const struct net_address *at, uint16_t *port,
                     struct buf *why)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", at->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    int error = getaddrinfo(at->host, service, &hints, &found);
    if (error)
        return refuse(at, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error), why);
    int fd = listen_at(found);
    freeaddrinfo(found);
    if (fd < 0)
        return refuse(at, strerror(errno), why);
    struct listener *l = calloc(1, sizeof(*l));
    if (!l)
        check_no_memory();
    *l = (struct listener){.acceptor = a, .kind = at->kind, .tls = at->tls, .fd = fd};
    CHECK(uv_poll_init(&a->uv, &l->poll, fd) == 0);
    l->poll.data = l;
    list_append(&a->listeners, &l->all);
    *port = port_of(fd);
    return true;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    close(l->fd);
    free(l);
}

void acceptor_close(struct acceptor *a)
{
    struct list *node;
    while ((node = list_take_first(&a->listeners)))
        uv_close((uv_handle_t *)&CONTAINER_OF(node, struct listener, all)->poll,
                 on_listener_closed);
}

/* ── the main loop ── */

static void on_async(uv_async_t *async)
{
    struct acceptor *a = async->data;
    if (atomic_load(&a->net->stopping)) {
        acceptor_close(a);
        uv_stop(&a->uv);
    } else if (a->events->on_wake) {
        a->events->on_wake(a->events->ctx);
    }
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct acceptor *a = handle->data;
    if (a->events->on_signal)
        a->events->on_signal(a->events->ctx, signum);
}

static void on_second(uv_timer_t *timer)
{
    struct acceptor *a = timer->data;
    if (a->events->on_second)
        a->events->on_second(a->events->ctx, system_now());
}

int acceptor_create(struct net *net, struct acceptor **out)
{
    struct acceptor *a = calloc(1, sizeof(*a));
    if (!a)
        check_no_memory();
    int error = uv_loop_init(&a->uv);
    if (error) {
        free(a);
        return error;
    }
    *out = a;
    a->net = net;
    list_init(&a->listeners);
    CHECK(uv_timer_init(&a->uv, &a->pause) == 0);
    CHECK(uv_timer_init(&a->uv, &a->second) == 0);
    a->async.data = a->pause.data = a->second.data = a;
    error = uv_async_init(&a->uv, &a->async, on_async);
    for (size_t i = 0; i < COUNT(signal_numbers) && !error; i++) {
        error = uv_signal_init(&a->uv, &a->signals[i]);
        a->signals[i].data = a;
        if (!error)
            error = uv_signal_start(&a->signals[i], on_signal, signal_numbers[i]);
    }
    return error;
}

void acceptor_run(struct acceptor *a, const struct net_main *events)
{
    a->events = events;
    a->fds_for_peers = count_fds_for_peers(a->net);
    budget_init(&a->budget, a->net->config.accepts_per_s, system_now().mono_ms);
    CHECK(uv_timer_start(&a->second, on_second, 1000, 1000) == 0);
    poll_all(a);
    uv_run(&a->uv, UV_RUN_DEFAULT);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void acceptor_destroy(struct acceptor *a)
{
    if (!a)
        return;
    acceptor_close(a);
    uv_walk(&a->uv, close_handle, NULL);
    uv_run(&a->uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&a->uv) == 0);
    free(a);
}

void acceptor_wake(struct acceptor *a)
{
    CHECK(uv_async_send(&a->async) == 0);
}

void acceptor_stats(const struct acceptor *a, struct net_accept_stats *out)
{
    *out = (struct net_accept_stats){.accepted = atomic_load(&a->accepted),
                                     .refused = atomic_load(&a->refused),
                                     .paused_fds = atomic_load(&a->paused_fds),
                                     .paused_budget = atomic_load(&a->paused_budget)};
}
