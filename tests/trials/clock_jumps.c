/* The clock that jumps (trials F10): an hour and ten years ahead and back, and then it stands
 * still. Nobody is dropped, keep-alives go by their own clock, a twin's stamps never go back, and
 * tokens that have time left are good.
 *
 *   clock_jumps TWINHUB FAULT_SO [SECONDS]
 */
#include "fault.h"
#include "peer.h"

#include "base/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DEVICES = 10, KEEP_S = 2, ANSWER_MS = 5000 };

#define HOUR_MS 3600000LL
#define YEAR_MS (365 * 24 * HOUR_MS)

static const struct {
    const char *name;
    int64_t ms;
    bool stuck;
} jumps[] = {
    {"an hour ahead",     HOUR_MS,       false},
    {"and back",          0,             false},
    {"an hour back",      -HOUR_MS,      false},
    {"ten years ahead",   10 * YEAR_MS,  false},
    {"twenty years back", -10 * YEAR_MS, false},
    {"standing still",    0,             true },
    {"as it should be",   0,             false},
};

struct trial {
    struct hub hub;
    struct fault_control *fault;
    struct peer devices[DEVICES];
    char stamps[DEVICES][40]; /* the newest one seen of each twin */
    unsigned wrong, stamps_back, refused, unwelcome;
};

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool login(struct trial *t, struct peer *p, unsigned i)
{
    char id[16];
    snprintf(id, sizeof(id), "clock%02u", i);
    return peer_dial(p, &t->hub, HUB_MQTT, 0) &&
           peer_login(p, &(struct login_as){.device = id,
                                            .keep_alive_s = KEEP_S,
                                            .expiry_s = time(NULL) + 30 * YEAR_MS / 1000}) == 0 &&
           peer_subscribe(p);
}

/* $lastUpdated of the reported section: ISO 8601, so that text order is the order of time. */
static void look_at_stamp(struct trial *t, unsigned i)
{
    static const char mark[] = "\"$lastUpdated\":\"";
    char path[64], stamp[40] = "";
    struct span body;
    snprintf(path, sizeof(path), "/twins/clock%02u?api-version=2021-04-12", i);
    const uint8_t *at = NULL;
    if (service_call(&t->hub.service, "GET", path, (struct span){0}, &body) == 200)
        at = memmem(body.data, body.len, "\"reported\"", 10);
    if (at)
        at = memmem(at, body.len - (size_t)(at - body.data), mark, strlen(mark));
    if (!at) {
        t->wrong++;
        return;
    }
    sscanf((const char *)at + strlen(mark), "%39[^\"]", stamp);
    t->stamps_back += strcmp(stamp, t->stamps[i]) < 0;
    strcpy(t->stamps[i], stamp);
}

static void converse(struct trial *t, int64_t ms)
{
    for (int64_t until = now_ns() + ms * 1000000; now_ns() < until; sleep_ms(100)) {
        for (unsigned i = 0; i < DEVICES; i++)
            t->refused += peer_report(&t->devices[i], "{\"a\":1}", ANSWER_MS) != 204;
    }
    for (unsigned i = 0; i < DEVICES; i++)
        look_at_stamp(t, i);
}

static void jump(struct trial *t, size_t n, int64_t ms)
{
    unsigned before = t->stamps_back + t->refused + t->unwelcome, dropped = 0;
    atomic_store(&t->fault->wall_ms, jumps[n].ms);
    atomic_store(&t->fault->stuck_ms, jumps[n].stuck ? wall_ms() : 0);
    converse(t, ms);
    struct peer late;
    t->unwelcome += !login(t, &late, DEVICES);
    peer_close(&late);
    for (unsigned i = 0; i < DEVICES; i++)
        dropped += t->devices[i].ended;
    bool fine = before == t->stamps_back + t->refused + t->unwelcome && !dropped;
    printf("       %s: %s\n", jumps[n].name, fine ? "nothing happened" : "something happened");
}

/* One that says nothing is still noticed while the clock stands. */
static bool silence_counts(struct trial *t)
{
    struct peer silent;
    atomic_store(&t->fault->stuck_ms, wall_ms());
    int64_t began_ns = now_ns(); /* before its last word has come */
    bool ended = login(t, &silent, DEVICES + 1) && peer_wait_end(&silent, KEEP_S * 7500) >= 0;
    int64_t took_ms = (now_ns() - began_ns) / 1000000;
    peer_close(&silent);
    atomic_store(&t->fault->stuck_ms, 0);
    return ended && took_ms >= KEEP_S * 1400;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        process_fail("usage: clock_jumps TWINHUB FAULT_SO [SECONDS]");
    static struct trial t;
    int64_t ms = (argc > 3 ? strtoll(argv[3], NULL, 10) : 1) * 1000;
    unsigned dropped = 0;
    hub_create(&t.hub, argv[1]);
    t.fault = fault_begin(&t.hub, argv[2]);
    hub_start(&t.hub, NULL);
    for (unsigned i = 0; i < DEVICES + 2; i++) { /* the last two come later */
        char id[16];
        snprintf(id, sizeof(id), "clock%02u", i);
        hub_create_identity(&t.hub, id, NULL);
        if (i < DEVICES && !login(&t, &t.devices[i], i))
            process_fail("%s cannot connect", id);
    }
    for (size_t n = 0; n < COUNT(jumps); n++)
        jump(&t, n, ms);
    for (unsigned i = 0; i < DEVICES; i++)
        dropped += t.devices[i].ended;
    verdict("connections dropped", dropped, "", 0);
    verdict("patches refused", t.refused, "", 0);
    verdict("logins refused", t.unwelcome, "", 0);
    verdict("stamps that went back", t.stamps_back, "", 0);
    verdict("twins that could not be read", t.wrong, "", 0);
    verdict_that("silence ends a connection though the clock stands", silence_counts(&t));
    for (unsigned i = 0; i < DEVICES; i++)
        peer_close(&t.devices[i]);
    verdict_that("the hub ends with exit code 0", hub_end(&t.hub, SIGTERM) == 0);
    fault_end(t.fault);
    hub_destroy(&t.hub);
    return verdict_exit();
}
