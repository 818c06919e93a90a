/* Any bytes as a client certificate: what is read is bounded and of that certificate only, and
 * nothing verifies that the CA of the hub did not sign: here the hub's CA is the same bytes. */
#include "auth/x509.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/buf.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_thumbprint(const struct x509_leaf *leaf, struct span der)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    struct buf hex = {0};
    CHECK(EVP_Q_digest(NULL, "SHA256", NULL, der.data, der.len, hash, NULL));
    text_put_hex(&hex, span_of(hash, 32));
    CHECK(x509_has_thumbprint(leaf, buf_span(&hex)));
    hex.data[0] ^= 1;
    CHECK(!x509_has_thumbprint(leaf, buf_span(&hex)));
    buf_fini(&hex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span der = span_of(data, size);
    struct x509_leaf leaf;
    const char *reason = NULL;
    enum status read = x509_read(der, &leaf);
    /* One certificate, trusting itself: a leaf is never its own CA, so nothing may verify. */
    enum status st = x509_verify(&der, 1, &der, 1, 1800000000000, &reason);
    CHECK(st == UNAUTHORIZED && reason);
    CHECK(ERR_peek_error() == 0);
    if (read != OK)
        return 0;
    CHECK(leaf.name_len <= X509_NAME_MAX);
    CHECK(x509_is_named(&leaf, span_of(leaf.name, leaf.name_len), (struct span){0}) ==
          (leaf.name_len > 0));
    check_thumbprint(&leaf, der);
    return 0;
}
