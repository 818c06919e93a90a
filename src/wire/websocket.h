/* websocket.h — WebSocket (RFC 6455), server side: frames to a stream of bytes and back.
 *
 * Frame and message borders mean nothing to the protocols inside (mqtt.md 1): payloads are passed
 * on as they come, so a connection buffers nothing. Only binary messages are taken.
 *
 * Frames are decoded by wslay's frame layer, whose context (4 KiB) lives only while a frame is in
 * parts. Its event layer is not used: it checks a close reason piece by piece as the bytes
 * arrive, so the same frame is refused or accepted depending on how it was cut.
 *
 * Pure: no I/O, no clock.
 *
 * Units    lengths in bytes
 * Memory   heap while a frame is in parts, nothing when idle
 * Threads  the owner's
 * Errors   ws_feed; its close frame is in `wire` already: send that, then close the connection
 * Source   RFC 6455; its sections in comments
 */
#ifndef WIRE_WEBSOCKET_H
#define WIRE_WEBSOCKET_H

#include "base/buf.h"
#include "base/status.h"

/* The longest frame: the largest MQTT packet, with a 256 KiB payload behind the longest topic. */
#define WS_FRAME_MAX (262144 + 65535 + 16)

enum ws_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL_ERROR = 1002,
    WS_UNSUPPORTED = 1003,
    WS_BAD_DATA = 1007,
    WS_POLICY = 1008,
    WS_TOO_BIG = 1009,
    WS_SERVER_ERROR = 1011,
};

/* Private but for its size. */
struct ws {
    struct ws_decoder *decoder; /* owned; NULL between frames */
    enum status ended;          /* OK while frames are read */
    bool in_message;            /* a message has begun and its last frame not ended */
    bool close_sent;
};

void ws_init(struct ws *w);
void ws_fini(struct ws *w);

/* Take all of `in`; append payload bytes to `app`, pongs and close frames to `wire`.
 *
 *   OK          go on
 *   CLOSED      the peer's close frame has come and is answered
 *   TOO_LARGE   a frame declares more than WS_FRAME_MAX: close 1009, before it is taken
 *   BAD_PACKET  a violation: close 1002; a text message: 1003; a close reason not UTF-8: 1007
 *
 * Other than OK is for good: further input is dropped and answered the same way. `app` holds what
 * came before. The result does not depend on how the bytes were cut into calls. */
MUST_USE enum status ws_feed(struct ws *w, struct span in, struct buf *app, struct buf *wire);

/* Append one binary message of one frame. Nothing after a close frame was sent (5.5.1). */
void ws_put_binary(struct ws *w, struct span payload, struct buf *wire);
/* Append a close frame, unless one was sent. The peer's answer makes ws_feed say CLOSED. */
void ws_put_close(struct ws *w, enum ws_code code, struct buf *wire);

/* Append the value of Sec-WebSocket-Accept for a Sec-WebSocket-Key (4.2.2). */
void ws_accept_key(struct buf *out, struct span key);
/* Append the whole 101 answer. `protocol` is the subprotocol as the peer offered it
 * (http_find_token); .data NULL: none was chosen. */
void ws_put_handshake(struct buf *out, struct span key, struct span protocol);

#endif
