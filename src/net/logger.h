/* logger.h — log lines to a file descriptor, never in the way of the data (trials F15).
 *
 * Lines go into a ring of fixed size; a thread of the logger writes them out. When the reader of
 * the log is stuck and the ring is full, lines are dropped and counted, and a line saying how many
 * is written once there is room again.
 *
 * Units    bytes
 * Memory   logger_create's result is the caller's until logger_destroy
 * Threads  logger_put: any; the others: the owner's
 * Errors   none
 */
#ifndef NET_LOGGER_H
#define NET_LOGGER_H

#include "base/span.h"

struct logger;

/* `fd` stays the caller's. `json` is the form of the line that tells of dropped ones. */
struct logger *logger_create(int fd, size_t ring_size, bool json);
/* Writes what is left, for at most half a second. NULL is harmless. */
void logger_destroy(struct logger *l);
/* The same without freeing, for a process that ends while other threads may still log. Once. */
void logger_finish(struct logger *l);

/* Whole lines, as log_end leaves them. Never waits for the reader. */
void logger_put(struct logger *l, struct span lines);
/* Lines dropped since the start. Any thread. */
uint64_t logger_dropped(struct logger *l);

#endif
