/* The same payload, answers and status, whether a stream comes whole, byte by byte or in pieces cut
 * at random; and our answers are frames a strict client takes. */
#include "wire/websocket.h"

struct result {
    struct buf app, wire;
    enum status status;
};

static struct result feed(struct span in, size_t piece, bool growing)
{
    struct result r = {.status = OK};
    struct ws w;
    ws_init(&w);
    while (in.len) {
        struct span part = span_first(in, piece);
        in = span_skip(in, part.len);
        enum status st = ws_feed(&w, part, &r.app, &r.wire);
        CHECK(r.status == OK || st == r.status); /* an end is for good */
        r.status = st;
        if (growing)
            piece = piece * 5 % 61 + 1;
    }
    ws_fini(&w);
    return r;
}

/* The frame at the start of `wire`, which is ours: whole, final, unmasked, control. */
static size_t check_frame(struct span wire)
{
    CHECK(wire.len >= 2);
    CHECK(wire.data[0] == 0x8a || wire.data[0] == 0x88);
    CHECK(wire.data[1] <= 125);
    CHECK(wire.len >= (size_t)wire.data[1] + 2);
    return (size_t)wire.data[1] + 2;
}

/* A close frame is the last, and stands there exactly when the stream has ended. */
static void check_wire(struct span wire, enum status status)
{
    bool closed = false;
    while (wire.len) {
        CHECK(!closed);
        closed = wire.data[0] == 0x88;
        wire = span_skip(wire, check_frame(wire));
    }
    CHECK(closed == (status != OK));
}

static void same(struct result *a, struct result b)
{
    CHECK(a->status == b.status);
    CHECK(span_compare(buf_span(&a->app), buf_span(&b.app)) == 0);
    CHECK(span_compare(buf_span(&a->wire), buf_span(&b.wire)) == 0);
    buf_fini(&b.app);
    buf_fini(&b.wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct result whole = feed(in, size, false);
    check_wire(buf_span(&whole.wire), whole.status);
    same(&whole, feed(in, 1, false));
    same(&whole, feed(in, 3 + size % 7, true));
    buf_fini(&whole.app);
    buf_fini(&whole.wire);
    return 0;
}
