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

TEST_MAIN(RUN(a_key_seals_for_an_hour_and_opens_for_two),
          RUN(one_key_serves_all_tickets_of_its_hour_and_a_third_makes_the_first_unknown))
