#include "cli/commands.h"

#include "base/text.h"
#include "cli/say.h"
#include "cli/store_command.h"
#include "store/backup.h"

const struct backup_file store_command_files[STORE_COMMAND_FILES] = {
    {.name = "ca.pem",         .is_public = true},
    {.name = "ca.key",         .is_secret = true},
    {.name = "ca-rsa.key",     .is_secret = true},
    {.name = "server.pem",     .is_public = true},
    {.name = "server.key",     .is_secret = true},
    {.name = "server-rsa.pem", .is_public = true},
    {.name = "server-rsa.key", .is_secret = true},
};

static void put_json(struct buf *b, const struct backup_result *r, const char *to,
                     const struct store_report *report)
{
    buf_text(b, "{\"backup\":");
    text_put_json_any(b, span_text(to));
    buf_printf(b, ",\"records\":%llu,\"damaged\":%llu,\"bytes\":%llu,\"check\":",
               (unsigned long long)r->records, (unsigned long long)r->damaged,
               (unsigned long long)r->bytes);
    store_report_json(b, &r->check, report);
    buf_text(b, "}\n");
}

static void put_text(struct buf *b, const struct args *a, const struct backup_result *r,
                     const char *to)
{
    store_report_text(b, &r->check, to);
    if (check_findings(&r->check)) {
        buf_text(b,
                 "\nThe backup is made, and holds what is damaged as it is. See twinhub check of "
                 "the data directory.\n");
        return;
    }
    buf_text(b, "The backup is whole.\n");
    if (a->option[OPTION_WITHOUT_KEY])
        buf_text(b,
                 "It is without master.key and the private keys of the certificates: keep those "
                 "elsewhere. A restore needs\nthem (--keys DIR); without them nobody can sign in "
                 "with a key that is in it.\n");
    else
        buf_text(b, "It holds master.key and the private keys of the certificates: keep it as safe "
                    "as the data directory.\n");
}

int backup_command(const struct args *a)
{
    struct store_report report = {.args = a};
    struct buf from = store_command_data(a), why = {0}, out = {0};
    struct backup_result result;
    struct backup_options options = {.from = (const char *)from.data,
                                     .to = a->at[0],
                                     .files = store_command_files,
                                     .file_count = STORE_COMMAND_FILES,
                                     .without_key = a->option[OPTION_WITHOUT_KEY] != NULL,
                                     .check = store_report_options(&report)};
    store_command_guard();
    enum status st = backup_run(&options, &result, &why);
    int code;
    if (st != OK) {
        code = store_command_failed(a, st, buf_span(&why));
    } else {
        if (a->option[OPTION_JSON])
            put_json(&out, &result, a->at[0], &report);
        else
            put_text(&out, a, &result, a->at[0]);
        code = say_out(a, &out);
        if (code == EXIT_OK && check_findings(&result.check))
            code = EXIT_REFUSED;
    }
    buf_fini(&report.text);
    buf_fini(&from);
    buf_fini(&why);
    return code;
}
