#include "cli/serve.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

/* One certificate as DER on the heap; *out is empty when it has no encoding. */
static uint8_t *to_der(X509 *certificate, struct span *out)
{
    int len = i2d_X509(certificate, NULL);
    *out = (struct span){0};
    if (len <= 0)
        return NULL;
    uint8_t *der = malloc((size_t)len), *end = der;
    if (!der)
        check_no_memory();
    i2d_X509(certificate, &end);
    *out = span_of(der, (size_t)len);
    return der;
}

static bool read_file(const char *path, uint8_t **bytes, struct span *out, size_t *count,
                      struct buf *why)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        buf_printf(why, "--device-ca %s: %s", path, strerror(errno));
        return false;
    }
    size_t before = *count;
    X509 *c;
    while (*count < CERTIFICATES_MAX && (c = PEM_read_X509(f, NULL, NULL, NULL)) != NULL) {
        bytes[*count] = to_der(c, &out[*count]);
        *count += bytes[*count] != NULL;
        X509_free(c);
    }
    fclose(f);
    if (*count == CERTIFICATES_MAX)
        buf_printf(why, "--device-ca: %d certificates or more", CERTIFICATES_MAX);
    else if (*count == before)
        buf_printf(why, "--device-ca %s: no certificate in PEM form", path);
    return *count<CERTIFICATES_MAX && * count> before;
}

bool serve_read_certificates(const struct setting_list *files, uint8_t *bytes[CERTIFICATES_MAX],
                             struct span out[CERTIFICATES_MAX], size_t *count, struct buf *why)
{
    *count = 0;
    for (unsigned i = 0; i < files->count; i++)
        if (!read_file(files->at[i], bytes, out, count, why))
            return false;
    return true;
}
