/* pki.h — the hub's own small CA and its server certificate, kept in a directory.
 *
 *   ca.pem      the CA's certificate (after pki_start_rsa two: P-256, RSA): what clients trust
 *   ca.key, ca-rsa.key           its keys                      (mode 0600)
 *   server.pem, server-rsa.pem   server certificate, then the CA that signed it
 *   server.key, server-rsa.key   their keys                    (mode 0600)
 *
 * The CA is made once and kept: replacing it would cut off every client. The server's certificate
 * is issued anew, with a new key, when it lacks a wanted name, does not fit its key or CA, or has
 * fewer than 30 days left. Each file is replaced atomically, keys before certificates, so that a
 * crash in between leaves either the old state or one that is mended at the next pki_open.
 *
 * Units    times in wall_ms
 * Memory   pki_open's result is the caller's until pki_close
 * Threads  the owner's, except where it says "any"
 * Errors   NULL or false, with one line for a person in `why`
 * Source   RFC 5280; device-auth 4; CA/Browser Forum's 398 days, which clients enforce
 */
#ifndef NET_PKI_H
#define NET_PKI_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "net/net.h"

struct pki;

/* Open or make the CA and server certificate in `dir` (made, 0700, if missing). `names` are DNS
 * names or IP addresses; localhost, 127.0.0.1, ::1 and the host's name are always added. `random`
 * gives serial numbers; keys come from OpenSSL's own generator.
 *
 * NULL when a name is neither, a file cannot be read or written, ca.pem has no fitting ca.key, or
 * the CA has expired. */
MUST_USE struct pki *pki_open(const char *dir, const char *const *names, unsigned name_count,
                              struct random random, struct now now, struct buf *why);
/* Waits for the thread of pki_start_rsa. NULL is harmless. */
void pki_close(struct pki *p);

/* Issue the server certificates anew if they are due: call it daily. *changed says whether it was;
 * then hand them to net_certificates again. */
MUST_USE bool pki_renew(struct pki *p, struct now now, bool *changed, struct buf *why);

/* Make or check the RSA chain in a thread of its own, for clients without ECDSA. When it is ready
 * (or has failed: then `ok` is false and `why` tells), on_ready is called on that thread; it may
 * call net_certificates with what pki_certificates gives from then on. At most once. */
typedef void pki_ready_fn(void *ctx, bool ok, struct span why);
void pki_start_rsa(struct pki *p, pki_ready_fn *on_ready, void *ctx);

/* The server certificates that are ready: 1, or 2 with RSA. The paths are good until pki_close.
 * Any thread. */
unsigned pki_certificates(struct pki *p, struct net_certificate out[2]);

/* Appends the CA certificates as PEM text. Any thread. */
void pki_ca_pem(struct pki *p, struct buf *out);
/* The path of ca.pem; good until pki_close. Any thread. */
const char *pki_ca_path(const struct pki *p);
/* Appends the SHA-256 of the P-256 CA's DER as upper-case hex pairs with colons between, as
 * `openssl x509 -fingerprint -sha256` prints it. Any thread. */
void pki_fingerprint(const struct pki *p, struct buf *out);

#endif
