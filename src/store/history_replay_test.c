/* Replay of all history, and of the journal after it, gives the records and counts the hub has. */
#include "store/history.h"

#include "hub/twin_fixture.h"
#include "store/history_fixture.h"
#include "store/seal.h"

enum { DEVICES = 7, WHO_COUNT = 2 * DEVICES, OPS = 1500, SEGMENT = 64 << 10 };

static const uint8_t master_key[SEAL_KEY] = "thirty-two bytes that are random";
static uint8_t scratch[1 << 18];

static struct random test_source(uint64_t *seed)
{
    return (struct random){fixture_random, seed};
}

struct who {
    char device[8];
    const char *module;
    struct record *record; /* as replay makes it */
};

static void name_all(struct who *whos)
{
    for (int i = 0; i < WHO_COUNT; i++) {
        snprintf(whos[i].device, sizeof(whos[i].device), "d%d", i / 2);
        whos[i].module = i % 2 ? "m" : NULL;
        whos[i].record = NULL;
    }
}

static struct who *find_who(struct who *whos, const struct store_key *key)
{
    for (int i = 0; i < WHO_COUNT; i++)
        if (span_eq(key->device, span_text(whos[i].device)) &&
            span_eq(key->module, span_text(whos[i].module)))
            return &whos[i];
    fail_msg("a change of nobody");
    return NULL;
}

/* -- a hub at work, its changes on a tape -- */

static struct op random_op(uint64_t *seed, struct live *l)
{
    static const char *const identities[] = {
        "{" SAS(KEY_A, KEY_B) "}",
        "{" SAS(KEY_B, KEY_A) ",\"status\":\"disabled\"}",
        "{\"authentication\":{\"type\":\"none\"}}",
    };
    static const char *const contents[] = {
        "{\"tags\":{\"a\":1},\"properties\":{\"desired\":{\"a\":{\"b\":[1,{\"c\":2}]}}}}",
        "{\"properties\":{\"desired\":{\"a\":{\"b\":1,\"d\":null},\"n\":1.50}}}",
        "{\"tags\":{\"a\":null,\"z\":\"x\"},\"properties\":{\"desired\":{\"a\":null}}}",
    };
    struct op op = {.device = live_device(l), .module = live_module(l), .if_version = -1};
    bool module = op.module.len;
    op.has_if_match = test_random(seed) % 2;
    op.if_match = SPAN("*");
    switch (test_random(seed) % 8) {
    case 0:
        op.kind = module ? OP_MODULE_DELETE : OP_DEVICE_DELETE;
        return op;
    case 1:
    case 2:
    case 3:
        op.kind = module ? OP_MODULE_PUT : OP_DEVICE_PUT;
        op.body = span_text(identities[test_random(seed) % COUNT(identities)]);
        return op;
    case 4:
    case 5:
        op.kind = test_random(seed) % 3 ? OP_TWIN_PATCH : OP_TWIN_PUT;
        op.body = span_text(contents[test_random(seed) % COUNT(contents)]);
        return op;
    default:
        op.kind = OP_TWIN_REPORT;
        op.has_if_match = false;
        op.body = test_random(seed) % 2 ? SPAN("{\"t\":21.5,\"o\":{\"p\":\"x\"}}")
                                        : SPAN("{\"o\":{\"p\":null,\"q\":[1,2,3]}}");
        return op;
    }
}

/* What the last operation changed is one block: changes, then the counts of their partitions. */
static void record_block(struct tape *t, const struct fixture *f, struct seal *seal,
                         uint64_t *random)
{
    bool touched[FIXTURE_PARTITIONS] = {0};
    struct buf sealed = {0};
    for (const struct effect *e = f->out.effects; e; e = e->next) {
        if (e->kind != EFFECT_CHANGE)
            continue;
        const struct store_change *c = &e->change;
        struct key key;
        key_encode(&key, &c->key);
        buf_clear(&sealed);
        if (c->secret.len) {
            buf_reserve(&sealed, c->secret.len + SEAL_EXTRA);
            seal_close(seal, test_source(random), key_span(&key), c->secret, sealed.data);
            sealed.len = c->secret.len + SEAL_EXTRA;
        }
        tape_put_change(t, c->effect, buf_span(&sealed), &hub_replay);
        touched[c->key.partition] = true;
    }
    for (uint32_t p = 0; p < FIXTURE_PARTITIONS; p++)
        if (touched[p])
            tape_put_counts(t, p, f->parts[p]);
    if (t->bytes.len)
        tape_block_end(t);
    buf_fini(&sealed);
}

static void work(struct tape *t, struct fixture *f, struct who *whos, struct seal *seal)
{
    uint64_t seed = 99, random = 5;
    for (int i = 0; i < WHO_COUNT; i++)
        twin_admit(f, whos[i].device, whos[i].module);
    for (int i = 0; i < OPS; i++) {
        struct who *who = &whos[test_random(&seed) % WHO_COUNT];
        struct live *l = fixture_find(f, who->device, who->module);
        hub_children_known(&f->hub, fixture_find(f, who->device, NULL));
        struct op op = random_op(&seed, l);
        f->now.wall_ms += 1000;
        twin_apply(f, &op);
        record_block(t, f, seal, &random);
    }
}

/* -- replay -- */

static void replay_change(const struct history_entry *e, struct who *whos, struct seal *seal)
{
    struct replay_head head;
    struct record *after = NULL;
    struct arena a;
    struct key key;
    struct buf secret = {0};
    EXPECT_EQ(hub_replay.head(e->effect, &head), OK);
    struct who *who = find_who(whos, &head.key);
    key_encode(&key, &head.key);
    if (e->sealed.len) {
        buf_reserve(&secret, e->sealed.len);
        EXPECT_EQ(seal_open(seal, key_span(&key), e->sealed, secret.data), OK);
        secret.len = e->sealed.len - SEAL_EXTRA;
    }
    arena_init(&a, scratch, sizeof(scratch));
    EXPECT_EQ(hub_replay.apply(who->record, e->effect, buf_span(&secret), &a, &after), OK);
    arena_fini(&a);
    record_unref(who->record);
    who->record = after;
    buf_fini(&secret);
}

static void replay_all(struct tape *t, struct who *whos, struct store_partition *parts,
                       struct seal *seal)
{
    const struct history_query q = {
        .disk = &t->d->disk, .hub_id = tape_hub, .replay = &hub_replay, .end = t->journal.end};
    struct history_reader r;
    struct history_entry e;
    enum status st;
    EXPECT_EQ(history_reader_open(&r, &q), OK);
    while ((st = tape_next(&r, &e)) == OK) {
        if (e.is_counts)
            parts[e.partition] = e.counts;
        else
            replay_change(&e, whos, seal);
    }
    EXPECT_EQ(st, NOT_FOUND);
    history_reader_close(&r);
}

static void expect_same(const struct record *got, const struct record *want)
{
    EXPECT_EQ(got != NULL, want != NULL);
    if (!want)
        return;
    EXPECT_SPAN(record_body(got), record_body(want));
    EXPECT_SPAN(record_secret(got), record_secret(want));
}

TEST(history_and_journal_replayed_give_the_present_state)
{
    struct test_disk disk;
    struct tape tape;
    struct fixture hub;
    struct history history;
    struct who whos[WHO_COUNT];
    struct store_partition parts[FIXTURE_PARTITIONS] = {0};
    const struct history_options options = {.replay = &hub_replay, .history_ms = INT64_MAX};
    struct seal *seal = seal_create(master_key);
    test_disk_init(&disk);
    tape_init(&tape, &disk, SEGMENT);
    fixture_init(&hub, 7);
    name_all(whos);
    work(&tape, &hub, whos, seal);
    EXPECT(tape.done_count >= 6);
    EXPECT_EQ(history_init(&history, &disk.disk, tape_hub, &options), 0);
    for (size_t i = 0; i + 2 < tape.done_count; i++) /* the last two are still journal */
        history_add(&history,
                    &(struct old_segment){.start = tape.done[i].start, .used = tape.done[i].used});
    while (history_step(&history, hub.now.wall_ms))
        ;
    EXPECT_EQ(history.stats.files, tape.done_count - 2);
    replay_all(&tape, whos, parts, seal);
    size_t alive = 0;
    for (int i = 0; i < WHO_COUNT; i++) {
        const struct live *l = fixture_find(&hub, whos[i].device, whos[i].module);
        expect_same(whos[i].record, l ? l->record : NULL);
        alive += whos[i].record != NULL;
        record_unref(whos[i].record);
    }
    EXPECT(alive > 3);
    EXPECT(memcmp(parts, hub.parts, sizeof(parts)) == 0);
    history_fini(&history);
    twin_finish(&hub);
    tape_fini(&tape);
    test_disk_fini(&disk);
    seal_destroy(seal);
}

TEST_MAIN(RUN(history_and_journal_replayed_give_the_present_state))
