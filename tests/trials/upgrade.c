/* An upgrade that is killed (trial F13). The program of before the journal runs under load and is
 * killed. Copies of its data directory are taken over by this program, which is killed three times
 * at any moment of its start; started once more, it shows every acknowledged change, each twin
 * whole. After that the older program refuses the directory by name.
 *
 *   upgrade TWINHUB OLDER ROUNDS [SEED]     OLDER: a program that knows no journal
 *
 * Exit 0: passed.
 */
#include "kill_load.h"

#include "base/test.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

enum { READY_MS = 10000, LOAD_MS = 1000, KILLS = 3, LATER_MS = 20 };

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void run_and_wait(const char *const *argv, const char *log)
{
    if (process_end(process_start(argv, log), 0) != 0)
        process_fail("%s %s failed", argv[0], argv[1]);
}

/* A load on the older program, until it is killed. */
static void fill(struct hub *hub, struct load *load)
{
    hub_start(hub, NULL);
    load_create_twins(load);
    load_connect(load);
    for (int64_t until = now_ns() + READY_MS * 1000000LL; !load_is_ready(load) && now_ns() < until;)
        load_run(load, 2);
    load_run(load, LOAD_MS);
    hub_end(hub, SIGKILL);
    load_drain(load);
    load_close(load);
}

static void start_and_kill(const struct hub *hub, int64_t ms)
{
    const char *const argv[] = {hub->program, "serve",   "--data", hub->data, "--bind",
                                hub->bind,    "--mqtts", "18883",  "--https", "18443",
                                "--shards",   "2",       NULL};
    pid_t pid = process_start(argv, hub->log);
    sleep_ms(ms);
    process_end(pid, SIGKILL);
}

/* The older program's exit code on what is there, and whether it says why. */
static void refuse(struct hub *hub, const char *older)
{
    char log[128];
    snprintf(log, sizeof(log), "%s/older", hub->root);
    const char *const argv[] = {older, "serve", "--data", hub->data, "--bind", hub->bind, NULL};
    int status = process_end(process_start(argv, log), 0);
    FILE *f = fopen(log, "re");
    char text[1024] = "";
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f)
        fclose(f);
    printf("the older program says: %.*s", (int)n, text);
    verdict_that("the older program ends with exit code 78",
                 WIFEXITED(status) && WEXITSTATUS(status) == 78);
    verdict_that("and says what to do",
                 strstr(text, "uses features this twinhub does not know") &&
                     strstr(text, "start the version of twinhub that wrote"));
}

int main(int argc, char **argv)
{
    struct hub hub;
    static struct load load;
    if (argc < 4)
        process_fail("usage: upgrade TWINHUB OLDER ROUNDS [SEED]");
    unsigned rounds = (unsigned)strtoul(argv[3], NULL, 10);
    uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    hub_create(&hub, argv[2]);
    load_init(&load, &hub, seed + 1);
    fill(&hub, &load);
    char original[sizeof(hub.data)];
    memcpy(original, hub.data, sizeof(original));
    snprintf(hub.data, sizeof(hub.data), "%s/taken", hub.root);
    hub.program = argv[1];
    int64_t start_ms = 100;
    for (unsigned round = 0; round < rounds; round++) {
        const char *const cp[] = {"/bin/cp", "-a", original, hub.data, NULL};
        nftw(hub.data, drop, 8, FTW_DEPTH | FTW_PHYS);
        run_and_wait(cp, hub.log);
        for (int i = 0; i < KILLS; i++)
            start_and_kill(&hub, (int64_t)(test_random(&seed) % (uint64_t)(start_ms + LATER_MS)));
        start_ms = hub_start(&hub, NULL);
        load_verify(&load);
        hub_end(&hub, round % 2 ? SIGKILL : SIGTERM);
    }
    printf("%u rounds of %d kills; acknowledged before: %llu reported, %llu desired\n", rounds,
           KILLS, (unsigned long long)load.acked[REPORTED],
           (unsigned long long)load.acked[DESIRED]);
    verdict("changes lost, doubled or torn", load.wrong, "", 0);
    verdict_that("there was a load", load.acked[REPORTED] > 100 && load.acked[DESIRED] > 100);
    refuse(&hub, argv[2]);
    load_fini(&load);
    hub_destroy(&hub);
    return verdict_exit();
}
