/* hub.h — a hub of one's own for a trial: its folder, its process, its service.
 *
 * The folder is a fresh one under TMPDIR and goes with hub_destroy. Each hub binds a loopback
 * address of its own, so that trials may run beside each other.
 *
 *   struct hub hub;
 *   hub_create(&hub, argv[1]);
 *   hub_start(&hub, NULL);
 *   …
 *   CHECK(hub_end(&hub, SIGTERM) == 0);
 *   hub_destroy(&hub);
 *
 * Units    times in ms unless a name says _ns
 * Memory   `program` is borrowed
 * Threads  one
 * Errors   a hub that does not start ends the process with one line
 */
#ifndef TRIALS_HUB_H
#define TRIALS_HUB_H

#include <netinet/in.h>
#include <stdbool.h>

#include "process.h"
#include "service.h"

enum { HUB_MQTTS = 18883, HUB_HTTPS = 18443, HUB_MQTT = 11883, HUB_HTTP = 18080 };
enum { HUB_ARGS_MAX = 16 };

struct hub {
    const char *program;
    char bind[16];            /* the address */
    char root[64];            /* the trial's folder */
    char data[96], log[96];   /* the hub's data directory and its output */
    const char *log_to;       /* instead of `log`; NULL: there */
    const char *const *trace; /* put before the program: a tracer; NULL-ended */
    pid_t pid;                /* 0: not running */
    int64_t ready_ms;         /* what the last start took */
    struct service service;   /* opened by hub_start */
};

void hub_create(struct hub *h, const char *program);
void hub_destroy(struct hub *h); /* kills what still runs */

/* Start with further settings (NULL-ended, or NULL) and wait until it says it is ready. Comes back
 * with the time that took. */
int64_t hub_start(struct hub *h, const char *const *settings);
/* The same, for a hub that may not start: its exit code, or -1 when it is ready. */
int hub_try(struct hub *h, const char *const *settings);
/* Does `twinhub check` find its data sound? It does not run. What it says is in the log. */
bool hub_is_sound(const struct hub *h);
/* Is the program built with a sanitizer that has an allocator of its own? */
bool hub_is_sanitized(const struct hub *h);
/* Remove its data directory; it does not run. */
void hub_forget(const struct hub *h);
/* Signal it and wait: its exit code, or 128 + the signal it died of. */
int hub_end(struct hub *h, int signum);
/* Wait for its end at most so long: as hub_end, or -1 if it still runs. */
int hub_wait(struct hub *h, int within_ms);

struct sockaddr_in hub_address(const struct hub *h, uint16_t port);

/* Create a device, or a module if `module` is not NULL, with device_key(its own id). One that
 * is there already stays as it is. */
void hub_create_identity(struct hub *h, const char *device, const char *module);

/* A file of the hub: "log", or a name below its data directory. The caller frees with buf_fini. */
struct buf hub_file(const struct hub *h, const char *name);

/* Until the certificate that it makes in the background is there, half a minute at most. */
void hub_wait_rsa(const struct hub *h);

/* What the kernel says of its memory; bytes. */
struct hub_memory {
    int64_t virtual, resident, anonymous; /* the last: heap and stacks */
};
struct hub_memory hub_memory(const struct hub *h);

/* The sum of a metric over the shards, by /metrics; -1 when there is none. */
int64_t hub_metric(struct hub *h, const char *name);

/* ── small things that trials share ── */

int64_t now_ns(void); /* monotonic */
void sleep_ms(int64_t ms);

/* Percentile (0..100) of n values, which it sorts; 0 when there are none. */
int64_t percentile(int64_t *values, size_t n, double p);

/* The trial's verdict: prints name, figure and limit, and remembers if one was passed. */
void verdict(const char *figure, double value, const char *unit, double limit);
/* The same for times, which it sorts: their median, and of many the longest; of a few that would be
 * the machine's. */
void verdict_times(const char *figure, int64_t *ms, size_t n, double limit_ms);
/* The same for what must hold at all. */
void verdict_that(const char *claim, bool holds);
int verdict_exit(void); /* 0: all held */

#endif
