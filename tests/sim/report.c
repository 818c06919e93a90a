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
    char line[] = "seed 00000000000000000000\n";
    char *at = line + sizeof(line) - 2;
    for (uint64_t n = report.seed; n; n /= 10)
        *--at = (char)('0' + n % 10);
    ssize_t n = write(STDERR_FILENO, line, sizeof(line) - 1);
    _exit(n < 0 ? 1 : 128 + signal);
}

void report_on_abort(void)
{
    signal(SIGABRT, on_abort);
}
