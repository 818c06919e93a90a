/* identity_command.h — what the commands for devices and modules share.
 *
 * Threads  one
 * Errors   exit codes (cli.h); where one comes back, why has been said
 */
#ifndef CLI_IDENTITY_COMMAND_H
#define CLI_IDENTITY_COMMAND_H

#include "cli/client.h"

/* Are the arguments ids? An id with a slash would name another place than it says. */
int identity_check(const struct args *a, const char *device, const char *module);

/* The member "authentication" (spec registry 3) from --key, --thumbprint and --ca-signed; nothing
 * when none is given, and the hub then makes two keys. */
int identity_put_authentication(struct buf *b, const struct args *a);

/* "HostName=localhost;DeviceId=d1;SharedAccessKey=..." as a device or module takes it: without the
 * port, since devices speak MQTT. With certificates ";x509=true" stands in the key's place. */
void identity_put_connection(struct buf *b, const struct connection *c, struct doc_node identity);

/* PUT a new identity (all of its JSON) and print its connection string, or with --json itself. */
int identity_create(const struct args *a, const char *device, const char *module, struct span body);
/* GET and print it. */
int identity_show(const struct args *a, const char *device, const char *module);
int identity_delete(const struct args *a, const char *device, const char *module);

/* "never" for the service's never, else the text. */
struct span identity_time(struct doc_node identity, const char *name);

#endif
