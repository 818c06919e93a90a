#include "store/lmdb_store.h"

#include "store/store_fixture.h"

#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "store/value.h"

static uint64_t seed = 17;
static char path[64];
static struct lmdb_env *env;
static struct buf why;

struct owner {
    uint64_t durable;
    enum status failed;
    int failures;
    atomic_int woken;
};

static void on_durable(void *o, uint64_t batch)
{
    struct owner *owner = o;
    EXPECT(batch == owner->durable + 1);
    EXPECT_EQ(owner->failures, 0);
    owner->durable = batch;
}

static void on_failed(void *o, enum status st)
{
    struct owner *owner = o;
    owner->failed = st;
    owner->failures++;
}

static void on_wake(void *o)
{
    atomic_fetch_add(&((struct owner *)o)->woken, 1);
}

static struct lmdb_options options(void)
{
    return (struct lmdb_options){
        .path = path, .random = fixture_random(&seed), .map_bytes = 256 << 20};
}

static enum status try_open(const struct lmdb_options *o)
{
    buf_clear(&why);
    enum status st = lmdb_env_open(o, &env, &why);
    EXPECT_EQ(why.len > 0, st != OK);
    buf_byte(&why, 0);
    return st;
}

static bool why_says(const char *part)
{
    return strstr((const char *)why.data, part) != NULL;
}

static struct store *shard(struct owner *owner)
{
    struct store *s = lmdb_env_shard(env);
    *owner = (struct owner){0};
    s->owner = owner;
    s->durable = on_durable;
    s->failed = on_failed;
    s->wake = on_wake;
    return s;
}

static struct store *begin(struct owner *owner)
{
    if (!*path)
        strcpy(path, fixture_path());
    struct lmdb_options o = options();
    if (try_open(&o) != OK)
        fail_msg("%s", (const char *)why.data);
    return shard(owner);
}

static void end(struct store *s)
{
    store_close(s);
    lmdb_env_close(env);
}

static void forget(void)
{
    fixture_remove(path);
    *path = 0;
    buf_fini(&why);
}

static void wait_durable(struct store *s, const struct owner *owner, uint64_t batch)
{
    while (owner->durable < batch && !owner->failures) {
        store_poll(s);
        sched_yield();
    }
}

static const struct store_key d1 = {1, SPAN_INIT("d1"), SPAN_INIT("")};
static const struct store_key all_of_1 = {1, SPAN_INIT(""), SPAN_INIT("")};

static const char *in_directory(const char *name)
{
    static char full[128];
    snprintf(full, sizeof(full), "%s/%s", path, name);
    return full;
}

TEST(the_pending_table_empties_when_batches_are_durable)
{
    struct owner owner;
    struct store *s = begin(&owner);
    EXPECT_EQ(lmdb_store_pending_bytes(s), 0);
    fixture_put(s, d1, "one", "secret");
    size_t one = lmdb_store_pending_bytes(s);
    EXPECT(one > strlen("onesecret"));
    fixture_put(s, d1, "two", "secret"); /* again in the same batch: not twice */
    EXPECT_EQ(lmdb_store_pending_bytes(s), one);
    store_commit(s, 1);
    while (atomic_load(&owner.woken) == 0)
        sched_yield();
    EXPECT_EQ(owner.durable, 0); /* woken, and told only by poll */
    EXPECT_EQ(lmdb_store_pending_bytes(s), one);
    fixture_put(s, d1, "three", "secret"); /* changed since: stays */
    store_poll(s);
    EXPECT_EQ(owner.durable, 1);
    EXPECT(lmdb_store_pending_bytes(s) > 0);
    EXPECT_TEXT(fixture_load(s, d1), "three|secret");
    store_commit(s, 2);
    wait_durable(s, &owner, 2);
    EXPECT_EQ(lmdb_store_pending_bytes(s), 0);
    EXPECT_TEXT(fixture_load(s, d1), "three|secret");
    store_commit(s, 3); /* nothing changed and nothing waits: at once */
    EXPECT_EQ(owner.durable, 3);
    end(s);
    forget();
}

TEST(a_handle_is_full_above_its_bound)
{
    struct owner owner;
    strcpy(path, fixture_path());
    struct lmdb_options o = options();
    o.pending_max = 1000;
    EXPECT_EQ(try_open(&o), OK);
    struct store *s = shard(&owner);
    char body[901];
    memset(body, 'x', 900);
    body[900] = 0;
    EXPECT(!lmdb_store_full(s));
    fixture_put(s, d1, body, "");
    fixture_put(s, fixture_key(1, "d2", ""), body, "");
    EXPECT(lmdb_store_full(s));
    store_commit(s, 1);
    wait_durable(s, &owner, 1);
    EXPECT(!lmdb_store_full(s));
    end(s);
    forget();
}

TEST(a_second_environment_is_refused_and_the_directory_named)
{
    struct owner owner;
    struct store *s = begin(&owner);
    struct lmdb_env *first = env;
    struct lmdb_options o = options();
    EXPECT_EQ(try_open(&o), UNAVAILABLE);
    EXPECT(why_says(path));
    EXPECT_EQ(lmdb_env_directory(first)->header.partitions, 32);
    EXPECT_TEXT(lmdb_env_why(first), "");
    env = first;
    end(s);
    lmdb_env_close(NULL);
    forget();
}

/* -- several shards, each on its thread -- */

enum { THREADS = 3, BATCHES = 300, PER_BATCH = 5 };

static void *run_shard(void *arg)
{
    uint32_t index = *(uint32_t *)arg;
    struct owner owner;
    struct store *s = shard(&owner);
    uint64_t random = index;
    char id[8], body[32];
    for (uint64_t batch = 1; batch <= BATCHES; batch++) {
        for (int i = 0; i < PER_BATCH; i++) {
            uint64_t n = test_random(&random) % 40;
            snprintf(id, sizeof(id), "d%d", (int)n);
            snprintf(body, sizeof(body), "%d", (int)batch);
            struct store_key key = fixture_key(index, id, "");
            fixture_put(s, key, body, n % 2 ? "secret" : "");
            struct fixture_loaded l = {0};
            store_load(s, &key, fixture_on_load, &l);
            EXPECT(l.st == OK && strtoull(l.text, NULL, 10) == batch);
        }
        store_commit(s, batch);
        if (batch % 3 == 0)
            store_poll(s);
    }
    store_close(s);
    EXPECT_EQ(owner.durable, BATCHES);
    return NULL;
}

TEST(shards_on_threads_of_their_own_lose_nothing)
{
    struct owner owner;
    strcpy(path, fixture_path());
    struct lmdb_options o = options();
    EXPECT_EQ(try_open(&o), OK);
    pthread_t threads[THREADS];
    uint32_t index[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        index[i] = i;
        EXPECT_EQ(pthread_create(&threads[i], NULL, run_shard, &index[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    lmdb_env_close(env);
    struct store *s = begin(&owner);
    for (uint32_t i = 0; i < THREADS; i++) {
        uint64_t random = i;
        int last[40] = {0};
        for (int batch = 1; batch <= BATCHES; batch++)
            for (int n = 0; n < PER_BATCH; n++)
                last[test_random(&random) % 40] = batch;
        for (int n = 0; n < 40; n++) {
            char id[8];
            snprintf(id, sizeof(id), "d%d", n);
            if (last[n])
                EXPECT_EQ(atoi(fixture_load(s, fixture_key(i, id, ""))), last[n]);
        }
        EXPECT_EQ(s->parts[i].seq, BATCHES * PER_BATCH);
    }
    end(s);
    forget();
}

/* -- durability -- */

TEST(async_batches_are_durable_before_the_sync_and_there_after_closing)
{
    struct owner owner;
    strcpy(path, fixture_path());
    struct lmdb_options o = options();
    o.async = true;
    EXPECT_EQ(try_open(&o), OK);
    struct store *s = shard(&owner);
    for (uint64_t batch = 1; batch <= 20; batch++) {
        fixture_put(s, d1, "x", "");
        store_commit(s, batch);
        wait_durable(s, &owner, batch);
    }
    nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL); /* the timed sync runs */
    fixture_put(s, d1, "last", "");
    store_commit(s, 21);
    end(s);
    EXPECT_EQ(owner.durable, 21);
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "last|");
    end(s);
    forget();
}

/* A write beyond the limit of file sizes fails as a full disk does, but for its code. */
TEST(the_first_failed_write_is_the_last)
{
    struct owner owner, other_owner;
    struct store *s = begin(&owner), *other = shard(&other_owner);
    fixture_put(s, d1, "before", "");
    store_commit(s, 1);
    wait_durable(s, &owner, 1);

    struct rlimit was, now;
    struct stat st;
    EXPECT_EQ(stat(in_directory("base.mdb"), &st), 0);
    getrlimit(RLIMIT_FSIZE, &was);
    now = (struct rlimit){(rlim_t)st.st_size, was.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &now);
    char body[201];
    memset(body, 'x', 200);
    body[200] = 0;
    for (int i = 0; i < 500; i++) {
        char id[8];
        snprintf(id, sizeof(id), "n%d", i);
        fixture_put(s, fixture_key(1, id, ""), body, "");
    }
    store_commit(s, 2);
    wait_durable(s, &owner, 2);
    setrlimit(RLIMIT_FSIZE, &was);
    EXPECT_EQ(owner.durable, 1);
    EXPECT_EQ(owner.failed, UNAVAILABLE);
    EXPECT_TEXT(lmdb_env_why(env), "cannot write the base: File too large");

    fixture_put(s, d1, "after", ""); /* there is room again, but it is over */
    store_commit(s, 3);
    store_commit(s, 4);
    store_poll(s);
    EXPECT_EQ(owner.failures, 1);
    fixture_put(other, fixture_key(2, "d", ""), "x", "");
    store_commit(other, 1);
    store_poll(other);
    EXPECT_EQ(other_owner.failures, 1); /* every shard hears of it */
    store_close(other);
    end(s);
    EXPECT_EQ(owner.durable, 1);
    EXPECT_EQ(other_owner.durable, 0);

    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "before|");
    EXPECT_TEXT(fixture_scan(s, all_of_1, false, 9), "d1=before OK");
    end(s);
    forget();
}

/* -- secrets -- */

static bool file_holds(const char *name, struct span bytes)
{
    int fd = open(in_directory(name), O_RDONLY);
    struct stat st;
    EXPECT(fd >= 0);
    EXPECT_EQ(fstat(fd, &st), 0);
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    EXPECT(map != MAP_FAILED);
    bool found = memmem(map, (size_t)st.st_size, bytes.data, bytes.len) != NULL;
    munmap(map, (size_t)st.st_size);
    close(fd);
    return found;
}

/* The sealed part of d1's value as it lies in the file. */
static struct span stored_value(uint8_t *out, size_t room)
{
    MDB_env *e;
    MDB_txn *txn;
    MDB_dbi dbi;
    struct key key;
    key_encode(&key, &d1);
    MDB_val k = {key.len, key.bytes}, v;
    EXPECT_EQ(mdb_env_create(&e), 0);
    EXPECT_EQ(mdb_env_open(e, in_directory("base.mdb"), MDB_NOSUBDIR | MDB_RDONLY, 0), 0);
    EXPECT_EQ(mdb_txn_begin(e, NULL, MDB_RDONLY, &txn), 0);
    EXPECT_EQ(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    EXPECT_EQ(mdb_get(txn, dbi, &k, &v), 0);
    EXPECT(v.mv_size <= room);
    memcpy(out, v.mv_data, v.mv_size);
    struct span value = span_of(out, v.mv_size);
    mdb_txn_abort(txn);
    mdb_env_close(e);
    return value;
}

TEST(a_secret_is_sealed_on_disk_and_sealed_anew_only_when_it_changes)
{
    struct owner owner;
    uint8_t bytes[3][256];
    struct value v[3];
    static const char *const bodies[] = {"b1", "b2", "b3"};
    static const char *const secrets[] = {"canary-key", "canary-key", "canary-new"};
    struct key key;
    key_encode(&key, &d1);
    for (int i = 0; i < 3; i++) {
        struct store *s = begin(&owner);
        fixture_put(s, d1, bodies[i], secrets[i]);
        store_commit(s, 1);
        end(s);
        EXPECT_EQ(value_decode(key_span(&key), stored_value(bytes[i], 256), &v[i]), OK);
        EXPECT_EQ(v[i].seq, i + 1);
        EXPECT_SPAN(v[i].body, span_text(bodies[i]));
    }
    EXPECT_SPAN(v[0].sealed, v[1].sealed);
    EXPECT(!span_eq(v[1].sealed, v[2].sealed));
    EXPECT(file_holds("base.mdb", SPAN("b3")));
    EXPECT(!file_holds("base.mdb", SPAN("canary")));
    forget();
}

/* -- damage -- */

/* Two devices around d1, so that every search has neighbours. Gives the offset of a body. */
static void make_three(void)
{
    struct owner owner;
    struct store *s = begin(&owner);
    fixture_put(s, fixture_key(1, "d0", ""), "body of d0", "");
    fixture_put(s, d1, "body of d1", "secret");
    fixture_put(s, fixture_key(1, "d2", ""), "body of d2", "");
    store_commit(s, 1);
    end(s);
}

struct image {
    int fd;
    uint8_t *map;
    size_t len;
};

static struct image map_base(void)
{
    struct image image = {.fd = open(in_directory("base.mdb"), O_RDWR)};
    struct stat st;
    EXPECT(image.fd >= 0);
    EXPECT_EQ(fstat(image.fd, &st), 0);
    image.len = (size_t)st.st_size;
    image.map = mmap(NULL, image.len, PROT_READ | PROT_WRITE, MAP_SHARED, image.fd, 0);
    EXPECT(image.map != MAP_FAILED);
    return image;
}

static void unmap_base(struct image *image)
{
    munmap(image->map, image->len);
    close(image->fd);
}

/* Where d1's value begins: the newest copy, which is the one the newest root leads to. */
static size_t find_value(const struct image *image)
{
    uint8_t *at = memmem(image->map, image->len, "body of d1", 10);
    EXPECT(at != NULL);
    uint8_t *next = at + 1;
    EXPECT(!memmem(next, image->len - (size_t)(next - image->map), "body of d1", 10));
    return (size_t)(at - image->map) - VALUE_HEADER;
}

TEST(every_flipped_bit_of_a_stored_value_is_damage_to_it_alone)
{
    struct owner owner;
    strcpy(path, fixture_path());
    make_three();
    struct image image = map_base();
    size_t at = find_value(&image), len = VALUE_HEADER + 10 + 6 + SEAL_EXTRA;
    struct store *s = begin(&owner);
    for (size_t bit = at * 8; bit < (at + len) * 8; bit++) {
        image.map[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_TEXT(fixture_load(s, d1), "DAMAGED");
        EXPECT_TEXT(fixture_load(s, fixture_key(1, "d2", "")), "body of d2|");
        EXPECT_TEXT(fixture_scan(s, all_of_1, false, 9), "d0=body of d0 d2=body of d2 DAMAGED");
        image.map[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    EXPECT_TEXT(fixture_load(s, d1), "body of d1|secret");
    store_poll(s);
    EXPECT_EQ(owner.failures, 0);
    end(s);
    unmap_base(&image);
    forget();
}

/* The key stands right before the value in LMDB's page. */
TEST(a_flipped_bit_of_a_key_makes_no_record_vanish)
{
    struct owner owner;
    strcpy(path, fixture_path());
    make_three();
    struct image image = map_base();
    size_t end_at = find_value(&image), at = end_at - 5;
    EXPECT(memcmp(image.map + at, "\0\1d1\0", 5) == 0);
    struct store *s = begin(&owner);
    for (size_t bit = at * 8; bit < end_at * 8; bit++) {
        image.map[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_TEXT(fixture_load(s, d1), "DAMAGED");
        const char *others = fixture_load(s, fixture_key(1, "d2", ""));
        EXPECT(strcmp(others, "body of d2|") == 0 || strcmp(others, "DAMAGED") == 0);
        const char *scanned = fixture_scan(s, all_of_1, false, 9);
        EXPECT(strstr(scanned, "DAMAGED") != NULL);
        image.map[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d11", "")), "NOT_FOUND");
    end(s);
    unmap_base(&image);
    forget();
}

TEST(a_missing_emptied_or_headless_base_is_refused_not_begun_again)
{
    struct owner owner;
    struct lmdb_options o;
    strcpy(path, fixture_path());
    make_three();
    o = options();
    char hdr[128], aside[128];
    strcpy(hdr, in_directory("twinhub.hdr"));
    strcpy(aside, in_directory("aside"));
    EXPECT_EQ(rename(hdr, aside), 0);
    EXPECT_EQ(try_open(&o), DAMAGED);
    EXPECT(why_says("holds records, but its header twinhub.hdr is missing"));
    EXPECT_EQ(rename(aside, hdr), 0);
    struct store *s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "body of d1|secret");
    end(s);
    EXPECT_EQ(truncate(in_directory("base.mdb"), 0), 0);
    EXPECT_EQ(try_open(&o), DAMAGED);
    EXPECT(why_says("base.mdb is cut short"));
    EXPECT_EQ(unlink(in_directory("base.mdb")), 0);
    EXPECT_EQ(try_open(&o), DAMAGED);
    EXPECT(why_says("base.mdb is missing"));
    forget();
}

TEST(damaged_counts_are_refused_at_the_start)
{
    struct owner owner;
    struct lmdb_options o;
    strcpy(path, fixture_path());
    struct store *s = begin(&owner);
    fixture_put(s, d1, "x", "");
    store_commit(s, 1);
    end(s);
    struct image image = map_base();
    struct buf counts = {0};
    value_put_counts(&counts, &(struct store_partition){1, 1, 0, 0});
    uint8_t *at = memmem(image.map, image.len, counts.data, counts.len);
    EXPECT(at != NULL);
    at[8] ^= 2;
    o = options();
    EXPECT_EQ(try_open(&o), DAMAGED);
    EXPECT(why_says("partitions' counts"));
    buf_fini(&counts);
    unmap_base(&image);
    forget();
}

TEST_MAIN(RUN(the_pending_table_empties_when_batches_are_durable),
          RUN(a_handle_is_full_above_its_bound),
          RUN(a_second_environment_is_refused_and_the_directory_named),
          RUN(shards_on_threads_of_their_own_lose_nothing),
          RUN(async_batches_are_durable_before_the_sync_and_there_after_closing),
          RUN(the_first_failed_write_is_the_last),
          RUN(a_secret_is_sealed_on_disk_and_sealed_anew_only_when_it_changes),
          RUN(every_flipped_bit_of_a_stored_value_is_damage_to_it_alone),
          RUN(a_flipped_bit_of_a_key_makes_no_record_vanish),
          RUN(a_missing_emptied_or_headless_base_is_refused_not_begun_again),
          RUN(damaged_counts_are_refused_at_the_start))
