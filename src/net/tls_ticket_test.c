/* Session tickets: what they show of a client, and where they are good. */
#include "net/net_fixture.h"

#include "base/test.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/x509.h>
#include <unistd.h>

#include "base/check.h"
#include "net/certificate.h"
#include "net/system.h"
#include "net/ticket.h"

/* A device's chain: leaf, intermediate, root. None of them means anything to the server. */
struct chain {
    EVP_PKEY *key[3];
    X509 *certificate[3];
};

static struct chain make_chain(void)
{
    struct chain c;
    for (int i = 2; i >= 0; i--) {
        static const char *const names[] = {"d1", "factory", "root"};
        c.key[i] = certificate_new_key(KEY_EC);
        c.certificate[i] = certificate_new_ca(c.key[i], names[i], system_random(), system_now());
        int signer = i < 2 ? i + 1 : i;
        X509_set_issuer_name(c.certificate[i], X509_get_subject_name(c.certificate[signer]));
        EXPECT(X509_sign(c.certificate[i], c.key[signer], EVP_sha256()) > 0);
    }
    return c;
}

static void free_chain(struct chain *c)
{
    for (int i = 0; i < 3; i++) {
        EVP_PKEY_free(c->key[i]);
        X509_free(c->certificate[i]);
    }
}

/* On opening, the chain is kept here for the test to see. */
static struct buf seen[LINK_CHAIN_MAX];
static atomic_uint seen_count;

static void keep_chain(void *shard, struct link *l)
{
    for (unsigned i = 0; i < l->chain_count; i++) {
        buf_clear(&seen[i]);
        buf_put(&seen[i], l->chain[i]);
    }
    atomic_store(&seen_count, l->chain_count);
    fixture_on_open(shard, l);
}

static void expect_seen(const struct chain *c, unsigned count)
{
    EXPECT_EQ(seen_count, count);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *der = NULL;
        int len = i2d_X509(c->certificate[i], &der);
        EXPECT_SPAN(buf_span(&seen[i]), span_of(der, (size_t)len));
        OPENSSL_free(der);
    }
}

static SSL_SESSION *session;

static int keep_session(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = s;
    return 1;
}

static void use_chain(SSL_CTX *ctx, const struct chain *c)
{
    EXPECT(SSL_CTX_use_certificate(ctx, c->certificate[0]) == 1);
    EXPECT(SSL_CTX_use_PrivateKey(ctx, c->key[0]) == 1);
    EXPECT(SSL_CTX_add1_chain_cert(ctx, c->certificate[1]) == 1);
    EXPECT(SSL_CTX_add1_chain_cert(ctx, c->certificate[2]) == 1);
}

static SSL_CTX *context_of(const struct fixture *f, int version, const struct chain *chain)
{
    SSL_CTX *ctx = client_context(f);
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    if (chain)
        use_chain(ctx, chain);
    return ctx;
}

/* Connect with the last ticket, if there is one, and take the next: was the connection resumed? */
static bool connect_and_resume(struct fixture *f, SSL_CTX *ctx, const struct chain *chain)
{
    unsigned opened = f->opened;
    struct client c = {.fd = connect_to(f->tls_port), .ssl = SSL_new(ctx)};
    SSL_set_fd(c.ssl, c.fd);
    if (session)
        SSL_set_session(c.ssl, session);
    EXPECT(SSL_connect(c.ssl) == 1);
    uint8_t back[4];
    EXPECT(client_send(&c, SPAN("ping")));
    EXPECT(client_receive(&c, back, 4)); /* TLS 1.3 tickets come before it */
    bool resumed = SSL_session_reused(c.ssl);
    EXPECT(wait_until(&f->opened, opened + 1));
    expect_seen(chain, chain ? 3 : 0);
    SSL_shutdown(c.ssl);
    client_close(&c);
    return resumed;
}

static void forget_session(void)
{
    SSL_SESSION_free(session);
    session = NULL;
}

static void end_tickets(struct chain *chain)
{
    free_chain(chain);
    forget_session();
    for (int i = 0; i < LINK_CHAIN_MAX; i++)
        buf_fini(&seen[i]);
}

/* A first connection, then three resumed ones, each by the ticket of the one before. */
static void connect_four_times(struct fixture *f, int version, const struct chain *chain)
{
    SSL_CTX *ctx = context_of(f, version, chain);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ_IN(chain ? "chain" : "no chain", connect_and_resume(f, ctx, chain), i > 0);
    forget_session();
    SSL_CTX_free(ctx);
}

TEST(a_ticket_resumes_and_still_shows_the_whole_chain)
{
    struct fixture *f = fixture_create(2); /* a ticket of one loop is good in the other */
    f->events.on_open = keep_chain;
    fixture_start(f);
    struct chain chain = make_chain();
    connect_four_times(f, TLS1_2_VERSION, NULL);
    connect_four_times(f, TLS1_3_VERSION, NULL);
    connect_four_times(f, TLS1_2_VERSION, &chain);
    connect_four_times(f, TLS1_3_VERSION, &chain);
    struct net_stats stats = fixture_stats(f);
    EXPECT_EQ(stats.handshakes, 16);
    EXPECT_EQ(stats.resumed, 12);
    fixture_destroy(f);
    end_tickets(&chain);
}

static struct fixture *hub_of(const unsigned char *secret)
{
    struct fixture *f = fixture_create(1);
    f->events.on_open = keep_chain;
    f->config.ticket_secret = secret;
    fixture_start(f);
    return f;
}

static const unsigned char ours[TICKET_SECRET] = {1}, theirs[TICKET_SECRET] = {2};

TEST(a_ticket_of_tls_13_without_a_certificate_is_good_at_another_hub_of_the_same_secret)
{
    static const struct {
        const char *name;
        int version;
        bool certificate;
        const unsigned char *before, *after;
        bool want;
    } cases[] = {
        {"1.3, the same secret",   TLS1_3_VERSION, false, ours, ours,   true },
        {"1.3, another secret",    TLS1_3_VERSION, false, ours, theirs, false},
        {"1.3, without a secret",  TLS1_3_VERSION, false, NULL, NULL,   false},
        {"1.3, a certificate",     TLS1_3_VERSION, true,  ours, ours,   false},
        {"1.2, its keys are gone", TLS1_2_VERSION, false, ours, ours,   false},
    };
    struct chain chain = make_chain();
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct chain *shown = cases[i].certificate ? &chain : NULL;
        for (int again = 0; again < 2; again++) {
            struct fixture *f = hub_of(again ? cases[i].after : cases[i].before);
            SSL_CTX *ctx = context_of(f, cases[i].version, shown);
            EXPECT_EQ_IN(cases[i].name, connect_and_resume(f, ctx, shown), again && cases[i].want);
            SSL_CTX_free(ctx);
            fixture_destroy(f);
        }
        forget_session();
    }
    end_tickets(&chain);
}

/* What whoever has the secret can do: a server of their own seals with the hub's key. */
static int seal_as_the_hub(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                           EVP_MAC_CTX *mac, int encrypt)
{
    (void)ssl;
    EXPECT(encrypt);
    struct ticket_series series = {0};
    memcpy(series.secret, ours, sizeof(ours));
    struct ticket_key key = ticket_series_seal(&series, system_now().wall_ms);
    memcpy(name, key.name, sizeof(key.name));
    memset(iv, 7, 16);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof(key.mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    EXPECT(EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1);
    EXPECT(EVP_MAC_CTX_set_params(mac, params) == 1);
    return 1;
}

static int accept_any(X509_STORE_CTX *store, void *arg)
{
    (void)store, (void)arg;
    return 1;
}

/* Its ticket, with the certificate of the client if there is one, is then `session`. */
static void forge(SSL_CTX *client_ctx, const struct chain *server)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    use_chain(ctx, server);
    EXPECT(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") == 1); /* the hub's first */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
    EXPECT(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"twinhub", 7) == 1);
    EXPECT(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, seal_as_the_hub) == 1);
    SSL *ends[2] = {SSL_new(client_ctx), SSL_new(ctx)};
    BIO *pipes[2];
    EXPECT(BIO_new_bio_pair(&pipes[0], 0, &pipes[1], 0) == 1);
    for (int i = 0; i < 2; i++)
        SSL_set_bio(ends[i], pipes[i], pipes[i]);
    SSL_set_verify(ends[0], SSL_VERIFY_NONE, NULL);
    SSL_set_connect_state(ends[0]);
    SSL_set_accept_state(ends[1]);
    uint8_t none;
    for (int i = 0; i < 20 && !session; i++) { /* to and fro, until its ticket is there */
        EXPECT(SSL_read(ends[0], &none, 1) < 1);
        EXPECT(SSL_read(ends[1], &none, 1) < 1);
    }
    EXPECT(session);
    SSL_shutdown(ends[0]); /* or it would not be one to resume */
    SSL_free(ends[0]);
    SSL_free(ends[1]);
    SSL_CTX_free(ctx);
}

TEST(a_ticket_that_someone_with_the_secret_made_shows_no_certificate)
{
    struct chain chain = make_chain();
    for (int certificate = 0; certificate < 2; certificate++) {
        struct fixture *f = hub_of(ours);
        SSL_CTX *forging = context_of(f, TLS1_3_VERSION, certificate ? &chain : NULL);
        forge(forging, &chain);
        SSL_CTX *ctx = context_of(f, TLS1_3_VERSION, NULL); /* it has no key of the chain */
        EXPECT_EQ(connect_and_resume(f, ctx, NULL), !certificate);
        SSL_CTX_free(forging);
        SSL_CTX_free(ctx);
        fixture_destroy(f);
        forget_session();
    }
    end_tickets(&chain);
}

TEST_MAIN(RUN(a_ticket_resumes_and_still_shows_the_whole_chain),
          RUN(a_ticket_of_tls_13_without_a_certificate_is_good_at_another_hub_of_the_same_secret),
          RUN(a_ticket_that_someone_with_the_secret_made_shows_no_certificate))
