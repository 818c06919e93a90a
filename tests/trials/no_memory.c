/* Memory that ends (trials F08): in a hub that starts, and in one with which devices and a service
 * converse over every transport, one allocation fails. The hub goes on without harm, or ends with
 * exit code 70 and one line; started again it has everything that was acknowledged.
 *
 *   no_memory TWINHUB MEMORY_SO ROUNDS|all [SEED]
 *
 * With a number, so many allocations chosen at random; with `all`, each. Exit 77: the hub is
 * sanitized, and has an allocator of its own.
 */
#include "fault.h"
#include "peer.h"

#include "base/test.h"
#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ANSWER_MS = 3000, END_MS = 1000, STILL = 10, STILL_MS = 20, EXIT_MEMORY = 70, SKIPPED = 77 };

struct trial {
    struct hub hub;
    struct fault_control *fault;
    uint64_t seed;
    unsigned sent, acked; /* the newest value reported, the newest acknowledged */
    size_t log_len;       /* before the hub was started */
    unsigned rounds, reached, ended, lived, wrong_ends, wrong_lines, lost, wedged;
};

/* ---- one conversation; whatever fails is passed over ---- */

static void report(struct trial *t, struct peer *p)
{
    char patch[64];
    t->sent++;
    snprintf(patch, sizeof(patch), "{\"n\":%u,\"o\":{\"a\":\"%u\"}}", t->sent, t->sent);
    if (peer_report(p, patch, ANSWER_MS) == 204)
        t->acked = t->sent;
}

static bool device_says(struct trial *t, bool tls, bool websocket)
{
    struct peer p;
    uint16_t port = tls ? (websocket ? HUB_HTTPS : HUB_MQTTS) : (websocket ? HUB_HTTP : HUB_MQTT);
    bool ok = (tls ? peer_dial_tls : peer_dial)(&p, &t->hub, port, 0) &&
              (!websocket || peer_upgrade(&p)) &&
              peer_login(&p, &(struct login_as){.device = "frail", .clean = websocket}) == 0 &&
              peer_subscribe(&p);
    for (int i = 0; ok && i < 3; i++)
        report(t, &p);
    ok = ok && t->acked == t->sent;
    if (ok)
        peer_send(&p, SPAN("\xe0\x00"));
    peer_close(&p);
    return ok;
}

static bool service_says(struct trial *t)
{
    static const struct {
        const char *method, *path, *body;
    } calls[] = {
        {"PUT",    "/devices/other?api-version=2021-04-12",           "{}"                 },
        {"PUT",    "/devices/other/modules/m?api-version=2021-04-12", "{}"                 },
        {"PATCH",  "/twins/frail?api-version=2021-04-12",
         "{\"properties\":{\"desired\":{\"d\":1}}}"                                        },
        {"GET",    "/twins/frail?api-version=2021-04-12",             ""                   },
        {"GET",    "/devices?api-version=2021-04-12",                 ""                   },
        {"POST",   "/devices?api-version=2021-04-12",                 "[{\"id\":\"bulk\"}]"},
        {"POST",   "/devices?api-version=2021-04-12",
         "[{\"id\":\"bulk\",\"importMode\":\"delete\"}]"                                   },
        {"DELETE", "/devices/other?api-version=2021-04-12",           ""                   },
        {"GET",    "/metrics",                                        ""                   },
    };
    bool ok = true;
    for (size_t i = 0; i < COUNT(calls); i++) {
        struct peer p;
        struct buf out = {0};
        buf_printf(&out,
                   "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: %.*s\r\n%s"
                   "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                   calls[i].method, calls[i].path, SPAN_ARG(buf_span(&t->hub.service.token)),
                   strcmp(calls[i].method, "DELETE") == 0 ? "If-Match: *\r\n" : "",
                   strlen(calls[i].body), calls[i].body);
        bool put = strcmp(calls[i].method, "PUT") == 0; /* it may be there, of a round before */
        bool answered =
            (i % 2 ? peer_dial_tls : peer_dial)(&p, &t->hub, i % 2 ? HUB_HTTPS : HUB_HTTP, 0) &&
            peer_send(&p, buf_span(&out));
        int status = answered ? peer_http_status(&p, ANSWER_MS) : -1;
        ok = ok && (put ? status > 0 : status / 100 == 2);
        peer_close(&p);
        buf_fini(&out);
    }
    return ok;
}

static bool converse(struct trial *t)
{
    bool ok = device_says(t, false, false);
    ok &= device_says(t, true, false);
    ok &= device_says(t, false, true);
    ok &= device_says(t, true, true);
    return ok & service_says(t);
}

/* ---- what came of it ---- */

static unsigned error_lines(const struct trial *t)
{
    static const char mark[] = "level=error";
    struct buf log = hub_file(&t->hub, "log");
    struct span rest = span_skip(buf_span(&log), t->log_len);
    unsigned lines = 0;
    for (const uint8_t *at; rest.len && (at = memmem(rest.data, rest.len, mark, strlen(mark)));
         lines++)
        rest = span_skip(rest, (size_t)(at - rest.data) + strlen(mark));
    buf_fini(&log);
    return lines;
}

static void tell(const struct trial *t, uint64_t n, const char *what, int code)
{
    struct buf log = hub_file(&t->hub, "log");
    size_t from = log.len > t->log_len + 400 ? log.len - 400 : t->log_len;
    printf("WRONG  allocation %llu: %s (%d)\n%.*s\n", (unsigned long long)n, what, code,
           SPAN_ARG(span_skip(buf_span(&log), from)));
    buf_fini(&log);
}

static void judge_end(struct trial *t, uint64_t n, int code)
{
    t->ended++;
    unsigned lines = error_lines(t);
    if (code != EXIT_MEMORY) {
        t->wrong_ends++;
        tell(t, n, "ends otherwise", code);
    } else if (lines != 1) {
        t->wrong_lines++;
        tell(t, n, "does not say so in one line", (int)lines);
    }
}

static void note_log(struct trial *t)
{
    struct buf log = hub_file(&t->hub, "log");
    t->log_len = log.len;
    buf_fini(&log);
}

static void start(struct trial *t)
{
    note_log(t);
    hub_start(&t->hub, NULL);
    struct span body;
    int64_t found = -1;
    int status = service_call(&t->hub.service, "GET", "/twins/frail?api-version=2021-04-12",
                              (struct span){0}, &body);
    static const char mark[] = "\"reported\":{\"n\":";
    const uint8_t *at = status == 200 ? memmem(body.data, body.len, mark, strlen(mark)) : NULL;
    if (at)
        found = strtoll((const char *)at + strlen(mark), NULL, 10);
    if ((t->acked || status != 200) && (found < t->acked || found > t->sent)) {
        t->lost++;
        printf("WRONG  %lld is reported, %u acknowledged, %u sent\n", (long long)found, t->acked,
               t->sent);
    }
}

static void fail_at(struct trial *t, uint64_t n)
{
    t->rounds++;
    atomic_store(&t->fault->began_ns, 0);
    atomic_store(&t->fault->no_memory_at, atomic_load(&t->fault->allocations) + n);
    bool fine = converse(t);
    t->reached += atomic_load(&t->fault->began_ns) != 0;
    atomic_store(&t->fault->no_memory_at, 0);
    int code = hub_wait(&t->hub, fine ? 0 : END_MS); /* it may be on its way out */
    if (code < 0) {
        t->lived++;
        if (converse(t))
            return;
        code = hub_wait(&t->hub, END_MS);
    }
    if (code < 0) {
        t->wedged++;
        tell(t, n, "lives, but does not work any more", 0);
        code = hub_end(&t->hub, SIGKILL);
    } else {
        judge_end(t, n, code);
    }
    start(t);
}

/* What it does in the background after a start comes to its end, or ends it: the exit code; -1: it
 * lives. */
static int settle(struct trial *t)
{
    int code = -1;
    for (int still = 0; still < STILL && code < 0;) {
        uint64_t before = atomic_load(&t->fault->allocations);
        code = hub_wait(&t->hub, STILL_MS);
        still = atomic_load(&t->fault->allocations) == before ? still + 1 : 0;
    }
    return code;
}

/* The n-th allocation of a start. */
static void fail_start(struct trial *t, uint64_t n)
{
    t->rounds++;
    note_log(t);
    atomic_store(&t->fault->began_ns, 0);
    atomic_store(&t->fault->no_memory_at, atomic_load(&t->fault->allocations) + n);
    int code = hub_try(&t->hub, NULL);
    if (code < 0)
        code = settle(t);
    atomic_store(&t->fault->no_memory_at, 0);
    t->reached += atomic_load(&t->fault->began_ns) != 0;
    if (code < 0) {
        t->lived++;
        hub_end(&t->hub, SIGKILL);
        return;
    }
    t->ended++;
    if (code != EXIT_MEMORY && code != 78) {
        t->wrong_ends++;
        tell(t, n, "a start ends otherwise", code);
    }
}

static void run(struct trial *t, uint64_t total, uint64_t rounds,
                void (*one)(struct trial *, uint64_t))
{
    bool all = rounds >= total;
    for (uint64_t i = 0; i < (all ? total : rounds); i++)
        one(t, all ? i + 1 : 1 + test_random(&t->seed) % total);
}

/* What one allocates: the least of a few, since the hub has other work now and then. */
static uint64_t conversation(struct trial *t)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        uint64_t before = atomic_load(&t->fault->allocations);
        if (!converse(t))
            process_fail("a hub with memory does not converse");
        uint64_t of_this = atomic_load(&t->fault->allocations) - before;
        least = of_this < least ? of_this : least;
    }
    return least;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        process_fail("usage: no_memory TWINHUB MEMORY_SO ROUNDS|all [SEED]");
    static struct trial t;
    uint64_t rounds = strcmp(argv[3], "all") == 0 ? UINT64_MAX : strtoull(argv[3], NULL, 10);
    t.seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)time(NULL);
    hub_create(&t.hub, argv[1]);
    t.fault = fault_begin(&t.hub, argv[2]);
    if (hub_is_sanitized(&t.hub))
        return hub_destroy(&t.hub), SKIPPED;
    hub_start(&t.hub, NULL);
    hub_wait_rsa(&t.hub); /* what it allocates is not the conversation's */
    hub_create_identity(&t.hub, "frail", NULL);
    uint64_t total = conversation(&t);
    run(&t, total, rounds, fail_at);
    hub_end(&t.hub, SIGKILL);
    uint64_t before = atomic_load(&t.fault->allocations);
    start(&t);
    (void)settle(&t);
    uint64_t starting = atomic_load(&t.fault->allocations) - before;
    hub_end(&t.hub, SIGKILL);
    run(&t, starting, rounds, fail_start);
    start(&t);
    printf(
        "%llu allocations in a conversation, %llu in a start; %u rounds, %u reached: the hub lived "
        "in %u, ended in %u\n",
        (unsigned long long)total, (unsigned long long)starting, t.rounds, t.reached, t.lived,
        t.ended);
    verdict("ends without exit code 70", t.wrong_ends, "", 0);
    verdict("ends without one line that says why", t.wrong_lines, "", 0);
    verdict("hubs that lived and did not work any more", t.wedged, "", 0);
    verdict("starts after which something acknowledged was lost", t.lost, "", 0);
    verdict_that("nearly all were reached", t.reached * 10 > t.rounds * 9);
    fault_end(t.fault);
    hub_destroy(&t.hub);
    return verdict_exit();
}
