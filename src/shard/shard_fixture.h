/* shard_fixture.h — for tests: shards over the smallest link and the memory store, driven by hand.
 *
 * Each shard has a store of its own, so that each may run on a thread of its own.
 */
#ifndef SHARD_SHARD_FIXTURE_H
#define SHARD_SHARD_FIXTURE_H

#include <stdio.h>

#include "base/test.h"
#include "shard/internal.h"
#include "store/memory_store.h"

#define HOST "hub.example.test"
#define V    "?api-version=2021-04-12"

enum { BENCH_SHARDS_MAX = 4, BENCH_PARTITIONS = 8, BENCH_ARENA = 52 << 20 };

struct bench {
    struct cluster cluster;
    struct shard *shards[BENCH_SHARDS_MAX];
    struct memory_env *envs[BENCH_SHARDS_MAX];
    struct policies policies;
    struct span host;
    struct now now;
    uint64_t seeds[BENCH_SHARDS_MAX];
    _Atomic unsigned wakes[BENCH_SHARDS_MAX];
    _Atomic unsigned stopped;
    struct buf token;  /* of the owner, for REST */
    struct buf device; /* of policy "device", for CONNECT */
};

/* The other end of a link. */
struct client {
    struct link link;
    struct buf got;
    size_t unsent; /* what it has not read, as the shard is told */
    bool reading, closing, closed;
    int moved_to; /* -1: not */
};

static inline void bench_random(void *ctx, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)test_random(ctx);
}

static inline struct now bench_clock(void *ctx)
{
    return ((struct bench *)ctx)->now;
}

static inline void bench_wake(void *ctx, unsigned shard)
{
    atomic_fetch_add(&((struct bench *)ctx)->wakes[shard], 1);
}

static inline void bench_log(void *ctx, struct span line)
{
    (void)ctx;
    EXPECT(line.len && line.data[line.len - 1] == '\n');
}

static inline void bench_fatal(void *ctx, enum status st)
{
    (void)ctx;
    fail_msg("the store fails: %s", status_name(st));
}

static inline void bench_stopped(void *ctx, unsigned shard)
{
    (void)shard;
    atomic_fetch_add(&((struct bench *)ctx)->stopped, 1);
}

static inline void bench_token(struct bench *b, const char *policy, struct buf *out)
{
    const struct policy *p = policy_find(&b->policies, span_text(policy));
    EXPECT(p);
    sas_make(out, SPAN(HOST), key_span(&p->keys[0]), b->now.wall_ms / 1000 + 3600,
             span_text(policy));
}

static inline void bench_init(struct bench *b, unsigned shards)
{
    memset(b, 0, sizeof(*b));
    b->now = (struct now){1772619630500, 1000};
    b->host = SPAN(HOST);
    b->cluster = (struct cluster){
        .count = shards,
        .shards = b->shards,
        .partitions = BENCH_PARTITIONS,
        .rules = {.hosts = &b->host,              .host_count = 1, .policies = &b->policies},
        .hub = { .name = SPAN("hub"),
                  .limits = &doc_limits_azure,
                  .partitions = BENCH_PARTITIONS,
                  .modules_max = 50,
                  .recent_max = 16},
        .token_grace_s = 600,
        .log_level = LOG_DEBUG,
        .arena_size = BENCH_ARENA,
        .ctx = b,
        .clock = bench_clock,
        .wake = bench_wake,
        .log = bench_log,
        .fatal = bench_fatal,
        .stopped = bench_stopped,
    };
    for (unsigned i = 0; i < shards; i++) {
        b->seeds[i] = i + 1;
        struct random random = {bench_random, &b->seeds[i]};
        struct memory_options options = {.partitions = BENCH_PARTITIONS, .random = random};
        if (i == 0)
            policy_defaults(&b->policies, random);
        b->envs[i] = memory_env_create(&options);
        b->shards[i] = shard_create(i, &b->cluster, memory_env_shard(b->envs[i]), random);
    }
    bench_token(b, "iothubowner", &b->token);
    bench_token(b, "device", &b->device);
}

static inline void bench_turn(struct bench *b, unsigned shard)
{
    shard_events.on_turn(b->shards[shard], b->now);
}

/* Turns of all shards until mail has gone there and back. */
static inline void bench_settle(struct bench *b)
{
    for (int n = 0; n < 8; n++)
        for (unsigned i = 0; i < b->cluster.count; i++)
            bench_turn(b, i);
}

static inline void bench_pass(struct bench *b, int64_t ms)
{
    b->now.wall_ms += ms;
    b->now.mono_ms += ms;
    bench_settle(b);
}

static inline void bench_fini(struct bench *b)
{
    for (unsigned i = 0; i < b->cluster.count; i++) {
        struct store *store = b->shards[i]->store;
        EXPECT_EQ(b->shards[i]->conn_count, 0);
        EXPECT_EQ(b->shards[i]->calls_out, 0);
        store_close(store);
        shard_destroy(b->shards[i]);
        memory_env_destroy(b->envs[i]);
    }
    buf_fini(&b->token);
    buf_fini(&b->device);
}

/* ---- links ---- */

static inline struct client *client_of_link(struct link *l)
{
    return CONTAINER_OF(l, struct client, link);
}

static inline void client_gets(struct link *l, struct span bytes)
{
    EXPECT(!client_of_link(l)->closed);
    EXPECT(client_of_link(l)->moved_to < 0);
    buf_put(&client_of_link(l)->got, bytes);
}

static inline void client_closes(struct link *l)
{
    EXPECT(client_of_link(l)->moved_to < 0); /* it may not be used until it has arrived */
    client_of_link(l)->closing = true;
}

static inline void client_reads(struct link *l, bool on)
{
    EXPECT(client_of_link(l)->moved_to < 0);
    client_of_link(l)->reading = on;
}

static inline size_t client_unsent(const struct link *l)
{
    return ((const struct client *)(const void *)l)->unsent;
}

static inline void client_moves(struct link *l, unsigned shard)
{
    client_of_link(l)->moved_to = (int)shard;
}

static inline void client_open(struct bench *b, struct client *p, unsigned shard,
                               enum link_kind kind)
{
    static const struct link_ops ops = {client_gets, client_closes, client_reads, client_unsent,
                                        client_moves};
    memset(p, 0, sizeof(*p));
    p->link = (struct link){.ops = &ops, .kind = kind, .opened_ms = b->now.mono_ms, .peer = "test"};
    p->reading = true;
    p->moved_to = -1;
    shard_events.on_open(b->shards[shard], &p->link);
}

/* Bytes arrive, in a block of their own: what is kept too long is caught by ASan. */
static inline void client_say(struct client *p, struct span bytes)
{
    struct buf copy = {0};
    buf_put(&copy, bytes);
    shard_events.on_bytes(&p->link, buf_span(&copy));
    buf_fini(&copy);
}

static inline void client_arrive(struct bench *b, struct client *p)
{
    EXPECT(p->moved_to >= 0);
    struct shard *s = b->shards[p->moved_to];
    p->moved_to = -1;
    p->reading = true;
    shard_events.on_moved(s, &p->link);
}

static inline void client_end(struct client *p)
{
    shard_events.on_closed(&p->link, CLOSED);
    p->closed = true;
    buf_fini(&p->got);
}

static inline bool client_got(const struct client *p, const char *text)
{
    return p->got.len && memmem(p->got.data, p->got.len, text, strlen(text));
}

/* ---- what peers say ---- */

/* A REST request of the owner. */
static inline void put_request(const struct bench *b, struct buf *out, const char *line,
                               const char *json)
{
    buf_printf(out,
               "%s HTTP/1.1\r\nHost: " HOST "\r\nAuthorization: %.*s\r\n"
               "If-Match: *\r\nContent-Length: %zu\r\n\r\n%s",
               line, SPAN_ARG(buf_span(&b->token)), strlen(json), json);
}

/* A CONNECT by a policy's token. */
static inline void put_connect(const struct bench *b, struct buf *out, const char *device,
                               bool clean, bool will)
{
    char user[128], topic[128];
    snprintf(user, sizeof(user), HOST "/%s/?api-version=2021-04-12", device);
    snprintf(topic, sizeof(topic), "devices/%s/messages/events/", device);
    struct mqtt_connect connect = {.version = MQTT_VERSION_3_1_1,
                                   .clean_session = clean,
                                   .keep_alive_s = 60,
                                   .client_id = span_text(device),
                                   .has_username = true,
                                   .username = span_text(user),
                                   .has_password = true,
                                   .password = buf_span(&b->device),
                                   .has_will = will,
                                   .will.topic = span_text(topic)};
    mqtt_connect_encode(out, &connect);
}

/* A masked frame (the mask is zero) around all of `payload`. */
static inline void put_frame(struct buf *out, uint8_t first, struct span payload)
{
    buf_byte(out, first);
    if (payload.len < 126) {
        buf_byte(out, (uint8_t)(0x80 | payload.len));
    } else {
        buf_byte(out, 0x80 | 126);
        buf_byte(out, (uint8_t)(payload.len >> 8));
        buf_byte(out, (uint8_t)payload.len);
    }
    buf_put(out, SPAN("\0\0\0\0"));
    buf_put(out, payload);
}

/* Create a device, whichever shard owns it. */
static inline void bench_create(struct bench *b, const char *device)
{
    struct client p;
    struct buf request = {0};
    buf_printf(&request,
               "PUT /devices/%s" V " HTTP/1.1\r\nHost: " HOST "\r\nAuthorization: %.*s\r\n"
               "Content-Length: 2\r\n\r\n{}",
               device, SPAN_ARG(buf_span(&b->token)));
    client_open(b, &p, 0, LINK_HTTP);
    client_say(&p, buf_span(&request));
    bench_settle(b);
    EXPECT(client_got(&p, "HTTP/1.1 200 OK"));
    client_end(&p);
    buf_fini(&request);
}

#endif
