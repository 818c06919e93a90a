#include "store/fault.h"

#ifdef TWINHUB_FAULTS
enum store_fault store_fault_planted;
#else
typedef int store_has_no_faults;
#endif
