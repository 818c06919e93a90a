/* kill_load.h — devices and a back end that write as fast as they are answered, and believe
 * nothing.
 *
 * Each twin has an MQTT connection with up to four reported patches (every other twin at QoS 1) and
 * now and then a read in flight; sixteen REST connections patch desired properties and tags of
 * twins chosen at random. Everything that comes back is held against the twins' histories.
 *
 * Units    times in ms
 * Memory   the load's own; its twins stay from one run to the next
 * Threads  one
 * Errors   what should not be is printed and counted in `wrong`
 * Source   spec mqtt 3, 7; service-rest 1, 4
 */
#ifndef CRASH_KILL_LOAD_H
#define CRASH_KILL_LOAD_H

#include "hub.h"
#include "kill_history.h"

enum { LOAD_DEVICES = 44, LOAD_MODULES = 20, LOAD_TWINS = LOAD_DEVICES + LOAD_MODULES };

struct load_twin {
    char device[32], module[32]; /* module empty: the device's own */
    struct history history;
    bool patched; /* a desired write is under way, or was when the hub went */
};

struct load {
    struct hub *hub;
    struct load_twin twins[LOAD_TWINS];
    struct peer *peers;
    uint32_t next_unit;
    uint64_t seed;
    bool stopping;       /* refusals that say so are no wonder */
    bool no_writes;      /* answers only; see load_drain */
    bool no_space;       /* writes may be refused for want of space */
    unsigned open;       /* connections */
    unsigned wrong;      /* what should not have been */
    unsigned resets;     /* connections that ended with an error, not an end */
    unsigned unanswered; /* requests whose connection ended before their answer */
    int64_t last_ack_ns; /* of a write; monotonic */
    uint64_t acked[SECTIONS], reads, pushes, refused;
};

void load_init(struct load *l, struct hub *hub, uint64_t seed);
void load_fini(struct load *l);
void load_create_twins(struct load *l);

void load_connect(struct load *l);
bool load_is_ready(const struct load *l); /* all devices have subscribed */
/* Write and read for `ms`, or until all connections have ended. */
void load_run(struct load *l, int64_t ms);
/* Send nothing new, and take what comes back until nothing is under way: whether it came to that in
 * ten seconds. What is still under way when its connection closes may be carried out later. */
bool load_drain(struct load *l);
/* Close what is left. */
void load_close(struct load *l);

/* The hub was started anew: read every twin, and forget what did not last. */
void load_verify(struct load *l);
/* A twin as the service sees it: the HTTP status; *body is good until the next call. */
int load_get(struct load *l, const struct load_twin *t, struct span *body);
/* Something should not have been. */
void load_wrong(struct load *l, const struct load_twin *t, const struct buf *why);

#endif
