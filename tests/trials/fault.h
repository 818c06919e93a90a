/* fault.h — what a hub on trial is made to suffer: calls that fail, a disk that is slow, memory
 * that runs out, a clock that jumps.
 *
 * fault.so, or memory.so for what is said of allocations, is preloaded into the hub. Both map one
 * file, struct fault_control: the library counts there what the program does, the trial writes
 * there what shall happen from now on. A call site is a call and the kind of file it is for: "write
 * journal/#.seg". Sites are numbered in the order in which they were first seen, and keep their
 * numbers when the hub is started again.
 *
 *   TWINHUB_FAULT_CONTROL   the file
 *   TWINHUB_FAULT_DIR       files below this directory count, as realpath gives it
 *
 * Units    times in us, ns or ms as their names say; ns are of the monotonic clock
 * Memory   fault_begin's is the caller's until fault_end
 * Threads  any; a site's rule should be changed only while none is armed
 * Errors   a machine that fails ends the trial with one line
 */
#ifndef TRIALS_FAULT_H
#define TRIALS_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum fault_call {
    FAULT_OPEN,
    FAULT_WRITE,
    FAULT_SYNC, /* fsync, fdatasync, msync */
    FAULT_RENAME,
    FAULT_UNLINK,
    FAULT_TRUNCATE,
    FAULT_READ,
    FAULT_CALLS
};

enum { FAULT_SITES = 256, FAULT_FILE = 40, FAULT_SHORT = -1 };

struct fault_site {
    _Atomic uint64_t seen; /* calls so far */
    uint32_t call;
    char file[FAULT_FILE]; /* below the directory; a long number is '#' */
};

struct fault_control {
    _Atomic uint32_t lock, site_count;
    struct fault_site sites[FAULT_SITES];
    /* The rule for one site: */
    _Atomic uint32_t site;     /* 1 + its number; 0: none */
    _Atomic uint64_t from;     /* from this call of it on … */
    _Atomic uint64_t upto;     /* … to this one */
    _Atomic int32_t error;     /* an errno value, or FAULT_SHORT: half is written */
    _Atomic int64_t pause_us;  /* which the first of them takes before it fails … */
    _Atomic uint32_t go_on;    /* … or until this is not 0 */
    _Atomic int64_t began_ns;  /* when that one was called; 0: none yet */
    _Atomic int64_t failed_ns; /* when it failed */
    _Atomic uint64_t failed;   /* how many have failed */
    /* For all: */
    _Atomic int64_t sync_us; /* each sync takes so much longer */
    _Atomic uint64_t allocations;
    _Atomic uint64_t no_memory_at; /* this one fails; 0: none */
    _Atomic int64_t wall_ms;       /* added to the wall clock … */
    _Atomic int64_t stuck_ms;      /* … which, if this is not 0, always says this */
};

struct hub;

/* The hub's next starts are with the library, fault.so or memory.so. */
struct fault_control *fault_begin(struct hub *h, const char *library);
void fault_end(struct fault_control *f);

/* "write journal/#.seg" */
const char *fault_site_name(const struct fault_control *f, uint32_t site);
/* Let `count` calls of a site fail, from its `nth` from now on. */
void fault_arm(struct fault_control *f, uint32_t site, uint64_t nth, uint64_t count, int error);
void fault_disarm(struct fault_control *f);

#endif
