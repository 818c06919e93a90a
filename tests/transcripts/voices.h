/* voices.h — who calls the hub in the matrix, how, and what that proves.
 *
 * Every device and module of a small population, and every policy, each with good credentials and
 * with every sort of bad ones. What a voice may do is said here from service-rest 5.2 and
 * device-auth 1, apart from src/auth.
 *
 * Threads  one
 */
#ifndef TRANSCRIPTS_VOICES_H
#define TRANSCRIPTS_VOICES_H

#include "base/buf.h"

#define ODD "a+#$b" /* an id that reads like a filter */

enum { RR = 1, RW = 2 | RR, SC = 4, DC = 8 };
enum { PEOPLE = 11, POLICIES = 5 };

struct person {
    const char *device, *module; /* module NULL: the device */
    bool absent, disabled;
};
extern const struct person people[PEOPLE];

/* Exists and is enabled; the matrix keeps it connected. */
bool is_connected(const struct person *p);
bool same_text(const char *a, const char *b); /* NULL is equal to NULL */
bool same_person(const struct person *a, const struct person *b);
void put_person(struct buf *b, const struct person *p); /* "d" or "d/m" */

enum twist {
    GOOD,
    EXPIRED, /* past the skew */
    WRONG_KEY,
    OTHER_HUB, /* its resource is another host */
    OF_DEVICE, /* policies: limited to alpha */
    OF_MODULE, /* policies: limited to alpha/m1 */
    OF_TARGET, /* identities: the resource is what it calls, the key its own */
    OF_HUB,    /* identities: the resource is the whole hub */
    TWISTS
};

struct voice {
    int policy;                /* -1: none */
    const struct person *self; /* NULL: no identity */
    enum twist twist;
};

/* Its token for a call about `target` (NULL: the hub), as credentials.h writes it; "none". */
void put_token(struct buf *b, const struct voice *v, const struct person *target);
/* The rights a policy's token brings to a target, or 0. */
unsigned rights_for(const struct voice *v, const struct person *target);
/* Does its own key prove that it is itself, towards this target? */
bool proves_itself(const struct voice *v, const struct person *target);

typedef void voice_fn(struct buf *b, const struct voice *v, void *ctx);
void each_voice(struct buf *b, voice_fn *fn, void *ctx);

#endif
