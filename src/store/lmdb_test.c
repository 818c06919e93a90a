/* What of LMDB's behaviour the keeper relies on, each in its smallest form. */
#include "store/store_fixture.h"

#include <lmdb.h>

static MDB_env *env;
static MDB_dbi dbi;
static const char *path;

static void begin(void)
{
    MDB_txn *txn;
    path = fixture_path();
    EXPECT_EQ(mkdir(path, 0700), 0);
    EXPECT_EQ(mdb_env_create(&env), 0);
    EXPECT_EQ(mdb_env_set_mapsize(env, 16 << 20), 0);
    EXPECT_EQ(mdb_env_open(env, path, MDB_NOTLS, 0600), 0);
    EXPECT_EQ(mdb_txn_begin(env, NULL, 0, &txn), 0);
    EXPECT_EQ(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    EXPECT_EQ(mdb_txn_commit(txn), 0);
}

static void end(void)
{
    mdb_env_close(env);
    fixture_remove(path);
}

static MDB_val val(const char *text)
{
    static char copies[8][64];
    static unsigned next;
    char *copy = copies[next++ % 8];
    snprintf(copy, sizeof(copies[0]), "%s", text);
    return (MDB_val){strlen(copy), copy};
}

static void put(const char *key, const char *value)
{
    MDB_txn *txn;
    MDB_val k = val(key), v = val(value);
    EXPECT_EQ(mdb_txn_begin(env, NULL, 0, &txn), 0);
    EXPECT_EQ(mdb_put(txn, dbi, &k, &v, 0), 0);
    EXPECT_EQ(mdb_txn_commit(txn), 0);
}

static bool sees(MDB_txn *txn, const char *key, const char *value)
{
    MDB_val k = val(key), v;
    return mdb_get(txn, dbi, &k, &v) == 0 && v.mv_size == strlen(value) &&
           memcmp(v.mv_data, value, v.mv_size) == 0;
}

TEST(a_renewed_transaction_sees_what_was_committed_and_an_open_one_does_not)
{
    MDB_txn *read;
    begin();
    put("k", "1");
    EXPECT_EQ(mdb_txn_begin(env, NULL, MDB_RDONLY, &read), 0);
    put("k", "2");
    EXPECT(sees(read, "k", "1"));
    mdb_txn_reset(read);
    EXPECT_EQ(mdb_txn_renew(read), 0);
    EXPECT(sees(read, "k", "2"));
    mdb_txn_abort(read);
    end();
}

TEST(with_notls_one_thread_may_hold_several_read_transactions)
{
    MDB_txn *a, *b;
    begin();
    EXPECT_EQ(mdb_txn_begin(env, NULL, MDB_RDONLY, &a), 0);
    EXPECT_EQ(mdb_txn_begin(env, NULL, MDB_RDONLY, &b), 0);
    mdb_txn_abort(a);
    mdb_txn_abort(b);
    end();
}

TEST(an_aborted_transaction_has_no_effect)
{
    MDB_txn *txn;
    MDB_val k = val("k"), v = val("2");
    begin();
    put("k", "1");
    EXPECT_EQ(mdb_txn_begin(env, NULL, 0, &txn), 0);
    EXPECT_EQ(mdb_put(txn, dbi, &k, &v, 0), 0);
    EXPECT(sees(txn, "k", "2"));
    mdb_txn_abort(txn);
    EXPECT_EQ(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    EXPECT(sees(txn, "k", "1"));
    mdb_txn_abort(txn);
    end();
}

TEST(keys_are_in_byte_order_a_shorter_one_first)
{
    static const char *const sorted[] = {"a", "a\x01", "ab", "b", "\xff"};
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val k, v;
    begin();
    for (size_t i = COUNT(sorted); i-- > 0;)
        put(sorted[i], "");
    EXPECT_EQ(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    EXPECT_EQ(mdb_cursor_open(txn, dbi, &cursor), 0);
    for (size_t i = 0; i < COUNT(sorted); i++) {
        EXPECT_EQ(mdb_cursor_get(cursor, &k, &v, i ? MDB_NEXT : MDB_FIRST), 0);
        EXPECT_SPAN(span_of(k.mv_data, k.mv_size), span_text(sorted[i]));
    }
    EXPECT_EQ(mdb_cursor_get(cursor, &k, &v, MDB_NEXT), MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    end();
}

/* lmdb_reader.c looks at the record before the place where a search ended. */
TEST(from_where_a_search_ended_the_record_before_is_one_step_back)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val k = val("c"), v;
    begin();
    put("b", "");
    put("d", "");
    EXPECT_EQ(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    EXPECT_EQ(mdb_cursor_open(txn, dbi, &cursor), 0);
    EXPECT_EQ(mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE), 0);
    EXPECT_SPAN(span_of(k.mv_data, k.mv_size), SPAN("d"));
    EXPECT_EQ(mdb_cursor_get(cursor, &k, &v, MDB_PREV), 0);
    EXPECT_SPAN(span_of(k.mv_data, k.mv_size), SPAN("b"));
    EXPECT_EQ(mdb_cursor_get(cursor, &k, &v, MDB_PREV), MDB_NOTFOUND);
    k = val("e");
    EXPECT_EQ(mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE), MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    end();
}

/* Why lmdb_file.c looks at the length first. */
TEST(an_emptied_file_is_taken_for_a_new_one)
{
    MDB_txn *txn;
    char data[128];
    begin();
    put("k", "1");
    mdb_env_close(env);
    snprintf(data, sizeof(data), "%s/data.mdb", path);
    EXPECT_EQ(truncate(data, 0), 0);
    EXPECT_EQ(mdb_env_create(&env), 0);
    EXPECT_EQ(mdb_env_open(env, path, 0, 0600), 0);
    EXPECT_EQ(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    EXPECT(!sees(txn, "k", "1"));
    mdb_txn_abort(txn);
    end();
}

/* A record's key and every id fit. */
TEST(keys_may_be_as_long_as_ours)
{
    begin();
    EXPECT(mdb_env_get_maxkeysize(env) >= KEY_BYTES);
    end();
}

TEST_MAIN(RUN(a_renewed_transaction_sees_what_was_committed_and_an_open_one_does_not),
          RUN(with_notls_one_thread_may_hold_several_read_transactions),
          RUN(an_aborted_transaction_has_no_effect),
          RUN(keys_are_in_byte_order_a_shorter_one_first),
          RUN(from_where_a_search_ended_the_record_before_is_one_step_back),
          RUN(an_emptied_file_is_taken_for_a_new_one), RUN(keys_may_be_as_long_as_ours))
