/* fault.h — faults that tests plant in the store, to show that they are found.
 *
 * Compiled in only with TWINHUB_FAULTS: the library store_faulty.
 *
 * Threads  set before the store is opened
 */
#ifndef STORE_FAULT_H
#define STORE_FAULT_H

#include <stdbool.h>

#define STORE_FAULTS(X)                                                                  \
    X(ACK_BEFORE_SYNC, "the journal acknowledges before it syncs")                       \
    X(RETRIED_SYNC, "a sync that failed is tried again, and believed")                   \
    X(KNOWN_TOO_EARLY, "a block says of itself that it is durable")                      \
    X(SECRET_LOST, "a change goes into the journal without its secret")                  \
    X(NO_BODY_CHECK, "a start does not check a block's body")                            \
    X(NO_CHAIN_CHECK, "a start takes a stale block for the next one")                    \
    X(STOPS_EARLY, "a start leaves out the newest block")                                \
    X(NOT_WRITTEN_AGAIN, "a start trusts the cache")                                     \
    X(BASE_NOT_SYNCED, "a start trusts a mark in the cache")                             \
    X(COUNTS_NOT_REPLAYED, "a start takes the counts from the base alone, reuses a seq") \
    X(DELETE_NOT_REPLAYED, "a start leaves what was deleted")                            \
    X(HOT_DELETE_UNSEEN, "a read looks past a deletion into the generation before")      \
    X(FORGETS_UNWRITTEN, "the hot table forgets what the base could not take")           \
    X(FORGETS_NEWER, "the hot table forgets what has changed since it was written")      \
    X(BASE_AHEAD, "the base has what the journal has not synced")                        \
    X(MARK_AHEAD, "the mark is ahead of what the base has")                              \
    X(DELETE_NOT_WRITTEN, "a checkpoint leaves out deletions")                           \
    X(COUNTS_ALONE, "a checkpoint writes counts without the records")                    \
    X(REMOVED_EARLY, "a segment is removed that a start still needs")                    \
    X(SEGMENT_NOT_SYNCED, "a segment gets its name before it is synced")                 \
    X(NAME_NOT_SYNCED, "a segment is used before its name lasts")                        \
    X(HISTORY_SKIPPED, "a segment is removed and is not history")                        \
    X(HISTORY_NOT_SYNCED, "a segment is removed before its history is synced")

enum store_fault {
    STORE_FAULT_NONE,
#define X(name, text) STORE_FAULT_##name,
    STORE_FAULTS(X)
#undef X
        STORE_FAULT_COUNT
};

#ifdef TWINHUB_FAULTS
extern enum store_fault store_fault_planted;
static inline bool store_fault(enum store_fault fault)
{
    return store_fault_planted == fault;
}
#else
#define store_fault(fault) false
#endif

#endif
