#include "store/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status refuse(const char *what, const char *path, int error, struct buf *why)
{
    buf_printf(why, "cannot %s %s: %s", what, path, strerror(error));
    return error == ENOSPC || error == EDQUOT ? STORAGE_FULL : UNAVAILABLE;
}

static int read_all(int fd, struct buf *out)
{
    for (;;) {
        buf_reserve(out, 65536);
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        out->len += (size_t)n;
        if (out->len > COPY_MAX)
            return EFBIG;
    }
}

enum status copy_file(const struct directory *from, const struct directory *to, const char *name,
                      unsigned mode, struct buf *why)
{
    struct buf bytes = {0};
    int fd = openat(from->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? NOT_FOUND : directory_refuse(from, "open", name, errno, why);
    int error = read_all(fd, &bytes);
    close(fd);
    enum status st = error ? directory_refuse(from, "read", name, error, why)
                           : directory_write(to, name, buf_span(&bytes), why);
    if (bytes.data)
        explicit_bzero(bytes.data, bytes.len);
    buf_fini(&bytes);
    if (st == OK && fchmodat(to->dir_fd, name, mode, 0) < 0)
        st = directory_refuse(to, "change the mode of", name, errno, why);
    return st;
}

static bool is_nothing(const char *name)
{
    static const char *const names[] = {".", "..", "lock", "lost+found"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

enum status copy_check_empty(const char *path, struct buf *why)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool found = false;
    if (!dir)
        return errno == ENOENT ? OK : refuse("open", path, errno, why);
    while (!found && (entry = readdir(dir)))
        found = !is_nothing(entry->d_name);
    closedir(dir);
    if (!found)
        return OK;
    buf_printf(why, "%s is there and not empty", path);
    return BAD_ARGUMENT;
}

static void remove_files(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

void copy_discard(const char *path)
{
    struct buf journal = {0};
    buf_printf(&journal, "%s/journal", path);
    buf_byte(&journal, 0);
    remove_files((const char *)journal.data);
    buf_fini(&journal);
    remove_files(path);
}

enum status copy_sync_parent(const char *path, struct buf *why)
{
    char *copy = strdup(path);
    if (!copy)
        check_no_memory();
    const char *parent = dirname(copy);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status st = fd < 0 || fsync(fd) < 0 ? refuse("sync", parent, errno, why) : OK;
    if (fd >= 0)
        close(fd);
    free(copy);
    return st;
}
