/* fault.h — faults that can be planted in the world around the shards, in the disk and the base
 * under the keeper, and (store/fault.h) in the keeper, to prove that the simulator would find them
 * in the hub. One run has at most one; each strikes now and then, by the seed.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include "store/fault.h"

#define FAULTS(X)                                                        \
    X(NONE, "nothing is wrong")                                          \
    X(EARLY_DURABLE, "a batch is said to be durable as it is committed") \
    X(LATE_SYNC, "of what is said to be durable the newest is not")      \
    X(LOST_UPDATE, "an update is stored as what was there before")       \
    X(LOST_DELETE, "a deletion leaves the record where it was")          \
    X(STALE_LOAD, "a load finds nothing though there is a record")       \
    X(WRONG_COUNTS, "a partition counts one device too many")            \
    X(SWAPPED_SENDS, "two sends change places")                          \
    X(LOST_SEND, "a send never arrives")                                 \
    X(DOUBLE_SEND, "a send arrives twice")                               \
    X(STRAY_PUSH, "a desired push arrives at another connection")        \
    X(STRAY_ANSWER, "a twin is sent to another connection")              \
    X(KEPT_OPEN, "a connection that was to be closed stays open")        \
    X(SAME_RANDOM, "the random bytes repeat")                            \
    X(DISK_NO_SYNC, "a sync of a file does nothing")                     \
    X(DISK_NO_NAMES, "a sync of names does nothing")                     \
    X(BASE_NO_SYNC, "a sync of the base does nothing")                   \
    X(BASE_TORN, "a cut leaves a part of a transaction in the base")     \
    X(BASE_LOST_RECORD, "the base leaves out a record, not its counts")  \
    X(BASE_LOST_DELETE, "the base keeps what was deleted")               \
    X(BASE_STALE, "a read of the base does not see the newest commit")   \
    STORE_FAULTS(X)

enum fault {
#define X(name, text) FAULT_##name,
    FAULTS(X)
#undef X
        FAULT_COUNT
};

#endif
