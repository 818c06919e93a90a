#include "base/log.h"

#include "base/text.h"

static const char *const names[] = {"error", "warn", "info", "debug"};

const char *log_level_name(enum log_level level)
{
    CHECK((unsigned)level < COUNT(names));
    return names[level];
}

bool log_level_parse(struct span text, enum log_level *out)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        if (span_eq_nocase(text, span_text(names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_begin(struct buf *b, bool json, struct now now, enum log_level level, const char *msg)
{
    buf_text(b, json ? "{\"time\":\"" : "");
    text_put_time_digits(b, now.wall_ms, 3);
    buf_text(b, json ? "\",\"level\":\"" : " level=");
    buf_text(b, log_level_name(level));
    buf_text(b, json ? "\",\"msg\":" : " msg=");
    text_put_json_any(b, span_text(msg));
}

/* A value that needs no quotes in the plain form. */
static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= ' ' || s.data[i] >= 0x7f || s.data[i] == '"' || s.data[i] == '\\' ||
            s.data[i] == '=')
            return false;
    return s.len > 0;
}

static void put_name(struct buf *b, bool json, const char *name)
{
    buf_text(b, json ? ",\"" : " ");
    buf_text(b, name);
    buf_text(b, json ? "\":" : "=");
}

void log_text(struct buf *b, bool json, const char *name, struct span value)
{
    put_name(b, json, name);
    if (!json && is_plain(value))
        buf_put(b, value);
    else
        text_put_json_any(b, value);
}

void log_number(struct buf *b, bool json, const char *name, int64_t value)
{
    put_name(b, json, name);
    buf_i64(b, value);
}

void log_end(struct buf *b, bool json)
{
    buf_text(b, json ? "}\n" : "\n");
}
