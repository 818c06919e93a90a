/* TLS policy, certificates, deadlines. */
#include "net/net_fixture.h"

#include "base/test.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/certificate.h"
#include "net/system.h"

/* ── policy ── */

/* OpenSSL's own macros for this cast const away. */
static void set_list(SSL_CTX *ctx, int command, const char *list)
{
    char copy[80];
    snprintf(copy, sizeof(copy), "%s", list);
    EXPECT(SSL_CTX_ctrl(ctx, command, 0, copy) == 1);
}

static bool handshake_with(const struct fixture *f, SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    int fd = connect_to(f->tls_port);
    SSL_set_fd(ssl, fd);
    bool done = SSL_connect(ssl) == 1;
    ERR_clear_error();
    SSL_free(ssl);
    close(fd);
    return done;
}

TEST(only_the_ciphers_and_versions_of_the_policy_are_spoken)
{
    static const struct {
        const char *name, *ciphers, *groups;
        int version;
        bool want;
    } cases[] = {
        {"TLS 1.1",            "ALL:@SECLEVEL=0",                                  NULL,     TLS1_1_VERSION, false},
        {"CBC",                "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA", NULL,     TLS1_2_VERSION, false},
        {"no forward secrecy", "AES128-GCM-SHA256",                                NULL,     TLS1_2_VERSION, false},
        {"DHE",                "DHE-RSA-AES128-GCM-SHA256",                        NULL,     TLS1_2_VERSION, false},
        {"CCM",                "ECDHE-ECDSA-AES128-CCM",                           NULL,     TLS1_2_VERSION, false},
        {"AES-GCM",            "ECDHE-ECDSA-AES128-GCM-SHA256",                    NULL,     TLS1_2_VERSION, true },
        {"ChaCha20",           "ECDHE-ECDSA-CHACHA20-POLY1305",                    NULL,     TLS1_2_VERSION, true },
        {"TLS 1.3",            NULL,                                               NULL,     TLS1_3_VERSION, true },
        {"P-256",              NULL,                                               "P-256",  TLS1_3_VERSION, true },
        {"P-384",              NULL,                                               "P-384",  TLS1_3_VERSION, true },
        {"X25519",             NULL,                                               "X25519", TLS1_3_VERSION, true },
        {"P-521",              NULL,                                               "P-521",  TLS1_3_VERSION, false},
    };
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(ctx, cases[i].version);
        SSL_CTX_set_max_proto_version(ctx, cases[i].version);
        if (cases[i].ciphers)
            EXPECT(SSL_CTX_set_cipher_list(ctx, cases[i].ciphers) == 1);
        if (cases[i].groups)
            set_list(ctx, SSL_CTRL_SET_GROUPS_LIST, cases[i].groups);
        EXPECT_EQ_IN(cases[i].name, handshake_with(f, ctx), cases[i].want);
        SSL_CTX_free(ctx);
    }
    fixture_destroy(f);
}

TEST(renegotiation_is_refused)
{
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    struct client c = client_tls(f, TLS1_2_VERSION, NULL);
    uint8_t byte;
    EXPECT(SSL_renegotiate(c.ssl) == 1);
    EXPECT(SSL_do_handshake(c.ssl) != 1 || !client_receive(&c, &byte, 1));
    client_close(&c);
    fixture_destroy(f);
}

TEST(alpn_names_http_1_1_on_the_http_listener_and_else_says_nothing)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1", h2[] = "\x02h2";
    static const struct {
        const char *name;
        bool https;
        const unsigned char *offer;
        unsigned offer_len;
        const char *want;
    } cases[] = {
        {"https, both",    true,  both, sizeof(both) - 1, "http/1.1"},
        {"https, only h2", true,  h2,   sizeof(h2) - 1,   ""        },
        {"mqtt, both",     false, both, sizeof(both) - 1, ""        }
    };
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        SSL_CTX *ctx = client_context(f);
        SSL *ssl = SSL_new(ctx);
        SSL_set_alpn_protos(ssl, cases[i].offer, cases[i].offer_len);
        SSL_set_fd(ssl, connect_to(cases[i].https ? f->https_port : f->tls_port));
        EXPECT(SSL_connect(ssl) == 1);
        const unsigned char *chosen;
        unsigned len;
        SSL_get0_alpn_selected(ssl, &chosen, &len);
        EXPECT_SPAN_IN(cases[i].name, span_of(chosen, len), span_text(cases[i].want));
        close(SSL_get_fd(ssl));
        SSL_free(ssl);
        SSL_CTX_free(ctx);
    }
    fixture_destroy(f);
}

/* ── what never becomes a handshake ── */

TEST(junk_is_shown_the_door)
{
    static const struct {
        const char *name;
        struct span bytes;
    } cases[] = {
        {"plain HTTP",         SPAN_INIT("GET / HTTP/1.1\r\n\r\n")                  },
        {"plain MQTT",         SPAN_INIT("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c")    },
        {"one wrong byte",     SPAN_INIT("\x17")                                    },
        {"wrong version",      SPAN_INIT("\x16\x02\x00\x00\x01x")                   },
        {"a record too long",  SPAN_INIT("\x16\x03\x01\xff\xff")                    },
        {"SSL 2 hello",        SPAN_INIT("\x80\x2e\x01\x03\x01\x00\x15")            },
        {"not a hello",        SPAN_INIT("\x16\x03\x01\x00\x04\x0e\x00\x00\x00")    },
        {"a hello of nothing", SPAN_INIT("\x16\x03\x01\x00\x04\x01\x00\x00\x00")    },
        {"an empty record",    SPAN_INIT("\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00")},
        {"an alert",           SPAN_INIT("\x15\x03\x01\x00\x02\x02\x28")            },
    };
    struct fixture *f = fixture_create(1);
    f->config.linger_ms = 60000;
    fixture_start(f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int fd = connect_to(f->tls_port);
        int64_t start = system_now().mono_ms;
        EXPECT_EQ(send(fd, cases[i].bytes.data, cases[i].bytes.len, MSG_NOSIGNAL),
                  cases[i].bytes.len);
        uint8_t answer[100];
        while (recv(fd, answer, sizeof(answer), 0) > 0)
            ;
        if (system_now().mono_ms - start > 5000) /* of the handshake's ten seconds */
            fail_msg("%s: closed only after %d ms", cases[i].name,
                     (int)(system_now().mono_ms - start));
        close(fd);
    }
    EXPECT_EQ(f->opened, 0);
    EXPECT_EQ(fixture_stats(f).handshakes_failed, COUNT(cases));
    fixture_destroy(f);
}

TEST(a_handshake_has_a_deadline_that_trickling_does_not_move)
{
    struct fixture *f = fixture_create(1);
    f->config.handshake_ms = 2000;
    fixture_start(f);
    int64_t start = system_now().mono_ms;
    int mute = connect_to(f->tls_port), slow = connect_to(f->tls_port);
    struct client good = client_tls(f, 0, NULL);
    struct client plain = client_plain(f);
    static const uint8_t hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for (size_t i = 0; i < 1000; i++) {
        if (send(slow, i < sizeof(hello) ? hello + i : hello, 1, MSG_NOSIGNAL) < 0)
            break;
        usleep(10 * 1000);
    }
    int64_t took_ms = system_now().mono_ms - start;
    EXPECT(took_ms >= 1900);
    EXPECT(took_ms < 8000); /* the deadline without its setting is ten seconds */
    uint8_t byte;
    EXPECT(recv(mute, &byte, 1, 0) == 0);
    EXPECT_EQ(fixture_stats(f).handshakes_late, 2);
    /* Those that are through it are not touched. */
    EXPECT(client_send(&good, SPAN("x")));
    EXPECT(client_receive(&good, &byte, 1));
    EXPECT(client_send(&plain, SPAN("x")));
    EXPECT(client_receive(&plain, &byte, 1));
    client_close(&good);
    client_close(&plain);
    close(mute);
    close(slow);
    fixture_destroy(f);
}

/* When more handshakes are to be done than a turn does, a client's whole request and the end of its
 * side may have come before the server gets to the last step. */
static void dawdle(void *shard, struct now now)
{
    fixture_on_turn(shard, now);
    usleep(2000);
}

static void *say_all_and_end(void *arg)
{
    struct client c = client_tls(arg, 0, NULL);
    CHECK(client_send(&c, SPAN("0123456789")));
    shutdown(c.fd, SHUT_WR);
    uint8_t back[10];
    CHECK(client_receive(&c, back, sizeof(back)));
    client_close(&c);
    return NULL;
}

TEST(a_request_that_comes_with_the_end_of_the_handshake_and_of_the_peer_is_heard)
{
    struct fixture *f = fixture_create(1);
    f->events.on_turn = dawdle;
    fixture_start(f);
    pthread_t threads[48];
    for (size_t i = 0; i < COUNT(threads); i++)
        EXPECT(pthread_create(&threads[i], NULL, say_all_and_end, f) == 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(fixture_stats(f).handshakes, COUNT(threads));
    EXPECT(wait_until(&f->closed, COUNT(threads)));
    fixture_destroy(f);
}

TEST(broken_records_after_the_handshake_end_the_link)
{
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    struct client c = client_tls(f, TLS1_3_VERSION, NULL);
    EXPECT(wait_until(&f->opened, 1));
    EXPECT(send(c.fd, "\x17\x03\x03\x00\x20 this is not a record of theirs ", 37, 0) == 37);
    EXPECT(wait_until(&f->closed, 1));
    EXPECT_EQ(f->last_why, BAD_PACKET);
    client_close(&c);
    fixture_destroy(f);
}

TEST(a_flood_of_key_updates_from_one_who_does_not_read_ends_the_link)
{
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    struct client c = client_tls(f, TLS1_3_VERSION, NULL);
    for (int i = 0; i < 1000000 && !f->closed; i++) {
        SSL_key_update(c.ssl, SSL_KEY_UPDATE_REQUESTED);
        if (SSL_do_handshake(c.ssl) != 1)
            break;
    }
    EXPECT(wait_until(&f->closed, 1));
    EXPECT_EQ(f->last_why, SLOW_READER);
    client_close(&c);
    fixture_destroy(f);
}

/* ── certificates ── */

TEST(new_certificates_serve_new_connections_and_bad_ones_change_nothing)
{
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    struct client old = client_tls(f, 0, NULL);
    struct buf why = {0};
    struct net_certificate both[2], bad = {"/nonexistent.pem", "/nonexistent.key"};
    EXPECT(!net_certificates(f->net, &bad, 1, &why));
    EXPECT(memmem(why.data, why.len, "/nonexistent.pem", 16) != NULL);
    buf_clear(&why);
    EXPECT_EQ(pki_certificates(f->pki, both), 1);
    bad = (struct net_certificate){both[0].chain, both[0].chain}; /* no key in it */
    EXPECT(!net_certificates(f->net, &bad, 1, &why));
    struct client same = client_tls(f, 0, NULL);
    EXPECT(net_certificates(f->net, both, 1, &why));
    struct client fresh = client_tls(f, 0, NULL);
    struct client *all[] = {&old, &same, &fresh};
    for (size_t i = 0; i < COUNT(all); i++) {
        uint8_t byte;
        EXPECT(client_send(all[i], SPAN("x")));
        EXPECT(client_receive(all[i], &byte, 1));
        client_close(all[i]);
    }
    buf_fini(&why);
    fixture_destroy(f);
}

static atomic_uint rsa_ready;

static void on_rsa(void *ctx, bool ok, struct span why)
{
    struct fixture *f = ctx;
    struct buf text = {0};
    struct net_certificate both[2];
    CHECK(ok && why.len == 0);
    CHECK(net_certificates(f->net, both, pki_certificates(f->pki, both), &text));
    atomic_store(&rsa_ready, 1);
}

TEST(clients_without_ecdsa_are_served_once_the_rsa_chain_is_there)
{
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    SSL_CTX *ctx = client_context(f);
    set_list(ctx, SSL_CTRL_SET_SIGALGS_LIST, "RSA-PSS+SHA256:RSA+SHA256");
    EXPECT(!handshake_with(f, ctx));
    SSL_CTX_free(ctx);
    pki_start_rsa(f->pki, on_rsa, f);
    for (int i = 0; i < 12 && !wait_until(&rsa_ready, 1); i++)
        ;
    EXPECT_EQ(rsa_ready, 1);
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < COUNT(versions); i++) {
        ctx = client_context(f); /* ca.pem has both CAs now */
        set_list(ctx, SSL_CTRL_SET_SIGALGS_LIST, "RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA256");
        struct client c = client_tls(f, versions[i], ctx);
        /* Whoever can do both is given the cheap one, whatever it likes better. */
        EXPECT_EQ(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(c.ssl))),
                  EVP_PKEY_EC);
        client_close(&c);
        set_list(ctx, SSL_CTRL_SET_SIGALGS_LIST, "RSA-PSS+SHA256:RSA+SHA256");
        c = client_tls(f, versions[i], ctx);
        EXPECT_EQ(EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(c.ssl))),
                  EVP_PKEY_RSA);
        client_close(&c);
        SSL_CTX_free(ctx);
    }
    fixture_destroy(f);
}

TEST_MAIN(RUN(only_the_ciphers_and_versions_of_the_policy_are_spoken),
          RUN(renegotiation_is_refused),
          RUN(alpn_names_http_1_1_on_the_http_listener_and_else_says_nothing),
          RUN(junk_is_shown_the_door), RUN(a_handshake_has_a_deadline_that_trickling_does_not_move),
          RUN(a_request_that_comes_with_the_end_of_the_handshake_and_of_the_peer_is_heard),
          RUN(broken_records_after_the_handshake_end_the_link),
          RUN(a_flood_of_key_updates_from_one_who_does_not_read_ends_the_link),
          RUN(new_certificates_serve_new_connections_and_bad_ones_change_nothing),
          RUN(clients_without_ecdsa_are_served_once_the_rsa_chain_is_there))
