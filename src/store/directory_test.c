#include "store/store_fixture.h"

#include <errno.h>

#include "store/directory.h"

static uint64_t seed = 11;
static struct buf why;

static enum status open_at(struct directory *d, const char *path, uint32_t partitions)
{
    buf_clear(&why);
    enum status st = directory_open(d, path, partitions, fixture_random(&seed), &why);
    EXPECT_EQ(why.len > 0, st != OK);
    buf_byte(&why, 0);
    return st;
}

static bool why_says(const char *part)
{
    return strstr((const char *)why.data, part) != NULL;
}

/* A whole directory, closed again. */
static struct directory make(const char *path)
{
    struct directory d;
    EXPECT_EQ(open_at(&d, path, 0), OK);
    EXPECT(d.fresh);
    buf_clear(&why);
    EXPECT_EQ(directory_finish(&d, &why), OK);
    EXPECT(!d.fresh);
    struct directory copy = d;
    directory_close(&d);
    return copy;
}

static const char *in(const char *path, const char *name)
{
    static char full[128];
    snprintf(full, sizeof(full), "%s/%s", path, name);
    return full;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    EXPECT_EQ(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void overwrite(const char *path, size_t at, struct span bytes)
{
    int fd = open(path, O_WRONLY);
    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, bytes.data, bytes.len, (off_t)at), bytes.len);
    close(fd);
}

TEST(a_missing_directory_is_made_for_its_owner_alone)
{
    const char *path = fixture_path();
    struct directory first = make(path), again;
    EXPECT_EQ(mode_of(path), 0700);
    EXPECT_EQ(mode_of(in(path, "master.key")), 0600);
    EXPECT_EQ(mode_of(in(path, "twinhub.hdr")), 0600);
    EXPECT_EQ(first.header.partitions, DIRECTORY_PARTITIONS);
    EXPECT_EQ(open_at(&again, path, 0), OK);
    EXPECT(!again.fresh);
    EXPECT(memcmp(&again.header, &first.header, sizeof(first.header)) == 0);
    EXPECT(memcmp(again.master_key, first.master_key, SEAL_KEY) == 0);
    EXPECT_EQ(directory_finish(&again, &why), OK);
    directory_close(&again);
    directory_close(&again); /* harmless */
    fixture_remove(path);
}

TEST(a_second_hub_is_told_which_directory_is_in_use)
{
    const char *path = fixture_path();
    struct directory first, second;
    EXPECT_EQ(open_at(&first, path, 0), OK);
    EXPECT_EQ(open_at(&second, path, 0), UNAVAILABLE);
    EXPECT(why_says(path));
    EXPECT(why_says("in use by another hub"));
    directory_close(&first);
    EXPECT_EQ(open_at(&second, path, 0), OK);
    directory_close(&second);
    fixture_remove(path);
}

TEST(what_was_left_without_a_header_is_begun_again)
{
    const char *path = fixture_path();
    struct directory d;
    EXPECT_EQ(open_at(&d, path, 4), OK);
    EXPECT_EQ(close(open(in(path, "twinhub.hdr.new"), O_CREAT | O_WRONLY, 0666)), 0);
    directory_close(&d);
    EXPECT_EQ(open_at(&d, path, 8), OK);
    EXPECT(d.fresh);
    EXPECT_EQ(d.header.partitions, 8);
    buf_clear(&why);
    EXPECT_EQ(directory_finish(&d, &why), OK);
    EXPECT_EQ(mode_of(in(path, "twinhub.hdr")), 0600);
    directory_close(&d);
    fixture_remove(path);
}

TEST(the_number_of_partitions_is_fixed_when_it_is_made)
{
    const char *path = fixture_path();
    struct directory d;
    EXPECT_EQ(open_at(&d, path, 1025), BAD_ARGUMENT);
    make(path);
    EXPECT_EQ(open_at(&d, path, 16), BAD_ARGUMENT);
    EXPECT(why_says("has 32 partitions"));
    EXPECT_EQ(open_at(&d, path, 32), OK);
    directory_close(&d);
    fixture_remove(path);
}

TEST(a_master_key_that_others_may_read_is_refused)
{
    const char *path = fixture_path();
    struct directory d;
    make(path);
    for (unsigned bit = 1; bit <= 040; bit <<= 1) {
        EXPECT_EQ(chmod(in(path, "master.key"), 0600 | bit), 0);
        EXPECT_EQ(open_at(&d, path, 0), BAD_ARGUMENT);
        EXPECT(why_says("chmod 600"));
    }
    EXPECT_EQ(chmod(in(path, "master.key"), 0400), 0);
    EXPECT_EQ(open_at(&d, path, 0), OK);
    directory_close(&d);
    fixture_remove(path);
}

TEST(a_wrong_short_or_missing_master_key_is_named)
{
    const char *path = fixture_path();
    struct directory d;
    make(path);
    overwrite(in(path, "master.key"), 0, SPAN("another key"));
    EXPECT_EQ(open_at(&d, path, 0), DAMAGED);
    EXPECT(why_says("is not the key of this data directory"));
    EXPECT_EQ(truncate(in(path, "master.key"), 31), 0);
    EXPECT_EQ(open_at(&d, path, 0), DAMAGED);
    EXPECT(why_says("is not 32 bytes long"));
    EXPECT_EQ(truncate(in(path, "master.key"), 33), 0);
    EXPECT_EQ(open_at(&d, path, 0), DAMAGED);
    EXPECT_EQ(unlink(in(path, "master.key")), 0);
    EXPECT_EQ(open_at(&d, path, 0), DAMAGED);
    EXPECT(why_says("master.key is missing"));
    fixture_remove(path);
}

TEST(a_damaged_header_is_named_and_left_alone)
{
    const char *path = fixture_path();
    struct directory d;
    make(path);
    overwrite(in(path, "twinhub.hdr"), 30, SPAN("?"));
    EXPECT_EQ(open_at(&d, path, 0), DAMAGED);
    EXPECT(why_says("twinhub.hdr is damaged"));
    EXPECT_EQ(truncate(in(path, "twinhub.hdr"), 0), 0);
    EXPECT_EQ(open_at(&d, path, 0), DAMAGED);
    EXPECT(why_says("is not the header"));
    fixture_remove(path);
}

/* The header's features, written anew. */
static void set_features(const char *path, uint64_t features)
{
    struct directory d;
    buf_clear(&why);
    EXPECT_EQ(directory_attach(&d, path, &why), OK);
    EXPECT_EQ(directory_read_header(&d, &why), OK);
    d.header.features = features;
    EXPECT_EQ(directory_write_header(&d, &why), OK);
    directory_close(&d);
}

TEST(a_directory_of_before_the_journal_is_marked_once_it_is_used)
{
    const char *path = fixture_path();
    struct directory d = make(path);
    EXPECT_EQ(d.header.features, HEADER_JOURNAL);
    set_features(path, 0);
    EXPECT_EQ(open_at(&d, path, 0), OK);
    EXPECT_EQ(d.header.features, 0);
    directory_close(&d); /* not finished: nothing has changed */
    EXPECT_EQ(open_at(&d, path, 0), OK);
    EXPECT_EQ(d.header.features, 0);
    buf_clear(&why);
    EXPECT_EQ(directory_finish(&d, &why), OK);
    directory_close(&d);
    EXPECT_EQ(open_at(&d, path, 0), OK);
    EXPECT_EQ(d.header.features, HEADER_JOURNAL);
    directory_close(&d);
    fixture_remove(path);
}

TEST(what_is_no_whole_data_directory_is_refused_with_the_command_that_makes_one)
{
    static const struct {
        uint64_t feature;
        const char *says;
    } cases[] = {
        {HEADER_BACKUP,     "make a data directory of it with twinhub restore"},
        {HEADER_RESTORING,  "run twinhub restore again"                       },
        {HEADER_RECOVERING, "run twinhub restore --recover-to again"          },
    };
    const char *path = fixture_path();
    struct directory d = make(path);
    for (size_t i = 0; i < COUNT(cases); i++) {
        set_features(path, HEADER_JOURNAL | cases[i].feature);
        EXPECT_EQ_IN(cases[i].says, open_at(&d, path, 0), BAD_ARGUMENT);
        EXPECT(why_says(cases[i].says));
    }
    fixture_remove(path);
}

TEST(a_tool_attaches_to_what_is_there_and_makes_nothing)
{
    const char *path = fixture_path();
    struct directory d, hub;
    buf_clear(&why);
    EXPECT_EQ(directory_attach(&d, path, &why), UNAVAILABLE);
    EXPECT(access(path, F_OK) != 0);
    make(path);
    EXPECT_EQ(open_at(&hub, path, 0), OK);
    buf_clear(&why);
    EXPECT_EQ(directory_attach(&d, path, &why), OK);
    EXPECT_EQ(directory_lock(&d, &why), UNAVAILABLE); /* in use */
    EXPECT_EQ(directory_read_header(&d, &why), OK);
    EXPECT_EQ(directory_read_key(&d, &why), OK);
    EXPECT_EQ(d.header.epoch, 1);
    directory_close(&d);
    directory_close(&hub);
    EXPECT_EQ(unlink(in(path, "master.key")), 0);
    EXPECT_EQ(unlink(in(path, "twinhub.hdr")), 0);
    buf_clear(&why);
    EXPECT_EQ(directory_attach(&d, path, &why), OK);
    EXPECT_EQ(directory_lock(&d, &why), OK);
    EXPECT_EQ(directory_read_header(&d, &why), NOT_FOUND);
    EXPECT_EQ(directory_read_key(&d, &why), NOT_FOUND);
    EXPECT_EQ(why.len, 0);
    directory_close(&d);
    fixture_remove(path);
}

TEST(what_the_file_system_refuses_is_passed_on)
{
    struct directory d;
    EXPECT_EQ(open_at(&d, "/proc/twinhub/data", 0), UNAVAILABLE);
    EXPECT(why_says("/proc/twinhub/data"));
    EXPECT_EQ(open_at(&d, "/dev/null", 0), UNAVAILABLE);
    buf_clear(&why);
    d.path = strdup("/x");
    EXPECT_EQ(directory_refuse(&d, "write", "y", ENOSPC, &why), STORAGE_FULL);
    EXPECT_SPAN(buf_span(&why), SPAN("cannot write /x/y: No space left on device"));
    free(d.path);
    buf_fini(&why);
}

TEST_MAIN(RUN(a_missing_directory_is_made_for_its_owner_alone),
          RUN(a_second_hub_is_told_which_directory_is_in_use),
          RUN(what_was_left_without_a_header_is_begun_again),
          RUN(the_number_of_partitions_is_fixed_when_it_is_made),
          RUN(a_master_key_that_others_may_read_is_refused),
          RUN(a_wrong_short_or_missing_master_key_is_named),
          RUN(a_damaged_header_is_named_and_left_alone),
          RUN(a_directory_of_before_the_journal_is_marked_once_it_is_used),
          RUN(what_is_no_whole_data_directory_is_refused_with_the_command_that_makes_one),
          RUN(a_tool_attaches_to_what_is_there_and_makes_nothing),
          RUN(what_the_file_system_refuses_is_passed_on))
