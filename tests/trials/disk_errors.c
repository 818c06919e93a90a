/* The disk that fails (trials F05): under load a system call of the store is made to fail with EIO,
 * after a pause in which nothing that waits for it may be acknowledged. The hub must end with exit
 * code 70 within a second, acknowledge nothing more, and have everything acknowledged when it is
 * started again.
 *
 *   disk_errors TWINHUB ROUNDS [SEED]
 *
 * Exit 77: no strace here, or it may not trace.
 */
#include "kill_load.h"

#include "base/test.h"
#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What LMDB syncs and writes with: data pages, one alone, a few in a row, and the meta page. */
static const char *const sites[] = {"fdatasync", "pwrite64", "writev"};

enum {
    PAUSE_MS = 400, /* before the call fails; what was acknowledged before has arrived by then */
    WHEN_MAX = 30,  /* which call of a thread fails */
    LIMIT_S = 20,
    SKIPPED = 77,
    EXIT_STORE = 70
};

struct trial {
    struct hub hub;
    struct load load;
    uint64_t seed;
    unsigned rounds, wrong_codes, late_acks;
    int64_t *took_ms; /* from the failure to the exit */
};

static pid_t trace(struct trial *t, const char *site, const char *output)
{
    char inject[96], calls[32], pid[16];
    snprintf(calls, sizeof(calls), "trace=%s", site);
    snprintf(inject, sizeof(inject), "inject=%s:error=EIO:delay_enter=%d:when=%u+", site,
             PAUSE_MS * 1000, 1 + (unsigned)(test_random(&t->seed) % WHEN_MAX));
    snprintf(pid, sizeof(pid), "%d", (int)t->hub.pid);
    const char *const argv[] = {"/usr/bin/strace",
                                "-f",
                                "-qq",
                                "-ttt",
                                "-e",
                                calls,
                                "-e",
                                inject,
                                "-o",
                                output,
                                "-p",
                                pid,
                                NULL};
    char log[96];
    snprintf(log, sizeof(log), "%s/tracer", t->hub.root);
    return process_start(argv, log);
}

/* When the first failing call began, by the monotonic clock; 0: there was none. */
static int64_t failure_ns(const char *output)
{
    char *line = NULL;
    size_t room = 0;
    int64_t at = 0;
    struct timespec wall;
    FILE *f = fopen(output, "re");
    if (!f)
        return 0;
    while (!at && getline(&line, &room, f) > 0) {
        const char *space = strchr(line, ' '); /* PID SECONDS CALL */
        if (!space || !strstr(line, "(INJECTED)"))
            continue;
        at = (int64_t)(strtod(space, NULL) * 1e6) * 1000;
        if (strstr(line, "resumed>")) /* other threads were traced meanwhile: its end is on it */
            at -= PAUSE_MS * 1000000LL;
    }
    free(line);
    fclose(f);
    clock_gettime(CLOCK_REALTIME, &wall);
    return at ? at - ((int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec) + now_ns() : 0;
}

/* Did the tracer get to see anything? */
static bool was_traced(const char *output)
{
    struct stat st;
    return stat(output, &st) == 0 && st.st_size > 0;
}

static int fail_once(struct trial *t, unsigned round)
{
    struct load *l = &t->load;
    const char *site = sites[round % COUNT(sites)];
    char output[96];
    snprintf(output, sizeof(output), "%s/strace.%u", t->hub.root, round);
    load_connect(l);
    while (!load_is_ready(l) && l->open)
        load_run(l, 2);
    pid_t tracer = trace(t, site, output);
    int code = -1;
    for (int64_t until = now_ns() + LIMIT_S * 1000000000LL; code < 0 && now_ns() < until;) {
        if (l->open)
            load_run(l, 5);
        code = hub_wait(&t->hub, 0);
    }
    int64_t ended_ns = now_ns();
    process_end(tracer, SIGTERM);
    if (!was_traced(output))
        return SKIPPED;
    l->no_writes = true;
    load_run(l, 1000); /* what it had sent arrives still */
    int64_t failed_ns = failure_ns(output);
    t->took_ms[round] = (ended_ns - failed_ns) / 1000000 - PAUSE_MS;
    t->wrong_codes += code != EXIT_STORE || !failed_ns;
    bool late = l->last_ack_ns > failed_ns + PAUSE_MS * 1000000LL;
    t->late_acks += late;
    if (code != EXIT_STORE || late) {
        struct buf log = hub_file(&t->hub, "log");
        size_t from = log.len > 400 ? log.len - 400 : 0;
        printf("WRONG  round %u, %s: exit code %d, the last acknowledgement %lld ms after the "
               "failing call began\n%.*s",
               round, site, code, (long long)(l->last_ack_ns - failed_ns) / 1000000,
               SPAN_ARG(span_skip(buf_span(&log), from)));
        buf_fini(&log);
    }
    load_close(l);
    if (t->hub.pid)
        hub_end(&t->hub, SIGKILL);
    hub_start(&t->hub, NULL);
    load_verify(l);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        process_fail("usage: disk_errors TWINHUB ROUNDS [SEED]");
    if (access("/usr/bin/strace", X_OK) != 0)
        return SKIPPED;
    struct trial t = {.rounds = (unsigned)strtoul(argv[2], NULL, 10),
                      .seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)time(NULL)};
    t.took_ms = calloc(t.rounds, sizeof(*t.took_ms));
    if (!t.took_ms)
        process_fail("no memory");
    hub_create(&t.hub, argv[1]);
    load_init(&t.load, &t.hub, t.seed + 1);
    hub_start(&t.hub, NULL);
    load_create_twins(&t.load);
    int rc = 0;
    for (unsigned round = 0; round < t.rounds && !rc; round++)
        rc = fail_once(&t, round);
    if (!rc) {
        verdict("ends without exit code 70", t.wrong_codes, "", 0);
        verdict("acknowledgements after the failing call", t.late_acks, "", 0);
        verdict("changes lost, doubled or torn", t.load.wrong, "", 0);
        verdict("from the failure to the exit, max", (double)percentile(t.took_ms, t.rounds, 100),
                "ms", 1000);
        printf("%u rounds; acknowledged: %llu reported, %llu desired\n", t.rounds,
               (unsigned long long)t.load.acked[REPORTED],
               (unsigned long long)t.load.acked[DESIRED]);
    }
    load_fini(&t.load);
    hub_destroy(&t.hub);
    free(t.took_ms);
    return rc ? rc : verdict_exit();
}
