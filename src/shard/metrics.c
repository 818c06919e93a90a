#include "shard/internal.h"

/* One row a metric: where it is in the totals, its name and help. */
static const struct {
    size_t offset;
    const char *name, *type, *help;
} metrics[] = {
/* clang-format off */
#define ROW(field, name, type, help) {offsetof(struct shard_totals, field), name, type, help}
    ROW(devices,           "twinhub_devices",                 "gauge",   "registered devices"),
    ROW(disabled,          "twinhub_devices_disabled",        "gauge",   "devices that are disabled"),
    ROW(modules,           "twinhub_modules",                 "gauge",   "registered modules"),
    ROW(connections,       "twinhub_connections",             "gauge",   "open connections of every kind"),
    ROW(connected_devices, "twinhub_connected_devices",       "gauge",   "devices connected by MQTT"),
    ROW(connected_modules, "twinhub_connected_modules",       "gauge",   "modules connected by MQTT"),
    ROW(connects,          "twinhub_connects_total",          "counter", "accepted CONNECTs"),
    ROW(refused_connects,  "twinhub_connects_refused_total",  "counter", "refused CONNECTs"),
    ROW(messages,          "twinhub_messages_total",          "counter", "telemetry messages accepted"),
    ROW(message_bytes,     "twinhub_message_bytes_total",     "counter", "their payloads and properties"),
    ROW(wills,             "twinhub_wills_total",             "counter", "wills of connections that broke"),
    ROW(twin_reads,        "twinhub_twin_reads_total",        "counter", "twins read by their device or module"),
    ROW(twin_reports,      "twinhub_twin_reports_total",      "counter", "reported patches answered"),
    ROW(desired_pushes,    "twinhub_desired_pushes_total",    "counter", "desired patches sent"),
    ROW(requests,          "twinhub_requests_total",          "counter", "REST requests answered"),
    ROW(refused_requests,  "twinhub_requests_refused_total",  "counter", "of these, refused"),
    ROW(changes,           "twinhub_changes_total",           "counter", "changes handed to the store"),
    ROW(batches,           "twinhub_batches_total",           "counter", "batches committed"),
    ROW(bytes_in,          "twinhub_received_bytes_total",    "counter", "plain bytes received"),
    ROW(bytes_out,         "twinhub_sent_bytes_total",        "counter", "plain bytes sent"),
    ROW(store_busy,        "twinhub_store_busy",              "gauge",   "1 while changes wait for the store"),
    ROW(store_no_space,    "twinhub_store_no_space",          "gauge",   "1 while changes are refused for want of space"),
    ROW(refused_writes,    "twinhub_changes_refused_total",   "counter", "changes refused for want of space"),
#undef ROW
    /* clang-format on */
};

static uint64_t read_total(const struct shard_totals *t, size_t offset)
{
    const void *at = (const uint8_t *)t + offset;
    return atomic_load_explicit((const _Atomic uint64_t *)at, memory_order_relaxed);
}

void metrics_put(struct buf *b, const struct cluster *cluster)
{
    for (size_t m = 0; m < COUNT(metrics); m++) {
        buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", metrics[m].name, metrics[m].help,
                   metrics[m].name, metrics[m].type);
        for (unsigned i = 0; i < cluster->count; i++)
            buf_printf(
                b, "%s{shard=\"%u\"} %llu\n", metrics[m].name, i,
                (unsigned long long)read_total(&cluster->shards[i]->totals, metrics[m].offset));
    }
    buf_text(b, "# HELP twinhub_closed_total connections ended, by reason\n"
                "# TYPE twinhub_closed_total counter\n");
    for (int st = 0; st < STATUS_COUNT; st++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < cluster->count; i++)
            sum += read_total(&cluster->shards[i]->totals, offsetof(struct shard_totals, closed) +
                                                               (size_t)st * sizeof(uint64_t));
        if (sum)
            buf_printf(b, "twinhub_closed_total{why=\"%s\"} %llu\n", status_name((enum status)st),
                       (unsigned long long)sum);
    }
    if (cluster->put_metrics)
        cluster->put_metrics(cluster->ctx, b);
    buf_printf(b,
               "# HELP twinhub_durability_sync 1 when replies wait for the disk\n"
               "# TYPE twinhub_durability_sync gauge\ntwinhub_durability_sync %d\n",
               !cluster->async);
    buf_printf(b, "# HELP twinhub_info the version\n# TYPE twinhub_info gauge\n"
                  "twinhub_info{version=\"" TWINHUB_VERSION "\"} 1\n");
}

void metrics_put_ready(struct buf *b, const struct cluster *cluster)
{
    buf_printf(b,
               "{\"status\":\"ready\",\"durability\":\"%s\",\"version\":\"" TWINHUB_VERSION "\"}",
               cluster->async ? "async" : "sync");
}

void totals_publish(struct shard *s)
{
    struct shard_totals *t = &s->totals;
    uint64_t devices = 0, disabled = 0, modules = 0;
    for (uint32_t p = s->index; p < s->cluster->partitions; p += s->cluster->count) {
        devices += s->hub.parts[p].devices;
        disabled += s->hub.parts[p].disabled;
        modules += s->hub.parts[p].modules;
    }
    atomic_store_explicit(&t->devices, devices, memory_order_relaxed);
    atomic_store_explicit(&t->disabled, disabled, memory_order_relaxed);
    atomic_store_explicit(&t->modules, modules, memory_order_relaxed);
    atomic_store_explicit(&t->connections, s->conn_count, memory_order_relaxed);
}
