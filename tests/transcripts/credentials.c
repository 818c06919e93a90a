#include "credentials.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "base/text.h"
#include "pattern.h"
#include "wire/uri.h"

#include <ctype.h>

void key_bytes(uint8_t out[32], struct span who, struct span slot)
{
    struct buf b = {0};
    buf_printf(&b, "key of %.*s, %.*s", SPAN_ARG(who), SPAN_ARG(slot));
    SHA256(b.data, b.len, out);
    buf_fini(&b);
}

/* "WHO:SLOT", cut at the last colon. */
static void key_by_name(uint8_t out[32], struct span name)
{
    size_t colon = name.len;
    while (colon && name.data[colon - 1] != ':')
        colon--;
    CHECK(colon);
    key_bytes(out, span_first(name, colon - 1), span_skip(name, colon));
}

void key_put(struct buf *out, struct span name)
{
    uint8_t key[32];
    key_by_name(key, name);
    text_put_base64(out, span_of(key, sizeof(key)));
}

/* ---- tokens ---- */

static void put_signature(struct buf *out, struct span resource, struct span key, int64_t expiry_s)
{
    struct buf text = {0}, base64 = {0};
    uint8_t mac[32];
    unsigned len = sizeof(mac);
    buf_printf(&text, "%.*s\n%lld", SPAN_ARG(resource), (long long)expiry_s);
    CHECK(HMAC(EVP_sha256(), key.data, (int)key.len, text.data, text.len, mac, &len));
    text_put_base64(&base64, span_of(mac, len));
    uri_put(out, buf_span(&base64));
    buf_fini(&text);
    buf_fini(&base64);
}

void token_sign(struct buf *out, struct span resource, struct span key, int64_t expiry_s,
                struct span policy)
{
    buf_printf(out, "SharedAccessSignature sr=%.*s&sig=", SPAN_ARG(resource));
    put_signature(out, resource, key, expiry_s);
    buf_printf(out, "&se=%lld", (long long)expiry_s);
    if (policy.len)
        buf_printf(out, "&skn=%.*s", SPAN_ARG(policy));
}

void sas_json_put(struct buf *out, struct span who)
{
    uint8_t primary[32], secondary[32];
    key_bytes(primary, who, SPAN("primary"));
    key_bytes(secondary, who, SPAN("secondary"));
    buf_text(out, "\"authentication\":{\"type\":\"sas\",\"symmetricKey\":{\"primaryKey\":\"");
    text_put_base64(out, span_of(primary, 32));
    buf_text(out, "\",\"secondaryKey\":\"");
    text_put_base64(out, span_of(secondary, 32));
    buf_text(out, "\"}}");
}

void identity_put(struct world *w, const char *who)
{
    struct span module = span_text(who), device = uri_cut(&module, '/');
    struct buf path = {0}, json = {0};
    buf_printf(&path, "/devices/%.*s%s%.*s", SPAN_ARG(device), module.len ? "/modules/" : "",
               SPAN_ARG(module));
    buf_byte(&path, 0);
    buf_byte(&json, '{');
    sas_json_put(&json, span_text(who));
    buf_byte(&json, '}');
    CHECK(world_rest(w, "PUT", (char *)path.data, NULL, buf_span(&json), NULL) == 200);
    buf_fini(&path);
    buf_fini(&json);
}

struct token_parts {
    struct span who, slot, policy;
    struct span host, at, resource, key, sig;
    bool has_at, twice, lower;
    int64_t se;
};

static struct token_parts token_parse(struct span text)
{
    struct token_parts t = {.slot = SPAN("primary"), .host = SPAN(WORLD_HOST), .se = 3600};
    t.who = uri_cut(&text, ',');
    if (span_starts(t.who, SPAN("policy:")))
        t.policy = t.who = span_skip(t.who, 7);
    struct span cut = t.who, name = uri_cut(&cut, ':');
    if (span_eq(cut, SPAN("secondary"))) {
        t.slot = cut;
        t.who = name;
        t.policy = t.policy.len ? name : t.policy;
    }
    while (text.len) {
        struct span change = uri_cut(&text, ','), value;
        if (word_value(change, "se", &value))
            t.se = word_number(value);
        else if (word_value(change, "at", &t.at))
            t.has_at = true;
        else if (span_eq(change, SPAN("twice")))
            t.twice = true;
        else if (span_eq(change, SPAN("lower")))
            t.lower = true;
        else
            CHECK(word_value(change, "host", &t.host) || word_value(change, "sr", &t.resource) ||
                  word_value(change, "key", &t.key) || word_value(change, "skn", &t.policy) ||
                  word_value(change, "sig", &t.sig));
    }
    return t;
}

static void put_id(struct buf *out, struct span id, bool encoded)
{
    if (encoded)
        uri_put(out, id);
    else
        buf_put(out, id);
}

static void put_resource(struct buf *out, const struct token_parts *t)
{
    struct buf plain = {0};
    struct span module = t->who, device = uri_cut(&module, '/');
    buf_put(&plain, t->host);
    if (t->has_at) {
        buf_printf(&plain, "%s%.*s", t->at.len ? "/" : "", SPAN_ARG(t->at));
    } else if (!t->policy.len) {
        buf_text(&plain, "/devices/");
        put_id(&plain, device, t->twice);
        if (module.len) {
            buf_text(&plain, "/modules/");
            put_id(&plain, module, t->twice);
        }
    }
    uri_put(out, buf_span(&plain));
    for (size_t i = 0; t->lower && i < out->len; i++)
        out->data[i] = (uint8_t)tolower(out->data[i]);
    buf_fini(&plain);
}

void token_put(struct buf *out, struct span text, const struct world *w)
{
    struct token_parts t = token_parse(text);
    struct buf resource = {0};
    uint8_t own[32];
    struct span key = span_of(own, sizeof(own));
    const struct policy *policy = t.policy.len ? policy_find(&w->policies, t.policy) : NULL;
    if (t.key.len)
        key_by_name(own, t.key);
    else if (policy)
        key = key_span(&policy->keys[span_eq(t.slot, SPAN("secondary"))]);
    else
        key_bytes(own, t.who, t.slot);
    if (t.resource.data)
        buf_put(&resource, t.resource);
    else
        put_resource(&resource, &t);
    int64_t expiry_s = w->now.wall_ms / 1000 + t.se;
    if (t.sig.data)
        buf_printf(out, "SharedAccessSignature sr=%.*s&sig=%.*s&se=%lld",
                   SPAN_ARG(buf_span(&resource)), SPAN_ARG(t.sig), (long long)expiry_s);
    else
        token_sign(out, buf_span(&resource), key, expiry_s, t.policy);
    buf_fini(&resource);
}

/* ---- certificates ---- */

const struct test_cert *cert_get(const struct certs *certs, struct span name)
{
    size_t i = 0;
    while (i < certs->count && !span_eq(span_text(certs->at[i].name), name))
        i++;
    CHECK(i < certs->count);
    return &certs->at[i].cert;
}

void cert_make(struct certs *certs, struct span text, const struct world *w)
{
    struct span name = word_next(&text), value;
    int64_t now_s = w->now.wall_ms / 1000;
    struct test_cert_options o = {.not_before_s = now_s - TEST_DAY_S,
                                  .not_after_s = now_s + TEST_DAY_S};
    const struct test_cert *issuer = NULL;
    for (struct span word; (word = word_next(&text)).len;) {
        if (word_value(word, "cn", &value)) {
            o.name = value;
        } else if (word_value(word, "ca", &value)) {
            issuer = cert_get(certs, value);
        } else if (word_value(word, "from", &value)) {
            o.not_before_s = now_s + word_number(value) * TEST_DAY_S;
        } else if (word_value(word, "to", &value)) {
            o.not_after_s = now_s + word_number(value) * TEST_DAY_S;
        } else {
            CHECK(span_eq(word, SPAN("authority")));
            o.constraints = "critical,CA:TRUE";
        }
    }
    CHECK(certs->count < CERTS_MAX);
    struct named_cert *c = &certs->at[certs->count++];
    CHECK(name.len < sizeof(c->name));
    memcpy(c->name, name.data, name.len);
    c->name[name.len] = '\0';
    c->cert = test_cert_make(&o, issuer);
}

void thumbprint_put(struct buf *out, const struct test_cert *cert)
{
    uint8_t hash[32];
    SHA256(cert->der.data, cert->der.len, hash);
    text_put_hex(out, span_of(hash, sizeof(hash)));
}

void certs_fini(struct certs *certs)
{
    for (size_t i = 0; i < certs->count; i++)
        test_cert_fini(&certs->at[i].cert);
    certs->count = 0;
}
