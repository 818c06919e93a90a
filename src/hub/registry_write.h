/* registry_write.h — identities come, change and go: what PUT, DELETE and bulk entries share.
 *
 * The checks that read state come first and alone; what follows them is not refused half done.
 *
 * Memory   as hub.h
 * Threads  the shard's
 * Errors   refusals with outcome.why; then nothing was written
 * Source   spec registry 3-5, 11; twins 1.2
 */
#ifndef HUB_REGISTRY_WRITE_H
#define HUB_REGISTRY_WRITE_H

#include "hub/identity_request.h"

/* The reply tells of this identity, be it that there is none: it waits until that is durable. */
static inline void registry_depend(const struct hub *h, const struct live *l, struct outcome *out)
{
    uint64_t batch = hub_depends(h, l);
    if (batch > out->depends)
        out->depends = batch;
}

/* NO_DEVICE or NO_MODULE, as who is; the text names what is missing. */
enum status registry_refuse_missing(const struct live *device, const struct live *who,
                                    const struct turn *turn, struct outcome *out);
/* DEVICE_EXISTS or MODULE_EXISTS. */
enum status registry_refuse_existing(const struct hub *h, const struct live *who,
                                     const struct turn *turn, struct outcome *out);
/* OK, or SYSTEM_MODULE for one that only its device may change, and nobody delete. */
MUST_USE enum status registry_check_system(const struct live *who, const struct op *op,
                                           const struct turn *turn, struct outcome *out);

/* Create `who`, which does not exist; its device does. `twin` is the body that gives the first
 * tags and desired properties, or {NULL}. An edge device gets its system modules.
 *   OK                 written
 *   BAD_ARGUMENT       the id is not valid, or a module's begins with `$`; a rule of the twin
 *   BAD_SCOPE          more than one parent
 *   TOO_MANY_MODULES   the device is full
 *   SECTION_TOO_LARGE  of the twin
 */
MUST_USE enum status registry_create(struct hub *h, struct live *who,
                                     const struct identity_request *req, struct doc_node twin,
                                     const struct turn *turn, struct outcome *out);

/* May `who`, which exists, become this?
 *   OK            registry_update cannot fail
 *   BAD_ARGUMENT  the scope of an edge device is immutable
 *   BAD_SCOPE     a leaf that becomes an edge device names a parent as its scope; two parents
 */
MUST_USE enum status registry_check_update(const struct live *who,
                                           const struct identity_request *req,
                                           const struct turn *turn, struct outcome *out);
/* The whole identity is replaced by the request. */
void registry_update(struct hub *h, struct live *who, const struct identity_request *req,
                     const struct turn *turn, struct outcome *out);

/* `who` exists and goes; a device with all its modules, theirs first. */
void registry_remove(struct hub *h, struct live *who, const struct turn *turn, struct outcome *out);

/* The modules of a device, ordered by id: *out is an array in the arena. */
size_t registry_children(const struct live *device, const struct turn *turn, struct live ***out);

#endif
