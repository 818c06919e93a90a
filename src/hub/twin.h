/* twin.h — twins: read, patch, replace, report; the views.
 *
 * Each function serves one operation of hub.h on entities that are in memory: `device` is the
 * device's live entry, `who` the entry addressed (the same, or a module's).
 *
 * Source   spec twins 1, 2; service-rest 4.2, 7 row 5 (order of checks)
 */
#ifndef HUB_TWIN_H
#define HUB_TWIN_H

#include "hub/hub.h"

/* The whole twin as the service sees it (twins 1.1). The module's `status` is its device's. */
void twin_put_service(struct buf *b, const struct live *device, const struct live *who);
/* {"desired":{…},"reported":{…}} */
void twin_put_device(struct buf *b, const struct entity *e);

enum status twin_get(struct hub *h, struct live *device, struct live *who, const struct turn *turn,
                     struct outcome *out);
/* OP_TWIN_PATCH and OP_TWIN_PUT. */
enum status twin_update(struct hub *h, struct live *device, struct live *who, const struct op *op,
                        const struct turn *turn, struct outcome *out);
enum status twin_read(struct hub *h, struct live *who, const struct turn *turn,
                      struct outcome *out);
enum status twin_report(struct hub *h, struct live *who, const struct op *op,
                        const struct turn *turn, struct outcome *out);

/* Tags and desired given with a body (parsed JSON; members matched without case): merged or, with
 * `replace`, each section that is given (null is not) replaced. For bulk; `who` exists. Adds the
 * effects; no answer body. */
enum status twin_write_sections(struct hub *h, struct live *who, struct doc_node body, bool replace,
                                const struct turn *turn, struct outcome *out);
/* The first content of a new twin: fills e->tags, desired, reported (in the arena), the counters
 * C 1, Dv 1, Rv 1 and stamp_ms (twins 1.2); ids are set. `body` may be {NULL}; nulls below its
 * sections are refused. */
enum status twin_init(struct hub *h, struct entity *e, struct doc_node body,
                      const struct turn *turn, struct outcome *out);

#endif
