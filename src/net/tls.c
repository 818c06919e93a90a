#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>

/* What the BIO of a connection works on, for the time of one call. */
struct io {
    struct span *in;
    struct buf *out;
};

static int io_read(BIO *bio, char *to, size_t room, size_t *got)
{
    struct io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!io || io->in->len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    *got = io->in->len < room ? io->in->len : room;
    memcpy(to, io->in->data, *got);
    *io->in = span_skip(*io->in, *got);
    return 1;
}

static int io_write(BIO *bio, const char *from, size_t len, size_t *put)
{
    struct io *io = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_put(io->out, span_of(from, len));
    *put = len;
    return 1;
}

static long io_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *io_method;

static void make_io_method(void)
{
    io_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "span and buf");
    CHECK(io_method != NULL);
    CHECK(BIO_meth_set_read_ex(io_method, io_read) == 1);
    CHECK(BIO_meth_set_write_ex(io_method, io_write) == 1);
    CHECK(BIO_meth_set_ctrl(io_method, io_ctrl) == 1);
}

struct ssl_st *tls_create(struct ssl_ctx_st *ctx, enum link_kind kind)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_io_method);
    SSL *ssl = SSL_new(ctx);
    BIO *bio = BIO_new(io_method);
    if (!ssl || !bio)
        check_no_memory();
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, (void *)(uintptr_t)kind); /* NOLINT(performance-no-int-to-ptr): a tag */
    SSL_set_accept_state(ssl);
    return ssl;
}

void tls_destroy(struct ssl_st *ssl)
{
    SSL_free(ssl);
}

enum link_kind tls_kind(const struct ssl_st *ssl)
{
    return (enum link_kind)(uintptr_t)SSL_get_app_data(ssl);
}

static void begin(SSL *ssl, struct io *io)
{
    ERR_clear_error();
    BIO_set_data(SSL_get_rbio(ssl), io);
}

/* OpenSSL's result of a call; its error queue, which belongs to the thread, is left empty. */
static enum tls_result end(SSL *ssl, int ret)
{
    int error = SSL_get_error(ssl, ret);
    BIO_set_data(SSL_get_rbio(ssl), NULL);
    ERR_clear_error();
    switch (error) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_END;
    default:
        return TLS_BAD;
    }
}

enum tls_result tls_handshake(struct ssl_st *ssl, struct span *in, struct buf *out)
{
    struct io io = {in, out};
    begin(ssl, &io);
    return end(ssl, SSL_do_handshake(ssl));
}

enum tls_result tls_read(struct ssl_st *ssl, struct span *in, struct buf *out, struct buf *plain,
                         size_t room)
{
    struct io io = {in, out};
    buf_reserve(plain, room);
    for (;;) {
        if (room == 0)
            return TLS_MORE;
        size_t got = 0;
        begin(ssl, &io);
        enum tls_result result = end(ssl, SSL_read_ex(ssl, plain->data + plain->len, room, &got));
        if (result != TLS_DONE)
            return result;
        plain->len += got;
        room -= got;
    }
}

bool tls_write(struct ssl_st *ssl, struct span plain, struct buf *out)
{
    struct span none = {0};
    struct io io = {&none, out};
    if (plain.len == 0)
        return true;
    size_t put;
    begin(ssl, &io);
    return end(ssl, SSL_write_ex(ssl, plain.data, plain.len, &put)) == TLS_DONE;
}

void tls_goodbye(struct ssl_st *ssl, struct buf *out)
{
    struct span none = {0};
    struct io io = {&none, out};
    if (!SSL_is_init_finished(ssl))
        return;
    begin(ssl, &io);
    (void)end(ssl, SSL_shutdown(ssl));
}

bool tls_resumed(const struct ssl_st *ssl)
{
    return SSL_session_reused(ssl) == 1;
}

static void put_certificate(struct buf *b, X509 *certificate)
{
    int len = i2d_X509(certificate, NULL);
    CHECK(len > 0);
    buf_u32le(b, (uint32_t)len);
    buf_reserve(b, (size_t)len);
    uint8_t *to = b->data + b->len;
    CHECK(i2d_X509(certificate, &to) == len);
    b->len += (size_t)len;
}

/* Length and DER of each certificate above the leaf, as the peer sent them. */
static struct buf upper_chain(SSL *ssl)
{
    struct buf b = {0};
    STACK_OF(X509) *sent = SSL_get_peer_cert_chain(ssl);
    for (int i = 0; i < sk_X509_num(sent) && i < LINK_CHAIN_MAX - 1; i++)
        put_certificate(&b, sk_X509_value(sent, i));
    return b;
}

void tls_remember_chain(struct ssl_st *ssl)
{
    /* A resumed session still carries what its first ticket was given. */
    if (SSL_session_reused(ssl))
        return;
    struct buf upper = upper_chain(ssl);
    if (upper.len)
        CHECK(SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), upper.data, upper.len) == 1);
    buf_fini(&upper);
}

uint8_t *tls_chain(struct ssl_st *ssl, struct span chain[LINK_CHAIN_MAX], unsigned *count)
{
    *count = 0;
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    if (!leaf)
        return NULL;
    struct buf all = {0};
    put_certificate(&all, leaf);
    if (SSL_session_reused(ssl)) {
        void *kept = NULL;
        size_t kept_len = 0;
        if (SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &kept, &kept_len) == 1)
            buf_put(&all, span_of(kept, kept_len));
    } else {
        struct buf upper = upper_chain(ssl);
        buf_put(&all, buf_span(&upper));
        buf_fini(&upper);
    }
    for (struct span rest = buf_span(&all); rest.len && *count < LINK_CHAIN_MAX;) {
        size_t len = load_u32le(rest.data);
        chain[(*count)++] = span_of(rest.data + 4, len);
        rest = span_skip(rest, 4 + len);
    }
    return all.data;
}
