/* sim_disk.h — a disk in memory that is as bad as a disk may be (store/disk.h).
 *
 * What is written lies in a cache. A power cut keeps any part of what was not synced: of each
 * sector of 512 bytes the newest, the durable or any version between; of the names any part of the
 * changes since sync_names. A failed sync leaves of what was to be synced nobody knows what, and
 * the next sync succeeds.
 *
 *   open, write ─► cache ─► sync ─► durable
 *                    │                 ▲
 *                    └─── a power cut ─┘  some of it
 *
 * Units    bytes
 * Memory   the caller's struct; sim_disk_fini frees what is in it
 * Threads  one
 * Errors   as disk.h: EIO, ENOSPC, ENOENT, EEXIST
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "base/list.h"
#include "sim_power.h"
#include "store/disk.h"

struct sim_disk {
    struct disk disk;
    struct sim_power *power; /* borrowed */
    uint64_t room;           /* what all files may take; 0: no bound */
    uint64_t fail_in;        /* the n-th write or sync from now fails; 0: none */
    bool once;               /* and no other after it */
    bool broken;             /* one has failed, and so will all that follow */
    bool keep;               /* keep the content of files that are removed, for sim_disk_all */
    bool no_sync, no_names;  /* planted faults: sync, sync_names do nothing */
    /* Its own: */
    struct list inodes, now, last, changes, removed, empty;
    unsigned open;                       /* files */
    uint64_t renames, failures, refused; /* done; with EIO, while there was power; with ENOSPC */
    uint64_t hash;                       /* of all that was done to it */
};

void sim_disk_init(struct sim_disk *d, struct sim_power *power);
void sim_disk_fini(struct sim_disk *d);

/* The power is cut; every file has been closed. What is left is durable. */
void sim_disk_cut(struct sim_disk *d);
/* The program is killed; what lies in the cache stays there. */
void sim_disk_kill(struct sim_disk *d);

/* Bytes that files take now. */
uint64_t sim_disk_used(const struct sim_disk *d);
/* `to`, which is empty, gets every file of `from` as it is read now and, with `keep`, every one
 * that was ever removed, as it was then; the newer of two of one name. Of segments without a block
 * only those that the journal passed over. All durable. */
void sim_disk_all(const struct sim_disk *from, struct sim_disk *to);
/* Turns one bit of a file, durable and read alike; false when it has no such byte. */
bool sim_disk_rot(struct sim_disk *d, const char *name, uint64_t at, unsigned bit);

#endif
