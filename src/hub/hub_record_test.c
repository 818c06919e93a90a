#include "base/test.h"

#include "hub/hub_record.h"

TEST(a_hub_record_comes_back_from_its_change)
{
    struct record *before = record_create(5, 6);
    memcpy(before->bytes, "lightdarker", 11);
    struct buf effect = {0}, secret = {0};
    hub_record_change(SPAN("policies"), before, 7, 1000, &effect, &secret);
    struct span kind;
    struct record *after;
    uint64_t seq;
    int64_t time_ms;
    EXPECT_EQ(hub_record_head(test_at_edge(buf_span(&effect)), &kind, &seq, &time_ms), OK);
    EXPECT_SPAN(kind, SPAN("policies"));
    EXPECT_EQ(seq, 7);
    EXPECT_EQ(time_ms, 1000);
    EXPECT_EQ(hub_record_apply(test_at_edge(buf_span(&effect)), buf_span(&secret), &kind, &after),
              OK);
    EXPECT_SPAN(kind, SPAN("policies"));
    EXPECT_SPAN(record_body(after), SPAN("light"));
    EXPECT_SPAN(record_secret(after), SPAN("darker"));
    record_unref(after);
    for (size_t n = 0; n < 68; n++) {
        struct span cut = test_at_edge(span_first(buf_span(&effect), n));
        EXPECT_EQ(hub_record_apply(cut, (struct span){0}, &kind, &after), DAMAGED);
    }
    effect.data[1] = 1;
    EXPECT_EQ(hub_record_apply(buf_span(&effect), (struct span){0}, &kind, &after), DAMAGED);
    record_unref(before);
    buf_fini(&effect);
    buf_fini(&secret);
}

TEST_MAIN(RUN(a_hub_record_comes_back_from_its_change))
