/* replay_fixture.h — for tests: changes that say no more than the record they lead to.
 *
 *   partition (4)  seq (8)  is there a record (1)  device length (1)  module length (1)
 *   device  module  body
 */
#ifndef STORE_REPLAY_FIXTURE_H
#define STORE_REPLAY_FIXTURE_H

#include "base/buf.h"
#include "hub/replay.h"

enum { FIXTURE_EFFECT_HEAD = 15 };

/* The effect of `c`, in `effect`; its secret part is the record's. */
static inline void fixture_effect(struct store_change *c, struct buf *effect)
{
    buf_clear(effect);
    buf_u32le(effect, c->key.partition);
    buf_u64le(effect, c->seq);
    buf_byte(effect, c->record != NULL);
    buf_byte(effect, (uint8_t)c->key.device.len);
    buf_byte(effect, (uint8_t)c->key.module.len);
    buf_put(effect, c->key.device);
    buf_put(effect, c->key.module);
    if (c->record)
        buf_put(effect, record_body(c->record));
    c->effect = buf_span(effect);
    c->secret = c->record ? record_secret(c->record) : span_of(NULL, 0);
}

static inline enum status fixture_replay_head(struct span effect, struct replay_head *out)
{
    if (effect.len < FIXTURE_EFFECT_HEAD)
        return DAMAGED;
    size_t device = effect.data[13], module = effect.data[14];
    if (effect.len < FIXTURE_EFFECT_HEAD + device + module)
        return DAMAGED;
    *out = (struct replay_head){
        .key = {load_u32le(effect.data),
                device ? span_of(effect.data + FIXTURE_EFFECT_HEAD, device) : span_of(NULL, 0),
                module ? span_of(effect.data + FIXTURE_EFFECT_HEAD + device, module)
                       : span_of(NULL, 0)},
        .seq = load_u64le(effect.data + 4),
        .time_ms = 1000,
    };
    return OK;
}

static inline enum status fixture_replay_apply(struct record *before, struct span effect,
                                               struct span secret, struct arena *a,
                                               struct record **out)
{
    struct replay_head head;
    (void)before;
    (void)a;
    TRY(fixture_replay_head(effect, &head));
    *out = NULL;
    if (!effect.data[12])
        return OK;
    struct span body =
        span_skip(effect, FIXTURE_EFFECT_HEAD + head.key.device.len + head.key.module.len);
    *out = record_create(body.len, secret.len);
    if (body.len)
        memcpy((*out)->bytes, body.data, body.len);
    if (secret.len)
        memcpy((*out)->bytes + body.len, secret.data, secret.len);
    return OK;
}

static const struct replay fixture_replay
    __attribute__((unused)) = {.head = fixture_replay_head, .apply = fixture_replay_apply};

#endif
