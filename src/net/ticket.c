#include "net/ticket.h"

struct ticket_key tickets_seal(struct tickets *t, struct random random, int64_t now_ms)
{
    int64_t age_ms = now_ms - t->since_ms;
    if (!t->has_current || age_ms >= ticket_key_ms) {
        t->previous = t->current;
        t->has_previous = t->has_current && age_ms < 2 * ticket_key_ms;
        random_fill(random, &t->current, sizeof(t->current));
        t->has_current = true;
        /* A key that was made late replaces one that had its time already: the former one opens
         * for what is left of its two hours, not for an hour from now. */
        t->previous_until_ms = t->since_ms + 2 * ticket_key_ms;
        t->since_ms = now_ms;
    }
    return t->current;
}

enum ticket_age tickets_open(const struct tickets *t, const unsigned char name[16], int64_t now_ms,
                             struct ticket_key *out)
{
    int64_t age_ms = now_ms - t->since_ms;
    bool current = t->has_current && memcmp(t->current.name, name, sizeof(t->current.name)) == 0;
    bool previous =
        t->has_previous && memcmp(t->previous.name, name, sizeof(t->previous.name)) == 0;
    if (current && age_ms < 2 * ticket_key_ms) {
        *out = t->current;
        return age_ms < ticket_key_ms ? TICKET_CURRENT : TICKET_PREVIOUS;
    }
    if (previous && now_ms < t->previous_until_ms) {
        *out = t->previous;
        return TICKET_PREVIOUS;
    }
    return TICKET_UNKNOWN;
}
