#include "base/test.h"

#include "auth/identity.h"

TEST(ids_are_1_to_128_characters_of_the_set)
{
    EXPECT(auth_id_is_valid(SPAN("pump-07:a.b+c%d_e#f*g?h!i(j)k,l=m@n;o$p'q")));
    uint8_t text[ID_MAX + 1];
    memset(text, 'a', sizeof(text));
    EXPECT(!auth_id_is_valid(test_at_edge(span_of(text, 0))));
    EXPECT(auth_id_is_valid(test_at_edge(span_of(text, 1))));
    EXPECT(auth_id_is_valid(span_of(text, ID_MAX)));
    EXPECT(!auth_id_is_valid(span_of(text, ID_MAX + 1)));
}

TEST(every_other_byte_makes_an_id_invalid)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "-:.+%_#*?!(),=@;$'";
    for (int c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        bool in_set = memchr(set, c, sizeof(set) - 1);
        EXPECT_EQ_IN("byte", auth_id_is_valid(span_of(&byte, 1)), in_set);
    }
}

TEST(keys_are_base64_of_16_to_64_bytes)
{
    static const struct {
        struct span text;
        size_t len; /* 0: refused */
    } cases[] = {
        {SPAN_INIT("AAECAwQFBgcICQoLDA0ODw=="),                     16},
        {SPAN_INIT("AAECAwQFBgcICQoLDA0O"),                         0 },
        {SPAN_INIT("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), 32},
        {SPAN_INIT("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),  0 },
        {SPAN_INIT(""),                                             0 },
        {SPAN_INIT("1"),                                            0 },
        {SPAN_INIT("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc"
                   "4OTo7PD0+Pw=="),
         64                                                           },
        {SPAN_INIT("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc"
                   "4OTo7PD0+P0A="),
         0                                                            },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct key k = {.len = 99};
        bool want = cases[i].len > 0;
        EXPECT_EQ_IN("key", key_parse(test_at_edge(cases[i].text), &k), want);
        EXPECT_EQ_IN("length", k.len, want ? cases[i].len : 99);
        for (size_t b = 0; want && b < k.len; b++)
            EXPECT_EQ(key_span(&k).data[b], b);
    }
}

TEST_MAIN(RUN(ids_are_1_to_128_characters_of_the_set), RUN(every_other_byte_makes_an_id_invalid),
          RUN(keys_are_base64_of_16_to_64_bytes))
