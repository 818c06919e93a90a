#include "store/seal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/check.h"

struct seal {
    EVP_CIPHER_CTX *closing, *opening; /* keyed once; each use sets the nonce */
};

struct seal *seal_create(const uint8_t master_key[SEAL_KEY])
{
    struct seal *s = calloc(1, sizeof(*s));
    if (!s)
        check_no_memory();
    s->closing = EVP_CIPHER_CTX_new();
    s->opening = EVP_CIPHER_CTX_new();
    if (!s->closing || !s->opening)
        check_no_memory();
    CHECK(EVP_EncryptInit_ex(s->closing, EVP_aes_256_gcm(), NULL, master_key, NULL) == 1);
    CHECK(EVP_DecryptInit_ex(s->opening, EVP_aes_256_gcm(), NULL, master_key, NULL) == 1);
    return s;
}

void seal_destroy(struct seal *s)
{
    if (!s)
        return;
    EVP_CIPHER_CTX_free(s->closing); /* wipes the key */
    EVP_CIPHER_CTX_free(s->opening);
    free(s);
}

void seal_close(struct seal *s, struct random random, struct span record_key, struct span secret,
                uint8_t *out)
{
    CHECK(secret.len < INT32_MAX);
    uint8_t *text = out + SEAL_NONCE, *tag = text + secret.len;
    int len;
    random_fill(random, out, SEAL_NONCE);
    CHECK(EVP_EncryptInit_ex(s->closing, NULL, NULL, NULL, out) == 1);
    CHECK(EVP_EncryptUpdate(s->closing, NULL, &len, record_key.data, (int)record_key.len) == 1);
    if (secret.len)
        CHECK(EVP_EncryptUpdate(s->closing, text, &len, secret.data, (int)secret.len) == 1);
    CHECK(EVP_EncryptFinal_ex(s->closing, tag, &len) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(s->closing, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, tag) == 1);
}

enum status seal_open(struct seal *s, struct span record_key, struct span sealed, uint8_t *out)
{
    if (sealed.len < SEAL_EXTRA || sealed.len >= INT32_MAX)
        return DAMAGED;
    size_t secret_len = sealed.len - SEAL_EXTRA;
    const uint8_t *text = sealed.data + SEAL_NONCE;
    uint8_t tag[SEAL_TAG];
    memcpy(tag, text + secret_len, SEAL_TAG);
    int len;
    CHECK(EVP_DecryptInit_ex(s->opening, NULL, NULL, NULL, sealed.data) == 1);
    CHECK(EVP_DecryptUpdate(s->opening, NULL, &len, record_key.data, (int)record_key.len) == 1);
    if (secret_len)
        CHECK(EVP_DecryptUpdate(s->opening, out, &len, text, (int)secret_len) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(s->opening, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG, tag) == 1);
    if (EVP_DecryptFinal_ex(s->opening, out + secret_len, &len) != 1) {
        OPENSSL_cleanse(out, secret_len);
        return DAMAGED;
    }
    return OK;
}
