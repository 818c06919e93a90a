/* websocket_testing.h — what the tests of websocket.c share: frames as a client makes them, and
 * what a stream of them leads to. For tests only. */
#ifndef WIRE_WEBSOCKET_TESTING_H
#define WIRE_WEBSOCKET_TESTING_H

#include "base/test.h"

#include "wire/websocket.h"

/* ---- frames as a client makes them ---- */

enum { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG, FIN = 0x80, MASK = 0x80 };

static inline void put_head(struct buf *b, unsigned first, uint64_t len, unsigned mask)
{
    buf_byte(b, (uint8_t)first);
    size_t len_len = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;
    buf_byte(b, (uint8_t)(mask | (len_len == 0 ? len : len_len == 2 ? 126 : 127)));
    while (len_len--)
        buf_byte(b, (uint8_t)(len >> (8 * len_len)));
    if (mask)
        buf_put(b, SPAN("\x11\x22\x33\x44"));
}

static inline void put_frame(struct buf *b, unsigned first, struct span payload)
{
    put_head(b, first, payload.len, MASK);
    for (size_t i = 0; i < payload.len; i++)
        buf_byte(b, (uint8_t)(payload.data[i] ^ (i % 4 + 1) * 0x11));
}

/* ---- a stream becomes payload, answers and a status ---- */

struct result {
    struct buf app, wire;
    enum status status;
};

static inline void result_fini(struct result *r)
{
    buf_fini(&r->app);
    buf_fini(&r->wire);
}

static inline struct result feed(struct span in, size_t cut, size_t piece)
{
    struct result r = {.status = OK};
    struct ws w;
    ws_init(&w);
    if (piece == 0) {
        r.status = ws_feed(&w, span_first(in, cut), &r.app, &r.wire);
        r.status = ws_feed(&w, span_skip(in, cut), &r.app, &r.wire);
    } else {
        for (; in.len; in = span_skip(in, in.len < piece ? in.len : piece))
            r.status = ws_feed(&w, span_first(in, piece), &r.app, &r.wire);
    }
    ws_fini(&w);
    return r;
}

static inline void expect_result(const char *name, struct span in, const struct result *want)
{
    in = test_at_edge(in);
    size_t step = in.len < 4096 ? 1 : in.len / 64;
    for (size_t cut = 0; cut <= in.len + step; cut += step) {
        bool bytes = cut > in.len; /* last: byte by byte */
        struct result got = feed(in, cut, bytes ? 1 : 0);
        EXPECT_EQ_IN(name, got.status, want->status);
        EXPECT_SPAN_IN(name, buf_span(&got.wire), buf_span(&want->wire));
        EXPECT_SPAN_IN(name, buf_span(&got.app), buf_span(&want->app));
        result_fini(&got);
    }
}

/* In `frames` a frame is written as its first byte (FIN and opcode) and its payload. */
struct frame {
    unsigned first;
    struct span payload;
};

#define P(text) SPAN_INIT(text)

#endif
