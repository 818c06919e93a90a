/* model.h — what the hub has promised, in the plainest words.
 *
 * A family is a device and its modules: their changes have one order. The store tells each change
 * as it is handed over; it becomes a moment of its family, and somebody must have asked for exactly
 * that (explain.c). An answer must fit one of the moments between sending and hearing (guess.c).
 * What was shown to anybody must still be there after a power cut.
 *
 * Units    moments by number; 0: nothing exists yet
 * Memory   model_fini frees all but the trees, which are naive.h's
 * Threads  one
 * Errors   a broken promise ends the process (report.h)
 * Source   design 1; spec twins 1, 2; registry 4, 6; mqtt 2, 3, 7
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "ask.h"
#include "hub/change.h"
#include "hub/entity.h"
#include "store/store.h"

enum { PARTITIONS = 32 };

/* One identity after one change; never changes. */
struct snap {
    struct list all;
    struct record *record;
    struct entity e;
    struct naive *tags, *desired, *reported;
};

struct moment {
    struct snap *at[SLOTS]; /* NULL: does not exist; shared, constant once explained */
    enum change_kind kind;
    unsigned slot; /* who changed */
    uint64_t seq;
    bool inside;   /* of one write that makes several changes: nobody sees it */
    bool claimed;  /* somebody heard that it happened */
    struct ask by; /* a deletion: who, a copy; its pointers are not good any more */
    size_t by_oldest;
    const struct naive *delta; /* of desired; NULL: it did not change */
};

struct family {
    char id[16];
    unsigned index;
    uint32_t partition;
    struct moment *moments;
    size_t count, room;
    size_t shown; /* the newest moment that somebody was shown */
};

struct model {
    struct family families[FAMILIES];
    struct store_partition parts[PARTITIONS];
    struct list snaps, asks;
    struct arena arena;
    int64_t wall_ms, wall_before_ms; /* the clock now, and before its last move */
    unsigned jumps;                  /* of the wall clock */
    bool ending;                     /* the hub stops, or its disk has failed */
    bool full;                       /* there was no space since all was quiet */
    uint64_t last_ask;
    size_t changes;
};

void model_init(struct model *m);
void model_fini(struct model *m);

struct span family_module(unsigned slot);
static inline struct moment *family_last(const struct family *f)
{
    return &f->moments[f->count - 1];
}

/* A new ask about this family (NULL: about all). */
struct ask *ask_create(struct model *m, enum ask_kind kind, struct family *f, unsigned slot);
void ask_destroy(struct ask *a);
/* Its connection has ended. */
void ask_lose(struct ask *a);

/* For memory_options.on_append. */
void model_append(void *model, struct record *old, const struct store_change *change);
/* Who asked for this moment? It must be there. (explain.c) */
void model_explain(struct model *m, struct family *f, size_t moment,
                   const struct change_head *head);
/* Would this ask have made just this change of a twin? Those of a bulk update are not looked at. */
bool model_makes(const struct ask *a, const struct family *f, size_t moment);
/* Is the session after `now` what this ask makes of that before? */
bool model_session_is(const struct ask *a, const struct moment *prev, const struct moment *now);
/* The machine has lost power, or was stopped in good order, and `stores` (a handle for each shard)
 * is what is left: the newest changes may be gone, but none that was shown. */
void model_restart(struct model *m, struct store *const *stores, unsigned count, bool crashed);
/* Nothing is under way any more: what was lost will not happen. */
void model_quiet(struct model *m);

/* ---- guess.c: what would come of an ask at a moment ---- */

struct guess {
    bool writes;
    bool desired_counts;                     /* $version of desired moves */
    struct naive *tags, *desired, *reported; /* after it; NULL: not touched */
    const struct naive *delta;
};
enum status model_guess(const struct ask *a, const struct moment *at, int64_t time_ms,
                        struct guess *out);
void snap_twin_etag(const struct snap *s, char out[32]);
void snap_identity_etag(const struct snap *s, char out[32]);

/* ---- answer.c: an answer must fit a moment ---- */

/* The answer to a back end's ask; `body` may be empty. */
void model_rest_answer(struct model *m, struct ask *a, int http, struct span body);
/* A device's twin, the end of its report (version: Rv), a refusal. */
void model_read_answer(struct model *m, struct ask *a, struct span body);
void model_report_answer(struct model *m, struct ask *a, int http, int64_t version);
/* CONNACK: the moment at which it was let in; 0: it was not. */
size_t model_login_answer(struct model *m, struct ask *a, bool accepted, bool present);
/* SUBACK, UNSUBACK. */
void model_session_answer(struct model *m, struct ask *a);
/* A desired push to this identity: returns its moment. */
size_t model_push(struct model *m, struct family *f, unsigned slot, uint64_t generation,
                  int64_t version, struct span body);

/* Does this device's key open the door at this moment? */
bool model_may_login(const struct moment *at, unsigned slot, struct span key);
/* FILTER_ bits of a stored session. */
unsigned model_filters(struct span session);

#endif
