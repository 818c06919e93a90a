#include "cli/commands.h"

#include "base/text.h"
#include "cli/say.h"
#include "cli/settings.h"
#include "cli/store_command.h"
#include "store/header.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct buf store_command_data(const struct args *a)
{
    struct buf b = {0};
    const char *data = a->option[OPTION_DATA];
    if (!data || !*data)
        data = getenv("TWINHUB_DATA");
    if (data && *data)
        buf_text(&b, data);
    else
        settings_default_data(&b);
    buf_byte(&b, 0);
    return b;
}

static void on_unreadable(int signum)
{
    static const char line[] = "twinhub: the base cannot be read; see twinhub check\n";
    (void)signum;
    (void)!write(STDERR_FILENO, line, sizeof(line) - 1);
    _exit(EXIT_FAILED);
}

void store_command_guard(void)
{
    signal(SIGBUS, on_unreadable);
    signal(SIGSEGV, on_unreadable);
}

int store_command_failed(const struct args *a, enum status st, struct span why)
{
    bool ours = st == BAD_ARGUMENT || st == UNAVAILABLE;
    return say_failure(
        a, &(struct failure){.exit_code = ours ? EXIT_CONFIG : EXIT_FAILED, .message = why});
}

/* -- findings -- */

static void put_json(struct store_report *r, const struct check_finding *f)
{
    struct buf *b = &r->text;
    buf_text(b, r->any ? ",\n  {\"part\":" : "\n  {\"part\":");
    text_put_json(b, span_text(check_part_name(f->part)));
    if (f->is_record) {
        buf_printf(b, ",\"partition\":%u,\"device\":", f->key.partition);
        text_put_json_any(b, f->key.device);
        buf_text(b, ",\"module\":");
        text_put_json_any(b, f->key.module);
    }
    if (f->position)
        buf_printf(b, ",\"position\":%llu", (unsigned long long)f->position);
    buf_text(b, ",\"text\":");
    text_put_json_any(b, f->text);
    buf_byte(b, '}');
}

static void put_name(struct buf *b, const struct store_key *key)
{
    if (key->device.len == 0) {
        buf_text(b, "the hub's ");
        say_put_visible(b, key->module);
        return;
    }
    buf_text(b, "device ");
    say_put_visible(b, key->device);
    if (key->module.len) {
        buf_text(b, " module ");
        say_put_visible(b, key->module);
    }
    buf_printf(b, " (partition %u)", key->partition);
}

/* Printed as it is found: the list may be long, and its end late. */
static void on_finding(void *owner, const struct check_finding *f)
{
    struct store_report *r = owner;
    if (r->args->option[OPTION_JSON]) {
        put_json(r, f);
        r->any = true;
        return;
    }
    struct buf b = {0};
    buf_printf(&b, "damage  %s: ", check_part_name(f->part));
    if (f->is_record) {
        put_name(&b, &f->key);
        buf_text(&b, ": ");
    }
    say_put_visible(&b, f->text);
    buf_byte(&b, '\n');
    (void)say_out(r->args, &b);
}

/* -- the end -- */

void store_report_json(struct buf *b, const struct check_result *c, const struct store_report *r)
{
    buf_text(b, "{\"hubId\":\"");
    text_put_hex(b, span_of(c->hub_id, sizeof(c->hub_id)));
    buf_printf(b, "\",\"epoch\":%llu,\"partitions\":%u,\"backup\":%s,\"keysOpened\":%s,",
               (unsigned long long)c->epoch, c->partitions,
               c->features & HEADER_BACKUP ? "true" : "false",
               c->keys_looked_at ? "true" : "false");
    buf_printf(b, "\"devices\":%llu,\"disabled\":%llu,\"modules\":%llu,\"hubRecords\":%llu,",
               (unsigned long long)c->devices, (unsigned long long)c->disabled,
               (unsigned long long)c->modules, (unsigned long long)c->hub_records);
    buf_printf(b, "\"journal\":{\"from\":%llu,\"end\":%llu,\"blocks\":%llu,\"changes\":%llu",
               (unsigned long long)c->from, (unsigned long long)c->end,
               (unsigned long long)c->blocks, (unsigned long long)c->changes);
    if (c->newest_ms) {
        buf_text(b, ",\"newest\":\"");
        text_put_time(b, c->newest_ms);
        buf_byte(b, '"');
    }
    buf_text(b, "},\"complete\":{");
    for (int i = 0; i < CHECK_PARTS; i++)
        buf_printf(b, "%s\"%s\":%s", i ? "," : "", check_part_name((enum check_part)i),
                   c->looked_at[i] ? "true" : "false");
    buf_printf(b, "},\"ok\":%s,\"findings\":[", check_findings(c) ? "false" : "true");
    buf_put(b, buf_span(&r->text));
    buf_text(b, r->any ? "\n]}" : "]}");
}

static void put_part(struct buf *b, const struct check_result *c, enum check_part part)
{
    buf_printf(b, "  %-11s ", check_part_name(part));
    if (c->findings[part])
        buf_printf(b, "%llu finding%s%s", (unsigned long long)c->findings[part],
                   c->findings[part] == 1 ? "" : "s",
                   c->looked_at[part] ? "" : "; not read to its end");
    else
        buf_text(b, c->looked_at[part] ? "well" : "not looked at");
}

void store_report_text(struct buf *b, const struct check_result *c, const char *path)
{
    buf_text(b, path);
    if (c->partitions) {
        buf_printf(b, ": %shub ", c->features & HEADER_BACKUP ? "a backup of " : "");
        text_put_hex(b, span_of(c->hub_id, sizeof(c->hub_id)));
        buf_printf(b, ", epoch %llu, %u partitions", (unsigned long long)c->epoch, c->partitions);
    }
    buf_byte(b, '\n');
    for (int i = 0; i < CHECK_PARTS; i++) {
        put_part(b, c, (enum check_part)i);
        if (i == CHECK_KEY && !c->keys_looked_at && !c->findings[i])
            buf_text(b, ": there is none, so no key was opened");
        if (i == CHECK_BASE && c->looked_at[i])
            buf_printf(b, ": %llu devices (%llu disabled), %llu modules, %llu of the hub's own",
                       (unsigned long long)c->devices, (unsigned long long)c->disabled,
                       (unsigned long long)c->modules, (unsigned long long)c->hub_records);
        if (i == CHECK_JOURNAL && c->looked_at[i])
            buf_printf(b, ": %llu changes in %llu blocks, positions %llu to %llu",
                       (unsigned long long)c->changes, (unsigned long long)c->blocks,
                       (unsigned long long)c->from, (unsigned long long)c->end);
        if (i == CHECK_HISTORY && c->history_files)
            buf_printf(b, ": %llu changes in %llu files", (unsigned long long)c->history_changes,
                       (unsigned long long)c->history_files);
        if (i == CHECK_JOURNAL && c->newest_ms) {
            buf_text(b, ", the newest of ");
            text_put_time(b, c->newest_ms);
        }
        buf_byte(b, '\n');
    }
}

/* What to do, by what is damaged. */
static void put_advice(struct buf *b, const struct check_result *c, const char *path)
{
    if (!check_findings(c)) {
        buf_text(b, "All is well.\n");
        return;
    }
    if (c->features & HEADER_BACKUP) {
        buf_text(b, "\nThis backup is damaged: keep it, and use an older one.\n");
        return;
    }
    buf_text(b, "\nNext: copy the directory away as it is, then\n");
    if (c->recover_to) {
        buf_printf(b, "  twinhub restore --recover-to %llu --data ",
                   (unsigned long long)c->recover_to);
        say_put_word(b, path);
        buf_text(b, "\n    keeps what the journal holds before the damage\n");
    }
    buf_text(b, "  twinhub restore BACKUP --force --data ");
    say_put_word(b, path);
    buf_text(b, "\n    goes back to a backup\n");
    if (check_findings(c) == c->findings[CHECK_BASE] && c->looked_at[CHECK_BASE])
        buf_text(b, "The hub can run meanwhile: what is named answers 500, the rest is served.\n");
}

struct check_options store_report_options(struct store_report *report)
{
    return (struct check_options){
        .replay = &hub_replay, .rules = &hub_kept, .fn = on_finding, .owner = report};
}

int check_command(const struct args *a)
{
    struct store_report report = {.args = a};
    struct buf path = store_command_data(a), why = {0}, out = {0};
    struct check_result result;
    struct check_options options = store_report_options(&report);
    options.path = (const char *)path.data;
    enum status st = check_run(&options, &result, &why);
    int code;
    if (st != OK) {
        code = store_command_failed(a, st, buf_span(&why));
    } else {
        if (a->option[OPTION_JSON]) {
            store_report_json(&out, &result, &report);
            buf_byte(&out, '\n');
        } else {
            store_report_text(&out, &result, options.path);
            put_advice(&out, &result, options.path);
        }
        code = say_out(a, &out);
        if (code == EXIT_OK && check_findings(&result))
            code = EXIT_REFUSED;
    }
    buf_fini(&report.text);
    buf_fini(&path);
    buf_fini(&why);
    return code;
}
