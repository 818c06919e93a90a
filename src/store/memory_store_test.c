#include "store/memory_store.h"

#include "store/store_fixture.h"

static uint64_t seed = 9, reported;
static enum status failed;
static int woken;

static void on_durable(void *owner, uint64_t batch)
{
    (void)owner;
    reported = batch;
}

static void on_failed(void *owner, enum status st)
{
    (void)owner;
    failed = st;
}

static void on_wake(void *owner)
{
    (void)owner;
    woken++;
}

static struct store *open_shard(struct memory_env *env)
{
    struct store *s = memory_env_shard(env);
    s->durable = on_durable;
    s->failed = on_failed;
    s->wake = on_wake;
    reported = 0;
    failed = OK;
    woken = 0;
    return s;
}

static struct memory_env *manual(void)
{
    return memory_env_create(
        &(struct memory_options){.manual_sync = true, .random = fixture_random(&seed)});
}

TEST(nothing_is_durable_before_the_test_says_so)
{
    struct memory_env *env = manual();
    struct store *s = open_shard(env);
    EXPECT_EQ(s->partitions, 32);
    for (uint64_t batch = 1; batch <= 3; batch++) {
        fixture_put(s, fixture_key(5, "d", ""), "x", "");
        store_commit(s, batch);
    }
    store_poll(s);
    EXPECT_EQ(reported, 0);
    memory_store_sync_upto(s, 2);
    EXPECT_EQ(woken, 1);
    EXPECT_EQ(reported, 0); /* only from poll */
    store_poll(s);
    EXPECT_EQ(reported, 2);
    memory_store_sync(s);
    store_poll(s);
    EXPECT_EQ(reported, 3);
    memory_store_sync(s);
    EXPECT_EQ(woken, 2); /* nothing new */
    store_close(s);
    memory_env_destroy(env);
    memory_env_destroy(NULL);
}

TEST(a_crash_leaves_what_was_durable)
{
    struct memory_env *env = manual();
    struct store *s = open_shard(env), *other = open_shard(env);
    fixture_put(s, fixture_key(1, "kept", ""), "1", "key");
    fixture_put(s, fixture_key(1, "deleted", ""), "1", "");
    store_commit(s, 1);
    fixture_put(other, fixture_key(2, "other", ""), "1", "");
    store_commit(other, 1);
    memory_store_sync(s);
    fixture_put(s, fixture_key(1, "kept", ""), "2", "");
    fixture_put(s, fixture_key(1, "deleted", ""), NULL, "");
    store_commit(s, 2);
    fixture_put(s, fixture_key(1, "open", ""), "1", "");
    memory_env_crash(env);
    s = open_shard(env);
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "kept", "")), "1|key");
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "deleted", "")), "1|");
    EXPECT_TEXT(fixture_load(s, fixture_key(1, "open", "")), "NOT_FOUND");
    EXPECT_TEXT(fixture_load(s, fixture_key(2, "other", "")), "NOT_FOUND");
    EXPECT_EQ(s->parts[1].seq, 2);
    EXPECT_EQ(s->parts[2].seq, 0);
    store_close(s);
    memory_env_destroy(env);
}

TEST(a_failed_disk_acknowledges_nothing_more)
{
    struct memory_env *env = manual();
    struct store *s = open_shard(env);
    fixture_put(s, fixture_key(1, "d", ""), "1", "");
    store_commit(s, 1);
    memory_store_fail(s, STORAGE_FULL);
    EXPECT_EQ(woken, 1);
    memory_store_sync(s);
    store_poll(s);
    store_poll(s);
    EXPECT_EQ(reported, 0);
    EXPECT_EQ(failed, STORAGE_FULL);
    store_close(s);
    EXPECT_EQ(reported, 0);
    memory_env_destroy(env);
}

TEST(it_has_the_room_that_a_test_says)
{
    struct memory_env *env = manual();
    struct store *s = open_shard(env), *other = memory_env_shard(env);
    EXPECT_EQ(store_room(s), STORE_OPEN);
    memory_store_room(s, STORE_NO_SPACE);
    EXPECT_EQ(woken, 1);
    EXPECT_EQ(store_room(s), STORE_NO_SPACE);
    EXPECT_EQ(store_room(other), STORE_OPEN);
    store_close(s);
    store_close(other);
    memory_env_destroy(env);
}

static void on_append(void *owner, struct record *old, const struct store_change *change)
{
    struct buf *log = owner;
    buf_printf(log, "%.*s>%.*s ", old ? (int)old->body_len : 0, old ? (const char *)old->bytes : "",
               change->record ? (int)change->record->body_len : 0,
               change->record ? (const char *)change->record->bytes : "");
}

TEST(the_hook_sees_each_change_beside_what_it_replaces)
{
    struct buf log = {0};
    struct memory_env *env = memory_env_create(&(struct memory_options){
        .random = fixture_random(&seed), .on_append = on_append, .on_append_owner = &log});
    struct store *s = open_shard(env);
    fixture_put(s, fixture_key(1, "d", ""), "a", "");
    fixture_put(s, fixture_key(1, "d", ""), "b", "");
    fixture_put(s, fixture_key(1, "d", ""), NULL, "");
    EXPECT_SPAN(buf_span(&log), SPAN(">a a>b b> "));
    store_commit(s, 1);
    EXPECT_EQ(reported, 1);
    store_close(s);
    memory_env_destroy(env);
    buf_fini(&log);
}

TEST_MAIN(RUN(nothing_is_durable_before_the_test_says_so), RUN(a_crash_leaves_what_was_durable),
          RUN(a_failed_disk_acknowledges_nothing_more), RUN(it_has_the_room_that_a_test_says),
          RUN(the_hook_sees_each_change_beside_what_it_replaces))
