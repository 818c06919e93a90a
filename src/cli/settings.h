/* settings.h — every setting of `twinhub serve`: a flag, an environment variable and a line of the
 * configuration file, all of the same name.
 *
 *   --token-grace 60     TWINHUB_TOKEN_GRACE=60     token-grace = 60
 *
 * A flag goes before the environment, which goes before the file. One table (settings.c) holds
 * them all; `twinhub serve --help` prints it.
 *
 * Memory   texts are the settings' own until settings_fini
 * Threads  one, at start
 * Errors   false, with a sentence for a person in `why`
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "base/buf.h"
#include "base/log.h"

enum { SETTING_LIST_MAX = 16 };

struct setting_list {
    unsigned count;
    char *at[SETTING_LIST_MAX];
};

struct settings {
    char *data, *bind, *owner_key, *limits, *durability, *log_level, *config;
    struct setting_list hosts, device_cas;
    uint64_t mqtts, https, mqtt, http; /* ports; the plain ones are 0: off */
    uint64_t shards, partitions;       /* 0: as many as cores; as the data directory has */
    uint64_t token_grace_s;
    uint64_t hot_memory, journal_tail; /* bytes */
    int64_t history_ms;                /* 0: none is kept */
    uint64_t history_size;             /* bytes; 0: no bound */
    bool log_json;
    /* Parsed from the texts: */
    enum log_level level;
    bool async, relaxed;
};

/* `env` is the process environment. */
MUST_USE bool settings_read(struct settings *out, int argc, char *const *argv, char *const *env,
                            struct buf *why);
void settings_fini(struct settings *s);
void settings_put_help(struct buf *b);
/* The data directory when none is named: below /var/lib for root, else below the home. */
void settings_default_data(struct buf *b);

#endif
