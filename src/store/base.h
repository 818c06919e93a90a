/* base.h — the ordered store of records behind the journal: one writer, any number of readers.
 *
 * lmdb_base.h is the real one. LMDB cannot run on a simulated disk, so the simulator has a stand-in
 * with this contract.
 *
 *   writer   begin, put …, put_counts …, put_mark, commit: one transaction, all of it or nothing;
 *            sync: every commit before it lasts
 *   readers  enter, get | walk, leave: the newest committed state
 *
 * A power cut may undo the last transaction committed since the newest sync, never an earlier one
 * or a part of one.
 *
 * Units    bytes; positions of the journal (journal.h)
 * Memory   records come with one count for the caller
 * Threads  the writing functions are one thread's; a reader belongs to the thread that opened it
 * Errors   writing: a code, 0 for none, that base_status and base_text explain. After any other the
 *          transaction has ended without effect. Reading: DAMAGED is one record that fails its
 *          check; SERVER_ERROR the whole base, with reader->error a code as above
 * Source   design 4
 */
#ifndef STORE_BASE_H
#define STORE_BASE_H

#include "base/record.h"
#include "store/key.h"
#include "store/mark.h"

struct base;
struct base_walk;

struct base_reader {
    struct base *base;
    unsigned depth; /* of enter */
    int error;
};

struct base_ops {
    enum status (*reader_open)(struct base *b, struct base_reader **out);
    void (*reader_close)(struct base_reader *r);
    enum status (*enter)(struct base_reader *r);
    void (*leave)(struct base_reader *r);
    enum status (*get)(struct base_reader *r, struct span key, struct record **out);
    enum status (*counts)(struct base_reader *r, uint32_t partitions, struct store_partition *out);
    enum status (*mark)(struct base_reader *r, struct mark *out);
    enum status (*walk)(struct base_reader *r, struct span after, struct base_walk **out);
    enum status (*next)(struct base_walk *w, struct key *at, struct record **out);
    void (*walk_end)(struct base_walk *w);

    int (*begin)(struct base *b);
    int (*put)(struct base *b, struct span key, struct record *record, uint64_t seq);
    int (*put_counts)(struct base *b, uint32_t partition, const struct store_partition *counts);
    int (*put_mark)(struct base *b, struct mark mark);
    int (*commit)(struct base *b);
    int (*sync)(struct base *b);
    enum status (*status)(int error);
    const char *(*text)(int error);
    void (*close)(struct base *b);
};

struct base {
    const struct base_ops *ops;
};

/* -- reading -- */

/* SERVER_ERROR: *out is a reader that only tells its error. */
MUST_USE static inline enum status base_reader_open(struct base *b, struct base_reader **out)
{
    return b->ops->reader_open(b, out);
}

static inline void base_reader_close(struct base_reader *r)
{
    if (r)
        r->base->ops->reader_close(r);
}

/* enter and leave nest; the outermost enter takes the newest committed state. */
MUST_USE static inline enum status base_enter(struct base_reader *r)
{
    return r->base->ops->enter(r);
}

static inline void base_leave(struct base_reader *r)
{
    r->base->ops->leave(r);
}

/* OK, NOT_FOUND, DAMAGED or SERVER_ERROR. */
MUST_USE static inline enum status base_get(struct base_reader *r, struct span key,
                                            struct record **out)
{
    return r->base->ops->get(r, key, out);
}

/* The counts of every partition; zeros for one without. */
MUST_USE static inline enum status base_counts(struct base_reader *r, uint32_t partitions,
                                               struct store_partition *out)
{
    return r->base->ops->counts(r, partitions, out);
}

/* Where replay begins. NOT_FOUND: none was ever put. */
MUST_USE static inline enum status base_mark(struct base_reader *r, struct mark *out)
{
    return r->base->ops->mark(r, out);
}

/* Records in the order of their keys, those greater than `after`; between enter and leave. */
MUST_USE static inline enum status base_walk(struct base_reader *r, struct span after,
                                             struct base_walk **out)
{
    return r->base->ops->walk(r, after, out);
}

/* OK with the key in *at and a count of *out; NOT_FOUND at the end; DAMAGED: one is passed over;
 * SERVER_ERROR. The records found are of entities and of the hub, not counts. */
MUST_USE static inline enum status base_next(struct base_reader *r, struct base_walk *w,
                                             struct key *at, struct record **out)
{
    return r->base->ops->next(w, at, out);
}

static inline void base_walk_end(struct base_reader *r, struct base_walk *w)
{
    if (w)
        r->base->ops->walk_end(w);
}

/* -- writing -- */

MUST_USE static inline int base_begin(struct base *b)
{
    return b->ops->begin(b);
}

/* `record` NULL: delete. */
MUST_USE static inline int base_put(struct base *b, struct span key, struct record *record,
                                    uint64_t seq)
{
    return b->ops->put(b, key, record, seq);
}

MUST_USE static inline int base_put_counts(struct base *b, uint32_t partition,
                                           const struct store_partition *counts)
{
    return b->ops->put_counts(b, partition, counts);
}

MUST_USE static inline int base_put_mark(struct base *b, struct mark mark)
{
    return b->ops->put_mark(b, mark);
}

MUST_USE static inline int base_commit(struct base *b)
{
    return b->ops->commit(b);
}

MUST_USE static inline int base_sync(struct base *b)
{
    return b->ops->sync(b);
}

static inline enum status base_status(const struct base *b, int error)
{
    return b->ops->status(error);
}

static inline const char *base_text(const struct base *b, int error)
{
    return b->ops->text(error);
}

static inline void base_close(struct base *b)
{
    if (b)
        b->ops->close(b);
}

#endif
