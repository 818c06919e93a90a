/* seal.h — secrets as they lie on disk: AES-256-GCM under the data directory's master key.
 *
 *   nonce (12, random)  ciphertext (as long as the secret)  tag (16)
 *
 * The record's key is authenticated with it, so a sealed secret that was moved to another record
 * does not open. Random nonces bound a master key to 2^32 seals (NIST SP 800-38D 8.3): the keeper
 * seals a secret when it changes, not whenever its record does.
 *
 * Units    bytes
 * Memory   seal_create's is the caller's until seal_destroy, which wipes the key
 * Threads  one at a time; each thread has its own
 * Errors   DAMAGED: not sealed by this key for this record, or changed since
 * Source   docs/format.md, "Sealed keys"; NIST SP 800-38D
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "base/random.h"
#include "base/span.h"
#include "base/status.h"

enum { SEAL_KEY = 32, SEAL_NONCE = 12, SEAL_TAG = 16, SEAL_EXTRA = SEAL_NONCE + SEAL_TAG };

struct seal;
struct seal *seal_create(const uint8_t master_key[SEAL_KEY]);
void seal_destroy(struct seal *s);

/* Writes secret.len + SEAL_EXTRA bytes to `out`. */
void seal_close(struct seal *s, struct random random, struct span record_key, struct span secret,
                uint8_t *out);

/* Writes sealed.len - SEAL_EXTRA bytes to `out`; on DAMAGED their content is wiped. */
MUST_USE enum status seal_open(struct seal *s, struct span record_key, struct span sealed,
                               uint8_t *out);

#endif
