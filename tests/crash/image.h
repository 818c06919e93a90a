/* image.h — a directory as a power cut would leave it, rebuilt from the recorder's log.
 *
 * At any place of the log: what was synced is there; of the writes after it any subset, each torn
 * at sectors of 512 bytes (a dropped sector keeps its old content; past the old end it reads as
 * zeros); of the names made, renamed and removed since their directory was synced any subset. A
 * write through O_DSYNC is there once the call has returned, and like any other before.
 *
 * Units    bytes; places count entries of the log
 * Memory   image_load's is the caller's until image_free
 * Threads  one
 * Errors   a log that cannot be understood ends the process with a message
 */
#ifndef CRASH_IMAGE_H
#define CRASH_IMAGE_H

#include "base/buf.h"
#include "recorder.h"

struct image_entry {
    struct recorder_entry head;
    struct span path, data;
};

struct image_write {
    size_t entry;
    bool done; /* through O_DSYNC, and returned */
};

struct image_node {
    bool directory, mapped;
    struct buf synced;
    struct image_write *writes; /* since then, in order */
    size_t count, room;
};

struct image_name {
    char path[96];
    uint32_t node;
};

enum { IMAGE_NAMES = 256, IMAGE_NODES = 2048, IMAGE_FILES = 4096 };

/* An entry that changed names, and the node it is about. */
struct image_change {
    size_t entry;
    uint32_t node;
};

struct image_names {
    struct image_name all[IMAGE_NAMES];
    size_t count;
};

struct image {
    struct buf log;
    struct image_entry *entries;
    size_t count, at; /* entries before `at` have happened */
    size_t start;     /* the entry with which the process that is at work began */
    unsigned kills;   /* processes before it */
    struct image_node nodes[IMAGE_NODES];
    uint32_t node_count;
    uint32_t node_of[IMAGE_FILES];            /* by the recorder's number */
    struct image_names now, synced;           /* as the program sees them; as they are on disk */
    struct image_change changes[IMAGE_NODES]; /* of names since they were synced, in order */
    size_t change_count;
};

/* `start` is a directory with what was there before the log began. */
struct image *image_load(const char *log, const char *start);
void image_free(struct image *im);

/* Go on to the place `at`, which is not before the one it stands at. */
void image_advance(struct image *im, size_t at);

/* What a power cut at this place keeps of what was not synced. */
struct image_cut {
    uint64_t random;
    unsigned keep, tear; /* of 256: the chance to keep a change; to tear a kept or lost write */
};

/* Makes `dir` be such a state. `dir` exists and was empty, or a state before. */
void image_write_state(const struct image *im, struct image_cut cut, const char *dir);

/* Removes what is in it. */
void image_clear(const char *dir);

/* Is `dir` what the program sees at this place? Mapped files aside. Says on stderr what is not. */
bool image_matches(const struct image *im, const char *dir);

/* splitmix64 */
uint64_t image_random(uint64_t *seed);

#endif
