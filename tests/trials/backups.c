/* Backup and restore under load (trial F14). Devices and a back end write as fast as they are
 * answered while `twinhub backup` copies the data directory; they write on, the hub is killed, and
 * `twinhub restore` makes a data directory of the backup, in which the hub starts. Then
 *
 *   every twin is in a state it had between the backup's begin and its end, whole;
 *   no change is there without one that was acknowledged before it was sent;
 *   every version is higher than any that was handed out before, and the devices, which are back,
 *   are answered with those.
 *
 *   backups TWINHUB ROUNDS [SEED]
 *
 * Exit 0: passed.
 */
#include "kill_load.h"

#include "base/test.h"

#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

enum { READY_MS = 10000, BEFORE_MS = 300, AFTER_MS = 200 };

/* A small tail, so that segments are begun and become history all the time. */
static const char *const settings[] = {"--journal-tail", "4M", NULL};

struct trial {
    struct hub hub;
    struct load load;
    uint64_t seed;
    char backup[128];
    int64_t raised, raised_by; /* in all, and by the newest restore */
    struct history_mark begin[LOAD_TWINS], sent[LOAD_TWINS];
    unsigned rounds, bad_exits, out_of_order, not_higher;
    int64_t *backup_ms, *restore_ms;
};

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void drop_all(const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            nftw(found.gl_pathv[i], drop, 8, FTW_DEPTH | FTW_PHYS);
    globfree(&found);
}

static int64_t random_ms(struct trial *t, int max)
{
    return 5 + (int64_t)(test_random(&t->seed) % (uint64_t)max);
}

/* ---- the backup, while everybody writes ---- */

static void connect_all(struct trial *t, unsigned round)
{
    struct load *l = &t->load;
    load_connect(l);
    for (int64_t until = now_ns() + READY_MS * 1000000LL; !load_is_ready(l) && now_ns() < until;)
        load_run(l, 2);
    if (!load_is_ready(l))
        process_fail("round %u: not all connect within %d ms", round, READY_MS);
}

/* Comes back with its exit code. */
static int back_up(struct trial *t, unsigned round)
{
    struct load *l = &t->load;
    const char *const argv[] = {t->hub.program, "backup", t->backup, "--data", t->hub.data, NULL};
    int status = 0;
    for (unsigned i = 0; i < LOAD_TWINS; i++)
        t->begin[i] = history_mark(&l->twins[i].history);
    int64_t began = now_ns();
    pid_t pid = process_start(argv, t->hub.log);
    while (waitpid(pid, &status, WNOHANG) != pid)
        load_run(l, 2);
    t->backup_ms[round] = (now_ns() - began) / 1000000;
    for (unsigned i = 0; i < LOAD_TWINS; i++)
        t->sent[i] = history_sent(&l->twins[i].history);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* What the newest restore in the log says. */
static int64_t raised_by(struct span log)
{
    const struct span name = SPAN("\"raised\":");
    const uint8_t *at, *newest = NULL;
    while ((at = memmem(log.data, log.len, name.data, name.len))) {
        newest = at + name.len;
        log = span_skip(log, (size_t)(newest - log.data));
    }
    return newest ? strtoll((const char *)newest, NULL, 10) : 0;
}

static void restore(struct trial *t, unsigned round)
{
    const char *const argv[] = {t->hub.program, "restore",   t->backup, "--force",
                                "--data",       t->hub.data, "--json",  NULL};
    int64_t began = now_ns();
    int status = process_end(process_start(argv, t->hub.log), 0);
    t->restore_ms[round] = (now_ns() - began) / 1000000;
    struct buf log = hub_file(&t->hub, "log");
    if (status == 0) {
        t->raised_by = raised_by(buf_span(&log));
        buf_fini(&log);
        return;
    }
    size_t skip = log.len > 2000 ? log.len - 2000 : 0;
    process_fail("round %u: restore ended with %d: %.*s", round, status,
                 SPAN_ARG(span_skip(buf_span(&log), skip)));
}

/* ---- what the restored hub shows ---- */

static void judge(struct trial *t)
{
    struct load *l = &t->load;
    uint32_t newest = 0, missing = UINT32_MAX;
    int64_t before = t->raised;
    t->raised += t->raised_by;
    for (unsigned i = 0; i < LOAD_TWINS; i++) {
        struct load_twin *twin = &l->twins[i];
        struct history_mark seen = history_sent(&twin->history);
        struct history_cut cut = {.missing = UINT32_MAX};
        struct buf why = {0};
        struct span body;
        int http = load_get(l, twin, &body);
        if (http != 200)
            buf_printf(&why, "GET answers %d: %.*s", http, SPAN_ARG(body));
        if (http != 200 ||
            !history_restore(&twin->history, t->begin[i], t->sent[i], t->raised, body, &cut, &why))
            load_wrong(l, twin, &why);
        struct history_mark shown = history_mark(&twin->history);
        for (int s = 0; s < SECTIONS; s++)
            t->not_higher += t->raised + shown.acked[s] <= before + seen.acked[s];
        newest = cut.newest > newest ? cut.newest : newest;
        missing = cut.missing < missing ? cut.missing : missing;
        twin->patched = false;
        buf_fini(&why);
    }
    /* Units are given in the order of sending. */
    t->out_of_order += missing <= newest;
}

static void run_round(struct trial *t, unsigned round)
{
    struct load *l = &t->load;
    connect_all(t, round);
    load_run(l, random_ms(t, BEFORE_MS));
    t->bad_exits += back_up(t, round) != 0;
    load_run(l, random_ms(t, AFTER_MS));
    hub_end(&t->hub, SIGKILL);
    load_drain(l);
    load_close(l);
    restore(t, round);
    hub_start(&t->hub, settings);
    judge(t);
    drop_all(t->backup);
    char aside[160];
    snprintf(aside, sizeof(aside), "%s.before-*", t->hub.data);
    drop_all(aside);
}

/* The devices are back once more, and what is on disk is sound. */
static void end(struct trial *t)
{
    uint64_t reads = t->load.reads;
    connect_all(t, t->rounds);
    load_run(&t->load, BEFORE_MS);
    t->load.stopping = true;
    int code = hub_end(&t->hub, SIGTERM);
    load_close(&t->load);
    verdict_that("devices are answered with the new versions", t->load.reads > reads);
    verdict_that("the hub stops", code == 0);
    const char *const argv[] = {t->hub.program, "check", "--data", t->hub.data, NULL};
    verdict_that("the check finds nothing", process_end(process_start(argv, t->hub.log), 0) == 0);
}

static void tell(struct trial *t)
{
    struct load *l = &t->load;
    printf("%u rounds; acknowledged: %llu reported, %llu desired; %llu reads, %llu pushes seen\n",
           t->rounds, (unsigned long long)l->acked[REPORTED], (unsigned long long)l->acked[DESIRED],
           (unsigned long long)l->reads, (unsigned long long)l->pushes);
    verdict("backups that were not made", t->bad_exits, "", 0);
    verdict("twins in a state they did not have then, or torn", l->wrong, "", 0);
    verdict("backups that are not of one moment", t->out_of_order, "", 0);
    verdict("versions not higher than before", t->not_higher, "", 0);
    verdict_that("there was a load", l->acked[REPORTED] > t->rounds && l->pushes > 0);
    printf("       a backup took %lld ms at the median, %lld at most; a restore %lld and %lld\n",
           (long long)percentile(t->backup_ms, t->rounds, 50),
           (long long)percentile(t->backup_ms, t->rounds, 100),
           (long long)percentile(t->restore_ms, t->rounds, 50),
           (long long)percentile(t->restore_ms, t->rounds, 100));
}

int main(int argc, char **argv)
{
    if (argc < 3)
        process_fail("usage: backups TWINHUB ROUNDS [SEED]");
    struct trial t = {.rounds = (unsigned)strtoul(argv[2], NULL, 10),
                      .seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)time(NULL)};
    printf("seed %llu\n", (unsigned long long)t.seed);
    t.backup_ms = calloc(t.rounds, sizeof(*t.backup_ms));
    t.restore_ms = calloc(t.rounds, sizeof(*t.restore_ms));
    if (!t.backup_ms || !t.restore_ms)
        process_fail("no memory");
    hub_create(&t.hub, argv[1]);
    snprintf(t.backup, sizeof(t.backup), "%s/backup", t.hub.root);
    load_init(&t.load, &t.hub, t.seed + 1);
    hub_start(&t.hub, settings);
    load_create_twins(&t.load);
    for (unsigned round = 0; round < t.rounds; round++)
        run_round(&t, round);
    end(&t);
    tell(&t);
    load_fini(&t.load);
    hub_destroy(&t.hub);
    free(t.backup_ms);
    free(t.restore_ms);
    return verdict_exit();
}
