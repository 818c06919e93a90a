/* What base.h promises, asked of the base in LMDB. */
#include "store/lmdb_base.h"

#include "store/store_fixture.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "store/value.h"

static uint64_t seed = 31;
static const char *path;
static struct directory directory;
static struct lmdb_file file;
static struct base *base;
static struct base_reader *reader;

static void open_all(size_t map_bytes)
{
    struct buf why = {0};
    EXPECT_EQ(directory_open(&directory, path, 4, fixture_random(&seed), &why), OK);
    EXPECT_EQ(lmdb_file_open(&file, &directory, map_bytes, &why), OK);
    EXPECT_EQ(directory_finish(&directory, &why), OK);
    base = lmdb_base_create(&file, directory.master_key, fixture_random(&seed));
    EXPECT_EQ(base_reader_open(base, &reader), OK);
}

static void begin(size_t map_bytes)
{
    path = fixture_path();
    open_all(map_bytes);
}

static void close_all(void)
{
    base_reader_close(reader);
    base_close(base);
    lmdb_file_close(&file);
    directory_close(&directory);
}

static void end(void)
{
    close_all();
    fixture_remove(path);
}

static struct key key_of(const char *device)
{
    struct key key;
    struct store_key k = fixture_key(1, device, "");
    key_encode(&key, &k);
    return key;
}

/* In the open transaction; `body` NULL deletes. */
static int put(const char *device, const char *body, uint64_t seq)
{
    struct key key = key_of(device);
    struct record *record = body ? fixture_record(body, "key") : NULL;
    int error = base_put(base, key_span(&key), record, seq);
    record_unref(record);
    return error;
}

static void put_now(const char *device, const char *body, uint64_t seq)
{
    EXPECT_EQ(base_begin(base), 0);
    EXPECT_EQ(put(device, body, seq), 0);
    EXPECT_EQ(base_commit(base), 0);
}

/* "body|secret", or the status's name, between enter and leave. Good until the next call. */
static const char *get_in(struct base_reader *r, const char *device)
{
    static char text[64];
    struct key key = key_of(device);
    struct record *record = NULL;
    enum status st = base_get(r, key_span(&key), &record);
    if (st != OK)
        return status_name(st);
    snprintf(text, sizeof(text), "%.*s|%.*s", SPAN_ARG(record_body(record)),
             SPAN_ARG(record_secret(record)));
    record_unref(record);
    return text;
}

static const char *get(const char *device)
{
    EXPECT_EQ(base_enter(reader), OK);
    const char *text = get_in(reader, device);
    base_leave(reader);
    return text;
}

TEST(a_transaction_is_there_wholly_when_it_is_committed)
{
    begin(16 << 20);
    EXPECT_TEXT(get("a"), "NOT_FOUND");
    EXPECT_EQ(base_begin(base), 0);
    EXPECT_EQ(put("a", "1", 1), 0);
    EXPECT_EQ(put("b", "2", 2), 0);
    EXPECT_TEXT(get("a"), "NOT_FOUND"); /* not yet */
    EXPECT_EQ(base_commit(base), 0);
    EXPECT_TEXT(get("a"), "1|key");
    EXPECT_TEXT(get("b"), "2|key");
    EXPECT_EQ(base_begin(base), 0);
    EXPECT_EQ(put("a", NULL, 3), 0);
    EXPECT_EQ(put("c", NULL, 4), 0); /* there is none: no error */
    EXPECT_EQ(put("b", "two", 5), 0);
    EXPECT_EQ(base_commit(base), 0);
    EXPECT_TEXT(get("a"), "NOT_FOUND");
    EXPECT_TEXT(get("b"), "two|key");
    close_all();
    open_all(16 << 20);
    EXPECT_TEXT(get("b"), "two|key");
    end();
}

TEST(the_outermost_enter_takes_the_newest_state)
{
    struct base_reader *other;
    begin(16 << 20);
    put_now("a", "old", 1);
    EXPECT_EQ(base_reader_open(base, &other), OK);
    EXPECT_EQ(base_enter(reader), OK);
    put_now("a", "new", 2);
    EXPECT_TEXT(get_in(reader, "a"), "old|key");
    EXPECT_EQ(base_enter(reader), OK); /* an inner one changes nothing */
    EXPECT_EQ(reader->depth, 2);
    EXPECT_TEXT(get_in(reader, "a"), "old|key");
    base_leave(reader);
    EXPECT_TEXT(get_in(reader, "a"), "old|key");
    EXPECT_EQ(base_enter(other), OK);
    EXPECT_TEXT(get_in(other, "a"), "new|key");
    base_leave(other);
    base_leave(reader);
    EXPECT_EQ(reader->depth, 0);
    EXPECT_TEXT(get("a"), "new|key");
    base_reader_close(other);
    base_reader_close(NULL);
    end();
}

/* "a/=1 a/m=2 OK": what is walked after this key. */
static const char *walk(struct span after)
{
    static char text[512];
    struct base_walk *w;
    struct buf b = {0};
    enum status st;
    EXPECT_EQ(base_enter(reader), OK);
    EXPECT_EQ(base_walk(reader, after, &w), OK);
    do {
        struct key at;
        struct store_key key;
        struct record *record;
        st = base_next(reader, w, &at, &record);
        if (st != OK)
            continue;
        EXPECT(key_decode(key_span(&at), &key));
        buf_printf(&b, "%u:%.*s/%.*s=%.*s ", key.partition, SPAN_ARG(key.device),
                   SPAN_ARG(key.module), SPAN_ARG(record_body(record)));
        record_unref(record);
    } while (st == OK || st == DAMAGED);
    base_walk_end(reader, w);
    base_walk_end(reader, NULL);
    base_leave(reader);
    EXPECT_EQ(reader->error, 0);
    snprintf(text, sizeof(text), "%.*s%s", SPAN_ARG(b), status_name(st));
    buf_fini(&b);
    return text;
}

static void put_key(uint32_t partition, const char *device, const char *module)
{
    struct key key;
    struct store_key k = fixture_key(partition, device, module);
    struct record *record = fixture_record("x", "");
    key_encode(&key, &k);
    EXPECT_EQ(base_put(base, key_span(&key), record, 1), 0);
    record_unref(record);
}

TEST(a_walk_goes_in_key_order_and_passes_over_the_keepers_own_keys)
{
    const struct store_partition counts = {.seq = 9};
    begin(16 << 20);
    EXPECT_TEXT(walk(SPAN("")), "NOT_FOUND");
    EXPECT_EQ(base_begin(base), 0);
    for (uint32_t i = 0; i < 4; i++)
        EXPECT_EQ(base_put_counts(base, i, &counts), 0);
    EXPECT_EQ(base_put_mark(base, (struct mark){512, 1}), 0);
    put_key(3, "z", "");
    put_key(1, "a", "m");
    put_key(0, "", "policy");
    put_key(1, "a", "");
    EXPECT_EQ(base_commit(base), 0);
    EXPECT_TEXT(walk(SPAN("")), "0:/policy=x 1:a/=x 1:a/m=x 3:z/=x NOT_FOUND");
    EXPECT_TEXT(walk(SPAN("\0\1a\0")), "1:a/m=x 3:z/=x NOT_FOUND"); /* greater, not equal */
    EXPECT_TEXT(walk(SPAN("\0\1a\0a")), "1:a/m=x 3:z/=x NOT_FOUND");
    EXPECT_TEXT(walk(SPAN("\0\3z\0")), "NOT_FOUND");
    EXPECT_TEXT(walk(SPAN("\377")), "NOT_FOUND");
    end();
}

TEST(counts_and_the_mark_are_as_they_were_put_last)
{
    struct store_partition got[4];
    const struct store_partition first = {1, 2, 3, 4}, second = {5, 6, 7, 8};
    struct mark mark = {0};
    begin(16 << 20);
    EXPECT_EQ(base_enter(reader), OK);
    EXPECT_EQ(base_mark(reader, &mark), NOT_FOUND);
    memset(got, 0xff, sizeof(got));
    EXPECT_EQ(base_counts(reader, 4, got), OK);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(got[i].seq + got[i].devices + got[i].disabled + got[i].modules, 0);
    base_leave(reader);
    EXPECT_EQ(base_begin(base), 0);
    EXPECT_EQ(base_put_counts(base, 2, &first), 0);
    EXPECT_EQ(base_put_mark(base, (struct mark){512, 1}), 0);
    EXPECT_EQ(base_put_counts(base, 2, &second), 0);
    EXPECT_EQ(base_put_mark(base, (struct mark){UINT64_MAX - 511, 0xfedcba98}), 0);
    EXPECT_EQ(base_commit(base), 0);
    EXPECT_EQ(base_enter(reader), OK);
    EXPECT_EQ(base_mark(reader, &mark), OK);
    EXPECT_EQ(base_counts(reader, 4, got), OK);
    base_leave(reader);
    EXPECT(mark.position == UINT64_MAX - 511);
    EXPECT_EQ(mark.prev, 0xfedcba98);
    EXPECT(memcmp(&got[2], &second, sizeof(second)) == 0);
    EXPECT_EQ(got[1].seq + got[3].seq, 0);
    end();
}

/* -- durability: what the file was when it was last synced -- */

static struct {
    bool watched, fails;
    int syncs;
    uint8_t bytes[4 << 20];
    size_t len;
} synced;

static const char *in_directory(const char *name)
{
    static char full[128];
    snprintf(full, sizeof(full), "%s/%s", path, name);
    return full;
}

/* LMDB's, and nobody else's here: what the file holds now outlives a power cut. */
int fdatasync(int fd)
{
    if (synced.fails) {
        errno = EIO;
        return -1;
    }
    if (synced.watched) {
        int copy = open(in_directory("base.mdb"), O_RDONLY | O_CLOEXEC);
        EXPECT(copy >= 0);
        ssize_t n = read(copy, synced.bytes, sizeof(synced.bytes));
        EXPECT(n > 0 && n < (ssize_t)sizeof(synced.bytes));
        synced.len = (size_t)n;
        synced.syncs++;
        close(copy);
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* The seq of these devices' records after a power cut, which are all of one transaction. */
static uint64_t seq_after_cut(const char *const *devices, size_t count)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    uint64_t seq = 0;
    int fd = open(in_directory("image"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(write(fd, synced.bytes, synced.len), synced.len);
    close(fd);
    EXPECT_EQ(mdb_env_create(&env), 0);
    EXPECT_EQ(mdb_env_open(env, in_directory("image"), MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0),
              0);
    EXPECT_EQ(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    EXPECT_EQ(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    for (size_t i = 0; i < count; i++) {
        struct key key = key_of(devices[i]);
        struct value value;
        MDB_val k = {key.len, key.bytes}, v;
        EXPECT_EQ(mdb_get(txn, dbi, &k, &v), 0);
        EXPECT_EQ(value_decode(key_span(&key), lmdb_span(&v), &value), OK);
        EXPECT(i == 0 || value.seq == seq); /* all or nothing */
        seq = value.seq;
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return seq;
}

TEST(a_power_cut_undoes_the_last_transaction_at_most)
{
    static const char *const devices[] = {"a", "b", "c"};
    begin(16 << 20);
    synced.watched = true;
    for (uint64_t seq = 1; seq <= 30; seq++) {
        int syncs = synced.syncs;
        EXPECT_EQ(base_begin(base), 0);
        for (size_t i = 0; i < COUNT(devices); i++)
            EXPECT_EQ(put(devices[i], "x", seq), 0);
        EXPECT_EQ(base_commit(base), 0);
        EXPECT_EQ(synced.syncs, syncs + 1); /* without the page that names it */
        if (seq > 1)
            EXPECT_EQ(seq_after_cut(devices, COUNT(devices)), seq - 1);
        if (seq % 3)
            continue;
        EXPECT_EQ(base_sync(base), 0);
        EXPECT_EQ(synced.syncs, syncs + 2);
        EXPECT_EQ(seq_after_cut(devices, COUNT(devices)), seq);
    }
    synced.watched = false;
    end();
}

/* -- what goes wrong -- */

TEST(a_base_that_is_full_loses_nothing_and_goes_on_when_there_is_room)
{
    static char body[1001];
    char id[16];
    int count = 0, error = 0;
    memset(body, 'x', sizeof(body) - 1);
    begin(1 << 20);
    while (!error) {
        EXPECT_EQ(base_begin(base), 0);
        for (int i = 0; i < 10 && !error; i++) {
            snprintf(id, sizeof(id), "d%d", count + i);
            error = put(id, body, 1);
        }
        if (!error)
            error = base_commit(base);
        count += error ? 0 : 10;
        EXPECT(count < 2000);
    }
    EXPECT_EQ(base_status(base, error), STORAGE_FULL);
    EXPECT(strstr(base_text(base, error), "MDB_MAP_FULL") != NULL);
    EXPECT(count > 100);
    snprintf(id, sizeof(id), "d%d", count); /* the first of the one that failed */
    EXPECT_TEXT(get(id), "NOT_FOUND");
    for (int i = 0; i < count; i += 10) { /* and before it all are there */
        snprintf(id, sizeof(id), "d%d", i);
        EXPECT_EQ(strlen(get(id)), 63);
    }
    for (int i = 0; i < count; i++) { /* deleting in steps goes on */
        snprintf(id, sizeof(id), "d%d", i);
        put_now(id, NULL, 2);
    }
    put_now("new", "there is room", 3);
    EXPECT_TEXT(get("new"), "there is room|key");
    EXPECT_EQ(base_sync(base), 0);
    end();
}

static bool writes_are_short, writes_fail;

/* LMDB's, of pages: the last four do not fit. */
ssize_t writev(int fd, const struct iovec *at, int count)
{
    if (writes_fail) {
        errno = EIO;
        return -1;
    }
    if (writes_are_short && count > 4)
        count -= 4;
    return (ssize_t)syscall(SYS_writev, fd, at, count);
}

static int commit_many(uint64_t seq)
{
    char id[16];
    EXPECT_EQ(base_begin(base), 0);
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "d%d", i);
        EXPECT_EQ(put(id, "a body", seq), 0);
    }
    return base_commit(base);
}

TEST(a_short_write_is_want_of_space_and_an_error_of_the_disk_is_not)
{
    begin(4 << 20);
    put_now("before", "there", 1);
    writes_are_short = true;
    EXPECT_EQ(base_status(base, commit_many(2)), STORAGE_FULL);
    writes_are_short = false;
    EXPECT_TEXT(get("d0"), "NOT_FOUND");
    EXPECT_TEXT(get("before"), "there|key");
    EXPECT_EQ(commit_many(3), 0); /* nothing of it is in the way */
    EXPECT_TEXT(get("d199"), "a body|key");
    writes_fail = true;
    EXPECT_EQ(base_status(base, commit_many(4)), UNAVAILABLE);
    writes_fail = false;
    synced.fails = true;
    EXPECT_EQ(base_status(base, commit_many(5)), UNAVAILABLE);
    synced.fails = false;
    end();
}

TEST(an_error_of_the_system_is_explained)
{
    begin(1 << 20);
    EXPECT_EQ(base_status(base, 0), OK);
    EXPECT_EQ(base_status(base, ENOSPC), STORAGE_FULL);
    EXPECT_EQ(base_status(base, EIO), UNAVAILABLE);
    EXPECT_EQ(base_status(base, MDB_CORRUPTED), DAMAGED);
    EXPECT_TEXT(base_text(base, EIO), "Input/output error");
    end();
}

TEST(a_damaged_record_harms_no_other)
{
    begin(16 << 20);
    put_now("a", "1", 1);
    put_now("b", "a record to be damaged", 2);
    put_now("c", "3", 3);
    EXPECT_EQ(base_sync(base), 0);
    int fd = open(in_directory("base.mdb"), O_RDWR | O_CLOEXEC);
    struct stat st;
    EXPECT_EQ(fstat(fd, &st), 0);
    uint8_t *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(map != MAP_FAILED);
    uint8_t *at = map;
    size_t left;
    while ((left = (size_t)(map + st.st_size - at)),
           (at = memmem(at, left, "a record to be damaged", 22)))
        *at++ ^= 1; /* in every copy, the old ones too */
    EXPECT_TEXT(get("b"), "DAMAGED");
    EXPECT_TEXT(get("a"), "1|key");
    EXPECT_TEXT(get("c"), "3|key");
    EXPECT_TEXT(walk(SPAN("")), "1:a/=1 1:c/=3 NOT_FOUND");
    EXPECT_EQ(reader->error, 0);
    put_now("b", "whole again", 4);
    EXPECT_TEXT(get("b"), "whole again|key");
    munmap(map, (size_t)st.st_size);
    close(fd);
    end();
}

/* LMDB has room for so many readers, far more than there are shards. */
TEST(a_reader_that_does_not_open_tells_its_error)
{
    struct base_reader *readers[400];
    size_t count = 0;
    begin(16 << 20);
    put_now("a", "1", 1);
    while (base_reader_open(base, &readers[count]) == OK)
        EXPECT(++count < COUNT(readers));
    EXPECT(count > 200);
    EXPECT_EQ(readers[count]->error, MDB_READERS_FULL);
    EXPECT_EQ(base_status(base, readers[count]->error), UNAVAILABLE);
    EXPECT_EQ(base_enter(readers[count]), SERVER_ERROR);
    EXPECT_TEXT(get("a"), "1|key"); /* the others are well */
    for (size_t i = 0; i <= count; i++)
        base_reader_close(readers[i]);
    end();
}

TEST_MAIN(RUN(a_transaction_is_there_wholly_when_it_is_committed),
          RUN(the_outermost_enter_takes_the_newest_state),
          RUN(a_walk_goes_in_key_order_and_passes_over_the_keepers_own_keys),
          RUN(counts_and_the_mark_are_as_they_were_put_last),
          RUN(a_power_cut_undoes_the_last_transaction_at_most),
          RUN(a_base_that_is_full_loses_nothing_and_goes_on_when_there_is_room),
          RUN(a_short_write_is_want_of_space_and_an_error_of_the_disk_is_not),
          RUN(an_error_of_the_system_is_explained), RUN(a_damaged_record_harms_no_other),
          RUN(a_reader_that_does_not_open_tells_its_error))
