/* tls_server.h — what all TLS connections share: certificates, policy, keys of session tickets.
 *
 * Policy (trials F31): TLS 1.2 and up; ECDHE with AES-GCM or ChaCha20-Poly1305 only; X25519, P-256,
 * P-384; no renegotiation, no compression, no early data. A client certificate is asked for and
 * may be missing; any is accepted here, since only the identity it comes for says what it must be
 * (device-auth 2).
 *
 * Session tickets hold the client's whole chain, so that a resumed connection shows what the first
 * one did. Their keys change hourly; the previous one is still accepted (ticket.h).
 *
 * Threads  any
 * Errors   false, with one line for a person in `why`
 */
#ifndef NET_TLS_SERVER_H
#define NET_TLS_SERVER_H

#include "net/net.h"

struct ssl_st;
struct tls_server;

/* `ticket_secret` as in struct net_config. */
struct tls_server *tls_server_create(struct random random, const unsigned char *ticket_secret);
void tls_server_destroy(struct tls_server *t); /* NULL is harmless */

/* As net_certificates. */
MUST_USE bool tls_server_load(struct tls_server *t, const struct net_certificate *certificates,
                              unsigned count, struct buf *why);
/* Have certificates been loaded? */
bool tls_server_ready(struct tls_server *t);
/* A new server side of a handshake, for tls.h; freed with tls_destroy. Needs certificates. */
struct ssl_st *tls_server_accept(struct tls_server *t, enum link_kind kind);

#endif
