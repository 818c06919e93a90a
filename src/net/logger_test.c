#include "net/logger.h"

#include "base/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"
#include "net/system.h"

static struct buf read_all(int fd)
{
    struct buf b = {0};
    for (;;) {
        buf_reserve(&b, 4096);
        ssize_t n = read(fd, b.data + b.len, 4096);
        if (n <= 0)
            return b;
        b.len += (size_t)n;
    }
}

TEST(lines_arrive_whole_and_in_order)
{
    int pipe_fd[2];
    EXPECT(pipe(pipe_fd) == 0);
    struct logger *l = logger_create(pipe_fd[1], 4096, false);
    int written = 0, sum = 0;
    for (int i = 0; i < 500; i++) {
        char line[32];
        int len = snprintf(line, sizeof(line), "line %d\n", i);
        logger_put(l, span_of(line, (size_t)len));
        sum += len;
        if (i % 50 == 0)
            usleep(1000);
    }
    uint64_t dropped = logger_dropped(l);
    for (int i = 0; i < 20000 && !dropped && written < sum; i++) { /* its end waits half a second */
        usleep(1000);
        EXPECT(ioctl(pipe_fd[0], FIONREAD, &written) == 0);
    }
    logger_destroy(l);
    close(pipe_fd[1]);
    struct buf got = read_all(pipe_fd[0]);
    close(pipe_fd[0]);
    buf_byte(&got, 0);
    int next = 0;
    for (char *at = (char *)got.data; *at; at = strchr(at, '\n') + 1) {
        if (strncmp(at, "line ", 5) != 0)
            continue; /* the line about dropped ones */
        EXPECT(atoi(at + 5) >= next);
        next = atoi(at + 5) + 1;
    }
    EXPECT(dropped > 0 || next == 500);
    buf_fini(&got);
}

/* The sum of what the lines about dropped ones say. */
static uint64_t told_dropped(struct span log)
{
    static const char line[] = "msg=\"log lines dropped\" count=";
    uint64_t sum = 0;
    const uint8_t *at;
    while ((at = memmem(log.data, log.len, line, strlen(line)))) {
        log = span_skip(log, (size_t)(at - log.data) + strlen(line));
        uint64_t count;
        if (span_index(log, '\n') < log.len &&
            text_u64(span_first(log, span_index(log, '\n')), &count))
            sum += count;
    }
    return sum;
}

TEST(a_stuck_reader_blocks_nobody_and_the_log_tells_what_it_missed)
{
    int pipe_fd[2];
    EXPECT(pipe(pipe_fd) == 0);
    struct logger *l = logger_create(pipe_fd[1], 8192, false);
    int64_t start = system_now().mono_ms;
    for (int i = 0; i < 100000; i++)
        logger_put(l, SPAN("a line of the log, of which there are far too many\n"));
    EXPECT(system_now().mono_ms - start < 5000);
    uint64_t dropped = logger_dropped(l);
    EXPECT(dropped > 90000);
    /* The reader is back: the rest arrives, and lines in between say how many did not. */
    fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK);
    struct buf got = {0};
    for (uint64_t told = 0; told != dropped;) {
        struct buf part = read_all(pipe_fd[0]);
        buf_put(&got, buf_span(&part));
        buf_fini(&part);
        told = told_dropped(buf_span(&got));
        usleep(1000);
    }
    buf_fini(&got);
    logger_destroy(l);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

TEST(a_logger_with_a_stuck_reader_still_ends)
{
    int pipe_fd[2];
    EXPECT(pipe(pipe_fd) == 0);
    struct logger *l = logger_create(pipe_fd[1], 1 << 20, true);
    for (int i = 0; i < 20000; i++)
        logger_put(l, SPAN("{\"msg\":\"nobody reads this line\"}\n"));
    int64_t start = system_now().mono_ms;
    logger_destroy(l);
    EXPECT(system_now().mono_ms - start < 20000);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

TEST(the_clocks_run)
{
    struct now a = system_now();
    usleep(3000);
    struct now b = system_now();
    EXPECT(a.wall_ms > 1700000000000);
    EXPECT(b.mono_ms > a.mono_ms);
    EXPECT(random_u64(system_random()) != random_u64(system_random()));
}

TEST(prepare_raises_the_limit_of_open_files)
{
    struct rlimit files;
    EXPECT(getrlimit(RLIMIT_NOFILE, &files) == 0);
    struct rlimit low = {.rlim_cur = 128, .rlim_max = files.rlim_max};
    EXPECT(setrlimit(RLIMIT_NOFILE, &low) == 0);
    EXPECT_EQ(system_prepare(), files.rlim_max);
    EXPECT(getrlimit(RLIMIT_NOFILE, &files) == 0);
    EXPECT_EQ(files.rlim_cur, files.rlim_max);
}

TEST_MAIN(RUN(lines_arrive_whole_and_in_order),
          RUN(a_stuck_reader_blocks_nobody_and_the_log_tells_what_it_missed),
          RUN(a_logger_with_a_stuck_reader_still_ends), RUN(the_clocks_run),
          RUN(prepare_raises_the_limit_of_open_files))
