/* The embedded keeper's directory: made, taken over from the format before, refused when a part of
 * it is missing. */
#include "store/embedded_dir.h"

#include "store/store_fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static uint64_t seed = 41;
static char path[64];
static struct embedded_dir *dir;
static struct buf why;

static enum status try_open(uint32_t partitions)
{
    struct embedded_dir_options options = {
        .path = path,
        .partitions = partitions,
        .map_bytes = 16 << 20,
        .keeper = {.random = fixture_random(&seed),
                   .clock = fixture_clock,
                   .replay = &fixture_replay,
                   .segment_min = 8 << 10}
    };
    buf_clear(&why);
    enum status st = embedded_dir_open(&options, &dir, &why);
    EXPECT_EQ(why.len > 0, st != OK);
    buf_byte(&why, 0);
    return st;
}

static bool why_says(const char *part)
{
    if (strstr((const char *)why.data, part))
        return true;
    print_message("%s\n", (const char *)why.data);
    return false;
}

static struct store *begin(void)
{
    if (!*path)
        strcpy(path, fixture_path());
    if (try_open(0) != OK)
        fail_msg("%s", (const char *)why.data);
    return embedded_shard(embedded_dir_keeper(dir), 0, 1);
}

static void end(struct store *s, int64_t patience_ms)
{
    store_close(s);
    embedded_dir_close(dir, patience_ms);
}

static void forget(void)
{
    fixture_remove(path);
    *path = 0;
    buf_fini(&why);
}

static const char *in_directory(const char *name)
{
    static char full[128];
    snprintf(full, sizeof(full), "%s/%s", path, name);
    return full;
}

static void move(const char *from, const char *to)
{
    char full[128];
    strcpy(full, in_directory(from));
    EXPECT_EQ(rename(full, in_directory(to)), 0);
}

static const struct store_key d1 = {1, SPAN_INIT("d1"), SPAN_INIT("")};

/* A directory with a record: in the base, or in the journal alone. */
static void make(bool in_base)
{
    struct store *s = begin();
    fixture_put(s, d1, "body", "key");
    store_commit(s, 1);
    end(s, in_base ? 60000 : 0);
}

static void expect_whole(void)
{
    struct store *s = begin();
    EXPECT_TEXT(fixture_load(s, d1), "body|key");
    EXPECT_EQ(s->parts[1].seq, 1);
    end(s, 0);
}

TEST(a_new_directory_has_a_header_that_tells_of_the_journal)
{
    struct stat st;
    struct store *s = begin();
    EXPECT(embedded_dir_directory(dir)->header.features & HEADER_JOURNAL);
    EXPECT(!embedded_dir_directory(dir)->fresh);
    EXPECT_EQ(s->partitions, DIRECTORY_PARTITIONS);
    EXPECT_EQ(stat(in_directory("journal"), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0700);
    EXPECT_EQ(stat(in_directory("journal/0000000000000000.seg"), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600);
    EXPECT_EQ(st.st_size, 8 << 10);
    struct embedded_dir *first = dir;
    EXPECT_EQ(try_open(0), UNAVAILABLE);
    EXPECT(why_says(path));
    EXPECT(why_says("in use by another hub"));
    dir = first;
    end(s, 0);
    embedded_dir_close(NULL, 0); /* harmless */
    EXPECT_EQ(try_open(7), BAD_ARGUMENT);
    EXPECT(why_says("has 32 partitions"));
    forget();
}

TEST(what_was_acknowledged_is_found_in_the_journal_and_in_the_base)
{
    for (int in_base = 0; in_base < 2; in_base++) {
        make(in_base);
        expect_whole();
        expect_whole();
        forget();
    }
}

/* -- parts that are missing -- */

TEST(without_a_header_what_holds_changes_is_not_begun_again)
{
    make(false);
    move("twinhub.hdr", "aside");
    EXPECT_EQ(try_open(0), DAMAGED);
    EXPECT(why_says("/journal holds changes, but the header twinhub.hdr is missing"));
    move("aside", "twinhub.hdr");
    expect_whole(); /* and nothing of it was touched */
    forget();
    make(true);
    move("twinhub.hdr", "aside");
    EXPECT_EQ(try_open(0), DAMAGED);
    EXPECT(why_says("holds records, but its header twinhub.hdr is missing"));
    move("aside", "twinhub.hdr");
    expect_whole();
    forget();
}

static void remove_journal(void)
{
    char full[128];
    strcpy(full, in_directory("journal"));
    fixture_empty(full);
    EXPECT(access(full, F_OK) != 0);
}

TEST(a_missing_journal_is_not_begun_again)
{
    make(false);
    remove_journal();
    EXPECT_EQ(try_open(0), DAMAGED);
    EXPECT(why_says(path));
    EXPECT(why_says("the journal has no segment; restore the directory from a backup"));
    EXPECT_EQ(try_open(0), DAMAGED); /* nor at the next attempt */
    forget();
    make(true); /* the base knows where it goes on */
    remove_journal();
    EXPECT_EQ(try_open(0), DAMAGED);
    EXPECT(why_says("the journal is missing from position 1024 on; restore"));
    EXPECT_EQ(try_open(0), DAMAGED);
    forget();
}

TEST(a_missing_or_emptied_base_is_not_begun_again)
{
    make(true);
    EXPECT_EQ(truncate(in_directory("base.mdb"), 0), 0);
    EXPECT_EQ(try_open(0), DAMAGED);
    EXPECT(why_says("base.mdb is cut short; restore"));
    EXPECT_EQ(unlink(in_directory("base.mdb")), 0);
    EXPECT_EQ(try_open(0), DAMAGED);
    EXPECT(why_says("base.mdb is missing; restore"));
    EXPECT_EQ(try_open(0), DAMAGED);
    forget();
}

TEST(a_damaged_journal_is_named_with_its_directory)
{
    make(false);
    struct store *s = begin();
    fixture_put(s, d1, "newer", "key");
    store_commit(s, 1);
    end(s, 0);
    int fd = open(in_directory("journal/0000000000000000.seg"), O_RDWR);
    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, "?", 1, 512 + 100), 1);
    close(fd);
    EXPECT_EQ(try_open(0), DAMAGED);
    EXPECT(why_says(path));
    EXPECT(why_says("the journal is damaged at position 512 (journal/0000000000000000.seg, byte "
                    "512)"));
    forget();
}

TEST(a_folder_that_does_not_open_is_named)
{
    make(true);
    remove_journal();
    EXPECT_EQ(close(open(in_directory("journal"), O_CREAT | O_WRONLY, 0600)), 0);
    EXPECT_EQ(try_open(0), UNAVAILABLE);
    EXPECT(why_says("cannot open "));
    EXPECT(why_says("/journal: Not a directory"));
    unlink(in_directory("journal"));
    forget();
}

/* -- killed at any step -- */

static int step, die_at; /* 0: never */

/* Odd steps are before a call, even ones after it. */
static void at_step(void)
{
    if (die_at && ++step == die_at)
        _exit(9);
}

#define STEPPED(call)                \
    do {                             \
        at_step();                   \
        int rc_ = (int)syscall call; \
        int error_ = errno;          \
        at_step();                   \
        errno = error_;              \
        return rc_;                  \
    } while (0)

/* What the store calls to change names and to make things last, in place of the system's. */
int fsync(int fd)
{
    STEPPED((SYS_fsync, fd));
}

int fdatasync(int fd)
{
    STEPPED((SYS_fdatasync, fd));
}

int mkdirat(int at, const char *name, mode_t mode)
{
    STEPPED((SYS_mkdirat, at, name, mode));
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    STEPPED((SYS_renameat, from_at, from, to_at, to));
}

int unlinkat(int at, const char *name, int flags)
{
    STEPPED((SYS_unlinkat, at, name, flags));
}

/* Another process opens the directory and is killed at this step. False: it came to its end. */
static bool open_and_die(int at)
{
    int status;
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        struct buf reason = {0};
        struct embedded_dir_options options = {
            .path = path,
            .map_bytes = 16 << 20,
            .keeper = {.random = fixture_random(&seed),
                       .clock = fixture_clock,
                       .replay = &fixture_replay,
                       .stepped = true,
                       .segment_min = 8 << 10}
        };
        die_at = at;
        _exit(embedded_dir_open(&options, &dir, &reason) == OK ? 0 : 1);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status));
    EXPECT(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
    return WEXITSTATUS(status) == 9;
}

TEST(a_directory_whose_making_was_killed_at_any_step_is_made_again)
{
    int at = 0;
    for (bool killed = true; killed;) {
        strcpy(path, fixture_path());
        killed = open_and_die(++at);
        bool had_header = access(in_directory("twinhub.hdr"), F_OK) == 0;
        EXPECT(killed || had_header);
        make(false);
        expect_whole();
        EXPECT(access(in_directory("twinhub.hdr.new"), F_OK) != 0);
        EXPECT(access(in_directory("base.mdb.new"), F_OK) != 0);
        EXPECT(access(in_directory("journal/0000000000000000.seg.new"), F_OK) != 0);
        forget();
    }
    EXPECT(at > 20);
}

static void copy_golden(const char *name)
{
    char from[128];
    static uint8_t bytes[1 << 20];
    snprintf(from, sizeof(from), "tests/golden/store-1/%s", name);
    int in = open(from, O_RDONLY), out = open(in_directory(name), O_WRONLY | O_CREAT, 0600);
    EXPECT(in >= 0);
    EXPECT(out >= 0);
    ssize_t n = read(in, bytes, sizeof(bytes));
    EXPECT(n > 0 && n < (ssize_t)sizeof(bytes));
    EXPECT_EQ(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

static uint64_t features_on_disk(void)
{
    uint8_t bytes[HEADER_BYTES];
    struct header header;
    struct buf reason = {0};
    int fd = open(in_directory("twinhub.hdr"), O_RDONLY);
    EXPECT(fd >= 0);
    EXPECT_EQ(read(fd, bytes, sizeof(bytes)), HEADER_BYTES);
    close(fd);
    EXPECT_EQ(header_decode(span_of(bytes, sizeof(bytes)), &header, &reason), OK);
    return header.features;
}

/* The format before had no journal. Until its header says that there is one, the older program may
 * still use the directory, so until then nothing is in the journal. */
TEST(a_directory_of_the_format_before_is_taken_over_wherever_that_was_killed)
{
    int at = 0, without = 0, with = 0;
    for (bool killed = true; killed;) {
        strcpy(path, fixture_path());
        EXPECT_EQ(mkdir(path, 0700), 0);
        copy_golden("twinhub.hdr");
        copy_golden("master.key");
        copy_golden("base.mdb");
        EXPECT_EQ(features_on_disk(), 0);
        killed = open_and_die(++at);
        EXPECT(killed || features_on_disk() == HEADER_JOURNAL);
        without += features_on_disk() == 0;
        with += features_on_disk() == HEADER_JOURNAL;
        struct store *s = begin();
        EXPECT(embedded_dir_directory(dir)->header.features == HEADER_JOURNAL);
        EXPECT_EQ(features_on_disk(), HEADER_JOURNAL);
        EXPECT_EQ(s->partitions, 4);
        EXPECT_EQ(s->parts[1].seq, 6);
        EXPECT_TEXT(fixture_load(s, d1), "a device|primary and secondary");
        fixture_put(s, fixture_key(1, "new", ""), "since", "key");
        store_commit(s, 1);
        end(s, 0);
        s = begin();
        EXPECT_TEXT(fixture_load(s, fixture_key(1, "new", "")), "since|key");
        EXPECT_TEXT(fixture_load(s, fixture_key(1, "d1", "m1")), "its module|a module's key");
        EXPECT_EQ(s->parts[1].seq, 7);
        end(s, 60000);
        forget();
    }
    EXPECT(without > 10);
    EXPECT(with > 2);
}

TEST_MAIN(RUN(a_new_directory_has_a_header_that_tells_of_the_journal),
          RUN(what_was_acknowledged_is_found_in_the_journal_and_in_the_base),
          RUN(without_a_header_what_holds_changes_is_not_begun_again),
          RUN(a_missing_journal_is_not_begun_again),
          RUN(a_missing_or_emptied_base_is_not_begun_again),
          RUN(a_damaged_journal_is_named_with_its_directory),
          RUN(a_folder_that_does_not_open_is_named),
          RUN(a_directory_whose_making_was_killed_at_any_step_is_made_again),
          RUN(a_directory_of_the_format_before_is_taken_over_wherever_that_was_killed))
