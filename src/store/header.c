#include "store/header.h"

#include "base/hash.h"
#include "store/epoch.h"
#include "store/store.h"

static const uint8_t magic[8] = "twinhub\n";

enum { AT_FORMAT = 8, AT_LEN = 12, AT_FEATURES = 16, AT_HUB_ID = 24, AT_EPOCH = 40 };
enum { AT_PARTITIONS = 48, AT_KEY_CHECK = 56, AT_MINUTE = 84, AT_CRC = 124 };
_Static_assert(AT_KEY_CHECK + SEAL_EXTRA <= AT_MINUTE, "the key check fits");

void header_encode(const struct header *h, uint8_t out[HEADER_BYTES])
{
    memset(out, 0, HEADER_BYTES);
    memcpy(out, magic, sizeof(magic));
    store_u32le(out + AT_FORMAT, HEADER_FORMAT);
    store_u32le(out + AT_LEN, HEADER_BYTES);
    store_u64le(out + AT_FEATURES, h->features);
    memcpy(out + AT_HUB_ID, h->hub_id, sizeof(h->hub_id));
    store_u64le(out + AT_EPOCH, h->epoch);
    store_u32le(out + AT_PARTITIONS, h->partitions);
    memcpy(out + AT_KEY_CHECK, h->key_check, sizeof(h->key_check));
    store_u64le(out + AT_MINUTE, h->epoch_minute);
    store_u32le(out + AT_CRC, hash_crc32c(0, span_of(out, AT_CRC)));
}

static enum status refuse_features(uint64_t unknown, struct buf *why)
{
    buf_text(why, "uses features this twinhub does not know (bits");
    for (unsigned bit = 0; bit < 64; bit++) {
        if (unknown >> bit & 1)
            buf_printf(why, " %u", bit);
    }
    buf_text(why, "); start the version of twinhub that wrote it");
    return BAD_ARGUMENT;
}

enum status header_decode(struct span in, struct header *out, struct buf *why)
{
    if (in.len < HEADER_BYTES || memcmp(in.data, magic, sizeof(magic)) != 0) {
        buf_text(why, "is not the header of a twinhub data directory");
        return DAMAGED;
    }
    if (load_u32le(in.data + AT_CRC) != hash_crc32c(0, span_of(in.data, AT_CRC))) {
        buf_text(why, "is damaged: its checksum does not match; restore it from a backup");
        return DAMAGED;
    }
    uint32_t format = load_u32le(in.data + AT_FORMAT);
    if (format > HEADER_FORMAT) {
        buf_printf(why,
                   "was written by a newer twinhub (format %u; this one reads up to %d); "
                   "start that version, or restore a backup made before the upgrade",
                   format, HEADER_FORMAT);
        return BAD_ARGUMENT;
    }
    uint64_t features = load_u64le(in.data + AT_FEATURES);
    uint64_t unknown = features & ~(uint64_t)HEADER_FEATURES;
    if (unknown)
        return refuse_features(unknown, why);
    uint32_t partitions = load_u32le(in.data + AT_PARTITIONS);
    uint64_t minute = load_u64le(in.data + AT_MINUTE);
    if (format == 0 || in.len != HEADER_BYTES || load_u32le(in.data + AT_LEN) != HEADER_BYTES ||
        partitions == 0 || partitions > STORE_PARTITIONS_MAX || minute > EPOCH_MINUTE_MAX) {
        buf_text(why, "is damaged: it holds values no twinhub writes");
        return DAMAGED;
    }
    *out = (struct header){
        .features = features,
        .epoch = load_u64le(in.data + AT_EPOCH),
        .epoch_minute = minute,
        .partitions = partitions,
    };
    memcpy(out->hub_id, in.data + AT_HUB_ID, sizeof(out->hub_id));
    memcpy(out->key_check, in.data + AT_KEY_CHECK, sizeof(out->key_check));
    return OK;
}
