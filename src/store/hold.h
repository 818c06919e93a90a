/* hold.h — DIR/journal.hold: while a backup reads the journal, the hub removes none of it.
 *
 * Who reads takes the hold (flock, shared) before it asks where replay begins; the hub looks before
 * it removes a segment. What the hub decided to remove before the hold was taken lies before every
 * mark that is read after, so looking is enough. The hold ends with its process, however that ends.
 *
 * Memory   the caller's struct
 * Threads  one for each struct
 * Errors   errno values, 0 for none
 * Source   docs/format.md, "Data directory"; trials F14
 */
#ifndef STORE_HOLD_H
#define STORE_HOLD_H

#include <stdbool.h>

#include "base/check.h"

struct hold {
    int fd; /* -1: not open */
};

/* The hub's end: makes the file when it is missing. */
MUST_USE int hold_open(struct hold *h, int dir_fd);
/* Does anybody hold the journal? Never waits. `ctx` is a struct hold that is open; one that is not
 * is held by nobody. */
bool hold_is_taken(void *ctx);

/* The reader's end: opens, and takes a hold of its own beside those of others. */
MUST_USE int hold_take(struct hold *h, int dir_fd);

/* Either end; also gives the hold back. */
void hold_close(struct hold *h);

#endif
