/* websocket.h — WebSocket (RFC 6455), server side: frames to a stream of bytes and back.
 *
 * Frame and message borders mean nothing to the protocols inside (mqtt.md 1): payloads are passed
 * on as they come, so a connection buffers nothing. Only binary messages are taken. Frames are
 * decoded by wslay, whose context (8 KiB) lives only while a message is in parts.
 *
 * Pure: no I/O, no clock.
 *
 * Units    lengths in bytes
 * Memory   heap while a message is in parts, nothing when idle
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
    struct wslay_event_context *wslay; /* owned; NULL between messages */
    uint64_t unread;                   /* bytes in wslay not yet accounted to a frame */
    uint64_t frame_left;               /* payload bytes the frame at hand still lacks */
    bool in_message;                   /* a data message has begun and not ended */
    bool close_sent;
    enum status ended; /* OK while frames are read */
};

void ws_init(struct ws *w);
void ws_fini(struct ws *w);

/* Take all of `in`; append payload bytes to `app`, pongs and close frames to `wire`.
 *
 *   OK          go on
 *   CLOSED      the peer's close frame has come and is answered
 *   TOO_LARGE   a frame declares more than WS_FRAME_MAX: close 1009, before it is read
 *   BAD_PACKET  a violation: close 1002; a text message: 1003; a close reason not UTF-8: 1007
 *
 * Other than OK is for good: further input is dropped and answered the same way. `app` holds what
 * came before. The result does not depend on how the bytes were cut into calls. */
MUST_USE enum status ws_feed(struct ws *w, struct span in, struct buf *app, struct buf *wire);

/* Append one binary message of one frame. Nothing after a close frame was sent (5.5.1). */
void ws_put_binary(struct ws *w, struct span payload, struct buf *wire);
/* Append a close frame, unless one was sent. */
void ws_put_close(struct ws *w, enum ws_code code, struct buf *wire);

/* Append the value of Sec-WebSocket-Accept for a Sec-WebSocket-Key (4.2.2). */
void ws_accept_key(struct buf *out, struct span key);
/* Append the whole 101 answer. `protocol` is the subprotocol as the peer offered it
 * (http_find_token); .data NULL: none was chosen. */
void ws_put_handshake(struct buf *out, struct span key, struct span protocol);

#endif
