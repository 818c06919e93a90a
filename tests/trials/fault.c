#include "fault.h"

#include "hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct fault_control *fault_begin(struct hub *h, const char *library)
{
    static char preload[200], control[200], dir[200], asan[640];
    static const char *trace[] = {"/usr/bin/env", preload, control, dir, asan, NULL};
    char path[96], real[4096];
    snprintf(path, sizeof(path), "%s/control", h->root);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct fault_control)) != 0 || !realpath(h->root, real))
        process_fail("%s: %s", path, strerror(errno));
    struct fault_control *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (f == MAP_FAILED)
        process_fail("%s: %s", path, strerror(errno));
    close(fd);
    snprintf(h->data, sizeof(h->data), "%.80s/data", real);
    const char *given = getenv("ASAN_OPTIONS");
    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
    snprintf(control, sizeof(control), "TWINHUB_FAULT_CONTROL=%s", path);
    snprintf(dir, sizeof(dir), "TWINHUB_FAULT_DIR=%.150s/data", real);
    snprintf(asan, sizeof(asan), "ASAN_OPTIONS=%s:verify_asan_link_order=0", given ? given : "");
    h->trace = trace;
    return f;
}

void fault_end(struct fault_control *f)
{
    munmap(f, sizeof(*f));
}

const char *fault_site_name(const struct fault_control *f, uint32_t site)
{
    static const char *const calls[FAULT_CALLS] = {"open",   "write",    "sync", "rename",
                                                   "unlink", "truncate", "read"};
    static char name[64];
    const struct fault_site *s = &f->sites[site];
    snprintf(name, sizeof(name), "%s %s", calls[s->call], s->file[0] ? s->file : "the directory");
    return name;
}

void fault_arm(struct fault_control *f, uint32_t site, uint64_t nth, uint64_t count, int error)
{
    uint64_t from = atomic_load(&f->sites[site].seen) + nth;
    fault_disarm(f);
    atomic_store(&f->failed, 0);
    atomic_store(&f->go_on, 0);
    atomic_store(&f->began_ns, 0);
    atomic_store(&f->failed_ns, 0);
    atomic_store(&f->error, error);
    atomic_store(&f->from, from);
    atomic_store(&f->upto, count > UINT64_MAX - from ? UINT64_MAX : from + count - 1);
    atomic_store(&f->site, site + 1);
}

void fault_disarm(struct fault_control *f)
{
    atomic_store(&f->site, 0);
}
