#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void process_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

double process_cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct process_memory process_memory(pid_t pid)
{
    struct process_memory memory = {0};
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return memory;
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "Rss:", 4) == 0)
            memory.resident = strtoll(line + 4, NULL, 10) * 1024;
        if (strncmp(line, "Anonymous:", 10) == 0)
            memory.anonymous = strtoll(line + 10, NULL, 10) * 1024;
    }
    fclose(f);
    return memory;
}

int64_t process_tcp_buffers(void)
{
    char line[256];
    int64_t bytes = 0;
    FILE *f = fopen("/proc/net/sockstat", "re");
    while (f && fgets(line, sizeof(line), f)) {
        const char *at = strncmp(line, "TCP:", 4) == 0 ? strstr(line, " mem ") : NULL;
        if (at)
            bytes = strtoll(at + 5, NULL, 10) * sysconf(_SC_PAGESIZE);
    }
    if (f)
        fclose(f);
    return bytes;
}

pid_t process_start(const char *const argv[], const char *log)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        process_fail("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL); /* a shell's background job ignores these, and so would the program */
    signal(SIGQUIT, SIG_DFL);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (getppid() != parent || out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(127);
    execv(argv[0], (char *const *)(uintptr_t)argv); /* NOLINT(performance-no-int-to-ptr): const */
    _exit(127);
}

int process_end(pid_t pid, int signum)
{
    int status = 0;
    kill(pid, signum);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

void process_raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
