#include "cli/commands.h"

#include "base/text.h"
#include "cli/say.h"
#include "cli/store_command.h"
#include "net/system.h"
#include "store/restore.h"

static void put_json(struct buf *b, const struct restore_result *r, const char *to,
                     const struct store_report *report)
{
    buf_text(b, "{\"restored\":");
    text_put_json_any(b, span_text(to));
    buf_printf(b, ",\"epoch\":%llu,\"finished\":%s,\"damaged\":%llu,\"changes\":%llu,\"end\":%llu",
               (unsigned long long)r->epoch, r->finished ? "true" : "false",
               (unsigned long long)r->state.damaged, (unsigned long long)r->state.changes,
               (unsigned long long)r->state.end);
    if (r->state.newest_ms) {
        buf_text(b, ",\"newest\":\"");
        text_put_time(b, r->state.newest_ms);
        buf_byte(b, '"');
    }
    if (!r->finished)
        buf_printf(b, ",\"raised\":%lld", (long long)r->raised);
    if (r->kept.len) {
        buf_text(b, ",\"kept\":");
        text_put_json_any(b, span_text((const char *)r->kept.data));
    }
    buf_text(b, ",\"check\":");
    store_report_json(b, &r->check, report);
    buf_text(b, "}\n");
}

static void put_text(struct buf *b, const struct restore_result *r, const char *to)
{
    if (r->finished)
        buf_text(b, "A recovery that was begun here earlier is finished; its position holds, not "
                    "the one given now.\n");
    store_report_text(b, &r->check, to);
    if (!r->finished) {
        buf_printf(b, "Of the journal, %llu changes up to position %llu are in",
                   (unsigned long long)r->state.changes, (unsigned long long)r->state.end);
        if (r->state.newest_ms) {
            buf_text(b, ", the newest of ");
            text_put_time(b, r->state.newest_ms);
        }
        buf_text(b, ".\n");
    }
    if (r->state.damaged)
        buf_printf(b, "%llu records are damaged and stay so: the hub answers 500 for them.\n",
                   (unsigned long long)r->state.damaged);
    buf_printf(b, "This is epoch %llu: every $version and etag has moved on",
               (unsigned long long)r->epoch);
    if (!r->finished)
        buf_printf(b, " by %lld", (long long)r->raised);
    buf_text(b, ", so that devices and services\nthat saw later ones read their twins again.\n");
    if (r->kept.len)
        buf_printf(b, "What was there before is kept in %s\n", (const char *)r->kept.data);
}

static int restore(const struct args *a, struct restore_options *options,
                   struct store_report *report)
{
    struct restore_result result;
    struct buf why = {0}, out = {0};
    enum status st =
        options->from ? restore_run(options, &result, &why) : recover_run(options, &result, &why);
    int code;
    if (st != OK) {
        code = store_command_failed(a, st, buf_span(&why));
    } else {
        if (a->option[OPTION_JSON])
            put_json(&out, &result, options->to, report);
        else
            put_text(&out, &result, options->to);
        code = say_out(a, &out);
        if (code == EXIT_OK && check_findings(&result.check))
            code = EXIT_REFUSED;
        if (code == EXIT_OK)
            say_next(a, "start the hub", (const char *const[]){"serve", NULL});
    }
    buf_fini(&result.kept);
    buf_fini(&why);
    return code;
}

int restore_command(const struct args *a)
{
    uint64_t stop = 0;
    const char *position = a->option[OPTION_RECOVER_TO];
    if (position && (!text_u64(span_text(position), &stop) || stop == 0))
        return say_usage(a, "--recover-to takes a position of the journal, not \"%s\"", position);
    if (!a->at[0] && !position)
        return say_usage(a, "name a backup, or a position with --recover-to");
    if (!a->at[0] && (a->option[OPTION_FORCE] || a->option[OPTION_KEYS]))
        return say_usage(a, "--force and --keys are for a backup");
    struct store_report report = {.args = a};
    struct buf to = store_command_data(a);
    struct restore_options options = {.from = a->at[0],
                                      .to = (const char *)to.data,
                                      .stop = stop,
                                      .aside = a->option[OPTION_FORCE] != NULL,
                                      .keys = a->option[OPTION_KEYS],
                                      .files = store_command_files,
                                      .file_count = STORE_COMMAND_FILES,
                                      .random = system_random(),
                                      .now_ms = system_now().wall_ms,
                                      .check = store_report_options(&report)};
    store_command_guard();
    int code = restore(a, &options, &report);
    buf_fini(&report.text);
    buf_fini(&to);
    return code;
}
