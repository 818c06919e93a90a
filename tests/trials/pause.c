/* The hub that stands still (trials F11): it is stopped for a while, as a virtual machine may be,
 * with requests under way. When it goes on nobody is dropped who has spoken meanwhile, everything
 * is answered, and what was acknowledged is there: also when it is killed while it stands.
 *
 *   pause TWINHUB ROUNDS SECONDS [SEED]
 */
#include "kill_load.h"
#include "peer.h"

#include "base/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { KEEP_S = 2, SPEAK_MS = 500, ANSWER_MS = 10000, RUN_MS = 300 };

struct trial {
    struct hub hub;
    struct load load;
    struct peer talker; /* its keep-alive is shorter than the pause */
    uint64_t seed;
    unsigned dropped, unanswered;
};

static void connect_talker(struct trial *t)
{
    if (!peer_dial(&t->talker, &t->hub, HUB_MQTT, 0) ||
        peer_login(&t->talker, &(struct login_as){.device = "talker", .keep_alive_s = KEEP_S}) !=
            0 ||
        !peer_subscribe(&t->talker))
        process_fail("the talker cannot connect");
}

/* It speaks on while nobody listens. */
static void stand_still(struct trial *t, int64_t ms)
{
    kill(t->hub.pid, SIGSTOP);
    for (int64_t until = now_ns() + ms * 1000000; now_ns() < until; sleep_ms(SPEAK_MS))
        peer_try_send(&t->talker, SPAN("\xc0\x00"));
}

static bool is_answered(struct trial *t)
{
    struct mqtt_packet packet;
    while (peer_packet(&t->talker, &packet, ANSWER_MS))
        if (packet.type == MQTT_PINGRESP)
            return peer_report(&t->talker, "{\"a\":1}", ANSWER_MS) == 204;
    return false;
}

static void pause_once(struct trial *t, int64_t ms, bool end)
{
    struct load *l = &t->load;
    load_connect(l);
    while (!load_is_ready(l) && l->open)
        load_run(l, 2);
    load_run(l, RUN_MS + (int64_t)(test_random(&t->seed) % RUN_MS));
    unsigned open = l->open;
    connect_talker(t);
    stand_still(t, ms);
    if (end) {
        hub_end(&t->hub, SIGKILL);
        load_drain(l);
    } else {
        kill(t->hub.pid, SIGCONT);
        t->unanswered += !is_answered(t);
        t->dropped += t->talker.ended;
        load_run(l, 2000);
        t->unanswered += !load_drain(l);
        t->dropped += open - l->open;
    }
    load_close(l);
    peer_close(&t->talker);
    if (end)
        hub_start(&t->hub, NULL);
    load_verify(l);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        process_fail("usage: pause TWINHUB ROUNDS SECONDS [SEED]");
    static struct trial t;
    unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
    int64_t ms = strtoll(argv[3], NULL, 10) * 1000;
    t.seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)time(NULL);
    hub_create(&t.hub, argv[1]);
    load_init(&t.load, &t.hub, t.seed + 1);
    hub_start(&t.hub, NULL);
    load_create_twins(&t.load);
    hub_create_identity(&t.hub, "talker", NULL);
    for (unsigned round = 0; round < rounds; round++)
        pause_once(&t, ms, round % 3 == 2);
    printf("%u rounds of %lld s; acknowledged: %llu reported, %llu desired\n", rounds,
           (long long)ms / 1000, (unsigned long long)t.load.acked[REPORTED],
           (unsigned long long)t.load.acked[DESIRED]);
    verdict("connections dropped that had spoken meanwhile", t.dropped, "", 0);
    verdict("who were not answered afterwards", t.unanswered, "", 0);
    verdict("changes lost, doubled or torn", t.load.wrong, "", 0);
    verdict_that("the hub ends with exit code 0", hub_end(&t.hub, SIGTERM) == 0);
    load_fini(&t.load);
    hub_destroy(&t.hub);
    return verdict_exit();
}
