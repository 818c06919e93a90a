#include "net/pki.h"

#include "base/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/system.h"

static const int64_t day_ms = 86400000;
static const struct now start = {.wall_ms = 1772612430000, .mono_ms = 1}; /* March 2026 */

static struct now days_later(int days)
{
    return (struct now){.wall_ms = start.wall_ms + days * day_ms, .mono_ms = 1};
}

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/twinhub-pki.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d)))
        unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
    return rmdir(dir);
}

static struct pki *open_with(const char *name, struct now now)
{
    struct buf why = {0};
    struct pki *p = pki_open(dir, &name, name ? 1 : 0, system_random(), now, &why);
    if (!p)
        fail_msg("%.*s", SPAN_ARG(buf_span(&why)));
    return p;
}

static struct buf file_bytes(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    struct buf b = {0};
    int fd = open(path, O_RDONLY);
    EXPECT(fd >= 0);
    buf_reserve(&b, 65536);
    ssize_t n = read(fd, b.data, 65536);
    EXPECT(n > 0);
    b.len = (size_t)n;
    close(fd);
    return b;
}

static bool same_files(struct buf *a, struct buf *b)
{
    bool same = span_eq(buf_span(a), buf_span(b));
    buf_fini(a);
    buf_fini(b);
    return same;
}

/* Does the chain in `pem` verify for `name` with ca.pem, as a client would do it at that time? */
static bool verifies(const char *pem, const char *name, struct now now)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/ca.pem", dir);
    struct buf text = file_bytes(pem);
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509_STORE *store = X509_STORE_new();
    EXPECT(X509_STORE_load_file(store, path) == 1);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    EXPECT(X509_STORE_CTX_init(ctx, store, leaf, NULL) == 1);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)(now.wall_ms / 1000));
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1)
        EXPECT(X509_VERIFY_PARAM_set1_host(param, name, 0) == 1);
    bool good = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(leaf);
    BIO_free(bio);
    buf_fini(&text);
    return good;
}

TEST(the_first_start_makes_a_ca_and_a_certificate_that_clients_accept)
{
    struct pki *p = open_with("hub.example.com", start);
    static const struct {
        const char *name;
        bool good;
    } names[] = {
        {"localhost",       true },
        {"127.0.0.1",       true },
        {"::1",             true },
        {"hub.example.com", true },
        {"127.0.0.2",       false},
        {"example.com",     false}
    };
    for (size_t i = 0; i < COUNT(names); i++)
        EXPECT_EQ_IN(names[i].name, verifies("server.pem", names[i].name, start), names[i].good);
    char host[256] = "";
    gethostname(host, sizeof(host));
    EXPECT(verifies("server.pem", host, start));
    EXPECT(verifies("server.pem", "localhost", days_later(396)));
    EXPECT(!verifies("server.pem", "localhost", days_later(398)));

    static const struct {
        const char *name;
        mode_t mode;
    } modes[] = {
        {"ca.pem",     0644},
        {"ca.key",     0600},
        {"server.pem", 0644},
        {"server.key", 0600}
    };
    for (size_t i = 0; i < COUNT(modes); i++) {
        char path[128];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", dir, modes[i].name);
        EXPECT(stat(path, &st) == 0);
        EXPECT_EQ_IN(modes[i].name, st.st_mode & 07777, modes[i].mode);
    }
    struct buf told = {0}, file = file_bytes("ca.pem");
    pki_ca_pem(p, &told);
    EXPECT(same_files(&told, &file));
    struct net_certificate ready[2];
    EXPECT_EQ(pki_certificates(p, ready), 1);
    pki_close(p);
}

TEST(the_ca_signs_leaves_only_and_says_so)
{
    struct pki *p = open_with(NULL, start);
    struct buf text = file_bytes("ca.pem"), fingerprint = {0}, want = {0};
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    X509 *ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    EXPECT_EQ(X509_check_ca(ca), 1);
    EXPECT_EQ(X509_get_pathlen(ca), 0);
    EXPECT_EQ(X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    EXPECT(X509_get_serialNumber(ca)->length == 16);
    uint8_t digest[32];
    EXPECT(X509_digest(ca, EVP_sha256(), digest, NULL) == 1);
    for (int i = 0; i < 32; i++)
        buf_printf(&want, "%s%02X", i ? ":" : "", digest[i]);
    pki_fingerprint(p, &fingerprint);
    EXPECT_SPAN(buf_span(&fingerprint), buf_span(&want));
    X509_free(ca);
    BIO_free(bio);
    buf_fini(&text);
    buf_fini(&want);
    buf_fini(&fingerprint);
    pki_close(p);
}

TEST(a_restart_changes_nothing)
{
    static const char *const names[] = {"ca.pem", "ca.key", "server.pem", "server.key"};
    struct buf before[COUNT(names)];
    pki_close(open_with("a.example", start));
    for (size_t i = 0; i < COUNT(names); i++)
        before[i] = file_bytes(names[i]);
    pki_close(open_with("a.example", days_later(366)));
    pki_close(open_with(NULL, days_later(366))); /* a name too many is no reason */
    for (size_t i = 0; i < COUNT(names); i++) {
        struct buf after = file_bytes(names[i]);
        EXPECT_EQ_IN(names[i], same_files(&before[i], &after), true);
    }
}

/* What makes the server's certificate be issued anew; the CA stays in each case. */
static void lose_key(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/server.key", dir);
    unlink(path);
}

static void spoil_certificate(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/server.pem", dir);
    EXPECT(truncate(path, 100) == 0);
}

/* A crash between the two files: the key is new, the certificate is not. */
static void swap_key(void)
{
    char from[128], to[128];
    snprintf(from, sizeof(from), "%s/ca.key", dir);
    snprintf(to, sizeof(to), "%s/server.key", dir);
    unlink(to);
    EXPECT(link(from, to) == 0);
}

TEST(the_server_certificate_is_issued_anew_when_it_does_not_serve)
{
    static const struct {
        const char *name, *wanted;
        void (*spoil)(void);
        int days;
        bool anew;
    } cases[] = {
        {"nothing is wrong",    "a.example",   NULL,              0,   false},
        {"a new DNS name",      "b.example",   NULL,              0,   true },
        {"a new address",       "192.0.2.7",   NULL,              0,   true },
        {"a new address, IPv6", "2001:db8::7", NULL,              0,   true },
        {"31 days left",        "a.example",   NULL,              366, false},
        {"29 days left",        "a.example",   NULL,              368, true },
        {"expired",             "a.example",   NULL,              500, true },
        {"no key",              "a.example",   lose_key,          0,   true },
        {"half a certificate",  "a.example",   spoil_certificate, 0,   true },
        {"another key",         "a.example",   swap_key,          0,   true },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        remove_dir(NULL);
        pki_close(open_with("a.example", start)); /* makes the folder, too */
        struct buf ca = file_bytes("ca.pem"), leaf = file_bytes("server.pem");
        if (cases[i].spoil)
            cases[i].spoil();
        pki_close(open_with(cases[i].wanted, days_later(cases[i].days)));
        struct buf ca_after = file_bytes("ca.pem"), leaf_after = file_bytes("server.pem");
        EXPECT_EQ_IN(cases[i].name, same_files(&ca, &ca_after), true);
        EXPECT_EQ_IN(cases[i].name, !same_files(&leaf, &leaf_after), cases[i].anew);
        EXPECT(verifies("server.pem", cases[i].wanted, days_later(cases[i].days)));
    }
}

TEST(a_running_hub_renews_in_time)
{
    struct buf why = {0};
    bool changed = true;
    struct pki *p = open_with(NULL, start);
    EXPECT(pki_renew(p, days_later(100), &changed, &why));
    EXPECT(!changed);
    EXPECT(pki_renew(p, days_later(370), &changed, &why));
    EXPECT(changed);
    EXPECT(verifies("server.pem", "localhost", days_later(700)));
    /* The last leaf ends with the CA, is not issued again and again, and then there is no more. */
    EXPECT(pki_renew(p, days_later(3640), &changed, &why));
    EXPECT(changed);
    EXPECT(pki_renew(p, days_later(3645), &changed, &why));
    EXPECT(!changed);
    EXPECT(!pki_renew(p, days_later(3660), &changed, &why));
    EXPECT(memmem(why.data, why.len, "has expired", 11) != NULL);
    buf_fini(&why);
    pki_close(p);
}

static void unlink_in_dir(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    EXPECT(unlink(path) == 0);
}

TEST(what_cannot_be_is_refused_with_a_reason)
{
    struct buf why = {0};
    static const char *const bad[] = {
        "",
        "a..b",
        "-a",
        "a-",
        "a b",
        "a.",
        "1.2.3.4.5:6",
        "*",
        "a.*.b",
        "x123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        buf_clear(&why);
        if (pki_open(dir, &bad[i], 1, system_random(), start, &why))
            fail_msg("\"%s\" was taken", bad[i]);
        EXPECT(memmem(why.data, why.len, "is neither a DNS name nor an IP address", 39) != NULL);
    }
    pki_close(open_with("*.example.com", start));
    EXPECT(verifies("server.pem", "any.example.com", start));

    buf_clear(&why);
    char file[128];
    snprintf(file, sizeof(file), "%s/ca.pem", dir);
    EXPECT(!pki_open(file, NULL, 0, system_random(), start, &why)); /* a file is no folder */
    EXPECT(memmem(why.data, why.len, "Not a directory", 15) != NULL);

    /* A CA whose key is gone is not replaced in silence. */
    unlink_in_dir("ca.key");
    buf_clear(&why);
    EXPECT(!pki_open(dir, NULL, 0, system_random(), start, &why));
    EXPECT(memmem(why.data, why.len, "has no fitting ca.key", 21) != NULL);
    /* Nor is one whose certificate cannot be read. */
    FILE *f = fopen(file, "r+e");
    EXPECT(f && fseek(f, 200, SEEK_SET) == 0 && fputs("!!!!", f) >= 0 && fclose(f) == 0);
    buf_clear(&why);
    EXPECT(!pki_open(dir, NULL, 0, system_random(), start, &why));
    EXPECT(memmem(why.data, why.len, "is damaged", 10) != NULL);
    EXPECT(truncate(file, 20) == 0);
    buf_clear(&why);
    EXPECT(!pki_open(dir, NULL, 0, system_random(), start, &why));
    EXPECT(memmem(why.data, why.len, "is damaged", 10) != NULL);
    /* A key that was never published, as a crash may leave it, is. */
    unlink_in_dir("ca.pem");
    pki_close(open_with(NULL, start));
    EXPECT(verifies("server.pem", "localhost", start));
    buf_fini(&why);
}

static atomic_int rsa_done;

static void on_ready(void *ctx, bool ok, struct span why)
{
    struct net_certificate both[2];
    EXPECT_SPAN(why, SPAN(""));
    EXPECT_EQ(pki_certificates(ctx, both), 2);
    atomic_fetch_add(&rsa_done, ok);
}

TEST(the_rsa_chain_joins_in_the_background_and_is_kept)
{
    struct pki *p = open_with("hub.example.com", start);
    struct buf one = file_bytes("ca.pem");
    pki_start_rsa(p, on_ready, p);
    for (int i = 0; i < 600 && !rsa_done; i++)
        usleep(100 * 1000);
    EXPECT_EQ(rsa_done, 1);
    EXPECT(verifies("server-rsa.pem", "hub.example.com", start));
    EXPECT(verifies("server.pem", "hub.example.com", start));
    struct buf both = file_bytes("ca.pem"), told = {0};
    EXPECT(span_starts(buf_span(&both), buf_span(&one)));
    EXPECT(both.len > one.len);
    pki_ca_pem(p, &told);
    EXPECT_SPAN(buf_span(&told), buf_span(&both));
    bool changed;
    struct buf why = {0};
    EXPECT(pki_renew(p, days_later(380), &changed, &why)); /* both */
    EXPECT(changed);
    EXPECT(verifies("server-rsa.pem", "localhost", days_later(700)));
    pki_close(p);

    /* Opened again, the RSA chain is looked up, not made. */
    p = open_with("hub.example.com", days_later(380));
    pki_start_rsa(p, on_ready, p);
    pki_close(p);
    EXPECT_EQ(rsa_done, 2);
    struct buf again = file_bytes("ca.pem");
    EXPECT(same_files(&again, &both));
    buf_fini(&one);
    buf_fini(&told);
}

#define RUN_IN_DIR(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

TEST_MAIN(RUN_IN_DIR(the_first_start_makes_a_ca_and_a_certificate_that_clients_accept),
          RUN_IN_DIR(the_ca_signs_leaves_only_and_says_so), RUN_IN_DIR(a_restart_changes_nothing),
          RUN_IN_DIR(the_server_certificate_is_issued_anew_when_it_does_not_serve),
          RUN_IN_DIR(a_running_hub_renews_in_time),
          RUN_IN_DIR(what_cannot_be_is_refused_with_a_reason),
          RUN_IN_DIR(the_rsa_chain_joins_in_the_background_and_is_kept))
