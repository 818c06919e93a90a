/* The disk that fills up (trials F03): a hub on a small file system of its own, under load, while
 * something else takes the space that is left, and gives it back, again and again. Without space
 * what needs some is refused, and the hub lives; a second after there is space it writes again. Now
 * and then it is killed while the disk is full. Nothing acknowledged is lost.
 *
 *   full_disk TWINHUB ROUNDS [SEED]
 *
 * Exit 77: file systems cannot be mounted here.
 */
#include "kill_load.h"

#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    SKIPPED = 77,
    FILL_MS = 15000, /* for the hub to run out */
    FULL_MS = 300,   /* in which it goes on refusing */
    AGAIN_MS = 5000,
    AGAIN_LIMIT_MS = 1000,
    START_LIMIT_MS = 2000,
    KILL_EVERY = 5,
};

static const char *const settings[] = {"--journal-tail", "8M", NULL};

struct trial {
    struct hub hub;
    struct load load;
    char filler[128];
    uint64_t seed;
    unsigned rounds, ends, kills, never_full, never_again, unread;
    int64_t *again_ms, *start_ms;
};

/* Takes what is left, to the last block. */
static void take_space(struct trial *t)
{
    static const uint8_t piece[65536];
    int fd = open(t->filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        process_fail("%s: %s", t->filler, strerror(errno));
    for (size_t len = sizeof(piece); len >= 512;) {
        ssize_t n = write(fd, piece, len);
        if (n < (ssize_t)len)
            len /= 2;
    }
    close(fd);
}

static bool reads_go_on(struct trial *t)
{
    struct span body;
    return service_call(&t->hub.service, "GET", "/twins/spared?api-version=2021-04-12",
                        (struct span){0}, &body) == 200;
}

/* Until the hub refuses, for what it keeps in reserve is used up as well. */
static bool run_full(struct trial *t)
{
    struct load *l = &t->load;
    uint64_t before = l->refused;
    for (int64_t until = now_ns() + FILL_MS * 1000000LL;
         l->refused == before && l->open && now_ns() < until;) {
        take_space(t);
        load_run(l, 50);
    }
    for (int64_t until = now_ns() + FULL_MS * 1000000LL; l->open && now_ns() < until;) {
        take_space(t);
        load_run(l, 50);
    }
    return l->refused > before;
}

static void give_space(struct trial *t, unsigned round)
{
    struct load *l = &t->load;
    unlink(t->filler);
    int64_t freed_ns = now_ns();
    uint64_t acked = l->acked[REPORTED];
    while (l->open && l->acked[REPORTED] == acked && now_ns() < freed_ns + AGAIN_MS * 1000000LL)
        load_run(l, 5);
    t->never_again += l->acked[REPORTED] == acked;
    t->again_ms[round] = (now_ns() - freed_ns) / 1000000;
    load_run(l, 100);
}

static void fill_once(struct trial *t, unsigned round)
{
    struct load *l = &t->load;
    load_connect(l);
    l->no_space = true;
    load_run(l, 100);
    t->never_full += !run_full(t);
    t->unread += !reads_go_on(t);
    bool kill_it = round % KILL_EVERY == KILL_EVERY - 1;
    int code = hub_wait(&t->hub, 0);
    if (code >= 0) {
        struct buf log = hub_file(&t->hub, "log");
        size_t from = log.len > 300 ? log.len - 300 : 0;
        t->ends++;
        printf("WRONG  round %u: it ended with %d\n%.*s", round, code,
               SPAN_ARG(span_skip(buf_span(&log), from)));
        buf_fini(&log);
    } else if (kill_it) {
        hub_end(&t->hub, SIGKILL);
        t->kills++;
    } else {
        give_space(t, round);
    }
    load_drain(l);
    load_close(l);
    if (t->hub.pid)
        hub_end(&t->hub, SIGTERM);
    unlink(t->filler);
    t->start_ms[round] = hub_start(&t->hub, settings);
    load_verify(l);
    t->rounds++;
}

static void report(struct trial *t)
{
    printf("%u rounds, %u ended by kill -9; acknowledged: %llu reported, %llu desired; refused: "
           "%llu\n",
           t->rounds, t->kills, (unsigned long long)t->load.acked[REPORTED],
           (unsigned long long)t->load.acked[DESIRED], (unsigned long long)t->load.refused);
    verdict("hubs that ended by themselves", t->ends, "", 0);
    verdict("changes lost, doubled or torn", t->load.wrong, "", 0);
    verdict("rounds in which the disk was not full for the hub", t->never_full, "", 0);
    verdict("reads that failed", t->unread, "", 0);
    verdict("rounds after which nothing was written any more", t->never_again, "", 0);
    verdict_times("from space to an acknowledgement", t->again_ms, t->rounds, AGAIN_LIMIT_MS);
    verdict_times("time to ready", t->start_ms, t->rounds, START_LIMIT_MS);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        process_fail("usage: full_disk TWINHUB ROUNDS [SEED]");
    static struct trial t;
    unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
    t.seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)time(NULL);
    t.again_ms = calloc(rounds, sizeof(*t.again_ms));
    t.start_ms = calloc(rounds, sizeof(*t.start_ms));
    if (!t.again_ms || !t.start_ms)
        process_fail("no memory");
    hub_create(&t.hub, argv[1]);
    if (mkdir(t.hub.data, 0700) != 0 ||
        mount("trial", t.hub.data, "tmpfs", 0, "size=64m,mode=0700") != 0) {
        printf("no file system of its own can be mounted here (%s): not tried\n", strerror(errno));
        hub_destroy(&t.hub);
        return SKIPPED;
    }
    snprintf(t.filler, sizeof(t.filler), "%s/filler", t.hub.data);
    load_init(&t.load, &t.hub, t.seed + 1);
    hub_start(&t.hub, settings);
    load_create_twins(&t.load);
    hub_create_identity(&t.hub, "spared", NULL);
    for (unsigned round = 0; round < rounds; round++)
        fill_once(&t, round);
    report(&t);
    verdict_that("the hub ends with exit code 0", hub_end(&t.hub, SIGTERM) == 0);
    load_fini(&t.load);
    umount(t.hub.data);
    hub_destroy(&t.hub);
    free(t.again_ms);
    free(t.start_ms);
    return verdict_exit();
}
