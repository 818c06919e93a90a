/* finds_test.c — the simulator finds faults: each of fault.h, planted in the world around the
 * shards, in the disk and the base, or in the keeper. Each is tried in a process of its own, for it
 * ends in its finding; and the seed that finds it finds nothing without it. */
#include "run.h"

#include "base/test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEEDS = 600 };

static const struct {
    const char *name, *text;
} faults[] = {
#define X(name, text) {#name, text},
    FAULTS(X)
#undef X
};

/* The first seed that found it when this was written; all that draws on the seed may move it. */
/* clang-format off */
static const uint64_t seeds[FAULT_COUNT] = {
    [FAULT_EARLY_DURABLE]       = 1,
    [FAULT_LATE_SYNC]           = 3,
    [FAULT_LOST_UPDATE]         = 1,
    [FAULT_LOST_DELETE]         = 5,
    [FAULT_STALE_LOAD]          = 7,
    [FAULT_WRONG_COUNTS]        = 1,
    [FAULT_SWAPPED_SENDS]       = 1,
    [FAULT_LOST_SEND]           = 1,
    [FAULT_DOUBLE_SEND]         = 1,
    [FAULT_STRAY_PUSH]          = 30,
    [FAULT_STRAY_ANSWER]        = 1,
    [FAULT_KEPT_OPEN]           = 1,
    [FAULT_SAME_RANDOM]         = 1,
    [FAULT_DISK_NO_SYNC]        = 2,
    [FAULT_DISK_NO_NAMES]       = 9,
    [FAULT_BASE_NO_SYNC]        = 13,
    [FAULT_BASE_TORN]           = 13,
    [FAULT_BASE_LOST_RECORD]    = 2,
    [FAULT_BASE_LOST_DELETE]    = 13,
    [FAULT_BASE_STALE]          = 5,
    [FAULT_ACK_BEFORE_SYNC]     = 7,
    [FAULT_RETRIED_SYNC]        = 231,
    [FAULT_KNOWN_TOO_EARLY]     = 102,
    [FAULT_SECRET_LOST]         = 2,
    [FAULT_NO_BODY_CHECK]       = 22,
    [FAULT_NO_CHAIN_CHECK]      = 216,
    [FAULT_STOPS_EARLY]         = 2,
    [FAULT_NOT_WRITTEN_AGAIN]   = 45,
    [FAULT_BASE_NOT_SYNCED]     = 357,
    [FAULT_COUNTS_NOT_REPLAYED] = 2,
    [FAULT_DELETE_NOT_REPLAYED] = 13,
    [FAULT_HOT_DELETE_UNSEEN]   = 13,
    [FAULT_FORGETS_UNWRITTEN]   = 11,
    [FAULT_FORGETS_NEWER]       = 5,
    [FAULT_BASE_AHEAD]          = 22,
    [FAULT_MARK_AHEAD]          = 3,
    [FAULT_DELETE_NOT_WRITTEN]  = 13,
    [FAULT_COUNTS_ALONE]        = 3,
    [FAULT_REMOVED_EARLY]       = 2,
    [FAULT_SEGMENT_NOT_SYNCED]  = 3,
    [FAULT_NAME_NOT_SYNCED]     = 12,
    [FAULT_HISTORY_SKIPPED]     = 28,
    [FAULT_HISTORY_NOT_SYNCED]  = 35,
};
/* clang-format on */

static _Noreturn void play(uint64_t seed, enum fault fault, int out)
{
    dup2(out, STDERR_FILENO);
    report_on_abort();
    run_play(seed, fault);
    _exit(0);
}

/* What the run said when it ended; 0: it found nothing. */
static int find(uint64_t seed, enum fault fault, char *said, size_t room)
{
    int ends[2], status;
    size_t len = 0;
    EXPECT_EQ(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0)
        play(seed, fault, ends[1]);
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

/* The seed that finds it: the known one, or another; 0: none does. */
static uint64_t seek(enum fault fault, char *said, size_t room)
{
    uint64_t known = seeds[fault];
    if (known && find(known, fault, said, room))
        return known;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        if (find(seed, fault, said, room))
            return seed;
    return 0;
}

TEST(each_planted_fault_is_found_and_nothing_without_it)
{
    for (int fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
        char said[4096];
        uint64_t seed = seek((enum fault)fault, said, sizeof(said));
        printf("%s, %s: %.200s\n", faults[fault].name, faults[fault].text, said);
        if (seed && seed != seeds[fault])
            printf("  [FAULT_%s] = %llu,\n", faults[fault].name, (unsigned long long)seed);
        if (!seed)
            fail_msg("%s: not found in %d seeds", faults[fault].text, SEEDS);
        if (find(seed, FAULT_NONE, said, sizeof(said)))
            fail_msg("seed %llu fails without a fault: %s", (unsigned long long)seed, said);
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

TEST_MAIN(RUN(each_planted_fault_is_found_and_nothing_without_it),
          RUN(the_same_seed_gives_the_same_trace))
