/* The disk that fails (trials F04, F05): each call site of the store is made to fail, in a hub that
 * starts, in one that makes its directory, and in one under load. There the failing call first
 * takes its time, in which nothing that waits for it may be acknowledged; then the hub must end
 * with exit code 70 within a second and acknowledge nothing more. Afterwards it starts again and
 * has everything that was acknowledged.
 *
 *   disk_errors TWINHUB FAULT_SO LAPS [SEED]
 *
 * Where only space is missing it goes on once there is some.
 *
 * A lap is every call site once, at its first call in the first lap, at any later. With 0 laps it
 * is one in short: every third site of the starts, and under load those that end the hub.
 */
#include "fault.h"
#include "kill_load.h"

#include "base/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    PAUSE_MAX_MS = 10000, /* before the call fails … */
    STEP_MS = 5,
    STEPS = 60,      /* … so many steps; beside a journal that stands still, without an answer */
    WHEN_MAX = 30,   /* which call fails */
    WARM_MS = 4000,  /* to see what is called */
    LIMIT_MS = 5000, /* to reach the call */
    FULL_MS = 3000,
    AGAIN_LIMIT_MS = 1000,
    BESIDE_MS = 100, /* for a failure beside the journal to be known to all */
    EXIT_LIMIT_MS = 1000,
    EXIT_WAIT_MS = 10000,
    TIMES_MAX = 4096,
    EXIT_STORE = 70,
    EXIT_SETUP = 78,
    STARTS_MAX = 4 /* calls of a site that fail in starts */
};

/* So little journal that checkpoints and new segments come within a second. */
static const char *const settings[] = {"--journal-tail", "2M", NULL};

struct trial {
    struct hub hub;
    struct load load;
    struct fault_control *fault;
    uint64_t seed;
    uint64_t before[FAULT_SITES]; /* calls seen before what is looked at */
    unsigned laps, rounds, reached, wrong_codes, late_acks, wrong_starts;
    int64_t took_ms[TIMES_MAX];  /* from the failure to the exit */
    int64_t again_ms[TIMES_MAX]; /* from space to an acknowledgement */
    unsigned tooks, agains;
};

static void note(int64_t times[TIMES_MAX], unsigned *count, int64_t ns)
{
    if (*count < TIMES_MAX)
        times[(*count)++] = ns / 1000000;
}

static void look(struct trial *t)
{
    for (uint32_t i = 0; i < FAULT_SITES; i++)
        t->before[i] = atomic_load(&t->fault->sites[i].seen);
}

static uint64_t called(const struct trial *t, uint32_t site)
{
    return atomic_load(&t->fault->sites[site].seen) - t->before[site];
}

/* Reading a file again, or removing one that nobody needs, may fail without harm; and history is
 * never a reason for the hub to fail (store/history.h). */
static bool matters(const struct fault_control *f, uint32_t site)
{
    uint32_t call = f->sites[site].call;
    if (strstr(f->sites[site].file, ".hist"))
        return false;
    if (call == FAULT_SYNC && strcmp(f->sites[site].file, "journal") == 0)
        return false; /* its names: of segments, or of history */
    if (call == FAULT_RENAME && strcmp(f->sites[site].file, "journal/used.seg.new") == 0)
        return false; /* a segment that is done with is put aside */
    return call == FAULT_WRITE || call == FAULT_SYNC || call == FAULT_RENAME ||
           call == FAULT_TRUNCATE;
}

static void tell(struct trial *t, uint32_t site, const char *what, int code)
{
    struct buf log = hub_file(&t->hub, "log");
    size_t from = log.len > 400 ? log.len - 400 : 0;
    printf("WRONG  %s: %s, exit code %d\n%.*s\n", fault_site_name(t->fault, site), what, code,
           SPAN_ARG(span_skip(buf_span(&log), from)));
    buf_fini(&log);
}

/* ---- under load ---- */

/* Nothing leaves before these have been done. */
static bool is_journal(const struct fault_control *f, uint32_t site)
{
    const struct fault_site *s = &f->sites[site];
    return (s->call == FAULT_WRITE || s->call == FAULT_SYNC) &&
           strcmp(s->file, "journal/#.seg") == 0;
}

/* What was written in part is written on, or given up. */
static bool must_end(const struct trial *t, uint32_t site)
{
    return matters(t->fault, site) && atomic_load(&t->fault->error) != FAULT_SHORT;
}

/* `before_ns`: the last acknowledgement before the call went on, to fail. */
static void judge(struct trial *t, uint32_t site, int code, int64_t ended_ns, int64_t before_ns)
{
    struct load *l = &t->load;
    int64_t failed_ns = atomic_load(&t->fault->failed_ns);
    t->reached++;
    if (code != EXIT_STORE && (code >= 0 || must_end(t, site))) {
        t->wrong_codes++;
        tell(t, site, "failed", code);
    }
    if (code != EXIT_STORE)
        return;
    note(t->took_ms, &t->tooks, ended_ns - failed_ns);
    /* Beside the journal all is durable that is acknowledged until the hub has ended. */
    bool late = is_journal(t->fault, site)
                    ? l->last_ack_ns != before_ns
                    : t->laps && l->last_ack_ns > failed_ns + BESIDE_MS * 1000000LL;
    if (late) {
        t->late_acks++;
        printf("%lld ms late\n", (long long)(l->last_ack_ns - failed_ns) / 1000000);
        tell(t, site, "acknowledged afterwards", code);
    }
}

/* Until the call has failed and the hub has ended, or goes on: its exit code, or -1. The call
 * fails when all that was acknowledged before has arrived. */
static int load_until_end(struct trial *t, uint32_t site, int64_t *ended_ns, int64_t *before_ns)
{
    struct load *l = &t->load;
    unsigned steps = 0;
    int code = -1;
    *before_ns = 0;
    for (int64_t until = now_ns() + LIMIT_MS * 1000000LL; code < 0 && now_ns() < until;) {
        int64_t last = l->last_ack_ns;
        if (l->open)
            load_run(l, STEP_MS);
        bool began = atomic_load(&t->fault->began_ns), failed = atomic_load(&t->fault->failed);
        steps = began && (last == l->last_ack_ns || !is_journal(t->fault, site)) ? steps + 1 : 0;
        if (steps == STEPS) {
            *before_ns = l->last_ack_ns;
            atomic_store(&t->fault->go_on, 1);
        }
        code = hub_wait(&t->hub, 0);
        *ended_ns = now_ns();
        if (began && !failed)
            until = *ended_ns + PAUSE_MAX_MS * 1000000LL;
        else if (failed)
            until = atomic_load(&t->fault->failed_ns) +
                    (must_end(t, site) ? EXIT_WAIT_MS : EXIT_LIMIT_MS) * 1000000LL;
    }
    return code;
}

static void fail_under_load(struct trial *t, uint32_t site, uint64_t nth, int error)
{
    struct load *l = &t->load;
    load_connect(l);
    while (!load_is_ready(l) && l->open)
        load_run(l, 2);
    atomic_store(&t->fault->pause_us, PAUSE_MAX_MS * 1000);
    fault_arm(t->fault, site, nth, UINT64_MAX, error);
    int64_t ended_ns, before_ns;
    int code = load_until_end(t, site, &ended_ns, &before_ns);
    bool failed = atomic_load(&t->fault->failed);
    fault_disarm(t->fault);
    load_drain(l);
    if (failed)
        judge(t, site, code, ended_ns, before_ns);
    load_close(l);
    if (t->hub.pid)
        hub_end(&t->hub, SIGKILL);
    hub_start(&t->hub, settings);
    load_verify(l);
    t->rounds++;
}

/* ---- under load, without space ---- */

/* What is only made ahead, and what brings the base up to date, is tried again later. */
static bool can_wait(const struct fault_control *f, uint32_t site)
{
    const struct fault_site *s = &f->sites[site];
    bool making = strcmp(s->file, "journal/#.seg.new") == 0 || strcmp(s->file, "journal") == 0 ||
                  (s->call == FAULT_RENAME && strcmp(s->file, "journal/#.seg") == 0);
    return making || (s->call == FAULT_WRITE && strcmp(s->file, "base.mdb") == 0);
}

/* LMDB does not say whether its commit failed to write or to sync: without space it is tried again
 * in either case. */
static bool is_commit(const struct fault_control *f, uint32_t site)
{
    return f->sites[site].call == FAULT_SYNC && strcmp(f->sites[site].file, "base.mdb") == 0;
}

/* For a while there is no space for these calls; then there is. */
static void fill_under_load(struct trial *t, uint32_t site)
{
    struct load *l = &t->load;
    load_connect(l);
    l->no_space = true;
    load_run(l, 200);
    atomic_store(&t->fault->pause_us, 0);
    fault_arm(t->fault, site, 1, UINT64_MAX, ENOSPC);
    load_run(l, FULL_MS);
    bool hit = atomic_load(&t->fault->failed) > 0;
    fault_disarm(t->fault);
    int64_t freed_ns = now_ns();
    while (l->open && l->last_ack_ns < freed_ns && now_ns() < freed_ns + FULL_MS * 1000000LL)
        load_run(l, 10);
    int code = hub_wait(&t->hub, 0);
    if (code >= 0 || l->last_ack_ns < freed_ns) {
        t->wrong_codes++;
        tell(t, site, code >= 0 ? "without space it ends" : "does not go on", code);
    } else {
        note(t->again_ms, &t->agains, l->last_ack_ns - freed_ns);
    }
    load_run(l, 100);
    t->reached += hit;
    t->rounds++;
    if (t->hub.pid)
        hub_end(&t->hub, SIGKILL);
    load_drain(l);
    load_close(l);
    hub_start(&t->hub, settings);
    load_verify(l);
}

static void run_load(struct trial *t)
{
    bool is_called[FAULT_SITES];
    hub_wait_rsa(&t->hub);
    look(t);
    load_connect(&t->load);
    load_run(&t->load, WARM_MS);
    load_close(&t->load);
    for (uint32_t i = 0; i < FAULT_SITES; i++)
        is_called[i] = called(t, i) > 0;
    for (unsigned lap = 0; lap == 0 || lap < t->laps; lap++) {
        for (uint32_t i = 0; i < FAULT_SITES; i++) {
            if (!is_called[i] || (!t->laps && !matters(t->fault, i)))
                continue;
            uint64_t nth = lap ? 1 + test_random(&t->seed) % WHEN_MAX : 1;
            bool in_part = lap % 2 && t->fault->sites[i].call == FAULT_WRITE;
            fail_under_load(t, i, nth, in_part ? FAULT_SHORT : EIO);
            bool waits = can_wait(t->fault, i);
            bool fills = waits && (t->laps || t->fault->sites[i].call == FAULT_WRITE);
            if (fills)
                fill_under_load(t, i);
            else if (t->laps && !waits && matters(t->fault, i) && !is_commit(t->fault, i))
                fail_under_load(t, i, nth, ENOSPC);
            if (!lap)
                printf("       under load: %s%s\n", fault_site_name(t->fault, i),
                       fills ? ", and without space" : "");
        }
    }
}

/* ---- at the start ---- */

/* `fresh`: there is no directory yet. */
static void fail_at_start(struct trial *t, uint32_t site, uint64_t nth, int error, bool fresh)
{
    if (fresh)
        hub_forget(&t->hub);
    atomic_store(&t->fault->pause_us, 0);
    fault_arm(t->fault, site, nth, 1, error);
    int code = hub_try(&t->hub, settings);
    bool hit = atomic_load(&t->fault->failed);
    fault_disarm(t->fault);
    if (hit && code != EXIT_STORE && code != EXIT_SETUP && (code >= 0 || matters(t->fault, site))) {
        t->wrong_starts++;
        tell(t, site, fresh ? "failed while the directory was made" : "failed at the start", code);
    }
    if (code < 0)
        hub_end(&t->hub, SIGKILL);
    t->reached += hit;
    t->rounds++;
    if (hub_try(&t->hub, settings) >= 0) {
        t->wrong_starts++;
        tell(t, site, "does not start afterwards", 0);
    } else {
        hub_end(&t->hub, SIGKILL);
    }
}

static void run_starts(struct trial *t, bool fresh)
{
    uint64_t calls[FAULT_SITES], at_most = t->laps ? STARTS_MAX * t->laps : 1;
    uint32_t step = t->laps ? 1 : 3, first = t->laps ? 0 : (uint32_t)(t->seed % step);
    look(t);
    if (fresh)
        hub_forget(&t->hub);
    hub_start(&t->hub, settings);
    hub_end(&t->hub, SIGKILL);
    for (uint32_t i = 0; i < FAULT_SITES; i++)
        calls[i] = called(t, i);
    for (uint32_t i = first; i < FAULT_SITES; i += step) {
        uint64_t most = calls[i] < at_most ? calls[i] : at_most;
        for (uint64_t nth = 1; nth <= most; nth++)
            fail_at_start(t, i, nth, EIO, fresh);
        if (most)
            printf("       %s: %s, %llu of %llu calls\n", fresh ? "fresh" : "starting",
                   fault_site_name(t->fault, i), (unsigned long long)most,
                   (unsigned long long)calls[i]);
    }
}

/* ---- the whole ---- */

int main(int argc, char **argv)
{
    if (argc < 4)
        process_fail("usage: disk_errors TWINHUB FAULT_SO LAPS [SEED]");
    static struct trial t;
    t.laps = (unsigned)strtoul(argv[3], NULL, 10);
    t.seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)time(NULL);
    hub_create(&t.hub, argv[1]);
    t.fault = fault_begin(&t.hub, argv[2]);
    load_init(&t.load, &t.hub, t.seed + 1);
    hub_start(&t.hub, settings);
    load_create_twins(&t.load);
    run_load(&t);
    hub_end(&t.hub, SIGKILL);
    run_starts(&t, false);
    hub_start(&t.hub, settings);
    load_verify(&t.load);
    hub_end(&t.hub, SIGKILL);
    run_starts(&t, true);
    printf("%u rounds, in %u the call failed; acknowledged: %llu reported, %llu desired\n",
           t.rounds, t.reached, (unsigned long long)t.load.acked[REPORTED],
           (unsigned long long)t.load.acked[DESIRED]);
    verdict("ends without exit code 70", t.wrong_codes, "", 0);
    verdict("acknowledgements after the failing call", t.late_acks, "", 0);
    verdict("changes lost, doubled or torn", t.load.wrong, "", 0);
    verdict("starts that went wrong", t.wrong_starts, "", 0);
    verdict_times("from the failure to the exit", t.took_ms, t.tooks, EXIT_LIMIT_MS);
    verdict_times("from space to an acknowledgement", t.again_ms, t.agains, AGAIN_LIMIT_MS);
    verdict_that("most calls were reached", t.reached * 3 > t.rounds * 2);
    load_fini(&t.load);
    fault_end(t.fault);
    hub_destroy(&t.hub);
    return verdict_exit();
}
