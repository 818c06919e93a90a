/* commands.h — the client commands' table, and what each row runs.
 *
 * Threads  one
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/args.h"

/* docs/cli.md. */
void commands_put_markdown(struct buf *b);

command_run device_create, device_show, device_list, device_delete, device_disable, device_enable;
command_run module_create, module_show, module_list, module_delete;
command_run twin_show, twin_patch, twin_replace, twin_watch;
command_run connection_command, cert_command, version_command;
command_run check_command, backup_command, restore_command;

#endif
