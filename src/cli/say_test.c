#include "cli/say.h"

#include "base/test.h"

/* clang-format off */
static const struct {
    const char *name;
    const char *word, *want;
} words[] = {
    {"plain",          "d1",            "d1"              },
    {"a path",         "/srv/hub_1.d",  "/srv/hub_1.d"    },
    {"a blank",        "a b",           "'a b'"           },
    {"empty",          "",              "''"              },
    {"JSON",           "{\"rate\":30}", "'{\"rate\":30}'" },
    {"a single quote", "it's",          "'it'\\''s'"      },
    {"a variable",     "$edge",         "'$edge'"         },
};
/* clang-format on */

TEST(words_are_quoted_as_a_shell_reads_them)
{
    for (size_t i = 0; i < COUNT(words); i++) {
        struct buf b = {0};
        say_put_word(&b, words[i].word);
        EXPECT_SPAN_IN(words[i].name, buf_span(&b), span_text(words[i].want));
        buf_fini(&b);
    }
}

/* clang-format off */
static const struct {
    const char *name;
    struct span text, want;
} texts[] = {
    {"plain",               SPAN_INIT("d1 is 5 \xc2\xb5m"),          SPAN_INIT("d1 is 5 \xc2\xb5m")},
    {"escape and line end", SPAN_INIT("a\x1b[2J\nb\x7f"),            SPAN_INIT("a [2J b ")         },
    {"C1",                  SPAN_INIT("a\xc2\x9b" "b\xc2\xa0"),      SPAN_INIT("a b\xc2\xa0")      },
    {"direction marks",     SPAN_INIT("\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c"), SPAN_INIT("   ")        },
    {"overrides",           SPAN_INIT("\xe2\x80\xaa|\xe2\x80\xae|"), SPAN_INIT(" | |")             },
    {"isolates",            SPAN_INIT("\xe2\x81\xa6|\xe2\x81\xa9|"), SPAN_INIT(" | |")             },
    {"their neighbours",    SPAN_INIT("\xe2\x80\x90\xe2\x80\xaf\xe2\x81\xaa\xe2\x82\xac\xd8\x9b"),
                            SPAN_INIT("\xe2\x80\x90\xe2\x80\xaf\xe2\x81\xaa\xe2\x82\xac\xd8\x9b")  },
    {"no UTF-8",            SPAN_INIT("\x9b" "1\xe2\x80"),           SPAN_INIT("?1??")             },
    {"beyond the plane",    SPAN_INIT("\xf0\x9f\x98\x80"),           SPAN_INIT("\xf0\x9f\x98\x80") },
};
/* clang-format on */

TEST(what_could_move_a_terminal_is_blank)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct buf b = {0};
        say_put_visible(&b, test_at_edge(texts[i].text));
        EXPECT_SPAN_IN(texts[i].name, buf_span(&b), texts[i].want);
        buf_fini(&b);
    }
}

TEST_MAIN(RUN(words_are_quoted_as_a_shell_reads_them), RUN(what_could_move_a_terminal_is_blank))
