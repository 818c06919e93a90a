#include "cli/commands.h"

#include "cli/cli.h"
#include "cli/say.h"

#include <stdio.h>

#define TAKES_CREDENTIAL (TAKES(KEY) | TAKES(THUMBPRINT) | TAKES(CA_SIGNED))

/* clang-format off */
static const struct command_row rows[] = {
    {"device", "create",  "DEVICE",                 TAKES_HUB | TAKES_CREDENTIAL | TAKES(EDGE) | TAKES(DISABLED), device_create,
     "Register a device and print its connection string.",
     "With one --key the second is made anew. --thumbprint takes colons too, as openssl prints them.",
     "d1 --edge"},
    {"device", "show",    "DEVICE",                 TAKES_HUB,                 device_show,
     "Print a device's identity, its keys too.", NULL, "d1"},
    {"device", "list",    "",                       TAKES_HUB | TAKES(TOP),    device_list,
     "List the devices: id, status, connection, last activity.", NULL, "--top 20"},
    {"device", "delete",  "DEVICE",                 TAKES_HUB,                 device_delete,
     "Delete a device, its twin and its modules.", NULL, "d1"},
    {"device", "disable", "DEVICE",                 TAKES_HUB | TAKES(REASON), device_disable,
     "Disconnect a device and refuse it until it is enabled.", NULL, "d1 --reason 'stolen in Oslo'"},
    {"device", "enable",  "DEVICE",                 TAKES_HUB | TAKES(REASON), device_enable,
     "Let a disabled device connect again.", NULL, "d1"},

    {"module", "create",  "DEVICE MODULE",          TAKES_HUB | TAKES_CREDENTIAL, module_create,
     "Register a module of a device and print its connection string.", NULL, "d1 camera"},
    {"module", "show",    "DEVICE MODULE",          TAKES_HUB,                 module_show,
     "Print a module's identity, its keys too.", NULL, "d1 camera"},
    {"module", "list",    "DEVICE",                 TAKES_HUB,                 module_list,
     "List the modules of a device.", NULL, "d1"},
    {"module", "delete",  "DEVICE MODULE",          TAKES_HUB,                 module_delete,
     "Delete a module and its twin.", NULL, "d1 camera"},

    {"twin",   "show",    "DEVICE [MODULE]",        TAKES_HUB,                 twin_show,
     "Print a twin.", NULL, "d1"},
    {"twin",   "patch",   "DEVICE [MODULE] [JSON]", TAKES_HUB | TAKES(DESIRED) | TAKES(TAGS) | TAKES(ETAG), twin_patch,
     "Merge into tags and desired properties; null removes a key.",
     "JSON is {\"tags\":{...},\"properties\":{\"desired\":{...}}}, either part or both, as it stands, or -\n"
     "for standard input, or @FILE. --desired and --tags take the parts alone.",
     "d1 --desired '{\"rate\":30,\"old\":null}'"},
    {"twin",   "replace", "DEVICE [MODULE] [JSON]", TAKES_HUB | TAKES(ETAG),   twin_replace,
     "Replace tags and desired properties; a part left out becomes empty.",
     "JSON stands as it is, or - for standard input, or @FILE. What twin show printed will do.",
     "d1 @twin.json"},
    {"twin",   "watch",   "DEVICE [MODULE]",        TAKES_HUB | TAKES(CHANGES), twin_watch,
     "Print each change of a twin, one a line, until interrupted.",
     "It looks twice a second: of several changes of one value in between, the last is seen.",
     "d1 --count 1"},

    {"connection-string", NULL, "",                 TAKES_HUB | TAKES(DEVICE) | TAKES(MODULE) | TAKES(POLICY), connection_command,
     "Print the service connection string, or that of a device or module.", NULL, "--device d1"},
    {"cert",    NULL,     "",                       TAKES_HUB | TAKES(PATH),   cert_command,
     "Print the CA certificate that devices are to trust.", NULL, "> ca.pem"},
    {"check",   NULL,     "",                       TAKES(DATA),               check_command,
     "Read a data directory or a backup whole, and say what is damaged.",
     "Nothing is changed. The hub must not run. What is damaged is listed by device and module, and by\n"
     "position in the journal. Exit code 0: all is well; 1: something is damaged.",
     "--data /var/lib/twinhub"},
    {"backup",  NULL,     "OUT",                    TAKES(DATA) | TAKES(WITHOUT_KEY), backup_command,
     "Copy a data directory, as it is at one moment, while the hub runs.",
     "OUT must not exist, or be an empty directory. What was acknowledged before the backup began is in\n"
     "it. It is checked at the end; twinhub restore makes a data directory of it. --without-key leaves\n"
     "out master.key and every private key: the backup then gives no key away, and a restore needs\n"
     "them from where you keep them.",
     "/backup/hub-monday --data /var/lib/twinhub"},
    {"restore", NULL,     "[BACKUP]",               TAKES(DATA) | TAKES(RECOVER_TO) | TAKES(FORCE) | TAKES(KEYS), restore_command,
     "Make a data directory of a backup, or recover one whose journal is damaged.",
     "The directory must be missing or empty, unless --force moves it aside. --recover-to takes the\n"
     "journal to end before a position, as check names it: without a BACKUP, of the data directory\n"
     "itself, which keeps what is cut off in DIR/journal.cut-TIME. Either way every $version and etag\n"
     "moves on, by a million at least, so that devices that have seen later ones read their twins again.",
     "/backup/hub-monday --data /var/lib/twinhub --force"},
    {"version", NULL,     "",                       0,                         version_command,
     "Print the version.", NULL, "--json"},
};
/* clang-format on */

static bool is_group(const struct command_row *row, const char *group)
{
    return strcmp(row->group, group) == 0;
}

static int help_group(FILE *to, const char *group)
{
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(rows); i++)
        if (is_group(&rows[i], group))
            buf_printf(&b, "  twinhub %s %-8s %-24s %s\n", group, rows[i].verb, rows[i].arguments,
                       rows[i].help);
    buf_printf(&b, "\ntwinhub %s COMMAND --help tells more and shows an example.\n", group);
    fwrite(b.data, 1, b.len, to);
    buf_fini(&b);
    return to == stdout ? EXIT_OK : EXIT_USAGE;
}

static int run(const struct command_row *row, int argc, char *const *argv)
{
    struct args args;
    struct buf text = {0};
    int code;
    if (!args_parse(row, argc, (const char *const *)argv, &args, &text)) {
        code = say_usage(&args, "%.*s", SPAN_ARG(buf_span(&text)));
    } else if (args.option[OPTION_HELP]) {
        buf_clear(&text);
        args_put_help(&text, row);
        code = say_out(&args, &text);
    } else {
        code = row->run(&args);
    }
    buf_fini(&text);
    return code;
}

/* `argv` begins after the group's name. */
static int run_group(const char *group, int argc, char *const *argv)
{
    const char *verb = argc > 0 ? argv[0] : NULL;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!is_group(&rows[i], group))
            continue;
        if (!rows[i].verb)
            return run(&rows[i], argc, argv);
        if (verb && strcmp(verb, rows[i].verb) == 0)
            return run(&rows[i], argc - 1, argv + 1);
    }
    if (verb && strcmp(verb, "--help") == 0)
        return help_group(stdout, group);
    if (verb)
        fprintf(stderr, "twinhub %s: no command \"%s\"\n\n", group, verb);
    return help_group(stderr, group);
}

void commands_put_markdown(struct buf *b)
{
    buf_text(
        b,
        "# The client commands\n\n"
        "Made by `twinhub help --markdown`; `--help` of each command prints the same.\n\n"
        "They find the hub by `--connection-string`, `TWINHUB_CONNECTION_STRING` or its data\n"
        "directory (`--data`, `TWINHUB_DATA`, else the one `twinhub serve` takes by default).\n"
        "With a connection string, `--ca` or `TWINHUB_CA` names the CA to trust, unless the\n"
        "system knows it. Every command takes `--json`, `--help`, and these three options; check,\n"
        "backup and restore work on directories and take `--data` alone.\n\n"
        "| exit code | means |\n| --- | --- |\n"
        "| 0 | done |\n"
        "| 1 | refused by the hub, or not found |\n"
        "| 2 | wrong usage |\n"
        "| 69 | the hub cannot be reached |\n"
        "| 70 | the machine or the store failed |\n"
        "| 78 | the configuration cannot work |\n");
    for (size_t i = 0; i < COUNT(rows); i++)
        args_put_markdown(b, &rows[i]);
}

int cli_device(int argc, char **argv)
{
    return run_group("device", argc, argv);
}

int cli_module(int argc, char **argv)
{
    return run_group("module", argc, argv);
}

int cli_twin(int argc, char **argv)
{
    return run_group("twin", argc, argv);
}

int cli_connection_string(int argc, char **argv)
{
    return run_group("connection-string", argc, argv);
}

int cli_cert(int argc, char **argv)
{
    return run_group("cert", argc, argv);
}

int cli_check(int argc, char **argv)
{
    return run_group("check", argc, argv);
}

int cli_backup(int argc, char **argv)
{
    return run_group("backup", argc, argv);
}

int cli_restore(int argc, char **argv)
{
    return run_group("restore", argc, argv);
}

int cli_version(int argc, char **argv)
{
    return run_group("version", argc, argv);
}
