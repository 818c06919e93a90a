#include "wire/websocket.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <wslay/wslay.h>

#include "base/text.h"

#define CONTROL_MAX 125 /* 5.5 */
#define MASK_LEN    4

/* What a frame in parts needs. */
struct ws_decoder {
    wslay_frame_context_ptr frames;
    struct span in;      /* what on_recv has not handed out yet, during one ws_feed */
    uint64_t unread;     /* bytes wslay has taken and not given back as part of a frame */
    uint64_t frame_left; /* payload bytes the frame at hand still lacks */
    uint8_t control_len;
    uint8_t control[CONTROL_MAX]; /* payload of the control frame at hand */
};

void ws_init(struct ws *w)
{
    *w = (struct ws){.ended = OK};
}

static void drop_decoder(struct ws *w)
{
    if (!w->decoder)
        return;
    wslay_frame_context_free(w->decoder->frames);
    free(w->decoder);
    w->decoder = NULL;
}

void ws_fini(struct ws *w)
{
    drop_decoder(w);
    ws_init(w);
}

static ssize_t on_recv(uint8_t *data, size_t len, int flags, void *user)
{
    (void)flags;
    struct ws_decoder *d = user;
    struct span piece = span_first(d->in, len);
    if (piece.len == 0)
        return -1;
    memcpy(data, piece.data, piece.len);
    d->in = span_skip(d->in, piece.len);
    d->unread += piece.len;
    return (ssize_t)piece.len;
}

static void make_decoder(struct ws *w)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_recv};
    struct ws_decoder *d = calloc(1, sizeof(*d));
    if (!d || wslay_frame_context_init(&d->frames, &callbacks, d) != 0)
        check_no_memory();
    w->decoder = d;
}

/* 5.2: a frame of ours: whole, final, not masked. */
static void put_frame(struct buf *wire, uint8_t opcode, struct span payload)
{
    uint8_t head[10] = {(uint8_t)(0x80 | opcode)};
    size_t len_len = payload.len < 126 ? 0 : payload.len <= UINT16_MAX ? 2 : 8;
    head[1] = (uint8_t)(len_len == 0 ? payload.len : len_len == 2 ? 126 : 127);
    for (size_t i = 0; i < len_len; i++)
        head[2 + i] = (uint8_t)((uint64_t)payload.len >> (8 * (len_len - 1 - i)));
    buf_put(wire, span_of(head, 2 + len_len));
    buf_put(wire, payload);
}

void ws_put_binary(struct ws *w, struct span payload, struct buf *wire)
{
    if (!w->close_sent)
        put_frame(wire, WSLAY_BINARY_FRAME, payload);
}

static void put_close(struct ws *w, struct span payload, struct buf *wire)
{
    if (w->close_sent)
        return;
    w->close_sent = true;
    put_frame(wire, WSLAY_CONNECTION_CLOSE, payload);
}

void ws_put_close(struct ws *w, enum ws_code code, struct buf *wire)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    put_close(w, span_of(payload, 2), wire);
}

static enum status violation(struct ws *w, enum ws_code code, struct buf *wire)
{
    ws_put_close(w, code, wire);
    return BAD_PACKET;
}

/* 7.4 and the registry it founds: what may stand in a close frame. */
static bool is_close_code(unsigned code)
{
    if (code >= 1000 && code <= 1014)
        return code < 1004 || code > 1006;
    return code >= 3000 && code <= 4999;
}

/* 5.5.1: answered with its own code; a code comes with a reason in UTF-8, or nothing comes. */
static enum status on_close(struct ws *w, struct span payload, struct buf *wire)
{
    if (payload.len == 1)
        return violation(w, WS_PROTOCOL_ERROR, wire);
    if (payload.len >= 2) {
        if (!is_close_code((unsigned)payload.data[0] << 8 | payload.data[1]))
            return violation(w, WS_PROTOCOL_ERROR, wire);
        if (!text_is_utf8(span_skip(payload, 2)))
            return violation(w, WS_BAD_DATA, wire);
    }
    put_close(w, span_first(payload, 2), wire);
    return CLOSED;
}

/* The rules of sections 5.1 to 5.5 that wslay's frame layer leaves to its user. */
static enum status judge_frame(struct ws *w, const struct wslay_frame_iocb *f, struct buf *wire)
{
    if (!f->mask || f->rsv != WSLAY_RSV_NONE)
        return violation(w, WS_PROTOCOL_ERROR, wire);
    switch (f->opcode) {
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG: /* may stand between the frames of a message */
        return OK;
    case WSLAY_CONTINUATION_FRAME:
        if (!w->in_message)
            return violation(w, WS_PROTOCOL_ERROR, wire);
        break;
    case WSLAY_BINARY_FRAME:
    case WSLAY_TEXT_FRAME:
        if (w->in_message)
            return violation(w, WS_PROTOCOL_ERROR, wire);
        if (f->opcode == WSLAY_TEXT_FRAME)
            return violation(w, WS_UNSUPPORTED, wire);
        break;
    default:
        return violation(w, WS_PROTOCOL_ERROR, wire);
    }
    if (f->payload_length > WS_FRAME_MAX) {
        ws_put_close(w, WS_TOO_BIG, wire);
        return TOO_LARGE;
    }
    w->in_message = !f->fin;
    return OK;
}

static enum status on_control(struct ws *w, uint8_t opcode, struct buf *wire)
{
    struct span payload = span_of(w->decoder->control, w->decoder->control_len);
    w->decoder->control_len = 0;
    if (opcode == WSLAY_CONNECTION_CLOSE)
        return on_close(w, payload, wire);
    if (opcode == WSLAY_PING && !w->close_sent)
        put_frame(wire, WSLAY_PONG, payload);
    return OK;
}

/* A piece of a frame: its header, when the last frame was whole, and payload bytes. */
static enum status on_piece(struct ws *w, const struct wslay_frame_iocb *f, struct buf *app,
                            struct buf *wire)
{
    struct ws_decoder *d = w->decoder;
    if (d->frame_left == 0) {
        TRY(judge_frame(w, f, wire));
        size_t len_len = f->payload_length < 126 ? 0 : f->payload_length <= UINT16_MAX ? 2 : 8;
        d->unread -= 2 + len_len + MASK_LEN;
        d->frame_left = f->payload_length;
    }
    d->unread -= f->data_length;
    d->frame_left -= f->data_length;
    if (!wslay_is_ctrl_frame(f->opcode)) {
        buf_put(app, span_of(f->data, f->data_length));
        return OK;
    }
    CHECK(f->data_length <= sizeof(d->control) - d->control_len);
    memcpy(d->control + d->control_len, f->data, f->data_length);
    d->control_len += (uint8_t)f->data_length;
    return d->frame_left == 0 ? on_control(w, f->opcode, wire) : OK;
}

enum status ws_feed(struct ws *w, struct span in, struct buf *app, struct buf *wire)
{
    if (w->ended != OK || in.len == 0)
        return w->ended;
    if (!w->decoder)
        make_decoder(w);
    struct ws_decoder *d = w->decoder;
    d->in = in;
    while (w->ended == OK) {
        struct wslay_frame_iocb f;
        ssize_t n = wslay_frame_recv(d->frames, &f);
        if (n >= 0)
            w->ended = on_piece(w, &f, app, wire);
        else if (n != WSLAY_ERR_WANT_READ)
            w->ended = violation(w, WS_PROTOCOL_ERROR, wire);
        else if (d->in.len == 0)
            break;
    }
    if (w->ended != OK || (d->unread == 0 && d->frame_left == 0))
        drop_decoder(w);
    return w->ended;
}

void ws_accept_key(struct buf *out, struct span key)
{
    static const struct span salt = SPAN_INIT("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    struct buf text = {0};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    buf_put(&text, key);
    buf_put(&text, salt);
    CHECK(EVP_Digest(text.data, text.len, digest, &digest_len, EVP_sha1(), NULL) == 1);
    buf_fini(&text);
    text_put_base64(out, span_of(digest, digest_len));
}

void ws_put_handshake(struct buf *out, struct span key, struct span protocol)
{
    buf_text(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    ws_accept_key(out, key);
    if (protocol.data) {
        buf_text(out, "\r\nSec-WebSocket-Protocol: ");
        buf_put(out, protocol);
    }
    buf_text(out, "\r\n\r\n");
}
