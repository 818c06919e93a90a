/* bulk.h — back ends at work: bulk calls of 100 entries, each on a connection and thread of its
 * own.
 *
 * bulk_create makes twins with tags and desired properties whose record takes some 800 bytes;
 * bulk_start begins to update them, one property of each, in an order that is random but leaves
 * none out: a pass goes through all before the next begins. An update changes no length.
 *
 * Units    times in ns
 * Memory   bulk_stop frees
 * Threads  one owner; the threads behind it are its own
 * Errors   a hub that refuses an entry ends the process with one line
 * Source   spec registry 6
 */
#ifndef BENCH_BULK_H
#define BENCH_BULK_H

#include <netinet/in.h>
#include <stdint.h>

#include "latency.h"

struct bulk;

struct bulk_config {
    struct sockaddr_in rest;
    const char *connection; /* file with a service connection string */
    const char *prefix;     /* of ids, as in devices.h */
    uint32_t devices;
    unsigned connections;
};

/* Comes back when they are all there, with how long it took. */
double bulk_create(const struct bulk_config *config);

struct bulk *bulk_start(const struct bulk_config *config);
/* How long the calls since the last time took, into `l`; comes back with the twins they updated. */
uint64_t bulk_take(struct bulk *b, struct latency *l);
void bulk_stop(struct bulk *b);

#endif
