#include "hub/entity.h"

#include "base/test.h"
#include "base/text.h"
#include "doc/doc.h"

#include <stdlib.h>

static uint8_t block[1 << 14];

static struct span parse(struct arena *a, const char *json)
{
    struct span doc = {0};
    const struct doc_syntax syntax = {.nesting_max = 64, .number_max = 128};
    EXPECT_EQ(doc_parse(span_text(json), &syntax, a, &doc), OK);
    return doc;
}

/* Every field has a value of its own. */
static struct entity full(struct arena *a)
{
    return (struct entity){
        .device = SPAN("d"),
        .module = SPAN("mo"),
        .seq = 0x0102030405060708,
        .generation = 0x1112131415161718,
        .identity_etag = 314159265,
        .twin_etag = 3,
        .desired_version = 2,
        .reported_version = 4,
        .created_ms = 1772619630123,
        .stamp_ms = 1772619630124,
        .status_updated_ms = TIME_NEVER,
        .last_activity_ms = 1772619630125,
        .connection_updated_ms = 1772619630126,
        .auth = AUTH_CA,
        .disabled = true,
        .edge = true,
        .has_session = true,
        .has_managed_by = true,
        .status_reason = SPAN("why"),
        .managed_by = SPAN("me"),
        .scope = SPAN("sc"),
        .parent_scope = SPAN("up"),
        .model_id = SPAN("dtmi"),
        .primary_thumbprint = SPAN("AA"),
        .secondary_thumbprint = SPAN("BB"),
        .tags = parse(a, "{}"),
        .desired = doc_empty(DOC_DESIRED, 0, a),
        .reported = doc_empty(DOC_REPORTED, 0, a),
        .configurations = parse(a, "{\"c\":1}"),
        .session = SPAN("\x01\x00\x02"),
        .primary_key = SPAN("a2V5MQ=="),
        .secondary_key = SPAN("a2V5Mg=="),
    };
}

static struct entity least(struct arena *a)
{
    return (struct entity){.device = SPAN("d"),
                           .tags = doc_empty(DOC_TAGS, 0, a),
                           .desired = doc_empty(DOC_DESIRED, 0, a),
                           .reported = doc_empty(DOC_REPORTED, 0, a)};
}

/* The bytes of docs/format.md, "Entity record". */
/* clang-format off */
static const char full_hex[] =
    "01" "01" "02" "00" "fe03" "0000"                              /* format, lengths, flags */
    "0807060504030201" "1817161514131211" "a1b0b91200000000"       /* seq, generation, etag */
    "0300000000000000" "0200000000000000" "0400000000000000"       /* C, Dv, Rv */
    "2b065db89c010000" "2c065db89c010000" "0028d3ed7cc7ffff"       /* created, stamp, status */
    "2d065db89c010000" "2e065db89c010000"                          /* activity, connection */
    "03000000" "02000000" "02000000" "02000000" "04000000" "02000000"     /* lengths */
    "02000000" "0c000000" "18000000" "12000000" "1d000000" "03000000"
    "64" "6d6f"                                                    /* d, mo */
    "776879" "6d65" "7363" "7570" "64746d69" "4141" "4242"         /* the short texts */
    "070000000c00000000000000"                                     /* tags */
    "3700000018000000" "000000000000" "000000000000" "00000000"    /* desired */
    "1700000012000000" "000000000000" "00000000"                   /* reported */
    "070000001d00000001000000" "0310000011000000" "63" "0100000000000000" /* configurations */
    "010002";                                                      /* session */
/* clang-format on */

static void expect_hex(struct span bytes, const char *want)
{
    struct buf hex = {0};
    text_put_hex(&hex, bytes);
    EXPECT_SPAN(buf_span(&hex), span_text(want));
    buf_fini(&hex);
}

TEST(a_record_has_the_bytes_of_the_format)
{
    struct arena a;
    arena_init(&a, block, sizeof(block));
    struct entity e = full(&a);
    struct record *r = entity_record(&e);
    expect_hex(record_body(r), full_hex);
    expect_hex(record_secret(r), "0800"
                                 "613256354d513d3d"
                                 "613256354d673d3d");
    record_unref(r);
}

static void expect_same_text(const char *name, struct span got, struct span want)
{
    EXPECT_SPAN_IN(name, got, want);
    EXPECT_EQ_IN(name, got.data != NULL, want.data != NULL);
}

#define FIELD(name)                          \
    {                                        \
#name, offsetof(struct entity, name) \
    }
static const struct field {
    const char *name;
    size_t at;
} numbers[] = {FIELD(seq),
               FIELD(generation),
               FIELD(identity_etag),
               FIELD(twin_etag),
               FIELD(desired_version),
               FIELD(reported_version),
               FIELD(created_ms),
               FIELD(stamp_ms),
               FIELD(status_updated_ms),
               FIELD(last_activity_ms),
               FIELD(connection_updated_ms)},
  flags[] = {FIELD(disabled), FIELD(edge), FIELD(has_session), FIELD(has_managed_by)},
  texts[] = {FIELD(status_reason),
             FIELD(managed_by),
             FIELD(scope),
             FIELD(parent_scope),
             FIELD(model_id),
             FIELD(primary_thumbprint),
             FIELD(secondary_thumbprint),
             FIELD(tags),
             FIELD(desired),
             FIELD(reported),
             FIELD(configurations),
             FIELD(session),
             FIELD(primary_key),
             FIELD(secondary_key)};

static const void *at(const struct entity *e, const struct field *f)
{
    return (const char *)e + f->at;
}

static void expect_same(const struct entity *got, const struct entity *want)
{
    for (size_t i = 0; i < COUNT(numbers); i++)
        EXPECT_EQ_IN(numbers[i].name, *(const int64_t *)at(got, &numbers[i]),
                     *(const int64_t *)at(want, &numbers[i]));
    for (size_t i = 0; i < COUNT(flags); i++)
        EXPECT_EQ_IN(flags[i].name, *(const bool *)at(got, &flags[i]),
                     *(const bool *)at(want, &flags[i]));
    for (size_t i = 0; i < COUNT(texts); i++)
        expect_same_text(texts[i].name, *(const struct span *)at(got, &texts[i]),
                         *(const struct span *)at(want, &texts[i]));
    EXPECT_EQ(got->auth, want->auth);
    EXPECT_SPAN(got->device, want->device);
    EXPECT_SPAN(got->module, want->module);
}

TEST(a_record_reads_as_it_was_written)
{
    struct arena a;
    arena_init(&a, block, sizeof(block));
    struct entity cases[6];
    cases[0] = full(&a);
    cases[1] = least(&a);
    cases[2] = least(&a); /* there, and empty */
    cases[2].scope = cases[2].parent_scope = SPAN("");
    cases[2].primary_thumbprint = cases[2].secondary_thumbprint = SPAN("");
    cases[2].has_session = cases[2].has_managed_by = true;
    cases[2].session = cases[2].managed_by = SPAN("");
    cases[3] = least(&a);
    cases[3].primary_key = SPAN("a2V5MQ==");
    cases[4] = least(&a);
    cases[4].secondary_key = SPAN("a2V5Mg==");
    cases[5] = least(&a);
    cases[5].auth = AUTH_NONE;
    cases[5].secondary_thumbprint = SPAN("BB");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct record *r = entity_record(&cases[i]);
        struct entity e;
        EXPECT_EQ(entity_view(r, &e), OK);
        expect_same(&e, &cases[i]);
        EXPECT_EQ(entity_check(&e), OK);
        record_unref(r);
    }
}

static struct record *record_of(struct span body, struct span secret)
{
    struct record *r = record_create(body.len, secret.len);
    memcpy(r->bytes, body.data, body.len);
    memcpy(r->bytes + body.len, secret.data, secret.len);
    return r;
}

/* Either refused, or whole: what was read makes the same bytes. */
static bool reads_whole(const struct record *r)
{
    struct entity e;
    if (entity_view(r, &e) != OK)
        return false;
    struct record *again = entity_record(&e);
    EXPECT_SPAN(record_body(again), record_body(r));
    EXPECT_SPAN(record_secret(again), record_secret(r));
    record_unref(again);
    return true;
}

/* The record ends where its memory does: reading on would be seen. */
static void expect_cut(struct span body, struct span secret, bool whole)
{
    struct record *r = record_of(body, secret);
    EXPECT_EQ(reads_whole(r), whole);
    record_unref(r);
}

TEST(a_record_that_was_cut_is_damaged)
{
    struct arena a;
    arena_init(&a, block, sizeof(block));
    struct entity e = full(&a);
    struct record *r = entity_record(&e);
    struct span body = record_body(r), secret = record_secret(r);
    for (size_t len = 0; len < body.len; len++) {
        expect_cut(span_first(body, len), secret, false);
        expect_cut(span_first(body, len), SPAN(""), false);
    }
    for (size_t len = 1; len < 10; len++)
        expect_cut(body, span_first(secret, len), false);
    for (size_t len = 10; len <= secret.len; len++) /* the second key is what is left */
        expect_cut(body, span_first(secret, len), true);
    struct buf longer = {0};
    buf_put(&longer, body);
    buf_byte(&longer, 0);
    expect_cut(buf_span(&longer), secret, false);
    buf_fini(&longer);
    record_unref(r);
}

static const struct {
    const char *name;
    size_t at;
    uint8_t byte;
} damages[] = {
    {"another format",           0,   2   },
    {"no device",                1,   0   },
    {"a long device id",         1,   129 },
    {"a long module id",         2,   129 },
    {"the zero is not",          3,   1   },
    {"an unknown flag",          5,   7   },
    {"scope without its flag",   4,   0xbe},
    {"session without its flag", 4,   0xee},
    {"an unknown feature",       6,   1   },
    {"another unknown feature",  7,   0x80},
    {"C below 0",                39,  0x80},
    {"Dv far too high",          47,  0x20},
    {"Rv below 0",               55,  0xff},
    {"a length beyond the end",  140, 4   },
    {"a huge length",            143, 0xff},
};

TEST(damage_is_seen)
{
    struct arena a;
    arena_init(&a, block, sizeof(block));
    struct entity e = full(&a);
    for (size_t i = 0; i < COUNT(damages); i++) {
        struct record *r = entity_record(&e);
        r->bytes[damages[i].at] = damages[i].byte;
        EXPECT_EQ_IN(damages[i].name, entity_view(r, &e), DAMAGED);
        record_unref(r);
    }
}

TEST(whatever_is_read_makes_the_same_bytes)
{
    struct arena a;
    arena_init(&a, block, sizeof(block));
    struct entity e = full(&a);
    uint64_t seed = 1;
    size_t whole = 0;
    for (int i = 0; i < 100000; i++) {
        struct record *r = entity_record(&e);
        for (uint64_t n = 1 + test_random(&seed) % 2; n; n--)
            r->bytes[test_random(&seed) % (r->body_len + r->secret_len)] ^=
                (uint8_t)(1 << test_random(&seed) % 8);
        whole += reads_whole(r);
        record_unref(r);
    }
    EXPECT(whole > 10000);
}

/* ---- entity_check ---- */

typedef void spoil_fn(struct entity *e, struct arena *a);

static void spoil_nothing(struct entity *e, struct arena *a)
{
    (void)a;
    e->configurations = (struct span){0};
}

static void spoil_device(struct entity *e, struct arena *a)
{
    (void)a;
    e->device = SPAN("d\xff");
}

static void spoil_module(struct entity *e, struct arena *a)
{
    (void)a;
    e->module = SPAN("m\0");
}

static void spoil_text(struct entity *e, struct arena *a)
{
    (void)a;
    e->model_id = SPAN("\xc0\x80");
}

static void spoil_tags(struct entity *e, struct arena *a)
{
    e->tags = parse(a, "[1]");
}

static void spoil_desired(struct entity *e, struct arena *a)
{
    (void)a;
    e->desired.len--;
}

static void spoil_reported(struct entity *e, struct arena *a)
{
    (void)a;
    e->reported = (struct span){0};
}

static void spoil_configurations(struct entity *e, struct arena *a)
{
    e->configurations = parse(a, "7");
}

static const struct {
    const char *name;
    spoil_fn *spoil;
    enum status want;
} checks[] = {
    {"sound, without configurations", spoil_nothing,        OK     },
    {"the device id is not UTF-8",    spoil_device,         DAMAGED},
    {"the module id holds NUL",       spoil_module,         DAMAGED},
    {"a text is not UTF-8",           spoil_text,           DAMAGED},
    {"tags are no object",            spoil_tags,           DAMAGED},
    {"desired is cut",                spoil_desired,        DAMAGED},
    {"reported is missing",           spoil_reported,       DAMAGED},
    {"configurations are no object",  spoil_configurations, DAMAGED},
};

TEST(what_a_view_passes_over_is_checked_once)
{
    for (size_t i = 0; i < COUNT(checks); i++) {
        struct arena a;
        arena_init(&a, block, sizeof(block));
        struct entity e = full(&a);
        checks[i].spoil(&e, &a);
        struct record *r = entity_record(&e);
        struct entity view;
        EXPECT_EQ_IN(checks[i].name, entity_view(r, &view), OK);
        EXPECT_EQ_IN(checks[i].name, entity_check(&view), checks[i].want);
        record_unref(r);
    }
}

TEST(keys_are_written_as_nothing_when_there_are_none)
{
    struct entity e = {0};
    struct buf b = {0};
    entity_put_keys(&b, &e);
    EXPECT_EQ(b.len, 0);
    e.secondary_key = SPAN("x");
    entity_put_keys(&b, &e);
    expect_hex(buf_span(&b), "0000"
                             "78");
    buf_fini(&b);
    EXPECT(entity_set_keys(&e, SPAN("")));
    EXPECT(!e.secondary_key.data);
    EXPECT(!entity_set_keys(&e, SPAN("\x01")));
    EXPECT(!entity_set_keys(&e, SPAN("\0\0")));
    EXPECT(!entity_set_keys(&e, SPAN("\2\0x")));
    EXPECT(entity_set_keys(&e, SPAN("\1\0x")));
    EXPECT_SPAN(e.primary_key, SPAN("x"));
    EXPECT(!e.secondary_key.data);
}

TEST_MAIN(RUN(a_record_has_the_bytes_of_the_format), RUN(a_record_reads_as_it_was_written),
          RUN(a_record_that_was_cut_is_damaged), RUN(damage_is_seen),
          RUN(whatever_is_read_makes_the_same_bytes), RUN(what_a_view_passes_over_is_checked_once),
          RUN(keys_are_written_as_nothing_when_there_are_none))
