/* cli.h — the subcommands: one row each in main.c.
 *
 * Exit codes   0 done; 1 refused by the hub or not found; 2 wrong usage; 69 the hub cannot be
 *              reached; 70 the machine or the store failed; 78 the configuration cannot work
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/check.h"

enum {
    EXIT_OK = 0,
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 69,
    EXIT_FAILED = 70,
    EXIT_CONFIG = 78
};

/* `argv` begins after the subcommand's name. */
typedef int cli_command(int argc, char **argv);

cli_command cli_serve, cli_device, cli_module, cli_twin, cli_connection_string, cli_cert, cli_check,
    cli_backup, cli_restore, cli_version;

#endif
