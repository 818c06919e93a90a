/* finds_test.c — the simulator finds faults: each of fault.h, planted in the world around the
 * shards, within a few seeds. Each is tried in a process of its own, for it ends in its finding. */
#include "run.h"

#include "base/test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEEDS = 40 };

static const char *const texts[] = {
#define X(name, text) text,
    FAULTS(X)
#undef X
};

static _Noreturn void play(enum fault fault, int out)
{
    dup2(out, STDERR_FILENO);
    report_on_abort();
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_play(seed, fault);
    _exit(0);
}

/* What the run said when it ended: 0 when it found nothing. */
static int find(enum fault fault, char *said, size_t room)
{
    int ends[2], status;
    size_t len = 0;
    EXPECT_EQ(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0)
        play(fault, ends[1]);
    close(ends[1]);
    for (ssize_t n; len < room - 1 && (n = read(ends[0], said + len, room - 1 - len)) > 0;)
        len += (size_t)n;
    char rest[512];
    while (read(ends[0], rest, sizeof(rest)) > 0)
        ;
    said[len] = 0;
    close(ends[0]);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
}

TEST(each_planted_fault_is_found)
{
    for (int fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
        char said[4096];
        int status = find((enum fault)fault, said, sizeof(said));
        printf("%s: %.100s\n", texts[fault], said);
        if (!status)
            fail_msg("%s: not found in %d seeds", texts[fault], SEEDS);
    }
}

TEST(the_same_seed_gives_the_same_trace)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct run_result first = run_play(seed, FAULT_NONE), second = run_play(seed, FAULT_NONE);
        EXPECT(first.changes > 0);
        EXPECT_EQ(first.hash, second.hash);
    }
    EXPECT(run_play(1, FAULT_NONE).hash != run_play(2, FAULT_NONE).hash);
}

TEST_MAIN(RUN(each_planted_fault_is_found), RUN(the_same_seed_gives_the_same_trace))
