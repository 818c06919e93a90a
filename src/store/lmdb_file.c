#include "store/lmdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char base_name[] = "base.mdb", new_name[] = "base.mdb.new";

enum {
    READERS_MAX = 254, /* more than there will be shards */
    BASE_MIN = 8192    /* two meta pages */
};

enum status lmdb_status(int error)
{
    switch (error) {
    case 0:
        return OK;
    case ENOSPC:
    case EDQUOT:
    case MDB_MAP_FULL:
        return STORAGE_FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return DAMAGED;
    default:
        return UNAVAILABLE;
    }
}

static enum status refuse(const struct directory *d, const char *what, int error, struct buf *why)
{
    buf_printf(why, "cannot %s %s/%s: %s", what, d->path, base_name, mdb_strerror(error));
    return lmdb_status(error);
}

/* LMDB found its pages to contradict each other. Nothing it would do next is to be trusted. */
static void on_assert(MDB_env *env, const char *message)
{
    (void)env;
    fprintf(stderr, "twinhub: the base is damaged (%s); see twinhub restore\n", message);
    _exit(70);
}

static int open_env(MDB_env **out, const struct directory *d, const char *name, size_t map_bytes,
                    unsigned flags)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", d->path, name) < 0)
        check_no_memory();
    MDB_env *env = NULL;
    int error = mdb_env_create(&env);
    if (!error)
        error = mdb_env_set_mapsize(env, map_bytes);
    if (!error)
        error = mdb_env_set_maxreaders(env, READERS_MAX);
    if (!error)
        error = mdb_env_set_assert(env, on_assert);
    if (!error)
        error = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS | flags, 0600);
    free(path);
    if (error) {
        mdb_env_close(env);
        return error;
    }
    *out = env;
    return 0;
}

static int remove_new(const struct directory *d)
{
    char lock[32];
    snprintf(lock, sizeof(lock), "%s-lock", new_name);
    if (unlinkat(d->dir_fd, lock, 0) < 0 && errno != ENOENT)
        return errno;
    return 0;
}

static int create(const struct directory *d, size_t map_bytes)
{
    if (unlinkat(d->dir_fd, new_name, 0) < 0 && errno != ENOENT)
        return errno;
    MDB_env *env;
    int error = open_env(&env, d, new_name, map_bytes, 0);
    if (error)
        return error;
    error = mdb_env_sync(env, 1);
    mdb_env_close(env);
    if (!error && renameat(d->dir_fd, new_name, d->dir_fd, base_name) < 0)
        error = errno;
    return error ? error : remove_new(d);
}

/* Is there a base? Zero bytes would make LMDB begin an empty one. */
static enum status look(const struct directory *d, bool *found, struct buf *why)
{
    struct stat st;
    *found = fstatat(d->dir_fd, base_name, &st, 0) == 0;
    if (!*found && errno != ENOENT)
        return refuse(d, "look at", errno, why);
    if (!*found && d->fresh)
        return OK;
    if (!*found || st.st_size < BASE_MIN) {
        buf_printf(why, "%s/%s is %s; restore the directory from a backup", d->path, base_name,
                   *found ? "cut short" : "missing");
        return DAMAGED;
    }
    return OK;
}

/* The header is written last, so a base with records has had one. */
static enum status check_fresh(struct lmdb_file *f, const struct directory *d, struct buf *why)
{
    MDB_stat stat;
    int error = mdb_env_stat(f->env, &stat);
    if (error)
        return refuse(d, "read", error, why);
    if (d->fresh && stat.ms_entries) {
        buf_printf(why,
                   "%s holds records, but its header twinhub.hdr is missing; restore it from a "
                   "backup",
                   d->path);
        return DAMAGED;
    }
    return OK;
}

static int open_dbi(struct lmdb_file *f)
{
    MDB_txn *txn;
    int error = mdb_txn_begin(f->env, NULL, MDB_RDONLY, &txn);
    if (error)
        return error;
    error = mdb_dbi_open(txn, NULL, 0, &f->dbi);
    if (error) {
        mdb_txn_abort(txn);
        return error;
    }
    return mdb_txn_commit(txn);
}

static int map_pages(struct lmdb_file *f)
{
    MDB_envinfo info;
    MDB_stat stat;
    int fd, error = mdb_env_info(f->env, &info);
    if (!error)
        error = mdb_env_stat(f->env, &stat);
    if (!error)
        error = mdb_env_get_fd(f->env, &fd);
    if (error)
        return error;
    void *map = mmap(NULL, info.me_mapsize, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return errno;
    f->map = map;
    f->map_bytes = info.me_mapsize;
    f->page_size = stat.ms_psize;
    return 0;
}

enum status lmdb_file_open(struct lmdb_file *f, const struct directory *d, size_t map_bytes,
                           struct buf *why)
{
    *f = (struct lmdb_file){0};
    bool found;
    TRY(look(d, &found, why));
    int error = found ? 0 : create(d, map_bytes);
    if (error)
        return refuse(d, "create", error, why);
    error = open_env(&f->env, d, base_name, map_bytes, MDB_NOMETASYNC);
    if (!error)
        error = open_dbi(f);
    if (!error)
        error = map_pages(f);
    enum status st = error ? refuse(d, "open", error, why) : check_fresh(f, d, why);
    if (st != OK)
        lmdb_file_close(f);
    return st;
}

enum status lmdb_file_open_read(struct lmdb_file *f, const struct directory *d, size_t map_bytes,
                                bool shared, struct buf *why)
{
    *f = (struct lmdb_file){0};
    bool found;
    TRY(look(d, &found, why));
    int error = open_env(&f->env, d, base_name, map_bytes, MDB_RDONLY | (shared ? 0 : MDB_NOLOCK));
    if (!error)
        error = open_dbi(f);
    if (!error)
        error = map_pages(f);
    if (!error)
        return OK;
    lmdb_file_close(f);
    return refuse(d, "open", error, why);
}

enum status lmdb_file_make(struct lmdb_file *f, const struct directory *d, size_t map_bytes,
                           struct buf *why)
{
    *f = (struct lmdb_file){0};
    if (unlinkat(d->dir_fd, new_name, 0) < 0 && errno != ENOENT)
        return refuse(d, "replace", errno, why);
    int error = open_env(&f->env, d, new_name, map_bytes, MDB_NOLOCK | MDB_NOSYNC);
    if (!error)
        error = open_dbi(f);
    if (!error)
        return OK;
    lmdb_file_close(f);
    return refuse(d, "create", error, why);
}

enum status lmdb_file_finish(struct lmdb_file *f, const struct directory *d, struct buf *why)
{
    int error = mdb_env_sync(f->env, 1);
    lmdb_file_close(f);
    return error ? refuse(d, "write", error, why) : OK;
}

enum status lmdb_file_adopt(const struct directory *d, struct buf *why)
{
    return renameat(d->dir_fd, new_name, d->dir_fd, base_name) < 0 ? refuse(d, "rename", errno, why)
                                                                   : OK;
}

enum status lmdb_file_settle(struct lmdb_file *f, const struct directory *d, struct buf *why)
{
    TRY(lmdb_file_finish(f, d, why));
    return lmdb_file_adopt(d, why);
}

void lmdb_file_close(struct lmdb_file *f)
{
    union {
        const uint8_t *from;
        void *to;
    } map = {.from = f->map};
    if (f->map)
        munmap(map.to, f->map_bytes);
    if (f->env)
        mdb_env_close(f->env);
    *f = (struct lmdb_file){0};
}
