/* history_fixture.h — for tests: a journal on a disk in memory, and a list of all that is in it.
 *
 * Its changes are simple ones, with a replay of their own:
 *
 *   partition (4)  seq (8)  time (8)  length of the device id (1), of the module id (1), the ids,
 *   filler
 *
 * Threads  one
 */
#ifndef STORE_HISTORY_FIXTURE_H
#define STORE_HISTORY_FIXTURE_H

#include "store/disk_fixture.h"
#include "store/history_maker.h"
#include "store/history_reader.h"
#include "store/journal.h"

enum { TAPE_EFFECT = 22, TAPE_SEGMENTS = 32 };

static const uint8_t tape_hub[16] = "the hub of tests";

struct tape_entry {
    struct history_entry e; /* its spans are its own */
    struct key key;
};

struct tape_segment {
    uint64_t start, used; /* as of history_add */
};

struct tape {
    struct test_disk *d;
    struct journal journal;
    uint32_t segment_size;
    uint64_t seed, seq;
    int64_t now_ms;
    unsigned devices; /* how many there are */
    struct tape_entry *entries;
    size_t count, room;
    struct tape_segment done[TAPE_SEGMENTS]; /* those turned over */
    size_t done_count;
    /* The open block: */
    struct buf bytes;
    uint32_t block_entries, block_counts;
};

static inline enum status tape_replay_head(struct span effect, struct replay_head *out)
{
    if (effect.len < TAPE_EFFECT)
        return DAMAGED;
    size_t device = effect.data[20], module = effect.data[21];
    if (device + module > effect.len - TAPE_EFFECT)
        return DAMAGED;
    *out = (struct replay_head){
        .key = {load_u32le(effect.data), span_of(effect.data + TAPE_EFFECT, device),
                span_of(effect.data + TAPE_EFFECT + device, module)},
        .seq = load_u64le(effect.data + 4),
        .time_ms = (int64_t)load_u64le(effect.data + 12),
    };
    return OK;
}

static const struct replay tape_replay = {.head = tape_replay_head};

static inline struct span tape_own(struct span s)
{
    uint8_t *copy = malloc(s.len + 1);
    EXPECT(copy != NULL);
    if (s.len)
        memcpy(copy, s.data, s.len);
    return span_of(copy, s.len);
}

static inline void tape_disown(struct span s)
{
    union {
        const uint8_t *from;
        void *to;
    } bytes = {.from = s.data};
    free(bytes.to);
}

static inline struct segment tape_segment_make(struct tape *t, uint64_t start)
{
    struct segment_maker m = {
        .disk = &t->d->disk,
        .segment = {
                    .start = start, .size = t->segment_size, .salt = test_random(&t->seed), .epoch = 3}
    };
    memcpy(m.segment.hub_id, tape_hub, sizeof(tape_hub));
    int error;
    while ((error = segment_make(&m)) == EAGAIN)
        ;
    EXPECT_EQ(error, 0);
    return m.segment;
}

static inline void tape_init(struct tape *t, struct test_disk *d, uint32_t segment_size)
{
    *t = (struct tape){
        .d = d, .segment_size = segment_size, .seed = 11, .devices = 20, .now_ms = 1772619630000};
    t->journal.current = tape_segment_make(t, 0);
    t->journal.end = t->journal.durable = SEGMENT_HEAD;
    t->journal.run = 5;
}

static inline void tape_fini(struct tape *t)
{
    journal_fini(&t->journal);
    for (size_t i = 0; i < t->count; i++) {
        tape_disown(t->entries[i].e.effect);
        tape_disown(t->entries[i].e.sealed);
    }
    free(t->entries);
    buf_fini(&t->bytes);
}

static inline struct tape_entry *tape_entry_add(struct tape *t)
{
    if (t->count == t->room) {
        t->room = t->room * 2 + 64;
        t->entries = realloc(t->entries, t->room * sizeof(*t->entries));
        EXPECT(t->entries != NULL);
    }
    struct tape_entry *new = &t->entries[t->count++];
    *new = (struct tape_entry){.e = {.position = t->journal.end}};
    if (t->bytes.len == 0)
        block_begin(&t->bytes);
    return new;
}

/* A change in the open block. */
static inline void tape_put_change(struct tape *t, struct span effect, struct span sealed,
                                   const struct replay *replay)
{
    struct tape_entry *new = tape_entry_add(t);
    struct replay_head head;
    new->e.number = t->block_entries++;
    new->e.effect = tape_own(effect);
    new->e.sealed = tape_own(sealed);
    if (replay->head(effect, &head) == OK)
        key_encode(&new->key, &head.key);
    block_put(&t->bytes, effect, sealed);
}

static inline void tape_put_device(struct tape *t, unsigned device, size_t filler)
{
    struct buf effect = {0};
    char id[24];
    snprintf(id, sizeof(id), "device-%u", device);
    buf_u32le(&effect, device % 4);
    buf_u64le(&effect, ++t->seq);
    buf_u64le(&effect, (uint64_t)t->now_ms);
    buf_byte(&effect, (uint8_t)strlen(id));
    buf_byte(&effect, device % 3 == 0 ? 1 : 0);
    buf_text(&effect, id);
    if (device % 3 == 0)
        buf_text(&effect, "m");
    for (size_t i = 0; i < filler; i++)
        buf_byte(&effect, i % 8 < 6 ? (uint8_t)i : (uint8_t)test_random(&t->seed));
    tape_put_change(t, buf_span(&effect), device % 5 ? (struct span){0} : SPAN("sealed"),
                    &tape_replay);
    buf_fini(&effect);
}

static inline void tape_put_counts(struct tape *t, uint32_t partition,
                                   struct store_partition counts)
{
    struct tape_entry *new = tape_entry_add(t);
    new->e.is_counts = true;
    new->e.partition = partition;
    new->e.counts = counts;
    t->block_counts++;
    block_put_counts(&t->bytes, partition, &counts);
}

/* The segment is full enough; the journal goes on in the next one. */
static inline void tape_turn(struct tape *t)
{
    struct journal *journal = &t->journal;
    uint64_t start = journal->current.start;
    struct segment next = tape_segment_make(t, start + journal->current.size);
    EXPECT(t->done_count < TAPE_SEGMENTS);
    t->done[t->done_count++] = (struct tape_segment){start, journal->end};
    journal_turn(journal, &next);
}

/* The open block is written where it fits and lasts. */
static inline void tape_block_end(struct tape *t)
{
    struct list blocks;
    struct journal_block b = {.bytes = t->bytes};
    list_init(&blocks);
    list_append(&blocks, &b.link);
    block_close(&b.bytes, t->block_entries, t->block_counts, t->now_ms);
    if (b.bytes.len > journal_left(&t->journal)) {
        tape_turn(t);
        for (size_t i = t->count - t->block_entries - t->block_counts; i < t->count; i++)
            t->entries[i].e.position = t->journal.end;
    }
    EXPECT_EQ(journal_append(&t->journal, &blocks), 0);
    EXPECT_EQ(journal_sync(&t->journal), 0);
    buf_fini(&b.bytes);
    t->bytes = (struct buf){0};
    t->block_entries = t->block_counts = 0;
}

/* One block of changes to random devices, with counts. */
static inline void tape_block(struct tape *t, size_t changes, size_t filler)
{
    for (size_t i = 0; i < changes; i++)
        tape_put_device(t, (unsigned)(test_random(&t->seed) % t->devices), filler);
    tape_put_counts(t, 1, (struct store_partition){t->seq, 4, 3, 2});
    tape_block_end(t);
    t->now_ms += 10;
}

/* Blocks until so many segments are done with. */
static inline void tape_fill(struct tape *t, size_t segments, size_t changes, size_t filler)
{
    while (t->done_count < segments)
        tape_block(t, changes, filler);
}

/* -- what is read must be what was written -- */

static inline void tape_expect_entry(const struct history_entry *got,
                                     const struct history_entry *want)
{
    EXPECT_EQ(got->is_counts, want->is_counts);
    EXPECT_EQ(got->position, want->position);
    if (want->is_counts) {
        EXPECT_EQ(got->partition, want->partition);
        EXPECT(memcmp(&got->counts, &want->counts, sizeof(got->counts)) == 0);
        return;
    }
    EXPECT_EQ(got->number, want->number);
    EXPECT(span_eq(got->effect, want->effect));
    EXPECT(span_eq(got->sealed, want->sealed));
}

static inline enum status tape_next(struct history_reader *r, struct history_entry *out)
{
    enum status st;
    while ((st = history_reader_next(r, out)) == NEED_MORE)
        ;
    return st;
}

static inline bool tape_is_asked(const struct tape_entry *e, const struct history_query *q)
{
    struct key key;
    if (e->e.position < q->from || (q->end && e->e.position >= q->end))
        return false;
    if (!q->key)
        return true;
    key_encode(&key, q->key);
    return !e->e.is_counts && span_eq(key_span(&e->key), key_span(&key));
}

/* All that the query asks for is read, in order, and nothing else. Gives the number. */
static inline size_t tape_expect_query(struct tape *t, struct history_query q)
{
    struct history_reader r;
    struct history_entry e;
    size_t given = 0;
    q.disk = &t->d->disk;
    q.hub_id = tape_hub;
    q.replay = q.replay ? q.replay : &tape_replay;
    EXPECT_EQ(history_reader_open(&r, &q), OK);
    for (size_t n = 0; n < t->count; n++) {
        size_t i = q.newest_first ? t->count - 1 - n : n;
        if (!tape_is_asked(&t->entries[i], &q))
            continue;
        EXPECT_EQ(tape_next(&r, &e), OK);
        tape_expect_entry(&e, &t->entries[i].e);
        given++;
    }
    EXPECT_EQ(tape_next(&r, &e), NOT_FOUND);
    history_reader_close(&r);
    return given;
}

static inline void tape_make(struct tape *t, size_t i, bool say_used)
{
    struct history_maker m = {.disk = &t->d->disk,
                              .replay = &tape_replay,
                              .start = t->done[i].start,
                              .used = say_used ? t->done[i].used : 0};
    int error;
    memcpy(m.hub_id, tape_hub, sizeof(tape_hub));
    while ((error = history_make(&m)) == EAGAIN)
        ;
    EXPECT_EQ(error, 0);
}

#endif
