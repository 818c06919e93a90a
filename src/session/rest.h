/* rest.h — one REST call: an HTTP request to an operation, an outcome to a response.
 *
 * rest_head judges what can be judged before the body is read: host, path, api-version, the token
 * of a policy, the size of the body. Tokens made with a device's or module's own key are judged
 * where the identity is (rest_authorise). rest_call makes the operation, owning its bytes, so that
 * it can be carried to another shard.
 *
 * Units    times by struct now
 * Memory   a call owns what it carries; heads borrow from the request
 * Threads  a call belongs to whoever holds it
 * Errors   the statuses of service-rest 4.3
 * Source   spec service-rest 1-5, 7
 */
#ifndef SESSION_REST_H
#define SESSION_REST_H

#include "auth/credential.h"
#include "auth/route.h"
#include "base/list.h"
#include "hub/hub.h"
#include "wire/http.h"

enum {
    REST_UNPROVEN_BODY_MAX = 65536, /* of a request that is refused anyway, or not yet proven */
    REST_HEADERS_MS = 30000,
    REST_BODY_MS = 60000,
    REST_IDLE_MS = 120000
};

/* What is known of a request once its head has come. */
struct rest_head {
    enum status refusal; /* OK: go on */
    const char *reason;  /* of a refusal by the token, for the log */
    enum route_id route; /* when not refused for its path */
    bool authorised;     /* a policy's token allows it; else rest_authorise decides */
    uint32_t body_max;
};

void rest_head(const struct http *http, const struct credential_rules *rules, int64_t wall_ms,
               struct arena *scratch, struct rest_head *out);

/* One operation on its way to the shard that owns its device, and its answer on the way back. */
struct call {
    struct list link;
    unsigned home;     /* the shard that answers */
    uint64_t conn;     /* its connection */
    unsigned attempts; /* turns of the owner that had no room for it */
    bool answered;     /* on its way back */
    bool waits;        /* the owner loads what it reads */
    enum route_id route;
    bool authorised;
    struct op op; /* spans into `bytes` */
    struct span token;
    struct buf bytes;
    /* The answer: */
    enum status status;
    struct buf body, why;
    char etag[32];
    bool bulk_failed;
    uint64_t batch; /* of the owner: held until it is durable */
    /* A part of a call that asks several shards: */
    struct gather *gather;
    unsigned index;
    uint32_t top;           /* of a list */
    struct list_scan *scan; /* of a list, at the owner */
};

/* A call for a request that was not refused. NULL data in ids never happens: rows give them. */
struct call *rest_call(const struct http *http, const struct rest_head *head,
                       struct arena *scratch);
/* An empty call with room for what the caller copies in by call_keep. */
struct call *call_create(void);
struct span call_keep(struct call *c, struct span s, size_t *at);
void call_destroy(struct call *c);

/* At the owner: does its own key allow this call? `device` and `module` are live (module NULL when
 * the call has none), `nobody` is the hub's.
 *   OK, UNAUTHORIZED
 */
MUST_USE enum status rest_authorise(const struct call *c, const struct credential_rules *rules,
                                    const struct record *nobody, const struct live *device,
                                    const struct live *module, int64_t wall_ms);

/* The status of success: 200, or 204 for deletions. */
int rest_success(enum route_id route);

/* Write a response. `st` OK gives `status` with `body`; anything else an error body. `http` is the
 * request, or NULL when it could not be read. */
struct rest_answer {
    enum status st;
    int status;               /* on OK */
    struct span body;         /* on OK; with 204 empty */
    struct span why;          /* on refusal */
    struct span etag;         /* without quotes; empty: none */
    struct span content_type; /* empty: JSON */
    bool bulk_failed;         /* on OK: 400 with `body`, a bulk result that has errors */
    bool close;
};
void rest_put_answer(struct buf *out, const struct rest_answer *answer, const struct http *http,
                     struct now now, struct random random);

#endif
