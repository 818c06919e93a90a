#include "base/record.h"

#include <pthread.h>

#include "base/test.h"

TEST(a_record_is_its_body_and_its_secret)
{
    struct record *r = record_create(3, 2);
    memcpy(r->bytes, "abcde", 5);
    EXPECT_SPAN(record_body(r), SPAN("abc"));
    EXPECT_SPAN(record_secret(r), SPAN("de"));
    record_unref(r);
    r = record_create(0, 0);
    EXPECT_EQ(record_body(r).len + record_secret(r).len, 0);
    record_unref(r);
    record_unref(NULL);
}

TEST(a_record_lives_as_long_as_somebody_holds_it)
{
    struct record *r = record_create(1, 1);
    EXPECT(record_ref(r) == r);
    record_ref(r);
    EXPECT_EQ(atomic_load(&r->refs), 3);
    record_unref(r);
    record_unref(r);
    r->bytes[1] = 7; /* still there */
    EXPECT_EQ(atomic_load(&r->refs), 1);
    record_unref(r);
}

enum { HOLDERS = 4, ROUNDS = 20000 };

/* Takes and gives back counts while the others do the same, and at last its own. */
static void *hold(void *arg)
{
    struct record *r = arg;
    unsigned sum = 0;
    for (int i = 0; i < ROUNDS; i++) {
        record_ref(r);
        sum += r->bytes[i % 8];
        record_unref(r);
    }
    EXPECT_EQ(sum, ROUNDS / 8 * 28);
    record_unref(r);
    return NULL;
}

TEST(counts_are_kept_across_threads)
{
    struct record *r = record_create(4, 4);
    for (uint8_t i = 0; i < 8; i++)
        r->bytes[i] = i;
    pthread_t threads[HOLDERS];
    for (int i = 0; i < HOLDERS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, hold, record_ref(r)), 0);
    record_unref(r); /* the last of the threads frees it */
    for (int i = 0; i < HOLDERS; i++)
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
}

TEST_MAIN(RUN(a_record_is_its_body_and_its_secret),
          RUN(a_record_lives_as_long_as_somebody_holds_it), RUN(counts_are_kept_across_threads))
