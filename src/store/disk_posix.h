/* disk_posix.h — a folder of the file system as a disk (disk.h).
 *
 * Files have mode 0600. Sync is fdatasync: files of the journal have their size from when they were
 * zeroed, so a write into one changes nothing else that must last.
 *
 * Memory   disk_posix_close frees it, after its files are closed
 * Threads  as disk.h says
 * Errors   errno values, 0 for none
 */
#ifndef STORE_DISK_POSIX_H
#define STORE_DISK_POSIX_H

#include "store/disk.h"

/* The folder `name` in the directory that is open as `dir_fd`; made (mode 0700) and synced with its
 * parent when it is missing. */
MUST_USE int disk_posix_open(int dir_fd, const char *name, struct disk **out);
/* The same folder to be looked at: nothing is made, and nothing in it can be changed (EROFS), but
 * that removing a file seems to succeed: recovery clears away what was left half made. ENOENT:
 * there is none. */
MUST_USE int disk_posix_view(int dir_fd, const char *name, struct disk **out);
/* NULL is harmless. */
void disk_posix_close(struct disk *d);

#endif
