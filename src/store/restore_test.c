/* Restores and recoveries, whole and ended at each of their steps. */
#include "store/store_fixture.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include "store/embedded_dir.h"
#include "store/restore.h"

enum { PARTITIONS = 4, STEPS_MAX = 12, MINUTE = 89900 /* 2026-03-04T10:20 */ };

static uint64_t seed = 9;
static struct buf why;

/* Raising is seen: it puts a mark behind the body. */
static int64_t raised_by;

static enum status rules_check(const struct store_key *key, uint32_t partitions,
                               const struct record *r, struct kept *out)
{
    (void)partitions;
    *out = (struct kept){.devices = key->device.len && !key->module.len};
    return r->body_len ? OK : DAMAGED;
}

static struct record *rules_raise(const struct store_key *key, struct record *record, int64_t by)
{
    (void)key;
    raised_by = by;
    struct record *up = record_create(record->body_len + 1, record->secret_len);
    memcpy(up->bytes, record->bytes, record->body_len);
    up->bytes[record->body_len] = '^';
    if (record->secret_len)
        memcpy(up->bytes + up->body_len, record->bytes + record->body_len, record->secret_len);
    return up;
}

static const struct kept_rules rules = {.check = rules_check, .raise = rules_raise};

static void on_finding(void *owner, const struct check_finding *f)
{
    (void)owner, (void)f;
}

static const struct check_options check_options = {
    .replay = &fixture_replay, .rules = &rules, .map_bytes = 16 << 20, .fn = on_finding};

/* -- names: what is moved away must last where it went before its name is taken again -- */

struct away {
    ino_t folders[2]; /* from where, to where; 0: synced since */
    char name[64];    /* that it had */
};
static struct away moved[32];
static size_t moved_count;
static unsigned taken_early;

/* The folder that a path is in, and its last part. */
static ino_t folder_of(int dir_fd, const char *path, const char **name)
{
    char folder[192];
    struct stat st;
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)len : 1, slash ? path : ".");
    *name = slash ? slash + 1 : path;
    return fstatat(dir_fd, folder, &st, 0) == 0 ? st.st_ino : 0;
}

static void name_is_taken(int dir_fd, const char *path)
{
    const char *name;
    ino_t folder = folder_of(dir_fd, path, &name);
    for (size_t i = 0; i < moved_count; i++)
        taken_early += moved[i].folders[0] == folder && strcmp(moved[i].name, name) == 0;
}

static void name_is_left(int dir_fd, const char *path, int to_fd, const char *to)
{
    struct away *a = &moved[moved_count];
    const char *name, *ignored;
    if (moved_count == COUNT(moved))
        return;
    *a = (struct away){
        .folders = {folder_of(dir_fd, path, &name), folder_of(to_fd, to, &ignored)}
    };
    snprintf(a->name, sizeof(a->name), "%s", name);
    moved_count++;
}

/* In the place of the C library's, for this program. */

int fsync(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0)
        for (size_t i = 0; i < moved_count; i++)
            for (int k = 1; k >= 0; k--) /* the new name first: one of the two is always there */
                if (moved[i].folders[k] == st.st_ino && (k || !moved[i].folders[1]))
                    moved[i].folders[k] = 0;
    return (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
    moved_count = 0;
    return (int)syscall(SYS_syncfs, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    name_is_taken(to_fd, to);
    name_is_left(from_fd, from, to_fd, to);
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int mkdir(const char *path, mode_t mode)
{
    name_is_taken(AT_FDCWD, path);
    return mkdirat(AT_FDCWD, path, mode);
}

/* -- directories -- */

static enum status open_keeper(const char *path, struct embedded_dir **dir)
{
    struct embedded_dir_options o = {.path = path, .partitions = PARTITIONS, .map_bytes = 16 << 20};
    o.keeper = (struct embedded_options){.random = fixture_random(&seed),
                                         .clock = fixture_clock,
                                         .replay = &fixture_replay,
                                         .segment_min = 1 << 16,
                                         .segment_max = 1 << 16};
    buf_clear(&why);
    enum status st = embedded_dir_open(&o, dir, &why);
    buf_byte(&why, 0);
    return st;
}

static void on_durable(void *owner, uint64_t batch)
{
    *(uint64_t *)owner = batch;
}

static void put(struct store *s, uint64_t batch, const char *id, const char *body)
{
    uint64_t *durable = s->owner;
    fixture_put(s, fixture_key(1, id, ""), body, "its key");
    store_commit(s, batch);
    while (*durable < batch)
        store_poll(s);
}

/* a=1 b=2 are in the base; c=3 d=4 e=5 are in the journal, a block each. */
static void make(const char *path)
{
    struct embedded_dir *dir;
    uint64_t durable = 0;
    EXPECT_EQ(open_keeper(path, &dir), OK);
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    s->owner = &durable;
    s->durable = on_durable;
    put(s, 1, "a", "1");
    put(s, 2, "b", "2");
    store_close(s);
    embedded_dir_close(dir, 10000);
    EXPECT_EQ(open_keeper(path, &dir), OK);
    s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    durable = 0;
    s->owner = &durable;
    s->durable = on_durable;
    put(s, 1, "c", "3");
    put(s, 2, "d", "4");
    put(s, 3, "e", "5");
    store_close(s);
    embedded_dir_close(dir, 0);
}

static const char *beside(const char *path, const char *name)
{
    static char full[32][160];
    static unsigned i;
    char *out = full[i++ % 32];
    snprintf(out, 160, "%s%s", path, name);
    return out;
}

static void remove_tree(const char *path)
{
    fixture_empty(beside(path, "/journal.cut-20260304T102030Z/journal"));
    fixture_empty(beside(path, "/journal.cut-20260304T102030Z"));
    fixture_empty(beside(path, "/journal.new"));
    fixture_empty(beside(path, "/journal"));
    fixture_empty(path);
}

/* "a=1 b=2 …", or why it does not open; and the sequence of partition 1. */
static uint64_t seq_shown;
static const char *show(const char *path)
{
    struct embedded_dir *dir;
    if (open_keeper(path, &dir) != OK)
        return (const char *)why.data;
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    const char *text = fixture_scan(s, fixture_key(1, "", ""), false, 99);
    seq_shown = s->parts[1].seq;
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "zz", "")), "NOT_FOUND");
    store_close(s);
    embedded_dir_close(dir, 0);
    return text;
}

static struct restore_options options_of(const char *from, const char *to)
{
    return (struct restore_options){.from = from,
                                    .to = to,
                                    .random = fixture_random(&seed),
                                    .now_ms = 1772619630123,
                                    .check = check_options};
}

static enum status run(const struct restore_options *o, struct restore_result *out)
{
    buf_clear(&why);
    moved_count = taken_early = 0;
    enum status st = o->from ? restore_run(o, out, &why) : recover_run(o, out, &why);
    buf_byte(&why, 0);
    if (!o->step)
        EXPECT_EQ(taken_early, 0);
    return st;
}

static bool why_says(const char *part)
{
    return strstr((const char *)why.data, part) != NULL;
}

static void back_up(const char *from, const char *to, bool without_key)
{
    struct backup_options o = {
        .from = from, .to = to, .without_key = without_key, .check = check_options};
    struct backup_result result;
    buf_clear(&why);
    EXPECT_EQ(backup_run(&o, &result, &why), OK);
    EXPECT_EQ(check_findings(&result.check), 0);
}

/* The process ends before its n-th step. */
static void end_at(void *owner)
{
    if (--*(int *)owner == 0)
        _exit(7);
}

/* In a child; true: it was ended at step n, false: it has no such step. */
static bool ends_at(struct restore_options o, int n)
{
    int status;
    o.step = end_at;
    o.step_owner = &n;
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        struct restore_result result;
        _exit(run(&o, &result) == OK ? 0 : 1);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status));
    EXPECT(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7);
    return WEXITSTATUS(status) == 7;
}

/* -- restore -- */

static const char all_raised[] = "a=1^ b=2^ c=3^ d=4^ e=5^ OK";

TEST(a_restore_has_the_state_of_the_backup_with_everything_raised)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    back_up(path, beside(path, "-b"), false);
    struct restore_options o = options_of(beside(path, "-b"), beside(path, "-r"));
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_EQ(result.epoch, 2);
    EXPECT_EQ(result.state.devices, 5);
    EXPECT_EQ(result.state.changes, 3);
    EXPECT_EQ(result.state.damaged, 0);
    EXPECT_EQ(check_findings(&result.check), 0);
    EXPECT_EQ(result.check.devices, 5);
    EXPECT(result.check.from > EPOCH_POSITIONS);
    EXPECT_EQ(result.kept.len, 0);
    EXPECT_TEXT(show(beside(path, "-r")), all_raised);
    EXPECT_EQ(seq_shown, 5 + EPOCH_SEQS + MINUTE * EPOCH_MINUTE_SEQS);
    /* A restore of what was restored, from a copy that is no backup: the third epoch. */
    o = options_of(beside(path, "-r"), beside(path, "-2"));
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_EQ(result.epoch, 3);
    EXPECT_TEXT(show(beside(path, "-2")), "a=1^^ b=2^^ c=3^^ d=4^^ e=5^^ OK");
    remove_tree(beside(path, "-2"));
    remove_tree(beside(path, "-r"));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

TEST(keys_that_a_backup_is_without_come_from_elsewhere)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    back_up(path, beside(path, "-b"), true);
    struct restore_options o = options_of(beside(path, "-b"), beside(path, "-r"));
    EXPECT_EQ(run(&o, &result), BAD_ARGUMENT);
    EXPECT(why_says("--keys DIR"));
    EXPECT(access(beside(path, "-r"), F_OK) != 0);
    o.keys = "/tmp";
    EXPECT_EQ(run(&o, &result), BAD_ARGUMENT);
    EXPECT(why_says("/tmp has no master.key"));
    o.keys = path;
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_TEXT(show(beside(path, "-r")), all_raised);
    remove_tree(beside(path, "-r"));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

TEST(what_is_there_is_moved_aside_or_stays)
{
    const char *path = fixture_path(), *before = ".before-20260304T102030Z";
    struct restore_result result;
    struct embedded_dir *hub;
    make(path);
    back_up(path, beside(path, "-b"), false);
    struct restore_options o = options_of(beside(path, "-b"), path);
    EXPECT_EQ(run(&o, &result), BAD_ARGUMENT);
    EXPECT(why_says("--force moves it aside"));
    o.aside = true;
    EXPECT_EQ(open_keeper(path, &hub), OK);
    EXPECT_EQ(run(&o, &result), UNAVAILABLE);
    EXPECT(why_says("in use"));
    embedded_dir_close(hub, 0);
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_TEXT((const char *)result.kept.data, beside(path, before));
    EXPECT_TEXT(show(path), all_raised);
    EXPECT_TEXT(show(beside(path, before)), "a=1 b=2 c=3 d=4 e=5 OK");
    buf_fini(&result.kept);
    remove_tree(beside(path, before));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

/* The hub goes on after the backup, and the partition has a thousand million changes more. */
TEST(what_a_busy_hub_handed_out_after_the_backup_does_not_come_again)
{
    const char *path = fixture_path();
    struct restore_result result;
    struct embedded_dir *dir;
    uint64_t durable = 0;
    make(path);
    back_up(path, beside(path, "-b"), false);
    EXPECT_EQ(open_keeper(path, &dir), OK);
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    s->owner = &durable;
    s->durable = on_durable;
    s->parts[1].seq += 1000000000;
    put(s, 1, "f", "6");
    uint64_t seen = s->parts[1].seq;
    store_close(s);
    embedded_dir_close(dir, 0);
    struct restore_options o = options_of(beside(path, "-b"), path);
    o.aside = true;
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_TEXT(show(path), all_raised);
    EXPECT(seq_shown > seen);
    EXPECT(result.check.from > UINT64_C(100) << 40); /* a hundred tebibytes of journal */
    buf_fini(&result.kept);
    remove_tree(beside(path, ".before-20260304T102030Z"));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

/* The same backup over what was made of it, and so on: each time beyond the time before. */
TEST(a_second_restore_of_a_backup_goes_beyond_the_first)
{
    const char *path = fixture_path();
    struct restore_result result;
    uint64_t epoch = 1, seq = 0, position = 0;
    make(path);
    back_up(path, beside(path, "-b"), false);
    for (int i = 0; i < 3; i++) {
        struct restore_options o = options_of(beside(path, "-b"), path);
        o.aside = true;
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, ++epoch);
        EXPECT_EQ(result.raised,
                  ((int64_t)epoch - 1) * EPOCH_VERSIONS + MINUTE * EPOCH_MINUTE_VERSIONS);
        EXPECT_EQ(raised_by, result.raised);
        EXPECT(result.check.from > position + (UINT64_C(1) << 47));
        EXPECT_TEXT(show(path), all_raised);
        EXPECT(seq_shown > seq + (UINT64_C(1) << 39));
        seq = seq_shown;
        position = result.check.from;
        remove_tree(beside(path, ".before-20260304T102030Z"));
        buf_fini(&result.kept);
    }
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

/* The same backup on two new hosts, of which the second knows nothing of the first: a disk was lost
 * twice. */
TEST(a_later_restore_on_a_new_host_goes_beyond_an_earlier_one)
{
    const char *path = fixture_path();
    struct restore_result result;
    uint64_t seq = 0, position = 0;
    int64_t raised = 0;
    make(path);
    back_up(path, beside(path, "-b"), false);
    for (int i = 0; i < 3; i++) {
        struct restore_options o = options_of(beside(path, "-b"), beside(path, "-r"));
        o.now_ms += i * 10 * 60000;
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, 2);
        EXPECT(result.raised > raised);
        EXPECT(result.check.from > position);
        EXPECT_TEXT(show(beside(path, "-r")), all_raised);
        EXPECT(seq_shown > seq);
        raised = result.raised;
        seq = seq_shown;
        position = result.check.from;
        remove_tree(beside(path, "-r"));
    }
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

/* Its header says which epoch it has begun, and that nobody has used it. */
TEST(a_second_restore_that_was_ended_goes_on_with_its_epoch)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    back_up(path, beside(path, "-b"), false);
    struct restore_options o = options_of(beside(path, "-b"), path);
    o.aside = true;
    for (uint64_t epoch = 2; epoch < 4; epoch++) {
        EXPECT(ends_at(o, 2));
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, epoch);
        EXPECT_EQ(result.raised,
                  ((int64_t)epoch - 1) * EPOCH_VERSIONS + MINUTE * EPOCH_MINUTE_VERSIONS);
        remove_tree(beside(path, ".before-20260304T102030Z"));
    }
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

TEST(what_is_there_of_another_hub_or_damaged_says_nothing_of_the_epoch)
{
    const char *path = fixture_path();
    struct restore_result result;
    char other[64], o_backup[64];
    snprintf(other, sizeof(other), "%s-o", path);
    snprintf(o_backup, sizeof(o_backup), "%s-ob", path);
    make(path);
    make(other);
    back_up(path, beside(path, "-b"), false);
    back_up(other, o_backup, false);
    struct restore_options o = options_of(beside(path, "-b"), path);
    o.aside = true;
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            o.from = o_backup;
        int fd = i == 3 ? open(beside(path, "/twinhub.hdr"), O_RDWR) : -1;
        EXPECT(fd < 0 || pwrite(fd, "?", 1, 60) == 1);
        close(fd);
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, i == 1 ? 3 : 2);
        buf_fini(&result.kept);
        remove_tree(beside(path, ".before-20260304T102030Z"));
    }
    remove_tree(beside(path, "-b"));
    remove_tree(o_backup);
    remove_tree(other);
    fixture_remove(path);
}

TEST(a_restore_that_was_ended_anywhere_is_refused_by_a_hub_and_done_again)
{
    const char *path = fixture_path();
    struct restore_result result;
    int n = 1;
    make(path);
    back_up(path, beside(path, "-b"), false);
    struct restore_options o = options_of(beside(path, "-b"), beside(path, "-r"));
    for (; n < STEPS_MAX && ends_at(o, n); n++) {
        if (n > 1) { /* before the first there is an empty directory */
            const char *shown = show(beside(path, "-r"));
            EXPECT(strstr(shown, "run twinhub restore again") != NULL);
        }
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.epoch, 2);
        EXPECT_EQ(check_findings(&result.check), 0);
        EXPECT_TEXT(show(beside(path, "-r")), all_raised);
        remove_tree(beside(path, "-r"));
    }
    EXPECT_EQ(n, 5); /* header, base, journal, header */
    remove_tree(beside(path, "-r"));
    remove_tree(beside(path, "-b"));
    fixture_remove(path);
}

/* -- recover -- */

/* The block of d is damaged. Its position comes back. */
static uint64_t damage(const char *path)
{
    static uint8_t bytes[1 << 16];
    int fd = open(beside(path, "/journal/0000000000000000.seg"), O_RDWR);
    EXPECT(fd >= 0);
    EXPECT_EQ(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    close(fd);
    struct check_options check = check_options;
    struct check_result result;
    check.path = path;
    EXPECT_EQ(check_run(&check, &result, &why), OK);
    uint64_t at = result.end - 1024; /* of the last two blocks */
    fd = open(beside(path, "/journal/0000000000000000.seg"), O_RDWR);
    EXPECT_EQ(pwrite(fd, "?", 1, (off_t)at + 90), 1);
    close(fd);
    EXPECT_EQ(check_run(&check, &result, &why), OK);
    EXPECT_EQ(result.recover_to, at);
    return at;
}

static const char to_c_raised[] = "a=1^ b=2^ c=3^ OK";

TEST(a_recovery_ends_the_journal_before_the_damage_and_keeps_the_rest)
{
    const char *path = fixture_path(), *cut = "/journal.cut-20260304T102030Z";
    struct restore_result result;
    make(path);
    struct restore_options o = options_of(NULL, path);
    o.stop = damage(path);
    EXPECT(strstr(show(path), "twinhub restore --recover-to") != NULL);
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_EQ(result.epoch, 2);
    EXPECT_EQ(result.state.changes, 1);
    EXPECT_EQ(result.state.end, o.stop);
    EXPECT_EQ(check_findings(&result.check), 0);
    EXPECT_TEXT((const char *)result.kept.data, beside(path, cut));
    EXPECT_TEXT(show(path), to_c_raised);
    EXPECT_EQ(access(beside(beside(path, cut), "/base.mdb"), F_OK), 0);
    EXPECT_EQ(access(beside(beside(path, cut), "/journal/0000000000000000.seg"), F_OK), 0);
    buf_fini(&result.kept);
    remove_tree(path);
    fixture_remove(path);
}

TEST(a_recovery_that_was_ended_anywhere_is_finished_by_the_next)
{
    struct restore_result result;
    int n = 1;
    for (bool ended = true; ended && n < STEPS_MAX; n++) {
        const char *path = fixture_path();
        make(path);
        struct restore_options o = options_of(NULL, path);
        o.stop = damage(path);
        ended = ends_at(o, n);
        if (ended) {
            const char *shown = show(path);
            bool as_before = strstr(shown, "is damaged at position") != NULL;
            EXPECT(as_before || strstr(shown, "--recover-to again") != NULL);
            EXPECT_EQ(as_before, n == 1);
            EXPECT_EQ(run(&o, &result), OK);
            EXPECT_EQ(result.finished, n > 1);
            EXPECT_EQ(check_findings(&result.check), 0);
            buf_fini(&result.kept);
        }
        EXPECT_TEXT(show(path), to_c_raised);
        EXPECT_EQ(access(beside(path, "/journal.cut-20260304T102030Z/base.mdb"), F_OK), 0);
        remove_tree(path);
        fixture_remove(path);
    }
    EXPECT_EQ(n, 8); /* header, four names, header; then one too many */
}

TEST(a_position_that_the_base_is_beyond_is_refused)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    struct restore_options o = options_of(NULL, path);
    o.stop = 1;
    EXPECT_EQ(run(&o, &result), BAD_ARGUMENT);
    EXPECT(why_says("choose that or a later one"));
    EXPECT_TEXT(show(path), "a=1 b=2 c=3 d=4 e=5 OK");
    o.stop = UINT64_MAX; /* to its end: nothing is lost, all is raised */
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_TEXT(show(path), all_raised);
    buf_fini(&result.kept);
    remove_tree(path);
    fixture_remove(path);
}

/* Nothing of the journal can be read: what the base holds is kept. */
TEST(a_recovery_to_the_mark_needs_no_journal)
{
    static const char *const ways[] = {"head", "file"};
    for (size_t i = 0; i < COUNT(ways); i++) {
        const char *path = fixture_path(), *segment = beside(path, "/journal/0000000000000000.seg");
        struct restore_result result;
        struct check_options check = check_options;
        make(path);
        check.path = path;
        EXPECT_EQ(check_run(&check, &result.check, &why), OK);
        uint64_t mark = result.check.from;
        int fd = open(segment, O_RDWR);
        EXPECT_EQ(pwrite(fd, "?", 1, 40), 1);
        close(fd);
        if (i == 1)
            EXPECT_EQ(unlink(segment), 0);
        EXPECT_EQ(check_run(&check, &result.check, &why), OK);
        EXPECT_EQ(result.check.recover_to, mark);
        struct restore_options o = options_of(NULL, path);
        o.stop = result.check.recover_to;
        EXPECT_EQ(run(&o, &result), OK);
        EXPECT_EQ(result.state.changes, 0);
        EXPECT_EQ(result.state.end, mark);
        EXPECT_EQ(check_findings(&result.check), 0);
        EXPECT_TEXT(show(path), "a=1^ b=2^ OK");
        buf_fini(&result.kept);
        remove_tree(path);
        fixture_remove(path);
    }
}

/* LMDB's map is as good a bound as the disk's. */
TEST(a_recovery_that_finds_no_space_gives_back_what_it_took)
{
    const char *path = fixture_path();
    struct restore_result result;
    make(path);
    struct restore_options o = options_of(NULL, path);
    o.stop = UINT64_MAX;
    o.check.map_bytes = 8192; /* both meta pages, and none for a record */
    EXPECT_EQ(run(&o, &result), STORAGE_FULL);
    EXPECT(access(beside(path, "/base.mdb.new"), F_OK) != 0);
    EXPECT(access(beside(path, "/journal.new"), F_OK) != 0);
    o.check.map_bytes = check_options.map_bytes;
    EXPECT_EQ(mkdir(beside(path, "/twinhub.hdr.new"), 0700), 0); /* so the header has no place */
    EXPECT_EQ(run(&o, &result), UNAVAILABLE);
    EXPECT(access(beside(path, "/base.mdb.new"), F_OK) != 0);
    EXPECT(access(beside(path, "/journal.new"), F_OK) != 0);
    EXPECT_EQ(rmdir(beside(path, "/twinhub.hdr.new")), 0);
    EXPECT_TEXT(show(path), "a=1 b=2 c=3 d=4 e=5 OK");
    remove_tree(path);
    fixture_remove(path);
}

/* A record that fails its check is carried over as it is: not repaired, and not dropped. */
TEST(a_damaged_record_stays_damaged)
{
    const char *path = fixture_path();
    struct restore_result result;
    static uint8_t bytes[1 << 20];
    make(path);
    int fd = open(beside(path, "/base.mdb"), O_RDWR);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    EXPECT(len > 0);
    const struct span key = SPAN("\0\1a\0");
    for (uint8_t *at = bytes; (at = memmem(at, (size_t)(bytes + len - at), key.data, key.len));
         at++)
        EXPECT_EQ(pwrite(fd, "?", 1, at - bytes + 4 + 24), 1); /* the body, in every copy */
    close(fd);
    struct restore_options o = options_of(NULL, path);
    o.stop = UINT64_MAX;
    EXPECT_EQ(run(&o, &result), OK);
    EXPECT_EQ(result.state.damaged, 1);
    EXPECT_EQ(result.check.findings[CHECK_BASE], 1);
    EXPECT_EQ(check_findings(&result.check), 1);
    EXPECT_TEXT(show(path), "b=2^ c=3^ d=4^ e=5^ DAMAGED");
    buf_fini(&result.kept);
    remove_tree(path);
    fixture_remove(path);
    buf_fini(&why);
}

TEST_MAIN(RUN(a_restore_has_the_state_of_the_backup_with_everything_raised),
          RUN(keys_that_a_backup_is_without_come_from_elsewhere),
          RUN(what_is_there_is_moved_aside_or_stays),
          RUN(what_a_busy_hub_handed_out_after_the_backup_does_not_come_again),
          RUN(a_second_restore_of_a_backup_goes_beyond_the_first),
          RUN(a_later_restore_on_a_new_host_goes_beyond_an_earlier_one),
          RUN(a_second_restore_that_was_ended_goes_on_with_its_epoch),
          RUN(what_is_there_of_another_hub_or_damaged_says_nothing_of_the_epoch),
          RUN(a_restore_that_was_ended_anywhere_is_refused_by_a_hub_and_done_again),
          RUN(a_recovery_ends_the_journal_before_the_damage_and_keeps_the_rest),
          RUN(a_recovery_that_was_ended_anywhere_is_finished_by_the_next),
          RUN(a_position_that_the_base_is_beyond_is_refused),
          RUN(a_recovery_to_the_mark_needs_no_journal),
          RUN(a_recovery_that_finds_no_space_gives_back_what_it_took),
          RUN(a_damaged_record_stays_damaged))
