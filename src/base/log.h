/* log.h — log lines: formatting only. The edge writes them.
 *
 * One event is one line, whatever bytes a value holds (trials F36):
 *   2026-03-04T10:20:30.5Z level=info shard=2 msg="listening" port=8883
 * or, with json, one object. Secrets are never passed in.
 *
 * Memory   grows the caller's buffer
 * Threads  the owner's
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/buf.h"
#include "base/clock.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

const char *log_level_name(enum log_level level);
/* "error", "warn", "info", "debug". */
MUST_USE bool log_level_parse(struct span text, enum log_level *out);

void log_begin(struct buf *b, bool json, struct now now, enum log_level level, const char *msg);
void log_text(struct buf *b, bool json, const char *name, struct span value);
void log_number(struct buf *b, bool json, const char *name, int64_t value);
void log_end(struct buf *b, bool json); /* closes the object and the line */

#endif
