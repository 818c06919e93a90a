#include "machine.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/test.h"
#include "sim_base.h"
#include "store/embedded.h"

enum { PATIENCE_MS = 10000 };

_Static_assert((int)MACHINE_JOURNAL == (int)ACTOR_JOURNAL, "the same actor");
_Static_assert((int)MACHINE_ACTORS == (int)ACTORS, "the same number of them");

static void plant(struct machine *m, enum fault fault)
{
    static const enum sim_base_fault of_base[FAULT_COUNT] = {
        [FAULT_BASE_NO_SYNC] = SIM_BASE_LOST_SYNC,
        [FAULT_BASE_TORN] = SIM_BASE_TORN,
        [FAULT_BASE_LOST_RECORD] = SIM_BASE_LOST_RECORD,
        [FAULT_BASE_LOST_DELETE] = SIM_BASE_LOST_DELETE,
        [FAULT_BASE_STALE] = SIM_BASE_STALE,
    };
    m->disk.no_sync = fault == FAULT_DISK_NO_SYNC;
    m->disk.no_names = fault == FAULT_DISK_NO_NAMES;
    m->base->fault = of_base[fault];
#ifdef TWINHUB_FAULTS
    store_fault_planted = STORE_FAULT_NONE;
#define X(name, text)          \
    if (fault == FAULT_##name) \
        store_fault_planted = STORE_FAULT_##name;
    STORE_FAULTS(X)
#undef X
#endif
}

void machine_init(struct machine *m, const struct machine_options *options)
{
    *m = (struct machine){.options = *options, .power = {.seed = options->seed ^ 0x5eed}};
    sim_disk_init(&m->disk, &m->power);
    m->base = calloc(1, sizeof(*m->base));
    if (!m->base)
        check_no_memory();
    sim_base_init(m->base, &m->power);
    m->disk.keep = true;
    plant(m, options->fault);
    random_fill(options->random, m->hub_id, sizeof(m->hub_id));
    random_fill(options->random, m->master_key, sizeof(m->master_key));
}

void machine_fini(struct machine *m)
{
    CHECK(!m->env);
    m->stats.segments = m->disk.renames;
    m->stats.undone = m->base->undone;
    m->stats.failures = m->disk.failures + m->base->failures;
    m->stats.full = m->disk.refused + m->base->refused;
    m->disk_hash = m->disk.hash;
    m->base_hash = m->base->hash;
    sim_disk_fini(&m->disk);
    sim_base_fini(m->base);
    free(m->base);
}

static void close_env(struct machine *m, int64_t patience_ms)
{
    struct embedded_stats stats;
    embedded_stats(m->env, &stats);
    m->stats.groups += stats.groups;
    m->stats.checkpoints += stats.checkpoints;
    m->stats.checkpointed += stats.checkpointed;
    m->stats.replayed += stats.replayed;
    embedded_close(m->env, patience_ms);
    m->env = NULL;
    base_close(m->base_handle);
    CHECK(m->disk.open == 0);
}

static void light(struct machine *m, bool cut)
{
    CHECK(!m->base->open);
    CHECK(m->disk.open == 0);
    if (cut) {
        sim_disk_cut(&m->disk);
        sim_base_cut(m->base);
    } else {
        sim_disk_kill(&m->disk);
        sim_base_kill(m->base);
    }
    sim_power_restore(&m->power);
}

void machine_free(struct machine *m)
{
    m->disk.room = 0;
    m->base->full = false;
}

static enum status open_env(struct machine *m, struct buf *why)
{
    struct embedded_options o = {
        .random = m->options.random,
        .clock = m->options.clock,
        .clock_ctx = m->options.clock_ctx,
        .replay = &hub_replay,
        .master_key = m->master_key,
        .epoch = 1,
        .partitions = m->options.partitions,
        .async = m->options.async,
        .stepped = true,
        .has_journal = m->made,
        .tail_max = m->options.tail_max,
        .hot_max = m->options.hot_max,
        .history_ms = m->options.history_ms,
        .history_size = m->options.history_size,
        .segment_min = m->options.segment_min,
        .segment_max = m->options.segment_max,
    };
    memcpy(o.hub_id, m->hub_id, sizeof(o.hub_id));
    m->stats.starts++;
    m->base_handle = sim_base_open(m->base);
    return embedded_open(&o, &m->disk.disk, m->base_handle, &m->env, why);
}

/* It did not start: was that the machine's fault? */
static void excuse(struct machine *m, enum status st, const struct buf *why)
{
    if (m->power.dark) {
        m->stats.starts_cut++;
        light(m, !m->options.async && test_random(&m->power.seed) % 2);
    } else if (st == STORAGE_FULL && m->base->full) {
        machine_free(m);
    } else {
        fprintf(stderr, "the hub does not start: %s: %.*s\n", status_name(st), SPAN_ARG(*why));
        CHECK(st == OK);
    }
}

void machine_start(struct machine *m)
{
    struct buf why = {0};
    CHECK(!m->env);
    for (bool up = false; !up;) {
        if (m->start_cuts) {
            m->start_cuts--;
            m->power.left = 1 + test_random(&m->power.seed) % 12;
        }
        buf_clear(&why);
        enum status st = open_env(m, &why);
        m->power.left = 0;
        up = st == OK && !m->power.dark;
        if (st == OK && !up)
            close_env(m, 0);
        if (st != OK)
            base_close(m->base_handle);
        if (!up)
            excuse(m, st, &why);
    }
    m->made = true;
    buf_fini(&why);
}

struct store *machine_shard(struct machine *m, unsigned index, unsigned count)
{
    return embedded_shard(m->env, index, count);
}

bool machine_step(struct machine *m, unsigned actor)
{
    return !m->power.dark && embedded_step(m->env, (enum embedded_actor)actor);
}

void machine_fill(struct machine *m, uint64_t left)
{
    m->disk.room = sim_disk_used(&m->disk) + left + 1;
    m->base->full = true;
}

void machine_fail(struct machine *m, bool base, uint64_t n)
{
    if (base)
        m->base->fail_in = n;
    else
        m->disk.fail_in = n;
    m->disk.once = test_random(&m->power.seed) % 2;
}

void machine_stop(struct machine *m)
{
    close_env(m, PATIENCE_MS);
    if (test_random(&m->power.seed) % 2)
        light(m, true);
}

void machine_dark(struct machine *m)
{
    m->power.dark = true;
}

void machine_down(struct machine *m, bool cut)
{
    close_env(m, 0);
    light(m, cut);
}
