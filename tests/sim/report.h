/* report.h — how a run says what it found: one line with the seed, then the process ends.
 *
 * Threads  one
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include <stdbool.h>
#include <stdint.h>

/* What is being run; every report begins with it. */
extern struct report {
    uint64_t seed;
    unsigned step;
    bool verbose;
} report;

/* The hub broke a promise: say it with the command that shows it again, and exit 1. */
_Noreturn void report_failure(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line of the readable trace, when it was asked for. */
void report_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A CHECK that fails says the seed, too. */
void report_on_abort(void);

/* A promise of the hub's. */
#define PROMISE(condition, ...)          \
    do {                                 \
        if (!(condition))                \
            report_failure(__VA_ARGS__); \
    } while (0)

#endif
