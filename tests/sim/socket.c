#include "socket.h"

#include "base/test.h"
#include "report.h"
#include "world.h"

void socket_put_request(struct buf *out)
{
    buf_text(out, "GET /$iothub/websocket HTTP/1.1\r\nHost: " WORLD_HOST "\r\n"
                  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
}

bool socket_take_answer(struct buf *in)
{
    const uint8_t *end = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    PROMISE(span_starts(buf_span(in), SPAN("HTTP/1.1 101 ")), "no upgrade: %.*s", SPAN_ARG(*in));
    PROMISE(memmem(in->data, in->len, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28), "another accept key");
    buf_consume(in, (size_t)(end + 4 - in->data));
    return true;
}

static void put_frame(struct buf *out, uint8_t first, struct span payload, uint64_t *seed)
{
    uint32_t mask = (uint32_t)test_random(seed);
    uint8_t key[4];
    store_u32le(key, mask);
    buf_byte(out, first);
    if (payload.len < 126) {
        buf_byte(out, (uint8_t)(0x80 | payload.len));
    } else if (payload.len < 65536) {
        buf_byte(out, 0x80 | 126);
        buf_byte(out, (uint8_t)(payload.len >> 8));
        buf_byte(out, (uint8_t)payload.len);
    } else {
        buf_byte(out, 0x80 | 127);
        for (int i = 7; i >= 0; i--)
            buf_byte(out, (uint8_t)((uint64_t)payload.len >> (8 * i)));
    }
    buf_put(out, span_of(key, 4));
    for (size_t i = 0; i < payload.len; i++)
        buf_byte(out, payload.data[i] ^ key[i % 4]);
}

void socket_put_frames(struct buf *out, struct span bytes, uint64_t *seed)
{
    size_t cut = test_random(seed) % (bytes.len + 1);
    bool whole = test_random(seed) % 2;
    if (whole) {
        put_frame(out, 0x82, bytes, seed);
        return;
    }
    bool parts = test_random(seed) % 2; /* of one message, else two messages */
    put_frame(out, parts ? 0x02 : 0x82, span_first(bytes, cut), seed);
    if (test_random(seed) % 4 == 0)
        put_frame(out, 0x89, SPAN("hi"), seed);
    put_frame(out, parts ? 0x80 : 0x82, span_skip(bytes, cut), seed);
}

void socket_take_frames(struct buf *in, struct buf *app)
{
    for (;;) {
        size_t head = 2;
        if (in->len < head)
            return;
        uint64_t len = in->data[1];
        PROMISE(len < 128, "the hub masks its frames");
        if (len >= 126) {
            size_t bytes = len == 126 ? 2 : 8;
            head += bytes;
            if (in->len < head)
                return;
            len = 0;
            for (size_t i = 0; i < bytes; i++)
                len = len << 8 | in->data[2 + i];
        }
        if (in->len - head < len)
            return;
        uint8_t first = in->data[0];
        PROMISE(first == 0x82 || first == 0x8a || first == 0x88, "a frame of type %02x", first);
        if (first == 0x82)
            buf_put(app, span_of(in->data + head, len));
        buf_consume(in, head + len);
    }
}
