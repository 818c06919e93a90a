/* hub_record.h — changes of the hub's own records: policies, and later CAs, configurations, jobs.
 *
 * They live in partition 0 under an empty device and their kind as the module (store.h), and share
 * the numbering of that partition. The change record carries the whole record; its head is that of
 * change.h with kind CHANGE_HUB, so that one reader tells all changes apart.
 *
 * Memory   grows the caller's buffers
 * Threads  any
 * Errors   DAMAGED when bytes do not hold together
 * Source   design 4, 5; docs/format.md "Change record"
 */
#ifndef HUB_HUB_RECORD_H
#define HUB_HUB_RECORD_H

#include "base/buf.h"
#include "base/record.h"
#include "base/status.h"

enum { CHANGE_HUB = 7 };

/* `after` is the record of this kind after the change. */
void hub_record_change(struct span kind, const struct record *after, uint64_t seq, int64_t time_ms,
                       struct buf *effect, struct buf *secret);

/* The head of an effect that hub_record_change made; *kind borrows from it. */
MUST_USE enum status hub_record_head(struct span effect, struct span *kind, uint64_t *seq,
                                     int64_t *time_ms);

/* Replay: *kind borrows from `effect`, *record is a count for the caller. */
MUST_USE enum status hub_record_apply(struct span effect, struct span secret, struct span *kind,
                                      struct record **record);

#endif
