/* Damage of each kind, one at a time, and what the check says of it. */
#include "store/store_fixture.h"

#include "store/check.h"
#include "store/disk_posix.h"
#include "store/embedded_dir.h"
#include "store/history.h"
#include "store/lmdb_raw.h"
#include "store/seal.h"
#include "store/value.h"

enum { PARTITIONS = 4, DEVICES = 300 };

static uint64_t seed = 3;
static struct buf why, told; /* told: "part device/module: text" and a newline, for each finding */
static struct check_result result;

/* A body is "+" and anything. */
static enum status rules_check(const struct store_key *key, uint32_t partitions,
                               const struct record *r, struct kept *out)
{
    EXPECT_EQ(partitions, PARTITIONS);
    bool device = key->device.len && !key->module.len;
    *out = (struct kept){.seq = 1, .devices = device, .modules = key->device.len && !device};
    return r->body_len && r->bytes[0] == '+' ? OK : DAMAGED;
}

static const struct kept_rules rules = {.check = rules_check};

static void on_finding(void *owner, const struct check_finding *f)
{
    (void)owner;
    buf_text(&told, check_part_name(f->part));
    if (f->is_record)
        buf_printf(&told, " %.*s/%.*s", SPAN_ARG(f->key.device), SPAN_ARG(f->key.module));
    if (f->position)
        buf_printf(&told, " at %llu", (unsigned long long)f->position);
    buf_printf(&told, ": %.*s\n", SPAN_ARG(f->text));
}

static enum status check(const char *path)
{
    struct check_options o = {.path = path,
                              .replay = &fixture_replay,
                              .rules = &rules,
                              .map_bytes = 16 << 20,
                              .fn = on_finding};
    buf_clear(&why);
    buf_clear(&told);
    enum status st = check_run(&o, &result, &why);
    buf_byte(&told, 0);
    return st;
}

static bool says(const char *part)
{
    return strstr((const char *)told.data, part) != NULL;
}

/* -- a directory -- */

static void put(struct lmdb_append *a, struct seal *seal, struct store_key at, const char *body,
                const char *secret)
{
    struct key key;
    struct buf value = {0};
    uint8_t sealed[64];
    struct value v = {span_text(body), {0}, 1};
    key_encode(&key, &at);
    if (*secret) {
        seal_close(seal, fixture_random(&seed), key_span(&key), span_text(secret), sealed);
        v.sealed = span_of(sealed, strlen(secret) + SEAL_EXTRA);
    }
    value_encode(&value, key_span(&key), &v);
    EXPECT_EQ(lmdb_append_put(a, key_span(&key), buf_span(&value)), 0);
    buf_fini(&value);
}

static void put_counts(struct lmdb_append *a, uint32_t partition, uint64_t devices,
                       uint64_t modules)
{
    struct key key;
    struct buf value = {0}, body = {0};
    struct store_partition counts = {.seq = 1, .devices = devices, .modules = modules};
    key_counts(&key, partition);
    value_put_counts(&body, &counts);
    struct value v = {buf_span(&body), {0}, 1};
    value_encode(&value, key_span(&key), &v);
    EXPECT_EQ(lmdb_append_put(a, key_span(&key), buf_span(&value)), 0);
    buf_fini(&value);
    buf_fini(&body);
}

static void fill(struct lmdb_append *a, struct seal *seal)
{
    char id[16];
    put_counts(a, 0, 0, 0);
    put(a, seal, fixture_key(0, "", "policies"), "+", "hub's");
    put_counts(a, 1, DEVICES, 1);
    for (int i = 100; i < 100 + DEVICES; i++) {
        snprintf(id, sizeof(id), "d%d", i);
        put(a, seal, fixture_key(1, id, ""), "+a device with some properties", i % 2 ? "key" : "");
        if (i == 200)
            put(a, seal, fixture_key(1, id, "m"), "+module", "");
    }
}

static const char *make(void)
{
    const char *path = fixture_path();
    struct directory d;
    struct lmdb_file f;
    EXPECT_EQ(directory_open(&d, path, PARTITIONS, fixture_random(&seed), &why), OK);
    struct seal *seal = seal_create(d.master_key);
    EXPECT_EQ(lmdb_file_make(&f, &d, 16 << 20, &why), OK);
    struct lmdb_append a = {.file = &f};
    fill(&a, seal);
    EXPECT_EQ(lmdb_append_end(&a), 0);
    EXPECT_EQ(lmdb_file_settle(&f, &d, &why), OK);
    EXPECT_EQ(directory_write_header(&d, &why), OK); /* as before the journal */
    seal_destroy(seal);
    directory_close(&d);
    return path;
}

static const char *in(const char *path, const char *name)
{
    static char full[128];
    snprintf(full, sizeof(full), "%s/%s", path, name);
    return full;
}

static struct buf file_bytes(const char *name)
{
    struct buf b = {0};
    int fd = open(name, O_RDONLY);
    EXPECT(fd >= 0);
    buf_reserve(&b, 1 << 20);
    b.len = (size_t)read(fd, b.data, 1 << 20);
    close(fd);
    return b;
}

static void file_put(const char *name, size_t at, const void *bytes, size_t len)
{
    int fd = open(name, O_WRONLY);
    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, bytes, len, (off_t)at), len);
    close(fd);
}

/* Where the newest copy of a text lies in the base. */
static size_t place_of(const struct buf *base, const char *text)
{
    const uint8_t *at = memmem(base->data, base->len, text, strlen(text));
    EXPECT(at != NULL);
    return (size_t)(at - base->data);
}

/* -- tests -- */

TEST(a_sound_directory_has_no_findings_and_is_counted)
{
    const char *path = make();
    EXPECT_EQ(check(path), OK);
    EXPECT_TEXT((const char *)told.data, "");
    EXPECT_EQ(check_findings(&result), 0);
    EXPECT_EQ(result.devices, DEVICES);
    EXPECT_EQ(result.modules, 1);
    EXPECT_EQ(result.hub_records, 1);
    EXPECT_EQ(result.epoch, 1);
    EXPECT_EQ(result.partitions, PARTITIONS);
    EXPECT(result.keys_looked_at);
    for (int i = 0; i < CHECK_PARTS; i++)
        EXPECT(result.looked_at[i]);
    fixture_remove(path);
}

TEST(nothing_is_changed_by_looking)
{
    const char *path = make();
    struct buf before = file_bytes(in(path, "base.mdb"));
    EXPECT_EQ(check(path), OK);
    EXPECT(access(in(path, "base.mdb-lock"), F_OK) != 0);
    struct buf after = file_bytes(in(path, "base.mdb"));
    EXPECT_SPAN(buf_span(&after), buf_span(&before));
    buf_fini(&before);
    buf_fini(&after);
    fixture_remove(path);
}

TEST(a_changed_record_is_named)
{
    const char *path = make();
    struct buf base = file_bytes(in(path, "base.mdb"));
    size_t at = place_of(&base, "d200");
    at += place_of(&(struct buf){base.data + at, base.len - at, 0}, "properties");
    file_put(in(path, "base.mdb"), at, "P", 1);
    EXPECT_EQ(check(path), OK);
    EXPECT_TEXT((const char *)told.data, "base d200/: its checksum does not match\n");
    EXPECT_EQ(result.devices, DEVICES - 1);
    EXPECT_EQ(result.findings[CHECK_BASE], 1);
    buf_fini(&base);
    fixture_remove(path);
}

TEST(a_record_that_the_hub_cannot_use_is_named)
{
    const char *path = make();
    struct buf base = file_bytes(in(path, "base.mdb"));
    struct directory d;
    struct lmdb_file f;
    EXPECT_EQ(directory_open(&d, path, 0, fixture_random(&seed), &why), OK);
    EXPECT_EQ(lmdb_file_open(&f, &d, 16 << 20, &why), OK);
    struct lmdb_append a = {.file = &f};
    struct seal *other = seal_create((const uint8_t *)"another key of thirty-two bytes.");
    put(&a, other, fixture_key(3, "x", ""), "-", "");
    put(&a, other, fixture_key(3, "y", ""), "+", "sealed by another");
    EXPECT_EQ(lmdb_append_put(&a, SPAN("\0\3zzz"), SPAN("nothing")), 0);
    EXPECT_EQ(lmdb_append_end(&a), 0);
    lmdb_file_close(&f);
    directory_close(&d);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("base x/: its content does not hold together\n"));
    EXPECT(says("base y/: its keys cannot be opened\n"));
    EXPECT(says("base: the checksum of a record without a readable id"));
    /* Where replay begins would stand beside that last one, and is known not to be there: its key
     * has another length. */
    EXPECT_EQ(check_findings(&result), 3);
    seal_destroy(other);
    buf_fini(&base);
    fixture_remove(path);
}

/* Two leaf pages change places: each record is sound, none is where it should be. */
TEST(pages_in_each_others_place_are_found)
{
    const char *path = make();
    struct buf base = file_bytes(in(path, "base.mdb"));
    size_t one = place_of(&base, "d150") / 4096 * 4096, two = place_of(&base, "d350") / 4096 * 4096;
    EXPECT(one != two);
    file_put(in(path, "base.mdb"), one, base.data + two, 4096);
    file_put(in(path, "base.mdb"), two, base.data + one, 4096);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("a page behind it is damaged"));
    EXPECT_EQ(result.findings[CHECK_BASE], 2);
    EXPECT(result.looked_at[CHECK_BASE]);
    EXPECT(result.devices > DEVICES / 2);
    buf_fini(&base);
    fixture_remove(path);
}

/* Whatever stands in a page: the check ends, with a finding. */
TEST(no_page_of_garbage_ends_the_check)
{
    const char *path = make();
    struct buf base = file_bytes(in(path, "base.mdb"));
    uint8_t garbage[4096];
    for (size_t page = 2; page < base.len / 4096; page++) {
        if (memcmp(base.data + page * 4096, (uint8_t[16]){0}, 16) == 0)
            continue;
        for (size_t i = 0; i < sizeof(garbage); i++)
            garbage[i] = (uint8_t)test_random(&seed);
        file_put(in(path, "base.mdb"), page * 4096, garbage, sizeof(garbage));
        EXPECT_EQ(check(path), OK);
        file_put(in(path, "base.mdb"), page * 4096, base.data + page * 4096, 4096);
    }
    EXPECT_EQ(check(path), OK);
    EXPECT_EQ(check_findings(&result), 0);
    file_put(in(path, "base.mdb"), place_of(&base, "d150") / 4096 * 4096, garbage, 4096);
    EXPECT_EQ(check(path), OK);
    EXPECT(result.findings[CHECK_BASE] > 0);
    buf_fini(&base);
    fixture_remove(path);
}

TEST(header_and_key_are_looked_at_first_and_the_rest_none_the_less)
{
    const char *path = make();
    struct buf key = file_bytes(in(path, "master.key"));
    file_put(in(path, "master.key"), 0, "another key of thirty-two bytes.", 32);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("master key: "));
    EXPECT(says("is not the key of this data directory"));
    EXPECT_EQ(check_findings(&result), 1);
    EXPECT(!result.keys_looked_at);
    EXPECT_EQ(result.devices, DEVICES);
    EXPECT_EQ(unlink(in(path, "master.key")), 0);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("master.key is missing"));
    file_put(in(path, "twinhub.hdr"), 60, "?", 1);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("header: "));
    EXPECT(says("checksum does not match"));
    EXPECT_EQ(unlink(in(path, "twinhub.hdr")), 0);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("twinhub.hdr is missing"));
    EXPECT_EQ(result.partitions, 0);
    EXPECT(result.looked_at[CHECK_BASE]);
    buf_fini(&key);
    fixture_remove(path);
}

/* -- with a journal -- */

static void on_durable(void *owner, uint64_t batch)
{
    *(uint64_t *)owner = batch;
}

/* device-0 to device-9 are created, each in a block of its own; the base has nothing. `extra`
 * devices more are counted than there are. */
static const char *make_journal(uint64_t extra)
{
    static const char spare[] = "journal/0000000000010000.seg";
    const char *path = fixture_path();
    struct embedded_dir *env;
    struct embedded_dir_options o = {.path = path, .partitions = PARTITIONS, .map_bytes = 16 << 20};
    o.keeper = (struct embedded_options){.random = fixture_random(&seed),
                                         .clock = fixture_clock,
                                         .replay = &fixture_replay,
                                         .segment_min = 1 << 16,
                                         .segment_max = 1 << 16};
    EXPECT_EQ(embedded_dir_open(&o, &env, &why), OK);
    struct store *s = embedded_shard(embedded_dir_keeper(env), 0, 1);
    uint64_t durable = 0;
    s->owner = &durable;
    s->durable = on_durable;
    s->parts[1].devices += extra;
    for (unsigned i = 0; i < 10; i++) {
        char id[16];
        snprintf(id, sizeof(id), "device-%u", i);
        fixture_put(s, fixture_key(1, id, ""), "+a device", "its key");
        store_commit(s, i + 1);
        while (durable <= i) /* so that each block knows the one before durable */
            store_poll(s);
    }
    while (access(in(path, spare), F_OK) != 0) /* it is made beside all this */
        usleep(1000);
    store_close(s);
    embedded_dir_close(env, 0);
    return path;
}

static const char segment[] = "journal/0000000000000000.seg";

/* Where the block of this device begins. */
static size_t block_of(const char *path, const char *id)
{
    struct buf bytes = file_bytes(in(path, segment));
    size_t at = place_of(&bytes, id) / 512 * 512;
    buf_fini(&bytes);
    return at;
}

TEST(what_the_journal_holds_is_counted_with_the_base)
{
    const char *path = make_journal(0);
    EXPECT_EQ(check(path), OK);
    EXPECT_TEXT((const char *)told.data, "");
    EXPECT_EQ(result.devices, 10);
    EXPECT_EQ(result.blocks, 10);
    EXPECT_EQ(result.changes, 10);
    EXPECT_EQ(result.newest_ms, 1000);
    EXPECT_EQ(result.end, block_of(path, "device-9") + 512);
    for (int i = 0; i < CHECK_PARTS; i++)
        EXPECT(result.looked_at[i]);
    fixture_remove(path);
}

TEST(damage_in_the_journal_is_told_with_the_place_before_it)
{
    const char *path = make_journal(0);
    size_t at = block_of(path, "device-5");
    char want[64];
    snprintf(want, sizeof(want), "journal at %zu: the journal is damaged at position %zu", at, at);
    file_put(in(path, segment), at + 90, "?", 1);
    EXPECT_EQ(check(path), OK);
    EXPECT(says(want));
    EXPECT_EQ(check_findings(&result), 1);
    EXPECT_EQ(result.devices, 5);
    EXPECT(!result.looked_at[CHECK_JOURNAL]);
    EXPECT(!result.looked_at[CHECK_COUNTS]);
    EXPECT_EQ(truncate(in(path, segment), (off_t)at), 0);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("the file is cut short"));
    snprintf(want, sizeof(want), "journal at %zu: ", at);
    EXPECT(says(want));
    EXPECT_EQ(unlink(in(path, segment)), 0);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("journal at 512: the journal is missing from position 0 on"));
    fixture_empty(in(path, "journal"));
    EXPECT_EQ(mkdir(in(path, "journal"), 0700), 0);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("it has no segment"));
    fixture_empty(in(path, "journal"));
    EXPECT_EQ(check(path), OK);
    EXPECT(says("journal is missing"));
    fixture_remove(path);
}

/* The journal can be ended there: what lies before is sound. */
TEST(a_segment_whose_head_is_damaged_is_told_with_the_place_before_it)
{
    const char *path = make_journal(0), *next = "journal/0000000000010000.seg";
    size_t end = block_of(path, "device-9") + 512;
    char want[64];
    int fd = open(in(path, next), O_RDWR | O_CREAT, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(ftruncate(fd, 1 << 16), 0);
    close(fd);
    file_put(in(path, next), 40, "?", 1);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("its header is not what was written"));
    snprintf(want, sizeof(want), "journal at %zu: ", end);
    EXPECT(says(want));
    EXPECT_EQ(result.recover_to, end);
    /* And of the first, with nothing in the base: before any block. */
    file_put(in(path, segment), 40, "?", 1);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("journal at 512: "));
    EXPECT_EQ(result.recover_to, 512);
    fixture_remove(path);
}

/* Its last block was never whole, and nothing says it was durable: not damage. */
TEST(a_torn_tail_is_no_damage)
{
    const char *path = make_journal(0);
    file_put(in(path, segment), block_of(path, "device-9") + 90, "?", 1);
    EXPECT_EQ(check(path), OK);
    EXPECT_EQ(result.blocks, 9);
    EXPECT_EQ(check_findings(&result), 0);
    fixture_remove(path);
}

TEST(counts_that_are_not_what_is_there_are_told)
{
    const char *path = make_journal(2);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("counts: partition 1 counts 12 devices (0 disabled) and 0 modules; there are 10"));
    EXPECT_EQ(check_findings(&result), 1);
    fixture_remove(path);
}

TEST(without_its_key_a_backup_is_read_as_far_as_that_goes)
{
    const char *path = make_journal(0);
    struct directory d;
    EXPECT_EQ(directory_attach(&d, path, &why), OK);
    EXPECT_EQ(directory_read_header(&d, &why), OK);
    d.header.features |= HEADER_BACKUP;
    EXPECT_EQ(directory_write_header(&d, &why), OK);
    directory_close(&d);
    EXPECT_EQ(unlink(in(path, "master.key")), 0);
    EXPECT_EQ(check(path), OK);
    EXPECT_TEXT((const char *)told.data, "");
    EXPECT_EQ(result.blocks, 10);
    EXPECT(!result.keys_looked_at);
    EXPECT(!result.looked_at[CHECK_COUNTS]);
    fixture_remove(path);
}

/* The segment becomes a history file; then a byte of its first chunk changes, then all of it. */
TEST(a_damaged_history_file_is_named)
{
    static const char history_file[] = "journal/0000000000000000.hist";
    const char *path = make_journal(0);
    struct directory d;
    struct disk *disk;
    struct history h;
    struct history_options o = {.replay = &fixture_replay, .history_ms = INT64_MAX};
    EXPECT_EQ(directory_attach(&d, path, &why), OK);
    EXPECT_EQ(directory_read_header(&d, &why), OK);
    EXPECT_EQ(disk_posix_open(d.dir_fd, "journal", &disk), 0);
    EXPECT_EQ(history_init(&h, disk, d.header.hub_id, &o), 0);
    history_add(&h, &(struct old_segment){0});
    while (history_step(&h, 2000))
        ;
    history_fini(&h);
    disk_posix_close(disk);
    directory_close(&d);
    EXPECT_EQ(check(path), OK);
    EXPECT_EQ(result.findings[CHECK_HISTORY], 0);
    EXPECT_EQ(result.history_files, 1);
    EXPECT_EQ(result.history_changes, 10);
    file_put(in(path, history_file), 120, "?", 1);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("history: journal/0000000000000000.hist: 1 of its 1 chunks are damaged"));
    file_put(in(path, history_file), 0, "?", 1);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("history: journal/0000000000000000.hist cannot be read"));
    fixture_remove(path);
}

TEST(what_cannot_be_looked_at_is_refused)
{
    const char *path = make();
    struct directory d;
    EXPECT_EQ(directory_open(&d, path, 0, fixture_random(&seed), &why), OK);
    EXPECT_EQ(check(path), UNAVAILABLE);
    buf_byte(&why, 0);
    EXPECT(strstr((const char *)why.data, "in use") != NULL);
    directory_close(&d);
    EXPECT_EQ(truncate(in(path, "base.mdb"), 100), 0);
    EXPECT_EQ(check(path), OK);
    EXPECT(says("base.mdb is cut short"));
    fixture_remove(path);
    EXPECT_EQ(check(path), UNAVAILABLE);
    EXPECT(access(path, F_OK) != 0);
    buf_fini(&why);
    buf_fini(&told);
}

TEST_MAIN(RUN(a_sound_directory_has_no_findings_and_is_counted), RUN(nothing_is_changed_by_looking),
          RUN(a_changed_record_is_named), RUN(a_record_that_the_hub_cannot_use_is_named),
          RUN(pages_in_each_others_place_are_found), RUN(no_page_of_garbage_ends_the_check),
          RUN(header_and_key_are_looked_at_first_and_the_rest_none_the_less),
          RUN(what_the_journal_holds_is_counted_with_the_base),
          RUN(damage_in_the_journal_is_told_with_the_place_before_it),
          RUN(a_segment_whose_head_is_damaged_is_told_with_the_place_before_it),
          RUN(a_torn_tail_is_no_damage), RUN(counts_that_are_not_what_is_there_are_told),
          RUN(without_its_key_a_backup_is_read_as_far_as_that_goes),
          RUN(a_damaged_history_file_is_named), RUN(what_cannot_be_looked_at_is_refused))
