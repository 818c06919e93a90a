#include "auth/x509.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/text.h"

/* One whole certificate, nothing after it; NULL otherwise. libcrypto's list of errors is left as
 * it was: it belongs to the TLS layer. */
static X509 *parse(struct span der)
{
    if (der.len == 0 || der.len > X509_DER_MAX)
        return NULL;
    ERR_set_mark();
    const uint8_t *at = der.data;
    X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    ERR_pop_to_mark();
    if (cert && at != der.data + der.len) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static bool read_time(const ASN1_TIME *time, int64_t *out_ms)
{
    int days, seconds;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool ok = epoch && ASN1_TIME_diff(&days, &seconds, epoch, time);
    ASN1_TIME_free(epoch);
    if (ok)
        *out_ms = ((int64_t)days * 86400 + seconds) * 1000;
    return ok;
}

/* The bytes of the only common name. Two of them, or a type of two or four bytes a character,
 * would leave it to the reader what the certificate says: then there is none. */
static void read_name(const X509_NAME *subject, struct x509_leaf *out)
{
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return;
    const ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    int type = ASN1_STRING_type(name), len = ASN1_STRING_length(name);
    bool is_bytes = type == V_ASN1_UTF8STRING || type == V_ASN1_PRINTABLESTRING ||
                    type == V_ASN1_IA5STRING || type == V_ASN1_T61STRING;
    if (!is_bytes || len <= 0 || len > X509_NAME_MAX)
        return;
    memcpy(out->name, ASN1_STRING_get0_data(name), (size_t)len);
    out->name_len = (uint16_t)len;
}

enum status x509_read(struct span der, struct x509_leaf *out)
{
    X509 *cert = parse(der);
    if (!cert)
        return UNAUTHORIZED;
    struct x509_leaf leaf = {.name_len = 0};
    read_name(X509_get_subject_name(cert), &leaf);
    ERR_set_mark();
    bool ok = read_time(X509_get0_notBefore(cert), &leaf.not_before_ms) &&
              read_time(X509_get0_notAfter(cert), &leaf.not_after_ms) &&
              EVP_Digest(der.data, der.len, leaf.sha1, NULL, EVP_sha1(), NULL) &&
              EVP_Digest(der.data, der.len, leaf.sha256, NULL, EVP_sha256(), NULL);
    ERR_pop_to_mark();
    X509_free(cert);
    if (!ok)
        return UNAUTHORIZED;
    *out = leaf;
    return OK;
}

bool x509_has_thumbprint(const struct x509_leaf *leaf, struct span hex)
{
    uint8_t hash[32];
    size_t len;
    if (!text_hex(hex, hash, sizeof(hash), &len))
        return false;
    struct span want = span_of(hash, len);
    return span_eq(want, span_of(leaf->sha1, sizeof(leaf->sha1))) ||
           span_eq(want, span_of(leaf->sha256, sizeof(leaf->sha256)));
}

bool x509_in_time(const struct x509_leaf *leaf, int64_t wall_ms)
{
    return wall_ms >= leaf->not_before_ms && wall_ms < leaf->not_after_ms + 1000;
}

bool x509_is_named(const struct x509_leaf *leaf, struct span device, struct span module)
{
    struct span name = span_of(leaf->name, leaf->name_len);
    if (device.len == 0 || !span_starts(name, device))
        return false;
    name = span_skip(name, device.len);
    if (module.len == 0)
        return name.len == 0;
    return name.len && name.data[0] == '/' && span_eq(span_skip(name, 1), module);
}

/* ---- chains -------------------------------------------------------------------------------- */

static void free_stack(STACK_OF(X509) * stack)
{
    sk_X509_pop_free(stack, X509_free);
}

/* All certificates, or with `cas_only` those that may sign others. NULL when one cannot be read. */
static STACK_OF(X509) * parse_all(const struct span *ders, size_t count, bool cas_only)
{
    STACK_OF(X509) *stack = sk_X509_new_null();
    for (size_t i = 0; stack && i < count; i++) {
        X509 *cert = parse(ders[i]);
        if (cert && cas_only && X509_check_ca(cert) != 1) { /* basicConstraints CA:TRUE */
            X509_free(cert);
            continue;
        }
        if (!cert || !sk_X509_push(stack, cert)) {
            X509_free(cert);
            free_stack(stack);
            return NULL;
        }
    }
    return stack;
}

/* No X509_STORE is given, so nothing is trusted and nothing looked up but what `cas` holds. */
static const char *verify(X509 *leaf, STACK_OF(X509) * sent, STACK_OF(X509) * cas, int64_t wall_ms)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (!ctx || !X509_STORE_CTX_init(ctx, NULL, leaf, sent)) {
        X509_STORE_CTX_free(ctx);
        return "out of memory";
    }
    X509_STORE_CTX_set0_trusted_stack(ctx, cas);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)(wall_ms / 1000));
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
    X509_VERIFY_PARAM_set_auth_level(param, 2);
    X509_VERIFY_PARAM_set_depth(param, X509_PATH_MAX - 2); /* it counts those in between */

    const char *reason = NULL;
    if (X509_verify_cert(ctx) != 1)
        reason = X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
    else if (sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) < 2)
        reason = "the certificate is a CA of the hub itself";
    X509_STORE_CTX_free(ctx);
    return reason;
}

enum status x509_verify(const struct span *sent, size_t sent_count, const struct span *cas,
                        size_t ca_count, int64_t wall_ms, const char **reason)
{
    if (sent_count == 0 || sent_count > X509_SENT_MAX) {
        *reason = sent_count ? "too many certificates were sent" : "no certificate was sent";
        return UNAUTHORIZED;
    }
    ERR_set_mark();
    STACK_OF(X509) *peer = parse_all(sent, sent_count, false);
    STACK_OF(X509) *trusted = parse_all(cas, ca_count, true);
    if (!peer)
        *reason = "a certificate that was sent cannot be read";
    else if (!trusted)
        *reason = "a CA of the hub cannot be read";
    else
        *reason = verify(sk_X509_value(peer, 0), peer, trusted, wall_ms);
    free_stack(peer);
    free_stack(trusted);
    ERR_pop_to_mark();
    return *reason ? UNAUTHORIZED : OK;
}
