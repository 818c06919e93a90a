#include "doc/doc_number.h"

#include "base/text.h"

/* 2^1024 - 2^970, the least number that rounds to infinity: 309 digits before the point. */
static const char infinite[] =
    "17976931348623158079372897140530341507993413271003782693617377898044496829276475"
    "09466490179775872070963302864166928879109465555478519404026306574886715058206819"
    "08902000708383676273854845817711531764475730270069855571366959622842914819860834"
    "936475292719074168444365510704342711559699508093042880177904174497792";

static bool is_digit(struct span s, size_t at)
{
    return at < s.len && s.data[at] >= '0' && s.data[at] <= '9';
}

/* Where the digits that start at `at` end. */
static size_t skip_digits(struct span s, size_t at)
{
    while (is_digit(s, at))
        at++;
    return at;
}

/* The exponent's value; far more than any double's when it has too many digits. */
static int64_t exponent_of(struct span s)
{
    bool negative = s.len && s.data[0] == '-';
    int64_t value = 0;
    for (size_t i = negative || (s.len && s.data[0] == '+'); i < s.len; i++)
        if (value < INT64_C(1) << 40)
            value = value * 10 + (s.data[i] - '0');
    return negative ? -value : value;
}

/* Compare the number with `infinite` as decimal texts: exact, and no locale is asked. `digits` is
 * the text between sign and exponent, `point` where its point is or its length. */
static bool is_finite(struct span digits, size_t point, int64_t exponent)
{
    size_t first = 0;
    while (first < digits.len && (digits.data[first] == '0' || digits.data[first] == '.'))
        first++;
    if (first == digits.len)
        return true; /* zero */
    /* How many digits stand before the point, once the exponent has moved it. */
    int64_t whole = exponent + (int64_t)point - (int64_t)first + (first > point);
    int64_t limit = (int64_t)sizeof(infinite) - 1;
    if (whole != limit)
        return whole < limit;
    size_t at = 0;
    for (size_t i = first; i < digits.len && at < sizeof(infinite) - 1; i++) {
        if (digits.data[i] == '.')
            continue;
        if (digits.data[i] != (uint8_t)infinite[at])
            return digits.data[i] < (uint8_t)infinite[at];
        at++;
    }
    for (; at < sizeof(infinite) - 1; at++)
        if (infinite[at] != '0')
            return true;
    return false;
}

bool doc_number_scan(struct span s, struct doc_number *out)
{
    size_t start = s.len && s.data[0] == '-';
    if (!is_digit(s, start))
        return false;
    size_t point = s.data[start] == '0' ? start + 1 : skip_digits(s, start);
    size_t at = point;
    if (at < s.len && s.data[at] == '.') {
        if (!is_digit(s, at + 1))
            return false;
        at = skip_digits(s, at + 1);
    }
    size_t digits_end = at, exponent_at = at;
    if (at < s.len && (s.data[at] | 0x20) == 'e') {
        exponent_at = ++at;
        if (at < s.len && (s.data[at] == '+' || s.data[at] == '-'))
            at++;
        if (!is_digit(s, at))
            return false;
        at = skip_digits(s, at);
    }
    struct span text = span_first(s, at);
    bool negative_zero = start == 1 && at == 2 && s.data[1] == '0';
    *out = (struct doc_number){.len = at, .is_whole = at == point && !negative_zero};
    if (out->is_whole && at - start <= 18) { /* the usual ones: no digit can overflow */
        for (size_t i = start; i < at; i++)
            out->value = out->value * 10 + (s.data[i] - '0');
        out->value = start ? -out->value : out->value;
        out->is_int = true;
        return true;
    }
    out->is_int = out->is_whole && text_i64(text, &out->value);
    if (out->is_int)
        return true;
    return is_finite(span_of(s.data + start, digits_end - start), point - start,
                     exponent_of(span_skip(text, exponent_at)));
}
