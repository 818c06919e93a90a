/* error.h — the bodies of refusals (service-rest 4.1).
 *
 * E1  {"Message":"ErrorCode:<Name>;<text>","ExceptionMessage":"Tracking ID:<id>"}
 * E2  {"errorCode":<number>,"trackingId":"<id>","message":"<text>","timestampUtc":"<time>"}
 *
 * Memory   grows the caller's buffer
 * Threads  any
 */
#ifndef SESSION_ERROR_H
#define SESSION_ERROR_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"

/* `why` is the text; when empty, the table's. E1, but E2 for MODULE_EXISTS. */
void error_put_rest(struct buf *b, enum status st, struct span why, struct now now,
                    struct random random);
/* E2: MQTT twin responses. */
void error_put_device(struct buf *b, enum status st, struct span why, struct now now,
                      struct random random);

#endif
