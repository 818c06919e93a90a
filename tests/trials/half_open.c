/* Devices that fall silent (trials F16): they neither close nor answer. Each is closed 1.5 times
 * its keep-alive after it was last heard and reported as Disconnected; its memory comes back.
 *
 *   half_open TWINHUB [DEVICES] [KEEP_ALIVE_S]
 */
#include "peer.h"

#include "devices.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    EARLIEST_MS = 1500, /* for a second of keep-alive */
    LATEST_MS = 1600,
    LOOK_MS = 200,  /* until a metric shows it, on a busy machine */
    GONE_MS = 3000, /* after the last: lingering ones too */
    GROWTH_MB = 8
};

static void connect_all(struct devices *all, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        device_connect(devices_at(all, i), 0);
    for (int64_t until = now_ns() + 20000000000LL; devices_ready(all) < count && now_ns() < until;)
        devices_turn(all, 10);
    if (devices_ready(all) < count)
        process_fail("only %zu devices connect", devices_ready(all));
}

/* A last word from each, and then nothing, not even reading. */
static void fall_silent(struct devices *all, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct device *d = devices_at(all, i);
        mqtt_pingreq_encode(device_out(d));
        device_flush(d);
        d->silent = true;
        device_pause(d, true);
    }
}

static unsigned disconnected(struct hub *h, uint32_t count)
{
    static const char mark[] = "\"connectionState\":\"Disconnected\"";
    unsigned n = 0;
    for (uint32_t i = 0; i < count; i++) {
        char id[32], path[96];
        struct span body;
        device_id("half", i, id);
        snprintf(path, sizeof(path), "/devices/%s?api-version=2021-04-12", id);
        n += service_call(&h->service, "GET", path, (struct span){0}, &body) == 200 &&
             memmem(body.data, body.len, mark, sizeof(mark) - 1);
    }
    return n;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: half_open TWINHUB [DEVICES] [KEEP_ALIVE_S]");
    uint32_t count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 200;
    uint16_t keep_alive_s = argc > 3 ? (uint16_t)strtoul(argv[3], NULL, 10) : 2;
    int64_t patience_ns = 3000000000LL * keep_alive_s;
    struct hub hub;
    process_raise_files();
    hub_create(&hub, argv[1]);
    hub_start(&hub, NULL);
    service_create_devices(&hub.service, "half", 0, count, "{}");
    struct devices *all = devices_create(&(struct devices_config){.to = hub_address(&hub, HUB_MQTT),
                                                                  .host = "localhost",
                                                                  .prefix = "half",
                                                                  .count = count,
                                                                  .subscribe = true,
                                                                  .keep_alive_s = keep_alive_s});
    /* Twice: what the first time leaves behind is what the hub keeps for good. */
    int64_t before = 0, first_ms = INT64_MAX, last_ms = INT64_MAX;
    for (int round = 0; round < 2; round++) {
        connect_all(all, count);
        int64_t began_ns = now_ns();
        fall_silent(all, count);
        int64_t silent_ns = now_ns(), connected = count, took_ms = 0;
        while (connected > 0 && now_ns() - silent_ns < patience_ns) {
            int64_t former = connected;
            connected = hub_metric(&hub, "twinhub_connected_devices");
            took_ms = (now_ns() - silent_ns) / 1000000;
            int64_t since_first_ms = (now_ns() - began_ns) / 1000000;
            if (former == count && connected < count && since_first_ms < first_ms)
                first_ms = since_first_ms;
            sleep_ms(5);
        }
        last_ms = took_ms < last_ms ? took_ms : last_ms; /* once undisturbed will do */
        for (int64_t until = now_ns() + GONE_MS * 1000000LL;
             hub_metric(&hub, "twinhub_connections") > 1 && now_ns() < until;)
            sleep_ms(20);
        if (round == 0)
            before = hub_memory(&hub).anonymous;
        for (uint32_t i = 0; i < count; i++)
            device_close(devices_at(all, i));
    }
    verdict_that("nobody is closed too early", first_ms >= EARLIEST_MS * keep_alive_s - 10);
    verdict("the last silent device is closed after", (double)last_ms, "ms",
            LATEST_MS * keep_alive_s + LOOK_MS);
    verdict("devices not reported Disconnected", count - disconnected(&hub, count), "", 0);
    verdict("connections left but this one", (double)hub_metric(&hub, "twinhub_connections") - 1,
            "", 0);
    verdict("memory kept after the second round",
            (double)(hub_memory(&hub).anonymous - before) / 1048576, "MiB", GROWTH_MB);
    devices_destroy(all);
    verdict_that("the hub ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    hub_destroy(&hub);
    return verdict_exit();
}
