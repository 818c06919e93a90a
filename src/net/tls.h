/* tls.h — one connection's TLS as a function of bytes: no socket, no buffer in between.
 *
 * What came from the peer goes in as a span, from which OpenSSL reads directly; what must go to
 * the peer is appended to a buffer. All of `in` is used up unless the result says otherwise; what
 * is left of a record that is not whole is kept inside.
 *
 * Units    bytes
 * Memory   tls_create's result is the caller's until tls_destroy
 * Threads  the owner's; it may be handed from thread to thread
 * Errors   enum tls_result
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/buf.h"
#include "net/link.h"

struct ssl_st;
struct ssl_ctx_st;

enum tls_result {
    TLS_WAIT, /* more bytes from the peer are needed */
    TLS_MORE, /* tls_read only: there was no more room; *in may hold more */
    TLS_DONE, /* tls_handshake only: it is complete; *in may hold bytes beyond it */
    TLS_END,  /* the peer has said goodbye (close_notify) */
    TLS_BAD   /* no further bytes can make it right; `out` may hold an alert */
};

struct ssl_st *tls_create(struct ssl_ctx_st *ctx, enum link_kind kind);
void tls_destroy(struct ssl_st *ssl); /* NULL is harmless */
enum link_kind tls_kind(const struct ssl_st *ssl);

enum tls_result tls_handshake(struct ssl_st *ssl, struct span *in, struct buf *out);
/* Decrypt as much of `in` as `room` holds; it is appended to `plain`, whatever the result is. `out`
 * may grow by what the protocol itself answers. */
enum tls_result tls_read(struct ssl_st *ssl, struct span *in, struct buf *out, struct buf *plain,
                         size_t room);
/* Encrypt all of it. False when the connection is beyond use. */
bool tls_write(struct ssl_st *ssl, struct span plain, struct buf *out);
/* Append the goodbye. */
void tls_goodbye(struct ssl_st *ssl, struct buf *out);

/* After the handshake: the peer's certificates as DER, leaf first, at most LINK_CHAIN_MAX, in one
 * block that the caller frees; NULL when it showed none. */
uint8_t *tls_chain(struct ssl_st *ssl, struct span chain[LINK_CHAIN_MAX], unsigned *count);
/* Was it resumed by a ticket? */
bool tls_resumed(const struct ssl_st *ssl);
/* For the ticket about to be made: put into it what it would forget, the chain above the leaf. */
void tls_remember_chain(struct ssl_st *ssl);

#endif
