#include "cli/units.h"

#include "base/text.h"

struct unit {
    uint8_t letter;
    uint64_t times;
};

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static const struct unit durations[] = {
    {'s', SECOND},
    {'m', MINUTE},
    {'h', HOUR  },
    {'d', DAY   },
};

static const struct unit sizes[] = {
    {'K', 1ULL << 10},
    {'M', 1ULL << 20},
    {'G', 1ULL << 30},
    {'T', 1ULL << 40},
};

/* How many times the number counts that ends in this letter; 0: not one of ours. */
static uint64_t times_of(const struct unit *units, size_t count, uint8_t letter)
{
    for (size_t i = 0; i < count; i++)
        if (units[i].letter == letter)
            return units[i].times;
    return 0;
}

static bool scale(struct span digits, uint64_t times, uint64_t max, uint64_t *out)
{
    uint64_t number;
    if (!text_u64(digits, &number) || times == 0 || number > max / times)
        return false;
    *out = number * times;
    return true;
}

bool units_duration(struct span text, int64_t *out_ms)
{
    uint64_t ms;
    if (span_eq(text, SPAN("0"))) {
        *out_ms = 0;
        return true;
    }
    if (text.len < 2)
        return false;
    uint64_t times = times_of(durations, COUNT(durations), text.data[text.len - 1]);
    if (!scale(span_first(text, text.len - 1), times, INT64_MAX, &ms))
        return false;
    *out_ms = (int64_t)ms;
    return true;
}

bool units_size(struct span text, uint64_t *out)
{
    uint64_t times = text.len ? times_of(sizes, COUNT(sizes), text.data[text.len - 1]) : 0;
    if (times)
        return scale(span_first(text, text.len - 1), times, UINT64_MAX, out);
    return scale(text, 1, UINT64_MAX, out);
}
