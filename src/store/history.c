#include "store/history.h"

#include <errno.h>
#include <stdlib.h>

#include "store/fault.h"
#include "store/history_file.h"

static bool is_held(const struct history *h)
{
    return h->options.held && h->options.held(h->options.held_ctx);
}

static void note_error(struct history *h, int error, uint64_t position)
{
    if (h->stats.errors++ > 0)
        return;
    h->stats.error = error;
    h->stats.error_at = position;
}

/* -- the files -- */

/* Where a file of this start is, or would be. */
static size_t find_file(const struct history *h, uint64_t start)
{
    size_t low = 0, high = h->stats.files;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (h->files[middle].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_file(const struct history *h, size_t i, uint64_t start)
{
    return i < h->stats.files && h->files[i].start == start;
}

static void forget_file(struct history *h, size_t i)
{
    h->stats.files--;
    h->stats.bytes -= h->files[i].size;
    memmove(&h->files[i], &h->files[i + 1], (h->stats.files - i) * sizeof(*h->files));
}

/* At the end of those there are: their order is the caller's matter. */
static void append_file(struct history *h, const struct history_kept *file)
{
    if (h->stats.files == h->file_room) {
        h->file_room = h->file_room * 2 + 16;
        h->files = realloc(h->files, h->file_room * sizeof(*h->files));
        if (!h->files)
            check_no_memory();
    }
    h->files[h->stats.files++] = *file;
    h->stats.bytes += file->size;
}

static int by_start(const void *a, const void *b)
{
    const struct history_kept *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static void sort_files(struct history *h)
{
    if (h->stats.files)
        qsort(h->files, h->stats.files, sizeof(*h->files), by_start);
}

static int remove_name(struct history *h, const char *name)
{
    int error = disk_remove(h->disk, name);
    return error ? error : disk_sync_names(h->disk);
}

/* What cannot be removed is not tried again before the next start. */
static void remove_first(struct history *h, uint64_t *count)
{
    char name[HISTORY_NAME];
    uint64_t start = h->files[0].start;
    history_name(name, start);
    int error = remove_name(h, name);
    if (error)
        note_error(h, error, start);
    else
        ++*count;
    forget_file(h, 0);
    h->short_of_space = false;
}

static void learn_age(struct history *h, struct history_kept *file)
{
    struct history_head head;
    int error = 0;
    enum status st = history_file_peek(h->disk, file->start, h->hub_id, &head, &error);
    file->age = st == OK ? HISTORY_KNOWN : HISTORY_UNREADABLE;
    if (st == OK)
        file->newest_ms = head.newest_ms;
    else
        note_error(h, error ? error : EBADMSG, file->start);
}

/* True: the age of one was read, or one was removed. */
static bool remove_expired(struct history *h, int64_t wall_ms)
{
    int64_t kept_ms = h->options.history_ms;
    int64_t oldest = wall_ms > kept_ms ? wall_ms - kept_ms : 0;
    for (size_t i = 0; i < h->stats.files; i++) {
        struct history_kept *file = &h->files[i];
        if (file->age == HISTORY_UNKNOWN) {
            learn_age(h, file);
            return true;
        }
        if (file->age == HISTORY_UNREADABLE || file->newest_ms > wall_ms)
            continue;
        if (file->newest_ms >= oldest)
            return false;
        remove_first(h, &h->stats.expired);
        return true;
    }
    return false;
}

static bool remove_old(struct history *h, int64_t wall_ms)
{
    uint64_t size = h->options.history_size;
    if (h->stats.files == 0)
        return false;
    if (h->options.history_ms == 0) {
        remove_first(h, &h->stats.expired);
        return true;
    }
    if (size && h->stats.bytes > size) {
        remove_first(h, &h->stats.trimmed);
        return true;
    }
    return remove_expired(h, wall_ms);
}

static bool remove_used(struct history *h)
{
    if (!h->has_used)
        return false;
    int error = remove_name(h, SEGMENT_USED);
    if (error)
        note_error(h, error, 0);
    h->has_used = false;
    return true;
}

bool history_give_way(struct history *h)
{
    if (remove_used(h))
        return true;
    if (h->stats.files == 0 || is_held(h))
        return false;
    remove_first(h, &h->stats.trimmed);
    return true;
}

/* -- the segments -- */

static void done_with_first(struct history *h)
{
    h->stats.pending--;
    memmove(&h->done[0], &h->done[1], h->stats.pending * sizeof(*h->done));
}

static int put_aside(struct history *h, const char *name)
{
    int error = disk_rename(h->disk, name, SEGMENT_USED);
    h->has_used = !error;
    return error ? error : disk_sync_names(h->disk);
}

static bool remove_segment(struct history *h)
{
    char name[SEGMENT_NAME];
    const struct history_done *first = &h->done[0];
    bool reuse = !h->has_used && first->size && first->size == h->options.reuse_size;
    segment_name(name, first->start);
    int error = reuse ? put_aside(h, name) : remove_name(h, name);
    if (error && error != ENOENT)
        note_error(h, error, first->start);
    done_with_first(h);
    return true;
}

static void on_made(struct history *h)
{
    struct history_kept file = {.start = h->done[0].start,
                                .size = h->maker.size,
                                .newest_ms = h->maker.head.newest_ms,
                                .age = HISTORY_KNOWN};
    append_file(h, &file);
    sort_files(h);
    h->stats.made++;
    h->done[0].made = true;
}

static bool is_no_space(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

/* Older history gives way to newer, and all of it to the journal. */
static bool on_no_space(struct history *h)
{
    if (is_held(h)) {
        h->short_of_space = true;
        return false;
    }
    if (history_give_way(h))
        return true;
    h->stats.dropped++;
    h->done[0].made = true;
    return true;
}

static bool make(struct history *h)
{
    struct history_done *first = &h->done[0];
    if (!h->making) {
        h->maker = (struct history_maker){.disk = h->disk,
                                          .replay = h->options.replay,
                                          .start = first->start,
                                          .used = first->used};
        memcpy(h->maker.hub_id, h->hub_id, sizeof(h->hub_id));
        h->making = true;
    }
    h->short_of_space = false;
    int error = history_make(&h->maker);
    if (error == EAGAIN)
        return true;
    h->making = false;
    if (is_no_space(error))
        return on_no_space(h);
    if (!error) {
        on_made(h);
        return true;
    }
    note_error(h, error, first->start);
    h->stats.kept++;
    done_with_first(h);
    return true;
}

void history_add(struct history *h, const struct old_segment *old)
{
    uint64_t start = old->start;
    CHECK(h->stats.pending == 0 || h->done[h->stats.pending - 1].start < start);
    if (h->stats.pending == h->done_room) {
        h->done_room = h->done_room * 2 + 16;
        h->done = realloc(h->done, h->done_room * sizeof(*h->done));
        if (!h->done)
            check_no_memory();
    }
    h->done[h->stats.pending++] = (struct history_done){
        .start = start,
        .size = old->size,
        .used = old->used,
        .made = h->options.history_ms == 0 || is_file(h, find_file(h, start), start) ||
                store_fault(STORE_FAULT_HISTORY_SKIPPED),
    };
}

bool history_step(struct history *h, int64_t wall_ms)
{
    bool held = is_held(h);
    if (!held && remove_old(h, wall_ms))
        return true;
    if (h->stats.pending == 0)
        return false;
    if (h->done[0].made)
        return !held && remove_segment(h);
    if (h->short_of_space && held)
        return false;
    return make(h);
}

/* -- init -- */

struct found {
    struct history *h;
    uint64_t *segments; /* their starts */
    size_t segment_count, segment_room;
    char (*leftovers)[HISTORY_NAME];
    size_t leftover_count, leftover_room;
};

static bool is_leftover(const char *name)
{
    static const char end[] = ".hist.new";
    size_t len = strlen(name);
    return len < HISTORY_NAME && len >= sizeof(end) &&
           strcmp(name + len - (sizeof(end) - 1), end) == 0;
}

static void found_leftover(struct found *f, const char *name)
{
    if (f->leftover_count == f->leftover_room) {
        f->leftover_room = f->leftover_room * 2 + 4;
        f->leftovers = realloc(f->leftovers, f->leftover_room * sizeof(*f->leftovers));
        if (!f->leftovers)
            check_no_memory();
    }
    memcpy(f->leftovers[f->leftover_count++], name, strlen(name) + 1);
}

static void found_segment(struct found *f, uint64_t start)
{
    if (f->segment_count == f->segment_room) {
        f->segment_room = f->segment_room * 2 + 16;
        f->segments = realloc(f->segments, f->segment_room * sizeof(*f->segments));
        if (!f->segments)
            check_no_memory();
    }
    f->segments[f->segment_count++] = start;
}

static void on_name(void *owner, const char *name, uint64_t size)
{
    struct found *f = owner;
    uint64_t start;
    if (history_start(name, &start))
        append_file(f->h, &(struct history_kept){.start = start, .size = size});
    else if (segment_start(name, &start))
        found_segment(f, start);
    else if (is_leftover(name))
        found_leftover(f, name);
}

/* A segment and its history file: one too many. */
static int settle(struct history *h, uint64_t start)
{
    struct history_file file;
    char segment[SEGMENT_NAME], history[HISTORY_NAME];
    size_t i = find_file(h, start);
    if (!is_file(h, i, start))
        return 0;
    segment_name(segment, start);
    history_name(history, start);
    enum status st = history_file_open(&file, h->disk, start, h->hub_id);
    int error = file.error;
    history_file_close(&file);
    if (st == UNAVAILABLE)
        return error;
    bool held = is_held(h); /* then history_add is told of the segment, and it goes later */
    if (st == OK)
        return held ? 0 : remove_name(h, segment);
    forget_file(h, i); /* the segment still has all of it */
    return held ? 0 : remove_name(h, history);
}

int history_init(struct history *h, struct disk *disk, const uint8_t hub_id[16],
                 const struct history_options *options)
{
    *h = (struct history){.disk = disk, .options = *options};
    memcpy(h->hub_id, hub_id, sizeof(h->hub_id));
    struct found found = {.h = h};
    int error = disk_list(disk, on_name, &found);
    sort_files(h);
    if (!error && h->stats.files) /* of one made just before a kill the name may not last yet */
        error = disk_sync_names(disk);
    for (size_t i = 0; !error && i < found.leftover_count; i++)
        error = disk_remove(disk, found.leftovers[i]);
    for (size_t i = 0; !error && i < found.segment_count; i++)
        error = settle(h, found.segments[i]);
    free(found.leftovers);
    free(found.segments);
    return error;
}

void history_fini(struct history *h)
{
    if (h->making)
        history_unmake(&h->maker);
    free(h->files);
    free(h->done);
    h->files = NULL;
    h->done = NULL;
    h->making = false;
}
