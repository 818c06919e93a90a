/* history.h — what becomes of the journal's segments that the base has wholly.
 *
 * Each becomes a history file (history_format.h), which is kept for its time and within its size:
 *
 *   segment ──► make, in steps ──► remove the segment ──► … ──► too old, or too much: remove
 *
 * A segment of the full size is not removed but put aside, one at a time, for the next one to be
 * made of (segment.h).
 *
 * One thing is done in a step: a mebibyte of making, or one file removed. The oldest goes first, so
 * that what is kept is always an unbroken row up to the journal, from which the present state can
 * be replayed if it reaches back to the beginning. Before a segment is removed its history file is
 * whole and synced, so a power cut at any moment neither loses a change nor doubles one.
 *
 * History is never a reason for the hub to fail. Without space for a file the oldest ones are
 * removed, and when there are none the segment is, without a trace (`dropped`). A segment that
 * cannot be read, or whose file cannot be written, stays as it is until the next start (`kept`).
 *
 * A file's age is that of its newest change. One of the future, made while the clock was wrong, or
 * one that cannot be read says nothing: the next one's age counts.
 *
 * Units    bytes, wall_ms, positions of the journal
 * Memory   the caller's struct, heap behind it until history_fini; a few MiB while a file is made
 * Threads  one; the disk may be used by others, but no other touches history's files or the
 *          segments that were added
 * Errors   errno values of init; later ones in `stats`
 * Source   design 4
 */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include "store/history_maker.h"

struct history_options {
    const struct replay *replay;
    int64_t history_ms;      /* 0: nothing is kept, segments are only removed */
    uint64_t history_size;   /* of all files; 0: no bound */
    uint64_t reuse_size;     /* of the segments that are put aside; 0: of none */
    bool (*held)(void *ctx); /* NULL: never. While true nothing is removed: a backup reads */
    void *held_ctx;
};

struct history_stats {
    uint64_t files, bytes;           /* kept now */
    uint64_t pending;                /* segments that are not done with */
    uint64_t made, expired, trimmed; /* files: made, removed for their age, for the space */
    uint64_t dropped;                /* segments removed without a file: no space */
    uint64_t kept;                   /* segments that could not be made into files */
    uint64_t errors;                 /* the disk's, but for no space */
    int error;                       /* of the first of them, EBADMSG: a damaged segment */
    uint64_t error_at;               /* and where */
};

struct history_kept {
    uint64_t start, size;
    int64_t newest_ms;
    enum { HISTORY_UNKNOWN, HISTORY_KNOWN, HISTORY_UNREADABLE } age;
};

struct history_done {
    uint64_t start, size, used;
    bool made; /* what is left is to remove it */
};

struct history {
    struct disk *disk;
    struct history_options options;
    uint8_t hub_id[16];
    struct history_stats stats;
    /* Its own: */
    struct history_kept *files; /* by start */
    size_t file_room;
    struct history_done *done; /* as they were added */
    size_t done_room;
    bool making, short_of_space; /* the last attempt found none */
    bool has_used;               /* SEGMENT_USED is there; the caller may take it */
    struct history_maker maker;
};

/* Finds the files there are, and makes their names last. Leftovers are removed, and each segment
 * whose history file is sound, unless a backup reads: the caller opens the journal after this. 0,
 * or errno, and then history_fini is harmless. */
MUST_USE int history_init(struct history *h, struct disk *disk, const uint8_t hub_id[16],
                          const struct history_options *options);
void history_fini(struct history *h); /* gives up what is being made; the next start makes it */

/* A segment that the base has wholly; the journal goes on in a later one. */
struct old_segment {
    uint64_t start, size;
    uint64_t used; /* the position after its last block; 0: not known, and then it is found out */
};

/* In the order of their starts; none twice. */
void history_add(struct history *h, const struct old_segment *old);

/* True: something was done, and there may be more. */
bool history_step(struct history *h, int64_t wall_ms);

/* The journal finds no space for a segment: the one put aside is removed, or the oldest file.
 * False: there is none, or nothing may be removed now. */
bool history_give_way(struct history *h);

#endif
