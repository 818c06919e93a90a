/* Reading arbitrary bytes as a block. The first byte of the input says which of the two checksums
 * are made right first, so that what they guard is reached.
 *
 * Property: nothing beyond the bytes is touched, and what passes encodes again to the same bytes.
 */
#include "base/hash.h"
#include "store/block.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AT_LENGTH = 8, AT_BODY_CRC = 20, AT_CRC = 76, FIX_BODY = 1, FIX_HEAD = 2, FIX_LENGTH = 4 };

static void make_right(uint8_t *bytes, size_t len, uint8_t what)
{
    if (what & FIX_LENGTH)
        store_u32le(bytes + AT_LENGTH, (uint32_t)len);
    if (what & FIX_BODY)
        store_u32le(bytes + AT_BODY_CRC, hash_crc32c(0, block_body(span_of(bytes, len))));
    if (what & FIX_HEAD)
        store_u32le(bytes + AT_CRC, hash_crc32c(0, span_of(bytes, AT_CRC)));
}

static void check_again(const struct block *block, struct span in)
{
    struct span rest = block_body(in);
    struct buf again = {0};
    block_begin(&again);
    for (uint32_t i = 0; i < block->entries; i++) {
        struct block_entry entry = block_take_entry(&rest);
        block_put(&again, entry.effect, entry.sealed);
    }
    for (uint32_t i = 0; i < block->counts; i++) {
        struct block_count count = block_take_counts(&rest);
        block_put_counts(&again, count.partition, &count.counts);
    }
    CHECK(rest.len == 0);
    block_close(&again, block->entries, block->counts, block->time_ms);
    CHECK(again.len == block_room(block->length));
    struct block place = *block;
    block_seal(&again, &place);
    CHECK(place.crc == block->crc);
    CHECK(span_eq(span_first(buf_span(&again), block->length), in));
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + BLOCK_HEAD)
        return 0;
    size_t len = size - 1;
    uint8_t *bytes = malloc(len); /* of its own length, so that reading past its end is seen */
    CHECK(bytes);
    memcpy(bytes, data + 1, len);
    make_right(bytes, len, data[0]);
    struct block block;
    if (block_read(span_of(bytes, len), &block) == OK && block.length <= len) {
        struct span in = span_of(bytes, block.length);
        if (block_check(&block, in) == OK)
            check_again(&block, in);
    }
    free(bytes);
    return 0;
}
