/* The embedded keeper with its threads, in a data directory. */
#include "store/store_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "store/embedded_dir.h"
#include "store/lmdb_file.h"
#include "store/value.h"

static _Atomic uint64_t seed = 17;
static char path[64];
static struct embedded_dir *dir;
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

/* From any thread. */
static void fill(void *ctx, void *out, size_t len)
{
    uint64_t own = atomic_fetch_add(&seed, 1);
    (void)ctx;
    fixture_fill(&own, out, len);
}

/* With bounds so small that checkpoints never rest. */
static struct embedded_dir_options options(void)
{
    return (struct embedded_dir_options){
        .path = path,
        .partitions = 4,
        .map_bytes = 64 << 20,
        .keeper = {.random = {fill, NULL},
                   .clock = fixture_clock,
                   .replay = &fixture_replay,
                   .tail_max = 32 << 10,
                   .segment_min = 8 << 10,
                   .segment_max = 16 << 10}
    };
}

static enum status try_open(const struct embedded_dir_options *o)
{
    buf_clear(&why);
    enum status st = embedded_dir_open(o, &dir, &why);
    EXPECT_EQ(why.len > 0, st != OK);
    buf_byte(&why, 0);
    return st;
}

static bool why_says(const char *part)
{
    return strstr((const char *)why.data, part) != NULL;
}

static struct store *shard(struct owner *owner, unsigned index, unsigned count)
{
    struct store *s = embedded_shard(embedded_dir_keeper(dir), index, count);
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
    struct embedded_dir_options o = options();
    if (try_open(&o) != OK)
        fail_msg("%s", (const char *)why.data);
    return shard(owner, 0, 1);
}

/* The base has it all. */
static void end(struct store *s)
{
    store_close(s);
    embedded_dir_close(dir, 60000);
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

static struct embedded_stats stats(void)
{
    struct embedded_stats out;
    embedded_stats(embedded_dir_keeper(dir), &out);
    return out;
}

static const struct store_key d1 = {1, SPAN_INIT("d1"), SPAN_INIT("")};
static const struct store_key all_of_1 = {1, SPAN_INIT(""), SPAN_INIT("")};

static const char *in_directory(const char *name)
{
    static char full[128];
    snprintf(full, sizeof(full), "%s/%s", path, name);
    return full;
}

/* -- checkpoints -- */

TEST(the_hot_table_empties_and_segments_are_removed)
{
    struct owner owner;
    struct store *s = begin(&owner);
    uint64_t batch = 0, checkpoints = 0;
    while (checkpoints < 5) {
        char id[16];
        snprintf(id, sizeof(id), "d%d", (int)(batch % 100));
        fixture_put(s, fixture_key((uint32_t)(batch % 4), id, ""), "body", "secret");
        store_commit(s, ++batch);
        wait_durable(s, &owner, batch);
        checkpoints = stats().checkpoints;
    }
    EXPECT(stats().hot < 100 * 400);
    EXPECT(stats().tail < 32 << 10);
    EXPECT(stats().position > 5 * (16 << 10));
    EXPECT(atomic_load(&owner.woken) > 0);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d1", "")), "body|secret");
    end(s);
    EXPECT(access(in_directory("journal/0000000000000000.seg"), F_OK) != 0);
    s = begin(&owner);
    EXPECT_EQ(stats().replayed, 0);
    EXPECT_EQ(stats().hot, 0);
    EXPECT_EQ(stats().tail, 0);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d1", "")), "body|secret");
    EXPECT_EQ(s->parts[0].seq + s->parts[1].seq + s->parts[2].seq + s->parts[3].seq, batch);
    end(s);
    forget();
}

/* -- several shards, each on its thread -- */

enum { THREADS = 3, BATCHES = 300, PER_BATCH = 5, IDS = 40 };

struct runner {
    pthread_t thread;
    uint32_t index;
    struct store *s;
    struct owner owner;
    uint64_t rooms[3]; /* how often it was open, busy, without space */
};

static atomic_int running;

static void *run_shard(void *arg)
{
    struct runner *r = arg;
    uint64_t random = r->index;
    char id[8], body[32];
    for (uint64_t batch = 1; batch <= BATCHES; batch++) {
        enum store_room room;
        while ((room = store_room(r->s)) != STORE_OPEN) {
            r->rooms[room]++;
            store_poll(r->s);
            sched_yield();
        }
        r->rooms[room]++;
        for (int i = 0; i < PER_BATCH; i++) {
            uint64_t n = test_random(&random) % IDS;
            snprintf(id, sizeof(id), "d%d", (int)n);
            snprintf(body, sizeof(body), "%d", (int)batch);
            struct store_key key = fixture_key(r->index, id, "");
            fixture_put(r->s, key, body, n % 2 ? "secret" : "");
            struct fixture_loaded l = {0};
            store_load(r->s, &key, fixture_on_load, &l);
            EXPECT(l.st == OK && strtoull(l.text, NULL, 10) == batch);
        }
        store_commit(r->s, batch);
        while (r->owner.durable + 5 < batch && !r->owner.failures) /* not far ahead of the disk */
            store_poll(r->s);
    }
    bool waits = true; /* then answers the checkpoint for as long as others need it */
    while (waits || atomic_load(&running)) {
        store_poll(r->s);
        sched_yield();
        if (waits && (r->owner.durable == BATCHES || r->owner.failures)) {
            atomic_fetch_sub(&running, 1);
            waits = false;
        }
    }
    return NULL;
}

static void expect_all(struct store *s)
{
    for (uint32_t i = 0; i < THREADS; i++) {
        uint64_t random = i;
        int last[IDS] = {0};
        for (int batch = 1; batch <= BATCHES; batch++)
            for (int n = 0; n < PER_BATCH; n++)
                last[test_random(&random) % IDS] = batch;
        for (int n = 0; n < IDS; n++) {
            char id[8];
            snprintf(id, sizeof(id), "d%d", n);
            if (last[n])
                EXPECT_EQ(atoi(fixture_load(s, fixture_key(i, id, ""))), last[n]);
        }
        EXPECT_EQ(s->parts[i].seq, BATCHES * PER_BATCH);
    }
}

/* `patience_ms`: at the close; what is then not in the base is replayed. */
static void run_shards(int64_t patience_ms)
{
    static struct runner runners[THREADS];
    struct owner owner;
    store_close(begin(&owner)); /* a start has a handle of its own first */
    for (uint32_t i = 0; i < THREADS; i++) {
        runners[i] = (struct runner){.index = i};
        runners[i].s = shard(&runners[i].owner, i, THREADS);
    }
    atomic_store(&running, THREADS);
    for (uint32_t i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&runners[i].thread, NULL, run_shard, &runners[i]), 0);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(runners[i].thread, NULL);
    EXPECT(stats().checkpoints > 5);
    EXPECT(stats().groups <= stats().blocks);
    for (uint32_t i = 0; i < THREADS; i++) {
        store_close(runners[i].s);
        EXPECT_EQ(runners[i].owner.durable, BATCHES);
        EXPECT_EQ(runners[i].owner.failures, 0);
        EXPECT(runners[i].rooms[STORE_OPEN] >= BATCHES);
        EXPECT_EQ(runners[i].rooms[STORE_NO_SPACE], 0);
    }
    embedded_dir_close(dir, patience_ms);
    struct store *s = begin(&owner);
    EXPECT_EQ(stats().replayed == 0, patience_ms > 0);
    expect_all(s);
    end(s);
    forget();
}

TEST(shards_on_threads_of_their_own_lose_nothing_while_checkpoints_run)
{
    run_shards(0);
    run_shards(60000);
}

/* -- durability -- */

TEST(async_batches_are_durable_before_the_sync_and_there_after_closing)
{
    struct owner owner;
    strcpy(path, fixture_path());
    struct embedded_dir_options o = options();
    o.keeper.async = true;
    EXPECT_EQ(try_open(&o), OK);
    struct store *s = shard(&owner, 0, 1);
    for (uint64_t batch = 1; batch <= 20; batch++) {
        fixture_put(s, d1, "x", "");
        store_commit(s, batch);
        wait_durable(s, &owner, batch);
    }
    EXPECT(stats().groups < 20); /* syncs */
    while (stats().groups == 0)  /* the timed one runs */
        sched_yield();
    fixture_put(s, d1, "last", "");
    store_commit(s, 21);
    store_close(s);
    EXPECT_EQ(owner.durable, 21);
    embedded_dir_close(dir, 0);
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "last|");
    end(s);
    forget();
}

TEST(async_checkpoints_wait_for_the_sync)
{
    struct owner owner;
    strcpy(path, fixture_path());
    struct embedded_dir_options o = options();
    o.keeper.async = true;
    EXPECT_EQ(try_open(&o), OK);
    struct store *s = shard(&owner, 0, 1);
    for (uint64_t batch = 1; stats().checkpoints < 2; batch++) {
        fixture_put(s, d1, "x", "");
        store_commit(s, batch);
        wait_durable(s, &owner, batch);
        while (store_room(s) != STORE_OPEN) {
            store_poll(s);
            sched_yield();
        }
    }
    store_close(s);
    embedded_dir_close(dir, 0);
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "x|");
    end(s);
    forget();
}

/* A write beyond the limit of file sizes fails as a full disk does, but for its code. */
TEST(the_first_failed_write_of_the_base_is_the_last)
{
    struct owner owner, other_owner;
    strcpy(path, fixture_path());
    struct embedded_dir_options o = options();
    o.keeper.segment_max = 8 << 10; /* below the limit */
    EXPECT_EQ(try_open(&o), OK);
    struct store *s = shard(&owner, 1, 2), *other = shard(&other_owner, 0, 2);
    struct rlimit was, now;
    struct stat st;
    EXPECT_EQ(stat(in_directory("base.mdb"), &st), 0);
    getrlimit(RLIMIT_FSIZE, &was);
    now = (struct rlimit){(rlim_t)st.st_size, was.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &now);
    char body[201], id[16];
    memset(body, 'x', 200);
    body[200] = 0;
    uint64_t batch = 0;
    while (!owner.failures) {
        snprintf(id, sizeof(id), "n%d", (int)++batch);
        fixture_put(s, fixture_key(1, id, ""), body, "");
        store_commit(s, batch);
        wait_durable(s, &owner, batch);
        store_poll(other);
    }
    setrlimit(RLIMIT_FSIZE, &was);
    uint64_t durable = owner.durable;
    EXPECT_EQ(owner.failed, UNAVAILABLE);
    EXPECT_TEXT(embedded_why(embedded_dir_keeper(dir)), "cannot write the base: File too large");
    fixture_put(s, d1, "after", ""); /* there is room again, but it is over */
    store_commit(s, ++batch);
    store_poll(s);
    store_poll(other);
    EXPECT_EQ(other_owner.failures, 1); /* every shard hears of it */
    store_close(other);
    end(s);
    EXPECT_EQ(owner.failures, 1);
    EXPECT_EQ(owner.durable, durable);
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "NOT_FOUND");
    EXPECT(s->parts[1].seq >= durable);
    for (uint64_t i = 1; i <= durable; i++) {
        snprintf(id, sizeof(id), "n%d", (int)i);
        EXPECT_EQ(strlen(fixture_load(s, fixture_key(1, id, ""))), 201);
    }
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

/* d1's value as it lies in the file. */
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
        EXPECT(file_holds("base.mdb", span_text(bodies[i])));
        EXPECT(file_holds("journal/0000000000000000.seg", span_text(bodies[i])));
    }
    EXPECT_SPAN(v[0].sealed, v[1].sealed);
    EXPECT(!span_eq(v[1].sealed, v[2].sealed));
    EXPECT(!file_holds("base.mdb", SPAN("canary")));
    EXPECT(!file_holds("journal/0000000000000000.seg", SPAN("canary")));
    forget();
}

/* -- damage -- */

/* Two devices around d1, so that every search has neighbours. */
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

static struct image map_file(const char *name)
{
    struct image image = {.fd = open(in_directory(name), O_RDWR)};
    struct stat st;
    EXPECT(image.fd >= 0);
    EXPECT_EQ(fstat(image.fd, &st), 0);
    image.len = (size_t)st.st_size;
    image.map = mmap(NULL, image.len, PROT_READ | PROT_WRITE, MAP_SHARED, image.fd, 0);
    EXPECT(image.map != MAP_FAILED);
    return image;
}

static void unmap_file(struct image *image)
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
    struct image image = map_file("base.mdb");
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
    unmap_file(&image);
    forget();
}

/* The key stands right before the value in LMDB's page. */
TEST(a_flipped_bit_of_a_key_makes_no_record_vanish)
{
    struct owner owner;
    strcpy(path, fixture_path());
    make_three();
    struct image image = map_file("base.mdb");
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
    unmap_file(&image);
    forget();
}

TEST(a_record_that_changed_since_is_read_although_the_base_has_it_damaged)
{
    struct owner owner;
    strcpy(path, fixture_path());
    make_three();
    struct image image = map_file("base.mdb");
    image.map[find_value(&image) + VALUE_HEADER] ^= 1;
    struct store *s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "DAMAGED");
    fixture_put(s, d1, "whole again", "secret");
    EXPECT_TEXT(fixture_load(s, d1), "whole again|secret");
    store_commit(s, 1);
    store_close(s);
    embedded_dir_close(dir, 0);
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "whole again|secret");
    end(s);
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "whole again|secret");
    end(s);
    unmap_file(&image);
    forget();
}

/* Of the base's own records: a partition's counts, and the mark. */
TEST(damaged_counts_and_a_damaged_mark_are_refused_at_the_start)
{
    struct owner owner;
    struct embedded_dir_options o;
    struct buf own[2] = {{0}};
    struct store *s = begin(&owner);
    fixture_put(s, d1, "x", "");
    store_commit(s, 1);
    wait_durable(s, &owner, 1);
    uint64_t position = stats().position;
    end(s);
    struct image image = map_file("base.mdb");
    value_put_counts(&own[0], &(struct store_partition){1, 1, 0, 0});
    buf_u64le(&own[1], position); /* begins the mark */
    for (size_t i = 0; i < COUNT(own); i++) {
        uint8_t *at = memmem(image.map, image.len, own[i].data, own[i].len);
        EXPECT(at != NULL);
        at[6] ^= 2;
        o = options();
        EXPECT_EQ(try_open(&o), DAMAGED);
        EXPECT(why_says("the base's own records fail their checksums"));
        EXPECT(why_says(path));
        at[6] ^= 2;
        buf_fini(&own[i]);
    }
    s = begin(&owner);
    EXPECT_TEXT(fixture_load(s, d1), "x|");
    end(s);
    unmap_file(&image);
    forget();
}

TEST_MAIN(RUN(the_hot_table_empties_and_segments_are_removed),
          RUN(shards_on_threads_of_their_own_lose_nothing_while_checkpoints_run),
          RUN(async_batches_are_durable_before_the_sync_and_there_after_closing),
          RUN(async_checkpoints_wait_for_the_sync),
          RUN(the_first_failed_write_of_the_base_is_the_last),
          RUN(a_secret_is_sealed_on_disk_and_sealed_anew_only_when_it_changes),
          RUN(every_flipped_bit_of_a_stored_value_is_damage_to_it_alone),
          RUN(a_flipped_bit_of_a_key_makes_no_record_vanish),
          RUN(a_record_that_changed_since_is_read_although_the_base_has_it_damaged),
          RUN(damaged_counts_and_a_damaged_mark_are_refused_at_the_start))
