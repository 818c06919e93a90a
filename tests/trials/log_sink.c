/* The log that nobody reads (trials F15): with debug logging into a pipe that is full, calls take
 * as long as while somebody reads it; what did not fit is counted, and the log says how much; the
 * hub stops.
 *
 *   log_sink TWINHUB            a few calls: not many times as long, or for ever
 *   log_sink TWINHUB PAIRS      so many measurements with a reader and as many without, in turns,
 * so that a slow minute of the machine slows both: p99 at most 10 % longer
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ROUNDS = 120,         /* two calls each */
    ROUNDS_JUDGED = 1000, /* p99 is then the 20th longest */
    REFUSED = 20,         /* requests a round that each write a line */
    FILLING = 12000,      /* lines; the pipe and the ring hold some 6,000 */
    LINES_MISSING = 1000,
    PAIRS_MAX = 100,
    MARGIN_MS = 100, /* a few calls, beside other tests: above three times the other figure */
    QUIET_MS = 500,  /* without a line: the log has said all */
};
#define LONGER_MAX 10.0 /* percent; shorter it may be, as nobody has the work of reading */

/* One shard: whoever waits for the log there keeps everybody waiting. */
static const char *const settings[] = {"--log-level", "debug", "--shards", "1", NULL};

/* Requests without a token, pipelined, each answered 401 and logged. */
static void ask(struct peer *p)
{
    for (int i = 0; i < REFUSED; i++)
        peer_send_text(p, "GET /twins/nobody?api-version=2021-04-12 HTTP/1.1\r\n"
                          "Host: localhost\r\n\r\n");
}

static void be_refused(struct peer *p)
{
    for (int answers = 0; answers < REFUSED && peer_receive(p, 5000);) {
        static const char mark[] = "HTTP/1.1 401";
        const uint8_t *at;
        while (p->in.len && (at = memmem(p->in.data, p->in.len, mark, sizeof(mark) - 1))) {
            buf_consume(&p->in, (size_t)(at - p->in.data) + sizeof(mark) - 1);
            answers++;
        }
    }
    buf_clear(&p->in);
}

/* ---- who reads the log ---- */

static struct reader {
    int pipe;
    pthread_t thread;
    _Atomic bool reads, ends;
    _Atomic int64_t last_ns; /* when something came */
    _Atomic long dropped;    /* lines the log says are missing */
} reader;

static void look_at(struct buf *in)
{
    static const char mark[] = "msg=\"log lines dropped\" count=";
    for (const uint8_t *end; in->len && (end = memrchr(in->data, '\n', in->len));) {
        size_t len = (size_t)(end - in->data) + 1;
        for (struct span text = span_of(in->data, len); text.len;) {
            const uint8_t *at = memmem(text.data, text.len, mark, sizeof(mark) - 1);
            if (!at)
                break;
            text = span_skip(text, (size_t)(at - text.data) + sizeof(mark) - 1);
            reader.dropped += strtol((const char *)text.data, NULL, 10);
        }
        buf_consume(in, len);
    }
}

/* It looks every two milliseconds, for what costs little. */
static void *read_log(void *unused)
{
    struct buf in = {0};
    while (!reader.ends) {
        ssize_t n = 0;
        buf_reserve(&in, 65536);
        if (reader.reads)
            n = read(reader.pipe, in.data + in.len, 65536);
        if (n <= 0) {
            sleep_ms(2);
            continue;
        }
        reader.last_ns = now_ns();
        in.len += (size_t)n;
        look_at(&in);
    }
    buf_fini(&in);
    return unused;
}

/* On: until all that was kept back is read. Off: until no more fits. */
static void let_read(struct peer *noise, bool on)
{
    reader.last_ns = now_ns();
    reader.reads = on;
    while (on && now_ns() - reader.last_ns < QUIET_MS * 1000000LL)
        sleep_ms(2);
    for (int i = 0; !on && i < FILLING / REFUSED; i++) {
        ask(noise);
        be_refused(noise);
    }
}

/* ---- p99 of good calls while the log is written ---- */

static double measure(struct good *good, struct peer *noise, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        ask(noise); /* its lines are written while the good calls are answered */
        good_round(good);
        be_refused(noise);
    }
    double p99 = (double)percentile(good->took_ns, good->count, 99) / 1e6;
    good->count = 0;
    return p99;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), ascending);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* with[on]: the medians. Off on, on off, off on, …: neither is always the later one. */
static void compare(struct hub *h, size_t pairs, int rounds, double with[2], unsigned *failed)
{
    struct good good;
    struct peer noise;
    double p99[2][PAIRS_MAX];
    good_init(&good, h);
    if (!peer_dial(&noise, h, HUB_HTTP, 0))
        process_fail("the hub does not accept");
    for (size_t i = 0; i < 2 * pairs; i++) {
        bool on = (i % 4 == 1) || (i % 4 == 2);
        let_read(&noise, on);
        p99[on][i / 2] = measure(&good, &noise, rounds);
    }
    *failed = good.failed;
    with[0] = median(p99[0], pairs);
    with[1] = median(p99[1], pairs);
    let_read(&noise, true);
    let_read(&noise, false);
    peer_close(&noise);
    good_fini(&good);
}

static void judge(const double with[2], bool closely)
{
    printf("       p99 with a reader %.2f ms, without %.2f ms\n", with[1], with[0]);
    if (closely)
        verdict("p99 is longer when nobody reads the log by", (with[0] / with[1] - 1) * 100, "%",
                LONGER_MAX);
    else
        verdict("p99 with the log in a full pipe", with[0], "ms", 3 * with[1] + MARGIN_MS);
}

int main(int argc, char **argv)
{
    size_t pairs = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    if (argc < 2 || pairs == 0 || pairs > PAIRS_MAX)
        process_fail("usage: log_sink TWINHUB [PAIRS, at most 100]");
    struct hub hub;
    double with[2];
    unsigned failed;
    char fifo[96];
    hub_create(&hub, argv[1]);
    snprintf(fifo, sizeof(fifo), "%s/fifo", hub.root);
    reader.pipe = mkfifo(fifo, 0600) == 0 ? open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1;
    if (reader.pipe < 0)
        process_fail("%s: %s", fifo, strerror(errno));
    if (pthread_create(&reader.thread, NULL, read_log, NULL) != 0)
        process_fail("no thread");
    hub.log_to = fifo;
    reader.reads = true;
    hub_start(&hub, settings);
    compare(&hub, pairs, argc > 2 ? ROUNDS_JUDGED : ROUNDS, with, &failed);
    verdict("good calls that failed", failed, "", 0);
    judge(with, argc > 2);
    printf("       %ld lines dropped\n", reader.dropped);
    verdict_that("the log says how many lines are missing", reader.dropped > LINES_MISSING);

    int64_t began = now_ns(); /* the pipe is full */
    verdict_that("with the pipe full it ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    verdict("time to stop", (double)(now_ns() - began) / 1e6, "ms", 10000);
    reader.ends = true;
    pthread_join(reader.thread, NULL);
    close(reader.pipe);
    hub_destroy(&hub);
    return verdict_exit();
}
