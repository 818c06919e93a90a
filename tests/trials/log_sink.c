/* The log that nobody reads (trials F15): with debug logging into a full pipe, calls take as long
 * as with the log in a file; what did not fit is counted, and the log says how much; the hub stops.
 *
 *   log_sink TWINHUB
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ROUNDS = 120,
    REFUSED = 100,        /* requests a round that each write a line */
    LINES_MISSING = 1000, /* the pipe and the ring hold some 6,000 of 12,000 */
    MARGIN_MS = 10,       /* above three times the other figure */
    QUIET_MS = 500,       /* without a line: the log has said all */
};

static const char *const settings[] = {"--log-level", "debug", NULL};

/* Requests without a token, pipelined, each answered 401 and logged. */
static void refused(struct peer *p)
{
    for (int i = 0; i < REFUSED; i++)
        peer_send_text(p, "GET /twins/nobody?api-version=2021-04-12 HTTP/1.1\r\n"
                          "Host: localhost\r\n\r\n");
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

/* p99 of good calls while the log fills. */
static double measure(struct hub *h, unsigned *failed)
{
    struct good good;
    struct peer noise;
    good_init(&good, h);
    if (!peer_dial(&noise, h, HUB_HTTP, 0))
        process_fail("the hub does not accept");
    for (int i = 0; i < ROUNDS; i++) {
        refused(&noise);
        good_round(&good);
    }
    *failed = good.failed;
    double p99 = good_p99_ms(&good);
    peer_close(&noise);
    good_fini(&good);
    return p99;
}

/* Read the pipe until it is empty: how many lines the log says are missing. */
static long dropped(int pipe)
{
    static const char mark[] = "msg=\"log lines dropped\" count=";
    struct buf in = {0};
    long count = 0;
    for (int64_t quiet_ns = now_ns(); now_ns() - quiet_ns < QUIET_MS * 1000000LL;) {
        buf_reserve(&in, 65536);
        ssize_t n = read(pipe, in.data + in.len, 65536);
        if (n <= 0) {
            sleep_ms(2);
            continue;
        }
        quiet_ns = now_ns();
        in.len += (size_t)n;
        for (const uint8_t *end; in.len && (end = memchr(in.data, '\n', in.len));) {
            size_t line = (size_t)(end - in.data) + 1;
            const uint8_t *at = memmem(in.data, line, mark, sizeof(mark) - 1);
            if (at)
                count += strtol((const char *)at + sizeof(mark) - 1, NULL, 10);
            buf_consume(&in, line);
        }
    }
    buf_fini(&in);
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: log_sink TWINHUB");
    struct hub hub;
    unsigned failed[2];
    char fifo[96];
    hub_create(&hub, argv[1]);
    hub_start(&hub, settings);
    double in_file = measure(&hub, &failed[0]);
    hub_end(&hub, SIGTERM);

    snprintf(fifo, sizeof(fifo), "%s/fifo", hub.root);
    int pipe = mkfifo(fifo, 0600) == 0 ? open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1;
    if (pipe < 0)
        process_fail("%s: %s", fifo, strerror(errno));
    hub.log_to = fifo;
    hub_start(&hub, settings);
    double in_pipe = measure(&hub, &failed[1]);
    verdict("good calls that failed", failed[0] + failed[1], "", 0);
    printf("       p99 with the log in a file %.2f ms\n", in_file);
    verdict("p99 with the log in a full pipe", in_pipe, "ms", 3 * in_file + MARGIN_MS);
    long missing = dropped(pipe);
    printf("       %ld lines dropped\n", missing);
    verdict_that("the log says how many lines are missing", missing > LINES_MISSING);

    hub_end(&hub, SIGTERM);
    hub_start(&hub, settings);
    measure(&hub, &failed[0]);
    int64_t began = now_ns();
    verdict_that("with the pipe full it ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    verdict("time to stop", (double)(now_ns() - began) / 1e6, "ms", 10000);
    close(pipe);
    hub_destroy(&hub);
    return verdict_exit();
}
