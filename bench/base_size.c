/* base_size — what the records of a data directory take in its base, beside the file.
 *
 *   base_size DIR
 *
 * Prints one line: records of entities and the bytes of their bodies and secrets (as in memory:
 * without the value's header and what sealing adds), pages by kind, the pages of the file, and
 * file over records. The hub may be running.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/key.h"
#include "store/seal.h"
#include "store/value.h"

struct sizes {
    uint64_t records, bytes;
    size_t free_pages;
    MDB_stat stat;
    MDB_envinfo info;
};

static void must(int error, const char *what)
{
    if (!error)
        return;
    fprintf(stderr, "base_size: %s: %s\n", what, mdb_strerror(error));
    exit(1);
}

static struct span span_at(const MDB_val *v)
{
    return span_of(v->mv_data, v->mv_size);
}

static void add_records(MDB_txn *txn, MDB_dbi dbi, struct sizes *sizes)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int error;
    must(mdb_cursor_open(txn, dbi, &cursor), "open");
    while (!(error = mdb_cursor_get(cursor, &k, &v, MDB_NEXT))) {
        struct value value;
        if (value_decode(span_at(&k), span_at(&v), &value) != OK) {
            fprintf(stderr, "base_size: a record is damaged\n");
            exit(1);
        }
        if (key_is_own(span_at(&k)))
            continue;
        sizes->records++;
        sizes->bytes += value.body.len + (value.sealed.len ? value.sealed.len - SEAL_EXTRA : 0);
    }
    must(error == MDB_NOTFOUND ? 0 : error, "read");
    mdb_cursor_close(cursor);
}

/* LMDB's list of free pages is its database 0; each value begins with how many it names. */
static size_t count_free(MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    size_t count = 0, n;
    int error;
    must(mdb_cursor_open(txn, 0, &cursor), "open");
    while (!(error = mdb_cursor_get(cursor, &k, &v, MDB_NEXT))) {
        memcpy(&n, v.mv_data, sizeof(n));
        count += n;
    }
    must(error == MDB_NOTFOUND ? 0 : error, "read");
    mdb_cursor_close(cursor);
    return count;
}

int main(int argc, char **argv)
{
    char path[4096];
    struct sizes sizes = {0};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    if (argc != 2) {
        fprintf(stderr, "usage: base_size DIR\n");
        return 2;
    }
    snprintf(path, sizeof(path), "%s/base.mdb", argv[1]);
    must(mdb_env_create(&env), "create");
    must(mdb_env_set_mapsize(env, (size_t)1 << 40), "map");
    must(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOTLS, 0600), path);
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
    must(mdb_dbi_open(txn, NULL, 0, &dbi), "open");
    must(mdb_stat(txn, dbi, &sizes.stat), "stat");
    must(mdb_env_info(env, &sizes.info), "info");
    add_records(txn, dbi, &sizes);
    sizes.free_pages = count_free(txn);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    double file = (double)(sizes.info.me_last_pgno + 1) * sizes.stat.ms_psize;
    double count = sizes.records ? (double)sizes.records : 1;
    printf("records=%llu record_bytes=%.0f leaf_pages=%zu other_pages=%zu free_pages=%zu "
           "pages=%zu file_bytes=%.0f per_record=%.0f ratio=%.2f\n",
           (unsigned long long)sizes.records, (double)sizes.bytes / count, sizes.stat.ms_leaf_pages,
           sizes.stat.ms_branch_pages + sizes.stat.ms_overflow_pages, sizes.free_pages,
           sizes.info.me_last_pgno + 1, file, file / count,
           sizes.bytes ? file / (double)sizes.bytes : 0);
    return 0;
}
