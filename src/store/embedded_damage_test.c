/* What the embedded keeper leaves on disk: secrets are sealed, and a flipped bit is seen. */
#include "store/embedded_dir_fixture.h"

#include <sys/mman.h>

#include "store/lmdb_file.h"
#include "store/value.h"

static const struct store_key d1 = {1, SPAN_INIT("d1"), SPAN_INIT("")};
static const struct store_key all_of_1 = {1, SPAN_INIT(""), SPAN_INIT("")};

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

enum { KEY_LEN = 5 }; /* of d1, in the base */

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

/* Where d1's value begins: in the page the newest root leads to, and in those that were before. */
struct copies {
    size_t at[8], count;
};

static struct copies find_values(const struct image *image)
{
    static const char body[] = "body of d1";
    struct copies copies = {0};
    const uint8_t *end = image->map + image->len, *at = image->map;
    while ((at = memmem(at, (size_t)(end - at), body, strlen(body)))) {
        EXPECT(copies.count < 8);
        copies.at[copies.count++] = (size_t)(at++ - image->map) - VALUE_HEADER;
    }
    EXPECT(copies.count > 0);
    return copies;
}

/* Of each copy; `bit` counts from where the value begins, and may lie before it. */
static void flip(struct image *image, const struct copies *copies, long bit)
{
    for (size_t i = 0; i < copies->count; i++) {
        size_t from_start = copies->at[i] * 8 + (size_t)bit;
        image->map[from_start / 8] ^= (uint8_t)(1 << from_start % 8);
    }
}

TEST(every_flipped_bit_of_a_stored_value_is_damage_to_it_alone)
{
    struct owner owner;
    strcpy(path, fixture_path());
    make_three();
    long len = VALUE_HEADER + 10 + 6 + SEAL_EXTRA;
    struct store *s = begin(&owner); /* it writes, too */
    struct image image = map_file("base.mdb");
    struct copies copies = find_values(&image);
    for (long bit = 0; bit < len * 8; bit++) {
        flip(&image, &copies, bit);
        EXPECT_TEXT(fixture_load(s, d1), "DAMAGED");
        EXPECT_TEXT(fixture_load(s, fixture_key(1, "d2", "")), "body of d2|");
        EXPECT_TEXT(fixture_scan(s, all_of_1, false, 9), "d0=body of d0 d2=body of d2 DAMAGED");
        flip(&image, &copies, bit);
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
    struct store *s = begin(&owner);
    struct image image = map_file("base.mdb");
    struct copies copies = find_values(&image);
    for (size_t i = 0; i < copies.count; i++)
        EXPECT(memcmp(image.map + copies.at[i] - KEY_LEN, "\0\1d1\0", KEY_LEN) == 0);
    for (long bit = -KEY_LEN * 8; bit < 0; bit++) {
        flip(&image, &copies, bit);
        EXPECT_TEXT(fixture_load(s, d1), "DAMAGED");
        const char *others = fixture_load(s, fixture_key(1, "d2", ""));
        EXPECT(strcmp(others, "body of d2|") == 0 || strcmp(others, "DAMAGED") == 0);
        const char *scanned = fixture_scan(s, all_of_1, false, 9);
        EXPECT(strstr(scanned, "DAMAGED") != NULL);
        flip(&image, &copies, bit);
    }
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "d11", "")), "NOT_FOUND");
    end(s);
    unmap_file(&image);
    forget();
}

/* The kind of every branch is damaged: they have been checked, but by an earlier read. */
TEST(what_one_read_has_checked_the_next_checks_again)
{
    enum { DEVICES = 300, PAGE = 4096, KIND_AT = 10, BRANCH = 1 };
    struct owner owner;
    char id[16];
    strcpy(path, fixture_path());
    make_three();
    struct store *s = begin(&owner);
    for (int i = 0; i < DEVICES; i++) {
        snprintf(id, sizeof(id), "e%d", i);
        fixture_put(s, fixture_key(1, id, ""), "one of many, so that there is more than a leaf",
                    "");
    }
    store_commit(s, 1);
    end(s);
    s = begin(&owner);
    struct image image = map_file("base.mdb");
    unsigned branches = 0;
    EXPECT_TEXT(fixture_load(s, d1), "body of d1|secret");
    for (size_t at = 2UL * PAGE; at < image.len; at += PAGE)
        if (image.map[at + KIND_AT] == BRANCH) {
            image.map[at + KIND_AT] ^= 4;
            branches++;
        }
    EXPECT(branches > 0);
    EXPECT_TEXT(fixture_load(s, d1), "DAMAGED");
    store_close(s);
    embedded_dir_close(dir, 0);
    unmap_file(&image);
    forget();
}

TEST(a_record_that_changed_since_is_read_although_the_base_has_it_damaged)
{
    struct owner owner;
    strcpy(path, fixture_path());
    make_three();
    struct image image = map_file("base.mdb");
    struct copies copies = find_values(&image);
    flip(&image, &copies, VALUE_HEADER * 8L);
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

TEST_MAIN(RUN(a_secret_is_sealed_on_disk_and_sealed_anew_only_when_it_changes),
          RUN(every_flipped_bit_of_a_stored_value_is_damage_to_it_alone),
          RUN(a_flipped_bit_of_a_key_makes_no_record_vanish),
          RUN(what_one_read_has_checked_the_next_checks_again),
          RUN(a_record_that_changed_since_is_read_although_the_base_has_it_damaged),
          RUN(damaged_counts_and_a_damaged_mark_are_refused_at_the_start))
