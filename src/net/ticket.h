/* ticket.h — the keys that seal TLS session tickets, changed every hour.
 *
 * A ticket sealed with the previous key still opens, and is renewed; older ones do not.
 *
 * TLS 1.2: random keys, in memory alone, so that one that leaks opens at most two hours of what was
 * recorded. TLS 1.3 with a client's certificate: random keys, too, for its ticket shows that.
 *
 * TLS 1.3 without: a series made from a secret and the hour (since 1970), so that a hub that was
 * started again opens the tickets of the one before, as does any hub that has the secret: a fleet
 * that comes back is spared the full handshakes. A connection resumed there has a key exchange of
 * its own and shows nothing of who it is, so such a key opens nothing that was recorded, and no
 * door.
 *
 * Pure: time and randomness come in.
 *
 * Units    times in ms
 * Threads  the owner's
 * Source   RFC 5077 5.5; RFC 8446 2.2, 8.1
 */
#ifndef NET_TICKET_H
#define NET_TICKET_H

#include "base/check.h"
#include "base/random.h"
#include "base/span.h"

static const int64_t ticket_key_ms = 3600000;

enum { TICKET_SECRET = 32 };

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
};

/* Random keys; times are mono_ms. */
struct tickets {
    struct ticket_key current, previous;
    bool has_current, has_previous;
    int64_t since_ms;          /* the current one */
    int64_t previous_until_ms; /* it opens tickets until then */
};

/* Keys made from a secret; times are wall_ms. */
struct ticket_series {
    unsigned char secret[TICKET_SECRET];
    bool has_keys;
    int64_t hour; /* of the current one */
    struct ticket_key current, previous;
};

enum ticket_age { TICKET_UNKNOWN, TICKET_CURRENT, TICKET_PREVIOUS };

/* The key for new tickets. */
struct ticket_key tickets_seal(struct tickets *t, struct random random, int64_t now_ms);
struct ticket_key ticket_series_seal(struct ticket_series *s, int64_t now_ms);
/* The key of that name; *out is written unless it is unknown. */
MUST_USE enum ticket_age tickets_open(const struct tickets *t, const unsigned char name[16],
                                      int64_t now_ms, struct ticket_key *out);
MUST_USE enum ticket_age ticket_series_open(struct ticket_series *s, const unsigned char name[16],
                                            int64_t now_ms, struct ticket_key *out);

#endif
