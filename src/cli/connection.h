/* connection.h — which hub, and by what key: service connection strings and the data directory.
 *
 *   HostName=localhost:8443;SharedAccessKeyName=iothubowner;SharedAccessKey=BASE64
 *
 * Memory   struct connection owns what it holds until connection_fini, which wipes the key
 * Threads  one
 * Source   spec service-rest 5.1; the SDKs' connection strings
 */
#ifndef CLI_CONNECTION_H
#define CLI_CONNECTION_H

#include "auth/identity.h"
#include "cli/args.h"

enum { HOST_MAX = 253, CONNECTION_POLICY_MAX = 64 };

struct connection {
    char host[HOST_MAX + 1]; /* without the port; an IPv6 address without its brackets */
    uint16_t port;
    char policy[CONNECTION_POLICY_MAX + 1];
    struct key key;
    char *ca;   /* path of a PEM file; NULL: what the system trusts */
    char *data; /* the directory all this was read from; NULL: from a connection string */
};

/* Fields in any order, their names in any case, unknown ones ignored, white space around it all
 * too. False, with a sentence, when it is not one of a service. *out is zeroed first. */
MUST_USE bool connection_parse(struct span text, struct connection *out, struct buf *why);
void connection_fini(struct connection *c);

/* Find the hub: --connection-string or --data, then TWINHUB_CONNECTION_STRING, then TWINHUB_DATA or
 * the default data directory. The CA: --ca, TWINHUB_CA, or ca.pem of the data directory.
 * EXIT_OK; otherwise an exit code, and what is wrong and what to do have been said. */
int connection_find(const struct args *a, struct connection *out);

/* "localhost:8443"; the port only if it is not 443. */
void connection_put_address(struct buf *b, const struct connection *c);
/* The service connection string. */
void connection_put(struct buf *b, const struct connection *c);
/* Is the host this machine? Then no proxy stands between. */
bool connection_is_loopback(const struct connection *c);

#endif
