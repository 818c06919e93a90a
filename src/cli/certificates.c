#include "cli/serve.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

/* One certificate of a file; false when it cannot be kept. */
static bool keep(X509 *certificate, struct span out[CERTIFICATES_MAX], size_t *count)
{
    int len = i2d_X509(certificate, NULL);
    if (len <= 0 || *count == CERTIFICATES_MAX)
        return false;
    uint8_t *der = malloc((size_t)len), *end = der;
    if (!der)
        check_no_memory();
    i2d_X509(certificate, &end);
    out[(*count)++] = span_of(der, (size_t)len);
    return true;
}

static bool read_file(const char *path, struct span out[CERTIFICATES_MAX], size_t *count,
                      struct buf *why)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        buf_printf(why, "--device-ca %s: %s", path, strerror(errno));
        return false;
    }
    size_t before = *count;
    bool ok = true;
    for (X509 *c; ok && (c = PEM_read_X509(f, NULL, NULL, NULL)) != NULL;) {
        ok = keep(c, out, count);
        X509_free(c);
    }
    fclose(f);
    if (!ok)
        buf_printf(why, "--device-ca: more than %d certificates", CERTIFICATES_MAX);
    else if (*count == before)
        buf_printf(why, "--device-ca %s: no certificate in PEM form", path);
    return ok && *count > before;
}

bool serve_read_certificates(const struct setting_list *files, struct span out[CERTIFICATES_MAX],
                             size_t *count, struct buf *why)
{
    *count = 0;
    for (unsigned i = 0; i < files->count; i++)
        if (!read_file(files->at[i], out, count, why))
            return false;
    return true;
}
