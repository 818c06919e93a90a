#include "store/key.h"

_Static_assert((int)KEY_MARK >= (int)STORE_PARTITIONS_MAX, "no partition has the key of the mark");

static void put_partition(struct key *k, uint32_t partition)
{
    CHECK(partition < STORE_PARTITIONS_MAX);
    k->bytes[0] = (uint8_t)(partition >> 8);
    k->bytes[1] = (uint8_t)partition;
    k->len = 2;
}

static void put_id(struct key *k, struct span id)
{
    CHECK(id.len <= STORE_ID_MAX);
    CHECK(span_index(id, 0) == id.len);
    if (id.len)
        memcpy(k->bytes + k->len, id.data, id.len);
    k->len += id.len;
}

void key_encode(struct key *out, const struct store_key *key)
{
    CHECK(key->device.len || key->module.len);
    CHECK(key->device.len || key->partition == 0);
    put_partition(out, key->partition);
    put_id(out, key->device);
    out->bytes[out->len++] = 0;
    put_id(out, key->module);
}

void key_counts(struct key *out, uint32_t partition)
{
    put_partition(out, partition);
    out->bytes[out->len++] = 0;
}

void key_mark(struct key *out)
{
    *out = (struct key){
        .bytes = {KEY_MARK >> 8, KEY_MARK & 0xff, 0},
          .len = 3
    };
}

bool key_is_own(struct span key)
{
    return key.len == 3 && key.data[2] == 0;
}

void key_first_device(struct key *out, uint32_t partition)
{
    put_partition(out, partition);
    out->bytes[out->len++] = 1;
}

struct span key_device_prefix(struct span key)
{
    return span_first(key, 2 + span_index(span_skip(key, 2), 0) + 1);
}

bool key_decode(struct span bytes, struct store_key *out)
{
    if (bytes.len < 3)
        return false;
    uint32_t partition = (uint32_t)bytes.data[0] << 8 | bytes.data[1];
    struct span rest = span_skip(bytes, 2);
    size_t end = span_index(rest, 0);
    if (partition >= STORE_PARTITIONS_MAX || end == rest.len)
        return false;
    struct span device = span_first(rest, end), module = span_skip(rest, end + 1);
    if (device.len > STORE_ID_MAX || module.len > STORE_ID_MAX ||
        span_index(module, 0) != module.len)
        return false;
    if (device.len == 0 && (module.len == 0 || partition != 0))
        return false;
    *out = (struct store_key){partition, device, module};
    return true;
}
