/* journal_fixture.h — for tests: a journal of numbered blocks on a disk in memory, and its reading.
 *
 * Block n has one entry, "n:" and as many dots as its test likes, and partition 1's counts, seq n.
 */
#ifndef STORE_JOURNAL_FIXTURE_H
#define STORE_JOURNAL_FIXTURE_H

#include "store/disk_fixture.h"
#include "store/journal.h"
#include "store/recovery.h"

enum { ONE_SECTOR = 300, TWO_SECTORS = 800 }; /* dots that make a block as long */

struct test_journal {
    struct test_disk disk;
    struct journal journal;
    uint64_t number;     /* of the newest block */
    uint64_t size, salt; /* of the next segment */
    struct buf read;     /* by test_journal_read: the numbers, "1 2 3 " */
    struct buf why;
    struct mark end;
    uint64_t blocks, last; /* as struct recovery says */
};

static const uint8_t test_hub_id[16] = "0123456789abcde";

static inline struct segment test_journal_segment(struct test_journal *t, uint64_t start)
{
    struct segment_maker m = {
        .disk = &t->disk.disk,
        .segment = {.start = start, .size = t->size, .salt = ++t->salt, .epoch = 1}
    };
    int error;
    memcpy(m.segment.hub_id, test_hub_id, sizeof(test_hub_id));
    do
        error = segment_make(&m);
    while (error == EAGAIN);
    EXPECT_EQ(error, 0);
    return m.segment;
}

static inline void test_journal_begin(struct test_journal *t, uint64_t size)
{
    *t = (struct test_journal){.size = size};
    test_disk_init(&t->disk);
    t->journal = (struct journal){.current = test_journal_segment(t, 0),
                                  .run = 1,
                                  .end = SEGMENT_HEAD,
                                  .durable = SEGMENT_HEAD};
}

static inline void test_journal_end(struct test_journal *t)
{
    journal_fini(&t->journal);
    buf_fini(&t->read);
    buf_fini(&t->why);
    test_disk_fini(&t->disk);
}

static inline struct journal_block *test_journal_block(struct test_journal *t, size_t dots)
{
    struct journal_block *b = journal_block_create(NULL, 0);
    struct store_partition counts = {.seq = ++t->number};
    struct buf text = {0};
    buf_printf(&text, "%llu:", (unsigned long long)t->number);
    for (size_t i = 0; i < dots; i++)
        buf_byte(&text, '.');
    block_put(&b->bytes, buf_span(&text), SPAN(""));
    block_put_counts(&b->bytes, 1, &counts);
    block_close(&b->bytes, 1, 1, 1000);
    buf_fini(&text);
    return b;
}

/* On to a new segment. */
static inline void test_journal_turn(struct test_journal *t)
{
    struct segment next =
        test_journal_segment(t, t->journal.current.start + t->journal.current.size);
    journal_turn(&t->journal, &next);
}

/* A group of `count` blocks, written and not synced; they must fit. */
static inline int test_journal_write(struct test_journal *t, int count, size_t dots)
{
    struct list group;
    list_init(&group);
    for (int i = 0; i < count; i++)
        list_append(&group, &test_journal_block(t, dots)->link);
    int error = journal_append(&t->journal, &group);
    for (struct list *at; (at = list_take_first(&group));)
        journal_block_free(CONTAINER_OF(at, struct journal_block, link));
    return error;
}

static inline void test_journal_put(struct test_journal *t, int count, size_t dots)
{
    EXPECT_EQ(test_journal_write(t, count, dots), 0);
    EXPECT_EQ(journal_sync(&t->journal), 0);
}

static inline enum status test_journal_on_block(void *owner, const struct block *block,
                                                struct span bytes, struct buf *why)
{
    struct test_journal *t = owner;
    struct span rest = block_body(bytes);
    struct block_entry entry = block_take_entry(&rest);
    struct block_count count = block_take_counts(&rest);
    size_t colon = span_index(entry.effect, ':');
    struct buf number = {0};
    EXPECT_EQ(block->entries, 1);
    EXPECT_EQ(block->counts, 1);
    EXPECT_EQ(rest.len, 0);
    EXPECT_EQ(count.partition, 1);
    buf_u64(&number, count.counts.seq);
    EXPECT_SPAN(span_first(entry.effect, colon), buf_span(&number));
    for (size_t i = colon + 1; i < entry.effect.len; i++)
        EXPECT_EQ(entry.effect.data[i], '.');
    buf_put(&t->read, buf_span(&number));
    buf_byte(&t->read, ' ');
    buf_fini(&number);
    if (t->number != UINT64_MAX)
        return OK;
    buf_text(why, "enough"); /* the test of a refusal */
    return TOO_LARGE;
}

/* What a start finds, in t->read and so on. On OK *found is the caller's, else there is none. */
static inline enum status test_journal_recover(struct test_journal *t, struct mark from,
                                               uint64_t stop, struct recovery *found)
{
    struct recovery_options o = {.disk = &t->disk.disk,
                                 .hub_id = test_hub_id,
                                 .from = from,
                                 .stop = stop,
                                 .fn = test_journal_on_block,
                                 .owner = t};
    buf_clear(&t->read);
    buf_clear(&t->why);
    enum status st = recovery_run(&o, found, &t->why);
    EXPECT_EQ(t->why.len > 0, st != OK);
    t->end = found->end;
    t->blocks = found->blocks;
    t->last = found->last;
    return st;
}

static inline enum status test_journal_read(struct test_journal *t, struct mark from, uint64_t stop)
{
    struct recovery found;
    enum status st = test_journal_recover(t, from, stop, &found);
    recovery_fini(&found);
    return st;
}

/* From the very beginning, all of it. */
#define EXPECT_JOURNAL(t, want)                                   \
    do {                                                          \
        EXPECT_EQ(test_journal_read(t, (struct mark){0}, 0), OK); \
        EXPECT_SPAN(buf_span(&(t)->read), span_text(want));       \
    } while (0)

/* The process ends; the power is cut, and `seed` says what is left (disk_fixture.h). */
static inline void test_journal_cut(struct test_journal *t, uint64_t seed)
{
    journal_fini(&t->journal);
    test_disk_cut(&t->disk, seed);
}

/* A new process goes on where the journal ends. */
static inline void test_journal_resume(struct test_journal *t)
{
    struct recovery found;
    journal_fini(&t->journal);
    EXPECT_EQ(test_journal_recover(t, (struct mark){0}, 0, &found), OK);
    t->journal.current = found.segments[found.last];
    found.segments[found.last].file = NULL;
    t->journal.end = t->journal.durable = found.end.position;
    t->journal.prev = found.end.prev;
    t->journal.run++;
    recovery_fini(&found);
}

/* The bytes of the segment that holds `position`, and where in it. */
static inline uint8_t *test_journal_at(struct test_journal *t, uint64_t position)
{
    for (size_t i = 0; i < t->disk.now.count; i++) {
        struct test_disk_name *n = &t->disk.now.at[i];
        uint64_t start;
        if (segment_start(n->text, &start) && start <= position &&
            position < start + n->inode->now.len)
            return n->inode->now.data + (position - start);
    }
    fail_msg("no segment has this position");
    return NULL;
}

static inline bool test_journal_why(struct test_journal *t, const char *part)
{
    buf_byte(&t->why, 0);
    t->why.len--;
    return strstr((const char *)t->why.data, part) != NULL;
}

#endif
