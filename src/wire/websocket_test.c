#include <wslay/wslay.h>

#include "wire/websocket_testing.h"

/* clang-format off */
static const struct {
    const char *name;
    struct frame frames[4];
    struct span app, wire;
    enum status status;
} streams[] = {
    {"one frame", {{FIN | BINARY, P("hello")}}, P("hello"), P(""), OK},
    {"two messages", {{FIN | BINARY, P("he")}, {FIN | BINARY, P("llo")}}, P("hello"), P(""), OK},
    {"fragments", {{BINARY, P("he")}, {CONTINUATION, P("l")}, {FIN | CONTINUATION, P("lo")}},
     P("hello"), P(""), OK},
    {"empty fragments", {{BINARY, P("")}, {CONTINUATION, P("")}, {FIN | CONTINUATION, P("x")}},
     P("x"), P(""), OK},
    {"an empty message", {{FIN | BINARY, P("")}, {FIN | BINARY, P("x")}}, P("x"), P(""), OK},
    {"a message begun", {{BINARY, P("x")}}, P("x"), P(""), OK},

    /* 5.5.2 */
    {"ping", {{FIN | PING, P("abc")}}, P(""), P("\x8a\x03" "abc"), OK},
    {"empty ping", {{FIN | PING, P("")}}, P(""), P("\x8a\x00"), OK},
    {"pong is not answered", {{FIN | PONG, P("abc")}, {FIN | BINARY, P("x")}}, P("x"), P(""), OK},
    {"ping between fragments", {{BINARY, P("x")}, {FIN | PING, P("p")}, {FIN | CONTINUATION, P("y")}},
     P("xy"), P("\x8a\x01p"), OK},

    /* 5.5.1 */
    {"close without a code", {{FIN | CLOSE, P("")}}, P(""), P("\x88\x00"), CLOSED},
    {"close", {{FIN | CLOSE, P("\x03\xe8")}}, P(""), P("\x88\x02\x03\xe8"), CLOSED},
    {"close with a reason", {{FIN | CLOSE, P("\x03\xe9gr\xc3\xbc\xc3\x9f")}}, P(""),
     P("\x88\x02\x03\xe9"), CLOSED},
    {"nothing is read behind a close", {{FIN | CLOSE, P("")}, {FIN | BINARY, P("x")}, {FIN | PING, P("")}},
     P(""), P("\x88\x00"), CLOSED},
    {"close between fragments", {{BINARY, P("x")}, {FIN | CLOSE, P("\x03\xe8")}}, P("x"),
     P("\x88\x02\x03\xe8"), CLOSED},
    {"half a close code", {{FIN | CLOSE, P("\x03")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
    {"reason is not UTF-8", {{FIN | CLOSE, P("\x03\xe8\xff")}}, P(""), P("\x88\x02\x03\xef"), BAD_PACKET},
    {"reason ends in a letter", {{FIN | CLOSE, P("\x03\xe8" "ab\xc3")}}, P(""),
     P("\x88\x02\x03\xef"), BAD_PACKET},
    {"reason holds a surrogate", {{FIN | CLOSE, P("\x03\xe8\xed\xa0\x80")}}, P(""),
     P("\x88\x02\x03\xef"), BAD_PACKET},

    /* 5.2, 5.4 */
    {"text", {{FIN | BINARY, P("x")}, {FIN | TEXT, P("y")}}, P("x"), P("\x88\x02\x03\xeb"), BAD_PACKET},
    {"text in parts", {{TEXT, P("y")}}, P(""), P("\x88\x02\x03\xeb"), BAD_PACKET},
    {"continues nothing", {{FIN | CONTINUATION, P("x")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
    {"continues what has ended", {{FIN | BINARY, P("x")}, {CONTINUATION, P("y")}}, P("x"),
     P("\x88\x02\x03\xea"), BAD_PACKET},
    {"new message within another", {{BINARY, P("x")}, {FIN | BINARY, P("y")}}, P("x"),
     P("\x88\x02\x03\xea"), BAD_PACKET},
    {"text within another", {{BINARY, P("x")}, {FIN | TEXT, P("y")}}, P("x"),
     P("\x88\x02\x03\xea"), BAD_PACKET},
    {"RSV1: compression was not agreed on", {{FIN | 0x40 | BINARY, P("x")}}, P(""),
     P("\x88\x02\x03\xea"), BAD_PACKET},
    {"RSV2", {{FIN | 0x20 | BINARY, P("x")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
    {"RSV3", {{FIN | 0x10 | PING, P("")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
    {"ping in parts", {{PING, P("x")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
    {"close in parts", {{CLOSE, P("")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
    {"opcode 3", {{FIN | 3, P("x")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
    {"opcode 7", {{FIN | 7, P("")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
    {"opcode 11", {{FIN | 11, P("x")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
    {"opcode 15", {{FIN | 15, P("")}}, P(""), P("\x88\x02\x03\xea"), BAD_PACKET},
};
/* clang-format on */

TEST(streams_give_the_same_result_however_they_are_cut)
{
    for (size_t i = 0; i < COUNT(streams); i++) {
        struct buf in = {0};
        struct result want = {.status = streams[i].status};
        for (size_t k = 0; k < COUNT(streams[i].frames); k++)
            if (streams[i].frames[k].payload.data)
                put_frame(&in, streams[i].frames[k].first, streams[i].frames[k].payload);
        buf_put(&want.app, streams[i].app);
        buf_put(&want.wire, streams[i].wire);
        expect_result(streams[i].name, buf_span(&in), &want);
        result_fini(&want);
        buf_fini(&in);
    }
}

/* Frames that put_frame does not make, byte by byte. */
static const struct {
    const char *name;
    struct span in;
} malformed[] = {
    {"not masked",                         SPAN_INIT("\x82\x01x")                                       },
    {"not masked, empty",                  SPAN_INIT("\x82\x00")                                        },
    {"ping not masked",                    SPAN_INIT("\x89\x00")                                        },
    {"ping of 126 bytes",                  SPAN_INIT("\x89\xfe\x00\x7e")                                },
    {"close of 126 bytes",                 SPAN_INIT("\x88\xfe\x00\x7e")                                },
    {"ping with a length of eight bytes",  SPAN_INIT("\x89\xff")                                        },
    {"1 byte, its length in two",          SPAN_INIT("\x82\xfe\x00\x01\1\2\3\4x")                       },
    {"125 bytes, their length in two",     SPAN_INIT("\x82\xfe\x00\x7d\1\2\3\4")                        },
    {"65535 bytes, their length in eight",
     SPAN_INIT("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff\1\2\3\4")                                      },
    {"a length of 2^63",                   SPAN_INIT("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\1\2\3\4")},
};

TEST(malformed_frames_are_refused_with_1002)
{
    for (size_t i = 0; i < COUNT(malformed); i++) {
        struct result want = {.status = BAD_PACKET};
        buf_put(&want.wire, SPAN("\x88\x02\x03\xea"));
        expect_result(malformed[i].name, malformed[i].in, &want);
        result_fini(&want);
    }
}

static void expect_close_code(unsigned code, bool good)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    struct buf in = {0};
    put_frame(&in, FIN | CLOSE, span_of(payload, 2));
    struct result got = feed(buf_span(&in), in.len, 0);
    EXPECT_EQ(got.status, good ? CLOSED : BAD_PACKET);
    uint8_t echo[4] = {FIN | CLOSE, 2, payload[0], payload[1]};
    EXPECT_SPAN(buf_span(&got.wire), good ? span_of(echo, 4) : SPAN("\x88\x02\x03\xea"));
    result_fini(&got);
    buf_fini(&in);
}

TEST(close_codes_are_taken_as_the_registry_has_them)
{
    static const struct {
        unsigned from, to;
        bool good;
    } ranges[] = {
        {0,    999,   false},
        {1000, 1003,  true },
        {1004, 1006,  false},
        {1007, 1014,  true },
        {1015, 2999,  false},
        {3000, 4999,  true },
        {5000, 65535, false}
    };
    for (size_t i = 0; i < COUNT(ranges); i++) {
        expect_close_code(ranges[i].from, ranges[i].good);
        expect_close_code(ranges[i].to, ranges[i].good);
    }
}

TEST(a_frame_beyond_the_limit_is_refused_from_its_header)
{
    static const uint64_t lens[] = {WS_FRAME_MAX + 1, 243u << 20, (uint64_t)1 << 62};
    for (size_t i = 0; i < COUNT(lens); i++) {
        struct buf in = {0};
        struct result want = {.status = TOO_LARGE};
        put_head(&in, FIN | BINARY, lens[i], MASK);
        buf_byte(&in, 'x');
        buf_put(&want.wire, SPAN("\x88\x02\x03\xf1"));
        expect_result("too large", buf_span(&in), &want);
        result_fini(&want);
        buf_fini(&in);
    }
}

TEST(frames_of_every_length_form_pass_both_ways)
{
    static const size_t lens[] = {0, 1, 125, 126, 127, 128, 4095, 4096, 65535, 65536, WS_FRAME_MAX};
    for (size_t i = 0; i < COUNT(lens); i++) {
        struct buf in = {0}, head = {0}, out = {0};
        struct result want = {.status = OK};
        struct ws w;
        for (size_t k = 0; k < lens[i]; k++)
            buf_byte(&want.app, (uint8_t)(k * 7));
        put_frame(&in, FIN | BINARY, buf_span(&want.app));
        expect_result("length", buf_span(&in), &want);

        ws_init(&w);
        ws_put_binary(&w, buf_span(&want.app), &out);
        put_head(&head, FIN | BINARY, lens[i], 0);
        EXPECT_SPAN(span_first(buf_span(&out), head.len), buf_span(&head));
        EXPECT_SPAN(span_skip(buf_span(&out), head.len), buf_span(&want.app));
        ws_fini(&w);
        result_fini(&want);
        buf_fini(&in);
        buf_fini(&head);
        buf_fini(&out);
    }
}

TEST(a_fragmented_message_may_be_longer_than_any_frame)
{
    static uint8_t part[WS_FRAME_MAX];
    struct buf in = {0}, app = {0}, wire = {0};
    struct ws w;
    ws_init(&w);
    put_frame(&in, BINARY, span_of(part, sizeof(part)));
    put_frame(&in, CONTINUATION, span_of(part, sizeof(part)));
    EXPECT_EQ(ws_feed(&w, buf_span(&in), &app, &wire), OK);
    EXPECT_EQ(app.len, 2 * sizeof(part));
    EXPECT_EQ(wire.len, 0);
    ws_fini(&w);
    buf_fini(&in);
    buf_fini(&app);
    buf_fini(&wire);
}

TEST(payload_is_passed_on_before_its_frame_is_whole)
{
    struct buf in = {0}, app = {0}, wire = {0};
    struct ws w;
    ws_init(&w);
    put_frame(&in, FIN | BINARY, SPAN("hello"));
    EXPECT_EQ(ws_feed(&w, span_first(buf_span(&in), in.len - 2), &app, &wire), OK);
    EXPECT_SPAN(buf_span(&app), SPAN("hel"));
    EXPECT(w.decoder != NULL);
    EXPECT_EQ(ws_feed(&w, span_skip(buf_span(&in), in.len - 2), &app, &wire), OK);
    EXPECT_SPAN(buf_span(&app), SPAN("hello"));
    EXPECT(w.decoder == NULL); /* between frames, nothing is held */
    EXPECT(sizeof(w) <= 32);
    ws_fini(&w);
    buf_fini(&in);
    buf_fini(&app);
    buf_fini(&wire);
}

TEST(nothing_is_sent_behind_our_close_and_the_peers_ends_it)
{
    struct buf in = {0}, app = {0}, wire = {0};
    struct ws w;
    ws_init(&w);
    ws_put_close(&w, WS_GOING_AWAY, &wire);
    ws_put_close(&w, WS_POLICY, &wire);
    ws_put_binary(&w, SPAN("x"), &wire);
    put_frame(&in, FIN | PING, SPAN("p"));
    EXPECT_EQ(ws_feed(&w, buf_span(&in), &app, &wire), OK);
    buf_clear(&in);
    put_frame(&in, FIN | CLOSE, SPAN("\x03\xe9"));
    EXPECT_EQ(ws_feed(&w, buf_span(&in), &app, &wire), CLOSED);
    EXPECT_SPAN(buf_span(&wire), SPAN("\x88\x02\x03\xe9"));
    EXPECT_EQ(ws_feed(&w, SPAN("\x82"), &app, &wire), CLOSED);
    ws_fini(&w);
    buf_fini(&in);
    buf_fini(&app);
    buf_fini(&wire);
}

TEST(the_handshake_of_the_specification_is_answered_as_there)
{
    struct buf out = {0};
    ws_accept_key(&out, SPAN("dGhlIHNhbXBsZSBub25jZQ==")); /* RFC 6455 1.3 */
    EXPECT_SPAN(buf_span(&out), SPAN("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    buf_clear(&out);
    ws_put_handshake(&out, SPAN("dGhlIHNhbXBsZSBub25jZQ=="), SPAN("MQTT"));
    EXPECT_SPAN(buf_span(&out), SPAN("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                     "Connection: Upgrade\r\n"
                                     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                     "Sec-WebSocket-Protocol: MQTT\r\n\r\n"));
    buf_clear(&out);
    ws_put_handshake(&out, SPAN("dGhlIHNhbXBsZSBub25jZQ=="), (struct span){0});
    EXPECT_SPAN(buf_span(&out), SPAN("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                     "Connection: Upgrade\r\n"
                                     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    buf_fini(&out);
}

/* ---- what we rely on in wslay ---- */

static ssize_t give(uint8_t *data, size_t len, int flags, void *user)
{
    (void)flags;
    struct span *in = user;
    struct span piece = span_first(*in, len);
    if (piece.len == 0)
        return -1;
    memcpy(data, piece.data, piece.len);
    *in = span_skip(*in, piece.len);
    return (ssize_t)piece.len;
}

/* One call may take bytes and still want more: hence the loop in ws_feed. */
static ssize_t receive(wslay_frame_context_ptr frames, struct span *in, struct wslay_frame_iocb *f)
{
    ssize_t n;
    do
        n = wslay_frame_recv(frames, f);
    while (n == WSLAY_ERR_WANT_READ && in->len);
    return n;
}

TEST(wslay_gives_a_header_with_the_first_payload_bytes_and_keeps_its_place)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = give};
    static const struct {
        struct span in;
        ssize_t got;
        struct span payload;
    } steps[] = {
        {SPAN_INIT("\x82"),       WSLAY_ERR_WANT_READ, SPAN_INIT("")  },
        {SPAN_INIT("\x83\1\2\3"), WSLAY_ERR_WANT_READ, SPAN_INIT("")  },
        {SPAN_INIT("\4"),         WSLAY_ERR_WANT_READ, SPAN_INIT("")  }, /* the header is whole */
        {SPAN_INIT("``"),         2,                   SPAN_INIT("ab")},
        {SPAN_INIT("`"),          1,                   SPAN_INIT("c") },
    };
    struct span in;
    wslay_frame_context_ptr frames;
    assert_int_equal(wslay_frame_context_init(&frames, &callbacks, &in), 0);
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct wslay_frame_iocb f = {0};
        in = steps[i].in;
        EXPECT_EQ(receive(frames, &in, &f), steps[i].got);
        EXPECT_SPAN(span_of(f.data, f.data_length), steps[i].payload);
        bool header = f.fin && f.mask && f.opcode == WSLAY_BINARY_FRAME && f.payload_length == 3;
        EXPECT_EQ(header, steps[i].got > 0);
    }
    wslay_frame_context_free(frames);
}

TEST(wslay_refuses_long_and_fragmented_control_frames_and_padded_lengths)
{
    static const struct span bad[] = {SPAN_INIT("\x89\xfe"), SPAN_INIT("\x09\x80"),
                                      SPAN_INIT("\x82\xfe\x00\x01"),
                                      SPAN_INIT("\x82\xff\0\0\0\0\0\0\0\1")};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct span in = bad[i];
        struct wslay_frame_callbacks callbacks = {.recv_callback = give};
        struct wslay_frame_iocb f = {0};
        wslay_frame_context_ptr frames;
        assert_int_equal(wslay_frame_context_init(&frames, &callbacks, &in), 0);
        EXPECT_EQ(wslay_frame_recv(frames, &f), WSLAY_ERR_PROTO);
        wslay_frame_context_free(frames);
    }
}

TEST_MAIN(RUN(streams_give_the_same_result_however_they_are_cut),
          RUN(malformed_frames_are_refused_with_1002),
          RUN(close_codes_are_taken_as_the_registry_has_them),
          RUN(a_frame_beyond_the_limit_is_refused_from_its_header),
          RUN(frames_of_every_length_form_pass_both_ways),
          RUN(a_fragmented_message_may_be_longer_than_any_frame),
          RUN(payload_is_passed_on_before_its_frame_is_whole),
          RUN(nothing_is_sent_behind_our_close_and_the_peers_ends_it),
          RUN(the_handshake_of_the_specification_is_answered_as_there),
          RUN(wslay_gives_a_header_with_the_first_payload_bytes_and_keeps_its_place),
          RUN(wslay_refuses_long_and_fragmented_control_frames_and_padded_lengths))
