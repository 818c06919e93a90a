/* status.h — every way we say no (status.def), and how each reads on the wire.
 *
 * Threads  any; the table is constant
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "base/check.h"

enum status {
#define X(name, http, code, label, text) name,
#include "base/status.def"
#undef X
    STATUS_COUNT
};

/* Leave the function with the first status that is not OK. The only macro that hides a return. */
#define TRY(expr)                  \
    do {                           \
        enum status try_ = (expr); \
        if (try_ != OK)            \
            return try_;           \
    } while (0)

struct status_row {
    const char *name;  /* ours: "NO_DEVICE" */
    int http;          /* 0: never reaches a peer */
    int code;          /* Azure's number: 404001 */
    const char *label; /* Azure's name: "DeviceNotFound" */
    const char *text;
};

/* Never NULL; an unknown status is a bug. */
const struct status_row *status_get(enum status st);
const char *status_name(enum status st);

#endif
