#include "net/certificate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

static const int64_t hour_ms = 3600000, day_ms = 86400000;

enum { CA_DAYS = 3652, SERVER_DAYS = 397, SERIAL_BYTES = 16, COMMON_NAME_MAX = 64 };

EVP_PKEY *certificate_new_key(enum key_kind kind)
{
    EVP_PKEY *key = kind == KEY_EC ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
    CHECK(key != NULL);
    return key;
}

static void set_time(ASN1_TIME *to, int64_t wall_ms)
{
    CHECK(ASN1_TIME_set(to, (time_t)(wall_ms / 1000)) != NULL);
}

/* RFC 5280 4.1.2.2: positive, at most 20 octets; random, so that no two collide. */
static void set_serial(X509 *x, struct random random)
{
    uint8_t bytes[SERIAL_BYTES];
    random_fill(random, bytes, sizeof(bytes));
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    CHECK(number != NULL);
    CHECK(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) != NULL);
    BN_free(number);
}

static void set_subject(X509 *x, const char *organization, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(x);
    if (organization)
        CHECK(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                         (const unsigned char *)organization, -1, -1, 0) == 1);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                     -1, -1, 0) == 1);
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    CHECK(extension != NULL);
    CHECK(X509_add_ext(x, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *begin(EVP_PKEY *key, struct random random, int64_t from_ms, int64_t to_ms)
{
    X509 *x = X509_new();
    CHECK(x != NULL);
    CHECK(X509_set_version(x, X509_VERSION_3) == 1);
    CHECK(X509_set_pubkey(x, key) == 1);
    set_serial(x, random);
    set_time(X509_getm_notBefore(x), from_ms);
    set_time(X509_getm_notAfter(x), to_ms);
    return x;
}

static void sign(X509 *x, X509 *issuer, EVP_PKEY *key)
{
    CHECK(X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1);
    CHECK(X509_sign(x, key, EVP_sha256()) > 0);
}

X509 *certificate_new_ca(EVP_PKEY *key, const char *name, struct random random, struct now now)
{
    X509 *x = begin(key, random, now.wall_ms - day_ms, now.wall_ms + CA_DAYS * day_ms);
    set_subject(x, "twinhub", name);
    add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(x, x, NID_subject_key_identifier, "hash");
    add_extension(x, x, NID_authority_key_identifier, "keyid:always");
    sign(x, x, key);
    return x;
}

/* The first DNS name that fits a common name: clients do not look there, people do. */
static void set_server_subject(X509 *x, GENERAL_NAMES *names)
{
    char common_name[COMMON_NAME_MAX + 1] = "twinhub";
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        int len = name->type == GEN_DNS ? ASN1_STRING_length(name->d.dNSName) : 0;
        if (len > 0 && len <= COMMON_NAME_MAX) {
            memcpy(common_name, ASN1_STRING_get0_data(name->d.dNSName), (size_t)len);
            common_name[len] = 0;
            break;
        }
    }
    set_subject(x, NULL, common_name);
}

X509 *certificate_new_server(EVP_PKEY *key, const struct issuer *issuer, GENERAL_NAMES *names,
                             struct random random, struct now now)
{
    /* An hour back, for devices whose clocks are slow. */
    X509 *x = begin(key, random, now.wall_ms - hour_ms, now.wall_ms + SERVER_DAYS * day_ms);
    if (ASN1_TIME_compare(X509_get0_notAfter(x), X509_get0_notAfter(issuer->certificate)) > 0)
        CHECK(X509_set1_notAfter(x, X509_get0_notAfter(issuer->certificate)) == 1);
    set_server_subject(x, names);
    add_extension(x, issuer->certificate, NID_basic_constraints, "critical,CA:FALSE");
    add_extension(x, issuer->certificate, NID_key_usage, "critical,digitalSignature");
    add_extension(x, issuer->certificate, NID_ext_key_usage, "serverAuth");
    add_extension(x, issuer->certificate, NID_subject_key_identifier, "hash");
    add_extension(x, issuer->certificate, NID_authority_key_identifier, "keyid:always");
    CHECK(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
    sign(x, issuer->certificate, issuer->key);
    return x;
}

static bool is_ip(const char *name)
{
    struct in6_addr address;
    return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
}

/* RFC 1123 2.1, with underscores, which people use in names of their own networks. */
static bool is_dns(const char *name)
{
    if (strncmp(name, "*.", 2) == 0)
        name += 2;
    size_t len = strlen(name), label = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && name[i] != '.') {
            if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
                return false;
            label++;
        } else {
            if (label == 0 || label > 63 || name[i - 1] == '-' || name[i - label] == '-')
                return false;
            label = 0;
        }
    }
    return len <= 253;
}

static bool has_name(GENERAL_NAMES *names, GENERAL_NAME *name)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(names, i), name) == 0)
            return true;
    }
    return false;
}

bool certificate_add_name(GENERAL_NAMES *names, const char *name)
{
    bool ip = is_ip(name);
    if (!ip && !is_dns(name))
        return false;
    GENERAL_NAME *made = a2i_GENERAL_NAME(NULL, NULL, NULL, ip ? GEN_IPADD : GEN_DNS, name, 0);
    CHECK(made != NULL);
    if (has_name(names, made))
        GENERAL_NAME_free(made);
    else
        CHECK(sk_GENERAL_NAME_push(names, made) > 0);
    return true;
}

bool certificate_lives(const X509 *certificate, int64_t until_ms)
{
    time_t until = (time_t)(until_ms / 1000);
    return X509_cmp_time(X509_get0_notAfter(certificate), &until) > 0;
}

bool certificate_serves(X509 *leaf, EVP_PKEY *key, X509 *issuer, GENERAL_NAMES *names,
                        int64_t until_ms)
{
    if (X509_check_private_key(leaf, key) != 1 || X509_check_issued(issuer, leaf) != X509_V_OK ||
        X509_verify(leaf, X509_get0_pubkey(issuer)) != 1)
        return false;
    if (!certificate_lives(leaf, until_ms))
        return false;
    GENERAL_NAMES *has = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool all = has != NULL;
    for (int i = 0; all && i < sk_GENERAL_NAME_num(names); i++)
        all = has_name(has, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(has);
    return all;
}
