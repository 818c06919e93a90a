#include "doc/doc_testing.h"

TEST(values_print_as_compact_json)
{
    testing_reset();
    EXPECT_SPAN(value_text(parsed(" { \"a\" : [ 1 , true , null , \"q\\\"\" ] , \"\" : { } } ")),
                SPAN("{\"a\":[1,true,null,\"q\\\"\"],\"\":{}}"));
    EXPECT_SPAN(value_text(parsed("false")), SPAN("false"));
    EXPECT_SPAN(value_text(parsed("-0.50e+07")), SPAN("-0.50e+07"));
}

TEST(the_device_sees_members_and_the_version)
{
    testing_reset();
    struct buf b = {0};
    doc_put_device(&b, doc_empty(DOC_DESIRED, 0, &arena), 1);
    buf_byte(&b, ' ');
    doc_put_device(&b, section_of(DOC_REPORTED, "{\"a\":{\"b\":[1]},\"c\":0}"), 2);
    EXPECT_SPAN(buf_span(&b), SPAN("{\"$version\":1} {\"a\":{\"b\":[1]},\"c\":0,\"$version\":2}"));
    buf_fini(&b);
}

/* The time is printed once and then copied: equal and different stamps in turn. */
TEST(stamps_are_printed_each_for_its_node)
{
    testing_reset();
    struct span doc = doc_empty(DOC_REPORTED, second(1), &arena);
    static const char *const writes[] = {"{\"a\":1,\"b\":1,\"c\":1}", "{\"b\":2}", "{\"d\":1}"};
    for (size_t i = 0; i < COUNT(writes); i++) {
        struct doc_write w = write_of(DOC_REPORTED, (int64_t)i + 2);
        struct doc_result r;
        struct doc_fault fault;
        EXPECT_EQ(doc_patch(doc, doc_root(parsed(writes[i])), &w, &arena, &r, &fault), OK);
        doc = r.section;
    }
    EXPECT_SPAN(service_text(doc, 4),
                SPAN("{\"a\":1,\"b\":2,\"c\":1,\"d\":1,\"$metadata\":{"
                     "\"$lastUpdated\":\"2026-03-04T10:20:34Z\","
                     "\"a\":{\"$lastUpdated\":\"2026-03-04T10:20:32Z\"},"
                     "\"b\":{\"$lastUpdated\":\"2026-03-04T10:20:33Z\"},"
                     "\"c\":{\"$lastUpdated\":\"2026-03-04T10:20:32Z\"},"
                     "\"d\":{\"$lastUpdated\":\"2026-03-04T10:20:34Z\"}},\"$version\":4}"));
}

TEST(readers_walk_and_find)
{
    testing_reset();
    struct doc_node root =
        doc_root(parsed("{\"Tags\":{\"x\":\"y\"},\"n\":[-5,1.5],\"tags\":true,\"e\":[]}"));
    EXPECT_EQ(doc_type(root), DOC_OBJECT);
    EXPECT_EQ(doc_count(root), 4);
    struct doc_node tags = doc_find_nocase(root, SPAN("TAGS"));
    EXPECT_EQ(doc_type(tags), DOC_OBJECT);
    EXPECT_EQ(doc_type(doc_find(root, SPAN("tags"))), DOC_TRUE);
    EXPECT_SPAN(doc_string(doc_find(tags, SPAN("x"))), SPAN("y"));
    EXPECT(!doc_find(root, SPAN("TAGS")).at);
    EXPECT(!doc_find_nocase(root, SPAN("tagz")).at);
    struct doc_node n = doc_find(root, SPAN("n")), first = doc_first(n);
    EXPECT_EQ(doc_int(first), -5);
    struct doc_node second_one = doc_next(n, first);
    EXPECT_SPAN(doc_string(second_one), SPAN("1.5"));
    EXPECT(!doc_next(n, second_one).at);
    EXPECT(!doc_first(doc_find(root, SPAN("e"))).at);
    EXPECT_EQ(doc_count(first), 0);
    EXPECT(!doc_first(first).at);
    EXPECT(!doc_find(n, SPAN("")).at);
    EXPECT(!doc_find_nocase(n, SPAN("")).at);
    EXPECT(!doc_find((struct doc_node){NULL}, SPAN("x")).at);
    EXPECT(!doc_find_nocase((struct doc_node){NULL}, SPAN("x")).at);
    EXPECT_EQ(doc_count((struct doc_node){NULL}), 0);
    EXPECT(doc_is_empty(parsed("{}")));
    EXPECT(!doc_is_empty(parsed("{\"a\":1}")));
}

TEST_MAIN(RUN(values_print_as_compact_json), RUN(the_device_sees_members_and_the_version),
          RUN(stamps_are_printed_each_for_its_node), RUN(readers_walk_and_find))
