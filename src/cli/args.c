#include "cli/args.h"

/* clang-format off */
static const struct option_row {
    const char *name, *value, *help; /* value "": takes none */
} rows[OPTION_COUNT] = {
    [OPTION_HELP]       = {"help",              "",             "this text"},
    [OPTION_JSON]       = {"json",              "",             "print JSON; errors too"},
    [OPTION_DATA]       = {"data",              "DIR",          "the hub's data directory, if it is on this machine [TWINHUB_DATA]"},
    [OPTION_CONNECTION] = {"connection-string", "TEXT",         "a service connection string instead [TWINHUB_CONNECTION_STRING]"},
    [OPTION_CA]         = {"ca",                "FILE",         "PEM file of the CA that signed the hub's certificate [TWINHUB_CA]"},
    [OPTION_EDGE]       = {"edge",              "",             "an IoT Edge device"},
    [OPTION_DISABLED]   = {"disabled",          "",             "it may not connect until it is enabled"},
    [OPTION_THUMBPRINT] = {"thumbprint",        "HEX[,HEX]",    "it signs in with a certificate of this SHA-1 or SHA-256"},
    [OPTION_CA_SIGNED]  = {"ca-signed",         "",             "it signs in with a certificate of a CA given to serve --device-ca"},
    [OPTION_KEY]        = {"key",               "KEY[,KEY]",    "its keys, base64 of 16 to 64 bytes [two new ones]"},
    [OPTION_REASON]     = {"reason",            "TEXT",         "why, up to 128 characters"},
    [OPTION_TOP]        = {"top",               "N",            "at most so many, 1 to 1000 [1000]"},
    [OPTION_DESIRED]    = {"desired",           "JSON|-|@FILE", "the desired properties alone"},
    [OPTION_TAGS]       = {"tags",              "JSON|-|@FILE", "the tags alone"},
    [OPTION_ETAG]       = {"etag",              "ETAG",         "only if the twin's etag is still this one"},
    [OPTION_CHANGES]    = {"count",             "N",            "stop after N changes"},
    [OPTION_DEVICE]     = {"device",            "DEVICE",       "of this device"},
    [OPTION_MODULE]     = {"module",            "MODULE",       "of this module of the device"},
    [OPTION_POLICY]     = {"policy",            "NAME",         "of this access policy: iothubowner, whose key is the one at hand"},
    [OPTION_PATH]       = {"path",              "",             "where it is instead of what is in it"},
    [OPTION_RECOVER_TO] = {"recover-to",        "POSITION",     "let the journal end before this position, as check names it"},
    [OPTION_FORCE]      = {"force",             "",             "move a data directory that is there aside, to DIR.before-TIME"},
    [OPTION_WITHOUT_KEY]= {"without-key",       "",             "leave out master.key and all private keys"},
    [OPTION_KEYS]       = {"keys",              "DIR",          "where the keys are that the backup is without"},
};
/* clang-format on */

static bool takes(const struct command_row *row, size_t option)
{
    return (row->options | TAKES(HELP) | TAKES(JSON)) >> option & 1;
}

/* ---- reading ---- */

static void count_arguments(const struct command_row *row, unsigned *min, unsigned *max)
{
    *min = *max = 0;
    for (const char *at = row->arguments; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        *max += 1;
        *min += *at != '[';
    }
    CHECK(*max <= ARGS_MAX);
}

/* The option `word` names, OPTION_COUNT if the command has none of this name. */
static size_t find(const struct command_row *row, struct span word)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (takes(row, i) && span_eq(word, span_text(rows[i].name)))
            return i;
    return OPTION_COUNT;
}

/* argv[*at] begins with two dashes. */
static bool read_option(struct args *out, int argc, const char *const *argv, int *at,
                        struct buf *why)
{
    struct span word = span_skip(span_text(argv[*at]), 2);
    size_t equals = span_index(word, '=');
    bool inside = equals < word.len;
    size_t option = find(out->row, span_first(word, equals));
    if (option == OPTION_COUNT) {
        buf_printf(why, "no option --%.*s here", SPAN_ARG(span_first(word, equals)));
        return false;
    }
    const struct option_row *row = &rows[option];
    const char *value = "";
    if (out->option[option]) {
        buf_printf(why, "--%s stands twice", row->name);
        return false;
    }
    if (!*row->value && inside) {
        buf_printf(why, "--%s takes no value", row->name);
        return false;
    }
    if (*row->value) {
        if (!inside && *at + 1 == argc) {
            buf_printf(why, "--%s needs a value: --%s %s", row->name, row->name, row->value);
            return false;
        }
        value = inside ? argv[*at] + 2 + equals + 1 : argv[++*at];
    }
    out->option[option] = value;
    return true;
}

bool args_parse(const struct command_row *row, int argc, const char *const *argv, struct args *out,
                struct buf *why)
{
    unsigned min, max;
    bool options_end = false;
    count_arguments(row, &min, &max);
    *out = (struct args){.row = row};
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (options_end || word[0] != '-' || !word[1]) {
            if (out->count == max) {
                buf_printf(why, "\"%s\" is one argument too many", word);
                return false;
            }
            out->at[out->count++] = word;
        } else if (word[1] != '-') {
            buf_printf(why, "no option %s; what begins with a dash stands after --", word);
            return false;
        } else if (!word[2]) {
            options_end = true;
        } else if (!read_option(out, argc, argv, &i, why)) {
            return false;
        }
        if (out->option[OPTION_HELP])
            return true;
    }
    if (out->count < min) {
        const char *at = row->arguments;
        for (unsigned i = 0; i < out->count; i++)
            at += strcspn(at, " ") + 1;
        buf_printf(why, "%.*s is missing", (int)strcspn(at, " "), at);
        return false;
    }
    return true;
}

/* ---- telling ---- */

static void put_name(struct buf *b, const struct command_row *row)
{
    buf_printf(b, "twinhub %s", row->group);
    if (row->verb)
        buf_printf(b, " %s", row->verb);
}

static void put_option(struct buf *b, size_t option)
{
    buf_printf(b, "--%s", rows[option].name);
    if (*rows[option].value)
        buf_printf(b, " %s", rows[option].value);
}

void args_put_usage(struct buf *b, const struct command_row *row)
{
    put_name(b, row);
    if (*row->arguments)
        buf_printf(b, " %s", row->arguments);
    for (size_t i = OPTION_EDGE; i < OPTION_COUNT; i++) {
        if (!takes(row, i))
            continue;
        buf_text(b, " [");
        put_option(b, i);
        buf_byte(b, ']');
    }
}

/* The command's own options, then those that all commands take. */
static size_t order(size_t i)
{
    return (i + OPTION_EDGE) % OPTION_COUNT;
}

void args_put_help(struct buf *b, const struct command_row *row)
{
    args_put_usage(b, row);
    buf_printf(b, "\n\n%s\n", row->help);
    if (row->more)
        buf_printf(b, "\n%s\n", row->more);
    buf_byte(b, '\n');
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        size_t option = order(i), from = b->len;
        if (!takes(row, option))
            continue;
        buf_text(b, "  ");
        put_option(b, option);
        do
            buf_byte(b, ' ');
        while (b->len - from < 28);
        buf_printf(b, "%s\n", rows[option].help);
    }
    buf_text(b, "\nExample:\n  ");
    put_name(b, row);
    buf_printf(b, "%s%s\n", *row->example ? " " : "", row->example);
}

void args_put_markdown(struct buf *b, const struct command_row *row)
{
    buf_text(b, "\n### ");
    put_name(b, row);
    buf_text(b, "\n\n    ");
    args_put_usage(b, row);
    buf_printf(b, "\n\n%s\n", row->help);
    if (row->more)
        buf_printf(b, "\n%s\n", row->more);
    for (size_t i = OPTION_EDGE, first = 1; i < OPTION_COUNT; i++) {
        if (!takes(row, i))
            continue;
        buf_text(b, first ? "\n" : "");
        first = 0;
        buf_text(b, "* `");
        put_option(b, i);
        buf_printf(b, "`: %s\n", rows[i].help);
    }
    buf_text(b, "\nExample: `");
    put_name(b, row);
    buf_printf(b, "%s%s`\n", *row->example ? " " : "", row->example);
}
