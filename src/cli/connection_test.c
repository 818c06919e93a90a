#include "cli/connection.h"

#include "base/test.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY  "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
#define REST ";SharedAccessKeyName=iothubowner;SharedAccessKey=" KEY
#define L63  "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"

/* clang-format off */
static const struct {
    const char *name, *text, *why, *host;
    uint16_t port;
    bool loopback;
} cases[] = {
    {"a hub",                   "HostName=hub.example.test" REST, NULL, "hub.example.test", 443, false},
    {"a port",                  "HostName=localhost:18443" REST, NULL, "localhost", 18443, true},
    {"an address",              "HostName=127.0.0.21:8443" REST, NULL, "127.0.0.21", 8443, true},
    {"an IPv6 address",         "HostName=[::1]:8443" REST, NULL, "::1", 8443, true},
    {"the same, usual port",    "HostName=[fe80::1]" REST, NULL, "fe80::1", 443, false},
    {"another order and case",  "sharedaccesskey=" KEY ";hostname=LocalHost;SHAREDACCESSKEYNAME=iothubowner",
                                NULL, "LocalHost", 443, true},
    {"blanks and a line's end", " HostName = localhost ; X=1;;lone" REST "\n", NULL, "localhost", 443, true},
    {"a device's",              "HostName=h;DeviceId=d1;SharedAccessKey=" KEY,
                                .why = "this is the connection string of a device; a service's names SharedAccessKeyName"},
    {"empty",                   "", .why = "no HostName in the connection string"},
    {"no policy",               "HostName=h;SharedAccessKey=" KEY, .why = "no SharedAccessKeyName in the connection string"},
    {"no key",                  "HostName=h;SharedAccessKeyName=p", .why = "no SharedAccessKey in the connection string"},
    {"a short key",             "HostName=h;SharedAccessKeyName=p;SharedAccessKey=AAAA",
                                .why = "SharedAccessKey is not base64 of 16 to 64 bytes"},
    {"a long policy",           "HostName=h;SharedAccessKeyName=" L63 "xx;SharedAccessKey=" KEY,
                                .why = "SharedAccessKeyName is longer than 64 characters"},
    {"a long host",             "HostName=" L63 "." L63 "." L63 "." L63 REST, .why = "HostName is no name with or without a port"},
    {"a path",                  "HostName=h/x" REST, .why = "HostName is no name with or without a port"},
    {"a user",                  "HostName=a@h" REST, .why = "HostName is no name with or without a port"},
    {"port 0",                  "HostName=h:0" REST, .why = "HostName is no name with or without a port"},
    {"port 65536",              "HostName=h:65536" REST, .why = "HostName is no name with or without a port"},
    {"no port",                 "HostName=h:" REST, .why = "HostName is no name with or without a port"},
    {"a bracket alone",         "HostName=[" REST, .why = "HostName is no name with or without a port"},
    {"text after a bracket",    "HostName=[::1]8443" REST, .why = "HostName is no name with or without a port"},
};
/* clang-format on */

TEST(a_service_connection_string_is_read)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct connection c;
        struct buf why = {0};
        bool ok = connection_parse(test_at_edge(span_text(cases[i].text)), &c, &why);
        EXPECT_SPAN_IN(cases[i].name, buf_span(&why), span_text(cases[i].why));
        EXPECT_EQ_IN(cases[i].name, ok, cases[i].why == NULL);
        buf_fini(&why);
        if (ok) {
            EXPECT_SPAN_IN(cases[i].name, span_text(c.host), span_text(cases[i].host));
            EXPECT_EQ_IN(cases[i].name, c.port, cases[i].port);
            EXPECT_SPAN_IN(cases[i].name, span_text(c.policy), SPAN("iothubowner"));
            EXPECT_SPAN_IN(cases[i].name, key_span(&c.key),
                           SPAN("01234567890123456789012345678901"));
            EXPECT_EQ_IN(cases[i].name, connection_is_loopback(&c), cases[i].loopback);
        }
        connection_fini(&c);
    }
}

TEST(it_prints_as_it_was_read)
{
    static const char *const texts[] = {"HostName=localhost:18443" REST, "HostName=h.test" REST,
                                        "HostName=[::1]:8443" REST};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct connection c;
        struct buf b = {0};
        EXPECT(connection_parse(span_text(texts[i]), &c, &b));
        connection_put(&b, &c);
        EXPECT_SPAN(buf_span(&b), span_text(texts[i]));
        buf_fini(&b);
        connection_fini(&c);
    }
}

/* ---- finding ---- */

static char directory[] = "/tmp/connection_test.XXXXXX";

static void put_file(const char *text)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/connection-string", directory);
    FILE *f = fopen(path, "we");
    EXPECT(f != NULL);
    fputs(text, f);
    fclose(f);
}

/* clang-format off */
static const struct {
    const char *name;
    const char *data, *connection, *ca;             /* options */
    const char *env_data, *env_connection, *env_ca; /* the environment */
    int code;
    const char *host, *want_ca;
} finds[] = {
    {"a directory",                  directory, .host = "dir", .want_ca = "/ca.pem"},
    {"a directory by environment",   .env_data = directory, .host = "dir", .want_ca = "/ca.pem"},
    {"an option before environment", directory, .env_connection = "HostName=env" REST, .host = "dir", .want_ca = "/ca.pem"},
    {"a text",                       .connection = "HostName=text" REST, .env_data = directory, .host = "text"},
    {"a text before the directory",  .env_connection = "HostName=env" REST, .env_data = directory, .host = "env"},
    {"an empty variable is none",    .env_connection = "", .env_data = directory, .host = "dir", .want_ca = "/ca.pem"},
    {"a CA",                         .connection = "HostName=text" REST, .ca = "c.pem", .host = "text", .want_ca = "c.pem"},
    {"a CA by environment",          .connection = "HostName=text" REST, .env_ca = "e.pem", .host = "text", .want_ca = "e.pem"},
    {"another CA",                   directory, .ca = "c.pem", .env_ca = "e.pem", .host = "dir", .want_ca = "c.pem"},
    {"both",                         directory, "HostName=text" REST, .code = EXIT_USAGE},
    {"no such directory",            "/nowhere", .code = EXIT_UNREACHABLE},
    {"not a directory",              "/dev/null", .code = EXIT_UNREACHABLE},
    {"a wrong text",                 .connection = "HostName", .code = EXIT_USAGE},
};
/* clang-format on */

static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

TEST(the_hub_is_found_by_option_environment_or_directory)
{
    static const struct command_row row = {
        .group = "test", .arguments = "", .help = "", .example = ""};
    put_file("HostName=dir" REST);
    for (size_t i = 0; i < COUNT(finds); i++) {
        struct connection c;
        struct args args = {.row = &row};
        args.option[OPTION_DATA] = finds[i].data;
        args.option[OPTION_CONNECTION] = finds[i].connection;
        args.option[OPTION_CA] = finds[i].ca;
        set("TWINHUB_DATA", finds[i].env_data);
        set("TWINHUB_CONNECTION_STRING", finds[i].env_connection);
        set("TWINHUB_CA", finds[i].env_ca);
        EXPECT_EQ_IN(finds[i].name, connection_find(&args, &c), finds[i].code);
        EXPECT_SPAN_IN(finds[i].name, span_text(c.host), span_text(finds[i].host));
        char ca[64] = "";
        if (finds[i].want_ca)
            snprintf(ca, sizeof(ca), "%s%s", finds[i].want_ca[0] == '/' ? directory : "",
                     finds[i].want_ca);
        EXPECT_SPAN_IN(finds[i].name, span_text(c.ca), span_text(ca));
        connection_fini(&c);
    }
}

TEST(a_damaged_file_in_the_directory_is_named)
{
    static const struct command_row row = {
        .group = "test", .arguments = "", .help = "", .example = ""};
    struct connection c;
    struct args args = {.row = &row};
    args.option[OPTION_DATA] = directory;
    put_file("HostName=dir");
    EXPECT_EQ(connection_find(&args, &c), EXIT_CONFIG);
    connection_fini(&c);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof(path), "%s/connection-string", directory);
    unlink(path);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {RUN(a_service_connection_string_is_read),
                                       RUN(it_prints_as_it_was_read),
                                       RUN(the_hub_is_found_by_option_environment_or_directory),
                                       RUN(a_damaged_file_in_the_directory_is_named)};
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
