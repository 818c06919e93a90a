/* A hub with little memory (trials F08): in a control group of 64 MiB it serves a thousand devices,
 * a hundred of them over TLS, and a load that writes as fast as it is answered, with bounds that
 * fit. The kernel never has to end it.
 *
 *   memory_bound TWINHUB [SECONDS]
 *
 * Exit 77: there are no control groups of the first version here, the program is sanitized, or this
 * is not root.
 */
#include "kill_load.h"
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77, LIMIT = 64 << 20, DEVICES = 1000, OVER_TLS = 100 };

#define GROUPS "/sys/fs/cgroup/memory/"

static const char *const settings[] = {"--hot-memory", "8M", "--journal-tail", "16M", NULL};
static char group[96];

static bool put(const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", group, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The number behind `name` in a file of the group; with no name, the only one. -1: there is none.
 */
static int64_t get(const char *file, const char *name)
{
    char path[160], text[512] = "";
    snprintf(path, sizeof(path), "%s/%s", group, file);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = 0;
    const char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

static bool make_group(void)
{
    char limit[24];
    snprintf(group, sizeof(group), GROUPS "twinhub-trial-%d", (int)getpid());
    snprintf(limit, sizeof(limit), "%d", LIMIT);
    return mkdir(group, 0700) == 0 && put("memory.limit_in_bytes", limit);
}

static void connect_devices(struct hub *h, struct peer *devices)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "bound%04u", i);
        hub_create_identity(h, id, NULL);
        bool tls = i < OVER_TLS;
        if (!(tls ? peer_dial_tls : peer_dial)(&devices[i], h, tls ? HUB_MQTTS : HUB_MQTT, 0) ||
            peer_login(&devices[i], &(struct login_as){.device = id, .keep_alive_s = 600}) != 0 ||
            !peer_subscribe(&devices[i]))
            process_fail("%s cannot connect", id);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        process_fail("usage: memory_bound TWINHUB [SECONDS]");
    static struct peer devices[DEVICES];
    struct hub hub;
    struct load load;
    char join[160];
    int64_t ms = (argc > 2 ? strtoll(argv[2], NULL, 10) : 10) * 1000, most = 0;
    hub_create(&hub, argv[1]);
    if (hub_is_sanitized(&hub) || !make_group()) {
        printf("no control group of 64 MiB here: not tried\n");
        rmdir(group);
        hub_destroy(&hub);
        return SKIPPED;
    }
    process_raise_files();
    snprintf(join, sizeof(join), "echo $$ > %s/cgroup.procs && exec \"$@\"", group);
    const char *const enter[] = {"/bin/sh", "-c", join, "sh", NULL};
    hub.trace = enter;
    load_init(&load, &hub, 1);
    hub_start(&hub, settings);
    connect_devices(&hub, devices);
    load_create_twins(&load);
    load_connect(&load);
    for (int64_t until = now_ns() + ms * 1000000; load.open && now_ns() < until;) {
        load_run(&load, 250);
        int64_t rss = get("memory.stat", "\nrss ");
        most = rss > most ? rss : most;
    }
    unsigned open = load.open, dropped = 0;
    load_drain(&load);
    for (unsigned i = 0; i < DEVICES; i++) {
        peer_drain(&devices[i]);
        dropped += devices[i].ended;
    }
    printf("       %llu patches acknowledged with %u connections\n",
           (unsigned long long)load.acked[REPORTED], open + DEVICES);
    verdict("memory of its own at most", (double)most / (1 << 20), "MiB", LIMIT >> 20);
    verdict("ended by the kernel for want of memory",
            (double)get("memory.oom_control", "oom_kill "), "", 0);
    verdict("connections dropped", dropped, "", 0);
    verdict("changes lost, doubled or torn", load.wrong, "", 0);
    load_close(&load);
    for (unsigned i = 0; i < DEVICES; i++)
        peer_close(&devices[i]);
    verdict_that("the hub ends with exit code 0", hub_end(&hub, SIGTERM) == 0);
    hub_start(&hub, settings);
    load_verify(&load);
    verdict("and when it is started again", load.wrong, "", 0);
    load_fini(&load);
    hub_destroy(&hub);
    rmdir(group);
    return verdict_exit();
}
