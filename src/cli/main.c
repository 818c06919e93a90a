#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static int version(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "--json") == 0)
        puts("{\"version\":\"" TWINHUB_VERSION "\"}");
    else
        puts("twinhub " TWINHUB_VERSION);
    return EXIT_OK;
}

/* clang-format off */
static const struct command {
    const char *name;
    cli_command *run;
    const char *help;
} commands[] = {
    {"serve",             cli_serve,             "run the hub"},
    {"version",           version,               "print the version"},
};
/* clang-format on */

static int help(FILE *to)
{
    fputs("twinhub: a hub for device twins and module twins\n\n", to);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(to, "  twinhub %-18s %s\n", commands[i].name, commands[i].help);
    fputs("\ntwinhub COMMAND --help tells more and shows an example.\n", to);
    return to == stdout ? EXIT_OK : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return help(stdout);
    if (strcmp(argv[1], "--version") == 0)
        return version(0, NULL);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    fprintf(stderr, "twinhub: no command \"%s\"\n\n", argv[1]);
    return help(stderr);
}
