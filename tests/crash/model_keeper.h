/* model_keeper.h — the keeper's options that writer and reader of the power-cut trial share. */
#ifndef CRASH_MODEL_KEEPER_H
#define CRASH_MODEL_KEEPER_H

#include <time.h>

#include "image.h"
#include "store/embedded_dir.h"

static inline void model_fill(void *ctx, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)image_random(ctx);
}

static inline struct now model_clock(void *ctx)
{
    struct timespec t;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ms = t.tv_sec * 1000 + t.tv_nsec / 1000000;
    return (struct now){ms, ms};
}

/* Segments, a tail and a history so small that a short run turns, checkpoints, and makes and
 * removes history many times. */
static inline struct embedded_options model_keeper(uint64_t *seed)
{
    return (struct embedded_options){
        .random = {model_fill, seed},
        .clock = model_clock,
        .replay = &hub_replay,
        .tail_max = 64 << 10,
        .segment_min = 32 << 10,
        .segment_max = 64 << 10,
        .history_ms = 3600000,
        .history_size = 96 << 10,
    };
}

#endif
