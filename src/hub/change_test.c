#include "hub/change.h"

#include "base/test.h"
#include "base/text.h"
#include "doc/doc.h"

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

/* ---- one change of each kind, byte by byte ---- */

/* A change, and what it was made of. */
struct sample {
    struct change change;
    struct entity before, after;
    struct record *old, *new;
    struct buf effect, secret;
};

static const struct doc_limits *const limits = &doc_limits_azure;
static uint8_t documents[1 << 14];

static struct span parse(struct arena *a, const char *json)
{
    struct span doc = {0};
    EXPECT_EQ(doc_parse(span_text(json), &limits->syntax, a, &doc), OK);
    return doc;
}

static struct span patch(struct arena *a, enum doc_section section, struct span *old,
                         const char *json)
{
    const struct doc_write w = {
        .section = section, .limits = limits, .now_ms = 1772619630500, .version = 2};
    struct doc_result result;
    struct doc_fault fault;
    EXPECT_EQ(doc_patch(*old, doc_root(parse(a, json)), &w, a, &result, &fault), OK);
    *old = result.section;
    return result.delta;
}

static void sample_init(struct sample *s, enum change_kind kind)
{
    struct arena a;
    arena_init(&a, documents, sizeof(documents));
    *s = (struct sample){
        .change = {.kind = kind, .partition = 3, .seq = 9, .time_ms = 77}
    };
    s->before = (struct entity){
        .device = SPAN("d"),
        .module = SPAN("m"),
        .seq = 5,
        .generation = 638451234567890123,
        .identity_etag = 111111111,
        .twin_etag = 4,
        .desired_version = 3,
        .reported_version = 2,
        .created_ms = 1772619630123,
        .stamp_ms = 1772619630200,
        .status_updated_ms = TIME_NEVER,
        .last_activity_ms = TIME_NEVER,
        .connection_updated_ms = TIME_NEVER,
        .scope = SPAN("sc"),
        .tags = doc_empty(DOC_TAGS, 0, &a),
        .desired = doc_empty(DOC_DESIRED, 1772619630123, &a),
        .reported = doc_empty(DOC_REPORTED, 1772619630123, &a),
        .primary_key = SPAN("a2V5MQ=="),
        .secondary_key = SPAN("a2V5Mg=="),
    };
    s->after = s->before;
    s->after.seq = s->change.seq;
    switch (kind) {
    case CHANGE_CREATE:
    case CHANGE_DELETE:
        break;
    case CHANGE_IDENTITY:
        s->after.identity_etag = 222222222;
        s->after.disabled = true;
        s->after.status_updated_ms = s->after.stamp_ms = 1772619630300;
        s->after.status_reason = SPAN("why");
        s->after.scope = (struct span){0};
        s->after.primary_key = SPAN("a2V5Mw==");
        break;
    case CHANGE_TWIN:
        s->after.twin_etag++;
        s->after.desired_version++;
        s->after.reported_version++;
        s->after.stamp_ms = 1772619630500;
        s->change.replace = true;
        s->change.tags = patch(&a, DOC_TAGS, &s->after.tags, "{\"t\":1}");
        s->change.desired = patch(&a, DOC_DESIRED, &s->after.desired, "{\"o\":{\"p\":[1]}}");
        s->change.reported = patch(&a, DOC_REPORTED, &s->after.reported, "{\"r\":1.5}");
        break;
    case CHANGE_SESSION:
        s->after.has_session = true;
        s->after.session = SPAN("\x01\x02");
        s->after.model_id = SPAN("dtmi");
        s->after.configurations = parse(&a, "{\"c\":1}");
        break;
    case CHANGE_ACTIVITY:
        s->after.last_activity_ms = 1772619630400;
        break;
    }
    s->old = kind == CHANGE_CREATE ? NULL : entity_record(&s->before);
    s->new = kind == CHANGE_DELETE ? NULL : entity_record(&s->after);
    s->change.before = s->old ? &s->before : NULL;
    s->change.after = s->new ? &s->after : NULL;
    change_encode(&s->change, &s->effect, &s->secret);
    CHECK(s->effect.data);
}

static void sample_fini(struct sample *s)
{
    record_unref(s->old);
    record_unref(s->new);
    buf_fini(&s->effect);
    buf_fini(&s->secret);
}

static void expect_hex(const char *name, struct span bytes, const char *want)
{
    struct buf hex = {0};
    text_put_hex(&hex, bytes);
    EXPECT(hex.data || hex.len == 0);
    EXPECT_SPAN_IN(name, buf_span(&hex), span_text(want));
    buf_fini(&hex);
}

/* The bytes of docs/format.md, "Change record". */
/* clang-format off */
#define HEAD(kind, flags, counters)                                                              \
    "01" kind flags "01" "01" "00" "0000" "03000000"       /* format … features, partition */    \
    "0900000000000000" "cb24d4e2033cdc08" "4d00000000000000" /* seq, generation, time */         \
    counters "64" "6d"                                     /* C, Dv, Rv; d, m */
#define COUNTERS(c, dv, rv) c "00000000000000" dv "00000000000000" rv "00000000000000"
static const struct {
    const char *name;
    enum change_kind kind;
    const char *effect, *secret;
} golden[] = {
    {"activity", CHANGE_ACTIVITY,
     HEAD("06", "00", COUNTERS("04", "03", "02"))
     "02000000" "0028d3ed7cc7ffff" "40075db89c010000", ""},
    {"session", CHANGE_SESSION,
     HEAD("05", "00", COUNTERS("04", "03", "02"))
     "20640000"
     "4000000000000000" "5000000000000000"                 /* flags */
     "00000000" "04000000" "64746d69"                      /* model id */
     "00000000" "1d000000"                                 /* configurations */
     "070000001d00000001000000" "0310000011000000" "63" "0100000000000000"
     "00000000" "02000000" "0102", ""},                    /* session */
    {"identity", CHANGE_IDENTITY,
     HEAD("03", "00", COUNTERS("04", "03", "02"))
     "f91b0400"
     "78065db89c010000" "dc065db89c010000"                 /* stamp */
     "0028d3ed7cc7ffff" "dc065db89c010000"                 /* status updated */
     "c76b9f0600000000" "8ed73e0d00000000"                 /* identity etag */
     "4000000000000000" "0400000000000000"                 /* flags */
     "00000000" "03000000" "776879"                        /* status reason */
     "00000000" "00000000"                                 /* managed by */
     "02000000" "00000000" "7363"                          /* scope */
     "00000000" "00000000" "00000000" "00000000" "00000000" "00000000",
     "12000000" "0800" "613256354d513d3d" "613256354d673d3d"
     "0800" "613256354d773d3d" "613256354d673d3d"},
};
/* clang-format on */

TEST(a_change_has_the_bytes_of_the_format)
{
    for (size_t i = 0; i < COUNT(golden); i++) {
        struct sample s;
        sample_init(&s, golden[i].kind);
        expect_hex(golden[i].name, buf_span(&s.effect), golden[i].effect);
        expect_hex(golden[i].name, buf_span(&s.secret), golden[i].secret);
        sample_fini(&s);
    }
}

TEST(a_creation_or_deletion_carries_the_whole_record)
{
    for (enum change_kind kind = CHANGE_CREATE; kind <= CHANGE_DELETE; kind++) {
        struct sample s;
        sample_init(&s, kind);
        struct record *whole = s.new ? s.new : s.old;
        EXPECT_SPAN(span_skip(buf_span(&s.effect), 62), record_body(whole));
        EXPECT_SPAN(buf_span(&s.secret), record_secret(whole));
        sample_fini(&s);
    }
}

TEST(the_head_tells_what_happened_to_whom)
{
    struct sample s;
    sample_init(&s, CHANGE_TWIN);
    struct change_head head;
    EXPECT_EQ(change_head(test_at_edge(span_first(buf_span(&s.effect), 62)), &head), OK);
    EXPECT_EQ(head.kind, CHANGE_TWIN);
    EXPECT(head.replace);
    EXPECT_EQ(head.partition, 3);
    EXPECT_EQ(head.seq, 9);
    EXPECT_EQ(head.generation, 638451234567890123);
    EXPECT_EQ(head.time_ms, 77);
    EXPECT_EQ(head.twin_etag, 5);
    EXPECT_EQ(head.desired_version, 4);
    EXPECT_EQ(head.reported_version, 3);
    EXPECT_SPAN(head.device, SPAN("d"));
    EXPECT_SPAN(head.module, SPAN("m"));
    for (size_t len = 0; len < 62; len++)
        EXPECT_EQ(change_head(test_at_edge(span_first(buf_span(&s.effect), len)), &head), DAMAGED);
    sample_fini(&s);
}

static const struct {
    const char *name;
    enum change_kind kind;
    unsigned at;
    uint8_t byte;
} damages[] = {
    {"another format",              CHANGE_TWIN,    0,        2   },
    {"kind 0",                      CHANGE_TWIN,    1,        0   },
    {"kind 7",                      CHANGE_TWIN,    1,        7   },
    {"an unknown flag",             CHANGE_TWIN,    2,        3   },
    {"no device",                   CHANGE_TWIN,    3,        0   },
    {"a long device id",            CHANGE_TWIN,    3,        129 },
    {"a long module id",            CHANGE_TWIN,    4,        129 },
    {"the zero is not",             CHANGE_TWIN,    5,        1   },
    {"an unknown feature",          CHANGE_TWIN,    6,        1   },
    {"another one",                 CHANGE_TWIN,    7,        128 },
    {"another generation",          CHANGE_TWIN,    20,       0   },
    {"another generation, deleted", CHANGE_DELETE,  20,       0   },
    {"C below 0",                   CHANGE_TWIN,    43,       0x80},
    {"Dv below 0",                  CHANGE_TWIN,    51,       0x80},
    {"Rv below 0",                  CHANGE_TWIN,    59,       0x80},
    {"C goes back",                 CHANGE_TWIN,    36,       3   },
    {"Dv goes back",                CHANGE_TWIN,    44,       2   },
    {"Rv goes back",                CHANGE_TWIN,    52,       1   },
    {"another device",              CHANGE_TWIN,    60,       'e' },
    {"another module",              CHANGE_TWIN,    61,       'n' },
    {"an unknown field",            CHANGE_TWIN,    64,       0x0f},
    {"a field less",                CHANGE_TWIN,    62,       0   },
    {"another stamp before",        CHANGE_TWIN,    66,       0   },
    {"a delta beyond the end",      CHANGE_TWIN,    84,       0xff},
    {"a delta that is none",        CHANGE_TWIN,    86,       0   },
    {"unknown flags after",         CHANGE_SESSION, 75,       0x08},
    {"flags of more than 16 bits",  CHANGE_SESSION, 76,       0x01},
    {"a session without its flag",  CHANGE_SESSION, 74,       0x40},
    {"another model id before",     CHANGE_SESSION, 82,       1   },
    {"a model id beyond the end",   CHANGE_SESSION, 89,       1   },
    {"a model id not UTF-8",        CHANGE_SESSION, 90,       0xff},
    {"configurations no document",  CHANGE_SESSION, 102,      0   },
    {"configurations no object",    CHANGE_SESSION, 102,      6   },
    {"C of the record",             CHANGE_CREATE,  36,       9   },
    {"Dv of the record",            CHANGE_CREATE,  44,       9   },
    {"Rv of the record",            CHANGE_CREATE,  52,       9   },
    {"seq of the record",           CHANGE_CREATE,  12,       10  },
    {"generation of the record",    CHANGE_CREATE,  20,       0   },
    {"module of the record",        CHANGE_CREATE,  61,       'n' },
    {"format of the record",        CHANGE_CREATE,  62,       2   },
    {"tags of the record",          CHANGE_CREATE,  62 + 148, 0xff},
};

TEST(what_does_not_fit_is_damage)
{
    for (size_t i = 0; i < COUNT(damages); i++) {
        struct sample s;
        sample_init(&s, damages[i].kind);
        EXPECT(s.effect.data[damages[i].at] != damages[i].byte);
        s.effect.data[damages[i].at] = damages[i].byte;
        struct record *out;
        EXPECT_EQ_IN(damages[i].name, apply(s.old, buf_span(&s.effect), buf_span(&s.secret), &out),
                     DAMAGED);
        sample_fini(&s);
    }
}

static void expect_secret(struct sample *s, struct span secret, enum status want)
{
    struct record *out = NULL;
    EXPECT_EQ(apply(s->old, buf_span(&s->effect), secret, &out), want);
    record_unref(out);
}

TEST(keys_are_in_the_secret_part_and_must_fit)
{
    struct sample s;
    sample_init(&s, CHANGE_IDENTITY);
    EXPECT(!memmem(s.effect.data, s.effect.len, "a2V5", 4));
    for (size_t len = 0; len < 32; len++)
        expect_secret(&s, span_first(buf_span(&s.secret), len),
                      len == 22 ? OK : DAMAGED); /* 22: no keys after */
    s.secret.data[6] = 'X';                      /* another primary key before */
    expect_secret(&s, buf_span(&s.secret), DAMAGED);
    s.secret.data[6] = 'a';
    s.secret.data[14] = 'X'; /* another secondary key before */
    expect_secret(&s, buf_span(&s.secret), DAMAGED);
    s.secret.data[14] = 'a';
    expect_secret(&s, buf_span(&s.secret), OK);
    sample_fini(&s);
    sample_init(&s, CHANGE_TWIN);
    expect_secret(&s, SPAN("x"), DAMAGED);
    expect_secret(&s, SPAN(""), OK);
    sample_fini(&s);
}

TEST(an_identity_change_without_keys_has_no_secret)
{
    struct sample s;
    sample_init(&s, CHANGE_IDENTITY);
    s.before.primary_key = s.before.secondary_key = (struct span){0};
    s.after.primary_key = s.after.secondary_key = (struct span){0};
    buf_clear(&s.secret);
    change_encode(&s.change, &s.effect, &s.secret);
    EXPECT_EQ(s.secret.len, 0);
    sample_fini(&s);
}

/* Every cut and every flipped bit: refused, or a record that holds together. */
TEST(a_damaged_change_never_makes_a_damaged_record)
{
    for (enum change_kind kind = CHANGE_CREATE; kind <= CHANGE_ACTIVITY; kind++) {
        struct sample s;
        sample_init(&s, kind);
        struct record *out = NULL;
        EXPECT_EQ(apply(s.old, buf_span(&s.effect), buf_span(&s.secret), &out), OK);
        expect_equal(out, s.new);
        record_unref(out);
        for (size_t len = 0; len < s.effect.len; len++) {
            struct span cut = test_at_edge(span_first(buf_span(&s.effect), len));
            bool deleted = kind == CHANGE_DELETE && len >= 62;
            EXPECT_EQ(apply(s.old, cut, buf_span(&s.secret), &out), deleted ? OK : DAMAGED);
        }
        for (size_t bit = 0; bit < 8 * s.effect.len; bit++) {
            s.effect.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            out = NULL;
            struct entity e;
            if (apply(s.old, buf_span(&s.effect), buf_span(&s.secret), &out) == OK && out) {
                EXPECT_EQ(entity_view(out, &e), OK);
                EXPECT_EQ(entity_check(&e), OK);
            }
            record_unref(out);
            s.effect.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        sample_fini(&s);
    }
}

/* ---- generations, and changes that are too early or too late ---- */

TEST(without_a_record_only_a_creation_changes_something)
{
    for (enum change_kind kind = CHANGE_CREATE; kind <= CHANGE_ACTIVITY; kind++) {
        struct sample s;
        sample_init(&s, kind);
        struct record *out = NULL;
        EXPECT_EQ(apply(NULL, buf_span(&s.effect), buf_span(&s.secret), &out), OK);
        expect_equal(out, kind == CHANGE_CREATE ? s.new : NULL);
        record_unref(out);
        sample_fini(&s);
    }
}

TEST(a_change_that_the_record_holds_changes_nothing)
{
    for (enum change_kind kind = CHANGE_CREATE; kind <= CHANGE_ACTIVITY; kind++) {
        struct sample s;
        sample_init(&s, kind);
        struct entity later = s.before;
        for (later.seq = 9; later.seq < 11; later.seq++) {
            later.generation = later.seq; /* of whatever generation */
            struct record *r = entity_record(&later), *out;
            EXPECT_EQ(apply(r, buf_span(&s.effect), buf_span(&s.secret), &out), OK);
            EXPECT(out == r);
            record_unref(out);
            record_unref(r);
        }
        sample_fini(&s);
    }
}

TEST(a_creation_replaces_an_earlier_generation)
{
    struct sample s;
    sample_init(&s, CHANGE_CREATE);
    struct record *old = entity_record(&s.before), *out = NULL;
    EXPECT_EQ(apply(old, buf_span(&s.effect), buf_span(&s.secret), &out), DAMAGED);
    record_unref(old);
    s.before.generation--;
    old = entity_record(&s.before);
    EXPECT_EQ(apply(old, buf_span(&s.effect), buf_span(&s.secret), &out), OK);
    expect_equal(out, s.new);
    record_unref(out);
    record_unref(old);
    sample_fini(&s);
}

TEST(a_full_arena_is_said_and_a_damaged_record_too)
{
    struct sample s;
    sample_init(&s, CHANGE_TWIN);
    struct arena a;
    uint8_t block[16];
    arena_init(&a, block, sizeof(block));
    struct record *out = NULL;
    EXPECT_EQ(change_apply(s.old, buf_span(&s.effect), buf_span(&s.secret), &a, &out), TOO_LARGE);
    EXPECT_EQ(a.used, 0);
    s.old->bytes[0] = 9;
    EXPECT_EQ(apply(s.old, buf_span(&s.effect), buf_span(&s.secret), &out), DAMAGED);
    sample_fini(&s);
}

TEST_MAIN(RUN(a_change_has_the_bytes_of_the_format),
          RUN(a_creation_or_deletion_carries_the_whole_record),
          RUN(the_head_tells_what_happened_to_whom), RUN(what_does_not_fit_is_damage),
          RUN(keys_are_in_the_secret_part_and_must_fit),
          RUN(an_identity_change_without_keys_has_no_secret),
          RUN(a_damaged_change_never_makes_a_damaged_record),
          RUN(without_a_record_only_a_creation_changes_something),
          RUN(a_change_that_the_record_holds_changes_nothing),
          RUN(a_creation_replaces_an_earlier_generation),
          RUN(a_full_arena_is_said_and_a_damaged_record_too))
