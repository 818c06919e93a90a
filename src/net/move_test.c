/* link_move: a connection goes from loop to loop, and its bytes do not notice. */
#include "net/net_fixture.h"

#include "base/test.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

/* At most 64 KiB come at a time, so there is an occasion for each move. */
enum { MOVES = 200, TOTAL = (MOVES + 1) * 65536 };

/* Echo, and move to the other loop. What is still unread comes there. */
static void echo_and_move(struct link *l, struct span bytes)
{
    struct peer *p = peer_of(l);
    CHECK(pattern_holds(bytes.data, p->received, bytes.len));
    fixture_on_bytes(l, bytes);
    if (p->moves < MOVES)
        link_move(l, 1 - p->shard);
}

/* The client's side in one thread: writes and reads as the socket allows, since an SSL object is
 * for one thread only. */
static bool pump(struct client *c, uint64_t total)
{
    static _Thread_local uint8_t out[16 * 1024], in[16 * 1024];
    uint64_t sent = 0, got = 0;
    while (got < total) {
        if (sent < total && sent - got < 262144) {
            size_t len = total - sent < sizeof(out) ? (size_t)(total - sent) : sizeof(out);
            pattern_fill(out, sent, len);
            if (!client_send(c, span_of(out, len)))
                return false;
            sent += len;
        }
        struct pollfd at = {.fd = c->fd, .events = POLLIN};
        bool ready = (c->ssl && SSL_pending(c->ssl)) || poll(&at, 1, sent < total ? 0 : 10000) > 0;
        if (!ready)
            continue;
        ssize_t n = c->ssl ? SSL_read(c->ssl, in, sizeof(in)) : recv(c->fd, in, sizeof(in), 0);
        if (n <= 0 || !pattern_holds(in, got, (size_t)n))
            return false;
        got += (size_t)n;
    }
    return true;
}

struct pumping {
    const struct fixture *f;
    int version; /* 0: plain */
    bool held;
    pthread_t thread;
};

static void *run_pump(void *arg)
{
    struct pumping *p = arg;
    struct client c = p->version ? client_tls(p->f, p->version, NULL) : client_plain(p->f);
    p->held = pump(&c, TOTAL);
    client_close(&c);
    return NULL;
}

TEST(bytes_stay_whole_and_in_order_over_many_moves)
{
    struct fixture *f = fixture_create(2);
    f->events.on_bytes = echo_and_move;
    fixture_start(f);
    struct pumping pumps[] = {
        {f, 0,              false, 0},
        {f, TLS1_2_VERSION, false, 0},
        {f, TLS1_3_VERSION, false, 0},
        {f, 0,              false, 0},
        {f, TLS1_3_VERSION, false, 0}
    };
    for (size_t i = 0; i < COUNT(pumps); i++)
        EXPECT(pthread_create(&pumps[i].thread, NULL, run_pump, &pumps[i]) == 0);
    for (size_t i = 0; i < COUNT(pumps); i++)
        pthread_join(pumps[i].thread, NULL);
    for (size_t i = 0; i < COUNT(pumps); i++)
        EXPECT(pumps[i].held);
    EXPECT(wait_until(&f->closed, COUNT(pumps)));
    EXPECT_EQ(f->moved, COUNT(pumps) * MOVES);
    struct net_stats stats = fixture_stats(f);
    EXPECT_EQ(stats.moved_in, stats.moved_out);
    EXPECT_EQ(stats.links, 0);
    fixture_destroy(f);
}

/* ── what a move may meet ── */

static void move_on_open(void *shard, struct link *l)
{
    fixture_on_open(shard, l);
    link_send(l, SPAN("before"));
    link_move(l, 1 - peer_of(l)->shard);
}

static void greet_on_moved(void *shard, struct link *l)
{
    fixture_on_moved(shard, l);
    link_send(l, SPAN("after"));
}

TEST(what_was_queued_before_a_move_leaves_before_what_is_sent_after_it)
{
    struct fixture *f = fixture_create(2);
    f->events.on_open = move_on_open;
    f->events.on_moved = greet_on_moved;
    fixture_start(f);
    for (int i = 0; i < 20; i++) {
        struct client c = i % 2 ? client_tls(f, 0, NULL) : client_plain(f);
        uint8_t back[15];
        EXPECT(client_send(&c, SPAN("echo"))); /* perhaps unread when it leaves */
        EXPECT(client_receive(&c, back, sizeof(back)));
        EXPECT_SPAN(span_of(back, sizeof(back)), SPAN("beforeafterecho"));
        client_close(&c);
    }
    fixture_destroy(f);
}

/* A shard that stops in the middle of what was received: with reading off, then a move. The rest,
 * which only TLS has kept, must come at the other loop. */
static void move_in_the_middle(struct link *l, struct span bytes)
{
    struct peer *p = peer_of(l);
    CHECK(pattern_holds(bytes.data, p->received, bytes.len));
    p->received += bytes.len;
    atomic_fetch_add(&p->fixture->bytes, (unsigned)bytes.len);
    link_read(l, false);
    link_move(l, 1 - p->shard);
}

static void read_on(void *shard, struct link *l)
{
    fixture_on_moved(shard, l);
    link_read(l, true);
}

TEST(bytes_kept_while_reading_was_off_move_along)
{
    enum { LEN = 512 * 1024 };
    struct fixture *f = fixture_create(2);
    f->events.on_bytes = move_in_the_middle;
    f->events.on_moved = read_on;
    fixture_start(f);
    static uint8_t bytes[LEN];
    pattern_fill(bytes, 0, LEN);
    for (unsigned i = 0; i < 2; i++) {
        struct client c = i ? client_tls(f, 0, NULL) : client_plain(f);
        EXPECT(client_send(&c, span_of(bytes, LEN)));
        EXPECT(wait_until(&f->bytes, (i + 1) * LEN));
        client_close(&c);
        EXPECT(wait_until(&f->closed, i + 1));
    }
    fixture_destroy(f);
}

static void flood_and_move(struct link *l, struct span bytes)
{
    static const uint8_t part[1 << 20];
    (void)bytes;
    for (int i = 0; i < 16; i++)
        link_send(l, span_of(part, sizeof(part)));
    link_move(l, 1 - peer_of(l)->shard);
}

TEST(a_link_that_dies_on_its_way_ends_where_it_was_going)
{
    struct fixture *f = fixture_create(2);
    f->events.on_bytes = flood_and_move;
    f->config.drain_ms = 100;
    fixture_start(f);
    /* One is reset while its output drains, one never reads, one has said goodbye. */
    struct client reset = client_plain(f), stuck = client_tls(f, 0, NULL), polite = client_plain(f);
    EXPECT(client_send(&reset, SPAN("go")));
    EXPECT(client_send(&stuck, SPAN("go")));
    EXPECT(client_send(&polite, SPAN("go")));
    shutdown(polite.fd, SHUT_WR);
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(reset.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    client_close(&reset);
    EXPECT(wait_until(&f->closed, 3));
    EXPECT_EQ(f->moved, 3);
    client_close(&stuck);
    client_close(&polite);
    fixture_destroy(f);
}

static void only_move(struct link *l, struct span bytes)
{
    (void)bytes;
    link_move(l, 1 - peer_of(l)->shard);
}

TEST(a_peer_that_has_said_all_and_ended_its_side_is_answered_after_the_move)
{
    struct fixture *f = fixture_create(2);
    f->events.on_bytes = only_move;
    f->events.on_moved = greet_on_moved;
    fixture_start(f);
    for (unsigned i = 0; i < 20; i++) {
        struct client c = i % 2 ? client_tls(f, 0, NULL) : client_plain(f);
        uint8_t back[5];
        EXPECT(wait_until(&f->opened, i + 1));
        if (c.ssl) { /* request and goodbye in one packet */
            static const int on = 1, off = 0;
            setsockopt(c.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
            EXPECT(client_send(&c, SPAN("x")));
            SSL_shutdown(c.ssl);
            setsockopt(c.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
        } else {
            EXPECT(client_send(&c, SPAN("x")));
        }
        shutdown(c.fd, SHUT_WR);
        EXPECT(client_receive(&c, back, sizeof(back)));
        EXPECT_SPAN(span_of(back, sizeof(back)), SPAN("after"));
        EXPECT(client_sees_end(&c));
        client_close(&c);
    }
    fixture_destroy(f);
}

TEST(stopping_in_the_middle_of_moves_loses_no_link)
{
    for (int round = 0; round < 10; round++) {
        struct fixture *f = fixture_create(2);
        f->events.on_bytes = echo_and_move;
        fixture_start(f);
        struct pumping pumps[4];
        for (size_t i = 0; i < COUNT(pumps); i++) {
            pumps[i] = (struct pumping){.f = f, .version = i % 2 ? TLS1_3_VERSION : 0};
            EXPECT(pthread_create(&pumps[i].thread, NULL, run_pump, &pumps[i]) == 0);
        }
        EXPECT(wait_until(&f->opened, COUNT(pumps)));
        usleep((unsigned)round * 2000);
        fixture_stop(f, 20000);
        EXPECT_EQ(f->opened, f->closed);
        for (size_t i = 0; i < COUNT(pumps); i++)
            pthread_join(pumps[i].thread, NULL);
        fixture_destroy(f);
    }
}

TEST_MAIN(RUN(bytes_stay_whole_and_in_order_over_many_moves),
          RUN(what_was_queued_before_a_move_leaves_before_what_is_sent_after_it),
          RUN(bytes_kept_while_reading_was_off_move_along),
          RUN(a_link_that_dies_on_its_way_ends_where_it_was_going),
          RUN(a_peer_that_has_said_all_and_ended_its_side_is_answered_after_the_move),
          RUN(stopping_in_the_middle_of_moves_loses_no_link))
