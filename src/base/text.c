#include "base/text.h"

#include "base/clock.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_put_base64(struct buf *b, struct span bytes)
{
    buf_reserve(b, bytes.len / 3 * 4 + 4);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t v = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            v |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            v |= bytes.data[i + 2];
        buf_byte(b, (uint8_t)base64_digits[v >> 18]);
        buf_byte(b, (uint8_t)base64_digits[v >> 12 & 63]);
        buf_byte(b, left > 1 ? (uint8_t)base64_digits[v >> 6 & 63] : '=');
        buf_byte(b, left > 2 ? (uint8_t)base64_digits[v & 63] : '=');
    }
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool text_base64(struct span text, uint8_t *out, size_t room, size_t *out_len)
{
    if (text.len % 4)
        return false;
    size_t pad = 0;
    while (pad < 2 && pad < text.len && text.data[text.len - 1 - pad] == '=')
        pad++;
    size_t len = text.len / 4 * 3 - pad, at = 0;
    if (len > room)
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        uint32_t v = 0;
        size_t digits = i + 4 == text.len ? 4 - pad : 4;
        for (size_t d = 0; d < 4; d++) {
            int value = d < digits ? base64_value(text.data[i + d]) : 0;
            if (value < 0)
                return false;
            v = v << 6 | (uint32_t)value;
        }
        if ((digits == 3 && (v & 0xff)) || (digits == 2 && (v & 0xffff)))
            return false; /* stray bits: two texts would mean the same bytes */
        for (size_t d = 0; d + 1 < digits; d++)
            out[at++] = (uint8_t)(v >> (16 - 8 * d));
    }
    *out_len = len;
    return true;
}

void text_put_hex(struct buf *b, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        buf_byte(b, (uint8_t) "0123456789abcdef"[bytes.data[i] >> 4]);
        buf_byte(b, (uint8_t) "0123456789abcdef"[bytes.data[i] & 15]);
    }
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_hex(struct span text, uint8_t *out, size_t room, size_t *out_len)
{
    if (text.len % 2 || text.len / 2 > room)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.data[i]), low = hex_value(text.data[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    *out_len = text.len / 2;
    return true;
}

struct civil {
    int64_t year;
    int month, day, hour, minute, second, ms;
};

/* Days to the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible low-level date
 * algorithms"); correct for every time from year 1 on. */
static struct civil civil_from(int64_t wall_ms)
{
    int64_t days = wall_ms / 86400000, rest = wall_ms % 86400000;
    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    struct civil c = {
        .day = (int)(doy - (153 * mp + 2) / 5 + 1),
        .month = (int)(mp < 10 ? mp + 3 : mp - 9),
        .hour = (int)(rest / 3600000),
        .minute = (int)(rest / 60000 % 60),
        .second = (int)(rest / 1000 % 60),
        .ms = (int)(rest % 1000),
    };
    c.year = yoe + era * 400 + (c.month <= 2);
    return c;
}

static void put_digits(struct buf *b, int64_t value, int width)
{
    uint8_t digits[8];
    CHECK(width <= (int)sizeof(digits));
    for (int i = width - 1; i >= 0; i--) {
        digits[i] = (uint8_t)('0' + value % 10);
        value /= 10;
    }
    buf_put(b, span_of(digits, (size_t)width));
}

static void put_clock(struct buf *b, const struct civil *c)
{
    put_digits(b, c->hour, 2);
    buf_byte(b, ':');
    put_digits(b, c->minute, 2);
    buf_byte(b, ':');
    put_digits(b, c->second, 2);
}

static void put_date_time(struct buf *b, const struct civil *c)
{
    put_digits(b, c->year, 4);
    buf_byte(b, '-');
    put_digits(b, c->month, 2);
    buf_byte(b, '-');
    put_digits(b, c->day, 2);
    buf_byte(b, 'T');
    put_clock(b, c);
}

void text_put_time(struct buf *b, int64_t wall_ms)
{
    struct civil c = civil_from(wall_ms);
    put_date_time(b, &c);
    if (c.ms) {
        buf_byte(b, '.');
        int digits = c.ms % 10 ? 3 : c.ms % 100 ? 2 : 1;
        put_digits(b, digits == 3 ? c.ms : digits == 2 ? c.ms / 10 : c.ms / 100, digits);
    }
    buf_byte(b, 'Z');
}

void text_put_time_digits(struct buf *b, int64_t wall_ms, int digits)
{
    CHECK(digits == 3 || digits == 7);
    struct civil c = civil_from(wall_ms);
    put_date_time(b, &c);
    buf_byte(b, '.');
    put_digits(b, c.ms, 3);
    for (int i = 3; i < digits; i++)
        buf_byte(b, '0');
    buf_byte(b, 'Z');
}

void text_put_time_us(struct buf *b, int64_t wall_ms)
{
    struct civil c = civil_from(wall_ms);
    put_digits(b, c.month, 2);
    buf_byte(b, '/');
    put_digits(b, c.day, 2);
    buf_byte(b, '/');
    put_digits(b, c.year, 4);
    buf_byte(b, ' ');
    put_clock(b, &c);
}

static void put_escaped(struct buf *b, uint8_t c)
{
    switch (c) {
    case '"':
        buf_put(b, SPAN("\\\""));
        return;
    case '\\':
        buf_put(b, SPAN("\\\\"));
        return;
    case '\n':
        buf_put(b, SPAN("\\n"));
        return;
    case '\r':
        buf_put(b, SPAN("\\r"));
        return;
    case '\t':
        buf_put(b, SPAN("\\t"));
        return;
    default:
        buf_put(b, SPAN("\\u00"));
        text_put_hex(b, span_of(&c, 1));
    }
}

void text_put_json(struct buf *b, struct span s)
{
    buf_reserve(b, s.len + 2);
    buf_byte(b, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buf_put(b, span_of(s.data + from, i - from));
        put_escaped(b, c);
        from = i + 1;
    }
    if (s.len > from)
        buf_put(b, span_of(s.data + from, s.len - from));
    buf_byte(b, '"');
}

/* Characters that a terminal or log viewer would obey: C1 controls, line separators, bidi marks. */
static bool is_unsafe_wide(uint32_t c)
{
    return (c >= 0x80 && c <= 0x9f) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           c == 0x61c;
}

void text_put_json_any(struct buf *b, struct span s)
{
    buf_byte(b, '"');
    while (s.len) {
        size_t n = text_utf8_len(s);
        uint8_t c = s.data[0];
        if (n == 0) {
            buf_put(b, SPAN("\xef\xbf\xbd"));
            n = 1;
        } else if (n == 1 && (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)) {
            put_escaped(b, c);
        } else {
            uint32_t wide = 0;
            if (n == 2)
                wide = (uint32_t)(c & 0x1f) << 6 | (s.data[1] & 0x3f);
            else if (n == 3)
                wide = (uint32_t)(c & 0xf) << 12 | (uint32_t)(s.data[1] & 0x3f) << 6 |
                       (s.data[2] & 0x3f);
            if (is_unsafe_wide(wide))
                buf_printf(b, "\\u%04x", wide);
            else
                buf_put(b, span_first(s, n));
        }
        s = span_skip(s, n);
    }
    buf_byte(b, '"');
}

size_t text_utf8_len(struct span s)
{
    if (s.len == 0)
        return 0;
    uint8_t c = s.data[0];
    if (c < 0x80)
        return 1;
    size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || s.len < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s.data[i] & 0xc0) != 0x80)
            return 0;
    uint8_t second = s.data[1];
    if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) ||
        (c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
        return 0; /* overlong, surrogate, above U+10FFFF */
    return n;
}

bool text_is_utf8(struct span s)
{
    while (s.len) {
        if (s.len >= 8) { /* eight ASCII bytes at a time */
            uint64_t word;
            memcpy(&word, s.data, 8);
            if (!(word & 0x8080808080808080)) {
                s = span_skip(s, 8);
                continue;
            }
        }
        size_t n = text_utf8_len(s);
        if (n == 0)
            return false;
        s = span_skip(s, n);
    }
    return true;
}

bool text_u64(struct span s, uint64_t *out)
{
    uint64_t value = 0;
    SPAN_SOUND(s);
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)s.data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool text_i64(struct span s, int64_t *out)
{
    bool negative = s.len && s.data[0] == '-';
    uint64_t value;
    if (!text_u64(negative ? span_skip(s, 1) : s, &value))
        return false;
    if (value > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

void text_put_uuid(struct buf *b, const uint8_t random[16])
{
    uint8_t id[16];
    memcpy(id, random, 16);
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    static const uint8_t parts[] = {4, 2, 2, 2, 6};
    size_t at = 0;
    for (size_t i = 0; i < COUNT(parts); i++) {
        if (i)
            buf_byte(b, '-');
        text_put_hex(b, span_of(id + at, parts[i]));
        at += parts[i];
    }
}
