/* What an idle connection costs (design 10): a thousand of them, printed and held to the bound. */
#include "net/net_fixture.h"

#include "base/test.h"

#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "net/system.h"

enum { LINKS = 1000, PLAIN_BOUND = 1024, TLS_BOUND = 16 * 1024 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif
#else
static const bool sanitized = false;
#endif

static long resident_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm != NULL);
    CHECK(fscanf(statm, "%ld %ld", &pages, &resident) == 2);
    fclose(statm);
    return resident * sysconf(_SC_PAGESIZE);
}

/* In a child, so that the clients' memory is not counted. Each command is answered with the
 * resident memory once as many links as it says are open. */
static int run_server(int to_parent, int from_parent)
{
    struct fixture *f = fixture_create(1);
    fixture_start(f);
    uint16_t ports[] = {f->plain_port, f->tls_port};
    CHECK(write(to_parent, ports, sizeof(ports)) == sizeof(ports));
    unsigned links;
    while (read(from_parent, &links, sizeof(links)) == sizeof(links)) {
        while (f->opened - f->closed != links)
            usleep(1000);
        usleep(200 * 1000);
        malloc_trim(0);
        long bytes = resident_bytes();
        CHECK(write(to_parent, &bytes, sizeof(bytes)) == sizeof(bytes));
    }
    fixture_destroy(f);
    return 0;
}

static long ask(int down, int up, unsigned links)
{
    long bytes = 0;
    EXPECT(write(down, &links, sizeof(links)) == sizeof(links));
    EXPECT(read(up, &bytes, sizeof(bytes)) == sizeof(bytes));
    return bytes;
}

static long measure(bool tls, int down, int up, uint16_t port)
{
    static struct client clients[LINKS];
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    long before = 0;
    for (unsigned i = 0; i < LINKS; i++) {
        if (i == 10) /* what the first ones cost is not theirs */
            before = ask(down, up, i);
        struct client *c = &clients[i];
        c->fd = connect_to(port);
        c->ssl = tls ? SSL_new(ctx) : NULL;
        if (tls) {
            SSL_set_fd(c->ssl, c->fd);
            EXPECT(SSL_connect(c->ssl) == 1);
        }
        uint8_t back[5];
        EXPECT(client_send(c, SPAN("hello")));
        EXPECT(client_receive(c, back, sizeof(back)));
    }
    long after = ask(down, up, LINKS);
    for (unsigned i = 0; i < LINKS; i++)
        client_close(&clients[i]);
    ask(down, up, 0);
    SSL_CTX_free(ctx);
    return (after - before) / (LINKS - 10);
}

TEST(idle_links_cost_little)
{
    int up[2], down[2];
    system_prepare();
    EXPECT(pipe(up) == 0);
    EXPECT(pipe(down) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(up[0]);
        close(down[1]);
        _exit(run_server(up[1], down[0]));
    }
    close(up[1]);
    close(down[0]);
    uint16_t ports[2];
    EXPECT(read(up[0], ports, sizeof(ports)) == sizeof(ports));
    long plain = measure(false, down[1], up[0], ports[0]);
    long tls = measure(true, down[1], up[0], ports[1]);
    printf("idle link: plain %ld bytes, TLS %ld bytes%s\n", plain, tls,
           sanitized ? " (with a sanitizer's)" : "");
    EXPECT(sanitized || plain <= PLAIN_BOUND);
    EXPECT(sanitized || tls <= TLS_BOUND);
    close(down[1]);
    int status;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT_EQ(status, 0);
    close(up[0]);
}

TEST_MAIN(RUN(idle_links_cost_little))
