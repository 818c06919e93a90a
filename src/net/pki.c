#include "net/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "net/certificate.h"

static const int64_t renew_ms = 30 * 86400000LL;

/* The files of each chain; the certificates of both CAs are in one. */
static const struct files {
    const char *ca_key, *server_key, *server_pem, *common_name;
} files[KEY_KINDS] = {
    [KEY_EC] = {"ca.key",     "server.key",     "server.pem",     "twinhub CA"    },
    [KEY_RSA] = {"ca-rsa.key", "server-rsa.key", "server-rsa.pem", "twinhub RSA CA"},
};

struct pki {
    char *dir, *ca_path;
    char *chain_path[KEY_KINDS], *key_path[KEY_KINDS];
    struct random random;
    struct now opened;
    GENERAL_NAMES *names;
    struct buf fingerprint;

    pthread_mutex_t work;            /* held while files are looked at and made */
    struct issuer issuer[KEY_KINDS]; /* guarded by `work` */

    pthread_mutex_t lock; /* guards what any thread may ask for */
    struct buf ca_pem;
    bool ready[KEY_KINDS];

    pthread_t thread;
    bool has_thread;
    pki_ready_fn *on_ready;
    void *on_ready_ctx;
};

/* ── files ── */

static char *path_of(const struct pki *p, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", p->dir, name) < 0)
        check_no_memory();
    return path;
}

static bool failed(const char *what, const char *path, struct buf *why)
{
    buf_printf(why, "cannot %s %s: %s", what, path, strerror(errno));
    return false;
}

/* The file's bytes; true with none when there is no such file. */
static bool read_file(const struct pki *p, const char *name, struct buf *out, struct buf *why)
{
    char *path = path_of(p, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool fine = fd >= 0 || errno == ENOENT;
    ssize_t n = 0;
    if (fd >= 0) {
        do {
            buf_reserve(out, 4096);
            n = read(fd, out->data + out->len, 4096);
            out->len += n > 0 ? (size_t)n : 0;
        } while (n > 0);
        fine = n == 0;
        close(fd);
    }
    if (!fine)
        failed("read", path, why);
    free(path);
    return fine;
}

static bool write_and_sync(int fd, struct span bytes, mode_t mode)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0)
            return false;
        bytes = span_skip(bytes, (size_t)n);
    }
    return fchmod(fd, mode) == 0 && fsync(fd) == 0;
}

/* All of the new file or all of the old one, even across a power cut. */
static bool replace_file(const struct pki *p, const char *name, struct span bytes, mode_t mode,
                         struct buf *why)
{
    char *path = path_of(p, name), *made;
    if (asprintf(&made, "%s.new", path) < 0)
        check_no_memory();
    unlink(made);
    int fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = fd >= 0 && write_and_sync(fd, bytes, mode) && rename(made, path) == 0;
    if (fd >= 0 && close(fd) != 0)
        done = false;
    int dir_fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0 || fsync(dir_fd) != 0)
        done = false;
    if (!done)
        failed("write", path, why);
    if (dir_fd >= 0)
        close(dir_fd);
    free(made);
    free(path);
    return done;
}

/* ── PEM ── */

static void put_pem(struct buf *out, X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(bio != NULL);
    CHECK(PEM_write_bio_X509(bio, certificate) == 1);
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    buf_put(out, span_of(text, (size_t)len));
    BIO_free(bio);
}

static bool write_key(const struct pki *p, const char *name, EVP_PKEY *key, struct buf *why)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    CHECK(bio != NULL);
    CHECK(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    bool done = replace_file(p, name, span_of(text, (size_t)len), 0600, why);
    BIO_free(bio);
    return done;
}

/* For an encrypted file: rather than asking on the terminal. */
static char no_password[] = "";

/* The key of a file; NULL when it is not there or holds none. False when it cannot be read. */
static bool read_key(const struct pki *p, const char *name, EVP_PKEY **out, struct buf *why)
{
    struct buf text = {0};
    *out = NULL;
    bool fine = read_file(p, name, &text, why);
    if (fine && text.len) {
        BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
        CHECK(bio != NULL);
        *out = PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password);
        BIO_free(bio);
        OPENSSL_cleanse(text.data, text.len);
        ERR_clear_error();
    }
    buf_fini(&text);
    return fine;
}

static enum key_kind kind_of(const X509 *certificate)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate); /* NULL: of a kind nobody knows */
    return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? KEY_RSA : KEY_EC;
}

/* The first certificate of that kind in a file; NULL when there is none. *damaged: what is in the
 * file cannot all be read. */
static bool read_certificate(const struct pki *p, const char *name, enum key_kind kind, X509 **out,
                             bool *damaged, struct buf *why)
{
    struct buf text = {0};
    *out = NULL;
    *damaged = false;
    bool fine = read_file(p, name, &text, why);
    if (fine && text.len) {
        BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
        CHECK(bio != NULL);
        X509 *x = NULL;
        unsigned found = 0;
        for (; !*out && (x = PEM_read_bio_X509(bio, NULL, NULL, no_password)); found++) {
            if (kind_of(x) == kind)
                *out = x;
            else
                X509_free(x);
        }
        *damaged = !found || (!x && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE);
        BIO_free(bio);
        ERR_clear_error();
    }
    buf_fini(&text);
    return fine;
}

/* ── the CA ── */

/* The certificates of all CAs. */
static struct buf ca_text(const struct pki *p)
{
    struct buf text = {0};
    for (int kind = 0; kind < KEY_KINDS; kind++) {
        if (p->issuer[kind].certificate)
            put_pem(&text, p->issuer[kind].certificate);
    }
    return text;
}

static bool write_ca_pem(const struct pki *p, struct buf *why)
{
    struct buf text = ca_text(p);
    bool done = replace_file(p, "ca.pem", buf_span(&text), 0644, why);
    buf_fini(&text);
    return done;
}

static bool make_ca(struct pki *p, enum key_kind kind, struct buf *why)
{
    /* A few random digits, so that the CAs of two hubs can stand in one trust store. */
    uint8_t tag[4];
    struct buf name = {0};
    random_fill(p->random, tag, sizeof(tag));
    buf_text(&name, files[kind].common_name);
    buf_byte(&name, ' ');
    text_put_hex(&name, span_of(tag, sizeof(tag)));
    buf_byte(&name, 0);
    struct issuer *issuer = &p->issuer[kind];
    issuer->key = certificate_new_key(kind);
    issuer->certificate =
        certificate_new_ca(issuer->key, (const char *)name.data, p->random, p->opened);
    buf_fini(&name);
    if (write_key(p, files[kind].ca_key, issuer->key, why) && write_ca_pem(p, why))
        return true;
    X509_free(issuer->certificate);
    EVP_PKEY_free(issuer->key);
    *issuer = (struct issuer){0};
    return false;
}

/* Load the CA, or make it when it was never published: its certificate is written last. */
static bool have_ca(struct pki *p, enum key_kind kind, struct buf *why)
{
    struct issuer *issuer = &p->issuer[kind];
    if (issuer->certificate)
        return true;
    bool damaged;
    if (!read_certificate(p, "ca.pem", kind, &issuer->certificate, &damaged, why) ||
        !read_key(p, files[kind].ca_key, &issuer->key, why))
        return false;
    if (damaged) {
        buf_printf(why,
                   "%s is damaged: restore it, or move it and its keys away to start with a new CA "
                   "that every client must be given",
                   p->ca_path);
        return false;
    }
    if (!issuer->certificate) {
        EVP_PKEY_free(issuer->key);
        return make_ca(p, kind, why);
    }
    if (!issuer->key || X509_check_private_key(issuer->certificate, issuer->key) != 1) {
        ERR_clear_error();
        buf_printf(why,
                   "%s has no fitting %s: restore it, or move both away to start with a new CA "
                   "that every client must be given",
                   p->ca_path, files[kind].ca_key);
        return false;
    }
    return true;
}

/* ── the server's certificate ── */

static bool issue(struct pki *p, enum key_kind kind, struct now now, struct buf *why)
{
    const struct issuer *issuer = &p->issuer[kind];
    EVP_PKEY *key = certificate_new_key(kind);
    X509 *leaf = certificate_new_server(key, issuer, p->names, p->random, now);
    struct buf text = {0};
    put_pem(&text, leaf);
    put_pem(&text, issuer->certificate);
    bool done = write_key(p, files[kind].server_key, key, why) &&
                replace_file(p, files[kind].server_pem, buf_span(&text), 0644, why);
    buf_fini(&text);
    X509_free(leaf);
    EVP_PKEY_free(key);
    return done;
}

static bool have_server(struct pki *p, enum key_kind kind, struct now now, bool *changed,
                        struct buf *why)
{
    X509 *ca = p->issuer[kind].certificate;
    if (!certificate_lives(ca, now.wall_ms)) {
        buf_printf(why,
                   "the CA in %s has expired: move it and its keys away to start with a new one "
                   "that every client must be given",
                   p->ca_path);
        return false;
    }
    EVP_PKEY *key = NULL;
    X509 *leaf = NULL;
    bool damaged; /* or of another CA, or too old: it is made anew */
    bool fine = read_key(p, files[kind].server_key, &key, why) &&
                read_certificate(p, files[kind].server_pem, kind, &leaf, &damaged, why);
    bool serves =
        fine && key && leaf && certificate_serves(leaf, key, ca, p->names, now.wall_ms + renew_ms);
    /* A CA in its last days has nothing longer to give. */
    if (fine && key && leaf && !serves && !certificate_lives(ca, now.wall_ms + renew_ms))
        serves = certificate_serves(leaf, key, ca, p->names, now.wall_ms);
    ERR_clear_error();
    X509_free(leaf);
    EVP_PKEY_free(key);
    if (fine && !serves) {
        *changed = true;
        fine = issue(p, kind, now, why);
    }
    return fine;
}

/* One chain, complete and in date; then any thread may have it. */
static bool have_chain(struct pki *p, enum key_kind kind, struct now now, bool *changed,
                       struct buf *why)
{
    pthread_mutex_lock(&p->work);
    bool done = have_ca(p, kind, why) && have_server(p, kind, now, changed, why);
    if (done) {
        struct buf text = ca_text(p);
        pthread_mutex_lock(&p->lock);
        struct buf former = p->ca_pem;
        p->ca_pem = text;
        p->ready[kind] = true;
        pthread_mutex_unlock(&p->lock);
        buf_fini(&former);
    }
    pthread_mutex_unlock(&p->work);
    return done;
}

/* ── opening ── */

static bool want_names(struct pki *p, const char *const *names, unsigned count, struct buf *why)
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
    for (unsigned i = 0; i < count; i++) {
        if (!certificate_add_name(p->names, names[i])) {
            buf_printf(why, "\"%s\" is neither a DNS name nor an IP address", names[i]);
            return false;
        }
    }
    for (size_t i = 0; i < COUNT(always); i++)
        CHECK(certificate_add_name(p->names, always[i]));
    char host[HOST_NAME_MAX + 1] = "";
    /* A host whose name is not one for DNS goes without. */
    bool added = gethostname(host, sizeof(host)) == 0 && certificate_add_name(p->names, host);
    (void)added;
    return true;
}

static void take_fingerprint(struct pki *p)
{
    uint8_t digest[32];
    unsigned len = 0;
    CHECK(X509_digest(p->issuer[KEY_EC].certificate, EVP_sha256(), digest, &len) == 1);
    for (unsigned i = 0; i < len; i++)
        buf_printf(&p->fingerprint, i ? ":%02X" : "%02X", digest[i]);
}

struct pki *pki_open(const char *dir, const char *const *names, unsigned name_count,
                     struct random random, struct now now, struct buf *why)
{
    struct pki *p = calloc(1, sizeof(*p));
    if (!p || !(p->dir = strdup(dir)))
        check_no_memory();
    p->random = random;
    p->opened = now;
    p->ca_path = path_of(p, "ca.pem");
    for (int kind = 0; kind < KEY_KINDS; kind++) {
        p->chain_path[kind] = path_of(p, files[kind].server_pem);
        p->key_path[kind] = path_of(p, files[kind].server_key);
    }
    p->names = GENERAL_NAMES_new();
    CHECK(p->names != NULL);
    CHECK(pthread_mutex_init(&p->work, NULL) == 0);
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
    bool changed, done = want_names(p, names, name_count, why);
    if (done && mkdir(dir, 0700) != 0 && errno != EEXIST)
        done = failed("make", dir, why);
    if (!done || !have_chain(p, KEY_EC, now, &changed, why)) {
        pki_close(p);
        return NULL;
    }
    take_fingerprint(p);
    return p;
}

void pki_close(struct pki *p)
{
    if (!p)
        return;
    if (p->has_thread)
        CHECK(pthread_join(p->thread, NULL) == 0);
    for (int kind = 0; kind < KEY_KINDS; kind++) {
        X509_free(p->issuer[kind].certificate);
        EVP_PKEY_free(p->issuer[kind].key);
        free(p->chain_path[kind]);
        free(p->key_path[kind]);
    }
    GENERAL_NAMES_free(p->names);
    buf_fini(&p->ca_pem);
    buf_fini(&p->fingerprint);
    pthread_mutex_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->ca_path);
    free(p->dir);
    free(p);
}

unsigned pki_certificates(struct pki *p, struct net_certificate out[2])
{
    unsigned count = 0;
    pthread_mutex_lock(&p->lock);
    for (int kind = 0; kind < KEY_KINDS; kind++) {
        if (p->ready[kind])
            out[count++] = (struct net_certificate){p->chain_path[kind], p->key_path[kind]};
    }
    pthread_mutex_unlock(&p->lock);
    return count;
}

bool pki_renew(struct pki *p, struct now now, bool *changed, struct buf *why)
{
    struct net_certificate ready[KEY_KINDS];
    unsigned count = pki_certificates(p, ready);
    *changed = false;
    for (unsigned kind = 0; kind < count; kind++) {
        if (!have_chain(p, kind, now, changed, why))
            return false;
    }
    return true;
}

static void *run(void *arg)
{
    struct pki *p = arg;
    struct buf why = {0};
    bool changed, done = have_chain(p, KEY_RSA, p->opened, &changed, &why);
    p->on_ready(p->on_ready_ctx, done, buf_span(&why));
    buf_fini(&why);
    return NULL;
}

void pki_start_rsa(struct pki *p, pki_ready_fn *on_ready, void *ctx)
{
    CHECK(!p->has_thread);
    p->on_ready = on_ready;
    p->on_ready_ctx = ctx;
    if (pthread_create(&p->thread, NULL, run, p) != 0)
        check_no_memory(); /* for its stack */
    p->has_thread = true;
}

void pki_ca_pem(struct pki *p, struct buf *out)
{
    pthread_mutex_lock(&p->lock);
    buf_put(out, buf_span(&p->ca_pem));
    pthread_mutex_unlock(&p->lock);
}

const char *pki_ca_path(const struct pki *p)
{
    return p->ca_path;
}

void pki_fingerprint(const struct pki *p, struct buf *out)
{
    buf_put(out, buf_span(&p->fingerprint));
}
