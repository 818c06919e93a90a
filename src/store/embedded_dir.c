#include "store/embedded_dir.h"

#include <stdlib.h>
#include <string.h>

#include "store/block.h"
#include "store/disk_posix.h"
#include "store/hold.h"
#include "store/lmdb_base.h"
#include "store/segment.h"

static const size_t map_bytes_default = (size_t)1 << 40;
static const char journal_name[] = "journal";

struct embedded_dir {
    struct directory directory;
    struct lmdb_file file;
    struct base *base;
    struct disk *disk;
    struct hold hold;
    struct embedded *keeper;
};

/* -- what an attempt to make the directory left behind -- */

struct leftover {
    char name[DISK_NAME_MAX + 1];
    bool found;
};

static void on_name(void *owner, const char *name, uint64_t size)
{
    struct leftover *left = owner;
    (void)size;
    size_t len = strlen(name);
    if (left->found || len > DISK_NAME_MAX)
        return;
    memcpy(left->name, name, len + 1);
    left->found = true;
}

static bool holds_changes(struct disk *disk, const char *name)
{
    struct disk_file *file;
    struct block block;
    uint8_t head[BLOCK_HEAD];
    size_t got = 0, len = strlen(name);
    if (len > 5 && strcmp(name + len - 5, ".hist") == 0)
        return true;
    if (disk_open(disk, name, false, &file) != 0)
        return true;
    int error = disk_read(file, SEGMENT_HEAD, head, sizeof(head), &got);
    disk_close(file);
    return error || (got == sizeof(head) && block_read(span_of(head, sizeof(head)), &block) == OK);
}

/* The header is written last: without one there may be a journal, but nothing in it. */
static enum status clear_journal(struct embedded_dir *d, struct buf *why)
{
    for (;;) {
        struct leftover left = {.found = false};
        int error = disk_list(d->disk, on_name, &left);
        if (!error && !left.found)
            return OK;
        if (!error && holds_changes(d->disk, left.name)) {
            buf_printf(
                why,
                "%s/journal holds changes, but the header twinhub.hdr is missing; restore it "
                "from a backup",
                d->directory.path);
            return DAMAGED;
        }
        if (!error)
            error = disk_remove(d->disk, left.name);
        if (error)
            return directory_refuse(&d->directory, "clear", journal_name, error, why);
    }
}

/* -- opening -- */

static enum status open_keeper(struct embedded_dir *d, const struct embedded_dir_options *options,
                               struct buf *why)
{
    const struct header *header = &d->directory.header;
    struct embedded_options keeper = options->keeper;
    memcpy(keeper.hub_id, header->hub_id, sizeof(keeper.hub_id));
    keeper.master_key = d->directory.master_key;
    keeper.epoch = header->epoch;
    keeper.partitions = header->partitions;
    keeper.has_journal = !d->directory.fresh && (header->features & HEADER_JOURNAL);
    keeper.held = hold_is_taken;
    keeper.held_ctx = &d->hold;
    struct buf reason = {0};
    enum status st = embedded_open(&keeper, d->disk, d->base, &d->keeper, &reason);
    if (st != OK)
        buf_printf(why, "%s: %.*s", d->directory.path, SPAN_ARG(reason));
    buf_fini(&reason);
    return st;
}

static enum status open_all(struct embedded_dir *d, const struct embedded_dir_options *options,
                            struct buf *why)
{
    size_t map_bytes = options->map_bytes ? options->map_bytes : map_bytes_default;
    struct random random = options->keeper.random;
    TRY(directory_open(&d->directory, options->path, options->partitions, random, why));
    TRY(lmdb_file_open(&d->file, &d->directory, map_bytes, why));
    d->base = lmdb_base_create(&d->file, d->directory.master_key, random);
    int error = disk_posix_open(d->directory.dir_fd, journal_name, &d->disk);
    if (error)
        return directory_refuse(&d->directory, "open", journal_name, error, why);
    error = hold_open(&d->hold, d->directory.dir_fd);
    if (error)
        return directory_refuse(&d->directory, "open", "journal.hold", error, why);
    if (d->directory.fresh)
        TRY(clear_journal(d, why));
    TRY(open_keeper(d, options, why));
    return directory_finish(&d->directory, why);
}

enum status embedded_dir_open(const struct embedded_dir_options *options, struct embedded_dir **out,
                              struct buf *why)
{
    struct embedded_dir *d = calloc(1, sizeof(*d));
    if (!d)
        check_no_memory();
    d->hold.fd = -1;
    enum status st = open_all(d, options, why);
    if (st == OK)
        *out = d;
    else
        embedded_dir_close(d, 0);
    return st;
}

void embedded_dir_close(struct embedded_dir *d, int64_t patience_ms)
{
    if (!d)
        return;
    embedded_close(d->keeper, patience_ms);
    hold_close(&d->hold);
    base_close(d->base);
    disk_posix_close(d->disk);
    lmdb_file_close(&d->file);
    directory_close(&d->directory);
    free(d);
}

const struct directory *embedded_dir_directory(const struct embedded_dir *d)
{
    return &d->directory;
}

struct embedded *embedded_dir_keeper(const struct embedded_dir *d)
{
    return d->keeper;
}
