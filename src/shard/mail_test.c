#include "shard/shard_fixture.h"

/* Many threads at once; to be run with ThreadSanitizer, too (suite tsan). */

static struct bench b;

/* ---- mail from anywhere ---- */

enum { SENDERS = 3, LETTERS = 400 };

static void *send_letters(void *arg)
{
    unsigned number = *(unsigned *)arg;
    for (unsigned i = 0; i < LETTERS; i++) {
        struct call *c = call_create();
        char id[32];
        size_t at = 0;
        snprintf(id, sizeof(id), "nobody-%u-%u", number, i);
        buf_reserve(&c->bytes, sizeof(id));
        c->route = ROUTE_TWIN_GET;
        c->authorised = true;
        c->op = (struct op){.kind = OP_TWIN_GET, .if_version = -1};
        c->op.device = call_keep(c, span_text(id), &at);
        c->home = 0;
        shard_mail(b.shards[0], c);
    }
    return NULL;
}

TEST(mail_from_other_threads_is_neither_lost_nor_doubled)
{
    bench_init(&b, 1);
    pthread_t threads[SENDERS];
    unsigned numbers[SENDERS];
    b.shards[0]->calls_out = SENDERS * LETTERS; /* as if its connections had asked */
    for (unsigned i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        EXPECT_EQ(pthread_create(&threads[i], NULL, send_letters, &numbers[i]), 0);
    }
    while (b.shards[0]->calls_out)
        bench_turn(&b, 0);
    for (unsigned i = 0; i < SENDERS; i++)
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    bench_turn(&b, 0);
    EXPECT_EQ(b.shards[0]->calls_out, 0);
    EXPECT(list_empty(&b.shards[0]->mail));
    EXPECT(atomic_load(&b.wakes[0]) >= SENDERS * LETTERS);
    bench_fini(&b);
}

/* ---- shards that ask each other ---- */

enum { SHARDS = 3, PEERS = 4, REQUESTS = 40, DEVICES = 12 };

struct worker {
    unsigned shard;
    struct client peers[PEERS];
    unsigned answered[PEERS];
    unsigned rounds;
};

static _Atomic unsigned working;

static unsigned count_answers(const struct client *p)
{
    unsigned n = 0;
    struct span rest = buf_span(&p->got);
    const uint8_t *at;
    while (rest.len && (at = memmem(rest.data, rest.len, "HTTP/1.1 200", 12))) {
        n++;
        rest = span_skip(rest, (size_t)(at - rest.data) + 12);
    }
    return n;
}

/* The next request of a peer: mostly one device, sometimes all of them. */
static void ask(struct worker *w, unsigned i)
{
    struct buf request = {0};
    char line[64];
    unsigned n = w->answered[i];
    snprintf(line, sizeof(line), "PATCH /twins/d%u" V, (w->shard + i + n) % DEVICES);
    if (n % 10 == 9)
        snprintf(line, sizeof(line), "GET /devices" V);
    put_request(&b, &request, line, "{\"tags\":{\"a\":1}}");
    client_say(&w->peers[i], buf_span(&request));
    buf_fini(&request);
}

/* A shard's thread: its peers ask, each when it was answered; it turns until all threads are done.
 */
static void *work(void *arg)
{
    struct worker *w = arg;
    unsigned busy = PEERS;
    for (unsigned i = 0; i < PEERS; i++) {
        client_open(&b, &w->peers[i], w->shard, LINK_HTTP);
        ask(w, i);
    }
    while (atomic_load(&working)) {
        bench_turn(&b, w->shard);
        for (unsigned i = 0; i < PEERS; i++) {
            if (w->answered[i] == REQUESTS || count_answers(&w->peers[i]) == 0)
                continue;
            EXPECT_EQ(count_answers(&w->peers[i]), 1);
            buf_clear(&w->peers[i].got);
            if (++w->answered[i] < REQUESTS)
                ask(w, i);
            else if (--busy == 0)
                atomic_fetch_sub(&working, 1);
        }
    }
    return NULL;
}

/* Whoever reads the totals does so while they move. */
static void *watch(void *arg)
{
    (void)arg;
    struct buf text = {0};
    while (atomic_load(&working)) {
        buf_clear(&text);
        metrics_put(&text, &b.cluster);
        metrics_put_ready(&text, &b.cluster);
    }
    buf_fini(&text);
    return NULL;
}

TEST(shards_answer_each_other_and_their_totals_add_up)
{
    static struct worker workers[SHARDS];
    pthread_t threads[SHARDS], watcher;
    bench_init(&b, SHARDS);
    for (unsigned i = 0; i < DEVICES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "d%u", i);
        bench_create(&b, id);
    }
    atomic_store(&working, SHARDS);
    for (unsigned i = 0; i < SHARDS; i++) {
        workers[i] = (struct worker){.shard = i};
        EXPECT_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    EXPECT_EQ(pthread_create(&watcher, NULL, watch, NULL), 0);
    for (unsigned i = 0; i < SHARDS; i++)
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    EXPECT_EQ(pthread_join(watcher, NULL), 0);

    uint64_t devices = 0, requests = 0, refused = 0, changes = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        for (unsigned p = 0; p < PEERS; p++)
            client_end(&workers[i].peers[p]);
        bench_turn(&b, i);
        const struct shard_totals *t = &b.shards[i]->totals;
        devices += t->devices;
        requests += t->requests;
        refused += t->refused_requests;
        changes += t->changes;
        EXPECT_EQ(t->connections, 0);
    }
    EXPECT_EQ(devices, DEVICES);
    EXPECT_EQ(requests, SHARDS * PEERS * REQUESTS + DEVICES);
    EXPECT_EQ(refused, 0);
    EXPECT(changes >= DEVICES); /* a patch that changes nothing writes nothing */
    bench_fini(&b);
}

/* ---- the end ---- */

TEST(a_shard_stops_when_nothing_is_under_way)
{
    bench_init(&b, 2);
    struct client idle, asking;
    struct buf request = {0};
    bench_create(&b, "d");
    unsigned owner = shard_of(&b.cluster, SPAN("d"));
    client_open(&b, &idle, !owner, LINK_HTTP);
    client_open(&b, &asking, !owner, LINK_HTTP);
    put_request(&b, &request, "GET /twins/d" V, "");
    client_say(&asking, buf_span(&request));
    shard_stop(b.shards[0]);
    shard_stop(b.shards[1]);
    bench_turn(&b, !owner);
    EXPECT(idle.closing);
    EXPECT(!asking.closing); /* its answer is on the way */
    bench_settle(&b);
    EXPECT(client_got(&asking, "HTTP/1.1 200 OK"));
    EXPECT(client_got(&asking, "Connection: close"));
    EXPECT(asking.closing);
    EXPECT_EQ(atomic_load(&b.stopped), 1); /* links of the other are not gone yet */
    client_end(&idle);
    client_end(&asking);
    bench_settle(&b);
    EXPECT_EQ(atomic_load(&b.stopped), 2);
    buf_fini(&request);
    bench_fini(&b);
}

TEST_MAIN(RUN(mail_from_other_threads_is_neither_lost_nor_doubled),
          RUN(shards_answer_each_other_and_their_totals_add_up),
          RUN(a_shard_stops_when_nothing_is_under_way))
