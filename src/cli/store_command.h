/* store_command.h — what the commands on data directories share.
 *
 * Threads  one
 */
#ifndef CLI_STORE_COMMAND_H
#define CLI_STORE_COMMAND_H

#include "cli/args.h"
#include "store/check.h"

/* --data, TWINHUB_DATA, or the default; with a NUL after it. The caller frees. */
struct buf store_command_data(const struct args *a);

/* A status of the store's with its sentence, said: EXIT_CONFIG when the directory is not for us,
 * EXIT_FAILED when the machine failed. */
int store_command_failed(const struct args *a, enum status st, struct span why);

/* Check and report. `lead` is put before each line of the report that is for a person. EXIT_OK,
 * EXIT_REFUSED: there is damage; else what store_command_failed gives. */
int store_command_check(const struct args *a, const char *path);

#endif
