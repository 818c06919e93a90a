#include "hub/hub_record.h"

#include "store/store.h"

/* The head of change.c: format, kind, flags, device length, module length, zero, features u16,
 * partition u32, seq, generation, time, three counters. What a hub record has not is zero. */
enum { FORMAT = 1, HEAD = 60, AT_MODULE_LEN = 4, AT_SEQ = 12, AT_TIME = 28 };

void hub_record_change(struct span kind, const struct record *after, uint64_t seq, int64_t time_ms,
                       struct buf *effect, struct buf *secret)
{
    uint8_t head[HEAD] = {[0] = FORMAT, [1] = CHANGE_HUB, [AT_MODULE_LEN] = (uint8_t)kind.len};
    CHECK(kind.len > 0);
    CHECK(kind.len <= UINT8_MAX);
    store_u64le(head + AT_SEQ, seq);
    store_u64le(head + AT_TIME, (uint64_t)time_ms);
    buf_put(effect, span_of(head, sizeof(head)));
    buf_put(effect, kind);
    buf_put(effect, record_body(after));
    buf_put(secret, record_secret(after));
}

enum status hub_record_head(struct span effect, struct span *kind, uint64_t *seq, int64_t *time_ms)
{
    if (effect.len < HEAD || effect.data[0] != FORMAT || effect.data[1] != CHANGE_HUB)
        return DAMAGED;
    size_t kind_len = effect.data[AT_MODULE_LEN];
    if (kind_len == 0 || kind_len > STORE_ID_MAX || effect.len - HEAD < kind_len)
        return DAMAGED;
    *kind = span_of(effect.data + HEAD, kind_len);
    *seq = load_u64le(effect.data + AT_SEQ);
    *time_ms = (int64_t)load_u64le(effect.data + AT_TIME);
    return OK;
}

enum status hub_record_apply(struct span effect, struct span secret, struct span *kind,
                             struct record **record)
{
    uint64_t seq;
    int64_t time_ms;
    TRY(hub_record_head(effect, kind, &seq, &time_ms));
    size_t at = HEAD + kind->len, body_len = effect.len - at;
    *record = record_create(body_len, secret.len);
    if (body_len)
        memcpy((*record)->bytes, effect.data + at, body_len);
    if (secret.len)
        memcpy((*record)->bytes + body_len, secret.data, secret.len);
    return OK;
}
