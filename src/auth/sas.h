/* sas.h — shared access signatures: read, verify, scope, make.
 *
 *   SharedAccessSignature sr={resource}&sig={signature}&se={expiry}[&skn={policy}]
 *   signature = base64(HMAC-SHA256(key, sr as sent + "\n" + se as sent))
 *
 * A token is good when all of sas_verify, sas_in_time and sas_scope_covers hold; credential.h puts
 * them together with the identity's kind and the policies.
 *
 * Units    expiry in seconds since 1970; now in wall_ms
 * Memory   struct sas borrows from the token; struct sas_scope from the token and from itself: do
 *          not copy it
 * Threads  any
 * Errors   UNAUTHORIZED
 * Source   spec device-auth 1.1-1.4, service-rest 5.1
 */
#ifndef AUTH_SAS_H
#define AUTH_SAS_H

#include "base/buf.h"
#include "base/status.h"

#define SAS_TOKEN_MAX    4096
#define SAS_RESOURCE_MAX 2048
#define SAS_EXPIRY_MAX   64 /* characters of `se` */
#define SAS_FIELDS_MAX   16
#define SAS_POLICY_MAX   64
#define SAS_SKEW_MS      300000LL                         /* 5 minutes */
#define SAS_FOREVER_S    (INT64_MAX / 1000 - SAS_SKEW_MS) /* a later `se` counts as this one */

struct sas {
    struct span resource; /* `sr` as sent */
    struct span expiry;   /* `se` as sent */
    int64_t expiry_s;     /* `se`, its fraction dropped, at most SAS_FOREVER_S */
    uint8_t sig[32];
    uint8_t policy_len; /* 0: no `skn`, signed with the key of an identity */
    uint8_t policy[SAS_POLICY_MAX];
};

static inline struct span sas_policy(const struct sas *t)
{
    return span_of(t->policy, t->policy_len);
}

/* Read a token. The word and the names of fields in any case, fields in any order, unknown ones
 * ignored.
 *   OK            *out is filled; nothing about it is verified
 *   UNAUTHORIZED  malformed: another word, not exactly one white space after it, a field missing,
 *                 empty or given twice, `sig` not base64 of 32 bytes, `se` not decimal, too long
 */
MUST_USE enum status sas_parse(struct span token, struct sas *out);

/* Was it signed with this key (decoded bytes)? An empty key signs nothing. The comparison takes
 * the same time wherever the signatures differ. */
MUST_USE bool sas_verify(const struct sas *t, struct span key);

/* Now is not later than the expiry and the skew (device-auth 1.4). */
MUST_USE bool sas_in_time(const struct sas *t, int64_t wall_ms);

/* ---- scope --------------------------------------------------------------------------------- */

/* How far into the hub a resource reaches: more segments, less is covered. */
enum sas_depth {
    SAS_NOWHERE, /* covers nothing */
    SAS_HUB,     /* {host}: everything */
    SAS_DEVICES, /* {host}/devices: every device and module, and the collection of devices */
    SAS_DEVICE,  /* {host}/devices/{d}: that device and its modules */
    SAS_MODULE   /* {host}/devices/{d}/modules/{m}: that module */
};

/* Clients send `sr` raw, encoded once or encoded twice (device-auth 1.2), so it is read at each of
 * these levels, as long as decoding changes anything, and covers what one of them covers. A `%`
 * without two hex digits stands for itself: `%` is a legal character of ids. */
struct sas_scope {
    size_t levels; /* 1..3 */
    struct sas_place {
        enum sas_depth depth;
        struct span host, device, module; /* without :port; empty beyond the depth */
    } level[3];
    uint8_t text[2][SAS_RESOURCE_MAX];
};

void sas_scope_read(const struct sas *t, struct sas_scope *out);

/* Does the scope cover this module, this device (module empty) or the hub's collections (both
 * empty; SAS_HUB and SAS_DEVICES do) on a hub with one of these names? Names and ids compare
 * ignoring the case of ASCII letters; whole segments only. Comes back with the depth of the level
 * that covers it, the widest if several do, or SAS_NOWHERE. */
MUST_USE enum sas_depth sas_scope_covers(const struct sas_scope *scope, const struct span *hosts,
                                         size_t host_count, struct span device, struct span module);

/* ---- make ---------------------------------------------------------------------------------- */

/* Append a token. `resource` is plain ("hub.example.test/devices/dev1") and is percent-encoded
 * once, all of it; `policy` is empty for a key of an identity; `key` is not empty. */
void sas_make(struct buf *out, struct span resource, struct span key, int64_t expiry_s,
              struct span policy);

#endif
