/* service.h — the service's side of a trial: REST calls on one connection, one after the other.
 *
 * Units    bytes
 * Memory   a response's body is good until the next call
 * Threads  one a service
 * Errors   a hub that does not answer as expected ends the process with one line
 * Source   spec service-rest 1, 5; registry 6
 */
#ifndef FLEET_SERVICE_H
#define FLEET_SERVICE_H

#include <netinet/in.h>

#include "base/buf.h"

struct service {
    struct sockaddr_in to;
    int fd;
    struct buf host;          /* from the connection string, without its port */
    struct buf token;         /* good for SERVICE_TOKEN_S */
    struct buf request, body; /* private: scratch */
    struct buf response;      /* private: the last one */
};

enum {
    SERVICE_BULK_MAX = 100,       /* entries of one bulk call */
    SERVICE_TOKEN_S = 1000000000, /* some trials move the clock by years */
};

/* Read `connection`, a file with a service connection string; `to` is the plain REST listener. */
void service_open(struct service *s, struct sockaddr_in to, const char *connection);
void service_fini(struct service *s);

/* One call. Comes back with the HTTP status; *body is the response's. */
int service_call(struct service *s, const char *method, const char *path, struct span request,
                 struct span *body);

/* Create devices first .. first + count, or make them as new: keys by device_key, the desired
 * section `desired` (JSON). */
void service_create_devices(struct service *s, const char *prefix, uint32_t first, uint32_t count,
                            const char *desired);

/* Add one bulk call's worth of desired patches: for each of `count` (<= SERVICE_BULK_MAX) devices
 * from `first`, {"mark":"<its id>","round":round,"pad":"xx…"} with `pad` characters. */
void service_mark_devices(struct service *s, const char *prefix, uint32_t first, uint32_t count,
                          unsigned round, size_t pad);

/* "127.0.0.1:8080"; ends the process when it is not such. */
struct sockaddr_in service_address(const char *text);

#endif
