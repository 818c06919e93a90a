/* lmdb_store.h — the embedded keeper: batches into LMDB, off the loop.
 *
 * One environment for the hub, one handle for each shard. A shard hands over its batch and goes on;
 * the keeper's thread takes what has gathered, writes it in one transaction, and wakes each shard
 * once that has been synced. Until then, what changed is read from the handle's pending table.
 *
 *   shard:   append, commit ──► queue ──► keeper: write, sync ──► wake ──► shard: poll, durable
 *
 * Reads check every record: its checksum covers its key, its lengths are held against the file.
 * That a record is absent is believed only if its neighbours are sound and in order.
 *
 * Units    bytes
 * Memory   lmdb_env_close frees the environment, store_close a handle
 * Threads  a handle belongs to one thread; lmdb_env_* are for the main thread
 * Errors   the first failed write or sync is the last: `failed` (STORAGE_FULL, UNAVAILABLE or
 *          DAMAGED) comes from the next store_poll, lmdb_env_why says more, and nothing is
 *          acknowledged any more. A record that fails its check is DAMAGED and harms no other
 * Source   design 4; trials F01-F07
 */
#ifndef STORE_LMDB_STORE_H
#define STORE_LMDB_STORE_H

#include "base/buf.h"
#include "base/random.h"
#include "store/directory.h"
#include "store/store.h"

struct lmdb_env;

struct lmdb_options {
    const char *path;     /* the data directory; made when it is missing */
    struct random random; /* used by lmdb_env_open and then by the keeper's thread */
    uint32_t partitions;  /* 0: what the directory has, 32 in a new one */
    /* Acknowledge when written, sync every 100 ms. The end of the process then loses nothing; a
     * power cut loses what came after the last sync, and may lose the base with it. */
    bool async;
    size_t map_bytes;   /* 0: 1 TiB, address space only; tests under a sanitizer take less */
    size_t pending_max; /* 0: 64 MiB: what lmdb_store_full answers by, for each handle */
};

/* On OK the directory is locked and the keeper's thread runs; otherwise `why` says for a person
 * what is wrong (directory.h names the statuses). */
MUST_USE enum status lmdb_env_open(const struct lmdb_options *options, struct lmdb_env **out,
                                   struct buf *why);
/* After its handles are closed. NULL is harmless. */
void lmdb_env_close(struct lmdb_env *env);

const struct directory *lmdb_env_directory(const struct lmdb_env *env);
/* What failed, in words; empty while nothing has. Any thread; constant once not empty. */
const char *lmdb_env_why(struct lmdb_env *env);

/* A handle. The caller sets owner, durable, failed and wake before using it; `wake` runs on the
 * keeper's thread under its lock, so it may only signal. */
struct store *lmdb_env_shard(struct lmdb_env *env);

/* What this handle holds that is not in the base yet. A shard stops reading sockets while it is
 * full; appending is never refused. */
size_t lmdb_store_pending_bytes(const struct store *s);
bool lmdb_store_full(const struct store *s);

#endif
