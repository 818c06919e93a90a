#include "cli/store_metrics.h"

static const struct {
    size_t offset;
    const char *name, *type, *help;
} rows[] = {
/* clang-format off */
#define ROW(field, name, type, help) {offsetof(struct embedded_stats, field), name, type, help}
    ROW(tail,         "twinhub_journal_tail_bytes",       "gauge",   "journal that a start would replay"),
    ROW(tail_max,     "twinhub_journal_tail_max_bytes",   "gauge",   "its bound (--journal-tail)"),
    ROW(hot,          "twinhub_hot_bytes",                "gauge",   "memory of records the base lacks"),
    ROW(hot_max,      "twinhub_hot_max_bytes",            "gauge",   "its bound (--hot-memory)"),
    ROW(position,     "twinhub_journal_position_bytes",   "counter", "the end of the journal that is durable"),
    ROW(blocks,       "twinhub_journal_blocks_total",     "counter", "blocks written"),
    ROW(groups,       "twinhub_journal_syncs_total",      "counter", "syncs, each of a group of blocks"),
    ROW(bytes,        "twinhub_journal_bytes_total",      "counter", "bytes written"),
    ROW(replayed,     "twinhub_journal_replayed_blocks",  "gauge",   "blocks replayed at the start"),
    ROW(checkpointing, "twinhub_checkpoint_running",      "gauge",   "1 while a checkpoint is under way"),
    ROW(checkpoints,  "twinhub_checkpoints_total",        "counter", "whole checkpoints"),
    ROW(checkpointed, "twinhub_checkpoint_records_total", "counter", "records they brought to the base"),
    ROW(history_files,   "twinhub_history_files",             "gauge",   "files of history"),
    ROW(history_bytes,   "twinhub_history_bytes",             "gauge",   "their size"),
    ROW(history_dropped, "twinhub_history_dropped_total",     "counter", "segments not kept as history for want of space"),
    ROW(history_kept,    "twinhub_history_stuck_segments",    "gauge",   "segments that could not be made history"),
    ROW(history_errors,  "twinhub_history_errors_total",      "counter", "disk errors while history was made or removed"),
#undef ROW
    /* clang-format on */
};

void store_metrics_put(struct buf *b, struct embedded *keeper)
{
    struct embedded_stats stats;
    embedded_stats(keeper, &stats);
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t value;
        memcpy(&value, (const uint8_t *)&stats + rows[i].offset, sizeof(value));
        buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", rows[i].name, rows[i].help,
                   rows[i].name, rows[i].type, rows[i].name, (unsigned long long)value);
    }
}
