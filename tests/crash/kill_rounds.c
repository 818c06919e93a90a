/* The kill and stop trials (trials F01, F12): a hub under a load of reported and desired patches is
 * killed, or asked to stop, at a random moment, again and again; afterwards every acknowledged
 * change is there with its version, none is there twice, no twin is torn.
 *
 *   kill_rounds TWINHUB kill|stop ROUNDS [SEED]
 *
 * Exit 0: passed.
 */
#include "kill_load.h"

#include "base/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    DELAY_MIN_MS = 5,
    DELAY_MAX_MS = 500,
    READY_MS = 10000, /* for all to connect */
    STOP_MS = 10000,  /* F12 */
    EARLY_EVERY = 5,  /* every fifth round ends while devices still connect */
    CHECK_EVERY = 4,
    RESTART_LIMIT = 2000 /* F01 */
};

/* Every other round: so little journal that it is brought to the base, and becomes history, all the
 * time; and another number of threads. */
static const char *const small[] = {
    "--journal-tail", "1M", "--history-size", "2M", "--shards", "3", NULL};

struct trial {
    struct hub hub;
    struct load load;
    uint64_t seed;
    int64_t *restart_ms, *stop_ms;
    unsigned rounds, bad_exits, unsound;
};

/* Everybody is at work, for a random while. */
static void work(struct trial *t, unsigned round)
{
    struct load *l = &t->load;
    load_connect(l);
    if (round % EARLY_EVERY != EARLY_EVERY - 1) {
        for (int64_t until = now_ns() + READY_MS * 1000000LL;
             !load_is_ready(l) && l->open && now_ns() < until;)
            load_run(l, 2);
        if (!load_is_ready(l))
            process_fail("round %u: not all connect within %d ms", round, READY_MS);
    }
    load_run(l,
             DELAY_MIN_MS + (int64_t)(test_random(&t->seed) % (DELAY_MAX_MS - DELAY_MIN_MS + 1)));
}

static void kill_it(struct trial *t, unsigned round)
{
    work(t, round);
    hub_end(&t->hub, SIGKILL);
    load_drain(&t->load);
}

static void stop_it(struct trial *t, unsigned round)
{
    work(t, round);
    int64_t began = now_ns();
    t->load.stopping = true;
    kill(t->hub.pid, SIGTERM);
    load_run(&t->load, STOP_MS);
    int64_t left_ms = STOP_MS - (now_ns() - began) / 1000000;
    int code = hub_wait(&t->hub, left_ms > 0 ? (int)left_ms : 0);
    t->stop_ms[round] = (now_ns() - began) / 1000000;
    if (code == 0)
        return;
    t->bad_exits++;
    printf("WRONG  round %u: exit code %d after %lld ms\n", round, code,
           (long long)t->stop_ms[round]);
    if (code < 0)
        hub_end(&t->hub, SIGKILL);
}

static void tell(struct trial *t, bool stop)
{
    struct load *l = &t->load;
    printf("%u rounds; acknowledged: %llu reported, %llu desired; %llu reads, %llu pushes seen; "
           "%u requests without an answer\n",
           t->rounds, (unsigned long long)l->acked[REPORTED], (unsigned long long)l->acked[DESIRED],
           (unsigned long long)l->reads, (unsigned long long)l->pushes, l->unanswered);
    verdict("changes lost, doubled or torn", l->wrong, "", 0);
    verdict("times that twinhub check found damage", t->unsound, "", 0);
    verdict_that("there was a load",
                 l->acked[REPORTED] > t->rounds && l->acked[DESIRED] > t->rounds && l->pushes > 0);
    if (stop) {
        verdict("stops that did not end with exit code 0", t->bad_exits, "", 0);
        verdict("connections that broke instead of ending", l->resets, "", 0);
        verdict_times("time to stop", t->stop_ms, t->rounds, STOP_MS);
    }
    verdict_times("time to ready", t->restart_ms, t->rounds, RESTART_LIMIT);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        process_fail("usage: kill_rounds TWINHUB kill|stop ROUNDS [SEED]");
    bool stop = strcmp(argv[2], "stop") == 0;
    struct trial t = {.rounds = (unsigned)strtoul(argv[3], NULL, 10),
                      .seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)time(NULL)};
    printf("seed %llu\n", (unsigned long long)t.seed);
    t.restart_ms = calloc(t.rounds, sizeof(*t.restart_ms));
    t.stop_ms = calloc(t.rounds, sizeof(*t.stop_ms));
    if (!t.restart_ms || !t.stop_ms)
        process_fail("no memory");
    hub_create(&t.hub, argv[1]);
    load_init(&t.load, &t.hub, t.seed + 1);
    hub_start(&t.hub, NULL);
    load_create_twins(&t.load);
    for (unsigned round = 0; round < t.rounds; round++) {
        if (stop)
            stop_it(&t, round);
        else
            kill_it(&t, round);
        load_close(&t.load);
        if (round % CHECK_EVERY == 0)
            t.unsound += !hub_is_sound(&t.hub);
        t.restart_ms[round] = hub_start(&t.hub, round % 2 ? small : NULL);
        load_verify(&t.load);
    }
    tell(&t, stop);
    load_fini(&t.load);
    hub_destroy(&t.hub);
    free(t.restart_ms);
    free(t.stop_ms);
    return verdict_exit();
}
