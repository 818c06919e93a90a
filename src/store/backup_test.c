/* Backups of a keeper that is writing, in a process of its own: each is a state it had. And what is
 * made of them. */
#include "store/store_fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "store/embedded_dir.h"
#include "store/hold.h"
#include "store/restore.h"

enum { PARTITIONS = 4, DEVICES = 600, ROUNDS = 4 };

static uint64_t seed = 5;
static struct buf why;

/* -- rules: nothing to raise, so that what is there can be compared -- */

static enum status rules_check(const struct store_key *key, uint32_t partitions,
                               const struct record *r, struct kept *out)
{
    (void)partitions;
    (void)r;
    bool device = key->device.len && !key->module.len;
    *out = (struct kept){.devices = device};
    return OK;
}

static struct record *rules_raise(const struct store_key *key, struct record *record, int64_t by)
{
    (void)key, (void)by;
    return record_ref(record);
}

static const struct kept_rules rules = {.check = rules_check, .raise = rules_raise};

static void on_finding(void *owner, const struct check_finding *f)
{
    (void)owner;
    fprintf(stderr, "%s: %.*s\n", check_part_name(f->part), SPAN_ARG(f->text));
}

static const struct check_options check_options = {
    .replay = &fixture_replay, .rules = &rules, .map_bytes = 64 << 20, .fn = on_finding};

/* -- the keeper -- */

static struct embedded_dir *open_keeper(const char *path)
{
    struct embedded_dir *dir;
    struct embedded_dir_options o = {.path = path, .partitions = PARTITIONS, .map_bytes = 64 << 20};
    o.keeper = (struct embedded_options){.random = fixture_random(&seed),
                                         .clock = fixture_clock,
                                         .replay = &fixture_replay,
                                         .tail_max = 512 << 10,
                                         .segment_min = 1 << 16,
                                         .segment_max = 1 << 16};
    buf_clear(&why);
    if (embedded_dir_open(&o, &dir, &why) != OK)
        fail_msg("%.*s", SPAN_ARG(why));
    return dir;
}

/* Write n changes one device; its body begins with n. The rest makes the base larger than a slice.
 */
static const char *body_of(uint64_t n)
{
    static char body[2048];
    snprintf(body, sizeof(body), "%llu %0*d", (unsigned long long)n, (int)(n * 37 % 1500), 0);
    return body;
}

static struct store_key key_of(uint64_t n)
{
    static char id[16];
    snprintf(id, sizeof(id), "device-%u", (unsigned)(n % DEVICES));
    return fixture_key((uint32_t)(n % DEVICES % PARTITIONS), id, "");
}

/* What both processes see. */
static struct shared {
    _Atomic uint64_t committed, durable;
    _Atomic bool stop;
} * shared;

static void on_durable(void *owner, uint64_t batch)
{
    (void)owner;
    atomic_store(&shared->durable, batch);
}

static void write_one(struct store *s, uint64_t n)
{
    struct store_key key = key_of(n);
    atomic_store(&shared->committed, n);
    if (n > DEVICES) /* the fixture counts each write as a device */
        s->parts[key.partition].devices--;
    fixture_put(s, key, body_of(n), "its key");
    store_commit(s, n);
    while (store_room(s) != STORE_OPEN || atomic_load(&shared->durable) + 20 < n) {
        store_poll(s);
        sched_yield();
    }
}

static _Noreturn void run_writer(const char *path)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct embedded_dir *dir = open_keeper(path);
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    s->durable = on_durable;
    for (uint64_t n = 1; !atomic_load(&shared->stop); n++)
        write_one(s, n);
    store_close(s);
    embedded_dir_close(dir, 0);
    _exit(0);
}

static pid_t start_writer(const char *path)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(shared != MAP_FAILED);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0)
        run_writer(path);
    while (atomic_load(&shared->durable) < DEVICES + 100)
        usleep(1000);
    return child;
}

static void stop_writer(pid_t child)
{
    int status;
    atomic_store(&shared->stop, true);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

/* -- judging a directory -- */

/* The writes it shows; each device must be as after the last of them. */
static uint64_t writes_in(const char *path)
{
    uint64_t shown[DEVICES], newest = 0;
    struct embedded_dir *dir = open_keeper(path);
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    for (uint64_t i = 0; i < DEVICES; i++) {
        const char *text = fixture_load(s, key_of(i));
        shown[i] = strtoull(text, NULL, 10);
        if (shown[i] > newest)
            newest = shown[i];
    }
    for (uint64_t i = 0; i < DEVICES; i++)
        EXPECT_EQ_IN("a device is as after the newest write", shown[i],
                     newest - (newest + DEVICES - i) % DEVICES);
    store_close(s);
    embedded_dir_close(dir, 0);
    return newest;
}

static const char *beside(const char *path, const char *name)
{
    static char full[4][128];
    static unsigned i;
    char *out = full[i++ % 4];
    snprintf(out, 128, "%s%s", path, name);
    return out;
}

/* Time for the keeper to bring the base on, and the mark with it. */
static void wait_a_little(void *owner)
{
    (void)owner;
    usleep(20000);
}

static enum status back_up(const char *from, const char *to, struct backup_result *out)
{
    struct backup_options o = {.from = from,
                               .to = to,
                               .slice_bytes = 40000,
                               .slice = wait_a_little,
                               .check = check_options};
    buf_clear(&why);
    enum status st = backup_run(&o, out, &why);
    buf_byte(&why, 0);
    return st;
}

static enum status restore(const char *from, const char *to, struct restore_result *out)
{
    struct restore_options o = {.from = from,
                                .to = to,
                                .random = fixture_random(&seed),
                                .now_ms = 1772619630123,
                                .check = check_options};
    buf_clear(&why);
    enum status st = restore_run(&o, out, &why);
    buf_byte(&why, 0);
    return st;
}

static void remove_tree(const char *path)
{
    fixture_empty(beside(path, "/journal"));
    fixture_empty(path);
}

static bool why_says(const char *part)
{
    return strstr((const char *)why.data, part) != NULL;
}

/* -- tests -- */

TEST(a_backup_under_load_is_a_state_between_its_begin_and_its_end)
{
    const char *path = fixture_path();
    pid_t writer = start_writer(path);
    uint64_t positions = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct backup_result backup;
        struct restore_result restored;
        uint64_t begin = atomic_load(&shared->durable);
        EXPECT_EQ(back_up(path, beside(path, "-b"), &backup), OK);
        uint64_t end = atomic_load(&shared->committed);
        EXPECT_EQ(check_findings(&backup.check), 0);
        EXPECT_EQ(backup.damaged, 0);
        EXPECT(backup.check.features & HEADER_BACKUP);
        positions += backup.check.from > 0; /* a mark: the base was written to */
        EXPECT_EQ(restore(beside(path, "-b"), beside(path, "-r"), &restored), OK);
        EXPECT_EQ(check_findings(&restored.check), 0);
        EXPECT_EQ(restored.check.devices, DEVICES);
        uint64_t writes = writes_in(beside(path, "-r"));
        EXPECT(begin <= writes);
        EXPECT(writes <= end);
        remove_tree(beside(path, "-b"));
        remove_tree(beside(path, "-r"));
    }
    EXPECT(positions > 0);
    stop_writer(writer);
    fixture_remove(path);
}

TEST(a_backup_holds_the_journal_and_lets_it_go)
{
    const char *path = fixture_path();
    pid_t writer = start_writer(path);
    struct hold hold = {-1};
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(hold_take(&hold, dir), 0);
    uint64_t from = atomic_load(&shared->durable);
    while (atomic_load(&shared->durable) < from + 2000)
        usleep(1000);
    DIR *journal = opendir(beside(path, "/journal"));
    int held = 0;
    while (readdir(journal))
        held++;
    hold_close(&hold);
    int after = held;
    for (int i = 0; i < 2000 && after >= held; i++) { /* the hub looks every second */
        usleep(10000);
        after = 0;
        rewinddir(journal);
        while (readdir(journal))
            after++;
    }
    closedir(journal);
    close(dir);
    EXPECT(held > 15);
    EXPECT(after < held);
    stop_writer(writer);
    fixture_remove(path);
}

static const char *make_quiet(unsigned writes)
{
    const char *path = fixture_path();
    if (!shared)
        shared =
            mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *shared = (struct shared){0};
    struct embedded_dir *dir = open_keeper(path);
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    s->durable = on_durable;
    for (uint64_t n = 1; n <= writes; n++)
        write_one(s, n);
    store_close(s);
    embedded_dir_close(dir, 0);
    return path;
}

TEST(what_a_backup_cannot_be_made_of_or_into_is_refused)
{
    const char *path = make_quiet(100);
    struct backup_result result;
    EXPECT_EQ(back_up(beside(path, "-none"), beside(path, "-b"), &result), UNAVAILABLE);
    EXPECT_EQ(mkdir(beside(path, "-none"), 0700), 0);
    EXPECT_EQ(back_up(beside(path, "-none"), beside(path, "-b"), &result), BAD_ARGUMENT);
    EXPECT(why_says("is no data directory"));
    EXPECT_EQ(back_up(path, beside(path, "-none"), &result), OK); /* an empty one is taken */
    EXPECT_EQ(back_up(path, beside(path, "-none"), &result), BAD_ARGUMENT);
    EXPECT(why_says("is there and not empty"));
    EXPECT_EQ(back_up(beside(path, "-none"), beside(path, "-b"), &result), BAD_ARGUMENT);
    EXPECT(why_says("is a backup"));
    EXPECT_EQ(mkdir(beside(path, "-b.new"), 0700), 0);
    EXPECT_EQ(back_up(path, beside(path, "-b"), &result), UNAVAILABLE);
    EXPECT(why_says("an earlier backup did not finish"));
    rmdir(beside(path, "-b.new"));
    unlink(beside(path, "/master.key"));
    EXPECT_EQ(back_up(path, beside(path, "-b"), &result), DAMAGED);
    EXPECT(why_says("--without-key"));
    EXPECT(access(beside(path, "-b.new"), F_OK) != 0);
    remove_tree(beside(path, "-none"));
    fixture_remove(path);
}

TEST(a_damaged_journal_makes_no_backup)
{
    const char *path = make_quiet(100);
    struct backup_result result;
    char name[160];
    /* Quiet, each block knows the one before durable: the middle one is missed. */
    snprintf(name, sizeof(name), "%s/journal/0000000000000000.seg", path);
    int fd = open(name, O_WRONLY);
    EXPECT(fd >= 0);
    for (off_t at = 512 * 4; at < 512 * 60; at += 512)
        EXPECT_EQ(pwrite(fd, "?", 1, at + 8), 1);
    close(fd);
    EXPECT_EQ(back_up(path, beside(path, "-b"), &result), DAMAGED);
    EXPECT(why_says("a later block shows that there was one here"));
    EXPECT(access(beside(path, "-b"), F_OK) != 0);
    EXPECT(access(beside(path, "-b.new"), F_OK) != 0);
    fixture_remove(path);
}

TEST(a_journal_that_lacks_a_segment_makes_no_backup)
{
    const char *path = make_quiet(150);
    struct backup_result result;
    char name[160];
    snprintf(name, sizeof(name), "%s/journal/0000000000010000.seg", path);
    EXPECT_EQ(unlink(name), 0);
    EXPECT_EQ(back_up(path, beside(path, "-b"), &result), DAMAGED);
    EXPECT(why_says("the journal is damaged at position"));
    snprintf(name, sizeof(name), "%s/journal/0000000000000000.seg", path);
    EXPECT_EQ(unlink(name), 0);
    EXPECT_EQ(back_up(path, beside(path, "-b"), &result), DAMAGED);
    EXPECT(why_says("the journal is missing from position 0 on"));
    fixture_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(a_backup_under_load_is_a_state_between_its_begin_and_its_end),
        RUN(a_backup_holds_the_journal_and_lets_it_go),
        RUN(what_a_backup_cannot_be_made_of_or_into_is_refused),
        RUN(a_damaged_journal_makes_no_backup),
        RUN(a_journal_that_lacks_a_segment_makes_no_backup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
