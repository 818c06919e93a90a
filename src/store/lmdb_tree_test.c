/* LMDB's own walk is the truth; then pages are damaged in a copy, and nothing may vanish. */
#include "store/store_fixture.h"

#include "store/lmdb_tree.h"

enum { KEYS = 1500, KEY_MAX = 200, FLIPS = 6000 };

static uint64_t seed = 31;
static struct buf why;
static const char *path;
static struct directory d;
static struct lmdb_file f;
static MDB_txn *txn;
static struct lmdb_tree tree; /* in `copy` */
static struct lmdb_seen seen; /* of what was damaged since: nothing_vanishes begins it anew */
static uint8_t *copy;
static size_t copy_len;

static struct {
    struct span key, value; /* in LMDB's map */
} rows[KEYS];
static size_t row_count;

static void put(MDB_txn *t, unsigned i, unsigned round)
{
    char key[KEY_MAX + 1];
    static uint8_t value[9000];
    snprintf(key, sizeof(key), "key-%05u%0*d", i * 7919 % 99991, (int)(i * 13 % 180) + 1, 0);
    size_t len = i % 50 == 0 ? 8000 : 10 + (i * 31 + round) % 300; /* some on pages of their own */
    memset(value, (int)('a' + i % 26), len);
    MDB_val k = {strlen(key), key}, v = {len, value};
    int error = i % 9 == round ? mdb_del(t, f.dbi, &k, NULL) : mdb_put(t, f.dbi, &k, &v, 0);
    EXPECT(error == 0 || error == MDB_NOTFOUND);
}

static void read_rows(void)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    EXPECT_EQ(mdb_cursor_open(txn, f.dbi, &cursor), 0);
    row_count = 0;
    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
        rows[row_count].key = lmdb_span(&k);
        rows[row_count++].value = lmdb_span(&v);
    }
    mdb_cursor_close(cursor);
}

/* Several transactions, with changes and deletions, so that nodes have moved. */
static void set_up(unsigned keys)
{
    path = fixture_path();
    EXPECT_EQ(directory_open(&d, path, 4, fixture_random(&seed), &why), OK);
    EXPECT_EQ(lmdb_file_open(&f, &d, 16 << 20, &why), OK);
    for (unsigned round = 0; round < 4 && keys; round++) {
        MDB_txn *t;
        EXPECT_EQ(mdb_txn_begin(f.env, NULL, 0, &t), 0);
        for (unsigned i = round; i < keys; i += round ? 3 : 1)
            put(t, i, round);
        EXPECT_EQ(mdb_txn_commit(t), 0);
    }
    EXPECT_EQ(mdb_txn_begin(f.env, NULL, MDB_RDONLY, &txn), 0);
    EXPECT_EQ(lmdb_tree_open(&tree, &f, txn), OK);
    read_rows();
    copy_len = (tree.last_page + 1) * tree.page_size;
    copy = malloc(copy_len);
    EXPECT(copy != NULL);
    memcpy(copy, f.map, copy_len);
    tree.map = copy;
    tree.seen = &seen;
    seen.round++;
}

static void tear_down(void)
{
    free(copy);
    mdb_txn_abort(txn);
    lmdb_file_close(&f);
    directory_close(&d);
    fixture_remove(path);
    buf_fini(&why);
}

/* -- reading -- */

static void expect_row(const struct lmdb_place *p, size_t i)
{
    struct span key, value;
    EXPECT(lmdb_place_has(p));
    EXPECT_EQ(lmdb_place_get(p, &key, &value), OK);
    EXPECT_SPAN(key, rows[i].key);
    EXPECT(span_eq(value, rows[i].value));
}

TEST(a_walk_gives_what_lmdb_gives_both_ways)
{
    struct lmdb_place p;
    bool exact;
    set_up(KEYS);
    EXPECT(tree.depth >= 3);
    EXPECT(row_count > KEYS / 2);
    EXPECT_EQ(lmdb_tree_seek(&tree, SPAN(""), &p, &exact), OK);
    for (size_t i = 0; i < row_count; i++) {
        if (i)
            EXPECT_EQ(lmdb_place_step(&p), OK);
        expect_row(&p, i);
    }
    EXPECT_EQ(lmdb_place_step(&p), NOT_FOUND);
    EXPECT(!lmdb_place_has(&p));
    for (size_t i = row_count; i-- > 0;) {
        EXPECT_EQ(lmdb_place_back(&p), OK);
        expect_row(&p, i);
    }
    EXPECT_EQ(lmdb_place_back(&p), NOT_FOUND);
    tear_down();
}

TEST(each_key_is_found_and_its_neighbours_where_there_is_none)
{
    set_up(KEYS);
    for (size_t i = 0; i < row_count; i++) {
        struct lmdb_place p;
        bool exact;
        char after[KEY_MAX + 2];
        EXPECT_EQ(lmdb_tree_seek(&tree, rows[i].key, &p, &exact), OK);
        EXPECT(exact);
        expect_row(&p, i);
        memcpy(after, rows[i].key.data, rows[i].key.len);
        after[rows[i].key.len] = 1;
        EXPECT_EQ(lmdb_tree_seek(&tree, span_of(after, rows[i].key.len + 1), &p, &exact), OK);
        EXPECT(!exact);
        struct lmdb_place before = p;
        EXPECT_EQ(lmdb_place_back(&before), OK);
        expect_row(&before, i);
        if (!lmdb_place_has(&p))
            EXPECT_EQ(lmdb_place_step(&p), i + 1 < row_count ? OK : NOT_FOUND);
        if (i + 1 < row_count)
            expect_row(&p, i + 1);
    }
    tear_down();
}

TEST(an_empty_tree_has_nothing_anywhere)
{
    struct lmdb_place p;
    bool exact;
    set_up(0);
    EXPECT_EQ(tree.depth, 0);
    EXPECT_EQ(lmdb_tree_seek(&tree, SPAN("k"), &p, &exact), OK);
    EXPECT(!exact);
    EXPECT(!lmdb_place_has(&p));
    EXPECT_EQ(lmdb_place_step(&p), NOT_FOUND);
    EXPECT_EQ(lmdb_place_back(&p), NOT_FOUND);
    tear_down();
}

/* -- damage -- */

/* Walks all. Either every row is given, or damage is told: of a page, or of a row that is not one
 * of ours, which its checksum over key, lengths and value would tell (value.h). */
static bool nothing_vanishes(void)
{
    struct lmdb_place p;
    struct span key, value;
    bool exact, told = false;
    size_t next = 0, given = 0;
    seen.round++;
    enum status st = lmdb_tree_seek(&tree, SPAN(""), &p, &exact);
    for (; st != NOT_FOUND; st = lmdb_place_step(&p)) {
        size_t i = next;
        if (st == OK && lmdb_place_get(&p, &key, &value) == OK)
            while (i < row_count && !span_eq(rows[i].key, key))
                i++;
        else
            i = row_count;
        if (i == row_count || !span_eq(rows[i].value, value)) {
            told = true;
            continue;
        }
        next = i + 1;
        given++;
    }
    return told || given == row_count;
}

/* Heads of pages and nodes, and the offsets between them: what the tree stands on. Keys and values
 * have their own checksums. */
static size_t choose_byte(void)
{
    for (;;) {
        size_t page = 2 + test_random(&seed) % (tree.last_page - 1);
        uint8_t *at = copy + page * tree.page_size;
        size_t lower = at[12] | at[13] << 8, kind = at[10];
        if ((kind != 1 && kind != 2) || lower <= 16 || lower > 1000)
            continue;
        if (test_random(&seed) % 2)
            return (size_t)(at - copy) + test_random(&seed) % lower;
        size_t slot = 16 + test_random(&seed) % ((lower - 16) / 2) * 2;
        size_t node = at[slot] | at[slot + 1] << 8;
        return (size_t)(at - copy) + node + test_random(&seed) % 8;
    }
}

TEST(no_flipped_bit_in_the_tree_makes_a_record_vanish)
{
    unsigned noticed = 0;
    set_up(KEYS);
    for (unsigned i = 0; i < FLIPS; i++) {
        size_t at = choose_byte();
        uint8_t bit = (uint8_t)(1 << test_random(&seed) % 8);
        copy[at] ^= bit;
        if (!nothing_vanishes())
            fail_msg("bit %02x of byte %zu of page %zu", bit, at % tree.page_size,
                     at / tree.page_size);
        struct lmdb_place p;
        bool exact;
        const size_t one = test_random(&seed) % row_count;
        noticed += lmdb_tree_seek(&tree, rows[one].key, &p, &exact) != OK;
        copy[at] ^= bit;
    }
    EXPECT(noticed > 0);
    EXPECT(nothing_vanishes());
    tear_down();
}

TEST(no_page_in_anothers_place_is_believed)
{
    static uint8_t page[4096];
    set_up(KEYS);
    EXPECT_EQ(tree.page_size, sizeof(page));
    for (unsigned i = 0; i < 400; i++) {
        uint8_t *a = copy + (2 + test_random(&seed) % (tree.last_page - 1)) * sizeof(page);
        uint8_t *b = copy + (2 + test_random(&seed) % (tree.last_page - 1)) * sizeof(page);
        memcpy(page, a, sizeof(page));
        memcpy(a, b, sizeof(page));
        EXPECT(nothing_vanishes());
        memcpy(a, page, sizeof(page));
    }
    EXPECT(nothing_vanishes());
    tear_down();
}

TEST(a_walk_goes_on_behind_a_damaged_page)
{
    struct lmdb_place p;
    bool exact;
    set_up(KEYS);
    EXPECT_EQ(lmdb_tree_seek(&tree, rows[row_count / 2].key, &p, &exact), OK);
    union {
        const uint8_t *from;
        uint8_t *to;
    } page = {.from = p.at[p.level].page};
    unsigned lost = p.at[p.level].count;
    page.to[0] ^= 1;
    seen.round++;
    size_t given = 0, told = 0;
    struct span key, value;
    enum status st = lmdb_tree_seek(&tree, SPAN(""), &p, &exact);
    for (; st != NOT_FOUND; st = lmdb_place_step(&p)) {
        told += st == DAMAGED;
        given += st == OK && lmdb_place_get(&p, &key, &value) == OK;
    }
    EXPECT_EQ(told, 1);
    EXPECT_EQ(given, row_count - lost);
    tear_down();
}

TEST(behind_a_damaged_root_there_is_nothing)
{
    struct lmdb_place p;
    bool exact;
    set_up(KEYS);
    uint8_t *root = copy + tree.root * tree.page_size;
    root[16] ^= 0x80; /* where its first node lies */
    EXPECT_EQ(lmdb_tree_seek(&tree, rows[0].key, &p, &exact), DAMAGED);
    EXPECT(!lmdb_place_has(&p));
    EXPECT_EQ(lmdb_place_step(&p), NOT_FOUND);
    EXPECT_EQ(lmdb_place_back(&p), NOT_FOUND);
    tear_down();
}

/* What is damaged after that shows in the next one. */
TEST(a_branch_is_checked_once_in_a_transaction)
{
    struct lmdb_place p;
    bool exact;
    set_up(KEYS);
    uint8_t *root = copy + tree.root * tree.page_size;
    EXPECT_EQ(lmdb_tree_seek(&tree, rows[0].key, &p, &exact), OK);
    root[10] ^= 4; /* its kind */
    EXPECT_EQ(lmdb_tree_seek(&tree, rows[1].key, &p, &exact), OK);
    EXPECT(exact);
    seen.round++;
    EXPECT_EQ(lmdb_tree_seek(&tree, rows[1].key, &p, &exact), DAMAGED);
    tear_down();
}

TEST_MAIN(RUN(a_walk_gives_what_lmdb_gives_both_ways),
          RUN(each_key_is_found_and_its_neighbours_where_there_is_none),
          RUN(an_empty_tree_has_nothing_anywhere),
          RUN(no_flipped_bit_in_the_tree_makes_a_record_vanish),
          RUN(no_page_in_anothers_place_is_believed), RUN(a_walk_goes_on_behind_a_damaged_page),
          RUN(behind_a_damaged_root_there_is_nothing),
          RUN(a_branch_is_checked_once_in_a_transaction))
