/* registry.h — identities: create, read, update, delete, list; bulk entries.
 *
 * Source   spec registry 1-6; service-rest 4.2, 7 row 5
 */
#ifndef HUB_REGISTRY_H
#define HUB_REGISTRY_H

#include "hub/hub.h"

/* The identity as JSON (registry 2, 2.1), keys included. `l` exists. */
void registry_put_identity(struct buf *b, const struct live *l);
/* The same for a record that is not live (lists): Disconnected unless `l`, which may be NULL, says.
 */
void registry_put_entity(struct buf *b, const struct entity *e, const struct live *l);

enum status registry_get(struct hub *h, struct live *device, struct live *who,
                         const struct turn *turn, struct outcome *out);
enum status registry_put(struct hub *h, struct live *device, struct live *who, const struct op *op,
                         const struct turn *turn, struct outcome *out);
/* A device goes with all its modules; each with its effects, the modules' first. */
enum status registry_delete(struct hub *h, struct live *device, struct live *who,
                            const struct op *op, const struct turn *turn, struct outcome *out);
/* The modules of a device, ordered by id. */
enum status registry_modules(struct hub *h, struct live *device, const struct turn *turn,
                             struct outcome *out);
/* OP_BULK_ENTRY: one ExportImportDevice (registry 6). On refusal outcome.why is the errorStatus. */
enum status registry_bulk(struct hub *h, struct live *device, struct live *who, const struct op *op,
                          const struct turn *turn, struct outcome *out);

/* ---- the bulk call, at the shard that answers it ---- */

struct bulk_entry {
    struct span device, module; /* empty device: no id given */
    struct span mode;           /* importMode as sent; empty: absent */
};
/* Check the whole call: an array (BAD_ARGUMENT), at most 100 (TOO_MANY_DEVICES), no id twice
 * (DUPLICATE_DEVICE). */
MUST_USE enum status bulk_check(struct doc_node array);
/* Who is meant: *out is filled, as sent. BAD_ARGUMENT when the ids are missing, of a wrong type or
 * not valid: then the entry is an error and makes no operation. */
MUST_USE enum status bulk_entry(struct doc_node entry, struct bulk_entry *out);
/* Does a mode (as sent; empty: absent) only ever delete? */
bool bulk_deletes(struct span mode);
/* One element of "errors"; the caller puts commas, brackets and the frame. */
void bulk_put_error(struct buf *b, const struct bulk_entry *entry, enum status st, struct span why);

#endif
