/* The disk that stalls (trials F06): every sync takes seconds. Devices with fewer than sixteen
 * patches under way have their pings answered all the while, nobody is dropped or refused, the
 * hub's memory stays bounded, and every patch is answered in the end.
 *
 *   slow_disk TWINHUB FAULT_SO STALLS [SECONDS]
 */
#include "fault.h"
#include "peer.h"

#include "base/test.h"
#include "base/text.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DEVICES = 160,
    IN_FLIGHT = 15,
    PATCH = 3000, /* characters */
    PING_EVERY_MS = 50,
    SETTLE_MS = 600, /* until all that may be under way is: only then is the hub idle */
    CATCH_UP_MS = 30000,
    PING_LIMIT_MS = 100,
    MEMORY_LIMIT_MB = 64
};

struct pinger {
    struct peer peer;
    unsigned waiting;  /* patches without an answer */
    int64_t pinged_ns; /* 0: no ping is out */
    int64_t next_ns;
};

struct trial {
    struct hub hub;
    struct fault_control *fault;
    struct pinger all[DEVICES];
    int64_t *took_ns;
    size_t count, room;
    int64_t memory, peak;
    uint64_t answers;
    unsigned refused, busy;
    int64_t stalled_ns; /* since then syncs stall; INT64_MAX: they do not */
    bool patching;
};

static void connect_all(struct trial *t)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        struct peer *p = &t->all[i].peer;
        char id[16];
        snprintf(id, sizeof(id), "slow%03u", i);
        hub_create_identity(&t->hub, id, NULL);
        if (!peer_dial(p, &t->hub, HUB_MQTT, 0) ||
            peer_login(p, &(struct login_as){.device = id, .keep_alive_s = 60}) != 0 ||
            !peer_subscribe(p))
            process_fail("%s cannot connect", id);
    }
}

static void send_patch(struct pinger *g)
{
    static const struct mqtt_publish head = {
        .topic = SPAN_INIT("$iothub/twin/PATCH/properties/reported/?$rid=1")};
    static unsigned n;
    struct buf body = {0}, out = {0};
    struct mqtt_publish m = head;
    buf_printf(&body, "{\"n\":%u,\"pad\":\"", ++n);
    for (unsigned i = 0; i < PATCH; i++)
        buf_byte(&body, (uint8_t)('a' + n % 26));
    buf_text(&body, "\"}");
    m.payload = buf_span(&body);
    mqtt_publish_encode(&out, &m);
    peer_send(&g->peer, buf_span(&out));
    g->waiting++;
    buf_fini(&body);
    buf_fini(&out);
}

/* How long its ping has taken, of the time in which syncs stall. */
static void note(struct trial *t, const struct pinger *g)
{
    int64_t now = now_ns(), since = g->pinged_ns > t->stalled_ns ? g->pinged_ns : t->stalled_ns;
    if (now > since && t->count < t->room)
        t->took_ns[t->count++] = now - since;
}

static void hear(struct trial *t, struct pinger *g)
{
    static const struct span good = SPAN_INIT("$iothub/twin/res/204");
    struct mqtt_packet packet;
    struct mqtt_publish m;
    size_t used;
    while (mqtt_decode(buf_span(&g->peer.in), 1 << 20, &packet, &used) == OK) {
        if (packet.type == MQTT_PINGRESP && g->pinged_ns) {
            note(t, g);
            g->pinged_ns = 0;
        } else if (packet.type == MQTT_PUBLISH && mqtt_publish_decode(&packet, &m) == OK) {
            g->waiting--;
            t->answers++;
            t->refused += !span_starts(m.topic, good);
        }
        buf_consume(&g->peer.in, used);
    }
}

static void speak(struct trial *t, struct pinger *g)
{
    int64_t now = now_ns();
    while (t->patching && g->waiting < IN_FLIGHT && !g->peer.ended)
        send_patch(g);
    if (g->pinged_ns || now < g->next_ns)
        return;
    g->next_ns = now + PING_EVERY_MS * 1000000LL;
    g->pinged_ns = now;
    peer_send(&g->peer, SPAN("\xc0\x00"));
}

static void look_at_hub(struct trial *t)
{
    int64_t memory = hub_memory(&t->hub).anonymous;
    if (memory > t->peak)
        t->peak = memory;
    t->busy += hub_metric(&t->hub, "twinhub_store_busy") > 0;
}

static unsigned waiting(const struct trial *t)
{
    unsigned n = 0;
    for (unsigned i = 0; i < DEVICES; i++)
        n += t->all[i].waiting;
    return n;
}

/* For so long, or, when nobody patches, until every patch is answered. */
static void run(struct trial *t, int64_t ms)
{
    int64_t looked = 0, until = now_ns() + ms * 1000000;
    while (now_ns() < until && (t->patching || waiting(t))) {
        struct pollfd at[DEVICES];
        for (unsigned i = 0; i < DEVICES; i++) {
            speak(t, &t->all[i]);
            at[i] = (struct pollfd){.fd = t->all[i].peer.fd, .events = POLLIN};
        }
        if (poll(at, DEVICES, 5) > 0) {
            for (unsigned i = 0; i < DEVICES; i++) {
                if (!at[i].revents || !peer_receive(&t->all[i].peer, 0))
                    continue;
                hear(t, &t->all[i]);
            }
        }
        if (now_ns() - looked > 250000000) {
            looked = now_ns();
            look_at_hub(t);
        }
    }
}

static void stall(struct trial *t, int64_t ms)
{
    t->patching = true;
    t->stalled_ns = INT64_MAX;
    run(t, 300);
    if (!t->memory)
        t->memory = t->peak;
    atomic_store(&t->fault->sync_us, (ms + SETTLE_MS) * 1000);
    run(t, SETTLE_MS);
    t->stalled_ns = now_ns();
    run(t, ms);
    for (unsigned i = 0; i < DEVICES; i++) /* those that are still out */
        if (t->all[i].pinged_ns)
            note(t, &t->all[i]);
    t->stalled_ns = INT64_MAX;
    atomic_store(&t->fault->sync_us, 0);
    t->patching = false;
    run(t, CATCH_UP_MS);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        process_fail("usage: slow_disk TWINHUB FAULT_SO STALLS [SECONDS]");
    static struct trial t = {.room = 1 << 20};
    unsigned stalls = (unsigned)strtoul(argv[3], NULL, 10), dropped = 0;
    int64_t ms = (argc > 4 ? strtoll(argv[4], NULL, 10) : 5) * 1000;
    t.took_ns = calloc(t.room, sizeof(*t.took_ns));
    if (!t.took_ns)
        process_fail("no memory");
    hub_create(&t.hub, argv[1]);
    t.fault = fault_begin(&t.hub, argv[2]);
    hub_start(&t.hub, NULL);
    connect_all(&t);
    for (unsigned i = 0; i < stalls; i++)
        stall(&t, ms);
    for (unsigned i = 0; i < DEVICES; i++)
        dropped += t.all[i].peer.ended;
    printf("       %zu pings, %llu patches of %d bytes; the store was seen busy %u times\n",
           t.count, (unsigned long long)t.answers, PATCH, t.busy);
    /* In one short stall a hundredth of them are those of one moment. */
    if (stalls > 1)
        verdict("PINGRESP while syncs stall, p99", (double)percentile(t.took_ns, t.count, 99) / 1e6,
                "ms", PING_LIMIT_MS);
    verdict("PINGRESP while syncs stall, p90", (double)percentile(t.took_ns, t.count, 90) / 1e6,
            "ms", PING_LIMIT_MS);
    verdict("memory grown by", (double)(t.peak - t.memory) / (1 << 20), "MiB", MEMORY_LIMIT_MB);
    verdict("connections dropped", dropped, "", 0);
    verdict("patches refused", t.refused, "", 0);
    verdict("patches never answered", waiting(&t), "", 0);
    verdict_that("pings and patches were many", t.count > 100 && t.answers > DEVICES * IN_FLIGHT);
    for (unsigned i = 0; i < DEVICES; i++)
        peer_close(&t.all[i].peer);
    verdict_that("the hub ends with exit code 0", hub_end(&t.hub, SIGTERM) == 0);
    fault_end(t.fault);
    hub_destroy(&t.hub);
    free(t.took_ns);
    return verdict_exit();
}
