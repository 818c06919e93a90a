#include "cli/args.h"

#include "base/test.h"

static const struct command_row row = {
    .group = "twin",
    .verb = "patch",
    .arguments = "DEVICE [MODULE] [JSON]",
    .options = TAKES_HUB | TAKES(DESIRED) | TAKES(EDGE),
    .help = "Merge.",
    .more = "More of it.",
    .example = "d1 '{}'",
};

enum { WORDS_MAX = 8 };

/* clang-format off */
static const struct {
    const char *name;
    const char *argv[WORDS_MAX];
    const char *why; /* NULL: it is right */
    const char *at[ARGS_MAX];
    const char *desired;
    bool edge, json, help;
} cases[] = {
    {"one argument",              {"d1"},                        .at = {"d1"}},
    {"all arguments",             {"d1", "m1", "{}"},            .at = {"d1", "m1", "{}"}},
    {"an option apart",           {"--desired", "{}", "d1"},     .at = {"d1"}, .desired = "{}"},
    {"an option in one word",     {"d1", "--desired=a=b"},       .at = {"d1"}, .desired = "a=b"},
    {"a value with a dash",       {"d1", "--desired", "-"},      .at = {"d1"}, .desired = "-"},
    {"an empty value",            {"d1", "--desired="},          .at = {"d1"}, .desired = ""},
    {"options without a value",   {"--edge", "d1", "--json"},    .at = {"d1"}, .edge = true, .json = true},
    {"a dash is an argument",     {"d1", "-"},                   .at = {"d1", "-"}},
    {"no options after --",       {"--", "-d1", "--edge"},       .at = {"-d1", "--edge"}},
    {"help alone",                {"--help"},                    .help = true},
    {"help before what is wrong", {"--help", "--wrong"},         .help = true},
    {"no argument",               {NULL},                        .why = "DEVICE is missing"},
    {"too many",                  {"1", "2", "3", "4"},          .why = "\"4\" is one argument too many"},
    {"unknown",                   {"d1", "--wrong=1"},           .why = "no option --wrong here"},
    {"of another command",        {"d1", "--top", "5"},          .why = "no option --top here"},
    {"no value",                  {"d1", "--desired"},           .why = "--desired needs a value: --desired JSON|-|@FILE"},
    {"a value too much",          {"d1", "--edge=yes"},          .why = "--edge takes no value"},
    {"twice",                     {"d1", "--edge", "--edge"},    .why = "--edge stands twice"},
    {"one dash",                  {"-d1"},                       .why = "no option -d1; what begins with a dash stands after --"},
};
/* clang-format on */

TEST(arguments_and_options_stand_in_any_order)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct args args;
        struct buf why = {0};
        int argc = 0;
        while (cases[i].argv[argc])
            argc++;
        bool ok = args_parse(&row, argc, cases[i].argv, &args, &why);
        EXPECT_SPAN_IN(cases[i].name, buf_span(&why), span_text(cases[i].why));
        EXPECT_EQ_IN(cases[i].name, ok, cases[i].why == NULL);
        buf_fini(&why);
        if (!ok)
            continue;
        for (size_t n = 0; n < ARGS_MAX; n++)
            EXPECT_SPAN_IN(cases[i].name, span_text(args.at[n]), span_text(cases[i].at[n]));
        EXPECT_SPAN_IN(cases[i].name, span_text(args.option[OPTION_DESIRED]),
                       span_text(cases[i].desired));
        EXPECT_EQ_IN(cases[i].name, args.option[OPTION_DESIRED] != NULL, cases[i].desired != NULL);
        EXPECT_EQ_IN(cases[i].name, args.option[OPTION_EDGE] != NULL, cases[i].edge);
        EXPECT_EQ_IN(cases[i].name, args.option[OPTION_JSON] != NULL, cases[i].json);
        EXPECT_EQ_IN(cases[i].name, args.option[OPTION_HELP] != NULL, cases[i].help);
    }
}

TEST(the_second_missing_argument_is_named_too)
{
    struct command_row two = row;
    struct args args;
    struct buf why = {0};
    const char *argv[] = {"d1"};
    two.arguments = "DEVICE MODULE";
    EXPECT(!args_parse(&two, 1, argv, &args, &why));
    EXPECT_SPAN(buf_span(&why), SPAN("MODULE is missing"));
    EXPECT_EQ(args.count, 1);
    buf_fini(&why);
}

TEST(help_shows_usage_options_and_an_example)
{
    struct buf b = {0};
    args_put_help(&b, &row);
    EXPECT_SPAN(
        buf_span(&b),
        SPAN("twinhub twin patch DEVICE [MODULE] [JSON] [--edge] [--desired JSON|-|@FILE]\n"
             "\n"
             "Merge.\n"
             "\n"
             "More of it.\n"
             "\n"
             "  --edge                    an IoT Edge device\n"
             "  --desired JSON|-|@FILE    the desired properties alone\n"
             "  --help                    this text\n"
             "  --json                    print JSON; errors too\n"
             "  --data DIR                the hub's data directory, if it is on this machine "
             "[TWINHUB_DATA]\n"
             "  --connection-string TEXT  a service connection string instead "
             "[TWINHUB_CONNECTION_STRING]\n"
             "  --ca FILE                 PEM file of the CA that signed the hub's certificate "
             "[TWINHUB_CA]\n"
             "\n"
             "Example:\n"
             "  twinhub twin patch d1 '{}'\n"));
    buf_fini(&b);
}

TEST(the_manual_has_a_section_for_a_command)
{
    struct buf b = {0};
    struct command_row one = {.group = "version", .arguments = "", .help = "Print.", .example = ""};
    args_put_markdown(&b, &one);
    EXPECT_SPAN(buf_span(&b), SPAN("\n### twinhub version\n\n    twinhub version\n\nPrint.\n\n"
                                   "Example: `twinhub version`\n"));
    buf_clear(&b);
    args_put_markdown(&b, &row);
    EXPECT_SPAN(
        buf_span(&b),
        SPAN("\n### twinhub twin patch\n\n    twinhub twin patch DEVICE [MODULE] [JSON] [--edge] "
             "[--desired JSON|-|@FILE]\n\nMerge.\n\nMore of it.\n\n* `--edge`: an IoT Edge device\n"
             "* `--desired JSON|-|@FILE`: the desired properties alone\n\n"
             "Example: `twinhub twin patch d1 '{}'`\n"));
    buf_fini(&b);
}

TEST_MAIN(RUN(arguments_and_options_stand_in_any_order),
          RUN(the_second_missing_argument_is_named_too),
          RUN(help_shows_usage_options_and_an_example), RUN(the_manual_has_a_section_for_a_command))
