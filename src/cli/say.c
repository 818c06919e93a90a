#include "cli/say.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void put_who(struct buf *b, const struct command_row *row)
{
    buf_printf(b, "twinhub %s%s%s: ", row->group, row->verb ? " " : "", row->verb ? row->verb : "");
}

static void put_member(struct buf *b, const char *name, struct span text)
{
    if (!text.len)
        return;
    if (b->data[b->len - 1] != '{')
        buf_byte(b, ',');
    buf_printf(b, "\"%s\":", name);
    text_put_json_any(b, text);
}

/* C0, DEL and C1 controls; marks and overrides of direction. `c` is one whole UTF-8 sequence. */
static bool is_hidden(struct span c)
{
    const uint8_t *at = c.data;
    switch (c.len) {
    case 1:
        return at[0] < 0x20 || at[0] == 0x7f;
    case 2:
        return (at[0] == 0xc2 && at[1] < 0xa0) || (at[0] == 0xd8 && at[1] == 0x9c);
    case 3:
        return at[0] == 0xe2 && ((at[1] == 0x80 && (at[2] == 0x8e || at[2] == 0x8f)) ||
                                 (at[1] == 0x80 && at[2] >= 0xaa && at[2] <= 0xae) ||
                                 (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
    default:
        return false;
    }
}

void say_put_visible(struct buf *b, struct span text)
{
    while (text.len) {
        size_t len = text_utf8_len(text);
        struct span c = span_first(text, len ? len : 1);
        if (len && !is_hidden(c))
            buf_put(b, c);
        else
            buf_byte(b, len ? ' ' : '?');
        text = span_skip(text, c.len);
    }
}

static void to_stderr(struct buf *b)
{
    fwrite(b->data, 1, b->len, stderr);
    buf_fini(b);
}

int say_failure(const struct args *a, const struct failure *f)
{
    struct buf b = {0};
    if (a->option[OPTION_JSON]) {
        buf_text(&b, "{\"error\":{");
        put_member(&b, "code", f->code);
        if (f->status)
            buf_printf(&b, "%s\"status\":%ld", f->code.len ? "," : "", f->status);
        put_member(&b, "message", f->message);
        put_member(&b, "hint", f->hint);
        buf_text(&b, "}}\n");
    } else {
        put_who(&b, a->row);
        say_put_visible(&b, f->code);
        buf_text(&b, f->code.len ? ": " : "");
        say_put_visible(&b, f->message);
        buf_byte(&b, '\n');
        if (f->hint.len)
            buf_printf(&b, "  %.*s\n", SPAN_ARG(f->hint));
    }
    to_stderr(&b);
    return f->exit_code;
}

int say_usage(const struct args *a, const char *format, ...)
{
    struct buf usage = {0};
    char text[512];
    va_list list;
    va_start(list, format);
    /* clang-tidy 14 takes `list` for uninitialised in files that several programs compile. */
    vsnprintf(text, sizeof(text), format, list); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    va_end(list);
    buf_text(&usage, "usage: ");
    args_put_usage(&usage, a->row);
    int code = say_failure(a, &(struct failure){.exit_code = EXIT_USAGE,
                                                .message = span_text(text),
                                                .hint = buf_span(&usage)});
    buf_fini(&usage);
    return code;
}

int say_out(const struct args *a, struct buf *b)
{
    bool ok = fwrite(b->data, 1, b->len, stdout) == b->len && fflush(stdout) == 0;
    int error = errno;
    buf_fini(b);
    if (ok)
        return EXIT_OK;
    return say_failure(
        a, &(struct failure){.exit_code = EXIT_FAILED, .message = span_text(strerror(error))});
}

void say_put_word(struct buf *b, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./:=@%+,";
    if (*word && strspn(word, plain) == strlen(word)) {
        buf_text(b, word);
        return;
    }
    buf_byte(b, '\'');
    for (; *word; word++)
        if (*word == '\'')
            buf_text(b, "'\\''");
        else
            buf_byte(b, (uint8_t)*word);
    buf_byte(b, '\'');
}

void say_next(const struct args *a, const char *lead, const char *const *words)
{
    struct buf b = {0};
    if (a->option[OPTION_JSON])
        return;
    buf_printf(&b, "\nNext: %s\n  twinhub", lead);
    for (; *words; words++) {
        buf_byte(&b, ' ');
        say_put_word(&b, *words);
    }
    if (a->option[OPTION_DATA]) {
        buf_text(&b, " --data ");
        say_put_word(&b, a->option[OPTION_DATA]);
    }
    if (a->option[OPTION_CONNECTION]) /* a secret: not repeated */
        buf_text(&b, " --connection-string ...");
    if (a->option[OPTION_CA]) {
        buf_text(&b, " --ca ");
        say_put_word(&b, a->option[OPTION_CA]);
    }
    buf_byte(&b, '\n');
    to_stderr(&b);
}
