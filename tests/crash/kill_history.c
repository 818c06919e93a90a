#include "kill_history.h"

#include "base/text.h"

#include <stdlib.h>

enum { KEYS = 7, REMOVED_AFTER = 3, PAD_MAX = 300 };

void history_init(struct history *h)
{
    *h = (struct history){0};
}

void history_fini(struct history *h)
{
    for (int s = 0; s < SECTIONS; s++) {
        free(h->of[s].units);
        free(h->of[s].acked_at);
    }
    history_init(h);
}

/* ---- writes ---- */

/* What changes as a whole or not at all: two values and a text whose length goes with them. */
static void put_inner(struct buf *out, uint32_t unit)
{
    buf_printf(out, "{\"u\":%u,\"pad\":\"", unit);
    size_t pad = unit * 37 % PAD_MAX;
    buf_reserve(out, pad);
    memset(out->data + out->len, (int)('a' + unit % 26), pad);
    out->len += pad;
    buf_printf(out, "\",\"w\":%u}", unit);
}

uint32_t history_write(struct history *h, enum section which, uint32_t unit, struct buf *out)
{
    uint32_t n = ++h->of[which].sent;
    if (n >= h->of[which].room) {
        h->of[which].room = n * 2 + 64;
        h->of[which].units =
            realloc(h->of[which].units, h->of[which].room * sizeof(*h->of[which].units));
        h->of[which].acked_at =
            realloc(h->of[which].acked_at, h->of[which].room * sizeof(*h->of[which].acked_at));
        if (!h->of[which].units || !h->of[which].acked_at)
            check_no_memory();
    }
    h->of[which].units[n] = unit;
    buf_printf(out, "{\"u\":%u,\"in\":", unit);
    put_inner(out, unit);
    buf_printf(out, ",\"k%u\":%u,\"k%u\":null}", unit % KEYS, unit, (unit + REMOVED_AFTER) % KEYS);
    return n;
}

bool history_tags(uint32_t unit, struct buf *out)
{
    if (unit % 2 == 0)
        return false;
    buf_printf(out, "{\"u\":%u}", unit);
    return true;
}

/* The value of key k<key> after n writes; 0: it is absent. */
static uint32_t key_after(const uint32_t *units, uint32_t n, uint32_t key)
{
    for (; n; n--) {
        if (units[n] % KEYS == key)
            return units[n];
        if ((units[n] + REMOVED_AFTER) % KEYS == key)
            return 0;
    }
    return 0;
}

/* ---- reading what is shown ---- */

struct member {
    struct span name, value; /* the name without quotes, the value's text */
};

static struct span after_value(struct span s)
{
    int depth = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c == '"') {
            for (i++; i < s.len && s.data[i] != '"'; i++)
                i += s.data[i] == '\\';
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == '}' || c == ']' || c == ',')) {
            return span_skip(s, i);
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return span_skip(s, s.len);
}

/* Cut the next member off the inside of an object, as the hub writes it: without blanks. */
static bool next_member(struct span *inside, struct member *out)
{
    if (inside->len && (inside->data[0] == ',' || inside->data[0] == '{'))
        *inside = span_skip(*inside, 1);
    if (inside->len < 4 || inside->data[0] != '"')
        return false;
    struct span s = span_skip(*inside, 1);
    out->name = span_first(s, span_index(s, '"'));
    if (s.len < out->name.len + 2 || s.data[out->name.len + 1] != ':')
        return false;
    s = span_skip(s, out->name.len + 2);
    *inside = after_value(s);
    out->value = span_first(s, s.len - inside->len);
    return true;
}

static struct span get(struct span object, const char *name)
{
    for (struct member m; next_member(&object, &m);)
        if (span_eq(m.name, span_text(name)))
            return m.value;
    return (struct span){0};
}

static int64_t get_number(struct span object, const char *name)
{
    int64_t n;
    return text_i64(get(object, name), &n) ? n : -1;
}

/* ---- judging it ---- */

static bool says(struct buf *why, const char *what, struct span found, int64_t wanted)
{
    buf_printf(why, "%s is %.*s, not %lld", what, SPAN_ARG(span_first(found, 500)),
               (long long)wanted);
    return false;
}

static bool member_fits(const uint32_t *units, uint32_t n, const struct member *m, struct buf *why)
{
    if (span_eq(m->name, SPAN("in"))) {
        struct buf want = {0};
        put_inner(&want, units[n]);
        bool same = span_eq(buf_span(&want), m->value);
        buf_fini(&want);
        return same || says(why, "the inner object", m->value, units[n]);
    }
    uint32_t want = 0;
    if (span_eq(m->name, SPAN("u")))
        want = units[n];
    else if (m->name.len == 2 && m->name.data[0] == 'k')
        want = key_after(units, n, (uint32_t)(m->name.data[1] - '0'));
    int64_t value;
    return (want && text_i64(m->value, &value) && value == want) ||
           says(why, "a member", span_of(m->name.data, m->name.len + 2 + m->value.len), want);
}

static uint32_t members_after(const uint32_t *units, uint32_t n)
{
    uint32_t count = n ? 2 : 0;
    for (uint32_t key = 0; key < KEYS; key++)
        count += key_after(units, n, key) != 0;
    return count;
}

static bool section_fits(const uint32_t *units, uint32_t n, struct span section, struct buf *why)
{
    uint32_t count = 0;
    for (struct member m; next_member(&section, &m);) {
        if (m.name.len && m.name.data[0] == '$')
            continue;
        if (!member_fits(units, n, &m, why))
            return false;
        count++;
    }
    if (count == members_after(units, n))
        return true;
    buf_printf(why, "%u members, not %u", count, members_after(units, n));
    return false;
}

/* Write n is acknowledged, and so are those before. */
static void acked(struct history *h, enum section which, uint32_t n)
{
    while (h->of[which].acked < n)
        h->of[which].acked_at[++h->of[which].acked] = h->clock ? *h->clock : 0;
}

/* *n is the number of writes that are shown. */
static bool see_section(struct history *h, enum section which, uint32_t since, struct span section,
                        uint32_t *n, struct buf *why)
{
    static const char *const names[] = {"desired", "reported"};
    int64_t version = get_number(section, "$version") - h->raised;
    if (version - 1 < since || version - 1 > h->of[which].sent) {
        buf_printf(why, "%s is at version %lld, but %u writes were acknowledged and %u sent",
                   names[which], (long long)version, since, h->of[which].sent);
        return false;
    }
    *n = (uint32_t)(version - 1);
    acked(h, which, *n);
    if (section_fits(h->of[which].units, *n, section, why))
        return true;
    buf_printf(why, " in %s after write %u", names[which], *n);
    return false;
}

static bool tags_fit(const struct history *h, uint32_t n, struct span tags, struct buf *why)
{
    while (n && h->of[DESIRED].units[n] % 2 == 0)
        n--;
    struct buf want = {0};
    if (n)
        history_tags(h->of[DESIRED].units[n], &want);
    bool same = n ? span_eq(buf_span(&want), tags) : tags.len <= 2;
    buf_fini(&want);
    return same || says(why, "tags", tags, n ? h->of[DESIRED].units[n] : 0);
}

static bool counters_fit(const struct history *h, struct span twin, const uint32_t shown[SECTIONS],
                         struct buf *why)
{
    struct span etag = get(twin, "etag");
    uint8_t bytes[8] = {0};
    size_t len = 0;
    uint64_t counter = 0;
    if (etag.len > 2 && text_base64(span_of(etag.data + 1, etag.len - 2), bytes, 8, &len)) {
        memcpy(&counter, bytes, sizeof(counter));
        counter = be64toh(counter);
    }
    int64_t version = get_number(twin, "version"), want = shown[DESIRED] + 1 + h->raised;
    if ((int64_t)counter != want)
        return says(why, "the etag", etag, want);
    want += shown[REPORTED] + 1 + h->raised;
    return version == want || says(why, "version, C + Rv,", get(twin, "version"), want);
}

struct history_mark history_mark(const struct history *h)
{
    return (struct history_mark){
        {h->of[DESIRED].acked, h->of[REPORTED].acked}
    };
}

bool history_see(struct history *h, struct history_mark since, struct span twin, bool to_service,
                 struct buf *why)
{
    struct span sections = to_service ? get(twin, "properties") : twin;
    uint32_t shown[SECTIONS];
    if (!see_section(h, DESIRED, since.acked[DESIRED], get(sections, "desired"), &shown[DESIRED],
                     why) ||
        !see_section(h, REPORTED, since.acked[REPORTED], get(sections, "reported"),
                     &shown[REPORTED], why))
        return false;
    return !to_service || (tags_fit(h, shown[DESIRED], get(twin, "tags"), why) &&
                           counters_fit(h, twin, shown, why));
}

struct history_mark history_sent(const struct history *h)
{
    return (struct history_mark){
        {h->of[DESIRED].sent, h->of[REPORTED].sent}
    };
}

bool history_restore(struct history *h, struct history_mark begin, struct history_mark sent,
                     int64_t raised, struct span twin, struct history_cut *cut, struct buf *why)
{
    struct history_mark was = history_mark(h);
    *cut = (struct history_cut){.missing = UINT32_MAX};
    h->raised = raised;
    for (int s = 0; s < SECTIONS; s++) {
        h->of[s].sent = sent.acked[s];
        h->of[s].acked = begin.acked[s];
    }
    if (!history_see(h, begin, twin, true, why))
        return false;
    for (int s = 0; s < SECTIONS; s++) {
        uint32_t n = h->of[s].acked;
        if (n && h->of[s].units[n] > cut->newest)
            cut->newest = h->of[s].units[n];
        if (n < was.acked[s] && h->of[s].acked_at[n + 1] < cut->missing)
            cut->missing = h->of[s].acked_at[n + 1];
        h->of[s].sent = n;
    }
    return true;
}

bool history_recover(struct history *h, struct span twin, struct buf *why)
{
    if (!history_see(h, history_mark(h), twin, true, why))
        return false;
    for (int s = 0; s < SECTIONS; s++)
        h->of[s].sent = h->of[s].acked;
    return true;
}

bool history_ack(struct history *h, enum section which, uint32_t n, int64_t version,
                 struct buf *why)
{
    if (n > h->of[which].sent || (version && version != (int64_t)n + 1 + h->raised)) {
        buf_printf(why, "write %u of %u was answered with version %lld", n, h->of[which].sent,
                   (long long)version);
        return false;
    }
    acked(h, which, n);
    return true;
}

void history_refuse(struct history *h, enum section which, uint32_t n)
{
    uint32_t *units = h->of[which].units;
    memmove(units + n, units + n + 1, (h->of[which].sent - n) * sizeof(*units));
    h->of[which].sent--;
}

bool history_push(struct history *h, int64_t version, struct span payload, struct buf *why)
{
    int64_t told = version;
    version -= h->raised;
    if (version < 2 || version - 1 > h->of[DESIRED].sent ||
        get_number(payload, "u") != h->of[DESIRED].units[version - 1] ||
        get_number(payload, "$version") != told) {
        buf_printf(why, "pushed version %lld: %.*s", (long long)told,
                   SPAN_ARG(span_first(payload, 200)));
        return false;
    }
    return history_ack(h, DESIRED, (uint32_t)version - 1, told, why);
}
