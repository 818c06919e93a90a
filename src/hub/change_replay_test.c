#include "hub/change.h"

#include "hub/twin_fixture.h"

static uint8_t scratch[1 << 18];

static struct arena scratch_arena(void)
{
    struct arena a;
    arena_init(&a, scratch, sizeof(scratch));
    return a;
}

static enum status apply(struct record *before, struct span effect, struct span secret,
                         struct record **out)
{
    struct arena a = scratch_arena();
    enum status st = change_apply(before, effect, secret, &a, out);
    EXPECT_EQ(a.used, 0);
    return st;
}

static void expect_equal(struct record *got, struct record *want)
{
    EXPECT_EQ(got != NULL, want != NULL);
    if (!want)
        return;
    EXPECT_SPAN(record_body(got), record_body(want));
    EXPECT_SPAN(record_secret(got), record_secret(want));
}

/* ---- whatever the hub does, replay gives its records ---- */

enum { WRITES_MAX = 300, WHO_COUNT = 3 };

static const struct {
    const char *device, *module;
} whos[WHO_COUNT] = {
    {"a", NULL},
    {"a", "m" },
    {"b", NULL}
};

static size_t who_of(const struct change_head *head)
{
    for (size_t i = 0; i < WHO_COUNT; i++)
        if (span_eq(head->device, span_text(whos[i].device)) &&
            span_eq(head->module, span_text(whos[i].module)))
            return i;
    fail_msg("a change of nobody");
    return 0;
}

/* What left the hub, in order. */
struct history {
    struct write {
        struct buf effect, secret;
        struct record *after;
        size_t who;
    } writes[WRITES_MAX];
    size_t count;
    size_t kinds[CHANGE_ACTIVITY + 1];
};

static void keep(struct history *h, const struct fixture *f)
{
    for (const struct effect *e = f->out.effects; e; e = e->next) {
        struct change_head head;
        if (e->kind != EFFECT_CHANGE || h->count == WRITES_MAX)
            continue;
        EXPECT_EQ(change_head(e->change.effect, &head), OK);
        struct write *w = &h->writes[h->count++];
        buf_put(&w->effect, e->change.effect);
        buf_put(&w->secret, e->change.secret);
        w->after = e->change.record ? record_ref(e->change.record) : NULL;
        w->who = who_of(&head);
        h->kinds[head.kind]++;
    }
}

static void forget(struct history *h)
{
    for (size_t i = 0; i < h->count; i++) {
        buf_fini(&h->writes[i].effect);
        buf_fini(&h->writes[i].secret);
        record_unref(h->writes[i].after);
    }
}

static const char *const identities[] = {
    "{" SAS(KEY_A, KEY_B) "}",
    "{" SAS(KEY_B, KEY_A) ",\"status\":\"disabled\",\"statusReason\":\"lost\"}",
    "{\"authentication\":{\"type\":\"certificateAuthority\"},\"deviceScope\":\"s\"}",
    "{\"authentication\":{\"type\":\"selfSigned\"," THUMBPRINTS(SHA1_A, SHA1_B) "}}",
    "{\"managedBy\":\"x\",\"authentication\":{\"type\":\"none\"}}",
};

static const char *const contents[] = {
    "{\"tags\":{\"a\":1},\"properties\":{\"desired\":{\"a\":{\"b\":[1,{\"c\":2}]}}}}",
    "{\"properties\":{\"desired\":{\"a\":{\"b\":1,\"d\":null},\"n\":1.50}}}",
    "{\"tags\":{\"a\":null,\"z\":\"\\u00e9\"},\"properties\":{\"desired\":{\"a\":null}}}",
    "{\"tags\":{\"a\":{\"b\":{\"c\":true}}}}",
    "{\"tags\":{},\"properties\":{\"desired\":{\"a\":{}}}}",
    "{}",
};

static const char *const reports[] = {
    "{\"t\":21.5,\"o\":{\"p\":\"x\"}}",
    "{\"o\":{\"p\":null,\"q\":[]}}",
    "{\"o\":7}",
    "{\"t\":null}",
    "{\"o\":null,\"long\":\"0123456789012345678901234567890123456789\"}",
};

#define PICK(seed, table) table[test_random(seed) % COUNT(table)]

static struct op random_op(uint64_t *seed, struct live *l)
{
    struct op op = {.device = live_device(l), .module = live_module(l), .if_version = -1};
    bool module = op.module.len;
    switch (test_random(seed) % 12) {
    case 0:
        op.kind = module ? OP_MODULE_DELETE : OP_DEVICE_DELETE;
        op.has_if_match = true;
        op.if_match = test_random(seed) % 3 ? SPAN("no") : SPAN("*");
        return op;
    case 1:
    case 2:
        op.kind = module ? OP_MODULE_PUT : OP_DEVICE_PUT;
        op.has_if_match = test_random(seed) % 2;
        op.if_match = SPAN("*");
        op.body = span_text(PICK(seed, identities));
        return op;
    case 3:
    case 4:
    case 5:
        op.kind = test_random(seed) % 3 ? OP_TWIN_PATCH : OP_TWIN_PUT;
        op.body = span_text(PICK(seed, contents));
        return op;
    case 6:
        op.kind = OP_SESSION_SAVE;
        op.body = span_first(SPAN("\x01\x02\x03\x04"), test_random(seed) % 4);
        op.has_model_id = test_random(seed) % 2;
        op.model_id = test_random(seed) % 2 ? SPAN("dtmi:a;1") : SPAN("");
        return op;
    case 7:
        op.kind = OP_SESSION_DROP;
        return op;
    case 8:
        op.kind = OP_ACTIVITY_SAVE;
        l->last_activity_ms = (int64_t)(1772619630123 + test_random(seed) % 100000);
        l->connection_updated_ms = l->last_activity_ms - 5;
        return op;
    default:
        op.kind = OP_TWIN_REPORT;
        op.body = span_text(PICK(seed, reports));
        return op;
    }
}

static void play(uint64_t seed, struct history *h)
{
    struct fixture f;
    fixture_init(&f, seed);
    for (size_t i = 0; i < WHO_COUNT; i++)
        twin_admit(&f, whos[i].device, whos[i].module);
    for (int i = 0; i < 600; i++) {
        size_t who = test_random(&seed) % WHO_COUNT;
        struct live *l = fixture_find(&f, whos[who].device, whos[who].module);
        hub_children_known(&f.hub, fixture_find(&f, whos[who].device, NULL));
        struct op op = random_op(&seed, l);
        f.now.wall_ms += (int64_t)(test_random(&seed) % 2000) - 500;
        twin_apply(&f, &op);
        keep(h, &f);
    }
    twin_finish(&f);
}

/* Replay writes [from, to) onto `state`. */
static void replay(const struct history *h, size_t from, size_t to, struct record *state[WHO_COUNT])
{
    for (size_t i = from; i < to; i++) {
        const struct write *w = &h->writes[i];
        struct record *after = NULL;
        EXPECT_EQ(apply(state[w->who], buf_span(&w->effect), buf_span(&w->secret), &after), OK);
        record_unref(state[w->who]);
        state[w->who] = after;
    }
}

static void expect_state(const struct history *h, size_t count, struct record *state[WHO_COUNT])
{
    for (size_t who = 0; who < WHO_COUNT; who++) {
        struct record *want = NULL;
        for (size_t i = 0; i < count; i++)
            if (h->writes[i].who == who)
                want = h->writes[i].after;
        expect_equal(state[who], want);
    }
}

static void expect_replay(const struct history *h)
{
    struct record *state[WHO_COUNT] = {0};
    for (size_t i = 0; i < h->count; i++) {
        replay(h, i, i + 1, state);
        expect_equal(state[h->writes[i].who], h->writes[i].after);
    }
    /* Again from anywhere, onto a state that already holds all of it. */
    for (size_t from = 0; from < h->count; from += 1 + h->count / 7) {
        replay(h, from, h->count, state);
        expect_state(h, h->count, state);
    }
    for (size_t who = 0; who < WHO_COUNT; who++)
        record_unref(state[who]);
}

TEST(replay_gives_the_records_the_hub_made)
{
    static struct history h;
    size_t kinds[CHANGE_ACTIVITY + 1] = {0};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        h = (struct history){0};
        play(seed, &h);
        expect_replay(&h);
        for (size_t kind = CHANGE_CREATE; kind <= CHANGE_ACTIVITY; kind++)
            kinds[kind] += h.kinds[kind];
        forget(&h);
    }
    for (size_t kind = CHANGE_CREATE; kind <= CHANGE_ACTIVITY; kind++)
        EXPECT(kinds[kind] > 100);
}

TEST_MAIN(RUN(replay_gives_the_records_the_hub_made))
