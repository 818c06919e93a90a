/* store_metrics.h — the embedded keeper in /metrics.
 *
 * Threads  any
 */
#ifndef CLI_STORE_METRICS_H
#define CLI_STORE_METRICS_H

#include "store/embedded.h"

void store_metrics_put(struct buf *b, struct embedded *keeper);

#endif
