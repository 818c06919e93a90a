/* system.h — the real clocks, random bytes and process limits: what pure code is handed.
 *
 * Threads  any
 */
#ifndef NET_SYSTEM_H
#define NET_SYSTEM_H

#include "base/clock.h"
#include "base/random.h"

struct now system_now(void);

/* getrandom(2). Ends the process if the kernel has none to give. */
struct random system_random(void);

/* Once, at start: no core dump or ptrace by others (keys are in memory; trials F37), and the limit
 * of open files raised to its hard maximum, which is returned. */
uint64_t system_prepare(void);

/* Once, before libuv and libcrypto are used: they allocate as we do, so that without memory the
 * process ends with exit code 70 and one line, and "no memory" is never taken for another answer.
 */
void system_memory(void);

#endif
