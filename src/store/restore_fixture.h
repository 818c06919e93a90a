/* restore_fixture.h — for tests: a directory with a backup, rules that show how far it was raised,
 * and restores that end at one of their steps.
 */
#ifndef STORE_RESTORE_FIXTURE_H
#define STORE_RESTORE_FIXTURE_H

#include <sys/wait.h>

#include "store/embedded_dir.h"
#include "store/moved_fixture.h"
#include "store/restore.h"
#include "store/store_fixture.h"

enum { PARTITIONS = 4, STEPS_MAX = 12, MINUTE = 89900 /* 2026-03-04T10:20 */ };

static uint64_t seed = 9;
static struct buf why;

/* Raising is seen: it puts a mark behind the body. */
static int64_t raised_by;

static inline enum status rules_check(const struct store_key *key, uint32_t partitions,
                                      const struct record *r, struct kept *out)
{
    (void)partitions;
    *out = (struct kept){.devices = key->device.len && !key->module.len};
    return r->body_len ? OK : DAMAGED;
}

static inline struct record *rules_raise(const struct store_key *key, struct record *record,
                                         int64_t by)
{
    (void)key;
    raised_by = by;
    struct record *up = record_create(record->body_len + 1, record->secret_len);
    memcpy(up->bytes, record->bytes, record->body_len);
    up->bytes[record->body_len] = '^';
    if (record->secret_len)
        memcpy(up->bytes + up->body_len, record->bytes + record->body_len, record->secret_len);
    return up;
}

static const struct kept_rules rules = {.check = rules_check, .raise = rules_raise};

static inline void on_finding(void *owner, const struct check_finding *f)
{
    (void)owner, (void)f;
}

static const struct check_options check_options = {
    .replay = &fixture_replay, .rules = &rules, .map_bytes = 16 << 20, .fn = on_finding};

/* -- directories -- */

static inline enum status open_keeper(const char *path, struct embedded_dir **dir)
{
    struct embedded_dir_options o = {.path = path, .partitions = PARTITIONS, .map_bytes = 16 << 20};
    o.keeper = (struct embedded_options){.random = fixture_random(&seed),
                                         .clock = fixture_clock,
                                         .replay = &fixture_replay,
                                         .segment_min = 1 << 16,
                                         .segment_max = 1 << 16};
    buf_clear(&why);
    enum status st = embedded_dir_open(&o, dir, &why);
    buf_byte(&why, 0);
    return st;
}

static inline void on_durable(void *owner, uint64_t batch)
{
    *(uint64_t *)owner = batch;
}

static inline void put(struct store *s, uint64_t batch, const char *id, const char *body)
{
    uint64_t *durable = s->owner;
    fixture_put(s, fixture_key(1, id, ""), body, "its key");
    store_commit(s, batch);
    while (*durable < batch)
        store_poll(s);
}

/* a=1 b=2 are in the base; c=3 d=4 e=5 are in the journal, a block each. */
static inline void make(const char *path)
{
    struct embedded_dir *dir;
    uint64_t durable = 0;
    EXPECT_EQ(open_keeper(path, &dir), OK);
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    s->owner = &durable;
    s->durable = on_durable;
    put(s, 1, "a", "1");
    put(s, 2, "b", "2");
    store_close(s);
    embedded_dir_close(dir, 10000);
    EXPECT_EQ(open_keeper(path, &dir), OK);
    s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    durable = 0;
    s->owner = &durable;
    s->durable = on_durable;
    put(s, 1, "c", "3");
    put(s, 2, "d", "4");
    put(s, 3, "e", "5");
    store_close(s);
    embedded_dir_close(dir, 0);
}

static inline const char *beside(const char *path, const char *name)
{
    static char full[32][160];
    static unsigned i;
    char *out = full[i++ % 32];
    snprintf(out, 160, "%s%s", path, name);
    return out;
}

static inline void remove_tree(const char *path)
{
    fixture_empty(beside(path, "/journal.cut-20260304T102030Z/journal"));
    fixture_empty(beside(path, "/journal.cut-20260304T102030Z"));
    fixture_empty(beside(path, "/journal.new"));
    fixture_empty(beside(path, "/journal"));
    fixture_empty(path);
}

/* "a=1 b=2 …", or why it does not open; and the sequence of partition 1. */
static uint64_t seq_shown;
static inline const char *show(const char *path)
{
    struct embedded_dir *dir;
    if (open_keeper(path, &dir) != OK)
        return (const char *)why.data;
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    const char *text = fixture_scan(s, fixture_key(1, "", ""), false, 99);
    seq_shown = s->parts[1].seq;
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "zz", "")), "NOT_FOUND");
    store_close(s);
    embedded_dir_close(dir, 0);
    return text;
}

static inline struct restore_options options_of(const char *from, const char *to)
{
    return (struct restore_options){.from = from,
                                    .to = to,
                                    .random = fixture_random(&seed),
                                    .now_ms = 1772619630123,
                                    .check = check_options};
}

static inline enum status run(const struct restore_options *o, struct restore_result *out)
{
    buf_clear(&why);
    moved_count = taken_early = 0;
    enum status st = o->from ? restore_run(o, out, &why) : recover_run(o, out, &why);
    buf_byte(&why, 0);
    if (!o->step)
        EXPECT_EQ(taken_early, 0);
    return st;
}

static inline bool why_says(const char *part)
{
    return strstr((const char *)why.data, part) != NULL;
}

static inline void back_up(const char *from, const char *to, bool without_key)
{
    struct backup_options o = {
        .from = from, .to = to, .without_key = without_key, .check = check_options};
    struct backup_result result;
    buf_clear(&why);
    EXPECT_EQ(backup_run(&o, &result, &why), OK);
    EXPECT_EQ(check_findings(&result.check), 0);
}

/* The process ends before its n-th step. */
static inline void end_at(void *owner)
{
    if (--*(int *)owner == 0)
        _exit(7);
}

/* In a child; true: it was ended at step n, false: it has no such step. */
static inline bool ends_at(struct restore_options o, int n)
{
    int status;
    o.step = end_at;
    o.step_owner = &n;
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        struct restore_result result;
        _exit(run(&o, &result) == OK ? 0 : 1);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status));
    EXPECT(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7);
    return WEXITSTATUS(status) == 7;
}

static const char all_raised[] = "a=1^ b=2^ c=3^ d=4^ e=5^ OK";

#endif
