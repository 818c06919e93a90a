/* The same events, requests and refusal, whether a stream comes whole, byte by byte or in pieces
 * cut at random, and never a head whose end two readers could see in two places. */
#include "wire/http.h"

#define BODY_MAX 4096

static void tell_head(struct http *h, struct buf *log)
{
    CHECK(http_target(h).data[0] == '/');
    CHECK(http_header(h, SPAN("host")).len > 0);
    CHECK(!http_header(h, SPAN("content-length")).data ||
          !http_header(h, SPAN("transfer-encoding")).data);
    buf_printf(log, "%d%d%d%d ", (int)http_method(h), http_keep_alive(h),
               http_is_websocket_upgrade(h), http_expects_continue(h));
    buf_put(log, http_target(h));
    for (size_t i = 0; i < http_field_count(h); i++) {
        buf_put(log, http_field(h, i).name);
        buf_byte(log, ':');
        buf_put(log, http_field(h, i).value);
        buf_byte(log, '\n');
    }
}

static void tell(struct http *h, struct span in, struct buf *log)
{
    enum http_event event;
    do {
        size_t used = SIZE_MAX;
        event = http_feed(h, in, &used);
        CHECK(used <= in.len);
        in = span_skip(in, used);
        if (event == HTTP_HAVE_HEAD) {
            http_allow_body(h, BODY_MAX);
            tell_head(h, log);
        } else if (event == HTTP_HAVE_REQUEST) {
            CHECK(http_body(h).len <= BODY_MAX);
            buf_put(log, http_body(h));
            buf_byte(log, '\f');
            http_next(h);
        }
    } while (event == HTTP_HAVE_HEAD || event == HTTP_HAVE_REQUEST);
    CHECK(event == HTTP_REFUSED || in.len == 0);
}

static struct buf events(struct span in, size_t piece, bool growing)
{
    struct http h;
    struct buf log = {0};
    http_init(&h);
    while (in.len) {
        struct span part = span_first(in, piece);
        tell(&h, part, &log);
        in = span_skip(in, part.len);
        if (growing)
            piece = piece * 5 % 61 + 1;
    }
    buf_printf(&log, "%d %d", (int)http_phase(&h), (int)http_status(&h));
    http_fini(&h);
    return log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct buf whole = events(in, size, false);
    struct buf bytes = events(in, 1, false);
    struct buf pieces = events(in, 3 + size % 7, true);
    CHECK(span_compare(buf_span(&whole), buf_span(&bytes)) == 0);
    CHECK(span_compare(buf_span(&whole), buf_span(&pieces)) == 0);
    buf_fini(&whole);
    buf_fini(&bytes);
    buf_fini(&pieces);
    return 0;
}
