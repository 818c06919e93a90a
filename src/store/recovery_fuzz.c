/* Recovery over arbitrary bytes: one or two segments on a disk in memory, and a mark.
 *
 * The input begins with what is made right first, where the second segment begins and where the
 * mark stands (in sectors, 1 byte each); then both files, whose headers are always made.
 *
 * Property: it ends; what it gives are checked blocks in order, each the continuation of the one
 * before; the end is where they end; and a second reading gives the same. */
#include "base/hash.h"
#include "store/block.h"
#include "store/disk_fixture.h"
#include "store/recovery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_HEAD = 4, FIX_BLOCKS = 1, FIX_CHAIN = 2, WITH_MARK = 4 };
enum { AT_BODY_CRC = 20, AT_SALT = 24, AT_POSITION = 40, AT_PREV = 64, AT_CRC = 76 };

static const uint8_t hub_id[16] = "0123456789abcde";

struct seen {
    struct mark at; /* where the next block may be */
    uint64_t blocks;
    uint32_t digest;
};

static enum status on_block(void *owner, const struct block *block, struct span bytes,
                            struct buf *why)
{
    struct seen *s = owner;
    struct block again;
    (void)why;
    CHECK(bytes.len == block->length);
    CHECK(block_read(bytes, &again) == OK);
    CHECK(memcmp(&again, block, sizeof(again)) == 0);
    CHECK(block_check(block, bytes) == OK);
    CHECK(block->prev == s->at.prev);
    CHECK(block->position >= s->at.position);
    s->at = (struct mark){block->position + block_room(block->length), block->crc};
    s->digest = hash_crc32c(s->digest, bytes);
    s->blocks++;
    return OK;
}

/* What looks like a block gets the numbers of its place. */
static void make_right(uint8_t *bytes, size_t len, const struct segment *s, uint8_t what,
                       uint32_t *prev)
{
    for (size_t at = SEGMENT_HEAD; at + BLOCK_HEAD <= len; at += BLOCK_ALIGN) {
        uint8_t *head = bytes + at;
        uint32_t length = load_u32le(head + 8);
        if (memcmp(head, "TwJb", 4) != 0 || length < BLOCK_HEAD || length > len - at)
            continue;
        store_u64le(head + AT_SALT, s->salt);
        store_u64le(head + AT_POSITION, s->start + at);
        if (what & FIX_CHAIN)
            store_u32le(head + AT_PREV, *prev);
        store_u32le(head + AT_BODY_CRC,
                    hash_crc32c(0, span_of(head + BLOCK_HEAD, length - BLOCK_HEAD)));
        *prev = hash_crc32c(0, span_of(head, AT_CRC));
        store_u32le(head + AT_CRC, *prev);
    }
}

static void put_file(struct test_disk *d, uint64_t start, struct span bytes, uint8_t what,
                     uint32_t *prev)
{
    char name[SEGMENT_NAME];
    struct disk_file *file;
    struct segment s = {.start = start, .size = bytes.len / 512 * 512, .salt = start + 1};
    uint8_t head[SEGMENT_HEAD], *copy = malloc(bytes.len + 1);
    CHECK(copy);
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    memcpy(s.hub_id, hub_id, sizeof(hub_id));
    segment_write(&s, head);
    memcpy(copy, head, bytes.len < SEGMENT_HEAD ? bytes.len : SEGMENT_HEAD);
    if (what & FIX_BLOCKS)
        make_right(copy, bytes.len, &s, what, prev);
    segment_name(name, start);
    struct iovec part = {copy, bytes.len};
    CHECK(disk_open(&d->disk, name, true, &file) == 0);
    CHECK(disk_write(file, &part, 1, 0) == 0);
    disk_close(file);
    free(copy);
}

static enum status run(struct test_disk *d, struct mark from, struct seen *seen)
{
    struct recovery found;
    struct buf why = {0};
    struct recovery_options o = {
        .disk = &d->disk, .hub_id = hub_id, .from = from, .fn = on_block, .owner = seen};
    *seen = (struct seen){.at = from};
    enum status st = recovery_run(&o, &found, &why);
    CHECK((st == OK) == (why.len == 0));
    if (st == OK) {
        CHECK(found.blocks == seen->blocks);
        CHECK(found.end.prev == seen->at.prev);
        CHECK(found.end.position >= seen->at.position);
        CHECK(found.end.position <=
              found.segments[found.last].start + found.segments[found.last].size);
    }
    recovery_fini(&found);
    buf_fini(&why);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct test_disk disk;
    struct seen first, second;
    uint32_t prev = 0;
    if (size < INPUT_HEAD + SEGMENT_HEAD)
        return 0;
    uint8_t what = data[0];
    struct mark from = {what & WITH_MARK ? data[2] * (uint64_t)BLOCK_ALIGN : 0,
                        what & WITH_MARK ? data[3] : 0};
    struct span rest = span_of(data + INPUT_HEAD, size - INPUT_HEAD);
    struct span one = span_first(rest, (2 + data[1]) * (size_t)BLOCK_ALIGN);
    struct span other = span_skip(rest, one.len);
    test_disk_init(&disk);
    put_file(&disk, 0, one, what, &prev);
    if (other.len)
        put_file(&disk, one.len / 512 * 512, other, what, &prev);
    enum status st = run(&disk, from, &first);
    CHECK(run(&disk, from, &second) == st);
    CHECK(first.digest == second.digest);
    CHECK(first.blocks == second.blocks);
    test_disk_fini(&disk);
    return 0;
}
