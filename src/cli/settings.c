#include "cli/settings.h"

#include "base/text.h"
#include "cli/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum kind { TEXT, LIST, NUMBER, FLAG, DURATION, SIZE };

/* clang-format off */
#define AT(field) offsetof(struct settings, field)
static const struct setting {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *initial; /* NULL: none */
    uint64_t max;        /* of a number */
    const char *value, *help;
} settings[] = {
    {"data",        TEXT,   AT(data),          NULL,        0,          "DIR",     "where everything is kept (default /var/lib/twinhub, or below the home)"},
    {"host",        LIST,   AT(hosts),         NULL,        0,          "NAME",    "a name clients use: in the certificate, accepted in tokens; repeatable"},
    {"bind",        TEXT,   AT(bind),          "0.0.0.0",   0,          "ADDR",    "the address to listen on"},
    {"mqtts",       NUMBER, AT(mqtts),         "8883",      65535,      "PORT",    "MQTT over TLS; 0: off"},
    {"https",       NUMBER, AT(https),         "443",       65535,      "PORT",    "REST and MQTT over WebSocket, over TLS; 0: off"},
    {"mqtt",        NUMBER, AT(mqtt),          "0",         65535,      "PORT",    "MQTT without TLS; 0: off"},
    {"http",        NUMBER, AT(http),          "0",         65535,      "PORT",    "REST without TLS; 0: off"},
    {"shards",      NUMBER, AT(shards),        "0",         256,        "N",       "threads; 0: one a core"},
    {"partitions",  NUMBER, AT(partitions),    "0",         1024,       "N",       "of a new data directory, then fixed; 0: 32"},
    {"durability",  TEXT,   AT(durability),    "sync",      0,          "sync|async", "async: replies leave before the disk has the change (a sync every 100 ms)"},
    {"hot-memory",  SIZE,   AT(hot_memory),    "1G",        0,          "SIZE",    "memory for changes that only the journal has yet"},
    {"journal-tail", SIZE,  AT(journal_tail),  "128M",      0,          "SIZE",    "how much journal a start may have to replay"},
    {"history",     DURATION, AT(history_ms),  "7d",        0,          "DURATION", "how long changes are kept: 30m, 12h, 7d; 0: off"},
    {"history-size", SIZE,  AT(history_size),  "0",         0,          "SIZE",    "how much disk they may take: 512M, 10G; 0: no bound"},
    {"owner-key",   TEXT,   AT(owner_key),     NULL,        0,          "BASE64",  "fixes the key of the policy iothubowner, for tests and CI"},
    {"device-ca",   LIST,   AT(device_cas),    NULL,        0,          "FILE",    "PEM file of a CA that signs device certificates; repeatable"},
    {"limits",      TEXT,   AT(limits),        "azure",     0,          "azure|relaxed", "of twins; relaxed: sixteen times as large, depth 32"},
    {"token-grace", NUMBER, AT(token_grace_s), "600",       1000000000, "SECONDS", "how long a connection outlives its token"},
    {"log-level",   TEXT,   AT(log_level),     "info",      0,          "LEVEL",   "error, warn, info or debug"},
    {"log-json",    FLAG,   AT(log_json),      NULL,        0,          "",        "log lines as JSON"},
    {"config",      TEXT,   AT(config),        NULL,        0,          "FILE",    "lines of `name = value`; a # begins a comment"},
};
/* clang-format on */

static void *field(struct settings *s, const struct setting *row)
{
    return (uint8_t *)s + row->offset;
}

static char *copy(struct span text)
{
    char *c = strndup(text.data ? (const char *)text.data : "", text.len);
    if (!c)
        check_no_memory();
    return c;
}

static bool set_number(struct settings *s, const struct setting *row, struct span value,
                       struct buf *why)
{
    uint64_t number;
    if (!text_u64(value, &number) || number > row->max) {
        buf_printf(why, "--%s takes a number from 0 to %llu, not \"%.*s\"", row->name,
                   (unsigned long long)row->max, SPAN_ARG(value));
        return false;
    }
    *(uint64_t *)field(s, row) = number;
    return true;
}

static bool set_duration(struct settings *s, const struct setting *row, struct span value,
                         struct buf *why)
{
    if (units_duration(value, field(s, row)))
        return true;
    buf_printf(why, "--%s takes a duration such as 30m, 12h or 7d (0: off), not \"%.*s\"",
               row->name, SPAN_ARG(value));
    return false;
}

static bool set_size(struct settings *s, const struct setting *row, struct span value,
                     struct buf *why)
{
    if (units_size(value, field(s, row)))
        return true;
    buf_printf(why, "--%s takes a size in bytes, such as 512M or 10G, not \"%.*s\"", row->name,
               SPAN_ARG(value));
    return false;
}

static bool set(struct settings *s, const struct setting *row, struct span value, struct buf *why)
{
    struct setting_list *list;
    switch (row->kind) {
    case TEXT:
        free(*(char **)field(s, row));
        *(char **)field(s, row) = copy(value);
        return true;
    case NUMBER:
        return set_number(s, row, value, why);
    case DURATION:
        return set_duration(s, row, value, why);
    case SIZE:
        return set_size(s, row, value, why);
    case FLAG:
        *(bool *)field(s, row) =
            !span_eq_nocase(value, SPAN("false")) && !span_eq(value, SPAN("0"));
        return true;
    case LIST:
        list = field(s, row);
        if (list->count == SETTING_LIST_MAX) {
            buf_printf(why, "--%s may stand at most %d times", row->name, SETTING_LIST_MAX);
            return false;
        }
        list->at[list->count++] = copy(value);
        return true;
    }
    return false;
}

static const struct setting *find(struct span name)
{
    for (size_t i = 0; i < COUNT(settings); i++)
        if (span_eq(name, span_text(settings[i].name)))
            return &settings[i];
    return NULL;
}

/* ---- the three places ---- */

/* Where a setting came from: a flag is never overridden by the environment or the file. */
struct given {
    bool by[COUNT(settings)];
};

static bool read_flags(struct settings *s, struct given *given, int argc, char *const *argv,
                       struct buf *why)
{
    for (int i = 0; i < argc; i++) {
        struct span arg = span_text(argv[i]);
        if (!span_starts(arg, SPAN("--"))) {
            buf_printf(why, "\"%s\" is no setting; see twinhub serve --help", argv[i]);
            return false;
        }
        size_t equals = span_index(arg, '=');
        const struct setting *row = find(span_skip(span_first(arg, equals), 2));
        if (!row) {
            buf_printf(why, "%.*s is no setting; see twinhub serve --help",
                       SPAN_ARG(span_first(arg, equals)));
            return false;
        }
        struct span value = SPAN("true");
        if (equals < arg.len)
            value = span_skip(arg, equals + 1);
        else if (row->kind != FLAG && i + 1 < argc)
            value = span_text(argv[++i]);
        else if (row->kind != FLAG) {
            buf_printf(why, "--%s needs a value: --%s %s", row->name, row->name, row->value);
            return false;
        }
        given->by[row - settings] = true;
        if (!set(s, row, value, why))
            return false;
    }
    return true;
}

/* The value of TWINHUB_TOKEN_GRACE for token-grace; NULL data when it is not set. */
static struct span find_variable(const char *setting, char *const *env)
{
    char name[64];
    int n = snprintf(name, sizeof(name), "TWINHUB_%s=", setting);
    for (char *c = name; *c; c++) {
        if (*c == '-')
            *c = '_';
        else if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    }
    for (char *const *e = env; *e; e++)
        if (strncmp(*e, name, (size_t)n) == 0)
            return span_text(*e + n);
    return (struct span){0};
}

/* Lists are separated by commas. */
static bool read_environment(struct settings *s, struct given *given, char *const *env,
                             struct buf *why)
{
    for (size_t r = 0; r < COUNT(settings); r++) {
        struct span rest = find_variable(settings[r].name, env);
        if (!rest.data || given->by[r])
            continue;
        given->by[r] = true;
        while (rest.len) {
            size_t comma = settings[r].kind == LIST ? span_index(rest, ',') : rest.len;
            if (!set(s, &settings[r], span_first(rest, comma), why))
                return false;
            rest = span_skip(rest, comma < rest.len ? comma + 1 : comma);
        }
    }
    return true;
}

static struct span trim(struct span s)
{
    SPAN_SOUND(s);
    while (s.len && strchr(" \t\r\n", s.data[0]))
        s = span_skip(s, 1);
    while (s.len && strchr(" \t\r\n", s.data[s.len - 1]))
        s.len--;
    return s;
}

static bool read_line(struct settings *s, const struct given *given, struct span line, int number,
                      struct buf *why)
{
    line = trim(span_first(line, span_index(line, '#')));
    if (!line.len)
        return true;
    size_t equals = span_index(line, '=');
    const struct setting *row = find(trim(span_first(line, equals)));
    if (!row || equals == line.len) {
        buf_printf(why, "%s, line %d: not a line of `name = value`", s->config, number);
        return false;
    }
    return given->by[row - settings] || set(s, row, trim(span_skip(line, equals + 1)), why);
}

static bool read_file(struct settings *s, const struct given *given, struct buf *why)
{
    if (!s->config)
        return true;
    FILE *f = fopen(s->config, "re");
    if (!f) {
        buf_printf(why, "--config %s: %s", s->config, strerror(errno));
        return false;
    }
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    for (int number = 1; ok; number++) {
        ssize_t n = getline(&line, &room, f);
        if (n < 0)
            break;
        ok = read_line(s, given, span_of(line, (size_t)n), number, why);
    }
    free(line);
    fclose(f);
    return ok;
}

static bool choose(const char *name, const char *value, const char *off, const char *on, bool *out,
                   struct buf *why)
{
    *out = strcmp(value, on) == 0;
    if (*out || strcmp(value, off) == 0)
        return true;
    buf_printf(why, "--%s is %s or %s, not \"%s\"", name, off, on, value);
    return false;
}

static bool at_least_a_mebibyte(const char *name, uint64_t size, struct buf *why)
{
    if (size >= 1 << 20)
        return true;
    buf_printf(why, "--%s is 1M at least", name);
    return false;
}

static bool interpret(struct settings *s, struct buf *why)
{
    if (!choose("durability", s->durability, "sync", "async", &s->async, why) ||
        !choose("limits", s->limits, "azure", "relaxed", &s->relaxed, why) ||
        !at_least_a_mebibyte("hot-memory", s->hot_memory, why) ||
        !at_least_a_mebibyte("journal-tail", s->journal_tail, why))
        return false;
    if (!log_level_parse(span_text(s->log_level), &s->level)) {
        buf_printf(why, "--log-level is error, warn, info or debug, not \"%s\"", s->log_level);
        return false;
    }
    return true;
}

void settings_default_data(struct buf *b)
{
    const char *data_home = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (geteuid() == 0)
        buf_text(b, "/var/lib/twinhub");
    else if (data_home && *data_home)
        buf_printf(b, "%s/twinhub", data_home);
    else
        buf_printf(b, "%s/.local/share/twinhub", home ? home : ".");
}

bool settings_read(struct settings *out, int argc, char *const *argv, char *const *env,
                   struct buf *why)
{
    *out = (struct settings){0};
    struct given given = {0};
    for (size_t i = 0; i < COUNT(settings); i++)
        if (settings[i].initial && !set(out, &settings[i], span_text(settings[i].initial), why))
            return false;
    if (!read_flags(out, &given, argc, argv, why) || !read_environment(out, &given, env, why) ||
        !read_file(out, &given, why))
        return false;
    if (!out->data) {
        struct buf data = {0};
        settings_default_data(&data);
        out->data = copy(buf_span(&data));
        buf_fini(&data);
    }
    return interpret(out, why);
}

void settings_fini(struct settings *s)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct setting_list *list = field(s, &settings[i]);
        if (settings[i].kind == TEXT)
            free(*(char **)field(s, &settings[i]));
        for (unsigned n = 0; settings[i].kind == LIST && n < list->count; n++)
            free(list->at[n]);
    }
    *s = (struct settings){0};
}

void settings_put_help(struct buf *b)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        const struct setting *row = &settings[i];
        char flag[48];
        snprintf(flag, sizeof(flag), "--%s %s", row->name, row->value);
        buf_printf(b, "  %-28s %s", flag, row->help);
        if (row->initial && row->kind != FLAG)
            buf_printf(b, " [%s]", row->initial);
        buf_byte(b, '\n');
    }
}
