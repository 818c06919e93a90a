#include "store/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/copy.h"
#include "store/lmdb_file.h"

static const char key_name[] = "master.key", journal_name[] = "journal",
                  new_journal[] = "journal.new";

struct restore {
    const struct restore_options *o;
    struct restore_result *out;
    struct buf *why;
    struct directory from, to, keys;
    struct header known; /* of the directory that was there: its epoch is used. Zero: none */
    struct epoch_jump jump;
};

static void put_time(struct buf *b, int64_t now_ms)
{
    time_t s = (time_t)(now_ms / 1000);
    struct tm tm;
    char text[32];
    gmtime_r(&s, &tm);
    strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
    buf_text(b, text);
}

static void step(struct restore *r)
{
    if (r->o->step)
        r->o->step(r->o->step_owner);
}

static enum status write_header(struct restore *r)
{
    step(r);
    return directory_write_header(&r->to, r->why);
}

/* r->to has the header of the state that is gone back to. */
static enum status begin_epoch(struct restore *r)
{
    struct header old = r->to.header;
    if (!epoch_begin(&r->to.header, &r->known, r->o->now_ms)) {
        buf_printf(r->why, "%s cannot be restored: it is of epoch %d, the last one", r->o->to,
                   EPOCH_MAX);
        return BAD_ARGUMENT;
    }
    r->jump = epoch_jump(&old, &r->to.header);
    r->out->raised = r->jump.versions;
    return OK;
}

static enum status rebuild(struct restore *r)
{
    const struct restore_options *o = r->o;
    struct rebuild_options options = {.from = o->from ? &r->from : &r->to,
                                      .to = &r->to,
                                      .stop = o->stop,
                                      .jump = r->jump,
                                      .replay = o->check.replay,
                                      .rules = o->check.rules,
                                      .random = o->random,
                                      .map_bytes = o->check.map_bytes};
    return rebuild_run(&options, &r->out->state, r->why);
}

static enum status move(struct restore *r, const char *from, int to_fd, const char *to)
{
    step(r);
    return renameat(r->to.dir_fd, from, to_fd, to) == 0
               ? OK
               : directory_refuse(&r->to, "rename", from, errno, r->why);
}

static void end(struct restore *r)
{
    directory_close(&r->from);
    directory_close(&r->to);
    directory_close(&r->keys);
}

/* The result is looked at as a whole; by then nobody holds its lock. */
static enum status check_result(struct restore *r)
{
    struct check_options check = r->o->check;
    check.path = r->o->to;
    return check_run(&check, &r->out->check, r->why);
}

static struct restore begin(const struct restore_options *o, struct restore_result *out,
                            struct buf *why)
{
    *out = (struct restore_result){0};
    return (struct restore){
        .o = o,
        .out = out,
        .why = why,
        .from = {.dir_fd = -1, .lock_fd = -1},
        .to = {.dir_fd = -1, .lock_fd = -1},
        .keys = {.dir_fd = -1, .lock_fd = -1}
    };
}

/* ---- restore ---- */

/* From the backup, or from where the keys are. */
static enum status read_key(struct restore *r)
{
    enum status st = directory_read_key(&r->from, r->why);
    if (st != NOT_FOUND)
        return st;
    if (!r->o->keys) {
        buf_printf(r->why,
                   "%s was made without master.key; name the directory that has it: --keys DIR",
                   r->o->from);
        return BAD_ARGUMENT;
    }
    TRY(directory_attach(&r->keys, r->o->keys, r->why));
    r->keys.header = r->from.header;
    st = directory_read_key(&r->keys, r->why);
    if (st == NOT_FOUND) {
        buf_printf(r->why, "%s has no master.key", r->o->keys);
        return BAD_ARGUMENT;
    }
    memcpy(r->from.master_key, r->keys.master_key, sizeof(r->from.master_key));
    return st;
}

static enum status open_backup(struct restore *r)
{
    TRY(directory_attach(&r->from, r->o->from, r->why));
    enum status st = directory_read_header(&r->from, r->why);
    if (st == NOT_FOUND) {
        buf_printf(r->why, "%s is no backup: it has no header twinhub.hdr", r->o->from);
        return BAD_ARGUMENT;
    }
    TRY(st);
    if (!(r->from.header.features & HEADER_BACKUP)) { /* a copy of a directory will do */
        TRY(directory_check_usable(&r->from, r->why));
        TRY(directory_lock(&r->from, r->why));
    }
    return read_key(r);
}

/* A directory of the same hub, of before. One whose header cannot be read says nothing. */
static bool learn(struct restore *r, struct directory *d)
{
    struct buf ignored = {0};
    bool can = directory_read_header(d, &ignored) == OK;
    if (can && memcmp(d->header.hub_id, r->from.header.hub_id, sizeof(d->header.hub_id)) == 0)
        r->known = d->header;
    buf_fini(&ignored);
    return can;
}

/* What stands in the way, if it may. */
static enum status move_aside(struct restore *r)
{
    struct directory there = {.dir_fd = -1, .lock_fd = -1};
    struct buf *kept = &r->out->kept;
    TRY(directory_attach(&there, r->o->to, r->why));
    enum status st = directory_lock(&there, r->why);
    if (st == OK) {
        learn(r, &there);
        buf_text(kept, r->o->to);
        while (kept->len > 1 && kept->data[kept->len - 1] == '/')
            kept->len--;
        buf_text(kept, ".before-");
        put_time(kept, r->o->now_ms);
        buf_byte(kept, 0);
        if (rename(r->o->to, (const char *)kept->data) < 0)
            st = directory_refuse(&there, "move aside", "", errno, r->why);
        else /* that lasts before its name is taken */
            st = copy_sync_parent(r->o->to, r->why);
    }
    directory_close(&there);
    return st;
}

/* An earlier restore that did not finish left nothing that is not in the backup. */
static enum status clear_unfinished(struct restore *r)
{
    static const char *const names[] = {"base.mdb", key_name};
    rebuild_discard(&r->to);
    for (size_t i = 0; i < COUNT(names); i++)
        if (unlinkat(r->to.dir_fd, names[i], 0) < 0 && errno != ENOENT)
            return directory_refuse(&r->to, "remove", names[i], errno, r->why);
    /* The journal of an unfinished restore is empty but for its one segment. */
    if (renameat(r->to.dir_fd, journal_name, r->to.dir_fd, new_journal) < 0 && errno != ENOENT)
        return directory_refuse(&r->to, "remove", journal_name, errno, r->why);
    rebuild_discard(&r->to);
    return OK;
}

static enum status open_target(struct restore *r)
{
    if (mkdir(r->o->to, 0700) < 0 && errno != EEXIST) {
        buf_printf(r->why, "cannot create %s: %s", r->o->to, strerror(errno));
        return errno == ENOSPC || errno == EDQUOT ? STORAGE_FULL : UNAVAILABLE;
    }
    TRY(directory_attach(&r->to, r->o->to, r->why));
    return directory_lock(&r->to, r->why);
}

/* Is the target one of a restore that did not finish? Then its epoch was begun and not used: this
 * one has the same, or a later one. */
static bool is_unfinished(struct restore *r)
{
    struct directory d;
    struct buf ignored = {0};
    bool is = directory_attach(&d, r->o->to, &ignored) == OK;
    if (is)
        is = learn(r, &d) && d.header.features & HEADER_RESTORING;
    if (is && r->known.epoch)
        r->known.epoch--;
    directory_close(&d);
    buf_fini(&ignored);
    return is;
}

static enum status make_target(struct restore *r)
{
    bool unfinished = is_unfinished(r);
    struct buf in_the_way = {0};
    enum status st = unfinished ? OK : copy_check_empty(r->o->to, &in_the_way);
    if (st == BAD_ARGUMENT && r->o->aside) {
        st = move_aside(r);
    } else if (st != OK) {
        buf_put(r->why, buf_span(&in_the_way));
        if (st == BAD_ARGUMENT)
            buf_text(r->why, "; --force moves it aside");
    }
    buf_fini(&in_the_way);
    TRY(st);
    TRY(open_target(r));
    if (unfinished)
        TRY(clear_unfinished(r));
    return OK;
}

static enum status copy_files(struct restore *r)
{
    for (size_t i = 0; i < r->o->file_count; i++) {
        const struct backup_file *f = &r->o->files[i];
        unsigned mode = f->is_public ? 0644 : 0600;
        enum status st = copy_file(&r->from, &r->to, f->name, mode, r->why);
        if (st == NOT_FOUND && r->o->keys && f->is_secret) {
            if (r->keys.dir_fd < 0)
                TRY(directory_attach(&r->keys, r->o->keys, r->why));
            st = copy_file(&r->keys, &r->to, f->name, mode, r->why);
        }
        if (st != NOT_FOUND)
            TRY(st);
    }
    return OK;
}

static enum status fill_target(struct restore *r)
{
    struct header *h = &r->to.header;
    *h = r->from.header;
    h->features = HEADER_JOURNAL | HEADER_RESTORING;
    TRY(begin_epoch(r));
    TRY(write_header(r));
    TRY(rebuild(r));
    memcpy(r->to.master_key, r->from.master_key, sizeof(r->to.master_key));
    TRY(directory_write(&r->to, key_name, span_of(r->to.master_key, sizeof(r->to.master_key)),
                        r->why));
    TRY(copy_files(r));
    step(r);
    TRY(lmdb_file_adopt(&r->to, r->why));
    TRY(move(r, new_journal, r->to.dir_fd, journal_name));
    h->features = HEADER_JOURNAL;
    r->out->epoch = h->epoch;
    return write_header(r);
}

enum status restore_run(const struct restore_options *options, struct restore_result *out,
                        struct buf *why)
{
    struct restore r = begin(options, out, why);
    enum status st = open_backup(&r);
    if (st == OK)
        st = make_target(&r);
    if (st == OK)
        st = fill_target(&r);
    end(&r);
    return st == OK ? check_result(&r) : st;
}

/* ---- recover ---- */

static bool exists(struct restore *r, const char *name)
{
    return faccessat(r->to.dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static enum status open_cut(struct restore *r, int *out)
{
    struct buf name = {0}, *kept = &r->out->kept;
    buf_text(&name, "journal.cut-");
    put_time(&name, r->o->now_ms);
    buf_byte(&name, 0);
    const char *cut = (const char *)name.data;
    if (mkdirat(r->to.dir_fd, cut, 0700) == 0 || errno == EEXIST)
        *out = openat(r->to.dir_fd, cut, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status st = *out < 0 ? directory_refuse(&r->to, "create", cut, errno, r->why) : OK;
    buf_printf(kept, "%s/%s", r->o->to, cut);
    buf_byte(kept, 0);
    buf_fini(&name);
    return st;
}

/* What takes the place of what. */
static const struct {
    const char *name, *new;
} exchanged[] = {
    {"base.mdb",   "base.mdb.new"},
    {journal_name, new_journal   }
};

/* The old ones go to the cut, and that lasts before their names are taken: a power cut could else
 * keep the second move without the first, and the old one would be nowhere. By syncfs, since an
 * earlier run that was ended here may have moved one to another cut. What has been done is not done
 * again. */
static enum status keep_old(struct restore *r, int cut_fd)
{
    for (size_t i = 0; i < COUNT(exchanged); i++)
        if (exists(r, exchanged[i].new) && exists(r, exchanged[i].name))
            TRY(move(r, exchanged[i].name, cut_fd, exchanged[i].name));
    return syncfs(r->to.dir_fd) == 0 ? OK : directory_refuse(&r->to, "sync", "", errno, r->why);
}

static enum status take_names(struct restore *r)
{
    for (size_t i = 0; i < COUNT(exchanged); i++)
        if (exists(r, exchanged[i].new))
            TRY(move(r, exchanged[i].new, r->to.dir_fd, exchanged[i].name));
    return OK;
}

/* Everything is in place under the new names, and the header says so. */
static enum status finish(struct restore *r)
{
    int cut_fd = -1;
    enum status st = open_cut(r, &cut_fd);
    if (st == OK)
        st = keep_old(r, cut_fd);
    if (cut_fd >= 0)
        close(cut_fd);
    TRY(st);
    TRY(take_names(r));
    r->to.header.features = HEADER_JOURNAL;
    r->out->epoch = r->to.header.epoch;
    return write_header(r);
}

/* From here on the new base counts, unless the header could not be written: then what was rebuilt
 * is given back. A header that has its name and could not be synced says that it counts. */
static enum status begin_recovery(struct restore *r)
{
    struct directory now = {.path = r->to.path, .dir_fd = r->to.dir_fd};
    struct buf ignored = {0};
    r->to.header.features |= HEADER_RECOVERING;
    enum status st = write_header(r);
    if (st != OK && directory_read_header(&now, &ignored) == OK &&
        !(now.header.features & HEADER_RECOVERING))
        rebuild_discard(&r->to);
    buf_fini(&ignored);
    return st;
}

static enum status recover(struct restore *r)
{
    struct header *h = &r->to.header;
    TRY(directory_attach(&r->to, r->o->to, r->why));
    TRY(directory_lock(&r->to, r->why));
    enum status st = directory_read_header(&r->to, r->why);
    if (st == NOT_FOUND) {
        buf_printf(r->why, "%s is no data directory: it has no header twinhub.hdr", r->o->to);
        return BAD_ARGUMENT;
    }
    TRY(st);
    if (h->features & HEADER_RECOVERING) {
        r->out->finished = true;
        return finish(r);
    }
    TRY(directory_check_usable(&r->to, r->why));
    st = directory_read_key(&r->to, r->why);
    if (st == NOT_FOUND) {
        buf_printf(r->why, "%s/%s is missing", r->o->to, key_name);
        return DAMAGED;
    }
    TRY(st);
    TRY(begin_epoch(r));
    TRY(rebuild(r));
    TRY(begin_recovery(r));
    return finish(r);
}

enum status recover_run(const struct restore_options *options, struct restore_result *out,
                        struct buf *why)
{
    struct restore r = begin(options, out, why);
    enum status st = recover(&r);
    end(&r);
    return st == OK ? check_result(&r) : st;
}
