/* username.h — the user name of an MQTT CONNECT: who connects, to which hub, with which client.
 *
 *   {host}/{device}[/{module}]/?api-version=...&DeviceClientType=...&model-id=...
 *   {host}/{device}[/{module}]/api-version=...[&...|/...]     older clients
 *   {host}/{device}[/{module}]                                raw MQTT clients
 *   {idScope}/registrations/{registrationId}/api-version=...  provisioning clients
 *
 * Units    bytes
 * Memory   spans borrow from the text, or from the caller's arena where decoding changed them
 * Threads  any
 * Errors   per function
 * Source   spec/mqtt.md section 2.3
 */
#ifndef WIRE_USERNAME_H
#define WIRE_USERNAME_H

#include "base/arena.h"
#include "base/span.h"
#include "base/status.h"

struct username {
    struct span host;        /* as sent, without :port; compare ignoring case */
    struct span device;      /* never empty; as sent: ids are not percent-decoded */
    struct span module;      /* empty for a device */
    struct span api_version; /* these three percent-decoded, empty when absent; */
    struct span client_type; /* what does not decode (bad `%`, NUL, not UTF-8) stays as sent */
    struct span model_id;
    /* Segment 2 is "registrations" and segment 3 is there. Unless `host` is a name of this hub,
     * this is a provisioning client: `host` is the id scope, `module` the registration id. */
    bool is_registration;
};

/*   OK            *out is filled
 *   UNAUTHORIZED  none of the forms: no host, no device, an empty module, too many segments
 *   TOO_LARGE     the arena is full
 */
MUST_USE enum status username_parse(struct span text, struct arena *scratch, struct username *out);

#endif
