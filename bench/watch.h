/* watch.h — whether a checkpoint is under way, asked of the hub's /metrics every 10 ms.
 *
 * Memory   watch_stop frees
 * Threads  one of its own; watch_running from any
 * Errors   a hub that does not answer ends the process with one line
 */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include <netinet/in.h>
#include <stdbool.h>

struct watch;

struct watch *watch_start(struct sockaddr_in rest, const char *connection);
bool watch_running(const struct watch *w);
void watch_stop(struct watch *w);

#endif
