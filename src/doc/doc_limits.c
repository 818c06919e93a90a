#include "doc/doc_limits.h"

#include "base/text.h"
#include "doc/doc_number.h"

/* clang-format off */
const struct doc_limits doc_limits_azure = {
    .syntax         = {.nesting_max = 64, .number_max = 128},
    .key_max        = 1024,
    .string_max     = 4096,
    .int_min        = -(INT64_C(1) << 52),
    .int_max        = (INT64_C(1) << 52) - 1,
    .depth_max      = 10,
    .tags_max       = 8192,
    .properties_max = 32768,
    .text_max       = 120000,
    .node_max       = 16384,
    .flat_factor    = 4,
};
const struct doc_limits doc_limits_relaxed = {
    .syntax         = {.nesting_max = 64, .number_max = 16 * 128},
    .key_max        = 16 * 1024,
    .string_max     = 16 * 4096,
    .int_min        = -(INT64_C(1) << 56),
    .int_max        = (INT64_C(1) << 56) - 1,
    .depth_max      = 32,
    .tags_max       = 16 * 8192,
    .properties_max = 16 * 32768,
    .text_max       = 16 * 120000,
    .node_max       = 16 * 16384,
    .flat_factor    = 4,
};
/* clang-format on */

static const char rule_root[] = "Provided json is not a valid 'tags' or 'properties' object";
static const char rule_null[] = "Value of Property or Tag cannot be null. Error in Property/Tag %s";
static const char rule_string[] =
    "Property or Tag value should be maximum %u bytes. Error in Property/Tag %s";
static const char rule_key_len[] =
    "Property or Tag name should be maximum %u bytes. Error in Property/Tag %s";
static const char rule_key[] = "Property or Tag name should not contain control characters, '.', "
                               "'$', '#' or spaces. Error in Property/Tag %s";
static const char rule_int[] =
    "Integer value of Property or Tag is out of range. Error in Property/Tag %s";
static const char rule_depth[] =
    "Property or Tag depth should be maximum %u. Error in Property/Tag %s";
static const char rule_tags[] = "'Tags' size should be less than %u bytes.";
static const char rule_desired[] = "'Properties.Desired' size should be less than %u bytes.";
static const char rule_reported[] = "'Properties.Reported' size should be less than %u bytes.";

/* C0, DEL and, as two bytes of UTF-8, C1: what .NET calls a control character, which is what the
 * real service asks. How many bytes the one at data[at] has; 0 when it is another character. */
static size_t control_len(struct span s, size_t at)
{
    uint8_t c = s.data[at];
    if (c < 0x20 || c == 0x7f)
        return 1;
    return c == 0xc2 && at + 1 < s.len && s.data[at + 1] < 0xa0 ? 2 : 0;
}

/* ---- before the write --------------------------------------------------------------------- */

struct check {
    const struct doc_limits *limits;
    bool allow_null;
    uint32_t depth;       /* containers below the root that are open */
    uint32_t array_depth; /* arrays among them */
    struct doc_survey *survey;
    struct doc_fault *fault;
};

static enum status refuse(struct check *c, const char *rule, struct span key, uint32_t limit)
{
    *c->fault = (struct doc_fault){.rule = rule, .key = key, .limit = limit};
    return BAD_ARGUMENT;
}

static bool key_has_bad_character(struct span key)
{
    static const bool suspect[256] = {
        [0 ... ' '] = true, ['.'] = true, ['$'] = true, ['#'] = true, [0x7f] = true, [0xc2] = true};
    bool found = false;
    for (size_t i = 0; i < key.len; i++)
        found |= suspect[key.data[i]];
    if (!found)
        return false;
    for (size_t i = 0; i < key.len; i++) /* of those, 0xc2 begins good characters too */
        if (suspect[key.data[i]] && (key.data[i] != 0xc2 || control_len(key, i)))
            return true;
    return false;
}

static enum status check_key(struct check *c, struct span key)
{
    if (key_has_bad_character(key))
        return refuse(c, rule_key, key, 0);
    if (key.len > c->limits->key_max)
        return refuse(c, rule_key_len, key, c->limits->key_max);
    return OK;
}

static enum status check_value(struct check *c, struct doc_node value, struct span key);

static enum status check_children(struct check *c, struct doc_node parent, struct span key)
{
    bool is_object = node_type(parent) == DOC_OBJECT;
    NODE_EACH(child, parent)
    {
        if (is_object) {
            key = node_key(child);
            if (doc_key_is_ignored(key)) {
                c->survey->ignored_in_array |= c->array_depth > 0;
                continue;
            }
            TRY(check_key(c, key));
        }
        TRY(check_value(c, child, key));
    }
    return OK;
}

/* twins 6 row 5: arrays are levels too. */
static enum status check_container(struct check *c, struct doc_node value, struct span key)
{
    if (c->depth == c->limits->depth_max)
        return refuse(c, rule_depth, key, c->limits->depth_max);
    bool is_array = node_type(value) == DOC_ARRAY;
    c->depth++;
    c->array_depth += is_array;
    TRY(check_children(c, value, key));
    c->array_depth -= is_array;
    c->depth--;
    return OK;
}

/* A whole number of more than 64 bits has kept its text; so has -0, which is in every range. */
static enum status check_number(struct check *c, struct doc_node value, struct span key)
{
    struct doc_number number;
    if (doc_number_scan(doc_string(value), &number) && number.is_whole)
        return refuse(c, rule_int, key, 0);
    return OK;
}

/* `key` is the nearest one: a member's own, or for an element that of the array. */
static enum status check_value(struct check *c, struct doc_node value, struct span key)
{
    c->survey->node_count++;
    switch (doc_type(value)) {
    case DOC_NULL:
        return c->allow_null && !c->array_depth ? OK : refuse(c, rule_null, key, 0);
    case DOC_FALSE:
    case DOC_TRUE:
        return OK;
    case DOC_INT: {
        int64_t i = doc_int(value);
        bool fits = i >= c->limits->int_min && i <= c->limits->int_max;
        return fits ? OK : refuse(c, rule_int, key, 0);
    }
    case DOC_NUMBER:
        return check_number(c, value, key);
    case DOC_STRING:
        if (doc_string(value).len > c->limits->string_max)
            return refuse(c, rule_string, key, c->limits->string_max);
        return OK;
    case DOC_ARRAY:
    case DOC_OBJECT:
        return check_container(c, value, key);
    }
    return SERVER_ERROR; /* not reached: every type is above */
}

enum status doc_limits_check(struct doc_node value, const struct doc_limits *limits,
                             bool allow_null, struct doc_survey *out, struct doc_fault *fault)
{
    struct check c = {.limits = limits, .allow_null = allow_null, .survey = out, .fault = fault};
    *out = (struct doc_survey){0};
    if (!value.at || doc_type(value) != DOC_OBJECT)
        return refuse(&c, rule_root, (struct span){0}, 0);
    return check_children(&c, value, (struct span){0});
}

/* ---- on the result ------------------------------------------------------------------------ */

/* What a string counts (its characters but for controls), and its text between the quotes. */
static void measure_string(struct span s, size_t *counted, size_t *text)
{
    *counted += s.len;
    *text += s.len + 2;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c >= 0x20 && c < 0x7f) {
            *text += c == '"' || c == '\\';
            continue;
        }
        *counted -= control_len(s, i);
        if (c < 0x80)
            *text += c == '\n' || c == '\r' || c == '\t' ? 1 : 5;
    }
}

static size_t int_text_len(int64_t value)
{
    size_t len = value < 0 ? 2 : 1;
    for (uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value; v >= 10; v /= 10)
        len++;
    return len;
}

static void measure(struct doc_node n, struct doc_sizes *sizes)
{
    size_t ignored = 0;
    switch (doc_type(n)) {
    case DOC_NULL:
        sizes->text += 4;
        return;
    case DOC_FALSE:
    case DOC_TRUE:
        sizes->counted += 4;
        sizes->text += doc_type(n) == DOC_TRUE ? 4 : 5;
        return;
    case DOC_INT:
        sizes->counted += 8;
        sizes->text += int_text_len(doc_int(n));
        return;
    case DOC_NUMBER:
        sizes->counted += 8;
        sizes->text += doc_string(n).len;
        return;
    case DOC_STRING:
        measure_string(doc_string(n), &sizes->counted, &sizes->text);
        return;
    case DOC_ARRAY:
    case DOC_OBJECT:
        break;
    }
    size_t count = node_count(n);
    sizes->nodes += count;
    sizes->text += 2 + (count ? count - 1 : 0);
    NODE_EACH(child, n)
    {
        if (doc_type(n) == DOC_OBJECT) {
            sizes->counted += node_key_len(child);
            sizes->text += 1;
            measure_string(node_key(child), &ignored, &sizes->text);
        }
        measure(child, sizes);
    }
}

struct doc_sizes doc_limits_measure(struct doc_node section)
{
    struct doc_sizes sizes = {0};
    measure(section, &sizes);
    return sizes;
}

enum status doc_limits_check_size(struct span section, const struct doc_write *w,
                                  struct doc_fault *fault)
{
    static const char *const rules[] = {
        [DOC_TAGS] = rule_tags, [DOC_DESIRED] = rule_desired, [DOC_REPORTED] = rule_reported};
    const struct doc_limits *l = w->limits;
    uint32_t limit = w->section == DOC_TAGS ? l->tags_max : l->properties_max;
    /* Most sections are small: nothing counts more than it takes, or prints as more than six times
     * that, and no node takes less than its head. */
    if (section.len <= limit && section.len <= l->text_max / 6 &&
        section.len / NODE_HEAD <= l->node_max)
        return OK;
    bool fits = section.len <= (uint64_t)limit * l->flat_factor;
    if (fits) {
        struct doc_sizes sizes = doc_limits_measure(doc_root(section));
        fits = sizes.counted <= limit && sizes.text <= l->text_max && sizes.nodes <= l->node_max;
    }
    if (fits)
        return OK;
    *fault = (struct doc_fault){.rule = rules[w->section], .limit = limit};
    return SECTION_TOO_LARGE;
}

/* ---- the text of a refusal ---------------------------------------------------------------- */

/* The key as a peer may read it back: one line, and no longer than one. */
static void put_key(struct buf *b, struct span key)
{
    enum { KEY_SHOWN = 128 };
    for (size_t i = 0; i < key.len;) {
        if (i >= KEY_SHOWN) {
            buf_text(b, "...");
            return;
        }
        size_t control = control_len(key, i), len = control;
        if (control)
            buf_byte(b, '?');
        else if ((len = text_utf8_len(span_skip(key, i))) != 0)
            buf_put(b, span_of(key.data + i, len));
        i += len ? len : 1;
    }
}

void doc_put_fault(struct buf *b, const struct doc_fault *fault)
{
    for (const char *at = fault->rule; *at; at++) {
        if (at[0] == '%' && at[1] == 's') {
            put_key(b, fault->key);
            at++;
        } else if (at[0] == '%' && at[1] == 'u') {
            buf_u64(b, fault->limit);
            at++;
        } else {
            buf_byte(b, (uint8_t)*at);
        }
    }
}
