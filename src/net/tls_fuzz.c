/* Whatever a stranger sends instead of a handshake: the same end in one piece and in small ones, no
 * handshake done without a key, and an answer that stays small. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/pki.h"
#include "net/system.h"
#include "net/tls.h"
#include "net/tls_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tls_server *server(void)
{
    static struct tls_server *made;
    if (made)
        return made;
    char dir[] = "/tmp/twinhub-fuzz.XXXXXX";
    struct buf why = {0};
    struct net_certificate certificate[2];
    CHECK(mkdtemp(dir) != NULL);
    struct pki *p = pki_open(dir, NULL, 0, system_random(), system_now(), &why);
    CHECK(p != NULL);
    made = tls_server_create(system_random(), NULL);
    CHECK(tls_server_load(made, certificate, pki_certificates(p, certificate), &why));
    pki_close(p);
    static const char *const names[] = {"ca.pem", "ca.key", "server.pem", "server.key"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        CHECK(unlink(path) == 0);
    }
    CHECK(rmdir(dir) == 0);
    return made;
}

/* How it ends when the input comes in pieces of that size. */
static enum tls_result feed(struct span in, size_t piece)
{
    struct ssl_st *ssl = tls_server_accept(server(), LINK_HTTP);
    struct buf out = {0};
    enum tls_result result = TLS_WAIT;
    while (in.len && result == TLS_WAIT) {
        struct span now = span_first(in, piece);
        in = span_skip(in, now.len);
        result = tls_handshake(ssl, &now, &out);
        CHECK(result != TLS_DONE);
        CHECK(result != TLS_WAIT || now.len == 0);
    }
    CHECK(out.len < 16384);
    buf_fini(&out);
    tls_destroy(ssl);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    CHECK(feed(in, size) == feed(in, 1 + size / 5));
    return 0;
}
