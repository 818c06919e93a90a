/* The contract of link.h, for plain and TLS links alike. */
#include "net/net_fixture.h"

#include "base/test.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/system.h"

enum { PART = 64 * 1024 };

static const struct {
    const char *name;
    bool tls;
    int version;
} kinds[] = {
    {"plain",   false, 0             },
    {"TLS 1.2", true,  TLS1_2_VERSION},
    {"TLS 1.3", true,  TLS1_3_VERSION}
};

static struct client client_of(const struct fixture *f, size_t kind)
{
    return kinds[kind].tls ? client_tls(f, kinds[kind].version, NULL) : client_plain(f);
}

/* Sends `total` pattern bytes from a thread of its own. */
struct sender {
    struct client *client;
    uint64_t total;
    pthread_t thread;
};

static void *send_pattern(void *arg)
{
    struct sender *s = arg;
    uint8_t part[8192];
    for (uint64_t at = 0; at < s->total; at += sizeof(part)) {
        pattern_fill(part, at, sizeof(part));
        if (!client_send(s->client, span_of(part, sizeof(part))))
            break;
    }
    return NULL;
}

static bool receive_pattern(struct client *c, uint64_t total)
{
    static uint8_t part[PART];
    for (uint64_t at = 0; at < total;) {
        size_t len = total - at < PART ? (size_t)(total - at) : PART;
        if (!client_receive(c, part, len) || !pattern_holds(part, at, len))
            return false;
        at += len;
    }
    return true;
}

TEST(what_is_sent_comes_back)
{
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct client c = client_of(f, i);
        for (size_t len = 1; len < 40000; len = len * 3 + 1) {
            static uint8_t out[40000], back[40000];
            pattern_fill(out, len, len);
            EXPECT(client_send(&c, span_of(out, len)));
            EXPECT(client_receive(&c, back, len));
            EXPECT(pattern_holds(back, len, len));
        }
        if (kinds[i].tls)
            EXPECT_EQ_IN(kinds[i].name, SSL_version(c.ssl), kinds[i].version);
        client_close(&c);
        EXPECT(wait_until(&f->closed, (unsigned)i + 1));
        EXPECT_EQ_IN(kinds[i].name, f->last_why, CLOSED);
    }
    fixture_destroy(f);
}

/* ── slow readers ── */

enum { FLOOD = 8 * 1024 * 1024 };

static void flood(void *shard, struct link *l)
{
    static _Thread_local uint8_t part[PART];
    fixture_on_open(shard, l);
    for (uint64_t at = 0; at < FLOOD; at += PART) {
        pattern_fill(part, at, PART);
        link_send(l, span_of(part, PART));
    }
}

static void watch_unsent(struct link *l)
{
    fixture_on_drained(l);
}

TEST(what_a_slow_reader_leaves_is_counted_until_it_has_been_taken)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct fixture *f = fixture_create(1);
        f->events.on_open = flood;
        f->events.on_drained = watch_unsent;
        fixture_start(f);
        struct client c = client_of(f, i);
        EXPECT(wait_until(&f->opened, 1));
        usleep(100 * 1000);
        EXPECT_EQ_IN(kinds[i].name, f->drained, 0);
        EXPECT(client_send(&c, SPAN("x"))); /* its echo queues behind; unsent is noted */
        EXPECT(wait_until(&f->bytes, 1));
        EXPECT(f->most_unsent > FLOOD / 4);
        EXPECT(receive_pattern(&c, FLOOD));
        uint8_t byte;
        EXPECT(client_receive(&c, &byte, 1));
        EXPECT(wait_until(&f->drained, 1));
        client_close(&c);
        fixture_destroy(f);
    }
}

TEST(megabytes_pass_both_ways_at_once)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (kinds[i].tls)
            continue; /* one SSL object may not be used by two threads; see the moves */
        struct fixture *f = fixture_create(1);
        fixture_start(f);
        struct client c = client_of(f, i);
        struct sender s = {.client = &c, .total = FLOOD};
        EXPECT(pthread_create(&s.thread, NULL, send_pattern, &s) == 0);
        usleep(50 * 1000); /* a slow reader */
        EXPECT(receive_pattern(&c, FLOOD));
        pthread_join(s.thread, NULL);
        client_close(&c);
        fixture_destroy(f);
    }
}

/* ── reading off and on ── */

/* A shard that takes one piece, then turns its back for two turns. */
static struct peer *resting[64];

static void take_and_rest(struct link *l, struct span bytes)
{
    struct peer *p = peer_of(l);
    CHECK(p->turns == 0); /* nothing comes while reading is off */
    CHECK(pattern_holds(bytes.data, p->received, bytes.len));
    p->received += bytes.len;
    atomic_fetch_add(&p->fixture->bytes, (unsigned)bytes.len);
    p->turns = 2;
    link_read(l, false);
    resting[0] = p;
}

static void wake_up(void *shard, struct now now)
{
    fixture_on_turn(shard, now);
    struct peer *p = resting[0];
    if (p && p->turns && --p->turns == 0)
        link_read(p->link, true);
    if (p)
        net_wake(p->fixture->net, 0);
}

static void forget(struct link *l, enum status why)
{
    resting[0] = NULL;
    fixture_on_closed(l, why);
}

TEST(turning_reading_off_and_on_loses_nothing)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct fixture *f = fixture_create(1);
        f->events.on_bytes = take_and_rest;
        f->events.on_turn = wake_up;
        f->events.on_closed = forget;
        fixture_start(f);
        struct client c = client_of(f, i);
        struct sender s = {.client = &c, .total = 4194304};
        send_pattern(&s);
        EXPECT(wait_until(&f->bytes, (unsigned)s.total));
        EXPECT_EQ_IN(kinds[i].name, f->bytes, s.total);
        client_close(&c);
        EXPECT(wait_until(&f->closed, 1));
        fixture_destroy(f);
    }
}

/* ── closing ── */

static void flood_and_close(struct link *l, struct span bytes)
{
    static _Thread_local uint8_t part[PART];
    (void)bytes;
    for (uint64_t at = 0; at < FLOOD; at += PART) {
        pattern_fill(part, at, PART);
        link_send(l, span_of(part, PART));
    }
    link_close(l);
    link_send(l, SPAN("too late"));
    link_close(l);
}

TEST(closing_sends_what_is_queued_even_if_the_peer_still_sends)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct fixture *f = fixture_create(1);
        f->events.on_bytes = flood_and_close;
        fixture_start(f);
        struct client c = client_of(f, i);
        EXPECT(client_send(&c, SPAN("go")));
        usleep(20 * 1000);
        EXPECT(client_send(&c, SPAN("and more that nobody reads")));
        EXPECT(receive_pattern(&c, FLOOD));
        EXPECT(client_sees_end(&c));
        client_close(&c);
        EXPECT(wait_until(&f->closed, 1));
        EXPECT_EQ_IN(kinds[i].name, f->last_why, OK);
        fixture_destroy(f);
    }
}

TEST(a_closing_peer_that_reads_nothing_is_cut_off)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct fixture *f = fixture_create(1);
        f->events.on_bytes = flood_and_close;
        f->config.drain_ms = 100;
        fixture_start(f);
        struct client c = client_of(f, i);
        EXPECT(client_send(&c, SPAN("go")));
        EXPECT(wait_until(&f->closed, 1));
        EXPECT_EQ_IN(kinds[i].name, f->last_why, SLOW_READER);
        client_close(&c);
        fixture_destroy(f);
    }
}

static void close_at_once(struct link *l, struct span bytes)
{
    (void)bytes;
    link_close(l);
}

TEST(a_peer_that_never_closes_its_side_does_not_keep_the_link)
{
    struct fixture *f = fixture_create(1);
    f->events.on_bytes = close_at_once;
    fixture_start(f);
    struct client c = client_plain(f);
    EXPECT(client_send(&c, SPAN("go")));
    EXPECT(client_sees_end(&c));
    EXPECT(wait_until(&f->closed, 1));
    client_close(&c);
    fixture_destroy(f);
}

TEST(a_peer_that_sends_for_ever_does_not_keep_the_link)
{
    struct fixture *f = fixture_create(1);
    f->events.on_bytes = close_at_once;
    f->config.linger_ms = 60000;
    fixture_start(f);
    struct client c = client_plain(f);
    static const uint8_t junk[PART];
    while (client_send(&c, span_of(junk, sizeof(junk))))
        ;
    EXPECT(wait_until(&f->closed, 1));
    client_close(&c);
    fixture_destroy(f);
}

TEST(a_peer_that_closes_its_side_still_gets_its_answer)
{
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct client c = client_of(f, i);
        uint8_t back[5];
        EXPECT(client_send(&c, SPAN("hello")));
        if (kinds[i].tls)
            SSL_shutdown(c.ssl);
        shutdown(c.fd, SHUT_WR);
        EXPECT(client_receive(&c, back, 5));
        EXPECT_SPAN_IN(kinds[i].name, span_of(back, 5), SPAN("hello"));
        EXPECT(client_sees_end(&c));
        client_close(&c);
        EXPECT(wait_until(&f->closed, (unsigned)i + 1));
    }
    fixture_destroy(f);
}

TEST(a_peer_that_vanishes_while_it_is_written_to_is_only_its_own_end)
{
    struct fixture *f = fixture_create(1);
    f->events.on_open = flood;
    fixture_start(f);
    for (size_t i = 0; i < 30; i++) {
        struct client c = client_of(f, i % COUNT(kinds));
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        uint8_t some[1000];
        EXPECT(client_receive(&c, some, sizeof(some)));
        client_close(&c);
    }
    EXPECT(wait_until(&f->closed, 30));
    EXPECT_EQ(fixture_stats(f).links, 0);
    fixture_destroy(f);
}

/* ── turns ── */

TEST(a_silent_loop_still_turns_and_a_wake_turns_it_at_once)
{
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    int64_t start = system_now().mono_ms;
    unsigned before = f->turns, quick = 0;
    EXPECT(wait_until(&f->turns, before + 5));
    usleep(100 * 1000);
    unsigned turns = f->turns - before;
    EXPECT(turns <= 3 + (system_now().mono_ms - start) / 25); /* it does not spin */
    for (int i = 0; i < 20; i++) {
        before = f->turns;
        start = system_now().mono_ms;
        net_wake(f->net, 0);
        EXPECT(wait_until(&f->turns, before + 1));
        quick += system_now().mono_ms - start < 40;
    }
    EXPECT(quick >= 10); /* others had the processor meanwhile, but not each time */
    fixture_destroy(f);
}

static void answer_in_pieces(struct link *l, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        link_send(l, span_of(bytes.data + i, 1));
}

TEST(what_one_turn_sends_leaves_in_one_write)
{
    struct fixture *f = fixture_create(1);
    f->events.on_bytes = answer_in_pieces;
    fixture_start(f);
    struct client c = client_plain(f);
    static uint8_t bytes[1000];
    EXPECT(client_send(&c, span_of(bytes, sizeof(bytes))));
    EXPECT_EQ(recv(c.fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    client_close(&c);
    struct client t = client_tls(f, TLS1_3_VERSION, NULL);
    EXPECT(client_send(&t, span_of(bytes, sizeof(bytes))));
    EXPECT_EQ(SSL_read(t.ssl, bytes, sizeof(bytes)), sizeof(bytes)); /* one record */
    client_close(&t);
    fixture_destroy(f);
}

/* ── stopping ── */

TEST(stopping_tells_every_link_and_cuts_off_the_stuck_ones)
{
    struct fixture *f = fixture_create(2);
    f->events.on_open = flood;
    f->config.drain_ms = 60000;
    fixture_start(f);
    struct client stuck[6];
    for (size_t i = 0; i < COUNT(stuck); i++)
        stuck[i] = client_of(f, i % COUNT(kinds));
    int mute = connect_to(f->tls_port); /* says nothing */
    EXPECT(wait_until(&f->opened, COUNT(stuck)));
    int64_t start = system_now().mono_ms;
    fixture_stop(f, 300);
    int64_t took_ms = system_now().mono_ms - start;
    EXPECT(took_ms >= 250);
    EXPECT(took_ms < 30000); /* far below drain_ms, whatever the machine does */
    EXPECT_EQ(f->closed, COUNT(stuck));
    EXPECT_EQ(f->last_why, SHUTTING_DOWN);
    for (size_t i = 0; i < COUNT(stuck); i++)
        client_close(&stuck[i]);
    close(mute);
    fixture_destroy(f);
}

TEST(stopping_is_quick_when_peers_close_too)
{
    struct fixture *f = fixture_create(2);
    f->config.linger_ms = 60000;
    fixture_start(f);
    struct client c = client_plain(f);
    EXPECT(wait_until(&f->opened, 1));
    net_stop(f->net, 60000);
    EXPECT(client_sees_end(&c));
    client_close(&c);
    int64_t start = system_now().mono_ms;
    fixture_stop(f, 60000);
    EXPECT(system_now().mono_ms - start < 20000);
    fixture_destroy(f);
}

TEST_MAIN(RUN(what_is_sent_comes_back),
          RUN(what_a_slow_reader_leaves_is_counted_until_it_has_been_taken),
          RUN(megabytes_pass_both_ways_at_once), RUN(turning_reading_off_and_on_loses_nothing),
          RUN(closing_sends_what_is_queued_even_if_the_peer_still_sends),
          RUN(a_closing_peer_that_reads_nothing_is_cut_off),
          RUN(a_peer_that_never_closes_its_side_does_not_keep_the_link),
          RUN(a_peer_that_sends_for_ever_does_not_keep_the_link),
          RUN(a_peer_that_closes_its_side_still_gets_its_answer),
          RUN(a_peer_that_vanishes_while_it_is_written_to_is_only_its_own_end),
          RUN(a_silent_loop_still_turns_and_a_wake_turns_it_at_once),
          RUN(what_one_turn_sends_leaves_in_one_write),
          RUN(stopping_tells_every_link_and_cuts_off_the_stuck_ones),
          RUN(stopping_is_quick_when_peers_close_too))
