#include "net/tls_server.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>

#include "net/system.h"
#include "net/ticket.h"
#include "net/tls.h"

enum { MAX_CHAIN_BYTES = 32 * 1024 };

/* For an encrypted key file: rather than asking on the terminal. */
static char no_password[] = "";

struct tls_server {
    struct random random;
    pthread_mutex_t lock;         /* guards all below; held for a copy */
    SSL_CTX *ctx;                 /* NULL until certificates are loaded */
    struct tickets tickets_12;    /* of TLS 1.2 */
    struct tickets tickets_13;    /* of TLS 1.3, with a client's certificate */
    struct ticket_series lasting; /* of TLS 1.3, without */
};

static struct ticket_key seal_with(struct tls_server *t, bool is_13, bool has_certificate)
{
    struct now now = system_now();
    pthread_mutex_lock(&t->lock);
    struct ticket_key key =
        is_13 && !has_certificate
            ? ticket_series_seal(&t->lasting, now.wall_ms)
            : tickets_seal(is_13 ? &t->tickets_13 : &t->tickets_12, t->random, now.mono_ms);
    pthread_mutex_unlock(&t->lock);
    return key;
}

static enum ticket_age open_with(struct tls_server *t, bool is_13, const unsigned char *name,
                                 struct ticket_key *key, bool *lasting)
{
    struct now now = system_now();
    pthread_mutex_lock(&t->lock);
    enum ticket_age age =
        tickets_open(is_13 ? &t->tickets_13 : &t->tickets_12, name, now.mono_ms, key);
    *lasting = is_13 && age == TICKET_UNKNOWN;
    if (*lasting)
        age = ticket_series_open(&t->lasting, name, now.wall_ms, key);
    pthread_mutex_unlock(&t->lock);
    return age;
}

/* OpenSSL's callback for both ways: 0 means "no such ticket", 2 "renew it", below 0 ends the
 * handshake. The values of enum ticket_age are its own. */
static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int encrypt)
{
    struct tls_server *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    bool is_13 = SSL_version(ssl) == TLS1_3_VERSION, lasting;
    int found = TICKET_CURRENT;
    if (encrypt)
        key = seal_with(t, is_13, SSL_get0_peer_certificate(ssl));
    else
        found = (int)open_with(t, is_13, name, &key, &lasting);
    if (!found)
        return 0;
    if (encrypt) {
        memcpy(name, key.name, sizeof(key.name));
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            found = -1;
    }
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof(key.mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    if (found &&
        (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, encrypt) != 1 ||
         EVP_MAC_CTX_set_params(mac, params) != 1))
        found = -1;
    OPENSSL_cleanse(&key, sizeof(key));
    return found;
}

static int on_ticket_made(SSL *ssl, void *arg)
{
    (void)arg;
    tls_remember_chain(ssl);
    return 1;
}

/* Sealed with a key of the series, and with a certificate: then it is none of ours. Whoever has the
 * secret could make it. */
static bool is_forged(SSL *ssl, SSL_SESSION *session, const unsigned char *name)
{
    struct tls_server *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    bool lasting;
    if (!session || !SSL_SESSION_get0_peer(session) || SSL_version(ssl) != TLS1_3_VERSION)
        return false;
    enum ticket_age age = open_with(t, true, name, &key, &lasting);
    OPENSSL_cleanse(&key, sizeof(key));
    return age == TICKET_UNKNOWN || lasting;
}

static SSL_TICKET_RETURN on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                          size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
    (void)name_len, (void)arg;
    if (is_forged(ssl, session, name))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    switch (status) {
    case SSL_TICKET_SUCCESS: /* RFC 8446 C.4: in TLS 1.3 a client uses each ticket once */
        return SSL_version(ssl) == TLS1_3_VERSION ? SSL_TICKET_RETURN_USE_RENEW
                                                  : SSL_TICKET_RETURN_USE;
    case SSL_TICKET_SUCCESS_RENEW:
        return SSL_TICKET_RETURN_USE_RENEW;
    case SSL_TICKET_EMPTY:
    case SSL_TICKET_NO_DECRYPT:
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    default:
        return SSL_TICKET_RETURN_IGNORE;
    }
}

/* Any certificate will do here; that its key is at hand, TLS itself proves. */
static int accept_any(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

/* RFC 7301: HTTP/1.1 on the HTTP listener. Whoever offers only other names gets no answer rather
 * than an alert: the Azure SDKs know no ALPN. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char http[] = "\x08http/1.1";
    (void)arg;
    if (tls_kind(ssl) != LINK_HTTP)
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, http, sizeof(http) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_context(struct tls_server *t)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        check_no_memory();
    /* ECDSA first: it costs the hub a twentieth of an RSA signature. */
    CHECK(SSL_CTX_set_cipher_list(ctx,
                                  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                                  "ECDHE-ECDSA-CHACHA20-POLY1305:"
                                  "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:"
                                  "ECDHE-RSA-CHACHA20-POLY1305") == 1);
    CHECK(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                        "TLS_CHACHA20_POLY1305_SHA256") == 1);
    static char groups[] = "X25519:P-256:P-384"; /* the macro casts const away */
    CHECK(SSL_CTX_set1_groups_list(ctx, groups) == 1);
    CHECK(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
    SSL_CTX_set_max_cert_list(ctx, MAX_CHAIN_BYTES);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, no_password);

    SSL_CTX_set_app_data(ctx, t);
    CHECK(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"twinhub", 7) == 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, (long)(ticket_key_ms / 1000));
    SSL_CTX_set_num_tickets(ctx, 1);
    CHECK(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket_key) == 1);
    CHECK(SSL_CTX_set_session_ticket_cb(ctx, on_ticket_made, on_ticket_opened, NULL) == 1);
    return ctx;
}

struct tls_server *tls_server_create(struct random random, const unsigned char *ticket_secret)
{
    struct tls_server *t = calloc(1, sizeof(*t));
    if (!t)
        check_no_memory();
    t->random = random;
    if (ticket_secret)
        memcpy(t->lasting.secret, ticket_secret, TICKET_SECRET);
    else
        random_fill(random, t->lasting.secret, TICKET_SECRET);
    CHECK(pthread_mutex_init(&t->lock, NULL) == 0);
    return t;
}

void tls_server_destroy(struct tls_server *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->lock);
    OPENSSL_cleanse(t, sizeof(*t));
    free(t);
}

static bool load_one(SSL_CTX *ctx, const struct net_certificate *c, struct buf *why)
{
    const char *failed = NULL;
    if (SSL_CTX_use_certificate_chain_file(ctx, c->chain) != 1)
        failed = c->chain;
    else if (SSL_CTX_use_PrivateKey_file(ctx, c->key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(ctx) != 1)
        failed = c->key;
    if (failed) {
        char text[160];
        ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
        buf_printf(why, "cannot use %s as the server's %s: %s", failed,
                   failed == c->key ? "key" : "certificate", text);
    }
    ERR_clear_error();
    return !failed;
}

bool tls_server_load(struct tls_server *t, const struct net_certificate *certificates,
                     unsigned count, struct buf *why)
{
    SSL_CTX *ctx = new_context(t);
    for (unsigned i = 0; i < count; i++) {
        if (!load_one(ctx, &certificates[i], why)) {
            SSL_CTX_free(ctx);
            return false;
        }
    }
    pthread_mutex_lock(&t->lock);
    SSL_CTX *former = t->ctx;
    t->ctx = ctx;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(former);
    return true;
}

bool tls_server_ready(struct tls_server *t)
{
    pthread_mutex_lock(&t->lock);
    bool ready = t->ctx != NULL;
    pthread_mutex_unlock(&t->lock);
    return ready;
}

struct ssl_st *tls_server_accept(struct tls_server *t, enum link_kind kind)
{
    pthread_mutex_lock(&t->lock);
    SSL_CTX *ctx = t->ctx;
    CHECK(ctx != NULL);
    SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&t->lock);
    SSL *ssl = tls_create(ctx, kind);
    SSL_CTX_free(ctx);
    return ssl;
}
