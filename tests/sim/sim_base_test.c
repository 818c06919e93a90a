/* sim_base_test.c — the simulated base keeps whole transactions, and to its contract. */
#include "sim_base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/test.h"

enum { SEEDS = 200 };

static struct sim_power power;
static struct sim_base s;
static struct base *b;
static struct base_reader *r;

static void open_base(void)
{
    b = sim_base_open(&s);
    EXPECT_EQ(base_reader_open(b, &r), OK);
}

static void close_base(void)
{
    base_reader_close(r);
    base_close(b);
}

static void start(uint64_t seed)
{
    power = (struct sim_power){.seed = seed};
    sim_base_init(&s, &power);
    open_base();
}

static void end(void)
{
    close_base();
    sim_base_fini(&s);
}

static void cut(void)
{
    close_base();
    power.dark = true;
    sim_base_cut(&s);
    power = (struct sim_power){.seed = power.seed};
    open_base();
}

static struct span key_of(const char *device)
{
    static struct key key;
    key_encode(&key, &(struct store_key){
                         3, span_text(device), {NULL, 0}
    });
    return key_span(&key);
}

/* `text` NULL deletes. */
static void put(const char *device, const char *text, uint64_t seq)
{
    struct record *record = NULL;
    if (text) {
        record = record_create(strlen(text), 0);
        memcpy(record->bytes, text, strlen(text));
    }
    EXPECT_EQ(base_put(b, key_of(device), record, seq), 0);
    record_unref(record);
}

/* The record's text, or the status's name. Good until the next call. */
static const char *get(const char *device)
{
    static char text[64];
    struct record *record = NULL;
    EXPECT_EQ(base_enter(r), OK);
    enum status st = base_get(r, key_of(device), &record);
    base_leave(r);
    if (st != OK)
        return status_name(st);
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(record_body(record)));
    record_unref(record);
    return text;
}

/* A whole transaction: both records, counts and mark say `n`. */
static int transact(uint64_t n)
{
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    int error = base_begin(b);
    if (error)
        return error;
    put("d1", text, n);
    put("d2", text, n);
    struct store_partition counts = {.seq = n, .devices = 2};
    EXPECT_EQ(base_put_counts(b, 3, &counts), 0);
    EXPECT_EQ(base_put_mark(b, (struct mark){n, 7}), 0);
    return base_commit(b);
}

/* What is there says so in every place. */
static uint64_t committed(void)
{
    struct store_partition counts[4];
    struct mark mark = {0};
    EXPECT_EQ(base_enter(r), OK);
    EXPECT_EQ(base_counts(r, 4, counts), OK);
    enum status st = base_mark(r, &mark);
    base_leave(r);
    EXPECT_EQ(st, counts[3].seq ? OK : NOT_FOUND);
    EXPECT_EQ(mark.position, counts[3].seq);
    if (counts[3].seq)
        EXPECT_EQ(strtoull(get("d1"), NULL, 10), counts[3].seq);
    else
        EXPECT_EQ(strcmp(get("d1"), "NOT_FOUND"), 0);
    EXPECT_EQ(strtoull(get("d2"), NULL, 10), counts[3].seq);
    return counts[3].seq;
}

TEST(a_reader_sees_the_newest_state_at_its_outermost_enter)
{
    start(1);
    EXPECT_EQ(transact(1), 0);
    EXPECT_EQ(base_enter(r), OK);
    EXPECT_EQ(transact(2), 0);
    EXPECT_EQ(committed(), 1);
    EXPECT_EQ(base_begin(b), 0);
    put("d1", NULL, 3);
    EXPECT_EQ(strcmp(get("d1"), "1"), 0);
    EXPECT_EQ(base_commit(b), 0);
    base_leave(r);
    EXPECT_EQ(strcmp(get("d1"), "NOT_FOUND"), 0);
    EXPECT_EQ(strcmp(get("d2"), "2"), 0);
    end();
}

TEST(a_walk_gives_records_in_key_order)
{
    struct base_walk *w;
    struct record *record;
    struct key at;
    struct store_key key;
    struct buf all = {0};
    start(1);
    EXPECT_EQ(base_begin(b), 0);
    put("c", "3", 1);
    put("a", "1", 2);
    put("b", "2", 3);
    EXPECT_EQ(base_commit(b), 0);
    EXPECT_EQ(base_enter(r), OK);
    EXPECT_EQ(base_walk(r, key_of("a"), &w), OK);
    EXPECT_EQ(transact(4), 0); /* it does not see that */
    while (base_next(r, w, &at, &record) == OK) {
        EXPECT(key_decode(key_span(&at), &key));
        buf_printf(&all, "%.*s=%.*s ", SPAN_ARG(key.device), SPAN_ARG(record_body(record)));
        record_unref(record);
    }
    base_walk_end(r, w);
    base_leave(r);
    EXPECT_SPAN(buf_span(&all), SPAN("b=2 c=3 "));
    buf_fini(&all);
    end();
}

TEST(a_cut_undoes_at_most_the_last_commit_since_the_sync)
{
    unsigned undone = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start(seed);
        EXPECT_EQ(transact(1), 0);
        EXPECT_EQ(base_sync(b), 0);
        for (uint64_t n = 2; n <= 2 + seed % 3; n++)
            EXPECT_EQ(transact(n), 0);
        cut();
        uint64_t is = committed();
        EXPECT(is == 2 + seed % 3 || is == 1 + seed % 3);
        undone += is == 1 + seed % 3;
        end();
    }
    EXPECT(undone > SEEDS / 4);
    EXPECT(undone < SEEDS - SEEDS / 4);
}

TEST(what_is_synced_lasts)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start(seed);
        EXPECT_EQ(transact(1), 0);
        EXPECT_EQ(transact(2), 0);
        EXPECT_EQ(base_sync(b), 0);
        cut();
        EXPECT_EQ(committed(), 2);
        end();
    }
}

TEST(an_interrupted_commit_has_happened_or_not)
{
    unsigned happened = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        start(seed);
        EXPECT_EQ(transact(1), 0);
        EXPECT_EQ(base_sync(b), 0);
        power.left = 1;
        EXPECT_EQ(transact(2), EIO);
        EXPECT_EQ(transact(3), EIO);
        EXPECT_EQ(base_sync(b), EIO);
        cut();
        uint64_t is = committed();
        EXPECT(is == 1 || is == 2);
        happened += is == 2;
        end();
    }
    EXPECT(happened > SEEDS / 8);
    EXPECT(happened < SEEDS - SEEDS / 8);
}

TEST(a_full_base_takes_nothing_and_loses_nothing)
{
    start(1);
    EXPECT_EQ(transact(1), 0);
    s.full = true;
    int error = transact(2);
    EXPECT_EQ(base_status(b, error), STORAGE_FULL);
    EXPECT_SPAN(span_text(base_text(b, error)), span_text("No space left on device"));
    EXPECT_EQ(committed(), 1);
    s.full = false;
    EXPECT_EQ(transact(2), 0);
    EXPECT_EQ(committed(), 2);
    s.fail_in = 1;
    EXPECT_EQ(base_status(b, base_sync(b)), SERVER_ERROR);
    EXPECT_EQ(base_begin(b), EIO);
    end();
}

/* ---- misuse ---- */

static void two_transactions(void)
{
    (void)!base_begin(b);
    (void)!base_begin(b);
}
static void put_outside(void)
{
    put("d1", "x", 9);
}
static void get_outside(void)
{
    (void)get("d1");
    struct record *record;
    (void)!base_get(r, key_of("d1"), &record);
}
static void leave_outside(void)
{
    base_leave(r);
}
static void walk_beyond_leave(void)
{
    struct base_walk *w;
    (void)!base_enter(r);
    (void)!base_walk(r, key_of("a"), &w);
    base_leave(r);
}
static void record_goes_back(void)
{
    (void)!base_begin(b);
    put("d1", "older", 1);
}
static void mark_goes_back(void)
{
    (void)!base_begin(b);
    (void)!base_put_mark(b, (struct mark){1, 7});
}
static void sync_inside(void)
{
    (void)!base_begin(b);
    (void)!base_sync(b);
}
static void reader_left_open(void)
{
    base_close(b);
}
static void nothing(void)
{
}

/* Does it end the process? */
static bool aborts(void (*misuse)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO);
        start(1);
        (void)transact(2);
        misuse();
        _exit(0);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status != 0;
}

TEST(misuse_ends_the_process)
{
    static void (*const misuses[])(void) = {
        two_transactions, put_outside,    get_outside, leave_outside,    walk_beyond_leave,
        record_goes_back, mark_goes_back, sync_inside, reader_left_open,
    };
    EXPECT(!aborts(nothing));
    for (size_t i = 0; i < COUNT(misuses); i++)
        EXPECT_EQ_IN("misuse", aborts(misuses[i]), true);
}

TEST_MAIN(RUN(a_reader_sees_the_newest_state_at_its_outermost_enter),
          RUN(a_walk_gives_records_in_key_order),
          RUN(a_cut_undoes_at_most_the_last_commit_since_the_sync), RUN(what_is_synced_lasts),
          RUN(an_interrupted_commit_has_happened_or_not),
          RUN(a_full_base_takes_nothing_and_loses_nothing), RUN(misuse_ends_the_process))
