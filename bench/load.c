/* load — devices at work: how many operations a second a server answers, and how fast.
 *
 *   load --mode patch --to 127.0.0.1:1883 --connections 100 --in-flight 16
 *
 * A closed loop: each connection keeps its operations in flight and sends the next when one is
 * answered. Prints one line of name=value fields. --help lists the flags.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "bulk.h"
#include "devices.h"
#include "latency.h"
#include "packet.h"
#include "process.h"
#include "service.h"
#include "watch.h"

enum { SLOTS_MAX = 4096, SETTLE_MS = 60000, BULK_CONNECTIONS = 8, DEVICES_MAX = 1000000 };

enum mode {
    PATCH = PACKET_PATCH,
    GET = PACKET_GET,
    PUBLISH = PACKET_PUBLISH,
    CONNECT,
    PUSH,
    UPDATE
};
static const char *const mode_names[] = {"patch", "get", "publish", "connect", "push", "update"};

struct slot {
    int64_t sent_ns; /* 0: free */
    uint32_t seq;
};

static struct {
    enum mode mode;
    struct sockaddr_in to, rest;
    const char *connection, *prefix, *host;
    unsigned connections, devices, in_flight, body_len, qos;
    double seconds, warm_s, every_s, rate;
    pid_t server;
    bool create, tls, resume, has_rest, split;
} options = {.prefix = "load-",
             .host = "localhost",
             .connections = 1,
             .in_flight = 1,
             .body_len = 150,
             .seconds = 3,
             .warm_s = 1};

/* What was done: since the last line, and in all. */
struct tally {
    struct latency idle, checkpoint; /* --split: while none runs, while one does */
    uint64_t done, bytes;
};
static struct tally recent, total;

static struct devices *devices;
static struct service service;
static struct bulk *bulk;
static struct watch *watch;
static struct packet outgoing;
static struct slot *slots; /* in_flight of each connection */
static int64_t due_ns;     /* of the next one, with a rate */
static bool working, measuring;
static volatile sig_atomic_t stopped; /* SIGTERM: report what there is */
static uint64_t failed, lost;
static char first_failure[256];
static uint32_t value = 10000000;

static void note_failure(const char *what, struct span detail)
{
    if (failed++ == 0)
        snprintf(first_failure, sizeof(first_failure), "%s %.*s", what,
                 SPAN_ARG(span_first(detail, 200)));
}

static void count_done(int64_t ns, size_t bytes)
{
    if (!measuring)
        return;
    latency_add(watch && watch_running(watch) ? &recent.checkpoint : &recent.idle, ns);
    recent.done++;
    recent.bytes += bytes;
}

/* ---- sending ---- */

static struct slot *slot_of(const struct device *d, unsigned slot)
{
    return &slots[(size_t)d->index * options.in_flight + slot];
}

static void send_one(struct device *d, unsigned slot)
{
    struct slot *s = slot_of(d, slot);
    s->seq = (s->seq + 1) & 0xfffff;
    packet_put(&outgoing, &(struct packet_fill){slot, s->seq, value, device_number(d)},
               device_out(d));
    value = value == 99999999 ? 10000000 : value + 1;
    s->sent_ns = devices_now();
}

/* At a steady rate: each at its time, by the next device that has none under way; the time counts
 * from when it was due. */
static void send_due(void)
{
    static unsigned turn;
    int64_t now = devices_now();
    for (unsigned busy = 0; due_ns <= now && busy < options.connections; busy++) {
        struct device *d = devices_at(devices, turn);
        turn = (turn + 1) % options.connections;
        if (d->state != DEVICE_READY || slot_of(d, 0)->sent_ns)
            continue;
        send_one(d, 0);
        device_flush(d);
        slot_of(d, 0)->sent_ns = due_ns;
        due_ns += (int64_t)(1e9 / options.rate);
        busy = 0;
    }
}

/* ---- what comes back ---- */

static void answered(struct device *d, uint32_t slot, size_t bytes)
{
    if (slot >= options.in_flight)
        return;
    struct slot *s = slot_of(d, slot);
    if (!s->sent_ns)
        return;
    count_done(devices_now() - s->sent_ns, bytes);
    s->sent_ns = 0;
    if (working && options.rate == 0)
        send_one(d, slot);
}

static bool hex(struct span text, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *out = *out << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return text.len == 8;
}

/* $iothub/twin/res/204/?$rid=RRRRRRRR... */
static void on_response(struct device *d, const struct mqtt_publish *p)
{
    static const struct span head = SPAN_INIT("$iothub/twin/res/"),
                             push = SPAN_INIT("$iothub/twin/PATCH/properties/desired/");
    uint32_t request;
    const char *want = options.mode == GET ? "200" : "204";
    if (span_starts(p->topic, push))
        return; /* a back end is at work too */
    if (!span_starts(p->topic, head) || p->topic.len < head.len + 18 ||
        !hex(span_first(span_skip(p->topic, head.len + 10), 8), &request)) {
        note_failure("unexpected", p->topic);
        return;
    }
    if (memcmp(p->topic.data + head.len, want, 3) != 0)
        note_failure("refused", p->payload);
    uint32_t slot, seq;
    packet_request(request, &slot, &seq);
    if (slot < options.in_flight && slot_of(d, slot)->seq != seq)
        note_failure("out of order", p->topic);
    answered(d, slot, p->payload.len);
}

static sem_t pushed;
static _Atomic int64_t patched_ns;

static void on_packet(void *ctx, struct device *d, const struct mqtt_packet *packet)
{
    struct mqtt_publish p;
    uint16_t id;
    (void)ctx;
    if (packet->type == MQTT_PUBACK && mqtt_ack_decode(packet, &id) == OK) {
        if (options.mode == PUBLISH)
            answered(d, id - 1U, 0);
        return;
    }
    if (packet->type != MQTT_PUBLISH || mqtt_publish_decode(packet, &p) != OK) {
        note_failure("unexpected packet", packet->body);
        return;
    }
    if (options.mode == PUSH) {
        count_done(devices_now() - patched_ns, p.payload.len);
        sem_post(&pushed);
        return;
    }
    on_response(d, &p);
}

/* The first of its operations, on a connection that has none under way. */
static void start_device(struct device *d)
{
    bool starts = options.mode <= PUBLISH && options.rate == 0;
    for (unsigned slot = 0; starts && slot < options.in_flight; slot++)
        send_one(d, slot);
    device_flush(d);
}

static void on_ready(void *ctx, struct device *d)
{
    (void)ctx;
    if (working)
        start_device(d);
    if (options.mode != CONNECT)
        return;
    count_done(devices_now() - d->began_ns, 0);
    mqtt_disconnect_encode(device_out(d));
    device_flush(d);
    device_close(d);
    device_connect(d, 0);
}

static void on_closed(void *ctx, struct device *d, const char *why)
{
    (void)ctx;
    lost++;
    note_failure("closed:", span_text(why));
    device_connect(d, 100);
}

/* ---- desired patches by REST, one at a time ---- */

static void *push_main(void *arg)
{
    char id[32], path[96], body[64];
    struct span answer;
    (void)arg;
    device_id(options.prefix, 0, id);
    snprintf(path, sizeof(path), "/twins/%s?api-version=2021-04-12", id);
    for (unsigned n = 0; working; n++) {
        snprintf(body, sizeof(body), "{\"properties\":{\"desired\":{\"rate\":%u}}}", n);
        patched_ns = devices_now();
        int http = service_call(&service, "PATCH", path, span_text(body), &answer);
        if (http != 200)
            process_fail("PATCH %s: %d %.*s", path, http, SPAN_ARG(span_first(answer, 300)));
        while (sem_wait(&pushed) != 0 && errno == EINTR)
            ;
        usleep(1000); /* the hub is idle when the next one comes */
    }
    return NULL;
}

/* ---- the run ---- */

static void turn_for(double seconds)
{
    int64_t end = devices_now() + (int64_t)(seconds * 1e9);
    while (devices_now() < end && !stopped) {
        if (working && options.rate > 0)
            send_due();
        if (devices)
            devices_turn(devices, options.rate > 0 ? 0 : 10);
        else
            usleep(1000);
    }
}

static void connect_all(void)
{
    int64_t give_up = devices_now() + SETTLE_MS * 1000000LL;
    for (unsigned i = 0; i < options.connections; i++)
        device_connect(devices_at(devices, i), 0);
    while (options.mode != CONNECT && devices_ready(devices) < options.connections) {
        devices_turn(devices, 10);
        if (devices_now() > give_up)
            process_fail("%zu of %u connected, %llu failures; %s", devices_ready(devices),
                         options.connections, (unsigned long long)failed, first_failure);
    }
}

static void start_work(void)
{
    working = true;
    due_ns = devices_now();
    for (unsigned i = 0; options.mode != CONNECT && i < options.connections; i++)
        start_device(devices_at(devices, i));
}

static void put_times(const char *name, const struct latency *l)
{
    printf(" %sp50_us=%.0f %sp90_us=%.0f %sp99_us=%.0f %sp999_us=%.0f %smax_us=%.0f", name,
           latency_us(l, 0.5), name, latency_us(l, 0.9), name, latency_us(l, 0.99), name,
           latency_us(l, 0.999), name, latency_us(l, 1));
}

static void report(double seconds, double own_cpu, double server_cpu)
{
    static struct latency all;
    double count = (double)total.done;
    printf("rate=%.0f", count / seconds);
    if (options.split) {
        printf(" idle_count=%llu checkpoint_count=%llu", (unsigned long long)total.idle.count,
               (unsigned long long)total.checkpoint.count);
        put_times("idle_", &total.idle);
        put_times("checkpoint_", &total.checkpoint);
    }
    latency_move(&all, &total.idle);
    latency_move(&all, &total.checkpoint);
    put_times("", &all);
    printf(" failed=%llu lost=%llu answer_bytes=%.0f load_cpu=%.2f", (unsigned long long)failed,
           (unsigned long long)lost, count > 0 ? (double)total.bytes / count : 0,
           own_cpu / seconds);
    if (options.server)
        printf(" server_cpu=%.2f server_us=%.2f server_rss_kib=%lld", server_cpu / seconds,
               count > 0 ? server_cpu * 1e6 / count : 0,
               (long long)process_memory(options.server).resident / 1024);
    printf("\n");
    if (failed)
        fprintf(stderr, "load: %llu failures, the first: %s\n", (unsigned long long)failed,
                first_failure);
}

/* What was done since the last time, into the total; with --every, a line of it. */
static void take(double at_s, double seconds)
{
    static struct latency all;
    if (bulk)
        recent.done += bulk_take(bulk, &recent.idle);
    total.done += recent.done;
    total.bytes += recent.bytes;
    all = recent.idle;
    latency_move(&total.idle, &recent.idle);
    if (options.every_s > 0) {
        struct latency checkpoint = recent.checkpoint;
        latency_move(&all, &checkpoint);
        printf("at=%.0f rate=%.0f", at_s, (double)recent.done / seconds);
        put_times("", &all);
        printf("\n");
        fflush(stdout);
    }
    latency_move(&total.checkpoint, &recent.checkpoint);
    recent.done = recent.bytes = 0;
}

static void measure(void)
{
    static struct latency unmeasured;
    turn_for(options.warm_s);
    if (bulk)
        (void)bulk_take(bulk, &unmeasured);
    measuring = true;
    int64_t start = devices_now(), from = start;
    double own = process_cpu_s(getpid()), server = process_cpu_s(options.server);
    for (double left = options.seconds; left > 1e-6 && !stopped;) {
        double step = options.every_s > 0 && options.every_s < left ? options.every_s : left;
        turn_for(step);
        left -= step;
        int64_t now = devices_now();
        take((double)(now - start) / 1e9, (double)(now - from) / 1e9);
        from = now;
    }
    own = process_cpu_s(getpid()) - own;
    server = process_cpu_s(options.server) - server;
    measuring = false;
    report((double)(devices_now() - start) / 1e9, own, server);
}

static struct bulk_config bulk_config(void)
{
    return (struct bulk_config){.rest = options.rest,
                                .connection = options.connection,
                                .prefix = options.prefix,
                                .devices = options.devices,
                                .connections = options.connections};
}

static void run_update(void)
{
    struct bulk_config config = bulk_config();
    bulk = bulk_start(&config);
    measure();
    bulk_stop(bulk);
}

static void run(void)
{
    pthread_t pusher;
    devices = devices_create(
        &(struct devices_config){.to = options.to,
                                 .host = options.host,
                                 .prefix = options.prefix,
                                 .count = options.connections,
                                 .among = options.devices,
                                 .tls = options.tls,
                                 .resume = options.resume,
                                 .clean = options.mode == PUBLISH,
                                 .subscribe = options.mode != PUBLISH && options.mode != CONNECT,
                                 .on_ready = on_ready,
                                 .on_packet = on_packet,
                                 .on_closed = on_closed});
    slots = calloc((size_t)options.connections * options.in_flight, sizeof(*slots));
    if (!slots)
        check_no_memory();
    if (options.mode <= PUBLISH)
        packet_make(&outgoing, (enum packet_kind)options.mode, options.prefix, options.body_len,
                    options.qos);
    connect_all();
    if (options.split)
        watch = watch_start(options.rest, options.connection);
    start_work();
    if (options.mode == PUSH && pthread_create(&pusher, NULL, push_main, NULL) != 0)
        process_fail("no thread");
    measure();
    working = false;
    if (options.mode == PUSH) {
        turn_for(0.2);
        sem_post(&pushed);
        pthread_join(pusher, NULL);
    }
    if (watch)
        watch_stop(watch);
    devices_destroy(devices);
    free(slots);
    packet_fini(&outgoing);
}

/* A desired section that makes a twin of some 800 bytes with the patch of a load; or, with
 * --devices, what bulk.h says. */
static void create_devices(void)
{
    struct buf desired = {0};
    if (options.devices) {
        struct bulk_config config = bulk_config();
        config.connections = options.mode == UPDATE ? options.connections : BULK_CONNECTIONS;
        double seconds = bulk_create(&config);
        printf("created=%u seconds=%.1f create_rate=%.0f\n", options.devices, seconds,
               options.devices / seconds);
        fflush(stdout);
        return;
    }
    for (int i = 0; i < 12; i++)
        buf_printf(&desired, "%c\"setting_%02d\":{\"value\":%d.5,\"unit\":\"mbar\"}", i ? ',' : '{',
                   i, 1000 + i);
    buf_text(&desired, "}");
    buf_byte(&desired, 0);
    service_create_devices(&service, options.prefix, 0, options.connections,
                           (const char *)desired.data);
    buf_fini(&desired);
}

/* ---- flags ---- */

static const struct option flags[] = {
    {"mode",             required_argument, NULL, 'm'},
    {"to",              required_argument, NULL, 't'},
    {"connections",                  required_argument, NULL, 'n'},
    {"in-flight",required_argument, NULL, 'k'},
    {"seconds",               required_argument, NULL, 's'},
    {"warm",      required_argument, NULL, 'w'},
    {"body",              required_argument, NULL, 'b'},
    {"qos",                  required_argument, NULL, 'q'},
    {"prefix",              required_argument, NULL, 'p'},
    {"tls",               no_argument, NULL, 'T'},
    {"resume",          no_argument, NULL, 'r'},
    {"server",              required_argument, NULL, 'P'},
    {"connection",                  required_argument, NULL, 'c'},
    {"rest",required_argument, NULL, 'R'},
    {"create",               no_argument, NULL, 'C'},
    {"devices",             required_argument, NULL, 'N'},
    {"every",              required_argument, NULL, 'e'},
    {"rate",                  required_argument, NULL, 'a'},
    {"split",no_argument, NULL, 'S'},
    {"help",               no_argument, NULL, 'h'},
    {0          }
};

static _Noreturn void help(int code)
{
    fputs(
        "load: devices at work\n\n"
        "  --mode patch|get|publish|connect|push|update   reported patches; twin GETs; QoS 1\n"
        "                       publishes; CONNECTs; desired patches by REST, one at a time;\n"
        "                       desired patches by bulk REST calls of 100, a thread a connection\n"
        "  --to ADDR:PORT       the MQTT listener\n"
        "  --connections N      --in-flight K of each\n"
        "  --devices N          the connections' devices are spread over this many; update: all\n"
        "  --rate R             patch: R a second in all, each timed from when it was due\n"
        "  --seconds S          measured, after --warm S, or until SIGTERM; --every S: a line\n"
        "                       for each S seconds\n"
        "  --split              patch: the times while a checkpoint runs apart; needs --rest\n"
        "  --body BYTES         of a patch or publish [150]     --qos 0|1 of a patch [0]\n"
        "  --tls                --resume: offer session tickets\n"
        "  --server PID         tell its CPU and memory too\n"
        "  --connection FILE    a service connection string: host name, and REST's key\n"
        "  --rest ADDR:PORT     the plain REST listener; --create: make the devices first\n"
        "  --prefix TEXT        of device ids [load-]\n",
        code ? stderr : stdout);
    exit(code);
}

static void read_mode(const char *text)
{
    for (unsigned i = 0; i < COUNT(mode_names); i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            options.mode = (enum mode)i;
            return;
        }
    }
    help(2);
}

static unsigned read_number(const char *text, uint64_t most)
{
    uint64_t number;
    if (!text_u64(span_text(text), &number) || number > most)
        process_fail("\"%s\" is not a number up to %llu", text, (unsigned long long)most);
    return (unsigned)number;
}

static void read_flag(int flag)
{
    /* clang-format off */
    switch (flag) {
    case 'm': read_mode(optarg); break;
    case 't': options.to = service_address(optarg); break;
    case 'n': options.connections = read_number(optarg, 1000000); break;
    case 'k': options.in_flight = read_number(optarg, SLOTS_MAX); break;
    case 's': options.seconds = atof(optarg); break;
    case 'w': options.warm_s = atof(optarg); break;
    case 'b': options.body_len = read_number(optarg, 30000); break;
    case 'q': options.qos = read_number(optarg, 1); break;
    case 'p': options.prefix = optarg; break;
    case 'T': options.tls = true; break;
    case 'r': options.resume = true; break;
    case 'P': options.server = (pid_t)read_number(optarg, 1 << 30); break;
    case 'c': options.connection = optarg; break;
    case 'R': options.rest = service_address(optarg); options.has_rest = true; break;
    case 'C': options.create = true; break;
    case 'N': options.devices = read_number(optarg, DEVICES_MAX); break;
    case 'e': options.every_s = atof(optarg); break;
    case 'a': options.rate = atof(optarg); break;
    case 'S': options.split = true; break;
    case 'h': help(0);
    default: help(2);
    }
    /* clang-format on */
}

static void check_flags(void)
{
    bool update = options.mode == UPDATE, rest = options.connection && options.has_rest;
    if (!(update || options.to.sin_port) || !options.connections || !options.in_flight)
        help(2);
    if ((options.create || options.split || options.mode == PUSH || update) && !rest)
        process_fail("--create, --split and --mode push or update need --connection and --rest");
    if (update && !options.devices)
        process_fail("--mode update needs --devices");
    if (options.devices && options.devices < options.connections && !update)
        process_fail("--devices is at least --connections");
}

static void on_stop(int signum)
{
    (void)signum;
    stopped = 1;
}

int main(int argc, char **argv)
{
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;)
        read_flag(flag);
    check_flags();
    process_raise_files();
    signal(SIGTERM, on_stop);
    sem_init(&pushed, 0, 0);
    if (options.connection) {
        service_open(&service, options.rest, options.connection);
        options.host = (const char *)service.host.data;
    }
    if (options.create)
        create_devices();
    if (options.mode == UPDATE && options.seconds > 0)
        run_update();
    else if (options.seconds > 0)
        run();
    service_fini(&service);
    return failed ? 1 : 0;
}
