/* Who gets in: listeners, budgets, caps, file descriptors, signals. */
#include "net/net_fixture.h"

#include "base/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "net/admit.h"
#include "net/system.h"

/* ── the pure parts ── */

TEST(a_budget_holds_one_second_and_fills_by_time)
{
    struct budget b;
    budget_init(&b, 3, 1000);
    for (int i = 0; i < 3; i++)
        EXPECT(budget_take(&b, 1000));
    EXPECT(!budget_take(&b, 1000));
    EXPECT(!budget_take(&b, 1333));
    EXPECT(budget_take(&b, 1334));
    EXPECT(!budget_take(&b, 1335));
    budget_return(&b);
    EXPECT(budget_take(&b, 1335));
    for (int i = 0; i < 3; i++)
        EXPECT(budget_take(&b, 1000000)); /* however long it was, no more than a second's worth */
    EXPECT(!budget_take(&b, 1000000));
    budget_init(&b, 0, 0);
    for (int i = 0; i < 1000; i++)
        EXPECT(budget_take(&b, 0));
}

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(&out, &in, sizeof(in));
    } else {
        EXPECT(inet_pton(AF_INET6, text, &in6.sin6_addr) == 1);
        memcpy(&out, &in6, sizeof(in6));
    }
    return out;
}

TEST(a_peer_is_an_ipv4_address_or_half_an_ipv6_one)
{
    static const struct {
        const char *one, *other;
        bool same;
    } cases[] = {
        {"10.0.0.1",        "10.0.0.1",        true },
        {"10.0.0.1",        "10.0.0.2",        false},
        {"10.0.0.1",        "::ffff:10.0.0.1", true },
        {"2001:db8::1",     "2001:db8::2",     true },
        {"2001:db8::1",     "2001:db8:0:1::1", false},
        {"::ffff:10.0.0.1", "::1",             false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sockaddr_storage one = address_of(cases[i].one), other = address_of(cases[i].other);
        struct peer_key a = peer_key((struct sockaddr *)&one);
        struct peer_key b = peer_key((struct sockaddr *)&other);
        EXPECT_EQ_IN(cases[i].other, memcmp(&a, &b, sizeof(a)) == 0, cases[i].same);
    }
    static const struct {
        const char *address;
        bool loopback;
    } rows[] = {
        {"127.0.0.1",        true },
        {"127.9.9.9",        true },
        {"::1",              true },
        {"::ffff:127.0.0.1", true },
        {"10.0.0.1",         false},
        {"::2",              false},
        {"7f00::1",          false},
        {"128.0.0.1",        false},
        {"2001:db8::7f00:1", false}
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sockaddr_storage at = address_of(rows[i].address);
        EXPECT_EQ_IN(rows[i].address, peer_is_loopback((struct sockaddr *)&at), rows[i].loopback);
    }
}

TEST(a_cap_counts_each_peer_for_itself)
{
    struct peers peers;
    peers_init(&peers, (struct hash_key){1, 2}, 2);
    struct peer_key a = {{1}}, b = {{2}};
    EXPECT(peers_enter(&peers, a));
    EXPECT(peers_enter(&peers, a));
    EXPECT(!peers_enter(&peers, a));
    EXPECT(peers_enter(&peers, b));
    peers_leave(&peers, a);
    EXPECT(peers_enter(&peers, a));
    EXPECT(!peers_enter(&peers, a));
    peers_leave(&peers, b);
    EXPECT_EQ(peers.map.count, 1); /* one that has none left is forgotten */
    peers_fini(&peers);
}

/* ── listeners ── */

TEST(a_port_in_use_or_a_strange_host_is_named_with_the_reason)
{
    struct buf why = {0};
    struct net_config config = net_defaults(1, system_random());
    struct net *n = net_create(&config, &why);
    uint16_t port, again;
    EXPECT(net_listen(n, &(struct net_address){.host = "127.0.0.1"}, &port, &why));
    EXPECT(port != 0);
    EXPECT(!net_listen(n, &(struct net_address){.host = "127.0.0.1", .port = port}, &again, &why));
    char want[100];
    int len = snprintf(want, sizeof(want),
                       "cannot listen on 127.0.0.1 port %u: Address already in use", port);
    EXPECT_SPAN(buf_span(&why), span_of(want, (size_t)len));
    buf_clear(&why);
    EXPECT(!net_listen(n, &(struct net_address){.host = "no host.", .port = 1}, &again, &why));
    EXPECT(memmem(why.data, why.len, "no host. port 1: ", 17) != NULL);
    buf_fini(&why);
    net_destroy(n); /* and a net that never ran goes quietly */
}

static char seen_peer[56];

static void note_peer(void *shard, struct link *l)
{
    memcpy(seen_peer, l->peer, sizeof(seen_peer));
    fixture_on_open(shard, l);
}

TEST(a_link_knows_its_peer_and_kind)
{
    struct fixture *f = fixture_create(1);
    f->events.on_open = note_peer;
    fixture_start(f);
    struct client c = client_plain(f);
    EXPECT(wait_until(&f->opened, 1));
    struct sockaddr_in mine = {0};
    socklen_t len = sizeof(mine);
    EXPECT(getsockname(c.fd, (struct sockaddr *)&mine, &len) == 0);
    char want[56];
    snprintf(want, sizeof(want), "127.0.0.1:%u", ntohs(mine.sin_port));
    EXPECT_SPAN(span_text(seen_peer), span_text(want));
    client_close(&c);
    fixture_destroy(f);
}

/* ── limits ── */

TEST(a_cap_on_unfinished_handshakes_refuses_before_tls)
{
    struct fixture *f = fixture_create(2);
    f->config.handshakes_per_ip = 3;
    f->config.cap_loopback = true;
    fixture_start(f);
    /* Finished ones do not count. */
    struct client done[5];
    for (size_t i = 0; i < COUNT(done); i++) {
        done[i] = client_tls(f, 0, NULL);
        EXPECT(wait_until(&f->opened, (unsigned)i + 1));
    }
    int mute[5];
    for (int i = 0; i < 5; i++)
        mute[i] = connect_to(f->tls_port);
    uint8_t byte;
    EXPECT(recv(mute[3], &byte, 1, 0) == 0);
    EXPECT(recv(mute[4], &byte, 1, 0) == 0);
    struct net_accept_stats stats;
    net_accept_stats(f->net, &stats);
    EXPECT_EQ(stats.refused, 2);
    /* Plain links have no handshake. */
    struct client plain = client_plain(f);
    EXPECT(client_send(&plain, SPAN("x")));
    EXPECT(client_receive(&plain, &byte, 1));
    /* One goes, one may come. */
    while (fixture_stats(f).links < 5 + 3 + 1)
        usleep(1000);
    close(mute[0]);
    while (fixture_stats(f).links > 5 + 2 + 1)
        usleep(1000);
    struct client one = client_tls(f, 0, NULL);
    client_close(&one);
    client_close(&plain);
    for (int i = 1; i < 5; i++)
        close(mute[i]);
    for (size_t i = 0; i < COUNT(done); i++)
        client_close(&done[i]);
    fixture_destroy(f);
}

TEST(over_the_connect_budget_peers_wait_but_all_get_in)
{
    struct fixture *f = fixture_create(1);
    f->config.accepts_per_s = 20;
    fixture_start(f);
    int64_t start = system_now().mono_ms;
    int fds[50];
    for (int i = 0; i < 50; i++)
        fds[i] = connect_to(f->plain_port);
    EXPECT(wait_until(&f->opened, 50));
    int64_t took_ms = system_now().mono_ms - start;
    EXPECT(took_ms > 1200); /* 20 at once, 30 in a second and a half */
    EXPECT(took_ms < 20000);
    struct net_accept_stats stats;
    net_accept_stats(f->net, &stats);
    EXPECT(stats.paused_budget > 0);
    EXPECT_EQ(stats.accepted, 50);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    fixture_destroy(f);
}

static void stop_accepting(void *ctx)
{
    net_stop_accepting(((struct fixture *)ctx)->net);
}

TEST(after_net_stop_accepting_peers_are_refused_and_open_links_live)
{
    struct fixture *f = fixture_create(1);
    f->main_events = (struct net_main){.on_wake = stop_accepting, .ctx = f};
    fixture_start(f);
    struct client c = client_plain(f);
    EXPECT(wait_until(&f->opened, 1));
    net_wake_main(f->net);
    int fd = 0;
    for (int i = 0; i < 20000 && fd >= 0; i++) {
        fd = connect_to(f->plain_port);
        if (fd >= 0)
            close(fd);
        usleep(1000);
    }
    EXPECT_EQ(fd, -1);
    uint8_t byte;
    EXPECT(client_send(&c, SPAN("x")));
    EXPECT(client_receive(&c, &byte, 1));
    client_close(&c);
    fixture_destroy(f);
}

static atomic_uint signals_seen;

static void note_signal(void *ctx, int signum)
{
    (void)ctx;
    CHECK(signum == SIGTERM || signum == SIGINT || signum == SIGHUP);
    atomic_fetch_add(&signals_seen, 1);
}

TEST(signals_reach_the_main_thread)
{
    struct fixture *f = fixture_create(1);
    f->main_events.on_signal = note_signal;
    fixture_start(f);
    struct client c = client_plain(f); /* so net_run has begun */
    EXPECT(wait_until(&f->opened, 1));
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM};
    for (unsigned i = 0; i < COUNT(signals); i++) {
        raise(signals[i]);
        EXPECT(wait_until(&signals_seen, i + 1));
    }
    client_close(&c);
    fixture_destroy(f);
}

static void stop_at(void *ctx, int signum)
{
    CHECK(signum == SIGTERM);
    net_stop(ctx, 0);
}

/* A hub says that it is running a moment before it is. */
TEST(a_signal_that_comes_before_net_run_waits_for_it)
{
    struct buf why = {0};
    struct net_config config = net_defaults(1, system_random());
    struct net *n = net_create(&config, &why);
    EXPECT(n);
    struct net_main events = {.on_signal = stop_at, .ctx = n};
    raise(SIGTERM);
    net_run(n, &events);
    net_destroy(n);
}

/* ── file descriptors (trials F09) ── */

/* In a child: 128 descriptors, a reserve of 32, and more peers than fit. The clients are in the
 * parent, so that only the server's sockets count. */
static int run_starved_server(int to_parent, int from_parent)
{
    struct rlimit few = {.rlim_cur = 128, .rlim_max = 128};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    struct fixture *f = fixture_create(1);
    f->config.fd_reserve = 32;
    fixture_start(f);
    CHECK(write(to_parent, &f->plain_port, sizeof(f->plain_port)) == sizeof(f->plain_port));
    char command;
    while (read(from_parent, &command, 1) == 1) {
        struct net_accept_stats stats;
        net_accept_stats(f->net, &stats);
        int spare = 0, fds[64];
        for (; spare < 64 && (fds[spare] = dup(0)) >= 0; spare++)
            ;
        for (int i = 0; i < spare; i++)
            close(fds[i]);
        unsigned report[] = {f->opened - f->closed, (unsigned)spare, stats.paused_fds > 0};
        CHECK(write(to_parent, report, sizeof(report)) == sizeof(report));
    }
    fixture_destroy(f);
    return 0;
}

static bool echoes(int fd)
{
    uint8_t byte = 'x';
    return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1;
}

TEST(without_descriptors_accepting_pauses_and_nobody_is_cut_off)
{
    enum { PEERS = 200 };
    int up[2], down[2];
    EXPECT(pipe(up) == 0);
    EXPECT(pipe(down) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(up[0]);
        close(down[1]);
        _exit(run_starved_server(up[1], down[0]));
    }
    close(up[1]);
    close(down[0]);
    uint16_t port;
    EXPECT(read(up[0], &port, sizeof(port)) == sizeof(port));
    int fds[PEERS], first;
    for (int i = 0; i < PEERS; i++)
        fds[i] = connect_to(port);
    for (first = 0; first < 30; first++)
        EXPECT(echoes(fds[first]));
    usleep(200 * 1000);
    unsigned report[3];
    EXPECT(write(down[1], "?", 1) == 1);
    EXPECT(read(up[0], report, sizeof(report)) == sizeof(report));
    EXPECT(report[0] >= 50);
    EXPECT(report[0] < 100);
    EXPECT(report[1] >= 24); /* of the reserve */
    EXPECT_EQ(report[2], 1);
    unsigned let_in = report[0];
    for (unsigned i = 0; i < let_in; i++)
        EXPECT(echoes(fds[i]));
    /* Those who waited are served once others have gone. */
    for (unsigned i = 0; i < 50; i++)
        close(fds[i]);
    for (unsigned i = let_in; i < let_in + 50; i++)
        EXPECT(echoes(fds[i]));
    for (unsigned i = 50; i < PEERS; i++)
        close(fds[i]);
    close(down[1]);
    int status;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT_EQ(status, 0);
    close(up[0]);
}

TEST_MAIN(RUN(without_descriptors_accepting_pauses_and_nobody_is_cut_off),
          RUN(a_budget_holds_one_second_and_fills_by_time),
          RUN(a_peer_is_an_ipv4_address_or_half_an_ipv6_one),
          RUN(a_cap_counts_each_peer_for_itself),
          RUN(a_port_in_use_or_a_strange_host_is_named_with_the_reason),
          RUN(a_link_knows_its_peer_and_kind),
          RUN(a_cap_on_unfinished_handshakes_refuses_before_tls),
          RUN(over_the_connect_budget_peers_wait_but_all_get_in),
          RUN(after_net_stop_accepting_peers_are_refused_and_open_links_live),
          RUN(signals_reach_the_main_thread), RUN(a_signal_that_comes_before_net_run_waits_for_it))
