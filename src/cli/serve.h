/* serve.h — parts of `twinhub serve` that stand for themselves.
 *
 * Threads  one, at start
 * Errors   false, with a sentence for a person in `why`
 */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "auth/policy.h"
#include "base/text.h"
#include "cli/settings.h"

enum { CERTIFICATES_MAX = 64 };

/* Read PEM files: each certificate as DER, in `bytes` (the caller frees them) and in `out`. */
MUST_USE bool serve_read_certificates(const struct setting_list *files,
                                      uint8_t *bytes[CERTIFICATES_MAX],
                                      struct span out[CERTIFICATES_MAX], size_t *count,
                                      struct buf *why);

/* HostName=…;SharedAccessKeyName=…;SharedAccessKey=…; `https` 0: there is no such port to name. */
void serve_put_connection_string(struct buf *b, struct span host, unsigned https,
                                 const struct policy *policy);

#endif
