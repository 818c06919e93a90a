#include "report.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct report report;

void report_failure(const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "seed %llu, step %u: ", (unsigned long long)report.seed, report.step);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  again: sim --seed %llu --verbose\n", (unsigned long long)report.seed);
    _exit(1);
}

void report_say(const char *format, ...)
{
    if (!report.verbose)
        return;
    va_list args;
    printf("%5u ", report.step);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static void on_abort(int signal)
{
    char line[64];
    int n = snprintf(line, sizeof(line), "seed %llu, step %u\n", (unsigned long long)report.seed,
                     report.step);
    if (write(STDERR_FILENO, line, (size_t)n) == n)
        _exit(128 + signal);
    _exit(128 + signal);
}

void report_on_abort(void)
{
    signal(SIGABRT, on_abort);
}
