#include "store/store_fixture.h"

#include "store/table.h"

enum { KEYS = 500 };

static char names[KEYS][8]; /* in key order */

static struct span name(size_t i)
{
    if (!*names[i])
        snprintf(names[i], sizeof(names[i]), "k%03zu", i);
    return span_text(names[i]);
}

/* Every row is found by its key, and walking gives exactly the present keys in order. */
static void check_all(const struct table *t, struct record *const *model)
{
    size_t count = 0;
    struct table_row *row = t->first[0];
    for (size_t i = 0; i < KEYS; i++) {
        struct table_row *found = table_find(t, name(i));
        EXPECT_EQ(found != NULL, model[i] != NULL);
        if (!model[i])
            continue;
        EXPECT(found == row);
        EXPECT(found->record == model[i]);
        EXPECT_SPAN(table_key(found), name(i));
        row = row->next[0];
        count++;
    }
    EXPECT(row == NULL);
    EXPECT_EQ(t->map.count, count);
}

TEST(a_table_agrees_with_a_sorted_array_after_any_changes)
{
    static struct record *model[KEYS];
    uint64_t seed = 5;
    struct table t;
    table_init(&t, (struct hash_key){1, 2});
    EXPECT(table_find(&t, SPAN("x")) == NULL);
    for (int step = 0; step < 5000; step++) {
        size_t i = test_random(&seed) % KEYS;
        uint64_t changes = t.changes;
        if (test_random(&seed) % 3) {
            struct record *r = record_create(0, 0);
            bool added = !model[i];
            table_set(table_get(&t, name(i)), r);
            model[i] = r;
            record_unref(r);
            EXPECT_EQ(t.changes, changes + added);
        } else if (model[i]) {
            table_remove(&t, table_find(&t, name(i)));
            model[i] = NULL;
            EXPECT_EQ(t.changes, changes + 1);
        }
        if (step % 500 == 0)
            check_all(&t, model);
        size_t next = i + 1;
        while (next < KEYS && !model[next])
            next++;
        struct table_row *after = table_after(&t, name(i));
        EXPECT(next == KEYS ? !after : after && span_eq(table_key(after), name(next)));
    }
    check_all(&t, model);
    table_fini(&t);
}

static bool is_odd(struct span key, int odd)
{
    return (key.data[key.len - 1] - '0') % 2 == odd;
}

static bool is_picked(void *ctx, const struct table_row *row)
{
    return is_odd(table_key(row), *(int *)ctx);
}

/* Some rows in each; those of one that are odd, or even, go to the other. */
TEST(a_move_takes_what_is_picked_and_leaves_both_tables_whole)
{
    uint64_t seed = 6;
    for (int round = 0; round < 200; round++) {
        struct record *models[2][KEYS] = {{NULL}};
        struct table tables[2];
        int odd = round % 2;
        unsigned rows = 1 + round % 4; /* many, fewer */
        for (int i = 0; i < 2; i++)
            table_init(&tables[i], (struct hash_key){1, 2});
        for (size_t i = 0; i < KEYS; i++) {
            uint64_t where = test_random(&seed) % (2 * rows + 1);
            if (where > 1)
                continue;
            struct table *t = &tables[where];
            models[where][i] = record_create(0, 0);
            table_set(table_get(t, name(i)), models[where][i]);
            table_find(t, name(i))->batch = i;
            record_unref(models[where][i]);
        }
        table_move(&tables[0], &tables[1], is_picked, &odd);
        for (size_t i = 0; i < KEYS; i++) {
            if (!models[1][i] || !is_odd(name(i), odd))
                continue;
            models[0][i] = models[1][i];
            models[1][i] = NULL;
            EXPECT_EQ(table_find(&tables[0], name(i))->batch, i);
        }
        for (int i = 0; i < 2; i++) {
            check_all(&tables[i], models[i]);
            for (size_t k = 0; k < KEYS; k++) { /* by every level */
                size_t next = k + 1;
                while (next < KEYS && !models[i][next])
                    next++;
                struct table_row *after = table_after(&tables[i], name(k));
                EXPECT(next == KEYS ? !after : after && span_eq(table_key(after), name(next)));
            }
            table_fini(&tables[i]);
        }
    }
}

TEST(a_move_of_all_leaves_nothing)
{
    for (int there = 0; there < 2; there++) {
        static struct record *model[KEYS];
        struct table to, from;
        uint64_t seed = 7;
        table_init(&to, (struct hash_key){1, 2});
        table_init(&from, (struct hash_key){1, 2});
        for (size_t i = 0; i < KEYS; i++) {
            bool is_there = there && test_random(&seed) % 2;
            table_set(table_get(is_there ? &to : &from, name(i)), model[i] = record_create(0, 0));
            record_unref(model[i]);
        }
        uint64_t changes = to.changes > from.changes ? to.changes : from.changes;
        table_move(&to, &from, NULL, NULL);
        check_all(&to, model);
        EXPECT_EQ(from.map.count, 0);
        EXPECT(table_after(&from, SPAN("")) == NULL);
        EXPECT(to.changes > changes || there);
        table_fini(&to);
        table_fini(&from);
    }
}

TEST(the_upper_levels_hold_a_share_of_the_rows)
{
    struct table t;
    table_init(&t, (struct hash_key){3, 4});
    for (uint32_t i = 0; i < 4096; i++)
        table_get(&t, span_of(&i, sizeof(i)));
    size_t second = 0;
    for (struct table_row *row = t.first[1]; row; row = row->next[1])
        second++;
    EXPECT(second > 4096 / 4 * 3 / 4 && second < 4096 / 4 * 5 / 4);
    EXPECT(t.first[4] != NULL);
    table_fini(&t);
}

/* Of few letters, NUL among them, so that many begin alike. */
static size_t choose_key(uint64_t *seed, uint8_t out[40])
{
    static const uint8_t letters[] = {0, 0, 'a', 0xff};
    size_t len = test_random(seed) % 40;
    for (size_t i = 0; i < len; i++)
        out[i] = letters[test_random(seed) % (1 + test_random(seed) % sizeof(letters))];
    return len;
}

TEST(rows_that_are_added_at_once_are_in_order_like_others)
{
    uint64_t seed = 8;
    for (unsigned count = 0; count < 2000; count = count * 2 + 1) {
        struct table added, inserted;
        table_init(&added, (struct hash_key){5, 6});
        table_init(&inserted, (struct hash_key){5, 6});
        for (unsigned i = 0; i < count; i++) {
            uint8_t bytes[40];
            struct span key = span_of(bytes, choose_key(&seed, bytes));
            if (!table_find(&added, key))
                EXPECT(table_add_row(&added, key) == table_find(&added, key));
            table_get(&inserted, key);
        }
        table_order(&added);
        EXPECT_EQ(added.map.count, inserted.map.count);
        for (int level = 0; level < TABLE_LEVELS; level++) {
            const struct table_row *a = added.first[level], *b = inserted.first[level];
            for (; a && b; a = a->next[level], b = b->next[level]) {
                EXPECT_SPAN(table_key(a), table_key(b));
                EXPECT_EQ(a->levels, b->levels);
            }
            EXPECT(!a && !b);
        }
        table_fini(&added);
        table_fini(&inserted);
    }
}

TEST_MAIN(RUN(a_table_agrees_with_a_sorted_array_after_any_changes),
          RUN(a_move_takes_what_is_picked_and_leaves_both_tables_whole),
          RUN(a_move_of_all_leaves_nothing), RUN(the_upper_levels_hold_a_share_of_the_rows),
          RUN(rows_that_are_added_at_once_are_in_order_like_others))
