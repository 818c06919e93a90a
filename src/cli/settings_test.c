#include "cli/settings.h"

#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

static char *no_env[] = {NULL};

/* Settings from one flag (NULL: none) and an environment. */
static bool read_it(struct settings *s, char *const *env, const char *flag, struct buf *why)
{
    char text[96];
    char *argv[] = {text};
    snprintf(text, sizeof(text), "%s", flag ? flag : "");
    return settings_read(s, flag ? 1 : 0, argv, env, why);
}

TEST(history_is_kept_for_seven_days_unless_told_otherwise)
{
    struct settings s;
    struct buf why = {0};
    EXPECT(read_it(&s, no_env, NULL, &why));
    EXPECT_EQ(s.history_ms, 7LL * 24 * 3600 * 1000);
    EXPECT_EQ(s.history_size, 0);
    settings_fini(&s);
    EXPECT(read_it(&s, no_env, "--history=0", &why));
    EXPECT_EQ(s.history_ms, 0);
    settings_fini(&s);
    EXPECT(read_it(&s, no_env, "--history-size=10G", &why));
    EXPECT_EQ(s.history_size, 10ULL << 30);
    settings_fini(&s);
    buf_fini(&why);
}

TEST(the_stores_bounds_are_sizes_of_a_mebibyte_at_least)
{
    struct settings s;
    struct buf why = {0};
    EXPECT(read_it(&s, no_env, NULL, &why));
    EXPECT_EQ(s.hot_memory, 1ULL << 30);
    EXPECT_EQ(s.journal_tail, 128ULL << 20);
    settings_fini(&s);
    EXPECT(read_it(&s, no_env, "--journal-tail=1M", &why));
    settings_fini(&s);
    EXPECT(!read_it(&s, no_env, "--journal-tail=1023K", &why));
    EXPECT_SPAN(buf_span(&why), SPAN("--journal-tail is 1M at least"));
    settings_fini(&s);
    EXPECT(!read_it(&s, no_env, "--hot-memory=0", &why));
    settings_fini(&s);
    buf_fini(&why);
}

TEST(a_flag_goes_before_the_environment_and_that_before_the_file)
{
    struct settings s;
    struct buf why = {0};
    char file[] = "/tmp/twinhub-settings-XXXXXX", config[64], variable[] = "TWINHUB_HISTORY=2h";
    char *env[] = {config, variable, NULL}, *only_file[] = {config, NULL};
    FILE *f = fdopen(mkstemp(file), "w");
    EXPECT(f != NULL);
    fputs("history = 1h # an hour\nhistory-size = 1K\n", f);
    fclose(f);
    snprintf(config, sizeof(config), "TWINHUB_CONFIG=%s", file);
    EXPECT(read_it(&s, only_file, NULL, &why));
    EXPECT_EQ(s.history_ms, 3600000);
    EXPECT_EQ(s.history_size, 1024);
    settings_fini(&s);
    EXPECT(read_it(&s, env, NULL, &why));
    EXPECT_EQ(s.history_ms, 2 * 3600000);
    settings_fini(&s);
    EXPECT(read_it(&s, env, "--history=3h", &why));
    EXPECT_EQ(s.history_ms, 3 * 3600000);
    settings_fini(&s);
    remove(file);
    buf_fini(&why);
}

TEST(what_is_no_duration_or_size_is_refused_in_a_sentence)
{
    static const struct {
        const char *flag, *why;
    } rows[] = {
        {"--history=7",         "--history takes a duration such as 30m, 12h or 7d (0: off), not \"7\""},
        {"--history-size=10GB",
         "--history-size takes a size in bytes, such as 512M or 10G, not \"10GB\""                     },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct settings s;
        struct buf why = {0};
        EXPECT(!read_it(&s, no_env, rows[i].flag, &why));
        EXPECT_SPAN(buf_span(&why), span_text(rows[i].why));
        settings_fini(&s);
        buf_fini(&why);
    }
}

TEST_MAIN(RUN(the_stores_bounds_are_sizes_of_a_mebibyte_at_least),
          RUN(history_is_kept_for_seven_days_unless_told_otherwise),
          RUN(a_flag_goes_before_the_environment_and_that_before_the_file),
          RUN(what_is_no_duration_or_size_is_refused_in_a_sentence))
