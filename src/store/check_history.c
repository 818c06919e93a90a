/* The check's look at the history files (check.h): each chunk of each file. */
#include <errno.h>
#include <stdlib.h>

#include "store/check_look.h"
#include "store/disk_posix.h"
#include "store/history_file.h"

struct starts {
    uint64_t *at;
    size_t count, room;
};

static void on_name(void *owner, const char *name, uint64_t size)
{
    struct starts *s = owner;
    uint64_t start;
    (void)size;
    if (!history_start(name, &start))
        return;
    if (s->count == s->room) {
        s->room = s->room * 2 + 16;
        s->at = realloc(s->at, s->room * sizeof(*s->at));
        if (!s->at)
            check_no_memory();
    }
    s->at[s->count++] = start;
}

static int by_start(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool is_sound(struct history_file *f, uint32_t chunk, const struct replay *replay,
                     struct buf *raw)
{
    struct history_entry entry;
    if (history_file_chunk(f, chunk, raw) != OK)
        return false;
    struct span rest = buf_span(raw);
    enum status st;
    while ((st = history_take(&rest, &entry)) == OK) {
        struct key key;
        int64_t time_ms;
        if (!entry.is_counts && !history_whose(replay, entry.effect, &key, &time_ms))
            return false;
    }
    return st == NOT_FOUND;
}

static void look_at_file(struct look *l, struct disk *disk, uint64_t start)
{
    struct history_file f;
    struct buf raw = {0};
    struct check_finding finding = {.part = CHECK_HISTORY, .position = start};
    unsigned long long name = start;
    if (history_file_open(&f, disk, start, l->d->header.hub_id) != OK) {
        check_found(l, finding, "journal/%016llx.hist cannot be read", name);
        return;
    }
    uint32_t damaged = 0;
    for (uint32_t i = 0; i < f.footer.chunks; i++)
        damaged += !is_sound(&f, i, l->o->replay, &raw);
    if (damaged)
        check_found(l, finding, "journal/%016llx.hist: %u of its %u chunks are damaged", name,
                    damaged, f.footer.chunks);
    l->out->history_files++;
    l->out->history_changes += f.head.changes;
    history_file_close(&f);
    buf_fini(&raw);
}

enum status check_history(struct look *l)
{
    struct starts starts = {0};
    struct disk *disk;
    if (!l->out->partitions)
        return OK;
    int error = disk_posix_view(l->d->dir_fd, "journal", &disk);
    if (!error) {
        error = disk_list(disk, on_name, &starts);
        if (starts.count)
            qsort(starts.at, starts.count, sizeof(*starts.at), by_start);
        for (size_t i = 0; i < starts.count; i++)
            look_at_file(l, disk, starts.at[i]);
        disk_posix_close(disk);
        free(starts.at);
    }
    if (error && error != ENOENT)
        return directory_refuse(l->d, "list", "journal", error, l->why);
    l->out->looked_at[CHECK_HISTORY] = true;
    return OK;
}
