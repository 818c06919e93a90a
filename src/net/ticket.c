#include "net/ticket.h"

#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>

static bool has_name(const struct ticket_key *key, const unsigned char name[16])
{
    return memcmp(key->name, name, sizeof(key->name)) == 0;
}

struct ticket_key tickets_seal(struct tickets *t, struct random random, int64_t now_ms)
{
    int64_t age_ms = now_ms - t->since_ms;
    if (!t->has_current || age_ms >= ticket_key_ms) {
        t->previous = t->current;
        t->has_previous = t->has_current && age_ms < 2 * ticket_key_ms;
        random_fill(random, &t->current, sizeof(t->current));
        t->has_current = true;
        /* A key that was made late replaces one that had its time already: the former one opens
         * for what is left of its two hours, not for an hour from now. */
        t->previous_until_ms = t->since_ms + 2 * ticket_key_ms;
        t->since_ms = now_ms;
    }
    return t->current;
}

enum ticket_age tickets_open(const struct tickets *t, const unsigned char name[16], int64_t now_ms,
                             struct ticket_key *out)
{
    int64_t age_ms = now_ms - t->since_ms;
    bool current = t->has_current && has_name(&t->current, name);
    bool previous = t->has_previous && has_name(&t->previous, name);
    if (current && age_ms < 2 * ticket_key_ms) {
        *out = t->current;
        return age_ms < ticket_key_ms ? TICKET_CURRENT : TICKET_PREVIOUS;
    }
    if (previous && now_ms < t->previous_until_ms) {
        *out = t->previous;
        return TICKET_PREVIOUS;
    }
    return TICKET_UNKNOWN;
}

/* ── a series ── */

/* Only this purpose and this part get this text, whatever else the secret serves for. */
static void make_part(const struct ticket_series *s, const char *part, int64_t hour, void *out,
                      size_t len)
{
    char text[64];
    unsigned char made[EVP_MAX_MD_SIZE];
    int text_len =
        snprintf(text, sizeof(text), "twinhub TLS ticket %s %lld", part, (long long)hour);
    if (!HMAC(EVP_sha256(), s->secret, sizeof(s->secret), (const unsigned char *)text,
              (size_t)text_len, made, NULL))
        check_no_memory();
    memcpy(out, made, len);
    OPENSSL_cleanse(made, sizeof(made));
}

static struct ticket_key make_key(const struct ticket_series *s, int64_t hour)
{
    struct ticket_key key = {0};
    make_part(s, "name", hour, key.name, sizeof(key.name));
    make_part(s, "cipher", hour, key.cipher, sizeof(key.cipher));
    make_part(s, "mac", hour, key.mac, sizeof(key.mac));
    return key;
}

static void bring_up_to(struct ticket_series *s, int64_t now_ms)
{
    int64_t hour = now_ms / ticket_key_ms;
    if (s->has_keys && s->hour == hour)
        return;
    s->current = make_key(s, hour);
    s->previous = make_key(s, hour - 1);
    s->hour = hour;
    s->has_keys = true;
}

struct ticket_key ticket_series_seal(struct ticket_series *s, int64_t now_ms)
{
    bring_up_to(s, now_ms);
    return s->current;
}

enum ticket_age ticket_series_open(struct ticket_series *s, const unsigned char name[16],
                                   int64_t now_ms, struct ticket_key *out)
{
    bring_up_to(s, now_ms);
    bool current = has_name(&s->current, name);
    if (!current && !has_name(&s->previous, name))
        return TICKET_UNKNOWN;
    *out = current ? s->current : s->previous;
    return current ? TICKET_CURRENT : TICKET_PREVIOUS;
}
