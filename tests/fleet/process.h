/* process.h — another process: what it uses, and starting and ending one of our own.
 *
 * Units    CPU in seconds, memory in bytes
 * Threads  any
 * Errors   0 for a process that is gone
 */
#ifndef FLEET_PROCESS_H
#define FLEET_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

double process_cpu_s(pid_t pid); /* user and system time of all its threads */

struct process_memory {
    int64_t resident;  /* pages in memory, mapped files too */
    int64_t anonymous; /* of these, no file's: heap, stacks */
};
struct process_memory process_memory(pid_t pid);

/* What the kernel holds in TCP buffers for the whole machine. */
int64_t process_tcp_buffers(void);

/* Start a program with its output in the file `log` (appended). It dies with us. */
pid_t process_start(const char *const argv[], const char *log);
/* Signal it and wait for its end; comes back with its wait status. */
int process_end(pid_t pid, int signum);
/* As many open files as the system lets us. */
void process_raise_files(void);
/* One line on standard error, exit 1. */
_Noreturn void process_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
