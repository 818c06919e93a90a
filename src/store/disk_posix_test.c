#include "store/disk_posix.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "store/store_fixture.h"

static const char *path;
static int dir_fd;
static struct disk *disk;

static void begin(void)
{
    path = fixture_path();
    EXPECT_EQ(mkdir(path, 0700), 0);
    dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    EXPECT(dir_fd >= 0);
    EXPECT_EQ(disk_posix_open(dir_fd, "journal", &disk), 0);
}

static void end(void)
{
    disk_posix_close(disk);
    close(dir_fd);
    fixture_remove(path);
}

static unsigned mode_of(const char *name)
{
    struct stat st;
    EXPECT_EQ(fstatat(dir_fd, name, &st, 0), 0);
    return st.st_mode & 0777;
}

static int write_text(struct disk_file *f, uint64_t at, const char *a, const char *b)
{
    char copy[2][64];
    snprintf(copy[0], sizeof(copy[0]), "%s", a);
    snprintf(copy[1], sizeof(copy[1]), "%s", b);
    struct iovec parts[] = {
        {copy[0], strlen(a)},
        {copy[1], strlen(b)},
    };
    return disk_write(f, parts, 2, at);
}

/* The bytes from `at`, 63 at most. Good until the next call. */
static const char *read_text(struct disk_file *f, uint64_t at)
{
    static char text[64];
    size_t got = 99;
    EXPECT_EQ(disk_read(f, at, text, sizeof(text) - 1, &got), 0);
    text[got] = 0;
    return text;
}

TEST(folder_and_files_are_their_owners_alone)
{
    struct disk_file *f;
    mode_t was = umask(0);
    begin();
    EXPECT_EQ(disk_open(disk, "a", true, &f), 0);
    umask(was);
    EXPECT_EQ(mode_of("journal"), 0700);
    EXPECT_EQ(mode_of("journal/a"), 0600);
    disk_close(f);
    disk_close(NULL); /* harmless */
    struct disk *again;
    EXPECT_EQ(disk_posix_open(dir_fd, "journal", &again), 0); /* it is there already */
    EXPECT_EQ(disk_open(again, "a", false, &f), 0);
    disk_close(f);
    disk_posix_close(again);
    disk_posix_close(NULL);
    end();
}

TEST(what_is_written_is_read_wherever_it_lies)
{
    struct disk_file *f;
    uint64_t size = 99;
    begin();
    EXPECT_EQ(disk_open(disk, "a", true, &f), 0);
    EXPECT_EQ(disk_size(f, &size), 0);
    EXPECT_EQ(size, 0);
    EXPECT_TEXT(read_text(f, 0), "");
    EXPECT_EQ(write_text(f, 0, "one ", "two"), 0);
    EXPECT_EQ(write_text(f, 4, "", "TWO!"), 0);
    EXPECT_EQ(write_text(f, 0, "", ""), 0);
    EXPECT_TEXT(read_text(f, 0), "one TWO!");
    EXPECT_TEXT(read_text(f, 6), "O!");
    EXPECT_TEXT(read_text(f, 8), "");
    EXPECT_TEXT(read_text(f, 1000), "");
    EXPECT_EQ(disk_sync(f), 0);
    EXPECT_EQ(disk_size(f, &size), 0);
    EXPECT_EQ(size, 8);
    disk_close(f);
    EXPECT_EQ(disk_open(disk, "a", false, &f), 0);
    EXPECT_TEXT(read_text(f, 0), "one TWO!");
    disk_close(f);
    end();
}

TEST(one_write_takes_many_parts)
{
    static char bytes[200][100];
    struct iovec parts[200];
    struct disk_file *f;
    begin();
    for (int i = 0; i < 200; i++) {
        memset(bytes[i], i, sizeof(bytes[i]));
        parts[i] = (struct iovec){bytes[i], (size_t)i % 100};
    }
    EXPECT_EQ(disk_open(disk, "a", true, &f), 0);
    EXPECT_EQ(disk_write(f, parts, 200, 512), 0);
    uint64_t at = 512;
    for (int i = 0; i < 200; i++) {
        char got[100];
        size_t len;
        EXPECT_EQ(disk_read(f, at, got, parts[i].iov_len, &len), 0);
        EXPECT_SPAN(span_of(got, len), span_of(bytes[i], parts[i].iov_len));
        at += parts[i].iov_len;
    }
    for (int i = 0; i < 200; i++) /* the caller's list is as it was */
        EXPECT(parts[i].iov_base == bytes[i]);
    disk_close(f);
    end();
}

TEST(names_are_made_changed_and_removed)
{
    struct disk_file *f, *again;
    begin();
    EXPECT_EQ(disk_open(disk, "a", false, &f), ENOENT);
    EXPECT_EQ(disk_open(disk, "a", true, &f), 0);
    EXPECT_EQ(disk_open(disk, "a", true, &again), EEXIST);
    EXPECT_EQ(write_text(f, 0, "of a", ""), 0);
    EXPECT_EQ(disk_open(disk, "b", true, &again), 0);
    disk_close(again);
    EXPECT_EQ(disk_rename(disk, "a", "b"), 0); /* replaces */
    EXPECT_EQ(disk_rename(disk, "a", "b"), ENOENT);
    EXPECT_EQ(disk_sync_names(disk), 0);
    EXPECT_TEXT(read_text(f, 0), "of a"); /* still open */
    EXPECT_EQ(disk_open(disk, "b", false, &again), 0);
    EXPECT_TEXT(read_text(again, 0), "of a");
    disk_close(again);
    disk_close(f);
    EXPECT_EQ(disk_remove(disk, "b"), 0);
    EXPECT_EQ(disk_remove(disk, "b"), ENOENT);
    end();
}

struct listed {
    int count;
    uint64_t bytes;
};

static void on_name(void *owner, const char *name, uint64_t size)
{
    struct listed *l = owner;
    EXPECT(strlen(name) == 1);
    EXPECT_EQ(size, name[0] - 'a');
    l->count++;
    l->bytes += size;
    errno = EIO; /* what a caller does with errno is no error of the list */
}

TEST(a_list_has_every_file_with_its_size_and_no_folder)
{
    struct listed l = {0};
    begin();
    EXPECT_EQ(disk_list(disk, on_name, &l), 0);
    EXPECT_EQ(l.count, 0);
    EXPECT_EQ(mkdirat(dir_fd, "journal/folder", 0700), 0);
    EXPECT_EQ(symlinkat("b", dir_fd, "journal/link"), 0);
    for (char name[] = "a"; name[0] <= 'e'; name[0]++) {
        struct disk_file *f;
        EXPECT_EQ(disk_open(disk, name, true, &f), 0);
        EXPECT_EQ(write_text(f, 0, &"xxxx"['e' - name[0]], ""), 0); /* 0 to 4 bytes */
        disk_close(f);
    }
    EXPECT_EQ(disk_list(disk, on_name, &l), 0);
    EXPECT_EQ(l.count, 5);
    EXPECT_EQ(l.bytes, 10);
    l.count = 0;
    EXPECT_EQ(disk_list(disk, on_name, &l), 0); /* from its beginning again */
    EXPECT_EQ(l.count, 5);
    unlinkat(dir_fd, "journal/folder", AT_REMOVEDIR);
    end();
}

/* A write that comes to the limit of file sizes is short first; the rest then says why. */
TEST(a_short_write_is_an_error_with_its_reason)
{
    struct rlimit was, now;
    struct disk_file *f;
    begin();
    EXPECT_EQ(disk_open(disk, "a", true, &f), 0);
    getrlimit(RLIMIT_FSIZE, &was);
    now = (struct rlimit){6, was.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &now);
    int error = write_text(f, 0, "1234", "5678");
    setrlimit(RLIMIT_FSIZE, &was);
    signal(SIGXFSZ, handler);
    EXPECT_EQ(error, EFBIG);
    EXPECT_TEXT(read_text(f, 0), "123456");
    disk_close(f);
    end();
}

TEST(what_the_file_system_refuses_is_passed_on)
{
    struct disk *other;
    struct disk_file *f;
    char full[128];
    begin();
    EXPECT_EQ(disk_posix_open(dir_fd, "no/folder", &other), ENOENT);
    EXPECT_EQ(close(openat(dir_fd, "file", O_CREAT | O_WRONLY, 0600)), 0);
    EXPECT_EQ(disk_posix_open(dir_fd, "file", &other), ENOTDIR);
    EXPECT_EQ(disk_open(disk, "no/folder", true, &f), ENOENT);
    EXPECT_EQ(mkdirat(dir_fd, "journal/folder", 0700), 0);
    EXPECT_EQ(disk_open(disk, "folder", false, &f), EISDIR);
    EXPECT_EQ(disk_remove(disk, "folder"), EISDIR);
    snprintf(full, sizeof(full), "%s/journal/folder", path);
    rmdir(full);
    snprintf(full, sizeof(full), "%s/journal", path);
    EXPECT_EQ(rmdir(full), 0); /* the folder is gone from under it */
    EXPECT_EQ(disk_open(disk, "a", true, &f), ENOENT);
    end();
}

TEST_MAIN(RUN(folder_and_files_are_their_owners_alone),
          RUN(what_is_written_is_read_wherever_it_lies), RUN(one_write_takes_many_parts),
          RUN(names_are_made_changed_and_removed),
          RUN(a_list_has_every_file_with_its_size_and_no_folder),
          RUN(a_short_write_is_an_error_with_its_reason),
          RUN(what_the_file_system_refuses_is_passed_on))
