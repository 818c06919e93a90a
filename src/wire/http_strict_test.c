/* For http_head and http_chunk. What RFC 9112 calls malformed, and what two readers might read in
 * two ways, is refused: the vectors of request smuggling (trials F24). */
#include "wire/http.h"

#include "base/test.h"
#include "wire/http_chunk.h"
#include "wire/http_head.h"

#define POST(headers, body) "POST / HTTP/1.1\r\nHost: a\r\n" headers "\r\n" body
#define GET(headers)        "GET / HTTP/1.1\r\nHost: a\r\n" headers "\r\n"
#define CHUNKED             POST("Transfer-Encoding: chunked\r\n", "")
/* A request that a more lenient reader would find behind the odd one. */
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

/* clang-format off */
static const struct {
    const char *name;
    struct span in;
} odd[] = {
    /* RFC 9112 2.2, 3: the request line */
    {"empty line in front", SPAN_INIT("\r\n" GET(""))},
    {"two spaces before the target", SPAN_INIT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"two spaces before the version", SPAN_INIT("GET /  HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"space behind the version", SPAN_INIT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n")},
    {"space before the method", SPAN_INIT(" GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"tab for a space", SPAN_INIT("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"a word too many", SPAN_INIT("GET / x HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"no version: HTTP/0.9", SPAN_INIT("GET /\r\nHost: a\r\n\r\n")},
    {"method alone", SPAN_INIT("GET\r\nHost: a\r\n\r\n")},
    {"version 1.0", SPAN_INIT("GET / HTTP/1.0\r\nHost: a\r\n\r\n")},
    {"version 1.2", SPAN_INIT("GET / HTTP/1.2\r\nHost: a\r\n\r\n")},
    {"version 2.0", SPAN_INIT("GET / HTTP/2.0\r\nHost: a\r\n\r\n")},
    {"version 1.10", SPAN_INIT("GET / HTTP/1.10\r\nHost: a\r\n\r\n")},
    {"version 01.1", SPAN_INIT("GET / HTTP/01.1\r\nHost: a\r\n\r\n")},
    {"version 1", SPAN_INIT("GET / HTTP/1\r\nHost: a\r\n\r\n")},
    {"version in lower case", SPAN_INIT("GET / http/1.1\r\nHost: a\r\n\r\n")},
    {"another protocol", SPAN_INIT("GET / RTSP/1.1\r\nHost: a\r\n\r\n")},
    {"preface of HTTP/2", SPAN_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
    {"method is no token", SPAN_INIT("G(T / HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"absolute-form", SPAN_INIT("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"absolute-form of another host", SPAN_INIT("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"asterisk-form", SPAN_INIT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"authority-form", SPAN_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"target without a slash", SPAN_INIT("GET x HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"target with a fragment", SPAN_INIT("GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"target with a tab", SPAN_INIT("GET /x\ty HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"target with NUL", SPAN_INIT("GET /x\0y HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"target with DEL", SPAN_INIT("GET /x\x7fy HTTP/1.1\r\nHost: a\r\n\r\n")},
    {"target with a raw letter that is not ASCII",
     SPAN_INIT("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n")},
    /* 2.2: line ends */
    {"all lines end in LF", SPAN_INIT("GET / HTTP/1.1\nHost: a\n\n")},
    {"request line ends in LF", SPAN_INIT("GET / HTTP/1.1\nHost: a\r\n\r\n")},
    {"header ends in LF", SPAN_INIT("GET / HTTP/1.1\r\nHost: a\n\r\n")},
    {"head ends in LF", SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\n\n")},
    {"CR in the request line", SPAN_INIT("GET / HTTP/1.1\rHost: a\r\n\r\n")},
    {"CR between headers", SPAN_INIT(GET("X: y\rContent-Length: 5\r\n") "hello")},
    {"CR CR LF", SPAN_INIT(GET("X: y\r\r\n"))},
    {"CR at the end of the head", SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n")},
    {"CR in front of a name", SPAN_INIT(GET("\rX: y\r\n"))},
    /* 5: header lines */
    {"space before the colon", SPAN_INIT(POST("Content-Length : 5\r\n", "hello"))},
    {"tab before the colon", SPAN_INIT(POST("Content-Length\t: 5\r\n", "hello"))},
    {"space before the colon of Transfer-Encoding",
     SPAN_INIT(POST("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"))},
    {"vertical tab before the colon",
     SPAN_INIT(POST("Transfer-Encoding\x0b: chunked\r\n", "0\r\n\r\n"))},
    {"space in a name", SPAN_INIT(GET("X Y: z\r\n"))},
    {"no colon", SPAN_INIT(GET("X\r\n"))},
    {"no name", SPAN_INIT(GET(": x\r\n"))},
    {"NUL in a name", SPAN_INIT(GET("X\0: y\r\n"))},
    {"a name that is not ASCII", SPAN_INIT(GET("X\xe9: y\r\n"))},
    {"a name in brackets", SPAN_INIT(GET("[X]: y\r\n"))},
    {"folded line", SPAN_INIT(GET("X: y\r\n z\r\n"))},
    {"folded line with a tab", SPAN_INIT(GET("X: y\r\n\tz\r\n"))},
    {"first header is folded", SPAN_INIT("GET / HTTP/1.1\r\n Host: a\r\n\r\n")},
    {"folded Transfer-Encoding",
     SPAN_INIT(POST("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"))},
    {"NUL in a value", SPAN_INIT(GET("X: y\0z\r\n"))},
    {"control in a value", SPAN_INIT(GET("X: y\x01z\r\n"))},
    {"DEL in a value", SPAN_INIT(GET("X: y\x7fz\r\n"))},
    {"escape in a value", SPAN_INIT(GET("X: \x1b[2J\r\n"))},
    {"form feed in a value", SPAN_INIT(GET("X: y\x0c\r\n"))},
    /* 3.2: Host */
    {"no Host", SPAN_INIT("GET / HTTP/1.1\r\n\r\n")},
    {"two Hosts", SPAN_INIT(GET("Host: b\r\n"))},
    {"the same Host twice", SPAN_INIT(GET("host: a\r\n"))},
    {"empty Host", SPAN_INIT("GET / HTTP/1.1\r\nHost:\r\n\r\n")},
    {"two names in Host", SPAN_INIT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n")},
    {"a path in Host", SPAN_INIT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")},
    {"a user in Host", SPAN_INIT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n")},
    {"a space behind Host", SPAN_INIT("GET / HTTP/1.1\r\nHost: a \r\n\r\n")},
    /* 6.2: Content-Length */
    {"CL twice, the same", SPAN_INIT(POST("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"))},
    {"CL twice, different",
     SPAN_INIT(POST("Content-Length: 0\r\nContent-Length: 5\r\n", "hello"))},
    {"CL twice in one header", SPAN_INIT(POST("Content-Length: 5, 5\r\n", "hello"))},
    {"CL with plus", SPAN_INIT(POST("Content-Length: +5\r\n", "hello"))},
    {"CL with minus", SPAN_INIT(POST("Content-Length: -5\r\n", "hello"))},
    {"CL of minus zero", SPAN_INIT(POST("Content-Length: -0\r\n", ""))},
    {"CL in hex", SPAN_INIT(POST("Content-Length: 0x5\r\n", "hello"))},
    {"CL with an underscore", SPAN_INIT(POST("Content-Length: 1_0\r\n", "0123456789"))},
    {"CL with a zero in front", SPAN_INIT(POST("Content-Length: 05\r\n", "hello"))},
    {"CL of zeros", SPAN_INIT(POST("Content-Length: 00\r\n", ""))},
    {"CL is empty", SPAN_INIT(POST("Content-Length:\r\n", ""))},
    {"CL is white space", SPAN_INIT(POST("Content-Length: \r\n", ""))},
    {"CL with a space inside", SPAN_INIT(POST("Content-Length: 1 0\r\n", "0123456789"))},
    {"CL with a space behind", SPAN_INIT(POST("Content-Length: 5 \r\n", "hello"))},
    {"CL behind a tab", SPAN_INIT(POST("Content-Length:\t5\r\n", "hello"))},
    {"CL behind a vertical tab", SPAN_INIT(POST("Content-Length: \x0b"
                                                "5\r\n",
                                                "hello"))},
    {"CL with a fraction", SPAN_INIT(POST("Content-Length: 5.0\r\n", "hello"))},
    {"CL with an exponent", SPAN_INIT(POST("Content-Length: 5e0\r\n", "hello"))},
    {"CL with a letter", SPAN_INIT(POST("Content-Length: 5a\r\n", "hello"))},
    {"CL in quotes", SPAN_INIT(POST("Content-Length: \"5\"\r\n", "hello"))},
    {"CL beyond 64 bits", SPAN_INIT(POST("Content-Length: 18446744073709551621\r\n", "hello"))},
    {"CL of 19 digits", SPAN_INIT(POST("Content-Length: 1000000000000000000\r\n", "hello"))},
    /* 6.1, 6.3: Transfer-Encoding */
    {"CL.TE", SPAN_INIT(POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                             "0\r\n\r\n" SMUGGLED))},
    {"TE.CL", SPAN_INIT(POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                             "0\r\n\r\n" SMUGGLED))},
    {"CL of zero and TE",
     SPAN_INIT(POST("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"))},
    {"TE twice", SPAN_INIT(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                                "0\r\n\r\n"))},
    {"TE twice, second unknown",
     SPAN_INIT(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"))},
    {"TE twice, first unknown",
     SPAN_INIT(POST("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"))},
    {"TE in a list with itself",
     SPAN_INIT(POST("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"))},
    {"TE gzip, chunked", SPAN_INIT(POST("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"))},
    {"TE chunked, identity",
     SPAN_INIT(POST("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"))},
    {"TE identity", SPAN_INIT(POST("Transfer-Encoding: identity\r\n", ""))},
    {"TE xchunked", SPAN_INIT(POST("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"))},
    {"TE chunkedx", SPAN_INIT(POST("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n"))},
    {"TE chunk", SPAN_INIT(POST("Transfer-Encoding: chunk\r\n", "0\r\n\r\n"))},
    {"TE is empty", SPAN_INIT(POST("Transfer-Encoding:\r\n", "0\r\n\r\n"))},
    {"TE behind a comma", SPAN_INIT(POST("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"))},
    {"TE with a comma behind", SPAN_INIT(POST("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"))},
    {"TE with a parameter", SPAN_INIT(POST("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"))},
    {"TE in quotes", SPAN_INIT(POST("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"))},
    {"TE behind a tab", SPAN_INIT(POST("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"))},
    {"TE with a tab behind", SPAN_INIT(POST("Transfer-Encoding: chunked\t\r\n", "0\r\n\r\n"))},
    {"TE with NUL", SPAN_INIT(POST("Transfer-Encoding: chunked\0\r\n", "0\r\n\r\n"))},
    {"TE with a long s", SPAN_INIT(POST("Tran\xc5\xbf"
                                        "fer-Encoding: chunked\r\n",
                                        "0\r\n\r\n"))},
    {"TE with CR in front", SPAN_INIT(POST("\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"))},
    {"TE behind a bare LF", SPAN_INIT(POST("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"))},
};
/* clang-format on */

/* clang-format off */
static const struct {
    const char *name;
    struct span body;
} odd_chunks[] = {
    /* 7.1: chunked bodies */
    {"size with plus", SPAN_INIT("+1\r\nx\r\n0\r\n\r\n")},
    {"size with minus", SPAN_INIT("-1\r\nx\r\n0\r\n\r\n")},
    {"size with 0x", SPAN_INIT("0x1\r\nx\r\n0\r\n\r\n")},
    {"size with an underscore", SPAN_INIT("0_1\r\nx\r\n0\r\n\r\n")},
    {"no size", SPAN_INIT("\r\nx\r\n0\r\n\r\n")},
    {"size is a word", SPAN_INIT("one\r\nx\r\n0\r\n\r\n")},
    {"size g", SPAN_INIT("g\r\nx\r\n0\r\n\r\n")},
    {"size with h", SPAN_INIT("1h\r\nx\r\n0\r\n\r\n")},
    {"space before the size", SPAN_INIT(" 1\r\nx\r\n0\r\n\r\n")},
    {"space behind the size", SPAN_INIT("1 \r\nx\r\n0\r\n\r\n")},
    {"tab behind the size", SPAN_INIT("1\t\r\nx\r\n0\r\n\r\n")},
    {"comma behind the size", SPAN_INIT("1,\r\nx\r\n0\r\n\r\n")},
    {"NUL behind the size", SPAN_INIT("1\0\r\nx\r\n0\r\n\r\n")},
    {"size of nine digits", SPAN_INIT("000000001\r\nx\r\n0\r\n\r\n")},
    {"size beyond 32 bits", SPAN_INIT("100000001\r\nx\r\n0\r\n\r\n")},
    {"size beyond 64 bits", SPAN_INIT("10000000000000001\r\nx\r\n0\r\n\r\n")},
    {"size ends in LF", SPAN_INIT("1\nx\r\n0\r\n\r\n")},
    {"size ends in CR", SPAN_INIT("1\rx\r\n0\r\n\r\n")},
    {"size ends in CR CR LF", SPAN_INIT("1\r\r\nx\r\n0\r\n\r\n")},
    {"data ends in LF", SPAN_INIT("1\r\nx\n0\r\n\r\n")},
    {"data ends in CR", SPAN_INIT("1\r\nx\r0\r\n\r\n")},
    {"data is longer than its size", SPAN_INIT("1\r\nxy\r\n0\r\n\r\n")},
    {"data is longer than its size by CR LF", SPAN_INIT("1\r\nx\r\n\r\n0\r\n\r\n")},
    {"data ends in nothing", SPAN_INIT("1\r\nx0\r\n\r\n")},
    {"no size, then the end", SPAN_INIT("\r\n\r\n")},
    {"size ends in space LF", SPAN_INIT("1 \nx\r\n0\r\n\r\n")},
    {"size ends in CR and a letter", SPAN_INIT("1\rzx\r\n0\r\n\r\n")},
    {"data ends in a letter and LF", SPAN_INIT("1\r\nxz\n0\r\n\r\n")},
    {"data ends in CR and a letter", SPAN_INIT("1\r\nx\rz0\r\n\r\n")},
    {"last size ends in LF", SPAN_INIT("0\n\r\n")},
    {"body ends in LF", SPAN_INIT("0\r\n\n")},
    {"body ends in CR", SPAN_INIT("0\r\n\r" SMUGGLED)},
    {"trailer", SPAN_INIT("0\r\nX: y\r\n\r\n")},
    {"trailer that frames", SPAN_INIT("0\r\nContent-Length: 5\r\n\r\n")},
    {"request in place of the end", SPAN_INIT("0\r\n" SMUGGLED)},
    {"extension", SPAN_INIT("1;a\r\nx\r\n0\r\n\r\n")},
    {"extension with a value", SPAN_INIT("1;a=b\r\nx\r\n0\r\n\r\n")},
    {"extension of the last chunk", SPAN_INIT("0;a\r\n\r\n")},
    {"extension without a name", SPAN_INIT("1;\r\nx\r\n0\r\n\r\n")},
    {"extension with a space", SPAN_INIT("1; a\r\nx\r\n0\r\n\r\n")},
    {"extension behind a space", SPAN_INIT("1 ;a\r\nx\r\n0\r\n\r\n")},
    {"extension without a value", SPAN_INIT("1;a=\r\nx\r\n0\r\n\r\n")},
    {"extension with two values", SPAN_INIT("1;a=b=c\r\nx\r\n0\r\n\r\n")},
    {"extension with LF", SPAN_INIT("1;a\nx\r\n0\r\n\r\n")},
    {"extension with LF in a value", SPAN_INIT("1;a=b\nx\r\n0\r\n\r\n")},
    {"extension with CR in quotes", SPAN_INIT("1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n")},
    {"extension with LF in quotes", SPAN_INIT("1;a=\"\n\"\r\nx\r\n0\r\n\r\n")},
    {"extension with a quoted pair", SPAN_INIT("1;a=\"\\\"\"\r\nx\r\n0\r\n\r\n")},
    {"extension with NUL", SPAN_INIT("1;a\0\r\nx\r\n0\r\n\r\n")},
    {"extension with text behind the quotes", SPAN_INIT("1;a=\"b\"c\r\nx\r\n0\r\n\r\n")},
};
/* clang-format on */

/* How a stream ends that comes in pieces of `piece` bytes: its refusal, OK when a request is found
 * or more is awaited. */
static enum status outcome(struct span in, size_t piece)
{
    struct http h;
    enum http_event event = HTTP_NEED_MORE;
    http_init(&h);
    while (in.len && event != HTTP_HAVE_REQUEST && event != HTTP_REFUSED) {
        struct span part = span_first(in, piece);
        in = span_skip(in, part.len);
        do {
            size_t used;
            event = http_feed(&h, part, &used);
            part = span_skip(part, used);
            if (event == HTTP_HAVE_HEAD)
                http_allow_body(&h, 64);
        } while (event == HTTP_HAVE_HEAD);
    }
    enum status st = http_status(&h);
    http_fini(&h);
    return st;
}

static void expect_refused(const char *name, struct span in)
{
    in = test_at_edge(in);
    for (size_t piece = 1; piece <= in.len; piece++)
        EXPECT_EQ_IN(name, outcome(in, piece), BAD_REQUEST);
}

/* What the strict pass says by itself: it does not rely on llhttp to refuse as well. */
static enum status judge_head(struct span in)
{
    struct http_head head = {0};
    enum status st = OK;
    while (st == OK && !head.whole && in.len) {
        struct span line = span_first(in, span_index(in, '\n') + 1);
        in = span_skip(in, line.len);
        st = http_head_line(&head, line);
    }
    return st;
}

TEST(odd_requests_are_refused_however_they_are_cut)
{
    for (size_t i = 0; i < COUNT(odd); i++) {
        EXPECT_EQ_IN(odd[i].name, judge_head(test_at_edge(odd[i].in)), BAD_REQUEST);
        expect_refused(odd[i].name, odd[i].in);
    }
}

TEST(odd_chunks_are_refused_however_they_are_cut)
{
    for (size_t i = 0; i < COUNT(odd_chunks); i++) {
        struct http_chunk chunk = {0};
        struct buf in = {0};
        size_t used;
        EXPECT_EQ_IN(odd_chunks[i].name,
                     http_chunk_scan(&chunk, test_at_edge(odd_chunks[i].body), 64, &used),
                     BAD_REQUEST);
        buf_text(&in, CHUNKED);
        buf_put(&in, odd_chunks[i].body);
        expect_refused(odd_chunks[i].name, buf_span(&in));
        buf_fini(&in);
    }
}

TEST(what_llhttp_reads_in_its_own_way_is_refused)
{
    expect_refused("CONNECT with a body, which has none for llhttp",
                   SPAN("CONNECT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
    expect_refused("the method of HTTP/2", SPAN("PRI / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST(a_TLS_hello_is_refused_at_its_first_byte)
{
    expect_refused("TLS", SPAN("\x16\x03\x01"));
}

TEST_MAIN(RUN(odd_requests_are_refused_however_they_are_cut),
          RUN(odd_chunks_are_refused_however_they_are_cut),
          RUN(what_llhttp_reads_in_its_own_way_is_refused),
          RUN(a_TLS_hello_is_refused_at_its_first_byte))
