/* args.h — what a client command was asked: its arguments and options, and their help.
 *
 * A command is a row (commands.c); an option is a row (args.c). Parsing, usage lines, --help and
 * the manual page are all made from these rows.
 *
 *   twinhub device create d1 --edge --data ./hub      options anywhere, `--name value` or
 *   twinhub twin patch -- -d1 '{"tags":{}}'           `--name=value`; nothing after -- is one
 *
 * Memory   args borrow from argv
 * Threads  one
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "base/buf.h"

enum option {
    OPTION_HELP,
    OPTION_JSON,
    OPTION_DATA,
    OPTION_CONNECTION,
    OPTION_CA,
    OPTION_EDGE,
    OPTION_DISABLED,
    OPTION_THUMBPRINT,
    OPTION_CA_SIGNED,
    OPTION_KEY,
    OPTION_REASON,
    OPTION_TOP,
    OPTION_DESIRED,
    OPTION_TAGS,
    OPTION_ETAG,
    OPTION_CHANGES,
    OPTION_DEVICE,
    OPTION_MODULE,
    OPTION_POLICY,
    OPTION_PATH,
    OPTION_RECOVER_TO,
    OPTION_FORCE,
    OPTION_WITHOUT_KEY,
    OPTION_KEYS,
    OPTION_COUNT
};

#define TAKES(option) (1u << OPTION_##option)
/* What finds the hub: in every row that needs one. */
#define TAKES_HUB (TAKES(DATA) | TAKES(CONNECTION) | TAKES(CA))

enum { ARGS_MAX = 3 };

struct args;
/* Does it all, messages too; comes back with the exit code. */
typedef int command_run(const struct args *args);

struct command_row {
    const char *group, *verb; /* "device", "create"; verb NULL: the group is the whole command */
    const char *arguments;    /* "DEVICE [MODULE]": those in brackets may be missing */
    unsigned options;         /* TAKES(); every command takes --help and --json */
    command_run *run;
    const char *help;    /* one line */
    const char *more;    /* paragraphs, or NULL */
    const char *example; /* after "twinhub GROUP VERB " */
};

struct args {
    const struct command_row *row;
    const char *option[OPTION_COUNT]; /* NULL: not given; "" for one that takes no value */
    const char *at[ARGS_MAX];         /* in order; NULL after the last */
    unsigned count;
};

/* Read what follows the command's name. False, with a sentence in `why`, when an option is unknown
 * to the command, lacks its value, has one it does not take or stands twice, or when there are too
 * few or too many arguments; `out` then holds what was read so far. With --help anything is right.
 */
MUST_USE bool args_parse(const struct command_row *row, int argc, const char *const *argv,
                         struct args *out, struct buf *why);

/* "twinhub device create DEVICE [--edge] ...", without the options all commands take. */
void args_put_usage(struct buf *b, const struct command_row *row);
void args_put_help(struct buf *b, const struct command_row *row);
/* The same as a section of docs/cli.md. */
void args_put_markdown(struct buf *b, const struct command_row *row);

#endif
