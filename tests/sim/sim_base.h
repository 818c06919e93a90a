/* sim_base.h — the base in memory, for the simulator: what LMDB promises, and not a bit more.
 *
 * A power cut undoes the last transaction committed since the newest sync, or does not; a commit
 * that it interrupts has happened, or has not. After a sync that failed the next one does nothing,
 * whoever asks, until there was a commit. Every record that is read is a copy of its own, so
 * that one kept without a count is found by ASan. Misuse of base.h ends the process, and so does a
 * record, a count or a mark that goes back.
 *
 * Units    bytes
 * Memory   the caller's struct outlives the handles of sim_base_open, which base_close frees;
 *          sim_base_fini frees what is in it
 * Threads  one
 * Errors   errno values: ENOSPC, EIO
 */
#ifndef SIM_BASE_H
#define SIM_BASE_H

#include "sim_power.h"
#include "store/base.h"

/* Planted faults: */
enum sim_base_fault {
    SIM_BASE_SOUND,
    SIM_BASE_LOST_DELETE, /* what is deleted stays */
    SIM_BASE_LOST_RECORD, /* a record is not put, the rest of the transaction is */
    SIM_BASE_TORN,        /* a cut may keep a part of a transaction */
    SIM_BASE_LOST_SYNC,   /* a sync does nothing */
    SIM_BASE_STALE,       /* a reader has not been renewed since the newest commit */
};

struct sim_image;

struct sim_base {
    struct sim_power *power; /* borrowed */
    bool full;               /* commits fail with ENOSPC */
    uint64_t fail_in;        /* the n-th commit or sync from now fails with EIO; 0: none */
    bool broken;             /* one has failed, and so will all that follow */
    enum sim_base_fault fault;
    /* Its own: */
    struct sim_image *newest;
    struct sim_image *older;  /* the one before the newest */
    struct sim_image *before; /* what a cut may go back to; NULL: all is synced */
    struct sim_image *next;   /* of a commit that was interrupted */
    bool given_up; /* a sync has failed: another alone does not bring back what it was to sync */
    bool open;
    uint64_t undone, failures, refused; /* by cuts; with EIO, while there was power; with ENOSPC */
    uint64_t hash;                      /* of all that was put */
};

void sim_base_init(struct sim_base *s, struct sim_power *power);
void sim_base_fini(struct sim_base *s);
/* One at a time. */
struct base *sim_base_open(struct sim_base *s);
/* The power is cut; the handle has been closed. */
void sim_base_cut(struct sim_base *s);
/* The program is killed; commits that are not synced stay, and may still be undone by a cut. */
void sim_base_kill(struct sim_base *s);

#endif
