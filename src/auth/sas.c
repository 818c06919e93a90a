#include "auth/sas.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/percent.h"
#include "base/text.h"
#include "wire/uri.h"

#define SIG_TEXT_LEN 44 /* base64 of 32 bytes */

static const struct span scheme = SPAN_INIT("SharedAccessSignature");

enum field { FIELD_SR, FIELD_SIG, FIELD_SE, FIELD_SKN, FIELD_COUNT };

static const struct span field_names[FIELD_COUNT] = {
    [FIELD_SR] = SPAN_INIT("sr"),
    [FIELD_SIG] = SPAN_INIT("sig"),
    [FIELD_SE] = SPAN_INIT("se"),
    [FIELD_SKN] = SPAN_INIT("skn"),
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Fields between '&', the first '=' of each divides. None, even of those we ignore, may be named
 * twice: two readers could otherwise take a token for different things. */
static enum status split_fields(struct span text, struct span values[FIELD_COUNT])
{
    struct span names[SAS_FIELDS_MAX];
    for (size_t count = 0; text.len; count++) {
        if (count == SAS_FIELDS_MAX)
            return UNAUTHORIZED;
        struct span field = span_first(text, span_index(text, '&'));
        text = span_skip(text, field.len < text.len ? field.len + 1 : field.len);
        size_t at = span_index(field, '=');
        names[count] = span_first(field, at);
        for (size_t i = 0; i < count && field.len; i++)
            if (span_eq_nocase(names[i], names[count]))
                return UNAUTHORIZED;
        for (size_t f = 0; f < FIELD_COUNT; f++)
            if (span_eq_nocase(names[count], field_names[f]))
                values[f] = span_skip(field, at < field.len ? at + 1 : at);
    }
    return OK;
}

static bool read_sig(struct span text, uint8_t out[32])
{
    uint8_t base64[SIG_TEXT_LEN], sig[SIG_TEXT_LEN];
    size_t len;
    if (!percent_decode(text, base64, sizeof(base64), &len))
        return false;
    for (size_t i = 0; i < len; i++)
        if (base64[i] == ' ') /* somebody on the way took a raw '+' for a blank */
            base64[i] = '+';
    if (!text_base64(span_of(base64, len), sig, sizeof(sig), &len) || len != 32)
        return false;
    memcpy(out, sig, 32);
    return true;
}

static bool is_digits(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    return s.len > 0;
}

static bool read_expiry(struct span text, int64_t *out)
{
    struct span whole = span_first(text, span_index(text, '.'));
    if (text.len > SAS_EXPIRY_MAX || !is_digits(whole))
        return false;
    if (whole.len < text.len && !is_digits(span_skip(text, whole.len + 1)))
        return false;
    int64_t seconds;
    if (!text_i64(whole, &seconds) || seconds > SAS_FOREVER_S)
        seconds = SAS_FOREVER_S;
    *out = seconds;
    return true;
}

enum status sas_parse(struct span token, struct sas *out)
{
    if (token.len > SAS_TOKEN_MAX || token.len <= scheme.len ||
        !span_eq_nocase(span_first(token, scheme.len), scheme) || !is_space(token.data[scheme.len]))
        return UNAUTHORIZED;
    struct span values[FIELD_COUNT] = {0};
    TRY(split_fields(span_skip(token, scheme.len + 1), values));

    struct sas t = {.resource = values[FIELD_SR], .expiry = values[FIELD_SE]};
    size_t policy_len;
    if (t.resource.len == 0 || t.resource.len > SAS_RESOURCE_MAX ||
        !read_sig(values[FIELD_SIG], t.sig) || !read_expiry(t.expiry, &t.expiry_s) ||
        !percent_decode(values[FIELD_SKN], t.policy, sizeof(t.policy), &policy_len))
        return UNAUTHORIZED;
    t.policy_len = (uint8_t)policy_len;
    *out = t;
    return OK;
}

/* HMAC-SHA256(key, resource LF expiry). False only when libcrypto has no memory. */
static bool sign(struct span resource, struct span expiry, struct span key, uint8_t out[32])
{
    uint8_t text[SAS_RESOURCE_MAX + 1 + SAS_EXPIRY_MAX];
    memcpy(text, resource.data, resource.len);
    text[resource.len] = '\n';
    memcpy(text + resource.len + 1, expiry.data, expiry.len);
    return HMAC(EVP_sha256(), key.data, (int)key.len, text, resource.len + 1 + expiry.len, out,
                NULL) != NULL;
}

bool sas_verify(const struct sas *t, struct span key)
{
    uint8_t want[32];
    return key.len && sign(t->resource, t->expiry, key, want) &&
           CRYPTO_memcmp(want, t->sig, sizeof(want)) == 0;
}

bool sas_in_time(const struct sas *t, int64_t wall_ms)
{
    return wall_ms <= t->expiry_s * 1000 + SAS_SKEW_MS;
}

void sas_make(struct buf *out, struct span resource, struct span key, int64_t expiry_s,
              struct span policy)
{
    struct buf sr = {0}, se = {0}, base64 = {0};
    uint8_t sig[32];
    uri_put(&sr, resource);
    buf_i64(&se, expiry_s);
    CHECK(key.len && sr.len <= SAS_RESOURCE_MAX);
    CHECK(sign(buf_span(&sr), buf_span(&se), key, sig));
    text_put_base64(&base64, span_of(sig, sizeof(sig)));

    buf_put(out, scheme);
    buf_text(out, " sr=");
    buf_put(out, buf_span(&sr));
    buf_text(out, "&sig=");
    uri_put(out, buf_span(&base64));
    buf_text(out, "&se=");
    buf_put(out, buf_span(&se));
    if (policy.len) {
        buf_text(out, "&skn=");
        uri_put(out, policy);
    }
    buf_fini(&sr);
    buf_fini(&se);
    buf_fini(&base64);
}
