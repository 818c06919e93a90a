/* Descriptors that run out (trials F09): a hub that may open 256 files, and a thousand peers that
 * connect. Those who were there keep their connections and are served, the store goes on opening
 * its files, SIGHUP changes nothing; and a second after the peers have gone a device can connect
 * again.
 *
 *   few_files TWINHUB [SECONDS]
 */
#include "peer.h"

#include "base/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    FILES = 256,
    PEERS = 1000,
    DEVICES = 20,
    ANSWER_MS = 5000,
    AGAIN_LIMIT_MS = 1000,
    AGAIN_BUSY_MS = 5000, /* beside other tests */
    WITHIN_MS = 10000
};

struct trial {
    struct hub hub;
    struct good good;
    struct peer devices[DEVICES];
    int peers[PEERS];
    unsigned refused; /* patches */
};

static void connect_devices(struct trial *t)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "few%02u", i);
        hub_create_identity(&t->hub, id, NULL);
        if (!peer_dial(&t->devices[i], &t->hub, HUB_MQTT, 0) ||
            peer_login(&t->devices[i], &(struct login_as){.device = id}) != 0 ||
            !peer_subscribe(&t->devices[i]))
            process_fail("%s cannot connect", id);
    }
}

static void connect_peers(struct trial *t)
{
    struct sockaddr_in to = hub_address(&t->hub, HUB_MQTT);
    for (unsigned i = 0; i < PEERS; i++) {
        t->peers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (t->peers[i] < 0)
            process_fail("socket: %s", strerror(errno));
        if (connect(t->peers[i], (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
            process_fail("connect: %s", strerror(errno));
    }
}

static void converse(struct trial *t, int64_t ms)
{
    for (int64_t until = now_ns() + ms * 1000000; now_ns() < until;) {
        for (unsigned i = 0; i < DEVICES; i++)
            t->refused += peer_report(&t->devices[i], "{\"a\":1}", ANSWER_MS) != 204;
        good_round(&t->good);
    }
}

/* Until a device that connects now is welcome. */
static int64_t welcome_ms(struct trial *t)
{
    int64_t began = now_ns();
    struct peer p;
    hub_create_identity(&t->hub, "late", NULL);
    if (!peer_dial(&p, &t->hub, HUB_MQTT, 0) ||
        peer_login(&p, &(struct login_as){.device = "late"}) != 0)
        process_fail("a late device is not let in");
    peer_close(&p);
    return (now_ns() - began) / 1000000;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: few_files TWINHUB [SECONDS]");
    static const char *const limit[] = {"/usr/bin/prlimit", "--nofile=256:256", NULL};
    static struct trial t;
    int64_t ms = (argc > 2 ? strtoll(argv[2], NULL, 10) : 2) * 1000;
    unsigned dropped = 0;
    process_raise_files();
    hub_create(&t.hub, argv[1]);
    t.hub.trace = limit;
    hub_start(&t.hub, NULL);
    good_init(&t.good, &t.hub);
    connect_devices(&t);
    converse(&t, ms / 2);
    int64_t before = hub_metric(&t.hub, "twinhub_connections");
    connect_peers(&t);
    int64_t within = 0;
    for (int64_t until = now_ns() + WITHIN_MS * 1000000LL; within <= FILES / 2 && now_ns() < until;
         sleep_ms(100))
        within = hub_metric(&t.hub, "twinhub_connections");
    kill(t.hub.pid, SIGHUP);
    converse(&t, ms);
    for (unsigned i = 0; i < PEERS; i++)
        close(t.peers[i]);
    double again_ms = (double)welcome_ms(&t);
    converse(&t, ms / 2);
    for (unsigned i = 0; i < DEVICES; i++)
        dropped += t.devices[i].ended;
    printf("       %lld connections before, %lld while %d peers wanted in\n", (long long)before,
           (long long)within, PEERS);
    verdict("established connections dropped", dropped, "", 0);
    verdict("patches refused", t.refused, "", 0);
    verdict("good calls that failed", t.good.failed, "", 0);
    verdict_that("descriptors had run out", within > FILES / 2 && within < FILES);
    verdict("from the peers' going to a device that connects", again_ms, "ms",
            argc > 2 ? AGAIN_LIMIT_MS : AGAIN_BUSY_MS);
    for (unsigned i = 0; i < DEVICES; i++)
        peer_close(&t.devices[i]);
    good_fini(&t.good);
    verdict_that("the hub ends with exit code 0", hub_end(&t.hub, SIGTERM) == 0);
    hub_destroy(&t.hub);
    return verdict_exit();
}
