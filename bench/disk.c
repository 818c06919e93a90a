/* disk — what the disk alone costs: write 512 bytes into a zeroed file, fdatasync, again.
 *
 *   disk DIR [SECONDS]
 *
 * Prints p50, p90, p99 and the longest in µs: the floor of a lone durable change.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "latency.h"

enum { BLOCK = 512, FILE_SIZE = 16 << 20 };

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "disk: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A file that does not grow while it is measured, as the hub's journal does not. */
static int open_zeroed(const char *dir)
{
    static const char zeros[65536];
    char path[4096];
    snprintf(path, sizeof(path), "%s/disk-XXXXXX", dir);
    int fd = mkstemp(path);
    if (fd < 0)
        fail(dir);
    unlink(path);
    for (int at = 0; at < FILE_SIZE; at += (int)sizeof(zeros))
        if (write(fd, zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros))
            fail("write");
    if (fsync(fd) != 0)
        fail("fsync");
    return fd;
}

int main(int argc, char **argv)
{
    static struct latency latency;
    char block[BLOCK];
    if (argc < 2) {
        fprintf(stderr, "usage: disk DIR [SECONDS]\n");
        return 2;
    }
    memset(block, 'x', sizeof(block));
    int fd = open_zeroed(argv[1]);
    int64_t start = now_ns(), end = start + (argc > 2 ? atoll(argv[2]) : 2) * 1000000000;
    for (int64_t at = start, done, offset = 0; at < end; at = done) {
        if (pwrite(fd, block, sizeof(block), offset) != (ssize_t)sizeof(block))
            fail("write");
        if (fdatasync(fd) != 0)
            fail("fdatasync");
        done = now_ns();
        latency_add(&latency, done - at);
        offset = (offset + BLOCK) % FILE_SIZE;
    }
    close(fd);
    printf("syncs_per_s=%.0f p50_us=%.0f p90_us=%.0f p99_us=%.0f max_us=%.0f\n",
           (double)latency.count / ((double)(now_ns() - start) / 1e9), latency_us(&latency, 0.5),
           latency_us(&latency, 0.9), latency_us(&latency, 0.99), latency_us(&latency, 1));
    return 0;
}
