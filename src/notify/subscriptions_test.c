#include "base/test.h"

#include "notify/subscriptions.h"
#include "wire/topic.h"

#include <stdio.h>

static void put(struct buf *b, const char *filter, int64_t created_ms, uint8_t qos)
{
    struct subscription f = {created_ms, qos, span_text(filter)};
    EXPECT(subscriptions_put(b, &f));
}

TEST(the_same_filter_again_keeps_its_time_and_its_bytes)
{
    struct buf b = {0}, once = {0};
    put(&b, "$iothub/twin/res/#", 1000, 0);
    buf_put(&once, buf_span(&b));
    put(&b, "$iothub/twin/res/#", 2000, 0);
    EXPECT_SPAN(buf_span(&b), buf_span(&once));
    put(&b, "$iothub/twin/res/#", 3000, 1); /* only its QoS changes */
    struct subscriptions_walk w = {.rest = test_at_edge(buf_span(&b))};
    struct subscription f;
    EXPECT(subscriptions_next(&w, &f));
    EXPECT_EQ(f.created_ms, 1000);
    EXPECT_EQ(f.qos, 1);
    EXPECT_SPAN(f.filter, SPAN("$iothub/twin/res/#"));
    EXPECT(!subscriptions_next(&w, &f));
    buf_fini(&b);
    buf_fini(&once);
}

TEST(what_is_removed_leaves_no_trace)
{
    struct buf b = {0}, without = {0};
    put(&b, "a", 1, 0);
    put(&b, "bb", 2, 1);
    put(&b, "ccc", 3, 0);
    put(&without, "a", 1, 0);
    put(&without, "ccc", 3, 0);
    subscriptions_remove(&b, SPAN("bb"));
    subscriptions_remove(&b, SPAN("unknown"));
    EXPECT_SPAN(buf_span(&b), buf_span(&without));
    subscriptions_remove(&b, SPAN("a"));
    subscriptions_remove(&b, SPAN("ccc"));
    EXPECT_EQ(b.len, 0);
    buf_fini(&b);
    buf_fini(&without);
}

TEST(a_session_holds_thirty_two_filters)
{
    struct buf b = {0};
    char name[16];
    for (int i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        put(&b, name, i, 0);
    }
    struct subscription more = {0, 0, SPAN("more")};
    EXPECT(!subscriptions_put(&b, &more));
    put(&b, "f3", 9, 1); /* one that is there is no more */
    EXPECT(subscriptions_are_valid(buf_span(&b)));
    buf_fini(&b);
}

TEST(bytes_that_do_not_hold_together_are_told)
{
    struct buf b = {0};
    EXPECT(subscriptions_are_valid((struct span){0}));
    put(&b, "filter", 1, 1);
    EXPECT(subscriptions_are_valid(test_at_edge(buf_span(&b))));
    for (size_t n = 1; n < b.len; n++)
        EXPECT(n == 1 || !subscriptions_are_valid(test_at_edge(span_first(buf_span(&b), n))));
    b.data[0] = 2; /* a format of later */
    EXPECT(!subscriptions_are_valid(buf_span(&b)));
    b.data[0] = 1;
    b.data[9] = 2; /* QoS 2 is never granted */
    EXPECT(!subscriptions_are_valid(buf_span(&b)));
    buf_fini(&b);
}

TEST(all_filters_together_say_what_is_delivered)
{
    struct buf b = {0};
    put(&b, "$iothub/twin/res/#", 1, 0);
    put(&b, "devices/d1/messages/devicebound/#", 1, 1);
    EXPECT_EQ(subscriptions_deliver(buf_span(&b), SPAN("d1"), (struct span){0}),
              TOPIC_TWIN_RESPONSE | TOPIC_C2D);
    EXPECT_EQ(subscriptions_deliver(buf_span(&b), SPAN("d2"), (struct span){0}),
              TOPIC_TWIN_RESPONSE);
    buf_fini(&b);
}

TEST_MAIN(RUN(the_same_filter_again_keeps_its_time_and_its_bytes),
          RUN(what_is_removed_leaves_no_trace), RUN(a_session_holds_thirty_two_filters),
          RUN(bytes_that_do_not_hold_together_are_told),
          RUN(all_filters_together_say_what_is_delivered))
