/* ticket.h — the keys that seal TLS session tickets, changed every hour.
 *
 * A ticket sealed with the previous key still opens, and is renewed; older ones do not, so that a
 * key that leaks opens at most two hours of what was recorded.
 *
 * Pure: time and randomness come in.
 *
 * Units    times in mono_ms
 * Threads  the owner's
 * Source   RFC 5077 5.5
 */
#ifndef NET_TICKET_H
#define NET_TICKET_H

#include "base/check.h"
#include "base/random.h"
#include "base/span.h"

static const int64_t ticket_key_ms = 3600000;

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
};

struct tickets {
    struct ticket_key current, previous;
    bool has_current, has_previous;
    int64_t since_ms;          /* the current one */
    int64_t previous_until_ms; /* it opens tickets until then */
};

enum ticket_age { TICKET_UNKNOWN, TICKET_CURRENT, TICKET_PREVIOUS };

/* The key for new tickets. */
struct ticket_key tickets_seal(struct tickets *t, struct random random, int64_t now_ms);
/* The key of that name; *out is written unless it is unknown. */
MUST_USE enum ticket_age tickets_open(const struct tickets *t, const unsigned char name[16],
                                      int64_t now_ms, struct ticket_key *out);

#endif
