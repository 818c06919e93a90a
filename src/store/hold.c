#include "store/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static const char name[] = "journal.hold";

int hold_open(struct hold *h, int dir_fd)
{
    h->fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return h->fd < 0 ? errno : 0;
}

/* What cannot be asked counts as held: a segment kept too long costs space alone. */
bool hold_is_taken(void *ctx)
{
    const struct hold *h = ctx;
    if (h->fd < 0)
        return false;
    if (flock(h->fd, LOCK_EX | LOCK_NB) < 0)
        return true;
    flock(h->fd, LOCK_UN);
    return false;
}

/* Waits at most for a look of the hub's, which takes no time. */
int hold_take(struct hold *h, int dir_fd)
{
    int error = hold_open(h, dir_fd);
    if (error)
        return error;
    while (flock(h->fd, LOCK_SH) < 0) {
        if (errno == EINTR)
            continue;
        error = errno;
        hold_close(h);
        break;
    }
    return error;
}

void hold_close(struct hold *h)
{
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}
