/* fleet — many devices on one hub that it starts itself: does everybody stay, and hear their own?
 *
 *   fleet TWINHUB stay  [flags]   all connect and stay (the silent ones are closed in time), then
 *                                 each gets a desired patch that is its own, once
 *   fleet TWINHUB storm [flags]   the hub is killed and started again: all come back
 *   fleet TWINHUB takeover [flags]   devices of one name take the connection from each other; one
 *                                 is left, and hears
 *   fleet TWINHUB slow  [flags]   nobody reads while each twin is patched many times: the hub does
 *                                 not grow; then all read, or come back, and have the last one
 *
 * One line says what was measured; anything that does not hold ends with status 1. Flags: --help.
 * Source: trials F16, F18, F19; spec mqtt 2.6, 7.4.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "devices.h"
#include "process.h"
#include "service.h"

enum {
    MQTT_PORT = 1883,
    MQTTS_PORT = 8883,
    HTTP_PORT = 8080,
    GIVE_UP_S = 120,
    TRIES_MAX = 5,
    SILENT_MAX_S = 30,
    LATE_S = 5 /* on a busy machine */
};

static const char prefix[] = "fleet-";

/* What one device has lived through. */
struct story {
    uint32_t marks;  /* desired patches, since forget_marks */
    uint32_t round;  /* of the newest desired section it has seen */
    uint32_t closed; /* times the hub closed it, since the hub was up */
    int64_t closed_ns;
};

static struct {
    unsigned devices, silent, keep_alive_s, hold_s, rounds, patches, pad, grow_max, closed,
        longest_ms, within_s;
    bool tls, resume;
    const char *shards;
} options = {.devices = 1000,
             .keep_alive_s = 4,
             .hold_s = 8,
             .rounds = 1,
             .patches = 100,
             .pad = 2000,
             .grow_max = 65536,
             .shards = "0"};

static struct {
    const char *program;
    char dir[64], data[96], log[96], connection[96], address[32];
    pid_t pid;
} hub;

static struct devices *devices;
static uint32_t among; /* so many names for them all; 0: each has its own */
static struct story *stories;
static struct service service;
static bool hub_is_up, come_back;
static uint64_t wrong;
static char first_wrong[256];

static void note_wrong(uint32_t index, const char *what, struct span detail)
{
    if (wrong++ == 0)
        snprintf(first_wrong, sizeof(first_wrong), "device %u: %s %.*s", index, what,
                 SPAN_ARG(span_first(detail, 150)));
}

static double since_s(int64_t ns)
{
    return (double)(devices_now() - ns) / 1e9;
}

/* ---- the hub ---- */

/* An address of its own, so that trials may run side by side. */
static void name_hub(const char *program)
{
    unsigned id = (unsigned)getpid();
    hub.program = program;
    snprintf(hub.address, sizeof(hub.address), "127.%u.%u.%u", 66 + (id / 64516 % 100),
             id / 254 % 254 + 1, id % 254 + 1);
    snprintf(hub.dir, sizeof(hub.dir), "/tmp/fleet-XXXXXX");
    if (!mkdtemp(hub.dir))
        process_fail("%s: %s", hub.dir, strerror(errno));
    snprintf(hub.data, sizeof(hub.data), "%s/data", hub.dir);
    snprintf(hub.log, sizeof(hub.log), "%s/log", hub.dir);
    snprintf(hub.connection, sizeof(hub.connection), "%s/data/connection-string", hub.dir);
}

static struct sockaddr_in hub_port(unsigned port)
{
    char text[48];
    snprintf(text, sizeof(text), "%s:%u", hub.address, port);
    return service_address(text);
}

static bool answers(struct sockaddr_in at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return yes;
}

static void hub_start(void)
{
    char ports[3][8];
    snprintf(ports[0], 8, "%d", MQTT_PORT);
    snprintf(ports[1], 8, "%d", MQTTS_PORT);
    snprintf(ports[2], 8, "%d", HTTP_PORT);
    const char *argv[] = {hub.program,    "serve",       "--data",  hub.data,  "--bind",
                          hub.address,    "--mqtt",      ports[0],  "--mqtts", ports[1],
                          "--http",       ports[2],      "--https", "0",       "--shards",
                          options.shards, "--log-level", "warn",    NULL};
    int64_t began = devices_now();
    hub.pid = process_start(argv, hub.log);
    while (!answers(hub_port(HTTP_PORT)) || access(hub.connection, R_OK) != 0) {
        if (waitpid(hub.pid, NULL, WNOHANG) != 0 || since_s(began) > 30)
            process_fail("the hub does not start; see %s", hub.log);
        usleep(10000);
    }
    hub_is_up = true;
    service_fini(&service);
    service_open(&service, hub_port(HTTP_PORT), hub.connection);
}

static void hub_end(int signum)
{
    hub_is_up = false;
    int status = process_end(hub.pid, signum);
    if (signum == SIGTERM && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        process_fail("the hub did not stop in good order (wait status %d); see %s", status,
                     hub.log);
}

static void create_devices(void)
{
    service_create_devices(&service, prefix, 0, options.devices, "{\"rate\":30}");
}

/* ---- what devices hear ---- */

/* The number after "round": in a desired section, 0 without one. */
static uint32_t round_of(struct span json)
{
    const uint8_t *at = json.len ? memmem(json.data, json.len, "\"round\":", 8) : NULL;
    uint32_t round = 0;
    if (!at)
        return 0;
    for (at += 8; at < json.data + json.len && *at >= '0' && *at <= '9'; at++)
        round = round * 10 + *at - '0';
    return round;
}

static void on_packet(void *ctx, struct device *d, const struct mqtt_packet *packet)
{
    struct mqtt_publish p;
    struct story *story = &stories[d->index];
    char mark[64], id[32];
    (void)ctx;
    if (packet->type != MQTT_PUBLISH || mqtt_publish_decode(packet, &p) != OK) {
        note_wrong(d->index, "unexpected packet", packet->body);
        return;
    }
    uint32_t round = round_of(p.payload);
    if (round > story->round)
        story->round = round;
    if (!span_starts(p.topic, SPAN("$iothub/twin/PATCH/properties/desired/?$version=")))
        return;
    story->marks++;
    device_id(prefix, d->index, id);
    int n = snprintf(mark, sizeof(mark), "\"mark\":\"%s\"", id);
    if (!memmem(p.payload.data, p.payload.len, mark, (size_t)n))
        note_wrong(d->index, "a patch that is not its own:", p.payload);
}

static void on_ready(void *ctx, struct device *d)
{
    (void)ctx;
    if (!come_back) /* a first connection knows its twin */
        return;
    mqtt_publish_encode(device_out(d),
                        &(struct mqtt_publish){.topic = SPAN("$iothub/twin/GET/?$rid=1")});
    device_flush(d);
}

/* Tries again after a while, as the SDKs do: at once, all together, would be nobody's habit. */
static void on_closed(void *ctx, struct device *d, const char *why)
{
    struct story *story = &stories[d->index];
    (void)ctx;
    story->closed_ns = devices_now();
    story->closed += hub_is_up;
    if (come_back)
        device_connect(d, 100 + random() % 900);
    else if (!d->silent && !d->paused)
        note_wrong(d->index, "lost:", span_text(why));
}

/* ---- steps ---- */

static void check_right(const char *step)
{
    if (wrong)
        process_fail("%s: %llu wrong; %s", step, (unsigned long long)wrong, first_wrong);
}

static void turn_for(double seconds)
{
    int64_t began = devices_now();
    while (since_s(began) < seconds)
        devices_turn(devices, 10);
}

/* Connect devices first .. end; comes back with the seconds it took. */
static double connect_range(uint32_t first, uint32_t end)
{
    int64_t began = devices_now();
    for (uint32_t i = first; i < end; i++)
        device_connect(devices_at(devices, i), 0);
    while (devices_ready(devices) < end) {
        devices_turn(devices, 10);
        check_right("connecting");
        if (since_s(began) > GIVE_UP_S)
            process_fail("%zu of %u connected", devices_ready(devices), end);
    }
    return since_s(began);
}

static void open_fleet(int receive_bytes)
{
    stories = calloc(options.devices, sizeof(*stories));
    if (!stories)
        check_no_memory();
    devices = devices_create(
        &(struct devices_config){.to = hub_port(options.tls ? MQTTS_PORT : MQTT_PORT),
                                 .host = "localhost",
                                 .prefix = prefix,
                                 .count = options.devices,
                                 .among = among,
                                 .tls = options.tls,
                                 .resume = options.resume,
                                 .subscribe = true,
                                 .keep_alive_s = options.keep_alive_s,
                                 .receive_bytes = receive_bytes,
                                 .at_once = options.tls ? 64 : 256,
                                 .on_ready = on_ready,
                                 .on_packet = on_packet,
                                 .on_closed = on_closed});
}

static uint32_t marked(uint32_t end)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < end; i++)
        count += stories[i].marks > 0;
    return count;
}

/* A desired patch for each of the first `end`; comes back with the seconds until all have it. */
static double mark_all(uint32_t end, unsigned round)
{
    int64_t began = devices_now();
    for (uint32_t i = 0; i < end; i++)
        stories[i].marks = 0;
    for (uint32_t at = 0; at < end; at += SERVICE_BULK_MAX) {
        uint32_t left = end - at;
        service_mark_devices(&service, prefix, at,
                             left < SERVICE_BULK_MAX ? left : SERVICE_BULK_MAX, round, 20);
        devices_turn(devices, 0);
    }
    while (marked(end) < end) {
        devices_turn(devices, 10);
        if (since_s(began) > GIVE_UP_S)
            process_fail("%u of %u got their patch", marked(end), end);
    }
    double took = since_s(began);
    turn_for(0.5); /* for what should not come */
    for (uint32_t i = 0; i < end; i++)
        if (stories[i].marks != 1 || stories[i].round != round)
            note_wrong(i, "not one patch of this round", (struct span){0});
    check_right("desired patches");
    return took;
}

/* ---- stay ---- */

static bool silent_are_gone(void)
{
    for (uint32_t i = options.devices - options.silent; i < options.devices; i++)
        if (devices_at(devices, i)->state != DEVICE_OFF)
            return false;
    return true;
}

/* Those who send nothing are closed one and a half keep-alives after their last packet. */
static void check_silent(void)
{
    double limit_s = 1.5 * options.keep_alive_s;
    for (uint32_t i = options.devices - options.silent; i < options.devices; i++) {
        struct device *d = devices_at(devices, i);
        double silent_s = (double)(stories[i].closed_ns - d->sent_ns) / 1e9;
        if (d->state != DEVICE_OFF || silent_s < limit_s - 0.1 ||
            silent_s > limit_s * 4 / 3 + LATE_S)
            process_fail("device %u, silent for %.2f s, should have been closed after %.1f s", i,
                         d->state == DEVICE_OFF ? silent_s : since_s(d->sent_ns), limit_s);
    }
}

static void stay(void)
{
    hub_start();
    create_devices();
    hub_end(SIGTERM); /* what creating left in its memory is not what connections cost */
    hub_start();
    open_fleet(0);
    uint32_t some = options.devices / 10, talking = options.devices - options.silent;
    connect_range(0, some);
    struct process_memory before = process_memory(hub.pid);
    double took = connect_range(some, talking);
    struct process_memory after = process_memory(hub.pid);
    for (uint32_t i = talking; i < options.devices; i++)
        devices_at(devices, i)->silent = true;
    connect_range(talking, options.devices); /* last: their time runs from here */
    turn_for(options.hold_s);
    for (unsigned i = 0; i < SILENT_MAX_S && !silent_are_gone(); i++)
        turn_for(1);
    check_right("staying");
    check_silent();
    if (devices_ready(devices) != talking)
        process_fail("%zu stayed", devices_ready(devices));
    double patched = mark_all(talking, 1);
    long count = (long)(talking - some);
    printf(
        "stay: %u devices over %s connected at %.0f/s, all stayed %u s, %u silent ones closed in "
        "time, each got its own patch once in %.1f s; the hub's memory: %ld B a connection "
        "(anonymous %ld B)\n",
        options.devices, options.tls ? "TLS" : "TCP", (double)count / took, options.hold_s,
        options.silent, patched, (long)(after.resident - before.resident) / count,
        (long)(after.anonymous - before.anonymous) / count);
    hub_end(SIGTERM);
}

/* ---- storm ---- */

/* A back end that asks during the storm, in a thread of its own: devices do not wait for it. */
struct asker {
    pthread_t thread;
    struct service service;
    atomic_bool ends;
    double longest_s; /* of its calls, once it has ended */
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    char id[32], path[96];
    device_id(prefix, 0, id);
    snprintf(path, sizeof(path), "/twins/%s?api-version=2021-04-12", id);
    while (!atomic_load(&a->ends)) {
        int64_t asked = devices_now();
        if (service_call(&a->service, "GET", path, (struct span){0}, NULL) != 200)
            process_fail("a twin cannot be read during the storm");
        if (since_s(asked) > a->longest_s)
            a->longest_s = since_s(asked);
        usleep(100000);
    }
    return NULL;
}

static void asker_start(struct asker *a)
{
    *a = (struct asker){0};
    service_open(&a->service, hub_port(HTTP_PORT), hub.connection);
    if (pthread_create(&a->thread, NULL, ask, a) != 0)
        process_fail("no thread");
}

static double asker_end(struct asker *a)
{
    atomic_store(&a->ends, true);
    pthread_join(a->thread, NULL);
    service_fini(&a->service);
    return a->longest_s;
}

static void settle(int64_t began)
{
    while (devices_ready(devices) < options.devices) {
        devices_turn(devices, 10);
        if (since_s(began) > GIVE_UP_S)
            process_fail("%zu of %u came back", devices_ready(devices), options.devices);
    }
}

static const char *transport(void)
{
    return !options.tls ? "TCP" : options.resume ? "TLS with tickets" : "TLS";
}

/* Comes back with the seconds it took until all were back. */
static double storm_round(unsigned round)
{
    uint32_t most = 0;
    hub_end(SIGKILL);
    turn_for(0.5); /* they notice, and knock at a closed door */
    hub_start();
    for (uint32_t i = 0; i < options.devices; i++)
        stories[i].closed = 0;
    struct asker asker;
    uint64_t resumed = devices_resumed(devices);
    int64_t began = devices_now();
    asker_start(&asker);
    settle(began);
    double took = since_s(began), longest = asker_end(&asker);
    for (uint32_t i = 0; i < options.devices; i++)
        most = stories[i].closed > most ? stories[i].closed : most;
    resumed = devices_resumed(devices) - resumed;
    if (options.resume && resumed < options.devices)
        process_fail("%llu of %u sessions were resumed", (unsigned long long)resumed,
                     options.devices);
    if (most >= TRIES_MAX)
        process_fail("a device needed %u tries", most + 1);
    mark_all(options.devices, round);
    printf("storm: %u devices over %s back in %.1f s (%.0f/s), each in %u tries at most, longest "
           "REST call meanwhile %.0f ms\n",
           options.devices, transport(), took, options.devices / took, most + 1, longest * 1000);
    if (options.longest_ms && longest * 1000 > options.longest_ms)
        process_fail("a REST call took more than %u ms", options.longest_ms);
    return took;
}

static void storm(void)
{
    hub_start();
    create_devices();
    open_fleet(0);
    connect_range(0, options.devices);
    come_back = true;
    double all_s = 0;
    for (unsigned round = 1; round <= options.rounds; round++)
        all_s += storm_round(round);
    printf("storms: %u reconnects over %s in %.1f s\n", options.rounds * options.devices,
           transport(), all_s);
    if (options.within_s && all_s > options.within_s)
        process_fail("more than %u s", options.within_s);
    hub_end(SIGTERM);
}

/* ---- takeover ---- */

/* Devices of one name take the connection from each other, and come back for it. */
static void takeover(void)
{
    among = 1;
    hub_start();
    service_create_devices(&service, prefix, 0, 1, "{\"rate\":30}");
    open_fleet(0);
    come_back = true;
    for (uint32_t i = 0; i < options.devices; i++)
        device_connect(devices_at(devices, i), 0);
    turn_for(options.hold_s);
    come_back = false;
    int64_t began = devices_now();
    while (devices_under_way(devices) || devices_ready(devices) != 1) {
        devices_turn(devices, 10);
        if (since_s(began) > GIVE_UP_S)
            process_fail("%zu are connected", devices_ready(devices));
    }
    uint64_t taken = 0;
    for (uint32_t i = 0; i < options.devices; i++)
        taken += stories[i].closed;
    if (taken < options.devices)
        process_fail("only %llu were taken over", (unsigned long long)taken);
    service_mark_devices(&service, prefix, 0, 1, 1, 20);
    while (!marked(options.devices) && since_s(began) < 2 * GIVE_UP_S)
        devices_turn(devices, 10);
    turn_for(0.5); /* for what should not come */
    if (marked(options.devices) != 1)
        process_fail("%u of one name got its patch", marked(options.devices));
    printf("takeover: %u devices of one name over %s, %llu taken over in %u s; the last one is "
           "connected and hears\n",
           options.devices, transport(), (unsigned long long)taken, options.hold_s);
    hub_end(SIGTERM);
}

/* ---- slow ---- */

static uint32_t behind(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < options.devices; i++)
        count += stories[i].round != options.patches;
    return count;
}

static void patch_unread(void)
{
    for (unsigned round = 1; round <= options.patches; round++) {
        for (uint32_t at = 0; at < options.devices; at += SERVICE_BULK_MAX) {
            uint32_t left = options.devices - at;
            service_mark_devices(&service, prefix, at,
                                 left < SERVICE_BULK_MAX ? left : SERVICE_BULK_MAX, round,
                                 options.pad);
        }
    }
}

/* All read on; whom the hub gave up comes back and reads its twin. */
static double read_on(uint32_t *given_up)
{
    int64_t began = devices_now();
    come_back = true;
    for (uint32_t i = 0; i < options.devices; i++)
        device_pause(devices_at(devices, i), false);
    while (behind() > 0) {
        devices_turn(devices, 10);
        if (since_s(began) > GIVE_UP_S)
            process_fail("%u of %u have not seen the last patch", behind(), options.devices);
    }
    *given_up = 0;
    for (uint32_t i = 0; i < options.devices; i++)
        *given_up += stories[i].closed > 0;
    check_right("converging");
    return since_s(began);
}

static void slow(void)
{
    uint32_t given_up;
    options.keep_alive_s = 1000;
    hub_start();
    create_devices();
    open_fleet(4096);
    connect_range(0, options.devices);
    service_mark_devices(&service, prefix, 0, 1, 0, options.pad); /* scratch is at its size */
    for (uint32_t i = 0; i < options.devices; i++)
        device_pause(devices_at(devices, i), true);
    struct process_memory before = process_memory(hub.pid);
    int64_t kernel = process_tcp_buffers();
    patch_unread();
    struct process_memory after = process_memory(hub.pid);
    kernel = process_tcp_buffers() - kernel;
    long grew = (long)(after.anonymous - before.anonymous) / (long)options.devices;
    double took = read_on(&given_up);
    printf("slow: %u devices that do not read, %u patches of %u B each: the hub grew %ld B a "
           "device, the kernel's TCP buffers %ld B; then all had the last one in %.1f s (%u were "
           "closed and came back)\n",
           options.devices, options.patches, options.pad, grew,
           (long)kernel / (long)options.devices, took, given_up);
    if (given_up < options.closed)
        process_fail("fewer than %u were closed: the bound was not tried", options.closed);
    if (grew > (long)options.grow_max)
        process_fail("more than %u B a device", options.grow_max);
    hub_end(SIGTERM);
}

/* ---- flags ---- */

static const struct flag {
    const char *name;
    unsigned *number;
    const char *help;
} numbers[] = {
    {"devices",    &options.devices,      "how many devices"                              },
    {"silent",     &options.silent,       "stay: of these, how many send nothing"         },
    {"keep-alive", &options.keep_alive_s, "seconds"                                       },
    {"hold",       &options.hold_s,       "stay: seconds that all must stay"              },
    {"rounds",     &options.rounds,       "storm: how often the hub is killed"            },
    {"patches",    &options.patches,      "slow: how many for each device"                },
    {"pad",        &options.pad,          "slow: bytes of each patch"                     },
    {"grow",       &options.grow_max,     "slow: bytes that the hub may grow a device"    },
    {"closed",     &options.closed,       "slow: how many of them the hub must give up"   },
    {"longest",    &options.longest_ms,   "storm: ms a REST call may take, 0: any"        },
    {"within",     &options.within_s,     "storm: seconds for all rounds together, 0: any"},
};

static _Noreturn void help(int code)
{
    FILE *out = code ? stderr : stdout;
    fprintf(out, "fleet TWINHUB stay|storm|takeover|slow: many devices on one hub\n\n"
                 "  --tls            over TLS\n  --resume         storm: all offer their tickets\n"
                 "  --shards N       of the hub [one a core]\n");
    for (size_t i = 0; i < COUNT(numbers); i++)
        fprintf(out, "  --%-10s N   %s [%u]\n", numbers[i].name, numbers[i].help,
                *numbers[i].number);
    exit(code);
}

static void read_flags(int argc, char **argv)
{
    for (int i = 3; i < argc; i++) {
        uint64_t number;
        size_t row = 0;
        if (strcmp(argv[i], "--tls") == 0) {
            options.tls = true;
            continue;
        }
        if (strcmp(argv[i], "--resume") == 0) {
            options.resume = true;
            continue;
        }
        if (strcmp(argv[i], "--shards") == 0 && i + 1 < argc) {
            options.shards = argv[++i];
            continue;
        }
        while (row < COUNT(numbers) &&
               (strncmp(argv[i], "--", 2) != 0 || strcmp(argv[i] + 2, numbers[row].name) != 0))
            row++;
        if (row == COUNT(numbers) || ++i == argc || !text_u64(span_text(argv[i]), &number) ||
            number > 1U << 30)
            help(2);
        *numbers[row].number = (unsigned)number;
    }
}

static void remove_dir(void)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", hub.dir);
    if (system(command) != 0) /* NOLINT(cert-env33-c) */
        fprintf(stderr, "%s remains\n", hub.dir);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } trials[] = {
        {"stay",     stay    },
        {"storm",    storm   },
        {"takeover", takeover},
        {"slow",     slow    }
    };
    if (argc < 3)
        help(argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2);
    read_flags(argc, argv);
    if (options.devices < 10 || options.silent > options.devices / 2 ||
        (options.resume && !options.tls))
        help(2);
    process_raise_files();
    name_hub(argv[1]);
    for (size_t i = 0; i < COUNT(trials); i++) {
        if (strcmp(argv[2], trials[i].name) != 0)
            continue;
        trials[i].run();
        devices_destroy(devices);
        service_fini(&service);
        free(stories);
        remove_dir();
        return 0;
    }
    help(2);
}
