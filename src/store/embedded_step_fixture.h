/* embedded_step_fixture.h — for tests: one embedded keeper with one shard, step by step.
 */
#ifndef STORE_EMBEDDED_STEP_FIXTURE_H
#define STORE_EMBEDDED_STEP_FIXTURE_H

#include "store/embedded_fixture.h"
#include "store/embedded_parts.h"

static struct test_embedded t;
static struct test_owner owner;
static char long_body[1001]; /* of thousand bytes */

static inline struct store *begin(void)
{
    memset(long_body, 'x', sizeof(long_body) - 1);
    test_embedded_begin(&t);
    EXPECT_EQ(test_embedded_open(&t), OK);
    return test_embedded_shard(&t, &owner, 0, 1);
}

static inline void end(struct store *s)
{
    store_close(s);
    embedded_close(t.e, 0);
    test_embedded_end(&t);
}

static inline void run(struct store *s)
{
    test_embedded_run(&t, s, NULL);
}

static inline void commit_and_run(struct store *s, uint64_t batch)
{
    store_commit(s, batch);
    run(s);
    EXPECT_EQ(owner.durable, batch);
}

#endif
