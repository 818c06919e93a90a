/* recorder.h — the log that the recorder writes: every change of the files below one directory.
 *
 * The recorder is preloaded (LD_PRELOAD) into the program on trial. What is in the log is what the
 * program asked of the system, in order; what of it a power cut would leave is image.h's business.
 *
 *   TWINHUB_RECORD_DIR      the directory, as realpath gives it; it is "" in the log
 *   TWINHUB_RECORD_LOG      where the log goes, outside of it
 *   TWINHUB_RECORD_SYNC_US  how long each sync takes longer, so that a promise made too early shows
 *   TWINHUB_RECORD_APPEND   go on with the log of a process that was killed
 *   TWINHUB_RECORD_EXIT     be killed after so many entries of this process
 *
 * Each entry is a struct recorder_entry, then path_len bytes of path, then data_len of data.
 */
#ifndef CRASH_RECORDER_H
#define CRASH_RECORDER_H

#include <stddef.h>
#include <stdint.h>

enum recorder_type {
    REC_OPEN,     /* file `file` is the one at this path, which existed */
    REC_CREATE,   /* a new file at this path */
    REC_MKDIR,    /* a new directory at this path */
    REC_RENAME,   /* path to data */
    REC_UNLINK,   /* path */
    REC_WRITE,    /* data at offset */
    REC_TRUNCATE, /* to offset */
    REC_SYNC,     /* asked for; file may be a directory */
    REC_DONE,    /* the REC_SYNC, or the REC_WRITE through O_DSYNC, with this number has returned */
    REC_MAPPED,  /* mapped for writing: from here its content is not known */
    REC_UNKNOWN, /* a call this recorder has no entry for; its name is the data */
    REC_MARK,    /* the program's own: kind in `file` */
    REC_START    /* a process begins; numbers of files and entries are its own from here */
};

struct recorder_entry {
    uint32_t type, path_len;
    uint32_t data_len, file;
    uint64_t offset; /* REC_DONE: the number of the entry it belongs to, REC_START's being 0 */
};

/* Defined by the preloaded recorder; NULL without it. */
extern void recorder_mark(uint32_t kind, const void *data, uint32_t len) __attribute__((weak));

#endif
