#include "net/ticket.h"

#include "base/test.h"

static void count_up(void *ctx, void *out, size_t len)
{
    memset(out, ++*(uint8_t *)ctx, len);
}

#define START 1000LL
#define HOUR  3600000LL

TEST(a_key_seals_for_an_hour_and_opens_for_two)
{
    static const struct {
        const char *name;
        int64_t sealed_again_ms; /* another ticket was sealed then; 0: none was */
        int64_t opened_ms;
        enum ticket_age want;
    } cases[] = {
        {"at once",                       0,                       START,                TICKET_CURRENT },
        {"within the hour",               0,                       START + HOUR - 1,     TICKET_CURRENT },
        {"after the hour, nobody came",   0,                       START + HOUR,         TICKET_PREVIOUS},
        {"after the hour, others came",   START + HOUR,            START + HOUR,         TICKET_PREVIOUS},
        {"at the end of the second",      START + HOUR,            START + 2 * HOUR - 1, TICKET_PREVIOUS},
        {"replaced late",                 START + HOUR + HOUR / 2, START + 2 * HOUR - 1, TICKET_PREVIOUS},
        {"replaced late, too old",        START + HOUR + HOUR / 2, START + 2 * HOUR,     TICKET_UNKNOWN },
        {"after the second",              START + HOUR,            START + 2 * HOUR,     TICKET_UNKNOWN },
        {"after the second, nobody came", 0,                       START + 2 * HOUR,     TICKET_UNKNOWN },
        {"after a long silence",          START + 5 * HOUR,        START + 5 * HOUR,     TICKET_UNKNOWN },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t counter = 0;
        struct random random = {count_up, &counter};
        struct tickets t = {0};
        struct ticket_key sealed = tickets_seal(&t, random, START), opened = {0};
        if (cases[i].sealed_again_ms) {
            struct ticket_key later = tickets_seal(&t, random, cases[i].sealed_again_ms);
            EXPECT(memcmp(&later, &sealed, sizeof(later)) != 0);
        }
        EXPECT_EQ_IN(cases[i].name, tickets_open(&t, sealed.name, cases[i].opened_ms, &opened),
                     cases[i].want);
        if (cases[i].want != TICKET_UNKNOWN)
            EXPECT_EQ_IN(cases[i].name, memcmp(&opened, &sealed, sizeof(opened)), 0);
    }
}

TEST(one_key_serves_all_tickets_of_its_hour_and_a_third_makes_the_first_unknown)
{
    uint8_t counter = 0;
    struct random random = {count_up, &counter};
    struct tickets t = {0};
    struct ticket_key first = tickets_seal(&t, random, START), opened;
    EXPECT_EQ(tickets_open(&(struct tickets){0}, first.name, START, &opened), TICKET_UNKNOWN);
    for (int64_t at = START; at < START + HOUR; at += HOUR / 10)
        EXPECT_EQ(tickets_seal(&t, random, at).name[0], first.name[0]);
    struct ticket_key second = tickets_seal(&t, random, START + HOUR);
    EXPECT_EQ(tickets_open(&t, second.name, START + HOUR, &opened), TICKET_CURRENT);
    tickets_seal(&t, random, START + 2 * HOUR);
    EXPECT_EQ(tickets_open(&t, second.name, START + 2 * HOUR, &opened), TICKET_PREVIOUS);
    EXPECT_EQ(tickets_open(&t, first.name, START + 2 * HOUR, &opened), TICKET_UNKNOWN);
    EXPECT_EQ(counter, 3);
}

TEST(a_series_is_the_same_wherever_its_secret_is)
{
    struct ticket_series a = {.secret = "a secret"}, b = {.secret = "a secret"},
                         other = {.secret = "another"};
    struct ticket_key key = ticket_series_seal(&a, START), same = ticket_series_seal(&b, START + 1),
                      strange = ticket_series_seal(&other, START);
    EXPECT_EQ(memcmp(&key, &same, sizeof(key)), 0);
    EXPECT(memcmp(key.name, strange.name, sizeof(key.name)) != 0);
    EXPECT(memcmp(key.cipher, strange.cipher, sizeof(key.cipher)) != 0);
    EXPECT(memcmp(key.mac, strange.mac, sizeof(key.mac)) != 0);
    EXPECT(memcmp(key.cipher, key.mac, sizeof(key.mac)) != 0);
    EXPECT_EQ(ticket_series_open(&other, key.name, START, &strange), TICKET_UNKNOWN);
}

TEST(a_clock_that_was_never_set_has_a_key_like_any_other)
{
    struct ticket_series s = {.secret = "a secret"};
    static const struct ticket_key nothing;
    struct ticket_key key = ticket_series_seal(&s, 5), opened;
    EXPECT(memcmp(key.cipher, nothing.cipher, sizeof(key.cipher)) != 0);
    EXPECT_EQ(ticket_series_open(&s, nothing.name, 5, &opened), TICKET_UNKNOWN);
}

/* HMAC is what RFC 2104 says it is, so that another version of us makes the same keys. */
TEST(a_series_has_these_bytes)
{
    /* Python: hmac.new(b"a secret" + bytes(24), b"twinhub TLS ticket name 473040", "sha256"), … */
    static const uint8_t want[] =
        "\xb2\x83\x1a\xe0\xa9\x0f\xd3\x74\xe3\x6e\x93\x85\xf7\x85\x08\xe2"
        "\x2c\xb6\x3c\xf1\xdb\x1d\xa1\x31\x70\xbd\x5c\x2c\xb9\x23\x72\x47"
        "\x7e\xcb\x38\xc9\x4c\x86\x0c\xcf\xd8\x69\x12\x5f\xc2\x8f\x9e\xbb"
        "\x4f\xcd\x9e\xdd\x8c\x45\x33\x6c\xf6\x12\xf3\x0a\xce\x4d\x3e\xb6"
        "\xa5\x09\x24\xee\xcd\x2a\x66\x32\x0e\xd7\x7c\xef\x60\x0f\x66\x32";
    struct ticket_series s = {.secret = "a secret"};
    struct ticket_key key = ticket_series_seal(&s, 473040LL * HOUR);
    EXPECT_SPAN(span_of(&key, sizeof(key)), span_of(want, sizeof(key)));
}

TEST(a_key_of_a_series_seals_for_its_hour_and_opens_in_the_next)
{
    static const struct {
        const char *name;
        int64_t opened_ms;
        enum ticket_age want;
    } cases[] = {
        {"at once",                         10 * HOUR,     TICKET_CURRENT },
        {"at the end of the hour",          11 * HOUR - 1, TICKET_CURRENT },
        {"in the next",                     11 * HOUR,     TICKET_PREVIOUS},
        {"at its end",                      12 * HOUR - 1, TICKET_PREVIOUS},
        {"after it",                        12 * HOUR,     TICKET_UNKNOWN },
        {"the clock was set back a little", 10 * HOUR - 1, TICKET_UNKNOWN },
        {"and forward again",               10 * HOUR,     TICKET_CURRENT },
        {"to the beginning of time",        5,             TICKET_UNKNOWN },
    };
    struct ticket_series s = {.secret = "a secret"};
    struct ticket_key sealed = ticket_series_seal(&s, 10 * HOUR);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ticket_key opened = {0};
        EXPECT_EQ_IN(cases[i].name,
                     ticket_series_open(&s, sealed.name, cases[i].opened_ms, &opened),
                     cases[i].want);
        if (cases[i].want != TICKET_UNKNOWN)
            EXPECT_EQ_IN(cases[i].name, memcmp(&opened, &sealed, sizeof(opened)), 0);
    }
}

TEST_MAIN(RUN(a_key_seals_for_an_hour_and_opens_for_two),
          RUN(one_key_serves_all_tickets_of_its_hour_and_a_third_makes_the_first_unknown),
          RUN(a_series_is_the_same_wherever_its_secret_is), RUN(a_series_has_these_bytes),
          RUN(a_clock_that_was_never_set_has_a_key_like_any_other),
          RUN(a_key_of_a_series_seals_for_its_hour_and_opens_in_the_next))
