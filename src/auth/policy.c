#include "auth/policy.h"

#include "base/text.h"

#define LIST_VERSION 1

bool policy_name_is_valid(struct span name)
{
    if (name.len == 0 || name.len > POLICY_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '@' || c == '.'))
            return false;
    }
    return true;
}

static size_t find(const struct policies *list, struct span name)
{
    size_t i = 0;
    while (i < list->count && !span_eq(policy_name(&list->at[i]), name))
        i++;
    return i;
}

const struct policy *policy_find(const struct policies *list, struct span name)
{
    size_t i = find(list, name);
    return i < list->count ? &list->at[i] : NULL;
}

void policy_defaults(struct policies *out, struct random random)
{
    static const struct {
        const char *name;
        uint8_t rights;
    } defaults[] = {
        {"iothubowner",       RIGHTS_ALL          },
        {"service",           RIGHT_SERVICE       },
        {"device",            RIGHT_DEVICE        },
        {"registryRead",      RIGHT_REGISTRY_READ },
        {"registryReadWrite", RIGHT_REGISTRY_WRITE},
    };
    *out = (struct policies){.count = COUNT(defaults)};
    for (size_t i = 0; i < COUNT(defaults); i++) {
        struct policy *p = &out->at[i];
        struct span name = span_text(defaults[i].name);
        p->name_len = (uint8_t)name.len;
        memcpy(p->name, name.data, name.len);
        p->rights = defaults[i].rights;
        for (size_t k = 0; k < COUNT(p->keys); k++) {
            p->keys[k].len = 32;
            random_fill(random, p->keys[k].bytes, 32);
        }
    }
}

static bool is_valid(const struct policy *p)
{
    bool write_without_read =
        (p->rights & RIGHT_REGISTRY_WRITE) == (RIGHT_REGISTRY_WRITE & ~RIGHT_REGISTRY_READ);
    if (!policy_name_is_valid(policy_name(p)) || p->rights == 0 || p->rights & ~RIGHTS_ALL ||
        write_without_read)
        return false;
    for (size_t k = 0; k < COUNT(p->keys); k++)
        if (p->keys[k].len < KEY_MIN || p->keys[k].len > KEY_MAX)
            return false;
    return true;
}

enum status policy_set(struct policies *list, const struct policy *policy)
{
    if (!is_valid(policy))
        return BAD_ARGUMENT;
    size_t at = find(list, policy_name(policy)), service = 0;
    for (size_t i = 0; i < list->count; i++)
        service += i != at && list->at[i].rights & RIGHT_SERVICE;
    if (at == POLICY_MAX || (policy->rights & RIGHT_SERVICE && service == POLICY_SERVICE_MAX))
        return BAD_OPERATION;
    list->at[at] = *policy;
    if (at == list->count)
        list->count++;
    return OK;
}

bool policy_remove(struct policies *list, struct span name)
{
    size_t at = find(list, name);
    if (at == list->count)
        return false;
    list->count--;
    memmove(&list->at[at], &list->at[at + 1], (list->count - at) * sizeof(list->at[0]));
    return true;
}

/* ---- rights as text ------------------------------------------------------------------------ */

static const struct {
    struct span word;
    unsigned bit;    /* what shows that the right is there */
    unsigned rights; /* what the word means */
} words[] = {
    {SPAN_INIT("RegistryRead"),      1, RIGHT_REGISTRY_READ },
    {SPAN_INIT("RegistryWrite"),     2, RIGHT_REGISTRY_WRITE},
    {SPAN_INIT("ServiceConnect"),    4, RIGHT_SERVICE       },
    {SPAN_INIT("DeviceConnect"),     8, RIGHT_DEVICE        },
    {SPAN_INIT("RegistryReadWrite"), 0, RIGHT_REGISTRY_WRITE},
};

void rights_put(struct buf *b, unsigned rights)
{
    const char *between = "";
    for (size_t i = 0; i < COUNT(words); i++) {
        if (!(rights & words[i].bit))
            continue;
        buf_text(b, between);
        buf_put(b, words[i].word);
        between = ", ";
    }
}

static struct span trimmed(struct span s)
{
    while (s.len && s.data[0] == ' ')
        s = span_skip(s, 1);
    while (s.len && s.data[s.len - 1] == ' ')
        s.len--;
    return s;
}

bool rights_parse(struct span text, unsigned *out)
{
    unsigned rights = 0;
    for (bool more = true; more;) {
        size_t len = span_index(text, ',');
        struct span word = trimmed(span_first(text, len));
        more = len < text.len;
        text = span_skip(text, more ? len + 1 : len);
        size_t i = 0;
        while (i < COUNT(words) && !span_eq_nocase(words[i].word, word))
            i++;
        if (i == COUNT(words))
            return false;
        rights |= words[i].rights;
    }
    *out = rights;
    return true;
}

/* ---- bytes ---------------------------------------------------------------------------------
 *
 *   open    version 1, count, then for each: name length, name, rights
 *   secret  version 1, count, then for each: primary length, primary, secondary length, secondary
 *
 * all numbers one byte.
 */

static void put_bytes(struct buf *b, struct span s)
{
    buf_byte(b, (uint8_t)s.len);
    buf_put(b, s);
}

void policy_encode(const struct policies *list, struct buf *open, struct buf *secret)
{
    struct buf *both[] = {open, secret};
    for (size_t i = 0; i < COUNT(both); i++) {
        buf_byte(both[i], LIST_VERSION);
        buf_byte(both[i], (uint8_t)list->count);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct policy *p = &list->at[i];
        put_bytes(open, policy_name(p));
        buf_byte(open, p->rights);
        for (size_t k = 0; k < COUNT(p->keys); k++)
            put_bytes(secret, key_span(&p->keys[k]));
    }
}

static bool take_byte(struct span *in, uint8_t *out)
{
    if (in->len == 0)
        return false;
    *out = in->data[0];
    *in = span_skip(*in, 1);
    return true;
}

static bool take_bytes(struct span *in, uint8_t *out, size_t room, uint8_t *out_len)
{
    if (!take_byte(in, out_len) || *out_len > room || *out_len > in->len)
        return false;
    if (*out_len)
        memcpy(out, in->data, *out_len);
    *in = span_skip(*in, *out_len);
    return true;
}

static bool take_policy(struct span *open, struct span *secret, struct policy *p)
{
    if (!take_bytes(open, p->name, sizeof(p->name), &p->name_len) || !take_byte(open, &p->rights))
        return false;
    for (size_t k = 0; k < COUNT(p->keys); k++)
        if (!take_bytes(secret, p->keys[k].bytes, sizeof(p->keys[k].bytes), &p->keys[k].len))
            return false;
    return true;
}

enum status policy_decode(struct span open, struct span secret, struct policies *out)
{
    uint8_t version[2], count[2];
    struct span *in[] = {&open, &secret};
    for (size_t i = 0; i < COUNT(in); i++)
        if (!take_byte(in[i], &version[i]) || version[i] != LIST_VERSION ||
            !take_byte(in[i], &count[i]))
            return DAMAGED;
    if (count[0] != count[1])
        return DAMAGED;

    struct policies list = {.count = 0};
    for (size_t i = 0; i < count[0]; i++) {
        struct policy p = {.name_len = 0};
        /* A second policy of one name would leave the list shorter than its count. */
        if (!take_policy(&open, &secret, &p) || policy_set(&list, &p) != OK || list.count != i + 1)
            return DAMAGED;
    }
    if (open.len || secret.len)
        return DAMAGED;
    *out = list;
    return OK;
}
