/* fault.h — faults that tests plant in the store, to show that they are found.
 *
 * Compiled in only with TWINHUB_FAULTS: the library store_faulty.
 *
 * Threads  set before the store is opened
 */
#ifndef STORE_FAULT_H
#define STORE_FAULT_H

#include <stdbool.h>

enum store_fault {
    STORE_FAULT_NONE,
    STORE_FAULT_ACK_BEFORE_SYNC /* a promise before it is kept */
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
