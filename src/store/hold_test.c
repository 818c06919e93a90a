#include "store/hold.h"

#include "store/store_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int open_dir(const char *path)
{
    EXPECT_EQ(mkdir(path, 0700), 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    EXPECT(fd >= 0);
    return fd;
}

TEST(the_hub_sees_a_hold_and_that_it_ended)
{
    const char *path = fixture_path();
    int dir = open_dir(path);
    struct hold hub = {-1}, one = {-1}, other = {-1};
    EXPECT(!hold_is_taken(&hub)); /* a hub without a journal looks at nothing */
    EXPECT_EQ(hold_open(&hub, dir), 0);
    EXPECT(!hold_is_taken(&hub));
    EXPECT_EQ(hold_take(&one, dir), 0);
    EXPECT(hold_is_taken(&hub));
    EXPECT_EQ(hold_take(&other, dir), 0);
    hold_close(&one);
    EXPECT(hold_is_taken(&hub));
    hold_close(&other);
    EXPECT(!hold_is_taken(&hub));
    EXPECT_EQ(hold_take(&one, dir), 0); /* looking left nothing locked */
    EXPECT(hold_is_taken(&hub));
    hold_close(&one);
    hold_close(&hub);
    close(dir);
    fixture_remove(path);
}

/* The child holds, says so, and never ends before its parent. */
static void hold_and_wait(int dir, int say)
{
    struct hold h = {-1};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (hold_take(&h, dir) == 0 && write(say, "", 1) == 1)
        for (;;)
            pause();
    _exit(1);
}

TEST(a_hold_ends_with_its_process)
{
    const char *path = fixture_path();
    int dir = open_dir(path), ends[2];
    struct hold hub = {-1};
    char byte;
    EXPECT_EQ(hold_open(&hub, dir), 0);
    EXPECT_EQ(pipe(ends), 0);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0)
        hold_and_wait(dir, ends[1]);
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    EXPECT(hold_is_taken(&hub));
    EXPECT_EQ(kill(child, SIGKILL), 0);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
    EXPECT(!hold_is_taken(&hub));
    hold_close(&hub);
    close(ends[0]);
    close(ends[1]);
    close(dir);
    fixture_remove(path);
}

TEST(a_directory_that_takes_no_file_gives_the_reason)
{
    struct hold h = {-1};
    EXPECT_EQ(hold_take(&h, -1), EBADF);
    EXPECT_EQ(h.fd, -1);
    EXPECT_EQ(hold_open(&h, -1), EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(the_hub_sees_a_hold_and_that_it_ended),
        RUN(a_hold_ends_with_its_process),
        RUN(a_directory_that_takes_no_file_gives_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
