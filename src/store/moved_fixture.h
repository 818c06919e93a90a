/* moved_fixture.h — for tests: what is moved away must last where it went before its name is taken
 * again. The C library's calls go through here, for the whole program; `taken_early` counts.
 */
#ifndef STORE_MOVED_FIXTURE_H
#define STORE_MOVED_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/span.h"

struct away {
    ino_t folders[2]; /* from where, to where; 0: synced since */
    char name[64];    /* that it had */
};
static struct away moved[32];
static size_t moved_count;
static unsigned taken_early;

/* The folder that a path is in, and its last part. */
static inline ino_t folder_of(int dir_fd, const char *path, const char **name)
{
    char folder[192];
    struct stat st;
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)len : 1, slash ? path : ".");
    *name = slash ? slash + 1 : path;
    return fstatat(dir_fd, folder, &st, 0) == 0 ? st.st_ino : 0;
}

static inline void name_is_taken(int dir_fd, const char *path)
{
    const char *name;
    ino_t folder = folder_of(dir_fd, path, &name);
    for (size_t i = 0; i < moved_count; i++)
        taken_early += moved[i].folders[0] == folder && strcmp(moved[i].name, name) == 0;
}

static inline void name_is_left(int dir_fd, const char *path, int to_fd, const char *to)
{
    struct away *a = &moved[moved_count];
    const char *name, *ignored;
    if (moved_count == COUNT(moved))
        return;
    *a = (struct away){
        .folders = {folder_of(dir_fd, path, &name), folder_of(to_fd, to, &ignored)}
    };
    snprintf(a->name, sizeof(a->name), "%s", name);
    moved_count++;
}

/* In the place of the C library's, for this program. */

int fsync(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0)
        for (size_t i = 0; i < moved_count; i++)
            for (int k = 1; k >= 0; k--) /* the new name first: one of the two is always there */
                if (moved[i].folders[k] == st.st_ino && (k || !moved[i].folders[1]))
                    moved[i].folders[k] = 0;
    return (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
    moved_count = 0;
    return (int)syscall(SYS_syncfs, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    name_is_taken(to_fd, to);
    name_is_left(from_fd, from, to_fd, to);
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int mkdir(const char *path, mode_t mode)
{
    name_is_taken(AT_FDCWD, path);
    return mkdirat(AT_FDCWD, path, mode);
}

#endif
