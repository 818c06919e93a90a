/* History files, by the first byte of the input:
 *
 *   even  a file, whose checksums are put right first. Property: it is read to its end, in both
 *         orders and for one entity, within bounds.
 *   odd   a list of changes: length of the effect and of the sealed part (2 bytes each), device
 * (1), then filler; a length of 0xffff ends the block. Property: a segment of them becomes a file
 *         that gives them back. */
#include "base/hash.h"
#include "store/history_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT = 256 << 10, CHUNK_ROW = 48 };

/* -- any bytes as a file -- */

static void mend_chunks(uint8_t *file, size_t end, struct span footer)
{
    uint32_t chunks = load_u32le(footer.data);
    for (uint32_t i = 0; i < chunks && 8 + ((size_t)i + 1) * CHUNK_ROW <= footer.len; i++) {
        uint8_t *row = file + (footer.data - file) + 8 + (size_t)i * CHUNK_ROW;
        uint64_t at = load_u64le(row), length = load_u32le(row + 8);
        if (at <= end && length <= end - at)
            store_u32le(row + 16, hash_crc32c(0, span_of(file + at, length)));
    }
}

static void mend(uint8_t *file, size_t size)
{
    if (size < HISTORY_HEAD + HISTORY_TRAILER)
        return;
    memcpy(file + 16, tape_hub, sizeof(tape_hub));
    store_u64le(file + 32, 0);
    store_u32le(file + HISTORY_HEAD - 4, hash_crc32c(0, span_of(file, HISTORY_HEAD - 4)));
    uint8_t *trailer = file + size - HISTORY_TRAILER;
    size_t room = size - HISTORY_HEAD - HISTORY_TRAILER, len = load_u32le(trailer);
    if (len < 8 || len > room)
        return;
    struct span footer = span_of(trailer - len, len);
    mend_chunks(file, (size_t)(footer.data - file), footer);
    history_trailer_encode(footer, trailer);
}

static void read_through(struct test_disk *d, struct history_query q, size_t size)
{
    struct history_reader r;
    struct history_entry e;
    enum status st;
    size_t damaged = 0;
    q.disk = &d->disk;
    q.hub_id = tape_hub;
    q.replay = &tape_replay;
    EXPECT_EQ(history_reader_open(&r, &q), OK);
    while ((st = tape_next(&r, &e)) != NOT_FOUND) {
        EXPECT(st == OK || st == DAMAGED);
        damaged += st == DAMAGED;
        EXPECT(damaged <= size + 1); /* each is another place, or the file */
        if (st == OK && q.key)
            EXPECT(!e.is_counts);
    }
    history_reader_close(&r);
}

static void try_file(struct span in)
{
    static struct test_disk d;
    struct disk_file *file;
    const struct store_key key = {1, SPAN("device-1"), {0}};
    test_disk_init(&d);
    EXPECT_EQ(disk_open(&d.disk, "0000000000000000.hist", true, &file), 0);
    disk_close(file);
    struct buf *bytes = test_disk_content(&d, "0000000000000000.hist");
    buf_put(bytes, in);
    if (in.len)
        mend(bytes->data, bytes->len);
    read_through(&d, (struct history_query){0}, in.len);
    read_through(&d, (struct history_query){.newest_first = true, .from = 700}, in.len);
    read_through(&d, (struct history_query){.key = &key, .end = 5000}, in.len);
    test_disk_fini(&d);
}

/* -- changes there and back -- */

static void put_change(struct tape *t, struct span *in)
{
    uint32_t lengths = load_u32le(in->data);
    struct buf effect = {0};
    uint8_t device = in->data[4];
    *in = span_skip(*in, 5);
    buf_u32le(&effect, device % 4);
    buf_u64le(&effect, ++t->seq);
    buf_u64le(&effect, (uint64_t)t->now_ms + device);
    buf_byte(&effect, 1);
    buf_byte(&effect, 0);
    buf_byte(&effect, (uint8_t)('a' + device % 16));
    struct span filler = span_first(*in, lengths & 0xffff);
    buf_put(&effect, device % 7 ? filler : (struct span){0});
    *in = span_skip(*in, filler.len);
    struct span sealed = span_first(*in, lengths >> 16);
    *in = span_skip(*in, sealed.len);
    tape_put_change(t, buf_span(&effect), sealed, &tape_replay);
    buf_fini(&effect);
}

static void try_changes(struct span in)
{
    static struct test_disk d;
    struct tape t;
    test_disk_init(&d);
    tape_init(&t, &d, SEGMENT);
    while (in.len >= 5 && t.done_count < TAPE_SEGMENTS - 2) {
        if (load_u32le(in.data) >> 16 != 0xffff) {
            put_change(&t, &in);
        } else if (t.bytes.len) {
            tape_put_counts(&t, in.data[4], (struct store_partition){in.len, 1, 2, 3});
            tape_block_end(&t);
            in = span_skip(in, 5);
        } else {
            in = span_skip(in, 5);
        }
        if (t.bytes.len > SEGMENT / 4)
            tape_block_end(&t);
    }
    if (t.bytes.len)
        tape_block_end(&t);
    tape_turn(&t);
    for (size_t i = 0; i < t.done_count; i++)
        tape_make(&t, i, i % 2);
    const struct store_key key = {1, SPAN("b"), {0}};
    (void)tape_expect_query(&t, (struct history_query){.newest_first = true});
    (void)tape_expect_query(&t, (struct history_query){.key = &key});
    EXPECT_EQ(tape_expect_query(&t, (struct history_query){0}), t.count);
    tape_fini(&t);
    test_disk_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    if (data[0] % 2)
        try_changes(in);
    else
        try_file(in);
    return 0;
}
