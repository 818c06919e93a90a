/* store_command.h — what the commands on data directories share: check, backup, restore.
 *
 * Memory   reports and texts are the caller's (buf_fini)
 * Threads  one
 */
#ifndef CLI_STORE_COMMAND_H
#define CLI_STORE_COMMAND_H

#include "cli/args.h"
#include "store/backup.h"
#include "store/check.h"

/* The certificates and their keys. */
enum { STORE_COMMAND_FILES = 7 };
extern const struct backup_file store_command_files[STORE_COMMAND_FILES];

/* --data, TWINHUB_DATA, or the default; with a NUL after it. */
struct buf store_command_data(const struct args *a);

/* From here on, a base that cannot be read as it lies (a file that was cut short, for one) ends the
 * process with a sentence and EXIT_FAILED. */
void store_command_guard(void);

/* A status of the store's with its sentence, said: EXIT_CONFIG when the directory is not for us,
 * EXIT_FAILED when the machine or what is stored has failed. */
int store_command_failed(const struct args *a, enum status st, struct span why);

/* -- what a check finds -- */

struct store_report {
    const struct args *args;
    struct buf text; /* --json: the findings */
    bool any;
};

/* With the product's rules, `path` to be filled in. Findings are printed as they come, or with
 * --json gathered. */
struct check_options store_report_options(struct store_report *report);
/* The result as a JSON object; for a person, a line a part. */
void store_report_json(struct buf *b, const struct check_result *c, const struct store_report *r);
void store_report_text(struct buf *b, const struct check_result *c, const char *path);

#endif
