/* The cases of the Autobahn test-suite for servers, sections 1 to 7, under its numbers (trials
 * F25). The suite speaks to a server that echoes. Here a message's payload is what is passed on,
 * and text is not spoken (mqtt.md 1): a case that sends messages is run with binary ones, and must
 * end as the suite has it under "strict"; and again with text ones, as the suite sends most, which
 * 1003 refuses unless something else was wrong before. Each is cut at every place, and comes byte
 * by byte: that is the suite's "in frame-wise chops" and "in octet-wise chops". */
#include "wire/websocket_testing.h"

#define X25  "xxxxxxxxxxxxxxxxxxxxxxxxx"
#define X120 X25 X25 X25 X25 "xxxxxxxxxxxxxxxxxxxx"
#define HI   "Hello, world!"

#define RSV(n)      ((n) << 4)
#define CLOSE_1000  "\x88\x02\x03\xe8"
#define PROTO       P("\x88\x02\x03\xea"), BAD_PACKET /* 1002 */
#define NO_TEXT     P("\x88\x02\x03\xeb"), BAD_PACKET /* 1003 */
#define NO_MESSAGES {NULL, 0}, OK                     /* control frames alone: there is no text */

/* clang-format off */
static const struct {
    const char *number;
    struct frame frames[10];
    struct span app, wire;
    enum status status;
    struct span text_wire; /* with text messages: nothing is passed on, and this is answered */
    enum status text_status;
} cases[] = {
    /* 1: framing; 65,535 and 65,536 bytes are in websocket_test.c */
    {"1.1.1 1.2.1 6.1.1", {{FIN | BINARY, P("")}}, P(""), P(""), OK, NO_TEXT},
    {"1.1.2 1.2.2", {{FIN | BINARY, P(X120 "12345")}}, P(X120 "12345"), P(""), OK, NO_TEXT},
    {"1.1.3 1.2.3", {{FIN | BINARY, P(X120 "123456")}}, P(X120 "123456"), P(""), OK, NO_TEXT},
    {"1.1.4 1.2.4", {{FIN | BINARY, P(X120 "1234567")}}, P(X120 "1234567"), P(""), OK, NO_TEXT},
    {"1.1.5 1.2.5", {{FIN | BINARY, P(X120 "12345678")}}, P(X120 "12345678"), P(""), OK, NO_TEXT},

    /* 2: pings and pongs */
    {"2.1", {{FIN | PING, P("")}}, P(""), P("\x8a\x00"), OK, NO_MESSAGES},
    {"2.2", {{FIN | PING, P(HI)}}, P(""), P("\x8a\x0d" HI), OK, NO_MESSAGES},
    {"2.3", {{FIN | PING, P("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")}}, P(""),
     P("\x8a\x08\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), OK, NO_MESSAGES},
    {"2.4 2.6", {{FIN | PING, P(X120 "12345")}}, P(""), P("\x8a\x7d" X120 "12345"), OK, NO_MESSAGES},
    {"2.5", {{FIN | PING, P(X120 "123456")}}, P(""), PROTO, NO_MESSAGES},
    {"2.7", {{FIN | PONG, P("")}}, P(""), P(""), OK, NO_MESSAGES},
    {"2.8", {{FIN | PONG, P("unsolicited")}}, P(""), P(""), OK, NO_MESSAGES},
    {"2.9", {{FIN | PONG, P("unsolicited")}, {FIN | PING, P("p")}}, P(""), P("\x8a\x01p"), OK, NO_MESSAGES},
    {"2.10 2.11", {{FIN | PING, P("0")}, {FIN | PING, P("1")}, {FIN | PING, P("2")}, {FIN | PING, P("3")},
      {FIN | PING, P("4")}, {FIN | PING, P("5")}, {FIN | PING, P("6")}, {FIN | PING, P("7")},
      {FIN | PING, P("8")}, {FIN | PING, P("9")}}, P(""),
     P("\x8a\1" "0\x8a\1" "1\x8a\1" "2\x8a\1" "3\x8a\1" "4\x8a\1" "5\x8a\1" "6\x8a\1" "7\x8a\1" "8\x8a\1" "9"),
     OK, NO_MESSAGES},

    /* 3: reserved bits */
    {"3.1", {{FIN | RSV(1) | BINARY, P(HI)}}, P(""), PROTO, P("\x88\x02\x03\xea"), BAD_PACKET},
    {"3.2", {{FIN | BINARY, P(HI)}, {FIN | RSV(2) | BINARY, P(HI)}, {FIN | PING, P("")}}, P(HI), PROTO, NO_TEXT},
    {"3.3", {{FIN | BINARY, P(HI)}, {FIN | RSV(3) | BINARY, P(HI)}, {FIN | PING, P("")}}, P(HI), PROTO, NO_TEXT},
    {"3.4", {{FIN | BINARY, P(HI)}, {FIN | RSV(4) | BINARY, P(HI)}, {FIN | PING, P("")}}, P(HI), PROTO, NO_TEXT},
    {"3.5", {{FIN | RSV(5) | BINARY, P(HI)}}, P(""), PROTO, P("\x88\x02\x03\xea"), BAD_PACKET},
    {"3.6", {{FIN | RSV(6) | PING, P(HI)}}, P(""), PROTO, NO_MESSAGES},
    {"3.7", {{FIN | RSV(7) | CLOSE, P("")}}, P(""), PROTO, NO_MESSAGES},

    /* 4: opcodes */
    {"4.1.1", {{FIN | 3, P("")}}, P(""), PROTO, NO_MESSAGES},
    {"4.1.2", {{FIN | 4, P("reserved")}}, P(""), PROTO, NO_MESSAGES},
    {"4.1.3", {{FIN | BINARY, P(HI)}, {FIN | 5, P("")}, {FIN | PING, P("")}}, P(HI), PROTO, NO_TEXT},
    {"4.1.4", {{FIN | BINARY, P(HI)}, {FIN | 6, P("x")}, {FIN | PING, P("")}}, P(HI), PROTO, NO_TEXT},
    {"4.1.5", {{FIN | BINARY, P(HI)}, {FIN | 7, P("x")}, {FIN | PING, P("")}}, P(HI), PROTO, NO_TEXT},
    {"4.2.1", {{FIN | 11, P("")}}, P(""), PROTO, NO_MESSAGES},
    {"4.2.2", {{FIN | 12, P("reserved")}}, P(""), PROTO, NO_MESSAGES},
    {"4.2.3", {{FIN | BINARY, P(HI)}, {FIN | 13, P("")}, {FIN | PING, P("")}}, P(HI), PROTO, NO_TEXT},
    {"4.2.4", {{FIN | BINARY, P(HI)}, {FIN | 14, P("x")}, {FIN | PING, P("")}}, P(HI), PROTO, NO_TEXT},
    {"4.2.5", {{FIN | BINARY, P(HI)}, {FIN | 15, P("x")}, {FIN | PING, P("")}}, P(HI), PROTO, NO_TEXT},

    /* 5: fragments */
    {"5.1", {{PING, P("fragment1")}, {FIN | CONTINUATION, P("fragment2")}}, P(""), PROTO, NO_MESSAGES},
    {"5.2", {{PONG, P("fragment1")}, {FIN | CONTINUATION, P("fragment2")}}, P(""), PROTO, NO_MESSAGES},
    {"5.3 5.4 5.5", {{BINARY, P("fragment1")}, {FIN | CONTINUATION, P("fragment2")}},
     P("fragment1fragment2"), P(""), OK, NO_TEXT},
    {"5.6 5.7 5.8", {{BINARY, P("fragment1")}, {FIN | PING, P("ping")}, {FIN | CONTINUATION, P("fragment2")}},
     P("fragment1fragment2"), P("\x8a\x04ping"), OK, NO_TEXT},
    {"5.9 5.10 5.11", {{FIN | CONTINUATION, P("non-continuation")}, {FIN | BINARY, P(HI)}}, P(""), PROTO,
     P("\x88\x02\x03\xea"), BAD_PACKET},
    {"5.12 5.13 5.14", {{CONTINUATION, P("non-continuation")}, {FIN | BINARY, P(HI)}}, P(""), PROTO,
     P("\x88\x02\x03\xea"), BAD_PACKET},
    {"5.15", {{BINARY, P("fragment1")}, {FIN | CONTINUATION, P("fragment2")}, {CONTINUATION, P("fragment3")},
      {FIN | BINARY, P("fragment4")}}, P("fragment1fragment2"), PROTO, NO_TEXT},
    {"5.16", {{CONTINUATION, P("fragment1")}, {BINARY, P("fragment2")}, {FIN | CONTINUATION, P("fragment3")},
      {CONTINUATION, P("fragment1")}, {BINARY, P("fragment2")}, {FIN | CONTINUATION, P("fragment3")}}, P(""), PROTO,
     P("\x88\x02\x03\xea"), BAD_PACKET},
    {"5.17", {{FIN | CONTINUATION, P("fragment1")}, {BINARY, P("fragment2")}, {FIN | CONTINUATION, P("fragment3")},
      {FIN | CONTINUATION, P("fragment1")}, {BINARY, P("fragment2")}, {FIN | CONTINUATION, P("fragment3")}}, P(""), PROTO,
     P("\x88\x02\x03\xea"), BAD_PACKET},
    {"5.18", {{BINARY, P("fragment1")}, {FIN | BINARY, P("fragment2")}}, P("fragment1"), PROTO, NO_TEXT},
    {"5.19 5.20", {{BINARY, P("1")}, {CONTINUATION, P("2")}, {FIN | PING, P("pongme 1!")}, {CONTINUATION, P("3")},
      {CONTINUATION, P("4")}, {FIN | PING, P("pongme 2!")}, {FIN | CONTINUATION, P("5")}}, P("12345"),
     P("\x8a\x09pongme 1!\x8a\x09pongme 2!"), OK, NO_TEXT},

    /* 6: UTF-8 matters to text alone, whose first frame is refused; its sequences are below, in
     * close reasons */
    {"6.1.2", {{BINARY, P("")}, {CONTINUATION, P("")}, {FIN | CONTINUATION, P("")}}, P(""), P(""), OK, NO_TEXT},
    {"6.1.3", {{BINARY, P("")}, {CONTINUATION, P("middle")}, {FIN | CONTINUATION, P("")}}, P("middle"), P(""), OK, NO_TEXT},

    /* 7: closing */
    {"7.1.1", {{FIN | BINARY, P("Hello World!")}, {FIN | CLOSE, P("\x03\xe8")}}, P("Hello World!"),
     P(CLOSE_1000), CLOSED, NO_TEXT},
    {"7.1.2", {{FIN | CLOSE, P("\x03\xe8")}, {FIN | CLOSE, P("\x03\xe8")}}, P(""), P(CLOSE_1000), CLOSED, NO_MESSAGES},
    {"7.1.3", {{FIN | CLOSE, P("\x03\xe8")}, {FIN | PING, P("")}}, P(""), P(CLOSE_1000), CLOSED, NO_MESSAGES},
    {"7.1.4", {{FIN | CLOSE, P("\x03\xe8")}, {FIN | BINARY, P("Hello World!")}}, P(""), P(CLOSE_1000), CLOSED,
     P(CLOSE_1000), CLOSED},
    {"7.1.5", {{BINARY, P("fragment1")}, {FIN | CLOSE, P("\x03\xe8")}, {FIN | CONTINUATION, P("fragment2")}},
     P("fragment1"), P(CLOSE_1000), CLOSED, NO_TEXT},
    {"7.3.1", {{FIN | CLOSE, P("")}}, P(""), P("\x88\x00"), CLOSED, NO_MESSAGES},
    {"7.3.2", {{FIN | CLOSE, P("a")}}, P(""), PROTO, NO_MESSAGES},
    {"7.3.3", {{FIN | CLOSE, P("\x03\xe8")}}, P(""), P(CLOSE_1000), CLOSED, NO_MESSAGES},
    {"7.3.4", {{FIN | CLOSE, P("\x03\xe8" HI)}}, P(""), P(CLOSE_1000), CLOSED, NO_MESSAGES},
    {"7.3.5", {{FIN | CLOSE, P("\x03\xe8" X120 "123")}}, P(""), P(CLOSE_1000), CLOSED, NO_MESSAGES},
    {"7.3.6", {{FIN | CLOSE, P("\x03\xe8" X120 "1234")}}, P(""), PROTO, NO_MESSAGES},
};
/* clang-format on */

static void expect_case(size_t i, bool as_text)
{
    struct buf in = {0};
    struct result want = {.status = as_text ? cases[i].text_status : cases[i].status};
    for (size_t k = 0; k < COUNT(cases[i].frames) && cases[i].frames[k].payload.data; k++) {
        unsigned first = cases[i].frames[k].first;
        bool message = (first & 0x0f) == BINARY;
        put_frame(&in, message && as_text ? first - BINARY + TEXT : first,
                  cases[i].frames[k].payload);
    }
    if (!as_text)
        buf_put(&want.app, cases[i].app);
    buf_put(&want.wire, as_text ? cases[i].text_wire : cases[i].wire);
    expect_result(cases[i].number, buf_span(&in), &want);
    result_fini(&want);
    buf_fini(&in);
}

TEST(frames_lead_to_what_the_suite_expects)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        expect_case(i, false);
        if (cases[i].text_wire.data)
            expect_case(i, true);
    }
}

/* ---- 6: UTF-8 ---- */

#define GOOD(text) SPAN_INIT(text), true
#define BAD(text)  SPAN_INIT(text), false

static const struct {
    const char *number;
    struct span text;
    bool good;
} utf8[] = {
    {"6.2.1",   GOOD("Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!") },
    {"6.3.1",   BAD("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
                  "edited")                                                        },
    {"6.4.1",   BAD("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80"
                  "edited")                                                        },
    {"6.5.1",   GOOD("hello\x24world")                                                          },
    {"6.5.2",   GOOD("hello\xc2\xa2world")                                                      },
    {"6.5.3",   GOOD("hello\xe2\x82\xacworld")                                                  },
    {"6.5.4",   GOOD("hello\xf0\xa4\xad\xa2world")                                              },
    {"6.7.1",   GOOD("\x00")                                                                    },
    {"6.7.2",   GOOD("\xc2\x80")                                                                },
    {"6.7.3",   GOOD("\xe0\xa0\x80")                                                            },
    {"6.7.4",   GOOD("\xf0\x90\x80\x80")                                                        },
    {"6.8.1",   BAD("\xf8\x88\x80\x80\x80")                                                     },
    {"6.8.2",   BAD("\xfc\x84\x80\x80\x80\x80")                                                 },
    {"6.9.1",   GOOD("\x7f")                                                                    },
    {"6.9.2",   GOOD("\xdf\xbf")                                                                },
    {"6.9.3",   GOOD("\xef\xbf\xbf")                                                            },
    {"6.9.4",   GOOD("\xf4\x8f\xbf\xbf")                                                        },
    {"6.10.1",  BAD("\xf7\xbf\xbf\xbf")                                                         },
    {"6.10.2",  BAD("\xfb\xbf\xbf\xbf\xbf")                                                     },
    {"6.10.3",  BAD("\xfd\xbf\xbf\xbf\xbf\xbf")                                                 },
    {"6.11.1",  GOOD("\xed\x9f\xbf")                                                            },
    {"6.11.2",  GOOD("\xee\x80\x80")                                                            },
    {"6.11.3",  GOOD("\xef\xbf\xbd")                                                            },
    {"6.11.4",  GOOD("\xf4\x8f\xbf\xbf")                                                        },
    {"6.11.5",  BAD("\xf4\x90\x80\x80")                                                         },
    {"6.12.1",  BAD("\x80")                                                                     },
    {"6.12.2",  BAD("\xbf")                                                                     },
    {"6.12.3",  BAD("\x80\xbf")                                                                 },
    {"6.12.4",  BAD("\x80\xbf\x80")                                                             },
    {"6.12.5",  BAD("\x80\xbf\x80\xbf")                                                         },
    {"6.12.6",  BAD("\x80\xbf\x80\xbf\x80")                                                     },
    {"6.12.7",  BAD("\x80\xbf\x80\xbf\x80\xbf")                                                 },
    {"6.14.1",  BAD("\xc0")                                                                     },
    {"6.14.2",  BAD("\xe0\x80")                                                                 },
    {"6.14.3",  BAD("\xf0\x80\x80")                                                             },
    {"6.14.4",  BAD("\xf8\x80\x80\x80")                                                         },
    {"6.14.5",  BAD("\xfc\x80\x80\x80\x80")                                                     },
    {"6.14.6",  BAD("\xdf")                                                                     },
    {"6.14.7",  BAD("\xef\xbf")                                                                 },
    {"6.14.8",  BAD("\xf7\xbf\xbf")                                                             },
    {"6.14.9",  BAD("\xfb\xbf\xbf\xbf")                                                         },
    {"6.14.10", BAD("\xfd\xbf\xbf\xbf\xbf")                                                     },
    {"6.15.1",  BAD("\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80"
                   "\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf")},
    {"6.16.1",  BAD("\xfe")                                                                     },
    {"6.16.2",  BAD("\xff")                                                                     },
    {"6.16.3",  BAD("\xfe\xfe\xff\xff")                                                         },
    {"6.17.1",  BAD("\xc0\xaf")                                                                 },
    {"6.17.2",  BAD("\xe0\x80\xaf")                                                             },
    {"6.17.3",  BAD("\xf0\x80\x80\xaf")                                                         },
    {"6.17.4",  BAD("\xf8\x80\x80\x80\xaf")                                                     },
    {"6.17.5",  BAD("\xfc\x80\x80\x80\x80\xaf")                                                 },
    {"6.18.1",  BAD("\xc1\xbf")                                                                 },
    {"6.18.2",  BAD("\xe0\x9f\xbf")                                                             },
    {"6.18.3",  BAD("\xf0\x8f\xbf\xbf")                                                         },
    {"6.18.4",  BAD("\xf8\x87\xbf\xbf\xbf")                                                     },
    {"6.18.5",  BAD("\xfc\x83\xbf\xbf\xbf\xbf")                                                 },
    {"6.19.1",  BAD("\xc0\x80")                                                                 },
    {"6.19.2",  BAD("\xe0\x80\x80")                                                             },
    {"6.19.3",  BAD("\xf0\x80\x80\x80")                                                         },
    {"6.19.4",  BAD("\xf8\x80\x80\x80\x80")                                                     },
    {"6.19.5",  BAD("\xfc\x80\x80\x80\x80\x80")                                                 },
    {"6.20.1",  BAD("\xed\xa0\x80")                                                             },
    {"6.20.2",  BAD("\xed\xad\xbf")                                                             },
    {"6.20.3",  BAD("\xed\xae\x80")                                                             },
    {"6.20.4",  BAD("\xed\xaf\xbf")                                                             },
    {"6.20.5",  BAD("\xed\xb0\x80")                                                             },
    {"6.20.6",  BAD("\xed\xbe\x80")                                                             },
    {"6.20.7",  BAD("\xed\xbf\xbf")                                                             },
    {"6.21.1",  BAD("\xed\xa0\x80\xed\xb0\x80")                                                 },
    {"6.21.2",  BAD("\xed\xa0\x80\xed\xbf\xbf")                                                 },
    {"6.21.3",  BAD("\xed\xad\xbf\xed\xb0\x80")                                                 },
    {"6.21.4",  BAD("\xed\xad\xbf\xed\xbf\xbf")                                                 },
    {"6.21.5",  BAD("\xed\xae\x80\xed\xb0\x80")                                                 },
    {"6.21.6",  BAD("\xed\xae\x80\xed\xbf\xbf")                                                 },
    {"6.21.7",  BAD("\xed\xaf\xbf\xed\xb0\x80")                                                 },
    {"6.21.8",  BAD("\xed\xaf\xbf\xed\xbf\xbf")                                                 },
    {"6.22.1",  GOOD("\xef\xbf\xbe")                                                            },
    {"6.23.1",  GOOD("\xef\xbf\xb9")                                                            },
    {"6.23.2",  GOOD("\xef\xbf\xba")                                                            },
    {"6.23.3",  GOOD("\xef\xbf\xbb")                                                            },
    {"6.23.4",  GOOD("\xef\xbf\xbc")                                                            },
};

/* As the reason of a close frame (7.5.1); and as a text message, which is refused unread. */
static void expect_utf8(const char *number, struct span text, bool good)
{
    struct buf reason = {0}, in = {0};
    struct result want = {.status = good ? CLOSED : BAD_PACKET};
    buf_text(&reason, "\x03\xe8");
    buf_put(&reason, text);
    put_frame(&in, FIN | CLOSE, buf_span(&reason));
    buf_put(&want.wire, good ? SPAN(CLOSE_1000) : SPAN("\x88\x02\x03\xef"));
    expect_result(number, buf_span(&in), &want);

    buf_clear(&in);
    buf_clear(&want.wire);
    put_frame(&in, FIN | TEXT, text);
    buf_put(&want.wire, SPAN("\x88\x02\x03\xeb"));
    want.status = BAD_PACKET;
    expect_result(number, buf_span(&in), &want);
    result_fini(&want);
    buf_fini(&in);
    buf_fini(&reason);
}

TEST(close_reasons_are_utf8_as_the_suite_has_it)
{
    for (size_t i = 0; i < COUNT(utf8); i++)
        expect_utf8(utf8[i].number, utf8[i].text, utf8[i].good);
    expect_utf8("7.5.1", utf8[1].text, false);
}

/* 6.6: every prefix of a word whose letters take two and three bytes; 6.5.5 is the last. */
TEST(a_close_reason_may_not_end_within_a_character)
{
    struct span word = SPAN("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5");
    for (size_t len = 1; len <= word.len; len++)
        expect_utf8("6.6", span_first(word, len),
                    len == 2 || len == 5 || len == 7 || len == 9 || len == 11);
}

/* 6.12.8 and 6.13: all continuation bytes; all that may begin a sequence, each alone. */
TEST(a_close_reason_holds_no_lonely_bytes)
{
    static const uint8_t starts[][2] = {
        {0xc0, 0xdf},
        {0xe0, 0xef},
        {0xf0, 0xf7},
        {0xf8, 0xfb},
        {0xfc, 0xfd}
    };
    struct buf text = {0};
    for (unsigned c = 0x80; c < 0xbf; c++)
        buf_byte(&text, (uint8_t)c);
    expect_utf8("6.12.8", buf_span(&text), false);
    for (size_t i = 0; i < COUNT(starts); i++) {
        buf_clear(&text);
        for (unsigned c = starts[i][0]; c < starts[i][1]; c++) {
            buf_byte(&text, (uint8_t)c);
            buf_byte(&text, ' ');
        }
        expect_utf8("6.13", buf_span(&text), false);
    }
    buf_fini(&text);
}

/* 6.22.3 and on: the last two code points of each plane, which are no characters. */
TEST(a_close_reason_may_hold_code_points_that_are_no_characters)
{
    for (unsigned plane = 1; plane <= 16; plane++)
        for (unsigned last = 0xbe; last <= 0xbf; last++) {
            uint8_t text[4] = {(uint8_t)(0xf0 | plane >> 2), (uint8_t)(0x8f | (plane & 3) << 4),
                               0xbf, (uint8_t)last};
            expect_utf8("6.22", span_of(text, 4), true);
        }
}

/* ---- 7: closing ---- */

TEST(close_codes_are_judged_as_the_suite_has_it)
{
    static const uint16_t good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                    1010, 1011, 3000, 3999, 4000, 4999};                 /* 7.7 */
    static const uint16_t bad[] = {0,    999,  1004, 1005, 1006, 1016, 1100, 2000, 2999, /* 7.9 */
                                   5000, 65535};                                         /* 7.13 */
    for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
        bool is_good = i < COUNT(good);
        uint16_t code = is_good ? good[i] : bad[i - COUNT(good)];
        uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
        struct buf in = {0};
        struct result want = {.status = is_good ? CLOSED : BAD_PACKET};
        put_frame(&in, FIN | CLOSE, span_of(payload, 2));
        buf_put(&want.wire, SPAN("\x88\x02"));
        buf_put(&want.wire, is_good ? span_of(payload, 2) : SPAN("\x03\xea"));
        expect_result("7.7 7.9 7.13", buf_span(&in), &want);
        result_fini(&want);
        buf_fini(&in);
    }
}

/* 7.1.6 */
TEST(a_long_message_before_a_close_is_passed_on_and_a_ping_behind_it_is_not_answered)
{
    struct buf in = {0};
    struct result want = {.status = CLOSED};
    for (size_t i = 0; i < 256 << 10; i++)
        buf_byte(&want.app, (uint8_t)i);
    put_frame(&in, FIN | BINARY, buf_span(&want.app));
    put_frame(&in, FIN | CLOSE, SPAN("\x03\xe8"));
    put_frame(&in, FIN | PING, SPAN(""));
    buf_put(&want.wire, SPAN(CLOSE_1000));
    expect_result("7.1.6", buf_span(&in), &want);
    result_fini(&want);
    buf_fini(&in);
}

TEST_MAIN(RUN(frames_lead_to_what_the_suite_expects),
          RUN(close_reasons_are_utf8_as_the_suite_has_it),
          RUN(a_close_reason_may_not_end_within_a_character),
          RUN(a_close_reason_holds_no_lonely_bytes),
          RUN(a_close_reason_may_hold_code_points_that_are_no_characters),
          RUN(close_codes_are_judged_as_the_suite_has_it),
          RUN(a_long_message_before_a_close_is_passed_on_and_a_ping_behind_it_is_not_answered))
