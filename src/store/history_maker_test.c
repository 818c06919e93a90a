#include "store/history_maker.h"

#include "store/history_fixture.h"

enum { SEGMENT = 1 << 20 };

struct scene {
    struct test_disk disk;
    struct tape tape;
    struct history_file file;
};

static void begin(struct scene *s, uint32_t segment)
{
    test_disk_init(&s->disk);
    tape_init(&s->tape, &s->disk, segment);
    s->file = (struct history_file){0};
}

static void end(struct scene *s)
{
    history_file_close(&s->file);
    tape_fini(&s->tape);
    test_disk_fini(&s->disk);
}

/* The first segment as a file, open; the segment is gone. */
static void make(struct scene *s, bool say_used)
{
    char name[SEGMENT_NAME];
    tape_make(&s->tape, 0, say_used);
    segment_name(name, s->tape.done[0].start);
    EXPECT_EQ(disk_remove(&s->disk.disk, name), 0);
    EXPECT_EQ(history_file_open(&s->file, &s->disk.disk, 0, tape_hub), OK);
}

static size_t count_entries(const struct scene *s)
{
    size_t count = 0;
    for (uint32_t i = 0; i < s->file.footer.chunks; i++)
        count += history_chunk_get(&s->file.footer, i).piece.entries;
    return count;
}

TEST(chunks_are_about_64_KiB_and_say_what_is_in_them)
{
    struct scene s;
    struct buf raw = {0};
    begin(&s, SEGMENT);
    tape_fill(&s.tape, 1, 30, 150);
    make(&s, true);
    EXPECT(s.file.footer.chunks > 10);
    EXPECT_EQ(s.file.head.end, SEGMENT);
    EXPECT_EQ(s.file.head.epoch, 3);
    EXPECT_EQ(s.file.head.before, 0);
    size_t entries = 0, changes = 0;
    for (uint32_t i = 0; i < s.file.footer.chunks; i++) {
        struct history_chunk c = history_chunk_get(&s.file.footer, i);
        EXPECT(c.piece.raw <= HISTORY_RAW);
        EXPECT(c.piece.raw > HISTORY_RAW / 2 || i + 1 == s.file.footer.chunks);
        EXPECT_EQ(history_file_chunk(&s.file, i, &raw), OK);
        struct span rest = buf_span(&raw);
        struct history_entry e;
        for (uint32_t n = 0; n < c.piece.entries; n++) {
            EXPECT_EQ(history_take(&rest, &e), OK);
            tape_expect_entry(&e, &s.tape.entries[entries++].e);
            if (n == 0)
                EXPECT_EQ(e.position, c.position);
            if (e.is_counts)
                continue;
            int64_t ms = (int64_t)load_u64le(e.effect.data + 12);
            EXPECT(c.oldest_ms <= ms);
            EXPECT(ms <= c.newest_ms);
            EXPECT(s.file.head.oldest_ms <= c.oldest_ms);
            EXPECT(c.newest_ms <= s.file.head.newest_ms);
            changes++;
        }
        EXPECT_EQ(rest.len, 0);
    }
    EXPECT_EQ(s.file.head.changes, changes);
    EXPECT_EQ(s.file.head.oldest_ms, 1772619630000);
    buf_fini(&raw);
    end(&s);
}

/* Against a plain count of what each chunk holds. */
TEST(the_index_names_the_chunks_of_each_entity_and_no_others)
{
    struct scene s;
    struct buf raw = {0};
    begin(&s, SEGMENT);
    s.tape.devices = 3000;
    tape_fill(&s.tape, 1, 30, 100);
    make(&s, true);
    EXPECT(s.file.footer.pages > 1);
    for (size_t k = 0; k < s.tape.count; k += 7) {
        const struct tape_entry *t = &s.tape.entries[k];
        struct span chunks;
        if (t->e.is_counts || t->e.position >= SEGMENT)
            continue;
        EXPECT_EQ(history_file_find(&s.file, key_span(&t->key), &chunks), OK);
        EXPECT(chunks.len > 0);
        EXPECT(chunks.len < 4 * s.file.footer.chunks);
    }
    size_t pairs = 0, listed = 0;
    for (uint32_t i = 0; i < s.file.footer.chunks; i++) {
        struct history_entry e;
        struct history_index seen = {0};
        struct replay_head head;
        struct key key;
        EXPECT_EQ(history_file_chunk(&s.file, i, &raw), OK);
        struct span rest = buf_span(&raw), chunks;
        while (history_take(&rest, &e) == OK) {
            if (e.is_counts)
                continue;
            EXPECT_EQ(tape_replay_head(e.effect, &head), OK);
            key_encode(&key, &head.key);
            history_index_add(&seen, key_span(&key));
            EXPECT_EQ(history_file_find(&s.file, key_span(&key), &chunks), OK);
            bool named = false;
            for (size_t c = 0; c < chunks.len; c += 4)
                named |= load_u32le(chunks.data + c) == i;
            EXPECT(named);
        }
        history_index_cut(&seen);
        struct history_key k;
        history_index_merge(&seen);
        while (history_index_next(&seen, &k))
            pairs++;
        history_index_fini(&seen);
    }
    for (unsigned device = 0; device < s.tape.devices; device++) {
        char id[24];
        struct key key;
        struct span chunks;
        snprintf(id, sizeof(id), "device-%u", device);
        key_encode(&key, &(struct store_key){device % 4, span_text(id),
                                             device % 3 == 0 ? SPAN("m") : (struct span){0}});
        if (history_file_find(&s.file, key_span(&key), &chunks) == OK)
            listed += chunks.len / 4;
    }
    EXPECT_EQ(listed, pairs);
    buf_fini(&raw);
    end(&s);
}

TEST(changes_of_any_size_are_kept)
{
    static const size_t fillers[] = {0, HISTORY_RAW, 10, 3 << 20, 1, HISTORY_RAW - 100, 5 << 20};
    struct scene s;
    begin(&s, 16 << 20);
    for (size_t i = 0; i < COUNT(fillers); i++) {
        tape_put_device(&s.tape, (unsigned)i, fillers[i]);
        if (i % 2)
            tape_block_end(&s.tape);
    }
    tape_block_end(&s.tape);
    tape_turn(&s.tape);
    make(&s, false);
    EXPECT_EQ(count_entries(&s), s.tape.count);
    EXPECT_EQ(tape_expect_query(&s.tape, (struct history_query){0}), s.tape.count);
    EXPECT_EQ(tape_expect_query(&s.tape, (struct history_query){.newest_first = true}),
              s.tape.count);
    end(&s);
}

TEST(what_replay_cannot_read_is_kept_without_a_place_in_the_index)
{
    struct scene s;
    begin(&s, SEGMENT);
    tape_put_change(&s.tape, SPAN("of a later twinhub"), SPAN("x"), &tape_replay);
    tape_put_device(&s.tape, 1, 10);
    tape_block_end(&s.tape);
    tape_turn(&s.tape);
    make(&s, true);
    EXPECT_EQ(s.file.head.changes, 2);
    EXPECT_EQ(s.file.head.oldest_ms, s.tape.now_ms);
    EXPECT_EQ(tape_expect_query(&s.tape, (struct history_query){0}), 2);
    end(&s);
}

TEST(a_segment_without_blocks_makes_an_empty_file)
{
    for (int say_used = 0; say_used < 2; say_used++) {
        struct scene s;
        begin(&s, SEGMENT);
        tape_turn(&s.tape);
        tape_block(&s.tape, 10, 10);
        make(&s, say_used);
        EXPECT_EQ(s.file.footer.chunks, 0);
        EXPECT_EQ(s.file.footer.pages, 0);
        EXPECT_EQ(s.file.head.newest_ms, 0);
        EXPECT_EQ(tape_expect_query(&s.tape, (struct history_query){0}), s.tape.count);
        end(&s);
    }
}

/* -- damage -- */

static int make_error(struct scene *s, uint64_t used, const uint8_t *hub)
{
    struct history_maker m = {.disk = &s->disk.disk, .replay = &tape_replay, .used = used};
    int error;
    memcpy(m.hub_id, hub, sizeof(m.hub_id));
    while ((error = history_make(&m)) == EAGAIN)
        ;
    EXPECT_EQ(s->disk.now.count, 2); /* the segments, and nothing else */
    return error;
}

TEST(a_segment_that_is_damaged_makes_no_file)
{
    struct scene s;
    begin(&s, SEGMENT);
    tape_fill(&s.tape, 1, 30, 150);
    uint64_t used = s.tape.done[0].used;
    struct buf *bytes = test_disk_content(&s.disk, "0000000000000000.seg");
    uint64_t middle = s.tape.entries[s.tape.count / 2].e.position, last = middle;
    for (size_t i = 0; i < s.tape.count && s.tape.entries[i].e.position < used; i++)
        last = s.tape.entries[i].e.position;
    size_t places[] = {100, SEGMENT_HEAD + 50, SEGMENT_HEAD + 100, middle + 100, last + 100};
    for (size_t i = 0; i < COUNT(places); i++) {
        bytes->data[places[i]] ^= 1;
        EXPECT_EQ(make_error(&s, used, tape_hub), EBADMSG);
        if (i != COUNT(places) - 1) /* where the last one was, nothing is left to tell */
            EXPECT_EQ(make_error(&s, 0, tape_hub), EBADMSG);
        bytes->data[places[i]] ^= 1;
    }
    EXPECT_EQ(make_error(&s, used - 512, tape_hub), EBADMSG);
    EXPECT_EQ(make_error(&s, used + 512, tape_hub), EBADMSG);
    EXPECT_EQ(make_error(&s, SEGMENT + 1, tape_hub), EBADMSG);
    EXPECT_EQ(make_error(&s, used, (const uint8_t *)"some other hub's"), EBADMSG);
    s.disk.unreadable = "0000000000000000.seg";
    EXPECT_EQ(make_error(&s, used, tape_hub), EIO);
    s.disk.unreadable = NULL;
    make(&s, false);
    end(&s);
}

TEST(giving_up_leaves_nothing)
{
    struct scene s;
    begin(&s, 4 << 20);
    tape_fill(&s.tape, 1, 30, 150);
    for (int steps = 1; steps < 4; steps++) {
        struct history_maker m = {.disk = &s.disk.disk, .replay = &tape_replay};
        memcpy(m.hub_id, tape_hub, sizeof(tape_hub));
        for (int i = 0; i < steps; i++)
            EXPECT_EQ(history_make(&m), EAGAIN);
        history_unmake(&m);
        EXPECT_EQ(s.disk.now.count, 2);
        EXPECT_EQ(s.disk.open_files, 1); /* the journal's own */
    }
    end(&s);
}

TEST_MAIN(RUN(chunks_are_about_64_KiB_and_say_what_is_in_them),
          RUN(the_index_names_the_chunks_of_each_entity_and_no_others),
          RUN(changes_of_any_size_are_kept),
          RUN(what_replay_cannot_read_is_kept_without_a_place_in_the_index),
          RUN(a_segment_without_blocks_makes_an_empty_file),
          RUN(a_segment_that_is_damaged_makes_no_file), RUN(giving_up_leaves_nothing))
