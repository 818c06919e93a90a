/* What we rely on libcurl for, against a peer of twenty lines. That it verifies certificates is
 * tried with a real hub in tests/cli. */
#include "cli/https.h"

#include "base/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* It takes one connection and no second: each request is answered with the same text, until the
 * other side closes. */
struct peer {
    int listener;
    uint16_t port;
    struct span reply;
    struct buf heard;
    pthread_t thread;
    bool running;
};

/* Is a whole request at the end of what was heard? */
static bool is_whole(const struct buf *heard, size_t from)
{
    const char *text = (const char *)heard->data + from;
    size_t len = heard->len - from;
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    const char *length = memmem(text, len, "Content-Length: ", 16);
    return end && len >= (size_t)(end + 4 - text) + (length ? strtoul(length + 16, NULL, 10) : 0);
}

static void *serve(void *arg)
{
    struct peer *p = arg;
    char block[65536];
    int fd = accept(p->listener, NULL, NULL);
    size_t from = 0;
    for (ssize_t n; (n = read(fd, block, sizeof(block))) > 0;) {
        buf_put(&p->heard, span_of(block, (size_t)n));
        if (!is_whole(&p->heard, from))
            continue;
        from = p->heard.len;
        if (!p->reply.len || write(fd, p->reply.data, p->reply.len) < 0)
            break;
        if (memmem(p->reply.data, p->reply.len, "Connection: close", 17))
            break;
    }
    close(fd);
    return NULL;
}

static void listen_on_any(struct peer *p)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(bind(p->listener, (struct sockaddr *)&at, len), 0);
    EXPECT_EQ(listen(p->listener, 1), 0);
    EXPECT_EQ(getsockname(p->listener, (struct sockaddr *)&at, &len), 0);
    p->port = ntohs(at.sin_port);
}

static struct peer *start(const char *reply)
{
    struct peer *p = calloc(1, sizeof(*p));
    p->reply = span_text(reply);
    listen_on_any(p);
    EXPECT_EQ(pthread_create(&p->thread, NULL, serve, p), 0);
    p->running = true;
    return p;
}

/* After the client has closed: what was heard is whole. */
static void finish(struct peer *p)
{
    if (p->running)
        pthread_join(p->thread, NULL);
    p->running = false;
}

static void stop(struct peer *p)
{
    finish(p);
    if (p->listener >= 0)
        close(p->listener);
    buf_fini(&p->heard);
    free(p);
}

static bool heard(const struct peer *p, const char *text)
{
    return memmem(p->heard.data, p->heard.len, text, strlen(text)) != NULL;
}

static enum https_end call(struct https *h, uint16_t port, const char *path,
                           struct https_request request, struct https_reply *reply)
{
    char url[128];
    struct buf why = {0};
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    request.url = url;
    enum https_end end = https_call(h, &request, reply, &why);
    EXPECT_EQ(why.len == 0, end == HTTPS_ANSWERED);
    buf_fini(&why);
    return end;
}

static struct https *open_plain(void)
{
    struct buf why = {0};
    struct https *h = https_open("http", &why);
    EXPECT_SPAN(buf_span(&why), SPAN(""));
    return h;
}

static const struct https_request get = {.method = "GET", .direct = true};

TEST(paths_and_headers_leave_as_they_are_and_the_connection_stays)
{
    struct peer *p = start("HTTP/1.1 404 Not Found\r\niothub-errorcode: DeviceNotFound\r\n"
                           "Content-Length: 2\r\n\r\n{}");
    struct https *h = open_plain();
    struct https_reply reply = {0};
    struct https_request request = get;
    request.headers[0] = "If-Match: \"AAAA=\"";
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(call(h, p->port, "/devices/..?top=1", request, &reply), HTTPS_ANSWERED);
        EXPECT_EQ(reply.status, 404);
        EXPECT_SPAN(span_text(reply.error_code), SPAN("DeviceNotFound"));
        EXPECT_SPAN(buf_span(&reply.body), SPAN("{}"));
    }
    https_close(h);
    finish(p);
    EXPECT(heard(p, "GET /devices/..?top=1 HTTP/1.1\r\n"));
    EXPECT(heard(p, "\r\nIf-Match: \"AAAA=\"\r\n"));
    EXPECT(heard(p, "\r\nUser-Agent: twinhub/" TWINHUB_VERSION "\r\n"));
    stop(p);
    buf_fini(&reply.body);
}

TEST(a_large_body_is_sent_without_asking)
{
    struct peer *p = start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct https *h = open_plain();
    struct https_reply reply = {0};
    struct https_request request = {.method = "PUT", .direct = true};
    struct buf body = {0};
    for (int i = 0; i < 2000000; i++)
        buf_byte(&body, 'x');
    request.body = buf_span(&body);
    request.headers[0] = "Content-Type: application/json";
    EXPECT_EQ(call(h, p->port, "/twins/d1", request, &reply), HTTPS_ANSWERED);
    EXPECT_EQ(reply.status, 200);
    EXPECT_SPAN(span_text(reply.error_code), SPAN(""));
    https_close(h);
    finish(p);
    EXPECT(heard(p, "PUT /twins/d1 HTTP/1.1\r\n"));
    EXPECT(heard(p, "\r\nContent-Length: 2000000\r\n"));
    EXPECT(heard(p, "\r\nContent-Type: application/json\r\n"));
    EXPECT(!heard(p, "Expect:"));
    stop(p);
    buf_fini(&body);
    buf_fini(&reply.body);
}

TEST(a_redirect_is_not_followed)
{
    struct peer *p = start("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                           "Content-Length: 0\r\n\r\n");
    struct https *h = open_plain();
    struct https_reply reply = {0};
    EXPECT_EQ(call(h, p->port, "/", get, &reply), HTTPS_ANSWERED);
    EXPECT_EQ(reply.status, 302);
    https_close(h);
    stop(p);
    buf_fini(&reply.body);
}

TEST(a_proxy_of_the_environment_is_asked_only_when_it_may_be)
{
    struct peer *p = start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct https *h = open_plain();
    struct https_reply reply = {0};
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    EXPECT_EQ(call(h, p->port, "/", (struct https_request){.method = "GET"}, &reply),
              HTTPS_UNREACHABLE);
    EXPECT_EQ(call(h, p->port, "/", get, &reply), HTTPS_ANSWERED);
    unsetenv("http_proxy");
    https_close(h);
    stop(p);
    buf_fini(&reply.body);
}

TEST(nobody_there_is_told_from_no_answer)
{
    static const char *const replies[] = {
        "", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf"};
    struct https_reply reply = {0};
    for (size_t i = 0; i < COUNT(replies); i++) {
        struct https *h = open_plain();
        struct peer *p = start(replies[i]);
        EXPECT_EQ_IN(replies[i], call(h, p->port, "/", get, &reply), HTTPS_LOST);
        https_close(h);
        stop(p);
    }
    struct peer closed = {0};
    struct https *h = open_plain();
    listen_on_any(&closed);
    close(closed.listener);
    EXPECT_EQ(call(h, closed.port, "/", get, &reply), HTTPS_UNREACHABLE);
    EXPECT_EQ(reply.status, 0);
    https_close(h);
    buf_fini(&reply.body);
}

TEST(a_hub_that_left_after_a_call_is_not_there)
{
    struct peer *p = start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct https *h = open_plain();
    struct https_reply reply = {0};
    EXPECT_EQ(call(h, p->port, "/", get, &reply), HTTPS_ANSWERED);
    close(p->listener); /* and the kept connection closes as the next request comes */
    p->reply.len = 0;
    EXPECT_EQ(call(h, p->port, "/", get, &reply), HTTPS_UNREACHABLE);
    https_close(h);
    p->listener = -1;
    stop(p);
    buf_fini(&reply.body);
}

TEST(only_the_scheme_asked_for_is_spoken)
{
    struct buf why = {0};
    struct https *h = https_open("https", &why);
    struct https_reply reply = {0};
    EXPECT_EQ(call(h, 1, "/", get, &reply), HTTPS_UNREACHABLE);
    https_close(h);
    https_close(NULL);
    buf_fini(&reply.body);
}

TEST_MAIN(RUN(paths_and_headers_leave_as_they_are_and_the_connection_stays),
          RUN(a_large_body_is_sent_without_asking), RUN(a_redirect_is_not_followed),
          RUN(a_proxy_of_the_environment_is_asked_only_when_it_may_be),
          RUN(nobody_there_is_told_from_no_answer), RUN(a_hub_that_left_after_a_call_is_not_there),
          RUN(only_the_scheme_asked_for_is_spoken))
