/* fault.h — faults that can be planted in the world around the shards, to prove that the simulator
 * would find them in the hub. One run has at most one; each strikes now and then, by the seed.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

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
    X(SAME_RANDOM, "the random bytes repeat")

enum fault {
#define X(name, text) FAULT_##name,
    FAULTS(X)
#undef X
        FAULT_COUNT
};

#endif
