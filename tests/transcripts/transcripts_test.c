/* Runs every case of this folder on one, two and three shards, with bytes cut at random and with a
 * store that is slow to read; and makes sure that a wrong transcript is found out. */
#include "base/test.h"

#include <stdio.h>

#include "cases.h"
#include "script.h"
#include "wire/uri.h"

static const struct mode modes[] = {
    {"one shard",              1, false, false, NULL, NULL},
    {"two shards, late loads", 2, false, true,  NULL, NULL},
    {"three shards, chunked",  3, true,  false, NULL, NULL},
};

static size_t cases;

static void run_case(void *messages, const char *file, int line, struct span text)
{
    cases++;
    for (size_t m = 0; m < COUNT(modes); m++)
        if (!script_run(file, line, text, &modes[m], messages))
            break;
}

TEST(every_transcript_holds)
{
    struct buf messages = {0};
    EXPECT(cases_each(run_case, &messages) > 0);
    fprintf(stderr, "%.*s%zu transcripts\n", SPAN_ARG(buf_span(&messages)), cases);
    bool holds = messages.len == 0;
    buf_fini(&messages);
    EXPECT(holds);
}

/* Do all quoted texts after "FILE: " in a cell name cases of FILE.txt? */
static void check_cell(struct span cell, struct span line)
{
    while (cell.len) {
        struct span part = uri_cut(&cell, ';'), name = uri_cut(&part, ':');
        if (!part.len)
            continue;
        char path[128];
        struct buf text = {0};
        snprintf(path, sizeof(path), CASES_FOLDER "/%.*s.txt", SPAN_ARG(span_skip(name, 1)));
        cases_read(path, &text);
        while (span_index(part, '"') < part.len) {
            uri_cut(&part, '"');
            struct span quoted = uri_cut(&part, '"');
            if (!memmem(text.data, text.len, quoted.data, quoted.len))
                fail_msg("%s has no case \"%.*s\": %.*s", path, SPAN_ARG(quoted), SPAN_ARG(line));
        }
        buf_fini(&text);
    }
}

TEST(the_documents_name_cases_that_exist)
{
    static const char *const documents[] = {"docs/protocol/mqtt.md", "docs/protocol/rest.md"};
    for (size_t i = 0; i < COUNT(documents); i++) {
        struct buf text = {0};
        cases_read(documents[i], &text);
        for (struct span rest = buf_span(&text); rest.len;) {
            struct span line = uri_cut(&rest, '\n'), cell = {0}, cells = line;
            while (cells.len) /* the last but one: the line ends with a bar */
                cell = uri_cut(&cells, '|');
            if (line.len && line.data[0] == '|')
                check_cell(cell, line);
        }
        buf_fini(&text);
    }
}

#define TO_D1 "device d1\nd1 > CONNECT client=d1\n"

TEST(a_wrong_transcript_is_found_out)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"another code",            TO_D1 "d1 < CONNACK 5\n"                                     },
        {"a flag too much",         TO_D1 "d1 < CONNACK 0 present\n"                             },
        {"an answer not expected",  TO_D1                                                        },
        {"an answer that is late",  TO_D1 "pass 1s\nd1 < CONNACK 0\n"                            },
        {"no such answer",          TO_D1 "d1 < CONNACK 0\nd1 < PINGRESP\n"                      },
        {"it is not closed",        TO_D1 "d1 < CONNACK 0\nd1 < CLOSED\n"                        },
        {"closed, not expected",    TO_D1 "d1 < CONNACK 0\nd1 > BYTES f0\npass 1s\n"             },
        {"closed, at the end",      TO_D1 "d1 < CONNACK 0\nd1 > BYTES f0\n"                      },
        {"another body",            "device d1\nsvc > GET /twins/d1\nsvc < 200 {}\n"             },
        {"another status",          "svc > GET /twins/d1\nsvc < 200 E1 DeviceNotFound d1\n"      },
        {"another error",           "svc > GET /twins/d1\nsvc < 404 E1 ModuleNotFound d1\n"      },
        {"another text",            "svc > GET /twins/d1\nsvc < 404 E1 DeviceNotFound d2\n"      },
        {"a header too much",       "device d1\nsvc > GET /twins/d1 x-ms-client-request-id:1\n"
                              "svc < 200 <*>\n"                     },
        {"another value",           "device d1\ntwin d1 desired.$version = 2\n"                  },
        {"a change",                "device d1\nremember\ndevice d2\nunchanged\n"                },
        {"a count",                 "device d1\nmetric twinhub_devices = 2\n"                    },
        {"a word nobody knows",     "frobnicate\n"                                               },
        {"a name nobody set",       "device d1\nd1 > PUBLISH $(x) y\n"                           },
        {"a wildcard of its shape", "svc > GET /twins/d1\nsvc < 404 E1 DeviceNotFound <number>\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf messages = {0};
        bool holds = script_run("row", 1, span_text(rows[i].text), &modes[0], &messages);
        EXPECT_EQ_IN(rows[i].name, holds, false);
        EXPECT_EQ_IN(rows[i].name, messages.len > 0, true);
        buf_fini(&messages);
    }
}

TEST_MAIN(RUN(a_wrong_transcript_is_found_out), RUN(the_documents_name_cases_that_exist),
          RUN(every_transcript_holds))
