/* A start with many twins (trials F01): killed with kill -9 while it writes, a hub of 100,000
 * devices answers again within two seconds, with the last acknowledged change of each that was
 * written.
 *
 *   start TWINHUB [DEVICES] [ROUNDS]
 */
#include "hub.h"

#include "base/buf.h"
#include "devices.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEVICES = 2000, ROUNDS = 2, LIMIT_MS = 2000, WRITTEN = 1000, LOOKS = 50 };

static const char prefix[] = "start-";

/* Has the device the desired patch of this round? */
static bool has_round(struct hub *h, uint32_t index, unsigned round)
{
    char id[32], path[96], mark[32];
    struct span body;
    device_id(prefix, index, id);
    snprintf(path, sizeof(path), "/twins/%s?api-version=2021-04-12", id);
    int n = snprintf(mark, sizeof(mark), "\"round\":%u", round);
    return service_call(&h->service, "GET", path, (struct span){0}, &body) == 200 &&
           memmem(body.data, body.len, mark, (size_t)n) != NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: start TWINHUB [DEVICES] [ROUNDS]");
    uint32_t count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : DEVICES;
    unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : ROUNDS;
    uint32_t written = count < WRITTEN ? count : WRITTEN;
    int64_t *took_ms = calloc(rounds, sizeof(*took_ms));
    unsigned missing = 0;
    double cpu_s = 0;
    struct hub hub;
    if (!took_ms || !written)
        process_fail("nothing to do");
    hub_create(&hub, argv[1]);
    hub_start(&hub, NULL);
    service_create_devices(&hub.service, prefix, 0, count, "{\"rate\":30}");
    for (unsigned round = 1; round <= rounds; round++) {
        for (uint32_t at = 0; at < written; at += SERVICE_BULK_MAX)
            service_mark_devices(&hub.service, prefix, at,
                                 written - at < SERVICE_BULK_MAX ? written - at : SERVICE_BULK_MAX,
                                 round, 20);
        hub_end(&hub, SIGKILL);
        took_ms[round - 1] = hub_start(&hub, NULL);
        double cpu = process_cpu_s(hub.pid);
        cpu_s = cpu > cpu_s ? cpu : cpu_s;
        for (unsigned i = 0; i < LOOKS; i++)
            missing += !has_round(&hub, i * written / LOOKS, round);
    }
    printf("%u rounds, %u devices; at most %.0f ms of CPU until ready\n", rounds, count,
           1000 * cpu_s);
    verdict("acknowledged changes missing", missing, "", 0);
    verdict_that("all devices are there", hub_metric(&hub, "twinhub_devices") == count);
    verdict_times("time to ready", took_ms, rounds, LIMIT_MS);
    verdict_that("the hub ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    hub_destroy(&hub);
    free(took_ms);
    return verdict_exit();
}
