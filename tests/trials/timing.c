/* What the time of a refusal tells (trials F35). Calls of two classes are timed in an order left to
 * chance: tokens whose signature is wrong in its first or in its last byte, at the function that
 * judges them and over a connection; tokens for a device that there is or is not, over a
 * connection. Welch's t between the two must stay below 4.5. Each call has a token of its own, and
 * the hub and its caller share a core: a difference of a nanosecond would show.
 *
 *   timing TWINHUB [SAMPLES] [SEED]      samples of each class; a million takes a minute and a half
 *
 * What disturbs the machine makes samples slow and says nothing about us: the slowest tenth of all,
 * whatever their class, does not count. A comparison that stops at the first byte that differs is
 * timed as well, and must be found out.
 */
#include "peer.h"

#include "auth/sas.h"
#include "base/test.h"
#include "base/text.h"
#include "devices.h"
#include "wire/uri.h"

#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define T_LIMIT   4.5
#define KEPT_PART 0.9

enum { SAMPLES = 100000, WARM_UP = 2000, CLASSES = 2, ANSWER_MS = 5000, SIG_LEN = 32 };

/* ---- at the function ---- */

static struct sas token;
static uint8_t key[SIG_LEN];
static const size_t wrong_at[CLASSES] = {0, SIG_LEN - 1};
static volatile uint64_t sink; /* so that no call is left out */

static void verified(unsigned kind)
{
    token.sig[wrong_at[kind]] ^= 1;
    sink += sas_verify(&token, span_of(key, sizeof(key)));
    token.sig[wrong_at[kind]] ^= 1;
}

/* What F35 forbids. */
static void stops_early(unsigned kind)
{
    volatile uint8_t want[SIG_LEN] = {0}, got[SIG_LEN] = {0};
    got[wrong_at[kind]] = 1;
    verified(0);
    for (size_t i = 0; i < SIG_LEN && want[i] == got[i]; i++)
        sink++;
}

/* ---- over a connection ---- */

static struct peer caller;
static int64_t expiry_s; /* of the next token */

static struct span sign(const char *device, struct buf *out)
{
    char resource[64];
    device_key(device, key);
    snprintf(resource, sizeof(resource), "localhost/devices/%s", device);
    sas_make(out, span_text(resource), span_of(key, sizeof(key)), expiry_s, (struct span){0});
    return buf_span(out);
}

/* The device's own list of modules, which its key opens, with another byte in the signature. */
static void request(struct buf *out, const char *device, size_t wrong)
{
    struct buf text = {0}, sig = {0};
    struct sas t;
    if (sas_parse(sign(device, &text), &t) != OK)
        process_fail("the token cannot be read");
    t.sig[wrong] ^= 1;
    for (size_t i = 0; i < SIG_LEN; i++)
        buf_byte(&sig, t.sig[i]);
    buf_printf(out,
               "GET /devices/%s/modules?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\n",
               device);
    buf_printf(out,
               "Authorization: SharedAccessSignature sr=%.*s&se=%.*s&sig=", SPAN_ARG(t.resource),
               SPAN_ARG(t.expiry));
    struct buf base64 = {0};
    text_put_base64(&base64, buf_span(&sig));
    uri_put(out, buf_span(&base64));
    buf_text(out, "\r\n\r\n");
    buf_fini(&base64);
    buf_fini(&sig);
    buf_fini(&text);
}

/* One refusal: all of it, so that the next one starts from nothing. */
static void refused(struct span bytes)
{
    static size_t answer_len;
    buf_clear(&caller.in);
    if (!peer_send(&caller, bytes))
        process_fail("the hub has closed the connection");
    do {
        if (!peer_receive(&caller, ANSWER_MS))
            process_fail("no answer");
    } while (answer_len && caller.in.len < answer_len);
    if (!answer_len && peer_receive(&caller, 200))
        sink++;
    if (!answer_len)
        answer_len = caller.in.len;
    if (caller.in.len != answer_len || memcmp(caller.in.data, "HTTP/1.1 401", 12) != 0)
        process_fail("not the refusal: %.*s", SPAN_ARG(buf_span(&caller.in)));
}

/* Made anew for each call, from one place in memory: what it takes to read this text or that is no
 * secret, and evens out. */
static struct buf said;

static void say(const char *device, size_t wrong)
{
    buf_clear(&said);
    request(&said, device, wrong);
    expiry_s++;
}

static void say_wrong_byte(unsigned kind)
{
    say("dev1", wrong_at[kind]);
}

static void say_other_device(unsigned kind)
{
    say(kind ? "dev2" : "dev1", 0);
}

static void called(unsigned kind)
{
    (void)kind;
    refused(buf_span(&said));
}

/* ---- the statistics ---- */

struct sample {
    uint32_t ns;
    bool kind;
};

struct moments {
    double n, mean, squares;
};

static void add(struct moments *m, double x) /* Welford's way */
{
    double from = x - m->mean;
    m->n++;
    m->mean += from / m->n;
    m->squares += from * (x - m->mean);
}

static double welch(const struct moments *a, const struct moments *b)
{
    double va = a->squares / (a->n - 1) / a->n, vb = b->squares / (b->n - 1) / b->n;
    return (a->mean - b->mean) / sqrt(va + vb);
}

static int64_t slowest_kept(const struct sample *samples, size_t n)
{
    int64_t *sorted = calloc(n, sizeof(*sorted));
    if (!sorted)
        check_no_memory();
    for (size_t i = 0; i < n; i++)
        sorted[i] = samples[i].ns;
    int64_t limit = percentile(sorted, n, 100 * KEPT_PART);
    free(sorted);
    return limit;
}

/* `ready` is not timed; it may be NULL. */
static double compare(const char *name, void (*ready)(unsigned), void (*call)(unsigned), size_t n,
                      uint64_t *seed)
{
    struct sample *samples = calloc(n, sizeof(*samples));
    struct moments of[CLASSES] = {0};
    if (!samples)
        check_no_memory();
    for (size_t i = 0; i < n + WARM_UP; i++) {
        bool kind = test_random(seed) & 1;
        if (ready)
            ready(kind);
        int64_t from = now_ns();
        call(kind);
        uint32_t ns = (uint32_t)(now_ns() - from);
        if (i >= WARM_UP)
            samples[i - WARM_UP] = (struct sample){ns, kind};
    }
    int64_t limit = slowest_kept(samples, n);
    for (size_t i = 0; i < n; i++)
        if (samples[i].ns <= limit)
            add(&of[samples[i].kind], samples[i].ns);
    free(samples);
    double t = fabs(welch(&of[0], &of[1]));
    printf("       %s: %.0f and %.0f samples, %.2f and %.2f ns, t %.2f\n", name, of[0].n, of[1].n,
           of[0].mean, of[1].mean, t);
    return t;
}

/* ---- the trial ---- */

static void prepare(struct hub *h)
{
    /* One shard: on which of them an identity lives is no secret. */
    static const char *const settings[] = {"--shards", "1", "--log-level", "error", NULL};
    struct buf text = {0};
    hub_start(h, settings);
    hub_create_identity(h, "dev1", NULL);
    expiry_s = (int64_t)time(NULL) + 86400;
    if (sas_parse(sign("dev1", &text), &token) != OK)
        process_fail("the token cannot be read");
    if (!peer_dial(&caller, h, HUB_HTTP, 0))
        process_fail("the hub does not accept");
}

/* Handing over from core to core costs more, and varies more, than what is looked for. */
static void stay_on_one_core(void)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((size_t)sched_getcpu(), &cores);
    if (sched_setaffinity(0, sizeof(cores), &cores) != 0)
        process_fail("cannot stay on one core");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: timing TWINHUB [SAMPLES] [SEED]");
    size_t n = CLASSES * (argc > 2 ? strtoul(argv[2], NULL, 10) : SAMPLES);
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)time(NULL);
    struct hub hub;
    stay_on_one_core();
    printf("seed %llu\n", (unsigned long long)seed);
    hub_create(&hub, argv[1]);
    prepare(&hub);
    verdict("signature wrong at first or last, verified",
            compare("verified", NULL, verified, n, &seed), "t", T_LIMIT);
    verdict("signature wrong at first or last, called",
            compare("called", say_wrong_byte, called, n, &seed), "t", T_LIMIT);
    verdict("device known or unknown, called",
            compare("known or not", say_other_device, called, n, &seed), "t", T_LIMIT);
    verdict_that("a comparison that stops early is found out",
                 compare("stops early", NULL, stops_early, n, &seed) > T_LIMIT);
    peer_close(&caller);
    verdict_that("the hub ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    hub_destroy(&hub);
    return verdict_exit();
}
