#include "cli/cli.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct command {
    const char *name;
    cli_command *run;
    const char *help;
} commands[] = {
    {"serve",             cli_serve,             "run the hub"},
    {"device",            cli_device,            "create, show, list, delete, disable and enable devices"},
    {"module",            cli_module,            "create, show, list and delete modules of devices"},
    {"twin",              cli_twin,              "show, patch, replace and watch twins"},
    {"connection-string", cli_connection_string, "print how services, devices and modules connect"},
    {"cert",              cli_cert,              "print the CA certificate that devices are to trust"},
    {"check",             cli_check,             "say whether a data directory or a backup is sound"},
    {"backup",            cli_backup,            "copy a data directory while the hub runs"},
    {"restore",           cli_restore,           "make a data directory of a backup, or recover one"},
    {"version",           cli_version,           "print the version"},
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

/* How docs/cli.md is made. */
static int markdown(void)
{
    struct buf b = {0};
    commands_put_markdown(&b);
    fwrite(b.data, 1, b.len, stdout);
    buf_fini(&b);
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return argc > 2 && strcmp(argv[2], "--markdown") == 0 ? markdown() : help(stdout);
    if (strcmp(argv[1], "--version") == 0)
        return cli_version(0, NULL);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    fprintf(stderr, "twinhub: no command \"%s\"\n\n", argv[1]);
    return help(stderr);
}
