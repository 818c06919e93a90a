#include "wire/http.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <llhttp.h>

#include "base/test.h"

#define BODY_MAX 64

/* ---- a stream of requests becomes a text that tells its events ---- */

static void tell_head(struct http *h, struct buf *log)
{
    static const char *const methods[] = {"OTHER", "GET", "PUT", "POST", "PATCH", "DELETE", "HEAD"};
    buf_printf(log, "%s %.*s", methods[http_method(h)], SPAN_ARG(http_target(h)));
    for (size_t i = 0; i < http_field_count(h); i++) {
        struct http_field f = http_field(h, i);
        buf_printf(log, " [%.*s=%.*s]", SPAN_ARG(f.name), SPAN_ARG(f.value));
    }
    buf_printf(log, "%s%s%s", http_expects_continue(h) ? " expects" : "",
               http_is_websocket_upgrade(h) ? " websocket" : "", http_keep_alive(h) ? "" : " last");
}

static void expect_phase(const struct http *h, enum http_event after)
{
    static const enum http_phase phases[] = {[HTTP_HAVE_HEAD] = HTTP_PHASE_BODY,
                                             [HTTP_HAVE_REQUEST] = HTTP_PHASE_REQUEST,
                                             [HTTP_REFUSED] = HTTP_PHASE_REFUSED};
    if (after != HTTP_NEED_MORE)
        EXPECT_EQ(http_phase(h), phases[after]);
}

static void feed(struct http *h, struct span in, struct buf *log)
{
    enum http_event event;
    do {
        size_t used = SIZE_MAX;
        event = http_feed(h, in, &used);
        EXPECT(used <= in.len);
        in = span_skip(in, used);
        expect_phase(h, event);
        if (event == HTTP_HAVE_HEAD) {
            http_allow_body(h, BODY_MAX);
            tell_head(h, log);
        } else if (event == HTTP_HAVE_REQUEST) {
            buf_printf(log, " {%.*s}\n", SPAN_ARG(http_body(h)));
            http_next(h);
        }
    } while (event == HTTP_HAVE_HEAD || event == HTTP_HAVE_REQUEST);
    EXPECT(event == HTTP_REFUSED || in.len == 0);
}

/* The events of `in`, fed in pieces of `piece` bytes, or cut once at `cut`. */
static struct buf events(struct span in, size_t cut, size_t piece)
{
    struct http h;
    struct buf log = {0};
    http_init(&h);
    if (piece == 0) {
        feed(&h, test_at_edge(span_first(in, cut)), &log);
        feed(&h, span_skip(in, cut), &log);
    } else {
        for (; in.len; in = span_skip(in, in.len < piece ? in.len : piece))
            feed(&h, span_first(in, piece), &log);
    }
    if (http_phase(&h) == HTTP_PHASE_REFUSED)
        buf_printf(&log, "refused %s", status_name(http_status(&h)));
    http_fini(&h);
    return log;
}

static void expect_events(const char *name, struct span in, struct span want)
{
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct buf got = events(in, in.len - cut, 0);
        EXPECT_SPAN_IN(name, buf_span(&got), want);
        buf_fini(&got);
    }
    struct buf got = events(in, 0, 1);
    EXPECT_SPAN_IN(name, buf_span(&got), want);
    buf_fini(&got);
}

#define GET(headers)        "GET / HTTP/1.1\r\nHost: a\r\n" headers "\r\n"
#define POST(headers, body) "POST / HTTP/1.1\r\nHost: a\r\n" headers "\r\n" body
#define CHUNKED(body)       POST("Transfer-Encoding: chunked\r\n", body)
#define GOT(headers)        "GET / [Host=a]" headers

/* clang-format off */
static const struct {
    const char *name;
    struct span in, want;
} valid[] = {
    {"smallest", SPAN_INIT(GET("")), SPAN_INIT(GOT(" {}\n"))},
    {"two, pipelined", SPAN_INIT(GET("") GET("X: 1\r\n")),
     SPAN_INIT(GOT(" {}\n") GOT(" [X=1] {}\n"))},
    {"a body, then another request", SPAN_INIT(POST("Content-Length: 5\r\n", "hello") GET("")),
     SPAN_INIT("POST / [Host=a] [Content-Length=5] {hello}\n" GOT(" {}\n"))},
    {"a body of no bytes", SPAN_INIT(POST("Content-Length: 0\r\n", "") GET("")),
     SPAN_INIT("POST / [Host=a] [Content-Length=0] {}\n" GOT(" {}\n"))},
    {"chunks, then another request",
     SPAN_INIT(CHUNKED("3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n") GET("")),
     SPAN_INIT("POST / [Host=a] [Transfer-Encoding=chunked] {hello}\n" GOT(" {}\n"))},
    {"no chunks", SPAN_INIT(CHUNKED("0\r\n\r\n")),
     SPAN_INIT("POST / [Host=a] [Transfer-Encoding=chunked] {}\n")},
    {"chunk sizes in both cases and with zeros in front",
     SPAN_INIT(CHUNKED("0000000A\r\n0123456789\r\nb\r\nabcdefghijk\r\n00\r\n\r\n")),
     SPAN_INIT("POST / [Host=a] [Transfer-Encoding=chunked] {0123456789abcdefghijk}\n")},
    {"CHUNKED in capitals", SPAN_INIT(POST("transfer-encoding:CHUNKED\r\n", "0\r\n\r\n")),
     SPAN_INIT("POST / [Host=a] [transfer-encoding=CHUNKED] {}\n")},
    {"body at the limit",
     SPAN_INIT(POST("Content-Length: 64\r\n",
                    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")),
     SPAN_INIT("POST / [Host=a] [Content-Length=64] "
               "{0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}\n")},
    {"GET with a body", SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"),
     SPAN_INIT(GOT(" [Content-Length=1] {x}\n"))},
    {"values are trimmed, may be empty, and keep what is inside",
     SPAN_INIT(GET("A:\r\nB: \t \r\nC:\t x  y \t\r\nD: \xc3\xa9:\r\n")),
     SPAN_INIT(GOT(" [A=] [B=] [C=x  y] [D=\xc3\xa9:] {}\n"))},
    {"Host with a port", SPAN_INIT("GET / HTTP/1.1\r\nHOST:  hub.local:8443\r\n\r\n"),
     SPAN_INIT("GET / [HOST=hub.local:8443] {}\n")},
    {"Host is an address", SPAN_INIT("GET / HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"),
     SPAN_INIT("GET / [Host=[::1]:443] {}\n")},
    {"target as clients send it, raw or encoded",
     SPAN_INIT("DELETE /devices/a+b%23c=@$'(),:;*!?x={\"|\"}&y=%2F HTTP/1.1\r\nHost: a\r\n\r\n"),
     SPAN_INIT("DELETE /devices/a+b%23c=@$'(),:;*!?x={\"|\"}&y=%2F [Host=a] {}\n")},
    {"each method we know",
     SPAN_INIT("PUT /1 HTTP/1.1\r\nHost: a\r\n\r\nPATCH /2 HTTP/1.1\r\nHost: a\r\n\r\n"
               "HEAD /3 HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS /4 HTTP/1.1\r\nHost: a\r\n\r\n"),
     SPAN_INIT("PUT /1 [Host=a] {}\nPATCH /2 [Host=a] {}\n"
               "HEAD /3 [Host=a] {}\nOTHER /4 [Host=a] {}\n")},
    {"CONNECT is one more method we do not know",
     SPAN_INIT("CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n" GET("")),
     SPAN_INIT("OTHER /x [Host=a] {}\n" GOT(" {}\n"))},
    {"the peer wants to close", SPAN_INIT(GET("Connection: x, Close\r\n")),
     SPAN_INIT(GOT(" [Connection=x, Close] last {}\n"))},
    {"expects 100-continue", SPAN_INIT(POST("Expect: 100-Continue\r\nContent-Length: 1\r\n", "x")),
     SPAN_INIT("POST / [Host=a] [Expect=100-Continue] [Content-Length=1] expects {x}\n")},
    {"expects 100-continue for nothing", SPAN_INIT(GET("Expect: 100-continue\r\n")),
     SPAN_INIT(GOT(" [Expect=100-continue] {}\n"))},
    {"an offer of h2c is no more than a header",
     SPAN_INIT(GET("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n") GET("")),
     SPAN_INIT(GOT(" [Connection=Upgrade, HTTP2-Settings] [Upgrade=h2c] {}\n") GOT(" {}\n"))},
    {"an offer of h2c with a body",
     SPAN_INIT(POST("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n", "xy") GET("")),
     SPAN_INIT("POST / [Host=a] [Connection=Upgrade] [Upgrade=h2c] [Content-Length=2] {xy}\n" GOT(
         " {}\n"))},
};
/* clang-format on */

TEST(valid_requests_give_the_same_events_however_they_are_cut)
{
    for (size_t i = 0; i < COUNT(valid); i++)
        expect_events(valid[i].name, valid[i].in, valid[i].want);
}

/* The last line of the events tells how it ended; no request came before. */
static void expect_refusal(const char *name, struct span in, struct span why)
{
    for (size_t piece = 1; piece <= in.len; piece = piece < 64 ? piece + 1 : piece * 2) {
        struct buf got = events(in, 0, piece);
        struct span all = got.data ? buf_span(&got) : SPAN("");
        EXPECT_EQ_IN(name, span_index(all, '\n'), all.len);
        EXPECT_SPAN_IN(name, all.len > why.len ? span_skip(all, all.len - why.len) : all, why);
        buf_fini(&got);
    }
}

TEST(every_start_of_a_request_waits_for_more)
{
    static const struct span in = SPAN_INIT(POST("Content-Length: 2\r\n", "xy"));
    for (size_t len = 0; len < in.len; len++) {
        struct http h;
        struct buf log = {0};
        http_init(&h);
        feed(&h, test_at_edge(span_first(in, len)), &log);
        EXPECT_EQ(http_status(&h), OK);
        EXPECT_EQ(http_phase(&h), len == 0           ? HTTP_PHASE_IDLE
                                  : len < in.len - 2 ? HTTP_PHASE_HEAD
                                                     : HTTP_PHASE_BODY);
        http_fini(&h);
        buf_fini(&log);
    }
}

TEST(an_unknown_method_is_refused_as_such)
{
    expect_refusal("FOO", SPAN("FOO / HTTP/1.1\r\nHost: a\r\n\r\n"), SPAN("refused BAD_METHOD"));
    expect_refusal("lower case", SPAN("get / HTTP/1.1\r\nHost: a\r\n\r\n"),
                   SPAN("refused BAD_METHOD"));
    expect_refusal("RTSP", SPAN("PLAY / HTTP/1.1\r\nHost: a\r\n\r\n"), SPAN("refused BAD_METHOD"));
}

/* ---- limits ---- */

static void fill(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_byte(b, 'x');
}

TEST(a_head_of_32_KiB_is_taken_and_one_byte_more_is_not)
{
    for (size_t over = 0; over < 2; over++) {
        struct buf in = {0};
        buf_text(&in, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
        fill(&in, HTTP_HEAD_MAX - in.len - 4 + over);
        buf_text(&in, "\r\n\r\n");
        struct buf got = events(buf_span(&in), in.len, 0);
        struct buf same = events(buf_span(&in), 0, 1);
        EXPECT_SPAN(buf_span(&got), buf_span(&same));
        EXPECT_EQ(span_eq(buf_span(&got), SPAN("refused HEADERS_TOO_LARGE")), over);
        buf_fini(&got);
        buf_fini(&same);
        buf_fini(&in);
    }
}

TEST(a_line_without_end_is_refused_at_32_KiB)
{
    struct buf in = {0};
    fill(&in, HTTP_HEAD_MAX - 1);
    struct buf got = events(buf_span(&in), in.len, 0);
    EXPECT_EQ(got.len, 0);
    buf_byte(&in, 'x');
    expect_events("no line end", span_first(buf_span(&in), 0), SPAN(""));
    buf_fini(&got);
    got = events(buf_span(&in), in.len, 0);
    EXPECT_SPAN(buf_span(&got), SPAN("refused HEADERS_TOO_LARGE"));
    buf_fini(&got);
    buf_fini(&in);
}

TEST(a_head_of_100_headers_is_taken_and_one_more_is_not)
{
    for (int count = 100; count <= 101; count++) {
        struct buf in = {0};
        buf_text(&in, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 1; i < count; i++)
            buf_printf(&in, "X-%d: y\r\n", i);
        buf_text(&in, "\r\n");
        struct buf got = events(buf_span(&in), in.len, 0);
        EXPECT_EQ(span_eq(buf_span(&got), SPAN("refused HEADERS_TOO_LARGE")), count == 101);
        buf_fini(&got);
        buf_fini(&in);
    }
}

TEST(a_body_beyond_its_limit_is_refused_before_it_is_buffered)
{
    expect_refusal("declared", SPAN(POST("Content-Length: 65\r\n", "")), SPAN("refused TOO_LARGE"));
    expect_refusal("declared, with 100-continue",
                   SPAN(POST("Expect: 100-continue\r\nContent-Length: 65\r\n", "")),
                   SPAN("refused TOO_LARGE"));
    expect_refusal("largest length", SPAN(POST("Content-Length: 999999999999999999\r\n", "")),
                   SPAN("refused TOO_LARGE"));
    expect_refusal("one chunk", SPAN(CHUNKED("41\r\n")), SPAN("refused TOO_LARGE"));
    expect_refusal("largest chunk", SPAN(CHUNKED("ffffffff\r\n")), SPAN("refused TOO_LARGE"));
    expect_refusal("two chunks", SPAN(CHUNKED("1\r\nx\r\n40\r\n")), SPAN("refused TOO_LARGE"));
}

TEST(no_body_is_allowed_unless_the_caller_says_so)
{
    struct http h;
    size_t used;
    http_init(&h);
    struct span in = SPAN(POST("Content-Length: 1\r\n", "x"));
    EXPECT_EQ(http_feed(&h, in, &used), HTTP_HAVE_HEAD);
    EXPECT_EQ(http_feed(&h, span_skip(in, used), &used), HTTP_REFUSED);
    EXPECT_EQ(http_status(&h), TOO_LARGE);
    EXPECT_SPAN(http_target(&h), SPAN("/")); /* a refused request can still be named */
    http_fini(&h);
}

static void expect_feed(struct http *h, struct span in, enum http_event event,
                        enum http_phase phase)
{
    size_t used;
    EXPECT_EQ(http_feed(h, in, &used), event);
    EXPECT_EQ(http_phase(h), phase);
}

TEST(an_idle_parser_holds_no_memory)
{
    struct http h;
    http_init(&h);
    expect_feed(&h, SPAN(""), HTTP_NEED_MORE, HTTP_PHASE_IDLE);
    expect_feed(&h, SPAN("G"), HTTP_NEED_MORE, HTTP_PHASE_HEAD);
    expect_feed(&h, SPAN("ET / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP_HAVE_HEAD, HTTP_PHASE_BODY);
    expect_feed(&h, SPAN(""), HTTP_HAVE_REQUEST, HTTP_PHASE_REQUEST);
    http_next(&h);
    EXPECT_EQ(http_phase(&h), HTTP_PHASE_IDLE);
    EXPECT(!h.request && !h.head.data && !h.body.data);
    EXPECT(sizeof(h) <= 128);
    http_fini(&h);
}

TEST(a_refused_connection_drops_what_follows)
{
    struct http h;
    size_t used = 0;
    http_init(&h);
    expect_feed(&h, SPAN("\x16"), HTTP_REFUSED, HTTP_PHASE_REFUSED);
    EXPECT_EQ(http_feed(&h, SPAN("GET / HTTP/1.1\r\n"), &used), HTTP_REFUSED);
    EXPECT_EQ(used, 16);
    EXPECT_EQ(http_status(&h), BAD_REQUEST);
    http_fini(&h);
}

/* ---- what a request says ---- */

static void with_head(struct http *h, struct span in)
{
    size_t used;
    http_init(h);
    EXPECT_EQ(http_feed(h, in, &used), HTTP_HAVE_HEAD);
    EXPECT_EQ(used, in.len);
}

TEST(headers_are_found_in_any_case_and_the_first_counts)
{
    struct http h;
    with_head(&h, SPAN(GET("X-Y: 1\r\nx-y: 2\r\nEmpty:\r\n")));
    EXPECT_SPAN(http_header(&h, SPAN("x-y")), SPAN("1"));
    EXPECT_SPAN(http_header(&h, SPAN("HOST")), SPAN("a"));
    EXPECT(http_header(&h, SPAN("empty")).data != NULL);
    EXPECT_EQ(http_header(&h, SPAN("empty")).len, 0);
    EXPECT(http_header(&h, SPAN("x")).data == NULL);
    http_fini(&h);
}

TEST(tokens_are_found_in_every_list_of_that_name_as_the_peer_wrote_them)
{
    static const struct span name = SPAN_INIT("sec-websocket-protocol");
    struct http h;
    with_head(&h, SPAN(GET("Sec-WebSocket-Protocol: x , ,MQTTx\r\nOther: mqtt\r\n"
                           "Sec-WebSocket-Protocol: \t MQTT\t,mqtt\r\n")));
    EXPECT_SPAN(http_find_token(&h, name, SPAN("mqtt")), SPAN("MQTT"));
    EXPECT_SPAN(http_find_token(&h, name, SPAN("X")), SPAN("x"));
    EXPECT(http_find_token(&h, name, SPAN("amqpwsb10")).data == NULL);
    EXPECT(http_find_token(&h, SPAN("absent"), SPAN("mqtt")).data == NULL);
    http_fini(&h);
}

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

TEST(a_websocket_upgrade_needs_all_its_parts)
{
    /* clang-format off */
    static const struct {
        const char *name;
        struct span in;
        bool want;
    } cases[] = {
        {"all there",
         SPAN_INIT(GET("Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\n" KEY)),
         true},
        {"no Upgrade", SPAN_INIT(GET("Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n" KEY)),
         false},
        {"other Upgrade", SPAN_INIT(GET("Upgrade: h2c\r\nConnection: upgrade\r\n"
                                        "Sec-WebSocket-Version: 13\r\n" KEY)),
         false},
        {"no Connection",
         SPAN_INIT(GET("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY)), false},
        {"no version", SPAN_INIT(GET("Upgrade: websocket\r\nConnection: upgrade\r\n" KEY)), false},
        {"old version", SPAN_INIT(GET("Upgrade: websocket\r\nConnection: upgrade\r\n"
                                      "Sec-WebSocket-Version: 8\r\n" KEY)),
         false},
        {"no key", SPAN_INIT(GET("Upgrade: websocket\r\nConnection: upgrade\r\n"
                                 "Sec-WebSocket-Version: 13\r\n")),
         false},
        {"short key",
         SPAN_INIT(GET("Upgrade: websocket\r\nConnection: upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=\r\n")),
         false},
        {"key is not base64",
         SPAN_INIT(GET("Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ!!\r\n")),
         false},
        {"POST", SPAN_INIT(POST("Upgrade: websocket\r\nConnection: upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\n" KEY,
                                "")),
         false},
        {"with a body", SPAN_INIT(GET("Upgrade: websocket\r\nConnection: upgrade\r\n"
                                      "Sec-WebSocket-Version: 13\r\nContent-Length: 1\r\n" KEY)),
         false},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http h;
        with_head(&h, cases[i].in);
        EXPECT_EQ_IN(cases[i].name, http_is_websocket_upgrade(&h), cases[i].want);
        http_fini(&h);
    }
}

TEST(frames_behind_an_upgrade_are_left_to_the_caller)
{
    struct http h;
    size_t used;
    struct span in = SPAN(GET("Upgrade: websocket\r\nConnection: Upgrade\r\n") "\x82\x80");
    http_init(&h);
    EXPECT_EQ(http_feed(&h, in, &used), HTTP_HAVE_HEAD);
    in = span_skip(in, used);
    EXPECT_EQ(http_feed(&h, in, &used), HTTP_HAVE_REQUEST);
    EXPECT_EQ(used, 0);
    EXPECT_EQ(in.len, 2);
    http_fini(&h);
}

/* ---- responses ---- */

static void expect_response(struct http_response r, struct span want)
{
    struct buf out = {0};
    http_put_response(&out, &r);
    EXPECT_SPAN(buf_span(&out), want);
    buf_fini(&out);
}

TEST(responses_tell_their_length_and_their_type)
{
    struct http_field fields[] = {
        {SPAN("iothub-errorcode"), SPAN("DeviceNotFound")},
        {SPAN("content-type"),     SPAN("text/plain")    }
    };
    expect_response((struct http_response){.status = 200, .body = SPAN("[]")},
                    SPAN("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
                         "Content-Length: 2\r\n\r\n[]"));
    expect_response((struct http_response){.status = 204}, SPAN("HTTP/1.1 204 No Content\r\n\r\n"));
    expect_response((struct http_response){.status = 202},
                    SPAN("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"));
    expect_response(
        (struct http_response){
            .status = 404, .fields = fields, .field_count = 2, .body = SPAN("no"), .close = true},
        SPAN("HTTP/1.1 404 Not Found\r\niothub-errorcode: DeviceNotFound\r\n"
             "content-type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"));
    expect_response((struct http_response){.status = 405, .body = SPAN("{}"), .head_only = true},
                    SPAN("HTTP/1.1 405 Method Not Allowed\r\n"
                         "Content-Type: application/json; charset=utf-8\r\n"
                         "Content-Length: 2\r\n\r\n"));
    expect_response((struct http_response){.status = 299},
                    SPAN("HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n"));
}

TEST(every_status_that_reaches_a_peer_has_a_reason)
{
    for (int st = 0; st < STATUS_COUNT; st++) {
        struct buf out = {0};
        if (status_get(st)->http == 0)
            continue;
        http_put_response(&out, &(struct http_response){.status = status_get(st)->http});
        EXPECT(out.data[strlen("HTTP/1.1 200 ")] != '\r');
        buf_fini(&out);
    }
}

TEST(continue_is_an_interim_response)
{
    struct buf out = {0};
    http_put_continue(&out);
    EXPECT_SPAN(buf_span(&out), SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
    buf_fini(&out);
}

static bool stops_the_process(const struct http_response *r)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct buf out = {0};
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        http_put_response(&out, r);
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status);
}

TEST(a_field_that_would_split_the_response_stops_the_process)
{
    struct http_field value = {SPAN("X"), SPAN("y\r\nSet-Cookie: z")};
    struct http_field name = {SPAN("X\r\nY"), SPAN("y")};
    struct http_field good = {SPAN("X"), SPAN("y")};
    EXPECT(stops_the_process(
        &(struct http_response){.status = 200, .fields = &value, .field_count = 1}));
    EXPECT(stops_the_process(
        &(struct http_response){.status = 200, .fields = &name, .field_count = 1}));
    EXPECT(stops_the_process(&(struct http_response){.status = 204, .body = SPAN("x")}));
    EXPECT(!stops_the_process(
        &(struct http_response){.status = 200, .fields = &good, .field_count = 1}));
}

/* ---- what we rely on in llhttp ---- */

static int count_data(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    *(int *)parser->data += len > 0;
    return 0;
}

static int add_ten(llhttp_t *parser)
{
    *(int *)parser->data += 10;
    return 0;
}

static int llhttp_run(llhttp_settings_t *settings, const char *text, llhttp_errno_t want)
{
    llhttp_t parser;
    int count = 0;
    llhttp_init(&parser, HTTP_REQUEST, settings);
    parser.data = &count;
    EXPECT_EQ_IN(text, llhttp_execute(&parser, text, strlen(text)), want);
    return count;
}

TEST(llhttp_hands_out_each_part_of_a_whole_head_in_one_piece)
{
    static const char text[] = POST("Long-Name: a long value, with spaces\r\nEmpty:\r\n", "");
    llhttp_settings_t url = {.on_url = count_data}, name = {.on_header_field = count_data},
                      value = {.on_header_value = count_data},
                      complete = {.on_header_value_complete = add_ten};
    EXPECT_EQ(llhttp_run(&url, text, HPE_OK), 1);
    EXPECT_EQ(llhttp_run(&name, text, HPE_OK), 3);
    EXPECT_EQ(llhttp_run(&value, text, HPE_OK), 2); /* none for the empty one */
    EXPECT_EQ(llhttp_run(&complete, text, HPE_OK), 30);
}

TEST(llhttp_completes_a_request_without_body_at_the_end_of_its_head)
{
    llhttp_settings_t both = {.on_headers_complete = add_ten, .on_message_complete = add_ten};
    EXPECT_EQ(llhttp_run(&both, GET(""), HPE_OK), 20);
    EXPECT_EQ(llhttp_run(&both, POST("Content-Length: 1\r\n", ""), HPE_OK), 10);
    EXPECT_EQ(llhttp_run(&both, POST("Content-Length: 1\r\n", "x"), HPE_OK), 20);
    EXPECT_EQ(llhttp_run(&both, CHUNKED(""), HPE_OK), 10);
    EXPECT_EQ(llhttp_run(&both, CHUNKED("0\r\n\r\n"), HPE_OK), 20);
    EXPECT_EQ(llhttp_run(&both, GET("Connection: upgrade\r\nUpgrade: x\r\n"), HPE_PAUSED_UPGRADE),
              20);
}

TEST(llhttp_tells_an_unknown_method_from_other_errors)
{
    llhttp_settings_t none = {0};
    llhttp_run(&none, "FOO / HTTP/1.1\r\n", HPE_INVALID_METHOD);
    llhttp_run(&none, "PLAY / HTTP/1.1\r\n", HPE_INVALID_CONSTANT);
}

/* These are why the strict pass exists. */
TEST(llhttp_takes_what_the_strict_pass_refuses)
{
    /* clang-format off */
    static const struct span taken[] = {
        SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"), SPAN_INIT("GET / HTTP/1.1\r\n\r\n"),
        SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), SPAN_INIT("GET /\r\n\r\n"),
        SPAN_INIT("GET / HTTP/1.1\nHost: a\r\n\r\n"), SPAN_INIT("GET / HTTP/1.0\r\nHost: a\r\n\r\n")};
    /* clang-format on */
    for (size_t i = 0; i < COUNT(taken); i++) {
        llhttp_settings_t complete = {.on_message_complete = add_ten};
        EXPECT_EQ(llhttp_run(&complete, (const char *)taken[i].data, HPE_OK), 10);
        expect_refusal("strict", taken[i], SPAN("refused BAD_REQUEST"));
    }
}

TEST_MAIN(RUN(valid_requests_give_the_same_events_however_they_are_cut),
          RUN(every_start_of_a_request_waits_for_more), RUN(an_unknown_method_is_refused_as_such),
          RUN(a_head_of_32_KiB_is_taken_and_one_byte_more_is_not),
          RUN(a_line_without_end_is_refused_at_32_KiB),
          RUN(a_head_of_100_headers_is_taken_and_one_more_is_not),
          RUN(a_body_beyond_its_limit_is_refused_before_it_is_buffered),
          RUN(no_body_is_allowed_unless_the_caller_says_so), RUN(an_idle_parser_holds_no_memory),
          RUN(a_refused_connection_drops_what_follows),
          RUN(headers_are_found_in_any_case_and_the_first_counts),
          RUN(tokens_are_found_in_every_list_of_that_name_as_the_peer_wrote_them),
          RUN(a_websocket_upgrade_needs_all_its_parts),
          RUN(frames_behind_an_upgrade_are_left_to_the_caller),
          RUN(responses_tell_their_length_and_their_type),
          RUN(every_status_that_reaches_a_peer_has_a_reason), RUN(continue_is_an_interim_response),
          RUN(a_field_that_would_split_the_response_stops_the_process),
          RUN(llhttp_hands_out_each_part_of_a_whole_head_in_one_piece),
          RUN(llhttp_completes_a_request_without_body_at_the_end_of_its_head),
          RUN(llhttp_tells_an_unknown_method_from_other_errors),
          RUN(llhttp_takes_what_the_strict_pass_refuses))
