/* mark.h — a place in the journal that replay can begin at.
 *
 * The checksum of the head before comes with the position: what follows is a block only if it
 * continues from there (block.h).
 *
 * Units    bytes of the journal
 */
#ifndef STORE_MARK_H
#define STORE_MARK_H

#include <stdint.h>

struct mark {
    uint64_t position; /* 0: the very beginning */
    uint32_t prev;     /* `crc` of the block before; 0: there is none */
};

#endif
