#include "doc/doc_testing.h"

#include "doc/doc_node.h"

/* ---- worked example of twins 2.6 ---------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *patch, *push, *event;
} steps[] = {
    {"{\"rate\":30,\"net\":{\"apn\":\"iot\"}}",
     "{\"rate\":30,\"net\":{\"apn\":\"iot\"},\"$version\":2}",
     "{\"rate\":30,\"net\":{\"apn\":\"iot\"},\"$metadata\":{\"$lastUpdated\":\"2026-03-04T10:20:32Z\","
     "\"$lastUpdatedVersion\":2,\"rate\":{\"$lastUpdated\":\"2026-03-04T10:20:32Z\","
     "\"$lastUpdatedVersion\":2},\"net\":{\"$lastUpdated\":\"2026-03-04T10:20:32Z\","
     "\"$lastUpdatedVersion\":2,\"apn\":{\"$lastUpdated\":\"2026-03-04T10:20:32Z\","
     "\"$lastUpdatedVersion\":2}}},\"$version\":2}"},
    {"{\"net\":{\"apn\":null}}", "{\"net\":{\"apn\":null},\"$version\":3}",
     "{\"net\":{\"apn\":null},\"$metadata\":{\"$lastUpdated\":\"2026-03-04T10:20:33Z\","
     "\"$lastUpdatedVersion\":3,\"net\":{\"$lastUpdated\":\"2026-03-04T10:20:33Z\","
     "\"$lastUpdatedVersion\":3}},\"$version\":3}"},
    {"{\"rate\":null}", "{\"rate\":null,\"$version\":4}",
     "{\"rate\":null,\"$metadata\":{\"$lastUpdated\":\"2026-03-04T10:20:34Z\","
     "\"$lastUpdatedVersion\":4},\"$version\":4}"},
};
/* clang-format on */

TEST(deltas_replay_and_tell)
{
    testing_reset();
    struct span live = doc_empty(DOC_DESIRED, second(1), &arena), replayed = live;
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct doc_write w = write_of(DOC_DESIRED, (int64_t)i + 2);
        struct doc_result r;
        struct doc_fault fault;
        EXPECT_EQ(doc_patch(live, doc_root(parsed(steps[i].patch)), &w, &arena, &r, &fault), OK);
        EXPECT_SPAN(delta_text(r.delta, w.version), span_text(steps[i].push));
        EXPECT_SPAN(event_text(r.delta, w.version), span_text(steps[i].event));
        EXPECT_EQ(doc_apply(test_at_edge(replayed), test_at_edge(r.delta), &arena, &replayed), OK);
        EXPECT_SPAN(replayed, r.section);
        live = r.section;
    }
}

TEST(a_delta_of_tags_has_no_metadata_and_an_empty_one_no_members)
{
    testing_reset();
    struct doc_write w = write_of(DOC_TAGS, 2);
    struct doc_result r;
    struct doc_fault fault;
    struct span old = section_of(DOC_TAGS, "{\"b\":1}");
    struct span patch = parsed("{\"site\":\"north\",\"b\":null}");
    EXPECT_EQ(doc_patch(old, doc_root(patch), &w, &arena, &r, &fault), OK);
    EXPECT_SPAN(event_text(r.delta, -1), SPAN("{\"site\":\"north\",\"b\":null}"));
    EXPECT_SPAN(event_text((struct span){0}, -1), SPAN("{}"));
    EXPECT_SPAN(event_text((struct span){0}, 4), SPAN("{\"$version\":4}"));
    EXPECT_SPAN(delta_text((struct span){0}, -1), SPAN("{}"));
    EXPECT_SPAN(delta_text((struct span){0}, 4), SPAN("{\"$version\":4}"));
}

/* ---- old values --------------------------------------------------------------------------- */

TEST(a_delta_holds_old_and_new_nodes_with_their_stamps)
{
    testing_reset();
    struct span old = section_of(DOC_DESIRED, "{\"a\":1,\"b\":{\"c\":2},\"d\":3}");
    struct doc_write w = write_of(DOC_DESIRED, 3);
    struct doc_result r;
    struct doc_fault fault;
    struct span patch = parsed("{\"a\":10,\"b\":{\"c\":null},\"e\":5}");
    EXPECT_EQ(doc_patch(old, doc_root(patch), &w, &arena, &r, &fault), OK);
    struct doc_node root = doc_root(r.delta);
    EXPECT_EQ(node_type(root), NODE_INSIDE);
    EXPECT_EQ(node_stamp(root), second(3));
    EXPECT_EQ(node_version(root), 3);
    struct doc_node a = node_children(root), b = node_after(a), e = node_after(b);
    EXPECT_EQ(node_after(e).at == node_end(root), true);

    struct doc_node new = {node_payload(a).data}, before = node_after(new);
    EXPECT_EQ(node_type(a), NODE_SET);
    EXPECT_SPAN(node_key(new), SPAN("a"));
    EXPECT_EQ(doc_int(new), 10);
    EXPECT_EQ(node_version(new), 3);
    EXPECT_EQ(doc_int(before), 1);
    EXPECT_EQ(node_stamp(before), second(2));
    EXPECT_EQ(node_version(before), 2);

    EXPECT_EQ(node_type(b), NODE_INSIDE);
    EXPECT_SPAN(node_key(b), SPAN("b"));
    struct doc_node c = node_children(b), gone = {node_payload(c).data};
    EXPECT_EQ(node_type(c), NODE_DELETE);
    EXPECT_EQ(doc_int(gone), 2);
    EXPECT_EQ(node_version(gone), 2);

    EXPECT_EQ(node_type(e), NODE_SET); /* new: no old node */
    EXPECT_EQ(node_after((struct doc_node){node_payload(e).data}).at == node_end(e), true);
}

/* ---- what does not fit or is not well formed ---------------------------------------------- */

static struct span delta_of(struct span old, const char *json, bool replace)
{
    struct doc_write w = write_of(DOC_DESIRED, 3);
    struct doc_result r;
    struct doc_fault fault;
    struct doc_node value = doc_root(parsed(json));
    enum status st = replace ? doc_replace(old, value, &w, &arena, &r, &fault)
                             : doc_patch(old, value, &w, &arena, &r, &fault);
    EXPECT_EQ(st, OK);
    return r.delta;
}

TEST(a_delta_of_another_section_is_damaged)
{
    testing_reset();
    struct span old = section_of(DOC_DESIRED, "{\"a\":{\"b\":1}}"), out;
    struct span delta = delta_of(old, "{\"a\":{\"b\":2}}", false);
    EXPECT_EQ(doc_apply(section_of(DOC_REPORTED, "{\"a\":{\"b\":1}}"), delta, &arena, &out),
              DAMAGED);
    EXPECT_EQ(doc_apply(section_of(DOC_TAGS, "{\"a\":{\"b\":1}}"), delta, &arena, &out), DAMAGED);
    EXPECT_EQ(doc_apply(section_of(DOC_DESIRED, "{\"a\":1}"), delta, &arena, &out), DAMAGED);
    EXPECT_EQ(doc_apply(section_of(DOC_DESIRED, "{\"b\":1}"), delta, &arena, &out), DAMAGED);
    EXPECT_EQ(doc_apply(parsed("[1]"), delta, &arena, &out), DAMAGED);
    EXPECT_EQ(doc_apply(old, old, &arena, &out), DAMAGED);
    EXPECT_EQ(doc_apply(old, (struct span){0}, &arena, &out), DAMAGED);
    EXPECT_EQ(doc_apply(old, delta, &arena, &out), OK);
}

/* Every bit of a delta flipped, and every length: refused, or something valid comes out. */
TEST(damaged_deltas_and_documents_are_refused_or_harmless)
{
    testing_reset();
    struct span old =
        section_of(DOC_DESIRED, "{\"a\":{\"b\":1,\"n\":1.5},\"c\":[1,{\"d\":\"\xc3\xa9\"}]}");
    for (int replace = 0; replace < 2; replace++) {
        struct span delta =
            delta_of(old, "{\"a\":{\"b\":2,\"x\":{\"y\":true}},\"e\":[1.5,\"s\"]}", replace);
        size_t mark = arena.used;
        uint8_t bytes[1024];
        EXPECT(delta.len <= sizeof(bytes));
        for (size_t bit = 0; bit < delta.len * 8; bit++) {
            struct span out;
            memcpy(bytes, delta.data, delta.len);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            enum status st = doc_apply(old, span_of(bytes, delta.len), &arena, &out);
            EXPECT(st == OK || st == DAMAGED);
            if (st == OK) {
                EXPECT(doc_is_valid(out));
                delta_text(span_of(bytes, delta.len), 1);
                event_text(span_of(bytes, delta.len), 1);
            }
            arena_release(&arena, mark);
        }
        for (size_t len = 0; len < delta.len; len++)
            EXPECT(!doc_delta_is_valid(test_at_edge(span_first(delta, len))));
    }
    size_t mark = arena.used;
    uint8_t bytes[1024];
    for (size_t bit = 0; bit < old.len * 8; bit++) {
        memcpy(bytes, old.data, old.len);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct span damaged = span_of(bytes, old.len);
        if (doc_is_valid(damaged))
            service_text(damaged, 1);
        arena_release(&arena, mark);
    }
    for (size_t len = 0; len < old.len; len++)
        EXPECT(!doc_is_valid(test_at_edge(span_first(old, len))));
}

/* ---- doc_is_valid, byte by byte ----------------------------------------------------------- */

#define NODE(word, size) word "\0\0\0" size "\0\0\0"
#define STAMP6           "\0\0\0\0\0\0"

/* clang-format off */
static const struct {
    const char *name;
    struct span doc;
    bool valid;
} bytes[] = {
    {"nothing",                      SPAN_INIT(""),                                          false},
    {"seven bytes",                  SPAN_INIT("\0\0\0\0\x08\0\0"),                          false},
    {"null",                         SPAN_INIT(NODE("\0", "\x08")),                          true },
    {"null with payload",            SPAN_INIT(NODE("\0", "\x09") "x"),                      false},
    {"true",                         SPAN_INIT(NODE("\x02", "\x08")),                        true },
    {"true with payload",            SPAN_INIT(NODE("\x02", "\x09") "x"),                    false},
    {"a byte behind",                SPAN_INIT(NODE("\x02", "\x08") "x"),                    false},
    {"a size too small",             SPAN_INIT(NODE("\x02", "\x07")),                        false},
    {"a size too large",             SPAN_INIT(NODE("\x02", "\x0a") "x"),                    false},
    {"integer",                      SPAN_INIT(NODE("\x03", "\x10") "\0\0\0\0\0\0\0\0"),     true },
    {"short integer",                SPAN_INIT(NODE("\x03", "\x0f") "\0\0\0\0\0\0\0"),       false},
    {"number",                       SPAN_INIT(NODE("\x04", "\x0b") "1.0"),                  true },
    {"number that is an integer",    SPAN_INIT(NODE("\x04", "\x09") "1"),                    false},
    {"number with a tail",           SPAN_INIT(NODE("\x04", "\x0c") "1.0x"),                 false},
    {"number that is none",          SPAN_INIT(NODE("\x04", "\x08")),                        false},
    {"number beyond a double",       SPAN_INIT(NODE("\x04", "\x0d") "1e309"),                false},
    {"string",                       SPAN_INIT(NODE("\x05", "\x09") "x"),                    true },
    {"string that is no UTF-8",      SPAN_INIT(NODE("\x05", "\x09") "\xff"),                 false},
    {"array",                        SPAN_INIT(NODE("\x06", "\x14") "\1\0\0\0" NODE("\0", "\x08")), true},
    {"array without a count",        SPAN_INIT(NODE("\x06", "\x0b") "\0\0\0"),               false},
    {"array with a count too large", SPAN_INIT(NODE("\x06", "\x14") "\2\0\0\0" NODE("\0", "\x08")), false},
    {"array with a count too small", SPAN_INIT(NODE("\x06", "\x14") "\0\0\0\0" NODE("\0", "\x08")), false},
    {"element larger than its array", SPAN_INIT(NODE("\x06", "\x14") "\1\0\0\0" NODE("\0", "\x09")), false},
    {"element with a key",           SPAN_INIT(NODE("\x06", "\x15") "\1\0\0\0" "\0\x10\0\0\x09\0\0\0k"), false},
    {"object",                       SPAN_INIT(NODE("\x07", "\x15") "\1\0\0\0" "\0\x10\0\0\x09\0\0\0k"), true},
    {"key that is no UTF-8",         SPAN_INIT(NODE("\x07", "\x15") "\1\0\0\0" "\0\x10\0\0\x09\0\0\0\x80"), false},
    {"key longer than its node",     SPAN_INIT(NODE("\x07", "\x15") "\1\0\0\0" "\0\x20\0\0\x09\0\0\0k"), false},
    {"root with a key",              SPAN_INIT("\0\x10\0\0\x09\0\0\0k"),                     false},
    {"unknown type",                 SPAN_INIT(NODE("\x08", "\x0c") "\0\0\0\0"),             false},
    {"unknown flag",                 SPAN_INIT(NODE("\x87", "\x0c") "\0\0\0\0"),             false},
    {"stamped",                      SPAN_INIT(NODE("\x17", "\x12") STAMP6 "\0\0\0\0"),      true },
    {"stamped, too short",           SPAN_INIT(NODE("\x17", "\x0c") "\0\0\0\0"),             false},
    {"version without a stamp",      SPAN_INIT(NODE("\x27", "\x12") STAMP6 "\0\0\0\0"),      false},
    {"stamp and version",            SPAN_INIT(NODE("\x37", "\x18") STAMP6 STAMP6 "\0\0\0\0"), true},
    {"origin of an object",          SPAN_INIT(NODE("\x57", "\x14") STAMP6 "\0\0\0\0\0\0"),  false},
    {"origin of a leaf",             SPAN_INIT(NODE("\x55", "\x10") STAMP6 "\0\0"),          true },
    {"origin with texts",            SPAN_INIT(NODE("\x55", "\x14") STAMP6 "\2by\1d" ""),    false},
    {"origin with texts, right",     SPAN_INIT(NODE("\x55", "\x13") STAMP6 "\2by\1d"),       true },
    {"origin cut in its first text", SPAN_INIT(NODE("\x55", "\x10") STAMP6 "\2b"),           false},
    {"origin cut before its second", SPAN_INIT(NODE("\x55", "\x10") STAMP6 "\1b"),           false},
    {"origin that is no UTF-8",      SPAN_INIT(NODE("\x55", "\x11") STAMP6 "\1\xff\0"),      false},
    {"origin without a stamp",       SPAN_INIT(NODE("\x45", "\x0a") "\0\0"),                 false},
    {"stamped null",                 SPAN_INIT(NODE("\x10", "\x0e") STAMP6),                 false},
    {"member without its stamp",     SPAN_INIT(NODE("\x17", "\x1a") STAMP6 "\1\0\0\0" NODE("\2", "\x08")), false},
    {"member with its stamp",        SPAN_INIT(NODE("\x17", "\x20") STAMP6 "\1\0\0\0" NODE("\x12", "\x0e") STAMP6), true},
    {"stamp inside an array",        SPAN_INIT(NODE("\x16", "\x20") STAMP6 "\1\0\0\0" NODE("\x12", "\x0e") STAMP6), false},
    {"none inside an array",         SPAN_INIT(NODE("\x16", "\x1a") STAMP6 "\1\0\0\0" NODE("\2", "\x08")), true},
    {"null inside a section's array", SPAN_INIT(NODE("\x16", "\x1a") STAMP6 "\1\0\0\0" NODE("\0", "\x08")), false},
};
/* clang-format on */

TEST(documents_are_valid_or_not_byte_by_byte)
{
    for (size_t i = 0; i < COUNT(bytes); i++)
        EXPECT_EQ_IN(bytes[i].name, doc_is_valid(test_at_edge(bytes[i].doc)), bytes[i].valid);
}

#define TRUE_K(k) "\2\x10\0\0\x09\0\0\0" k

/* clang-format off */
static const struct {
    const char *name;
    struct span delta;
    bool valid;
} delta_bytes[] = {
    {"no entries",             SPAN_INIT(NODE("\x08", "\x0c") "\0\0\0\0"),                         true },
    {"rebuild",                SPAN_INIT(NODE("\x88", "\x0c") "\0\0\0\0"),                         true },
    {"an object",              SPAN_INIT(NODE("\x07", "\x0c") "\0\0\0\0"),                         false},
    {"a byte behind",          SPAN_INIT(NODE("\x08", "\x0c") "\0\0\0\0x"),                        false},
    {"no count",               SPAN_INIT(NODE("\x08", "\x0b") "\0\0\0"),                           false},
    {"version, no stamp",      SPAN_INIT(NODE("\x28", "\x12") STAMP6 "\0\0\0\0"),                  false},
    {"origin",                 SPAN_INIT(NODE("\x58", "\x14") STAMP6 "\0\0\0\0\0\0"),              false},
    {"a key at the root",      SPAN_INIT("\x08\x10\0\0\x0d\0\0\0k\0\0\0\0"),                       false},
    {"set",                    SPAN_INIT(NODE("\x08", "\x1d") "\1\0\0\0" NODE("\x09", "\x11") TRUE_K("a")), true},
    {"set over old",           SPAN_INIT(NODE("\x08", "\x26") "\1\0\0\0" NODE("\x09", "\x1a") TRUE_K("a") TRUE_K("a")), true},
    {"set over another",       SPAN_INIT(NODE("\x08", "\x26") "\1\0\0\0" NODE("\x09", "\x1a") TRUE_K("a") TRUE_K("b")), false},
    {"set over half a node",   SPAN_INIT(NODE("\x08", "\x25") "\1\0\0\0" NODE("\x09", "\x19") TRUE_K("a") TRUE_K("")), false},
    {"set over two",           SPAN_INIT(NODE("\x08", "\x2f") "\1\0\0\0" NODE("\x09", "\x23") TRUE_K("a") TRUE_K("a") TRUE_K("a")), false},
    {"set of nothing",         SPAN_INIT(NODE("\x08", "\x14") "\1\0\0\0" NODE("\x09", "\x08")),    false},
    {"set with a key",         SPAN_INIT(NODE("\x08", "\x1d") "\1\0\0\0" "\x09\x10\0\0\x11\0\0\0" TRUE_K("a")), false},
    {"set with a flag",        SPAN_INIT(NODE("\x08", "\x1d") "\1\0\0\0" NODE("\x89", "\x11") TRUE_K("a")), false},
    {"set of null",            SPAN_INIT(NODE("\x08", "\x1d") "\1\0\0\0" NODE("\x09", "\x11") "\0\x10\0\0\x09\0\0\0a"), false},
    {"delete",                 SPAN_INIT(NODE("\x08", "\x1d") "\1\0\0\0" NODE("\x0a", "\x11") TRUE_K("a")), true},
    {"delete of two",          SPAN_INIT(NODE("\x08", "\x26") "\1\0\0\0" NODE("\x0a", "\x1a") TRUE_K("a") TRUE_K("a")), false},
    {"inside",                 SPAN_INIT(NODE("\x08", "\x19") "\1\0\0\0" "\x08\x10\0\0\x0d\0\0\0k\0\0\0\0"), true},
    {"inside, no UTF-8",       SPAN_INIT(NODE("\x08", "\x19") "\1\0\0\0" "\x08\x10\0\0\x0d\0\0\0\xff\0\0\0\0"), false},
    {"inside, key too long",   SPAN_INIT(NODE("\x08", "\x19") "\1\0\0\0" "\x08\x20\0\0\x0d\0\0\0k\0\0\0\0"), false},
    {"unknown entry",          SPAN_INIT(NODE("\x08", "\x1d") "\1\0\0\0" NODE("\x0b", "\x11") TRUE_K("a")), false},
    {"a node as entry",        SPAN_INIT(NODE("\x08", "\x15") "\1\0\0\0" TRUE_K("a")),             false},
    {"a count too large",      SPAN_INIT(NODE("\x08", "\x1d") "\2\0\0\0" NODE("\x09", "\x11") TRUE_K("a")), false},
    {"a count too small",      SPAN_INIT(NODE("\x08", "\x1d") "\0\0\0\0" NODE("\x09", "\x11") TRUE_K("a")), false},
    {"nothing",                SPAN_INIT(""),                                                      false},
};
/* clang-format on */

TEST(deltas_are_valid_or_not_byte_by_byte)
{
    for (size_t i = 0; i < COUNT(delta_bytes); i++)
        EXPECT_EQ_IN(delta_bytes[i].name, doc_delta_is_valid(test_at_edge(delta_bytes[i].delta)),
                     delta_bytes[i].valid);
}

/* A thousand levels of `type`, each the only child of the one above. */
static struct span nested(unsigned type, unsigned levels)
{
    size_t size = (size_t)levels * 12;
    uint8_t *base = arena_bytes(&arena, size);
    for (unsigned i = 0; i < levels; i++) {
        uint8_t *at = base + (size_t)i * 12;
        node_head(at, type, 0, 0, size - (size_t)i * 12);
        store_u32le(at + 8, i + 1 < levels);
    }
    return span_of(base, size);
}

TEST(nesting_is_bounded_in_bytes_too)
{
    testing_reset();
    EXPECT(doc_is_valid(nested(DOC_ARRAY, NODE_NESTING_MAX)));
    EXPECT(!doc_is_valid(nested(DOC_ARRAY, NODE_NESTING_MAX + 1)));
    EXPECT(!doc_is_valid(nested(DOC_OBJECT, 100000)));
    EXPECT(doc_delta_is_valid(nested(NODE_INSIDE, NODE_NESTING_MAX)));
    EXPECT(!doc_delta_is_valid(nested(NODE_INSIDE, NODE_NESTING_MAX + 1)));
}

/* The format is final: these bytes must read for ever (docs/format.md). */
TEST(the_bytes_are_those_of_the_format)
{
    testing_reset();
    struct doc_write w = write_of(DOC_DESIRED, 3);
    struct doc_result r;
    struct doc_fault fault;
    w.now_ms = 0x0102030405;
    struct span old = doc_empty(DOC_DESIRED, 0, &arena);
    struct span patch = parsed("{\"a\":1,\"b\":[\"x\"]}");
    EXPECT_EQ(doc_patch(old, doc_root(patch), &w, &arena, &r, &fault), OK);
#define MARK   "\x05\x04\x03\x02\x01\0\3\0\0\0\0\0"
#define NODE_A "\x33\x10\0\0\x1d\0\0\0" MARK "a\1\0\0\0\0\0\0\0"
#define NODE_B "\x36\x10\0\0\x22\0\0\0" MARK "b\1\0\0\0\x05\0\0\0\x09\0\0\0x"
    EXPECT_SPAN(r.section, SPAN("\x37\0\0\0\x57\0\0\0" MARK "\2\0\0\0" NODE_A NODE_B));
    EXPECT_SPAN(r.delta, SPAN("\x38\0\0\0\x67\0\0\0" MARK "\2\0\0\0\x09\0\0\0\x25\0\0\0" NODE_A
                              "\x09\0\0\0\x2a\0\0\0" NODE_B));
}

TEST_MAIN(RUN(deltas_replay_and_tell),
          RUN(a_delta_of_tags_has_no_metadata_and_an_empty_one_no_members),
          RUN(a_delta_holds_old_and_new_nodes_with_their_stamps),
          RUN(a_delta_of_another_section_is_damaged),
          RUN(damaged_deltas_and_documents_are_refused_or_harmless),
          RUN(documents_are_valid_or_not_byte_by_byte), RUN(deltas_are_valid_or_not_byte_by_byte),
          RUN(nesting_is_bounded_in_bytes_too), RUN(the_bytes_are_those_of_the_format))
